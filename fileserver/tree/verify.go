package tree

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"

	"golang.org/x/sync/errgroup"

	"freshet/hashing"
)

const (
	verifyReadsMax   = 2 // files that one Verify reads at once
	verifyTriesMax   = 3 // times a wrong digest is forgotten that a request brings back meanwhile
	verifyAllFolders = -1
)

// A Flaw is something that Verify has found wrong with a file.
type Flaw struct {
	Path Path
	Was  hashing.Digest // what its bytes were
	Is   hashing.Digest // what they are
	Err  error          // why it, or the folder at Path, could not be read; Was and Is are zero then
}

// Verified says what one Verify has done.
type Verified struct {
	Files      int64 // read whole and compared
	Bytes      int64 // in these
	Mismatches int64 // of these, that have other bytes than remembered
	Changed    int64 // not compared: they changed in the ordinary way since they were last read, or were not read yet
	Unreadable int64 // files and folders
}

// Verify reads every file at below and under it again, and compares its bytes with what is remembered of them. A file whose
// stamp is the one that is remembered but whose bytes are not has rotted on its disk, or was written to behind the kernel's
// back (through a mapping, or below the filesystem): that is a mismatch, which is reported and logged; from then on the file
// goes by the bytes that it has. Links have no bytes. Requests go first. report is called for one Flaw at a time, and progress
// from time to time; both may be nil. Errors: those of Folder, and ErrBusy while another Verify runs.
func (t *Tree) Verify(ctx context.Context, below Path, report func(Flaw), progress func(Verified)) (Verified, error) {
	if !t.verifying.TryLock() {
		return Verified{}, fmt.Errorf("verify: %w: the tree is being verified already", ErrBusy)
	}
	defer t.verifying.Unlock()
	folders, only, err := t.toVerify(ctx, below)
	if err != nil {
		return Verified{}, err
	}
	v := &verification{tree: t, report: report, progress: progress, again: map[string]struct{}{}}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(verifyReadsMax)
	for _, f := range folders {
		if only == "" && t.picture.isBlind(f.Path.s) {
			v.unreadable(f.Path, ErrPermission)
		}
		for it := range f.items() {
			if !it.isFile() || only != "" && it.name != only {
				continue
			}
			at := ground{dev: f.dev, rel: f.Path}
			group.Go(func() error { return v.file(ctx, at, it) })
			if ctx.Err() != nil {
				break
			}
		}
	}
	err = group.Wait()
	v.refresh()
	return v.sum, err
}

// toVerify returns the folders to be gone through, and the one name in them that counts if below is a file.
func (t *Tree) toVerify(ctx context.Context, below Path) (folders []*Folder, only string, err error) {
	s, err := t.SurveyBelow(ctx, below, verifyAllFolders)
	if err != nil || len(s.Gone) == 0 {
		return s.Folders, "", err
	}
	f, _, err := t.Folder(ctx, below.Parent())
	if err != nil {
		return nil, "", err
	}
	for it := range f.items() {
		if it.name == below.Base() && it.isFile() {
			return []*Folder{f}, it.name, nil
		}
	}
	return nil, "", fmt.Errorf("verify %q: %w", below.s, ErrNotExist)
}

// items yields the direct children as the picture has them.
func (f *Folder) items() func(yield func(item) bool) {
	return func(yield func(item) bool) {
		for i := range f.slots {
			c := f.slots[i].items
			for i := range c.len() {
				if !yield(c.item(i)) {
					return
				}
			}
		}
	}
}

// isBlind reports whether the folder at rel cannot be read.
func (p *picture) isBlind(rel string) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	n := p.find(rel)
	return n != nil && n.blind
}

// A verification is one Verify under way.
type verification struct {
	tree     *Tree
	report   func(Flaw)
	progress func(Verified)

	mu    sync.Mutex          // held while report and progress are called
	sum   Verified            // guarded by mu
	again map[string]struct{} // guarded by mu; folders in which something has changed
}

