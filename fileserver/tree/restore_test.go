//go:build linux

package tree_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"freshet/fileserver/tree"
)

func TestRestoreFile(t *testing.T) {
	one := tree.VersionKey{Digest: digestOf("one")}
	for _, c := range []struct {
		name    string
		there   string // what is at "a" before; "" for nothing
		to      string
		guard   tree.Guard
		err     error
		created bool
	}{
		{name: "to_a_free_name", to: "a", created: true},
		{name: "to_a_free_name_on_condition", to: "a", guard: ifAbsent, created: true},
		{name: "over_what_is_there", there: "now", to: "a"},
		{name: "over_what_is_expected", there: "now", to: "a", guard: ifMatch("now")},
		{name: "not_over_what_is_not_expected", there: "now", to: "a", guard: ifMatch("two"), err: errRefused},
		{name: "not_over_what_should_be_absent", there: "now", to: "a", guard: ifAbsent, err: errRefused},
		{name: "to_another_path", there: "now", to: "b", created: true},
		{name: "not_without_a_folder", to: "none/b", err: tree.ErrNoParent},
		{name: "not_over_a_folder", to: "folder", err: tree.ErrIsFolder},
	} {
		t.Run(c.name, func(t *testing.T) {
			whereverKept(t, history("a", "one", "two"), func(t *testing.T, tr *tree.Tree, root string) {
				if _, err := tr.Mkdir(context.Background(), pathOf("folder"), tree.Change{}); err != nil {
					t.Fatal(err)
				}
				if c.there != "" {
					if _, err := put(t, tr, "a", c.there, nil); err != nil {
						t.Fatal(err)
					}
				}
				before, err := look(root)
				if err != nil {
					t.Fatal(err)
				}
				change := tree.Change{Guard: c.guard, By: "restorer"}
				res, err := tr.Restore(context.Background(), pathOf("a"), one, pathOf(c.to), change)
				if !errors.Is(err, c.err) {
					t.Fatalf("%v, want %v", err, c.err)
				}
				want := maps.Clone(before)
				if c.err == nil {
					want[c.to] = "one"
					if res.Created != c.created || res.Entry.Digest != one.Digest {
						t.Errorf("%+v", res)
					}
				}
				if found, err := look(root); !maps.Equal(found, want) || err != nil {
					t.Errorf("the tree holds %v, %v, want %v", found, err, want)
				}
				if body, err := readVersion(t, tr, "a", one); body != "one" || err != nil {
					t.Errorf("the version is %q now, %v", body, err)
				}
				found := versionsOf(t, tr, "a")
				if over := c.err == nil && c.there != "" && c.to == "a"; over && (len(found) != 3 ||
					found[0].Digest != digestOf(c.there) || found[0].By != "restorer") || !over && len(found) != 2 {
					t.Errorf("what it displaced is no version: %+v", found)
				}
			})
		})
	}
}

func TestRestoreFolder(t *testing.T) {
	whole := world{"d": "/", "d/e": "/", "d/e/b": "deep"}
	for _, c := range []struct {
		name  string
		there world
		to    string
		guard tree.Guard
		err   error
		after world
	}{
		{"to_its_name", nil, "d", ifAbsent, nil, whole},
		{"to_another_name", nil, "n", nil, nil, world{"n": "/", "n/e": "/", "n/e/b": "deep"}},
		{"into_a_folder", world{"n": "/"}, "n/d", nil, nil, world{"n": "/", "n/d": "/", "n/d/e": "/", "n/d/e/b": "deep"}},
		{"not_over_a_folder", world{"d": "/"}, "d", nil, tree.ErrExist, world{"d": "/"}},
		{"not_over_a_file", world{"d": "file"}, "d", anything, tree.ErrExist, world{"d": "file"}},
		{"not_over_what_should_be_absent", world{"d": "file"}, "d", ifAbsent, errRefused, world{"d": "file"}},
		{"not_where_something_is_expected", nil, "d", ifPresent, errRefused, world{}},
		{"not_without_a_folder", nil, "n/d", nil, tree.ErrNoParent, world{}},
		{"not_as_the_root", nil, "", nil, tree.ErrIsFolder, world{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			whereverKept(t, folderHistory, func(t *testing.T, tr *tree.Tree, root string) {
				c.there.make(t, root)
				key := tree.VersionKey{ID: versionsOf(t, tr, "d")[0].ID}
				_, err := tr.Restore(context.Background(), pathOf("d"), key, pathOf(c.to), tree.Change{Guard: c.guard})
				if !errors.Is(err, c.err) {
					t.Errorf("%v, want %v", err, c.err)
				}
				tr.Settle(time.Now().Add(time.Minute))
				if found, err := look(root); !maps.Equal(found, c.after) || err != nil {
					t.Errorf("the tree holds %v, %v, want %v", found, err, c.after)
				}
				want := 0
				if c.err != nil {
					want = 1
				}
				if found := versionsOf(t, tr, "d"); len(found) != want {
					t.Errorf("versions of the folder: %+v", found)
				}
				if kept, err := versionsIn(root); err == nil && tr.Stats().VersionsFiles != len(kept) || err != nil && want == 0 {
					t.Errorf("%d versions are counted, there are %q, %v", tr.Stats().VersionsFiles, kept, err)
				}
			})
		})
	}
}

