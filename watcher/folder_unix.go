//go:build unix && !linux

package watcher

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// openFolder opens the folder at path for listing, and a link to one if follow. Anything else is ENOTDIR or ELOOP,
// found without waiting on a pipe or breaking a lease. os.Open would also try to poll the folder, in vain.
func openFolder(path string, follow bool) (*os.File, error) {
	flags := syscall.O_RDONLY | syscall.O_DIRECTORY | syscall.O_CLOEXEC
	if !follow {
		flags |= syscall.O_NOFOLLOW
	}
	for {
		fd, err := syscall.Open(path, flags, 0)
		if err == nil {
			return os.NewFile(uintptr(fd), path), nil
		}
		if !errors.Is(err, syscall.EINTR) {
			return nil, &fs.PathError{Op: "open", Path: path, Err: err}
		}
	}
}
