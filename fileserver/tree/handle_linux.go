package tree

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// handle is an open file. Raw descriptors: os.File costs more than the system calls on a small file.
type handle struct{ fd int }

var noHandle = handle{-1}

func (h handle) ok() bool { return h.fd >= 0 }

func (h handle) close() {
	if h.fd >= 0 {
		_ = unix.Close(h.fd)
	}
}

func (h handle) stat() (meta, error) {
	var st unix.Stat_t
	if err := eintr(func() error { return unix.Fstat(h.fd, &st) }); err != nil {
		return meta{}, err
	}
	return metaOf(&st), nil
}

// readAt fills b from offset off, as io.ReaderAt says.
func (h handle) readAt(b []byte, off int64) (int, error) {
	got := 0
	for got < len(b) {
		n, err := unix.Pread(h.fd, b[got:], off+int64(got))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return got, diskError("read", "", err)
		}
		if n == 0 {
			return got, io.EOF
		}
		got += n
	}
	return got, nil
}

// write appends b and returns how much of it was written.
func (h handle) write(b []byte) (int, error) {
	done := 0
	for done < len(b) {
		n, err := unix.Write(h.fd, b[done:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return done, diskError("write", "", err)
		}
		done += n
	}
	return done, nil
}

// dup returns another descriptor of the same open file; a lease belongs to both.
func (h handle) dup() (handle, error) {
	fd, err := unix.FcntlInt(uintptr(h.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return noHandle, diskError("dup", "", err)
	}
	return handle{fd}, nil
}

// readOnly opens the same file again for reading only.
func (h handle) readOnly() (handle, error) {
	fd, err := unix.Open(h.procPath(), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return noHandle, diskError("reopen", "", err)
	}
	return handle{fd}, nil
}

// like gives the file the owner, mode and extended attributes of the file was that it is to replace, and says whether that
// changed anything. Attributes of the security namespace are the kernel's to set and are left out.
func (h handle) like(was handle, m, mine meta) (changed bool, err error) {
	if m.uid != mine.uid || m.gid != mine.gid {
		changed = true
		if err := unix.Fchown(h.fd, int(m.uid), int(m.gid)); err != nil {
			return changed, diskError("chown", "", err)
		}
	}
	if m.mode.Perm() != mine.mode.Perm() {
		changed = true
		if err := unix.Fchmod(h.fd, uint32(m.mode.Perm())); err != nil {
			return changed, diskError("chmod", "", err)
		}
	}
	copied, err := h.copyAttributes(was)
	return changed || copied, err
}

const attributesBytesMax = 64 << 10 // the kernel's bound for the list of names, and for one value

// How the kernel calls access control lists.
const (
	accessList        = "system.posix_acl_access"
	defaultAccessList = "system.posix_acl_default"
)

func (h handle) hasAttribute(name string) bool {
	n, err := unix.Fgetxattr(h.fd, name, nil)
	return err == nil && n > 0
}

func (h handle) copyAttributes(was handle) (copied bool, err error) {
	if h.hasAttribute(accessList) && !was.hasAttribute(accessList) { // inherited, and not for this file
		if err := unix.Fremovexattr(h.fd, accessList); err != nil {
			return false, diskError("removexattr", "", err)
		}
		copied = true
	}
	size, err := unix.Flistxattr(was.fd, nil)
	if err != nil || size == 0 {
		return copied, nil // none, or the filesystem has no such thing
	}
	names := make([]byte, attributesBytesMax)
	if size, err = unix.Flistxattr(was.fd, names); err != nil {
		return copied, diskError("listxattr", "", err)
	}
	value := make([]byte, attributesBytesMax)
	for name := range strings.SplitSeq(strings.TrimRight(string(names[:size]), "\x00"), "\x00") {
		if strings.HasPrefix(name, "security.") || strings.HasPrefix(name, "trusted.") {
			continue
		}
		n, err := unix.Fgetxattr(was.fd, name, value)
		if err == unix.ENODATA {
			continue
		}
		if err == nil {
			err = unix.Fsetxattr(h.fd, name, value[:n], 0)
		}
		if err != nil {
			return copied, diskError("setxattr "+name, "", err)
		}
		copied = true
	}
	return copied, nil
}

func (h handle) chmod(mode uint32) error {
	if err := unix.Fchmod(h.fd, mode); err != nil {
		return diskError("chmod", "", err)
	}
	return nil
}

func (h handle) setModTime(at time.Time) error {
	ts := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, unix.NsecToTimespec(at.UnixNano())}
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, h.procPath(), ts, 0); err != nil {
		return diskError("utimes", "", err)
	}
	return nil
}

