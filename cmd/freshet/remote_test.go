package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestRefusals says which exit code each answer of a server leads to, and what is told of it.
func TestRefusals(t *testing.T) {
	const problem, answer = "application/problem+json", "application/json"
	long := strings.Repeat("x", remoteTextBytesMax)
	for name, c := range map[string]struct {
		status         int
		contentType    string
		body           string
		code           int
		why            string
		current, retry string
	}{
		"not_found": {404, problem, `{"title":"T","detail":"D"}`, exitNotFound, "T: D", "", ""},
		"gone":      {410, problem, `{"title":"Gone"}`, exitNotFound, "Gone: ", "", ""},
		"unauthorized": {401, "", "", exitRefused, "401 Unauthorized", "",
			"put the name into the URL, http://NAME@HOST/, and the password into FRESHET_PASSWORD"},
		"guessed_too_often": {429, problem, `{"title":"T"}`, exitRefused, "T: ", "", ""},
		"forbidden":         {403, problem, `{"title":"No"}`, exitRefused, "No: ", "", ""},
		"precondition":      {412, problem, `{"title":"T","current":"\"x\"","next":"N"}`, exitConflict, "T: ", `"x"`, "N"},
		"of_nothing":        {412, problem, `{"title":"T","current":null}`, exitConflict, "T: ", "", ""},
		"required":          {428, problem, `{"title":"T"}`, exitConflict, "T: ", "", ""},
		"taken":             {409, problem, `{"type":"urn:freshet:problem:exists","title":"T"}`, exitConflict, "T: ", "", ""},
		"other_409":         {409, problem, `{"type":"urn:freshet:problem:no-parent","title":"T"}`, exitFailed, "T: ", "", ""},
		"only_reads":        {405, problem, `{"type":"urn:freshet:problem:read-only","title":"T"}`, exitRefused, "T: ", "", ""},
		"busy":              {503, problem, `{"title":"T"}`, exitFailed, "T: ", "", ""},
		"another":           {404, "text/html", "<h1>Not Found</h1>", exitNotFound, "404 Not Found", "", notFreshet},
		"no_json":           {400, problem, "{", exitFailed, "400 Bad Request", "", notFreshet},
		"escapes":           {400, problem, `{"title":"\u001b[31mred\n","detail":"\u0007"}`, exitFailed, "?[31mred?: ?", "", ""},
		"long":              {400, problem, `{"title":"` + long + long + `"}`, exitFailed, long + "…", "", ""},
		"elsewhere":         {302, "", "", exitFailed, "the server sends on to http://b/", "", "use that URL, if it is meant"},
		"other_content":     {200, "text/html", "<p>", exitFailed, "the answer is not what was asked for", "", notFreshet},
		"cut_off":           {200, answer, `{`, exitUnreachable, "the answer cannot be read: unexpected EOF", "", "try again"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", c.contentType)
				w.Header().Set("Location", "http://b/")
				w.WriteHeader(c.status)
				_, _ = w.Write([]byte(c.body))
			}))
			defer server.Close()
			r, err := newRemote(server.URL + "/a")
			if err != nil {
				t.Fatal(err)
			}
			var empty struct{}
			err = r.askJSON(context.Background(), "cannot ask", http.MethodGet, r.self(), &empty)
			var f *fault
			if !errors.As(err, &f) || f.code != c.code || f.what != "cannot ask" || f.why != c.why || f.try != c.retry {
				t.Errorf("%+v, %v", f, err)
			}
			var refused *refusal
			if told := errors.As(err, &refused); told != (c.status >= 400) || told && refused.current != c.current {
				t.Errorf("%+v", refused)
			}
		})
	}
}

// TestUnreachable is told apart from what a server says.
func TestUnreachable(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	for name, url := range map[string]string{
		"tls_of_plain_server": strings.Replace(server.URL, "http://", "https://", 1),
		"no_server":           "http://127.0.0.1:1/",
	} {
		r, err := newRemote(strings.Replace(url, "://", "://ana:secret@", 1))
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.ask(context.Background(), "cannot ask", http.MethodGet, r.self(), nil)
		var f *fault
		if !errors.As(err, &f) || f.code != exitUnreachable || f.try == "" || strings.Contains(f.lines(), "secret") {
			t.Errorf("%s: %+v, %v", name, f, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	r, err := newRemote(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.ask(ctx, "cannot ask", http.MethodGet, r.self(), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	server.Close()
}

// FuzzRemote reads URLs. One that is accepted names a path of the tree, and names it again when it is written out.
func FuzzRemote(f *testing.F) {
	for _, seed := range []string{
		"http://host", "http://host/", "https://host:1/a/b%20c/", "HTTP://host/%C3%A9",
		"http://u:p@host/a", "http://host/a?b", "http://host/a#b", "http://host//a", "http://host/%2e%2e",
		"http://host/a%2Fb", "http:host/a", "http:///a", "ftp://host/", "http://[::1]/a", "http://host/%zz", "",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, arg string) {
		r, err := newRemote(arg)
		if err != nil {
			var f *fault
			if !errors.As(err, &f) || f.code != exitUsage {
				t.Errorf("%q: %v", arg, err)
			}
			return
		}
		again, err := newRemote(r.self())
		if err != nil || again.path != r.path || again.folder != r.folder || again.server.Host != r.server.Host {
			t.Errorf("%q is %q, which is %+v, %v", arg, r.self(), again, err)
		}
	})
}
