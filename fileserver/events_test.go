package fileserver

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
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"freshet/fileserver/tree"
)

// serveTree runs a tree of one fresh folder, and a server of it that change may prepare.
func serveTree(t *testing.T, change func(*Server)) (root, addr string) {
	t.Helper()
	root = t.TempDir()
	quiet := slog.New(slog.DiscardHandler)
	served, err := tree.New(root, tree.Options{Write: true, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	s := New(Config{Tree: served, Log: quiet, Write: true})
	change(s)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l = narrowListener{l}
	ctx, stop := context.WithCancel(context.Background())
	var ended sync.WaitGroup
	ended.Go(func() { _ = s.Serve(ctx, l) })
	ended.Go(func() { _ = served.Run(ctx) })
	t.Cleanup(func() {
		stop()
		ended.Wait()
		if err := served.Close(); err != nil {
			t.Error(err)
		}
	})
	return root, l.Addr().String()
}

// A narrowListener gives connections small buffers, so that a client that does not read is noticed soon.
type narrowListener struct{ net.Listener }

func (l narrowListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetWriteBuffer(4 << 10)
	}
	return c, err
}

// openStream asks for a stream and reads its head.
func openStream(t *testing.T, addr string) (net.Conn, *bufio.Reader, int) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Error(err)
		return nil, nil, 0
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	_ = c.(*net.TCPConn).SetReadBuffer(4 << 10)
	fmt.Fprintf(c, "GET /.freshet/v1/changes HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
	lines := bufio.NewReaderSize(c, 1<<10)
	res, err := http.ReadResponse(lines, nil)
	if err != nil {
		t.Error(err)
		return c, lines, 0
	}
	return c, lines, res.StatusCode
}

func TestHeartbeat(t *testing.T) {
	t.Parallel()
	_, addr := serveTree(t, func(s *Server) { s.heartbeat = 50 * time.Millisecond })
	_, lines, _ := openStream(t, addr)
	for comments := 0; comments < 3; {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if line == ":\n" {
			comments++
		}
	}
}

// TestSlowReadersAreCutOff: one that takes nothing is gone after BodyIdleTimeMax, and keeps nobody else from hearing.
func TestSlowReadersAreCutOff(t *testing.T) {
	t.Parallel()
	var server *Server
	root, addr := serveTree(t, func(s *Server) {
		server = s
		s.limits.BodyIdleTimeMax = 400 * time.Millisecond
	})
	slow, _, _ := openStream(t, addr)
	_, lines, _ := openStream(t, addr)
	var heard sync.WaitGroup
	heard.Go(func() { waitForLast(t, lines) })
	for i := 0; i < 400 && server.subscribers.Load() == 2; i++ {
		for j := range 20 {
			name := fmt.Sprintf("%s%d", strings.Repeat("n", 240), j)
			if err := os.WriteFile(filepath.Join(root, name), fmt.Append(nil, i), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	if n := server.subscribers.Load(); n != 1 {
		t.Errorf("%d streams are left", n)
	}
	if _, err := io.Copy(io.Discard, slow); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Errorf("the slow stream has not ended: %v", err)
	}
	if err := os.WriteFile(filepath.Join(root, "last"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	heard.Wait()
}

// A stream whose client takes nothing keeps no server from stopping.
func TestStuckStreamsEndWithTheServer(t *testing.T) {
	t.Parallel()
	var began time.Time
	outer := t // what it opens is closed after the server has stopped
	t.Run("server", func(t *testing.T) {
		root, addr := serveTree(t, func(*Server) {})
		openStream(outer, addr)
		for i := range 200 {
			name := fmt.Sprintf("%s%d", strings.Repeat("n", 240), i)
			if err := os.WriteFile(filepath.Join(root, name), nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(200 * time.Millisecond) // until the buffers between the two are full
		began = time.Now()
	})
	if took := time.Since(began); took > ShutdownTimeMax/2 {
		t.Errorf("the server took %v to stop", took)
	}
}

func TestSubscribersMax(t *testing.T) {
	t.Parallel()
	var server *Server
	_, addr := serveTree(t, func(s *Server) { server = s })
	server.subscribers.Store(subscribersMax)
	if _, _, status := openStream(t, addr); status != 503 {
		t.Errorf("a stream too many: %d", status)
	}
	res, err := http.Get("http://" + addr + "/.freshet/v1/changes?wait=1")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 503 || res.Header.Get("Retry-After") == "" {
		t.Errorf("a poll too many: %d %v", res.StatusCode, res.Header)
	}
	server.subscribers.Store(0)
	if _, _, status := openStream(t, addr); status != 200 {
		t.Errorf("afterwards: %d", status)
	}
}

// Answers about folders that are being sent are bounded, and so is what is read of questions.
func TestDescentsAreBounded(t *testing.T) {
	t.Parallel()
	var server *Server
	_, addr := serveTree(t, func(s *Server) { server = s })
	ask := func() (get, post int) {
		res, err := http.Get("http://" + addr + "/.freshet/v1/tree/")
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		asked, err := http.Post("http://"+addr+"/.freshet/v1/tree", "application/json", strings.NewReader(`{"have":{}}`))
		if err != nil {
			t.Fatal(err)
		}
		asked.Body.Close()
		return res.StatusCode, asked.StatusCode
	}
	if !server.descents.TryAcquire(descentsMax) {
		t.Fatal("busy")
	}
	if get, post := ask(); get != 503 || post != 503 {
		t.Errorf("while others are sent: %d, %d", get, post)
	}
	server.descents.Release(descentsMax)
	if !server.questions.TryAcquire(questionsBytesMax) {
		t.Fatal("busy")
	}
	if get, post := ask(); get != 200 || post != 503 {
		t.Errorf("while others ask: %d, %d", get, post)
	}
	server.questions.Release(questionsBytesMax)
	if get, post := ask(); get != 200 || post != 200 {
		t.Errorf("afterwards: %d, %d", get, post)
	}
}

const (
	followersOfTest     = 1000
	followerBytesMax    = 96 << 10 // memory for each of them, with its connection, some of them stuck
	openersOfTest       = 20       // that open streams at the same time
	stuckFollowers      = 100
	changesForFollowers = 60
)

// TestMemoryOfSubscribers opens many streams of which some do not read, lets many files change, and looks at what the server
// holds: each stream costs its connection and a place in the feed.
func TestMemoryOfSubscribers(t *testing.T) {
	root, addr := serveTree(t, func(*Server) {})
	before := memoryInUse()
	var opened, heard sync.WaitGroup
	for range openersOfTest {
		opened.Go(func() {
			for i := range followersOfTest / openersOfTest {
				_, lines, status := openStream(t, addr)
				if status != 200 {
					t.Errorf("stream %d: %d", i, status)
				}
				if i >= stuckFollowers/openersOfTest {
					heard.Go(func() { waitForLast(t, lines) })
				}
			}
		})
	}
	opened.Wait()
	for i := range changesForFollowers {
		name := fmt.Sprintf("%s%d", strings.Repeat("n", 200), i)
		if i == changesForFollowers-1 {
			name = "last"
		}
		if err := os.WriteFile(filepath.Join(root, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	heard.Wait()
	used := memoryInUse() - before
	t.Logf("%d bytes for each stream", used/followersOfTest)
	if used > followersOfTest*followerBytesMax {
		t.Errorf("%d streams take %d bytes", followersOfTest, used)
	}
}

// waitForLast reads until the last file is told of.
func waitForLast(t *testing.T, lines io.Reader) {
	t.Helper()
	s := bufio.NewScanner(lines)
	for s.Scan() {
		if strings.Contains(s.Text(), `"p":"last"`) {
			return
		}
	}
	t.Errorf("the stream ended: %v", s.Err())
}

func memoryInUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}
