package tree

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"freshet/hashing"
	"freshet/watcher"
)

const (
	refreshDelay      = 10 * time.Millisecond  // how long a change settles before it is looked at, unless somebody asks
	refreshAgainDelay = 200 * time.Microsecond // until a name that a change of our own covers is looked at again
	refreshAgainMax   = 5000                   // such looks, before the rest is left to the next round
	refreshRetryDelay = 250 * time.Millisecond // until that, unless somebody asks
	unseenFoldersMax  = 256                    // folders that cannot be watched and are looked at by each request instead
)

// A refresher brings the picture up to date with what the watcher reports. All of it happens in one goroutine, in rounds.
// Who needs the picture to show everything that has happened waits for a round that began after the watcher's barrier.
type refresher struct {
	tree    *Tree
	glancer glancer
	wake    chan struct{} // holds one token when a round is asked for
	due     chan struct{} // holds one token when there is something in own
	warm    chan struct{} // closed when the tree was looked at once

	done, total atomic.Int64 // files, of the look at everything that is under way
	whole       atomic.Bool  // such a look is under way

	linked map[hashing.Inode]int64 // files with several names that have changed in the round under way, and when

	mu    sync.Mutex
	next  chan struct{}            // guarded by mu; closed when the round that was asked for is over; nil: none
	extra map[string]watcher.Names // guarded by mu; folders to look at besides those that the watcher reports
	own   map[string]watcher.Names // guarded by mu; such for the next round, not for the one under way

	refused map[string]watcher.Names // such that could not be looked at; only the goroutine of the rounds touches it
}

func newRefresher(t *Tree) *refresher {
	return &refresher{
		tree: t, glancer: glancer{tree: t}, linked: map[hashing.Inode]int64{}, wake: make(chan struct{}, 1), warm: make(chan struct{}),
		due: make(chan struct{}, 1), extra: map[string]watcher.Names{}, own: map[string]watcher.Names{},
		refused: map[string]watcher.Names{},
	}
}

// ask has a round begin, which looks at the given folders too, and returns a channel that is closed at its end.
func (r *refresher) ask(folders []string) <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rel := range folders {
		r.extra[rel] = watcher.Names{All: true}
	}
	if r.next == nil {
		r.next = make(chan struct{})
	}
	select {
	case r.wake <- struct{}{}:
	default:
	}
	return r.next
}

// again has some names looked at in the next round, without asking for one.
func (r *refresher) again(folder string, names ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	addNames(r.extra, folder, names)
}

// soon has a name looked at in a round that begins by itself.
func (r *refresher) soon(folder, name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	addNames(r.own, folder, []string{name})
	offer(r.due)
}

// addNames adds names to those of a folder. Too many are all.
func addNames(all map[string]watcher.Names, folder string, names []string) {
	n := all[folder]
	if n.All {
		return
	}
	if n.Set == nil {
		n.Set = map[string]struct{}{}
	}
	for _, name := range names {
		n.Set[name] = struct{}{}
	}
	if len(n.Set) > watcher.NamesPerFolderMax {
		n = watcher.Names{All: true}
	}
	all[folder] = n
}

// take returns what the next round is about.
func (r *refresher) take() (round chan struct{}, batch watcher.Batch) {
	r.mu.Lock()
	round, r.next = r.next, nil
	more := []map[string]watcher.Names{r.extra, r.own, r.refused}
	r.extra, r.own, r.refused = map[string]watcher.Names{}, map[string]watcher.Names{}, map[string]watcher.Names{}
	r.mu.Unlock()
	if r.tree.watch != nil { // after the round was taken: what its askers have seen reported is in here
		batch, _ = r.tree.watch.Take()
	}
	if batch.Folders == nil {
		batch.Folders = map[string]watcher.Names{}
	}
	for _, folders := range more {
		mergeNames(batch.Folders, folders)
	}
	return round, batch
}

// mergeNames adds the names of folders to those of others.
func mergeNames(all, folders map[string]watcher.Names) {
	for rel, n := range folders {
		merged := all[rel]
		if merged.All || n.All {
			all[rel] = watcher.Names{All: true}
			continue
		}
		if merged.Set == nil {
			merged.Set = map[string]struct{}{}
		}
		maps.Copy(merged.Set, n.Set)
		all[rel] = merged
	}
}

// run looks at everything once and then at what changes, until ctx ends.
func (r *refresher) run(ctx context.Context) error {
	if err := r.warmUp(ctx); err != nil || ctx.Err() != nil {
		return err
	}
	var dirty <-chan struct{}
	if r.tree.watch != nil {
		dirty = r.tree.watch.Dirty()
	}
	var retry <-chan time.Time
	sweep := time.NewTicker(r.tree.o.RescanInterval)
	defer sweep.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.wake:
		case <-dirty:
			if !r.settle(ctx) {
				return nil
			}
		case <-r.due:
			if !r.settle(ctx) {
				return nil
			}
		case <-retry:
		case <-sweep.C:
			r.whole.Store(true)
		}
		r.round(ctx)
		if retry = nil; len(r.refused) > 0 {
			retry = time.After(refreshRetryDelay)
		}
	}
}

