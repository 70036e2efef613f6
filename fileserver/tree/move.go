package tree

import (
	"context"
	"errors"
	"fmt"
	"time"

	"freshet/hashing"
)

// A Transfer says on what terms a Move or Copy is made. Both guards run with both paths locked.
type Transfer struct {
	Source, Destination Guard
	ModTime             time.Time // as Change.ModTime; zero keeps the source's
	By                  string
	Shallow             bool // Copy only: a folder without what it holds
}

func (x *Transfer) change(g Guard) Change { return Change{Guard: g, ModTime: x.ModTime, By: x.By} }

// allows asks both guards.
func (x *Transfer) allows(source, destination *Entry) error {
	from := x.change(x.Source)
	if err := from.allows(source); err != nil {
		return err
	}
	to := x.change(x.Destination)
	return to.allows(destination)
}

// Move renames from to to, a file, a link or a folder, in one step; what was at to becomes a version. Errors: ErrSame,
// ErrNotExist, ErrNoParent, ErrCrossDevice and those of Commit.
func (t *Tree) Move(ctx context.Context, from, to Path, x Transfer) (res Result, err error) {
	defer t.orGone(&err)
	if err := t.mayTransfer(from, to); err != nil {
		return Result{}, err
	}
	if err := t.mayChange(from); err != nil {
		return Result{}, err
	}
	err = t.retry(to, false, func() (err error) {
		res, err = t.moveOnce(ctx, from, to, x)
		return err
	})
	return res, err
}

func (t *Tree) mayTransfer(from, to Path) error {
	if from.Contains(to) || to.Contains(from) {
		return fmt.Errorf("from %q to %q: %w", from.s, to.s, ErrSame)
	}
	return t.mayChange(to)
}

// transfer is one attempt at a Move: both names, and what is at each.
type transfer struct {
	from, to place
	fromPath Path
	toPath   Path
	source   *current
	target   *current
	area     *area
	id       string
	record   record // of what is displaced at to
	entry    Entry  // the source under its new name
	began    bool   // a name has changed: what goes wrong from here on is undone
	told     Cursor // the place of the move in the feed
	late     error  // what went wrong after the move was made
}

func (m *transfer) close() {
	m.from.close()
	m.to.close()
	if m.source != nil {
		m.source.close()
	}
	if m.target != nil {
		m.target.close()
	}
}

func (t *Tree) moveOnce(ctx context.Context, from, to Path, x Transfer) (Result, error) {
	m, err := t.transfer(ctx, from, to, x)
	if err != nil {
		return Result{}, err
	}
	defer m.close()
	if !m.target.absent {
		if err := t.announce(ctx, m, x); err != nil {
			return Result{}, err
		}
	}
	unlock := t.lockTransfer(m)
	err = t.moveLocked(ctx, m, x)
	unlock()
	if err != nil {
		t.retract(m)
		return Result{}, err
	}
	if !m.target.absent {
		t.quarantine.add(t.displaced(m.area, m.id, m.record, m.target, true))
	}
	if err := t.folders.sync(m.to.dir, m.to.key.folder); err != nil {
		return Result{}, fmt.Errorf("move to %q: %w", to.s, err)
	}
	if m.from.key.folder != m.to.key.folder {
		if err := t.folders.sync(m.from.dir, m.from.key.folder); err != nil {
			return Result{}, fmt.Errorf("move from %q: %w", from.s, err)
		}
	}
	return Result{Entry: m.entry, Created: m.target.absent, Cursor: m.told}, m.late
}

// transfer finds both names and holds what is there.
func (t *Tree) transfer(ctx context.Context, from, to Path, x Transfer) (*transfer, error) {
	m := &transfer{fromPath: from, toPath: to, from: place{dir: noDir}, to: place{dir: noDir}}
	if err := t.findTransfer(ctx, m, x); err != nil {
		m.close()
		return nil, err
	}
	return m, nil
}

