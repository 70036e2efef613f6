//go:build linux

package tree_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"freshet/fileserver/tree"
)

// told serves the root, holds that everything is as on disk, and returns what is said of the follower's cursor: "" if it can
// be followed, which it then is.
func (k *kept) told(o tree.Options) (reason string, hashed uint64) {
	k.t.Helper()
	tr, stop := k.start(o)
	defer stop()
	agrees(k.t, tr, k.root, "")
	hashed = tr.Stats().HashedInBackground
	_, err := tr.Changes(context.Background(), tree.ChangesQuery{Since: k.follow.cursor})
	var gone *tree.CursorGoneError
	if errors.As(err, &gone) {
		return gone.Reason, hashed
	}
	if err != nil {
		k.t.Fatal(err)
	}
	k.follow.tree = tr
	k.follow.catchUp()
	differences(k.t, "the follower", k.follow.seen, snapshotOf(k.t, k.root))
	return "", hashed
}

func (k *kept) own(name string) string { return filepath.Join(k.root, tree.Reserved, name) }

// files is how many files a kept root has.
const keptFiles = 3 * damageFolders

// writeBack gives a file the bytes of another one and leaves its inode as it is.
func writeBack(t testing.TB, name, from string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(name, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func run(t testing.TB, command string, words ...string) {
	t.Helper()
	if out, err := exec.Command(command, words...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v: %s", command, words, err, out)
	}
}

// TestKeptFilesExchanged puts other files in the place of the cache and of the state while no server runs.
func TestKeptFilesExchanged(t *testing.T) {
	for _, tt := range []struct {
		name   string
		before func(k *kept) // what is put aside, before the last run of the server
		after  func(k *kept)
		reason string // what is said of a cursor from before
		hashed int    // files at least
	}{
		{
			"another_roots_cache", func(*kept) {},
			func(k *kept) {
				other := keptTree(k.t)
				write(k.t, other.root, "theirs", "only")
				other.right()
				writeBack(k.t, k.cache(), other.cache())
			}, "", keptFiles,
		},
		{
			"an_older_cache",
			func(k *kept) { writeBack(k.t, k.own("aside"), k.cache()) },
			func(k *kept) { writeBack(k.t, k.cache(), k.own("aside")) }, "", 0,
		},
		{
			"a_state_that_was_written_back_in_place",
			func(k *kept) { writeBack(k.t, k.own("aside"), k.own("state.db")) },
			func(k *kept) { writeBack(k.t, k.own("state.db"), k.own("aside")) }, tree.GoneEpoch, 0,
		},
		{
			"a_state_from_a_backup",
			func(k *kept) { writeBack(k.t, k.own("aside"), k.own("state.db")) },
			func(k *kept) { run(k.t, "mv", k.own("aside"), k.own("state.db")) }, tree.GoneEpoch, 0,
		},
		{
			"no_state", func(*kept) {},
			func(k *kept) { run(k.t, "rm", k.own("state.db")) }, tree.GoneEpoch, 0,
		},
		{
			"nothing_kept", func(*kept) {},
			func(k *kept) { run(k.t, "rm", "-r", k.own("")) }, tree.GoneEpoch, keptFiles,
		},
		{
			"a_cache_that_is_a_folder", func(*kept) {},
			func(k *kept) { run(k.t, "rm", k.cache()); run(k.t, "mkdir", "-p", k.cache()+"/x") }, "", keptFiles,
		},
		{
			"a_copy_of_all_that_is_served", func(*kept) {},
			func(k *kept) {
				copied := filepath.Join(k.t.TempDir(), "copy")
				run(k.t, "cp", "-a", k.root, copied)
				k.root = copied
			}, tree.GoneEpoch, keptFiles,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(1, 2))
			k := keptTree(t)
			tt.before(k)
			write(t, k.root, "known to the cache", "x")
			k.change(r)
			k.right()
			tt.after(k)
			removeAll(t, k.root, "known to the cache")
			k.change(r)
			reason, hashed := k.told(tree.Options{})
			if reason != tt.reason {
				t.Errorf("said of the cursor: %q", reason)
			}
			if int(hashed) < tt.hashed || tt.hashed == 0 && hashed > 20 {
				t.Errorf("hashed %d files, at least %d have to be", hashed, tt.hashed)
			}
		})
	}
}

