package tree

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"
)

// childFeed makes a journal renew its places often, and read from disk.
var childFeed = func() feedLimits {
	l := defaultFeedLimits
	l.reserve, l.memory, l.group = 300, 100, 150
	return l
}()

// JournalChild appends until it is killed, and tells what it was given.
func JournalChild(words []string) error {
	round, err := strconv.Atoi(words[1])
	if err != nil {
		return err
	}
	s, err := openState(words[0], 0, quietLog)
	if err != nil {
		return err
	}
	j, err := openJournalWithin(s, quietLog, childFeed)
	if err != nil {
		return err
	}
	go func() { _ = j.run(context.Background()) }()
	for n := 1; ; n++ {
		next := j.next
		events := make([]Event, 1+rand.IntN(5))
		for i := range events {
			events[i] = JournalChildEvent(round, next+uint64(i))
		}
		end := j.append(events...)
		fmt.Printf("given %s %d %d\n", end.Epoch, next, end.Seq)
		if n%200 == 0 {
			if err := j.flush(end.Seq); err != nil {
				return err
			}
			fmt.Printf("flushed %d\n", end.Seq)
		}
		if n%20 == 0 {
			time.Sleep(time.Millisecond)
		}
	}
}

// JournalChildEvent is the event that a round appends at a place.
func JournalChildEvent(round int, seq uint64) Event {
	return Event{Seq: seq, Path: Path{fmt.Sprint("f", seq%37)}, Kind: KindFile, Size: int64(round)}
}

// An OpenedJournal is a journal for tests from outside.
type OpenedJournal struct {
	t testing.TB
	j *journal
}

// OpenJournal opens the journal in a folder.
func OpenJournal(t testing.TB, folder string) OpenedJournal {
	return OpenedJournal{t, openFeed(t, folder, childFeed)}
}

func (o OpenedJournal) End() Cursor { return o.j.end() }
func (o OpenedJournal) Close()      { closeFeed(o.t, o.j) }
func (o OpenedJournal) Crash()      { crashFeed(o.t, o.j) }

// Follow reads all that is told behind a place.
func (o OpenedJournal) Follow(at uint64) (events []Event, err error) {
	for c := (Changes{Cursor: Cursor{o.j.end().Epoch, at}, More: true}); c.More; {
		if c, err = o.j.read(c.Cursor, Path{}, 0); err != nil {
			return nil, err
		}
		events = append(events, c.Events...)
	}
	return events, nil
}
