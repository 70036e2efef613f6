//go:build linux

package tree_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"freshet/fileserver/tree"
)

// rewrite replaces "a" with one body after the other, and ends the quarantine of what that displaces.
func rewrite(t *testing.T, tr *tree.Tree, bodies ...string) {
	t.Helper()
	for _, b := range bodies {
		if _, err := put(t, tr, "a", b, anything); err != nil {
			t.Fatal(err)
		}
	}
	tr.Settle(time.Now().Add(time.Minute))
}

func TestVersionsAreBounded(t *testing.T) {
	const size = 40 << 10
	bodies := []string{"one", "two", "three", "four", "five"}
	large := make([]string, len(bodies))
	for i, b := range bodies {
		large[i] = b + strings.Repeat(" ", size-len(b))
	}
	for _, test := range []struct {
		name    string
		options tree.Options
		bodies  []string
		kept    []string
	}{
		{"by_nothing_here", tree.Options{}, bodies, bodies[:4]},
		{"by_number_the_oldest_go_first", tree.Options{VersionsFilesMax: 2}, bodies, bodies[2:4]},
		{"by_bytes_the_oldest_go_first", tree.Options{VersionsBytesMax: 3*size - 1}, large, bodies[2:4]},
		{"by_bytes_that_one_file_exceeds", tree.Options{VersionsBytesMax: size / 2}, large, nil},
		{"none_are_kept", tree.Options{VersionsAgeMax: -1}, bodies, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			root := memoryDir(t)
			tr := newTree(t, root, test.options)
			rewrite(t, tr, test.bodies...)
			checkVersions(t, root, test.kept)
			if s := tr.Stats(); s.VersionsFiles != len(test.kept) || len(test.kept) == 0 && s.VersionsBytes != 0 {
				t.Errorf("said to be %d versions of %d bytes, want %d", s.VersionsFiles, s.VersionsBytes, len(test.kept))
			}
		})
	}
}

// checkVersions compares the versions of "a" with bodies, of which the end may be blanks.
func checkVersions(t *testing.T, root string, bodies []string) {
	t.Helper()
	found, err := versionsIn(root)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, b := range bodies {
		want = append(want, "a: "+b)
	}
	for i := range found {
		found[i] = strings.TrimRight(found[i], " ")
	}
	slices.Sort(want)
	if !slices.Equal(found, want) {
		t.Errorf("the versions are %q, want %q", found, want)
	}
}

func TestVersionsGrowOld(t *testing.T) {
	root := memoryDir(t)
	tr := newTree(t, root, tree.Options{VersionsAgeMax: time.Hour})
	rewrite(t, tr, "one", "two", "three")
	now := time.Now()
	tr.TrimVersions(now.Add(59 * time.Minute))
	checkVersions(t, root, []string{"one", "two"})
	tr.TrimVersions(now.Add(61 * time.Minute))
	checkVersions(t, root, nil)
}

// TestVersionsOfEarlierRuns are bounded by the options of this run.
func TestVersionsOfEarlierRuns(t *testing.T) {
	root := memoryDir(t)
	open := func(o tree.Options) *tree.Tree {
		o.Write, o.Log = true, quiet
		tr, err := tree.New(root, o)
		if err != nil {
			t.Fatal(err)
		}
		return tr
	}
	tr := open(tree.Options{})
	rewrite(t, tr, "one", "two", "three", "four")
	before := tr.Stats()
	tr.Close()

	tr = open(tree.Options{})
	if after := tr.Stats(); after.VersionsFiles != 3 || after.VersionsBytes != before.VersionsBytes {
		t.Errorf("opened again: %d versions of %d bytes, want %d of %d",
			after.VersionsFiles, after.VersionsBytes, before.VersionsFiles, before.VersionsBytes)
	}
	tr.Close()

	tr = open(tree.Options{VersionsFilesMax: 2})
	checkVersions(t, root, []string{"two", "three"})
	tr.Close()

	tr = open(tree.Options{VersionsAgeMax: -1})
	checkVersions(t, root, nil)
	tr.Close()
}

// TestVersionIsOldByItsName makes two versions older than they are: a version's name says when it was displaced.
func TestVersionIsOldByItsName(t *testing.T) {
	root := memoryDir(t)
	tr, err := tree.New(root, tree.Options{Write: true, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	rewrite(t, tr, "one", "two", "three")
	tr.Close()
	kept := filepath.Join(root, tree.Reserved, "versions")
	files, err := os.ReadDir(kept)
	if err != nil || len(files) != 4 {
		t.Fatalf("%v %v", files, err)
	}
	past := fmt.Sprintf("%016x", time.Now().Add(-2*time.Hour).UnixNano())
	for _, e := range files[:2] { // the older version and its record
		if err := os.Rename(filepath.Join(kept, e.Name()), filepath.Join(kept, past+e.Name()[16:])); err != nil {
			t.Fatal(err)
		}
	}
	newTree(t, root, tree.Options{VersionsAgeMax: time.Hour})
	checkVersions(t, root, []string{"two"})
}

// TestVersionOfFolder is the folder with all it held, and counts as such.
func TestVersionOfFolder(t *testing.T) {
	root := memoryDir(t)
	world{"d": "/", "d/a": strings.Repeat("x", 100<<10), "d/e": "/", "d/e/b": "two"}.make(t, root)
	tr := newTree(t, root, tree.Options{})
	if _, err := tr.Remove(context.Background(), pathOf("d"), tree.Change{By: "test"}); err != nil {
		t.Fatal(err)
	}
	tr.Settle(time.Now())
	if n := tr.Stats().VersionsBytes; n < 100<<10 {
		t.Errorf("the version of a folder counts as %d bytes", n)
	}
	inside, _ := filepath.Glob(filepath.Join(root, tree.Reserved, "versions", "*", "e", "b"))
	if len(inside) != 1 {
		t.Errorf("what the folder held is not in its version")
	}
	tr.TrimVersions(time.Now().Add(tree.VersionsAgeMax + time.Hour))
	if left, err := versionsIn(root); len(left) > 0 || err != nil {
		t.Errorf("left of a version that is too old: %q, %v", left, err)
	}
}

// TestVersionRecord says what is known of a version.
func TestVersionRecord(t *testing.T) {
	root := memoryDir(t)
	tr := newTree(t, root, tree.Options{})
	rewrite(t, tr, "one", "two")
	if _, err := tr.Remove(context.Background(), pathOf("a"), tree.Change{Guard: anything, By: "http 192.0.2.7"}); err != nil {
		t.Fatal(err)
	}
	tr.Settle(time.Now().Add(time.Minute))
	records, _ := filepath.Glob(filepath.Join(root, tree.Reserved, "versions", "*.r"))
	slices.Sort(records)
	if len(records) != 2 {
		t.Fatalf("%d records", len(records))
	}
	for i, want := range []tree.Record{
		{How: "replaced", By: "test", Path: "a", Digest: digestOf("one")},
		{How: "removed", By: "http 192.0.2.7", Path: "a", Digest: digestOf("two")},
	} {
		text, err := os.Readlink(records[i])
		if err != nil {
			t.Fatal(err)
		}
		r, err := tree.ParseRecord(text)
		r.Staged, r.Displaced = 0, 0
		if err != nil || r != want {
			t.Errorf("%+v, %v, want %+v", r, err, want)
		}
	}
}
