//go:build linux

package tree_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
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

const mib = 1 << 20

// open4MiB serves an empty filesystem of 4 MiB that holds the file "old".
func open4MiB(t *testing.T, options string, o tree.Options) (*tree.Tree, string) {
	t.Helper()
	root := mountTmpfs(t, filepath.Join(memoryFolder(t), "root"), "size=4m,"+options)
	o.Write = true
	tr := openAt(t, root, o)
	if _, err := put(t, tr, "old", "old bytes", nil); err != nil {
		t.Fatal(err)
	}
	agrees(t, tr, root, "") // the first look at the tree is over, which makes the databases
	return tr, root
}

// settleIdle ends the quarantine when nothing is being hashed: what is removed meanwhile would give no space back.
func settleIdle(t *testing.T, tr *tree.Tree, root string) {
	t.Helper()
	agrees(t, tr, root, "")
	tr.SettleNow()
}

// fill takes all space of the filesystem but about leave bytes, and returns how to give it back, which happens in any case
// before the tree is closed. The tree itself may take some at the same time.
func fill(t *testing.T, root string, leave int64) (free func()) {
	t.Helper()
	var st unix.Statfs_t
	if err := unix.Statfs(root, &st); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(root, "ballast")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	t.Cleanup(func() { _ = os.Remove(name) })
	size := int64(0)
	for page := make([]byte, st.Bsize); err == nil; size += st.Bsize {
		_, err = f.Write(page)
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	if err := f.Truncate(size - st.Bsize - leave); err != nil {
		t.Fatal(err)
	}
	return func() {
		// The space is given back when nobody has the file open any more: the tree may be hashing it.
		_ = os.Remove(name)
		for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
			var now unix.Statfs_t
			if err := unix.Statfs(root, &now); err == nil && int64(now.Bavail)*now.Bsize+mib/4 >= int64(st.Bavail)*st.Bsize {
				return
			}
		}
		t.Error("the space does not come back")
	}
}

// putSized is put for size bytes, announced or not.
func putSized(t *testing.T, tr *tree.Tree, name string, size int, announced bool) error {
	t.Helper()
	expected := int64(-1)
	if announced {
		expected = int64(size)
	}
	s, err := tr.Stage(context.Background(), at(t, name), expected)
	if err != nil {
		return err
	}
	chunk := bytes.Repeat(binary.NativeEndian.AppendUint64(nil, rand.Uint64()), 8<<10) // no two uploads are the same
	for left := size; left > 0; left -= len(chunk) {
		if _, err := s.Write(chunk[:min(left, len(chunk))]); err != nil {
			s.Discard()
			return err
		}
	}
	_, err = tr.Commit(context.Background(), at(t, name), s, tree.Change{})
	return err
}

// checkUsable makes sure that a tree that ran out of something has lost nothing and goes on.
func checkUsable(t *testing.T, tr *tree.Tree) {
	t.Helper()
	if body, err := get(t, tr, "old"); body != "old bytes" || err != nil {
		t.Errorf("the old bytes: %q, %v", body, err)
	}
	if _, err := tr.List(context.Background(), tree.Path{}); err != nil {
		t.Errorf("list: %v", err)
	}
	if s := tr.Stats(); s.StagedUploads != 0 || s.StagedBytes != 0 {
		t.Errorf("%d uploads of %d bytes are still counted", s.StagedUploads, s.StagedBytes)
	}
}

func TestDiskFull(t *testing.T) {
	if !inSandbox(t) {
		return
	}
	for _, announced := range []bool{true, false} {
		t.Run(fmt.Sprintf("upload_announced_%v", announced), func(t *testing.T) { fillByUpload(t, announced) })
		t.Run(fmt.Sprintf("versions_make_room_announced_%v", announced), func(t *testing.T) { versionsMakeRoom(t, announced) })
	}
	t.Run("versions_do_not_go_in_vain", versionsDoNotGoInVain)
	t.Run("versions_do_not_go_for_an_announcement", versionsOutliveAnnouncement)
	t.Run("folder_copy", copyFolderOnFullDisk)
	t.Run("no_inodes", noInodes)
	t.Run("no_inodes_for_a_folder_copy", noInodesForFolderCopy)
	t.Run("on_a_mount", fullMount)
}

