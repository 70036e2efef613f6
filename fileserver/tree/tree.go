package tree

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/semaphore"

	"freshet/hashing"
	"freshet/watcher"
)

// A Tree is a served directory. Its methods are safe for concurrent use.
type Tree struct {
	o       Options
	name    string // absolute path of the root
	disk    *disk
	hasher  *hasher
	cache   *bodyCache
	bodies  *semaphore.Weighted // bytes of Options.BodyBytesMax
	buffers *bufferPool
	watch   *watcher.Watcher // nil: the system has no watch queue left
	stats   counters

	// The live picture of the tree, what keeps it up to date, and the feed of what changes in it.
	picture     *picture
	refresher   *refresher
	pending     *pending
	keeper      *keeper
	state       *state
	journal     *journal
	resumed     Cursor // where the feed ended when it was opened
	filesystems filesystems
	asked       atomic.Uint64 // questions that requests have asked
	yielded     atomic.Uint64 // asked, when work in the background last let them go first
	verifying   sync.Mutex    // held by the Verify that runs

	// What follows is for changes; home is nil in a read-only tree.
	home       *area
	root       dir // locked against other servers that write
	areas      areas
	locks      lockTable
	shape      sync.RWMutex // held shared by changes of files, exclusively by those that move whole folders
	veil       veil
	folders    folderSyncer
	quarantine *quarantine
	uploads    uploads
}

// counters are the parts of Stats that only grow.
type counters struct {
	hashedOnRequest, hashedInBackground, torn, rollbacks, conflictCopies, commits, mismatches atomic.Uint64
}

// New opens the folder root. With Options.Write it creates the state folder, takes its lock (a second writing server on one
// root is refused with ErrLocked) and finishes or undoes what a crash left half done.
func New(root string, o Options) (*Tree, error) {
	name, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", root, err)
	}
	o = o.withDefaults()
	d, err := openDisk(name, o.Symlinks)
	if err != nil {
		return nil, err
	}
	buffers := &bufferPool{}
	t := &Tree{
		o: o, name: name, disk: d, buffers: buffers,
		hasher: &hasher{
			algorithm: o.Algorithm,
			index:     hashing.NewIndex(0),
			large:     semaphore.NewWeighted(largeHashersMax),
			buffers:   buffers,
		},
		cache:  newBodyCache(o.CacheBytesMax),
		bodies: semaphore.NewWeighted(o.BodyBytesMax),
	}
	if o.Write {
		if err := t.openForWriting(); err != nil {
			d.close()
			return nil, err
		}
	}
	if err := t.openLive(); err != nil {
		t.closeDisk()
		return nil, err
	}
	t.watch, err = watcher.New(watcher.Options{Root: name, Skip: t.unwatched, Log: o.Log})
	switch {
	case errors.Is(err, watcher.ErrTooManyWatchers), errors.Is(err, watcher.ErrNoBarrier):
		o.Log.Warn("local changes are not watched: folders are looked at by the requests that ask for them", "why", err)
	case err != nil:
		_ = t.Close()
		return nil, err
	}
	return t, nil
}

// unwatched says of a folder that nothing in it is served.
func (t *Tree) unwatched(rel string) bool { return t.o.Only != "" || isReserved(filepath.Base(rel)) }

// openForWriting opens the state folder and settles what a crash left.
func (t *Tree) openForWriting() (err error) {
	if t.root, err = t.disk.folder("", true); err != nil {
		return err
	}
	if err = t.root.lockSelf(); err == nil {
		t.home, err = t.openHome()
	}
	if err != nil {
		t.root.close()
		return err
	}
	if err = t.startWriting(); err != nil {
		t.home.close()
		t.root.close()
	}
	return err
}

// openHome opens the state folder, on the root's filesystem.
func (t *Tree) openHome() (*area, error) {
	outer, name, err := t.stateFolder()
	if err != nil {
		return nil, err
	}
	defer outer.close()
	mount, err := t.root.mount()
	if err != nil {
		return nil, err
	}
	home, err := openArea(t, outer, name)
	if err == nil && home.mount != mount {
		home.close()
		err = fmt.Errorf("state folder %s: %w", t.o.State, ErrCrossDevice)
	}
	return home, err
}

// stateFolder opens the folder that holds the state folder. One that is served is refused, but for the reserved name.
func (t *Tree) stateFolder() (outer dir, name string, err error) {
	if t.o.State == "" {
		outer, err = t.root.folder(".")
		return outer, Reserved, err
	}
	state, err := filepath.Abs(t.o.State)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(state), 0o700)
	}
	if err != nil {
		return noDir, "", fmt.Errorf("state folder %s: %w", t.o.State, err)
	}
	if outer, err = openFolder(filepath.Dir(state)); err != nil {
		return noDir, "", err
	}
	served, err := t.root.self()
	if err == nil && !isReserved(filepath.Base(state)) {
		err = notAbove(served, outer)
	}
	if err != nil {
		outer.close()
		return noDir, "", fmt.Errorf("state folder %s in the served folder: %w", t.o.State, err)
	}
	return outer, filepath.Base(state), nil
}

