package fileserver

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"freshet/fileserver/tree"
)

// benchServer serves a folder of n empty files, which the tree has looked at.
func benchServer(b *testing.B, n int) *Server {
	b.Helper()
	root, quiet := b.TempDir(), slog.New(slog.DiscardHandler)
	for i := range n {
		if err := os.WriteFile(filepath.Join(root, fmt.Sprintf("IMG_%d holiday.jpg", i)), nil, 0o644); err != nil {
			b.Fatal(err)
		}
	}
	served, err := tree.New(root, tree.Options{Log: quiet})
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- served.Run(ctx) }()
	b.Cleanup(func() { stop(); <-ended; _ = served.Close() })
	s := New(Config{Tree: served, Log: quiet})
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if w := benchGet(s, ""); w.header["ETag"] != nil {
			return s
		}
	}
	b.Fatal("the folder has no tag")
	return nil
}

// discarded is an answer of which only the head is kept.
type discarded struct {
	header http.Header
	status int
}

func (d *discarded) Header() http.Header         { return d.header }
func (d *discarded) WriteHeader(status int)      { d.status = status }
func (d *discarded) Write(b []byte) (int, error) { return len(b), nil }

// benchGet asks for the root as JSON.
func benchGet(s *Server, ifNoneMatch string) *discarded {
	r := httptest.NewRequest("GET", "http://127.0.0.1/", nil)
	r.Header.Set("Accept", "application/json")
	if ifNoneMatch != "" {
		r.Header.Set("If-None-Match", ifNoneMatch)
	}
	w := &discarded{header: http.Header{}}
	s.Handler().ServeHTTP(w, r)
	return w
}

// BenchmarkListing is the whole way of a listing from memory, with the wait for what is happening on disk.
func BenchmarkListing(b *testing.B) {
	for _, n := range []int{1000, 10_000, 100_000} {
		s := benchServer(b, n)
		b.Run(fmt.Sprintf("json/entries=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if w := benchGet(s, ""); w.status != 200 || w.header["ETag"] == nil {
					b.Fatal(w.status, w.header)
				}
			}
		})
		tag := benchGet(s, "").header["ETag"][0]
		b.Run(fmt.Sprintf("304/entries=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if w := benchGet(s, tag); w.status != 304 {
					b.Fatal(w.status)
				}
			}
		})
	}
}
