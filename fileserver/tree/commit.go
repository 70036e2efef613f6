package tree

import (
	"context"
	"errors"
	"fmt"
	"time"

	"freshet/hashing"
)

const (
	commitTriesMax    = 3         // times a change is begun anew because the target moved
	changeHashWaitMax = time.Hour // how long a change waits for the digest of what it replaces
)

// A Change says on what terms a change is made.
type Change struct {
	Guard   Guard
	ModTime time.Time // of the new file; zero: the time of the change
	By      string    // who changes it, for the version's record: "http 192.0.2.7"; cut to ByBytesMax
}

// allows asks the Guard.
func (c *Change) allows(cur *Entry) error {
	if c.Guard == nil {
		return nil
	}
	return c.Guard(cur)
}

// Result is what a change left at the path.
type Result struct {
	Entry   Entry
	Created bool // there was nothing before
	// Cursor is the place of the change in the feed: who made it need not be told of it.
	Cursor Cursor
}

// Commit makes s the content of p, atomically and durably: when it returns without error, a power cut does not undo it. The
// displaced file becomes a version. A link at p is followed to the name it stands for. s is spent, whatever the outcome.
// Errors: the Guard's, ErrNoParent, ErrIsFolder, ErrInUse (a local program has the file open for writing), ErrUnstable,
// ErrNoSpace, ErrUnsynced, ErrReadOnly, ErrPermission.
func (t *Tree) Commit(ctx context.Context, p Path, s *Staged, c Change) (res Result, err error) {
	defer s.Discard()
	defer t.orGone(&err)
	if err := t.mayChange(p); err != nil {
		return Result{}, err
	}
	if err := s.seal(c.ModTime); err != nil {
		return Result{}, fmt.Errorf("commit %q: %w", p.s, err)
	}
	return t.commit(ctx, p, s, c, nil)
}

// commit tries until the target holds still. with, if not nil, is a name locked beside the target.
func (t *Tree) commit(ctx context.Context, p Path, s *Staged, c Change, with *key) (res Result, err error) {
	err = t.retry(p, true, func() error {
		res, err = t.commitOnce(ctx, p, s, c, with)
		return err
	})
	return res, err
}

// retry calls attempt until it fails for another reason than that the target moved, or because the disk is full and no
// version is left that could make room. follow says whether a change of p follows a link there.
func (t *Tree) retry(p Path, follow bool, attempt func() error) error {
	for range commitTriesMax {
		err := attempt()
		switch {
		case err == nil:
			t.stats.commits.Add(1)
			return nil
		case errors.Is(err, ErrUnsynced): // the change is made, whatever else is wrong
			return err
		case errors.Is(err, ErrNoSpace) && t.makeRoom(p, follow, roomForNamesBytes):
		case !errors.Is(err, errAgain):
			return err
		}
	}
	return fmt.Errorf("change %q: %w", p.s, ErrUnstable)
}

// makeRoom has the oldest versions on p's filesystem give back bytes, and reports whether any went.
func (t *Tree) makeRoom(p Path, follow bool, bytes int64) bool {
	at, err := t.disk.place(p.s, follow)
	if err != nil {
		return false
	}
	defer at.close()
	a, err := t.areas.of(at.dir)
	return err == nil && a.versions.makeRoom(bytes)
}

const roomForNamesBytes = 64 << 10 // what a change needs on disk beside the staged bytes

func (t *Tree) commitOnce(ctx context.Context, p Path, s *Staged, c Change, with *key) (Result, error) {
	at, err := t.disk.place(p.s, true)
	if err != nil {
		return Result{}, err
	}
	defer at.close()
	cur, err := t.certify(ctx, p, at, c.Guard != nil)
	if err != nil {
		return Result{}, err
	}
	defer cur.close()
	if cur.meta.isLink() { // where links are followed, a moment ago it was none
		return Result{}, errAgain
	}
	if !cur.absent && !cur.meta.isRegular() {
		return Result{}, fmt.Errorf("replace %q: %w", p.s, cur.meta.fileKind())
	}
	keys := []key{at.key}
	if with != nil && *with == at.key {
		return Result{}, fmt.Errorf("replace %q by itself: %w", p.s, ErrSame)
	}
	if with != nil {
		keys = append(keys, *with)
	}
	if cur.absent {
		return t.create(p, at, s, c, keys)
	}
	return t.replace(ctx, p, at, cur, s, c, keys)
}

