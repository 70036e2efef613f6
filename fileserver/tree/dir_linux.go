package tree

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// dir is an open folder. Every method is one system call, or close to it, on a name in that folder; none follows a link.
type dir struct{ fd int }

func (d dir) close() {
	if d.fd >= 0 {
		_ = unix.Close(d.fd)
	}
}

// handle lets the folder itself be treated as an open file; it is closed with the folder.
func (d dir) handle() handle { return handle(d) }

func (d dir) self() (meta, error) { return d.handle().stat() }

func (d dir) stat(name string) (meta, error) {
	var st unix.Stat_t
	if err := eintr(func() error { return unix.Fstatat(d.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) }); err != nil {
		return meta{}, diskError("stat", name, err)
	}
	return metaOf(&st), nil
}

// open opens the regular file name for reading. Anything else is ErrIsFolder or ErrSpecial; a link is ErrOutside.
func (d dir) open(name string) (handle, meta, error) {
	h, err := d.openAny(name)
	if err != nil {
		return noHandle, meta{}, err
	}
	m, err := h.stat()
	if err == nil {
		err = m.fileKind()
	}
	if err != nil {
		h.close()
		return noHandle, meta{}, diskError("open", name, err)
	}
	return h, m, nil
}

// openAny is open for whatever has the name but a link: the caller looks what it is.
func (d dir) openAny(name string) (handle, error) {
	fd, err := d.openat(name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return noHandle, diskError("open", name, err)
	}
	return handle{fd}, nil
}

func (d dir) openat(name string, flags int, mode uint32) (fd int, err error) {
	err = eintr(func() error {
		fd, err = unix.Openat(d.fd, name, flags|unix.O_CLOEXEC, mode)
		return err
	})
	return fd, err
}

// folder opens the folder name.
func (d dir) folder(name string) (dir, error) {
	fd, err := d.openat(name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return dir{-1}, diskError("open", name, err)
	}
	return dir{fd}, nil
}

func (d dir) readlink(name string) (string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(d.fd, name, buf)
	if err == unix.EINVAL { // a moment ago it was a link
		return "", fmt.Errorf("readlink %q: %w: %w", name, errAgain, ErrUnstable)
	}
	if err != nil {
		return "", diskError("readlink", name, err)
	}
	return string(buf[:n]), nil
}

func (d dir) mkdir(name string, mode uint32) error {
	if err := unix.Mkdirat(d.fd, name, mode); err != nil {
		return diskError("mkdir", name, err)
	}
	return nil
}

func (d dir) unlink(name string) error {
	if err := unix.Unlinkat(d.fd, name, 0); err != nil {
		return diskError("unlink", name, err)
	}
	return nil
}

func (d dir) rmdir(name string) error {
	if err := unix.Unlinkat(d.fd, name, unix.AT_REMOVEDIR); err != nil {
		return diskError("rmdir", name, err)
	}
	return nil
}

// record writes a short text under a new name, in one step: as the text of a link that leads nowhere, which a journalling
// filesystem orders with the renames that follow.
func (d dir) record(name, text string) error {
	err := failpoint("record")
	if err == nil {
		err = d.symlink(name, text)
	}
	if errors.Is(err, ErrName) { // xfs and ext4 with small blocks bound the text by 1 KiB
		return d.recordFile(name, text)
	}
	return err
}

func (d dir) recordFile(name, text string) error {
	h, err := d.create(name, 0o600)
	if err != nil {
		return err
	}
	defer h.close()
	_ = failpoint("record-created")
	if _, err = h.write([]byte(text)); err == nil {
		err = h.sync()
	}
	if err != nil {
		_ = d.unlink(name)
	}
	return err
}

func (d dir) readRecord(name string) (string, error) {
	m, err := d.stat(name)
	if err != nil || m.isLink() {
		return d.readlink(name)
	}
	h, m, err := d.open(name)
	if err != nil {
		return "", err
	}
	defer h.close()
	text := make([]byte, min(m.stamp.Size, unix.PathMax))
	_, err = h.readAt(text, 0)
	return string(text), err
}

// names lists the folder. Reading a folder while it changes may miss or repeat what changes, as with any program.
func (d dir) names() ([]string, error) {
	fd, err := d.openat(".", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, diskError("list", ".", err)
	}
	f := os.NewFile(uintptr(fd), "folder")
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return nil, diskError("list", ".", err)
	}
	return names, nil
}

// nameless makes a file without a name in the folder, open for reading and writing.
func (d dir) nameless(mode uint32) (handle, error) {
	fd, err := d.openat(".", unix.O_RDWR|unix.O_TMPFILE, mode)
	if err != nil {
		return noHandle, diskError("create", ".", err)
	}
	return handle{fd}, nil
}

