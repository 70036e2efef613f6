package tree

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// damagedFeed is the file of a feed that was stopped, and what it knows.
type damagedFeed struct {
	file   string
	epoch  string
	events []Event
	whole  []byte
}

func newDamagedFeed(t *testing.T, clean bool) *damagedFeed {
	folder := memoryFolder(t)
	l := defaultFeedLimits
	l.group = 70
	j := openFeed(t, folder, l)
	d := &damagedFeed{file: filepath.Join(folder, stateName), epoch: j.end().Epoch}
	for i := range 400 {
		e := fileAt(fmt.Sprint("file ", i), int64(i))
		e.Target = string(make([]byte, i%90))
		e.Seq = j.append(e).Seq
		d.events = append(d.events, e)
	}
	if err := j.flush(400); err != nil {
		t.Fatal(err)
	}
	if clean {
		closeFeed(t, j)
	} else {
		crashFeed(t, j)
	}
	var err error
	if d.whole, err = os.ReadFile(d.file); err != nil {
		t.Fatal(err)
	}
	return d
}

// follow returns all that is told behind a place.
func (d *damagedFeed) follow(j *journal, at uint64) (events []Event, err error) {
	for c := (Changes{Cursor: Cursor{d.epoch, at}, More: true}); c.More; {
		if c, err = j.read(c.Cursor, Path{}, 0); err != nil {
			return nil, err
		}
		events = append(events, c.Events...)
	}
	return events, nil
}

var damages = []struct {
	name   string
	damage func(b []byte, r *rand.Rand) []byte
}{
	{"bit_flipped", func(b []byte, r *rand.Rand) []byte {
		b[r.IntN(len(b))] ^= 1 << r.IntN(8)
		return b
	}},
	{"bit_of_a_page_head_flipped", func(b []byte, r *rand.Rand) []byte {
		b[r.IntN(len(b)/4096)*4096+r.IntN(96)] ^= 1 << r.IntN(8)
		return b
	}},
	{"sector_cleared", func(b []byte, r *rand.Rand) []byte {
		at := r.IntN(len(b)/512) * 512
		clear(b[at : at+512])
		return b
	}},
	{"sector_of_noise", func(b []byte, r *rand.Rand) []byte {
		at := r.IntN(len(b)/512) * 512
		for i := range 512 {
			b[at+i] = byte(r.Uint32())
		}
		return b
	}},
	{"page_in_place_of_another", func(b []byte, r *rand.Rand) []byte {
		from, to := r.IntN(len(b)/4096)*4096, r.IntN(len(b)/4096)*4096
		copy(b[to:to+4096], b[from:])
		return b
	}},
	{"cut", func(b []byte, r *rand.Rand) []byte { return b[:1+r.IntN(len(b)-1)] }},
}

// TestJournalDamaged damages the file in many ways. The journal starts all the same, and whoever follows the feed is told
// exactly what happened, or that it cannot be told.
func TestJournalDamaged(t *testing.T) {
	noticed := 0
	for _, clean := range []bool{true, false} {
		d := newDamagedFeed(t, clean)
		for _, test := range damages {
			seed := rand.Uint64()
			r := rand.New(rand.NewPCG(seed, 0))
			followed, gone := 0, 0
			for range 12 {
				bytes := test.damage(append([]byte(nil), d.whole...), r)
				f, g := d.try(t, bytes)
				followed, gone = followed+f, gone+g
				if t.Failed() {
					t.Fatalf("%s, clean %v, seed %d", test.name, clean, seed)
				}
			}
			t.Logf("%s: %d cursors were followed, %d gone", test.name, followed, gone)
			noticed += gone
		}
	}
	if noticed == 0 {
		t.Error("no damage was ever noticed")
	}
}

// try starts with a damaged file, and follows the feed from many places.
func (d *damagedFeed) try(t *testing.T, damaged []byte) (followed, gone int) {
	if err := os.WriteFile(d.file, damaged, 0o600); err != nil { // it stays the same file
		t.Fatal(err)
	}
	l := defaultFeedLimits
	l.scan = 150
	j := openFeed(t, filepath.Dir(d.file), l)
	for at := uint64(0); at <= 400; at += 16 {
		got, err := d.follow(j, at)
		var why *CursorGoneError
		switch {
		case errors.As(err, &why):
			gone++
		case err != nil:
			t.Error(err)
		case !slices.Equal(got, d.events[at:]):
			t.Errorf("behind %d: %d of %d events, or others", at, len(got), len(d.events[at:]))
		default:
			followed++
		}
	}
	before := j.end()
	if end := appendFiles(j, 3); end.Epoch == d.epoch && end.Seq < before.Seq+3 {
		t.Errorf("appended up to %v behind %v", end, before)
	}
	// What is damaged may stop the journal from writing, but not the program.
	if err := errors.Join(j.close(), j.state.close()); err != nil && !errors.Is(err, errStateDamaged) {
		t.Error(err)
	}
	if aside, _ := filepath.Glob(d.file + ".broken-*"); len(aside) > 0 {
		if err := os.Rename(aside[0], d.file); err != nil {
			t.Fatal(err)
		}
	}
	return followed, gone
}

// TestJournalDamagedWhileOpen cuts the file under a journal that has mapped it. The program goes on with what is in memory.
func TestJournalDamagedWhileOpen(t *testing.T) {
	folder := memoryFolder(t)
	l := defaultFeedLimits
	l.memory = 10
	j := openFeed(t, folder, l)
	start := j.end()
	if err := j.flush(appendFiles(j, 1000).Seq); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(folder, stateName), 8192); err != nil {
		t.Fatal(err)
	}
	wantGone(t, j, start, GoneGap)
	end := appendFiles(j, 5)
	if got, _ := seqs(t, j, Cursor{end.Epoch, end.Seq - 5}, "", 0); len(got) != 5 {
		t.Errorf("%d events from memory", len(got))
	}
	if err := j.flush(end.Seq); !errors.Is(err, errStateDamaged) {
		t.Errorf("flush: %v", err)
	}
	if err := errors.Join(j.close(), j.state.close()); !errors.Is(err, errStateDamaged) {
		t.Errorf("close: %v", err)
	}
}