// create gives s its name where there is none. The kernel decides a race: a name that appears meanwhile is never replaced.
func (t *Tree) create(p Path, at place, s *Staged, c Change, keys []key) (Result, error) {
	unlock := t.lock(keys...)
	rec, err := t.createLocked(p, at, s, c)
	unlock()
	if err != nil {
		return Result{}, err
	}
	if s.exposed {
		s.exposed = false
		t.quarantine.leave()
	}
	s.h.unlease()
	if err := t.folders.sync(at.dir, at.key.folder); err != nil {
		return Result{}, fmt.Errorf("create %q: %w", p.s, err)
	}
	return Result{Entry: s.entry(p, rec), Created: true, Cursor: s.told}, nil
}

func (t *Tree) createLocked(p Path, at place, s *Staged, c Change) (rec hashing.Record, err error) {
	if err := t.still(p, at, true); err != nil {
		return rec, err
	}
	if _, err := at.stat(); !errors.Is(err, ErrNotExist) {
		return rec, errors.Join(errAgain, err)
	}
	if err := c.allows(nil); err != nil {
		return rec, err
	}
	if err := s.name(at); err != nil {
		return rec, noParent(orTaken(err))
	}
	_ = failpoint("commit-created")
	if rec, err = t.remember(s); err == nil {
		s.told = t.tellPut(&at, p.Parent(), s.mine, rec)
	}
	return rec, err
}

// lock takes the locks of names, and keeps whole folders from moving meanwhile.
func (t *Tree) lock(keys ...key) (unlock func()) {
	t.shape.RLock()
	release := t.locks.lock(keys...)
	return func() {
		release()
		t.shape.RUnlock()
	}
}

// still makes sure that p leads to the folder and name that were locked.
func (t *Tree) still(p Path, at place, follow bool) error {
	now, err := t.disk.place(p.s, follow)
	if err != nil {
		return err
	}
	now.close()
	if now.key != at.key {
		return errAgain
	}
	return nil
}

// remember records the digest of the bytes that s brought, for the stamp they have under their name. The lease that was
// taken before the file had a name makes it certain.
func (t *Tree) remember(s *Staged) (hashing.Record, error) {
	m, err := s.h.stat()
	if err != nil {
		return hashing.Record{}, err
	}
	rec := hashing.Record{
		Stamp:     m.stamp,
		Digest:    s.sum.Digest(),
		Blocks:    s.sum.Blocks(),
		Certified: s.held && s.h.leaseHeld() && s.h.certain(m.stamp),
		Began:     s.began,
	}
	t.hasher.remember(m, rec)
	s.mine = m
	return rec, nil
}

// entry describes what s became.
func (s *Staged) entry(p Path, rec hashing.Record) Entry {
	e := s.mine.entry(p.Base())
	e.Digest = rec.Digest
	return e
}

// replace swaps s with what is at the name, looks at what came out, and swaps back if that is not what the Guard was shown.
func (t *Tree) replace(ctx context.Context, p Path, at place, cur *current, s *Staged, c Change, keys []key) (Result, error) {
	if err := s.dress(cur); err != nil {
		return Result{}, err
	}
	r := record{
		how: tookReplaced, staged: s.mine.stamp.Ino, displaced: cur.meta.stamp.Ino, digest: cur.digest, by: c.By, path: p.s,
	}
	if err := s.link(r); err != nil {
		return Result{}, err
	}
	if !s.exposed {
		if err := t.quarantine.admit(ctx); err != nil {
			return Result{}, err
		}
	}
	unlock := t.lock(keys...)
	rec, err := t.replaceLocked(p, at, cur, s, c)
	unlock()
	if err != nil {
		if !s.exposed {
			t.quarantine.leave()
		}
		return Result{}, err
	}
	s.exposed = false
	t.quarantine.add(t.displaced(s.area, s.id, r, cur, cur.digest != rec.Digest))
	s.id = ""
	s.h.unlease()
	if err := t.folders.sync(at.dir, at.key.folder); err != nil {
		return Result{}, fmt.Errorf("replace %q: %w", p.s, err)
	}
	_ = failpoint("commit-synced")
	return Result{Entry: s.entry(p, rec), Cursor: s.told}, nil
}

// dress gives s the owner, mode and attributes of the file it replaces, which cannot change unnoticed: the stamp that is
// compared under the lock would move. The kernel lets only the owner of a file give a lease back, so s has none while its
// owner changes.
func (s *Staged) dress(cur *current) error {
	given := s.held && cur.meta.uid != s.mine.uid
	if given {
		s.h.unlease()
	}
	changed, err := s.h.like(cur.h, cur.meta, s.mine)
	if err != nil {
		return err
	}
	if given {
		s.held = s.h.lease() == leaseGranted
	}
	if !changed {
		return nil
	}
	if err := syncFile(s.h); err != nil {
		return err
	}
	s.mine, err = s.h.stat()
	return err
}

