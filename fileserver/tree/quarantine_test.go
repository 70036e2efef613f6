//go:build linux

package tree_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"freshet/fileserver/tree"
)

// replaced makes a tree that is not run in which "a" was "old" and is "new".
func replaced(t *testing.T, o tree.Options) (*racing, *lateWriter) {
	t.Helper()
	r := &racing{t: t, root: memoryDir(t)}
	world{"a": "old"}.make(t, r.root)
	r.tree = newTree(t, r.root, o)
	w := r.lateWriter("a")
	if _, err := put(t, r.tree, "a", "new", ifMatch("old")); err != nil {
		t.Fatal(err)
	}
	return r, w
}

// holds compares what is in the tree and in the versions.
func (r *racing) holds(want world, versions ...string) {
	r.t.Helper()
	if found, err := look(r.root); err != nil || !maps.Equal(found, want) {
		r.t.Errorf("the tree holds %v (%v), want %v", found, err, want)
	}
	if found, err := versionsIn(r.root); err != nil || !slices.Equal(found, versions) {
		r.t.Errorf("the versions are %q (%v), want %q", found, err, versions)
	}
}

func TestQuarantine(t *testing.T) {
	t.Run("ends_after_its_time", func(t *testing.T) {
		r, _ := replaced(t, tree.Options{})
		began := time.Now()
		r.tree.Settle(began.Add(tree.QuarantineTimeMax - time.Second))
		if n := r.tree.Stats().QuarantinedFiles; n != 1 {
			t.Errorf("%d files before the time is up", n)
		}
		r.holds(world{"a": "new"})
		r.tree.Settle(began.Add(tree.QuarantineTimeMax + time.Second))
		if n := r.tree.Stats().QuarantinedFiles; n != 0 {
			t.Errorf("%d files after the time is up", n)
		}
		r.holds(world{"a": "new"}, "a: old")
	})
	t.Run("ends_with_close", func(t *testing.T) {
		root := memoryDir(t)
		world{"a": "old"}.make(t, root)
		for _, body := range []string{"new", "newer"} {
			tr, err := tree.New(root, tree.Options{Write: true, Log: quiet})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := put(t, tr, "a", body, nil); err != nil {
				t.Error(err)
			}
			if err := tr.Close(); err != nil {
				t.Error(err)
			}
		}
		(&racing{t: t, root: root}).holds(world{"a": "newer"}, "a: new", "a: old")
	})
	t.Run("identical_bytes_leave_no_version", func(t *testing.T) {
		r, _ := replaced(t, tree.Options{})
		if _, err := put(t, r.tree, "a", "new", anything); err != nil {
			t.Error(err)
		}
		r.tree.Settle(time.Now().Add(time.Minute))
		r.holds(world{"a": "new"}, "a: old")
	})
	t.Run("a_chmod_is_no_late_write", func(t *testing.T) {
		r, w := replaced(t, tree.Options{})
		w.chmod(0o600)
		r.tree.Settle(time.Now().Add(time.Minute))
		r.holds(world{"a": "new"}, "a: old")
	})
	t.Run("a_writer_that_writes_the_same_is_none", func(t *testing.T) {
		r, w := replaced(t, tree.Options{})
		w.write("old", nil)
		r.settle()
		r.holds(world{"a": "new"}, "a: old")
	})
	t.Run("a_removed_file_comes_back_if_it_is_written_to", func(t *testing.T) {
		r, _ := replaced(t, tree.Options{})
		w := r.lateWriter("a")
		if _, err := r.tree.Remove(context.Background(), pathOf("a"), tree.Change{}); err != nil {
			t.Error(err)
		}
		w.write("late", nil)
		r.settle()
		r.holds(world{"a": "late"}, "a: old")
	})
	t.Run("a_conflict_copy_takes_no_name_that_is_taken", func(t *testing.T) {
		r, w := replaced(t, tree.Options{})
		// The name has the time in it, to the second.
		taken := world{}
		for i := range 3 {
			at := time.Now().Add(time.Duration(i) * time.Second)
			taken["a (conflict "+at.Format("2006-01-02 15.04.05")+")"] = "taken"
		}
		taken.make(t, r.root)
		w.write("late", nil)
		r.settle()
		entries, err := r.tree.List(context.Background(), tree.Path{})
		if err != nil || len(entries) != 2+len(taken) {
			t.Errorf("%d entries, want %d (%v)", len(entries), 2+len(taken), err)
		}
	})
}

// TestWriterIsLetIn has a program wait in open(2) while the tree runs: the kernel's signal wakes the quarantine.
func TestWriterIsLetIn(t *testing.T) {
	r := &racing{t: t, root: memoryDir(t)}
	world{"a": "old"}.make(t, r.root)
	r.tree = openAt(t, r.root, tree.Options{Write: true})
	w := r.lateWriter("a")
	if _, err := put(t, r.tree, "a", "new", ifMatch("old")); err != nil {
		t.Fatal(err)
	}
	w.write("late", nil)
	select {
	case <-w.done:
	case <-time.After(tree.QuarantineTimeMax):
		t.Fatal("the program still waits")
	}
	for r.tree.Stats().ConflictCopies == 0 { // the tree may be looking at the file itself
		r.tree.Settle(time.Now().Add(time.Minute))
		time.Sleep(time.Millisecond)
	}
	r.holds(world{"a": "new", "a (conflict)": "late"})
}

// TestQuarantineIsBounded fills the quarantine: the next change waits until there is room, however long.
func TestQuarantineIsBounded(t *testing.T) {
	const filesMax = 2
	changes := map[string]func(r *racing) error{
		"replace": replaceA,
		"remove":  removeA,
		"move":    moveAToB,
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			r := &racing{t: t, root: memoryDir(t), race: &race{before: world{"a": "old", "b": "two"}}}
			r.race.before.make(t, r.root)
			r.tree = newTree(t, r.root, tree.Options{})
			r.tree.BoundQuarantine(filesMax)
			for i := range filesMax {
				if err := commits("full", fmt.Sprint(i), nil)(r.tree); err != nil { // the first one displaces nothing
					t.Fatal(err)
				}
			}
			if err := commits("full", "full", nil)(r.tree); err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() { done <- change(r) }()
			select {
			case err := <-done:
				t.Fatalf("went ahead: %v", err)
			case <-time.After(30 * time.Millisecond):
			}
			if got, err := get(t, r.tree, "a"); got != "old" || err != nil {
				t.Errorf("while the change waits: %q, %v", got, err)
			}
			r.tree.Settle(time.Now().Add(time.Minute))
			if err := <-done; err != nil {
				t.Errorf("with room: %v", err)
			}
		})
	}
}

// TestWaitForQuarantineEnds gives up a change that waits for room.
func TestWaitForQuarantineEnds(t *testing.T) {
	r, _ := replaced(t, tree.Options{})
	r.tree.Settle(time.Now().Add(time.Minute))
	r.tree.BoundQuarantine(0)
	for name, change := range map[string]func(ctx context.Context) error{
		"replace": func(ctx context.Context) error {
			s, err := r.tree.Stage(ctx, pathOf("a"), -1)
			if err != nil {
				return err
			}
			_, err = r.tree.Commit(ctx, pathOf("a"), s, tree.Change{})
			return err
		},
		"remove": func(ctx context.Context) error {
			_, err := r.tree.Remove(ctx, pathOf("a"), tree.Change{})
			return err
		},
	} {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		if err := change(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
	}
	r.holds(world{"a": "new"}, "a: old")
}
