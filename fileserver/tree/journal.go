package tree

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// What the feed keeps, and how long it takes over it.
const (
	eventsMax              = 1_000_000              // events on disk
	eventsBytesMax         = 256 << 20              // bytes of them
	eventsInMemoryMax      = 65_536                 // events in memory
	eventsInMemoryBytesMax = 32 << 20               // bytes of them, about
	feedBacklogMax         = 4 * eventsInMemoryMax  // events in memory while the disk does not keep up
	feedBacklogBytesMax    = 96 << 20               // bytes of them, about
	feedReserveEvents      = 100_000                // places that are reserved at once
	feedReserveWaitMax     = 5 * time.Second        // how long append waits for places
	feedCommitDelay        = 100 * time.Millisecond // from an event to its being written
	feedCommitEvents       = 1_000                  // events that are written at once, without that delay
	feedGroupMax           = 8_192                  // events in one transaction
	feedRetryDelay         = time.Second            // between attempts while the disk fails
	feedWakeDelay          = 20 * time.Millisecond  // from an event to waking those who wait
	feedScanMax            = 20_000                 // events that one read looks at
	feedGapsMax            = 64                     // crashes that the feed remembers
)

// feedLimits are the bounds above that a test may lower.
type feedLimits struct {
	saved, savedBytes     int
	memory, memoryBytes   int
	backlog, backlogBytes int
	reserve               int
	group, scan, gaps     int
	reserveWait           time.Duration
}

var defaultFeedLimits = feedLimits{
	saved: eventsMax, savedBytes: eventsBytesMax,
	memory: eventsInMemoryMax, memoryBytes: eventsInMemoryBytesMax,
	backlog: feedBacklogMax, backlogBytes: feedBacklogBytesMax,
	reserve: feedReserveEvents, reserveWait: feedReserveWaitMax,
	group: feedGroupMax, scan: feedScanMax, gaps: feedGapsMax,
}

// A journal is the feed of changes: it gives each event its place, tells what happened behind a place, and keeps both over a
// restart. Events are in memory first and on disk a moment later, so that appending does not wait for the disk. So that no
// place is given to two events when the moment was a crash, places are reserved on disk, many at once, before they are given.
// After a crash numbering goes on behind what was reserved; a cursor to a place that may have been given and was not written
// is gone.
type journal struct {
	state  *state
	log    *slog.Logger
	limits feedLimits

	unsaved chan struct{} // holds a token while there is something to write
	urgent  chan struct{} // holds one when that must not wait
	anew    bool          // the feed began with this process: nobody has a cursor of it yet

	saving sync.Mutex // held while a group is written; before mu

	mu      sync.Mutex
	epoch   string     // all below is guarded by mu
	saved   feedRecord // as it is on disk
	reset   bool       // epoch is not on disk yet
	last    uint64     // the last place given, or skipped
	next    uint64     // the next one: last+1, but beyond a gap after a crash
	recent  feedRing
	base    uint64 // recent holds every event behind it
	lost    uint64 // cursors before it cannot be followed by what is on disk
	wanted  uint64 // a place that append waits for
	failing bool   // the last group could not be written
	closed  bool
	wake    chan struct{} // closed at the next wake-up
	waiting bool          // somebody was given wake
	alarm   *time.Timer   // nil: no wake-up is due
	total   uint64
}

// openJournal goes on with the feed of a root, or begins one. The journal must be closed before its state.
func openJournal(s *state, log *slog.Logger) (*journal, error) {
	return openJournalWithin(s, log, defaultFeedLimits)
}

func openJournalWithin(s *state, log *slog.Logger, limits feedLimits) (*journal, error) {
	j := &journal{
		state: s, log: log, limits: limits, epoch: randomID(),
		unsaved: make(chan struct{}, 1), urgent: make(chan struct{}, 1), wake: make(chan struct{}),
	}
	j.anew = s.db == nil
	if s.db != nil {
		if err := j.resume(); err != nil {
			return nil, err
		}
	}
	j.next = max(j.next, j.last+1)
	j.base = j.last
	j.recent = newFeedRing(j.next)
	return j, nil
}

// append adds events to the feed, sets their Seq, and returns the place of the last. It does not wait for the disk, except
// when it is ahead of the disk by feedReserveEvents: then for at most feedReserveWaitMax, after which a new epoch begins.
// After close nothing is added: the next start finds those changes on disk.
func (j *journal) append(events ...Event) Cursor {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed || len(events) == 0 {
		return j.cursor()
	}
	j.reserve(uint64(len(events)))
	for i := range events {
		events[i].Seq = j.next
		j.last = j.next
		j.next++
		j.recent.push(events[i])
	}
	j.total += uint64(len(events))
	j.evict()
	j.signal()
	if j.waiting && j.alarm == nil {
		j.alarm = time.AfterFunc(feedWakeDelay, j.wakeUp)
	}
	return j.cursor()
}

