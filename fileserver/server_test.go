package fileserver_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"freshet/fileserver"
	"freshet/fileserver/tree"
	"freshet/hashing"
)

// A world is a folder on disk, and a server of it.
type world struct {
	root   string
	tree   *tree.Tree
	server *fileserver.Server
	addr   string
}

// newWorld serves a fresh folder for writing on a loopback port, on the terms that change makes of the usual ones.
func newWorld(t *testing.T, change ...func(*fileserver.Config)) *world {
	t.Helper()
	return newWorldOf(t, t.TempDir(), tree.Options{Write: true}, change...)
}

func newWorldOf(t *testing.T, root string, o tree.Options, change ...func(*fileserver.Config)) *world {
	t.Helper()
	o.Log = slog.New(slog.DiscardHandler)
	tr, err := tree.New(root, o)
	if err != nil {
		t.Fatal(err)
	}
	c := fileserver.Config{Tree: tr, Name: "shared", Version: "1", Write: o.Write, Log: o.Log}
	for _, f := range change {
		f(&c)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{root: root, tree: tr, server: fileserver.New(c), addr: l.Addr().String()}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() { ended <- w.server.Serve(ctx, l) }()
	go func() { ended <- tr.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		for range 2 {
			if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
				t.Errorf("stopping: %v", err)
			}
		}
		if err := tr.Close(); err != nil {
			t.Errorf("closing the tree: %v", err)
		}
	})
	return w
}

// remembers skips a test where the digest of a file that has just changed is not remembered: on an older kernel, in memory.
func (w *world) remembers(t *testing.T) {
	t.Helper()
	findings, err := tree.Probe(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range findings {
		if !f.OK && (f.Name == "filesystem" || f.Name == "fine stamps") {
			t.Skip("a digest of a new file is not remembered here: ", f.Detail)
		}
	}
}

// file puts a file on disk, as a local program would.
func (w *world) file(t *testing.T, name, content string) {
	t.Helper()
	full := filepath.Join(w.root, name)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

const (
	nothing  = "(nothing)"
	aFolder  = "(folder)"
	noAnswer = 0
)

// onDisk returns the content of a file, or what else is there.
func (w *world) onDisk(t *testing.T, name string) string {
	t.Helper()
	full := filepath.Join(w.root, name)
	info, err := os.Lstat(full)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nothing
	case err != nil:
		t.Fatal(err)
	case info.IsDir():
		return aFolder
	}
	b, err := os.ReadFile(full)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// An answer is what came back.
type answer struct {
	status  int
	header  http.Header
	body    string
	interim []int // the statuses of interim answers before it
	cut     bool  // the body ended before its announced length
}

// request makes the text of a request. Fields are "Name: value" and go out as they are; Content-Length is added if
// the body has one and nothing else says how long it is.
func (w *world) request(method, path, body string, fields ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", method, path)
	has := func(name string) bool {
		for _, f := range fields {
			if strings.HasPrefix(strings.ToLower(f), strings.ToLower(name)+":") {
				return true
			}
		}
		return false
	}
	if !has("Host") {
		fmt.Fprintf(&b, "Host: %s\r\n", w.addr)
	}
	for _, f := range fields {
		b.WriteString(f + "\r\n")
	}
	if !has("Content-Length") && !has("Transfer-Encoding") && (body != "" || method == "PUT" || method == "POST") {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(body))
	}
	b.WriteString("Connection: close\r\n\r\n" + body)
	return b.String()
}

// ask sends a request, on a connection of its own.
func (w *world) ask(t *testing.T, method, path, body string, fields ...string) answer {
	t.Helper()
	return w.askRaw(t, method, w.request(method, path, body, fields...))
}

// askRaw sends text as it is and reads one final answer.
func (w *world) askRaw(t *testing.T, method, text string) answer {
	t.Helper()
	c := w.dial(t)
	defer c.Close()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	return readAnswer(t, bufio.NewReader(c), method)
}

func (w *world) dial(t *testing.T) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	// A receive buffer that does not grow: a client that does not read is noticed after a few megabytes.
	if err := c.(*net.TCPConn).SetReadBuffer(64 << 10); err != nil {
		t.Fatal(err)
	}
	if err := c.SetDeadline(time.Now().Add(15 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

// readAnswer reads a final answer and the interim ones before it. Status noAnswer: the connection ended first.
func readAnswer(t *testing.T, r *bufio.Reader, method string) (a answer) {
	t.Helper()
	for {
		res, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil {
			return answer{status: noAnswer, interim: a.interim, body: err.Error()}
		}
		if res.StatusCode < 200 {
			a.interim = append(a.interim, res.StatusCode)
			continue
		}
		body, err := io.ReadAll(res.Body)
		a.status, a.header, a.body, a.cut = res.StatusCode, res.Header, string(body), err != nil
		return a
	}
}

// tagOf returns the tag that a file of that content has.
func tagOf(content string) string { return hashing.Sum([]byte(content)).ETag() }

// serveFrom has the server answer a request that comes from remote, without a connection.
func (w *world) serveFrom(t *testing.T, remote, method, path string, fields ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, "http://"+w.addr+path, nil)
	r.RemoteAddr = remote
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		r.Header.Add(name, value)
	}
	a := httptest.NewRecorder()
	w.server.Handler().ServeHTTP(a, r)
	return a
}
