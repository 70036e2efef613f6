package watcher

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
)

func Example() {
	root, _ := os.MkdirTemp("", "example")
	defer os.RemoveAll(root)
	w, err := New(Options{Root: root})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- w.Run(ctx) }()

	<-w.Ready() // Now is the time to look at the tree for the first time.
	os.WriteFile(filepath.Join(root, "a.txt"), nil, 0o666)
	b, _ := w.Next(ctx)
	fmt.Println(b.Rescan, b.Folders[""].Has("a.txt"), b.Folders[""].Has("b.txt"))

	cancel()
	fmt.Println(<-ended)
	// Output:
	// false true false
	// <nil>
}

// Not parallel: it looks at the goroutines of the whole process.
func TestRunEndsWithAllItsGoroutines(t *testing.T) {
	for _, when := range []string{"while_walking", "when_quiet", "with_events_unread", "never_run"} {
		t.Run(when, func(t *testing.T) {
			root := t.TempDir()
			for i := range 100 {
				os.Mkdir(filepath.Join(root, fmt.Sprint(i)), 0o777)
			}
			w, err := New(Options{Root: root})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			ended := make(chan error, 1)
			switch when {
			case "never_run":
				ended <- w.Close()
			case "while_walking":
				w.add = func(string) error { cancel(); return nil }
				ended <- w.Run(ctx)
			default:
				go func() { ended <- w.Run(ctx) }()
				<-w.Ready()
				for i := range 200 {
					if when == "with_events_unread" {
						os.WriteFile(filepath.Join(root, fmt.Sprint(i%100), fmt.Sprint(i)), nil, 0o666)
					}
				}
				cancel()
			}
			if err := <-ended; err != nil {
				t.Error(err)
			}
			left := stacks()
			for range 100 { // the library's goroutine says that it ends shortly before it does
				if len(left) > 0 {
					time.Sleep(time.Millisecond)
					left = stacks()
				}
			}
			if len(left) > 0 {
				t.Errorf("%d goroutines left:\n%s", len(left), strings.Join(left, "\n\n"))
			}
			if err := w.Run(context.Background()); !errors.Is(err, ErrClosed) {
				t.Errorf("second Run: %v", err)
			}
			if err := w.Close(); err != nil {
				t.Errorf("Close after the end: %v", err)
			}
		})
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	os.WriteFile(filepath.Join(root, "file"), nil, 0o666)
	refuse := func(errno error) func() (*fsnotify.Watcher, error) {
		return func() (*fsnotify.Watcher, error) { return nil, fmt.Errorf("no inotify: %w", errno) }
	}
	for _, c := range []struct {
		name string
		root string
		lib  func() (*fsnotify.Watcher, error)
		want error
	}{
		{"root_missing", root + "/none", fsnotify.NewWatcher, fs.ErrNotExist},
		{"root_is_a_file", root + "/file", fsnotify.NewWatcher, syscall.ENOTDIR},
		{"root_is_relative", ".", fsnotify.NewWatcher, ErrRelative},
		{"user_has_no_queue_left", root, refuse(syscall.EMFILE), ErrTooManyWatchers},
		{"system_has_no_descriptor_left", root, refuse(syscall.ENFILE), syscall.ENFILE},
		{"another_error", root, refuse(syscall.ENOSYS), syscall.ENOSYS},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := open(Options{Root: c.root}, c.lib)
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.root) {
				t.Errorf("got %v, want %v and the path", err, c.want)
			}
		})
	}
}

func TestNext(t *testing.T) {
	t.Parallel()
	ob := observe(t, Options{}, nil)
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(10*time.Millisecond, cancel)
	if b, err := ob.w.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("quiet: got %+v, %v", b, err)
	}
	ob.write("f")
	ob.eventually("an event", func() bool { return ob.w.Stats().Events > 0 })
	if b, err := ob.w.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: got %+v, %v", b, err)
	}
	ob.stop()
	b, err := ob.w.Next(context.Background())
	if err != nil || !b.Folders[""].Has("f") {
		t.Errorf("after Run: got %+v, %v, want what was gathered", b, err)
	}
	if b, err := ob.w.Next(context.Background()); !errors.Is(err, ErrClosed) {
		t.Errorf("after Run and all is taken: got %+v, %v", b, err)
	}
}

func TestFirstWalkReportsNothing(t *testing.T) {
	t.Parallel()
	ob := observe(t, Options{}, func(root string) {
		os.MkdirAll(filepath.Join(root, "a/b"), 0o777)
		os.WriteFile(filepath.Join(root, "a/f"), nil, 0o666)
	})
	ob.settle()
	if ob.covers("a") || ob.covers("a/b") || ob.covers("a/f") || ob.w.Stats().Folders != 3 {
		t.Errorf("reported %v, watched %+v", ob.seen, ob.w.Stats())
	}
}

func TestRootIsALink(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	root := filepath.Join(dir, "link")
	ob := observe(t, Options{Root: root}, func(string) {
		os.MkdirAll(filepath.Join(dir, "real/a"), 0o777)
		os.Symlink("real", root)
	})
	ob.probe()
}

