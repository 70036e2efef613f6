package tree

import (
	"flag"
	"sync/atomic"
	"testing"
	"time"

	"freshet/hashing"
)

// Soak makes the tests that look for rare interleavings look for longer.
var Soak = flag.Bool("soak", false, "run the random tests for a minute instead of moments")

var hook atomic.Pointer[func(step string) error]

func init() {
	failpoint = func(step string) error {
		if fn := hook.Load(); fn != nil {
			return (*fn)(step)
		}
		return nil
	}
}

// SetFailpoint calls fn at each step of every change until the test ends; the change fails with what fn returns. There is one
// for all trees of the process, so the test must not be parallel.
func SetFailpoint(t testing.TB, fn func(step string) error) {
	HookFailpoint(fn)
	t.Cleanup(func() { HookFailpoint(nil) })
}

// HookFailpoint is SetFailpoint for a process that is no test.
func HookFailpoint(fn func(step string) error) {
	if fn == nil {
		hook.Store(nil)
		return
	}
	hook.Store(&fn)
}

// Step is a step of a test's own among those of the change under way.
func Step(step string) error { return failpoint(step) }

// Unwatch gives back the watch queue of a tree that is not run: the user has few.
func (t *Tree) Unwatch() { _ = t.watch.Close() }

// Settle ends the quarantine of all that could leave it at a time.
func (t *Tree) Settle(at time.Time) { t.quarantine.settle(at) }

// WaitingForSync is how many changes wait for a folder to be synced.
func (t *Tree) WaitingForSync() (n int) {
	t.folders.mu.Lock()
	defer t.folders.mu.Unlock()
	for _, q := range t.folders.folders {
		n += q.askers
	}
	return n
}

// KeepEvery sets how often the cache on disk is brought up to date, before the tree is run.
func (t *Tree) KeepEvery(d time.Duration) { t.keeper.every = d }

// Saved reports whether the cache on disk has all that the tree knows and the feed tells.
func (t *Tree) Saved() bool {
	t.picture.mu.RLock()
	defer t.picture.mu.RUnlock()
	t.keeper.mu.Lock()
	defer t.keeper.mu.Unlock()
	return t.picture.root != nil && len(t.picture.unsaved) == 0 && len(t.keeper.blocks) == 0 && t.keeper.upTo == t.journal.end()
}

// FeedWritten reports whether all that the feed tells is on disk.
func (t *Tree) FeedWritten() bool { return t.journal.isDurable(t.journal.end().Seq) }

// LargeFlightsMax bounds the large files that are hashed or wait for it.
const LargeFlightsMax = largeFlightsMax

// HoldLargeHashers keeps large files from being hashed until release is called.
func (t *Tree) HoldLargeHashers() (release func()) {
	if !t.hasher.large.TryAcquire(largeHashersMax) {
		panic("large files are being hashed")
	}
	return func() { t.hasher.large.Release(largeHashersMax) }
}

// BoundQuarantine sets how many files the quarantine may hold; it must be empty.
func (t *Tree) BoundQuarantine(filesMax int) { t.quarantine.slots = make(chan struct{}, filesMax) }

// TrimVersions drops the versions that are too old at a time.
func (t *Tree) TrimVersions(at time.Time) {
	t.areas.each(func(a *area) { a.versions.trimNow(at) })
}

// A Record is a record with its fields in sight.
type Record struct {
	How               string
	Staged, Displaced uint64
	Digest            hashing.Digest
	By, Path          string
}

func (r Record) String() string {
	return record{r.How, r.Staged, r.Displaced, r.Digest, r.By, r.Path}.String()
}

// ParseRecord is parseRecord.
func ParseRecord(text string) (Record, error) {
	r, err := parseRecord(text)
	return Record{r.how, r.staged, r.displaced, r.digest, r.by, r.path}, err
}

// HashUnheld hashes a file as if there was a lease on it, without one.
func (t *Tree) HashUnheld(rel string) error {
	h, m, err := t.disk.open(rel)
	if err != nil {
		return err
	}
	defer h.close()
	_, err = t.hasher.readAll(h, m, true)
	return err
}

// Misremember remembers the digest of other bytes for a file, as certain as can be.
func (t *Tree) Misremember(rel string, other []byte) error {
	m, err := t.disk.lookup(rel)
	if err != nil {
		return err
	}
	sum := t.o.Algorithm.NewHasher()
	_, _ = sum.Write(other)
	t.hasher.index.Put(hashing.Record{Stamp: m.stamp, Digest: sum.Digest(), Blocks: sum.Blocks(), Certified: true})
	return nil
}
