package tree

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"freshet/hashing"
)

const (
	scannersMax    = 4                      // folders looked at at once by one scan; more than cores, since system calls wait
	descriptorWait = 100 * time.Millisecond // until a descriptor is asked for again
	scanTriesMax   = 3                      // times a name that moves while it is looked at is looked at again
	scanDepthMax   = walkDepthMax
	unknownPathMax = 1 << 16 // files whose digest is to be found later that are remembered by path
)

// A baseline is what was known of a folder before it is looked at.
type baseline struct {
	known  bool    // the chunks are all that was in it
	chunks []chunk // sorted
	saved  bool    // they come from the cache on disk
}

// find returns what was known of a name.
func (b *baseline) find(name string) (item, bool) {
	for lo, hi := 0, len(b.chunks); lo < hi; {
		mid := (lo + hi) / 2
		c := b.chunks[mid]
		switch {
		case c.len() == 0 || c.last() < name:
			lo = mid + 1
		case string(c.name(0)) > name:
			hi = mid
		default:
			return c.find(name)
		}
	}
	return item{}, false
}

func (b *baseline) count() (n int) {
	for _, c := range b.chunks {
		n += c.len()
	}
	return n
}

// A scan looks at a folder and all below it, and puts nodes together that are not in the picture yet.
type scan struct {
	tree *Tree
	ctx  context.Context
	// before returns what was known of the folder at rel, which is n.
	before func(rel Path, n *node) baseline
	// tell, if set, is told how a folder differs from what was known of it.
	tell    func(events []Event)
	keep    func(rel Path, n *node) // if set, is told of each folder that was looked at
	done    *atomic.Int64           // files looked at so far
	patient bool                    // it waits for what it needs

	mu      sync.Mutex
	tasks   []scanTask              // guarded by mu; the last is next
	active  int                     // guarded by mu; tasks under way
	more    *sync.Cond              // of mu
	unknown []Path                  // guarded by mu; files whose digest is not known yet
	linked  map[hashing.Inode]int64 // guarded by mu; files with several names that are new or have changed, and when
	failed  error                   // guarded by mu
}

type scanTask struct {
	rel     Path
	n       *node
	covered bool // an event of a folder above tells all
	anew    bool // what was known is not of this folder
	depth   int
}

// run looks at the folder at rel, which is n, and at all below it. The counts of n are set; it is the caller's.
func (s *scan) run(rel Path, n *node, covered bool) error {
	s.more = sync.NewCond(&s.mu)
	s.tasks = []scanTask{{rel: rel, n: n, covered: covered, depth: scanDepthMax}}
	var all sync.WaitGroup
	for range scannersMax {
		all.Go(s.work)
	}
	all.Wait()
	if s.failed != nil {
		return s.failed
	}
	if err := s.ctx.Err(); err != nil {
		return err
	}
	n.total()
	return nil
}

// total counts what is in n and below.
func (n *node) total() {
	n.files, n.bytes, n.unknown = 0, 0, 0
	if n.blind {
		n.unknown = 1
	}
	for i := range n.slots {
		c := n.slots[i].items
		for i := range c.len() {
			switch c.kind(i) {
			case KindFolder:
				continue
			case KindFile, KindExecutable:
				n.bytes += c.size(i)
				if c.digest(i).IsZero() {
					n.unknown++
				}
			}
			n.files++
		}
	}
	for _, sub := range n.subs {
		sub.total()
		n.files, n.bytes, n.unknown = n.files+sub.files, n.bytes+sub.bytes, n.unknown+sub.unknown
	}
}

func (s *scan) work() {
	g := &glancer{tree: s.tree}
	for {
		task, ok := s.next()
		if !ok {
			return
		}
		below, unknown, err := s.folder(g, task)
		s.mu.Lock()
		s.tasks = append(s.tasks, below...)
		if room := unknownPathMax - len(s.unknown); room > 0 {
			s.unknown = append(s.unknown, unknown[:min(room, len(unknown))]...)
		}
		if err != nil && s.failed == nil {
			s.failed = err
		}
		s.active--
		s.mu.Unlock()
		s.more.Broadcast()
	}
}

// link remembers a file with several names.
func (s *scan) link(id hashing.Inode, ctime int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.linked == nil {
		s.linked = map[hashing.Inode]int64{}
	}
	s.linked[id] = ctime
}

