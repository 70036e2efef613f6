package fileserver_test

import (
	"bufio"
	"context"
	"fmt"
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
)

// limited serves with small limits.
func limited(change func(*fileserver.Limits)) func(*fileserver.Config) {
	return func(c *fileserver.Config) { change(&c.Limits) }
}

// endsWithin reports how long the server kept the connection, and what it said last.
func endsWithin(t *testing.T, c net.Conn, most time.Duration) string {
	t.Helper()
	began := time.Now()
	if err := c.SetReadDeadline(began.Add(most)); err != nil {
		t.Fatal(err)
	}
	said, err := io.ReadAll(c)
	if err, ok := err.(net.Error); ok && err.Timeout() {
		t.Fatalf("the connection was still open after %v; it said %q", most, said)
	}
	return string(said)
}

func TestSlowHeaderEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, limited(func(l *fileserver.Limits) { l.HeaderTimeMax = 200 * time.Millisecond }))
	c := w.dial(t)
	defer c.Close()
	stop := trickle(c, "GET /a.txt HTTP/1.1\r\n", "X: y\r\n", 50*time.Millisecond)
	defer stop()
	endsWithin(t, c, 3*time.Second)
}

func TestSilentConnectionEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, limited(func(l *fileserver.Limits) { l.IdleTimeMax = 200 * time.Millisecond }))
	w.file(t, "a.txt", "one")
	c := w.dial(t)
	defer c.Close()
	fmt.Fprintf(c, "GET /a.txt HTTP/1.1\r\nHost: %s\r\n\r\n", w.addr)
	if said := endsWithin(t, c, 3*time.Second); !strings.HasSuffix(said, "one") {
		t.Errorf("the answer was %q", said)
	}
}

// trickle sends a beginning and then one piece after the other until it is stopped or refused.
func trickle(c net.Conn, beginning, piece string, every time.Duration) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		_, err := io.WriteString(c, beginning)
		for err == nil {
			select {
			case <-done:
				return
			case <-time.After(every):
				_, err = io.WriteString(c, piece)
			}
		}
	}()
	return func() { close(done); <-ended }
}

func TestSlowBodyEnds(t *testing.T) {
	t.Parallel()
	small := limited(func(l *fileserver.Limits) { l.BodyIdleTimeMax, l.BodyProgressBytesMin = 300*time.Millisecond, 1000 })
	put := "PUT /a.txt HTTP/1.1\r\nHost: %s\r\nContent-Length: 100000\r\n\r\n"
	post := "POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: 100000\r\nContent-Type: multipart/form-data; boundary=x\r\n\r\n" +
		"--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"n\"\r\n\r\n"
	for name, request := range map[string]string{"put": put, "form": post} {
		t.Run(name+"_silent", func(t *testing.T) {
			t.Parallel()
			slowBody(t, newWorld(t, small), request, "", time.Hour)
		})
		t.Run(name+"_trickling", func(t *testing.T) {
			t.Parallel()
			slowBody(t, newWorld(t, small), request, "12345", 20*time.Millisecond)
		})
	}
}

func slowBody(t *testing.T, w *world, request, piece string, every time.Duration) {
	w.file(t, "a.txt", "one")
	c := w.dial(t)
	defer c.Close()
	stop := trickle(c, fmt.Sprintf(request, w.addr), piece, every)
	defer stop()
	a := readAnswer(t, bufio.NewReader(c), "PUT")
	if a.status != http.StatusRequestTimeout || !strings.Contains(a.body, "urn:freshet:problem:slow") {
		t.Errorf("status %d, want 408: %s", a.status, a.body)
	}
	if got := w.onDisk(t, "a.txt"); got != "one" {
		t.Errorf("a.txt is %q", got)
	}
	if s := w.tree.Stats(); s.StagedUploads != 0 || s.StagedBytes != 0 {
		t.Errorf("%d uploads of %d bytes are left", s.StagedUploads, s.StagedBytes)
	}
}

// TestSteadyBodyOutlastsTheIdleTime sends slowly, but fast enough all along, for longer than a silent body may take.
func TestSteadyBodyOutlastsTheIdleTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t, limited(func(l *fileserver.Limits) { l.BodyIdleTimeMax, l.BodyProgressBytesMin = 1500*time.Millisecond, 100 }))
	c := w.dial(t)
	defer c.Close()
	piece := strings.Repeat("x", 200)
	fmt.Fprintf(c, "PUT /a.txt HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nContent-Length: 4000\r\n\r\n", w.addr)
	for range 20 {
		time.Sleep(100 * time.Millisecond)
		if _, err := io.WriteString(c, piece); err != nil {
			t.Fatal(err)
		}
	}
	if a := readAnswer(t, bufio.NewReader(c), "PUT"); a.status != 201 {
		t.Errorf("status %d: %s", a.status, a.body)
	}
}