func TestMkdirAllIsWatchedWithoutGap(t *testing.T) {
	t.Parallel()
	ob := observe(t, Options{Root: memoryFolder(t)}, nil)
	const times = 500
	for i := range times {
		ob.mkdir(fmt.Sprintf("d%d/a/b/c", i))
		ob.write(fmt.Sprintf("d%d/a/b/c/f", i))
	}
	for i := range times {
		ob.expect(fmt.Sprintf("d%d/a/b/c/f", i))
	}
	ob.settle()
	ob.forget()
	for i := range times {
		ob.write(fmt.Sprintf("d%d/a/b/c/g", i))
	}
	for i := range times {
		ob.expect(fmt.Sprintf("d%d/a/b/c/g", i))
	}
	ob.noRescan()
}

func TestRenamedFoldersAreWatchedUnderTheirNewNames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		times int
		to    []string // the names that old gets, one after the other
		gone  string
	}{
		{"once", 200, []string{"new"}, "old"},
		{"twice", 50, []string{"between", "new"}, "old between"},
		{"there_and_back", 100, []string{"between", "old"}, "between"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ob := observe(t, Options{}, func(root string) {
				for i := range c.times {
					os.MkdirAll(filepath.Join(root, fmt.Sprintf("old%d/a/b", i)), 0o777)
				}
			})
			last := c.to[len(c.to)-1]
			for i := range c.times {
				from := "old"
				for _, to := range c.to {
					ob.do(os.Rename(ob.path(fmt.Sprint(from, i)), ob.path(fmt.Sprint(to, i))))
					from = to
				}
			}
			for i := range c.times {
				ob.expect(fmt.Sprint("old", i))
				ob.expect(fmt.Sprintf("%s%d/a/b/any", last, i))
			}
			ob.probe()
			for rel := range ob.seen {
				for _, gone := range strings.Fields(c.gone) {
					if strings.HasPrefix(rel, gone) {
						t.Errorf("%q is reported under its old name", rel)
					}
				}
			}
		})
	}
}

func TestBurstWhileNobodyTakes(t *testing.T) {
	t.Parallel()
	ob := observe(t, Options{Root: memoryFolder(t), FoldersMax: 64}, func(root string) {
		os.Mkdir(filepath.Join(root, "end"), 0o777)
		for i := range 100 {
			os.Mkdir(filepath.Join(root, fmt.Sprint(i)), 0o777)
			os.WriteFile(filepath.Join(root, fmt.Sprint(i), "f"), nil, 0o666)
		}
	})
	for _, c := range []struct {
		name string
		run  func()
		want func(Batch) bool
	}{
		{"one_file_written_often", func() {
			f, err := os.Create(ob.path("7/f"))
			ob.do(err)
			for range 20_000 {
				f.WriteString("x")
			}
			ob.do(f.Close())
		}, func(b Batch) bool {
			return len(b.Folders) == 2 && len(b.Folders["7"].Set) == 1 && b.Folders["7"].Has("f") && !b.Folders["7"].All
		}},
		{"many_files_in_one_folder", func() {
			for i := range 1_000 {
				ob.write(fmt.Sprint("7/", i))
			}
		}, func(b Batch) bool { return len(b.Folders) == 2 && b.Folders["7"].All && b.Folders["7"].Set == nil }},
		{"files_in_more_folders_than_allowed", func() {
			for i := range 20_000 {
				ob.do(os.Chmod(ob.path(fmt.Sprintf("%d/f", i%100)), 0o600))
			}
		}, func(b Batch) bool { return b.Rescan && len(b.Folders) == 0 }},
	} {
		c.run()
		ob.write("end/" + c.name)
		ob.eventually("the end of the burst", func() bool {
			ob.w.dirty.mu.Lock()
			defer ob.w.dirty.mu.Unlock()
			return ob.w.dirty.rescan || ob.w.dirty.folders["end"].Has(c.name)
		})
		b, err := ob.w.Next(context.Background())
		if err != nil || !c.want(b) && (!b.Rescan || ob.w.Stats().Overflows == 0) {
			t.Errorf("%s: %d folders, rescan %v, %v", c.name, len(b.Folders), b.Rescan, err)
		}
		ob.settle()
		ob.forget()
		ob.write("end/after " + c.name) // a second event of it may still be on its way when the next burst begins
		ob.expect("end/after " + c.name)
		ob.forget()
	}
}

