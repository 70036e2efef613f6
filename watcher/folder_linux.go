package watcher

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

const folderFlags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC

// An anchor is the root, held open for the time of one walk. Held for longer it would keep its filesystem from being
// unmounted.
type anchor struct{ root *os.File }

// openAnchor opens the root, which may be a link.
func openAnchor(root string) (anchor, error) {
	fd, err := uninterrupted(func() (int, error) { return unix.Open(root, folderFlags, 0) })
	if err != nil {
		return anchor{}, &os.PathError{Op: "open", Path: root, Err: err}
	}
	return anchor{os.NewFile(uintptr(fd), root)}, nil
}

// open opens the folder at rel for listing and follows no link on the way: a folder that becomes a link does not lead the
// walk out of the root. What is not a folder is ENOTDIR or ELOOP, found without waiting on a pipe or breaking a lease.
// Kernels before 5.6 look at the last name only.
func (a anchor) open(rel string) (*os.File, error) {
	if rel == "" {
		rel = "."
	}
	how := unix.OpenHow{Flags: folderFlags | unix.O_NOFOLLOW, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS}
	fd, err := uninterrupted(func() (int, error) { return unix.Openat2(int(a.root.Fd()), rel, &how) })
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) { // which sandboxes answer for what they do not know
		fd, err = uninterrupted(func() (int, error) { return unix.Openat(int(a.root.Fd()), rel, folderFlags|unix.O_NOFOLLOW, 0) })
	}
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: rel, Err: err}
	}
	return os.NewFile(uintptr(fd), rel), nil
}

func (a anchor) identity() (identity, error) {
	fi, err := a.root.Stat()
	if err != nil {
		return identity{}, err
	}
	return identityOf(fi), nil
}

func (a anchor) close() {
	if a.root != nil {
		_ = a.root.Close()
	}
}

// uninterrupted calls open until no signal interrupts it.
func uninterrupted(open func() (int, error)) (fd int, err error) {
	for {
		fd, err = open()
		if !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
}
