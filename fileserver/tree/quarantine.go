package tree

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"sync"
	"time"

	"freshet/hashing"
)

const (
	quarantinePollInterval = time.Second            // how often leases are looked at when no signal comes
	writerLetInTime        = 200 * time.Millisecond // how long a waiting writer is given to get past its open
	writerTimeMax          = 10 * time.Minute       // how long a late writer is waited for to close
	quarantineShare        = 4                      // one of so many file descriptors may be held
	spareSuffix            = ".old"                 // the displaced file, on a filesystem that cannot exchange names
	conflictTriesMax       = 100                    // names tried for a conflict copy
)

// A displaced is what a change took from its name, still in the stage folder. For QuarantineTimeMax it is watched for a
// program that had resolved the name before the change and now opens the file for writing.
type displaced struct {
	area   *area
	id     string
	record record
	h      handle // holds the lease; none for folders and links
	held   bool
	stamp  hashing.Stamp // after it was displaced and before it was looked at
	keep   bool          // false: its bytes are those that replaced it, or were refused: no version is needed
	until  time.Time
	letIn  time.Time // when a waiting writer was let in; zero: none waited
}

// displaced takes over cur's descriptor and lease.
func (t *Tree) displaced(a *area, id string, r record, cur *current, keep bool) *displaced {
	d := &displaced{
		area: a, id: id, record: r, h: cur.h, held: cur.held, keep: keep,
		until: time.Now().Add(QuarantineTimeMax),
	}
	cur.h = noHandle
	if !d.h.ok() {
		d.until = time.Time{}
		return d
	}
	d.stamp = cur.out
	if m, err := d.h.stat(); err == nil && d.held {
		d.stamp = m.stamp
	}
	return d
}

// shown takes over an upload that had its target's name for a moment and was refused: a program that opened it then may save
// to it.
func (s *Staged) shown() *displaced {
	d := &displaced{
		area: s.area, id: s.id, record: s.record, h: s.h, held: s.held, until: time.Now().Add(QuarantineTimeMax),
	}
	d.record.digest = s.sum.Digest()
	return d
}

// A quarantine holds what changes displaced until it is sure that nobody writes to it.
type quarantine struct {
	tree  *Tree
	slots chan struct{} // one for each file held or about to be
	wake  chan struct{}

	mu   sync.Mutex
	held []*displaced // guarded by mu; oldest first
}

func newQuarantine(t *Tree) *quarantine {
	return &quarantine{tree: t, slots: make(chan struct{}, quarantineFilesMax()), wake: make(chan struct{}, 1)}
}

// DescriptorsMax is how many files the process may have open. A quarter of them may be displaced files that are watched for
// late writers.
func DescriptorsMax() int { return descriptorsMax() }

// quarantineFilesMax is a quarter of the descriptors that the process may have.
func quarantineFilesMax() int { return max(16, descriptorsMax()/quarantineShare) }

// admit waits for room for one more file; what it let in must be added or leave.
func (q *quarantine) admit(ctx context.Context) error {
	select {
	case q.slots <- struct{}{}:
		return nil
	default:
	}
	select {
	case q.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (q *quarantine) leave() { <-q.slots }

func (q *quarantine) add(d *displaced) {
	d.area.versions.announce(d)
	q.mu.Lock()
	q.held = append(q.held, d)
	q.mu.Unlock()
	if d.until.IsZero() || d.held && !d.h.leaseHeld() {
		q.look()
	}
}

// look makes the quarantine look at what it holds soon.
func (q *quarantine) look() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *quarantine) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.held)
}

// run settles what is held until ctx ends.
func (q *quarantine) run(ctx context.Context) error {
	broken, stop := leaseBreaks()
	defer stop()
	tick := time.NewTicker(quarantinePollInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			q.tree.areas.each(func(a *area) { a.versions.trimNow(now) })
		case <-broken:
		case <-q.wake:
		}
		q.settle(time.Now())
	}
}

// settle ends the quarantine of all that can leave it now.
func (q *quarantine) settle(now time.Time) {
	q.mu.Lock()
	held := q.held
	q.held = nil
	q.mu.Unlock()
	stay := held[:0]
	for _, d := range held {
		changed, done := q.judge(d, now)
		if !done {
			stay = append(stay, d)
			continue
		}
		q.tree.release(d, changed)
		q.leave()
	}
	q.mu.Lock()
	q.held = append(stay, q.held...)
	q.mu.Unlock()
}

// settleAll ends every quarantine, whatever time is left.
func (q *quarantine) settleAll() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, d := range q.held {
		writing := d.held && !d.letIn.IsZero() && d.h.lease() == leaseBusy
		q.tree.release(d, writing || d.h.ok() && q.tree.touched(d))
		<-q.slots
	}
	q.held = nil
}

