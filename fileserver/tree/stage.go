package tree

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"freshet/hashing"
)

const (
	newFileMode    = 0o666    // before the process's umask
	reserveFrom    = 1 << 20  // uploads from this size on ask for their room on disk at once, in bytes
	stageStepBytes = 16 << 20 // an upload of unknown size is counted ahead by as much as it has, at most by this
)

// uploads counts what is staged.
type uploads struct {
	countMax int
	bytesMax int64

	mu    sync.Mutex
	count int   // guarded by mu
	bytes int64 // guarded by mu
}

func (u *uploads) init(o Options, filesystem int64) {
	u.countMax, u.bytesMax = o.UploadsMax, o.StageBytesMax
	if u.bytesMax == 0 {
		u.bytesMax = int64(float64(filesystem) * StageShareMax)
	}
}

func (u *uploads) begin() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.count >= u.countMax {
		return fmt.Errorf("%w: %d are under way", ErrBusy, u.count)
	}
	u.count++
	return nil
}

// grow counts n more bytes, and up to ahead bytes that are expected to follow, as far as there is room.
func (u *uploads) grow(n, ahead int64) (counted int64, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	room := u.bytesMax - u.bytes
	if n > room {
		return 0, fmt.Errorf("%w: uploads may take %d bytes in all", ErrNoSpace, u.bytesMax)
	}
	counted = n + min(ahead, room-n)
	u.bytes += counted
	return counted, nil
}

func (u *uploads) end(n int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.count--
	u.bytes -= n
}

func (u *uploads) levels() (count int, bytes int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.count, u.bytes
}

// Staged is an upload on its way: bytes received but not visible under any name. End it with Commit or Discard. Not safe for
// concurrent use.
type Staged struct {
	tree  *Tree
	area  *area
	h     handle // open for writing until sealed, then for reading only
	sum   *hashing.Hasher
	began int64
	held  bool // a lease on h is held

	expected int64  // -1: not known
	counted  int64  // bytes counted in tree.uploads
	id       string // its name in the stage folder, when it has one
	record   record // what is written beside that name
	exposed  bool   // it had its target's name for a moment; it has room in the quarantine
	ended    bool
	mine     meta   // as of seal
	told     Cursor // the place of the commit in the feed
}

// Stage begins an upload to p of size bytes, -1 if unknown. Errors: ErrNoParent, ErrIsFolder, ErrBusy, ErrTooLarge,
// ErrNoSpace, ErrReadOnly and those of resolving p's folder.
func (t *Tree) Stage(_ context.Context, p Path, size int64) (s *Staged, err error) {
	defer t.orGone(&err)
	if err := t.mayChange(p); err != nil {
		return nil, err
	}
	if size > t.o.UploadBytesMax {
		return nil, fmt.Errorf("stage %q: %w: %d bytes, the limit is %d", p.s, ErrTooLarge, size, t.o.UploadBytesMax)
	}
	at, err := t.disk.place(p.s, true)
	if err != nil {
		return nil, err
	}
	defer at.close()
	if err := at.dir.writable(); err != nil {
		return nil, fmt.Errorf("stage %q: %w", p.s, err)
	}
	a, err := t.areas.of(at.dir)
	if err != nil {
		return nil, err
	}
	return t.stageIn(a, at, size)
}

// mayChange refuses changes to a read-only tree and to the root itself.
func (t *Tree) mayChange(p Path) error {
	if t.home == nil || t.o.Only != "" {
		return fmt.Errorf("change %q: %w", p.s, ErrReadOnly)
	}
	if p.IsRoot() {
		return fmt.Errorf("change the root: %w", ErrIsFolder)
	}
	return nil
}

// stageIn makes the file that receives the upload.
func (t *Tree) stageIn(a *area, at place, size int64) (*Staged, error) {
	if err := t.uploads.begin(); err != nil {
		return nil, err
	}
	sum := t.o.Algorithm.NewHasher()
	s := &Staged{tree: t, area: a, h: noHandle, sum: sum, expected: size, began: time.Now().UnixNano()}
	err := s.create(at)
	if errors.Is(err, ErrNoSpace) && a.versions.makeRoom(roomForNamesBytes) {
		err = s.create(at)
	}
	if err != nil {
		s.Discard()
		return nil, err
	}
	if size >= reserveFrom {
		if err := s.reserve(size); err != nil {
			s.Discard()
			return nil, err
		}
	}
	return s, nil
}

