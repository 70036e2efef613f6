package watcher

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"syscall"
	"time"
)

var (
	errReplaced   = errors.New("another folder has its place")
	errNotEntered = errors.New("folder cannot be watched")
)

// watch is the goroutine that adds and removes watches. It walks the tree once, then looks at what events made
// doubtful.
func (w *Watcher) watch(ctx context.Context) {
	w.checkRoot()
	w.walkAll(ctx)
	if ctx.Err() != nil {
		return
	}
	close(w.ready)
	// A root that is removed while somebody has it open raises no event, nor does a mount.
	check := time.NewTicker(w.checkEvery)
	defer check.Stop()
	for w.tree.root != nil {
		select {
		case <-ctx.Done():
			return
		case <-check.C:
			w.checkRoot()
			w.checkMounts()
			w.retryRefused(ctx)
			if w.blocked.Load() {
				w.doubtful.addAll()
			}
		case <-w.doubtful.wake:
			w.settle(ctx)
		}
	}
	<-ctx.Done()
}

// settle makes the folder tree agree with the disk wherever it is doubtful.
func (w *Watcher) settle(ctx context.Context) {
	paths, all, waiting := w.doubtful.take()
	defer w.doubtful.release(waiting)
	if len(paths) == 0 && !all {
		return
	}
	w.checkRoot()
	if all || !w.settlePaths(ctx, paths) {
		w.walkAll(ctx)
		// Only now: whoever looks at the tree from here on misses nothing, since what changes later is watched.
		w.dirty.markRescan()
	}
}

// settlePaths reports false if it could not, since another folder has the root's place.
func (w *Watcher) settlePaths(ctx context.Context, paths map[string]doubt) bool {
	// Removes come before adds, so that the library has let go of a folder's old name when it hears the new one.
	for rel, d := range paths {
		if d&left != 0 {
			w.drop(w.tree.find(rel))
		}
	}
	p := &pass{Watcher: w, ctx: ctx, report: true}
	defer p.end()
	for _, rel := range slices.Sorted(maps.Keys(paths)) {
		p.settle(rel, paths[rel])
	}
	if p.astray {
		w.checkRoot()
	}
	return !p.astray
}

// walkAll visits every folder. Those that are watched already are added again, which changes nothing, unless the
// system had taken their watch away.
func (w *Watcher) walkAll(ctx context.Context) {
	if w.tree.root == nil {
		return
	}
	p := &pass{Watcher: w, ctx: ctx}
	defer p.end()
	dir, _, err := p.open("")
	if err == nil && !p.enter(w.tree.root, "", dir) {
		err = errNotEntered
		if w.tree.root != nil && w.tree.root.state == unreadable {
			err = fs.ErrPermission
		}
	}
	if ctx.Err() != nil {
		return
	}
	// One that may not be read for a while is not gone.
	w.blocked.Store(errors.Is(err, fs.ErrPermission))
	if err != nil && !w.blocked.Load() {
		w.giveUp(err)
	}
}

// retryRefused tries again to watch what the system refused, at most once in retryEvery. While it still refuses, that
// costs one try.
func (w *Watcher) retryRefused(ctx context.Context) {
	refusedNow := w.levels[refused].Load()
	if w.tree.root == nil || refusedNow == 0 && !w.warned || time.Since(w.retried) < w.retryEvery {
		return
	}
	w.retried = time.Now()
	p := &pass{Watcher: w, ctx: ctx, report: true, retrying: true}
	defer p.end()
	folders, _ := w.unseen.list("", retryFoldersMax, func(s state) bool { return s == refused })
	for _, rel := range folders {
		if p.because != nil {
			break
		}
		f := w.tree.find(rel)
		if f == nil || f.state != refused { // it was below another
			continue
		}
		if dir, id, err := p.open(rel); err == nil && id == f.id {
			p.enter(f, rel, dir)
		} else if err == nil {
			dir.Close() // its parent's watch tells
		}
	}
	if w.warned && w.levels[refused].Load() == 0 {
		w.warned = false
		w.log.Info("all folders are watched again", "root", w.root, "watched", w.Stats().Folders)
	}
}

// checkRoot gives up the whole tree when the root's path no longer leads to the folder that New saw.
func (w *Watcher) checkRoot() {
	if w.tree.root == nil {
		return
	}
	if err := w.rootError(); err != nil {
		w.giveUp(err)
	}
}

// giveUp stops watching and leaves it to the consumer to find out what became of the root.
func (w *Watcher) giveUp(err error) {
	w.log.Warn("the watched folder is gone or not readable; changes are no longer seen", "root", w.root, "err", err)
	w.drop(w.tree.root)
	w.dirty.markRescan()
	close(w.gone)
}

