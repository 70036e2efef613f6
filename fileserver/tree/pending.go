package tree

import (
	"context"
	"errors"
	"sync"
	"time"

	"freshet/hashing"
)

const (
	pendersMax          = 2                      // files hashed at once by themselves
	pendingMax          = unknownPathMax         // files that wait for it; more are found by looking through the picture
	pendingDelay        = 250 * time.Millisecond // before a file that did not hold still is hashed again, at least
	pendingEffort       = 2                      // times as long as its hashing took, it is left alone
	pendingDoublingsMax = 7                      // of that, for one that cannot be read
	pendingTellTime     = 5 * time.Second        // how often a file that never holds still is told of all the same
	pendingBusyTries    = 40                     // looks at a file whose writer does not close it; its next event begins anew
	pendingWaitMax      = 30 * time.Second       // the longest time a restless file is left alone
	pendingFindPeriod   = 10 * time.Second       // between looks through the picture for files without a digest
)

// A pending is a set of files whose digests are found one by one: those too large to be hashed in passing, and those that
// are being written.
type pending struct {
	tree *Tree
	wake chan struct{}

	mu    sync.Mutex
	files map[string]*lateness // guarded by mu; by path below the root
	lost  bool                 // guarded by mu; there were too many
	found time.Time            // guarded by mu; when the picture was last looked through for them
}

// lateness is what is known of a file that has no digest yet.
type lateness struct {
	why   laterWhy
	due   time.Time
	tries int
	told  time.Time // when the feed was last told that it changes
	taken bool      // it is being hashed
	fresh bool      // it was reported again since
}

func newPending(t *Tree) *pending {
	return &pending{tree: t, wake: make(chan struct{}, 1), files: map[string]*lateness{}}
}

// add has a file hashed.
func (q *pending) add(rel string, why laterWhy) {
	q.mu.Lock()
	defer q.mu.Unlock()
	f := q.files[rel]
	switch {
	case f == nil && len(q.files) >= pendingMax:
		q.lost = true
		return
	case f == nil:
		f = &lateness{why: why, told: time.Now()}
		if why == laterBusy {
			f.due = time.Now().Add(pendingDelay)
		}
		q.files[rel] = f
	case f.taken:
		f.fresh = true
	}
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// settling is how many files can be expected to have a digest soon.
func (q *pending) settling() (n int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, f := range q.files {
		if f.tries <= 1 {
			n++
		}
	}
	return n
}

// restless is how many files have not held still when they were last looked at: nobody waits for those.
func (q *pending) restless() (n int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, f := range q.files {
		if f.tries > 1 {
			n++
		}
	}
	return n
}

// len is how many files have no digest yet, as far as is known.
func (q *pending) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.files)
}

// run hashes files until ctx ends.
func (q *pending) run(ctx context.Context) error {
	turns := make(chan struct{}, pendersMax)
	var all sync.WaitGroup
	defer all.Wait()
	for {
		rel, wait := q.take()
		if rel != "" {
			select {
			case turns <- struct{}{}:
			case <-ctx.Done():
				return nil
			}
			all.Go(func() {
				q.hash(ctx, rel)
				<-turns
				select {
				case q.wake <- struct{}{}:
				default:
				}
			})
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-q.wake:
		case <-time.After(wait):
		}
	}
}

// take returns a file that is due, or how long none will be.
func (q *pending) take() (rel string, wait time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	wait = pendingFindPeriod
	for path, f := range q.files {
		if f.taken {
			continue
		}
		if left := f.due.Sub(now); left > 0 {
			wait = min(wait, left)
			continue
		}
		f.taken = true
		return path, 0
	}
	if q.lost && now.Sub(q.found) > pendingFindPeriod {
		q.found = now
		if q.find(now) {
			wait = 0
		}
	}
	return "", wait
}

// find adds files that there was no room for, and reports whether there are any. The caller holds mu.
func (q *pending) find(now time.Time) (any bool) {
	unknown := q.tree.picture.unknown(pendingMax)
	q.lost = len(unknown) == pendingMax
	for _, path := range unknown {
		if len(q.files) == pendingMax {
			q.lost = true
			break
		}
		if q.files[path] == nil {
			q.files[path] = &lateness{why: laterLarge, told: now}
			any = true
		}
	}
	return any
}

// addAll has files hashed. So many that some may have been left out are looked for in the picture later.
func (q *pending) addAll(files []Path) {
	for _, p := range files {
		q.add(p.s, laterLarge)
	}
	if len(files) >= unknownPathMax {
		q.mu.Lock()
		q.lost = true
		q.mu.Unlock()
	}
}

