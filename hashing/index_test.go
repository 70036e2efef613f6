package hashing_test

import (
	"sync"
	"testing"
	"time"

	"freshet/hashing"
)

const second = int64(time.Second)

// settled returns a record of inode ino that can be trusted.
func settled(ino uint64) hashing.Record {
	s := hashing.Stamp{Dev: 1, Ino: ino, Size: 3, Ctime: 100 * second}
	return hashing.Record{Stamp: s, Digest: hashing.Sum([]byte{byte(ino)}), Certified: true}
}

func TestRecordTrusted(t *testing.T) {
	for _, c := range []struct {
		name      string
		certified bool
		still     int64 // nanoseconds from the change to the beginning of hashing
		want      bool
	}{
		{"long_still", false, 3600 * second, true},
		{"just_out_of_the_racy_window", false, hashing.RacyNanos + 1, true},
		{"just_inside_the_racy_window", false, hashing.RacyNanos, false},
		{"hashed_at_once", false, 0, false},
		{"changed_in_the_future", false, -3600 * second, false},
		{"certified_hashed_at_once", true, 0, true},
		{"certified_changed_in_the_future", true, -3600 * second, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := settled(1)
			r.Certified, r.Began = c.certified, r.Stamp.Ctime+c.still
			if got := r.Trusted(); got != c.want {
				t.Errorf("Trusted = %v, want %v", got, c.want)
			}
			x := hashing.NewIndex(0)
			x.Put(r)
			if _, got := x.Get(r.Stamp); got != c.want {
				t.Errorf("Get finds it: %v, want %v", got, c.want)
			}
		})
	}
}

func TestIndexBelievesTheSameStampOnly(t *testing.T) {
	r := settled(7)
	x := hashing.NewIndex(0)
	x.Put(r)
	if got, ok := x.Get(r.Stamp); !ok || got.Digest != r.Digest {
		t.Fatalf("Get = %v, %v", got, ok)
	}
	for name, change := range map[string]func(*hashing.Stamp){
		"later":        func(s *hashing.Stamp) { s.Ctime++ },
		"earlier":      func(s *hashing.Stamp) { s.Ctime-- },
		"longer":       func(s *hashing.Stamp) { s.Size++ },
		"other_inode":  func(s *hashing.Stamp) { s.Ino++ },
		"other_device": func(s *hashing.Stamp) { s.Dev++ },
	} {
		s := r.Stamp
		change(&s)
		if got, ok := x.Get(s); ok || !got.Digest.IsZero() {
			t.Errorf("%s: Get = %v, %v, want nothing", name, got, ok)
		}
	}
}

func TestIndexForgets(t *testing.T) {
	x := hashing.NewIndex(0)
	old := settled(7)
	x.Put(old)
	now := old
	now.Stamp.Ctime += second
	now.Digest = hashing.Sum([]byte("new"))
	x.Put(now)
	if _, ok := x.Get(old.Stamp); ok {
		t.Error("the state that was replaced is still known")
	}
	if got, ok := x.Get(now.Stamp); !ok || got.Digest != now.Digest || x.Len() != 1 {
		t.Errorf("Get = %v, %v with %d records", got, ok, x.Len())
	}
	x.Drop(now.Stamp.Inode())
	x.Drop(hashing.Inode{Dev: 9, Ino: 9})
	if _, ok := x.Get(now.Stamp); ok || x.Len() != 0 {
		t.Error("what was dropped is still known")
	}
}

func TestIndexIsBounded(t *testing.T) {
	const recordsMax = 256
	x := hashing.NewIndex(recordsMax)
	for ino := range uint64(20 * recordsMax) {
		r := settled(ino)
		x.Put(r)
		if _, ok := x.Get(r.Stamp); !ok {
			t.Fatalf("the record just put, of inode %d, is not there", ino)
		}
	}
	if n := x.Len(); n > recordsMax || n < recordsMax/2 {
		t.Errorf("%d records of at most %d", n, recordsMax)
	}
	full, last := x.Len(), settled(20*recordsMax-1)
	last.Stamp.Ctime++
	x.Put(last)
	if x.Len() != full {
		t.Errorf("a new state of a known inode changed the number of records from %d to %d", full, x.Len())
	}
}

func TestSmallestIndexHoldsTheLatest(t *testing.T) {
	x := hashing.NewIndex(1)
	for ino := range uint64(1000) {
		r := settled(ino)
		x.Put(r)
		if _, ok := x.Get(r.Stamp); !ok {
			t.Fatalf("inode %d is not there", ino)
		}
	}
}

func TestIndexAtOnce(t *testing.T) {
	x := hashing.NewIndex(512)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for i := range uint64(4000) {
				r := settled(i % 700)
				x.Put(r)
				if got, ok := x.Get(r.Stamp); ok && got.Digest != r.Digest {
					t.Errorf("inode %d has the digest of another", r.Stamp.Ino)
				}
				if i%50 == 0 {
					x.Drop(r.Stamp.Inode())
				}
			}
		})
	}
	all.Wait()
	if n := x.Len(); n > 512 {
		t.Errorf("%d records of at most 512", n)
	}
}

func TestIndexGetAllocatesNothing(t *testing.T) {
	x := hashing.NewIndex(0)
	r := settled(1)
	x.Put(r)
	if n := testing.AllocsPerRun(100, func() { x.Get(r.Stamp) }); n > 0 {
		t.Errorf("Get takes %v allocations, want none", n)
	}
}