// judge says whether d may leave, and whether it was written to after it was displaced.
func (q *quarantine) judge(d *displaced, now time.Time) (changed, done bool) {
	if !d.h.ok() {
		return false, true
	}
	if !d.held {
		return !now.Before(d.until) && q.tree.touched(d), !now.Before(d.until)
	}
	if d.letIn.IsZero() {
		if d.h.leaseHeld() {
			return false, now.After(d.until)
		}
		d.letIn = now
		changed = !d.h.unlease() // it has another owner now: whoever waits gets in when it is closed
		return changed, changed
	}
	since := now.Sub(d.letIn)
	if since < writerLetInTime {
		return false, false
	}
	if since > writerTimeMax {
		return true, true
	}
	switch d.h.lease() {
	case leaseBusy:
		return false, false
	case leaseNone: // it has another owner now, so nothing can be known
		return true, true
	}
	if q.tree.touched(d) {
		return true, true
	}
	d.letIn = time.Time{} // whoever waited went away, or was held up on the way
	return false, now.After(d.until)
}

// touched reports whether a displaced file has other bytes than when it was displaced. When in doubt, it has.
func (t *Tree) touched(d *displaced) bool {
	if d.held && d.letIn.IsZero() {
		return !d.h.leaseHeld()
	}
	m, err := d.h.stat()
	if err != nil {
		return true
	}
	if m.stamp == d.stamp && d.h.certain(m.stamp) {
		return false
	}
	if d.record.digest.IsZero() {
		return true
	}
	sum := t.o.Algorithm.NewHasher()
	if err := t.hasher.feed(sum, d.h, m.stamp.Size, false); err != nil {
		return true
	}
	return sum.Digest() != d.record.digest
}

// release files a displaced file where it belongs: with the versions, beside its successor, or nowhere.
func (t *Tree) release(d *displaced, changed bool) {
	defer d.h.close()
	defer d.area.versions.settled(d.id)
	switch {
	case changed:
		t.restoreConflict(d.area, d.id, d.record)
	case d.keep && d.area.versions.wants(d.id):
		t.keepAsVersion(d.area, d.id, d.record.path, false)
	default:
		d.area.versions.drop(d.id)
	}
}

// restoreConflict puts a staged file beside the name it had. If its folder is gone, it becomes a version.
func (t *Tree) restoreConflict(a *area, id string, r record) {
	at, err := t.placeOf(r)
	if err != nil {
		t.o.Log.Warn("a conflict copy has no folder to go to, it is kept as a version", "path", r.path, "error", err)
		t.keepAsVersion(a, id, r.path, true)
		return
	}
	defer at.close()
	if r.how == tookRemoved && moveTo(a.stage, id, at.dir, at.name) == nil {
		t.o.Log.Warn("a file was written to while it was removed: it is back", "path", r.path)
		_ = failpoint("conflict-returned")
		_ = a.stage.unlink(id + recordSuffix)
		_ = syncFolder(at.dir)
		return
	}
	t.keepAsConflict(at.dir, at.name, a, id)
}

// placeOf finds the name that a record is about. It is that of a link only if a link came or went there: a file is replaced
// through the links to it.
func (t *Tree) placeOf(r record) (place, error) {
	at, err := t.disk.place(r.path, false)
	if err != nil || r.how != tookReplaced {
		return at, err
	}
	m, err := at.stat()
	if err != nil || !m.isLink() || m.stamp.Ino == r.staged || m.stamp.Ino == r.displaced {
		return at, nil
	}
	at.close()
	return t.disk.place(r.path, true)
}

// keepAsConflict gives a staged file a name beside name.
func (t *Tree) keepAsConflict(folder dir, name string, a *area, id string) {
	copyName, err := conflictTo(folder, name, a.stage, id)
	if err != nil {
		t.o.Log.Error("a conflict copy could not be made, it is kept as a version", "name", name, "error", err)
		t.keepAsVersion(a, id, name, true)
		return
	}
	_ = failpoint("conflict-named")
	_ = a.stage.unlink(id + recordSuffix)
	_ = syncFolder(folder)
	t.stats.conflictCopies.Add(1)
	t.o.Log.Warn("two writers met: the version that lost its name is kept beside it", "name", copyName)
}

// conflictTo moves a staged file to the first conflict name that is free.
func conflictTo(folder dir, name string, stage dir, id string) (copyName string, err error) {
	now := time.Now()
	for n := range conflictTriesMax {
		copyName = conflictName(name, now, n)
		if err = moveTo(stage, id, folder, copyName); !errors.Is(err, fs.ErrExist) {
			break
		}
	}
	return copyName, err
}

// keepAsVersion is where displaced files go. late says that it is for want of another place.
func (t *Tree) keepAsVersion(a *area, id, name string, late bool) {
	if err := a.versions.take(id, late); err != nil {
		t.o.Log.Error("a displaced file could not be moved to the versions, it is still in the stage folder",
			"name", name, "id", id, "error", err)
	}
}

// conflictName is "name (conflict 2026-11-22 14.02.05).ext", with a number when that is taken, cut to fit a name.
func conflictName(name string, now time.Time, n int) string {
	ext := path.Ext(name)
	if ext == name || len(ext) > 32 {
		ext = ""
	}
	stem := strings.TrimSuffix(name, ext)
	mark := fmt.Sprintf(" (conflict %s)", now.Format("2006-01-02 15.04.05"))
	if n > 0 {
		mark = fmt.Sprintf(" (conflict %s, %d)", now.Format("2006-01-02 15.04.05"), n+1)
	}
	if over := len(stem) + len(mark) + len(ext) - NameBytesMax; over > 0 {
		stem = stem[:max(1, len(stem)-over)]
	}
	return stem + mark + ext
}
