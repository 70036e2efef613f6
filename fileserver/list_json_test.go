package fileserver

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"freshet/fileserver/tree"
	"freshet/hashing"
)

// jsonListing is a listing as a client reads it. The fields for what is not UTF-8 are decoded from base64.
type jsonListing struct {
	Path    *string
	Path64  []byte
	Subtree *string
	Entries []jsonEntry
	Next    *string
}

type jsonEntry struct {
	N        *string
	N64      []byte
	K        string
	Size     *int64
	Mtime    string
	Target   *string
	Target64 []byte
	ETag     string
	Subtree  *string
}

func (e *jsonEntry) name() string {
	if e.N != nil {
		return *e.N
	}
	return string(e.N64)
}

func readJSON(t *testing.T, text string) jsonListing {
	t.Helper()
	var l jsonListing
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&l); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return l
}

func mustParse(t *testing.T, escaped string) tree.Path {
	t.Helper()
	p, _, err := tree.Parse(escaped)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestRenderJSON(t *testing.T) {
	at := time.Date(2026, 11, 22, 14, 0, 0, 123456789, time.FixedZone("", 3600))
	followed := tree.Entry{Kind: tree.KindFolder}
	tests := []struct {
		name, path string
		entries    []tree.Entry
		query      listingQuery
		want       string
	}{
		{"empty_root", "/", nil, byName, `{"path":"/","subtree":null,"entries":[],"next":null}`},
		{"file", "/docs/", []tree.Entry{{Name: "a.txt", Kind: tree.KindFile, Size: 12, ModTime: at,
			Digest: hashing.Sum([]byte("x"))}},
			byName,
			`{"path":"/docs/","subtree":null,"entries":[{"n":"a.txt","k":"f","size":12,"mtime":"2026-11-22T13:00:00.123456789Z",` +
				`"etag":"\"` + hashing.Sum([]byte("x")).String() + `\""}],"next":null}`},
		{"executable_without_tag", "/a/b/",
			[]tree.Entry{{Name: "run", Kind: tree.KindExecutable, ModTime: at.Truncate(time.Second)}},
			byName,
			`{"path":"/a/b/","subtree":null,"entries":[{"n":"run","k":"x","size":0,"mtime":"2026-11-22T13:00:00Z"}],"next":null}`},
		{"folder", "/", []tree.Entry{{Name: "docs", Kind: tree.KindFolder, ModTime: at.Truncate(time.Second)}}, byName,
			`{"path":"/","subtree":null,"entries":[{"n":"docs","k":"d","mtime":"2026-11-22T13:00:00Z","subtree":null}],"next":null}`},
		{"link_is_a_link", "/",
			[]tree.Entry{{Name: "l", Kind: tree.KindLink, Size: 4, ModTime: at.Truncate(time.Second),
				Target: "docs", Followed: &followed}},
			byName,
			`{"path":"/","subtree":null,"entries":[{"n":"l","k":"l","mtime":"2026-11-22T13:00:00Z","target":"docs"}],"next":null}`},
		{"not_utf8", "/a%FF/", []tree.Entry{{Name: "b\xfe", Kind: tree.KindLink, Target: "c\xfd",
			ModTime: time.Unix(0, 0)}}, byName,
			`{"path64":"L2H/Lw==","subtree":null,"entries":[{"n64":"Yv4=","k":"l","mtime":"1970-01-01T00:00:00Z","target64":"Y/0="}],"next":null}`},
		{"year_of_five_digits", "/",
			[]tree.Entry{{Name: "a", Kind: tree.KindFile, ModTime: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}},
			byName, `{"path":"/","subtree":null,"entries":[{"n":"a","k":"f","size":0}],"next":null}`},
		{"year_before_zero", "/",
			[]tree.Entry{{Name: "a", Kind: tree.KindFile, ModTime: time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC)}},
			byName, `{"path":"/","subtree":null,"entries":[{"n":"a","k":"f","size":0}],"next":null}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := renderToString(t, listingJSON, mustParse(t, test.path), test.entries, test.query, pageContext{})
			if got != test.want+"\n" {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestJSONPagesAreFollowedByNext(t *testing.T) {
	entries := append(manyEntries(25), files("a b&c.txt", "\xff", "z\"\n")...)
	for _, query := range []string{"limit=7", "limit=1&sort=size&dir=desc", "limit=28", "limit=27&sort=mtime", ""} {
		t.Run(query, func(t *testing.T) {
			var got []string
			link := "?" + query
			for range len(entries) + 1 {
				reference, err := url.Parse(link)
				if err != nil {
					t.Fatal(err)
				}
				q, err := parseListingQuery(reference.Query())
				if err != nil {
					t.Fatal(err)
				}
				l := readJSON(t, renderToString(t, listingJSON, tree.Path{}, entries, q, pageContext{}))
				if q.Limit > 0 && len(l.Entries) > q.Limit {
					t.Fatalf("%d entries, the limit is %d", len(l.Entries), q.Limit)
				}
				for _, e := range l.Entries {
					got = append(got, e.name())
				}
				if l.Next == nil {
					break
				}
				link = *l.Next
			}
			q, _ := parseListingQuery(must(url.ParseQuery(query)))
			if want := namesInOrder(entries, q); strings.Join(got, "/") != strings.Join(want, "/") {
				t.Errorf("got  %q\nwant %q", got, want)
			}
		})
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// chunks counts writes and remembers the longest.
type chunks struct{ writes, longest, total int }

func (c *chunks) Write(b []byte) (int, error) {
	c.writes++
	c.longest = max(c.longest, len(b))
	c.total += len(b)
	return len(b), nil
}

func TestListingsAreWrittenInChunks(t *testing.T) {
	entries := manyEntries(600)
	for i := range entries {
		entries[i].Name = fmt.Sprintf("%d %s", i, strings.Repeat("\n", tree.NameBytesMax-5)) // six bytes each in JSON
	}
	for name, f := range map[string]listingFormat{"json": listingJSON, "text": listingText, "html": listingHTML} {
		t.Run(name, func(t *testing.T) {
			var c chunks
			if err := renderListing(&c, f, tree.Path{}, entries, byName, testPage()); err != nil {
				t.Fatal(err)
			}
			most := c.total/listingChunkBytes + 1
			if c.total < 4*listingChunkBytes || c.writes > most || c.longest > listingChunkBytes+listingMarginBytes {
				t.Errorf("%d bytes in %d writes, the longest of %d bytes", c.total, c.writes, c.longest)
			}
		})
	}
}

// Memory does not grow with the number of entries but for the keys they are sorted by.
func TestTextAllocations(t *testing.T) {
	entries := manyEntries(2000)
	allocs := testing.AllocsPerRun(5, func() {
		_ = renderListing(&chunks{}, listingText, tree.Path{}, entries, byName, pageContext{})
	})
	if allocs > 12 {
		t.Errorf("%v allocations", allocs)
	}
}

// FuzzJSONText holds that encoding/json reads back what is written.
func FuzzJSONText(f *testing.F) {
	for _, seed := range []string{"a.txt", `"\`, "\x00\x1f\x7f", "\u2028</script>", "\xff", "\xed\xa0\x80", "é\ufffd"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var got struct {
			N   *string
			N64 []byte
		}
		text := append(appendJSONText([]byte{'{'}, "n", s), '}')
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatalf("%q is written %s: %v", s, text, err)
		}
		if utf8.ValidString(s) != (got.N != nil) {
			t.Fatalf("%q is written %s", s, text)
		}
		if got.N != nil && *got.N != s || got.N == nil && string(got.N64) != s {
			t.Errorf("%q is written %s", s, text)
		}
	})
}