func (t *Tree) findTransfer(ctx context.Context, m *transfer, x Transfer) (err error) {
	if m.from, err = t.disk.place(m.fromPath.s, false); err != nil {
		m.from.dir = noDir
		return t.absence(err)
	}
	if m.to, err = t.disk.place(m.toPath.s, false); err != nil {
		m.to.dir = noDir
		return err
	}
	if m.area, err = t.areas.of(m.to.dir); err != nil {
		return err
	}
	if m.source, err = t.certify(ctx, m.fromPath, m.from, true); err != nil {
		return err
	}
	if m.source.absent {
		return fmt.Errorf("move %q: %w", m.fromPath.s, ErrNotExist)
	}
	if m.target, err = t.certify(ctx, m.toPath, m.to, x.Destination != nil); err != nil {
		return err
	}
	return m.apart()
}

// apart makes sure that links do not make one of both names.
func (m *transfer) apart() error {
	err := notAbove(m.source.meta, m.to.dir)
	if err == nil {
		err = notAbove(m.target.meta, m.from.dir)
	}
	if m.from.key == m.to.key {
		err = ErrSame
	}
	if err != nil {
		return fmt.Errorf("from %q to %q: %w", m.fromPath.s, m.toPath.s, err)
	}
	return nil
}

// announce records what is about to be displaced. A program may have written the source without syncing it; before it takes
// the place of another file it is made durable.
func (t *Tree) announce(ctx context.Context, m *transfer, x Transfer) error {
	if m.source.h.ok() {
		if err := syncFile(m.source.h); err != nil {
			return err
		}
	}
	if err := t.quarantine.admit(ctx); err != nil {
		return err
	}
	m.id = newID()
	m.record = record{
		how: tookReplaced, staged: m.source.meta.stamp.Ino, displaced: m.target.meta.stamp.Ino,
		digest: m.target.digest, by: x.By, path: m.toPath.s,
	}
	err := m.area.stage.record(m.id+recordSuffix, m.record.String())
	if err == nil {
		err = failpoint("move-announced")
	}
	if err != nil {
		t.retract(m)
	}
	return err
}

// retract takes an announcement back.
func (t *Tree) retract(m *transfer) {
	if m.id == "" {
		return
	}
	_ = m.area.stage.unlink(m.id + recordSuffix)
	t.quarantine.leave()
	m.id = ""
}

const movedSuffix = ".m"

func (t *Tree) lockTransfer(m *transfer) (unlock func()) {
	if m.source.meta.isFolder() || !m.target.absent && m.target.meta.isFolder() {
		t.shape.Lock()
		return t.shape.Unlock
	}
	return t.lock(m.from.key, m.to.key)
}

// moveLocked makes the move, or fails and leaves everything as it was.
func (t *Tree) moveLocked(ctx context.Context, m *transfer, x Transfer) error {
	if err := t.transferStill(m); err != nil {
		return err
	}
	if err := t.fingerprintFor(ctx, m.fromPath, m.source, x.Source != nil); err != nil {
		return err
	}
	if err := t.fingerprintFor(ctx, m.toPath, m.target, x.Destination != nil); err != nil {
		return err
	}
	if err := x.allows(m.source.entry(m.fromPath.Base()), m.target.entry(m.toPath.Base())); err != nil {
		return err
	}
	lift := t.veil.cover(m.inodes(), []key{m.from.key, m.to.key})
	defer lift()
	var err error
	if m.target.absent {
		err = t.moveIntoFree(m)
	} else {
		err = t.moveOver(m)
	}
	if err != nil && m.began {
		t.stats.rollbacks.Add(1)
		t.veil.undone.Add(1)
	}
	if err != nil {
		return err
	}
	if !x.ModTime.IsZero() && m.source.h.ok() {
		m.late = m.source.h.setModTime(x.ModTime)
	}
	t.moved(m)
	return nil
}

func (t *Tree) transferStill(m *transfer) error {
	if err := t.still(m.fromPath, m.from, false); err != nil {
		return t.absence(err)
	}
	if err := t.still(m.toPath, m.to, false); err != nil {
		return err
	}
	if err := t.unchanged(m.from, m.source); err != nil {
		return err
	}
	return t.unchanged(m.to, m.target)
}