func fillByUpload(t *testing.T, announced bool) {
	tr, root := open4MiB(t, "", tree.Options{})
	free := fill(t, root, 256<<10)
	if err := putSized(t, tr, "new", mib, announced); !errors.Is(err, tree.ErrNoSpace) {
		t.Errorf("create: %v", err)
	}
	if err := putSized(t, tr, "old", mib, announced); !errors.Is(err, tree.ErrNoSpace) {
		t.Errorf("replace: %v", err)
	}
	checkUsable(t, tr)
	if _, err := put(t, tr, "small", "fits", nil); err != nil {
		t.Errorf("what fits: %v", err)
	}
	free()
	if err := putSized(t, tr, "new", mib, announced); err != nil {
		t.Errorf("once there is space: %v", err)
	}
}

func versionsMakeRoom(t *testing.T, announced bool) {
	tr, root := open4MiB(t, "", tree.Options{VersionsBytesMax: 4 * mib})
	for range 3 {
		if err := putSized(t, tr, "file", mib, announced); err != nil {
			t.Fatal(err)
		}
	}
	if err := putSized(t, tr, "more", mib+mib/2, announced); !errors.Is(err, tree.ErrNoSpace) {
		t.Errorf("while the versions are in quarantine: %v", err)
	}
	settleIdle(t, tr, root)
	if s := tr.Stats(); s.VersionsFiles != 2 {
		t.Fatalf("%d versions", s.VersionsFiles)
	}
	if err := putSized(t, tr, "more", mib+mib/2, announced); err != nil {
		t.Errorf("with versions that can go: %v", err)
	}
	if s := tr.Stats(); s.VersionsFiles != 1 {
		t.Errorf("%d versions are left, one had to go", s.VersionsFiles)
	}
	checkUsable(t, tr)
}

func versionsDoNotGoInVain(t *testing.T) {
	tr, root := open4MiB(t, "", tree.Options{VersionsBytesMax: 4 * mib, StageBytesMax: 16 * mib})
	for range 2 {
		if err := putSized(t, tr, "file", mib, true); err != nil {
			t.Fatal(err)
		}
	}
	settleIdle(t, tr, root)
	fill(t, root, 0)
	if err := putSized(t, tr, "more", 8*mib, true); !errors.Is(err, tree.ErrNoSpace) {
		t.Errorf("more than there can be: %v", err)
	}
	if s := tr.Stats(); s.VersionsFiles != 1 {
		t.Errorf("%d versions are left", s.VersionsFiles)
	}
	checkUsable(t, tr)
}

func versionsOutliveAnnouncement(t *testing.T) {
	tr, root := open4MiB(t, "", tree.Options{VersionsBytesMax: 4 * mib})
	for range 3 {
		if err := putSized(t, tr, "file", mib, true); err != nil {
			t.Fatal(err)
		}
	}
	settleIdle(t, tr, root)
	s, err := tr.Stage(context.Background(), at(t, "more"), mib+mib/2)
	if err != nil {
		t.Fatalf("what would fit once versions went: %v", err)
	}
	s.Discard()
	if s := tr.Stats(); s.VersionsFiles != 2 {
		t.Errorf("%d versions are left of 2, for bytes that never came", s.VersionsFiles)
	}
}

func copyFolderOnFullDisk(t *testing.T) {
	tr, root := open4MiB(t, "", tree.Options{VersionsBytesMax: 4 * mib})
	if _, err := tr.Mkdir(context.Background(), at(t, "d"), tree.Change{}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := putSized(t, tr, "d/file", mib, true); err != nil {
			t.Fatal(err)
		}
	}
	free := fill(t, root, 256<<10)
	if _, err := tr.Copy(context.Background(), at(t, "d"), at(t, "e"), tree.Transfer{}); !errors.Is(err, tree.ErrNoSpace) {
		t.Errorf("while the version is in quarantine: %v", err)
	}
	settleIdle(t, tr, root)
	if _, err := tr.Copy(context.Background(), at(t, "d"), at(t, "e"), tree.Transfer{}); err != nil {
		t.Errorf("with a version that can go: %v", err)
	}
	free()
	checkUsable(t, tr)
}

