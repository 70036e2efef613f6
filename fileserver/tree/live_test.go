package tree_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"freshet/fileserver/tree"
	"freshet/hashing"
)

// diskFingerprint computes the fingerprint of a folder from nothing but the disk, by the published layout.
func diskFingerprint(t testing.TB, folder string) hashing.Digest {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	byName := map[string]fs.DirEntry{}
	for _, e := range entries {
		regular := e.Type().IsRegular() || e.IsDir() || e.Type()&fs.ModeSymlink != 0
		if regular && !strings.EqualFold(e.Name(), tree.Reserved) && !strings.Contains(e.Name(), "\\") {
			names = append(names, e.Name())
			byName[e.Name()] = e
		}
	}
	sort.Strings(names)
	var children [][]byte
	for _, name := range names {
		children = append(children, diskChild(t, filepath.Join(folder, name), byName[name]))
	}
	if len(names) <= 4096 {
		return hashing.Sum(diskParts("freshet-dir-1\x00", len(names), children))
	}
	var buckets [][]byte
	var bucket [][]byte
	for i, name := range names {
		bucket = append(bucket, children[i])
		if hashing.EndsBucket([]byte(name)) || i == len(names)-1 {
			sum := hashing.Sum(diskParts("freshet-bucket-1\x00", len(bucket), bucket))
			buckets, bucket = append(buckets, sum[:]), nil
		}
	}
	return hashing.Sum(diskParts("freshet-dirs-1\x00", len(names), buckets))
}