// create makes the file nameless where that can be had. Where the target's folder gives new files more than the process
// does (its group, a default ACL), it is made in that folder.
func (s *Staged) create(at place) (err error) {
	folder, err := at.dir.self()
	if err != nil {
		return err
	}
	if at.dir.inherits(folder) {
		if s.h, err = at.dir.nameless(newFileMode); err == nil {
			return nil
		}
	}
	id := newID()
	h, named, err := s.area.stage.temp(id+partSuffix, newFileMode)
	if err != nil {
		return err
	}
	s.h = h
	if named {
		s.id = id + partSuffix
	}
	return nil
}

// reserve meets a full disk before the body is read.
func (s *Staged) reserve(size int64) error {
	if err := s.count(size); err != nil {
		return err
	}
	err := s.h.reserve(size)
	if errors.Is(err, ErrNoSpace) && s.area.versions.couldHold(size) {
		return nil // versions give way as bytes arrive, not for an announcement
	}
	return err
}

// count charges bytes up to size to the limit of all uploads.
func (s *Staged) count(size int64) error {
	if size <= s.counted {
		return nil
	}
	ahead := int64(0)
	if s.expected < 0 {
		ahead = min(size, stageStepBytes)
	}
	counted, err := s.tree.uploads.grow(size-s.counted, ahead)
	s.counted += counted
	return err
}

// Write adds bytes. Errors: ErrTooLarge, ErrNoSpace; the Staged must then be discarded.
func (s *Staged) Write(b []byte) (int, error) {
	total := s.sum.Size() + int64(len(b))
	if total > s.tree.o.UploadBytesMax {
		return 0, fmt.Errorf("stage: %w: the limit is %d bytes", ErrTooLarge, s.tree.o.UploadBytesMax)
	}
	if err := s.count(total); err != nil {
		return 0, err
	}
	n, err := s.write(b)
	_, _ = s.sum.Write(b[:n])
	return n, err
}

// write writes b. On a full disk old versions make room, once.
func (s *Staged) write(b []byte) (int, error) {
	if err := failpoint("stage-write"); err != nil {
		return 0, err
	}
	n, err := s.h.write(b)
	if errors.Is(err, ErrNoSpace) && s.area.versions.makeRoom(int64(len(b)-n)) {
		var more int
		more, err = s.h.write(b[n:])
		n += more
	}
	return n, err
}

// Size returns the number of bytes written.
func (s *Staged) Size() int64 { return s.sum.Size() }

// Digest returns the digest of the bytes written.
func (s *Staged) Digest() hashing.Digest { return s.sum.Digest() }

// Discard drops the upload. It does nothing after Commit or Discard.
func (s *Staged) Discard() {
	if s.ended {
		return
	}
	s.ended = true
	if s.exposed {
		s.tree.quarantine.add(s.shown())
		s.h, s.id = noHandle, ""
	}
	s.unlink()
	s.h.close()
	s.h = noHandle
	s.tree.uploads.end(s.counted)
}

// unlink removes the name that the upload may have in the stage folder, and its record.
func (s *Staged) unlink() {
	if s.id != "" {
		_ = s.area.stage.unlink(s.id)
		_ = s.area.stage.unlink(s.id + recordSuffix)
		s.id = ""
	}
}

// seal ends the writing: the bytes are made durable, and from here on a lease keeps others from changing them.
func (s *Staged) seal(modTime time.Time) error {
	if !modTime.IsZero() {
		if err := s.h.setModTime(modTime); err != nil {
			return err
		}
	}
	h, err := s.h.readOnly()
	if err != nil {
		return err
	}
	s.h.close()
	s.h = h
	if s.mine, err = h.stat(); err != nil {
		return err
	}
	s.held = h.lease() == leaseGranted
	return syncFile(h)
}

// link gives the upload a name in the stage folder beside a record that says what it is about to replace, so that a crash
// can be told from either side of the exchange.
func (s *Staged) link(r record) error {
	id := newID()
	if err := s.area.stage.record(id+recordSuffix, r.String()); err != nil {
		return err
	}
	err := failpoint("commit-announced")
	switch {
	case err != nil:
	case s.id == "":
		err = s.area.stage.link(s.h, id)
	default:
		if err = moveTo(s.area.stage, s.id, s.area.stage, id); err == nil {
			_ = failpoint("commit-renamed")
			_ = s.area.stage.unlink(s.id + recordSuffix)
		}
	}
	if err != nil {
		_ = s.area.stage.unlink(id + recordSuffix)
		return err
	}
	s.id, s.record = id, r
	return failpoint("commit-recorded")
}

// name gives the upload its name in the tree, where there is none yet.
func (s *Staged) name(at place) error {
	if s.id == "" {
		return at.dir.link(s.h, at.name)
	}
	if err := moveTo(s.area.stage, s.id, at.dir, at.name); err != nil {
		return err
	}
	_ = failpoint("commit-named")
	_ = s.area.stage.unlink(s.id + recordSuffix)
	s.id = ""
	return nil
}