func (m *transfer) inodes() []hashing.Inode {
	all := []hashing.Inode{m.source.meta.stamp.Inode()}
	if !m.target.absent {
		all = append(all, m.target.meta.stamp.Inode())
	}
	return all
}

// moveIntoFree renames onto a name that nothing has.
func (t *Tree) moveIntoFree(m *transfer) error {
	if err := moveTo(m.from.dir, m.from.name, m.to.dir, m.to.name); err != nil {
		return orMoved(orTaken(err))
	}
	m.began = true
	err := failpoint("move-moved")
	if err == nil {
		err = t.unmoved(m.to.dir, m.to.name, m.source)
	}
	if err != nil {
		_ = moveTo(m.to.dir, m.to.name, m.from.dir, m.from.name) // if the old name is taken, it stays under the new one
	}
	return err
}

// moveOver makes the move onto a name that is taken. After the exchange the displaced file has the source's name for a moment,
// and recovery must know which that is. The record of it stands only while both names are locked: else another move could
// have brought the same file to the same name.
func (t *Tree) moveOver(m *transfer) error {
	gone := m.record
	gone.how, gone.path = tookMoved, m.fromPath.s
	if err := m.area.stage.record(m.id+movedSuffix, gone.String()); err != nil {
		return err
	}
	err := failpoint("move-recorded")
	if err == nil {
		err = t.moveByExchange(m)
	}
	_ = m.area.stage.unlink(m.id + movedSuffix)
	return err
}

// moveByExchange exchanges both names, so that the destination is never missing, and then stages what now has the source's
// name.
func (t *Tree) moveByExchange(m *transfer) error {
	err := exchange(m.from.dir, m.from.name, m.to.dir, m.to.name)
	if errors.Is(err, errNoExchange) {
		return t.moveByRenames(m)
	}
	if err != nil {
		return orMoved(err)
	}
	m.began = true
	if err = failpoint("move-exchanged"); err == nil {
		err = errors.Join(t.unmoved(m.to.dir, m.to.name, m.source), t.unmoved(m.from.dir, m.from.name, m.target))
	}
	if err == nil {
		err = moveTo(m.from.dir, m.from.name, m.area.stage, m.id)
	}
	if err != nil {
		return errors.Join(err, exchange(m.from.dir, m.from.name, m.to.dir, m.to.name))
	}
	_ = failpoint("move-staged")
	return nil
}

// moveByRenames is moveByExchange where names cannot be exchanged: the destination is missing for a moment.
func (t *Tree) moveByRenames(m *transfer) error {
	spare := m.id + spareSuffix
	if err := moveTo(m.to.dir, m.to.name, m.area.stage, spare); err != nil {
		return orMoved(err)
	}
	m.began = true
	err := failpoint("move-emptied")
	if err == nil {
		err = t.unmoved(m.area.stage, spare, m.target)
	}
	if err == nil {
		err = t.moveIntoFree(m)
	}
	if err == nil {
		if err = moveTo(m.area.stage, spare, m.area.stage, m.id); err == nil {
			return nil
		}
		_ = moveTo(m.to.dir, m.to.name, m.from.dir, m.from.name)
	}
	t.returnTo(m.to, m.area, spare, hashing.Inode{})
	return err
}

// moved describes the source under its new name, and remembers its digest for the stamp that the renaming gave it.
func (t *Tree) moved(m *transfer) {
	now, err := m.to.stat()
	if err != nil || now.stamp.Inode() != m.source.meta.stamp.Inode() {
		now = m.source.meta // another program has had the new name since
	}
	m.entry = now.entry(m.toPath.Base())
	if !m.source.h.ok() {
		m.told = t.tellMoved(m, now, hashing.Record{})
		return
	}
	m.entry.Digest = m.source.digest
	was, known := t.hasher.known(m.source.meta.stamp)
	if known && m.source.held && m.source.h.leaseHeld() {
		was.Stamp, was.Certified = now.stamp, m.source.h.certain(now.stamp)
		t.hasher.index.Put(was)
	} else {
		was = hashing.Record{Stamp: now.stamp, Digest: m.source.digest}
	}
	m.told = t.tellMoved(m, now, was)
}