// TestSteadyReaderOutlastsTheIdleTime reads slowly, but all along, for longer than a silent reader may take.
func TestSteadyReaderOutlastsTheIdleTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t, limited(func(l *fileserver.Limits) { l.BodyIdleTimeMax = time.Second }))
	w.file(t, "big", strings.Repeat("x", 24<<20))
	c := w.dial(t)
	defer c.Close()
	fmt.Fprintf(c, "GET /big HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", w.addr)
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 23 {
		time.Sleep(100 * time.Millisecond)
		if _, err := io.CopyN(io.Discard, res.Body, 1<<20); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := io.Copy(io.Discard, res.Body); n != 1<<20 || err != nil {
		t.Errorf("%d more bytes: %v", n, err)
	}
}

// TestCommitOutlastsTheIdleTime has a commit wait for a local program for longer than a body may be silent. The body has
// come, so its time is over.
func TestCommitOutlastsTheIdleTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t, limited(func(l *fileserver.Limits) {
		l.BodyIdleTimeMax, l.HeaderTimeMax = 200*time.Millisecond, 200*time.Millisecond
	}))
	w.file(t, "a.txt", "one")
	open, err := os.OpenFile(filepath.Join(w.root, "a.txt"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(700*time.Millisecond, func() { open.Close() })
	if a := w.ask(t, "PUT", "/a.txt", "two"); a.status != 204 {
		t.Errorf("status %d: %s", a.status, a.body)
	}
}

// TestRefusedBodyIsNotAwaited announces a short body, which net/http reads before it sends an answer, and never sends
// it.
func TestRefusedBodyIsNotAwaited(t *testing.T) {
	t.Parallel()
	w := newWorld(t, limited(func(l *fileserver.Limits) { l.HeaderTimeMax = 300 * time.Millisecond }))
	c := w.dial(t)
	defer c.Close()
	began := time.Now()
	fmt.Fprintf(c, "PUT /a.txt HTTP/1.1\r\nHost: %s\r\nContent-Length: 100\r\nIf-Match: \"x\"\r\n\r\n", w.addr)
	a := readAnswer(t, bufio.NewReader(c), "PUT")
	if a.status != 412 || time.Since(began) > 3*time.Second {
		t.Errorf("status %d after %v", a.status, time.Since(began))
	}
}

// TestReaderThatDoesNotReadIsCut asks for far more than the sockets hold and takes nothing of it.
func TestReaderThatDoesNotReadIsCut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, limited(func(l *fileserver.Limits) { l.BodyIdleTimeMax = 300 * time.Millisecond }))
	w.file(t, "big", strings.Repeat("x", 16<<20))
	c := w.dial(t)
	defer c.Close()
	fmt.Fprintf(c, "GET /big HTTP/1.1\r\nHost: %s\r\n\r\n", w.addr)
	deadline := time.Now().Add(10 * time.Second)
	for w.metric(t, "freshet_requests_under_way") != "0" || w.metric(t, "freshet_response_bytes_total") == "0" {
		if time.Now().After(deadline) {
			t.Fatal("the request is still under way")
		}
		time.Sleep(20 * time.Millisecond)
	}
	if n, err := io.Copy(io.Discard, c); err == nil && n > 16<<20 {
		t.Errorf("%d bytes came after all", n)
	}
}

// TestBodiesWaitForBuffers has slow clients hold all buffers, as many as the smallest bound allows. One more is told to
// come back, unless its file is small.
func TestBodiesWaitForBuffers(t *testing.T) {
	t.Parallel()
	w := newWorldOf(t, t.TempDir(), tree.Options{BodyBytesMax: 1},
		limited(func(l *fileserver.Limits) { l.BufferTimeMax = 100 * time.Millisecond }))
	w.file(t, "big", strings.Repeat("x", 16<<20))
	w.file(t, "small", "one")
	w.ask(t, "HEAD", "/big", "") // from here on the answers wait for nothing but buffers
	slow := bufio.NewReader(w.holdBuffers(t, "/big")[0])
	if a := w.ask(t, "GET", "/big", ""); a.status != 503 || a.header.Get("Retry-After") == "" {
		t.Errorf("without a buffer: %d %v", a.status, a.header)
	}
	if a := w.ask(t, "GET", "/small", ""); a.status != 200 {
		t.Errorf("a small file: %d", a.status)
	}
	if a := readAnswer(t, slow, "GET"); a.status != 200 || len(a.body) != 16<<20 {
		t.Errorf("a slow client: %d, %d bytes", a.status, len(a.body))
	}
	if a := w.ask(t, "GET", "/big", ""); a.status != 200 {
		t.Errorf("with a buffer again: %d", a.status)
	}
}

