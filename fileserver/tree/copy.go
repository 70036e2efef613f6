package tree

import (
	"context"
	"errors"
	"fmt"
	"time"

	"freshet/hashing"
)

const copyTriesMax = 3 // times a file of a folder that changes while it is copied is copied again

// Copy makes to the same as from: a file byte for byte, a folder with all it holds unless x.Shallow, links in it by their
// text. A link at from is followed as Open does. The copy appears at once or not at all; what was at to becomes a version.
// Errors: those of Move, and ErrTorn if the source changed while it was copied, which is tried again.
func (t *Tree) Copy(ctx context.Context, from, to Path, x Transfer) (res Result, err error) {
	defer t.orGone(&err)
	if err := t.mayTransfer(from, to); err != nil {
		return Result{}, err
	}
	for range commitTriesMax {
		res, err = t.copyOnce(ctx, from, to, x)
		if !errors.Is(err, ErrTorn) && !errors.Is(err, errAgain) {
			return res, err
		}
	}
	return Result{}, fmt.Errorf("copy %q: %w", from.s, ErrUnstable)
}

func (t *Tree) copyOnce(ctx context.Context, from, to Path, x Transfer) (Result, error) {
	f, err := t.Open(ctx, from)
	if errors.Is(err, ErrIsFolder) {
		return t.copyFolder(ctx, from, to, x)
	}
	if err != nil {
		return Result{}, err
	}
	defer f.Close()
	return t.copyFile(ctx, f, from, to, x)
}

// copyFile stages the bytes of f and commits them with both names locked.
func (t *Tree) copyFile(ctx context.Context, f *File, from, to Path, x Transfer) (Result, error) {
	source := x.change(x.Source)
	if err := source.allows(&f.Entry); err != nil {
		return Result{}, err
	}
	s, err := t.Stage(ctx, to, f.Entry.Size)
	if err != nil {
		return Result{}, err
	}
	defer s.Discard()
	if err := f.Send(ctx, s, 0, f.Entry.Size); err != nil {
		return Result{}, err
	}
	if !f.Entry.Digest.IsZero() && s.Digest() != f.Entry.Digest {
		return Result{}, fmt.Errorf("copy %q: %w", from.s, ErrTorn)
	}
	m, with, err := t.copySource(from)
	if err != nil {
		return Result{}, err
	}
	if err := s.h.chmod(uint32(m.mode.Perm())); err != nil {
		return Result{}, err
	}
	if x.ModTime.IsZero() {
		x.ModTime = f.Entry.ModTime
	}
	if err := s.seal(x.ModTime); err != nil {
		return Result{}, err
	}
	c := x.change(func(cur *Entry) error { return t.copyAllowed(f, from, cur, x) })
	return t.commit(ctx, to, s, c, with)
}

// copySource returns what is copied, and its name to be locked: none if links lead to it that changes do not follow.
func (t *Tree) copySource(from Path) (m meta, with *key, err error) {
	if m, err = t.disk.lookup(from.s); err != nil {
		return m, nil, t.absence(err)
	}
	at, err := t.disk.place(from.s, true)
	if errors.Is(err, ErrOutside) {
		return m, nil, nil
	}
	if err != nil {
		return m, nil, t.absence(err)
	}
	at.close()
	return m, &at.key, nil
}

// copyAllowed asks the destination's Guard, once the source is known not to have moved since it was read.
func (t *Tree) copyAllowed(f *File, from Path, cur *Entry, x Transfer) error {
	now, err := t.disk.lookup(from.s)
	if err != nil || now.stamp != f.Entry.Stamp {
		return fmt.Errorf("copy %q: %w", from.s, ErrTorn)
	}
	to := x.change(x.Destination)
	return to.allows(cur)
}

// copyFolder builds the copy in the stage folder and moves it to its name in one step.
func (t *Tree) copyFolder(ctx context.Context, from, to Path, x Transfer) (Result, error) {
	at, err := t.disk.place(to.s, false)
	if err != nil {
		return Result{}, err
	}
	defer at.close()
	a, err := t.areas.of(at.dir)
	if err != nil {
		return Result{}, err
	}
	source, err := t.disk.folder(from.s, false)
	if err != nil {
		return Result{}, t.absence(err)
	}
	defer source.close()
	if err := copyApart(source, at); err != nil {
		return Result{}, fmt.Errorf("from %q to %q: %w", from.s, to.s, err)
	}
	if err := t.uploads.begin(); err != nil {
		return Result{}, err
	}
	made := &folderCopy{tree: t, area: a, ctx: ctx, shallow: x.Shallow}
	defer func() { t.uploads.end(made.bytes) }()
	id := newID() + treeSuffix
	defer a.stage.removeAll(id)
	if err := made.stage(source, at, id); err != nil {
		return Result{}, fmt.Errorf("copy %q: %w", from.s, err)
	}
	return t.placeFolder(ctx, from, to, at, a, id, x)
}