// TestRestoreKeepsWhatIsBesideTheBytes: time, mode and attributes.
func TestRestoreKeepsWhatIsBesideTheBytes(t *testing.T) {
	tr, root := open(t, tree.Options{Write: true})
	name, then := filepath.Join(root, "a"), time.Date(2001, 2, 3, 4, 5, 6, 789, time.UTC)
	large := string(make([]byte, 3<<20))
	world{"a": large}.make(t, root)
	if err := errors.Join(os.Chmod(name, 0o711), os.Chtimes(name, then, then)); err != nil {
		t.Fatal(err)
	}
	attributes := unix.Setxattr(name, "user.freshet", []byte("kept"), 0) == nil
	remove(t, tr, "a")
	key := tree.VersionKey{Digest: digestOf(large)}
	if _, err := tr.Restore(context.Background(), pathOf("a"), key, pathOf("a"), tree.Change{}); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(name)
	if err != nil || info.Mode() != 0o711 || !info.ModTime().Equal(then) {
		t.Errorf("%v %v, %v", info.Mode(), info.ModTime(), err)
	}
	value := make([]byte, 10)
	if n, err := unix.Getxattr(name, "user.freshet", value); attributes && string(value[:max(n, 0)]) != "kept" {
		t.Errorf("attribute %q, %v", value, err)
	}
	if body, err := get(t, tr, "a"); body != large || err != nil {
		t.Errorf("%d bytes, %v", len(body), err)
	}
	c := tree.Change{ModTime: then.Add(time.Hour)}
	res, err := tr.Restore(context.Background(), pathOf("a"), key, pathOf("b"), c)
	if err != nil || !res.Entry.ModTime.Equal(c.ModTime) {
		t.Errorf("a time of its own: %s, %v", res.Entry.ModTime, err)
	}
}

// TestRestoredIsSeen asks for the fingerprint of the root at once, which is what it was before.
func TestRestoredIsSeen(t *testing.T) {
	tr, root := open(t, tree.Options{Write: true})
	world{"a": "one", "d": "/", "d/e": "/", "d/e/b": "deep", "l": "-> a"}.make(t, root)
	ctx := context.Background()
	before, _, err := tr.Folder(ctx, tree.Path{})
	if err != nil || before.Subtree.IsZero() {
		t.Fatalf("%+v, %v", before, err)
	}
	for _, name := range []string{"a", "d", "l"} {
		remove(t, tr, name)
		gone, cursor, err := tr.Folder(ctx, tree.Path{})
		if err != nil || gone.Subtree == before.Subtree {
			t.Errorf("%s is removed: %v", name, err)
		}
		if err := restores(name)(tr); err != nil {
			t.Error(err)
		}
		if back, _, err := tr.Folder(ctx, tree.Path{}); err != nil || back.Subtree != before.Subtree {
			t.Errorf("%s is back: %s, want %s, %v", name, back.Subtree, before.Subtree, err)
		}
		told, err := tr.Changes(ctx, tree.ChangesQuery{Since: cursor})
		if err != nil || len(told.Events) == 0 || told.Events[0].Path != pathOf(name) || told.Events[0].Gone {
			t.Errorf("%s is back, the feed says %+v, %v", name, told, err)
		}
	}
}

