//go:build linux

package tree_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"freshet/fileserver/tree"
)

// TestNoDescriptorsLeft tries every operation with no file descriptor left, with one, with two and so on until it succeeds:
// before that it says so, leaves everything as it was, and gives back what it took.
func TestNoDescriptorsLeft(t *testing.T) {
	if !inProcess(t, nil) {
		return
	}
	limit := unix.Rlimit{Cur: 256, Max: 256}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	root, _ := build(t, filepath.Join(t.TempDir(), "base"), []string{"d/", "d/a=alpha", "old=old bytes", "l->d/a"})
	tr, err := tree.New(root, tree.Options{Write: true, Log: slog.New(slog.NewTextHandler(testWriter{t}, nil))})
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range descriptorOps {
		t.Run(op.name, func(t *testing.T) {
			for few := 0; ; few++ {
				before, open := servedState(t, root), openDescriptors(t)
				free := takeDescriptors(t, few)
				err := op.do(t, tr)
				free()
				if err == nil {
					t.Logf("needs %d descriptors", few)
					break
				}
				if !errors.Is(err, tree.ErrTooManyFiles) {
					t.Errorf("with %d descriptors left: %v", few, err)
				}
				if after := servedState(t, root); !maps.Equal(before, after) {
					t.Fatalf("with %d descriptors left: before %v, after %v", few, before, after)
				}
				if n := openDescriptors(t); n != open {
					t.Fatalf("with %d descriptors left: %d are open instead of %d", few, n, open)
				}
				checkUsable(t, tr)
			}
		})
	}
	if err := tr.Close(); err != nil {
		t.Error(err)
	}
	checkStateFolder(t, root)
}

var descriptorOps = []struct {
	name string
	do   func(t *testing.T, tr *tree.Tree) error
}{
	{"stat", func(t *testing.T, tr *tree.Tree) error {
		_, err := tr.Stat(context.Background(), at(t, "l"))
		return err
	}},
	{"list", func(t *testing.T, tr *tree.Tree) error {
		entries, err := tr.List(context.Background(), tree.Path{})
		for _, e := range entries {
			if e.Name == "l" && e.Followed == nil {
				return errors.New("a link that is followed is listed as one that is not")
			}
		}
		return err
	}},
	{"open_unknown", func(t *testing.T, tr *tree.Tree) error {
		_, err := get(t, tr, "d/a")
		return err
	}},
	{"open_known", func(t *testing.T, tr *tree.Tree) error {
		_, err := get(t, tr, "l")
		return err
	}},
	{"create", func(t *testing.T, tr *tree.Tree) error {
		_, err := put(t, tr, "d/new", "new", ifAbsent)
		return err
	}},
	{"replace", func(t *testing.T, tr *tree.Tree) error {
		_, err := put(t, tr, "d/new", "newer", nil)
		return err
	}},
	{"replace_guarded_by_a_link", func(t *testing.T, tr *tree.Tree) error {
		_, err := put(t, tr, "l", "beta", ifMatch("alpha"))
		return err
	}},
	{"mkdir", func(t *testing.T, tr *tree.Tree) error {
		_, err := tr.Mkdir(context.Background(), at(t, "d/e"), tree.Change{})
		return err
	}},
	{"copy", func(t *testing.T, tr *tree.Tree) error {
		_, err := tr.Copy(context.Background(), at(t, "d/a"), at(t, "d/e/a"), tree.Transfer{})
		return err
	}},
	{"copy_folder", func(t *testing.T, tr *tree.Tree) error {
		_, err := tr.Copy(context.Background(), at(t, "d"), at(t, "f"), tree.Transfer{Destination: ifAbsent})
		return err
	}},
	{"copy_folder_over", func(t *testing.T, tr *tree.Tree) error {
		_, err := tr.Copy(context.Background(), at(t, "d"), at(t, "f"), tree.Transfer{})
		return err
	}},
	{"move", func(t *testing.T, tr *tree.Tree) error {
		_, err := tr.Move(context.Background(), at(t, "d/new"), at(t, "moved"), tree.Transfer{})
		return err
	}},
	{"move_over", func(t *testing.T, tr *tree.Tree) error {
		_, err := tr.Move(context.Background(), at(t, "moved"), at(t, "d/a"), tree.Transfer{Destination: ifMatch("beta")})
		return err
	}},
	{"move_folder", func(t *testing.T, tr *tree.Tree) error {
		_, err := tr.Move(context.Background(), at(t, "f"), at(t, "d/f"), tree.Transfer{})
		return err
	}},
	{"remove", func(t *testing.T, tr *tree.Tree) error {
		_, err := tr.Remove(context.Background(), at(t, "d/a"), tree.Change{Guard: ifMatch("newer")})
		return err
	}},
	{"remove_folder", func(t *testing.T, tr *tree.Tree) error {
		_, err := tr.Remove(context.Background(), at(t, "d"), tree.Change{})
		return err
	}},
}

// takeDescriptors takes all descriptors but a few, until free is called.
func takeDescriptors(t *testing.T, few int) (free func()) {
	t.Helper()
	var taken []int
	for {
		fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if errors.Is(err, unix.EMFILE) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		taken = append(taken, fd)
	}
	for _, fd := range taken[:few] {
		_ = unix.Close(fd)
	}
	return func() {
		for _, fd := range taken[few:] {
			_ = unix.Close(fd)
		}
	}
}

func openDescriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// TestDescriptorsAreGivenBack makes sure that trees and what is done with them leave nothing open.
func TestDescriptorsAreGivenBack(t *testing.T) {
	if !inProcess(t, nil) {
		return
	}
	base := t.TempDir()
	open := openDescriptors(t)
	for i := range 3 {
		made := []string{"d/", "d/a=alpha", "old=old bytes", "l->d/a", "out->../outside"}
		root, _ := build(t, filepath.Join(base, fmt.Sprint(i)), made)
		tr, err := tree.New(root, tree.Options{Write: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, op := range descriptorOps {
			if err := op.do(t, tr); err != nil {
				t.Errorf("%s: %v", op.name, err)
			}
		}
		for _, name := range []string{"out", "out/a", "none/none", "source.txt/none"} {
			for _, op := range swapOps {
				_ = op.do(&swapTest{T: t, tree: tr}, name)
			}
		}
		if _, err := tree.New(root, tree.Options{Write: true}); !errors.Is(err, tree.ErrLocked) {
			t.Error(err)
		}
		if _, err := tree.New(root, tree.Options{Write: true, State: filepath.Join(root, "state")}); err == nil {
			t.Error("a served state folder")
		}
		_ = eachChange(t, tr)
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
		if n := openDescriptors(t); n > open {
			listing, _ := os.ReadDir("/proc/self/fd")
			for _, e := range listing {
				name, _ := os.Readlink("/proc/self/fd/" + e.Name())
				t.Log(e.Name(), name)
			}
			t.Fatalf("%d descriptors are open instead of %d", n, open)
		}
	}
}
