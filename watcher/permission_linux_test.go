package watcher

import (
	"os"
	"path/filepath"
	"strings"
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
	if !inSandbox(t, asUser(1000)) {
		return
	}
	ob := observe(t, Options{}, func(root string) { os.MkdirAll(filepath.Join(root, "secret/a"), 0o777) })
	t.Cleanup(func() { os.Chmod(ob.path("secret"), 0o700) })
	for _, c := range []struct {
		name   string
		mode   os.FileMode
		unseen string
	}{
		{"nothing", 0, "secret"},
		{"without_names", 0o100, "secret"},
	} {
		ob.do(os.Chmod(ob.path("secret"), c.mode))
		ob.settle()
		if got, _ := ob.w.Unseen("", 9); strings.Join(got, " ") != c.unseen {
			t.Errorf("%s: unseen %q, want %q", c.name, got, c.unseen)
		}
		if s := ob.w.Stats(); s.Folders != 1 || s.Unwatched != 0 || ob.log.count("") != 0 {
			t.Errorf("%s: got %+v and %d log lines", c.name, s, ob.log.count(""))
		}
		ob.forget()
		ob.do(os.Chmod(ob.path("secret"), 0o700))
		ob.settle()
		if !ob.seen["secret/a"].All {
			t.Errorf("%s: readable again, and seen is %v", c.name, ob.seen)
		}
		ob.probe()
		ob.forget()
	}
}

// TestFolderMadeWhereNamesAreAllThatIsSeen has no second user who could make it.
func TestFolderMadeWhereNamesAreAllThatIsSeen(t *testing.T) {
	if !inSandbox(t, asUser(1000)) {
		return
	}
	root := t.TempDir()
	secret := filepath.Join(root, "secret")
	if err := os.MkdirAll(filepath.Join(secret, "new"), 0o777); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(secret, 0o700) })
	w, err := New(Options{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	p := &pass{Watcher: w, ctx: t.Context(), report: true}
	defer p.end()
	p.count(w.tree.insert(w.tree.root, "secret", identity{}), "secret", watched)
	for _, step := range []struct {
		mode    os.FileMode
		doubted string
		want    string
	}{
		{0o400, "secret/new", "secret"},
		{0o400, "secret", "secret secret/new"},
		{0o700, "secret", ""},
	} {
		os.Chmod(secret, step.mode)
		p.settle(step.doubted, came)
		if got, _ := w.Unseen("", 9); strings.Join(got, " ") != step.want {
			t.Errorf("%v, %s: unseen %q, want %q", step.mode, step.doubted, got, step.want)
		}
	}
	if w.Stats().Folders != 2 {
		t.Errorf("%+v", w.Stats())
	}
}

func TestRootIsNotGivenUpForWantOfPermission(t *testing.T) {
	if !inSandbox(t, asUser(1000)) {
		return
	}
	parent := t.TempDir()
	ob := observe(t, Options{Root: filepath.Join(parent, "root")}, func(root string) { os.Mkdir(root, 0o777) })
	dir, err := os.OpenRoot(ob.root)
	ob.do(err)
	defer dir.Close()
	ob.do(os.Chmod(parent, 0))
	ob.do(dir.Mkdir("a", 0o777)) // an event, after which the root is looked at
	for range 2 {
		ob.forget()
		ob.settle()
		if ob.rescans == 0 {
			t.Error("new folders cannot be found, and no rescan")
		}
	}
	ob.do(os.Chmod(parent, 0o700))
	ob.do(dir.Mkdir("b", 0o777))
	ob.settle()
	ob.probe()
}
