package watcher

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Limits.
const (
	DirtyFoldersMax   = 65_536                 // folders in a Batch before it collapses to Rescan; Options.FoldersMax changes it
	DirtyNamesMax     = 131_072                // names in a Batch, all folders together, before further folders are All
	NamesPerFolderMax = 256                    // names of one folder in a Batch before it is All
	doubtfulPathsMax  = 65_536                 // paths that may be new or gone folders, before the whole tree is walked again
	rootCheckInterval = 2 * time.Second        // between looks at whether the root is still there and what is mounted
	retryInterval     = 10 * time.Second       // between tries to watch folders that the system refused to watch
	retryFoldersMax   = 4096                   // folders tried then, each with all below it
	cookieWaitMax     = 2 * time.Second        // until a Barrier takes it that events are lost
	descriptorWait    = 100 * time.Millisecond // between tries to list a folder while the process is out of descriptors
	listChunkNames    = 1024                   // names read from a folder at once
)

var (
	// ErrClosed is returned by Next and Run once Run has returned or Close was called.
	ErrClosed = errors.New("watcher is closed")
	// ErrRelative is returned by New when the root is not an absolute path.
	ErrRelative = errors.New("path is not absolute")
	// ErrTooManyWatchers is returned by New when the system has no watch queue, or not one watch, left for this user or
	// process.
	ErrTooManyWatchers = errors.New("no watch queue left")
	// ErrNoBarrier is returned by New when a Barrier would not be possible: there is no place outside the root for the
	// small private folder that it needs, that cannot be watched, or mounts cannot be seen.
	ErrNoBarrier = errors.New("changes cannot be waited for")
	// ErrRootGone is returned by Barrier once the root was removed, renamed, unmounted or replaced.
	ErrRootGone = errors.New("watched folder is gone")
)

// Options say what is watched.
type Options struct {
	Root       string                // absolute path of the watched folder; it may be a link to one
	Skip       func(rel string) bool // folders that are not watched, with all that is below; rel is never ""; nil: none
	FoldersMax int                   // bound of the dirty set in folders; 0: DirtyFoldersMax
	Log        *slog.Logger          // nil: slog.Default()
}

// Stats are levels now (Folders, Unwatched, Unseen) and counts since start.
type Stats struct {
	Folders   int    // folders watched
	Unwatched int    // folders that the system refused to watch, most often for the kernel's limit
	Unseen    int    // folders that Unseen names: these, and those for which watching is not possible or not enough
	Overflows uint64 // times that the kernel dropped events
	Late      uint64 // barriers that waited for cookieWaitMax in vain
	Events    uint64 // events read
}

// Remedy returns the command that lets the system watch all folders, "" if it refuses none.
func (s Stats) Remedy() string {
	if s.Unwatched == 0 {
		return ""
	}
	return watchesAdvice(s.Folders + s.Unwatched)
}

// A Watcher watches one folder and all below it. Make one with New. Its methods are safe for concurrent use; two
// callers of Next share the batches between them.
type Watcher struct {
	root       string // cleaned
	prefix     string // root with a separator at its end
	skip       func(rel string) bool
	log        *slog.Logger
	lib        *fsnotify.Watcher
	events     <-chan fsnotify.Event
	errors     <-chan error
	add        func(path string) error
	remove     func(path string) error
	checkEvery time.Duration
	retryEvery time.Duration
	cookieWait time.Duration
	rootID     identity

	dirty    dirtySet
	doubtful doubtfulSet
	unseen   unseenSet
	rounds   roundQueue
	awaited  awaitedCookie

	// Only the watching goroutine touches these.
	tree    folderTree
	warned  bool      // of refused folders
	retried time.Time // to watch them

	// Only the goroutine of the barriers touches these.
	cookies     *cookieFolder // nil: the system keeps no order of events
	cookiesLost bool

	mountsMu  sync.Mutex // guards mounts
	mounts    *mountTable
	remounted atomic.Bool // the root is of another mount than it was
	blocked   atomic.Bool // the root may not be read, so that the last walk was none

	ready   chan struct{}
	gone    chan struct{} // closed when the root is given up
	closed  chan struct{}
	started atomic.Bool

	levels                [states]atomic.Int64 // folders by state; the first is meaningless
	overflows, late, read atomic.Uint64
}