// cloneFrom makes h share the blocks of another file, where the filesystem can.
func (h handle) cloneFrom(other handle) error { return unix.IoctlFileClone(h.fd, other.fd) }

// reserve asks for room on disk, so that a full disk is met before the body is read.
func (h handle) reserve(size int64) error {
	err := eintr(func() error { return unix.Fallocate(h.fd, unix.FALLOC_FL_KEEP_SIZE, 0, size) })
	if err == unix.EOPNOTSUPP || err == unix.ENOSYS {
		return nil
	}
	if err != nil {
		return diskError("reserve", "", err)
	}
	return nil
}

// reliable reports whether h is on a filesystem whose leases hold against every writer: ext4, xfs, btrfs and tmpfs. Where
// others can write from elsewhere, leases are local only.
func (h handle) reliable() bool {
	switch h.filesystem() {
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.TMPFS_MAGIC:
		return true
	}
	return false
}

// stampsMappings reports whether h is on a filesystem that gives a file a new stamp at the first store through a mapping.
// tmpfs does not: it maps a page for writing when it is first read.
func (h handle) stampsMappings() bool {
	switch h.filesystem() {
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC:
		return true
	}
	return false
}

// filesystem returns the type of h's filesystem, 0 if it cannot be had. It is asked each time, since the number of a device
// that was unmounted is given to the next.
func (h handle) filesystem() uint32 {
	var st unix.Statfs_t
	if err := eintr(func() error { return unix.Fstatfs(h.fd, &st) }); err != nil {
		return 0
	}
	return uint32(st.Type)
}

// lease asks for a read lease: nobody may open the file for writing while it is held, or rather, has to wait until it is
// given back. h must be open for reading only.
func (h handle) lease() leaseState {
	if !h.reliable() {
		return leaseNone
	}
	return h.leaseHere()
}

// leaseHere is lease on a filesystem that is known to be reliable.
func (h handle) leaseHere() leaseState {
	if failpoint("lease") != nil {
		return leaseNone
	}
	_, err := unix.FcntlInt(uintptr(h.fd), unix.F_SETLEASE, unix.F_RDLCK)
	switch err {
	case nil:
		return leaseGranted
	case unix.EAGAIN:
		return leaseBusy
	}
	return leaseNone // another owner's file without CAP_LEASE
}

// leaseHeld reports whether nobody has asked to write since the lease was granted.
func (h handle) leaseHeld() bool {
	state, err := unix.FcntlInt(uintptr(h.fd), unix.F_GETLEASE, 0)
	return err == nil && state == unix.F_RDLCK
}

// unlease gives the lease back; whoever waits in open(2) goes on. Without CAP_LEASE only the file's owner can: for others the
// lease ends when h is closed.
func (h handle) unlease() bool {
	_, err := unix.FcntlInt(uintptr(h.fd), unix.F_SETLEASE, unix.F_UNLCK)
	return err == nil
}

// fineStamps reports whether the kernel gives a file that changes after its stamp was asked for another stamp, however soon:
// multigrain timestamps, in Linux since 6.13 on the filesystems that reliable names.
var fineStamps = sync.OnceValue(func() bool {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return false
	}
	var major, minor int
	_, err := fmt.Sscanf(unix.ByteSliceToString(name.Release[:]), "%d.%d", &major, &minor)
	return err == nil && (major > 6 || major == 6 && minor >= 13)
})
