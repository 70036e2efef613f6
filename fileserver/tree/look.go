package tree

import (
	"context"
	"errors"
	"maps"
	"slices"

	"freshet/hashing"
	"freshet/watcher"
)

// A folderLook is one look at names of one folder.
type folderLook struct {
	*refresher
	ctx    context.Context
	d      dir
	at     ground
	n      *node
	pass   pass
	absent bool
	edits  []edit
	later  []lateFile
	below  []Path              // files in new folders whose digest is to be found later
	missed map[string]struct{} // names that could not be looked at
}

// lateFile is a file whose digest is to be found later.
type lateFile struct {
	name string
	why  laterWhy
}

// names looks at some or all names and folds in what is different. What a change of our own covers at the moment may be put
// back, so it is looked at again.
func (l *folderLook) names(names watcher.Names) {
	t := l.tree
	undone := t.veil.undone.Load()
	covered := t.veil.namesIn(l.n.id)
	for _, name := range l.listed(names) {
		if l.ctx.Err() != nil {
			return
		}
		if !slices.Contains(covered, name) {
			l.name(name)
		}
	}
	covered = append(covered, t.veil.namesIn(l.n.id)...)
	if t.veil.undone.Load() != undone {
		for i := range l.edits {
			covered = append(covered, l.edits[i].name)
		}
	}
	if len(covered) > 0 {
		l.edits = slices.DeleteFunc(l.edits, func(e edit) bool { return slices.Contains(covered, e.name) })
		l.again(l.at.rel.s, covered...)
	}
	l.leave()
	if !l.absent {
		_ = failpoint("folder-looked")
	}
	if again := l.pass.apply(l.n, l.edits, false); len(again) > 0 {
		l.again(l.at.rel.s, again...)
	}
	if len(l.missed) > 0 {
		l.refuse(l.n, l.at.rel.s, watcher.Names{Set: l.missed})
	} else if _, more := l.refused[l.at.rel.s]; !more && !l.absent {
		t.picture.blinded(l.n, false)
	}
	l.leave() // those that are new now: before, the picture did not have them
}

// leave has files hashed by themselves. What was read of one while it was written to is not folded in any more.
func (l *folderLook) leave() {
	for _, f := range l.later {
		l.tree.pending.add(l.at.below(f.name).s, f.why)
	}
	l.tree.pending.addAll(l.below)
}

// listed returns the names to look at, sorted. All of them are those that are on disk and those that are in the picture.
func (l *folderLook) listed(names watcher.Names) []string {
	if !names.All {
		return slices.Sorted(maps.Keys(names.Set))
	}
	all := l.tree.picture.names(l.n)
	if l.absent {
		return nil // one look finds what is gone as well
	}
	found, err := l.d.names()
	if err != nil {
		l.refuse(l.n, l.at.rel.s, names)
		return nil
	}
	all = append(all, found...)
	slices.Sort(all)
	return slices.Compact(all)
}

func (l *folderLook) name(name string) {
	t := l.tree
	was, had := t.picture.child(l.n, name)
	if l.absent {
		if !had {
			return
		}
		if _, err := l.d.stat(name); errors.Is(err, ErrNotExist) {
			l.edits = append(l.edits, edit{name: name})
		}
		return
	}
	old := &was
	if !had {
		old = nil
	}
	found, err := t.glance(&l.glancer, l.d, l.at, name, old)
	switch {
	case err != nil:
		l.failed(name, old, err)
		return
	case found.absent:
		if had {
			l.edits = append(l.edits, edit{name: name})
		}
		return
	}
	if found.later != laterNot {
		l.later = append(l.later, lateFile{name, found.later})
	}
	it := &found.item
	if found.linked && (!had || !was.same(it)) {
		l.linked[hashing.Inode{Dev: l.at.dev, Ino: it.ino}] = it.ctime
	}
	if found.blocks != nil {
		t.keeper.later(l.at.below(name).s, hashing.Record{
			Stamp: hashing.Stamp{Dev: l.at.dev, Ino: it.ino, Size: it.size, Ctime: it.ctime}, Digest: it.digest,
			Blocks: found.blocks, Certified: it.flags&itemCertified != 0,
		})
	}
	e := edit{name: name, item: it}
	if it.kind == KindFolder && (!had || was.kind != KindFolder || !t.picture.isFolder(l.n, name, found.id)) {
		if !l.newFolder(&e) {
			l.miss(name)
			return
		}
	}
	l.edits = append(l.edits, e)
}

// miss has a name looked at again.
func (l *folderLook) miss(name string) {
	if l.missed == nil {
		l.missed = map[string]struct{}{}
	}
	l.missed[name] = struct{}{}
}

// failed is for a file that is there and cannot be looked at: it has no digest. One that may not be read has an event when
// that changes.
func (l *folderLook) failed(name string, old *item, err error) {
	m, missing := l.d.stat(name)
	if missing != nil || !m.isRegular() {
		l.miss(name)
		return
	}
	if !errors.Is(err, ErrPermission) {
		l.later = append(l.later, lateFile{name, laterMoved})
	}
	it := itemOf(m, name, l.at.dev)
	if old == nil || !old.unknown() || !old.same(&it) {
		l.edits = append(l.edits, edit{name: name, item: &it})
	}
}

// newFolder looks at all that is in a folder that was not known under this name.
func (l *folderLook) newFolder(e *edit) bool {
	t := l.tree
	rel := l.at.below(e.name)
	before, from := t.picture.returned(hashing.Inode{Dev: l.at.dev, Ino: e.item.ino})
	sub := &node{id: e.item.folderID(l.at.dev)}
	s := scan{tree: t, ctx: l.ctx, before: func(at Path, _ *node) baseline {
		if before == nil {
			return baseline{}
		}
		if n := before.find(at.s[min(len(rel.s)+1, len(at.s)):]); n != nil {
			return baselineOf(n)
		}
		return baseline{}
	}}
	if err := s.run(rel, sub, true); err != nil || sub.id.Ino != e.item.ino {
		return false
	}
	maps.Copy(l.linked, s.linked)
	t.suspectNew(l.at.rel, rel, sub)
	e.sub, e.from = sub, from
	l.below = append(l.below, s.unknown...)
	return true
}
