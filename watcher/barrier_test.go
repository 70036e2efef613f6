package watcher

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
)

// TestBarrierCoversEveryFinishedWrite dies when Barrier does not wait for its cookie.
func TestBarrierCoversEveryFinishedWrite(t *testing.T) {
	t.Parallel()
	const folders, writes = 50, 1_000
	ob := observe(t, Options{}, func(root string) {
		for i := range folders {
			os.Mkdir(filepath.Join(root, fmt.Sprint(i)), 0o777)
			os.WriteFile(filepath.Join(root, fmt.Sprint(i), "f"), nil, 0o666)
		}
	})
	for i := range writes {
		rel := fmt.Sprintf("%d/f", i%folders)
		ob.write(rel)
		ob.forget()
		ob.settle()
		if !ob.covers(rel) && ob.rescans == 0 {
			t.Fatalf("write %d of %s is not in the set", i, rel)
		}
	}
	ob.noRescan()
}

// TestBarrierCoversNewFolders dies when Barrier does not wait until what is doubtful is settled.
func TestBarrierCoversNewFolders(t *testing.T) {
	t.Parallel()
	ob := observe(t, Options{}, nil)
	for i := range 300 {
		top := fmt.Sprintf("d%d", i)
		ob.mkdir(top + "/a/b")
		ob.write(top + "/a/b/f")
		if i%3 == 0 {
			ob.do(os.Rename(ob.path(top), ob.path("r"+top)))
			top = "r" + top
		}
		ob.forget()
		ob.settle()
		for _, rel := range []string{top, top + "/a", top + "/a/b"} {
			if !ob.seen[rel].All && ob.rescans == 0 {
				t.Fatalf("%s is not in the set as a whole: %v", rel, ob.seen)
			}
		}
	}
	ob.noRescan()
	ob.probe()
}

// hold replaces the library's events of w by a stream that stops while held.
func hold(w *Watcher) (stop, goOn func()) {
	var mu sync.Mutex
	from, to := w.lib.Events, make(chan fsnotify.Event)
	w.events = to
	go func() {
		defer close(to)
		for ev := range from {
			mu.Lock()
			mu.Unlock() //nolint:staticcheck // it waits while held
			to <- ev
		}
	}()
	return mu.Lock, mu.Unlock
}

func TestBarrierWhileEventsAreLate(t *testing.T) {
	t.Parallel()
	var stop, goOn func()
	ob := observe(t, Options{}, nil, func(w *Watcher) { stop, goOn = hold(w); w.cookieWait = 50 * time.Millisecond })
	stop()
	ob.mkdir("new/a")
	ob.settle()
	if ob.rescans != 1 || ob.w.Stats().Folders != 3 {
		t.Errorf("%d rescans, %+v", ob.rescans, ob.w.Stats())
	}
	if !observeOnlyRescans && (ob.w.Stats().Late != 1 || ob.log.count("are late") != 1) {
		t.Errorf("%+v, %d log lines", ob.w.Stats(), ob.log.count(""))
	}
	goOn()
	ob.settle()
	ob.probe()
}

func TestBarrierRefusals(t *testing.T) {
	t.Parallel()
	short, cancel := context.WithTimeout(context.Background(), 5*time.Millisecond)
	defer cancel()
	w, err := New(Options{Root: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Barrier(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("before Run: %v", err)
	}
	waiting := make(chan error)
	go func() { waiting <- w.Barrier(context.Background()) }()
	time.Sleep(time.Millisecond)
	w.Close()
	if err := <-waiting; !errors.Is(err, ErrClosed) {
		t.Errorf("closed while it waits: %v", err)
	}
	if err := w.Barrier(context.Background()); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}

	var goOn func()
	ob := observe(t, Options{}, nil, func(w *Watcher) {
		var stop func()
		stop, goOn = hold(w)
		stop()
		w.cookieWait = waitMax
	})
	short, cancel = context.WithTimeout(context.Background(), 5*time.Millisecond)
	defer cancel()
	if err := ob.w.Barrier(short); !errors.Is(err, context.DeadlineExceeded) && !observeOnlyRescans {
		t.Errorf("impatient: %v", err)
	}
	if err := ob.w.Barrier(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with an ended context: %v", err)
	}
	goOn()
	ob.settle()
	ob.stop()
	if err := ob.w.Barrier(context.Background()); !errors.Is(err, ErrClosed) {
		t.Errorf("after Run: %v", err)
	}
}

func TestBarrierWaitsForReady(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	w, err := New(Options{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	walking, goOn := make(chan struct{}), make(chan struct{})
	add := w.add
	w.add = func(path string) error { close(walking); <-goOn; return add(path) }
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- w.Run(ctx) }()
	<-walking
	done := make(chan error, 1)
	go func() { done <- w.Barrier(ctx) }()
	select {
	case err := <-done:
		t.Errorf("returned before Ready: %v", err)
	case <-time.After(10 * time.Millisecond):
	}
	close(goOn)
	if err := <-done; err != nil {
		t.Error(err)
	}
	select {
	case <-w.Ready():
	default:
		t.Error("returned before Ready")
	}
	cancel()
	<-ended
}

func TestTake(t *testing.T) {
	t.Parallel()
	ob := observe(t, Options{}, nil)
	if b, ok := ob.w.Take(); ok {
		t.Errorf("quiet: %+v", b)
	}
	ob.write("f")
	ob.do(ob.w.Barrier(context.Background()))
	select {
	case <-ob.w.Dirty():
	default:
		t.Error("after a write: no token")
	}
	if b, ok := ob.w.Take(); !ok || !b.Rescan && !b.Folders[""].Has("f") {
		t.Errorf("after a write: %+v, %v", b, ok)
	}
}

func BenchmarkBarrier(b *testing.B) {
	ob := observe(b, Options{}, func(root string) {
		for i := range 1_000 {
			os.Mkdir(filepath.Join(root, fmt.Sprint(i)), 0o777)
		}
	})
	for _, c := range []struct {
		name   string
		before func(i int)
	}{
		{"idle", func(int) {}},
		{"after_write", func(i int) { ob.write(fmt.Sprintf("%d/f", i%1_000)) }},
		{"after_mkdir", func(i int) { ob.mkdir(fmt.Sprintf("%d/%d", i%1_000, i)) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			took := make([]time.Duration, b.N)
			for i := range took {
				c.before(i)
				begin := time.Now()
				ob.do(ob.w.Barrier(b.Context()))
				took[i] = time.Since(begin)
				ob.w.Take()
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Nanoseconds())/1e3, "p50-us")
			b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds())/1e3, "p99-us")
		})
	}
}
