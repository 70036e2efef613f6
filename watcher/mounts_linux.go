package watcher

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const mountsFile = "/proc/self/mountinfo"

// A mountTable notices filesystems that are mounted and unmounted at and below the root, of which inotify tells nothing.
// It is not safe for concurrent use.
type mountTable struct {
	root  string // with all links resolved
	fd    int    // of mountsFile: poll(2) tells there of each change once. Not an os.File, which would poll too
	known mountPicture
}

// A mountPicture is what of the mounts matters below a root.
type mountPicture struct {
	root  mountID            // 0: not known
	below map[string]mountID // by path
	sure  bool               // the ids are never used again
}

type mountID uint64

// openMounts opens the mount table of this process.
func openMounts(root string) (*mountTable, error) {
	real, err := filepath.EvalSymlinks(root)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Open(mountsFile, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: mountsFile, Err: err}
	}
	m := &mountTable{root: real, fd: fd}
	if m.known, err = m.look(); err != nil {
		m.close()
		return nil, err
	}
	return m, nil
}

func (m *mountTable) close() { _ = unix.Close(m.fd) }

// changed compares with what was known, and knows that from then on. On kernels before 6.8, which use the ids of mounts
// again, any mount or unmount anywhere counts as one below the root.
func (m *mountTable) changed() (mountChange, error) {
	fds := []unix.PollFd{{Fd: int32(m.fd), Events: unix.POLLPRI}}
	for {
		n, err := unix.Poll(fds, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return mountChange{}, fmt.Errorf("poll %s: %w", mountsFile, err)
		}
		if n == 0 {
			return mountChange{}, nil
		}
		break
	}
	now, err := m.look()
	if err != nil {
		return mountChange{}, err
	}
	before := m.known
	if now.root == 0 {
		now.root = before.root
	}
	m.known = now
	return mountChange{
		root:  before.root != 0 && now.root != before.root,
		below: !now.sure || !maps.Equal(now.below, before.below),
	}, nil
}

// look reads the table. A mount of which the id is not to be had counts as 0.
func (m *mountTable) look() (mountPicture, error) {
	table, err := os.ReadFile(mountsFile)
	if err != nil {
		return mountPicture{}, err
	}
	p := mountPicture{below: map[string]mountID{}}
	p.root, p.sure = uniqueMountID(m.root)
	prefix := strings.TrimSuffix(m.root, "/") + "/"
	for line := range bytes.Lines(table) {
		if point := mountPoint(line); len(point) > len(prefix) && strings.HasPrefix(point, prefix) {
			p.below[point], _ = uniqueMountID(point)
		}
	}
	return p, nil
}

// mountPoint returns the fifth field of a line of mountsFile, proc_pid_mountinfo(5), "" if there is none.
func mountPoint(line []byte) string {
	fields := bytes.Fields(line)
	if len(fields) < 5 {
		return ""
	}
	var b strings.Builder
	for f := fields[4]; len(f) > 0; {
		if len(f) >= 4 && f[0] == '\\' {
			if c, err := strconv.ParseUint(string(f[1:4]), 8, 8); err == nil {
				b.WriteByte(byte(c))
				f = f[4:]
				continue
			}
		}
		b.WriteByte(f[0])
		f = f[1:]
	}
	return b.String()
}

// uniqueMountID returns the id of the mount that path is on, which no mount had before. It waits for no server and mounts
// nothing.
func uniqueMountID(path string) (id mountID, ok bool) {
	var st unix.Statx_t
	flags := unix.AT_SYMLINK_NOFOLLOW | unix.AT_NO_AUTOMOUNT | unix.AT_STATX_DONT_SYNC
	if err := unix.Statx(unix.AT_FDCWD, path, flags, unix.STATX_MNT_ID_UNIQUE, &st); err != nil {
		return 0, false
	}
	if st.Mask&unix.STATX_MNT_ID_UNIQUE == 0 {
		return 0, false
	}
	return mountID(st.Mnt_id), true
}
