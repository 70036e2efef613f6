package fileserver_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
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

// TestBodyThatChangesIsCut changes a file in place under a download that has begun. What arrives is cut short; it is
// never a whole body under a tag that is not its own.
func TestBodyThatChangesIsCut(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, fields string }{
		{"whole", ""},
		{"range", "Range: bytes=0-\r\n"},
		{"ranges", "Range: bytes=0-1,1000-16700000\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.file(t, "big", strings.Repeat("x", 16<<20))
			w.ask(t, "HEAD", "/big", "") // so that the digest is known
			conn := w.dial(t)
			defer conn.Close()
			fmt.Fprintf(conn, "GET /big HTTP/1.1\r\nHost: %s\r\n%sConnection: close\r\n\r\n", w.addr, c.fields)
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			overwrite(t, filepath.Join(w.root, "big"), 15<<20)
			n, err := io.Copy(io.Discard, res.Body)
			if err == nil || n >= res.ContentLength {
				t.Errorf("all %d bytes of %d came: %v", n, res.ContentLength, err)
			}
			if got := w.metric(t, "freshet_torn_total"); got != "1" {
				t.Errorf("torn bodies: %s", got)
			}
			if tag := w.ask(t, "HEAD", "/big", "").header.Get("ETag"); tag == res.Header.Get("ETag") || tag == "" {
				t.Errorf("the tag is %q after the change", tag)
			}
		})
	}
}

// overwrite changes one byte in place.
func overwrite(t *testing.T, name string, at int64) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("y"), at); err != nil {
		t.Fatal(err)
	}
}

// TestFileThatIsBeingWrittenIsReadable has a large file open for writing, as a log or a recording is. It is sent as
// it is, without a tag or anything that rests on one.
func TestFileThatIsBeingWrittenIsReadable(t *testing.T) {
	t.Parallel()
	w := newWorldOf(t, t.TempDir(), tree.Options{})
	content := strings.Repeat("x", 12<<20)
	w.file(t, "log", content)
	open, err := os.OpenFile(filepath.Join(w.root, "log"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	for name, field := range map[string]string{"plain": "X: y", "range": "Range: bytes=0-1", "condition": `If-None-Match: "x"`,
		"date": "If-Modified-Since: " + time.Now().UTC().Format(http.TimeFormat)} {
		t.Run(name, func(t *testing.T) {
			a := w.ask(t, "GET", "/log", "", field)
			if a.header.Get("ETag") != "" {
				t.Skip("no lease, or clones, can be had here: the file has a tag all the same")
			}
			if a.status != 200 || a.body != content || a.cut {
				t.Errorf("status %d, %d bytes", a.status, len(a.body))
			}
			for name, want := range map[string]string{"Cache-Control": "no-store", "Accept-Ranges": "none", "Last-Modified": ""} {
				if got := a.header.Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
		})
	}
}

// TestChangeWhileTheBodyArrives makes the target another version after the conditions have been asked on arrival.
func TestChangeWhileTheBodyArrives(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, field, before string
		change              func(*testing.T, *world)
		after               string
	}{
		{"edited", "If-Match: " + tagOf("one"), "one", func(t *testing.T, w *world) { w.file(t, "a.txt", "two") }, "two"},
		{"created", "If-None-Match: *", "", func(t *testing.T, w *world) { w.file(t, "a.txt", "two") }, "two"},
		{"removed", "If-Match: *", "one", func(t *testing.T, w *world) { os.Remove(filepath.Join(w.root, "a.txt")) }, nothing},
		{"put", "If-Match: " + tagOf("one"), "one", func(t *testing.T, w *world) { w.ask(t, "PUT", "/a.txt", "two") }, "two"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if c.before != "" {
				w.file(t, "a.txt", c.before)
			}
			conn := w.dial(t)
			defer conn.Close()
			r := bufio.NewReader(conn)
			fmt.Fprintf(conn, "PUT /a.txt HTTP/1.1\r\nHost: %s\r\nContent-Length: 5\r\nExpect: 100-continue\r\n%s\r\n\r\n", w.addr, c.field)
			if line, err := r.ReadString('\n'); err != nil || !strings.Contains(line, " 100 ") {
				t.Fatalf("%q %v", line, err)
			}
			c.change(t, w)
			io.WriteString(conn, "three")
			a := readAnswer(t, bufio.NewReader(io.MultiReader(strings.NewReader("HTTP/1.1 100 Continue\r\n"), r)), "PUT")
			if a.status != 412 {
				t.Errorf("status %d: %s", a.status, a.body)
			}
			checkProblem(t, a)
			if got := w.onDisk(t, "a.txt"); got != c.after {
				t.Errorf("a.txt is %q", got)
			}
		})
	}
}

// TestChangeWhileTheFormArrives creates the target after the form's conditions have been asked.
func TestChangeWhileTheFormArrives(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	conn := w.dial(t)
	defer conn.Close()
	head, tail := form("file/n.txt", ""), form()
	body := strings.TrimSuffix(head, "\r\n"+tail) + strings.Repeat("x", 20_000)
	fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n%s\r\n\r\n%s", w.addr, len(body)+2+len(tail), formType, body)
	for deadline := time.Now().Add(5 * time.Second); w.tree.Stats().StagedUploads == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the file does not arrive")
		}
	}
	w.file(t, "n.txt", "one")
	fmt.Fprintf(conn, "\r\n%s", tail)
	a := readAnswer(t, bufio.NewReader(conn), "POST")
	if a.status != 409 || a.header.Get("ETag") != tagOf("one") {
		t.Errorf("status %d %v: %s", a.status, a.header, a.body)
	}
	if got := w.onDisk(t, "n.txt"); got != "one" {
		t.Errorf("n.txt is %.20q", got)
	}
}

