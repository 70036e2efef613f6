package tree

import (
	"context"
	"errors"
	"runtime/debug"
	"sync"
	"time"
)

// tidyFilesMin is from how many files on memory is given back after the first look at them.
const tidyFilesMin = 100_000

// isWarm reports whether the whole tree was looked at once since the start.
func (r *refresher) isWarm() bool {
	select {
	case <-r.warm:
		return true
	default:
		return false
	}
}

// warming is the error for those who cannot wait until the whole tree was looked at.
func (r *refresher) warming() error {
	return &WarmingError{FilesDone: r.done.Load(), FilesTotal: max(r.total.Load(), r.done.Load())}
}

// warmUp looks at the whole tree for the first time, with what the cache remembers. The watcher comes first: what changes
// after it is ready is in its report, which is looked at next.
func (r *refresher) warmUp(ctx context.Context) error {
	t := r.tree
	t.keeper.open()
	if t.watch != nil {
		select {
		case <-t.watch.Ready():
		case <-ctx.Done():
			return nil
		}
	}
	began := time.Now()
	r.total.Store(t.keeper.files())
	_ = failpoint("first-look")
	saver := &firstSave{tree: t}
	lacking := t.arrears()
	s := scan{tree: t, ctx: ctx, done: &r.done, keep: saver.keep, patient: true}
	s.before = func(rel Path, n *node) baseline {
		b := t.keeper.folder(rel.s, t.filesystem(n.id.Dev, rel.s))
		b.known = b.known && !lacking.whole
		return b
	}
	if !t.journal.anew { // nobody follows a feed that has just begun
		s.tell = func(events []Event) { t.journal.append(events...) }
	}
	root := &node{}
	if err := s.run(Path{}, root, false); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	t.journal.append(lacking.again(root)...)
	saver.flush()
	_ = failpoint("looked")
	files, unknown := root.files, root.unknown
	t.suspectNew(Path{}, Path{}, root)
	t.picture.plant(root, r.total.Load())
	t.pending.addAll(s.unknown)
	close(r.warm)
	t.o.Log.Info("the tree was looked at", "root", t.name, "files", files, "without_digest", unknown,
		"hashed", t.stats.hashedInBackground.Load(), "took", time.Since(began).Round(time.Millisecond))
	t.keeper.sweep(func(rel string) bool { return t.picture.at(rel) != nil }, t.picture.isLong)
	if files > tidyFilesMin {
		debug.FreeOSMemory() // the first look leaves as much behind as it has found
	}
	return nil
}

// plant makes root the picture. The cache tells the next start how many files there are, and has said so many of them before.
func (p *picture) plant(root *node, files int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.root = root
	p.unsaveNew(root)
	if root.files != files {
		p.unsaved[root] = struct{}{}
	}
}

// unsaveNew has the cache save those folders that it does not have yet.
func (p *picture) unsaveNew(n *node) {
	for i := range n.slots {
		if !n.slots[i].saved {
			p.unsaved[n] = struct{}{}
			break
		}
	}
	for _, sub := range n.subs {
		p.unsaveNew(sub)
	}
}

// A firstSave saves what the first look at the tree finds, so that one that is cut short need not begin anew.
type firstSave struct {
	tree *Tree

	mu      sync.Mutex
	folders []folderKeep // guarded by mu
	bytes   int          // guarded by mu
}

// keep saves a folder that the cache does not have as it is. The node is its caller's.
func (f *firstSave) keep(rel Path, n *node) {
	fresh, bytes := len(n.slots) == 0, 0
	for i := range n.slots {
		if !n.slots[i].saved {
			fresh, bytes = true, bytes+len(n.slots[i].items)
		}
	}
	if !fresh {
		return
	}
	k := n.toKeep(rel.s, f.tree.filesystem(n.id.Dev, rel.s))
	f.mu.Lock()
	f.folders = append(f.folders, k)
	f.bytes += bytes
	full := f.bytes > keepBatchBytes
	f.mu.Unlock()
	if full {
		f.flush()
	}
}

func (f *firstSave) flush() {
	f.mu.Lock()
	folders := f.folders
	f.folders, f.bytes = nil, 0
	f.mu.Unlock()
	if len(folders) > 0 {
		f.tree.save(folders, nil, Cursor{})
	}
}

