package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// An upload is a PUT of ten bytes whose body is still missing.
type upload struct {
	conn   net.Conn
	answer *bufio.Reader
}

// beginUpload starts a PUT to /new and returns when the server asks for the body: the request is under way.
func beginUpload(t *testing.T, s *server) *upload {
	t.Helper()
	host := strings.TrimSuffix(strings.TrimPrefix(s.url, "http://"), "/")
	conn, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	fmt.Fprintf(conn, "PUT /new HTTP/1.1\r\nHost: %s\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n", host)
	u := &upload{conn, bufio.NewReader(conn)}
	if line, err := u.answer.ReadString('\n'); err != nil || line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("got %q, %v", line, err)
	}
	if _, err := u.answer.ReadString('\n'); err != nil { // the empty line after it
		t.Fatal(err)
	}
	return u
}

// refuses waits until the server takes no more connections: it has seen the first signal.
func (s *server) refuses(t *testing.T) {
	t.Helper()
	host := strings.TrimSuffix(strings.TrimPrefix(s.url, "http://"), "/")
	for deadline := time.Now().Add(stopTimeMax); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		conn, err := net.Dial("tcp", host)
		if err != nil {
			return
		}
		conn.Close()
	}
	t.Fatal("the server still listens")
}

func startWriting(t *testing.T) (s *server, dir string) {
	t.Helper()
	dir = t.TempDir()
	s, err := startServer(dir, []string{"PATH=" + os.Getenv("PATH")}, "--write", "--listen", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.kill)
	return s, dir
}

func TestFirstSignalLetsAnUploadFinish(t *testing.T) {
	s, dir := startWriting(t)
	u := beginUpload(t, s)
	if err := s.process.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.refuses(t)
	if _, err := io.WriteString(u.conn, "ten bytes."); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(u.answer, nil)
	if err != nil || answer.StatusCode != http.StatusCreated {
		t.Fatalf("got %v, %v", answer, err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "new")); err != nil || string(got) != "ten bytes." {
		t.Errorf("got %q, %v", got, err)
	}
	select {
	case <-s.exited:
	case <-time.After(stopTimeMax):
		t.Fatal("the server did not stop")
	}
	if s.err != nil {
		t.Errorf("%v\n%s", s.err, s.log.String())
	}
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	s, dir := startWriting(t)
	beginUpload(t, s)
	if err := s.process.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.refuses(t)
	began := time.Now()
	if err := s.process.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	<-s.exited
	var exit *exec.ExitError
	if !errors.As(s.err, &exit) || exit.ExitCode() != exitInterrupted {
		t.Errorf("got %v", s.err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("after %v", took)
	}
	if _, err := os.Stat(filepath.Join(dir, "new")); err == nil {
		t.Error("half an upload is there")
	}
}

// TestMetricsListener also sees that the names which dashboards use are there.
func TestMetricsListener(t *testing.T) {
	dir := t.TempDir()
	env := []string{"PATH=" + os.Getenv("PATH"), "FRESHET_METRICS=127.0.0.1:0"}
	s, err := startServer(dir, env, "--listen", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer s.kill()
	var url string
	s.log.wait(startTimeMax, s.exited, func(text string) bool {
		_, after, _ := strings.Cut(text, `msg="serving metrics" url=`)
		line, _, complete := strings.Cut(after, "\n")
		url = line
		return complete
	})
	answer, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK || !strings.Contains(string(body), "freshet_hash_on_request_total 0") {
		t.Errorf("%d, %v\n%s", answer.StatusCode, err, body)
	}
	if answer, err = http.Get(s.url + "metrics"); err != nil || answer.StatusCode != http.StatusNotFound {
		t.Errorf("the main listener answers %v, %v", answer, err)
	}
}

// TestReaderOfTheLogMayGo checks that the server outlives what it writes its log to.
func TestReaderOfTheLogMayGo(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("freshet")
	if err != nil {
		t.Fatal(err)
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "--listen", "127.0.0.1:0", t.TempDir())
	var log lockedBuffer
	cmd.Stdout, cmd.Stderr = writer, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() { defer close(exited); _ = cmd.Wait() }()
	defer cmd.Process.Kill()
	writer.Close()
	reader.Close()
	var url string
	log.wait(startTimeMax, exited, func(text string) bool { url = urlInLog.FindString(text); return url != "" })
	answer, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	const written = 1500 * time.Millisecond // after which the line of this request has been written out
	select {
	case <-exited:
		t.Fatalf("%v", cmd.ProcessState)
	case <-time.After(written):
	}
	if answer, err = http.Get(url); err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
}
