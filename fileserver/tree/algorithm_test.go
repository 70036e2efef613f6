package tree_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"freshet/fileserver/tree"
	"freshet/hashing"
)

// lengths take all ways on which a body is read and checked: in memory, in one block, in several.
var lengths = map[string]int{
	"empty": 0, "small": 100, "one_block": hashing.BlockBytes, "blocks": 3*hashing.BlockBytes + 7,
}

func TestDigestsAreOfTheRootsAlgorithm(t *testing.T) {
	for _, by := range []hashing.Algorithm{hashing.XXH3, hashing.BLAKE3} {
		tr, root := open(t, tree.Options{Write: true, Algorithm: by})
		for name, n := range lengths {
			t.Run(by.String()+"_"+name, func(t *testing.T) {
				body := strings.Repeat("by whom?", n/8+1)[:n]
				want := by.Sum([]byte(body))
				if err := os.WriteFile(filepath.Join(root, "local_"+name), []byte(body), 0o600); err != nil {
					t.Fatal(err)
				}
				if res, err := put(t, tr, "put_"+name, body, nil); err != nil || res.Entry.Digest != want {
					t.Errorf("put: %s, %v, want %s", res.Entry.Digest, err, want)
				}
				for _, file := range []string{"local_" + name, "put_" + name} {
					sent, digest := send(t, tr, file)
					if sent != body || digest != want {
						t.Errorf("%s: %d bytes under %s, want %d under %s", file, len(sent), digest, len(body), want)
					}
				}
			})
		}
	}
}

// send returns what is sent of a file, and under which digest.
func send(t *testing.T, tr *tree.Tree, name string) (string, hashing.Digest) {
	t.Helper()
	f, err := tr.Open(context.Background(), at(t, name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b bytes.Buffer
	if err := f.Send(context.Background(), &b, 0, f.Entry.Size); err != nil {
		t.Errorf("%s: %v", name, err)
	}
	return b.String(), f.Entry.Digest
}

// TestFileBeingWrittenHasADigestOfTheRootsAlgorithm sends the copy that is made while a program has the file open.
func TestFileBeingWrittenHasADigestOfTheRootsAlgorithm(t *testing.T) {
	tr, root := open(t, tree.Options{Algorithm: hashing.BLAKE3})
	w, err := os.Create(filepath.Join(root, "log.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if _, err := io.WriteString(w, "a line\n"); err != nil {
		t.Fatal(err)
	}
	if sent, digest := send(t, tr, "log.txt"); sent != "a line\n" || digest != hashing.BLAKE3.Sum([]byte(sent)) {
		t.Errorf("%q under %s", sent, digest)
	}
}

// TestReplacedFileIsComparedByTheRootsAlgorithm replaces and removes what the tag names, and nothing else. Without leases what
// was displaced is read again at once, and before it is filed if its stamp has moved.
func TestReplacedFileIsComparedByTheRootsAlgorithm(t *testing.T) {
	named := func(by hashing.Algorithm, body string) tree.Guard {
		return func(cur *tree.Entry) error {
			if cur == nil || cur.Digest != by.Sum([]byte(body)) {
				return errRefused
			}
			return nil
		}
	}
	for name, leases := range map[string]bool{"leases": true, "no_leases": false} {
		t.Run(name, func(t *testing.T) {
			tree.SetFailpoint(t, func(step string) error {
				if step == "lease" && !leases {
					return errRefused
				}
				return nil
			})
			tr, root := open(t, tree.Options{Write: true, Algorithm: hashing.BLAKE3})
			if err := os.WriteFile(filepath.Join(root, "a.txt"), []byte("one"), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := put(t, tr, "a.txt", "two", named(hashing.XXH3, "one")); !errors.Is(err, errRefused) {
				t.Errorf("replace by a tag of the other algorithm: %v", err)
			}
			if _, err := put(t, tr, "a.txt", "two", named(hashing.BLAKE3, "one")); err != nil {
				t.Errorf("replace: %v", err)
			}
			c := tree.Change{Guard: named(hashing.BLAKE3, "two"), By: "test"}
			if _, err := tr.Remove(context.Background(), at(t, "a.txt"), c); err != nil {
				t.Errorf("remove: %v", err)
			}
			moveStamps(t, filepath.Join(root, tree.Reserved))
			tr.Settle(time.Now().Add(time.Hour))
			if left, err := filepath.Glob(filepath.Join(root, "*conflict*")); err != nil || len(left) > 0 {
				t.Errorf("conflict copies: %q, %v", left, err)
			}
		})
	}
}

// moveStamps changes the stamps of all files below dir, and no bytes.
func moveStamps(t *testing.T, dir string) {
	t.Helper()
	moved := 0
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		moved++
		return os.Chmod(name, 0o640)
	})
	if err != nil || moved < 2 {
		t.Errorf("the stamps of %d files were moved, %v", moved, err)
	}
}