// copyApart makes sure that links do not make one of a folder and the name of its copy.
func copyApart(source dir, at place) error {
	m, err := source.self()
	if err != nil {
		return err
	}
	if err := notAbove(m, at.dir); err != nil {
		return err
	}
	if m, err = at.stat(); err != nil {
		return nil // nothing is there
	}
	return notAbove(m, source)
}

// placeFolder gives a finished copy its name.
func (t *Tree) placeFolder(ctx context.Context, from, to Path, at place, a *area, id string, x Transfer) (Result, error) {
	cur, err := t.certify(ctx, to, at, x.Destination != nil)
	if err != nil {
		return Result{}, err
	}
	defer cur.close()
	staged, err := a.stage.stat(id)
	if err != nil {
		return Result{}, err
	}
	r := record{
		how: tookReplaced, staged: staged.stamp.Ino, displaced: cur.meta.stamp.Ino, digest: cur.digest, by: x.By, path: to.s,
	}
	swap := newID()
	if err := t.quarantine.admit(ctx); err != nil {
		return Result{}, err
	}
	if err = a.stage.record(swap+recordSuffix, r.String()); err == nil {
		s := &Staged{tree: t, area: a, id: swap, mine: staged}
		t.shape.Lock()
		err = t.placeLocked(ctx, from, to, at, cur, s, id, x)
		t.shape.Unlock()
	}
	if err != nil || cur.absent {
		_ = a.stage.unlink(swap + recordSuffix)
		t.quarantine.leave()
	} else {
		t.quarantine.add(t.displaced(a, swap, r, cur, true))
	}
	if err != nil {
		return Result{}, err
	}
	if err := t.folders.sync(at.dir, at.key.folder); err != nil {
		return Result{}, err
	}
	t.stats.commits.Add(1)
	// What is in the copy is found by looking, as what a local program brings is.
	return Result{Entry: staged.entry(to.Base()), Created: cur.absent, Cursor: t.journal.end()}, nil
}

// placeLocked moves the folder id of the stage folder to its name, by way of s if that displaces something.
func (t *Tree) placeLocked(ctx context.Context, from, to Path, at place, cur *current, s *Staged, id string, x Transfer) error {
	if err := t.still(to, at, false); err != nil {
		return err
	}
	if err := t.unchanged(at, cur); err != nil {
		return err
	}
	source, err := t.disk.lookup(from.s)
	if err != nil {
		return t.absence(err)
	}
	e := source.entry(from.Base())
	if x.Source != nil {
		e.Digest, err = t.fingerprintNow(ctx, from)
	}
	if err == nil {
		err = t.fingerprintFor(ctx, to, cur, x.Destination != nil)
	}
	if err == nil {
		err = x.allows(&e, cur.entry(to.Base()))
	}
	if err != nil {
		return err
	}
	lift := t.veil.cover([]hashing.Inode{s.mine.stamp.Inode()}, []key{at.key})
	defer lift()
	stage := s.area.stage
	if cur.absent {
		return orMoved(orTaken(moveTo(stage, id, at.dir, at.name)))
	}
	if err := moveTo(stage, id, stage, s.id); err != nil {
		return err
	}
	_ = failpoint("copy-named")
	if err = t.swapIn(at, s); err == nil {
		if err = failpoint("copy-exchanged"); err == nil {
			err = t.unmoved(stage, s.id, cur)
		}
		if err != nil {
			err = t.swapBack(at, s, err)
		}
	}
	if err != nil && s.id != "" {
		stage.removeAll(s.id)
	}
	return orMoved(err)
}

// A folderCopy is a copy of a folder on its way. Links are copied as links; special files and the reserved name are left out.
type folderCopy struct {
	tree    *Tree
	area    *area
	ctx     context.Context
	shallow bool
	bytes   int64 // counted in tree.uploads
}

