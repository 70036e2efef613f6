package tree

import "golang.org/x/sys/unix"

// uncache drops what the system keeps of the file in memory, as far as nobody uses it, so that the next read is of the disk.
func (h handle) uncache() { _ = unix.Fadvise(h.fd, 0, 0, unix.FADV_DONTNEED) }
