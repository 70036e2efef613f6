package watcher

import (
	"os"

	"golang.org/x/sys/unix"
)

// Filesystems that golang.org/x/sys/unix has no name for, by their numbers in the kernel's or their own source.
const (
	hfsMagic     = 0x4244
	hfsPlusMagic = 0x482b
	jfsMagic     = 0x3153464a
	ntfs3Magic   = 0x7366746e
	ntfsMagic    = 0x5346544e
	udfMagic     = unix.UDF_SUPER_MAGIC
	erofsMagic   = 0xe0f5e1e2
	zfsMagic     = 0x2fc12fc1
)

// localTypes are the filesystems that only this system's own programs change, so that each change raises an event.
var localTypes = map[uint32]bool{
	unix.BCACHEFS_SUPER_MAGIC: true, unix.BTRFS_SUPER_MAGIC: true, unix.EXFAT_SUPER_MAGIC: true,
	unix.EXT4_SUPER_MAGIC: true, unix.F2FS_SUPER_MAGIC: true, unix.ISOFS_SUPER_MAGIC: true,
	unix.MSDOS_SUPER_MAGIC: true, unix.NILFS_SUPER_MAGIC: true, unix.OVERLAYFS_SUPER_MAGIC: true,
	unix.RAMFS_MAGIC: true, unix.REISERFS_SUPER_MAGIC: true, unix.SQUASHFS_MAGIC: true,
	unix.TMPFS_MAGIC: true, unix.XFS_SUPER_MAGIC: true,
	erofsMagic: true, hfsMagic: true, hfsPlusMagic: true, jfsMagic: true, ntfs3Magic: true, ntfsMagic: true,
	udfMagic: true, zfsMagic: true,
}

// tellsAll reports whether the filesystem of an open folder tells of every change in it. Those of other hosts, those that
// a program serves, and unknown ones do not.
func tellsAll(dir *os.File) bool {
	var st unix.Statfs_t
	for {
		err := unix.Fstatfs(int(dir.Fd()), &st)
		if err != unix.EINTR {
			return err == nil && localTypes[uint32(st.Type)]
		}
	}
}
