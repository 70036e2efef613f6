//go:build linux

package tree_test

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"freshet/fileserver/tree"
)

// TestOneWriter makes sure that one server at a time writes to a root, wherever each keeps its state.
func TestOneWriter(t *testing.T) {
	base := t.TempDir()
	root := filepath.Join(base, "root")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(root, filepath.Join(base, "link")); err != nil {
		t.Fatal(err)
	}
	first, err := tree.New(root, tree.Options{Write: true})
	if err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]tree.Options{
		"root": {Write: true},
		"link": {Write: true},
		".":    {Write: true, State: filepath.Join(base, "state")},
	} {
		name = filepath.Join(base, name)
		if name == base {
			name = root
		}
		if _, err := tree.New(name, o); !errors.Is(err, tree.ErrLocked) {
			t.Errorf("a second writer on %s with %+v: %v", name, o, err)
		}
	}
	reader := openAt(t, root, tree.Options{})
	if _, err := put(t, first, "file", "body", nil); err != nil {
		t.Error(err)
	}
	if body, err := get(t, reader, "file"); body != "body" {
		t.Errorf("beside the writer is read %q, %v", body, err)
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	second, err := tree.New(root, tree.Options{Write: true, State: filepath.Join(base, "state")})
	if err != nil {
		t.Fatalf("after the first has ended: %v", err)
	}
	if _, err := tree.New(root, tree.Options{Write: true}); !errors.Is(err, tree.ErrLocked) {
		t.Errorf("a second writer with its state elsewhere: %v", err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
}

// TestReadersWriteNothing makes sure that a tree that only reads leaves no trace under the root.
func TestReadersWriteNothing(t *testing.T) {
	root, _ := build(t, filepath.Join(t.TempDir(), "base"), []string{"d/", "d/a=alpha", "old=old bytes", "l->d/a"})
	before := stateOf(t, root, true)
	for range 2 {
		tr := openAt(t, root, tree.Options{})
		if _, err := get(t, tr, "l"); err != nil {
			t.Error(err)
		}
		if _, err := tr.List(context.Background(), at(t, "d")); err != nil {
			t.Error(err)
		}
		for name, err := range eachChange(t, tr) {
			if !errors.Is(err, tree.ErrReadOnly) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if after := stateOf(t, root, true); !maps.Equal(before, after) {
		t.Errorf("before: %v\nafter:  %v", before, after)
	}
}

// TestOnly serves one file of a folder, and nothing of the others shows.
func TestOnly(t *testing.T) {
	root, _ := build(t, filepath.Join(t.TempDir(), "base"), []string{"d/", "d/a=alpha", "old=old bytes", "other=other"})
	for _, write := range []bool{false, true} {
		tr := openAt(t, root, tree.Options{Only: "old", Write: write})
		if body, err := get(t, tr, "old"); body != "old bytes" {
			t.Errorf("%q, %v", body, err)
		}
		checkNamesListed(t, tr, "", []string{"old"})
		for _, name := range []string{"other", "d", "d/a", "none"} {
			_, opened := tr.Open(context.Background(), at(t, name))
			_, stat := tr.Stat(context.Background(), at(t, name))
			_, list := tr.List(context.Background(), at(t, name))
			if !errors.Is(opened, tree.ErrNotExist) || !errors.Is(stat, tree.ErrNotExist) || !errors.Is(list, tree.ErrNotExist) {
				t.Errorf("%s: open %v, stat %v, list %v", name, opened, stat, list)
			}
		}
		for name, err := range eachChange(t, tr) {
			if !errors.Is(err, tree.ErrReadOnly) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestStateFolder(t *testing.T) {
	for _, tt := range []struct {
		name  string
		made  []string // beside the root, and in it
		state string   // relative to what is beside the root
		err   error
	}{
		{"default", nil, "", nil},
		{"elsewhere", nil, "state", nil},
		{"deep_elsewhere", nil, "var/lib/state", nil},
		{"reserved_by_name", nil, "root/.freshet", nil},
		{"in_the_root", nil, "root/state", tree.ErrSame},
		{"deep_in_the_root", []string{"root/d/"}, "root/d/state", tree.ErrSame},
		{"in_the_root_by_a_link", []string{"root/d/", "l->root/d"}, "l/state", tree.ErrSame},
		{"itself_a_link", []string{"else/", "l->else"}, "l", tree.ErrNotFolder},
		{"a_file", []string{"file=x"}, "file", tree.ErrNotFolder},
		{"reserved_is_a_link_out", []string{"else/", "root/.freshet->../else"}, "", tree.ErrNotFolder},
		{"reserved_is_a_file", []string{"root/.freshet=x"}, "", tree.ErrNotFolder},
		{"stage_is_a_link_out", []string{"else/", "root/.freshet/", "root/.freshet/stage->../../else"}, "", tree.ErrNotFolder},
		{"versions_is_a_link_out", []string{"else/", "root/.freshet/", "root/.freshet/versions->../../else"}, "", tree.ErrNotFolder},
		{"lock_is_a_link_out", []string{"root/.freshet/", "root/.freshet/lock->../../lock"}, "", tree.ErrOutside},
	} {
		t.Run(tt.name, func(t *testing.T) {
			base := t.TempDir()
			for _, item := range append([]string{"root/"}, tt.made...) {
				if err := buildItem(t, base, item); err != nil {
					t.Fatal(err)
				}
			}
			o := tree.Options{Write: true}
			if tt.state != "" {
				o.State = filepath.Join(base, tt.state)
			}
			tr, err := tree.New(filepath.Join(base, "root"), o)
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if left, _ := filepath.Glob(filepath.Join(base, "else/*")); len(left) > 0 {
				t.Errorf("a link was followed: %v", left)
			}
			if err != nil {
				return
			}
			for _, body := range []string{"one", "two"} {
				if _, err := put(t, tr, "file", body, nil); err != nil {
					t.Error(err)
				}
			}
			checkNamesListed(t, tr, "", []string{"file"})
			if err := tr.Close(); err != nil {
				t.Error(err)
			}
			state := o.State
			if state == "" {
				state = filepath.Join(base, "root", tree.Reserved)
			}
			fi, err := os.Stat(state)
			if err != nil || fi.Mode().Perm() != 0o700 {
				t.Errorf("the state folder: %v, %v", fi, err)
			}
			if kept, err := filepath.Glob(filepath.Join(state, "versions/*")); len(kept) != 2 || err != nil {
				t.Errorf("kept are %v, %v", kept, err)
			}
		})
	}
}

func TestStateFolderOnAnotherFilesystem(t *testing.T) {
	if !inSandbox(t) {
		return
	}
	base := memoryFolder(t)
	root, state := filepath.Join(base, "root"), mountTmpfs(t, filepath.Join(base, "mount"), "size=1m")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{state, filepath.Join(state, "state")} {
		if _, err := tree.New(root, tree.Options{Write: true, State: name}); !errors.Is(err, tree.ErrCrossDevice) {
			t.Errorf("state in %s: %v", name, err)
		}
	}
	openAt(t, root, tree.Options{Write: true, State: filepath.Join(base, "state")})
}
