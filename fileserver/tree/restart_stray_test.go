//go:build linux

package tree_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"freshet/fileserver/tree"
)

// A program makes a folder, a client puts something in it, and the program removes it, all of that before anybody has looked at
// the folder: one that follows the feed is not left with what the client was told of.
func TestFeedTellsTheEndOfStrays(t *testing.T) {
	tr, root := open(t, tree.Options{Write: true, Log: quiet})
	f := follow(t, tr)
	folder := filepath.Join(root, "d/e")
	for range 20 {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		if _, err := put(t, tr, "d/e/file", "x", nil); err != nil {
			t.Fatal(err)
		}
		if _, err := tr.Mkdir(context.Background(), at(t, "d/e/made"), tree.Change{}); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(filepath.Dir(folder)); err != nil {
			t.Fatal(err)
		}
		f.catchUp()
		differences(t, "the follower", f.seen, snapshotOf(t, root))
	}
}
