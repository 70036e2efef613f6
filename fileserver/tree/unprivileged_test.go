//go:build linux

package tree_test

import (
	"encoding/gob"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"freshet/fileserver/tree"
	"freshet/hashing"
)

// nobody serves files that are root's: it may read them and change their folders, but have no lease on them.
var nobody = party{"as_nobody", func(t *testing.T, root string, write bool) door {
	return openAs(t, nobodyID, nil, root, write)
}}

// keeper is nobody who may give files to other owners, and so replace files on which it can have no lease.
var keeper = party{"as_nobody_who_may_chown", func(t *testing.T, root string, write bool) door {
	return openAs(t, nobodyID, []uintptr{unix.CAP_CHOWN, unix.CAP_FOWNER}, root, write)
}}

// apart is root, in a process of its own.
var apart = party{"as_another_process", func(t *testing.T, root string, write bool) door {
	return openAs(t, 0, nil, root, write)
}}

const (
	nobodyID  = 65534
	apartRoot = "TREE_TEST_ROOT" // environment: the folder that TestServeApart serves
)

// openAs serves root from a process of another user's until the test ends.
func openAs(t *testing.T, user uint32, capabilities []uintptr, root string, write bool) door {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can become somebody else")
	}
	asks, answers, stop := startAs(t, user, capabilities, root)
	out, in := gob.NewEncoder(asks), gob.NewDecoder(answers)
	var mu sync.Mutex
	ask := func(q, a any) error {
		mu.Lock()
		defer mu.Unlock()
		if err := out.Encode(q); err != nil {
			return err
		}
		return in.Decode(a)
	}
	var opened string
	if err := ask(write, &opened); err != nil || opened != "done" {
		stop()
		t.Fatalf("open as user %d: %v %v", user, opened, err)
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("as user %d: %v", user, err)
		}
		checkStateFolder(t, root)
	})
	return func(q request) (a answer) {
		if err := ask(q, &a); err != nil {
			a.Outcome = err.Error()
		}
		return a
	}
}

// startAs starts this test binary as another user, from a place where that user can read it.
func startAs(t *testing.T, user uint32, capabilities []uintptr, root string) (asks, answers *os.File, stop func() error) {
	t.Helper()
	binary := copyOfBinary(t)
	theirAsks, asks, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	answers, theirAnswers, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(binary, "-test.run=^TestServeApart$")
	c.Dir = "/"
	c.Env = append(os.Environ(), apartRoot+"="+root)
	c.ExtraFiles = []*os.File{theirAsks, theirAnswers}
	c.Stdout, c.Stderr = testWriter{t}, testWriter{t}
	c.SysProcAttr = &syscall.SysProcAttr{
		Credential:  &syscall.Credential{Uid: user, Gid: user},
		AmbientCaps: capabilities,
	}
	if err := c.Start(); err != nil {
		t.Fatalf("start as user %d: %v", user, err)
	}
	theirAsks.Close()
	theirAnswers.Close()
	return asks, answers, func() error {
		asks.Close()
		defer answers.Close()
		return c.Wait()
	}
}

// copyOfBinary has another program copy, since a file that this process has open for writing may not be executed, and every
// process that it starts has it open too for a moment.
func copyOfBinary(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	folder, err := os.MkdirTemp("", "binary")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	copied := filepath.Join(folder, "test")
	out, err := exec.Command("cp", self, copied).CombinedOutput()
	if err := errors.Join(err, os.Chmod(folder, 0o755), os.Chmod(copied, 0o755)); err != nil {
		t.Fatalf("copy the test binary: %v: %s", err, out)
	}
	return copied
}

// TestServeApart is what openAs starts: it answers requests until there are no more.
func TestServeApart(t *testing.T) {
	root := os.Getenv(apartRoot)
	if root == "" {
		t.Skip("started by other tests, as another user")
	}
	in, out := gob.NewDecoder(os.NewFile(3, "asks")), gob.NewEncoder(os.NewFile(4, "answers"))
	var write bool
	if err := in.Decode(&write); err != nil {
		t.Fatal(err)
	}
	tr := openAt(t, root, tree.Options{Write: write})
	if err := out.Encode("done"); err != nil {
		t.Fatal(err)
	}
	for {
		var q request
		if err := in.Decode(&q); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
		if err := out.Encode(answerTo(tr, q)); err != nil {
			t.Fatal(err)
		}
	}
}

// The tests that run as nobody are worth nothing if nobody can have leases after all.
func TestNobodyHasNoLease(t *testing.T) {
	w := newSite(t, onDisk)
	if err := os.WriteFile(w.path("theirs"), []byte("root's"), 0o644); err != nil {
		t.Fatal(err)
	}
	d := nobody.open(t, w.root, true)
	for range 2 {
		d.tag(t, w, "theirs")
	}
	// A young file is remembered only under a lease.
	if n := d(request{Do: "stats"}).Stats.HashedOnRequest; n != 2 {
		t.Errorf("hashed %d times, want once for each look", n)
	}
	was := hashing.Sum([]byte("root's"))
	if got := d(request{Do: "replace", Name: "theirs", Was: was}).Outcome; got != tree.ErrPermission.Error() {
		t.Errorf("replacing a file whose owner cannot be kept: %s", got)
	}
	var st unix.Stat_t
	if err := unix.Stat(w.path("theirs"), &st); err != nil || st.Uid != 0 {
		t.Errorf("owner %d, %v", st.Uid, err)
	}
}
