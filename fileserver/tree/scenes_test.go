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
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"freshet/fileserver/tree"
)

// A world is what a folder holds, by path: the text of a file, "-> text" for a link, "/" for a folder.
type world map[string]string

func (w world) make(t testing.TB, root string) {
	t.Helper()
	if err := w.build(root); err != nil {
		t.Fatal(err)
	}
}

func (w world) build(root string) error {
	for _, rel := range slices.Sorted(maps.Keys(w)) {
		name := filepath.Join(root, rel)
		var err error
		switch text, isLink := strings.CutPrefix(w[rel], "-> "); {
		case isLink:
			err = os.Symlink(text, name)
		case text == "/":
			err = os.Mkdir(name, 0o755)
		default:
			err = os.WriteFile(name, []byte(text), 0o640)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// A scene is one change, what is there before and after it, and what must be among the versions once it is made.
type scene struct {
	name          string
	before, after world
	kept          []string // "path: content", as lookAtState has it
	stored        world    // what the versions hold before, ID standing for an ID
	held          []string // that, as kept has it
	exchanges     bool     // names are exchanged, where the filesystem can
	linked        world    // what a crash may leave where a file is renamed by giving it a second name first
	change        func(tr *tree.Tree) error
	// meanwhile, if set, is what a local program does when the change has come to the step at, for the first time. It makes
	// between of before.
	at        string
	meanwhile func(root string) error
	between   world
	undone    bool  // the change is refused in the end, after it was made
	halfway   world // what a crash may leave before it is undone, or between two changes
	// late is what is left if a program that had the displaced file open writes "late" into it after the crash.
	late world
}

// Filesystems that scenes are played on.
const (
	plain   = "exchange"         // ext4, xfs, btrfs, tmpfs: two names can be exchanged
	gap     = "no_exchange"      // names cannot be exchanged
	byLinks = "no_rename_to_new" // NFS: nor can a file be renamed without replacing; and texts of links are bounded
)

func (s *scene) modes() []string {
	switch {
	case s.late != nil:
		return []string{plain}
	case s.exchanges:
		return []string{plain, gap, byLinks}
	}
	return []string{plain, byLinks}
}

// player returns what happens at the steps of a scene beside the change itself.
func (s *scene) player(root, mode string) func(step string) error {
	played := s.meanwhile == nil
	return func(step string) error {
		if step == "exchange" && mode != plain || step == "rename" && mode == byLinks {
			return unix.EINVAL
		}
		if step == "record" && mode == byLinks {
			return tree.ErrName
		}
		if played || step != s.at {
			return nil
		}
		played = true
		return s.meanwhile(root)
	}
}

func sceneNamed(name string) *scene {
	for i := range scenes {
		if scenes[i].name == name {
			return &scenes[i]
		}
	}
	panic("no scene " + name)
}

var scenes = []scene{
	{
		name:   "create",
		after:  world{"a": "new"},
		change: commits("a", "new", ifAbsent),
	},
	{
		name:   "create_in_folder",
		before: world{"d": "/"},
		after:  world{"d": "/", "d/a": "new"},
		change: commits("d/a", "new", nil),
	},
	{
		name:      "create_since_the_target_vanished",
		before:    world{"a": "old"},
		at:        "commit-recorded",
		meanwhile: func(root string) error { return os.Remove(filepath.Join(root, "a")) },
		between:   world{},
		after:     world{"a": "new"},
		change:    commits("a", "new", nil),
	},
	{
		name:      "replace",
		before:    world{"a": "old"},
		after:     world{"a": "new"},
		kept:      []string{"a: old"},
		exchanges: true,
		change:    commits("a", "new", ifMatch("old")),
	},
	{
		name:      "replace_twice",
		before:    world{"a": "old"},
		at:        "commit-recorded",
		meanwhile: func(root string) error { return os.Chmod(filepath.Join(root, "a"), 0o600) },
		between:   world{"a": "old"},
		after:     world{"a": "new"},
		kept:      []string{"a: old"},
		change:    commits("a", "new", ifMatch("old")),
	},
	{
		name:      "replace_through_a_link",
		before:    world{"d": "/", "d/a": "old", "l": "-> d/a"},
		after:     world{"d": "/", "d/a": "new", "l": "-> d/a"},
		kept:      []string{"l: old"},
		exchanges: true,
		change:    commits("l", "new", ifMatch("old")),
	},
	{
		name:   "remove_file",
		before: world{"a": "old"},
		after:  world{},
		kept:   []string{"a: old"},
		change: removes("a"),
	},
	{
		name:   "remove_link",
		before: world{"a": "old", "l": "-> a"},
		after:  world{"a": "old"},
		kept:   []string{"l: -> a"},
		change: removes("l"),
	},
	{
		name:   "remove_folder",
		before: world{"d": "/", "d/a": "old", "d/e": "/"},
		after:  world{},
		kept:   []string{"d: /"},
		change: removes("d"),
	},
	{
		name:   "move_file_to_free_name",
		before: world{"a": "one"},
		after:  world{"b": "one"},
		linked: world{"a": "one", "b": "one"},
		change: moves("a", "b"),
	},
	{
		name:   "move_file_across_folders",
		before: world{"a": "one", "d": "/"},
		after:  world{"d": "/", "d/b": "one"},
		linked: world{"a": "one", "d": "/", "d/b": "one"},
		change: moves("a", "d/b"),
	},
	{
		name:   "move_folder",
		before: world{"d": "/", "d/a": "one", "e": "/"},
		after:  world{"e": "/", "e/d": "/", "e/d/a": "one"},
		change: moves("d", "e/d"),
	},
	{
		name:      "move_file_onto_file",
		before:    world{"a": "one", "b": "two"},
		after:     world{"b": "one"},
		kept:      []string{"b: two"},
		exchanges: true,
		linked:    world{"a": "one", "b": "one"},
		change:    moves("a", "b"),
	},
	{
		name:      "move_file_onto_file_across_folders",
		before:    world{"a": "one", "d": "/", "d/b": "two"},
		after:     world{"d": "/", "d/b": "one"},
		kept:      []string{"d/b: two"},
		exchanges: true,
		linked:    world{"a": "one", "d": "/", "d/b": "one"},
		change:    moves("a", "d/b"),
	},
	{
		name:      "move_file_onto_folder",
		before:    world{"a": "one", "d": "/", "d/b": "two"},
		after:     world{"d": "one"},
		kept:      []string{"d: /"},
		exchanges: true,
		linked:    world{"a": "one", "d": "one"},
		change:    moves("a", "d"),
	},
	{
		name:      "move_folder_onto_file",
		before:    world{"a": "one", "d": "/", "d/b": "two"},
		after:     world{"a": "/", "a/b": "two"},
		kept:      []string{"a: one"},
		exchanges: true,
		change:    moves("d", "a"),
	},
	{
		name:      "move_link_onto_file",
		before:    world{"a": "one", "b": "two", "l": "-> a"},
		after:     world{"a": "one", "b": "-> a"},
		kept:      []string{"b: two"},
		exchanges: true,
		linked:    world{"a": "one", "b": "-> a", "l": "-> a"},
		change:    moves("l", "b"),
	},
	{
		name:      "move_file_onto_link",
		before:    world{"a": "one", "b": "two", "l": "-> a"},
		after:     world{"a": "one", "l": "two"},
		kept:      []string{"l: -> a"},
		exchanges: true,
		linked:    world{"a": "one", "b": "two", "l": "two"},
		change:    moves("b", "l"),
	},
	{
		name:   "copy_file",
		before: world{"a": "one"},
		after:  world{"a": "one", "b": "one"},
		change: copies("a", "b"),
	},
	{
		name:      "copy_file_onto_file",
		before:    world{"a": "one", "b": "two"},
		after:     world{"a": "one", "b": "one"},
		kept:      []string{"b: two"},
		exchanges: true,
		change:    copies("a", "b"),
	},
	{
		name:   "copy_folder",
		before: world{"d": "/", "d/a": "one", "d/l": "-> a", "d/s": "/"},
		after:  world{"d": "/", "d/a": "one", "d/l": "-> a", "d/s": "/", "e": "/", "e/a": "one", "e/l": "-> a", "e/s": "/"},
		change: copies("d", "e"),
	},
	{
		name:      "copy_folder_onto_file",
		before:    world{"b": "two", "d": "/", "d/a": "one"},
		after:     world{"b": "/", "b/a": "one", "d": "/", "d/a": "one"},
		kept:      []string{"b: two"},
		exchanges: true,
		change:    copies("d", "b"),
	},
	{
		name:      "copy_folder_onto_folder",
		before:    world{"d": "/", "d/a": "one", "e": "/", "e/b": "two"},
		after:     world{"d": "/", "d/a": "one", "e": "/", "e/a": "one"},
		kept:      []string{"e: /"},
		exchanges: true,
		change:    copies("d", "e"),
	},
	{
		name:      "replace_is_undone",
		before:    world{"a": "old"},
		at:        "guard",
		meanwhile: savesThere("a"),
		between:   world{"a": "rogue"},
		halfway:   world{"a": "new", "a (conflict)": "rogue"},
		undone:    true,
		after:     world{"a": "rogue"},
		exchanges: true,
		change:    refused(commits("a", "new", steps(ifMatch("old")))),
	},
	{
		name:      "remove_is_undone",
		before:    world{"a": "old"},
		at:        "guard",
		meanwhile: savesThere("a"),
		between:   world{"a": "rogue"},
		undone:    true,
		after:     world{"a": "rogue"},
		change: refused(func(tr *tree.Tree) error {
			_, err := tr.Remove(context.Background(), pathOf("a"), tree.Change{Guard: steps(ifMatch("old"))})
			return err
		}),
	},
	{
		name:      "move_is_undone",
		before:    world{"a": "one", "b": "old"},
		at:        "guard",
		meanwhile: savesThere("b"),
		between:   world{"a": "one", "b": "rogue"},
		halfway:   world{"a": "rogue", "b": "one"},
		undone:    true,
		after:     world{"a": "one", "b": "rogue"},
		exchanges: true,
		change: refused(func(tr *tree.Tree) error {
			x := tree.Transfer{Destination: steps(ifMatch("old"))}
			_, err := tr.Move(context.Background(), pathOf("a"), pathOf("b"), x)
			return err
		}),
	},
	{
		name:   "replace_and_write_late",
		before: world{"a.txt": "old"},
		after:  world{"a.txt": "new"},
		kept:   []string{"a.txt: old"},
		late:   world{"a.txt": "new", "a (conflict).txt": "late"},
		change: commits("a.txt", "new", ifMatch("old")),
	},
	{
		name:   "replace_through_a_link_and_write_late",
		before: world{"d": "/", "d/a": "old", "l": "-> d/a"},
		after:  world{"d": "/", "d/a": "new", "l": "-> d/a"},
		kept:   []string{"l: old"},
		late:   world{"d": "/", "d/a": "new", "d/a (conflict)": "late", "l": "-> d/a"},
		change: commits("l", "new", ifMatch("old")),
	},
	{
		name:   "remove_and_write_late",
		before: world{"a": "old"},
		after:  world{},
		kept:   []string{"a: old"},
		late:   world{"a": "late"},
		change: removes("a"),
	},
	{
		name:   "move_onto_file_and_write_late",
		before: world{"a": "one", "b": "old"},
		after:  world{"b": "one"},
		kept:   []string{"b: old"},
		late:   world{"b": "one", "b (conflict)": "late"},
		change: moves("a", "b"),
	},
	{
		name:   "restore_file",
		stored: world{"ID": "old", "ID.r": "-> 1 removed 0 0 - - a"},
		held:   []string{"a: old"},
		after:  world{"a": "old"},
		kept:   []string{"a: old"},
		change: restores("a"),
	},
	{
		name:      "restore_over_file",
		before:    world{"a": "now"},
		stored:    world{"ID": "old", "ID.r": "-> 1 removed 0 0 - - a"},
		held:      []string{"a: old"},
		after:     world{"a": "old"},
		kept:      []string{"a: old", "a: now"},
		exchanges: true,
		change:    restores("a"),
	},
	{
		name:   "restore_folder",
		stored: world{"ID": "/", "ID/b": "two", "ID.r": "-> 1 removed 0 0 - - d"},
		held:   []string{"d: /"},
		after:  world{"d": "/", "d/b": "two"},
		change: restores("d"),
	},
	{
		name:    "remove_and_restore_folder",
		before:  world{"d": "/", "d/b": "two"},
		halfway: world{},
		after:   world{"d": "/", "d/b": "two"},
		change: func(tr *tree.Tree) error {
			return errors.Join(removes("d")(tr), restores("d")(tr))
		},
	},
	{
		name:   "make_folder",
		before: world{"d": "/"},
		after:  world{"d": "/", "d/e": "/"},
		change: func(tr *tree.Tree) error {
			_, err := tr.Mkdir(context.Background(), pathOf("d/e"), tree.Change{By: "test"})
			return err
		},
	},
}

func commits(name, body string, g tree.Guard) func(*tree.Tree) error {
	return func(tr *tree.Tree) error {
		ctx := context.Background()
		s, err := tr.Stage(ctx, pathOf(name), int64(len(body)))
		if err != nil {
			return err
		}
		if _, err := s.Write([]byte(body)); err != nil {
			s.Discard()
			return err
		}
		_, err = tr.Commit(ctx, pathOf(name), s, tree.Change{Guard: g, By: "test"})
		return err
	}
}

func removes(name string) func(*tree.Tree) error {
	return func(tr *tree.Tree) error {
		_, err := tr.Remove(context.Background(), pathOf(name), tree.Change{Guard: ifPresent, By: "test"})
		return err
	}
}

func moves(from, to string) func(*tree.Tree) error {
	return func(tr *tree.Tree) error {
		x := tree.Transfer{Source: ifPresent, Destination: anything, By: "test"}
		_, err := tr.Move(context.Background(), pathOf(from), pathOf(to), x)
		return err
	}
}

func copies(from, to string) func(*tree.Tree) error {
	return func(tr *tree.Tree) error {
		x := tree.Transfer{Source: ifPresent, Destination: anything, By: "test"}
		_, err := tr.Copy(context.Background(), pathOf(from), pathOf(to), x)
		return err
	}
}

// restores brings the newest version of a path back.
func restores(name string) func(*tree.Tree) error {
	return func(tr *tree.Tree) error {
		ctx := context.Background()
		list, err := tr.Versions(ctx, pathOf(name), "")
		if err != nil || len(list.Versions) == 0 {
			return fmt.Errorf("no versions of %s: %w", name, err)
		}
		key := tree.VersionKey{ID: list.Versions[0].ID}
		_, err = tr.Restore(ctx, pathOf(name), key, pathOf(name), tree.Change{Guard: anything, By: "test"})
		return err
	}
}

func (s *scene) make(t testing.TB, root string) {
	t.Helper()
	if err := s.build(root); err != nil {
		t.Fatal(err)
	}
}

// build makes what is there before, among the versions too.
func (s *scene) build(root string) error {
	if err := s.before.build(root); err != nil || len(s.stored) == 0 {
		return err
	}
	kept := filepath.Join(root, tree.Reserved, "versions")
	stored, id := world{}, fmt.Sprintf("%016x%012x", time.Now().UnixNano(), 0)
	for name, text := range s.stored {
		stored[strings.Replace(name, "ID", id, 1)] = text
	}
	return errors.Join(os.MkdirAll(kept, 0o700), stored.build(kept))
}

func ifPresent(cur *tree.Entry) error {
	if cur == nil {
		return errRefused
	}
	return nil
}

// anything is a Guard that wants to know what is there, so that its digest is recorded.
func anything(*tree.Entry) error { return nil }

// pathOf is at where there is no test to fail.
func pathOf(name string) tree.Path {
	p, _, err := tree.Parse("/" + name)
	if err != nil {
		panic(err)
	}
	return p
}

// steps makes a step of being asked.
func steps(g tree.Guard) tree.Guard {
	return func(cur *tree.Entry) error {
		if err := tree.Step("guard"); err != nil {
			return err
		}
		return g(cur)
	}
}

// refused is a change whose Guard refuses in the end.
func refused(change func(*tree.Tree) error) func(*tree.Tree) error {
	return func(tr *tree.Tree) error {
		if err := change(tr); !errors.Is(err, errRefused) {
			return fmt.Errorf("want refused: %w", err)
		}
		return nil
	}
}

// savesThere is a program that saves to a new file and gives it the name.
func savesThere(name string) func(root string) error {
	return func(root string) error {
		spare := root + ".spare"
		if err := os.WriteFile(spare, []byte("rogue"), 0o640); err != nil {
			return err
		}
		return os.Rename(spare, filepath.Join(root, name))
	}
}
