//go:build unix

package watcher

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// Not parallel: it takes the descriptors of the whole process.
func TestWaitsForFreeDescriptors(t *testing.T) {
	ob := observe(t, Options{}, nil)
	var limit syscall.Rlimit
	ob.do(syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	free, err := os.Open(ob.root)
	ob.do(err)
	none := syscall.Rlimit{Cur: uint64(free.Fd()), Max: limit.Max}
	ob.do(free.Close())
	ob.do(syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none))
	defer syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
	ob.do(os.Mkdir(ob.path("a"), 0o777))
	ob.expect("a")
	ob.eventually("a log line", func() bool { return ob.log.count("waits for a free descriptor") == 1 })
	if ob.seen["a"].All {
		t.Error("listed without a descriptor")
	}
	ob.do(syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit))
	ob.gather("listing", func() bool { return ob.seen["a"].All })
	ob.probe()
}

func TestFolderLosesAndRegainsPermission(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("everything is permitted to root; TestFolderWithoutPermission stands in")
	}
	t.Parallel()
	ob := observe(t, Options{}, func(root string) { os.MkdirAll(filepath.Join(root, "secret/a"), 0o777) })
	ob.do(os.Chmod(ob.path("secret"), 0))
	ob.settle()
	if s := ob.w.Stats(); s.Folders != 1 || s.Unwatched != 0 || s.Unseen != 1 || ob.log.count("") != 0 {
		t.Errorf("got %+v and %d log lines, want the root watched and the other unseen", s, ob.log.count(""))
	}
	ob.do(os.Chmod(ob.path("secret"), 0o700))
	ob.gather("readable", func() bool { return ob.seen["secret/a"].All })
	ob.probe()
}

func TestRootIsNotGivenUpForWantOfPermission(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("everything is permitted to root")
	}
	t.Parallel()
	parent := t.TempDir()
	ob := observe(t, Options{Root: filepath.Join(parent, "root")}, func(root string) { os.Mkdir(root, 0o777) })
	dir, err := os.OpenRoot(ob.root)
	ob.do(err)
	defer dir.Close()
	ob.do(os.Chmod(parent, 0))
	ob.do(dir.Mkdir("a", 0o777)) // an event, after which the root is looked at
	ob.expect("a")
	ob.do(os.Chmod(parent, 0o700))
	ob.do(dir.Mkdir("b", 0o777))
	ob.gather("watching", func() bool { return ob.seen["b"].All })
}
