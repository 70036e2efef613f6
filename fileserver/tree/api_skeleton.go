package tree

import (
	"context"
	"io"
	"time"

	"freshet/hashing"
)

// A Tree is a served directory. Its methods are safe for concurrent use.
type Tree struct{}

// New opens the folder root. With Options.Write it creates the state folder, takes its lock (a second writing server on one
// root is refused) and finishes or undoes what a crash left half done.
func New(root string, o Options) (*Tree, error) { panic("skeleton") }

// Run watches the tree and keeps digests fresh and versions within their bounds until ctx ends. The Tree works without it,
// but then every changed file is hashed by the request that asks for it.
func (t *Tree) Run(ctx context.Context) error { panic("skeleton") }

// Close ends the quarantine, releases the lock and closes the root. No other method may be running.
func (t *Tree) Close() error { panic("skeleton") }

// Stat returns what is at p without hashing: Digest is zero unless it is remembered. Links are followed as Open does.
func (t *Tree) Stat(ctx context.Context, p Path) (Entry, error) { panic("skeleton") }

// Open opens the file at p and finds its digest, hashing at most once however many ask, for at most Options.HashWaitMax.
// When that is too short, or a large file is open for writing right now, the File has no digest and must be sent without a
// tag. Errors: ErrNotExist, ErrIsFolder, ErrSpecial, ErrOutside, ErrPermission, ErrUnstable, ErrTooManyFiles, ErrRootGone.
func (t *Tree) Open(ctx context.Context, p Path) (*File, error) { panic("skeleton") }

// List returns the entries of the folder at p in no order, without hashing: Digest is set where it is remembered. Links are
// listed as KindLink with their target text, and Followed describes what they lead to. Special files, the reserved name and
// names that Parse would refuse are left out.
func (t *Tree) List(ctx context.Context, p Path) ([]Entry, error) { panic("skeleton") }

// A File is an open file and the Entry that describes exactly its bytes. Close it.
type File struct{ Entry Entry }

// Close releases what f holds. A closed File may not be sent.
func (f *File) Close() { panic("skeleton") }

// Send writes the n bytes from offset off to w, in writes of at most hashing.BlockBytes. Bytes that no longer are what
// Entry.Digest says are not written: ErrTorn, and the answer must be cut short. Other errors are w's.
func (f *File) Send(ctx context.Context, w io.Writer, off, n int64) error { panic("skeleton") }

// Staged is an upload on its way: bytes received but not visible under any name. End it with Commit or Discard. Not safe for
// concurrent use.
type Staged struct{}

// Stage begins an upload to p of size bytes, -1 if unknown. Errors: ErrNoParent, ErrBusy, ErrTooLarge, ErrNoSpace,
// ErrReadOnly and those of resolving p's folder.
func (t *Tree) Stage(ctx context.Context, p Path, size int64) (*Staged, error) { panic("skeleton") }

// Write adds bytes. Errors: ErrTooLarge, ErrNoSpace; the Staged must then be discarded.
func (s *Staged) Write(b []byte) (int, error) { panic("skeleton") }

// Size returns the number of bytes written.
func (s *Staged) Size() int64 { panic("skeleton") }

// Digest returns the digest of the bytes written.
func (s *Staged) Digest() hashing.Digest { panic("skeleton") }

// Discard drops the upload. It does nothing after Commit.
func (s *Staged) Discard() { panic("skeleton") }

// A Change says on what terms a change is made.
type Change struct {
	Guard   Guard
	ModTime time.Time // of the new file; zero: the time of the change
	By      string    // who changes it, for the version's record: "http 192.0.2.7"; at most ByBytesMax bytes, the rest is cut
}

// Result is what a change left at the path.
type Result struct {
	Entry   Entry
	Created bool // there was nothing before
}

// Commit makes s the content of p, atomically and durably: when it returns without error, a power cut does not undo it. The
// displaced file becomes a version. s is spent, whatever the outcome. Errors: the Guard's, ErrNoParent, ErrIsFolder, ErrInUse
// (a local program has the file open for writing), ErrUnstable, ErrNoSpace, ErrUnsynced, ErrReadOnly, ErrPermission.
func (t *Tree) Commit(ctx context.Context, p Path, s *Staged, c Change) (Result, error) {
	panic("skeleton")
}

// Remove moves what is at p to the versions: a file, a link (not what it leads to), or a folder with all it holds, in one
// rename. The root cannot be removed (ErrPermission).
func (t *Tree) Remove(ctx context.Context, p Path, c Change) error { panic("skeleton") }

// Mkdir makes a folder. Errors: ErrExist, ErrNoParent.
func (t *Tree) Mkdir(ctx context.Context, p Path, c Change) (Result, error) { panic("skeleton") }

// A Transfer says on what terms a Move or Copy is made. Both guards run with both paths locked.
type Transfer struct {
	Source, Destination Guard
	ModTime             time.Time // as Change.ModTime; zero keeps the source's
	By                  string
	Shallow             bool // Copy only: a folder without what it holds
}

// Move renames from to to, a file, a link or a folder, in one step; what was at to becomes a version. Errors: ErrSame,
// ErrNotExist, ErrNoParent and those of Commit.
func (t *Tree) Move(ctx context.Context, from, to Path, x Transfer) (Result, error) {
	panic("skeleton")
}

// Copy makes to the same as from. A folder appears at once or not at all. Errors as Move.
func (t *Tree) Copy(ctx context.Context, from, to Path, x Transfer) (Result, error) {
	panic("skeleton")
}

// Stats are counts since start, and levels now.
type Stats struct {
	HashedOnRequest    uint64 // files hashed because a request asked
	HashedInBackground uint64 // files hashed after the watcher saw them change
	Torn               uint64 // bodies cut short because the file changed
	Rollbacks          uint64 // swaps undone because the displaced file was not the expected one
	ConflictCopies     uint64
	Commits            uint64
	WatchedFolders     int
	UnwatchedFolders   int // beyond the kernel's watch limit
	WatchOverflows     uint64
	IndexRecords       int
	StagedUploads      int
	StagedBytes        int64
	QuarantinedFiles   int
	VersionsFiles      int
	VersionsBytes      int64
}

// Stats returns the counts of this Tree.
func (t *Tree) Stats() Stats { panic("skeleton") }

// A Finding is one thing that a filesystem gives or does not give.
type Finding struct {
	Name   string // "read leases"
	OK     bool
	Detail string // what it means here, one line
}

// Probe tries out what the filesystem of dir gives, in a temporary folder inside dir that is gone when it returns: stamps,
// leases, exchange, O_TMPFILE, reflinks, watch limits. dir must be writable, else only what can be read is reported.
func Probe(dir string) ([]Finding, error) { panic("skeleton") }