// drop takes away the watches of f, which may be nil, and of all below it.
func (w *Watcher) drop(f *folder) {
	if f == nil {
		return
	}
	w.tree.cut(f, func(f *folder, rel string) {
		if f.state != untried && f.state != mirrored {
			// An error says that the system took the watch away with the folder, as it does most often.
			_ = w.remove(w.path(rel))
		}
		w.count(f, rel, untried)
	})
}

// count puts f, which is at rel, into a state and keeps the levels of Stats and the set of what is unseen.
func (w *Watcher) count(f *folder, rel string, s state) {
	if s.unseen() {
		w.unseen.add(rel, s)
	} else if f.state.unseen() {
		w.unseen.remove(rel)
	}
	w.levels[f.state].Add(-1)
	w.levels[s].Add(1)
	f.state = s
}

// A pass is one walk over the tree or parts of it. End it with end.
type pass struct {
	*Watcher
	ctx      context.Context
	report   bool   // mark every folder that is walked
	retrying bool   // look only below what is watched in the end
	because  error  // why a folder could not be watched
	anchor   anchor // opened with the first folder
	anchored bool
	astray   bool // the root was not there to be opened
}

func (p *pass) end() {
	p.anchor.close()
	p.warn()
}

// settle looks at one doubtful path. A folder that is known there was walked after the doubt arose, because what left
// its name was dropped before.
func (p *pass) settle(rel string, d doubt) {
	at, name := split(rel)
	parent := p.tree.find(at)
	if parent == nil {
		return // It is not known, or was moved; then it was walked, or will be, at its new path.
	}
	if d == left && parent.below[name] == nil {
		return // A file, most often. What has the name now came by an event of its own.
	}
	p.visit(parent, name, rel, true)
}

// visit makes the tree agree with what is at rel: a folder that is new there is watched with all below it, one that
// is gone is dropped. With trust, a folder that is known and readable under this path is left as it is, and there may be
// something else than a folder.
func (p *pass) visit(parent *folder, name, rel string, trust bool) {
	if p.skip(rel) {
		return
	}
	dir, id, err := p.open(rel)
	if err != nil {
		p.notOpened(parent, name, rel, trust, err)
		return
	}
	f, known := p.claim(parent, name, rel, id)
	if known && trust && f.state != unreadable {
		dir.Close()
		return
	}
	p.enter(f, rel, dir)
}

// notOpened keeps a folder that cannot be opened as unreadable, and nothing below it.
func (p *pass) notOpened(parent *folder, name, rel string, trust bool, err error) {
	f := parent.below[name]
	if p.ctx.Err() != nil || p.astray {
		return
	}
	if noFolder(err) {
		p.drop(f)
		return
	}
	fi, look := os.Lstat(p.path(rel))
	if noFolder(look) || look == nil && !fi.IsDir() {
		p.drop(f)
		return
	}
	if look != nil && parent.state != mirrored { // so that a chmod of the parent leads here again
		at, _ := split(rel)
		p.count(parent, at, unreadable)
	}
	if look != nil && trust && f == nil {
		return // a file, as far as anybody can tell
	}
	var id identity
	if look == nil {
		id = identityOf(fi)
	}
	fresh := f == nil || f.state != unreadable
	p.drop(f)
	f, _ = p.claim(parent, name, rel, id)
	p.log.Debug("folder is not watched", "folder", rel, "err", err)
	if f.state != mirrored {
		p.count(f, rel, unreadable)
	}
	if fresh && p.report {
		p.dirty.markAll(rel)
	}
}

// noFolder reports whether err says that there is no folder.
func noFolder(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP)
}

// open opens the folder at rel. While the process is out of descriptors it waits: the folder would have to be listed
// later anyway.
func (p *pass) open(rel string) (dir *os.File, id identity, err error) {
	for tries := 0; ; tries++ {
		dir, id, err = p.tryOpen(rel)
		if !errors.Is(err, syscall.EMFILE) && !errors.Is(err, syscall.ENFILE) {
			return dir, id, err
		}
		if tries == 0 {
			p.log.Warn("watching waits for a free descriptor", "folder", rel, "err", err)
		}
		select {
		case <-time.After(descriptorWait):
		case <-p.ctx.Done():
			return nil, identity{}, p.ctx.Err()
		}
	}
}

func (p *pass) tryOpen(rel string) (dir *os.File, id identity, err error) {
	if !p.anchored {
		if p.anchor, err = openAnchor(p.root); err != nil {
			p.astray = !errors.Is(err, syscall.EMFILE) && !errors.Is(err, syscall.ENFILE)
			return nil, identity{}, err
		}
		p.anchored = true
		if id, err = p.anchor.identity(); err == nil && id != p.rootID {
			err = errReplaced
		}
		if p.astray = err != nil; p.astray {
			return nil, identity{}, err
		}
	}
	if p.astray {
		return nil, identity{}, errReplaced
	}
	dir, err = p.anchor.open(rel)
	if err != nil {
		return nil, identity{}, err
	}
	fi, err := dir.Stat()
	if err != nil {
		dir.Close()
		return nil, identity{}, err
	}
	return dir, identityOf(fi), nil
}

