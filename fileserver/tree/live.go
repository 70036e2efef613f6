package tree

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"freshet/hashing"
)

// openLive opens what is kept of the live picture: the state, which nothing else can tell, and the cache, which costs time
// only. A tree that is only read has a folder for them if it is told of one; else nothing survives it.
func (t *Tree) openLive() (err error) {
	folder := t.liveFolder()
	if folder != "" && !t.o.Write {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return fmt.Errorf("state folder %s: %w", t.o.State, err)
		}
	}
	if err := t.openFeed(folder); err != nil {
		return err
	}
	t.picture = newPicture(t.o.Algorithm, func(events []Event) Cursor { return t.journal.append(events...) })
	t.refresher = newRefresher(t)
	t.pending = newPending(t)
	t.keeper = newKeeper(folder, t.o.Log)
	return nil
}

// openFeed opens the state and the feed in it. Another server that reads the same tree may have it open: then the feed is
// one that ends with this process.
func (t *Tree) openFeed(folder string) (err error) {
	t.state, err = openState(folder, t.o.Algorithm, t.o.Log)
	if errors.Is(err, ErrStateBusy) && !t.o.Write {
		t.o.Log.Warn("another server has the state open: nothing of this one is kept", "folder", folder)
		t.state, err = openState("", t.o.Algorithm, t.o.Log)
	}
	if err != nil {
		return err
	}
	if t.journal, err = openJournal(t.state, t.o.Log); err != nil {
		_ = t.state.close()
		return err
	}
	t.resumed = t.journal.end()
	return nil
}

// closeLive writes down what is not on disk yet.
func (t *Tree) closeLive() error {
	return errors.Join(t.keeper.close(), t.journal.close(), t.state.close())
}

// Changes returns what happened behind a cursor. Every local change that had finished when it was called is among it. With
// Wait it returns as soon as there is an event, and with none when the time is over or ctx ends. Errors: *CursorGoneError,
// *WarmingError, ErrRootGone and those of ctx before anything was found out.
func (t *Tree) Changes(ctx context.Context, q ChangesQuery) (Changes, error) {
	if q.Limit <= 0 || q.Limit > EventsPerAnswerMax {
		q.Limit = EventsPerAnswerMax
	}
	if !q.Unsynced {
		if err := t.awaitWarm(ctx); err != nil {
			return Changes{}, err
		}
		if _, err := t.sync(ctx, []Path{q.Below}); err != nil {
			return Changes{}, err
		}
	}
	if q.Since.IsZero() {
		q.Since = t.journal.end()
		if q.Wait <= 0 {
			return Changes{Cursor: q.Since}, nil
		}
	}
	return t.awaitChanges(ctx, q)
}

// awaitChanges reads the feed until there is something in it.
func (t *Tree) awaitChanges(ctx context.Context, q ChangesQuery) (Changes, error) {
	timer := time.NewTimer(q.Wait)
	defer timer.Stop()
	for {
		got, err := t.journal.read(q.Since, q.Below, q.Limit)
		if err != nil || len(got.Events) > 0 || q.Wait <= 0 {
			return got, err
		}
		q.Since = got.Cursor
		if got.More {
			continue
		}
		select {
		case <-t.journal.wait(q.Since.Seq):
		case <-t.lookAgain(q.Below):
			if _, err := t.sync(ctx, []Path{q.Below}); err != nil && ctx.Err() == nil {
				return got, err
			}
		case <-timer.C:
			return got, nil
		case <-ctx.Done():
			return got, nil
		}
	}
}

// lookAgain tells when whoever waits for changes below a path has to look for them, because no event tells of all; never if
// events do.
func (t *Tree) lookAgain(below Path) <-chan time.Time {
	if t.watch != nil {
		if unseen, _ := t.watch.Unseen(below.s, 1); len(unseen) == 0 {
			return nil
		}
	}
	return time.After(unseenInterval)
}

// unseenInterval is how often folders in which no event tells of changes are looked at for those who wait for changes.
const unseenInterval = 2 * time.Second

