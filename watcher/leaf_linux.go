package watcher

import (
	"os"

	"golang.org/x/sys/unix"
)

// leafLinks is the link count of a folder that has no folder in it: its name, and its own dot. Each folder in it adds one.
const leafLinks = 2

// countingTypes are the filesystems that keep this count. Others say 1, or anything; one that can count no further says 1 too.
var countingTypes = map[uint32]bool{unix.EXT4_SUPER_MAGIC: true, unix.TMPFS_MAGIC: true, unix.XFS_SUPER_MAGIC: true}

// isLeaf reports whether an open folder is known to have no folder in it, which spares listing its files.
func isLeaf(dir *os.File) bool {
	var st unix.Stat_t
	if err := ignoringInterrupts(func() error { return unix.Fstat(int(dir.Fd()), &st) }); err != nil || st.Nlink != leafLinks {
		return false
	}
	var fs unix.Statfs_t
	err := ignoringInterrupts(func() error { return unix.Fstatfs(int(dir.Fd()), &fs) })
	return err == nil && countingTypes[uint32(fs.Type)]
}

func ignoringInterrupts(call func() error) error {
	_, err := uninterrupted(func() (int, error) { return 0, call() })
	return err
}
