package fileserver

import (
	"net/http"
	"net/url"
	"testing"

	"freshet/fileserver/problem"
)

// FuzzVersionQuery reads queries. What is accepted names one thing, and says so again when it is written out.
func FuzzVersionQuery(f *testing.F) {
	for _, seed := range []string{
		"", "etag=99aa06d3014798d86001c324468d497f", "etag=%2299aa06d3014798d86001c324468d497f-gzip%22", `etag="x"`,
		"id=1", "before=1", "id=1&id=2", "id=1&before=2", "etag=", "ID=1", "id", "&", ";", "%zz", "id=%00",
		"etag=99AA06D3014798D86001C324468D497F",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		r := &http.Request{URL: &url.URL{RawQuery: query}}
		q, err := readVersionQuery(r, queryETag, queryID, queryBefore)
		if err != nil {
			if problem.Of(err).Status != 400 {
				t.Errorf("%q: %v", query, err)
			}
			return
		}
		values := url.Values{}
		switch {
		case q.key.ID != "":
			values.Set(queryID, string(q.key.ID))
		case !q.key.Digest.IsZero():
			values.Set(queryETag, q.key.Digest.ETag())
		case q.before != "":
			values.Set(queryBefore, string(q.before))
		}
		r.URL.RawQuery = values.Encode()
		again, err := readVersionQuery(r, queryETag, queryID, queryBefore)
		if err != nil || again != q || q.keyed && q.before != "" || q.key.ID != "" && !q.key.Digest.IsZero() {
			t.Errorf("%q is %+v, which is %+v, %v", query, q, again, err)
		}
	})
}
