//go:build linux

package tree_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"freshet/fileserver/tree"
	"freshet/hashing"
)

// whereverKept runs a test with the versions in each place that they can be in: in the quarantine, kept, and kept by
// an earlier run. prepare makes them.
func whereverKept(t *testing.T, prepare func(*testing.T, *tree.Tree), test func(*testing.T, *tree.Tree, string)) {
	t.Helper()
	for _, where := range []string{"in_quarantine", "kept", "kept_by_an_earlier_run"} {
		t.Run(where, func(t *testing.T) {
			root := memoryDir(t)
			if where == "kept_by_an_earlier_run" {
				tr, err := tree.New(root, tree.Options{Write: true, Log: quiet})
				if err != nil {
					t.Fatal(err)
				}
				prepare(t, tr)
				if err := tr.Close(); err != nil {
					t.Fatal(err)
				}
				test(t, newTree(t, root, tree.Options{}), root)
				return
			}
			tr := newTree(t, root, tree.Options{})
			prepare(t, tr)
			if where == "kept" {
				tr.Settle(time.Now().Add(time.Minute))
			}
			test(t, tr, root)
		})
	}
}

// history puts one body after the other at a name and removes the last.
func history(name string, bodies ...string) func(t *testing.T, tr *tree.Tree) {
	return func(t *testing.T, tr *tree.Tree) {
		t.Helper()
		for _, b := range bodies {
			if _, err := put(t, tr, name, b, anything); err != nil {
				t.Fatal(err)
			}
		}
		remove(t, tr, name)
	}
}

func remove(t *testing.T, tr *tree.Tree, name string) {
	t.Helper()
	if _, err := tr.Remove(context.Background(), pathOf(name), tree.Change{Guard: anything, By: "remover"}); err != nil {
		t.Fatal(err)
	}
}

// folderHistory removes a folder that holds a file, a folder and a link, and then a link.
func folderHistory(t *testing.T, tr *tree.Tree) {
	t.Helper()
	for _, name := range []string{"d", "d/e"} {
		if _, err := tr.Mkdir(context.Background(), pathOf(name), tree.Change{}); err != nil {
			t.Fatal(err)
		}
	}
	history("d/a", "one", "two")(t, tr)
	if _, err := put(t, tr, "d/e/b", "deep", nil); err != nil {
		t.Fatal(err)
	}
	remove(t, tr, "d")
}

func versionsOf(t *testing.T, tr *tree.Tree, name string) []tree.Version {
	t.Helper()
	list, err := tr.Versions(context.Background(), pathOf(name), "")
	if err != nil || list.Next != "" {
		t.Fatalf("versions of %s: next %q, %v", name, list.Next, err)
	}
	return list.Versions
}

func trashBelow(t *testing.T, tr *tree.Tree, name string) []tree.Version {
	t.Helper()
	list, err := tr.Trash(context.Background(), pathOf(name), "")
	if err != nil || list.Next != "" {
		t.Fatalf("trash below %s: next %q, %v", name, list.Next, err)
	}
	return list.Versions
}

// readVersion reads a version whole and makes sure that its digest names what was sent.
func readVersion(t *testing.T, tr *tree.Tree, name string, key tree.VersionKey) (string, error) {
	t.Helper()
	f, err := tr.OpenVersion(context.Background(), pathOf(name), key)
	if err != nil {
		return "", err
	}
	defer f.Close()
	var b bytes.Buffer
	if err := f.Send(context.Background(), &b, 0, f.Entry.Size); err != nil {
		return "", err
	}
	if hashing.Sum(b.Bytes()) != f.Entry.Digest || !key.Digest.IsZero() && f.Entry.Digest != key.Digest {
		t.Errorf("%s: sent %.40q under the tag of other bytes", name, b.String())
	}
	if f.Entry.Name != pathOf(name).Base() {
		t.Errorf("the version of %s is called %q", name, f.Entry.Name)
	}
	return b.String(), nil
}

