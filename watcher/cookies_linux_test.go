package watcher

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// cookiesIn makes a folder of cookies in place.
func cookiesIn(t *testing.T, place, root string) (*cookieFolder, error) {
	t.Helper()
	ok := func(string) error { return nil }
	c := &cookieFolder{root: root, places: []string{place}, watch: ok, forget: ok}
	return c, c.renew()
}

func TestCookiesLeftBehindAreSwept(t *testing.T) {
	t.Parallel()
	place := t.TempDir()
	inUse, err := cookiesIn(t, place, "/none")
	if err != nil {
		t.Fatal(err)
	}
	killed, err := cookiesIn(t, place, "/none")
	if err != nil {
		t.Fatal(err)
	}
	killed.dir.Close() // as the kernel does
	strange := filepath.Join(place, cookiesPrefix+"strange")
	os.MkdirAll(filepath.Join(strange, "folder"), 0o700)
	os.WriteFile(filepath.Join(strange, "file"), nil, 0o600)
	os.WriteFile(filepath.Join(place, cookiesPrefix+"file"), nil, 0o600)
	os.Symlink(strange, filepath.Join(place, cookiesPrefix+"link"))
	next, err := cookiesIn(t, place, "/none")
	if err != nil {
		t.Fatal(err)
	}
	there := func() (names []string) {
		for _, pattern := range []string{"*", "*/*"} {
			found, _ := filepath.Glob(filepath.Join(place, pattern))
			for _, name := range found {
				rel, _ := filepath.Rel(place, name)
				names = append(names, strings.TrimPrefix(rel, cookiesPrefix))
			}
		}
		slices.Sort(names)
		return names
	}
	base := func(c *cookieFolder) string { return strings.TrimPrefix(filepath.Base(c.path), cookiesPrefix) }
	others := []string{"file", "link", "link/file", "link/folder", "strange", "strange/file", "strange/folder"}
	want := append([]string{base(inUse), base(inUse) + "/cookie.1", base(next), base(next) + "/cookie.1"}, others...)
	slices.Sort(want)
	if got := there(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if fi, err := os.Stat(next.path); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", fi.Mode(), err)
	}
	inUse.remove()
	next.remove()
	if got := there(); !slices.Equal(got, others) {
		t.Errorf("in the end: %q", got)
	}
}

func TestCookiesHaveNoPlace(t *testing.T) {
	t.Parallel()
	place := t.TempDir()
	link := filepath.Join(t.TempDir(), "link")
	os.Symlink(place, link)
	file := filepath.Join(place, "file")
	os.WriteFile(file, nil, 0o600)
	for _, c := range []struct {
		name, place, root string
		want              error
	}{
		{"root_is_everything", place, "/", errInside},
		{"root_itself", place, place, errInside},
		{"below_the_root", place, filepath.Dir(place), errInside},
		{"below_the_root_by_a_link", link, filepath.Dir(place), errInside},
		{"missing", filepath.Join(place, "none"), "/none", unix.ENOENT},
		{"no_folder", file, "/none", unix.ENOTDIR},
		{"beside_the_root", place, place + "2", nil},
	} {
		jar, err := cookiesIn(t, c.place, c.root)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
		jar.remove()
	}
	if left, _ := os.ReadDir(place); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

func TestRootThatHoldsEveryPlaceForCookies(t *testing.T) {
	t.Parallel()
	if w, err := New(Options{Root: "/"}); !errors.Is(err, ErrNoBarrier) {
		t.Errorf("got %v", err)
		w.Close()
	}
}

func TestCookiesAreRemovedInTheEnd(t *testing.T) {
	t.Parallel()
	ob := observe(t, Options{}, nil)
	ob.settle()
	path := ob.w.cookies.path
	if names, err := os.ReadDir(path); err != nil || len(names) != 1 {
		t.Errorf("while it runs: %v, %v", names, err)
	}
	ob.stop()
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after Run: %v", err)
	}
	w, err := New(Options{Root: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	path = w.cookies.path
	w.Close()
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after Close: %v", err)
	}
}
