package tree

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"freshet/hashing"
)

const openTriesMax = 8 // times a name that moves while it is looked at is looked at again

// errAgain says that what was looked at was about to be put back, or moved: look again.
var errAgain = errors.New("look again")

// Stat returns what is at p without hashing: Digest is zero unless it is remembered. Links are followed, and errors are those
// of Open, but that a folder is none.
func (t *Tree) Stat(ctx context.Context, p Path) (Entry, error) {
	m, err := t.look(ctx, p)
	if err != nil {
		return Entry{}, err
	}
	if m.isSpecial() {
		return Entry{}, fmt.Errorf("stat %q: %w", p.s, ErrSpecial)
	}
	e := m.entry(p.Base())
	if rec, ok := t.known(p.s, m.stamp); ok && m.isRegular() {
		e.Digest = rec.Digest
	}
	return e, nil
}

// Open opens the file at p and finds its digest, hashing at most once however many ask, for at most Options.HashWaitMax.
// When that is too short, or a large file is open for writing right now, the File has no digest and must be sent without a
// tag. Errors: ErrNotExist, ErrIsFolder, ErrSpecial, ErrOutside, ErrPermission, ErrUnstable, ErrTooManyFiles, ErrRootGone.
func (t *Tree) Open(ctx context.Context, p Path) (*File, error) {
	for range openTriesMax {
		f, err := t.openOnce(ctx, p)
		if err == nil || !errors.Is(err, errAgain) && !errors.Is(err, errMoved) {
			return f, err
		}
	}
	return nil, fmt.Errorf("open %q: %w", p.s, ErrUnstable)
}

func (t *Tree) openOnce(ctx context.Context, p Path) (*File, error) {
	m, err := t.look(ctx, p)
	if err != nil {
		return nil, err
	}
	if err := m.fileKind(); err != nil {
		return nil, fmt.Errorf("open %q: %w", p.s, err)
	}
	if rec, ok := t.known(p.s, m.stamp); ok {
		return t.file(p, m, rec), nil
	}
	return t.openUnknown(ctx, p)
}

// file describes a file whose digest is remembered. Nothing is opened until its bytes are asked for.
func (t *Tree) file(p Path, m meta, rec hashing.Record) *File {
	f := &File{Entry: m.entry(p.Base()), tree: t, rel: p.s, blocks: rec.Blocks, h: noHandle}
	f.Entry.Digest = rec.Digest
	return f
}

// look returns what is at p as soon as no change is half done there.
func (t *Tree) look(ctx context.Context, p Path) (meta, error) {
	if !t.serves(p) {
		return meta{}, fmt.Errorf("stat %q: %w", p.s, ErrNotExist)
	}
	for range openTriesMax {
		undone := t.veil.undone.Load()
		m, err := t.disk.lookup(p.s)
		if err == nil && p.IsRoot() && t.disk.gone() {
			err = fmt.Errorf("stat the root: %w", ErrNotExist)
		}
		covered := t.covered(p, m, err)
		if covered == nil && t.veil.undone.Load() == undone {
			return m, t.absence(err)
		}
		if err := await(ctx, covered); err != nil {
			return meta{}, err
		}
	}
	return meta{}, fmt.Errorf("stat %q: %w", p.s, ErrUnstable)
}

// covered returns what to wait for before the outcome of a look at p may be believed.
func (t *Tree) covered(p Path, m meta, err error) <-chan struct{} {
	if err == nil {
		return t.veil.overFile(m.stamp.Inode())
	}
	if !errors.Is(err, ErrNotExist) || p.IsRoot() || !t.veil.overNames() {
		return nil
	}
	at, err := t.disk.place(p.s, false)
	if err != nil {
		return nil
	}
	defer at.close()
	return t.veil.overName(at.key)
}

