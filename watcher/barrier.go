package watcher

import (
	"context"
	"os"
	"sync"
	"time"
)

// Barrier returns nil once every change below the root that had finished before the call is in the set that Next and Take
// take, unless somebody took it meanwhile: the new and moved folders that those changes made are watched by then and
// marked All. When the kernel dropped events, or does not tell of this call's own change in a folder outside the root
// within cookieWaitMax, and when filesystems were mounted or unmounted below the root, every folder is walked and Rescan is
// marked instead. What Unseen names is excepted. Elsewhere than on Linux nothing orders the events of different folders, so
// that every Barrier marks Rescan.
//
// Callers that come while a barrier is on its way share the next one, never the one that began before they called.
// Before Ready is closed, Barrier waits for it. Errors: that of ctx, ErrClosed when Run has returned, and ErrRootGone from
// the time on that the root was found removed, renamed, unmounted or replaced: then nothing is watched any more.
func (w *Watcher) Barrier(ctx context.Context) error {
	if w.isGone() {
		return ErrRootGone
	}
	select {
	case <-w.closed:
		return ErrClosed
	default:
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	r := w.rounds.join()
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return ctx.Err()
	case <-w.closed:
		return ErrClosed
	}
}

// A round is one barrier, which all who called before it began wait for.
type round struct {
	done chan struct{}
	err  error // set before done is closed
}

// A roundQueue holds the round that has not begun.
type roundQueue struct {
	wake chan struct{} // holds one token when there may be a round to begin

	mu   sync.Mutex // guards next
	next *round     // nil: nobody waits for one
}

func newRoundQueue() roundQueue { return roundQueue{wake: make(chan struct{}, 1)} }

// join returns a round that begins later.
func (q *roundQueue) join() *round {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.next == nil {
		q.next = &round{done: make(chan struct{})}
		signal(q.wake)
	}
	return q.next
}

// begin returns the round that was waited for; who joins from now on gets another.
func (q *roundQueue) begin() *round {
	q.mu.Lock()
	defer q.mu.Unlock()
	r := q.next
	q.next = nil
	return r
}

// runRounds is the goroutine of the barriers.
func (w *Watcher) runRounds(ctx context.Context) {
	select {
	case <-w.ready:
	case <-ctx.Done():
		return
	}
	for {
		select {
		case <-w.rounds.wake:
		case <-ctx.Done():
			return
		}
		if r := w.rounds.begin(); r != nil {
			r.err = w.round(ctx)
			close(r.done)
		}
	}
}

// round is one barrier. The cookie is on its way through the kernel's queue while the other looks are taken.
func (w *Watcher) round(ctx context.Context) error {
	met := w.sendCookie()
	w.checkMounts()
	if w.rootError() != nil || w.blocked.Load() {
		w.doubtful.addAll() // the watching goroutine looks again, and gives up a root that is gone
	}
	late := time.NewTimer(w.cookieWait)
	defer late.Stop()
	select {
	case <-met:
	case <-late.C:
		w.late.Add(1)
		w.log.Warn("events of watched folders are late; every path will be looked at again", "root", w.root,
			"waited", w.cookieWait)
		w.doubtful.addAll()
		w.renewCookies()
	case <-ctx.Done():
		return ErrClosed
	}
	// All that the reader was told before it met the cookie is noted. What is doubtful has to be settled as well.
	select {
	case <-w.doubtful.settled():
	case <-w.gone:
	case <-ctx.Done():
	}
	if w.isGone() {
		return ErrRootGone
	}
	if ctx.Err() != nil {
		return ErrClosed
	}
	return nil
}

func (w *Watcher) isGone() bool {
	select {
	case <-w.gone:
		return true
	default:
		return false
	}
}

// sendCookie makes a change in the folder of cookies. The channel is closed when the reader has met it or knows that the
// kernel dropped events: then everything is doubtful.
func (w *Watcher) sendCookie() <-chan struct{} {
	if w.cookies == nil { // the system keeps no order
		w.doubtful.addAll()
		return closedChan
	}
	met, err := w.sendNext()
	if err != nil { // somebody removed the folder
		if err = w.cookies.renew(); err == nil {
			met, err = w.sendNext()
		}
	}
	if err != nil {
		if !w.cookiesLost {
			w.log.Warn("no cookie can be made for barriers; every path will be looked at each time", "root", w.root, "err", err)
		}
		w.doubtful.addAll()
		met = closedChan
	}
	w.cookiesLost = err != nil
	return met
}

func (w *Watcher) sendNext() (met <-chan struct{}, err error) {
	name := w.cookies.next()
	met = w.awaited.await(name)
	return met, w.cookies.send(name)
}

// renewCookies makes another folder of cookies: the watch of the one there is may be lost.
func (w *Watcher) renewCookies() {
	if w.cookies == nil {
		return
	}
	if err := w.cookies.renew(); err != nil {
		w.log.Debug("no folder for cookies", "root", w.root, "err", err)
	}
}

// An awaitedCookie is how the reader tells of the one cookie that is on its way.
type awaitedCookie struct {
	mu   sync.Mutex // guards what follows
	name string     // "": none
	met  chan struct{}
}

func (a *awaitedCookie) await(name string) <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.name, a.met = name, make(chan struct{})
	return a.met
}

// meet says that there was an event of name.
func (a *awaitedCookie) meet(name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.name != "" && a.name == name {
		a.name = ""
		close(a.met)
	}
}

// miss says that the cookie may never come.
func (a *awaitedCookie) miss() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.name != "" {
		a.name = ""
		close(a.met)
	}
}

// checkMounts makes everything doubtful when filesystems were mounted or unmounted below the root. Whoever calls it second
// finds the doubt that the first one raised.
func (w *Watcher) checkMounts() {
	w.mountsMu.Lock()
	defer w.mountsMu.Unlock()
	change, err := w.mounts.changed()
	if err != nil {
		w.log.Warn("mounted filesystems are not known; every path will be looked at again", "root", w.root, "err", err)
	}
	if change.root {
		w.remounted.Store(true)
	}
	if change.root || change.below || err != nil {
		w.doubtful.addAll()
	}
}

// holdsFile reports whether something else than a folder is mounted in the folder at rel.
func (w *Watcher) holdsFile(rel string) bool {
	w.mountsMu.Lock()
	defer w.mountsMu.Unlock()
	return w.mounts.holdsFile(rel)
}

// rootError returns why the root's path does not lead to the folder that New saw, nil if it does.
func (w *Watcher) rootError() error {
	if w.remounted.Load() {
		return errReplaced
	}
	fi, err := os.Stat(w.root)
	switch {
	case err == nil && identityOf(fi) != w.rootID:
		return errReplaced
	case err != nil && !os.IsPermission(err):
		return err
	}
	return nil
}

var closedChan = func() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()
