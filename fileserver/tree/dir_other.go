//go:build !linux

package tree

import (
	"io"
	"os"
	"path"
)

// dir is a folder, by its name below an os.Root.
type dir struct {
	base *os.Root
	rel  string
}

var noDir = dir{}

// openFolder opens a folder by its name on the machine, outside any tree.
func openFolder(name string) (dir, error) {
	base, err := os.OpenRoot(name)
	if err != nil {
		return noDir, diskError("open", name, err)
	}
	return dir{base, "."}, nil
}

func (d dir) close() {}

func (d dir) join(name string) string { return path.Join(d.rel, name) }

func (d dir) handle() handle {
	f, err := d.base.Open(d.rel)
	if err != nil {
		return noHandle
	}
	return handle{f, d, "."}
}

func (d dir) self() (meta, error) {
	h := d.handle()
	defer h.close()
	if !h.ok() {
		return meta{}, diskError("open", d.rel, os.ErrNotExist)
	}
	return h.stat()
}

func (d dir) stat(name string) (meta, error) {
	info, err := d.base.Lstat(d.join(name))
	if err != nil {
		return meta{}, diskError("stat", name, err)
	}
	if info.Mode()&os.ModeSymlink != 0 || !info.Mode().IsRegular() && !info.IsDir() {
		return metaOfInfo(info), nil
	}
	f, err := d.base.Open(d.join(name))
	if err != nil {
		return meta{}, diskError("open", name, err)
	}
	defer f.Close()
	return handle{f, d, name}.stat()
}

func (d dir) open(name string) (handle, meta, error) {
	info, err := d.base.Lstat(d.join(name))
	if err != nil {
		return noHandle, meta{}, diskError("open", name, err)
	}
	m := metaOfInfo(info)
	if err := m.fileKind(); err != nil {
		return noHandle, meta{}, diskError("open", name, err)
	}
	f, err := d.base.Open(d.join(name))
	if err != nil {
		return noHandle, meta{}, diskError("open", name, err)
	}
	h := handle{f, d, name}
	if m, err = h.stat(); err != nil {
		h.close()
		return noHandle, meta{}, err
	}
	return h, m, nil
}

// openAny is open: there is no way to open what is no regular file without waiting for it.
func (d dir) openAny(name string) (handle, error) {
	h, _, err := d.open(name)
	return h, err
}

func (d dir) folder(name string) (dir, error) {
	info, err := d.base.Lstat(d.join(name))
	if err != nil {
		return noDir, diskError("open", name, err)
	}
	if !info.IsDir() {
		return noDir, diskError("open", name, ErrNotFolder)
	}
	return dir{d.base, d.join(name)}, nil
}

func (d dir) readlink(name string) (string, error) {
	text, err := d.base.Readlink(d.join(name))
	if err != nil {
		return "", diskError("readlink", name, err)
	}
	return text, nil
}

func (d dir) mkdir(name string, mode uint32) error {
	if err := d.base.Mkdir(d.join(name), os.FileMode(mode)); err != nil {
		return diskError("mkdir", name, err)
	}
	return nil
}

func (d dir) unlink(name string) error {
	if err := d.base.Remove(d.join(name)); err != nil {
		return diskError("unlink", name, err)
	}
	return nil
}

func (d dir) rmdir(name string) error { return d.unlink(name) }

// record writes a short text under a new name. A crash may leave it cut short; recovery then keeps the file it speaks of.
func (d dir) record(name, text string) error {
	h, err := d.create(name, 0o600)
	if err != nil {
		return err
	}
	defer h.close()
	if _, err := h.write([]byte(text)); err != nil {
		return err
	}
	return h.sync()
}

func (d dir) readRecord(name string) (string, error) {
	b, err := d.base.ReadFile(d.join(name))
	if err != nil {
		return "", diskError("read", name, err)
	}
	return string(b), nil
}

func (d dir) names() ([]string, error) {
	f, err := d.base.Open(d.rel)
	if err != nil {
		return nil, diskError("list", d.rel, err)
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil && err != io.EOF {
		return nil, diskError("list", d.rel, err)
	}
	return names, nil
}

// nameless files are not to be had.
func (d dir) nameless(uint32) (handle, error) {
	return noHandle, diskError("create", ".", os.ErrInvalid)
}

func (d dir) temp(name string, mode uint32) (h handle, named bool, err error) {
	h, err = d.create(name, mode)
	return h, true, err
}

func (d dir) create(name string, mode uint32) (handle, error) {
	f, err := d.base.OpenFile(d.join(name), os.O_RDWR|os.O_CREATE|os.O_EXCL, os.FileMode(mode))
	if err != nil {
		return noHandle, diskError("create", name, err)
	}
	return handle{f, d, name}, nil
}

func (d dir) symlink(name, text string) error {
	if err := d.base.Symlink(text, d.join(name)); err != nil {
		return diskError("symlink", name, err)
	}
	return nil
}

func (d dir) link(h handle, name string) error {
	if err := d.base.Link(h.where.join(h.name), d.join(name)); err != nil {
		return diskError("link", name, err)
	}
	return nil
}

// exchange is not to be had: the caller's way round leaves the name free for a moment.
func exchange(dir, string, dir, string) error { return errNoExchange }

// moveTo renames without replacing. For folders, looking and renaming are two steps.
func moveTo(a dir, an string, b dir, bn string) error {
	if a.base.Name() != b.base.Name() {
		return ErrCrossDevice
	}
	m, err := a.stat(an)
	if err != nil {
		return err
	}
	if m.isRegular() {
		if err := a.base.Link(a.join(an), b.join(bn)); err != nil {
			return diskError("link", bn, err)
		}
		return a.unlink(an)
	}
	if _, err := b.base.Lstat(b.join(bn)); err == nil {
		return diskError("rename", bn, os.ErrExist)
	}
	if err := a.base.Rename(a.join(an), b.join(bn)); err != nil {
		return diskError("rename", bn, err)
	}
	return nil
}

// mount tells filesystems apart by their device.
func (d dir) mount() (uint64, error) {
	m, err := d.self()
	return m.stamp.Dev, err
}

func (d dir) up() (dir, error) { return dir{d.base, path.Dir(d.rel)}, nil }

// writable is found out when the first name is made.
func (d dir) writable() error { return nil }

// lockSelf is left to the lock file of the state folder.
func (d dir) lockSelf() error { return nil }

// inherits is left to the system: a new file is made beside the state folder's others.
func (d dir) inherits(meta) bool { return false }

func (d dir) inheritAs(dir, meta) error { return nil }

// private is left to the mode that the folder was made with.
func (d dir) private() error { return nil }

// filesystemID is not known.
func (d dir) filesystemID() uint64 { return 0 }