// claim returns the folder at rel, which has the given identity, and whether it was known there. What the tree holds
// of another folder at that path, or of this folder at another path, is dropped. But if this folder really is at two
// paths, which mounts can do, the system watches it once only, under the first, and it is mirrored at the second.
func (p *pass) claim(parent *folder, name, rel string, id identity) (f *folder, known bool) {
	f = parent.below[name]
	if f != nil && f.id == id && f.state != mirrored {
		return f, true
	}
	p.drop(f)
	if twin := p.tree.byID[id]; twin != nil {
		at := twin.rel()
		fi, err := os.Lstat(p.path(at))
		if twin.holds(parent) || err == nil && identityOf(fi) == id {
			p.log.Debug("folder is mounted twice and watched once", "folder", rel, "watched", at)
			f = p.tree.insertMirrored(parent, name, id)
			p.count(f, rel, mirrored)
			return f, false
		}
		p.drop(twin)
	}
	return p.tree.insert(parent, name, id), false
}

// enter watches f, which is at rel and open as dir, then lists it, closes dir, and visits what is below: what is made
// in between is found by the list or raises an event. Should another folder take f's place before it is watched, its
// parent's watch tells. It reports false if f is not there, not readable, or the context has ended.
func (p *pass) enter(f *folder, rel string, dir *os.File) bool {
	defer func() { dir.Close() }()
	if p.ctx.Err() != nil || !p.watchOne(f, rel, dir) {
		if p.report && f.state == unreadable {
			p.dirty.markAll(rel)
		}
		return false
	}
	if p.retrying && f.state == refused {
		return true
	}
	names, err := list(dir)
	dir.Close()
	if p.report {
		p.dirty.markAll(rel)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		p.log.Warn("folder cannot be listed; folders in it are not watched", "folder", rel, "err", err)
		p.count(f, rel, unreadable)
	}
	if err != nil {
		return true
	}
	for name, b := range f.below {
		if _, ok := slices.BinarySearch(names, name); !ok {
			p.drop(b)
		}
	}
	for _, name := range names {
		p.visit(f, name, join(rel, name), false)
	}
	return true
}

// watchOne asks the library to watch f. It reports false if f is not there or not readable. A folder that the system
// refuses to watch for another reason stays in the tree, and when that is for its limit, the pass asks for no other.
func (p *pass) watchOne(f *folder, rel string, dir *os.File) bool {
	if f.state == mirrored {
		return true
	}
	f.shared = f.parent != nil && f.parent.shared
	if f.parent == nil || f.parent.id.dev != f.id.dev {
		f.shared = !tellsAll(dir)
	}
	if f.state != watched && f.state != partly && errors.Is(p.because, errWatchLimit) {
		p.count(f, rel, refused)
		return true
	}
	err := p.add(p.path(rel))
	switch {
	case err == nil && (f.shared || p.holdsFile(rel)):
		p.count(f, rel, partly)
	case err == nil:
		p.count(f, rel, watched)
	case noFolder(err):
		p.log.Debug("folder is not watched", "folder", rel, "err", err)
		p.drop(f)
		return false
	case errors.Is(err, fs.ErrPermission):
		p.log.Debug("folder is not watched", "folder", rel, "err", err)
		for _, b := range f.below {
			p.drop(b)
		}
		p.count(f, rel, unreadable)
		return false
	default:
		p.count(f, rel, refused)
		p.because = err
	}
	return true
}

// list returns the names of the folders in dir, sorted.
func list(dir *os.File) ([]string, error) {
	if isLeaf(dir) {
		return nil, nil
	}
	var names []string
	for {
		entries, err := dir.ReadDir(listChunkNames)
		for _, e := range entries {
			if e.IsDir() {
				names = append(names, e.Name())
			}
		}
		if errors.Is(err, io.EOF) {
			slices.Sort(names)
			return names, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// warn says once that folders could not be watched.
func (p *pass) warn() {
	if p.because == nil || p.warned {
		return
	}
	p.Watcher.warned = true
	s := p.Stats()
	log := p.log.With("root", p.root, "watched", s.Folders, "unwatched", s.Unwatched, "err", p.because)
	if errors.Is(p.because, errWatchLimit) {
		log = log.With("remedy", s.Remedy())
	}
	log.Warn("not all folders can be watched; the others are looked at when somebody asks for them")
}
