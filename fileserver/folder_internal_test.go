package fileserver

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

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
	defer served.Close()
	s := New(Config{Tree: served, Log: quiet})
	list := func() int {
		r := httptest.NewRequest("GET", "http://127.0.0.1/", nil)
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, r)
		return w.Code
	}
	if err := s.listed.Acquire(context.Background(), listedEntriesMax); err != nil {
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
