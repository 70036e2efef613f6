//go:build !linux

package tree

import (
	"errors"
	"io"
	"os"
	"time"
)

// handle is an open file, and the name it was opened by.
type handle struct {
	f     *os.File
	where dir
	name  string
}

var noHandle = handle{}

func (h handle) ok() bool { return h.f != nil }

func (h handle) close() {
	if h.f != nil {
		_ = h.f.Close()
	}
}

func (h handle) readAt(b []byte, off int64) (int, error) {
	n, err := h.f.ReadAt(b, off)
	if err != nil && err != io.EOF {
		err = diskError("read", h.name, err)
	}
	return n, err
}

func (h handle) write(b []byte) (int, error) {
	n, err := h.f.Write(b)
	if err != nil {
		err = diskError("write", h.name, err)
	}
	return n, err
}

// readOnly opens the file again by its name and makes sure that it is the same one. What was written is made durable first,
// since some systems flush only through a handle for writing.
func (h handle) readOnly() (handle, error) {
	if err := h.sync(); err != nil {
		return noHandle, err
	}
	f, err := h.where.base.Open(h.where.join(h.name))
	if err != nil {
		return noHandle, diskError("reopen", h.name, err)
	}
	was, err1 := h.f.Stat()
	now, err2 := f.Stat()
	if err := errors.Join(err1, err2); err != nil || !os.SameFile(was, now) {
		_ = f.Close()
		return noHandle, errors.Join(errMoved, err)
	}
	return handle{f, h.where, h.name}, nil
}

func (h handle) dup() (handle, error) { return h.readOnly() }

// like gives the file the mode of the file it replaces, and its owner where the system has owners.
func (h handle) like(_ handle, m, mine meta) (changed bool, err error) {
	if m.uid != mine.uid || m.gid != mine.gid {
		changed = true
		if err := h.f.Chown(int(m.uid), int(m.gid)); err != nil {
			return changed, diskError("chown", h.name, err)
		}
	}
	if m.mode.Perm() != mine.mode.Perm() {
		changed = true
		err = h.chmod(uint32(m.mode.Perm()))
	}
	return changed, err
}

func (h handle) chmod(mode uint32) error {
	if err := h.where.base.Chmod(h.where.join(h.name), os.FileMode(mode)); err != nil {
		return diskError("chmod", h.name, err)
	}
	return nil
}

func (h handle) setModTime(at time.Time) error {
	if err := h.where.base.Chtimes(h.where.join(h.name), time.Time{}, at); err != nil {
		return diskError("utimes", h.name, err)
	}
	return nil
}

func (h handle) cloneFrom(handle) error { return errors.ErrUnsupported }

// reserve has no way to ask for room in advance; a full disk is met while writing.
func (h handle) reserve(int64) error { return nil }

func (h handle) stampsMappings() bool  { return false }
func (h handle) reliable() bool        { return false }
func (h handle) lease() leaseState     { return leaseNone }
func (h handle) leaseHere() leaseState { return leaseNone }
func (h handle) leaseHeld() bool       { return false }
func (h handle) unlease() bool         { return true }

// sync makes the file's bytes and attributes durable.
func (h handle) sync() error {
	if err := syncSystem(h.f); err != nil {
		return diskError("fsync", h.name, err)
	}
	return nil
}

// sync makes the folder's names durable where the system can be asked to.
func (d dir) sync() error {
	h := d.handle()
	defer h.close()
	if !h.ok() {
		return diskError("open", d.rel, os.ErrNotExist)
	}
	return syncFolderSystem(h.f)
}