func await(ctx context.Context, c <-chan struct{}) error {
	if c == nil {
		return nil
	}
	select {
	case <-c:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// absence tells a missing file from a missing root.
func (t *Tree) absence(err error) error {
	if errors.Is(err, ErrNoParent) {
		err = fmt.Errorf("%w: %v", ErrNotExist, err)
	}
	if errors.Is(err, ErrNotFolder) {
		err = fmt.Errorf("%w: %w", ErrNotExist, err)
	}
	if errors.Is(err, ErrReserved) {
		err = fmt.Errorf("%w: %w", ErrNotExist, err)
	}
	if errors.Is(err, ErrNotExist) && t.disk.gone() {
		return fmt.Errorf("%w: %w", ErrRootGone, err)
	}
	return err
}

// orGone makes of any failure that the root is gone, once it is.
func (t *Tree) orGone(err *error) {
	if *err != nil && !errors.Is(*err, ErrRootGone) && t.disk.gone() {
		*err = fmt.Errorf("%w: %v", ErrRootGone, *err)
	}
}

// openUnknown opens a file whose present state has no remembered digest, and finds one.
func (t *Tree) openUnknown(ctx context.Context, p Path) (*File, error) {
	undone := t.veil.undone.Load()
	h, m, err := t.disk.open(p.s)
	if err != nil {
		return nil, t.absence(err)
	}
	f := t.file(p, m, hashing.Record{})
	f.h = h
	if covered := t.veil.overFile(m.stamp.Inode()); covered != nil || t.veil.undone.Load() != undone {
		f.Close()
		if err := await(ctx, covered); err != nil {
			return nil, err
		}
		return nil, errAgain
	}
	if err := t.describe(ctx, f); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// describe finds the digest of an open file: under a lease where there is one, of a copy of its own where the file cannot
// be held still, or none where that would take too much memory or time.
func (t *Tree) describe(ctx context.Context, f *File) error {
	switch awaitLease(ctx, f.h, writerWaitMax) {
	case leaseGranted:
		return t.hashInto(ctx, f, true)
	case leaseBusy:
		if f.Entry.Size <= copyBytesMax {
			return t.copyInto(ctx, f, false)
		}
		return t.cloneInto(ctx, f)
	}
	if f.Entry.Size <= copyBytesMax {
		return t.copyInto(ctx, f, true)
	}
	return t.hashInto(ctx, f, false)
}

// hashInto hashes the file in place. A lease ends with the descriptor that the hashing holds.
func (t *Tree) hashInto(ctx context.Context, f *File, held bool) error {
	rec, ok, read, err := t.hasher.hash(ctx, f.h, held, t.o.HashWaitMax)
	if read {
		t.stats.hashedOnRequest.Add(1)
	}
	if err != nil && !errors.Is(err, ErrBusy) {
		return err
	}
	if !ok {
		return f.reopen()
	}
	if held {
		f.h.unlease()
	}
	if rec.Stamp != f.Entry.Stamp {
		return errMoved
	}
	f.Entry.Digest, f.blocks = rec.Digest, rec.Blocks
	return nil
}

// reopen parts f from the lease that the hashing goes on under, so that a long download does not keep a local program from
// writing.
func (f *File) reopen() error {
	h, err := f.h.readOnly()
	if err != nil {
		return err
	}
	f.h.close()
	f.h = h
	return nil
}

// copyInto reads the file into memory and names the copy. The tag is right by construction, whatever the file does. With
// remember it is also taken for the file's own if the file did not move; not so while a program is known to be writing.
func (t *Tree) copyInto(ctx context.Context, f *File, remember bool) error {
	if err := t.borrow(ctx, f.Entry.Size); err != nil {
		return err
	}
	f.borrowed = f.Entry.Size
	began := time.Now().UnixNano()
	body := make([]byte, f.Entry.Size)
	n, err := f.h.readAt(body, 0)
	if err == io.EOF {
		return errMoved
	}
	if err != nil {
		return err
	}
	t.stats.hashedOnRequest.Add(1)
	sum := t.o.Algorithm.NewHasher()
	_, _ = sum.Write(body[:n])
	f.body, f.Entry.Digest = body[:n], sum.Digest()
	if !remember {
		return nil
	}
	after, err := f.h.stat()
	if err != nil {
		return err
	}
	if after.stamp == f.Entry.Stamp {
		t.hasher.remember(after, hashing.Record{
			Stamp: after.stamp, Digest: f.Entry.Digest, Blocks: sum.Blocks(), Began: began,
		})
	}
	return nil
}

// borrow takes memory for a copy from Options.BodyBytesMax. When clients hold all of it for copyWaitMax, it is ErrBusy.
func (t *Tree) borrow(ctx context.Context, bytes int64) error {
	short, cancel := context.WithTimeout(ctx, copyWaitMax)
	defer cancel()
	err := t.bodies.Acquire(short, bytes)
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("%w: other answers hold the memory for bodies", ErrBusy)
	}
	return err
}

// cloneInto sends a large file that is being written from a reflink of it, where the filesystem has such, and else as it
// is, without a tag: a log or a recording that is always open must be readable.
func (t *Tree) cloneInto(ctx context.Context, f *File) error {
	if t.home == nil {
		return nil
	}
	name := newID() + partSuffix
	clone, named, err := t.home.stage.temp(name, 0o600)
	if err != nil {
		return nil
	}
	if named {
		_ = t.home.stage.unlink(name)
	}
	if clone.cloneFrom(f.h) != nil {
		clone.close()
		return nil
	}
	m, err := clone.stat()
	if err != nil {
		clone.close()
		return err
	}
	f.h.close()
	f.h, f.Entry.Size, f.Entry.Stamp = clone, m.stamp.Size, m.stamp
	return t.hashInto(ctx, f, false)
}
