package watcher

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// sandboxEnv names the test that runs in a process of its own.
const sandboxEnv = "FRESHET_WATCHER_SANDBOX"

// inSandbox runs the test again in a process of its own with other attributes, and reports whether this is that process.
func inSandbox(t *testing.T, attributes *syscall.SysProcAttr) bool {
	t.Helper()
	if os.Getenv(sandboxEnv) == t.Name() {
		return true
	}
	t.Parallel()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "-test.run=^"+t.Name()+"$", "-test.timeout=1m")
	cmd.Env = append(os.Environ(), sandboxEnv+"="+t.Name())
	cmd.SysProcAttr = attributes
	out, err := cmd.CombinedOutput()
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES), errors.Is(err, unix.ENOSPC):
		t.Skipf("no sandbox for this user: %v", err)
	case err != nil:
		t.Errorf("in a process of its own: %v\n%s", err, out)
	}
	return false
}

// asUser returns the attributes of a process with a user namespace of its own, in which the files of this user belong to
// the user uid. Whatever is not 0 has no privileges.
func asUser(uid int) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: uid, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: uid, HostID: os.Getgid(), Size: 1}},
	}
}

// inMountSandbox is inSandbox with mounts of its own.
func inMountSandbox(t *testing.T) bool {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting filesystems needs root")
	}
	return inSandbox(t, &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS})
}