// New opens a watch queue for the folder o.Root, and watches nothing of it yet; what a Barrier needs is reserved first.
// End it with Run or with Close. Errors: ErrRelative, ErrTooManyWatchers, ErrNoBarrier, ENOTDIR and those of looking at the
// root. Without a Watcher, every folder counts as unseen.
func New(o Options) (*Watcher, error) {
	return open(o, fsnotify.NewWatcher)
}

func open(o Options, newLib func() (*fsnotify.Watcher, error)) (*Watcher, error) {
	if !filepath.IsAbs(o.Root) {
		return nil, fmt.Errorf("watch %s: %w", o.Root, ErrRelative)
	}
	root := filepath.Clean(o.Root)
	fi, err := os.Stat(root)
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", root, err)
	}
	if !fi.IsDir() {
		return nil, fmt.Errorf("watch %s: %w", root, syscall.ENOTDIR)
	}
	lib, err := newLib()
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		return nil, fmt.Errorf("watch %s: %w (%s): %w", root, ErrTooManyWatchers, queuesAdvice, err)
	}
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", root, err)
	}
	w := &Watcher{
		root: root, prefix: strings.TrimSuffix(root, string(filepath.Separator)) + string(filepath.Separator),
		skip: o.Skip, log: o.Log,
		lib: lib, events: lib.Events, errors: lib.Errors, add: lib.Add, remove: lib.Remove,
		checkEvery: rootCheckInterval, retryEvery: retryInterval, cookieWait: cookieWaitMax,
		rootID:   identityOf(fi),
		dirty:    newDirtySet(o.FoldersMax),
		doubtful: newDoubtfulSet(),
		rounds:   newRoundQueue(),
		tree:     newFolderTree(identityOf(fi)),
		ready:    make(chan struct{}), gone: make(chan struct{}), closed: make(chan struct{}),
	}
	if w.skip == nil {
		w.skip = func(string) bool { return false }
	}
	if w.log == nil {
		w.log = slog.Default()
	}
	if err := w.reserve(); err != nil {
		_ = lib.Close()
		return nil, fmt.Errorf("watch %s: %w", root, err)
	}
	return w, nil
}

// reserve takes what barriers need, before the tree can use up the watches.
func (w *Watcher) reserve() (err error) {
	if w.mounts, err = openMounts(w.root); err != nil {
		return fmt.Errorf("%w: %w", ErrNoBarrier, err)
	}
	w.cookies, err = newCookies(w.root, w.lib.Add, w.lib.Remove)
	if err == nil {
		return nil
	}
	w.mounts.close()
	if errors.Is(err, errWatchLimit) {
		return fmt.Errorf("%w: %w (%s): %w", ErrNoBarrier, ErrTooManyWatchers, watchesAdvice(0), err)
	}
	return fmt.Errorf("%w: %w", ErrNoBarrier, err)
}

// Run watches until ctx ends and returns nil when all its goroutines are gone. What it gathered can still be taken
// with Next. When the root itself is removed, renamed, unmounted or replaced, that is logged, reported as Rescan, and
// nothing is watched from then on. A Watcher runs once: a second Run returns ErrClosed.
func (w *Watcher) Run(ctx context.Context) error {
	if !w.started.CompareAndSwap(false, true) {
		return ErrClosed
	}
	var reader, others sync.WaitGroup
	reader.Go(w.readEvents)
	others.Go(func() { w.watch(ctx) })
	others.Go(func() { w.runRounds(ctx) })
	others.Wait()
	// The library may be waiting for its events to be read, so the reader goes on until the channels are closed.
	err := w.lib.Close()
	reader.Wait()
	w.end()
	if err != nil {
		return fmt.Errorf("watch %s: %w", w.root, err)
	}
	return nil
}

// Close releases a Watcher that was never run. Once Run was called it does nothing: end its context instead.
func (w *Watcher) Close() error {
	if !w.started.CompareAndSwap(false, true) {
		return nil
	}
	defer w.end()
	return w.lib.Close()
}

func (w *Watcher) end() {
	if w.cookies != nil {
		w.cookies.remove()
	}
	w.mounts.close()
	close(w.closed)
}

// Ready is closed when the first walk has watched everything it could. Changes made before are not all reported, so
// whoever keeps a picture of the tree takes it after Ready. It is never closed if Run ends sooner.
func (w *Watcher) Ready() <-chan struct{} { return w.ready }

