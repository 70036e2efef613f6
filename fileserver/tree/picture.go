package tree

import (
	"strings"
	"sync"

	"freshet/hashing"
)

// splitChildrenMin is the number of children from which on a folder is kept in several chunks, one for each bucket of its
// fingerprint.
const splitChildrenMin = hashing.BucketedChildrenMin

// A picture is what is known of the whole tree, in memory. It is brought up to date by looking at the disk, where the watcher
// and the tree's own changes say that something is different, and every change of it is told to the feed in the same
// critical section. It is never the truth about one file: whoever sends a file compares stamps.
type picture struct {
	algorithm hashing.Algorithm
	feed      func(events []Event) Cursor // called with mu held; for no events it returns the end of the feed

	mu       sync.RWMutex
	root     *node                      // guarded by mu; nil until the first look at the tree has begun
	changes  uint64                     // guarded by mu; the tree's own changes so far
	passes   int                        // guarded by mu; looks at the disk under way
	touched  map[ownName]uint64         // guarded by mu; own changes while passes are under way -> changes then
	unsaved  map[*node]struct{}         // guarded by mu; what the cache on disk does not have yet
	ahead    uint64                     // guarded by mu; changes that the feed was told of before the picture has them
	strays   map[string]Kind            // guarded by mu; paths of these, and what is there
	departed []string                   // guarded by mu; paths of folders that the cache must forget, with all below
	hashers  *hashing.FolderHasher      // guarded by mu for writing
	gone     map[hashing.Inode]farewell // guarded by mu; what left its name a moment ago
	unlinked map[hashing.Inode]struct{} // guarded by mu; files that have lost one of several names
}

// ownName is a name that the tree itself has changed.
type ownName struct {
	in   *node
	name string
}

// A node is a folder of the picture. Everything in it is guarded by picture.mu; the chunks it points to never change.
type node struct {
	parent *node // nil: the root
	name   string
	id     hashing.Inode
	slots  []slot           // sorted, none empty
	split  bool             // each slot but the last ends where a bucket does
	count  int              // children
	subs   map[string]*node // the folders among them

	files, bytes, unknown int64 // in the folder and below: files and links, bytes of files, files without a digest
	blind                 bool  // it cannot be read, which counts as unknown

	fresh bool // fp is that of the present state
	fp    hashing.Digest
}

// slot is a chunk and what was computed from it.
type slot struct {
	items chunk
	fresh bool           // fp is that of the bucket
	timed bool           // times is up to date
	saved bool           // the cache on disk has it
	fp    hashing.Digest // of the bucket
	times uint64         // of the modification times in it
}

// An edit is a change of one child.
type edit struct {
	name string
	item *item  // nil: gone
	sub  *node  // of a folder that is new, or another one: what is in it
	from string // Event.From
}

func newPicture(a hashing.Algorithm, feed func([]Event) Cursor) *picture {
	return &picture{
		algorithm: a, feed: feed, hashers: hashing.NewFolderHasher(a), unsaved: map[*node]struct{}{}, strays: map[string]Kind{},
		touched: map[ownName]uint64{}, gone: map[hashing.Inode]farewell{}, unlinked: map[hashing.Inode]struct{}{},
	}
}

// path returns where n is, below the root.
func (n *node) path() string {
	if n.parent == nil {
		return ""
	}
	if n.parent.parent == nil {
		return n.name
	}
	return n.parent.path() + "/" + n.name
}

// below returns the path of a name in n.
func (n *node) below(name string) string {
	if n.parent == nil {
		return name
	}
	return n.path() + "/" + name
}

// attached reports whether n is still in the picture.
func (p *picture) attached(n *node) bool {
	for ; n.parent != nil; n = n.parent {
		if n.parent.subs[n.name] != n {
			return false
		}
	}
	return n == p.root
}

// find returns the folder at rel, nil if there is none. The caller holds mu.
func (p *picture) find(rel string) *node { return p.root.find(rel) }

// find returns the folder at rel below n, nil if there is none.
func (n *node) find(rel string) *node {
	for rel != "" && n != nil {
		var name string
		name, rel, _ = strings.Cut(rel, "/")
		n = n.subs[name]
	}
	return n
}

