package fileserver

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"freshet/fileserver/tree"
)

// An answer that is late says no later Last-Modified than one at once would: a change made while it waited would else be as
// old as what it describes, and the client's next question answered with 304.
func TestLastModifiedOfALateAnswer(t *testing.T) {
	t.Parallel()
	root, quiet := t.TempDir(), slog.New(slog.DiscardHandler)
	tr, err := tree.New(root, tree.Options{Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	if err := os.WriteFile(filepath.Join(root, "f"), []byte("content"), 0o644); err != nil {
		t.Fatal(err)
	}
	p, _, err := tree.Parse("/f")
	if err != nil {
		t.Fatal(err)
	}
	s, r, answer := New(Config{Tree: tr, Log: quiet}), httptest.NewRequest("GET", "/f", nil), httptest.NewRecorder()
	w := &reply{ResponseWriter: answer, server: s, request: r, start: time.Now(), asking: session{policy: s.auth.Policy()}}
	time.Sleep(1100 * time.Millisecond)
	if err := s.getFile(w, r, p); err != nil {
		t.Fatal(err)
	}
	modified, err := http.ParseTime(answer.Header().Get("Last-Modified"))
	if err != nil || modified.After(w.start) {
		t.Errorf("Last-Modified %s of a request at %s: %v", modified.UTC(), w.start.UTC(), err)
	}
}
