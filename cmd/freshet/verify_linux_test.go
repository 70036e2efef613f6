package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"freshet/hashing"
)

// storeUnseen changes the first byte of a file on tmpfs through a mapping, which moves no stamp there: as if its disk rotted.
func storeUnseen(t *testing.T, path string, b byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	before, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	mem, err := unix.Mmap(int(f.Fd()), 0, int(before.Size()), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	if mem[0] == b {
		t.Fatal("this changes nothing")
	}
	mem[0] = b
	if err := unix.Munmap(mem); err != nil {
		t.Fatal(err)
	}
}

// inMemory returns a new folder on tmpfs.
func inMemory(t *testing.T) string {
	t.Helper()
	var st unix.Statfs_t
	if err := unix.Statfs("/dev/shm", &st); err != nil || st.Type != unix.TMPFS_MAGIC {
		t.Skipf("/dev/shm is no tmpfs: %v", err)
	}
	dir, err := os.MkdirTemp("/dev/shm", "freshet")
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// TestVerifyFindsRot checks that bytes which changed under an unchanged stamp show in what verify prints, in its exit code, in
// the log and in the metrics; and that they are served under a tag of their own afterwards.
func TestVerifyFindsRot(t *testing.T) {
	t.Parallel()
	root := inMemory(t)
	rotten, sound := filepath.Join(root, "rotten ü"), filepath.Join(root, "sound")
	for _, name := range []string{rotten, sound} {
		if err := os.WriteFile(name, []byte("as it was"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(time.Duration(hashing.RacyNanos) + 100*time.Millisecond) // else an equal stamp proves nothing
	state := t.TempDir()
	s, err := startServer(root, []string{"PATH=" + os.Getenv("PATH"), "FRESHET_METRICS=127.0.0.1:0"}, "--state", state,
		"--listen", "127.0.0.1:0", root)
	if err != nil {
		t.Fatal(err)
	}
	defer s.kill()
	if code, out, errs := ask(nil, "verify", s.url); code != exitOK {
		t.Fatalf("at first: exit code %d\n%s%s", code, out, errs)
	}
	storeUnseen(t, rotten, '1')
	was, is := hashing.Sum([]byte("as it was")), hashing.Sum([]byte("1s it was"))
	want := "mismatch    \"rotten ü\"  was " + was.String() + "  is " + is.String() +
		"\n2 files, 18 B, 1 file with other bytes\n"
	code, out, errs := ask(nil, "verify", s.url)
	if code != exitMismatch || out != want || !strings.HasPrefix(errs, "freshet: 1 file with other bytes than remembered\n") {
		t.Errorf("exit code %d\n%s%s\nwant\n%s", code, out, errs, want)
	}
	if got := tagAt(t, s.url+"rotten%20%C3%BC"); got != is.ETag() {
		t.Errorf("it is served under %s", got)
	}
	if !strings.Contains(s.log.String(), `level=WARN msg="a file has other bytes`) {
		t.Error(s.log.String())
	}
	if got := metricOf(t, s, "freshet_mismatches_total"); got != "1" {
		t.Errorf("%s mismatches are counted", got)
	}
	if code, out, _ := ask(nil, "verify", s.url); code != exitOK {
		t.Errorf("once more: exit code %d\n%s", code, out)
	}
	if err := s.stop(os.Interrupt); err != nil {
		t.Fatal(err)
	}

	storeUnseen(t, rotten, '2') // and with no server
	code, out, _ = ask(nil, "verify", "--json", "--state", state, root)
	var found verification
	if err := json.Unmarshal([]byte(out), &found); err != nil || code != exitMismatch || found.Mismatches != 1 ||
		len(found.Findings) != 1 || found.Findings[0].P != "rotten ü" || found.Findings[0].Was != is.String() {
		t.Errorf("exit code %d, %v\n%s", code, err, out)
	}
	if code, out, _ := ask(nil, "verify", "--state", state, root); code != exitOK {
		t.Errorf("once more: exit code %d\n%s", code, out)
	}
}

func tagAt(t *testing.T, url string) string {
	t.Helper()
	answer, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	return answer.Header.Get("ETag")
}

// metricOf asks the listener for metrics that s has told of.
func metricOf(t *testing.T, s *server, name string) string {
	t.Helper()
	_, after, _ := strings.Cut(s.log.String(), `msg="serving metrics" url=`)
	url, _, _ := strings.Cut(after, "\n")
	answer, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ = strings.Cut(string(text), "\n"+name+" ")
	value, _, _ := strings.Cut(after, "\n")
	return value
}

// TestVerifyTellsWhatCannotBeRead runs as a user who may not read everything.
func TestVerifyTellsWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	root, state := filepath.Join(dir, "root"), filepath.Join(dir, "state")
	for _, d := range []string{root, state, filepath.Join(root, "closed")} {
		if err := os.Mkdir(d, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"a", "b"} {
		if err := os.WriteFile(filepath.Join(root, name), []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	run := func() (int, string) {
		ctx, cancel := context.WithTimeout(context.Background(), startTimeMax)
		defer cancel()
		cmd := exec.CommandContext(ctx, "freshet", "verify", "--state", state, root)
		if os.Geteuid() == 0 {
			cmd.Path = openToAll(t, dir)
			const nobody = 65534
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		}
		out, _ := cmd.CombinedOutput()
		return cmd.ProcessState.ExitCode(), string(out)
	}
	if err := os.Chmod(state, 0o777); err != nil {
		t.Fatal(err)
	}
	if code, out := run(); code != exitOK {
		t.Fatalf("exit code %d\n%s", code, out)
	}
	for _, name := range []string{"b", "closed"} {
		if err := os.Chmod(filepath.Join(root, name), 0); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = os.Chmod(filepath.Join(root, "closed"), 0o700) })
	code, out := run()
	if code != exitPartly || !strings.Contains(out, "unreadable  b  ") || !strings.Contains(out, "unreadable  closed  ") ||
		!strings.Contains(out, "; 2 unreadable") {
		t.Errorf("exit code %d\n%s", code, out)
	}
}