func TestPurge(t *testing.T) {
	prepare := func(t *testing.T, tr *tree.Tree) {
		history("a", "one", "two")(t, tr)
		folderHistory(t, tr)
	}
	whereverKept(t, prepare, func(t *testing.T, tr *tree.Tree, root string) {
		ctx := context.Background()
		all := versionsOf(t, tr, "a")
		if err := tr.Purge(ctx, all[1].ID); err != nil {
			t.Error(err)
		}
		if err := tr.Purge(ctx, all[1].ID); !errors.Is(err, tree.ErrNoVersion) {
			t.Errorf("purged twice: %v", err)
		}
		if _, err := readVersion(t, tr, "a", tree.VersionKey{Digest: digestOf("one")}); !errors.Is(err, tree.ErrNoVersion) {
			t.Errorf("a purged version: %v", err)
		}
		if n, err := tr.EmptyTrash(ctx, pathOf("d")); n != 2 || err != nil {
			t.Errorf("%d were removed below d, %v", n, err)
		}
		tr.Settle(time.Now().Add(time.Minute))
		found, err := versionsIn(root)
		if want := []string{"a: two", "d/a: one"}; err != nil || !slices.Equal(found, want) {
			t.Errorf("%q are left, %v, want %q", found, err, want)
		}
		if s := tr.Stats(); s.VersionsFiles != 2 {
			t.Errorf("%d versions are counted", s.VersionsFiles)
		}
	})
}

// TestFoldersComeAndGo removes and restores a folder again and again, while the quarantine ends and the bounds take
// what they can. It is whole, or a version that is whole, or gone where none is kept.
func TestFoldersComeAndGo(t *testing.T) {
	whole := world{"d": "/", "d/e": "/", "d/e/b": "deep", "d/a": "one"}
	for i := range 40 {
		whole[fmt.Sprintf("d/e/%d", i)] = "more"
	}
	for name, o := range map[string]tree.Options{"kept": {}, "not_kept": {VersionsAgeMax: -1}} {
		t.Run(name, func(t *testing.T) {
			root := memoryDir(t)
			whole.make(t, root)
			tr := newTree(t, root, o)
			ctx := context.Background()
			stop := meanwhile(
				func() { tr.Settle(time.Now()) },
				func() { tr.TrimVersions(time.Now()) },
				func() { _, _ = tr.Trash(ctx, tree.Path{}, "") })
			defer stop()
			for range 100 {
				remove(t, tr, "d")
				err := restores("d")(tr)
				if found, lookErr := look(root); err == nil && !maps.Equal(found, whole) || lookErr != nil {
					t.Fatalf("%d of %d are back: %v", len(found), len(whole), lookErr)
				}
				if err != nil && o.VersionsAgeMax >= 0 {
					t.Fatal(err)
				}
				if err != nil {
					whole.make(t, root)
				}
			}
			stop()
			tr.Settle(time.Now())
			if found, err := versionsIn(root); len(found) > 0 || err != nil {
				t.Errorf("versions: %q, %v", found, err)
			}
		})
	}
}

// meanwhile does each of others again and again until stop is called, which returns when they have ended.
func meanwhile(others ...func()) (stop func()) {
	var all sync.WaitGroup
	stopped := make(chan struct{})
	for _, other := range others {
		all.Go(func() {
			for {
				select {
				case <-stopped:
					return
				default:
					other()
				}
			}
		})
	}
	return sync.OnceFunc(func() {
		close(stopped)
		all.Wait()
	})
}

// TestRestoreWhileTheQuarantineEnds asks for a folder that has just left the stage folder, but is not yet counted.
func TestRestoreWhileTheQuarantineEnds(t *testing.T) {
	root := memoryDir(t)
	tr := newTree(t, root, tree.Options{})
	folderHistory(t, tr)
	began, restored := make(chan struct{}), make(chan error)
	asked := sync.OnceFunc(func() {
		go func() {
			close(began)
			restored <- restores("d")(tr)
		}()
		<-began
		time.Sleep(20 * time.Millisecond)
	})
	tree.SetFailpoint(t, func(step string) error {
		if step == "version-kept" {
			asked()
		}
		return nil
	})
	tr.Settle(time.Now())
	if err := <-restored; err != nil {
		t.Error(err)
	}
	if body, err := get(t, tr, "d/e/b"); body != "deep" || err != nil {
		t.Errorf("%q, %v", body, err)
	}
}

// TestRestoreThatFails leaves the version where it is.
func TestRestoreThatFails(t *testing.T) {
	whereverKept(t, folderHistory, func(t *testing.T, tr *tree.Tree, root string) {
		tree.SetFailpoint(t, func(step string) error {
			if step == "rename" {
				return unix.EXDEV
			}
			return nil
		})
		if err := restores("d")(tr); !errors.Is(err, tree.ErrCrossDevice) {
			t.Errorf("%v", err)
		}
		tree.HookFailpoint(nil)
		if err := restores("d")(tr); err != nil {
			t.Errorf("and then: %v", err)
		}
		tr.Settle(time.Now().Add(time.Minute))
		kept, err := versionsIn(root)
		if n := tr.Stats().VersionsFiles; err != nil || len(kept) != n || slices.Contains(kept, "d: /") {
			t.Errorf("%d versions are counted, there are %q, %v", n, kept, err)
		}
	})
}
