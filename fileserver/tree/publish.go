package tree

import (
	"freshet/hashing"
)

// What the tree itself changes goes into the picture, and to the feed, before the change is answered: whoever asks next is
// not told otherwise, and who made it knows its place in the feed.

// tellPut tells that the file in the state m, known as rec, is at a place now.
func (t *Tree) tellPut(at *place, folder Path, m meta, rec hashing.Record) Cursor {
	it := itemOf(m, at.name, at.key.folder.Dev)
	it.setRecord(&rec)
	return t.tell(at, folder, edit{name: at.name, item: &it}, KindFile)
}

// tellMade tells that there is a new and empty folder at a place.
func (t *Tree) tellMade(at *place, folder Path, m meta) Cursor {
	it := itemOf(m, at.name, at.key.folder.Dev)
	t.suspect(folder, at.name)
	return t.tell(at, folder, edit{name: at.name, item: &it}, KindFolder)
}

// suspect has a folder of our own watched, if no event tells of it.
func (t *Tree) suspect(folder Path, name string) {
	if t.watch != nil && t.unseenItself(folder.s) {
		at := ground{rel: folder}
		t.watch.Suspect(at.below(name).s)
	}
}

// tellGone tells that there is nothing at a place any more.
func (t *Tree) tellGone(at *place, folder Path, kind Kind) Cursor {
	return t.tell(at, folder, edit{name: at.name}, kind)
}

// tell folds an edit in. Through links a folder may have another path than the one it was asked for by. A program may have
// changed the same name since, and a look at it may be over: then what is told is the older state, so that one more look
// comes after.
func (t *Tree) tell(at *place, folder Path, e edit, kind Kind) Cursor {
	c, ok := t.picture.own(folder.s, at.key.folder, e, kind)
	if !ok {
		if real, known := t.disk.pathOf(at.dir); known && real != folder.s {
			folder = Path{real}
			c, ok = t.picture.own(folder.s, at.key.folder, e, kind)
		}
	}
	if !ok {
		c = t.picture.announce(folder, e, kind)
	}
	t.refresher.soon(folder.s, e.name)
	return c
}

// tellMoved tells that what was at a place is at another one now, in the state m and, if it is a file, known as rec.
func (t *Tree) tellMoved(m *transfer, now meta, rec hashing.Record) Cursor {
	from, to := m.fromPath.Parent(), m.toPath.Parent()
	if now.isFolder() {
		t.suspect(to, m.to.name)
		if c, ok := t.picture.relink(m, now); ok {
			t.refresher.soon(from.s, m.from.name)
			t.refresher.soon(to.s, m.to.name)
			return c
		}
	}
	it := itemOf(now, m.to.name, m.to.key.folder.Dev)
	switch {
	case now.isRegular():
		it.setRecord(&rec)
	case now.isLink():
		it.target, _ = m.to.dir.readlink(m.to.name)
		it.digest = t.o.Algorithm.Sum([]byte(it.target))
	}
	t.tellGone(&m.from, from, it.kind)
	if now.isFolder() {
		return t.journal.end() // what is in it is found by looking
	}
	return t.tell(&m.to, to, edit{name: m.to.name, item: &it, from: m.fromPath.s}, it.kind)
}

// own folds in a change that the tree itself has made, of what is, or was, of a kind. It reports false if the folder is not in
// the picture, or not the one that was changed; the change is then found by the next look at it.
func (p *picture) own(folder string, id hashing.Inode, e edit, kind Kind) (Cursor, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.find(folder)
	if n == nil || n.id != id {
		return Cursor{}, false
	}
	p.noteOwn(n, e.name)
	if _, had := n.item(e.name); !had && e.item == nil { // it came and went before it was seen
		return p.feed([]Event{{Path: Path{n.below(e.name)}, Kind: kind, Gone: true}}), true
	}
	return p.fold(n, []edit{e}, false), true
}

// announce tells the feed of a change in a folder that is not in the picture.
func (p *picture) announce(folder Path, e edit, kind Kind) Cursor {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ahead++
	at := ground{rel: folder}
	path := at.below(e.name)
	if e.item == nil {
		return p.feed([]Event{{Path: path, Kind: kind, Gone: true}})
	}
	it := e.item.entry(0)
	if it.Kind == KindFolder {
		it.Size = 0
	}
	return p.feed([]Event{{
		Path: path, Kind: it.Kind, Digest: it.Digest, Size: it.Size, ModTime: it.ModTime, Target: it.Target, From: e.from,
	}})
}

// relink moves a folder of the picture to another name, with all that is known of what is in it.
func (p *picture) relink(m *transfer, now meta) (Cursor, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	from, to := p.find(m.fromPath.Parent().s), p.find(m.toPath.Parent().s)
	if from == nil || to == nil || from.id != m.from.key.folder || to.id != m.to.key.folder {
		return Cursor{}, false
	}
	sub := from.subs[m.from.name]
	if sub == nil || sub.id != now.stamp.Inode() {
		return Cursor{}, false
	}
	p.noteOwn(from, m.from.name)
	p.noteOwn(to, m.to.name)
	it := itemOf(now, m.to.name, to.id.Dev)
	p.fold(from, []edit{{name: m.from.name}}, false)
	delete(p.gone, sub.id)
	return p.fold(to, []edit{{name: m.to.name, item: &it, sub: sub, from: m.fromPath.s}}, false), true
}