// holdBuffers has clients begin to read a large file, as many as there are buffers in the smallest bound.
func (w *world) holdBuffers(t *testing.T, path string) (clients []net.Conn) {
	t.Helper()
	const buffers = 32
	for range buffers {
		c := w.dial(t)
		t.Cleanup(func() { c.Close() })
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path, w.addr)
		clients = append(clients, c)
	}
	for deadline := time.Now().Add(5 * time.Second); w.metric(t, "freshet_requests_under_way") != fmt.Sprint(buffers); {
		if time.Now().After(deadline) {
			t.Fatal("not all clients are being answered")
		}
		time.Sleep(5 * time.Millisecond)
	}
	time.Sleep(300 * time.Millisecond) // for the last of them to get its buffer
	return clients
}

// TestDateOfALateAnswer has an answer wait for a buffer while its file is replaced. The client then asks by the Date of what
// it got (RFC 9110 section 13.1.3), which must not be as new as the file that it did not get.
func TestDateOfALateAnswer(t *testing.T) {
	t.Parallel()
	w := newWorldOf(t, t.TempDir(), tree.Options{BodyBytesMax: 1},
		limited(func(l *fileserver.Limits) { l.BufferTimeMax = 10 * time.Second }))
	w.file(t, "big", strings.Repeat("x", 16<<20))
	w.ask(t, "HEAD", "/big", "")
	clients := w.holdBuffers(t, "/big")
	late := make(chan answer)
	go func() { late <- w.ask(t, "GET", "/big", "") }()
	time.Sleep(100 * time.Millisecond)
	w.file(t, "new", strings.Repeat("y", 16<<20))
	if err := os.Rename(filepath.Join(w.root, "new"), filepath.Join(w.root, "big")); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2200 * time.Millisecond)
	for _, c := range clients {
		c.Close()
	}
	got := <-late
	if got.status != 200 {
		t.Fatalf("status %d: %.200s", got.status, got.body)
	}
	now := w.ask(t, "GET", "/big", "", "If-Modified-Since: "+got.header.Get("Date"))
	if tag := now.header.Get("ETag"); now.status == 304 && tag != got.header.Get("ETag") {
		t.Errorf("the client has %s and is told that it has not changed; it is %s", got.header.Get("ETag"), tag)
	}
}

func TestFormFilesMax(t *testing.T) {
	t.Parallel()
	w := newWorldOf(t, fastFolder(t), tree.Options{Write: true})
	var parts []string
	for i := range 1002 {
		parts = append(parts, "mkdir", fmt.Sprint("d", i))
	}
	if a := w.ask(t, "POST", "/", form(parts...), formType); a.status != 400 || !strings.Contains(a.body, "fields") {
		t.Errorf("fields without end: %d %.200s", a.status, a.body)
	}
	parts = nil
	for i := range 1001 {
		parts = append(parts, fmt.Sprint("file/f", i), "")
	}
	a := w.ask(t, "POST", "/", form(parts...), formType)
	if a.status != 400 || !strings.Contains(a.body, "1000 files") || w.onDisk(t, "f999") != "" || w.onDisk(t, "f1000") != nothing {
		t.Errorf("1001 files: %d %.300s", a.status, a.body)
	}
}

// TestRequestIDs repeats an id that a proxy gave, unless it is longer or stranger than ids are.
func TestRequestIDs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, c := range map[string]struct {
		given string
		kept  bool
	}{
		"plain": {"0af7-65.X_1", true}, "longest": {strings.Repeat("a", 64), true}, "too_long": {strings.Repeat("a", 65), false},
		"quote": {`a"b`, false}, "space": {"a b", false}, "none": {"", false},
	} {
		t.Run(name, func(t *testing.T) {
			got := w.ask(t, "GET", "/none", "", "X-Request-Id: "+c.given).header.Get("X-Request-Id")
			if got == "" || (got == c.given) != c.kept {
				t.Errorf("%q became %q", c.given, got)
			}
		})
	}
}