// TestSameInodesElsewhere serves filesystems whose files have the same inode numbers, with each other's caches.
func TestSameInodesElsewhere(t *testing.T) {
	if !inSandbox(t) {
		return
	}
	for _, tt := range []struct{ name, first, second string }{
		{"other_filesystems", "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"},
		{"filesystems_of_one_name", "33333333-3333-3333-3333-333333333333", "33333333-3333-3333-3333-333333333333"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var roots []*kept
			for _, id := range []string{tt.first, tt.second} {
				k := &kept{t: t, root: mountExt4(t, "-U", id)}
				for i := range 20 {
					write(t, k.root, fmt.Sprint("file ", i), fmt.Sprintf("%s %02d", id[:1], i))
				}
				tr, stop := k.start(tree.Options{})
				k.follow = follow(t, tr)
				stop()
				roots = append(roots, k)
			}
			a, b := roots[0], roots[1]
			if inode(t, a, "file 7") != inode(t, b, "file 7") {
				t.Fatal("the inodes are not the same")
			}
			write(t, b.root, "file 3", "b 03")
			writeBack(t, b.cache(), a.cache())
			if _, hashed := b.told(tree.Options{}); hashed < 20 {
				t.Errorf("hashed %d files", hashed)
			}
		})
	}
}

func inode(t testing.TB, k *kept, name string) uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(filepath.Join(k.root, name), &st); err != nil {
		t.Fatal(err)
	}
	return st.Ino
}

// TestCacheOnFullDisk fills the disk so that the cache cannot be written, and then changes what it knows.
func TestCacheOnFullDisk(t *testing.T) {
	if !inSandbox(t) {
		return
	}
	k := &kept{t: t, root: mountTmpfs(t, filepath.Join(memoryFolder(t), "root"), "size=4m")}
	for i := range 200 {
		write(t, k.root, fmt.Sprintf("%03d%s", i, strings.Repeat("x", 100)), fmt.Sprint(i))
	}
	tr, stop := k.start(tree.Options{})
	k.follow = follow(t, tr)
	stop()
	var log bytes.Buffer
	tr, stop = k.start(tree.Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	agrees(t, tr, k.root, "")
	free := fill(t, k.root, 0)
	for i := range 200 { // a larger cache, and a longer feed, without more bytes of files
		name := filepath.Join(k.root, fmt.Sprintf("%03d%s", i, strings.Repeat("x", 100)))
		if err := os.Rename(name, filepath.Join(k.root, fmt.Sprintf("%03d%s", i, strings.Repeat("y", 200)))); err != nil {
			t.Fatal(err)
		}
	}
	agrees(t, tr, k.root, "")
	k.follow.tree = tr
	k.follow.catchUp()
	time.Sleep(50 * time.Millisecond) // several tries to save
	free()
	agrees(t, tr, k.root, "")
	stop()
	if !strings.Contains(log.String(), "the cache of digests failed") && !strings.Contains(log.String(), "digests are not kept") {
		t.Errorf("the disk was not full enough: %s", log.String())
	}
	removeAll(t, k.root, fmt.Sprintf("%03d%s", 7, strings.Repeat("y", 200)))
	if reason, _ := k.told(tree.Options{}); reason != "" {
		t.Errorf("said of the cursor: %q", reason)
	}
}

// TestReadersOfOneState serves a root by several servers that only read, with one folder for what they keep, and by one that
// writes.
func TestReadersOfOneState(t *testing.T) {
	k := keptTree(t)
	state := filepath.Join(t.TempDir(), "state")
	first := openAt(t, k.root, tree.Options{State: state})
	second := openAt(t, k.root, tree.Options{State: state})
	writing, stop := k.start(tree.Options{})
	for i := range 3 {
		write(t, k.root, "changing", fmt.Sprint(i))
		for _, tr := range []*tree.Tree{first, second, writing} {
			agrees(t, tr, k.root, "")
		}
	}
	start := first.Cursor()
	if _, err := second.Changes(context.Background(), tree.ChangesQuery{Since: start}); err == nil {
		t.Error("the second server follows a cursor of the first")
	}
	stop()
	k.change(rand.New(rand.NewPCG(3, 4)))
	agrees(t, first, k.root, "")
	agrees(t, openAt(t, k.root, tree.Options{}), k.root, "") // one that keeps nothing
	k.right()
}

// TestCacheUnreadable takes the permission to read the cache away from a server that is not root.
func TestCacheUnreadable(t *testing.T) {
	if !asContainer(t, 1000) {
		return
	}
	root := t.TempDir()
	needDisk(t, root)
	world{"a": "one", "d": "/", "d/b": "two", "c": "three"}.make(t, root)
	s := serve(t, root, fast)
	m := newMirror(t, s)
	s.awaitSaved()
	s.stop()
	cache := filepath.Join(root, tree.Reserved, "cache.db")
	for _, mode := range []os.FileMode{0, 0o400, 0o600} {
		if err := os.Chmod(cache, mode); err != nil {
			t.Fatal(err)
		}
		removeAll(t, root, "c")
		write(t, root, "d/b", fmt.Sprint(mode))
		s = serve(t, root, fast)
		s.shows(root)
		m.follows(s, root)
		write(t, root, "c", fmt.Sprint(mode))
		m.follows(s, root)
		s.stop()
	}
}
