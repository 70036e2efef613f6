package watcher

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path"
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
	files map[string]bool    // folders in which something else than a folder is mounted, by path
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
	p := mountPicture{below: map[string]mountID{}, files: map[string]bool{}}
	p.root, _, p.sure = mountAt(m.root)
	prefix := strings.TrimSuffix(m.root, "/") + "/"
	for line := range bytes.Lines(table) {
		if point := mountPoint(line); len(point) > len(prefix) && strings.HasPrefix(point, prefix) {
			id, folder, _ := mountAt(point)
			p.below[point] = id
			if !folder {
				p.files[path.Dir(point)] = true
			}
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

// holdsFile reports whether something else than a folder is mounted in the folder at rel. Who changes it under another name
// raises no event in that folder.
func (m *mountTable) holdsFile(rel string) bool { return m.known.files[path.Join(m.root, rel)] }

// mountAt returns the id of the mount that path is on, which no mount had before, and whether a folder is there, as is taken
// of what cannot be looked at. It waits for no server and mounts nothing.
func mountAt(path string) (id mountID, folder, ok bool) {
	var st unix.Statx_t
	flags := unix.AT_SYMLINK_NOFOLLOW | unix.AT_NO_AUTOMOUNT | unix.AT_STATX_DONT_SYNC
	if err := unix.Statx(unix.AT_FDCWD, path, flags, unix.STATX_MNT_ID_UNIQUE|unix.STATX_TYPE, &st); err != nil {
		return 0, true, false
	}
	folder = st.Mode&unix.S_IFMT == unix.S_IFDIR
	if st.Mask&unix.STATX_MNT_ID_UNIQUE == 0 {
		return 0, folder, false
	}
	return mountID(st.Mnt_id), folder, true
}
