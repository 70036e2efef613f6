package hashing

import "time"

// A Stamp is the kernel's word on one state of one file. Two looks at a file with equal stamps saw the same bytes, but for
// the holes that Record.Trusted closes: mtime can be forged and is left out, ctime cannot.
type Stamp struct {
	Dev, Ino uint64
	Size     int64
	Ctime    int64 // nanoseconds since 1970
}

// Inode identifies a file whatever its name or state.
type Inode struct{ Dev, Ino uint64 }

// Inode returns which file s is a state of.
func (s Stamp) Inode() Inode { return Inode{s.Dev, s.Ino} }

// RacyNanos is the coarsest clock granularity a stamp is protected against: a file that changed less than this before its
// hashing began may change again without its stamp moving.
const RacyNanos = int64(2 * time.Second)

// A Record is what an Index remembers of one state of a file.
type Record struct {
	Stamp  Stamp
	Digest Digest
	Blocks []uint64 // Hasher.Blocks
	// Certified says that no program could have written to the file between the first byte read and the Stamp: both were
	// taken under one read lease on a filesystem whose leases and stamps can be relied on. An equal stamp then proves equal
	// bytes.
	Certified bool
	// Began is when hashing began, in nanoseconds since 1970 by the clock that stamps files.
	Began int64
}

// Trusted reports whether a file whose stamp is now equal to r.Stamp may be taken to have r.Digest. A record that is not
// certified must be older than the racy window: its file had been still for RacyNanos when hashing began.
func (r *Record) Trusted() bool {
	return r.Certified || r.Began-r.Stamp.Ctime > RacyNanos
}
