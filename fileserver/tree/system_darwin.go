package tree

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"freshet/hashing"
)

// metaOfInfo translates the kernel's answer.
func metaOfInfo(info fs.FileInfo) meta {
	m := meta{mode: info.Mode() & (fs.ModeType | fs.ModePerm), mtime: info.ModTime().UnixNano()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		m.stamp = hashing.Stamp{Dev: uint64(st.Dev), Ino: st.Ino, Size: st.Size, Ctime: syscall.TimespecToNsec(st.Ctimespec)}
		m.disk, m.uid, m.gid, m.nameless = st.Blocks*512, st.Uid, st.Gid, st.Nlink == 0
	}
	return m
}

func (h handle) stat() (meta, error) {
	info, err := h.f.Stat()
	if err != nil {
		return meta{}, diskError("stat", h.name, err)
	}
	return metaOfInfo(info), nil
}

func systemMeans(err error) error {
	for _, known := range []struct{ errno, means error }{
		{unix.ENOTDIR, ErrNotFolder}, {unix.ELOOP, ErrOutside}, {unix.EISDIR, ErrIsFolder}, {unix.EROFS, ErrReadOnly},
		{unix.ENOSPC, ErrNoSpace}, {unix.EDQUOT, ErrNoSpace}, {unix.EFBIG, ErrTooLarge}, {unix.EMFILE, ErrTooManyFiles},
		{unix.ENFILE, ErrTooManyFiles}, {unix.ENAMETOOLONG, ErrName},
	} {
		if errors.Is(err, known.errno) {
			return known.means
		}
	}
	return nil
}

// syncSystem asks the disk itself to write, which fsync here does not.
func syncSystem(f *os.File) error {
	_, err := unix.FcntlInt(f.Fd(), unix.F_FULLFSYNC, 0)
	return err
}

func syncFolderSystem(f *os.File) error { return f.Sync() }

func (d dir) space() (size, free int64, err error) {
	f, err := d.base.Open(d.rel)
	if err != nil {
		return 0, 0, diskError("open", d.rel, err)
	}
	defer f.Close()
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
		return 0, 0, diskError("statfs", d.rel, err)
	}
	return int64(st.Blocks) * int64(st.Bsize), int64(st.Bavail) * int64(st.Bsize), nil
}

// lock takes the exclusive lock of the folder's lock file for as long as the returned handle is open.
func (d dir) lock(name string) (handle, error) {
	f, err := d.base.OpenFile(d.join(name), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return noHandle, diskError("open", name, err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		return noHandle, errors.Join(ErrLocked, err)
	}
	return handle{f, d, name}, nil
}