// slotOf returns the index of the slot that name is in, or belongs in; 0 if there is none yet.
func (n *node) slotOf(name string) int {
	lo, hi := 0, len(n.slots)-1
	for lo < hi {
		mid := (lo + hi) / 2
		c := n.slots[mid].items
		if string(c.name(c.len()-1)) < name {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return max(lo, 0)
}

// item returns the child called name.
func (n *node) item(name string) (item, bool) {
	if len(n.slots) == 0 {
		return item{}, false
	}
	return n.slots[n.slotOf(name)].items.find(name)
}

// known returns what the picture remembers of the file at rel if it is in exactly the state s and that can be trusted. Its
// blocks are kept elsewhere.
func (p *picture) known(rel string, s hashing.Stamp) (hashing.Record, bool) {
	parent, name := splitPath(rel)
	p.mu.RLock()
	defer p.mu.RUnlock()
	n := p.find(parent)
	if n == nil || n.id.Dev != s.Dev {
		return hashing.Record{}, false
	}
	it, ok := n.item(name)
	if !ok || it.ino != s.Ino || it.size != s.Size || it.ctime != s.Ctime || it.unknown() || !it.isFile() ||
		it.flags&itemTrusted == 0 || it.flags&itemForeign != 0 {
		return hashing.Record{}, false
	}
	return it.record(s.Dev), true
}

// record is what is known about a file's digest, without blocks.
func (it *item) record(dev uint64) hashing.Record {
	rec := hashing.Record{
		Stamp:     hashing.Stamp{Dev: dev, Ino: it.ino, Size: it.size, Ctime: it.ctime},
		Digest:    it.digest,
		Certified: it.flags&itemCertified != 0,
	}
	if it.flags&itemTrusted != 0 {
		rec.Began = it.ctime + hashing.RacyNanos + 1
	}
	return rec
}

// splitPath returns the folder and the last name of a path.
func splitPath(rel string) (folder, name string) {
	at := strings.LastIndexByte(rel, '/')
	return rel[:max(at, 0)], rel[at+1:]
}

// A pass is one look at the disk. What the tree itself changes meanwhile is newer than what the look has found.
type pass struct {
	picture *picture
	start   uint64
}

func (p *picture) begin() pass {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.passes++
	return pass{p, p.changes}
}

func (s pass) end() {
	s.picture.mu.Lock()
	defer s.picture.mu.Unlock()
	if s.picture.passes--; s.picture.passes == 0 {
		clear(s.picture.touched)
	}
}

// apply folds in what a pass has found in n and returns the names that have to be looked at again, because the tree itself has
// changed them since. edits are sorted by name. quiet keeps the feed from being told.
func (s pass) apply(n *node, edits []edit, quiet bool) (again []string) {
	p := s.picture
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.attached(n) {
		return nil
	}
	mine := edits[:0]
	for _, e := range edits {
		if p.touched[ownName{n, e.name}] > s.start {
			again = append(again, e.name)
			continue
		}
		mine = append(mine, e)
	}
	p.fold(n, mine, quiet)
	return again
}

// complete gives a file the digest that a pass has found for it. It reports false if the picture has another state of the file
// by now, which may be the later one.
func (s pass) complete(n *node, it *item) bool {
	p := s.picture
	p.mu.Lock()
	defer p.mu.Unlock()
	old, had := n.item(it.name)
	if !p.attached(n) || !had {
		return true // what is there instead was looked at by itself
	}
	if p.touched[ownName{n, it.name}] > s.start || !old.same(it) {
		return false
	}
	p.fold(n, []edit{{name: it.name, item: it}}, false)
	return true
}

func (p *picture) noteOwn(n *node, name string) {
	p.changes++
	if p.passes > 0 {
		p.touched[ownName{n, name}] = p.changes
	}
}

// fold makes edits, which are sorted by name, and tells the feed what a reader can see of them. It returns the end of the
// feed. The caller holds mu.
func (p *picture) fold(n *node, edits []edit, quiet bool) Cursor {
	var events []Event
	at := ""
	kept := edits[:0]
	for i := range edits {
		e := &edits[i]
		old, had := n.item(e.name)
		if e.item == nil && !had {
			continue
		}
		if e.item != nil && had && e.sub == nil && old == *e.item {
			continue
		}
		p.replaceSub(n, e, had && old.kind == KindFolder)
		if had && old.size > hashing.BlockBytes && (e.item == nil || e.item.size <= hashing.BlockBytes) {
			p.departed = append(p.departed, n.below(e.name)) // its block hashes
		}
		if e.item == nil && old.isFile() {
			p.part(hashing.Inode{Dev: n.id.Dev, Ino: old.ino}, farewell{path: n.below(e.name), digest: old.digest})
		}
		if had && old.flags&itemLinked != 0 && (e.item == nil || e.item.ino != old.ino) {
			p.unlinked[hashing.Inode{Dev: n.id.Dev, Ino: old.ino}] = struct{}{}
		}
		kept = append(kept, *e)
		if quiet || !visible(e, &old, had) {
			continue
		}
		if at == "" && n.parent != nil {
			at = n.path() + "/"
		}
		events = append(events, p.event(n, at+e.name, e, &old))
	}
	if len(kept) > 0 {
		n.rebuild(kept)
		p.stale(n)
		p.sumFolders(n, events)
	}
	return p.feed(events)
}

// replaceSub takes what was at a name out of the folders, and puts in what is there now.
func (p *picture) replaceSub(n *node, e *edit, wasFolder bool) {
	isFolder := e.item != nil && e.item.kind == KindFolder
	if isFolder && e.sub == nil && (!wasFolder || n.subs[e.name].id.Ino != e.item.ino) {
		e.sub = &node{id: hashing.Inode{Dev: n.id.Dev, Ino: e.item.ino}}
	}
	if wasFolder && (!isFolder || e.sub != nil) {
		p.detach(n, e.name)
	}
	if !isFolder || e.sub == nil {
		return
	}
	e.sub.parent, e.sub.name = n, e.name
	if n.subs == nil {
		n.subs = map[string]*node{}
	}
	n.subs[e.name] = e.sub
	n.weigh(e.sub.files, e.sub.bytes, e.sub.unknown)
	p.unsave(e.sub)
}

// detach takes a folder out.
func (p *picture) detach(n *node, name string) {
	sub := n.subs[name]
	if sub == nil {
		return
	}
	delete(n.subs, name)
	n.weigh(-sub.files, -sub.bytes, -sub.unknown)
	path := n.below(name)
	p.part(sub.id, farewell{path: path, sub: sub})
	p.departed = append(p.departed, path)
	p.linkedBelow(sub)
	p.forget(sub)
}

// forget takes a folder and all below it off the list of what is to be saved.
func (p *picture) forget(n *node) {
	delete(p.unsaved, n)
	for _, sub := range n.subs {
		p.forget(sub)
	}
}

// unsave has the cache save a folder and all below it.
func (p *picture) unsave(n *node) {
	p.unsaved[n] = struct{}{}
	for i := range n.slots {
		n.slots[i].saved = false
	}
	for _, sub := range n.subs {
		p.unsave(sub)
	}
}

// weigh adds to the counts of n and of all folders above it.
func (n *node) weigh(files, bytes, unknown int64) {
	for ; n != nil; n = n.parent {
		n.files += files
		n.bytes += bytes
		n.unknown += unknown
	}
}

// visible reports whether an edit is one that the feed is told of. A file whose bytes have changed is told of when its new
// digest is known; the time of a folder changes with what is in it, which is told of by itself.
func visible(e *edit, old *item, had bool) bool {
	switch {
	case e.item == nil, !had, e.sub != nil:
		return true
	case e.item.kind == KindFolder:
		return old.kind != KindFolder
	case e.item.unknown() && old.isFile():
		return false
	}
	return !e.item.alike(old)
}

// event is what the feed is told of an edit.
func (p *picture) event(n *node, path string, e *edit, old *item) Event {
	if e.item == nil {
		return Event{Path: Path{path}, Kind: old.kind, Gone: true}
	}
	from := e.from
	if from == "" && e.item.isFile() {
		from = p.origin(hashing.Inode{Dev: n.id.Dev, Ino: e.item.ino}, path, e.item.digest)
	}
	it := e.item.entry(0)
	return Event{
		Path: Path{path}, Kind: it.Kind, Digest: it.Digest, Size: it.Size, ModTime: it.ModTime, Target: it.Target, From: from,
	}
}

// sumFolders gives the events of new folders their fingerprint.
func (p *picture) sumFolders(n *node, events []Event) {
	for i := range events {
		e := &events[i]
		if e.Kind != KindFolder || e.Gone {
			continue
		}
		e.Size, e.Digest = 0, hashing.Digest{}
		if sub := n.subs[e.Path.Base()]; sub != nil {
			e.Digest = p.fingerprint(sub)
		}
	}
}

// stale says that n's fingerprint, and those of all folders above it, are not known any more. It stops at the first of which
// that is known already.
func (p *picture) stale(n *node) {
	p.unsaved[n] = struct{}{}
	n.fresh = false
	for up := n.parent; up != nil; n, up = up, up.parent {
		if len(up.slots) == 0 { // it is being put together
			return
		}
		s := &up.slots[up.slotOf(n.name)]
		if !up.fresh && !s.fresh {
			return
		}
		up.fresh, s.fresh = false, false
	}
}

// fingerprint returns n's, zero if there is none because a file below has no digest. The caller holds mu.
func (p *picture) fingerprint(n *node) hashing.Digest {
	switch {
	case n.unknown > 0:
		return hashing.Digest{}
	case n.fresh:
		return n.fp
	}
	for _, sub := range n.subs { // first, since there is one hasher for all
		p.fingerprint(sub)
	}
	if n.count < hashing.BucketedChildrenMin {
		p.hashers.Reset(uint64(n.count))
		for i := range n.slots {
			p.addItems(n, n.slots[i].items)
			n.slots[i].fresh, n.slots[i].fp = true, hashing.Digest{}
		}
		n.fp = p.hashers.Digest()
	} else {
		n.fp = p.buckets(n)
	}
	n.fresh = true
	return n.fp
}

// buckets is the fingerprint of a large folder: only the buckets in which something changed are hashed anew.
func (p *picture) buckets(n *node) hashing.Digest {
	sums := make([]hashing.Digest, len(n.slots))
	for i := range n.slots {
		s := &n.slots[i]
		if !s.fresh || s.fp.IsZero() {
			p.hashers.ResetBucket(uint64(s.items.len()))
			p.addItems(n, s.items)
			s.fp, s.fresh = p.hashers.Digest(), true
		}
		sums[i] = s.fp
	}
	return p.hashers.Buckets(uint64(n.count), sums)
}

func (p *picture) addItems(n *node, c chunk) {
	for i := range c.len() {
		name, kind, tag := c.name(i), c.kind(i), c.digest(i)
		if kind == KindFolder {
			tag = n.subs[string(name)].fp
		}
		p.hashers.Add(byte(kind), name, c.size(i), tag)
	}
}
