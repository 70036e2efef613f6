package tree

import (
	"fmt"
	"sync"

	"freshet/hashing"
)

// syncFile makes a staged file durable before it gets its name.
func syncFile(h handle) error {
	if err := failpoint("sync-file"); err != nil {
		return err
	}
	return h.sync()
}

// syncFolder makes the names of a folder durable before a change is acknowledged.
func syncFolder(d dir) error {
	if err := failpoint("sync-folder"); err != nil {
		return err
	}
	return d.sync()
}

// A folderSyncer syncs folders for many changes at once: all that wait for the same folder share one fsync, which begins
// after the last of them asked (group commit).
type folderSyncer struct {
	mu      sync.Mutex
	folders map[hashing.Inode]*syncQueue // guarded by mu
}

// syncQueue is the fsyncs of one folder: one under way, one gathering.
type syncQueue struct {
	turn    sync.Mutex // held by the fsync under way
	askers  int        // guarded by folderSyncer.mu
	waiting *syncRound // guarded by folderSyncer.mu; has not begun
}

type syncRound struct {
	done chan struct{}
	err  error // set before done is closed
}

// sync returns when an fsync of d, whose inode is given, that began after the call has ended. A failure is ErrUnsynced.
func (s *folderSyncer) sync(d dir, folder hashing.Inode) error {
	q, round, lead := s.join(folder)
	defer s.leave(q, folder)
	if !lead {
		<-round.done
		return round.err
	}
	q.turn.Lock()
	s.mu.Lock()
	q.waiting = nil // whoever asks from here on needs the next round
	s.mu.Unlock()
	if err := syncFolder(d); err != nil {
		round.err = fmt.Errorf("%w: %w", ErrUnsynced, err)
	}
	q.turn.Unlock()
	close(round.done)
	return round.err
}

// join finds the round that has not begun yet. The first to ask leads it.
func (s *folderSyncer) join(folder hashing.Inode) (q *syncQueue, round *syncRound, lead bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.folders == nil {
		s.folders = map[hashing.Inode]*syncQueue{}
	}
	q = s.folders[folder]
	if q == nil {
		q = &syncQueue{}
		s.folders[folder] = q
	}
	q.askers++
	if q.waiting == nil {
		q.waiting, lead = &syncRound{done: make(chan struct{})}, true
	}
	return q, q.waiting, lead
}

func (s *folderSyncer) leave(q *syncQueue, folder hashing.Inode) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if q.askers--; q.askers == 0 {
		delete(s.folders, folder)
	}
}
