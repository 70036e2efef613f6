package tree

import (
	"context"
	"fmt"
	"iter"

	"freshet/hashing"
)

// A WarmingError says that the tree has not been looked at completely since the server started, so that nothing can be said
// about whole folders. It never means that they are empty.
type WarmingError struct {
	FilesDone  int64 // looked at so far
	FilesTotal int64 // as far as known: those of the last run, or those found so far
}

func (e *WarmingError) Error() string {
	return fmt.Sprintf("the tree is being looked at: %d of %d files done", e.FilesDone, e.FilesTotal)
}

// A Folder is one state of a folder. It does not change when the folder does.
type Folder struct {
	Path Path
	// Subtree is the fingerprint of all that is in the folder and below; zero while it cannot be told, because a file below
	// is being written, or is where changes cannot be seen.
	Subtree hashing.Digest
	// Mtimes changes whenever the modification time of a direct child does. Fingerprints leave times out.
	Mtimes uint64
	Files  int64 // regular files and links in the folder and below
	Bytes  int64 // of the regular files in the folder and below
}

// Len returns the number of direct children.
func (f *Folder) Len() int { panic("not yet") }

// Entries yields the direct children, sorted by the bytes of their names. The Digest of a folder among them is its
// fingerprint; Followed is not set.
func (f *Folder) Entries() iter.Seq[Entry] { panic("not yet") }

// A Survey is one consistent state of several folders. The Cursor was taken before: what happens behind it may or may not be
// seen in the folders already.
type Survey struct {
	Cursor  Cursor
	Folders []*Folder
	Gone    []Path // asked for and not there, or no folders
}

// Folder returns the state of the folder at p, in which every local change is seen that had finished before the call. It
// follows no link. Errors: ErrNotExist, ErrNotFolder, ErrRootGone, *WarmingError when the first look at the tree takes longer
// than ctx or Options.HashWaitMax.
func (t *Tree) Folder(ctx context.Context, p Path) (*Folder, Cursor, error) { panic("not yet") }

// Survey is Folder for several folders in one consistent state. What is not there is in Gone.
func (t *Tree) Survey(ctx context.Context, folders []Path) (Survey, error) { panic("not yet") }

// SurveyBelow is Folder for p and the folders below it down to depth levels (0: only p; negative: all), parents before
// children and siblings by the bytes of their names, in one consistent state.
func (t *Tree) SurveyBelow(ctx context.Context, p Path, depth int) (Survey, error) { panic("not yet") }

// Identity says what the tree is, for clients that meet it again.
type Identity struct {
	Root      string // random, kept as long as the state folder is
	Algorithm string // of digests: "xxh3" or "blake3"
}

// Identity returns what the tree is.
func (t *Tree) Identity() Identity { panic("not yet") }
