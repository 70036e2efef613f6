package tree_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"freshet/fileserver/tree"
	"freshet/hashing"
)

// open makes a tree over a new folder, running until the test ends.
func open(t testing.TB, o tree.Options) (*tree.Tree, string) {
	t.Helper()
	root := t.TempDir()
	return openAt(t, root, o), root
}

func openAt(t testing.TB, root string, o tree.Options) *tree.Tree {
	t.Helper()
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(testWriter{t}, nil))
	}
	tr, err := tree.New(root, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- tr.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		if err := tr.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		checkStateFolder(t, root)
	})
	return tr
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Logf("%s", bytes.TrimSpace(b))
	return len(b), nil
}

// checkStateFolder holds after every test: nothing is left in the stage folder.
func checkStateFolder(t testing.TB, root string) {
	t.Helper()
	left, _ := filepath.Glob(filepath.Join(root, tree.Reserved, "stage", "*"))
	if len(left) > 0 {
		t.Errorf("left in the stage folder: %v", left)
	}
}

func at(t testing.TB, name string) tree.Path {
	t.Helper()
	var p tree.Path
	var err error
	for _, part := range bytes.Split([]byte(name), []byte("/")) {
		if p, err = p.Join(string(part)); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// put stages body and commits it.
func put(t testing.TB, tr *tree.Tree, name, body string, g tree.Guard) (tree.Result, error) {
	t.Helper()
	s, err := tr.Stage(context.Background(), at(t, name), int64(len(body)))
	if err != nil {
		return tree.Result{}, err
	}
	if _, err := s.Write([]byte(body)); err != nil {
		s.Discard()
		return tree.Result{}, err
	}
	return tr.Commit(context.Background(), at(t, name), s, tree.Change{Guard: g, By: "test"})
}

// get reads a file whole and makes sure that its digest names what was sent.
func get(t testing.TB, tr *tree.Tree, name string) (string, error) {
	t.Helper()
	f, err := tr.Open(context.Background(), at(t, name))
	if err != nil {
		return "", err
	}
	defer f.Close()
	var b bytes.Buffer
	if err := f.Send(context.Background(), &b, 0, f.Entry.Size); err != nil {
		return "", err
	}
	if hashing.Sum(b.Bytes()) != f.Entry.Digest {
		t.Errorf("%s: sent %q under the tag of other bytes", name, b.String())
	}
	return b.String(), nil
}

// proves returns why an equal stamp is no proof of equal bytes under root: an older kernel, a folder in memory. "": it is one.
func proves(t testing.TB, root string) string {
	t.Helper()
	findings, err := tree.Probe(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range findings {
		if !f.OK && (f.Name == "filesystem" || f.Name == "fine stamps") {
			return f.Detail
		}
	}
	return ""
}

// without skips a test for want of something that err names. With CI=true a program that is not installed is a failure: then
// .ci/run has forgotten it.
func without(t testing.TB, err error) {
	t.Helper()
	if os.Getenv("CI") == "true" && errors.Is(err, exec.ErrNotFound) {
		t.Fatal(err)
	}
	t.Skip(err)
}

var errRefused = errors.New("refused")

// ifMatch is a Guard that wants the file to be body.
func ifMatch(body string) tree.Guard {
	return func(cur *tree.Entry) error {
		if cur == nil || cur.Digest != hashing.Sum([]byte(body)) {
			return errRefused
		}
		return nil
	}
}

func ifAbsent(cur *tree.Entry) error {
	if cur != nil {
		return errRefused
	}
	return nil
}

func TestCommit(t *testing.T) {
	tr, root := open(t, tree.Options{Write: true})
	res, err := put(t, tr, "a.txt", "one", ifAbsent)
	if err != nil || !res.Created || res.Entry.Digest != hashing.Sum([]byte("one")) {
		t.Fatalf("create: %+v, %v", res, err)
	}
	if _, err = put(t, tr, "a.txt", "other", ifAbsent); !errors.Is(err, errRefused) {
		t.Fatalf("create over a file: %v", err)
	}
	if res, err = put(t, tr, "a.txt", "two", ifMatch("one")); err != nil || res.Created {
		t.Fatalf("replace: %+v, %v", res, err)
	}
	if _, err = put(t, tr, "a.txt", "three", ifMatch("one")); !errors.Is(err, errRefused) {
		t.Fatalf("replace with a stale tag: %v", err)
	}
	if got, err := get(t, tr, "a.txt"); got != "two" || err != nil {
		t.Fatalf("get: %q, %v", got, err)
	}
	if n := tr.Stats().HashedOnRequest; n != 0 && proves(t, root) == "" {
		t.Errorf("%d files were hashed for requests, though every byte came through the server", n)
	}
	if err := os.WriteFile(filepath.Join(root, "a.txt"), []byte("six"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err = put(t, tr, "a.txt", "four", ifMatch("two")); !errors.Is(err, errRefused) {
		t.Fatalf("replace over a local edit: %v", err)
	}
	if got, _ := os.ReadFile(filepath.Join(root, "a.txt")); string(got) != "six" {
		t.Fatalf("the local edit became %q", got)
	}
}

func TestRemoveMoveCopyMkdir(t *testing.T) {
	ctx := context.Background()
	tr, root := open(t, tree.Options{Write: true})
	if _, err := tr.Mkdir(ctx, at(t, "d"), tree.Change{}); err != nil {
		t.Fatal(err)
	}
	if _, err := put(t, tr, "d/a", "alpha", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := put(t, tr, "d/b", "beta", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := tr.Move(ctx, at(t, "d/a"), at(t, "d/b"), tree.Transfer{Source: ifMatch("alpha"), Destination: ifMatch("beta")}); err != nil {
		t.Fatal(err)
	}
	if got, err := get(t, tr, "d/b"); got != "alpha" {
		t.Fatalf("moved: %q %v", got, err)
	}
	if _, err := get(t, tr, "d/a"); !errors.Is(err, tree.ErrNotExist) {
		t.Fatalf("source of a move: %v", err)
	}
	if _, err := tr.Copy(ctx, at(t, "d"), at(t, "e"), tree.Transfer{Destination: ifAbsent}); err != nil {
		t.Fatal(err)
	}
	if got, err := get(t, tr, "e/b"); got != "alpha" {
		t.Fatalf("copied folder: %q %v", got, err)
	}
	if _, err := tr.Copy(ctx, at(t, "e/b"), at(t, "e/c"), tree.Transfer{}); err != nil {
		t.Fatal(err)
	}
	if _, err := tr.Remove(ctx, at(t, "e/b"), tree.Change{Guard: ifMatch("beta")}); !errors.Is(err, errRefused) {
		t.Fatal(err)
	}
	if _, err := tr.Remove(ctx, at(t, "e"), tree.Change{}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "e")); !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
}

func TestSendIsChecked(t *testing.T) {
	tr, root := open(t, tree.Options{})
	name := filepath.Join(root, "big")
	body := bytes.Repeat([]byte("0123456789abcdef"), 64<<10)
	if err := os.WriteFile(name, body, 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := tr.Open(context.Background(), at(t, "big"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b bytes.Buffer
	if err := f.Send(context.Background(), &b, 100, 500_000); err != nil || !bytes.Equal(b.Bytes(), body[100:500_100]) {
		t.Fatalf("range: %d bytes, %v", b.Len(), err)
	}
	edit, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := edit.WriteAt([]byte("!"), 700_000); err != nil {
		t.Fatal(err)
	}
	edit.Close()
	if err := f.Send(context.Background(), io.Discard, 600_000, 200_000); !errors.Is(err, tree.ErrTorn) {
		t.Fatalf("a block that was edited went out: %v", err)
	}
}

func TestProbeLeavesNothing(t *testing.T) {
	root := t.TempDir()
	findings, err := tree.Probe(root)
	if err != nil || len(findings) < 5 {
		t.Fatalf("%v, %v", findings, err)
	}
	for _, f := range findings {
		if f.Name == "" || f.Detail == "" {
			t.Errorf("says nothing: %+v", f)
		}
	}
	if left, _ := os.ReadDir(root); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
