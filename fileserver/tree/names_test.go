package tree_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"freshet/fileserver/tree"
)

// allBytes is a name of every byte that a name may have.
func allBytes() string {
	var b []byte
	for c := 1; c < 256; c++ {
		if c != '/' && c != '\\' {
			b = append(b, byte(c))
		}
	}
	return string(b)
}

// TestNamesAreBytes takes files and folders of awkward names through every operation: on disk, in listings and in URLs they
// have the same bytes.
func TestNamesAreBytes(t *testing.T) {
	tr, root := open(t, tree.Options{Write: true})
	names := []string{
		" ", "a b", "  two  ", `"quoted"`, "it's", "`sh`", "#?%", "%41", "%2e%2e", "a+b&c=d;e", "line\nbreak", "\r\n\t",
		"\u202egpj.exe", "\u2066left\u2069", "\ufeffmark", "é", "e\u0301", "文件", "🙂",
		"\xff\xfe", "\xc0\xae\xc0\xae", "\xed\xa0\x80",
		"-rf", "*", "~", "a:b", "CON", "dot.", "space ", "...", ".hidden", "<b>", "\x7f", "\x1b[31m",
		strings.Repeat("n", 255), strings.Repeat("\xff", 255), allBytes(),
	}
	for _, name := range names {
		p, err := tree.Path{}.Join(name)
		if err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		if q, _, err := tree.Parse(p.URL(false)); q != p || err != nil {
			t.Errorf("%q by its URL is %q, %v", name, q, err)
		}
		if _, err := put(t, tr, name, "first", ifAbsent); err != nil {
			t.Fatalf("create %q: %v", name, err)
		}
		if _, err := put(t, tr, name, "in "+name, ifMatch("first")); err != nil {
			t.Fatalf("replace %q: %v", name, err)
		}
		if body, err := os.ReadFile(filepath.Join(root, name)); string(body) != "in "+name {
			t.Errorf("%q on disk: %q, %v", name, body, err)
		}
		if body, err := get(t, tr, name); body != "in "+name {
			t.Errorf("%q: %q, %v", name, body, err)
		}
	}
	checkNamesListed(t, tr, "", names)
	if _, err := tr.Mkdir(context.Background(), at(t, "all"), tree.Change{}); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if _, err := tr.Move(context.Background(), at(t, name), at(t, "all/"+name), tree.Transfer{}); err != nil {
			t.Errorf("move %q: %v", name, err)
		}
		if _, err := tr.Mkdir(context.Background(), at(t, name), tree.Change{}); err != nil {
			t.Errorf("mkdir %q: %v", name, err)
		}
		if _, err := tr.Copy(context.Background(), at(t, "all/"+name), at(t, name+"/"+name), tree.Transfer{}); err != nil {
			t.Errorf("copy %q: %v", name, err)
		}
		if body, err := get(t, tr, name+"/"+name); body != "in "+name {
			t.Errorf("copy of %q: %q, %v", name, body, err)
		}
	}
	checkNamesListed(t, tr, "all", names)
	for _, name := range names {
		if _, err := tr.Remove(context.Background(), at(t, name), tree.Change{}); err != nil {
			t.Errorf("remove %q: %v", name, err)
		}
	}
	checkNamesListed(t, tr, "", []string{"all"})
}

// checkNamesListed compares a listing with what must be in it, and with the disk.
func checkNamesListed(t *testing.T, tr *tree.Tree, folder string, want []string) {
	t.Helper()
	var p tree.Path
	if folder != "" {
		p = at(t, folder)
	}
	entries, err := tr.List(context.Background(), p)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name)
	}
	slices.Sort(got)
	if want = slices.Sorted(slices.Values(want)); !slices.Equal(got, want) {
		t.Errorf("listed %q\nwant   %q", got, want)
	}
}

// TestNamesNotServed makes sure that what a path cannot name is not listed, so that no listing leads to a refusal.
func TestNamesNotServed(t *testing.T) {
	tr, root := open(t, tree.Options{})
	for _, name := range []string{`back\slash`, ".freshet", ".FRESHET", ".Freshet"} {
		if err := os.WriteFile(filepath.Join(root, name), []byte("hidden"), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, _, err := tree.Parse("/" + tree.EscapeName(name)); err == nil {
			t.Errorf("%q can be named", name)
		}
	}
	checkNamesListed(t, tr, "", nil)
}

// TestDeepPaths goes as deep as a path can, and finds what is deeper refused and yet not in the way of the folder above.
func TestDeepPaths(t *testing.T) {
	tr, root := open(t, tree.Options{Write: true})
	name := ""
	for deep := strings.Repeat("d", 199); len(name)+1+len(deep) < tree.PathBytesMax-1; {
		name = strings.TrimPrefix(name+"/"+deep, "/")
		if _, err := tr.Mkdir(context.Background(), at(t, name), tree.Change{}); err != nil {
			t.Fatal(err)
		}
	}
	last := name + "/" + strings.Repeat("f", tree.PathBytesMax-len(name)-1)
	for _, body := range []string{"one", "two"} {
		if _, err := put(t, tr, last, body, nil); err != nil {
			t.Fatalf("a path of %d bytes: %v", len(last), err)
		}
	}
	if body, err := get(t, tr, last); body != "two" {
		t.Errorf("%q, %v", body, err)
	}
	if _, err := at(t, name).Join(filepath.Base(last) + "f"); !errors.Is(err, tree.ErrName) {
		t.Errorf("a path that is too long: %v", err)
	}
	if _, err := tr.Move(context.Background(), at(t, name), at(t, "moved"), tree.Transfer{}); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(root, "moved", filepath.Base(last))); err != nil {
		t.Error(err)
	}
	if _, err := tr.Remove(context.Background(), at(t, strings.Repeat("d", 199)), tree.Change{}); err != nil {
		t.Error(err)
	}
}