// Cursor returns the end of the feed.
func (t *Tree) Cursor() Cursor { return t.journal.end() }

// fingerprintFor gives what a change has found, if it is a folder and a Guard will be asked about it, its fingerprint.
func (t *Tree) fingerprintFor(ctx context.Context, p Path, cur *current, asked bool) (err error) {
	if asked && !cur.absent && cur.meta.isFolder() {
		cur.digest, err = t.fingerprintNow(ctx, p)
	}
	return err
}

// fingerprintNow returns the fingerprint of the folder at p as it is now, zero if it cannot be told. The caller keeps the
// tree's own changes away.
func (t *Tree) fingerprintNow(ctx context.Context, p Path) (hashing.Digest, error) {
	if !t.refresher.isWarm() {
		return hashing.Digest{}, nil
	}
	p = t.realPath(p)
	var warming *WarmingError
	hidden, err := t.sync(ctx, []Path{p})
	if errors.As(err, &warming) || err == nil && hidden(p.s) {
		return hashing.Digest{}, nil
	}
	if err != nil {
		return hashing.Digest{}, err
	}
	t.picture.mu.Lock()
	defer t.picture.mu.Unlock()
	n := t.picture.find(p.s)
	if n == nil {
		return hashing.Digest{}, nil
	}
	return t.picture.fingerprint(n), nil
}

// realPath returns the path of the folder at p without links on the way.
func (t *Tree) realPath(p Path) Path {
	if t.picture.at(p.s) != nil {
		return p
	}
	d, err := t.disk.folder(p.s, false)
	if err != nil {
		return p
	}
	defer d.close()
	if real, ok := t.disk.pathOf(d); ok {
		return Path{real}
	}
	return p
}

// unmovedBelow makes sure that what is in a folder which a change has just displaced, now called name in d, is what its
// fingerprint said: a local program may have changed it until its name was gone.
func (t *Tree) unmovedBelow(ctx context.Context, p Path, d dir, name string, cur *current) error {
	if !cur.meta.isFolder() || cur.digest.IsZero() {
		return nil
	}
	n := t.picture.at(t.realPath(p).s)
	if n == nil {
		return errAgain
	}
	sub, err := d.folder(name)
	if err != nil {
		return orMoved(err)
	}
	defer sub.close()
	return t.sameBelow(ctx, sub, n)
}

func (t *Tree) sameBelow(ctx context.Context, d dir, n *node) error {
	names, err := d.names()
	if err != nil {
		return orMoved(err)
	}
	seen := 0
	self, err := d.self()
	if err != nil {
		return err
	}
	for _, name := range names {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !t.pictures(Path{}, name) {
			continue
		}
		m, err := d.stat(name)
		if err != nil {
			return orMoved(err)
		}
		if m.isSpecial() {
			continue
		}
		seen++
		if err := t.sameAt(ctx, d, n, name, m, self.stamp.Dev); err != nil {
			return err
		}
	}
	if seen != t.picture.count(n) {
		return errAgain
	}
	return nil
}

func (t *Tree) sameAt(ctx context.Context, d dir, n *node, name string, m meta, dev uint64) error {
	old, ok := t.picture.child(n, name)
	now := itemOf(m, name, dev)
	now.target = old.target // the text of a link never changes, and its inode is compared
	if !ok || !old.same(&now) {
		return errAgain
	}
	if !m.isFolder() {
		return nil
	}
	sub, err := d.folder(name)
	if err != nil {
		return orMoved(err)
	}
	defer sub.close()
	below := t.picture.sub(n, name)
	if below == nil {
		return errAgain
	}
	return t.sameBelow(ctx, sub, below)
}

// distrust forgets the digest of a file that has other bytes than it says.
func (t *Tree) distrust(rel string) {
	if t.picture.distrust(rel) {
		t.pending.add(rel, laterLarge)
	}
}

// liveFolder returns the folder of the state and the cache, "" if they are kept in memory only.
func (t *Tree) liveFolder() string {
	switch {
	case t.o.State != "":
		return t.o.State
	case t.o.Write:
		return filepath.Join(t.name, Reserved)
	}
	return ""
}