// complete folds in a digest, unless the file was reported to have changed since it was read.
func (q *pending) complete(s pass, n *node, it *item, rel string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if f := q.files[rel]; f != nil && f.fresh {
		return false
	}
	return s.complete(n, it)
}

// hash finds the digest of one file and folds it in, or puts the file off.
func (q *pending) hash(ctx context.Context, rel string) {
	began := time.Now()
	why, err := q.tree.digest(ctx, rel)
	took := time.Since(began)
	q.mu.Lock()
	defer q.mu.Unlock()
	f := q.files[rel]
	f.taken = false
	again := f.fresh
	f.fresh = false
	// What is gone, or may not be read, has an event when that changes.
	over := err == nil && why == laterNot || errors.Is(err, ErrNotExist) || errors.Is(err, ErrPermission)
	switch {
	case over && again:
		f.why, f.tries, f.due = laterLarge, 0, time.Time{}
	case over, err == nil && why == laterBusy && !again && f.tries >= pendingBusyTries:
		delete(q.files, rel)
	default:
		f.tries++
		delay := pendingDelay
		if err != nil { // it may never be read
			delay <<= min(f.tries, pendingDoublingsMax)
		}
		f.due = time.Now().Add(min(pendingWaitMax, max(delay, pendingEffort*took)))
		if err == nil {
			f.why = why
		}
		if why == laterMoved && time.Since(f.told) > pendingTellTime {
			f.told = time.Now()
			q.tree.picture.tellUnknown(rel)
		}
	}
}

// digest finds the digest of the file at rel, however large it is, and folds it in.
func (t *Tree) digest(ctx context.Context, rel string) (laterWhy, error) {
	folder, name := splitPath(rel)
	n := t.picture.at(folder)
	if n == nil {
		return laterNot, ErrNotExist
	}
	pass := t.picture.begin()
	defer pass.end()
	_ = failpoint("digest-begun")
	d, err := t.disk.folder(folder, false)
	if err != nil {
		return laterNot, err
	}
	defer d.close()
	at, m, err := t.ground(Path{folder}, d)
	if err != nil || m.stamp.Inode() != n.id {
		return laterNot, errors.Join(err, ErrNotExist)
	}
	it, why, err := t.digestIn(ctx, d, at, name)
	if err != nil {
		_ = failpoint("digest-failed")
		return why, err
	}
	_ = failpoint("digest-found")
	if !t.pending.complete(pass, n, &it, rel) {
		return laterMoved, nil
	}
	return why, nil
}

// digestIn hashes one file of a folder. A file that a program has open for writing is hashed as it is, if it does not change
// meanwhile; each further change raises an event.
func (t *Tree) digestIn(ctx context.Context, d dir, at ground, name string) (it item, why laterWhy, err error) {
	h, m, err := d.open(name)
	if errors.Is(err, ErrIsFolder) || errors.Is(err, ErrSpecial) || errors.Is(err, ErrOutside) {
		err = ErrNotExist // its name has been given to something else, which has an event of its own
	}
	if err != nil {
		return it, laterNot, err
	}
	defer h.close()
	state := leaseNone
	if at.leases {
		state = h.leaseHere()
	}
	if m, err = h.stat(); err != nil {
		return it, laterNot, err
	}
	it = itemOf(m, name, at.dev)
	if state == leaseBusy {
		why = laterBusy
	}
	rec, known := t.hasher.known(m.stamp)
	if !known {
		rec, err = t.digestOf(ctx, h, m, state)
		t.stats.hashedInBackground.Add(1)
		if errors.Is(err, errMoved) || errors.Is(err, ErrBusy) {
			return it, laterMoved, nil
		}
		if err != nil {
			return it, laterNot, err
		}
	}
	it.setRecord(&rec)
	t.keeper.later(at.below(name).s, rec)
	return it, why, nil
}

// digestOf hashes an open file in the state m. What is read while a program has it open for writing is remembered by nobody
// but the picture, which is told of each further change.
func (t *Tree) digestOf(ctx context.Context, h handle, m meta, state leaseState) (hashing.Record, error) {
	if state != leaseBusy {
		rec, ok, _, err := t.hasher.hash(ctx, h, state == leaseGranted, changeHashWaitMax)
		if err == nil && (!ok || rec.Stamp != m.stamp) {
			err = errMoved
		}
		return rec, err
	}
	sum := &patientSum{tree: t, ctx: ctx, Hasher: t.o.Algorithm.NewHasher()}
	if err := t.hasher.feed(sum, h, m.stamp.Size, false); err != nil {
		return hashing.Record{}, err
	}
	after, err := h.stat()
	if err == nil && after.stamp != m.stamp {
		err = errMoved
	}
	return hashing.Record{Stamp: m.stamp, Digest: sum.Digest()}, err
}
