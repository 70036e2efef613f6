package tree

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Restore makes a version of p what is at to, which may be p. A file is copied, with its time, mode and attributes,
// and committed as any other change: what it displaces becomes a version too, and the version that is restored stays
// one. A link, or a folder with all it holds, goes back in one rename and is no version any more; nothing may be at to
// then, whatever the Guard says: ErrExist. The folder that to is in must be there, and for links and folders on the
// same filesystem: ErrCrossDevice. Other errors are those of OpenVersion and Commit.
func (t *Tree) Restore(ctx context.Context, p Path, key VersionKey, to Path, c Change) (res Result, err error) {
	defer t.orGone(&err)
	if err := t.mayChange(to); err != nil {
		return Result{}, err
	}
	f, k, err := t.openVersion(ctx, p, key)
	if isNoFile(err) {
		err = t.retry(to, false, func() (err error) {
			res, err = t.giveBack(ctx, k, to, c)
			return err
		})
		return res, err
	}
	if err != nil {
		return Result{}, err
	}
	defer f.Close()
	s, err := t.stageVersion(ctx, f, k, to)
	if err != nil {
		return Result{}, fmt.Errorf("restore %q: %w", p.s, err)
	}
	if c.ModTime.IsZero() {
		c.ModTime = f.Entry.ModTime
	}
	return t.Commit(ctx, to, s, c)
}

// stageVersion stages a copy of a version.
func (t *Tree) stageVersion(ctx context.Context, f *File, k foundVersion, to Path) (s *Staged, err error) {
	_, m, err := k.in.stat(k.id)
	switch {
	case err != nil:
		return nil, orNoVersion(err)
	case f.Entry.Digest.IsZero(), m.stamp.Ino != f.Entry.Stamp.Ino: // or it is a copy, made because of a writer
		return nil, ErrInUse
	}
	if s, err = t.Stage(ctx, to, f.Entry.Size); err != nil {
		return nil, err
	}
	if err = s.fill(ctx, f); err == nil {
		err = s.inherit(f.h, m)
	}
	if err == nil && s.Digest() != f.Entry.Digest {
		err = ErrTorn
	}
	if err != nil {
		s.Discard()
		return nil, err
	}
	return s, nil
}

func orNoVersion(err error) error {
	if errors.Is(err, ErrNotExist) {
		return fmt.Errorf("%w: %w", ErrNoVersion, err)
	}
	return err
}

// fill makes the upload a copy of f, with f's own blocks where they can be shared.
func (s *Staged) fill(ctx context.Context, f *File) error {
	if f.body != nil || f.Entry.Size == 0 || s.h.cloneFrom(f.h) != nil {
		return f.Send(ctx, s, 0, f.Entry.Size)
	}
	if err := s.count(f.Entry.Size); err != nil {
		return err
	}
	return s.tree.hasher.feed(s.sum, s.h, f.Entry.Size, false)
}

// inherit gives the upload what the file was has beside its bytes. Only root can give a file to another owner: then
// all but its mode is the server's.
func (s *Staged) inherit(was handle, m meta) error {
	mine, err := s.h.stat()
	if err != nil {
		return err
	}
	_, err = s.h.like(was, m, mine)
	if errors.Is(err, ErrPermission) {
		return s.h.chmod(uint32(m.mode.Perm()))
	}
	return err
}

// giveBack moves a folder or a link from the versions to a name that nothing has.
func (t *Tree) giveBack(ctx context.Context, k foundVersion, to Path, c Change) (Result, error) {
	_, whole, err := k.in.stat(k.id)
	if err != nil {
		return Result{}, orNoVersion(err)
	}
	at, err := t.disk.place(to.s, false)
	if err != nil {
		return Result{}, err
	}
	defer at.close()
	cur, err := t.certify(ctx, to, at, c.Guard != nil)
	if err != nil {
		return Result{}, err
	}
	defer cur.close()
	unlock := t.lockFor(&current{meta: whole}, at.key)
	m, err := t.giveBackLocked(k, to, at, cur, c)
	unlock()
	if err != nil {
		return Result{}, err
	}
	if err := t.folders.sync(at.dir, at.key.folder); err != nil {
		return Result{}, fmt.Errorf("restore %q: %w", to.s, err)
	}
	return Result{Entry: m.entry(to.Base()), Created: true, Cursor: t.journal.end()}, nil
}

