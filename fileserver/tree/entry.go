package tree

import (
	"time"

	"freshet/hashing"
)

// A Kind is what an Entry is.
type Kind byte

const (
	KindFile       Kind = 'f'
	KindExecutable Kind = 'x' // a regular file with an execute bit for its owner
	KindFolder     Kind = 'd'
	KindLink       Kind = 'l' // only where a link is not followed: in listings, and for Remove and Move
)

// An Entry is what is at a path at one moment.
type Entry struct {
	Name    string // the last name of the path, as on disk
	Kind    Kind
	Size    int64 // bytes; 0 for folders
	ModTime time.Time
	// Digest is that of the file's bytes, zero while it is not known. A Guard is shown the fingerprint of a folder here, as
	// are those who survey one; elsewhere that of a folder is zero.
	Digest hashing.Digest
	// Target is the text of a link, and Followed what the link leads to: nil if that may not be followed or does not exist.
	Target   string
	Followed *Entry
	Stamp    hashing.Stamp
}

// IsFile reports whether e is a regular file.
func (e *Entry) IsFile() bool { return e.Kind == KindFile || e.Kind == KindExecutable }

// ETag returns the strong entity tag of a file, or "" while none is known, and for folders.
func (e *Entry) ETag() string {
	if e.Digest.IsZero() || !e.IsFile() {
		return ""
	}
	return e.Digest.ETag()
}

// A Guard decides whether a change may go ahead, given the entry that is on disk now (nil: absent). It runs under the path's
// lock, so it must not block. Its error is returned to the caller unchanged. A nil Guard allows everything.
type Guard func(cur *Entry) error
