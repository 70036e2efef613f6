package watcher

import (
	"context"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// waitMax is how long a test waits for what must come; nothing waits that long unless it fails.
const waitMax = 30 * time.Second

// observeOnlyRescans says that this system does not keep events of different folders in order.
const observeOnlyRescans = runtime.GOOS != "linux"

// An observer runs a Watcher and gathers its batches.
type observer struct {
	testing.TB
	w       *Watcher
	root    string
	log     *logBook
	stop    func() // ends Run and waits for it
	seen    map[string]Names
	rescans int
}

// observe starts a Watcher on a new folder which the function before may fill.
func observe(t testing.TB, o Options, before func(root string), change ...func(*Watcher)) *observer {
	t.Helper()
	if o.Root == "" {
		o.Root = t.TempDir()
	}
	if before != nil {
		before(o.Root)
	}
	book := &logBook{}
	o.Log = slog.New(slog.NewTextHandler(book, nil))
	w, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range change {
		f(w)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	ob := &observer{TB: t, w: w, root: o.Root, log: book, seen: map[string]Names{}}
	ob.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(waitMax):
			t.Error("Run does not return")
		}
	})
	t.Cleanup(ob.stop)
	select {
	case <-w.Ready():
	case <-time.After(waitMax):
		t.Fatal("not ready")
	}
	return ob
}

// memoryFolder returns a new folder in memory, where a burst is quick.
func memoryFolder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "watched")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// gather takes batches until done.
func (ob *observer) gather(what string, done func() bool) {
	ob.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), waitMax)
	defer cancel()
	for !done() {
		b, err := ob.w.Next(ctx)
		if err != nil {
			ob.Fatalf("%s: %v; seen %d folders, %d rescans, %+v", what, err, len(ob.seen), ob.rescans, ob.w.Stats())
		}
		ob.merge(b)
	}
}

func (ob *observer) merge(b Batch) {
	if b.Rescan {
		ob.rescans++
	}
	for folder, n := range b.Folders {
		had := ob.seen[folder]
		had.All = had.All || n.All
		if had.Set == nil {
			had.Set = map[string]struct{}{}
		}
		for name := range n.Set {
			had.Set[name] = struct{}{}
		}
		ob.seen[folder] = had
	}
}

// settle takes what a Barrier promises: all that happened before.
func (ob *observer) settle() {
	ob.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), waitMax)
	defer cancel()
	ob.do(ob.w.Barrier(ctx))
	if b, ok := ob.w.Take(); ok {
		ob.merge(b)
	}
}

// eventually waits until cond, without taking anything.
func (ob *observer) eventually(what string, cond func() bool) {
	ob.Helper()
	for end := time.Now().Add(waitMax); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			ob.Fatalf("waiting for %s: %+v", what, ob.w.Stats())
		}
	}
}

func (ob *observer) forget() { clear(ob.seen); ob.rescans = 0 }

func (ob *observer) covers(rel string) bool {
	folder, name := split(rel)
	return ob.seen[folder].Has(name)
}

func (ob *observer) expect(rel string) {
	ob.Helper()
	ob.gather("waiting for "+rel, func() bool { return ob.covers(rel) })
}

// probe makes a file in every folder and asks that a Barrier reports each by its name, which only a watch that is alive and
// called by the right path can do.
func (ob *observer) probe() {
	ob.Helper()
	ob.settle()
	ob.forget()
	folders := ob.folders()
	if s := ob.w.Stats(); s.Folders != len(folders) {
		ob.Errorf("%d folders watched, %d are there", s.Folders, len(folders))
	}
	for _, rel := range folders {
		ob.write(join(rel, "~probe"))
	}
	ob.settle()
	for _, rel := range folders {
		if _, ok := ob.seen[rel].Set["~probe"]; !ok && ob.rescans == 0 {
			ob.Errorf("a file in %q is not reported by its name", rel)
		}
		if ob.seen[rel].All {
			ob.Errorf("%q is reported as a whole although it is quiet", rel)
		}
		ob.do(os.Remove(ob.path(join(rel, "~probe"))))
	}
	ob.noRescan()
}

// noRescan fails if a Batch said Rescan although the kernel kept all events, as it does unless the machine is very
// slow.
func (ob *observer) noRescan() {
	ob.Helper()
	if ob.rescans > 0 && ob.w.Stats().Overflows == 0 {
		ob.Error("rescan without need")
	}
}

// folders returns the folders that are there.
func (ob *observer) folders() (rels []string) {
	ob.do(filepath.WalkDir(ob.w.prefix, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			rel, _ := ob.w.relative(path)
			rels = append(rels, rel)
		}
		return err
	}))
	return rels
}

func (ob *observer) path(rel string) string { return ob.w.path(rel) }

func (ob *observer) write(rel string) {
	ob.Helper()
	ob.do(os.WriteFile(ob.path(rel), []byte(rel), 0o666))
}

func (ob *observer) mkdir(rel string) {
	ob.Helper()
	ob.do(os.MkdirAll(ob.path(rel), 0o777))
}

func (ob *observer) do(err error) {
	ob.Helper()
	if err != nil {
		ob.Fatal(err)
	}
}

// A logBook keeps log lines. Its methods are safe for concurrent use.
type logBook struct {
	mu    sync.Mutex
	lines []string
}

func (b *logBook) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = append(b.lines, string(p))
	return len(p), nil
}

// count returns how many lines hold text.
func (b *logBook) count(text string) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range b.lines {
		if strings.Contains(l, text) {
			n++
		}
	}
	return n
}

// stacks returns the goroutines that run code of this package or of the library.
func stacks() (ours []string) {
	buf := make([]byte, 1<<20)
	for _, g := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(g, "watcher.(*Watcher)") || strings.Contains(g, "fsnotify.(*") {
			ours = append(ours, g)
		}
	}
	return ours
}
