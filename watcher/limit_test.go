package watcher

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
)

// queuedEventsMax returns the length of the kernel's queue, and skips the test if it is too long to be filled.
func queuedEventsMax(t *testing.T) (n int) {
	t.Helper()
	b, err := os.ReadFile("/proc/sys/fs/inotify/max_queued_events")
	if err != nil {
		t.Skip(err)
	}
	fmt.Sscan(string(b), &n)
	if n > 1<<16 {
		t.Skipf("the kernel queues %d events", n)
	}
	return n
}

func TestOverflowBecomesRescan(t *testing.T) {
	t.Parallel()
	queued := queuedEventsMax(t)
	// While paused, nobody reads, as when the machine is too busy.
	var paused atomic.Bool
	ob := observe(t, Options{}, func(root string) {
		for _, rel := range []string{"stays/a", "replaced/a", "in/renamed/a", "in/linked/a", "removed/a"} {
			os.MkdirAll(filepath.Join(root, rel), 0o777)
		}
		os.WriteFile(filepath.Join(root, "f"), nil, 0o600)
		os.WriteFile(filepath.Join(root, "g"), nil, 0o600)
	}, func(w *Watcher) {
		from, to := w.lib.Events, make(chan fsnotify.Event)
		w.events = to
		go func() {
			defer close(to)
			for ev := range from {
				for paused.Load() {
					time.Sleep(time.Millisecond)
				}
				to <- ev
			}
		}()
	})
	paused.Store(true)
	for i := range queued + 10_000 { // two names in turn, since the kernel merges equal events
		ob.do(os.Chmod(ob.path([]string{"f", "g"}[i%2]), 0o600))
	}
	// None of this is told: the walk that follows has to find it, some of it before the old names, some after.
	ob.mkdir("stays/a/new/b")
	ob.write("stays/a/new/b/f")
	ob.do(os.Rename(ob.path("replaced"), ob.path("z")))
	ob.mkdir("replaced/b")
	ob.do(os.Rename(ob.path("in/renamed"), ob.path("c")))
	ob.mkdir("in/renamed/b")
	ob.do(os.Rename(ob.path("in/linked"), ob.path("d")))
	ob.do(os.Symlink("../d", ob.path("in/linked")))
	ob.do(os.RemoveAll(ob.path("removed")))
	paused.Store(false)
	ob.gather("rescan", func() bool { return ob.rescans > 0 })
	if s := ob.w.Stats(); s.Overflows == 0 || ob.log.count("kernel dropped events") != int(s.Overflows) {
		t.Errorf("%d overflows, %d log lines", s.Overflows, ob.log.count("kernel dropped events"))
	}
	// At once: a new folder may be given the inode of one that is gone, which would give that one away.
	if s := ob.w.Stats(); s.Folders != len(ob.folders()) {
		t.Errorf("%d folders watched, %d are there", s.Folders, len(ob.folders()))
	}
	ob.probe()
}

func TestWatchLimit(t *testing.T) {
	t.Parallel()
	const limit = 10
	ob := observe(t, Options{}, func(root string) {
		for i := range 15 {
			os.MkdirAll(filepath.Join(root, fmt.Sprintf("%02d/a", i)), 0o777)
		}
	}, func(w *Watcher) {
		add := w.add
		w.add = func(path string) error {
			if w.Stats().Folders >= limit {
				return syscall.ENOSPC
			}
			return add(path)
		}
	})
	want := func(when string, folders, unwatched int) {
		t.Helper()
		ob.eventually(when, func() bool {
			s := ob.w.Stats()
			return s.Folders == folders && s.Unwatched == unwatched
		})
		if n := ob.log.count("sysctl -w fs.inotify.max_user_watches=524288"); n != 1 && runtime.GOOS == "linux" {
			t.Errorf("%s: %d log lines say how to raise the limit", when, n)
		}
	}
	want("first walk", limit, 31-limit)
	outside := t.TempDir()
	ob.do(os.MkdirAll(filepath.Join(outside, "new/a"), 0o777))
	ob.do(os.Rename(filepath.Join(outside, "new"), ob.path("new")))
	ob.gather("new folders", func() bool { return ob.seen["new"].All && ob.seen["new/a"].All })
	want("new folders", limit, 33-limit)
	ob.write("00/a/f")
	ob.expect("00/a/f")
	ob.do(os.RemoveAll(ob.path("14")))
	want("unwatched folders removed", limit, 31-limit)
	ob.do(os.RemoveAll(ob.path("00")))
	want("watched folders removed", limit-2, 31-limit)
	ob.mkdir("newer")
	want("room for one more", limit-1, 31-limit)
	ob.write("newer/f")
	ob.expect("newer/f")
	if got := watchesAdvice(400_000); runtime.GOOS == "linux" && !strings.HasSuffix(got, "max_user_watches=1048576") {
		t.Error(got)
	}
}

func TestFolderWithoutPermission(t *testing.T) {
	t.Parallel()
	var refuse atomic.Bool
	refuse.Store(true)
	before := func(root string) { os.MkdirAll(filepath.Join(root, "secret/a"), 0o777) }
	ob := observe(t, Options{}, before, func(w *Watcher) {
		add := w.add
		w.add = func(path string) error {
			if refuse.Load() && filepath.Base(path) == "secret" {
				return &fs.PathError{Op: "add", Path: path, Err: syscall.EACCES}
			}
			return add(path)
		}
	})
	if s := ob.w.Stats(); s.Folders != 1 || s.Unwatched != 0 || ob.log.count("") != 0 {
		t.Errorf("got %+v and %d log lines", s, ob.log.count(""))
	}
	refuse.Store(false)
	ob.do(os.Chmod(ob.path("secret"), 0o700))
	ob.gather("readable", func() bool { return ob.seen["secret/a"].All })
	ob.probe()
}