// stage makes the copy in the stage folder under the name id, with what it inherits where it goes (its group, a default
// ACL).
func (c *folderCopy) stage(source dir, at place, id string) error {
	m, err := at.dir.self()
	if err != nil {
		return err
	}
	stage := c.area.stage
	if !at.dir.inherits(m) {
		return c.copy(source, stage, id, walkDepthMax)
	}
	outer := newID() + treeSuffix
	defer stage.removeAll(outer)
	like, err := subfolder(stage, outer)
	if err != nil {
		return err
	}
	defer like.close()
	if err := like.inheritAs(at.dir, m); err != nil {
		return err
	}
	if err := c.copy(source, like, id, walkDepthMax); err != nil {
		return err
	}
	return moveTo(like, id, stage, id)
}

func (c *folderCopy) copy(source, into dir, name string, depth int) error {
	m, err := source.self()
	if err != nil {
		return err
	}
	if err := c.withRoom(func() error { return into.mkdir(name, newFolderMode) }); err != nil {
		return err
	}
	made, err := into.folder(name)
	if err != nil {
		return err
	}
	defer made.close()
	if depth == 0 {
		return ErrName
	}
	if !c.shallow {
		if err := c.copyNames(source, made, depth); err != nil {
			return err
		}
	}
	if err := made.handle().setModTime(time.Unix(0, m.mtime)); err != nil {
		return err
	}
	return syncFolder(made)
}

func (c *folderCopy) copyNames(source, made dir, depth int) error {
	names, err := source.names()
	if err != nil {
		return err
	}
	for _, name := range names {
		if isReserved(name) {
			continue
		}
		if err := c.ctx.Err(); err != nil {
			return err
		}
		if err := c.copyName(source, made, name, depth); err != nil && !errors.Is(err, ErrNotExist) {
			return fmt.Errorf("%s: %w", name, orMoved(err))
		}
	}
	return nil
}

func (c *folderCopy) copyName(source, made dir, name string, depth int) error {
	m, err := source.stat(name)
	switch {
	case err != nil:
		return err
	case m.isLink():
		text, err := source.readlink(name)
		if err != nil {
			return err
		}
		return c.withRoom(func() error { return made.symlink(name, text) })
	case m.isFolder():
		sub, err := source.folder(name)
		if err != nil {
			return err
		}
		defer sub.close()
		return c.copy(sub, made, name, depth-1)
	case m.isRegular():
		return c.copyFile(source, made, name)
	}
	return nil
}

// copyFile copies one file that holds still meanwhile, or tries again.
func (c *folderCopy) copyFile(source, made dir, name string) error {
	for range copyTriesMax {
		err := c.copyFileOnce(source, made, name)
		if !errors.Is(err, errMoved) {
			return err
		}
		_ = made.unlink(name)
	}
	return ErrUnstable
}

func (c *folderCopy) copyFileOnce(source, made dir, name string) error {
	from, m, err := source.open(name)
	if err != nil {
		return err
	}
	defer from.close()
	held := awaitLease(c.ctx, from, InUseWaitMax) == leaseGranted
	if m, err = from.stat(); err != nil {
		return err
	}
	counted, err := c.tree.uploads.grow(m.stamp.Size, 0)
	if err != nil {
		return err
	}
	c.bytes += counted
	to := noHandle
	err = c.withRoom(func() (err error) {
		to, err = made.create(name, uint32(m.mode.Perm()))
		return err
	})
	if err != nil {
		return err
	}
	defer to.close()
	if err := c.fill(to, from, m.stamp.Size, held); err != nil {
		return err
	}
	after, err := from.stat()
	if err != nil {
		return err
	}
	if after.stamp != m.stamp || held && !from.leaseHeld() {
		return errMoved
	}
	if err := to.setModTime(time.Unix(0, m.mtime)); err != nil {
		return err
	}
	return syncFile(to)
}

// withRoom makes a name. When there is no space for it old versions make room.
func (c *folderCopy) withRoom(name func() error) error {
	return c.area.versions.withRoom(roomForNamesBytes, name)
}

// fill gives a new file size bytes of another one: by sharing its blocks where that can be had. On a full disk old versions
// make room.
func (c *folderCopy) fill(to, from handle, size int64, held bool) error {
	if size == 0 || to.cloneFrom(from) == nil {
		return nil
	}
	if err := c.area.versions.withRoom(size, func() error { return to.reserve(size) }); err != nil {
		return err
	}
	return c.tree.hasher.feed(writerTo{to}, from, size, held)
}

// writerTo lets a handle be written to as an io.Writer.
type writerTo struct{ h handle }

func (w writerTo) Write(b []byte) (int, error) { return w.h.write(b) }
