package fileserver_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"

	"freshet/fileserver"
)

func (w *world) metrics(t *testing.T) string {
	t.Helper()
	rec := httptest.NewRecorder()
	w.server.Metrics().ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	if rec.Code != 200 {
		t.Fatalf("metrics: %d %s", rec.Code, rec.Body)
	}
	return rec.Body.String()
}

// TestMetrics counts what a few requests do.
func TestMetrics(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.remembers(t)
	w.ask(t, "PUT", "/a.txt", "one")
	w.ask(t, "GET", "/a.txt", "")
	w.ask(t, "GET", "/a.txt", "", "If-None-Match: "+tagOf("one"))
	w.ask(t, "BREW", "/a.txt", "")
	page := w.metrics(t)
	for _, line := range []string{
		`freshet_requests_total{method="PUT",status="201"} 1`,
		`freshet_requests_total{method="GET",status="200"} 1`,
		`freshet_requests_total{method="GET",status="304"} 1`,
		`freshet_requests_total{method="other",status="501"} 1`,
		`freshet_hash_on_request_total 0`,
		`freshet_commits_total 1`,
		`freshet_requests_under_way 0`,
	} {
		if !strings.Contains(page, line+"\n") {
			t.Errorf("there is no %q in\n%s", line, page)
		}
	}
}

// A lines collects what a log writes. Its Write counts the calls.
type lines struct {
	mu    sync.Mutex
	buf   bytes.Buffer
	calls int
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls++
	return l.buf.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func TestAccessLogText(t *testing.T) {
	t.Parallel()
	var out lines
	access := fileserver.NewAccessLog(&out, fileserver.LogText)
	w := newWorld(t, func(c *fileserver.Config) { c.Access = access })
	w.file(t, "a.txt", "one")
	w.ask(t, "GET", "/a.txt?x=%22", "", "User-Agent: ua \"x\"\\\t\u202e\x85")
	w.ask(t, "GET", "/none", "", "X-Request-Id: from-the-proxy.1", "Referer: http://127.0.0.1/")
	access.Flush()
	want := []*regexp.Regexp{
		regexp.MustCompile(`^127\.0\.0\.1 - - \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "GET /a\.txt\?x=%22 HTTP/1\.1" 200 3 ` +
			`"-" "ua \\u0022x\\u0022\\u005c\\u0009\\u00e2\\u0080\\u00ae\\u0085" \d+\.\d{3}$`),
		regexp.MustCompile(`^127\.0\.0\.1 .* "GET /none HTTP/1\.1" 404 \d+ "http://127\.0\.0\.1/" "-" \d+\.\d{3} from-the-proxy\.1$`),
	}
	got := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(got) != len(want) {
		t.Fatalf("%d lines: %q", len(got), got)
	}
	for i := range want {
		if !want[i].MatchString(got[i]) {
			t.Errorf("line %d is %s", i, got[i])
		}
	}
}

func TestAccessLogJSON(t *testing.T) {
	t.Parallel()
	var out lines
	access := fileserver.NewAccessLog(&out, fileserver.LogJSON)
	w := newWorld(t, func(c *fileserver.Config) { c.Access = access })
	w.ask(t, "GET", "/%0A\"none", "", "User-Agent: x\"\x80")
	access.Flush()
	var line map[string]any
	if err := json.Unmarshal([]byte(out.String()), &line); err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	for key, want := range map[string]any{"method": "GET", "uri": "/%0A\"none", "status": 404.0, "remote": "127.0.0.1"} {
		if line[key] != want {
			t.Errorf("%s is %v, want %v", key, line[key], want)
		}
	}
}

// TestAccessLogGathersLines writes together what comes together, and all of it before Serve returns.
func TestAccessLogGathersLines(t *testing.T) {
	t.Parallel()
	var out lines
	t.Run("server", func(t *testing.T) {
		w := newWorld(t, func(c *fileserver.Config) { c.Access = fileserver.NewAccessLog(&out, fileserver.LogText) })
		for range 50 {
			w.ask(t, "GET", "/none", "")
		}
	})
	if n := strings.Count(out.String(), "\n"); n != 50 {
		t.Errorf("%d lines", n)
	}
	if out.calls > 25 {
		t.Errorf("%d writes for 50 lines", out.calls)
	}
}

// TestInternalErrorsStayInside tells the log everything and the client an id to ask by.
func TestInternalErrorsStayInside(t *testing.T) {
	t.Parallel()
	var out lines
	w := newWorld(t, func(c *fileserver.Config) { c.Log = slog.New(slog.NewTextHandler(&out, nil)) })
	rec := httptest.NewRecorder()
	r := httptest.NewRequest("PUT", "http://127.0.0.1/a.txt", io.NopCloser(brokenBody{}))
	w.server.Handler().ServeHTTP(rec, r)
	if rec.Code != 500 || strings.Contains(rec.Body.String(), "secret") {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	id := rec.Header().Get("X-Request-Id")
	if id == "" || !strings.Contains(rec.Body.String(), id) || !strings.Contains(out.String(), "id="+id) {
		t.Errorf("the id %q is not in the answer %s and the log %s", id, rec.Body, out.String())
	}
	if !strings.Contains(out.String(), "secret") {
		t.Errorf("the log does not say why: %s", out.String())
	}
}

type brokenBody struct{}

func (brokenBody) Read([]byte) (int, error) { return 0, errors.New("secret cause") }

// TestPanicsAreAnswered recovers, logs and answers; the server goes on.
func TestPanicsAreAnswered(t *testing.T) {
	t.Parallel()
	var out lines
	w := newWorld(t, func(c *fileserver.Config) { c.Log = slog.New(slog.NewTextHandler(&out, nil)) })
	rec := httptest.NewRecorder()
	w.server.Handler().ServeHTTP(rec, httptest.NewRequest("PUT", "http://127.0.0.1/a.txt", io.NopCloser(panickingBody{})))
	if rec.Code != 500 || !strings.Contains(out.String(), "panickingBody") {
		t.Errorf("%d %s\n%s", rec.Code, rec.Body, out.String())
	}
	if a := w.ask(t, "GET", "/", ""); a.status != 200 {
		t.Errorf("status %d", a.status)
	}
	if s := w.tree.Stats(); s.StagedUploads != 0 {
		t.Errorf("%d uploads are left", s.StagedUploads)
	}
}

type panickingBody struct{}

func (panickingBody) Read([]byte) (int, error) { panic("in the middle") }

// TestAbortIsNotRecovered lets the panic that cuts a connection through to net/http.
func TestAbortIsNotRecovered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	defer func() {
		if recover() != http.ErrAbortHandler {
			t.Error("the connection would not be cut")
		}
	}()
	w.server.Handler().ServeHTTP(httptest.NewRecorder(),
		httptest.NewRequest("PUT", "http://127.0.0.1/a.txt", io.NopCloser(abortingBody{})))
}

type abortingBody struct{}

func (abortingBody) Read([]byte) (int, error) { panic(http.ErrAbortHandler) }