func (t *Tree) replaceLocked(p Path, at place, cur *current, s *Staged, c Change) (rec hashing.Record, err error) {
	if err := t.still(p, at, true); err != nil {
		return rec, err
	}
	now, err := at.stat()
	if err != nil {
		return rec, orMoved(err)
	}
	if now.stamp != cur.meta.stamp {
		return rec, errAgain
	}
	if err := c.allows(cur.entry(p.Base())); err != nil {
		return rec, err
	}
	lift := t.veil.cover([]hashing.Inode{s.mine.stamp.Inode()}, []key{at.key})
	defer lift()
	if err := t.swapIn(at, s); err != nil {
		return rec, orMoved(err)
	}
	if rec, err = t.confirm(s, cur); err != nil {
		return rec, t.swapBack(at, s, err)
	}
	s.told = t.tellPut(&at, p.Parent(), s.mine, rec)
	return rec, nil
}

// confirm looks at what a swap displaced, and remembers what it brought.
func (t *Tree) confirm(s *Staged, cur *current) (rec hashing.Record, err error) {
	if err := failpoint("commit-exchanged"); err != nil {
		return rec, err
	}
	if err := t.unmoved(s.area.stage, s.id, cur); err != nil {
		return rec, err
	}
	if err := failpoint("commit-verified"); err != nil {
		return rec, err
	}
	return t.remember(s)
}

// swapIn exchanges s and its target.
func (t *Tree) swapIn(at place, s *Staged) error {
	err := exchange(s.area.stage, s.id, at.dir, at.name)
	if errors.Is(err, errNoExchange) {
		return t.swapByRenames(at, s)
	}
	return err
}

// swapByRenames is swapIn where names cannot be exchanged: the target's name is free for a moment. A program that takes it
// in that moment keeps it, and what had it before becomes a conflict copy.
func (t *Tree) swapByRenames(at place, s *Staged) error {
	spare := s.id + spareSuffix
	if err := moveTo(at.dir, at.name, s.area.stage, spare); err != nil {
		return err
	}
	err := failpoint("swap-emptied")
	if err == nil {
		err = orTaken(moveTo(s.area.stage, s.id, at.dir, at.name))
	}
	if err != nil {
		t.returnTo(at, s.area, spare, s.mine.stamp.Inode())
		return err
	}
	_ = failpoint("swap-filled")
	if err = moveTo(s.area.stage, spare, s.area.stage, s.id); err != nil {
		_ = moveTo(at.dir, at.name, s.area.stage, s.id)
		t.returnTo(at, s.area, spare, s.mine.stamp.Inode())
	}
	return err
}

// orTaken makes it a reason to look again that a name which was free is not.
func orTaken(err error) error {
	if errors.Is(err, ErrExist) {
		return fmt.Errorf("%w: %w", errAgain, err)
	}
	return err
}

// returnTo gives a staged file its name in the tree back, or keeps it as a conflict copy if the name is taken. The upload
// itself, known by its inode, is nothing to keep.
func (t *Tree) returnTo(at place, a *area, id string, upload hashing.Inode) {
	if moveTo(a.stage, id, at.dir, at.name) == nil {
		return
	}
	if m, err := a.stage.stat(id); err == nil && m.stamp.Inode() == upload {
		a.stage.removeAll(id)
		return
	}
	t.keepAsConflict(at.dir, at.name, a, id)
}

// swapBack undoes a swap and returns why. A third party that put its own file there in between keeps it, as a conflict copy,
// as does one whose file was displaced and cannot have its name back.
func (t *Tree) swapBack(at place, s *Staged, why error) error {
	t.stats.rollbacks.Add(1)
	t.veil.undone.Add(1)
	err := t.swapIn(at, s)
	if err == nil {
		var m meta
		if m, err = s.area.stage.stat(s.id); err == nil && m.stamp.Inode() == s.mine.stamp.Inode() {
			s.exposed = true
			return why
		}
	}
	t.keepAsConflict(at.dir, at.name, s.area, s.id)
	s.id, s.exposed = "", false
	if err != nil && !errors.Is(err, ErrNotExist) {
		return fmt.Errorf("%w: %v", ErrUnstable, err)
	}
	return ErrUnstable
}
