//go:build linux

package tree_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"freshet/fileserver/tree"
)

// Between these steps nothing is written, so that a crash there is no other than one before.
func init() {
	noSteps = append(noSteps, "digest-begun", "digest-found", "digest-failed", "folder-looked")
}

// largeBody is one that is too large to be hashed by a look at its folder.
var largeBody = bytes.Repeat([]byte("large"), 300<<10)

// catchUp has the picture show all that has happened, without waiting for digests.
func catchUp(tr *tree.Tree) error {
	_, err := tr.Changes(context.Background(), tree.ChangesQuery{})
	return err
}

// What happens between the steps of a look, or of a change of the tree's own, is seen all the same.
func TestLiveRaces(t *testing.T) {
	type steps = map[string]func(tr *tree.Tree, root string) error
	large := func(_ *tree.Tree, root string) error { // whole at once, so that no later event makes up for anything
		beside := root + ".large"
		return errors.Join(os.WriteFile(beside, largeBody, 0o644), os.Rename(beside, filepath.Join(root, "a")))
	}
	remove := func(_ *tree.Tree, root string) error { return os.Remove(filepath.Join(root, "a")) }
	saveAndLook := func(tr *tree.Tree, root string) error { return errors.Join(savesThere("a")(root), catchUp(tr)) }
	cases := []struct {
		name  string
		do    func(tr *tree.Tree, root string) error
		steps steps // what happens meanwhile, each once
	}{
		{"file_saved_after_it_was_hashed_by_itself", large, steps{"digest-found": saveAndLook}},
		{
			"large_file_back_after_it_was_found_gone", large, steps{
				"digest-begun": remove,
				"digest-failed": func(tr *tree.Tree, root string) error {
					return errors.Join(os.WriteFile(filepath.Join(root, "a"), largeBody[1:], 0o644), catchUp(tr))
				},
			},
		},
		{
			"created_and_saved_over_before_it_is_told",
			func(tr *tree.Tree, _ string) error { return change(tr, "a", "from a client") },
			steps{"commit-created": saveAndLook},
		},
		{
			"made_and_replaced_before_it_is_told",
			func(tr *tree.Tree, _ string) error {
				_, err := tr.Mkdir(context.Background(), pathOf("a"), tree.Change{})
				return err
			},
			steps{"mkdir-made": func(tr *tree.Tree, root string) error {
				return errors.Join(remove(tr, root), savesThere("a")(root), catchUp(tr))
			}},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			tr, root := open(t, tree.Options{Write: true})
			agrees(t, tr, root, "")
			left := maps.Clone(c.steps)
			done := make(chan error, len(left))
			var mu sync.Mutex
			tree.SetFailpoint(t, func(step string) error {
				mu.Lock()
				while := left[step]
				delete(left, step)
				mu.Unlock()
				if while != nil {
					done <- while(tr, root)
				}
				return nil
			})
			if err := errors.Join(c.do(tr, root), catchUp(tr)); err != nil {
				t.Error(err)
			}
			for range c.steps {
				if err := <-done; err != nil {
					t.Error(err)
				}
			}
			agrees(t, tr, root, "")
		})
	}
}

func change(tr *tree.Tree, name, body string) error {
	s, err := tr.Stage(context.Background(), pathOf(name), int64(len(body)))
	if err != nil {
		return err
	}
	if _, err := s.Write([]byte(body)); err != nil {
		s.Discard()
		return err
	}
	_, err = tr.Commit(context.Background(), pathOf(name), s, tree.Change{})
	return err
}

// What a look has found before a change of the tree's own is not told after it.
func TestLookIsOlderThanOwnChange(t *testing.T) {
	tr, root := open(t, tree.Options{Write: true})
	if err := os.WriteFile(filepath.Join(root, "a"), []byte("one"), 0o644); err != nil {
		t.Fatal(err)
	}
	agrees(t, tr, root, "")
	var once sync.Once
	var changed error
	var cursor tree.Cursor
	tree.SetFailpoint(t, func(step string) error {
		if step == "folder-looked" {
			once.Do(func() { changed, cursor = change(tr, "a", "from a client"), tr.Cursor() })
		}
		return nil
	})
	err := os.WriteFile(filepath.Join(root, "a"), []byte("two"), 0o644)
	if err := errors.Join(err, catchUp(tr), changed); err != nil {
		t.Fatal(err)
	}
	got, err := tr.Changes(context.Background(), tree.ChangesQuery{Since: cursor})
	if err != nil || len(got.Events) > 0 {
		t.Errorf("told after the change: %+v, %v", got.Events, err)
	}
	agrees(t, tr, root, "")
}

