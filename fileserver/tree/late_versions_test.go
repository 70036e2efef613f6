//go:build linux

package tree_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"freshet/fileserver/tree"
)

// A program saves to a file after a change has displaced it and after its folder went, too. What it saved has no place but
// the versions, and stays there even where no versions are kept.
func TestLateSaveOutlivesItsFolderWithoutVersions(t *testing.T) {
	tr, root := open(t, tree.Options{Write: true, VersionsAgeMax: -1})
	ctx := context.Background()
	if _, err := tr.Mkdir(ctx, at(t, "d"), tree.Change{}); err != nil {
		t.Fatal(err)
	}
	if _, err := put(t, tr, "d/f", "one", nil); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(t.TempDir(), "other name")
	if err := os.Link(filepath.Join(root, "d/f"), other); err != nil {
		t.Fatal(err)
	}
	if _, err := put(t, tr, "d/f", "two", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := tr.Remove(ctx, at(t, "d"), tree.Change{}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(other, []byte("saved late"), 0); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		names, err := filepath.Glob(filepath.Join(root, tree.Reserved, "versions", "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if b, _ := os.ReadFile(name); string(b) == "saved late" {
				return
			}
		}
	}
	t.Error("what was saved late is nowhere")
}
