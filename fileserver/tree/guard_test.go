//go:build linux

package tree_test

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"freshet/fileserver/tree"
	"freshet/hashing"
)

// TestGuard asks each Guard of each change, shows it what is there, and does what it says.
func TestGuard(t *testing.T) {
	ctx := context.Background()
	before := world{"a": "one", "b": "two", "d": "/", "d/c": "three"}
	for _, test := range []struct {
		name   string
		shown  string // "" for nothing, "/" for a folder
		after  world  // if the Guard allows it
		change func(tr *tree.Tree, g tree.Guard) error
	}{
		{"create", "", world{"n": "new"}, func(tr *tree.Tree, g tree.Guard) error {
			return commits("n", "new", g)(tr)
		}},
		{"replace", "one", world{"a": "new"}, func(tr *tree.Tree, g tree.Guard) error {
			return commits("a", "new", g)(tr)
		}},
		{"remove", "one", world{"a": ""}, func(tr *tree.Tree, g tree.Guard) error {
			_, err := tr.Remove(ctx, pathOf("a"), tree.Change{Guard: g})
			return err
		}},
		{"remove_folder", "/", world{"d": "", "d/c": ""}, func(tr *tree.Tree, g tree.Guard) error {
			_, err := tr.Remove(ctx, pathOf("d"), tree.Change{Guard: g})
			return err
		}},
		{"make_folder", "", world{"n": "/"}, func(tr *tree.Tree, g tree.Guard) error {
			_, err := tr.Mkdir(ctx, pathOf("n"), tree.Change{Guard: g})
			return err
		}},
		{"source_of_move", "one", world{"a": "", "b": "one"}, func(tr *tree.Tree, g tree.Guard) error {
			_, err := tr.Move(ctx, pathOf("a"), pathOf("b"), tree.Transfer{Source: g})
			return err
		}},
		{"destination_of_move", "two", world{"a": "", "b": "one"}, func(tr *tree.Tree, g tree.Guard) error {
			_, err := tr.Move(ctx, pathOf("a"), pathOf("b"), tree.Transfer{Destination: g})
			return err
		}},
		{"free_destination_of_move", "", world{"a": "", "n": "one"}, func(tr *tree.Tree, g tree.Guard) error {
			_, err := tr.Move(ctx, pathOf("a"), pathOf("n"), tree.Transfer{Destination: g})
			return err
		}},
		{"source_of_copy", "one", world{"b": "one"}, func(tr *tree.Tree, g tree.Guard) error {
			_, err := tr.Copy(ctx, pathOf("a"), pathOf("b"), tree.Transfer{Source: g})
			return err
		}},
		{"destination_of_copy", "two", world{"b": "one"}, func(tr *tree.Tree, g tree.Guard) error {
			_, err := tr.Copy(ctx, pathOf("a"), pathOf("b"), tree.Transfer{Destination: g})
			return err
		}},
		{"free_destination_of_copy", "", world{"n": "one"}, func(tr *tree.Tree, g tree.Guard) error {
			_, err := tr.Copy(ctx, pathOf("a"), pathOf("n"), tree.Transfer{Destination: g})
			return err
		}},
		{"source_of_folder_copy", "/", world{"n": "/", "n/c": "three"}, func(tr *tree.Tree, g tree.Guard) error {
			_, err := tr.Copy(ctx, pathOf("d"), pathOf("n"), tree.Transfer{Source: g})
			return err
		}},
		{"destination_of_folder_copy", "one", world{"a": "/", "a/c": "three"}, func(tr *tree.Tree, g tree.Guard) error {
			_, err := tr.Copy(ctx, pathOf("d"), pathOf("a"), tree.Transfer{Destination: g})
			return err
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := &racing{t: t, root: memoryDir(t)}
			before.make(t, r.root)
			r.tree = newTree(t, r.root, tree.Options{})
			asked := 0
			refuse := func(cur *tree.Entry) error {
				asked++
				if got := seen(cur); got != test.shown {
					t.Errorf("the Guard was shown %q, want %q", got, test.shown)
				}
				return errRefused
			}
			if err := test.change(r.tree, refuse); !errors.Is(err, errRefused) || asked != 1 {
				t.Errorf("refused once by %d Guards: %v", asked, err)
			}
			r.tree.Settle(time.Now().Add(time.Minute))
			r.holds(before)
			if err := test.change(r.tree, func(*tree.Entry) error { return nil }); err != nil {
				t.Errorf("allowed: %v", err)
			}
			after := maps.Clone(before)
			maps.Copy(after, test.after)
			maps.DeleteFunc(after, func(_, text string) bool { return text == "" })
			if found, err := look(r.root); err != nil || !maps.Equal(found, after) {
				t.Errorf("the tree holds %v (%v), want %v", found, err, after)
			}
		})
	}
}

// seen is what a Guard was shown, in the words of a world.
func seen(cur *tree.Entry) string {
	switch {
	case cur == nil:
		return ""
	case cur.Kind == tree.KindFolder:
		return "/"
	}
	for _, body := range []string{"one", "two", "three"} {
		if cur.Digest == hashing.Sum([]byte(body)) {
			return body
		}
	}
	return cur.Digest.String()
}

// TestHashOutlivesLease hashes a file for somebody who believes to have a lease on it, and has lost it.
func TestHashOutlivesLease(t *testing.T) {
	root := memoryDir(t)
	world{"a": "one"}.make(t, root)
	tr := newTree(t, root, tree.Options{})
	if err := tr.HashUnheld("a"); err == nil {
		t.Error("what was read after the lease was lost counts as read under it")
	}
	if e, err := tr.Stat(context.Background(), pathOf("a")); err != nil || !e.Digest.IsZero() {
		t.Errorf("a digest is remembered: %v, %v", e.Digest, err)
	}
}

// TestWrongTagSendsNothing remembers other digests of files than they have: whatever went wrong, the bytes do not go out.
func TestWrongTagSendsNothing(t *testing.T) {
	for name, size := range map[string]int{
		"kept_in_memory": 10,
		"one_block":      hashing.BlockBytes,
		"blocks":         2*hashing.BlockBytes + 1,
	} {
		t.Run(name, func(t *testing.T) {
			root := memoryDir(t)
			world{"a": strings.Repeat("x", size)}.make(t, root)
			tr := newTree(t, root, tree.Options{})
			if err := tr.Misremember("a", []byte(strings.Repeat("y", size))); err != nil {
				t.Fatal(err)
			}
			f, err := tr.Open(context.Background(), pathOf("a"))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			var sent bytes.Buffer
			if err := f.Send(context.Background(), &sent, 0, f.Entry.Size); !errors.Is(err, tree.ErrTorn) || sent.Len() > 0 {
				t.Errorf("%d bytes sent, %v", sent.Len(), err)
			}
			if got, err := get(t, tr, "a"); err != nil || len(got) != size {
				t.Errorf("the next look: %d bytes, %v", len(got), err)
			}
		})
	}
}
