package tree

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// List returns the entries of the folder at p in no order, without hashing: Digest is set where it is remembered. Links are
// listed as KindLink with their target text, and Followed describes what they lead to. Special files, the reserved name and
// names that Parse would refuse are left out.
func (t *Tree) List(ctx context.Context, p Path) (entries []Entry, err error) {
	defer t.orGone(&err)
	m, err := t.look(ctx, p)
	if err != nil {
		return nil, err
	}
	if !m.isFolder() {
		return nil, fmt.Errorf("list %q: %w", p.s, ErrNotFolder)
	}
	folder, err := t.disk.folder(p.s, false)
	if err != nil {
		return nil, t.absence(err)
	}
	defer folder.close()
	names, err := t.namesIn(folder)
	if err != nil {
		return nil, fmt.Errorf("list %q: %w", p.s, err)
	}
	entries = make([]Entry, 0, len(names))
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if e, ok := t.listed(ctx, p, folder, name); ok {
			entries = append(entries, e)
		}
	}
	return entries, ctx.Err()
}

// namesIn returns the names in a folder, with those that a change has taken away and may yet put back.
func (t *Tree) namesIn(folder dir) (names []string, err error) {
	self, err := folder.self()
	if err != nil {
		return nil, err
	}
	for range openTriesMax {
		undone := t.veil.undone.Load()
		if names, err = folder.names(); err != nil {
			return nil, err
		}
		for _, name := range t.veil.namesIn(self.stamp.Inode()) {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		if t.veil.undone.Load() == undone {
			break
		}
	}
	return names, nil
}

// listed describes one name of a folder, if it is to be listed.
func (t *Tree) listed(ctx context.Context, p Path, folder dir, name string) (Entry, bool) {
	child, err := p.Join(name)
	if err != nil || !t.serves(child) {
		return Entry{}, false
	}
	m, err := folder.stat(name)
	if errors.Is(err, ErrNotExist) || err == nil && t.veil.overFile(m.stamp.Inode()) != nil {
		m, err = t.look(ctx, child)
	}
	if err != nil || m.isSpecial() {
		return Entry{}, false
	}
	e := m.entry(name)
	switch {
	case m.isLink():
		if e.Target, err = folder.readlink(name); err != nil {
			return Entry{}, false
		}
		if followed, err := t.Stat(ctx, child); err == nil {
			e.Followed = &followed
		}
	case m.isRegular():
		if rec, ok := t.known(child.s, m.stamp); ok {
			e.Digest = rec.Digest
		}
	}
	return e, true
}
