package tree_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"freshet/fileserver/tree"
)

// All names of a file are looked at when it changes under one of them.
func TestHardLinks(t *testing.T) {
	tr, root := open(t, tree.Options{Write: true})
	write := func(name, body string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(root, name), []byte(body), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("a", "one")
	if err := errors.Join(os.Mkdir(filepath.Join(root, "d"), 0o755),
		os.Link(filepath.Join(root, "a"), filepath.Join(root, "d/b"))); err != nil {
		t.Fatal(err)
	}
	agrees(t, tr, root, "")
	write("a", "two")
	agrees(t, tr, root, "")
	agrees(t, tr, root, "d")
	since := tr.Cursor()
	write("d/b", "three")
	got, err := tr.Changes(context.Background(), tree.ChangesQuery{Since: since})
	if err != nil || len(got.Events) != 2 {
		t.Errorf("%+v, %v", got, err)
	}
}

// What is not served for a while is not listed then, though the cache knows of it.
func TestOnlyForgetsOthers(t *testing.T) {
	root, state := t.TempDir(), t.TempDir()
	if err := errors.Join(os.WriteFile(filepath.Join(root, "a"), nil, 0o644),
		os.WriteFile(filepath.Join(root, "b"), nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, only string
		listed     int
	}{{"all", "", 2}, {"only", "a", 1}, {"all_again", "", 2}} {
		t.Run(c.name, func(t *testing.T) {
			tr := openAt(t, root, tree.Options{State: state, Only: c.only})
			f, _, err := tr.Folder(context.Background(), tree.Path{})
			if err != nil || f.Len() != c.listed {
				t.Errorf("%+v, %v", f, err)
			}
		})
	}
}

// A tree without a watch is looked at on the way to what is asked for.
func TestUnwatchedIsLookedAtOnTheWay(t *testing.T) {
	root := t.TempDir()
	tr, err := tree.NewUnwatched(root, tree.Options{Log: slog.New(slog.NewTextHandler(testWriter{t}, nil))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var run sync.WaitGroup
	run.Go(func() { _ = tr.Run(ctx) })
	defer tr.Close()
	defer run.Wait()
	defer cancel()
	if err := os.MkdirAll(filepath.Join(root, "d/e"), 0o755); err != nil {
		t.Fatal(err)
	}
	if f, _, err := tr.Folder(ctx, at(t, "d/e")); err != nil || f.Len() != 0 {
		t.Errorf("a new folder: %+v, %v", f, err)
	}
	since := tr.Cursor()
	if err := os.WriteFile(filepath.Join(root, "d/e/file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := tr.Changes(ctx, tree.ChangesQuery{Since: since, Below: at(t, "d/e/file")})
	if err != nil || len(got.Events) != 1 {
		t.Errorf("a new file: %+v, %v", got, err)
	}
}
