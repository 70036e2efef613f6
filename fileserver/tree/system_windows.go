package tree

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/windows"

	"freshet/hashing"
)

// metaOfInfo translates what is known of a name without opening it.
func metaOfInfo(info fs.FileInfo) meta {
	m := meta{mode: info.Mode() & (fs.ModeType | fs.ModePerm), mtime: info.ModTime().UnixNano(), disk: info.Size()}
	m.stamp = hashing.Stamp{Size: info.Size(), Ctime: m.mtime}
	return m
}

// stat takes the file's identity from its handle. The time that stands in for ctime is the last write, which a program can
// set back.
func (h handle) stat() (meta, error) {
	info, err := h.f.Stat()
	if err != nil {
		return meta{}, diskError("stat", h.name, err)
	}
	m := metaOfInfo(info)
	var by windows.ByHandleFileInformation
	if err := windows.GetFileInformationByHandle(windows.Handle(h.f.Fd()), &by); err != nil {
		return meta{}, diskError("stat", h.name, err)
	}
	m.stamp.Dev = uint64(by.VolumeSerialNumber)
	m.stamp.Ino = uint64(by.FileIndexHigh)<<32 | uint64(by.FileIndexLow)
	return m, nil
}

func systemMeans(err error) error {
	for _, known := range []struct{ errno, means error }{
		{windows.ERROR_DISK_FULL, ErrNoSpace}, {windows.ERROR_SHARING_VIOLATION, ErrInUse},
		{windows.ERROR_WRITE_PROTECT, ErrReadOnly}, {windows.ERROR_TOO_MANY_OPEN_FILES, ErrTooManyFiles},
		{windows.ERROR_INVALID_NAME, ErrName}, {windows.ERROR_FILENAME_EXCED_RANGE, ErrName},
	} {
		if errors.Is(err, known.errno) {
			return known.means
		}
	}
	return nil
}

func syncSystem(f *os.File) error {
	if err := f.Sync(); err != nil && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return nil // a handle for reading cannot be flushed; the writing one was
}

// syncFolderSystem has nothing to ask for: names are in the filesystem's own journal.
func syncFolderSystem(*os.File) error { return nil }

func (d dir) space() (size, free int64, err error) {
	name, err := windows.UTF16PtrFromString(d.base.Name())
	if err != nil {
		return 0, 0, err
	}
	var mine, total, all uint64
	if err := windows.GetDiskFreeSpaceEx(name, &mine, &total, &all); err != nil {
		return 0, 0, diskError("space", d.rel, err)
	}
	return int64(total), int64(mine), nil
}

// lock takes the exclusive lock of the folder's lock file for as long as the returned handle is open.
func (d dir) lock(name string) (handle, error) {
	f, err := d.base.OpenFile(d.join(name), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return noHandle, diskError("open", name, err)
	}
	const exclusiveNow = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	if err := windows.LockFileEx(windows.Handle(f.Fd()), exclusiveNow, 0, 1, 0, &windows.Overlapped{}); err != nil {
		_ = f.Close()
		return noHandle, errors.Join(ErrLocked, err)
	}
	return handle{f, d, name}, nil
}