// evict forgets the oldest events over the bounds of memory. Those that are not on disk yet have more room, but not more than
// that: what is forgotten of them is lost to whoever has not read it. The caller holds mu.
func (j *journal) evict() {
	written := j.written()
	for r := &j.recent; r.count > j.limits.memory || r.bytes > j.limits.memoryBytes; {
		if r.first() > written && r.count <= j.limits.backlog && r.bytes <= j.limits.backlogBytes {
			return
		}
		j.base = r.first()
		r.drop()
	}
}

// written returns the place up to which everything is on disk that will ever be. The caller holds mu.
func (j *journal) written() uint64 {
	switch {
	case j.state.db == nil:
		return j.last
	case j.reset:
		return 0
	}
	return j.saved.durable
}

// cursor returns the end of the feed. The caller holds mu.
func (j *journal) cursor() Cursor { return Cursor{j.epoch, j.last} }

// end returns the end of the feed.
func (j *journal) end() Cursor {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.cursor()
}

// newEpoch makes every cursor given so far one of the past: what happened before cannot be told any more. It returns when that
// is on disk; if it cannot be written, it is so all the same as long as this journal is open, and flush fails meanwhile.
func (j *journal) newEpoch() error {
	j.mu.Lock()
	j.beginEpoch()
	j.mu.Unlock()
	return j.flush(0)
}

// beginEpoch forgets everything. A place is skipped, so that whoever waits behind the last one is woken. The caller holds mu.
func (j *journal) beginEpoch() {
	j.epoch, j.reset = randomID(), j.state.db != nil
	j.last = j.next
	j.next++
	j.base, j.lost = j.last, j.last
	j.recent = newFeedRing(j.next)
	j.wakeAll()
	j.signal()
}

// signal tells run what is to be done. The caller holds mu.
func (j *journal) signal() {
	if j.state.db == nil {
		return
	}
	offer(j.unsaved)
	low := j.last+uint64(j.limits.reserve)/2 > j.saved.reserved
	if low || j.reset || j.last-min(j.last, j.saved.durable) >= feedCommitEvents {
		offer(j.urgent)
	}
}

func offer(token chan<- struct{}) {
	select {
	case token <- struct{}{}:
	default:
	}
}

// wait returns a channel that is closed when there is an event behind the place after. When several come at once it is closed
// up to feedWakeDelay late, so that they make one answer.
func (j *journal) wait(after uint64) <-chan struct{} {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.last > after && j.alarm == nil {
		return closedChannel
	}
	j.waiting = true
	return j.wake
}

var closedChannel = func() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

func (j *journal) wakeUp() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.wakeAll()
}

// wakeAll wakes all who wait. The caller holds mu.
func (j *journal) wakeAll() {
	if j.alarm != nil {
		j.alarm.Stop()
	}
	close(j.wake)
	j.wake, j.waiting, j.alarm = make(chan struct{}), false, nil
}

// run writes events to disk in groups until ctx ends, and then all that is left.
func (j *journal) run(ctx context.Context) error {
	for {
		delay := feedCommitDelay
		select {
		case <-ctx.Done():
			return j.flush(j.end().Seq)
		case <-j.unsaved:
		case <-j.urgent:
			delay = 0
		}
		if delay > 0 {
			select {
			case <-ctx.Done():
			case <-j.urgent:
			case <-time.After(delay):
			}
		}
		if err := j.saveGroup(false); err != nil {
			select {
			case <-ctx.Done():
			case <-time.After(feedRetryDelay):
			}
		}
		j.mu.Lock()
		if j.reset || j.last > j.saved.durable {
			j.signal()
		}
		j.mu.Unlock()
	}
}

// close writes what is left, and that nothing is. The state stays open.
func (j *journal) close() error {
	j.mu.Lock()
	j.closed = true
	j.wakeAll()
	last := j.last
	j.mu.Unlock()
	if j.state.db == nil {
		return nil
	}
	if err := j.flush(last); err != nil {
		return err
	}
	return j.saveGroup(true)
}

// journalStats are levels of a journal.
type journalStats struct {
	Events  uint64 // appended since it was opened
	Backlog int    // not on disk yet
	Saved   int    // on disk
	Bytes   int64  // on disk, of events
	Oldest  uint64 // the oldest place that can be followed
}

func (j *journal) stats() journalStats {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := journalStats{Events: j.total, Oldest: j.base}
	if j.state.db != nil && !j.reset {
		s.Backlog = int(j.last - min(j.last, max(j.base, j.saved.durable)))
		s.Saved, s.Bytes = int(j.saved.events), int64(j.saved.bytes)
		s.Oldest = min(j.base, max(j.saved.trimmed, j.saved.lost, j.lost))
	}
	return s
}
