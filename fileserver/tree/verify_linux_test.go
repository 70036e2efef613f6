package tree_test

import (
	"context"
	"os"
	"testing"
	"time"

	"freshet/fileserver/tree"
	"freshet/hashing"
)

// A program that stores through a mapping on tmpfs changes bytes and no stamp, and no event tells: as when a disk rots.
func TestVerifyFindsBytesThatMovedUnderTheirStamp(t *testing.T) {
	t.Parallel()
	w := newSite(t, onTmpfs)
	sizes := map[string]int{"small": 100, "blocks": 300_000, "large": 2 << 20, "good": 100}
	for name, size := range sizes {
		if err := os.WriteFile(w.path(name), bodyOf("old", size), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(time.Duration(hashing.RacyNanos) + 100*time.Millisecond) // else an equal stamp proves nothing, and nobody relies on it
	state := t.TempDir()
	tr := openAt(t, w.root, tree.Options{State: state})
	agrees(t, tr, w.root, "")
	for name, size := range sizes {
		if _, err := get(t, tr, name); err != nil {
			t.Fatal(err)
		}
		if name != "good" {
			if err := readAndStoreMapped(w.path(name), bodyOf("new", size)); err != nil {
				t.Fatal(err)
			}
		}
	}
	sum, flaws := verify(t, tr, "")
	if sum.Files != 4 || sum.Mismatches != 3 || sum.Changed != 0 || len(flaws) != 3 {
		t.Errorf("got %+v, %v", sum, flaws)
	}
	for name, f := range flaws {
		want := tree.Flaw{Path: at(t, name), Was: hashing.Sum(bodyOf("old", sizes[name])), Is: hashing.Sum(bodyOf("new", sizes[name]))}
		if f != want {
			t.Errorf("got %+v, want %+v", f, want)
		}
		if file, err := tr.Open(context.Background(), at(t, name)); err != nil || file.Entry.Digest != want.Is {
			t.Errorf("%s is served as %s, %v", name, file.Entry.Digest, err)
		} else {
			file.Close()
		}
	}
	agrees(t, tr, w.root, "")
	if got := tr.Stats().Mismatches; got != 3 {
		t.Errorf("%d mismatches are counted", got)
	}
	if sum, flaws := verify(t, tr, ""); sum.Files != 4 || sum.Mismatches != 0 || len(flaws) > 0 {
		t.Errorf("once more: %+v, %v", sum, flaws)
	}
}
