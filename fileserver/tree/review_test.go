//go:build linux

package tree_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"freshet/fileserver/tree"
	"freshet/hashing"
)

// Renaming a file gives it a new stamp. On a filesystem of whole seconds an edit in the same second has that stamp too, so
// what was known of the file is no longer certain.
func TestEditInTheSecondOfAMove(t *testing.T) {
	t.Parallel()
	w := newSite(t, onSeconds)
	tr := openAt(t, w.root, tree.Options{Write: true})
	if err := os.WriteFile(w.path("a"), []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Duration(hashing.RacyNanos) + 1100*time.Millisecond)
	if _, err := get(t, tr, "a"); err != nil { // it is remembered from here on
		t.Fatal(err)
	}
	time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(time.Second + 10*time.Millisecond)))
	if _, err := tr.Move(context.Background(), at(t, "a"), at(t, "b"), tree.Transfer{}); err != nil {
		t.Fatal(err)
	}
	if err := overwrite(w.path("b"), []byte("new")); err != nil {
		t.Fatal(err)
	}
	f, err := tr.Open(context.Background(), at(t, "b"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Entry.Digest != hashing.Sum([]byte("new")) {
		t.Errorf("the edited file is called %s", f.Entry.Digest)
	}
	err = replaceWith(context.Background(), tr, at(t, "b"), []byte("unseen"), func(cur *tree.Entry) error {
		if cur.Digest != hashing.Sum([]byte("old")) {
			return errRefused
		}
		return nil
	})
	if !errors.Is(err, errRefused) {
		t.Errorf("replacing the version before the edit: %v", err)
	}
}

// A file that waits for its turn to be hashed is held under a lease. A local program that wants to write to it must not wait
// for that turn.
func TestQueuedHashingLetsWritersIn(t *testing.T) {
	root := t.TempDir()
	name := filepath.Join(root, "large")
	if err := os.WriteFile(name, []byte(strings.Repeat("x", 9<<20)), 0o644); err != nil {
		t.Fatal(err)
	}
	tr := openAt(t, root, tree.Options{HashWaitMax: 20 * time.Millisecond})
	release := tr.HoldLargeHashers()
	defer release()
	f, err := tr.Open(context.Background(), at(t, "large"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if !f.Entry.Digest.IsZero() {
		t.Fatal("the file was hashed out of turn")
	}
	for began := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		fd, err := unix.Open(name, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err == nil {
			_ = unix.Close(fd)
			return
		}
		if time.Since(began) > 3*time.Second {
			t.Fatalf("a local program still waits to write: %v", err)
		}
	}
}

// Whoever serves one file has nothing else read, and no other folder watched.
func TestOnlyLeavesTheRestAlone(t *testing.T) {
	root := t.TempDir()
	err := errors.Join(os.MkdirAll(filepath.Join(root, "a/b/c"), 0o755), os.WriteFile(filepath.Join(root, "f"), nil, 0o644))
	if err != nil {
		t.Fatal(err)
	}
	tr := openAt(t, root, tree.Options{Only: "f"})
	awaitStats(t, tr, func(s tree.Stats) bool { return s.WatchedFolders > 0 })
	err = errors.Join(os.WriteFile(filepath.Join(root, "other"), []byte("other"), 0o644),
		os.WriteFile(filepath.Join(root, "a/b/other"), []byte("other"), 0o644),
		os.WriteFile(filepath.Join(root, "f"), []byte("served"), 0o644))
	if err != nil {
		t.Fatal(err)
	}
	awaitStats(t, tr, func(s tree.Stats) bool { return s.HashedInBackground > 0 })
	time.Sleep(50 * time.Millisecond)
	if s := tr.Stats(); s.WatchedFolders != 1 || s.Files != 1 || s.HashedInBackground > 2 {
		t.Errorf("%d folders are watched and %d files were read", s.WatchedFolders, s.HashedInBackground)
	}
}

func awaitStats(t *testing.T, tr *tree.Tree, enough func(tree.Stats) bool) {
	t.Helper()
	for began := time.Now(); !enough(tr.Stats()); time.Sleep(5 * time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			t.Fatalf("it does not come to that: %+v", tr.Stats())
		}
	}
}

// Readers who ask for many large files, and leave, cannot take all descriptors: what is too much to be hashed goes out without a
// tag at once, and is not changed under a condition.
func TestLargeFilesWaitingToBeHashedAreBounded(t *testing.T) {
	root := t.TempDir()
	tr := openAt(t, root, tree.Options{Write: true, HashWaitMax: time.Millisecond})
	release := sync.OnceFunc(tr.HoldLargeHashers())
	defer release()
	const more = 8
	before := descriptors(t)
	for i := range tree.LargeFlightsMax + more {
		name := strconv.Itoa(i)
		if err := errors.Join(os.WriteFile(filepath.Join(root, name), nil, 0o644),
			os.Truncate(filepath.Join(root, name), 9<<20)); err != nil {
			t.Fatal(err)
		}
		f, err := tr.Open(context.Background(), at(t, name))
		if err != nil {
			t.Fatal(err)
		}
		if !f.Entry.Digest.IsZero() {
			t.Fatal("the file was hashed out of turn")
		}
		f.Close()
	}
	if n := descriptors(t) - before; n >= tree.LargeFlightsMax+more {
		t.Errorf("%d descriptors are held for files that nobody waits for", n)
	}
	last := strconv.Itoa(tree.LargeFlightsMax + more - 1)
	_, err := tr.Remove(context.Background(), at(t, last), tree.Change{Guard: func(*tree.Entry) error { return nil }})
	if !errors.Is(err, tree.ErrBusy) {
		t.Errorf("removing a file whose tag cannot be found in time: %v", err)
	}
	release()
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		f, err := tr.Open(context.Background(), at(t, last))
		if err != nil {
			t.Fatal(err)
		}
		known := !f.Entry.Digest.IsZero()
		f.Close()
		if known {
			break
		}
		if time.Since(began) > 30*time.Second {
			t.Fatal("what was too much is never hashed")
		}
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(open)
}
