//go:build linux

package tree_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"freshet/fileserver/tree"
)

// TestRootReplaced takes the served folder away under a server in every way. What it says then is that the root is gone, or
// what is true of the folder that it served.
func TestRootReplaced(t *testing.T) {
	if !inSandbox(t) {
		return
	}
	for _, tt := range []struct {
		name  string
		do    func(root string) error
		where string // the folder that was served is there now; "": nowhere
	}{
		{"renamed", func(root string) error { return os.Rename(root, root+" aside") }, " aside"},
		{"renamed_and_made_again", func(root string) error {
			return errors.Join(os.Rename(root, root+" aside"), os.Mkdir(root, 0o755),
				os.WriteFile(filepath.Join(root, "other"), []byte("other"), 0o644))
		}, " aside"},
		{"exchanged", func(root string) error {
			return errors.Join(os.Mkdir(root+" aside", 0o755),
				unix.Renameat2(unix.AT_FDCWD, root, unix.AT_FDCWD, root+" aside", unix.RENAME_EXCHANGE))
		}, " aside"},
		{"removed", os.RemoveAll, ""},
		{"covered_by_a_mount", func(root string) error { return unix.Mount("tmpfs", root, "tmpfs", 0, "") }, ""},
		{"unmounted_lazily", func(root string) error { return unix.Unmount(root, unix.MNT_DETACH) }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			base := memoryFolder(t)
			root := filepath.Join(base, "root")
			if err := os.Mkdir(root, 0o755); err != nil {
				t.Fatal(err)
			}
			if tt.name == "unmounted_lazily" {
				mountTmpfs(t, root, "size=8m")
			}
			world{"a": "one", "d": "/", "d/b": "two"}.make(t, root)
			tr, err := tree.New(root, tree.Options{Write: true, Log: quiet})
			if err != nil {
				t.Fatal(err)
			}
			stop := running(t, tr)
			agrees(t, tr, root, "")
			start := tr.Cursor()
			if err := tt.do(root); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				if tt.where != "" {
					write(t, root+tt.where, "a", "changed since")
				}
				goneOrRight(t, tr, root+tt.where, tt.where != "", start)
				time.Sleep(20 * time.Millisecond)
			}
			if err := stop(); err != nil && !errors.Is(err, tree.ErrRootGone) {
				t.Errorf("Run: %v", err)
			}
			_ = tr.Close() // what was not on disk yet may have no place to go
		})
	}
}

// goneOrRight asks everything there is to ask.
func goneOrRight(t *testing.T, tr *tree.Tree, where string, there bool, since tree.Cursor) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	f, _, err := tr.Folder(ctx, tree.Path{})
	switch {
	case err == nil && !there:
		t.Errorf("the root has the fingerprint %s and %d entries", f.Subtree, f.Len())
	case err == nil && f.Subtree != diskFingerprint(t, where) && !f.Subtree.IsZero():
		t.Errorf("the root has the fingerprint %s, on disk it is %s", f.Subtree, diskFingerprint(t, where))
	}
	_, below := tr.SurveyBelow(ctx, tree.Path{}, -1)
	_, deep := tr.Survey(ctx, []tree.Path{at(t, "d")})
	_, changes := tr.Changes(ctx, tree.ChangesQuery{Since: since, Wait: time.Millisecond})
	_, fileErr := tr.Stat(ctx, at(t, "a"))
	for what, err := range map[string]error{"folder": err, "survey": below, "survey of d": deep, "changes": changes, "stat": fileErr} {
		if err != nil && !errors.Is(err, tree.ErrRootGone) && !(what == "stat" && errors.Is(err, tree.ErrNotExist)) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestMountsUnderFolders mounts filesystems on folders of a served tree, and unmounts them: each time the tree is what is to be
// seen there now, also when one filesystem takes the place of another whose root has the same inode number.
func TestMountsUnderFolders(t *testing.T) {
	if !inSandbox(t) {
		return
	}
	root := filepath.Join(memoryFolder(t), "root")
	world{".": "/", "d": "/", "d/a": "below", "d/sub": "/", "d/sub/x": "y", "e": "/", "e/f": "bound"}.make(t, root)
	tr := openAt(t, root, tree.Options{Write: true, Log: quiet})
	agrees(t, tr, root, "")
	f := follow(t, tr)
	path := func(name string) string { return filepath.Join(root, name) }
	tmpfs := func(name string, w world) func() error {
		return func() error {
			return errors.Join(unix.Mount("tmpfs", path(name), "tmpfs", 0, "size=4m"), w.build(path(name)))
		}
	}
	unmount := func(name string) func() error {
		return func() error { return unix.Unmount(path(name), unix.MNT_DETACH) }
	}
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"mount", tmpfs("d", world{"a": "above", "new": "/", "new/n": "1"})},
		{"write_on_the_mount", func() error { return os.WriteFile(path("d/new/n"), []byte("2"), 0o644) }},
		{"another_in_its_place", func() error {
			return errors.Join(unmount("d")(), tmpfs("d", world{"a": "above", "new": "/", "new/n": "3"})())
		}},
		{"write_on_the_second", func() error { return os.WriteFile(path("d/new/m"), []byte("4"), 0o644) }},
		{"one_over_the_other", tmpfs("d", world{"a": "third"})},
		{"the_upper_goes", unmount("d")},
		{"unmount", unmount("d")},
		{"write_below", func() error { return os.WriteFile(path("d/sub/x"), []byte("z"), 0o644) }},
		{"bind", func() error { return unix.Mount(path("e"), path("d/sub"), "", unix.MS_BIND, "") }},
		{"write_through_the_first_path", func() error { return os.WriteFile(path("e/f"), []byte("changed"), 0o644) }},
		{"write_through_the_second", func() error { return os.WriteFile(path("d/sub/g"), []byte("made"), 0o644) }},
		{"unbind", unmount("d/sub")},
		{"mount_deep", tmpfs("d/sub", world{"deep": "1"})},
		{"rename_above_it", func() error { return os.Rename(path("d"), path("d moved")) }},
		{"write_below_a_moved_mount", func() error { return os.WriteFile(path("d moved/sub/deep"), []byte("2"), 0o644) }},
		{"unmount_deep", unmount("d moved/sub")},
	} {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		t.Run(step.name, func(t *testing.T) {
			agrees(t, tr, root, "")
			f.catchUp()
			differences(t, "the follower", f.seen, snapshotOf(t, root))
		})
		if t.Failed() {
			return
		}
	}
}
