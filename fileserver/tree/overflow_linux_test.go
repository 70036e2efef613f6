//go:build linux

package tree_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"freshet/fileserver/tree"
)

const overflowChanges = 100_000

// TestStoppedThroughOverflow stops a server while local programs make more changes than the kernel tells of, large and small
// ones, and lets it go on: its first answer is right, and a cursor from before leads to all of them.
func TestStoppedThroughOverflow(t *testing.T) {
	root := memoryDir(t)
	path := func(name string) string { return filepath.Join(root, name) }
	for i := range 100 {
		if err := os.MkdirAll(path(fmt.Sprintf("d%d/sub", i%10)), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, root, fmt.Sprintf("d%d/f%d", i%10, i), "before")
	}
	world{"gone": "/", "gone/a": "1", "renamed": "/", "renamed/a": "2", "l": "-> gone"}.make(t, root)
	s := serve(t, root, plan{Write: true})
	m := newMirror(t, s)
	if err := s.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for i := range overflowChanges {
		if err := os.Truncate(path(fmt.Sprintf("d%d/f%d", i%10, i%100)), int64(i%17)); err != nil {
			t.Fatal(err)
		}
	}
	err := errors.Join(
		os.RemoveAll(path("gone")), os.Rename(path("renamed"), path("d3/sub/moved")), os.MkdirAll(path("new/a/b/c"), 0o755),
		os.Remove(path("l")), os.Symlink("new", path("l")), os.Rename(path("d1"), path("d1 aside")), os.Mkdir(path("d1"), 0o755),
		os.Remove(path("d2/f2")), os.Mkdir(path("d2/f2"), 0o755), os.Chmod(path("d4/f4"), 0o755),
		unix.Renameat2(unix.AT_FDCWD, path("d5"), unix.AT_FDCWD, path("d6/sub"), unix.RENAME_EXCHANGE),
	)
	if err != nil {
		t.Fatal(err)
	}
	write(t, root, "new/a/b/c/deep", "after")
	time.AfterFunc(50*time.Millisecond, func() { _ = s.cmd.Process.Signal(syscall.SIGCONT) })
	s.shows(root)
	m.follows(s, root)
	if n := s.must(question{Do: "stats"}).Stats.WatchOverflows; n == 0 {
		t.Error("the kernel has told of everything")
	}
	for _, name := range []string{"d6/sub/f15", "d5/new", "d1 aside/f11", "new/a/b/c/deep", "d3/sub/moved/a"} {
		write(t, root, name, "later")
		s.shows(root)
	}
	s.kill()
}

// asContainer runs the test in a process with a user namespace of its own, in which it is the user uid. Only user 0 may do
// there what root may.
func asContainer(t *testing.T, uid int) bool {
	t.Helper()
	return inProcess(t, &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: uid, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: uid, HostID: os.Getgid(), Size: 1}},
	})
}

// limitWatches lets this process's user namespace watch n folders.
func limitWatches(t *testing.T, n int) {
	t.Helper()
	if err := os.WriteFile("/proc/sys/user/max_inotify_watches", fmt.Append(nil, n), 0o644); err != nil {
		t.Skipf("the limit cannot be set: %v", err)
	}
}