func (t *Tree) startWriting() error {
	t.areas = areas{tree: t, all: map[uint64]*area{t.home.mount: t.home}}
	size, _, err := t.home.dir.space()
	if err != nil {
		return err
	}
	t.uploads.init(t.o, size)
	t.quarantine = newQuarantine(t)
	return t.recover(t.home)
}

// Run watches the tree, keeps digests fresh and settles what changes displaced, until ctx ends. Without it every changed
// file is hashed by the request that asks for it, and changes stop when the quarantine is full.
func (t *Tree) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	start := func(part func(context.Context) error) {
		all.Go(func() {
			if err := part(ctx); err != nil {
				cancel(err)
			}
		})
	}
	if t.watch != nil {
		start(t.watch.Run)
	}
	start(t.refresher.run)
	start(t.pending.run)
	start(t.saving)
	start(t.journal.run)
	if t.quarantine != nil {
		start(t.quarantine.run)
	}
	all.Wait()
	if err := context.Cause(ctx); err != nil && ctx.Err() != nil && err != context.Canceled {
		return err
	}
	return nil
}

// Close settles the quarantine, releases the lock and closes the root. No other method may be running.
func (t *Tree) Close() error {
	err := t.closeLive()
	t.closeDisk()
	if t.watch == nil {
		return err
	}
	return errors.Join(err, t.watch.Close()) // for a tree that was never run
}

func (t *Tree) closeDisk() {
	if t.quarantine != nil {
		t.quarantine.settleAll()
		t.areas.each((*area).close)
		t.root.close()
	}
	t.disk.close()
}

// serves reports whether p is part of what is served at all.
func (t *Tree) serves(p Path) bool { return t.o.Only == "" || p.IsRoot() || p.s == t.o.Only }

// Stats are counts since start, and levels now.
type Stats struct {
	HashedOnRequest    uint64 // files hashed because a request asked
	HashedInBackground uint64 // files hashed after the watcher saw them change
	Torn               uint64 // bodies cut short because the file changed
	Rollbacks          uint64 // swaps undone because the displaced file was not the expected one
	ConflictCopies     uint64
	Commits            uint64
	Mismatches         uint64 // files that Verify has found to have other bytes under an unchanged stamp
	Watching           bool   // false: the system has no watch queue left, and every request looks by itself
	WatchedFolders     int
	UnwatchedFolders   int    // beyond the kernel's watch limit
	WatchRemedy        string // the command that lets the kernel watch all folders; "" if it refuses none
	UnseenFolders      int    // in which no event tells of changes: these, and those on filesystems that others change too
	WatchOverflows     uint64
	FeedEvents         uint64
	IndexRecords       int   // digests of files that were asked for lately
	Files              int64 // in the whole tree, links included; 0 until it was looked at once
	Bytes              int64 // of the regular files among them
	Folders            int64
	Warming            bool  // the whole tree was not looked at yet
	FilesLooked        int64 // in the look at the whole tree that is under way, or was last
	FilesPending       int   // files whose digest is being found, as far as known
	FilesRestless      int   // of these, that did not hold still when they were last read
	Kept               bool  // what is known outlasts this process
	StagedUploads      int
	StagedBytes        int64
	QuarantinedFiles   int
	VersionsFiles      int
	VersionsBytes      int64
}

// Stats returns the counts of this Tree.
func (t *Tree) Stats() Stats {
	var w watcher.Stats
	if t.watch != nil {
		w = t.watch.Stats()
	}
	s := Stats{
		HashedOnRequest:    t.stats.hashedOnRequest.Load(),
		HashedInBackground: t.stats.hashedInBackground.Load(),
		Torn:               t.stats.torn.Load(),
		Rollbacks:          t.stats.rollbacks.Load(),
		ConflictCopies:     t.stats.conflictCopies.Load(),
		Commits:            t.stats.commits.Load(),
		Mismatches:         t.stats.mismatches.Load(),
		Watching:           t.watch != nil,
		WatchedFolders:     w.Folders,
		UnwatchedFolders:   w.Unwatched,
		WatchRemedy:        w.Remedy(),
		UnseenFolders:      w.Unseen,
		WatchOverflows:     w.Overflows,
		FeedEvents:         t.journal.stats().Events,
		IndexRecords:       t.hasher.index.Len(),
		Warming:            !t.refresher.isWarm(),
		FilesLooked:        t.refresher.done.Load(),
		FilesPending:       t.pending.len(),
		FilesRestless:      int(t.pending.restless()),
		Kept:               t.state.db != nil,
		Bytes:              t.picture.bytes(),
	}
	s.Files, s.Folders = t.picture.counts()
	if t.quarantine != nil {
		s.StagedUploads, s.StagedBytes = t.uploads.levels()
		s.QuarantinedFiles = t.quarantine.len()
		t.areas.each(func(a *area) {
			files, bytes := a.versions.levels()
			s.VersionsFiles += files
			s.VersionsBytes += bytes
		})
	}
	return s
}
