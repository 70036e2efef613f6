//go:build linux

package tree_test

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"freshet/fileserver/tree"
)

// TestMountedBelow changes what is on another filesystem that is mounted below the root, or on a part of the same one that is
// bound there: the server's own folder is at its top, shows through no door, and what crosses over is told.
func TestMountedBelow(t *testing.T) {
	if !inSandbox(t) {
		return
	}
	ctx := context.Background()
	for name, mount := range map[string]func(t *testing.T, root, m string){
		"another_filesystem": func(t *testing.T, _, m string) { mountTmpfs(t, m, "size=1m") },
		"bound_folder": func(t *testing.T, root, m string) {
			from := filepath.Join(filepath.Dir(root), "bound")
			if err := errors.Join(os.Mkdir(from, 0o755), os.Mkdir(m, 0o755), unix.Mount(from, m, "", unix.MS_BIND, "")); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			root, _ := build(t, filepath.Join(memoryFolder(t), "base"), []string{"file=file"})
			m := filepath.Join(root, "m")
			mount(t, root, m)
			tr := openAt(t, root, tree.Options{Write: true})
			for _, body := range []string{"one", "two"} {
				if _, err := put(t, tr, "m/d-file", body, nil); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := tr.Mkdir(ctx, at(t, "m/d"), tree.Change{}); err != nil {
				t.Error(err)
			}
			if _, err := tr.Move(ctx, at(t, "m/d-file"), at(t, "m/d/file"), tree.Transfer{}); err != nil {
				t.Errorf("a move within the mount: %v", err)
			}
			for _, move := range [][2]string{
				{"file", "m/file"}, {"file", "m/d/file"}, {"m/d/file", "moved"}, {"m/d", "moved"}, {"spare", "m/spare"},
			} {
				before := servedState(t, root)
				_, err := tr.Move(ctx, at(t, move[0]), at(t, move[1]), tree.Transfer{})
				if !errors.Is(err, tree.ErrCrossDevice) {
					t.Errorf("move %s to %s: %v", move[0], move[1], err)
				}
				if after := servedState(t, root); !maps.Equal(before, after) {
					t.Errorf("move %s to %s: before %v, after %v", move[0], move[1], before, after)
				}
			}
			for _, c := range [][2]string{{"file", "m/file"}, {"m/d/file", "copied"}, {"m/d", "copied-d"}, {"spare", "m/spare"}} {
				if _, err := tr.Copy(ctx, at(t, c[0]), at(t, c[1]), tree.Transfer{}); err != nil {
					t.Errorf("copy %s to %s: %v", c[0], c[1], err)
				}
			}
			checkNamesListed(t, tr, "m", []string{"d", "file", "spare"})
			if _, err := tr.Remove(ctx, at(t, "m/d"), tree.Change{}); err != nil {
				t.Errorf("remove: %v", err)
			}
			tr.SettleNow()
			own := filepath.Join(m, tree.Reserved)
			if modeOf(t, own) != 0o700 {
				t.Errorf("the server's folder on the mount has mode %o", modeOf(t, own))
			}
			if kept := bodiesBelow(t, filepath.Join(own, "versions")); kept["one"] != 1 || kept["two"] != 1 {
				t.Errorf("kept on the mount: %v", kept)
			}
			if kept := bodiesBelow(t, filepath.Join(root, tree.Reserved, "versions")); len(kept) > 0 {
				t.Errorf("kept in the root: %v", kept)
			}
			if got := tr.Stats().VersionsFiles; got != 2 {
				t.Errorf("%d versions are counted", got)
			}
		})
	}
}

// TestVersionsEndWithoutWhatIsMountedInThem removes a folder in which a filesystem is mounted, and lets its version end: what is
// mounted is not the server's to remove.
func TestVersionsEndWithoutWhatIsMountedInThem(t *testing.T) {
	if !inSandbox(t) {
		return
	}
	ctx := context.Background()
	root, _ := build(t, filepath.Join(memoryFolder(t), "base"), []string{"folder/", "folder/file=file"})
	mounted := mountTmpfs(t, filepath.Join(root, "folder", "m"), "size=1m")
	elsewhere := filepath.Join(filepath.Dir(root), "elsewhere")
	if err := errors.Join(os.WriteFile(filepath.Join(mounted, "precious"), []byte("precious"), 0o644),
		os.Mkdir(elsewhere, 0o755), unix.Mount(mounted, elsewhere, "", unix.MS_BIND, "")); err != nil {
		t.Fatal(err)
	}
	tr := openAt(t, root, tree.Options{Write: true, VersionsFilesMax: 1})
	if _, err := tr.Remove(ctx, at(t, "folder"), tree.Change{}); err != nil {
		t.Fatal(err)
	}
	rewrite(t, tr, "one", "two", "three")
	tr.SettleNow()
	if s := tr.Stats(); s.VersionsFiles != 1 {
		t.Fatalf("%d versions: that of the folder has not ended", s.VersionsFiles)
	}
	if b, err := os.ReadFile(filepath.Join(elsewhere, "precious")); string(b) != "precious" {
		t.Errorf("what was mounted in the folder: %q, %v", b, err)
	}
}

// TestVersionsOnMounts restores what was removed on another filesystem that is mounted below the root, and was kept there by an
// earlier run. A folder cannot cross over, a file is copied.
func TestVersionsOnMounts(t *testing.T) {
	if !inSandbox(t) {
		return
	}
	root, _ := build(t, filepath.Join(memoryFolder(t), "base"), []string{"file=file"})
	m := mountTmpfs(t, filepath.Join(root, "m"), "size=1m")
	world{"d": "/", "d/a": "one", "f": "two"}.make(t, m)
	tr, err := tree.New(root, tree.Options{Write: true, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"m/d", "m/f"} {
		remove(t, tr, name)
	}
	if err := tr.Close(); err != nil {
		t.Fatal(err)
	}
	tr = openAt(t, root, tree.Options{Write: true})
	if found := trashBelow(t, tr, "m"); len(found) != 2 || found[1].Path != pathOf("m/d") {
		t.Fatalf("%+v", found)
	}
	ctx := context.Background()
	folder := tree.VersionKey{ID: versionsOf(t, tr, "m/d")[0].ID}
	if _, err := tr.Restore(ctx, pathOf("m/d"), folder, pathOf("d"), tree.Change{}); !errors.Is(err, tree.ErrCrossDevice) {
		t.Errorf("a folder crosses over: %v", err)
	}
	file := tree.VersionKey{Digest: digestOf("two")}
	if _, err := tr.Restore(ctx, pathOf("m/f"), file, pathOf("f"), tree.Change{}); err != nil {
		t.Error(err)
	}
	if err := errors.Join(restores("m/d")(tr), restores("m/f")(tr)); err != nil {
		t.Error(err)
	}
	for name, want := range map[string]string{"f": "two", "m/f": "two", "m/d/a": "one"} {
		if body, err := get(t, tr, name); body != want || err != nil {
			t.Errorf("%s: %q, %v", name, body, err)
		}
	}
}