// settle lets a burst of changes grow, unless somebody waits for them; false when ctx has ended.
func (r *refresher) settle(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-r.wake:
	case <-time.After(refreshDelay):
	}
	return true
}

// round folds in all that has changed.
func (r *refresher) round(ctx context.Context) {
	strays := r.tree.picture.takeStrays()
	round, batch := r.take()
	for tries := 0; ; tries++ {
		if batch.Rescan || r.whole.Load() {
			r.rescan(ctx)
		}
		r.folders(ctx, batch.Folders)
		r.otherNames()
		r.mu.Lock()
		rest := r.extra
		r.extra = map[string]watcher.Names{}
		r.mu.Unlock()
		if len(rest) == 0 || tries == refreshAgainMax || ctx.Err() != nil {
			mergeNames(r.refused, rest)
			break
		}
		batch = watcher.Batch{Folders: rest}
		time.Sleep(refreshAgainDelay)
	}
	r.tree.settleStrays(strays)
	r.tree.picture.tidy(time.Now().Add(-farewellTimeMax))
	if round != nil {
		close(round)
	}
}

// otherNames has the other names looked at of files that have several and have changed: a program uses one of them, and only
// that raises an event. One that is gone may have been used before.
func (r *refresher) otherNames() {
	for file := range r.tree.picture.takeUnlinked() {
		r.linked[file] = 0
	}
	if len(r.linked) == 0 {
		return
	}
	r.tree.picture.namesOf(r.linked, func(folder, name string) { r.again(folder, name) })
	clear(r.linked)
}

// folders looks at the names of a batch: first for what is gone, so that a folder which was renamed is known when it is found
// under its new name, then at everything, folders before those in them.
func (r *refresher) folders(ctx context.Context, folders map[string]watcher.Names) {
	paths := slices.Sorted(maps.Keys(folders))
	for _, rel := range paths {
		r.folder(ctx, rel, folders[rel], true)
	}
	for _, rel := range paths {
		r.folder(ctx, rel, folders[rel], false)
	}
}

// folder looks at some or all names of one folder. With absent, only at which of them are gone.
func (r *refresher) folder(ctx context.Context, rel string, names watcher.Names, absent bool) {
	t := r.tree
	n := t.picture.at(rel)
	if n == nil || ctx.Err() != nil {
		return
	}
	pass := t.picture.begin()
	defer pass.end()
	d, err := t.disk.folder(rel, false)
	if err != nil {
		r.notOpened(n, rel, names, err)
		return
	}
	defer d.close()
	at, m, err := t.ground(Path{rel}, d)
	if err != nil {
		r.refuse(n, rel, names)
		return
	}
	if m.stamp.Inode() != n.id {
		return // another folder has its place, which the one above tells
	}
	look := &folderLook{refresher: r, ctx: ctx, d: d, at: at, n: n, pass: pass, absent: absent}
	look.names(names)
	if !absent {
		r.ownTime(pass, n, rel, m)
	}
}

// notOpened is for a folder that cannot be opened. If it is gone, or not one any more, the one above tells; who may read it
// again, an event.
func (r *refresher) notOpened(n *node, rel string, names watcher.Names, err error) {
	switch {
	case errors.Is(err, ErrPermission):
		r.tree.picture.blinded(n, true)
	case errors.Is(err, ErrNotExist), errors.Is(err, ErrNotFolder), errors.Is(err, ErrOutside):
	default:
		r.refuse(n, rel, names)
	}
}

// refuse is for names in n that the system did not let be looked at now, for want of descriptors above all. Nobody knows what
// is in n until they were.
func (r *refresher) refuse(n *node, rel string, names watcher.Names) {
	r.tree.picture.blinded(n, true)
	mergeNames(r.refused, map[string]watcher.Names{rel: names})
}

// ownTime gives a folder its own modification time, which changes with what is in it, without an event for its name.
func (r *refresher) ownTime(pass pass, n *node, rel string, m meta) {
	if n.parent == nil {
		return
	}
	folder, name := splitPath(rel)
	parent := r.tree.picture.at(folder)
	if parent == nil {
		return
	}
	it := itemOf(m, name, m.stamp.Dev)
	if old, ok := r.tree.picture.child(parent, name); ok && old.kind == KindFolder && old.ino == it.ino && old.mtime != it.mtime {
		old.mtime = it.mtime
		for _, again := range pass.apply(parent, []edit{{name: name, item: &old}}, true) {
			r.again(folder, again)
		}
	}
}

// rescan looks at every folder of the picture.
func (r *refresher) rescan(ctx context.Context) {
	r.whole.Store(true)
	paths := r.tree.picture.folders("")
	r.tree.o.Log.Info("every folder is looked at again", "root", r.tree.name, "folders", len(paths))
	files, _ := r.tree.picture.counts()
	r.total.Store(files)
	r.done.Store(0)
	for _, rel := range paths {
		before := r.tree.picture.childrenOf(rel)
		r.folder(ctx, rel, watcher.Names{All: true}, false)
		r.done.Add(int64(before))
	}
	r.whole.Store(false)
}
