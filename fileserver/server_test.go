package fileserver_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
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
	t      *testing.T
	root   string
	tree   *tree.Tree
	server *fileserver.Server
	addr   string
	url    string
}

// newWorld serves a fresh folder for writing on a loopback port, on the terms that change has made of the usual ones.
func newWorld(t *testing.T, change ...func(*fileserver.Config)) *world {
	t.Helper()
	return newWorldIn(t, t.TempDir(), tree.Options{Write: true}, change...)
}

func newWorldIn(t *testing.T, root string, o tree.Options, change ...func(*fileserver.Config)) *world {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	o.Log = quiet
	tr, err := tree.New(root, o)
	if err != nil {
		t.Fatal(err)
	}
	c := fileserver.Config{Tree: tr, Name: "shared", Version: "1", Write: o.Write, Log: quiet}
	for _, f := range change {
		f(&c)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, root: root, tree: tr, server: fileserver.New(c), addr: l.Addr().String(), url: "http://" + l.Addr().String()}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() { ended <- w.server.Serve(ctx, l) }()
	go func() { ended <- tr.Run(ctx) }()
	t.Cleanup(func() {
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
		stop()
		for range 2 {
			if err := <-ended; err != nil {
				t.Errorf("stopping: %v", err)
			}
		}
		if err := tr.Close(); err != nil {
			t.Errorf("closing the tree: %v", err)
		}
	})
	return w
}

// file puts a file on disk, as a local program would, long enough ago for nobody to doubt its time.
func (w *world) file(name, content string) {
	w.t.Helper()
	full := filepath.Join(w.root, name)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(content), 0o644); err != nil {
		w.t.Fatal(err)
	}
	if err := os.Chtimes(full, fileTime, fileTime); err != nil {
		w.t.Fatal(err)
	}
}

// fileTime is when the files of a world were last changed: the example of RFC 9110.
var fileTime = time.Date(1994, time.November, 6, 8, 49, 37, 0, time.UTC)

// onDisk returns the content of a file, "(none)" if there is none.
func (w *world) onDisk(name string) string {
	w.t.Helper()
	b, err := os.ReadFile(filepath.Join(w.root, name))
	if os.IsNotExist(err) {
		return "(none)"
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return string(b)
}

// An answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// ask sends a request. Fields are "Name: value"; a name may come several times.
func (w *world) ask(method, path, body string, fields ...string) answer {
	w.t.Helper()
	r, err := http.NewRequest(method, w.url, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	// The path goes out as it is written here.
	r.URL.Opaque = path
	for _, f := range fields {
		name, value, ok := strings.Cut(f, ":")
		if !ok {
			w.t.Fatalf("field %q has no colon", f)
		}
		value = strings.TrimPrefix(value, " ")
		if name == "Host" {
			r.Host = value
			continue
		}
		r.Header[name] = append(r.Header[name], value)
	}
	return w.do(r)
}

func (w *world) do(r *http.Request) answer {
	w.t.Helper()
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		w.t.Fatalf("%s %s: %v", r.Method, r.URL, err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatalf("%s %s: reading the body: %v", r.Method, r.URL, err)
	}
	return answer{res.StatusCode, res.Header, string(b)}
}

func tagOf(content string) string { return hashing.Sum([]byte(content)).ETag() }

func TestStory(t *testing.T) {
	w := newWorld(t)
	a := w.ask("PUT", "/a.txt", "one")
	if a.status != 201 || a.header.Get("ETag") != tagOf("one") {
		t.Fatalf("PUT: %d %v %s", a.status, a.header, a.body)
	}
	a = w.ask("GET", "/a.txt", "")
	if a.status != 200 || a.body != "one" {
		t.Fatalf("GET: %d %v %s", a.status, a.header, a.body)
	}
	t.Log(a.header)
	a = w.ask("PUT", "/a.txt", "two", `If-Match: "0"`)
	t.Log(a)
	a = w.ask("GET", "/", "", "Accept: application/json")
	t.Log(a)
	a = w.ask("GET", "/", "", "Accept: text/html")
	t.Log(a)
	a = w.ask("MKCOL", "/d", "")
	t.Log(a)
	a = w.ask("GET", "//d", "")
	t.Log(a)
	a = w.ask("GET", "//d/..", "")
	t.Log(a)
	a = w.ask("MOVE", "/a.txt", "", "Destination: /d/b.txt")
	t.Log(a)
	a = w.ask("DELETE", "/d", "")
	t.Log(a)
	a = w.ask("BREW", "/d", "")
	t.Log(a)
	a = w.ask("PATCH", "/d", "")
	t.Log(a)
	a = w.ask("OPTIONS", "*", "")
	t.Log(a)
}