// TestWatchLimitExhausted serves more folders than can be watched. Those beyond are looked at by each request; where they are
// too many, nothing is said of what is above them, and never anything wrong.
func TestWatchLimitExhausted(t *testing.T) {
	if !asContainer(t, 0) {
		return
	}
	limitWatches(t, 30)
	root := memoryDir(t)
	for i := range 60 {
		if err := os.MkdirAll(filepath.Join(root, fmt.Sprintf("few/%02d/a", i)), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	tr := openAt(t, root, tree.Options{Write: true, Log: quiet})
	agrees(t, tr, root, "")
	if s := tr.Stats(); s.UnwatchedFolders < 80 {
		t.Errorf("%d folders are not watched", s.UnwatchedFolders)
	}
	f := follow(t, tr)
	for i := range 60 {
		folder := fmt.Sprintf("few/%02d", i)
		write(t, root, folder+"/f", "1")
		write(t, root, folder+"/a/f", "2")
		agrees(t, tr, root, "")
		world{folder + "/new": "/", folder + "/new/deep": "/", folder + "/new/deep/f": "3"}.make(t, root)
		agrees(t, tr, root, "")
		write(t, root, folder+"/new/deep/f", "changed")
		agrees(t, tr, root, []string{"", "few", folder, folder + "/new/deep"}[i%4])
		if err := os.Rename(filepath.Join(root, folder+"/new"), filepath.Join(root, folder+"/a/renamed")); err != nil {
			t.Fatal(err)
		}
		if i%3 == 0 {
			removeAll(t, root, folder+"/a/renamed")
		} else {
			write(t, root, folder+"/a/renamed/deep/f", "again")
		}
		if _, err := put(t, tr, folder+"/a/put", "4", nil); err != nil {
			t.Fatal(err)
		}
		if i%10 == 0 {
			agrees(t, tr, root, "")
			f.catchUp()
			differences(t, "the follower", f.seen, snapshotOf(t, root))
		}
	}
	tooManyUnseen(t, tr, root)
}

// tooManyUnseen makes more folders than requests look at.
func tooManyUnseen(t *testing.T, tr *tree.Tree, root string) {
	for i := range 300 {
		if err := os.MkdirAll(filepath.Join(root, fmt.Sprintf("many/%03d", i)), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 20 {
		write(t, root, fmt.Sprintf("many/%03d/f", i), fmt.Sprint(i))
		neverWrong(t, tr, root, "", "many", "few")
		agrees(t, tr, root, fmt.Sprintf("many/%03d", i))
		agrees(t, tr, root, "few/07")
		s, err := tr.SurveyBelow(context.Background(), tree.Path{}, 1)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range s.Folders {
			neverWrong(t, tr, root, f.Path.String())
		}
	}
	if f, _, err := tr.Folder(context.Background(), at(t, "many")); err != nil || !f.Subtree.IsZero() || f.Len() != 300 {
		t.Errorf("many: %+v, %v", f, err)
	}
	removeAll(t, root, "many")
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		f, _, err := tr.Folder(context.Background(), tree.Path{})
		if err == nil && !f.Subtree.IsZero() {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the root has no fingerprint again: %v", err)
		}
	}
	agrees(t, tr, root, "")
}

// neverWrong holds that folders have the fingerprint that they have on disk, or none.
func neverWrong(t *testing.T, tr *tree.Tree, root string, folders ...string) {
	t.Helper()
	for _, folder := range folders {
		p := tree.Path{}
		if folder != "" {
			p = at(t, folder)
		}
		f, _, err := tr.Folder(context.Background(), p)
		if err != nil {
			t.Fatalf("%q: %v", folder, err)
		}
		if want := diskFingerprint(t, filepath.Join(root, folder)); !f.Subtree.IsZero() && f.Subtree != want {
			t.Fatalf("%q has the fingerprint %s, on disk it is %s", folder, f.Subtree, want)
		}
	}
}

// TestFolderUnreadable takes permissions away under a server that is not root, and gives them back. Nothing is said of what
// cannot be read nor of what is above it; the rest is right.
func TestFolderUnreadable(t *testing.T) {
	if !asContainer(t, 1000) {
		return
	}
	for _, tt := range []struct {
		name  string
		which string
		mode  os.FileMode
		known bool // what was seen before is still true, since changes would be told
	}{
		{"folder", "d/secret", 0, false},
		{"folder_that_can_be_listed", "d/secret", 0o400, true},
		{"folder_that_can_be_entered", "d/secret", 0o100, false},
		{"file", "d/secret/f", 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, early := range []bool{false, true} {
				root := memoryDir(t)
				world{"d": "/", "d/secret": "/", "d/secret/f": "1", "d/secret/g": "/", "d/secret/g/f": "2", "other": "/",
					"other/f": "3"}.make(t, root)
				name := filepath.Join(root, tt.which)
				info, err := os.Stat(name)
				if err != nil {
					t.Fatal(err)
				}
				mode := func(m os.FileMode) {
					t.Helper()
					if err := os.Chmod(name, m); err != nil {
						t.Fatal(err)
					}
				}
				if early {
					mode(tt.mode)
				}
				tr := openAt(t, root, tree.Options{Log: quiet})
				if !early {
					agrees(t, tr, root, "")
					mode(tt.mode)
				}
				unknownAbove(t, tr, root, tt.known && !early)
				write(t, root, "other/f", "changed")
				unknownAbove(t, tr, root, tt.known && !early)
				mode(info.Mode().Perm())
				agrees(t, tr, root, "")
				write(t, root, "d/secret/g/f", "changed")
				agrees(t, tr, root, "")
			}
		})
	}
}

// unknownAbove holds that there is no fingerprint above what cannot be read, unless it is known, and that the rest is right.
func unknownAbove(t *testing.T, tr *tree.Tree, root string, known bool) {
	t.Helper()
	for _, folder := range []string{"", "d"} {
		p := tree.Path{}
		if folder != "" {
			p = at(t, folder)
		}
		f, _, err := tr.Folder(context.Background(), p)
		if err != nil {
			t.Fatalf("%q: %v", folder, err)
		}
		if !f.Subtree.IsZero() && !known {
			t.Errorf("%q has the fingerprint %s, though not all of it can be read", folder, f.Subtree)
		}
		names := map[string]bool{}
		for e := range f.Entries() {
			names[e.Name] = true
		}
		entries, err := os.ReadDir(filepath.Join(root, folder))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if !names[e.Name()] {
				t.Errorf("%q: %s is not listed", folder, e.Name())
			}
		}
	}
	agrees(t, tr, root, "other")
}

// TestFolderUnreadableAtStart starts a server when a folder that it knew may not be read, and gives the permission back when
// something in it has gone: one that follows the feed learns of it.
func TestFolderUnreadableAtStart(t *testing.T) {
	if !asContainer(t, 1000) {
		return
	}
	for _, killed := range []bool{false, true} {
		root := memoryDir(t)
		world{"d": "/", "d/secret": "/", "d/secret/f": "1", "d/secret/g": "/", "d/secret/g/f": "2"}.make(t, root)
		secret := filepath.Join(root, "d/secret")
		s := serve(t, root, fast)
		m := newMirror(t, s)
		s.awaitSaved()
		s.stop()
		if err := os.Chmod(secret, 0); err != nil {
			t.Fatal(err)
		}
		s = serve(t, root, fast)
		if a := s.must(question{Do: "survey"}); !a.Subtree.IsZero() {
			t.Errorf("the root has the fingerprint %s", a.Subtree)
		}
		if !m.catchUp(s) {
			t.Fatal("the server died")
		}
		if killed {
			s.awaitSaved()
			s.kill()
		}
		err := errors.Join(os.Chmod(secret, 0o755), os.Remove(filepath.Join(secret, "f")), os.RemoveAll(filepath.Join(secret, "g")))
		if err != nil {
			t.Fatal(err)
		}
		if killed {
			s = serve(t, root, fast)
		}
		s.shows(root)
		m.agrees(s, root)
		s.stop()
	}
}
