package watcher

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

func TestUnseenList(t *testing.T) {
	t.Parallel()
	var s unseenSet
	for _, rel := range []string{"b", "a/x", "a/x/y", "a-b", "a/b", "c/d/e", "gone/x"} {
		s.add(rel, refused)
	}
	s.add("a/b", unreadable)
	s.remove("gone/x")
	s.remove("never")
	for _, c := range []struct {
		name, below string
		max         int
		want        string
		more        bool
	}{
		{"all", "", 9, "a/b a/x a/x/y a-b b c/d/e", false},
		{"as_many_as_there_are", "", 6, "a/b a/x a/x/y a-b b c/d/e", false},
		{"one_less", "", 5, "a/b a/x a/x/y a-b b", true},
		{"none_wanted", "", 0, "", true},
		{"below_a_folder", "a", 9, "a/b a/x a/x/y", false},
		{"the_folder_itself_comes_first", "a/x", 9, "a/x a/x/y", false},
		{"below_is_further_up", "c", 1, "c/d/e", false},
		{"nothing_below", "gone", 1, "", false},
		{"unknown", "z/z", 1, "", false},
	} {
		got, more := s.list(c.below, c.max, state.unseen)
		if strings.Join(got, " ") != c.want || more != c.more {
			t.Errorf("%s: got %q, %v, want %q, %v", c.name, got, more, c.want, c.more)
		}
	}
	if got, _ := s.list("", 9, func(s state) bool { return s == unreadable }); !slices.Equal(got, []string{"a/b"}) {
		t.Errorf("unreadable: %q", got)
	}
}

func TestUnseenSetAgreesWithAModel(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	var s unseenSet
	model := map[string]bool{}
	for i := range 800 {
		var names []string
		for range r.IntN(4) {
			names = append(names, string("abc-"[r.IntN(4)]))
		}
		rel := strings.Join(names, "/")
		if r.IntN(2) == 0 {
			s.add(rel, mirrored)
			model[rel] = true
		} else {
			s.remove(rel)
			delete(model, rel)
		}
		var want []string
		for rel := range model {
			want = append(want, rel)
		}
		slices.SortFunc(want, func(a, b string) int {
			return slices.Compare(strings.Split(a, "/"), strings.Split(b, "/"))
		})
		if got, more := s.list("", 1_000, state.unseen); !slices.Equal(got, want) || more {
			t.Fatalf("seed %d, step %d: got %q, want %q", seed, i, got, want)
		}
	}
	for rel := range model {
		s.remove(rel)
	}
	if len(s.top.below) != 0 {
		t.Error("memory is kept for nothing")
	}
}

// refuseBelow lets the system refuse watches of folders whose path holds text.
func refuseBelow(w *Watcher, text string, errno error) *atomic.Bool {
	refuse := &atomic.Bool{}
	refuse.Store(true)
	add := w.add
	w.add = func(path string) error {
		if refuse.Load() && strings.Contains(path, text) {
			return &fs.PathError{Op: "add", Path: path, Err: errno}
		}
		return add(path)
	}
	return refuse
}

// TestFoldersInUnseenOnes tells of what nobody else can see.
func TestFoldersInUnseenOnes(t *testing.T) {
	t.Parallel()
	ob := observe(t, Options{}, func(root string) { os.MkdirAll(filepath.Join(root, "dark/a"), 0o777) },
		func(w *Watcher) { refuseBelow(w, "dark", syscall.ENOMEM) })
	unseen := func(below, want string) {
		t.Helper()
		ob.settle()
		if got, _ := ob.w.Unseen(below, 9); strings.Join(got, " ") != want {
			t.Errorf("unseen: %q, want %q", got, want)
		}
	}
	unseen("", "dark dark/a")
	ob.mkdir("dark/new/b")
	unseen("", "dark dark/a")
	ob.w.Suspect("dark/new")
	ob.w.Suspect("dark/none")
	ob.w.Suspect("none/at/all")
	ob.w.Suspect("")
	unseen("dark", "dark dark/a dark/new dark/new/b")
	if !ob.seen["dark/new/b"].All {
		t.Error("a new folder is not reported as a whole")
	}
	ob.forget()
	ob.settle()
	if len(ob.seen) > 0 {
		t.Errorf("reported twice: %v", ob.seen)
	}
	ob.do(os.Rename(ob.path("dark"), ob.path("light")))
	unseen("", "")
	ob.do(os.RemoveAll(ob.path("light/a")))
	ob.probe()
}

func BenchmarkUnseen(b *testing.B) {
	for _, folders := range []int{0, 1_000_000} {
		b.Run(fmt.Sprint("of_", folders), func(b *testing.B) {
			var w Watcher
			for i := range folders {
				w.unseen.add(fmt.Sprintf("%04d/%03d", i/1000, i%1000), refused)
			}
			for b.Loop() {
				w.Unseen("0500", 10)
			}
		})
	}
}