func diskParts(head string, count int, parts [][]byte) []byte {
	b := binary.LittleEndian.AppendUint64([]byte(head), uint64(count))
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

// diskChild is what a child adds to the fingerprint of its folder.
func diskChild(t testing.TB, path string, e fs.DirEntry) []byte {
	t.Helper()
	kind, size := byte('f'), uint64(0)
	var tag hashing.Digest
	switch {
	case e.IsDir():
		kind, tag = 'd', diskFingerprint(t, path)
	case e.Type()&fs.ModeSymlink != 0:
		text, err := os.Readlink(path)
		if err != nil {
			t.Fatal(err)
		}
		kind, tag = 'l', hashing.Sum([]byte(text))
	default:
		body, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode()&0o100 != 0 {
			kind = 'x'
		}
		size, tag = uint64(len(body)), hashing.Sum(body)
	}
	b := binary.LittleEndian.AppendUint16([]byte{kind}, uint16(len(e.Name())))
	b = append(b, e.Name()...)
	b = binary.LittleEndian.AppendUint64(b, size)
	return append(b, tag[:]...)
}

// agrees holds that the tree's fingerprint of a folder is that of the disk.
func agrees(t testing.TB, tr *tree.Tree, root, folder string) {
	t.Helper()
	p := tree.Path{}
	if folder != "" {
		p = at(t, folder)
	}
	f, _, err := tr.Folder(context.Background(), p)
	if err != nil {
		t.Fatalf("%q: %v", folder, err)
	}
	if want := diskFingerprint(t, filepath.Join(root, folder)); f.Subtree != want {
		t.Fatalf("%q has the fingerprint %s, on disk it is %s", folder, f.Subtree, want)
	}
}

func TestFingerprintFollowsTheDisk(t *testing.T) {
	tr, root := open(t, tree.Options{Write: true})
	path := func(name string) string { return filepath.Join(root, name) }
	run := func(command string) func() error {
		return func() error {
			cmd := exec.Command("sh", "-ec", command)
			cmd.Dir = root
			out, err := cmd.CombinedOutput()
			if err != nil {
				return fmt.Errorf("%w: %s", err, out)
			}
			return nil
		}
	}
	steps := []struct {
		name string
		do   func() error
	}{
		{"empty", run(":")},
		{"file", run("echo one > a")},
		{"in_place", run("echo two >> a")},
		{"executable", run("chmod +x a")},
		{"touched", run("touch -d 2001-01-01 a")},
		{"folders", run("mkdir -p d/e/f/g && echo deep > d/e/f/g/x")},
		{"rename_over", run("echo new > a.tmp && mv a.tmp a")},
		{"rename_folder", run("mv d/e h")},
		{"write_in_renamed", run("echo more >> h/f/g/x")},
		{"link", run("ln -s h/f link && ln -s nowhere h/dangling")},
		{"many", run("mkdir many && cd many && for i in $(seq 500); do echo $i > $i; done")},
		{"copy", run("cp -r many copy")},
		{"remove_tree", run("rm -r many")},
		{"put", func() error { _, err := put(t, tr, "h/put", "from a client", nil); return err }},
		{"replace", func() error { _, err := put(t, tr, "h/put", "again", nil); return err }},
		{"mkdir", func() error { _, err := tr.Mkdir(context.Background(), at(t, "made"), tree.Change{}); return err }},
		{"move_file", func() error {
			_, err := tr.Move(context.Background(), at(t, "h/put"), at(t, "made/put"), tree.Transfer{})
			return err
		}},
		{"move_folder", func() error {
			_, err := tr.Move(context.Background(), at(t, "h"), at(t, "made/h"), tree.Transfer{})
			return err
		}},
		{"copy_folder", func() error {
			_, err := tr.Copy(context.Background(), at(t, "made/h"), at(t, "h"), tree.Transfer{})
			return err
		}},
		{"remove_folder", func() error {
			_, err := tr.Remove(context.Background(), at(t, "made"), tree.Change{})
			return err
		}},
		{"large", run("head -c 3000000 /dev/urandom > large")},
		{"large_changed", run("printf x | dd of=large bs=1 seek=1000000 conv=notrunc status=none")},
		{"replaced_by_folder", run("rm a && mkdir a && echo in > a/b")},
		{"replaced_by_file", run("rm -r a && echo file > a")},
		{"fifo", run("mkfifo pipe")},
		{"odd_names", run("printf x > \"$(printf 'bad\\377name')\"; printf x > 'back\\slash'; printf x > ' blank '")},
		{"buckets", run("mkdir flat && cd flat && seq 5000 | xargs touch")},
		{"bucket_changed", run("echo x > flat/2500; rm flat/77; echo y > flat/new")},
		{"fewer", run("cd flat && seq 1000 2500 | xargs rm -f")},
		{"more_again", run("cd flat && seq 1000 2500 | xargs touch")},
	}
	for _, step := range steps {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		t.Run(step.name, func(t *testing.T) { agrees(t, tr, root, "") })
	}
	if _, err := os.Stat(path("h")); err != nil {
		t.Fatal(err)
	}
	agrees(t, tr, root, "h")
}

// A change that asks for the fingerprint of a folder is made only while that is what is there.
func TestFolderGuard(t *testing.T) {
	tr, root := open(t, tree.Options{Write: true})
	if err := errors.Join(os.Mkdir(filepath.Join(root, "d"), 0o755),
		os.WriteFile(filepath.Join(root, "d/a"), []byte("one"), 0o644)); err != nil {
		t.Fatal(err)
	}
	f, _, err := tr.Folder(context.Background(), at(t, "d"))
	if err != nil {
		t.Fatal(err)
	}
	is := func(want hashing.Digest) tree.Change {
		return tree.Change{Guard: func(cur *tree.Entry) error {
			if cur == nil || cur.Digest != want {
				return errRefused
			}
			return nil
		}}
	}
	if err := os.WriteFile(filepath.Join(root, "d/a"), []byte("two"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := tr.Remove(context.Background(), at(t, "d"), is(f.Subtree)); !errors.Is(err, errRefused) {
		t.Errorf("removing what has changed: %v", err)
	}
	if f, _, err = tr.Folder(context.Background(), at(t, "d")); err != nil {
		t.Fatal(err)
	}
	if _, err := tr.Remove(context.Background(), at(t, "d"), is(f.Subtree)); err != nil {
		t.Errorf("removing what has not: %v", err)
	}
	agrees(t, tr, root, "")
}

// Whoever follows the feed knows of every change, in order, and of its own from the answer.
func TestFeedTellsOfChanges(t *testing.T) {
	tr, root := open(t, tree.Options{Write: true})
	ctx := context.Background()
	start, err := tr.Changes(ctx, tree.ChangesQuery{})
	if err != nil {
		t.Fatal(err)
	}
	res, err := put(t, tr, "mine", "by a client", nil)
	if err != nil {
		t.Fatal(err)
	}
	if res.Cursor.Epoch != start.Cursor.Epoch || res.Cursor.Seq <= start.Cursor.Seq {
		t.Errorf("the change is at %s, the feed began at %s", res.Cursor, start.Cursor)
	}
	if err := os.WriteFile(filepath.Join(root, "theirs"), []byte("by a program"), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := tr.Changes(ctx, tree.ChangesQuery{Since: start.Cursor})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Events) != 2 || got.Events[0].Path != at(t, "mine") || got.Events[0].Seq != res.Cursor.Seq ||
		got.Events[1].Path != at(t, "theirs") || got.Events[1].Digest != hashing.Sum([]byte("by a program")) {
		t.Errorf("%+v", got.Events)
	}
	if err := os.Remove(filepath.Join(root, "theirs")); err != nil {
		t.Fatal(err)
	}
	got, err = tr.Changes(ctx, tree.ChangesQuery{Since: got.Cursor, Wait: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Events) != 1 || !got.Events[0].Gone || got.Events[0].Path != at(t, "theirs") {
		t.Errorf("%+v", got.Events)
	}
}
