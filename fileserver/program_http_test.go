//go:build linux

package fileserver_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestProgram runs freshet itself in a process of its own, where its memory, its descriptors and its end can be seen.
func TestProgram(t *testing.T) {
	t.Parallel()
	bin := filepath.Join(t.TempDir(), "freshet")
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", bin, "freshet/cmd/freshet").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for name, test := range map[string]func(*testing.T, string){
		"no_descriptors_left": testNoDescriptors,
		"slow_uploads":        testSlowUploads,
		"slow_downloads":      testSlowDownloads,
		"large_upload":        testLargeUpload,
		"stop":                testStop,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, bin)
		})
	}
}

// A program is a freshet that serves a folder for writing. Its world has no tree or server that the test could look at.
type program struct {
	*world
	process *exec.Cmd
	log     *lines
	exited  chan struct{}
	err     error // of Wait; read after exited is closed
}

const programStartTimeMax = 30 * time.Second // far beyond what a loaded machine needs

// startProgram runs it on root with a limit of file descriptors (0: none but the usual) and settings such as
// "FRESHET_BODY_MEMORY=8MiB".
func startProgram(t *testing.T, bin, root string, descriptors int, settings ...string) *program {
	t.Helper()
	script := `exec "$0" "$@"`
	if descriptors > 0 {
		script = fmt.Sprintf("ulimit -n %d; ", descriptors) + script
	}
	p := &program{world: &world{root: root}, log: &lines{}, exited: make(chan struct{})}
	p.process = exec.Command("sh", "-c", script, bin, "serve", "--write", "--listen", "127.0.0.1:0", root)
	p.process.Env = append([]string{"PATH=" + os.Getenv("PATH")}, settings...)
	p.process.Stderr = p.log
	p.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.process.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.err = p.process.Wait(); close(p.exited) }()
	t.Cleanup(func() { _ = p.process.Process.Kill(); <-p.exited })
	p.until(t, "the start", func() bool {
		if m := regexp.MustCompile(`url=http://([^/]+)/`).FindStringSubmatch(p.log.String()); m != nil {
			p.addr = m[1]
		}
		return p.addr != ""
	})
	return p
}

// until waits for something that the program will do.
func (p *program) until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(programStartTimeMax); !done(); time.Sleep(5 * time.Millisecond) {
		select {
		case <-p.exited:
			t.Fatalf("waiting for %s, the program ended: %v\n%s", what, p.err, p.log)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited for %s in vain\n%s", what, p.log)
		}
	}
}

// memory returns the bytes of the program's own memory: what is mapped from files does not count.
func (p *program) memory(t *testing.T) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.process.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if kib, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			n, err := strconv.ParseInt(strings.Fields(kib)[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n << 10
		}
	}
	t.Skip("this kernel does not tell how much of the memory is a program's own")
	return 0
}

// descriptors returns how many files and connections the program has open.
func (p *program) descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.process.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// checkPut makes sure that a PUT to path succeeds, and soon.
func (p *program) checkPut(t *testing.T, path, content string) {
	t.Helper()
	const soon = 5 * time.Second
	began := time.Now()
	a := p.ask(t, "PUT", path, content)
	if took := time.Since(began); a.status > 204 || took > soon {
		t.Errorf("PUT: %d after %v: %s", a.status, took, a.body)
	}
	if a := p.ask(t, "GET", path, ""); a.status != 200 || a.body != content {
		t.Errorf("GET: %d %q", a.status, a.body)
	}
}

