package tree

import (
	"encoding/binary"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"
)

// read returns what happened behind a cursor to what is at or below a path, or to a folder above it, in one step of bounded
// work: at most limit events (0, or above it: EventsPerAnswerMax) out of feedScanMax. Only the last event of a path is
// returned, and nothing that the later end of a folder above covers. The error is a *CursorGoneError.
func (j *journal) read(since Cursor, below Path, limit int) (Changes, error) {
	if limit <= 0 || limit > EventsPerAnswerMax {
		limit = EventsPerAnswerMax
	}
	s := &feedScan{below: below, limit: limit, max: j.limits.scan, places: map[Path]int{}, removed: map[Path]uint64{}}
	at, recent, err := since.Seq, false, error(nil)
	if recent, err = j.look(since); err == nil && !recent {
		at, err = j.readSaved(s, since)
	}
	if err != nil {
		return Changes{}, j.gone(err)
	}
	at, more := j.readRecent(s, since.Epoch, at)
	return Changes{Cursor: Cursor{since.Epoch, at}, Events: s.answer(), More: more}, nil
}

// gone adds the end of the feed to an error.
func (j *journal) gone(err error) error {
	var gone *CursorGoneError
	if errors.As(err, &gone) {
		return &CursorGoneError{Reason: gone.Reason, Current: j.end()}
	}
	return err
}

// look reports whether all that is behind a cursor is in memory.
func (j *journal) look(since Cursor) (recent bool, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	reason, onDisk := "", j.state.db != nil && !j.reset
	switch at := since.Seq; {
	case since.Epoch != j.epoch:
		reason = GoneEpoch
	case at > j.last, onDisk && j.saved.inGap(at):
		reason = GoneGap
	case at >= j.base:
		return true, nil
	case j.state.db == nil && at >= j.lost:
		reason = GoneTrimmed
	case !onDisk:
		reason = GoneGap
	default:
		reason = j.saved.gone(at)
		if reason == "" && (at < j.lost || at >= j.saved.durable) {
			reason = GoneGap
		}
	}
	if reason != "" {
		return false, &CursorGoneError{Reason: reason}
	}
	return false, nil
}

// readSaved reads what is on disk behind a cursor, as far as the scan goes. It returns how far that is.
func (j *journal) readSaved(s *feedScan, since Cursor) (at uint64, err error) {
	at = since.Seq
	err = j.state.view(func(tx *bbolt.Tx) error {
		r, err := readFeedRecord(tx)
		if err != nil {
			return err
		}
		// Meanwhile events may have been trimmed.
		if r.epoch != since.Epoch {
			return &CursorGoneError{Reason: GoneEpoch}
		}
		if reason := r.gone(at); reason != "" {
			return &CursorGoneError{Reason: reason}
		}
		c := tx.Bucket(eventsBucket).Cursor()
		for key, value := c.Seek(eventKey(at + 1)); key != nil; key, value = c.Next() {
			if s.full() {
				return nil
			}
			e, err := parseEvent(order8(key), value)
			if err != nil {
				return fmt.Errorf("%w: %w", errStateDamaged, err)
			}
			s.add(&e)
			at = e.Seq
		}
		at = max(at, r.durable)
		return nil
	})
	if gone := (*CursorGoneError)(nil); err != nil && !errors.As(err, &gone) {
		return at, j.unreadable(err)
	}
	return at, err
}

// order8 reads the place from the key of an event; 0 if it is none.
func order8(key []byte) uint64 {
	if len(key) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(key)
}

// unreadable gives up what is on disk: nobody is told less than all that happened.
func (j *journal) unreadable(why error) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.log.Error("saved changes cannot be read; clients that were behind compare the tree once", "why", why)
	j.lost = max(j.lost, j.saved.durable)
	return &CursorGoneError{Reason: GoneGap}
}

// readRecent reads what is in memory behind a place, as far as the scan goes, a block at a time so that nobody waits long to
// append. It returns how far that is, and whether the feed goes on there.
func (j *journal) readRecent(s *feedScan, epoch string, at uint64) (uint64, bool) {
	for {
		next, end := j.readBlock(s, epoch, at)
		if next == at {
			return at, at < end
		}
		at = next
	}
}

func (j *journal) readBlock(s *feedScan, epoch string, at uint64) (next, end uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if epoch != j.epoch || at < j.base {
		return at, j.last // the next read finds out what became of it
	}
	for i, block := 0, j.recent.behind(at); i < len(block) && !s.full(); i++ {
		e := &block[i]
		if j.recent.isLatest(e) {
			s.add(e)
		} else {
			s.scanned++
		}
		at = e.Seq
	}
	return at, j.last
}

// A feedScan gathers the events of one answer.
type feedScan struct {
	below   Path
	limit   int // events
	max     int // events looked at
	scanned int
	found   int
	events  []Event
	places  map[Path]int    // where in events the last of each path is
	removed map[Path]uint64 // places of those that say that nothing is below a path
}

func (s *feedScan) full() bool { return s.found >= s.limit || s.scanned >= s.max }

// add takes an event that tells of below, of something in it, or of anything above it: a file in the place of a folder above
// is the end of below, too.
func (s *feedScan) add(e *Event) {
	s.scanned++
	if !s.below.Contains(e.Path) && !e.Path.Contains(s.below) {
		return
	}
	if i, ok := s.places[e.Path]; ok {
		s.events[i].Seq = 0
	} else {
		s.found++
	}
	s.places[e.Path] = len(s.events)
	s.events = append(s.events, *e)
	if e.Gone || e.Kind != KindFolder {
		s.removed[e.Path] = e.Seq
	} else {
		delete(s.removed, e.Path)
	}
}

// answer returns the events that are not superseded.
func (s *feedScan) answer() []Event {
	kept := s.events[:0]
	for i := range s.events {
		if e := &s.events[i]; e.Seq != 0 && !s.covered(e) {
			kept = append(kept, *e)
		}
	}
	return kept
}

// covered reports whether a folder above e was removed later, or gave its place to something else.
func (s *feedScan) covered(e *Event) bool {
	for p := e.Path; !p.IsRoot(); {
		if p = p.Parent(); s.removed[p] > e.Seq {
			return true
		}
	}
	return false
}
