package watcher

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
)

// TestBarriersShareTheNextOne dies when a caller joins the barrier that is on its way.
func TestBarriersShareTheNextOne(t *testing.T) {
	t.Parallel()
	var stop, goOn func()
	ob := observe(t, Options{}, nil, func(w *Watcher) { stop, goOn = hold(w); w.cookieWait = waitMax })
	stop()
	inFlight := make(chan error)
	go func() { inFlight <- ob.w.Barrier(context.Background()) }()
	ob.eventually("the first to be on its way", func() bool {
		ob.w.awaited.mu.Lock()
		defer ob.w.awaited.mu.Unlock()
		return ob.w.awaited.name != ""
	})
	first := ob.w.cookies.made
	ob.write("f")
	const callers = 20
	var joined sync.WaitGroup
	for range callers {
		joined.Go(func() {
			if err := ob.w.Barrier(context.Background()); err != nil {
				t.Error(err)
			}
			ob.w.dirty.mu.Lock()
			defer ob.w.dirty.mu.Unlock()
			if !ob.w.dirty.folders[""].Has("f") {
				t.Error("a Barrier returned that began before the write")
			}
		})
	}
	ob.eventually("the others to wait", func() bool {
		ob.w.rounds.mu.Lock()
		defer ob.w.rounds.mu.Unlock()
		return ob.w.rounds.next != nil
	})
	time.Sleep(10 * time.Millisecond) // for the callers that are not there yet
	// The first one ends before anything that was written after it began is read.
	ob.w.awaited.meet(fmt.Sprintf("%s/%s%d", ob.w.cookies.path, cookiePrefix, first))
	ob.do(<-inFlight)
	goOn()
	joined.Wait()
	if n := ob.w.cookies.made - first; n > 3 {
		t.Errorf("%d barriers for %d callers at once", n, callers)
	}
}

func TestBarrierWithoutItsFolder(t *testing.T) {
	t.Parallel()
	ob := observe(t, Options{}, nil)
	jar := ob.w.cookies
	moved := ""
	t.Cleanup(func() { os.RemoveAll(moved) })
	for _, c := range []struct {
		name  string
		spoil func() error
	}{
		{"cookie_removed", func() error { return os.Remove(jar.cookie) }},
		{"folder_removed", func() error { return os.RemoveAll(jar.path) }},
		{"folder_renamed", func() error { moved = jar.path + "-moved"; return os.Rename(jar.path, moved) }},
	} {
		ob.settle()
		ob.forget()
		ob.do(c.spoil())
		ob.write(c.name)
		ob.settle()
		if !ob.covers(c.name) || ob.rescans > 0 {
			t.Errorf("%s: seen %v, %d rescans", c.name, ob.seen, ob.rescans)
		}
	}
	places := jar.places
	jar.places = []string{filepath.Join(ob.root, "none")}
	ob.do(os.RemoveAll(jar.path))
	for range 2 {
		ob.forget()
		ob.settle()
		if ob.rescans != 1 {
			t.Error("no place for a cookie, and no rescan")
		}
	}
	if n := ob.log.count("no cookie can be made"); n != 1 {
		t.Errorf("%d log lines", n)
	}
	jar.places = places
	ob.forget()
	ob.settle()
	ob.probe()
}

// TestBarrierWhoseCookieIsDropped waits for nothing: the kernel said that events are lost.
func TestBarrierWhoseCookieIsDropped(t *testing.T) {
	t.Parallel()
	var stop, goOn func()
	ob := observe(t, Options{}, nil, func(w *Watcher) { stop, goOn = hold(w); w.cookieWait = time.Hour })
	stop()
	done := make(chan error)
	ob.mkdir("a/b")
	go func() { done <- ob.w.Barrier(context.Background()) }()
	ob.eventually("the barrier to be on its way", func() bool {
		ob.w.awaited.mu.Lock()
		defer ob.w.awaited.mu.Unlock()
		return ob.w.awaited.name != ""
	})
	ob.w.noteError(fsnotify.ErrEventOverflow)
	select {
	case err := <-done:
		ob.do(err)
	case <-time.After(waitMax):
		t.Fatal("the barrier waits for its cookie")
	}
	if b, ok := ob.w.Take(); !ok || !b.Rescan || ob.w.Stats().Folders != 3 {
		t.Errorf("got %+v, %+v", b, ob.w.Stats())
	}
	goOn()
	ob.settle()
	ob.probe()
}