func mount(t testing.TB, from, to, kind string, flags uintptr) {
	t.Helper()
	if err := os.MkdirAll(to, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(from, to, kind, flags, ""); err != nil {
		t.Fatalf("mount %s on %s: %v", from, to, err)
	}
}

func TestMountsBelow(t *testing.T) {
	if !inMountSandbox(t) {
		return
	}
	for _, c := range []struct {
		name   string
		before func(ob *observer)
		change func(ob *observer)
		rescan bool
		unseen string
	}{
		{"mounted_over_a_folder", nil,
			func(ob *observer) { mount(t, "none", ob.path("d"), "tmpfs", 0); ob.mkdir("d/x/y") }, true, ""},
		{"unmounted",
			func(ob *observer) { mount(t, "none", ob.path("d"), "tmpfs", 0); ob.mkdir("d/x/y") },
			func(ob *observer) { ob.do(unix.Unmount(ob.path("d"), 0)) }, true, ""},
		{"unmounted_and_mounted_again",
			func(ob *observer) {
				mount(t, "none", filepath.Dir(ob.root)+"/disk", "tmpfs", 0)
				mount(t, filepath.Dir(ob.root)+"/disk", ob.path("d"), "", unix.MS_BIND)
				ob.mkdir("d/x/y")
			},
			func(ob *observer) {
				ob.do(unix.Unmount(ob.path("d"), 0))
				mount(t, filepath.Dir(ob.root)+"/disk", ob.path("d"), "", unix.MS_BIND)
			}, true, ""},
		{"moved",
			func(ob *observer) { mount(t, "none", ob.path("d"), "tmpfs", 0); ob.mkdir("d/x/y") },
			func(ob *observer) { ob.mkdir("e"); ob.do(unix.Mount(ob.path("d"), ob.path("e"), "", unix.MS_MOVE, "")) }, true, ""},
		{"name_with_a_space", nil,
			func(ob *observer) { mount(t, "none", ob.path("with a\\space"), "tmpfs", 0) }, true, ""},
		{"elsewhere", nil,
			func(ob *observer) { mount(t, "none", ob.root+"-beside", "tmpfs", 0) }, false, ""},
		{"remounted_read_only",
			func(ob *observer) {
				mount(t, "none", ob.path("d/a"), "tmpfs", 0)
				mount(t, "none", ob.path("e"), "tmpfs", 0)
			},
			func(ob *observer) {
				ob.do(unix.Mount("", ob.path("e"), "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""))
				ob.do(unix.Mount("", ob.path("e"), "", unix.MS_REMOUNT|unix.MS_BIND, ""))
			}, false, ""},
		{"folder_at_a_second_path", nil,
			func(ob *observer) { mount(t, ob.path("d"), ob.path("m"), "", unix.MS_BIND) }, true, "m m/a"},
		{"root_below_itself", nil,
			func(ob *observer) { mount(t, ob.root, ob.path("d/a"), "", unix.MS_BIND) }, true, "d/a d/a/d"},
		{"first_of_two_paths_unmounted",
			func(ob *observer) {
				mount(t, "none", filepath.Dir(ob.root)+"/disk", "tmpfs", 0)
				mount(t, filepath.Dir(ob.root)+"/disk", ob.path("m"), "", unix.MS_BIND)
				mount(t, filepath.Dir(ob.root)+"/disk", ob.path("n"), "", unix.MS_BIND)
				ob.mkdir("m/x")
				ob.settle()
				if got, _ := ob.w.Unseen("", 9); !slices.Equal(got, []string{"n", "n/x"}) {
					t.Errorf("unseen at first: %q", got)
				}
			},
			func(ob *observer) { ob.do(unix.Unmount(ob.path("m"), 0)) }, true, ""},
		{"filesystem_of_unknown_type", nil,
			func(ob *observer) { mount(t, "none", ob.path("h"), "hugetlbfs", 0); ob.mkdir("h/x") }, true, "h h/x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			t.Cleanup(func() { unmountBelow(dir) })
			ob := observe(t, Options{Root: filepath.Join(dir, "root")}, func(root string) {
				os.MkdirAll(filepath.Join(root, "d/a"), 0o777)
			}, func(w *Watcher) { w.checkEvery = time.Hour })
			if c.before != nil {
				c.before(ob)
			}
			ob.settle()
			ob.forget()
			c.change(ob)
			ob.settle()
			if ob.rescans > 0 != c.rescan {
				t.Errorf("%d rescans", ob.rescans)
			}
			unseen, _ := ob.w.Unseen("", 9)
			if got := strings.Join(unseen, " "); got != c.unseen || ob.w.Stats().Unseen != len(unseen) {
				t.Errorf("unseen %q, want %q; %+v", got, c.unseen, ob.w.Stats())
			}
			ob.settle()
			ob.forget()
			probeSeen(ob, unseen)
		})
	}
}

// probeSeen makes a file in every folder that is not unseen, and asks that a Barrier reports it by its name.
func probeSeen(ob *observer, unseen []string) {
	ob.Helper()
	for _, rel := range ob.folders() {
		if slices.Contains(unseen, rel) {
			continue
		}
		ob.write(join(rel, "probe"))
		ob.settle()
		if _, ok := ob.seen[rel].Set["probe"]; !ok || ob.rescans > 0 {
			ob.Errorf("a file in %q is not reported by its name", rel)
		}
		os.Remove(ob.path(join(rel, "probe")))
	}
}

// unmountBelow unmounts all that is mounted below dir.
func unmountBelow(dir string) {
	table, _ := os.ReadFile(mountsFile)
	lines := strings.Split(string(table), "\n")
	for _, line := range slices.Backward(lines) {
		if point := mountPoint([]byte(line)); strings.HasPrefix(point, dir) {
			_ = unix.Unmount(point, unix.MNT_DETACH)
		}
	}
}

func TestMountIsNoticedWithoutABarrier(t *testing.T) {
	if !inMountSandbox(t) {
		return
	}
	ob := observe(t, Options{}, nil, func(w *Watcher) { w.checkEvery = 10 * time.Millisecond })
	t.Cleanup(func() { unmountBelow(ob.root) })
	mount(t, "none", ob.path("d"), "tmpfs", 0)
	ob.gather("rescan", func() bool { return ob.rescans > 0 })
}

func TestRootMounts(t *testing.T) {
	if !inMountSandbox(t) {
		return
	}
	for _, c := range []struct {
		name   string
		change func(ob *observer)
	}{
		{"unmounted", func(ob *observer) { ob.do(unix.Unmount(ob.root, 0)) }},
		{"mounted_over", func(ob *observer) { mount(t, "none", ob.root, "tmpfs", 0) }},
		{"parent_mounted_over", func(ob *observer) { mount(t, "none", filepath.Dir(ob.root), "tmpfs", 0) }},
		{"unmounted_and_mounted_again", func(ob *observer) {
			ob.do(unix.Unmount(ob.root, 0))
			mount(t, filepath.Dir(ob.root)+"/disk", ob.root, "", unix.MS_BIND)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			t.Cleanup(func() { unmountBelow(dir) })
			ob := observe(t, Options{Root: filepath.Join(dir, "root")}, func(root string) {
				mount(t, "none", dir+"/disk", "tmpfs", 0)
				mount(t, dir+"/disk", root, "", unix.MS_BIND)
			}, func(w *Watcher) { w.checkEvery = time.Hour })
			ob.settle()
			c.change(ob)
			for range 2 {
				if err := ob.w.Barrier(context.Background()); !errors.Is(err, ErrRootGone) {
					t.Errorf("got %v", err)
				}
			}
			if b, ok := ob.w.Take(); !ok || !b.Rescan {
				t.Errorf("got %+v", b)
			}
		})
	}
}

// watchesMax sets the kernel's limit for the users of this process's namespace.
func watchesMax(t *testing.T, n int) {
	t.Helper()
	err := os.WriteFile("/proc/sys/user/max_inotify_watches", fmt.Append(nil, n), 0o644)
	if err != nil {
		t.Fatal(err)
	}
}

func TestKernelWatchLimit(t *testing.T) {
	if !inSandbox(t, asUser(0)) {
		return
	}
	root := t.TempDir()
	t.Setenv("TMPDIR", t.TempDir())
	watchesMax(t, 0)
	_, err := New(Options{Root: root})
	if !errors.Is(err, ErrNoBarrier) || !errors.Is(err, ErrTooManyWatchers) ||
		!strings.Contains(err.Error(), "sysctl -w fs.inotify.max_user_watches=524288") {
		t.Errorf("no watch at all: %v", err)
	}
	if left, _ := os.ReadDir(os.TempDir()); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	const limit = 10
	watchesMax(t, limit+1)
	ob := observe(t, Options{Root: root}, func(root string) {
		for i := range 15 {
			os.MkdirAll(filepath.Join(root, fmt.Sprintf("%02d/a", i)), 0o777)
		}
	}, func(w *Watcher) { w.checkEvery, w.retryEvery = 5*time.Millisecond, 20*time.Millisecond })
	if s := ob.w.Stats(); s.Folders != limit || s.Unwatched != 31-limit || s.Unseen != 31-limit || s.Remedy() == "" {
		t.Errorf("limited: %+v", s)
	}
	if some, more := ob.w.Unseen("", 4); !slices.Equal(some, []string{"04/a", "05", "05/a", "06"}) || !more {
		t.Errorf("unseen: %q, %v", some, more)
	}
	time.Sleep(60 * time.Millisecond) // retries in vain
	ob.settle()
	if len(ob.seen) > 0 || ob.log.count("not all folders can be watched") != 1 {
		t.Errorf("seen %v, %d warnings", ob.seen, ob.log.count("not all folders"))
	}
	unseen, _ := ob.w.Unseen("", 99)
	watchesMax(t, 1_000)
	ob.eventually("all folders to be watched", func() bool { return ob.log.count("all folders are watched again") == 1 })
	ob.settle()
	for _, rel := range unseen {
		if !ob.seen[rel].All {
			t.Errorf("%s was unseen and is not reported as a whole", rel)
		}
	}
	if s := ob.w.Stats(); s.Unseen != 0 || s.Unwatched != 0 || s.Remedy() != "" {
		t.Errorf("raised: %+v", s)
	}
	ob.probe()
}

// TestWalkFollowsNoLink looks for folders at paths on which one has become a link.
func TestWalkFollowsNoLink(t *testing.T) {
	t.Parallel()
	root, outside := t.TempDir(), t.TempDir()
	for _, dir := range []string{root + "/a/b", outside + "/b"} {
		if err := os.MkdirAll(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	os.WriteFile(root+"/f", nil, 0o666)
	unix.Mkfifo(root+"/p", 0o666)
	os.Symlink(outside, root+"/l")
	os.Symlink("a", root+"/in")
	a, err := openAnchor(root)
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	for _, c := range []struct {
		rel  string
		want error
	}{
		{"", nil}, {"a", nil}, {"a/b", nil}, {"l/b", unix.ELOOP}, {"l", unix.ENOTDIR}, {"in/b", unix.ELOOP},
		{"f", unix.ENOTDIR}, {"p", unix.ENOTDIR}, {"f/b", unix.ENOTDIR}, {"none", fs.ErrNotExist}, {"..", unix.EXDEV},
		{"a/../..", unix.EXDEV},
	} {
		dir, err := a.open(c.rel)
		if err == nil {
			dir.Close()
		}
		if !errors.Is(err, c.want) {
			t.Errorf("%q: got %v, want %v", c.rel, err, c.want)
		}
	}
}