func TestVersionsAreListed(t *testing.T) {
	began := time.Now()
	whereverKept(t, history("a", "one", "four", "three"), func(t *testing.T, tr *tree.Tree, _ string) {
		found := versionsOf(t, tr, "a")
		want := []struct{ body, how, by string }{
			{"three", "removed", "remover"}, {"four", "replaced", "test"}, {"one", "replaced", "test"},
		}
		if len(found) != len(want) {
			t.Fatalf("%d versions: %+v", len(found), found)
		}
		for i, w := range want {
			v := found[i]
			if v.Digest != digestOf(w.body) || v.Size != int64(len(w.body)) || v.How != w.how || v.By != w.by ||
				v.Kind != tree.KindFile || v.Path != pathOf("a") || v.Late {
				t.Errorf("version %d is %+v, want %+v", i, v, w)
			}
			if v.Displaced.Before(began) || v.Displaced.After(time.Now()) || v.ModTime.Before(began.Add(-time.Second)) {
				t.Errorf("version %d: displaced %s, of %s", i, v.Displaced, v.ModTime)
			}
			if body, err := readVersion(t, tr, "a", tree.VersionKey{Digest: v.Digest}); body != w.body || err != nil {
				t.Errorf("version %d by its digest: %q, %v", i, body, err)
			}
			if body, err := readVersion(t, tr, "a", tree.VersionKey{ID: v.ID}); body != w.body || err != nil {
				t.Errorf("version %d by its ID: %q, %v", i, body, err)
			}
			if again, err := tr.Version(context.Background(), v.ID); again != v || err != nil {
				t.Errorf("version %d is also %+v, %v", i, again, err)
			}
		}
		older, err := tr.Versions(context.Background(), pathOf("a"), found[0].ID)
		if err != nil || !slices.Equal(older.Versions, found[1:]) {
			t.Errorf("those older than the newest: %+v, %v", older, err)
		}
	})
}

func TestVersionsThatAreNotThere(t *testing.T) {
	whereverKept(t, history("a", "one", "two"), func(t *testing.T, tr *tree.Tree, _ string) {
		ctx := context.Background()
		newest := versionsOf(t, tr, "a")[0].ID
		for name, c := range map[string]struct {
			path string
			key  tree.VersionKey
		}{
			"other_digest":         {"a", tree.VersionKey{Digest: digestOf("three")}},
			"other_id":             {"a", tree.VersionKey{ID: "0"}},
			"digest_of_other_path": {"b", tree.VersionKey{Digest: digestOf("one")}},
			"id_of_other_path":     {"b", tree.VersionKey{ID: newest}},
			"no_key":               {"a", tree.VersionKey{}},
			"outside":              {"a", tree.VersionKey{ID: "../lock"}},
		} {
			if _, err := tr.OpenVersion(ctx, pathOf(c.path), c.key); !errors.Is(err, tree.ErrNoVersion) {
				t.Errorf("%s: %v", name, err)
			}
			if _, err := tr.Restore(ctx, pathOf(c.path), c.key, pathOf("n"), tree.Change{}); !errors.Is(err, tree.ErrNoVersion) {
				t.Errorf("restore %s: %v", name, err)
			}
		}
		if found := versionsOf(t, tr, "b"); len(found) > 0 {
			t.Errorf("versions of nothing: %+v", found)
		}
	})
}

func TestVersionOfFolderAndLink(t *testing.T) {
	whereverKept(t, folderHistory, func(t *testing.T, tr *tree.Tree, _ string) {
		found := versionsOf(t, tr, "d")
		if len(found) != 1 || found[0].Kind != tree.KindFolder || found[0].How != "removed" || !found[0].Digest.IsZero() {
			t.Fatalf("%+v", found)
		}
		if _, err := readVersion(t, tr, "d", tree.VersionKey{ID: found[0].ID}); !errors.Is(err, tree.ErrIsFolder) {
			t.Errorf("a folder is read: %v", err)
		}
		if inside := versionsOf(t, tr, "d/a"); len(inside) != 2 || inside[1].Digest != digestOf("one") {
			t.Errorf("earlier versions of a file of the folder: %+v", inside)
		}
	})
	link := func(t *testing.T, tr *tree.Tree, root string) {
		found := versionsOf(t, tr, "l")
		if len(found) != 1 || found[0].Kind != tree.KindLink {
			t.Fatalf("%+v", found)
		}
		if _, err := readVersion(t, tr, "l", tree.VersionKey{ID: found[0].ID}); !errors.Is(err, tree.ErrSpecial) {
			t.Errorf("a link is read: %v", err)
		}
		if err := restores("l")(tr); err != nil {
			t.Error(err)
		}
		if text, err := os.Readlink(filepath.Join(root, "l")); text != "nowhere" {
			t.Errorf("the link leads to %q, %v", text, err)
		}
		if left := versionsOf(t, tr, "l"); len(left) > 0 {
			t.Errorf("it is also a version: %+v", left)
		}
	}
	for _, settle := range []bool{false, true} {
		root := memoryDir(t)
		world{"l": "-> nowhere"}.make(t, root)
		tr := newTree(t, root, tree.Options{})
		remove(t, tr, "l")
		if settle {
			tr.Settle(time.Now())
		}
		link(t, tr, root)
	}
}

