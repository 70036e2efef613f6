package fileserver

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"freshet/fileserver/tree"
)

// Listings that nobody reads keep their entries in memory, so there is a bound for all of them together.
func TestListedEntriesMax(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "a"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	served, err := tree.New(root, tree.Options{Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = served.Run(ctx) })
	defer func() { stop(); running.Wait(); _ = served.Close() }()
	s := New(Config{Tree: served, Log: quiet})
	list := func() int {
		r := httptest.NewRequest("GET", "http://127.0.0.1/", nil)
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, r)
		return w.Code
	}
	if err := s.listed.Acquire(ctx, listedEntriesMax); err != nil {
		t.Fatal(err)
	}
	if status := list(); status != 503 {
		t.Errorf("while others are sent: %d", status)
	}
	s.listed.Release(listedEntriesMax)
	for range 3 {
		if status := list(); status != 200 {
			t.Errorf("afterwards: %d", status)
		}
	}
}

// While the tree has not been looked at, a listing comes from the disk and for nobody to keep, and questions about whole
// folders are told to come again.
func TestWarmingTree(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "a"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	served, err := tree.New(root, tree.Options{Log: quiet}) // and never run
	if err != nil {
		t.Fatal(err)
	}
	defer served.Close()
	s := New(Config{Tree: served, Log: quiet})
	ask := func(method, path, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, "http://127.0.0.1"+path, strings.NewReader(body))
		r.Header = http.Header{"Accept": {"application/json"}, "Prefer": {"wait=0"}, "Content-Type": {"application/json"}}
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, r)
		return w
	}
	for _, question := range []struct{ method, path, body string }{
		{"GET", "/.freshet/v1/tree/", ""},
		{"GET", "/.freshet/v1/tree/?depth=infinity", ""},
		{"HEAD", "/.freshet/v1/tree/", ""},
		{"POST", "/.freshet/v1/tree", `{"have":{"":null}}`},
		{"GET", "/.freshet/v1/changes?wait=30", ""},
	} {
		w := ask(question.method, question.path, question.body)
		told := strings.Contains(w.Body.String(), `:index-warming"`) && strings.Contains(w.Body.String(), `"files_done":`)
		if w.Code != 503 || w.Header()["Retry-After"] == nil || !told && question.method != "HEAD" {
			t.Errorf("%s %s: %d %v %s", question.method, question.path, w.Code, w.Header(), w.Body)
		}
	}
	for i := range 2 {
		began := time.Now()
		w := ask("GET", "/", "")
		if w.Code != 200 || w.Header()["ETag"] != nil || w.Header().Get("Cache-Control") != "no-store" ||
			!strings.Contains(w.Body.String(), `"subtree":null,"entries":[{"n":"a"`) {
			t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
		}
		if took := time.Since(began); i > 0 && took > listingWaitMax/2 {
			t.Errorf("the second listing took %v", took)
		}
	}
}