func TestRootGone(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		raises bool // an event, so that nobody has to look
		gone   func(root string) error
	}{
		{"removed", true, os.Remove},
		{"renamed", true, func(root string) error { return os.Rename(root, root+"2") }},
		{"replaced", true, func(root string) error { return errors.Join(os.Rename(root, root+"2"), os.Mkdir(root, 0o777)) }},
		{"parent_renamed", false, func(root string) error {
			return os.Rename(filepath.Dir(root), filepath.Dir(root)+"2")
		}},
	} {
		for _, held := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s_while_held_open_%v", c.name, held), func(t *testing.T) {
				t.Parallel()
				root := filepath.Join(t.TempDir(), "parent", "root")
				ob := observe(t, Options{Root: root}, func(root string) { os.MkdirAll(root, 0o777) },
					func(w *Watcher) {
						w.checkEvery = 10 * time.Millisecond
						if c.raises && !held {
							w.checkEvery = time.Hour
						}
					})
				if held {
					f, err := os.Open(root)
					ob.do(err)
					defer f.Close()
				}
				ob.do(c.gone(root))
				ob.gather("rescan", func() bool { return ob.rescans > 0 })
				ob.eventually("refusal", func() bool { return errors.Is(ob.w.Barrier(context.Background()), ErrRootGone) })
				ob.eventually("nothing watched", func() bool { return ob.w.Stats() == Stats{Events: ob.w.Stats().Events} })
				if n := ob.log.count("watched folder is gone"); n != 1 {
					t.Errorf("%d log lines", n)
				}
			})
		}
	}
}

// TestBarrierFindsTheRootGone has no event and no timer that tells.
func TestBarrierFindsTheRootGone(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		gone func(root string) error
	}{
		{"removed_while_held_open", os.Remove},
		{"parent_renamed", func(root string) error { return os.Rename(filepath.Dir(root), filepath.Dir(root)+"2") }},
		{"replaced", func(root string) error { return errors.Join(os.Rename(root, root+"2"), os.Mkdir(root, 0o777)) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ob := observe(t, Options{Root: filepath.Join(t.TempDir(), "parent", "root")},
				func(root string) { os.MkdirAll(root, 0o777) }, func(w *Watcher) { w.checkEvery = time.Hour })
			held, err := os.Open(ob.root)
			ob.do(err)
			defer held.Close()
			ob.settle()
			ob.do(c.gone(ob.root))
			for range 2 {
				if err := ob.w.Barrier(context.Background()); !errors.Is(err, ErrRootGone) {
					t.Errorf("got %v", err)
				}
			}
			if b, ok := ob.w.Take(); !ok || !b.Rescan {
				t.Errorf("got %+v", b)
			}
			ob.stop()
			if err := ob.w.Barrier(context.Background()); !errors.Is(err, ErrRootGone) {
				t.Errorf("after Run: %v", err)
			}
		})
	}
}

// TestMemoryPerFolder counts what the folder tree itself takes; the library takes about as much as the path is long,
// and 72 bytes.
func TestMemoryPerFolder(t *testing.T) {
	const folders, bytesMax = 20_000, 280
	used := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := used()
	tree := newFolderTree(identity{1, 1})
	parent := tree.root
	for i := range folders {
		f := tree.insert(parent, fmt.Sprint("folder", i), identity{1, uint64(i + 2)})
		if i%8 == 0 {
			parent = f
		}
		if i%1000 == 0 {
			parent = tree.root
		}
	}
	if got := (used() - before) / folders; got > bytesMax {
		t.Errorf("%d bytes a folder", got)
	}
	runtime.KeepAlive(tree)
}

func TestFolderMountedTwiceIsWatchedOnce(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	os.MkdirAll(filepath.Join(root, "a/b"), 0o777)
	w, err := New(Options{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	p := &pass{Watcher: w, ctx: context.Background()}
	defer p.end()
	dir, id, err := p.open("a")
	if err != nil {
		t.Fatal(err)
	}
	dir.Close()
	a, _ := p.claim(w.tree.root, "a", "a", id)
	p.count(a, "a", watched)
	if _, known := p.claim(w.tree.root, "a", "a", id); !known {
		t.Error("not known after it was claimed")
	}
	if id == (identity{}) {
		t.Skip("folders have no identity here")
	}
	if twin, _ := p.claim(w.tree.root, "mount", "mount", id); twin.state != mirrored || w.tree.find("a") != a {
		t.Error("the first path lost to the second")
	}
	if twin, _ := p.claim(a, "b", "a/b", w.tree.root.id); twin.state != mirrored || w.tree.root == nil {
		t.Error("a folder that holds itself was taken for a renamed one")
	}
	if got, _ := w.Unseen("", 9); !slices.Equal(got, []string{"a/b", "mount"}) {
		t.Errorf("unseen: %q", got)
	}
	if err := os.Rename(filepath.Join(root, "a"), filepath.Join(root, "c")); err != nil {
		t.Fatal(err)
	}
	if twin, _ := p.claim(a, "b", "a/b", id); twin.state != mirrored || w.tree.find("a") != a {
		t.Error("the folder that is walked was dropped")
	}
	if c, known := p.claim(w.tree.root, "c", "c", id); c.state == mirrored || known || w.tree.find("a") != nil {
		t.Error("a renamed folder was taken for one that is mounted twice")
	}
	if err := os.RemoveAll(filepath.Join(root, "c")); err != nil {
		t.Fatal(err)
	}
	if m, known := p.claim(w.tree.root, "mount", "mount", id); m.state == mirrored || known || w.tree.find("c") != nil {
		t.Error("the second path is not taken when the first is gone")
	}
}