func TestTrash(t *testing.T) {
	prepare := func(t *testing.T, tr *tree.Tree) {
		folderHistory(t, tr)
		history("a", "one", "two")(t, tr)
		history("da", "three")(t, tr)
	}
	whereverKept(t, prepare, func(t *testing.T, tr *tree.Tree, _ string) {
		for below, want := range map[string][]string{
			"":    {"da", "a", "d", "d/a"},
			"d":   {"d", "d/a"},
			"d/a": {"d/a"},
			"d/e": nil,
			"a":   {"a"},
		} {
			var found []string
			for _, v := range trashBelow(t, tr, below) {
				found = append(found, v.Path.String())
			}
			if !slices.Equal(found, want) {
				t.Errorf("below %q: %q, want %q", below, found, want)
			}
		}
	})
}

// TestTrashHasReplacedFolders: the names in a folder that another one has replaced are gone like those of a removed
// one.
func TestTrashHasReplacedFolders(t *testing.T) {
	root := memoryDir(t)
	world{"d": "/", "d/a": "one", "e": "/", "f": "file"}.make(t, root)
	tr := newTree(t, root, tree.Options{})
	for _, from := range []string{"e", "f"} { // a folder over a folder, and a file over that
		if err := moves(from, "d")(tr); err != nil {
			t.Fatal(err)
		}
	}
	for _, settled := range []bool{false, true} {
		if found := trashBelow(t, tr, ""); len(found) != 2 || found[0].How != "replaced" || found[1].Kind != tree.KindFolder {
			t.Errorf("settled %v: %+v", settled, found)
		}
		tr.Settle(time.Now().Add(time.Minute))
	}
}

// TestVersionsOfUnknownOrigin are the root's, and can be restored to a path that is named.
func TestVersionsOfUnknownOrigin(t *testing.T) {
	root := memoryDir(t)
	stage := filepath.Join(root, tree.Reserved, "stage")
	if err := os.MkdirAll(stage, 0o700); err != nil {
		t.Fatal(err)
	}
	world{"found": "lost"}.make(t, stage)
	tr := newTree(t, root, tree.Options{})
	found := trashBelow(t, tr, "")
	if len(found) != 1 || !found[0].Late || !found[0].Path.IsRoot() || found[0].How != "" {
		t.Fatalf("%+v", found)
	}
	key := tree.VersionKey{ID: found[0].ID}
	_, err := tr.Restore(context.Background(), tree.Path{}, key, tree.Path{}, tree.Change{})
	if !errors.Is(err, tree.ErrIsFolder) {
		t.Errorf("restored as the root: %v", err)
	}
	if _, err := tr.Restore(context.Background(), tree.Path{}, key, pathOf("a"), tree.Change{}); err != nil {
		t.Error(err)
	}
	if body, err := get(t, tr, "a"); body != "lost" || err != nil {
		t.Errorf("%q, %v", body, err)
	}
	if n, err := tr.EmptyTrash(context.Background(), tree.Path{}); n != 0 || err != nil {
		t.Errorf("somebody's only copy went with the trash: %d, %v", n, err)
	}
	if err := tr.Purge(context.Background(), found[0].ID); err != nil || len(trashBelow(t, tr, "")) > 0 {
		t.Errorf("it cannot be purged: %v", err)
	}
}

// TestListingIsInParts makes more versions than one listing holds.
func TestListingIsInParts(t *testing.T) {
	root := memoryDir(t)
	kept := filepath.Join(root, tree.Reserved, "versions")
	if err := os.MkdirAll(kept, 0o700); err != nil {
		t.Fatal(err)
	}
	const more = 5
	for i := range tree.VersionsListedMax + more {
		name := filepath.Join(kept, fmt.Sprintf("%016x%012x", time.Now().UnixNano(), i))
		if err := errors.Join(os.WriteFile(name, nil, 0o600), os.Symlink("1 removed 0 0 - - a", name+".r")); err != nil {
			t.Fatal(err)
		}
	}
	tr := newTree(t, root, tree.Options{})
	for name, list := range map[string]func(before tree.VersionID) (tree.VersionList, error){
		"versions": func(before tree.VersionID) (tree.VersionList, error) {
			return tr.Versions(context.Background(), pathOf("a"), before)
		},
		"trash": func(before tree.VersionID) (tree.VersionList, error) {
			return tr.Trash(context.Background(), pathOf(""), before)
		},
	} {
		first, err1 := list("")
		second, err2 := list(first.Next)
		n, m := len(first.Versions), len(second.Versions)
		if n != tree.VersionsListedMax || m != more || second.Next != "" || err1 != nil || err2 != nil {
			t.Errorf("%s: %d and %d, then %q; %v %v", name, n, m, second.Next, err1, err2)
		}
		all := append(first.Versions, second.Versions...)
		if !slices.IsSortedFunc(all, func(a, b tree.Version) int { return b.Displaced.Compare(a.Displaced) }) {
			t.Errorf("%s: not the newest first", name)
		}
	}
}

