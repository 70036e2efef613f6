package tree_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"freshet/fileserver/tree"
)

// verify verifies below a path and returns what was reported, by path.
func verify(t testing.TB, tr *tree.Tree, below string) (tree.Verified, map[string]tree.Flaw) {
	t.Helper()
	p := tree.Path{}
	if below != "" {
		p = at(t, below)
	}
	flaws := map[string]tree.Flaw{}
	sum, err := tr.Verify(context.Background(), p, func(f tree.Flaw) { flaws[f.Path.String()] = f }, nil)
	if err != nil {
		t.Fatalf("verify %q: %v", below, err)
	}
	return sum, flaws
}

func TestVerifyReadsEverythingAgain(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	var total int64
	for name, size := range map[string]int{"a": 1, "d/b": 0, "d/e/c": 300_000, "d/e/large": 2 << 20, "f/x": 7} {
		if err := errors.Join(os.MkdirAll(filepath.Join(root, filepath.Dir(name)), 0o755),
			os.WriteFile(filepath.Join(root, name), bytes.Repeat([]byte{'x'}, size), 0o644)); err != nil {
			t.Fatal(err)
		}
		total += int64(size)
	}
	if err := os.Symlink("a", filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	tr := openAt(t, root, tree.Options{})
	agrees(t, tr, root, "")
	for name, c := range map[string]struct {
		below string
		want  tree.Verified
	}{
		"everything":      {"", tree.Verified{Files: 5, Bytes: total}},
		"folder":          {"d/e", tree.Verified{Files: 2, Bytes: 300_000 + 2<<20}},
		"file":            {"d/e/c", tree.Verified{Files: 1, Bytes: 300_000}},
		"file_at_the_top": {"a", tree.Verified{Files: 1, Bytes: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			if sum, flaws := verify(t, tr, c.below); sum != c.want || len(flaws) > 0 {
				t.Errorf("got %+v, %v, want %+v", sum, flaws, c.want)
			}
		})
	}
	for name, below := range map[string]string{"absent": "none", "absent_in_a_folder": "d/none", "link": "link"} {
		t.Run(name, func(t *testing.T) {
			if sum, err := tr.Verify(context.Background(), at(t, below), nil, nil); !errors.Is(err, tree.ErrNotExist) {
				t.Errorf("got %+v, %v", sum, err)
			}
		})
	}
}

// A file that was changed in the ordinary way is no mismatch, even before anybody has looked at it again.
func TestVerifyTellsChangesFromMismatches(t *testing.T) {
	t.Parallel()
	tr, root := open(t, tree.Options{})
	for _, name := range []string{"a", "b", "c"} {
		if err := os.WriteFile(filepath.Join(root, name), []byte("old"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	agrees(t, tr, root, "")
	began := make(chan struct{})
	goOn := make(chan struct{})
	first := true
	done := make(chan tree.Verified)
	go func() {
		sum, err := tr.Verify(context.Background(), tree.Path{}, func(f tree.Flaw) { t.Errorf("%+v", f) }, func(tree.Verified) {
			if first {
				first = false
				close(began)
				<-goOn
			}
		})
		if err != nil {
			t.Error(err)
		}
		done <- sum
	}()
	<-began // one file was read, and at most one more is being read
	if err := os.WriteFile(filepath.Join(root, "c"), []byte("new"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := tr.Verify(context.Background(), tree.Path{}, nil, nil); !errors.Is(err, tree.ErrBusy) {
		t.Errorf("two at once: %v", err)
	}
	close(goOn)
	if sum := <-done; sum.Files != 2 || sum.Changed != 1 || sum.Mismatches != 0 {
		t.Errorf("got %+v", sum)
	}
	agrees(t, tr, root, "")
	if sum, _ := verify(t, tr, ""); sum.Files != 3 || sum.Changed != 0 {
		t.Errorf("once more: %+v", sum)
	}
}

func TestVerifyEndsWithItsContext(t *testing.T) {
	t.Parallel()
	const files = 50
	tr, root := open(t, tree.Options{})
	for i := range files {
		if err := os.WriteFile(filepath.Join(root, strconv.Itoa(i)), []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	agrees(t, tr, root, "")
	ctx, cancel := context.WithCancel(context.Background())
	sum, err := tr.Verify(ctx, tree.Path{}, nil, func(tree.Verified) { cancel() })
	if !errors.Is(err, context.Canceled) || sum.Files == 0 || sum.Files == files {
		t.Errorf("got %+v, %v", sum, err)
	}
	if sum, _ := verify(t, tr, ""); sum.Files != files {
		t.Errorf("afterwards: %+v", sum)
	}
}