// file compares one file with what is remembered of it. Only the end of ctx is an error.
func (v *verification) file(ctx context.Context, at ground, it item) error {
	rel := at.below(it.name)
	is, err := v.tree.reread(ctx, rel, &at, &it)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, errMoved):
		v.changed(at.rel)
		return nil
	case err != nil:
		v.unreadable(rel, err)
		return nil
	case is == it.digest:
		v.count(func(s *Verified) { s.Files, s.Bytes = s.Files+1, s.Bytes+it.size })
		return nil
	}
	v.tree.correct(ctx, rel, hashing.Inode{Dev: at.dev, Ino: it.ino}, it.digest)
	if it.flags&itemTrusted == 0 { // it was read while a program had it open for writing, which nobody relies on
		v.changed(at.rel)
		return nil
	}
	v.tree.stats.mismatches.Add(1)
	v.tree.o.Log.LogAttrs(ctx, slog.LevelWarn, "a file has other bytes, though nothing says that it was changed",
		slog.String("path", rel.s), slog.String("was", it.digest.String()), slog.String("is", is.String()))
	v.count(func(s *Verified) {
		s.Files, s.Bytes, s.Mismatches = s.Files+1, s.Bytes+it.size, s.Mismatches+1
		v.tell(Flaw{Path: rel, Was: it.digest, Is: is})
	})
	return nil
}

func (v *verification) count(add func(*Verified)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	add(&v.sum)
	if v.progress != nil {
		v.progress(v.sum)
	}
}

func (v *verification) tell(f Flaw) {
	if v.report != nil {
		v.report(f)
	}
}

func (v *verification) changed(folder Path) {
	v.count(func(s *Verified) {
		s.Changed++
		v.again[folder.s] = struct{}{}
	})
}

func (v *verification) unreadable(p Path, err error) {
	v.count(func(s *Verified) {
		s.Unreadable++
		v.tell(Flaw{Path: p, Err: err})
	})
}

// refresh has the folders looked at in which something has changed: an event may not have told of it.
func (v *verification) refresh() {
	folders := make([]string, 0, len(v.again))
	for rel := range v.again {
		folders = append(folders, rel)
	}
	v.tree.refresher.ask(folders)
}

// reread reads a file of the picture again. errMoved: it is not in the state any more that is remembered, or does not hold
// still. A digest that differs was found twice: a program may have been writing just now.
func (t *Tree) reread(ctx context.Context, rel Path, at *ground, it *item) (is hashing.Digest, err error) {
	h, m, err := t.disk.open(rel.s)
	if err != nil {
		for _, moved := range []error{fs.ErrNotExist, ErrNotFolder, ErrIsFolder, ErrSpecial, ErrOutside, ErrReserved} {
			if errors.Is(err, moved) {
				err = errMoved
			}
		}
		return is, err
	}
	defer h.close()
	if now := itemOf(m, it.name, at.dev); !it.same(&now) || it.unknown() {
		return is, errMoved
	}
	held := awaitLease(ctx, h, writerWaitMax) == leaseGranted
	for range 2 {
		before := is
		if is, err = t.readAgain(ctx, h, m.stamp, held); err != nil || is == it.digest {
			return is, err
		}
		if !before.IsZero() && is != before {
			return is, errMoved
		}
	}
	return is, nil
}

// readAgain returns the digest of the bytes that the disk has, as far as the system lets them be had.
func (t *Tree) readAgain(ctx context.Context, h handle, s hashing.Stamp, held bool) (hashing.Digest, error) {
	h.uncache()
	sum := &patientSum{tree: t, ctx: ctx, Hasher: t.o.Algorithm.NewHasher()}
	if err := t.hasher.feed(sum, h, s.Size, held); err != nil {
		return hashing.Digest{}, err
	}
	after, err := h.stat()
	if err == nil && (after.stamp != s || held && !h.leaseHeld()) {
		err = errMoved
	}
	return sum.Digest(), err
}

// A patientSum lets requests go first with each piece that it is given, and ends when its context does.
type patientSum struct {
	*hashing.Hasher
	tree *Tree
	ctx  context.Context
}

func (s *patientSum) Write(b []byte) (int, error) {
	s.tree.yield()
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.Hasher.Write(b)
}

// correct forgets the digest of a file that has other bytes, and finds the one that it has. A request that was under way may
// remember the wrong one once more.
func (t *Tree) correct(ctx context.Context, rel Path, inode hashing.Inode, wrong hashing.Digest) {
	folder, name := splitPath(rel.s)
	for range verifyTriesMax {
		t.distrust(rel.s)
		t.hasher.index.Drop(inode)
		if _, err := t.digest(ctx, rel.s); err != nil {
			return // the file is gone, or goes on being looked at by itself
		}
		n := t.picture.at(folder)
		if n == nil {
			return
		}
		if it, ok := t.picture.child(n, name); !ok || it.digest != wrong {
			return
		}
	}
}
