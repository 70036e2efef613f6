//go:build linux

package tree_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

const sandboxEnv = "FRESHET_TEST_SANDBOX"

// inSandbox reports whether the test runs in a process of its own with mounts of its own, and if not, runs it in one. What
// such a test mounts or limits is felt by nobody else, and is gone when the process ends, however it does.
func inSandbox(t *testing.T) bool {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting filesystems needs root")
	}
	return inProcess(t, &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS})
}

// inProcess is inSandbox for a test that mounts nothing. Tests in processes of their own run beside each other.
func inProcess(t *testing.T, attributes *syscall.SysProcAttr) bool {
	t.Helper()
	if os.Getenv(sandboxEnv) == t.Name() {
		return true
	}
	t.Parallel()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, "-test.run=^"+t.Name()+"$", "-test.timeout=2m",
		"-test.v="+strconv.FormatBool(testing.Verbose()))
	cmd.Env = append(os.Environ(), sandboxEnv+"="+t.Name())
	cmd.SysProcAttr = attributes
	out, err := cmd.CombinedOutput()
	if errors.Is(err, unix.EPERM) {
		t.Skip("this root may not mount filesystems")
	}
	if err != nil {
		t.Errorf("in a process of its own: %v", err)
	}
	if err != nil || testing.Verbose() {
		t.Logf("%s", out)
	}
	return false
}

// mountTmpfs mounts an empty filesystem in memory on the folder name, which it makes below a memoryFolder. options are as for
// mount(8), such as "size=1m".
func mountTmpfs(t testing.TB, name, options string) string {
	t.Helper()
	if err := os.MkdirAll(name, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", name, "tmpfs", 0, options); err != nil {
		t.Fatalf("mount tmpfs on %s: %v", name, err)
	}
	return name
}

// memoryFolder is t.TempDir on a filesystem in memory, for a test in a sandbox. What is mounted below it goes with it.
func memoryFolder(t testing.TB) string {
	t.Helper()
	name := mountTmpfs(t, t.TempDir(), "size=256m")
	t.Cleanup(func() { _ = unix.Unmount(name, unix.MNT_DETACH) })
	return name
}

// A diskState is what is below a folder: path to a description of everything about it.
type diskState map[string]string

// stateOf describes all below a folder, without following links. With times, the description tells any change whatsoever.
func stateOf(t testing.TB, root string, times bool) diskState {
	t.Helper()
	state := diskState{}
	err := filepath.WalkDir(root, func(name string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil || rel == "." && !times {
			return err
		}
		state[rel], err = describe(name, times)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return state
}

func describe(name string, times bool) (string, error) {
	var st unix.Stat_t
	if err := unix.Lstat(name, &st); err != nil {
		return "", err
	}
	var text string
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		body, err := os.ReadFile(name)
		if err != nil {
			return "", err
		}
		text = "=" + string(body)
	case unix.S_IFDIR:
		text = "/"
	case unix.S_IFLNK:
		target, err := os.Readlink(name)
		if err != nil {
			return "", err
		}
		text = "->" + target
	default:
		text = "special"
	}
	if times {
		text += strings.Join([]string{"", strconv.FormatUint(st.Ino, 10), strconv.FormatUint(uint64(st.Mode), 8),
			strconv.FormatInt(st.Mtim.Nano(), 10), strconv.FormatInt(st.Ctim.Nano(), 10)}, " ")
	}
	return text, nil
}

// An openWatch tells what happened to a folder beyond looking up its names.
type openWatch struct{ fd int }

// watchOpens begins to watch a folder and its subfolders.
func watchOpens(t testing.TB, root string) *openWatch {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	err = filepath.WalkDir(root, func(name string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			_, err = unix.InotifyAddWatch(fd, name, unix.IN_ALL_EVENTS)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	w := &openWatch{fd}
	w.opened()
	return w
}

// opened returns what was opened, read or changed since it was called last: the first names, and how.
func (w *openWatch) opened() (events []string) {
	buf := make([]byte, 64<<10)
	for {
		n, err := unix.Read(w.fd, buf)
		if n <= 0 || err != nil {
			return events
		}
		for b := buf[:n]; len(b) >= unix.SizeofInotifyEvent; {
			mask, size := binary.NativeEndian.Uint32(b[4:]), binary.NativeEndian.Uint32(b[12:])
			b = b[unix.SizeofInotifyEvent:]
			if len(events) < 8 {
				events = append(events, fmt.Sprintf("%s %#x", strings.TrimRight(string(b[:size]), "\x00"), mask))
			}
			b = b[size:]
		}
	}
}

// mountExt4 makes and mounts a small ext4 filesystem, with options of mkfs.ext4.
func mountExt4(t testing.TB, options ...string) string {
	t.Helper()
	base := memoryFolder(t)
	image, name := filepath.Join(base, "image"), filepath.Join(base, "root")
	err := errors.Join(os.Mkdir(name, 0o755), os.WriteFile(image, nil, 0o600), os.Truncate(image, 16<<20))
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range [][]string{
		append(append([]string{"mkfs.ext4", "-q"}, options...), image),
		{"mount", "-o", "loop", image, name},
	} {
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			without(t, fmt.Errorf("no ext4 filesystem can be mounted here: %s: %w %s", command[0], err, out))
		}
	}
	t.Cleanup(func() { _ = unix.Unmount(name, unix.MNT_DETACH) })
	return name
}
