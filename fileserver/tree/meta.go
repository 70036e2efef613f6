package tree

import (
	"io/fs"
	"time"

	"freshet/hashing"
)

// meta is what the kernel says of one file.
type meta struct {
	stamp hashing.Stamp
	mode  fs.FileMode
	mtime int64 // nanoseconds since 1970
	disk  int64 // bytes taken on disk
	uid   uint32
	gid   uint32

	nameless bool // it has no name any more, or not yet
	linked   bool // it has several names
}

func (m *meta) isFolder() bool  { return m.mode.IsDir() }
func (m *meta) isRegular() bool { return m.mode.IsRegular() }
func (m *meta) isLink() bool    { return m.mode&fs.ModeSymlink != 0 }
func (m *meta) isSpecial() bool { return !m.isFolder() && !m.isRegular() && !m.isLink() }

// entry describes m under a name; the digest is for the caller to add.
func (m *meta) entry(name string) Entry {
	e := Entry{Name: name, ModTime: time.Unix(0, m.mtime), Stamp: m.stamp}
	switch {
	case m.isFolder():
		e.Kind = KindFolder
	case m.isLink():
		e.Kind, e.Size = KindLink, m.stamp.Size
	default:
		e.Kind, e.Size = KindFile, m.stamp.Size
		if m.mode&0o100 != 0 {
			e.Kind = KindExecutable
		}
	}
	return e
}

// fileKind says why m cannot be opened as a file: nil, ErrIsFolder or ErrSpecial.
func (m *meta) fileKind() error {
	switch {
	case m.isRegular():
		return nil
	case m.isFolder():
		return ErrIsFolder
	}
	return ErrSpecial
}

// leaseState is the answer to asking for a read lease.
type leaseState int

const (
	leaseNone    leaseState = iota // none can be had for this file
	leaseBusy                      // a program has the file open, or mapped, for writing
	leaseGranted                   // nobody can write until it is given back
)