// next waits for a folder to look at; false when there will be none.
func (s *scan) next() (scanTask, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.tasks) == 0 && s.active > 0 {
		s.more.Wait()
	}
	if len(s.tasks) == 0 || s.failed != nil || s.ctx.Err() != nil {
		return scanTask{}, false
	}
	task := s.tasks[len(s.tasks)-1]
	s.tasks = s.tasks[:len(s.tasks)-1]
	s.active++
	return task, true
}

// folder looks at one folder. One that is not there any more is left empty: what happened to it is found where its name is
// looked at again. What is in one that may not be read, or is too deep, cannot be told.
func (s *scan) folder(g *glancer, task scanTask) (below []scanTask, unknown []Path, err error) {
	d, err := s.open(task.rel)
	if err != nil {
		if task.rel.IsRoot() || errors.Is(err, ErrTooManyFiles) {
			return nil, nil, err
		}
		if errors.Is(err, ErrNotExist) {
			return nil, nil, nil
		}
		return s.unread(task), nil, nil
	}
	defer d.close()
	at, m, err := s.tree.ground(task.rel, d)
	if err != nil {
		return nil, nil, err
	}
	task.n.id = m.stamp.Inode()
	if err := g.list.read(d); err != nil || task.depth == 0 {
		return s.unread(task), nil, nil
	}
	was := s.before(task.rel, task.n)
	was.known = was.known && !task.anew
	look := &scanLook{scan: s, glancer: g, d: d, at: at, n: task.n, was: &was}
	if err := look.names(); err != nil {
		return nil, nil, err
	}
	covered := s.told(task, &was, look.changed)
	if s.keep != nil {
		s.keep(task.rel, task.n)
	}
	return task.n.tasksBelow(task, &was, covered), look.unknown, nil
}

// open opens a folder. The first look waits while the process is out of descriptors.
func (s *scan) open(rel Path) (dir, error) {
	for {
		d, err := s.tree.disk.folder(rel.s, false)
		if !s.patient || !errors.Is(err, ErrTooManyFiles) || !sleep(s.ctx, descriptorWait) {
			return d, err
		}
	}
}

// sleep waits, and reports whether ctx has not ended meanwhile.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// unread is for a folder that cannot be read. What was known of it stays: nobody was told otherwise, and when it can be read
// again the difference is found.
func (s *scan) unread(task scanTask) (below []scanTask) {
	task.n.blind = true
	if task.depth == 0 {
		return nil
	}
	was := s.before(task.rel, task.n)
	if was.known = was.known && !task.anew; was.known {
		task.n.count = was.count()
		task.n.reuse(&was)
	}
	return task.n.tasksBelow(task, &was, s.told(task, &was, nil))
}

// tasksBelow makes the nodes of the folders in n. Where nobody was told of a folder, what the cache may still have of an earlier
// one says nothing.
func (n *node) tasksBelow(task scanTask, was *baseline, covered bool) (tasks []scanTask) {
	for i := range n.slots {
		c := n.slots[i].items
		for i := range c.len() {
			if c.kind(i) != KindFolder {
				continue
			}
			it := c.item(i)
			name := it.name
			sub := &node{parent: n, name: name, id: it.folderID(n.id.Dev)}
			if n.subs == nil {
				n.subs = map[string]*node{}
			}
			n.subs[name] = sub
			rel := Path{name}
			if !task.rel.IsRoot() {
				rel = Path{task.rel.s + "/" + name}
			}
			old, had := was.find(name)
			anew := was.known && (!had || old.kind != KindFolder)
			tasks = append(tasks, scanTask{rel: rel, n: sub, covered: covered, anew: anew, depth: task.depth - 1})
		}
	}
	return tasks
}

// A scanLook is the look at one folder.
type scanLook struct {
	*scan
	glancer *glancer
	d       dir
	at      ground
	n       *node
	was     *baseline
	in      int // the chunk of was that is compared with
	next    int // the record in it
	equal   int // names that are as they were known
	changed []edit
	unknown []Path // files whose digest is to be found later
}

// names looks at all names and puts n's chunks together. What did not change is not copied but as part of a chunk that did.
func (l *scanLook) names() error {
	list, b := &l.glancer.list, &l.glancer.builder
	b.reset()
	for i := range list.len() {
		if l.ctx.Err() != nil {
			return l.ctx.Err()
		}
		c, k, known := l.seek(list.name(i))
		if known && (l.tree.o.Only == "" || l.tree.pictures(l.at.rel, string(list.name(i)))) {
			if m, err := list.stat(l.d, i); err == nil && c.unchanged(k, &m, l.at.dev) {
				b.keep(c, k)
				l.equal++
				l.count(1)
				continue
			}
		}
		l.name(i, c, k, known)
	}
	n := l.n
	if l.was.known && l.equal == n.count && n.count == l.was.count() {
		n.reuse(l.was)
		return nil
	}
	n.split = n.count >= splitChildrenMin
	n.slots = n.cut(nil, b.take())
	return nil
}