// Next waits until something is dirty and takes all of it; the caller owns the Batch. What changes after Next has
// returned is in a later Batch. Errors: that of ctx, and ErrClosed when Run has returned and there is nothing left to
// take.
func (w *Watcher) Next(ctx context.Context) (Batch, error) {
	for {
		if err := ctx.Err(); err != nil {
			return Batch{}, err
		}
		if b, ok := w.dirty.take(); ok {
			return b, nil
		}
		select {
		case <-w.dirty.wake:
		case <-ctx.Done():
		case <-w.closed:
			if b, ok := w.dirty.take(); ok {
				return b, nil
			}
			return Batch{}, ErrClosed
		}
	}
}

// Take takes what is dirty, as Next does, and false if nothing is. It does not wait.
func (w *Watcher) Take() (Batch, bool) { return w.dirty.take() }

// Stats returns the counts of this Watcher.
func (w *Watcher) Stats() Stats {
	s := Stats{
		Folders:   int(w.levels[watched].Load() + w.levels[partly].Load()),
		Unwatched: int(w.levels[refused].Load()),
		Overflows: w.overflows.Load(),
		Late:      w.late.Load(),
		Events:    w.read.Load(),
	}
	for is := range states {
		if is.unseen() {
			s.Unseen += int(w.levels[is].Load())
		}
	}
	return s
}

// readEvents notes what the library reports until its channels are closed. It must keep pace with the kernel, whose
// queue is bounded, so it neither looks at the disk nor calls the library.
func (w *Watcher) readEvents() {
	events, errs := w.events, w.errors
	for events != nil || errs != nil {
		select {
		case ev, ok := <-events:
			if !ok {
				events = nil
				continue
			}
			w.note(ev)
		case err, ok := <-errs:
			if !ok {
				errs = nil
				continue
			}
			w.noteError(err)
		}
	}
}

// note puts the doubt about ev's name before its dirt: who has seen the name in a Batch knows that the watching
// goroutine has been told of it too.
func (w *Watcher) note(ev fsnotify.Event) {
	rel, ok := w.relative(ev.Name)
	if !ok { // nothing else outside the root is watched
		w.awaited.meet(ev.Name)
		return
	}
	w.read.Add(1)
	if rel == "" {
		if ev.Has(fsnotify.Remove | fsnotify.Rename) {
			w.doubtful.addAll()
		}
		return
	}
	var d doubt
	if ev.Has(fsnotify.Remove | fsnotify.Rename) {
		d |= left
	}
	// A chmod may have made a folder readable. What left its name by being exchanged has another in its place, whose coming
	// was told before.
	if ev.Has(fsnotify.Create | fsnotify.Chmod | fsnotify.Rename) {
		d |= came
	}
	if d != 0 {
		w.doubtful.add(rel, d)
	}
	folder, name := split(rel)
	w.dirty.mark(folder, name)
}

func (w *Watcher) noteError(err error) {
	switch {
	case errors.Is(err, fsnotify.ErrEventOverflow):
		n := w.overflows.Add(1)
		w.log.Warn("the kernel dropped events of watched folders; every path will be looked at again",
			"root", w.root, "overflows", n)
		w.doubtful.addAll()
		w.awaited.miss()
	case errors.Is(err, syscall.EINVAL):
		// A folder was moved and then removed before the library could take its watch away: ordinary.
		w.log.Debug("watch was gone already", "root", w.root, "err", err)
	default:
		w.log.Warn("watching failed; every path will be looked at again", "root", w.root, "err", err)
		w.doubtful.addAll()
	}
}

// relative returns the slash-separated path below the root, "" for the root itself.
func (w *Watcher) relative(name string) (rel string, ok bool) {
	if name == w.root {
		return "", true
	}
	rel, ok = strings.CutPrefix(name, w.prefix)
	if !ok {
		return "", false
	}
	// Names in the root "/" are reported with two slashes.
	return strings.TrimLeft(filepath.ToSlash(rel), "/"), true
}

// path is the inverse of relative.
func (w *Watcher) path(rel string) string {
	if rel == "" {
		return w.root
	}
	return w.prefix + filepath.FromSlash(rel)
}

// split returns the folder and the last name of a path that is not "".
func split(rel string) (folder, name string) {
	i := strings.LastIndexByte(rel, '/')
	if i < 0 {
		return "", rel
	}
	return rel[:i], rel[i+1:]
}

// join is the inverse of split.
func join(folder, name string) string {
	if folder == "" {
		return name
	}
	return folder + "/" + name
}