// testNoDescriptors opens connections until the program can open nothing any more, with an upload under way.
func testNoDescriptors(t *testing.T, bin string) {
	const descriptors = 48
	root := t.TempDir()
	p := startProgram(t, bin, root, descriptors)
	p.file(t, "old", "old bytes")
	first := p.dial(t)
	defer first.Close()
	in := bufio.NewReader(first)
	askFirst := func(request string) answer {
		t.Helper()
		fmt.Fprintf(first, request, p.addr)
		return readAnswer(t, in, "GET")
	}
	const get = "GET /old HTTP/1.1\r\nHost: %s\r\n\r\n"
	if a := askFirst(get); a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	p.until(t, "the first look at the root to end", func() bool { return strings.Contains(p.log.String(), "index is ready") })
	atRest := p.descriptors(t)
	upload := p.dial(t)
	defer upload.Close()
	fmt.Fprintf(upload, "PUT /old HTTP/1.1\r\nHost: %s\r\nContent-Length: 9\r\n\r\nnew", p.addr)
	p.until(t, "the upload to begin", func() bool { return p.descriptors(t) >= atRest+2 })
	var idle []net.Conn
	for range 2 * descriptors {
		idle = append(idle, p.dial(t))
		defer idle[len(idle)-1].Close()
	}
	p.until(t, "the last descriptor to go", func() bool { return strings.Contains(p.log.String(), "too many open files") })

	expectProblem(t, "a connection that was there", askFirst(get), 503, "busy")
	fmt.Fprint(upload, " bytes")
	if a := readAnswer(t, bufio.NewReader(upload), "PUT"); a.status != 204 {
		expectProblem(t, "the upload", a, 503, "busy")
		if got := p.onDisk(t, "old"); got != "old bytes" {
			t.Errorf("a refused upload left %q", got)
		}
	}
	late := p.dial(t)
	defer late.Close()
	fmt.Fprintf(late, "GET /old HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", p.addr)
	for _, c := range idle {
		c.Close()
	}
	if a := readAnswer(t, bufio.NewReader(late), "GET"); a.status != 200 {
		expectProblem(t, "a connection beyond the limit", a, 503, "connections")
	}
	if a := askFirst(get); a.status != 200 {
		t.Errorf("afterwards: %d %s", a.status, a.body)
	}
	p.checkPut(t, "/old", "new bytes after all")
	if left, _ := filepath.Glob(filepath.Join(root, ".freshet/stage/*.part")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

const (
	slowClients                  = 200
	slowUploadMemoryMax          = 64 << 10  // bytes of the program's memory that a client costs which uploads slowly
	slowDownloadMemoryMax        = 64 << 10  // and one that does not read, besides the buffers
	slowDownloadBuffers          = 8 << 20   // bytes of buffers that there are for bodies on their way out
	programMemoryNoise           = 16 << 20  // bytes by which the memory of a Go program varies by itself
	largeUploadBytes             = 300 << 20 // of the one that must not show in memory
	largeUploadSampleEvery       = 10 * time.Millisecond
	stopTimeMax                  = 5 * time.Second // for the program to end when nothing is under way any more
	slowDownloadBytes      int64 = 64 << 20
)

// testSlowUploads has many clients send one byte of a body and stop, all to one path.
func testSlowUploads(t *testing.T, bin string) {
	p := startProgram(t, bin, t.TempDir(), 0)
	p.file(t, "old", "old bytes")
	p.checkPut(t, "/old", "other")
	before, atRest := p.memory(t), p.descriptors(t)
	for range slowClients {
		c := p.dial(t)
		defer c.Close()
		fmt.Fprintf(c, "PUT /old HTTP/1.1\r\nHost: %s\r\nContent-Length: 100000\r\n\r\nx", p.addr)
	}
	p.until(t, "the uploads to begin", func() bool { return p.descriptors(t) >= atRest+2*slowClients })
	p.checkPut(t, "/old", "meanwhile")
	grown := p.memory(t) - before
	t.Logf("%d bytes for each of %d uploads", grown/slowClients, slowClients)
	if most := int64(slowClients*slowUploadMemoryMax + programMemoryNoise); grown > most {
		t.Errorf("%d uploads take %d bytes of memory, want %d at most", slowClients, grown, most)
	}
}

// testSlowDownloads has many clients ask for a large file and read nothing of it.
func testSlowDownloads(t *testing.T, bin string) {
	p := startProgram(t, bin, t.TempDir(), 0, "FRESHET_BODY_MEMORY="+strconv.Itoa(slowDownloadBuffers), "FRESHET_BUFFER_TIME=200ms")
	p.file(t, "old", "old bytes")
	p.file(t, "large", "")
	if err := os.Truncate(filepath.Join(p.root, "large"), slowDownloadBytes); err != nil {
		t.Fatal(err)
	}
	if a := p.ask(t, "HEAD", "/large", ""); a.header.Get("ETag") == "" {
		t.Fatalf("%d %v", a.status, a.header)
	}
	before := p.memory(t)
	var clients []net.Conn
	for range slowClients {
		c := p.dial(t)
		defer c.Close()
		_ = c.(*net.TCPConn).SetReadBuffer(16 << 10)
		fmt.Fprintf(c, "GET /large HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", p.addr)
		clients = append(clients, c)
	}
	served := 0
	for _, c := range clients {
		reply, err := http.ReadResponse(bufio.NewReaderSize(c, 16), nil)
		switch {
		case err != nil:
			t.Fatal(err)
		case reply.StatusCode == 200:
			served++
		case reply.StatusCode != 503 || reply.Header.Get("Retry-After") == "":
			t.Errorf("%s %v", reply.Status, reply.Header)
		}
	}
	grown := p.memory(t) - before
	t.Logf("%d clients are served with %d bytes", served, grown)
	if served == 0 || served == slowClients {
		t.Errorf("%d clients are served, want some, and others told to come back", served)
	}
	if most := int64(slowClients*slowDownloadMemoryMax + slowDownloadBuffers + programMemoryNoise); grown > most {
		t.Errorf("%d downloads take %d bytes of memory, want %d at most", slowClients, grown, most)
	}
	p.checkPut(t, "/old", "meanwhile")
}

// testLargeUpload looks at the memory while a body arrives that is far larger.
func testLargeUpload(t *testing.T, bin string) {
	p := startProgram(t, bin, roomyFolder(t), 0)
	p.file(t, "old", "old bytes")
	p.checkPut(t, "/old", "other")
	before, most := p.memory(t), int64(0)
	r, err := http.NewRequest(http.MethodPut, "http://"+p.addr+"/large", io.LimitReader(letters{}, largeUploadBytes))
	if err != nil {
		t.Fatal(err)
	}
	replied := make(chan error, 1)
	go func() {
		reply, err := http.DefaultClient.Do(r)
		if err == nil && reply.StatusCode != http.StatusCreated {
			err = errors.New(reply.Status)
		}
		replied <- err
	}()
	samples := 0
	for tick := time.NewTicker(largeUploadSampleEvery); ; samples++ {
		select {
		case err = <-replied:
		case <-tick.C:
			most = max(most, p.memory(t)-before)
			continue
		}
		tick.Stop()
		break
	}
	t.Logf("%d bytes in %d samples", most, samples)
	if info, statErr := os.Stat(filepath.Join(p.root, "large")); err != nil || statErr != nil || info.Size() != largeUploadBytes {
		t.Errorf("%v, %v", err, statErr)
	}
	if most > programMemoryNoise || samples < 3 {
		t.Errorf("the memory grew by %d bytes, seen in %d samples", most, samples)
	}
}

// letters is a body without end.
type letters struct{}

func (letters) Read(b []byte) (int, error) {
	return copy(b, bytes.Repeat([]byte("abcdefghijklmnop"), len(b)/16+1)), nil
}

// roomyFolder is a folder in memory if that has room for a large upload.
func roomyFolder(t *testing.T) string {
	t.Helper()
	var st unix.Statfs_t
	if err := unix.Statfs("/dev/shm", &st); err == nil && int64(st.Bavail)*st.Bsize > 4*largeUploadBytes {
		return fastFolder(t)
	}
	return t.TempDir()
}

// testStop ends the program while one upload is under way and other connections wait for nothing.
func testStop(t *testing.T, bin string) {
	p := startProgram(t, bin, t.TempDir(), 0)
	p.file(t, "old", "old bytes")
	var idle []net.Conn
	for range 3 {
		c := p.dial(t)
		defer c.Close()
		fmt.Fprintf(c, "GET /old HTTP/1.1\r\nHost: %s\r\n\r\n", p.addr)
		if a := readAnswer(t, bufio.NewReader(c), "GET"); a.status != 200 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		idle = append(idle, c)
	}
	upload := p.dial(t)
	defer upload.Close()
	in := bufio.NewReader(upload)
	fmt.Fprintf(upload, "PUT /new HTTP/1.1\r\nHost: %s\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n", p.addr)
	if reply, err := http.ReadResponse(in, nil); err != nil || reply.StatusCode != http.StatusContinue {
		t.Fatalf("%v, %v", reply, err)
	}
	if err := p.process.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for _, c := range idle {
		if said := endsWithin(t, c, stopTimeMax); said != "" {
			t.Errorf("an idle connection ended with %q", said)
		}
	}
	select {
	case <-p.exited:
		t.Fatal("the program did not wait for the upload")
	default:
	}
	fmt.Fprint(upload, "new bytes")
	if a := readAnswer(t, in, "PUT"); a.status != 201 || p.onDisk(t, "new") != "new bytes" {
		t.Errorf("the upload: %d %s", a.status, a.body)
	}
	select {
	case <-p.exited:
	case <-time.After(stopTimeMax):
		t.Fatal("the program does not end")
	}
	if p.err != nil {
		t.Errorf("the exit: %v\n%s", p.err, p.log)
	}
}
