package tree

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"go.etcd.io/bbolt"
)

var (
	feedBucket   = []byte("feed")
	eventsBucket = []byte("events")
	recordKey    = []byte("record")
)

const feedRecordVersion = 1

// A feedRecord is what is on disk about the feed, besides its events.
type feedRecord struct {
	epoch    string
	file     uint64 // inode of the file itself: a copy of it, or a backup, is not the same feed
	clean    bool   // nothing was given that is not on disk
	durable  uint64 // every event up to here is on disk, trimmed or lost
	reserved uint64 // no place behind this one has been given
	trimmed  uint64 // cursors before it are behind events that were trimmed
	lost     uint64 // cursors before it are behind events that were lost
	events   uint64 // on disk
	bytes    uint64 // of them
	gaps     []feedGap
}

// A feedGap is a range of places that may have been given before a crash and are on disk no more. Cursors behind the
// first and up to the last are gone.
type feedGap struct{ after, upTo uint64 }

// floor is the oldest cursor that what is on disk can be followed from.
func (r *feedRecord) floor() uint64 { return max(r.trimmed, r.lost) }

// crashed takes note that places behind durable may have been given.
func (r *feedRecord) crashed(gapsMax int) {
	if n := len(r.gaps); n > 0 && r.gaps[n-1].after == r.durable {
		r.gaps[n-1].upTo = r.reserved
	} else {
		r.gaps = append(r.gaps, feedGap{r.durable, r.reserved})
	}
	for len(r.gaps) > gapsMax {
		r.lost = max(r.lost, r.gaps[0].upTo+1)
		r.gaps = r.gaps[1:]
	}
}

// forgetGaps drops those that lie before the floor, where every cursor is gone anyway.
func (r *feedRecord) forgetGaps() {
	for len(r.gaps) > 0 && r.gaps[0].upTo < r.floor() {
		r.gaps = r.gaps[1:]
	}
}

// inGap reports whether a cursor is to a place that may have been given before a crash and is on disk no more.
func (r *feedRecord) inGap(at uint64) bool {
	for _, g := range r.gaps {
		if g.after < at && at <= g.upTo {
			return true
		}
	}
	return false
}

// gone returns why the cursor at a place cannot be followed by what is on disk; "" if it can.
func (r *feedRecord) gone(at uint64) string {
	switch {
	case r.inGap(at):
		return GoneGap
	case at < r.trimmed:
		return GoneTrimmed
	case at < r.lost:
		return GoneGap
	}
	return ""
}

// encode returns the form on disk: version, clean, epoch, the numbers in the order above, the number of gaps, the gaps, CRC-32C of all that.
func (r *feedRecord) encode() []byte {
	b := []byte{feedRecordVersion, 0}
	if r.clean {
		b[1] = 1
	}
	b = append(b, r.epoch...)
	numbers := []uint64{r.file, r.durable, r.reserved, r.trimmed, r.lost, r.events, r.bytes, uint64(len(r.gaps))}
	for _, g := range r.gaps {
		numbers = append(numbers, g.after, g.upTo)
	}
	for _, n := range numbers {
		b = binary.AppendUvarint(b, n)
	}
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// parseFeedRecord reads what encode writes.
func parseFeedRecord(b []byte) (r feedRecord, err error) {
	const headBytes = 2 + epochBytes
	end := len(b) - crc32.Size
	if end < headBytes || binary.BigEndian.Uint32(b[end:]) != crc32.Checksum(b[:end], castagnoli) ||
		b[0] != feedRecordVersion || b[1] > 1 {
		return r, fmt.Errorf("%w: record of the feed", errStateDamaged)
	}
	r.clean, r.epoch = b[1] == 1, string(b[2:headBytes])
	f := fields{b[headBytes:end], true}
	for _, n := range []*uint64{&r.file, &r.durable, &r.reserved, &r.trimmed, &r.lost, &r.events, &r.bytes} {
		*n = f.uvarint()
	}
	gaps := f.uvarint()
	if gaps > uint64(len(f.rest)) {
		f.ok = false
	}
	for i := uint64(0); f.ok && i < gaps; i++ {
		r.gaps = append(r.gaps, feedGap{f.uvarint(), f.uvarint()})
	}
	_, err = ParseCursor(r.epoch + ".0")
	if !f.ok || len(f.rest) > 0 || err != nil || r.durable > r.reserved || r.floor() > r.durable {
		return feedRecord{}, fmt.Errorf("%w: record of the feed", errStateDamaged)
	}
	return r, nil
}

// readFeedRecord returns what is on disk about the feed.
func readFeedRecord(tx *bbolt.Tx) (feedRecord, error) {
	feed, events := tx.Bucket(feedBucket), tx.Bucket(eventsBucket)
	if feed == nil || events == nil {
		return feedRecord{}, fmt.Errorf("%w: no feed", errStateDamaged)
	}
	return parseFeedRecord(feed.Get(recordKey))
}

func writeFeedRecord(tx *bbolt.Tx, r *feedRecord) error {
	return tx.Bucket(feedBucket).Put(recordKey, r.encode())
}

// clearFeed makes room for the feed of a new epoch.
func clearFeed(tx *bbolt.Tx) error {
	for _, name := range [][]byte{feedBucket, eventsBucket} {
		if tx.Bucket(name) != nil {
			if err := tx.DeleteBucket(name); err != nil {
				return err
			}
		}
		if _, err := tx.CreateBucket(name); err != nil {
			return err
		}
	}
	return nil
}
