//go:build unix

package main

import "golang.org/x/sys/unix"

// filesystemBytes returns the size of the filesystem that holds dir.
func filesystemBytes(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return int64(s.Blocks) * int64(s.Bsize), nil
}