// temp makes a nameless file, or where the filesystem has none, one called name, and says so.
func (d dir) temp(name string, mode uint32) (h handle, named bool, err error) {
	if h, err = d.nameless(mode); err == nil {
		return h, false, nil
	}
	if !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EISDIR) && !errors.Is(err, unix.ENOENT) {
		return noHandle, false, err
	}
	fd, err := d.openat(name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, mode)
	if err != nil {
		return noHandle, false, diskError("create", name, err)
	}
	return handle{fd}, true, nil
}

// create makes a new file called name, open for writing.
func (d dir) create(name string, mode uint32) (handle, error) {
	fd, err := d.openat(name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, mode)
	if err != nil {
		return noHandle, diskError("create", name, err)
	}
	return handle{fd}, nil
}

// symlink makes a link with the given text.
func (d dir) symlink(name, text string) error {
	if err := unix.Symlinkat(text, d.fd, name); err != nil {
		return diskError("symlink", name, err)
	}
	return nil
}

// link gives the nameless file h a name, or another one; an existing name is ErrExist.
func (d dir) link(h handle, name string) error {
	err := unix.Linkat(h.fd, "", d.fd, name, unix.AT_EMPTY_PATH)
	if err == unix.ENOENT || err == unix.EPERM || err == unix.EINVAL {
		// Without CAP_DAC_READ_SEARCH the empty path is refused; the descriptor's name in /proc is not.
		err = unix.Linkat(unix.AT_FDCWD, h.procPath(), d.fd, name, unix.AT_SYMLINK_FOLLOW)
	}
	if err != nil {
		return diskError("link", name, err)
	}
	return nil
}

// exchange swaps two names in one step. errNoExchange: this filesystem cannot.
func exchange(a dir, an string, b dir, bn string) error {
	err := renameat2("exchange", a, an, b, bn, unix.RENAME_EXCHANGE)
	if err == unix.EINVAL || err == unix.ENOSYS {
		return errNoExchange
	}
	return renameError(bn, err)
}

// moveTo renames without replacing: an existing target is ErrExist.
func moveTo(a dir, an string, b dir, bn string) error {
	err := renameat2("rename", a, an, b, bn, unix.RENAME_NOREPLACE)
	if err == unix.EINVAL || err == unix.ENOSYS {
		return moveByLink(a, an, b, bn)
	}
	return renameError(bn, err)
}

func renameat2(step string, a dir, an string, b dir, bn string, flags uint) error {
	if err := failpoint(step); err != nil {
		return err
	}
	return eintr(func() error { return unix.Renameat2(a.fd, an, b.fd, bn, flags) })
}

func renameError(name string, err error) error {
	switch err {
	case nil:
		return nil
	case unix.EXDEV, unix.EBUSY: // busy is a folder on which another filesystem is mounted
		return ErrCrossDevice
	}
	return diskError("rename", name, err)
}

// moveByLink is moveTo on filesystems that cannot rename without replacing. A file has both names for a moment; if a crash
// left it so, the next attempt ends it. Folders cannot be linked: for them, looking and renaming are two steps.
func moveByLink(a dir, an string, b dir, bn string) error {
	m, err := a.stat(an)
	if err != nil {
		return err
	}
	target, err := b.stat(bn)
	switch {
	case err == nil && target.stamp.Inode() != m.stamp.Inode():
		return diskError("rename", bn, unix.EEXIST)
	case m.isFolder():
		return renameError(bn, unix.Renameat(a.fd, an, b.fd, bn))
	case errors.Is(err, ErrNotExist):
		if err := unix.Linkat(a.fd, an, b.fd, bn, 0); err != nil {
			return renameError(bn, err)
		}
		_ = failpoint("rename-linked")
	}
	return a.unlink(an)
}

// mount identifies the mounted filesystem that the folder is on: renames work within one mount only.
func (d dir) mount() (uint64, error) {
	var st unix.Statx_t
	err := unix.Statx(d.fd, "", unix.AT_EMPTY_PATH, unix.STATX_MNT_ID, &st)
	if err != nil {
		return 0, diskError("statx", ".", err)
	}
	return st.Mnt_id, nil
}

// up opens the folder's parent.
func (d dir) up() (dir, error) {
	fd, err := d.openat("..", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return dir{-1}, diskError("open", "..", err)
	}
	return dir{fd}, nil
}

const unknownSpaceBytes = 1 << 40 // what a filesystem is taken to hold that does not say: memory without a limit, some networks