func (l *scanLook) count(n int) {
	l.n.count += n
	if l.done != nil {
		l.done.Add(int64(n))
	}
}

// seek returns the record of a name in what was known. Names come in rising order.
func (l *scanLook) seek(name []byte) (c chunk, k int, known bool) {
	for ; l.in < len(l.was.chunks); l.in, l.next = l.in+1, 0 {
		c = l.was.chunks[l.in]
		for ; l.next < c.len(); l.next++ {
			if order := bytes.Compare(c.name(l.next), name); order >= 0 {
				return c, l.next, order == 0
			}
		}
	}
	return nil, 0, false
}

// name looks at a name that is new, or not what it was.
func (l *scanLook) name(i int, c chunk, k int, known bool) {
	g := l.glancer
	name := string(g.list.name(i))
	if !l.tree.pictures(l.at.rel, name) {
		return
	}
	var old *item
	if known {
		it := c.item(k)
		old = &it
	}
	var found glance
	var err error
	if !known && g.list.regular(i) {
		found, err = g.hash(l.d, l.at, name)
		if err == nil && found.later != laterMoved {
			l.tree.hashed(g)
		}
	}
	if known || !g.list.regular(i) || err != nil || found.later == laterMoved {
		found, err = l.tree.glance(g, l.d, l.at, name, old)
	}
	if err != nil {
		if found, err = l.refused(name, err); err != nil {
			l.n.blind = true
			return
		}
	}
	if found.absent {
		return
	}
	it := &found.item
	if found.linked && !l.patient { // before the first look is over, the picture has no other names
		l.link(hashing.Inode{Dev: l.at.dev, Ino: it.ino}, it.ctime)
	}
	if found.later != laterNot {
		l.unknown = append(l.unknown, l.at.below(name))
	}
	switch {
	case old != nil && *old == *it:
		l.equal++
	case l.tell != nil:
		l.changed = append(l.changed, edit{name: name, item: it})
	}
	g.builder.add(it)
	l.count(1)
}

// refused is for a file that is there and cannot be looked at: it has no digest. One that may not be read has an event when
// that changes.
func (l *scanLook) refused(name string, why error) (glance, error) {
	m, err := l.d.stat(name)
	if errors.Is(err, ErrNotExist) {
		return glance{absent: true}, nil
	}
	if err == nil && !m.isRegular() {
		err = why
	}
	found := glance{item: itemOf(m, name, l.at.dev)}
	if !errors.Is(why, ErrPermission) {
		found.later = laterMoved
	}
	return found, err
}

// reuse takes over the chunks of a folder in which nothing has changed.
func (n *node) reuse(was *baseline) {
	n.split = n.count >= splitChildrenMin
	for _, c := range was.chunks {
		if c.len() > 0 {
			n.slots = append(n.slots, slot{items: c, saved: was.saved})
		}
	}
}

func (at *ground) below(name string) Path {
	if at.rel.IsRoot() {
		return Path{name}
	}
	return Path{at.rel.s + "/" + name}
}

// glance looks at a name until it holds still, for a few times.
func (t *Tree) glance(g *glancer, d dir, at ground, name string, old *item) (found glance, err error) {
	for range scanTriesMax {
		found, err = g.name(d, at, name, old)
		if (err == nil || !errors.Is(err, errAgain)) && found.later != laterMoved {
			break
		}
	}
	t.hashed(g)
	return found, err
}

// hashed counts a file that was hashed, and lets requests go first.
func (t *Tree) hashed(g *glancer) {
	if g.read {
		g.read = false
		t.stats.hashedInBackground.Add(1)
		t.yield()
	}
}

// yield lets requests go first: looking at the disk in the background uses what they leave.
func (t *Tree) yield() {
	now := t.asked.Load()
	if t.yielded.Swap(now) != now {
		pauseForRequests()
	}
}

// baselineOf is what the picture knows of a folder.
func baselineOf(n *node) baseline {
	b := baseline{known: true}
	for i := range n.slots {
		b.chunks = append(b.chunks, n.slots[i].items)
	}
	return b
}
