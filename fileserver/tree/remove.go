package tree

import (
	"context"
	"errors"
	"fmt"

	"freshet/hashing"
)

// Remove moves what is at p to the versions: a file, a link (not what it leads to), or a folder with all it holds, in one
// rename. The root cannot be removed. Of the Result only the Cursor is set. Errors: ErrNotExist, and those of Commit.
func (t *Tree) Remove(ctx context.Context, p Path, c Change) (res Result, err error) {
	defer t.orGone(&err)
	if err := t.mayChange(p); err != nil {
		return Result{}, err
	}
	err = t.retry(p, false, func() (err error) {
		res.Cursor, err = t.removeOnce(ctx, p, c)
		return err
	})
	return res, err
}

func (t *Tree) removeOnce(ctx context.Context, p Path, c Change) (told Cursor, err error) {
	at, err := t.disk.place(p.s, false)
	if err != nil {
		return told, t.absence(err)
	}
	defer at.close()
	a, err := t.areas.of(at.dir)
	if err != nil {
		return told, err
	}
	cur, err := t.certify(ctx, p, at, c.Guard != nil)
	if err != nil {
		return told, err
	}
	defer cur.close()
	r := record{how: tookRemoved, displaced: cur.meta.stamp.Ino, digest: cur.digest, by: c.By, path: p.s}
	id := newID()
	if err := t.quarantine.admit(ctx); err != nil {
		return told, err
	}
	if err = a.stage.record(id+recordSuffix, r.String()); err == nil {
		err = failpoint("remove-recorded")
	}
	if err == nil {
		unlock := t.lockFor(cur, at.key)
		if err = t.removeLocked(ctx, p, at, cur, a, id, c); err == nil {
			told = t.tellGone(&at, p.Parent(), cur.meta.entry("").Kind)
		}
		unlock()
	}
	if err != nil {
		_ = a.stage.unlink(id + recordSuffix)
		t.quarantine.leave()
		return told, err
	}
	t.quarantine.add(t.displaced(a, id, r, cur, true))
	if err := t.folders.sync(at.dir, at.key.folder); err != nil {
		return told, fmt.Errorf("remove %q: %w", p.s, err)
	}
	return told, nil
}

// lockFor takes the locks of names for a change of what was found: a folder moves only while nothing changes in any.
func (t *Tree) lockFor(cur *current, keys ...key) (unlock func()) {
	if cur.absent || !cur.meta.isFolder() {
		return t.lock(keys...)
	}
	t.shape.Lock()
	return t.shape.Unlock
}

func (t *Tree) removeLocked(ctx context.Context, p Path, at place, cur *current, a *area, id string, c Change) error {
	if err := t.still(p, at, false); err != nil {
		return t.absence(err)
	}
	if err := t.unchanged(at, cur); err != nil {
		return err
	}
	if cur.absent {
		return fmt.Errorf("remove %q: %w", p.s, ErrNotExist)
	}
	if err := t.fingerprintFor(ctx, p, cur, c.Guard != nil); err != nil {
		return err
	}
	if err := c.allows(cur.entry(p.Base())); err != nil {
		return err
	}
	lift := t.veil.cover(nil, []key{at.key})
	defer lift()
	if err := moveTo(at.dir, at.name, a.stage, id); err != nil {
		return orMoved(err)
	}
	err := failpoint("remove-moved")
	if err == nil {
		err = t.unmoved(a.stage, id, cur)
	}
	if err == nil && c.Guard != nil {
		err = t.unmovedBelow(ctx, p, a.stage, id, cur)
	}
	if err != nil {
		t.stats.rollbacks.Add(1)
		t.veil.undone.Add(1)
		t.returnTo(at, a, id, hashing.Inode{})
		if cur.meta.isFolder() && c.Guard != nil { // something in it has changed without an event
			t.refresher.ask(t.picture.folders(t.realPath(p).s))
		}
	}
	return err
}

// unchanged makes sure, under the lock, that a name still leads to what was looked at before. Only what a Guard can be shown
// counts: a folder may have changed inside.
func (t *Tree) unchanged(at place, cur *current) error {
	now, err := at.stat()
	switch {
	case errors.Is(err, ErrNotExist) && cur.absent:
		return nil
	case err != nil:
		return orMoved(err)
	case cur.absent:
		return errAgain
	case now.isFolder() && now.stamp.Inode() == cur.meta.stamp.Inode():
		return nil
	case now.stamp != cur.meta.stamp:
		return errAgain
	}
	return nil
}

// Mkdir makes a folder. Errors: the Guard's, ErrExist, ErrNoParent.
func (t *Tree) Mkdir(_ context.Context, p Path, c Change) (res Result, err error) {
	defer t.orGone(&err)
	if err := t.mayChange(p); err != nil {
		if errors.Is(err, ErrIsFolder) {
			err = fmt.Errorf("make the root: %w", ErrExist)
		}
		return Result{}, err
	}
	err = t.retry(p, false, func() (err error) {
		res, err = t.mkdirOnce(p, c)
		return err
	})
	return res, err
}

func (t *Tree) mkdirOnce(p Path, c Change) (Result, error) {
	at, err := t.disk.place(p.s, false)
	if err != nil {
		return Result{}, err
	}
	defer at.close()
	m, told, err := t.mkdirLocked(p, at, c)
	if err != nil {
		return Result{}, err
	}
	if err := t.folders.sync(at.dir, at.key.folder); err != nil {
		return Result{}, fmt.Errorf("make %q: %w", p.s, err)
	}
	return Result{Entry: m.entry(p.Base()), Created: true, Cursor: told}, nil
}

func (t *Tree) mkdirLocked(p Path, at place, c Change) (m meta, told Cursor, err error) {
	defer t.lock(at.key)()
	if err := t.still(p, at, false); err != nil {
		return m, told, err
	}
	var cur *Entry
	if m, err := at.stat(); err == nil {
		e := m.entry(p.Base())
		if rec, ok := t.known(p.s, m.stamp); ok {
			e.Digest = rec.Digest
		}
		cur = &e
	} else if !errors.Is(err, ErrNotExist) {
		return m, told, err
	}
	if err := c.allows(cur); err != nil {
		return m, told, err
	}
	if err := at.dir.mkdir(at.name, newFolderMode); err != nil {
		return m, told, noParent(err)
	}
	_ = failpoint("mkdir-made")
	if m, err = at.stat(); err == nil {
		told = t.tellMade(&at, p.Parent(), m)
	}
	return m, told, err
}

const newFolderMode = 0o777 // before the process's umask
