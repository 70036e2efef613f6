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

var errReplaced = errors.New("another folder has its place")

// watch is the goroutine that adds and removes watches. It walks the tree once, then looks at what events made
// doubtful.
func (w *Watcher) watch(ctx context.Context) {
	w.checkRoot()
	w.walkAll(ctx)
	if ctx.Err() != nil {
		return
	}
	close(w.ready)
	// A root that is removed while somebody has it open raises no event.
	check := time.NewTicker(w.checkEvery)
	defer check.Stop()
	for w.tree.root != nil {
		select {
		case <-ctx.Done():
			return
		case <-check.C:
			w.checkRoot()
		case <-w.doubtful.wake:
			w.settle(ctx)
		}
	}
	<-ctx.Done()
}

// settle makes the folder tree agree with the disk wherever it is doubtful.
func (w *Watcher) settle(ctx context.Context) {
	paths, all := w.doubtful.take()
	if len(paths) == 0 && !all {
		return
	}
	w.checkRoot()
	if all {
		w.walkAll(ctx)
		// Only now: whoever looks at the tree from here on misses nothing, since what changes later is watched.
		w.dirty.markRescan()
		return
	}
	// Removes come before adds, so that the library has let go of a folder's old name when it hears the new one.
	for rel, d := range paths {
		if d&left != 0 {
			w.drop(w.tree.find(rel))
		}
	}
	p := pass{Watcher: w, ctx: ctx, report: true}
	for _, rel := range slices.Sorted(maps.Keys(paths)) {
		p.settle(rel, paths[rel])
	}
	p.warn()
}

// walkAll visits every folder. Those that are watched already are added again, which changes nothing, unless the
// system had taken their watch away.
func (w *Watcher) walkAll(ctx context.Context) {
	if w.tree.root == nil {
		return
	}
	p := pass{Watcher: w, ctx: ctx}
	dir, _, err := p.open("")
	if (err != nil || !p.enter(w.tree.root, "", dir)) && ctx.Err() == nil {
		w.giveUp(err)
	}
	p.warn()
}

// checkRoot gives up the whole tree when the root's path no longer leads to the folder that New saw.
func (w *Watcher) checkRoot() {
	if w.tree.root == nil {
		return
	}
	fi, err := os.Stat(w.root)
	if err == nil && identityOf(fi) != w.tree.root.id {
		err = errReplaced
	}
	if err != nil && !errors.Is(err, fs.ErrPermission) {
		w.giveUp(err)
	}
}

// giveUp stops watching and leaves it to the consumer to find out what became of the root.
func (w *Watcher) giveUp(err error) {
	w.log.Warn("the watched folder is gone or not readable; changes are no longer seen", "root", w.root, "err", err)
	w.drop(w.tree.root)
	w.dirty.markRescan()
}

// drop takes away the watches of f, which may be nil, and of all below it.
func (w *Watcher) drop(f *folder) {
	if f == nil {
		return
	}
	w.tree.cut(f, func(f *folder, rel string) {
		if f.state == watched {
			// An error says that the system took the watch away with the folder, as it does most often.
			_ = w.remove(w.path(rel))
		}
		w.count(f, untried)
	})
}

// count puts f into a state and keeps the levels of Stats.
func (w *Watcher) count(f *folder, s state) {
	w.levels[f.state].Add(-1)
	w.levels[s].Add(1)
	f.state = s
}

// A pass is one walk over the tree or parts of it.
type pass struct {
	*Watcher
	ctx     context.Context
	report  bool  // mark every folder that is walked
	because error // why a folder could not be watched
}

// settle looks at one doubtful path. A folder that is known there was walked after the doubt arose, because what left
// its name was dropped before.
func (p *pass) settle(rel string, d doubt) {
	at, name := split(rel)
	parent := p.tree.find(at)
	if parent == nil {
		return // It is not watched, or was moved; then it was walked, or will be, at its new path.
	}
	if d == left && parent.below[name] == nil {
		return // A file, most often. What has the name now came by an event of its own.
	}
	p.visit(parent, name, rel, true)
}

// visit makes the tree agree with what is at rel: a folder that is new there is watched with all below it, one that
// is gone is dropped. With trust, a folder that is known under this path is left as it is.
func (p *pass) visit(parent *folder, name, rel string, trust bool) {
	if p.skip(rel) {
		return
	}
	dir, id, err := p.open(rel)
	if err != nil {
		if errors.Is(err, fs.ErrPermission) {
			p.log.Debug("folder is not watched", "folder", rel, "err", err)
		}
		p.drop(parent.below[name])
		return
	}
	f, known := p.claim(parent, name, rel, id)
	if f == nil || known && trust {
		dir.Close()
		return
	}
	p.enter(f, rel, dir)
}

// open opens the folder at rel. While the process is out of descriptors it waits: the folder would have to be listed
// later anyway.
func (p *pass) open(rel string) (dir *os.File, id identity, err error) {
	for tries := 0; ; tries++ {
		dir, err = openFolder(p.path(rel), rel == "")
		if !errors.Is(err, syscall.EMFILE) && !errors.Is(err, syscall.ENFILE) {
			break
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
// of another folder at that path, or of this folder at another path, is dropped. It returns nil if this folder is
// really at two paths, which mounts can do: the system watches it once only, under the first.
func (p *pass) claim(parent *folder, name, rel string, id identity) (f *folder, known bool) {
	f = parent.below[name]
	if f != nil && f.id == id {
		return f, true
	}
	p.drop(f)
	if twin := p.tree.byID[id]; twin != nil {
		at := twin.rel()
		fi, err := os.Lstat(p.path(at))
		if twin.holds(parent) || err == nil && identityOf(fi) == id {
			p.log.Debug("folder is mounted twice and watched once", "folder", rel, "watched", at)
			return nil, false
		}
		p.drop(twin)
	}
	return p.tree.insert(parent, name, id), false
}

// enter watches f, which is at rel and open as dir, then lists it, closes dir, and visits what is below: what is made
// in between is found by the list or raises an event. Should another folder take f's place before it is watched, its
// parent's watch tells. It reports false if f is not there, not readable, or the context has ended.
func (p *pass) enter(f *folder, rel string, dir *os.File) bool {
	if p.ctx.Err() != nil || !p.watchOne(f, rel) {
		dir.Close()
		return false
	}
	names, err := list(dir)
	dir.Close()
	if p.report {
		p.dirty.markAll(rel)
	}
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			p.log.Warn("folder cannot be listed; folders in it are not watched", "folder", rel, "err", err)
		}
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
// refuses to watch for another reason stays in the tree.
func (p *pass) watchOne(f *folder, rel string) bool {
	err := p.add(p.path(rel))
	switch {
	case err == nil:
		p.count(f, watched)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.ENOTDIR):
		p.log.Debug("folder is not watched", "folder", rel, "err", err)
		p.drop(f)
		return false
	default:
		p.count(f, unwatched)
		p.because = err
	}
	return true
}

// list returns the names of the folders in dir, sorted.
func list(dir *os.File) ([]string, error) {
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
		log = log.With("remedy", watchesAdvice(s.Folders+s.Unwatched))
	}
	log.Warn("not all folders can be watched; changes in the others are not seen")
}
