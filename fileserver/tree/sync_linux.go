package tree

import "golang.org/x/sys/unix"

// sync makes the file's bytes and attributes durable.
func (h handle) sync() error {
	if err := eintr(func() error { return unix.Fsync(h.fd) }); err != nil {
		return diskError("fsync", "", err)
	}
	return nil
}

// sync makes the folder's names durable.
func (d dir) sync() error { return d.handle().sync() }