// toKeep returns what the cache is to write of a folder, and takes it for written.
func (n *node) toKeep(rel string, fs uint64) folderKeep {
	k := folderKeep{rel: rel, fs: fs, count: n.count, files: n.files}
	for i := range n.slots {
		s := &n.slots[i]
		k.chunks = append(k.chunks, s.items)
		k.write = append(k.write, !s.saved)
		s.saved = true
	}
	// The last chunk tells the number of children, and what goes on behind the end of a bucket is in another one.
	if last := len(k.chunks) - 1; last < 0 || n.split && k.chunks[last].endsBucket() {
		k.chunks, k.write = append(k.chunks, nil), append(k.write, true)
	}
	return k
}

// save writes folders to the cache, once the feed that leads there is on disk: what the cache knows is never told again. With
// them it knows everything up to a place of the feed, if that is not zero.
func (t *Tree) save(folders []folderKeep, gone []string, upTo Cursor) {
	if err := t.journal.flush(t.journal.end().Seq); err != nil {
		t.o.Log.Warn("digests are not kept on disk while the feed of changes cannot be", "error", err)
		t.keeper.fallBehind()
		return
	}
	_ = failpoint("save")
	t.keeper.save(folders, gone, upTo)
	_ = failpoint("saved")
}

// saving keeps the cache on disk up to date until ctx ends, and at the end.
func (t *Tree) saving(ctx context.Context) error {
	tick := time.NewTicker(t.keeper.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			t.saveAll()
			return nil
		case <-tick.C:
			t.catchUp(ctx)
			t.saveAll()
		}
	}
}

// catchUp waits until the picture has what the feed was told of without it.
func (t *Tree) catchUp(ctx context.Context) {
	told := t.picture.untold()
	if told == 0 || !t.refresher.isWarm() {
		return
	}
	if hidden, err := t.sync(ctx, []Path{{}}); err == nil && !hidden("") {
		t.picture.caughtUp(told)
	}
}

func (t *Tree) saveAll() {
	for {
		folders, gone, upTo, more := t.picture.toSave(t.filesystem)
		if len(folders) > 0 || len(gone) > 0 || t.keeper.hasBlocks() || t.keeper.lacks(upTo) {
			t.save(folders, gone, upTo)
		}
		if !more {
			return
		}
	}
}

// toSave returns folders to be written, of keepBatchBytes at most, and those that are gone. If the cache then has everything,
// upTo is the place of the feed which that is true of.
func (p *picture) toSave(filesystem func(dev uint64, rel string) uint64) (
	folders []folderKeep, gone []string, upTo Cursor, more bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.root == nil {
		return nil, nil, Cursor{}, false
	}
	gone, p.departed = p.departed, nil
	bytes := 0
	for n := range p.unsaved {
		if bytes > keepBatchBytes {
			return folders, gone, Cursor{}, true
		}
		delete(p.unsaved, n)
		if !p.attached(n) {
			continue
		}
		for i := range n.slots {
			if !n.slots[i].saved {
				bytes += len(n.slots[i].items)
			}
		}
		rel := n.path()
		folders = append(folders, n.toKeep(rel, filesystem(n.id.Dev, rel)))
	}
	if p.ahead == 0 {
		upTo = p.feed(nil)
	}
	return folders, gone, upTo, false
}

// untold returns how many changes the feed was told of that the picture may not have.
func (p *picture) untold() uint64 {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.ahead
}

// caughtUp says that the picture has the first of them.
func (p *picture) caughtUp(told uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ahead -= told
}

// filesystems remembers which filesystem has which device number, which is not the same after a restart of the machine.
type filesystems struct{ byDevice sync.Map }

// filesystem returns a number for the filesystem that the folder at rel, on the device dev, is on.
func (t *Tree) filesystem(dev uint64, rel string) uint64 {
	if id, ok := t.filesystems.byDevice.Load(dev); ok {
		return id.(uint64)
	}
	d, err := t.disk.folder(rel, false)
	if err != nil {
		return dev
	}
	defer d.close()
	id := d.filesystemID()
	if id == 0 {
		id = dev
	}
	t.filesystems.byDevice.Store(dev, id)
	return id
}

// filesystemAt is filesystem for the folder that holds the file at rel.
func (t *Tree) filesystemAt(rel string, dev uint64) uint64 {
	folder, _ := splitPath(rel)
	return t.filesystem(dev, folder)
}

// awaitWarm waits until the tree was looked at once, for at most HashWaitMax.
func (t *Tree) awaitWarm(ctx context.Context) error {
	if t.refresher.isWarm() {
		return nil
	}
	timer := time.NewTimer(t.o.HashWaitMax)
	defer timer.Stop()
	select {
	case <-t.refresher.warm:
		return nil
	case <-timer.C:
	case <-ctx.Done():
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	return t.refresher.warming()
}
