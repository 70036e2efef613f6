package tree

import (
	"context"
	"errors"
	"fmt"

	"freshet/hashing"
)

// current is what a change found at a name, held still as well as it can be.
type current struct {
	meta   meta
	h      handle // open for files; closing it gives a lease back
	held   bool   // a read lease is held on h
	digest hashing.Digest
	absent bool
	out    hashing.Stamp // as unmoved found it, before it looked at the bytes
}

func (c *current) close() {
	c.h.close()
	c.h = noHandle
}

// entry is what a Guard is shown; nil when there is nothing.
func (c *current) entry(name string) *Entry {
	if c.absent {
		return nil
	}
	e := c.meta.entry(name)
	e.Digest = c.digest
	return &e
}

// certify opens what is at a name and finds its digest, before any lock is taken, since the file may be large. A file that
// a local program has open for writing is waited for, then refused with ErrInUse. tags says that the digest is needed; without
// it, a file under a lease need not be read.
func (t *Tree) certify(ctx context.Context, p Path, at place, tags bool) (*current, error) {
	m, err := at.stat()
	if errors.Is(err, ErrNotExist) {
		return &current{absent: true, h: noHandle}, nil
	}
	if err != nil {
		return nil, err
	}
	if m.isSpecial() {
		return nil, fmt.Errorf("%q: %w", at.name, ErrSpecial)
	}
	c := &current{meta: m, h: noHandle}
	if !m.isRegular() {
		return c, nil
	}
	if c.h, c.meta, err = at.dir.open(at.name); err != nil {
		return nil, orMoved(err)
	}
	if err := t.hold(ctx, p, c, tags); err != nil {
		c.close()
		return nil, fmt.Errorf("%q: %w", at.name, err)
	}
	return c, nil
}

// orMoved makes what shows that a name changed between two looks a reason to look again.
func orMoved(err error) error {
	for _, moved := range []error{ErrNotExist, ErrIsFolder, ErrNotFolder, ErrSpecial, ErrOutside} {
		if errors.Is(err, moved) {
			return fmt.Errorf("%w: %w", errAgain, err)
		}
	}
	return err
}

// hold takes the lease and finds the digest.
func (t *Tree) hold(ctx context.Context, p Path, c *current, tags bool) (err error) {
	switch awaitLease(ctx, c.h, InUseWaitMax) {
	case leaseBusy:
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return ErrInUse
	case leaseGranted:
		c.held = true
	}
	if c.meta, err = c.h.stat(); err != nil {
		return err
	}
	_, _ = t.known(p.s, c.meta.stamp) // what is remembered by path is remembered by stamp from here on
	if rec, ok := t.hasher.proven(c.h, c.meta.stamp, c.held); ok {
		c.digest = rec.Digest
		return nil
	}
	if c.held && !tags && c.meta.stamp.Size > copyBytesMax {
		return nil
	}
	rec, ok, read, err := t.hasher.hash(ctx, c.h, c.held, changeHashWaitMax)
	if read {
		t.stats.hashedOnRequest.Add(1)
	}
	if errors.Is(err, errMoved) || err == nil && rec.Stamp != c.meta.stamp {
		return errAgain
	}
	if err != nil || !ok {
		return err
	}
	c.digest = rec.Digest
	return nil
}

// unmoved makes sure that what a change has just displaced, now called name in d, is what its Guard was shown. errAgain: it
// is not.
func (t *Tree) unmoved(d dir, name string, c *current) error {
	m, err := d.stat(name)
	c.out = m.stamp
	switch {
	case err != nil:
		return orMoved(err)
	case m.stamp.Inode() != c.meta.stamp.Inode():
		return errAgain
	case !c.h.ok():
		return nil
	case c.held:
		if !c.h.leaseHeld() {
			return errAgain
		}
		return nil
	case m.stamp.Size != c.meta.stamp.Size || m.mtime != c.meta.mtime:
		return errAgain
	}
	sum := t.o.Algorithm.NewHasher()
	if err := t.hasher.feed(sum, c.h, m.stamp.Size, false); err != nil {
		return errors.Join(errAgain, err)
	}
	if sum.Digest() != c.digest {
		return errAgain
	}
	return nil
}