// metric returns a value from the metrics page.
func (w *world) metric(t *testing.T, name string) string {
	t.Helper()
	for line := range strings.Lines(w.metrics(t)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	t.Fatalf("there is no metric %s", name)
	return ""
}

func TestHeaderTooLong(t *testing.T) {
	t.Parallel()
	w := newWorld(t, limited(func(l *fileserver.Limits) { l.HeaderBytesMax = 8 << 10 }))
	if a := w.ask(t, "GET", "/", "", "X: "+strings.Repeat("y", 7<<10)); a.status != 200 {
		t.Errorf("a header below the limit: status %d", a.status)
	}
	// net/http allows 4 KiB more than it is told.
	if a := w.ask(t, "GET", "/", "", "X: "+strings.Repeat("y", 13<<10)); a.status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("a header beyond the limit: status %d", a.status)
	}
}

func TestConnectionsMax(t *testing.T) {
	t.Parallel()
	w := newWorld(t, limited(func(l *fileserver.Limits) { l.ConnectionsMax = 2 }))
	w.file(t, "a.txt", "one")
	var open []net.Conn
	for range 2 {
		c := w.dial(t)
		defer c.Close()
		fmt.Fprintf(c, "GET /a.txt HTTP/1.1\r\nHost: %s\r\n\r\n", w.addr)
		if a := readAnswer(t, bufio.NewReader(c), "GET"); a.status != 200 {
			t.Fatalf("status %d", a.status)
		}
		open = append(open, c)
	}
	a := w.ask(t, "GET", "/a.txt", "")
	if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" || a.cut ||
		!strings.Contains(a.body, "urn:freshet:problem:connections") {
		t.Errorf("the third connection: %d %v %q", a.status, a.header, a.body)
	}
	if got := w.metric(t, "freshet_connections_refused_total"); got != "1" {
		t.Errorf("%s connections were refused", got)
	}
	open[0].Close()
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if a := w.ask(t, "GET", "/a.txt", ""); a.status == 200 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("no connection came free")
		}
	}
}

// TestStopLetsRequestsFinish stops the server while a body is on its way.
func TestStopLetsRequestsFinish(t *testing.T) {
	t.Parallel()
	s := startStoppable(t, fileserver.Limits{})
	c := s.begin(t, "PUT /a.txt HTTP/1.1\r\nHost: %s\r\nContent-Length: 6\r\n\r\none")
	s.stop()
	time.Sleep(50 * time.Millisecond)
	if _, err := net.Dial("tcp", s.addr); err == nil {
		t.Error("the server still takes connections")
	}
	io.WriteString(c, "two")
	if a := readAnswer(t, bufio.NewReader(c), "PUT"); a.status != 201 {
		t.Errorf("status %d: %s", a.status, a.body)
	}
	if err := <-s.ended; err != nil {
		t.Error(err)
	}
}

// TestStopCutsRequestsThatDoNotFinish leaves a body unfinished for longer than the server waits.
func TestStopCutsRequestsThatDoNotFinish(t *testing.T) {
	t.Parallel()
	s := startStoppable(t, fileserver.Limits{ShutdownTimeMax: 200 * time.Millisecond})
	c := s.begin(t, "PUT /a.txt HTTP/1.1\r\nHost: %s\r\nContent-Length: 6\r\n\r\none")
	s.stop()
	select {
	case err := <-s.ended:
		if n := s.tree.Stats().StagedUploads; err != nil || n != 0 {
			t.Errorf("%d uploads are under way: %v", n, err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("the server does not stop")
	}
	if a := readAnswer(t, bufio.NewReader(c), "PUT"); a.status != noAnswer {
		t.Errorf("status %d", a.status)
	}
	if _, err := os.Stat(filepath.Join(s.root, "a.txt")); !os.IsNotExist(err) {
		t.Errorf("a.txt: %v", err)
	}
}

// A stoppable is a server that the test itself ends.
type stoppable struct {
	addr, root string
	tree       *tree.Tree
	stop       context.CancelFunc
	ended      chan error
}

func startStoppable(t *testing.T, limits fileserver.Limits) *stoppable {
	t.Helper()
	s := &stoppable{root: t.TempDir(), ended: make(chan error, 1)}
	tr, err := tree.New(s.root, tree.Options{Write: true})
	if err != nil {
		t.Fatal(err)
	}
	s.tree = tr
	t.Cleanup(func() { tr.Close() })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	server := fileserver.New(fileserver.Config{Tree: tr, Write: true, Log: slog.New(slog.DiscardHandler), Limits: limits})
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	t.Cleanup(stop)
	go func() { s.ended <- server.Serve(ctx, l) }()
	return s
}

// begin sends the beginning of a request and waits until the server has read it.
func (s *stoppable) begin(t *testing.T, text string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	fmt.Fprintf(c, text, s.addr)
	time.Sleep(100 * time.Millisecond)
	return c
}