func (t *Tree) giveBackLocked(k foundVersion, to Path, at place, cur *current, c Change) (meta, error) {
	if err := t.still(to, at, false); err != nil {
		return meta{}, err
	}
	if err := t.unchanged(at, cur); err != nil {
		return meta{}, err
	}
	if err := c.allows(cur.entry(to.Base())); err != nil {
		return meta{}, err
	}
	if !cur.absent {
		return meta{}, fmt.Errorf("restore %q: %w", to.s, ErrExist)
	}
	if err := k.in.release(k.id, at); err != nil {
		return meta{}, err
	}
	return at.stat()
}

// release moves a version to a name in the tree, from wherever it is, and ends it.
func (v *versions) release(id string, at place) error {
	v.moves.Lock()
	defer v.moves.Unlock()
	k, from, ok := v.claim(id)
	if !ok {
		return fmt.Errorf("version %q: %w", id, ErrNoVersion)
	}
	if err := moveTo(from, id, at.dir, at.name); err != nil {
		v.unclaim(k, from)
		return orMoved(orTaken(err))
	}
	_ = failpoint("restore-moved")
	_ = from.unlink(id + recordSuffix)
	return nil
}

// claim takes a version out of the lists, so that nothing else can happen to it. v.moves is held.
func (v *versions) claim(id string) (k version, from dir, ok bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if at, found := slices.BinarySearchFunc(v.kept, id, version.compare); found {
		k = v.kept[at]
		v.kept = slices.Delete(v.kept, at, at+1)
		v.bytes -= k.bytes
		return k, v.dir, true
	}
	at := slices.IndexFunc(v.arriving, func(k version) bool { return k.id == id && !k.ended })
	if at < 0 {
		return k, noDir, false
	}
	k = v.arriving[at]
	v.arriving = slices.Delete(v.arriving, at, at+1)
	return k, v.stage, true
}

func (v *versions) unclaim(k version, from dir) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if from == v.stage {
		v.arriving = append(v.arriving, k)
		return
	}
	v.insert(k)
}

// Purge ends a version for good. ErrNoVersion, ErrReadOnly.
func (t *Tree) Purge(_ context.Context, id VersionID) error {
	n, err := t.endVersions(func(k version) bool { return k.id == string(id) })
	if err == nil && n == 0 {
		err = fmt.Errorf("version %q: %w", id, ErrNoVersion)
	}
	return err
}

// EmptyTrash ends all that Trash lists, but what is somebody's only copy: that must be purged by its ID. It returns
// how many there were.
func (t *Tree) EmptyTrash(_ context.Context, below Path) (ended int, err error) {
	t.findArea(below)
	return t.endVersions(func(k version) bool { return k.trashBelow(below) && !k.late() })
}

func (t *Tree) endVersions(match func(version) bool) (ended int, err error) {
	if t.home == nil || t.o.Only != "" {
		return 0, fmt.Errorf("end versions: %w", ErrReadOnly)
	}
	t.areas.each(func(a *area) { ended += a.versions.end(match) })
	return ended, nil
}

// end ends the versions that match says yes to. What is in the quarantine stays there for its time: a program may be
// about to save to it.
func (v *versions) end(match func(version) bool) (count int) {
	var ended []version
	v.mu.Lock()
	v.kept = slices.DeleteFunc(v.kept, func(k version) bool {
		if !match(k) {
			return false
		}
		v.bytes -= k.bytes
		ended = append(ended, k)
		return true
	})
	for i := range v.arriving {
		if k := &v.arriving[i]; !k.ended && match(*k) {
			k.ended = true
			count++
		}
	}
	v.mu.Unlock()
	v.remove(ended)
	return count + len(ended)
}
