//go:build !unix

package watcher

import (
	"io/fs"
	"os"
	"syscall"
)

// openFolder opens the folder at path for listing, and a link to one if follow. Anything else is ENOTDIR.
func openFolder(path string, follow bool) (*os.File, error) {
	stat := os.Lstat
	if follow {
		stat = os.Stat
	}
	fi, err := stat(path)
	if err != nil {
		return nil, err
	}
	if !fi.IsDir() {
		return nil, &fs.PathError{Op: "open", Path: path, Err: syscall.ENOTDIR}
	}
	return os.Open(path)
}

// identityOf knows no identity: a renamed folder is known by the events of its old and its new name alone.
func identityOf(fs.FileInfo) identity { return identity{} }
