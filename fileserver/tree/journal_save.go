package tree

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
)

// resume reads what the last run left, and reserves the first places before one is given.
func (j *journal) resume() error {
	err := j.state.update(j.begin)
	if errors.Is(err, errStateDamaged) {
		j.log.Error("the feed of changes is damaged and begun anew; clients compare the tree once", "why", err)
		err = j.state.update(j.beginAnew)
	}
	if err != nil {
		return fmt.Errorf("feed: %w", err)
	}
	j.epoch, j.last = j.saved.epoch, j.saved.durable
	return nil
}

// begin goes on with the feed on disk. What was given before a crash and is not on disk will never be given again.
func (j *journal) begin(tx *bbolt.Tx) error {
	if tx.Bucket(feedBucket) == nil {
		return j.beginAnew(tx)
	}
	r, err := readFeedRecord(tx)
	if err != nil {
		return err
	}
	if kept := uint64(tx.Bucket(eventsBucket).Stats().KeyN); kept != r.events {
		return fmt.Errorf("%w: %d events of %d", errStateDamaged, kept, r.events)
	}
	if j.inode() != r.file || j.state.older {
		j.log.Warn("the state is a copy, or older than it was: the feed is begun anew, and clients compare the tree once")
		return j.beginAnew(tx)
	}
	if !r.clean {
		r.crashed(j.limits.gaps)
	}
	return j.startAt(tx, r, r.reserved+1)
}

func (j *journal) beginAnew(tx *bbolt.Tx) error {
	if err := clearFeed(tx); err != nil {
		return err
	}
	j.anew = true
	return j.startAt(tx, feedRecord{epoch: j.epoch, file: j.inode()}, 1)
}

// startAt writes that places are given from next on.
func (j *journal) startAt(tx *bbolt.Tx, r feedRecord, next uint64) error {
	r.clean, r.reserved = false, next-1+uint64(j.limits.reserve)
	r.forgetGaps()
	j.saved, j.next = r, next
	return writeFeedRecord(tx, &r)
}

// inode returns which file the state is in; 0 if it cannot be told.
func (j *journal) inode() uint64 {
	d, err := openFolder(filepath.Dir(j.state.file))
	if err != nil {
		return 0
	}
	defer d.close()
	m, err := d.stat(filepath.Base(j.state.file))
	if err != nil {
		return 0
	}
	return m.stamp.Ino
}

// reserve makes sure that the next n places are reserved on disk. If that is not to be had in time a new epoch begins: it is
// on disk nowhere, so that a crash makes all of its cursors gone, whatever was reserved. The caller holds mu, which is released
// meanwhile.
func (j *journal) reserve(n uint64) {
	var late <-chan time.Time
	for j.state.db != nil && !j.reset && j.next+n-1 > j.saved.reserved {
		if late == nil {
			late = time.After(j.limits.reserveWait)
		}
		j.wanted = max(j.wanted, j.next+n-1)
		saved := make(chan error, 1)
		go func() { saved <- j.saveGroup(false) }()
		j.mu.Unlock()
		var err error
		select {
		case err = <-saved:
		case <-late:
			err = errors.New("the disk does not answer")
		}
		j.mu.Lock()
		if err != nil && !j.reset && j.next+n-1 > j.saved.reserved {
			j.log.Error("the feed of changes cannot be written and is begun anew; clients compare the tree once", "why", err)
			j.beginEpoch()
		}
	}
}

// flush returns when every event up to a place is on disk, and the epoch is. In memory there is nothing to wait for.
func (j *journal) flush(seq uint64) error {
	for !j.isDurable(seq) {
		if err := j.saveGroup(false); err != nil {
			return err
		}
	}
	return nil
}

func (j *journal) isDurable(seq uint64) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.state.db == nil || !j.reset && j.saved.durable >= min(seq, j.last)
}

// A feedGroup is events on their way to disk, and what is written with them.
type feedGroup struct {
	journal *journal
	epoch   string
	reset   bool
	clean   bool
	blocks  [][]Event
	upTo    uint64 // every event up to here is on disk with this group, or lost
	lost    uint64
	given   uint64     // no place behind this one was given when the group was taken
	wanted  uint64     // up to here they must be reserved
	record  feedRecord // as it was written
}

// saveGroup writes the oldest events that are not on disk, at most feedGroupMax, and reserves places. With clean it writes that
// no place was given that is not on disk; everything must be.
func (j *journal) saveGroup(clean bool) error {
	j.saving.Lock()
	defer j.saving.Unlock()
	g := j.take(clean)
	if g == nil {
		return nil
	}
	err := failpoint("save-feed")
	if err == nil {
		err = j.state.update(g.write)
	}
	j.settle(g, err)
	if err != nil {
		return fmt.Errorf("write the feed: %w", err)
	}
	return nil
}