// takeInodes makes files until the filesystem has room for none.
func takeInodes(root string) {
	for i := 0; os.WriteFile(filepath.Join(root, fmt.Sprint("ballast", i)), nil, 0o600) == nil; i++ {
	}
}

func noInodes(t *testing.T) {
	tr, root := open4MiB(t, "nr_inodes=40", tree.Options{VersionsBytesMax: 4 * mib})
	if _, err := put(t, tr, "file", "one", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := put(t, tr, "file", "two", nil); err != nil {
		t.Fatal(err)
	}
	takeInodes(root)
	if _, err := put(t, tr, "new", "x", nil); !errors.Is(err, tree.ErrNoSpace) {
		t.Errorf("create: %v", err)
	}
	if _, err := tr.Mkdir(context.Background(), at(t, "d"), tree.Change{}); !errors.Is(err, tree.ErrNoSpace) {
		t.Errorf("mkdir: %v", err)
	}
	settleIdle(t, tr, root)
	if _, err := put(t, tr, "new", "x", nil); err != nil {
		t.Errorf("create with a version that can go: %v", err)
	}
	checkUsable(t, tr)
}

func noInodesForFolderCopy(t *testing.T) {
	tr, root := open4MiB(t, "nr_inodes=60", tree.Options{VersionsBytesMax: 4 * mib})
	if err := errors.Join(os.Mkdir(filepath.Join(root, "d"), 0o755), os.Symlink("x", filepath.Join(root, "d/l"))); err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{"one", "two", "three", "four", "five"} {
		if _, err := put(t, tr, "d/file", body, nil); err != nil {
			t.Fatal(err)
		}
	}
	settleIdle(t, tr, root)
	takeInodes(root)
	if _, err := tr.Copy(context.Background(), at(t, "d"), at(t, "e"), tree.Transfer{}); err != nil {
		t.Errorf("with versions that can go: %v", err)
	}
	checkUsable(t, tr)
}

func fullMount(t *testing.T) {
	tr, root := open4MiB(t, "", tree.Options{VersionsBytesMax: 4 * mib})
	mount := mountTmpfs(t, filepath.Join(root, "m"), "size=4m,nr_inodes=40")
	for range 3 {
		if err := putSized(t, tr, "m/file", mib, true); err != nil {
			t.Fatal(err)
		}
	}
	settleIdle(t, tr, root)
	free := fill(t, mount, 0)
	if err := putSized(t, tr, "m/more", mib/2, false); err != nil {
		t.Errorf("with versions that can go: %v", err)
	}
	free()
	takeInodes(mount)
	if _, err := tr.Mkdir(context.Background(), at(t, "m/d"), tree.Change{}); err != nil {
		t.Errorf("a folder with versions that can go: %v", err)
	}
	checkUsable(t, tr)
	checkStateFolder(t, mount)
}

// TestReadOnlyDisk lets the disk become read-only under a server, as ext4 does when it finds itself damaged.
func TestReadOnlyDisk(t *testing.T) {
	if !inSandbox(t) {
		return
	}
	root := mountExt4(t, "-e", "remount-ro")
	tr, err := tree.New(root, tree.Options{Write: true, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	stop := running(t, tr)
	if _, err := put(t, tr, "old", "old bytes", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := tr.Mkdir(context.Background(), at(t, "d"), tree.Change{}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("", root, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); !errors.Is(err, unix.EBUSY) {
		t.Fatalf("remount read-only under a server that writes: %v", err)
	}
	becomeReadOnly(t, root)
	before := stateOf(t, root, false)
	for name, err := range eachChange(t, tr) {
		if !errors.Is(err, tree.ErrReadOnly) {
			t.Errorf("%s: %v", name, err)
		}
	}
	checkUsable(t, tr)
	agrees(t, tr, root, "")
	if !maps.Equal(stateOf(t, root, false), before) {
		t.Error("something was changed")
	}
	openAt(t, root, tree.Options{})
	if err := stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
	// What cannot be written down at the end is told, and not taken for written.
	if err := tr.Close(); err == nil {
		t.Error("closed as if all was on disk")
	}
}

// running runs a tree until stop is called.
func running(t *testing.T, tr *tree.Tree) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- tr.Run(ctx) }()
	return func() error {
		cancel()
		return <-ended
	}
}

// becomeReadOnly lets the ext4 filesystem on a loop device believe that it is damaged.
func becomeReadOnly(t *testing.T, root string) {
	t.Helper()
	device, err := exec.Command("findmnt", "-n", "-o", "SOURCE", root).Output()
	if err != nil {
		without(t, err)
	}
	name := filepath.Join("/sys/fs/ext4", filepath.Base(strings.TrimSpace(string(device))), "trigger_fs_error")
	if err := os.WriteFile(name, []byte("1"), 0); err != nil {
		t.Skipf("no error can be made: %v", err)
	}
}

// TestReadOnlyDiskAtStart makes sure that a server that is to write says at once that it cannot.
func TestReadOnlyDiskAtStart(t *testing.T) {
	if !inSandbox(t) {
		return
	}
	for _, served := range []bool{false, true} {
		root := mountTmpfs(t, filepath.Join(memoryFolder(t), "root"), "size=1m")
		if served {
			tr, err := tree.New(root, tree.Options{Write: true})
			if err != nil {
				t.Fatal(err)
			}
			if err := tr.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if err := unix.Mount("", root, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
			t.Fatal(err)
		}
		if _, err := tree.New(root, tree.Options{Write: true}); !errors.Is(err, tree.ErrReadOnly) {
			t.Errorf("a tree to be written, that was one before %v: %v", served, err)
		}
		openAt(t, root, tree.Options{})
	}
}

// eachChange tries every kind of change on a tree that has the file "old" and the folder "d", and yields the outcomes.
func eachChange(t *testing.T, tr *tree.Tree) func(yield func(string, error) bool) {
	ctx := context.Background()
	_, create := put(t, tr, "d/new", "new", nil)
	_, replace := put(t, tr, "old", "old bytes", nil)
	_, mkdir := tr.Mkdir(ctx, at(t, "d/folder"), tree.Change{})
	_, copied := tr.Copy(ctx, at(t, "old"), at(t, "d/copy"), tree.Transfer{})
	_, copiedFolder := tr.Copy(ctx, at(t, "d"), at(t, "d2"), tree.Transfer{})
	_, moved := tr.Move(ctx, at(t, "old"), at(t, "d/moved"), tree.Transfer{})
	if moved == nil {
		_, moved = tr.Move(ctx, at(t, "d/moved"), at(t, "old"), tree.Transfer{})
	}
	_, movedFolder := tr.Move(ctx, at(t, "d"), at(t, "d3"), tree.Transfer{})
	name := "d"
	if movedFolder == nil {
		name = "d3"
	}
	_, removed := tr.Remove(ctx, at(t, name), tree.Change{})
	return maps.All(map[string]error{
		"create": create, "replace": replace, "mkdir": mkdir, "copy": copied, "copy folder": copiedFolder, "move": moved,
		"move folder": movedFolder, "remove": removed,
	})
}

// TestRootGone removes the served folder under the server.
func TestRootGone(t *testing.T) {
	for _, again := range []bool{false, true} {
		t.Run(fmt.Sprintf("made_again_%v", again), func(t *testing.T) {
			root := filepath.Join(t.TempDir(), "root")
			if err := os.Mkdir(root, 0o755); err != nil {
				t.Fatal(err)
			}
			tr := openAt(t, root, tree.Options{Write: true, Log: slog.New(slog.DiscardHandler)})
			if _, err := put(t, tr, "old", "old bytes", nil); err != nil {
				t.Fatal(err)
			}
			staged, err := tr.Stage(context.Background(), at(t, "late"), 4)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.RemoveAll(root); err != nil {
				t.Fatal(err)
			}
			if again {
				if err := os.Mkdir(root, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			_, statRoot := tr.Stat(context.Background(), tree.Path{})
			_, stat := tr.Stat(context.Background(), at(t, "old"))
			_, opened := get(t, tr, "old")
			_, deep := get(t, tr, "no/such/file")
			_, list := tr.List(context.Background(), tree.Path{})
			_, commit := tr.Commit(context.Background(), at(t, "late"), staged, tree.Change{})
			outcomes := map[string]error{
				"stat root": statRoot, "stat": stat, "open": opened, "open deep": deep, "list": list, "commit": commit,
			}
			maps.Insert(outcomes, eachChange(t, tr))
			for name, err := range outcomes {
				if !errors.Is(err, tree.ErrRootGone) {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
}

// TestFolderChangesBeforeCommit has the folder of an upload go or become something else while its body arrives.
func TestFolderChangesBeforeCommit(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(folder string) error
		err    error
		lands  string // below the root
	}{
		{"nothing", func(string) error { return nil }, nil, "d/e/new"},
		{"removed", os.RemoveAll, tree.ErrNoParent, ""},
		{"renamed", func(d string) error { return os.Rename(d, d+"2") }, tree.ErrNoParent, ""},
		{"parent_renamed", func(d string) error { return os.Rename(filepath.Dir(d), filepath.Dir(d)+"2") }, tree.ErrNoParent, ""},
		{"replaced", func(d string) error { return errors.Join(os.Rename(d, d+"2"), os.Mkdir(d, 0o755)) }, nil, "d/e/new"},
		{"removed_and_made_again", func(d string) error { return errors.Join(os.RemoveAll(d), os.Mkdir(d, 0o755)) },
			nil, "d/e/new"},
		{"became_a_file", func(d string) error { return errors.Join(os.RemoveAll(d), os.WriteFile(d, nil, 0o644)) },
			tree.ErrNoParent, ""},
		{"became_a_link_inside", func(d string) error { return errors.Join(os.Rename(d, d+"2"), os.Symlink("e2", d)) },
			nil, "d/e2/new"},
		{"became_a_link_out", func(d string) error { return errors.Join(os.Rename(d, d+"2"), os.Symlink("../../..", d)) },
			tree.ErrOutside, ""},
		{"target_became_a_folder", func(d string) error { return os.Mkdir(filepath.Join(d, "new"), 0o755) }, tree.ErrIsFolder, ""},
		{"target_appeared", func(d string) error { return os.WriteFile(filepath.Join(d, "new"), []byte("local"), 0o644) },
			nil, "d/e/new"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tr, root := open(t, tree.Options{Write: true})
			if err := os.MkdirAll(filepath.Join(root, "d/e"), 0o755); err != nil {
				t.Fatal(err)
			}
			s, err := tr.Stage(context.Background(), at(t, "d/e/new"), 4)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Write([]byte("body")); err != nil {
				t.Fatal(err)
			}
			if err := tt.change(filepath.Join(root, "d/e")); err != nil {
				t.Fatal(err)
			}
			before := servedState(t, root)
			if _, err := tr.Commit(context.Background(), at(t, "d/e/new"), s, tree.Change{}); !errors.Is(err, tt.err) {
				t.Errorf("error %v, want %v", err, tt.err)
			}
			if tt.lands != "" {
				before[tt.lands] = "=body"
			}
			if got := servedState(t, root); !maps.Equal(got, before) {
				t.Errorf("on disk: %v\nwant:    %v", got, before)
			}
			if n := tr.Stats().StagedUploads; n != 0 {
				t.Errorf("%d uploads are still counted", n)
			}
		})
	}
}

// TestLongPathsWhereLinksAreShort replaces and removes files by long paths on a filesystem whose links hold less than such a
// path.
func TestLongPathsWhereLinksAreShort(t *testing.T) {
	if !inSandbox(t) {
		return
	}
	root := mountExt4(t, "-b", "1024")
	tr := openAt(t, root, tree.Options{Write: true})
	name := "d"
	for range 8 {
		if _, err := tr.Mkdir(context.Background(), at(t, name), tree.Change{}); err != nil {
			t.Fatal(err)
		}
		name += "/" + strings.Repeat("d", 200)
	}
	for _, body := range []string{"one", "two"} {
		if _, err := put(t, tr, name, body, nil); err != nil {
			t.Fatalf("put %s: %v", body, err)
		}
	}
	if _, err := tr.Remove(context.Background(), at(t, name), tree.Change{Guard: ifMatch("two")}); err != nil {
		t.Errorf("remove: %v", err)
	}
	settleIdle(t, tr, root)
	if n := tr.Stats().VersionsFiles; n != 2 {
		t.Errorf("%d versions", n)
	}
}