// TestRefusalReachesABusyUploader refuses a client that sends without waiting, and reads only when it cannot send any
// more.
func TestRefusalReachesABusyUploader(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	conn := w.dial(t)
	defer conn.Close()
	sent := make(chan int64, 1)
	go func() {
		n, _ := fmt.Fprintf(conn, "PUT /a.txt HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\nIf-Match: \"x\"\r\n\r\n", w.addr, 64<<20)
		m, _ := io.Copy(conn, bytes.NewReader(make([]byte, 64<<20)))
		sent <- int64(n) + m
	}()
	a := readAnswer(t, bufio.NewReader(conn), "PUT")
	if a.status != 412 || a.cut {
		t.Errorf("status %d: %s", a.status, a.body)
	}
	if n := <-sent; n > 32<<20 {
		t.Errorf("%d bytes were taken of a body that was refused", n)
	}
}

// TestUploadCutOff ends the connection at several places of the body. Nothing of it is left, and nothing changed.
func TestUploadCutOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.file(t, "a.txt", "one")
	for _, n := range []int{0, 1, 4095, 300_000} {
		conn := w.dial(t)
		fmt.Fprintf(conn, "PUT /a.txt HTTP/1.1\r\nHost: %s\r\nContent-Length: 300001\r\n\r\n%s", w.addr, strings.Repeat("x", n))
		conn.Close()
	}
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		s := w.tree.Stats()
		if under := w.metric(t, "freshet_requests_under_way"); s.StagedUploads == 0 && under == "0" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d uploads are left", s.StagedUploads)
		}
	}
	if got := w.onDisk(t, "a.txt"); got != "one" {
		t.Errorf("a.txt is %q", got)
	}
}

// TestLargeUpload sends what needs many buffers, and reads it back by one and by several ranges.
func TestLargeUpload(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	content := make([]byte, 3<<20+17)
	for i := range content {
		content[i] = byte(i * 7 >> 3)
	}
	a := w.ask(t, "PUT", "/a.bin", string(content))
	if want := hashing.Sum(content).ETag(); a.status != 201 || a.header.Get("ETag") != want {
		t.Fatalf("status %d %s, want %s", a.status, a.header.Get("ETag"), want)
	}
	if a := w.ask(t, "GET", "/a.bin", ""); a.body != string(content) || a.cut {
		t.Errorf("%d bytes came back", len(a.body))
	}
	a = w.ask(t, "GET", "/a.bin", "", "Range: bytes=131000-262200")
	if a.status != 206 || a.body != string(content[131000:262201]) {
		t.Errorf("status %d, %d bytes of a range", a.status, len(a.body))
	}
}