// take returns what is to be written; nil if nothing is.
func (j *journal) take(clean bool) *feedGroup {
	j.mu.Lock()
	defer j.mu.Unlock()
	from := j.saved.durable
	if j.reset {
		from = j.base
	}
	g := &feedGroup{journal: j, epoch: j.epoch, reset: j.reset, clean: clean, lost: j.lost}
	if j.base > from {
		from, g.lost = j.base, max(j.lost, j.base) // they were forgotten before the disk took them
	}
	if j.last == from && j.wanted <= j.saved.reserved && !j.reset && !clean {
		return nil
	}
	g.upTo = from
	for n := 0; n < j.limits.group; {
		block := j.recent.behind(g.upTo)
		if len(block) == 0 {
			break
		}
		block = block[:min(len(block), j.limits.group-n)]
		n += len(block)
		g.blocks, g.upTo = append(g.blocks, block), block[len(block)-1].Seq
	}
	g.given, g.wanted = j.next-1, j.wanted
	return g
}

// write is the transaction. It may be repeated when it is not known whether it went through.
func (g *feedGroup) write(tx *bbolt.Tx) error {
	if g.reset {
		if err := clearFeed(tx); err != nil {
			return err
		}
		if err := writeFeedRecord(tx, &feedRecord{epoch: g.epoch, file: g.journal.inode()}); err != nil {
			return err
		}
	}
	r, err := readFeedRecord(tx)
	if err != nil {
		return err
	}
	events := tx.Bucket(eventsBucket)
	if err := g.put(events, &r); err != nil {
		return err
	}
	r.durable = max(r.durable, g.upTo)
	r.reserved = max(r.reserved, max(g.given, g.wanted)+uint64(g.journal.limits.reserve))
	r.lost = max(r.lost, min(g.lost, r.durable))
	if err := g.trim(events, &r); err != nil {
		return err
	}
	r.forgetGaps()
	if r.clean = g.clean; r.clean {
		r.reserved = g.given
	}
	g.record = r
	return writeFeedRecord(tx, &r)
}

// put writes the events, only the last of each path.
func (g *feedGroup) put(events *bbolt.Bucket, r *feedRecord) error {
	events.FillPercent = 0.95 // keys only rise
	latest := map[Path]uint64{}
	size := 0
	for _, block := range g.blocks {
		for i := range block {
			latest[block[i].Path] = block[i].Seq
			size += block[i].memory()
		}
	}
	buffer := make([]byte, 0, size) // of which bbolt keeps pieces until the end of the transaction
	for _, block := range g.blocks {
		for i := range block {
			e := &block[i]
			if e.Seq <= r.durable || latest[e.Path] != e.Seq {
				continue
			}
			start := len(buffer)
			buffer = appendEvent(buffer, e)
			value := buffer[start:len(buffer):len(buffer)]
			if err := events.Put(eventKey(e.Seq), value); err != nil {
				return err
			}
			r.events++
			r.bytes += savedBytes(value)
		}
	}
	return nil
}

// savedBytes is what an event takes on disk: key, value and what bbolt adds.
func savedBytes(value []byte) uint64 { return uint64(8 + len(value) + pageElementBytes) }

// trim removes the oldest events over the bounds.
func (g *feedGroup) trim(events *bbolt.Bucket, r *feedRecord) error {
	l := g.journal.limits
	var keys [][]byte
	c := events.Cursor()
	for key, value := c.First(); key != nil; key, value = c.Next() {
		if r.events <= uint64(l.saved) && r.bytes <= uint64(l.savedBytes) {
			break
		}
		keys = append(keys, append([]byte(nil), key...))
		r.events--
		r.bytes -= min(r.bytes, savedBytes(value))
	}
	for _, key := range keys {
		if err := events.Delete(key); err != nil {
			return err
		}
		r.trimmed = max(r.trimmed, order8(key))
	}
	return nil
}

// settle takes note of what became of a group.
func (j *journal) settle(g *feedGroup, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err != nil {
		if !j.failing {
			j.log.Error("the feed of changes cannot be written; it is tried again", "why", err)
		}
		j.failing = true
		return
	}
	if j.failing {
		j.log.Info("the feed of changes is written again")
		j.failing = false
	}
	if g.epoch != j.epoch {
		return
	}
	// An epoch that is not on disk reserves nothing, so it may have got ahead of what has just been reserved.
	j.reset = j.reset && j.next-1 > g.record.reserved
	if !j.reset {
		j.saved = g.record
	}
	if g.record.lost > j.lost {
		j.log.Warn("more changes than the disk could take: clients that were behind compare the tree once", "lost_up_to", g.record.lost)
	}
	j.lost = max(j.lost, g.record.lost)
	j.evict()
}