// TestVersionWithoutRecordedDigest removes a file that nobody knew the tag of: it is found out when it is asked for.
func TestVersionWithoutRecordedDigest(t *testing.T) {
	body := bytes.Repeat([]byte("0123456789abcdef"), 9<<20/16)
	tr, root := open(t, tree.Options{Write: true})
	if err := os.WriteFile(filepath.Join(root, "a"), body, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := tr.Remove(context.Background(), pathOf("a"), tree.Change{}); err != nil {
		t.Fatal(err)
	}
	if found := versionsOf(t, tr, "a"); len(found) != 1 || found[0].Size != int64(len(body)) {
		t.Fatalf("%+v", found)
	}
	got, err := readVersion(t, tr, "a", tree.VersionKey{Digest: hashing.Sum(body)})
	if err != nil || got != string(body) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// TestVersionThatChanged has another name outside, by which a program writes to it: its tag is still that of its bytes.
func TestVersionThatChanged(t *testing.T) {
	root := memoryDir(t)
	tr := newTree(t, root, tree.Options{})
	history("a", "one")(t, tr)
	tr.Settle(time.Now().Add(time.Minute))
	files, _ := filepath.Glob(filepath.Join(root, tree.Reserved, "versions", "*[0-9a-f]"))
	if len(files) != 1 {
		t.Fatal(files)
	}
	if body, err := readVersion(t, tr, "a", tree.VersionKey{Digest: digestOf("one")}); body != "one" || err != nil {
		t.Errorf("%q, %v", body, err)
	}
	if err := os.WriteFile(files[0], []byte("changed"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := readVersion(t, tr, "a", tree.VersionKey{Digest: digestOf("one")}); !errors.Is(err, tree.ErrNoVersion) {
		t.Errorf("by the tag that it had: %v", err)
	}
	id := versionsOf(t, tr, "a")[0].ID
	if body, err := readVersion(t, tr, "a", tree.VersionKey{ID: id}); body != "changed" || err != nil {
		t.Errorf("%q, %v", body, err)
	}
}

func TestVersionsOfReadOnlyTree(t *testing.T) {
	root := memoryDir(t)
	tr, err := tree.New(root, tree.Options{Write: true, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	history("a", "one")(t, tr)
	if err := tr.Close(); err != nil {
		t.Fatal(err)
	}
	if tr, err = tree.New(root, tree.Options{Log: quiet}); err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	ctx := context.Background()
	if n := len(versionsOf(t, tr, "a")) + len(trashBelow(t, tr, "")); n != 0 {
		t.Errorf("%d versions", n)
	}
	_, err = tr.Restore(ctx, pathOf("a"), tree.VersionKey{Digest: digestOf("one")}, pathOf("a"), tree.Change{})
	_, empty := tr.EmptyTrash(ctx, tree.Path{})
	if !errors.Is(err, tree.ErrReadOnly) || !errors.Is(empty, tree.ErrReadOnly) {
		t.Errorf("restore: %v, empty: %v", err, empty)
	}
}

// TestQuarantineIsListedWhereNothingIsKept: an undo right after a change is possible even there.
func TestQuarantineIsListedWhereNothingIsKept(t *testing.T) {
	root := memoryDir(t)
	tr := newTree(t, root, tree.Options{VersionsAgeMax: -1})
	history("a", "one", "two")(t, tr)
	folderHistory(t, tr)
	if n := len(versionsOf(t, tr, "a")); n != 2 {
		t.Errorf("%d versions", n)
	}
	if err := errors.Join(restores("a")(tr), restores("d")(tr)); err != nil {
		t.Error(err)
	}
	tr.Settle(time.Now().Add(time.Minute))
	if n := len(versionsOf(t, tr, "a")) + len(trashBelow(t, tr, "")); n != 0 {
		t.Errorf("%d versions after the quarantine", n)
	}
	if body, err := get(t, tr, "d/e/b"); body != "deep" || err != nil {
		t.Errorf("what was restored is gone: %q, %v", body, err)
	}
}
