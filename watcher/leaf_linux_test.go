package watcher

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

func TestListFindsEveryFolder(t *testing.T) {
	worlds := map[string]string{"temporary": t.TempDir(), "memory": "/dev/shm"}
	cases := []struct {
		name string
		make func(t *testing.T, root string)
		want []string
	}{
		{"empty", func(*testing.T, string) {}, nil},
		{"files_only", func(t *testing.T, root string) {
			for i := range 3 {
				makeFile(t, filepath.Join(root, strconv.Itoa(i)))
			}
		}, nil},
		{"one_folder_among_files", func(t *testing.T, root string) {
			makeFile(t, filepath.Join(root, "a"))
			mkdir(t, filepath.Join(root, "b"))
		}, []string{"b"}},
		{"link_to_folder", func(t *testing.T, root string) {
			if err := os.Symlink("/", filepath.Join(root, "l")); err != nil {
				t.Fatal(err)
			}
		}, nil},
		{"folder_came_and_went", func(t *testing.T, root string) {
			mkdir(t, filepath.Join(root, "a"))
			mkdir(t, filepath.Join(root, "b"))
			if err := os.Remove(filepath.Join(root, "a")); err != nil {
				t.Fatal(err)
			}
		}, []string{"b"}},
		{"folder_came_by_rename", func(t *testing.T, root string) {
			mkdir(t, root+".away")
			if err := os.Rename(root+".away", filepath.Join(root, "a")); err != nil {
				t.Fatal(err)
			}
		}, []string{"a"}},
	}
	for world, at := range worlds {
		for _, c := range cases {
			t.Run(world+"/"+c.name, func(t *testing.T) {
				root, err := os.MkdirTemp(at, "freshet")
				if err != nil {
					t.Skip(err)
				}
				t.Cleanup(func() { os.RemoveAll(root) })
				c.make(t, root)
				dir, err := os.Open(root)
				if err != nil {
					t.Fatal(err)
				}
				defer dir.Close()
				if got, err := list(dir); err != nil || !slices.Equal(got, c.want) {
					t.Errorf("list = %q, %v, want %q", got, err, c.want)
				}
			})
		}
	}
}

// TestLeafIsNotListed shows that what list leaves out is what nobody needs: a folder of files is not read.
func TestLeafIsNotListed(t *testing.T) {
	root := t.TempDir()
	makeFile(t, filepath.Join(root, "a"))
	dir, err := os.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	var fs unix.Statfs_t
	if err := unix.Fstatfs(int(dir.Fd()), &fs); err != nil || !countingTypes[uint32(fs.Type)] {
		t.Skipf("filesystem %#x does not count folders", fs.Type)
	}
	if !isLeaf(dir) {
		t.Error("a folder of files is listed in search of folders")
	}
	mkdir(t, filepath.Join(root, "b"))
	if isLeaf(dir) {
		t.Error("a folder with a folder in it is taken for one without")
	}
}

func makeFile(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func mkdir(t *testing.T, path string) {
	t.Helper()
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
}