// space returns the size of the folder's filesystem and what is free on it for us, in bytes.
func (d dir) space() (size, free int64, err error) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(d.fd, &st); err != nil {
		return 0, 0, diskError("statfs", ".", err)
	}
	if st.Blocks == 0 {
		return unknownSpaceBytes, unknownSpaceBytes, nil
	}
	return int64(st.Blocks) * st.Bsize, int64(st.Bavail) * st.Bsize, nil
}

// inherits reports whether a new file in the folder takes more from it than the process gives: a group or a default ACL.
func (d dir) inherits(m meta) bool {
	if m.mode&os.ModeSetgid != 0 {
		return true
	}
	return d.handle().hasAttribute(defaultAccessList)
}

// inheritAs has what is made in d inherit what it would in the folder like, which m describes.
func (d dir) inheritAs(like dir, m meta) error {
	if m.mode&os.ModeSetgid != 0 {
		// Who is not in the group may not give it, though the kernel gives it to what is made in the folder.
		if err := unix.Fchown(d.fd, -1, int(m.gid)); err != nil && err != unix.EPERM {
			return diskError("chown", ".", err)
		}
		if err := unix.Fchmod(d.fd, unix.S_ISGID|0o700); err != nil {
			return diskError("chmod", ".", err)
		}
	}
	value := make([]byte, attributesBytesMax)
	n, err := unix.Fgetxattr(like.fd, defaultAccessList, value)
	if err != nil || n == 0 {
		return nil // none, or the filesystem has no such thing
	}
	if err := unix.Fsetxattr(d.fd, defaultAccessList, value[:n], 0); err != nil {
		return diskError("setxattr", ".", err)
	}
	return nil
}

// private undoes what the folder has inherited: nobody else may enter it, and what is made in it inherits nothing. A folder of
// another user, who could change names in it, is refused.
func (d dir) private() error {
	own, err := d.self()
	if err == nil && int(own.uid) != unix.Geteuid() {
		err = fmt.Errorf("%w: it belongs to user %d", ErrPermission, own.uid)
	}
	if err != nil {
		return err
	}
	for _, list := range []string{accessList, defaultAccessList} {
		if d.handle().hasAttribute(list) {
			if err := unix.Fremovexattr(d.fd, list); err != nil {
				return diskError("removexattr", ".", err)
			}
		}
	}
	m, err := d.self()
	if err == nil && m.mode != os.ModeDir|0o700 {
		err = unix.Fchmod(d.fd, 0o700)
	}
	if err != nil {
		return diskError("chmod", ".", err)
	}
	return nil
}

// writable refuses folders in which this process may not make names, before a body is received for one.
func (d dir) writable() error {
	if err := unix.Faccessat(d.fd, ".", unix.W_OK|unix.X_OK, unix.AT_EACCESS); err != nil {
		return diskError("write to", ".", err)
	}
	return nil
}

// lockSelf takes the exclusive lock of the folder itself for as long as it is open. A filesystem that has no locks for
// folders is believed.
func (d dir) lockSelf() error {
	if unix.Flock(d.fd, unix.LOCK_EX|unix.LOCK_NB) == unix.EWOULDBLOCK {
		return ErrLocked
	}
	return nil
}

// lock takes the exclusive lock of the folder's lock file for as long as the returned handle is open.
// It is open for reading only, so that the filesystem can be remounted read-only, but where the lock wants more.
func (d dir) lock(name string) (handle, error) {
	fd, err := d.openat(name, unix.O_RDONLY|unix.O_CREAT|unix.O_NOFOLLOW, 0o600)
	if err == nil && unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) == unix.EBADF {
		_ = unix.Close(fd)
		fd, err = d.openat(name, unix.O_RDWR|unix.O_NOFOLLOW, 0)
	}
	if err != nil {
		return handle{-1}, diskError("open", name, err)
	}
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = unix.Close(fd)
		if err == unix.EWOULDBLOCK {
			return handle{-1}, ErrLocked
		}
		return handle{-1}, diskError("lock", name, err)
	}
	return handle{fd}, nil
}

func (h handle) procPath() string { return "/proc/self/fd/" + strconv.Itoa(h.fd) }

// eintr repeats a system call that a signal interrupted.
func eintr(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

var noDir = dir{-1}

// openFolder opens a folder by its name on the machine, outside any tree.
func openFolder(name string) (dir, error) {
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return noDir, diskError("open", name, err)
	}
	return dir{fd}, nil
}

// filesystemID returns a number that the folder's filesystem keeps over restarts of the machine, 0 if it has none.
func (d dir) filesystemID() uint64 {
	var st unix.Statfs_t
	if unix.Fstatfs(d.fd, &st) != nil {
		return 0
	}
	return uint64(uint32(st.Fsid.Val[0])) | uint64(uint32(st.Fsid.Val[1]))<<32
}
