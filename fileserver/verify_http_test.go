package fileserver_test

import (
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"freshet/fileserver/tree"
)

func TestVerifyAnswers(t *testing.T) {
	t.Parallel()
	w := &world{root: t.TempDir()}
	for _, name := range []string{"a", "d/b", "d/e/c", "odd ü\"name"} {
		w.file(t, name, "12345")
	}
	if err := os.Symlink("a", filepath.Join(w.root, "link")); err != nil {
		t.Fatal(err)
	}
	w = newWorldOf(t, w.root, tree.Options{})
	w.ask(t, "GET", "/.freshet/v1/tree/", "", "Prefer: wait=30")
	for name, c := range map[string]struct {
		path   string
		status int
		want   string // the last line, or a part of the problem
	}{
		"everything":    {"", 200, `{"end":true,"files":4,"bytes":20,"mismatches":0,"changed":0,"unreadable":0}`},
		"root":          {"?path=/", 200, `{"end":true,"files":4,"bytes":20,"mismatches":0,"changed":0,"unreadable":0}`},
		"folder":        {"?path=/d/", 200, `{"end":true,"files":2,"bytes":10,"mismatches":0,"changed":0,"unreadable":0}`},
		"file":          {"?path=/d/e/c", 200, `{"end":true,"files":1,"bytes":5,"mismatches":0,"changed":0,"unreadable":0}`},
		"escaped_name":  {"?path=/odd%20%C3%BC%22name", 200, `{"end":true,"files":1,"bytes":5,"mismatches":0,"changed":0,"unreadable":0}`},
		"absent":        {"?path=/none", 404, "not-found"},
		"link":          {"?path=/link", 404, "not-found"},
		"relative_path": {"?path=d", 400, "query"},
		"dots":          {"?path=/d/../a", 400, "query"},
		"two_paths":     {"?path=/a&path=/d", 400, "query"},
		"not_below":     {"/d", 404, "not-found"},
	} {
		t.Run(name, func(t *testing.T) {
			a := w.ask(t, "POST", "/.freshet/v1/verify"+c.path, "")
			lines := strings.Split(strings.TrimSpace(a.body), "\n")
			if a.status != c.status || c.status == 200 && lines[len(lines)-1] != c.want || !strings.Contains(a.body, c.want) {
				t.Errorf("got %d %s", a.status, a.body)
			}
		})
	}
	for _, method := range []string{"GET", "HEAD", "PUT", "DELETE"} {
		if a := w.ask(t, method, "/.freshet/v1/verify", ""); a.status != 405 || a.header.Get("Allow") != "OPTIONS, POST" {
			t.Errorf("%s: %d %v", method, a.status, a.header)
		}
	}
	if a := w.ask(t, "OPTIONS", "/.freshet/v1/verify", ""); a.status != 204 || a.header.Get("Allow") != "OPTIONS, POST" {
		t.Errorf("OPTIONS: %d %v", a.status, a.header)
	}
}

// Reading everything is work that not everybody may cause.
func TestVerifyIsForThoseOnTheMachine(t *testing.T) {
	t.Parallel()
	reading, writing := newWorldOf(t, t.TempDir(), tree.Options{}), newWorld(t)
	for name, c := range map[string]struct {
		w      *world
		remote string
		fields string
		status int
	}{
		"this_machine":              {reading, "127.0.0.1:4711", "", 200},
		"this_machine_by_ipv6":      {reading, "[::1]:4711", "", 200},
		"another":                   {reading, "192.0.2.1:4711", "", 405},
		"another_by_ipv6":           {reading, "[2001:db8::1]:4711", "", 405},
		"behind_a_proxy_here":       {reading, "127.0.0.1:4711", "X-Forwarded-For: 192.0.2.1", 405},
		"behind_a_standard_proxy":   {reading, "127.0.0.1:4711", "Forwarded: for=192.0.2.1", 405},
		"behind_a_proxy_with_via":   {reading, "127.0.0.1:4711", "Via: 1.1 proxy", 405},
		"nonsense":                  {reading, "somewhere", "", 405},
		"another_that_may_write":    {writing, "192.0.2.1:4711", "", 200},
		"a_page_from_elsewhere":     {writing, "127.0.0.1:4711", "Origin: http://evil.example", 403},
		"a_page_from_elsewhere_too": {writing, "127.0.0.1:4711", "Sec-Fetch-Site: cross-site", 403},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest("POST", "http://localhost/.freshet/v1/verify", nil)
			r.RemoteAddr = c.remote
			if name, value, ok := strings.Cut(c.fields, ": "); ok {
				r.Header.Set(name, value)
			}
			a := httptest.NewRecorder()
			c.w.server.Handler().ServeHTTP(a, r)
			if a.Code != c.status {
				t.Errorf("got %d %s", a.Code, a.Body)
			}
		})
	}
}

func TestVerifyIsDoneOnceAtATime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.file(t, "a", "x")
	w.ask(t, "GET", "/.freshet/v1/tree/", "", "Prefer: wait=30")
	began, goOn, done := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		_, err := w.tree.Verify(t.Context(), tree.Path{}, nil, func(tree.Verified) { close(began); <-goOn })
		done <- err
	}()
	<-began
	a := w.ask(t, "POST", "/.freshet/v1/verify", "")
	var p struct{ Type, Detail string }
	if err := json.Unmarshal([]byte(a.body), &p); err != nil || a.status != 503 || a.header.Get("Retry-After") == "" ||
		p.Type != "urn:freshet:problem:busy" || !strings.Contains(p.Detail, "verified already") {
		t.Errorf("got %d %s, %v", a.status, a.body, err)
	}
	close(goOn)
	if err := <-done; err != nil {
		t.Error(err)
	}
}