// A name that a program takes while a change covers it, which then is undone, is looked at again.
func TestNameTakenWhileCovered(t *testing.T) {
	tr, root := open(t, tree.Options{Write: true})
	name := filepath.Join(root, "a")
	if err := os.WriteFile(name, []byte("one"), 0o644); err != nil {
		t.Fatal(err)
	}
	agrees(t, tr, root, "")
	looked, ended := make(chan struct{}), make(chan error, 1)
	var once sync.Once
	var covered atomic.Bool
	tree.SetFailpoint(t, func(step string) error {
		switch {
		case step == "folder-looked" && covered.Load():
			once.Do(func() { close(looked) })
		case step == "remove-moved":
			err := os.WriteFile(name, []byte("two"), 0o644)
			covered.Store(true)
			go func() { ended <- catchUp(tr) }()
			<-looked
			return errors.Join(err, errRefused)
		}
		return nil
	})
	if _, err := tr.Remove(context.Background(), at(t, "a"), tree.Change{}); !errors.Is(err, errRefused) {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	agrees(t, tr, root, "")
}

// No event tells of changes in a folder that is mounted twice under its second path, so that it is looked at when it is asked
// for.
func TestFolderMountedTwice(t *testing.T) {
	if !inSandbox(t) {
		return
	}
	root := t.TempDir()
	d, e := filepath.Join(root, "d"), filepath.Join(root, "e")
	if err := errors.Join(os.Mkdir(d, 0o755), os.Mkdir(e, 0o755), unix.Mount(d, e, "", unix.MS_BIND, "")); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(e, unix.MNT_DETACH)
	tr := openAt(t, root, tree.Options{})
	for i, folder := range []string{d, e, d, e} {
		if err := os.WriteFile(filepath.Join(folder, "a"), fmt.Append(nil, i), 0o644); err != nil {
			t.Fatal(err)
		}
		agrees(t, tr, root, "d")
		agrees(t, tr, root, "e")
		agrees(t, tr, root, "")
	}
}

// What is written to a file that is mounted, under the name it has elsewhere, raises no event in the folder that shows it.
func TestFileMounted(t *testing.T) {
	if !inSandbox(t) {
		return
	}
	root, source := t.TempDir(), filepath.Join(memoryDir(t), "source")
	world{"d": "/", "d/a": "below", "d/b": "beside", "d/e": "/", "d/e/c": "deeper"}.make(t, root)
	at := filepath.Join(root, "d", "a")
	err := os.WriteFile(source, []byte("mounted"), 0o644)
	if err := errors.Join(err, unix.Mount(source, at, "", unix.MS_BIND, "")); err != nil {
		t.Fatal(err)
	}
	tr := openAt(t, root, tree.Options{})
	agrees(t, tr, root, "d")
	for i := range 3 {
		if err := os.WriteFile(source, fmt.Append(nil, i), 0o644); err != nil {
			t.Fatal(err)
		}
		agrees(t, tr, root, "d")
		agrees(t, tr, root, "")
	}
	if got := tr.Stats(); got.UnseenFolders != 1 {
		t.Errorf("%d folders are looked at by each request, want the one with the file in it", got.UnseenFolders)
	}
	if err := unix.Unmount(at, unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	agrees(t, tr, root, "d")
}

// A large file in a folder that is new is hashed, however long the look goes on that has found it.
func TestLargeFileInNewFolder(t *testing.T) {
	tr, root := open(t, tree.Options{Write: true})
	outside := t.TempDir()
	for _, name := range []string{"a", "b"} {
		if err := os.Mkdir(filepath.Join(outside, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	err := os.WriteFile(filepath.Join(outside, "a/large"), largeBody, 0o644)
	for i := range 2000 {
		err = errors.Join(err, os.WriteFile(filepath.Join(outside, "b", fmt.Sprint(i)), []byte("small"), 0o644))
	}
	err = errors.Join(err, os.Rename(filepath.Join(outside, "b"), filepath.Join(root, "b")),
		os.Rename(filepath.Join(outside, "a"), filepath.Join(root, "a")))
	if err != nil {
		t.Fatal(err)
	}
	agrees(t, tr, root, "")
}

// A folder that a client makes where another one has gone, unseen yet, is a new one.
func TestFolderMadeWhereOneWent(t *testing.T) {
	tr, root := open(t, tree.Options{Write: true})
	if err := os.MkdirAll(filepath.Join(root, "d/e"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "d/e/a"), []byte("a"), 0o644); err != nil {
		t.Fatal(err)
	}
	follower := follow(t, tr)
	agrees(t, tr, root, "")
	if err := os.Rename(filepath.Join(root, "d"), filepath.Join(t.TempDir(), "d")); err != nil {
		t.Fatal(err)
	}
	if _, err := tr.Mkdir(context.Background(), at(t, "d"), tree.Change{}); err != nil {
		t.Fatal(err)
	}
	agrees(t, tr, root, "")
	follower.catchUp()
	differences(t, "the follower", follower.seen, snapshotOf(t, root))
}

// A file that nobody may open for the moment has no digest, nor has its folder; it is not left out.
func TestFileThatCannotBeOpened(t *testing.T) {
	prepare := func(t *testing.T, root string) (open func()) {
		name := filepath.Join(root, "d/a")
		err := errors.Join(os.Mkdir(filepath.Join(root, "d"), 0o755), os.WriteFile(name, []byte("a"), 0o644))
		if err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(name)
		if err == nil {
			f.Close()
			f, err = os.OpenFile(name, os.O_RDWR, 0)
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_WRLCK); err != nil {
			t.Skip("no lease can be had here:", err)
		}
		return func() { f.Close() }
	}
	check := func(t *testing.T, tr *tree.Tree, root string, open func()) {
		f, _, err := tr.Folder(context.Background(), tree.Path{})
		if err != nil {
			t.Fatal(err)
		}
		if !f.Subtree.IsZero() {
			t.Errorf("the fingerprint is %s while nobody knows what is in a file", f.Subtree)
		}
		open()
		for began := time.Now(); err == nil && f.Subtree.IsZero() && time.Since(began) < 10*time.Second; {
			f, _, err = tr.Folder(context.Background(), tree.Path{})
		}
		agrees(t, tr, root, "")
	}
	t.Run("when_the_tree_is_opened", func(t *testing.T) {
		root := t.TempDir()
		open := prepare(t, root)
		check(t, openAt(t, root, tree.Options{}), root, open)
	})
	t.Run("in_a_new_folder", func(t *testing.T) {
		tr, root := open(t, tree.Options{})
		outside := t.TempDir()
		open := prepare(t, outside)
		if err := os.Rename(filepath.Join(outside, "d"), filepath.Join(root, "d")); err != nil {
			t.Fatal(err)
		}
		check(t, tr, root, open)
	})
}

// What was written through one name of a file is seen under the others, even if that name is gone since.
func TestHardLinkWrittenAndGone(t *testing.T) {
	for _, c := range []struct {
		name string
		gone func(tr *tree.Tree, root string) error
	}{
		{"removed", func(_ *tree.Tree, root string) error { return os.Remove(filepath.Join(root, "d/b")) }},
		{"saved_over", func(_ *tree.Tree, root string) error { return savesThere("d/b")(root) }},
		{"moved_out", func(_ *tree.Tree, root string) error { return os.Rename(filepath.Join(root, "d/b"), root+".gone") }},
		{"folder_removed", func(_ *tree.Tree, root string) error { return os.RemoveAll(filepath.Join(root, "d")) }},
		{"folder_renamed", func(_ *tree.Tree, root string) error {
			return os.Rename(filepath.Join(root, "d"), filepath.Join(root, "e"))
		}},
		{"removed_by_client", func(tr *tree.Tree, _ string) error {
			_, err := tr.Remove(context.Background(), pathOf("d/b"), tree.Change{})
			return err
		}},
		{"folder_removed_by_client", func(tr *tree.Tree, _ string) error {
			_, err := tr.Remove(context.Background(), pathOf("d"), tree.Change{})
			return err
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr, root := open(t, tree.Options{Write: true})
			name, other := filepath.Join(root, "a"), filepath.Join(root, "d/b")
			err := errors.Join(os.Mkdir(filepath.Join(root, "d"), 0o755), os.WriteFile(name, []byte("one"), 0o644),
				os.Link(name, other))
			if err != nil {
				t.Fatal(err)
			}
			agrees(t, tr, root, "")
			if err := errors.Join(os.WriteFile(other, []byte("two"), 0o644), c.gone(tr, root)); err != nil {
				t.Fatal(err)
			}
			agrees(t, tr, root, "")
		})
	}
}