// TestManyRequestsOnOneConnection keeps a connection through answers with and without bodies, refusals among them.
func TestManyRequestsOnOneConnection(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.file(t, "a.txt", "one")
	conn := w.dial(t)
	defer conn.Close()
	r := bufio.NewReader(conn)
	for _, c := range []struct {
		request string
		status  int
	}{
		{"GET /a.txt", 200}, {"HEAD /a.txt", 200}, {"GET /none", 404}, {"PUT /a.txt\nContent-Length: 3\nIf-Match: \"x\"\n\nnew", 412},
		{"GET /a.txt\nIf-None-Match: *", 304}, {"PUT /a.txt\nContent-Length: 3\n\ntwo", 204}, {"GET /a.txt\nRange: bytes=9-", 416},
		{"MKCOL /d", 201}, {"DELETE /d", 204}, {"BREW /a.txt", 501}, {"GET /", 200}, {"OPTIONS *", 204}, {"GET /a.txt", 200},
	} {
		head, body, _ := strings.Cut(c.request, "\n\n")
		line, fields, _ := strings.Cut(head, "\n")
		if fields != "" {
			fields = strings.ReplaceAll(fields, "\n", "\r\n") + "\r\n"
		}
		fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: %s\r\n%s\r\n%s", line, w.addr, fields, body)
		method, _, _ := strings.Cut(line, " ")
		if a := readAnswer(t, r, method); a.status != c.status {
			t.Fatalf("%s: status %d, want %d: %s", c.request, a.status, c.status, a.body)
		}
	}
}

// TestPathlessRequests asks about the server, and for a tunnel.
func TestPathlessRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if a := w.ask(t, "OPTIONS", "*", ""); a.status != 204 || !strings.Contains(a.header.Get("Allow"), "MKCOL") {
		t.Errorf("OPTIONS *: %d %v", a.status, a.header)
	}
	for _, host := range []string{"127.0.0.1:80", "evil.example:80"} {
		a := w.ask(t, "CONNECT", host, "", "Host: "+w.addr)
		if a.status != 405 && a.status != 403 {
			t.Errorf("CONNECT %s: %d %v", host, a.status, a.header)
		}
		checkAlways(t, "CONNECT", a)
	}
	if a := w.ask(t, "GET", "http://"+w.addr+"/none", ""); a.status != 404 {
		t.Errorf("a request in absolute form: %d", a.status)
	}
}

// TestAssets follows the references of a page.
func TestAssets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	page := w.ask(t, "GET", "/", "", "Accept: text/html").body
	_, rest, ok := strings.Cut(page, `rel="stylesheet" href="`)
	path, _, _ := strings.Cut(rest, `"`)
	if !ok {
		t.Fatal("the page has no style sheet")
	}
	for _, method := range []string{"GET", "HEAD"} {
		a := w.ask(t, method, path, "")
		if a.status != 200 || a.header.Get("Content-Type") != "text/css; charset=utf-8" ||
			!strings.Contains(a.header.Get("Cache-Control"), "immutable") || (a.body == "") != (method == "HEAD") {
			t.Errorf("%s %s: %d %v", method, path, a.status, a.header)
		}
		checkAlways(t, method, a)
	}
	if a := w.ask(t, "PUT", path, "x"); a.status != 405 {
		t.Errorf("PUT %s: %d", path, a.status)
	}
	if a := w.ask(t, "GET", path+"x", ""); a.status != 404 {
		t.Errorf("%sx: %d", path, a.status)
	}
}

// A discarder is a ResponseWriter that costs nothing.
type discarder struct {
	h      http.Header
	status int
}

func (d *discarder) Header() http.Header         { return d.h }
func (d *discarder) Write(b []byte) (int, error) { return len(b), nil }
func (d *discarder) WriteHeader(status int)      { d.status = status }

// TestNotModifiedAllocatesLittle has a ceiling for what one 304 leaves to the collector; it is much of what a 304
// costs.
func TestNotModifiedAllocatesLittle(t *testing.T) {
	w := newWorld(t, func(c *fileserver.Config) { c.Access = fileserver.NewAccessLog(io.Discard, fileserver.LogText) })
	w.remembers(t)
	w.file(t, "docs/a.txt", "one")
	w.ask(t, "GET", "/docs/a.txt", "")
	r := httptest.NewRequest("GET", "http://127.0.0.1/docs/a.txt", nil)
	h := w.server.Handler()
	d := &discarder{h: http.Header{}}
	for status, tag := range map[int]string{http.StatusNotModified: tagOf("one"), http.StatusOK: `"x"`} {
		r.Header["If-None-Match"] = []string{tag}
		got := testing.AllocsPerRun(200, func() {
			clear(d.h)
			h.ServeHTTP(d, r)
		})
		if d.status != status {
			t.Errorf("status %d, want %d", d.status, status)
		}
		if got > allocationsMax {
			t.Errorf("a %d makes %v allocations, the ceiling is %d", status, got, allocationsMax)
		}
	}
}

const allocationsMax = 6
