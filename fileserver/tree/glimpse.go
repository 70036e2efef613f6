package tree

import (
	"slices"
	"time"

	"freshet/hashing"
)

// What others ask of the picture, each in one critical section.

// at returns the folder at rel, nil if there is none.
func (p *picture) at(rel string) *node {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.find(rel)
}

// child returns what is known of a name in n.
func (p *picture) child(n *node, name string) (item, bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return n.item(name)
}

// names returns all names in n, sorted.
func (p *picture) names(n *node) []string {
	p.mu.RLock()
	slots := slices.Clone(n.slots)
	names := make([]string, 0, n.count)
	p.mu.RUnlock()
	for i := range slots {
		c := slots[i].items
		for i := range c.len() {
			names = append(names, string(c.name(i)))
		}
	}
	return names
}

// folders returns the paths of the folder at rel and of all below it, each before those in it.
func (p *picture) folders(rel string) (paths []string) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	var add func(rel string, n *node)
	add = func(rel string, n *node) {
		paths = append(paths, rel)
		for name, sub := range n.subs {
			if rel != "" {
				name = rel + "/" + name
			}
			add(name, sub)
		}
	}
	if n := p.find(rel); n != nil {
		add(rel, n)
	}
	return paths
}

// counts returns how many files and folders there are.
func (p *picture) counts() (files, folders int64) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.root == nil {
		return 0, 0
	}
	return p.root.files, p.folderCount(p.root)
}

func (p *picture) folderCount(n *node) int64 {
	total := int64(1)
	for _, sub := range n.subs {
		total += p.folderCount(sub)
	}
	return total
}

// bytes returns how many bytes the files have.
func (p *picture) bytes() int64 {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.root == nil {
		return 0
	}
	return p.root.bytes
}

// childrenOf returns how many children the folder at rel has.
func (p *picture) childrenOf(rel string) int {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if n := p.find(rel); n != nil {
		return n.count
	}
	return 0
}

// count returns how many children n has.
func (p *picture) count(n *node) int {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return n.count
}

// takeUnlinked returns files that have lost one of several names, and forgets them.
func (p *picture) takeUnlinked() map[hashing.Inode]struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.unlinked) == 0 {
		return nil
	}
	files := p.unlinked
	p.unlinked = map[hashing.Inode]struct{}{}
	return files
}

// linkedBelow adds files with several names to those that have lost one.
func (p *picture) linkedBelow(n *node) {
	for i := range n.slots {
		n.slots[i].items.linked(n.id.Dev, p.unlinked)
	}
	for _, sub := range n.subs {
		p.linkedBelow(sub)
	}
}

// namesOf calls found for each name of the given files at which the picture has another change time than the given one.
func (p *picture) namesOf(files map[hashing.Inode]int64, found func(folder, name string)) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	var look func(n *node)
	look = func(n *node) {
		for i := range n.slots {
			c := n.slots[i].items
			for i := range c.len() {
				ctime, ok := files[hashing.Inode{Dev: n.id.Dev, Ino: c.ino(i)}]
				if ok && c.kind(i) != KindFolder && c.ctime(i) != ctime {
					found(n.path(), string(c.name(i)))
				}
			}
		}
		for _, sub := range n.subs {
			look(sub)
		}
	}
	if p.root != nil {
		look(p.root)
	}
}

// sub returns the folder called name in n, nil if there is none.
func (p *picture) sub(n *node, name string) *node {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return n.subs[name]
}

// isLong reports whether the file at rel is so long that it has block hashes.
func (p *picture) isLong(rel string) bool {
	folder, name := splitPath(rel)
	p.mu.RLock()
	defer p.mu.RUnlock()
	n := p.find(folder)
	if n == nil {
		return false
	}
	it, ok := n.item(name)
	return ok && it.isFile() && it.size > hashing.BlockBytes
}

// isFolder reports whether the folder called name in n is a certain one.
func (p *picture) isFolder(n *node, name string, id hashing.Inode) bool {
	sub := p.sub(n, name)
	return sub != nil && sub.id == id
}

// distrust forgets the digest of the file at rel, and reports whether there was one.
func (p *picture) distrust(rel string) bool {
	folder, name := splitPath(rel)
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.find(folder)
	if n == nil {
		return false
	}
	it, ok := n.item(name)
	if !ok || !it.isFile() || it.unknown() {
		return false
	}
	it.digest, it.flags = hashing.Digest{}, it.flags&itemPlace
	p.fold(n, []edit{{name: name, item: &it}}, true)
	return true
}

// blinded says whether a folder cannot be read, so that nobody knows what is in it.
func (p *picture) blinded(n *node, blind bool) {
	p.mu.RLock()
	same := n.blind == blind
	p.mu.RUnlock()
	if same {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if n.blind == blind || !p.attached(n) {
		return
	}
	n.blind = blind
	if blind {
		n.weigh(0, 0, 1)
	} else {
		n.weigh(0, 0, -1)
	}
	p.stale(n)
}

// tidy ends what is remembered for a moment only.
func (p *picture) tidy(before time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.outlive(before)
}

// unknown returns paths of files without a digest, at most limit.
func (p *picture) unknown(limit int) (paths []string) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	var add func(n *node)
	add = func(n *node) {
		if n.unknown == 0 || len(paths) >= limit {
			return
		}
		for i := range n.slots {
			c := n.slots[i].items
			for i := range c.len() {
				if k := c.kind(i); (k == KindFile || k == KindExecutable) && c.digest(i).IsZero() {
					paths = append(paths, n.below(string(c.name(i))))
				}
			}
		}
		for _, sub := range n.subs {
			add(sub)
		}
	}
	if p.root != nil {
		add(p.root)
	}
	return paths[:min(len(paths), limit)]
}

// tellUnknown tells the feed of a file whose digest cannot be had because it changes all the time.
func (p *picture) tellUnknown(rel string) {
	folder, name := splitPath(rel)
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.find(folder)
	if n == nil {
		return
	}
	if it, ok := n.item(name); ok && it.unknown() {
		p.feed([]Event{p.event(n, rel, &edit{name: name, item: &it}, &item{})})
	}
}

// file returns what is remembered of the file at rel in exactly the state s, its block hashes included where it has any.
func (t *Tree) known(rel string, s hashing.Stamp) (hashing.Record, bool) {
	t.asked.Add(1)
	if rec, ok := t.hasher.known(s); ok {
		return rec, true
	}
	rec, ok := t.picture.known(rel, s)
	if !ok && !t.refresher.isWarm() {
		rec, ok = t.keeper.file(rel, t.filesystemAt(rel, s.Dev), s)
	}
	if !ok || s.Size > hashing.BlockBytes && !t.keeper.blocksOf(rel, &rec) {
		return hashing.Record{}, false
	}
	t.hasher.index.Put(rec)
	return rec, true
}
