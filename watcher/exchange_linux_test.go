package watcher

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Folders that are exchanged in one step are watched under their new names: the kernel tells of the coming of each before it
// tells that the other has left.
func TestExchangedFolders(t *testing.T) {
	t.Parallel()
	ob := observe(t, Options{}, func(root string) {
		for _, name := range []string{"a/x", "b/y", "c"} {
			if err := os.MkdirAll(filepath.Join(root, name), 0o777); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(root, "file"), nil, 0o666); err != nil {
			t.Fatal(err)
		}
	})
	path := func(name string) string { return filepath.Join(ob.root, name) }
	for range 100 {
		for _, pair := range [][2]string{{"a", "b"}, {"b", "file"}, {"file", "c/b"}, {"c/b", "b"}} {
			if _, err := os.Lstat(path(pair[1])); os.IsNotExist(err) {
				_ = os.Mkdir(path(pair[1]), 0o777)
			}
			if err := unix.Renameat2(unix.AT_FDCWD, path(pair[0]), unix.AT_FDCWD, path(pair[1]), unix.RENAME_EXCHANGE); err != nil {
				t.Fatal(err)
			}
			ob.settle()
			ob.probe()
			if t.Failed() {
				t.Fatalf("after %v were exchanged", pair)
			}
		}
	}
}
