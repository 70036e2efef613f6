package tree

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"reflect"
	"strings"
	"testing"
	"time"

	"freshet/hashing"
)

var savedEvents = map[string]Event{
	"file": {
		Seq: 7, Path: Path{"docs/a b.txt"}, Kind: KindFile, Digest: hashing.Sum([]byte("x")), Size: 9,
		ModTime: time.Unix(1_700_000_000, 123_456_789), From: "docs/old.txt",
	},
	"executable":           {Seq: 1, Path: Path{"x"}, Kind: KindExecutable, Size: 1<<63 - 1, ModTime: time.Unix(0, 0)},
	"root":                 {Seq: 1, Kind: KindFolder},
	"folder_gone":          {Seq: 1<<64 - 1, Path: Path{"d"}, Kind: KindFolder, Gone: true},
	"link":                 {Seq: 2, Path: Path{"l"}, Kind: KindLink, Target: "../\x00\xff", Size: 5},
	"name_that_is_no_text": {Seq: 3, Path: Path{"\xff/\xfe"}, Kind: KindFile},
	"before_1970":          {Seq: 4, Path: Path{"old"}, Kind: KindFile, ModTime: time.Unix(-9_000_000_000_000, 1)},
	"long":                 {Seq: 5, Path: Path{strings.Repeat("p/", PathBytesMax/2-1) + "p"}, Kind: KindFile},
}

func TestJournalEvent(t *testing.T) {
	for name, e := range savedEvents {
		t.Run(name, func(t *testing.T) {
			b := appendEvent([]byte("before"), &e)[len("before"):]
			got, err := parseEvent(e.Seq, b)
			if err != nil || !reflect.DeepEqual(got, e) {
				t.Errorf("read %+v, %v, want %+v", got, err, e)
			}
			if _, err := parseEvent(e.Seq+1, b); !errors.Is(err, errEvent) {
				t.Errorf("read at another place: %v", err)
			}
			for i := range 8 * min(len(b), 100) { // every bit
				b[i/8] ^= 1 << (i % 8)
				if got, err := parseEvent(e.Seq, b); !errors.Is(err, errEvent) {
					t.Fatalf("bit %d was flipped: %+v, %v", i, got, err)
				}
				b[i/8] ^= 1 << (i % 8)
			}
			for i := range len(b) {
				if got, err := parseEvent(e.Seq, b[:i]); !errors.Is(err, errEvent) {
					t.Fatalf("cut to %d bytes: %+v, %v", i, got, err)
				}
			}
		})
	}
}

// bodyOf returns the form of an event without its sum.
func bodyOf(e Event) []byte {
	b := appendEvent(nil, &e)
	return b[:len(b)-eventSumBytes]
}

// withSum makes an event of any bytes.
func withSum(seq uint64, body []byte) []byte {
	return binary.BigEndian.AppendUint32(append([]byte(nil), body...), eventSum(seq, body))
}

// TestJournalEventIsRefused holds for what has the right sum: what another version wrote, or somebody made up.
func TestJournalEventIsRefused(t *testing.T) {
	file := bodyOf(fileAt("a", 1))
	edited := func(i int, c byte) []byte {
		b := append([]byte(nil), file...)
		b[i] = c
		return b
	}
	for name, body := range map[string][]byte{
		"empty":            {},
		"another_version":  edited(0, eventVersion+1),
		"unknown_kind":     edited(1, 's'),
		"unknown_flag":     edited(2, 8),
		"more_behind":      append(append([]byte(nil), file...), 0),
		"no_path":          file[:4],
		"path_too_long":    bodyOf(fileAt(strings.Repeat("p/", PathBytesMax/2)+"p", 1)),
		"path_with_dots":   bodyOf(fileAt("a/../b", 1)),
		"path_with_slash":  bodyOf(fileAt("/a", 1)),
		"reserved_name":    bodyOf(fileAt("a/"+Reserved, 1)),
		"size_without_end": {eventVersion, 'f', 0, 0xff},
		"zero_digest":      append([]byte{eventVersion, 'f', eventDigest, 0}, make([]byte, 16+3)...),
		"too_many_nanos":   append(binary.AppendUvarint([]byte{eventVersion, 'f', eventTime, 0, 0}, 1e9), 0, 0, 0),
	} {
		if e, err := parseEvent(1, withSum(1, body)); !errors.Is(err, errEvent) {
			t.Errorf("%s: read as %+v, %v", name, e, err)
		}
	}
}

func FuzzJournalEvent(f *testing.F) {
	for _, e := range savedEvents {
		f.Add(e.Seq, bodyOf(e))
	}
	f.Add(uint64(1), []byte{eventVersion, 'f', eventFlags, 0xff})
	f.Fuzz(func(t *testing.T, seq uint64, body []byte) {
		e, err := parseEvent(seq, withSum(seq, body))
		if err != nil {
			return
		}
		again, err := parseEvent(seq, appendEvent(nil, &e))
		if err != nil || !reflect.DeepEqual(again, e) {
			t.Errorf("%+v becomes %+v, %v", e, again, err)
		}
	})
}

var feedRecords = map[string]feedRecord{
	"new":     {epoch: "abcdefghijklmnop", reserved: 100_000},
	"clean":   {epoch: "abcdefghijklmnop", file: 1<<64 - 1, clean: true, durable: 5, reserved: 5, events: 3, bytes: 99},
	"trimmed": {epoch: "qrstuvwxyz234567", durable: 1<<64 - 1, reserved: 1<<64 - 1, trimmed: 3, lost: 4, events: 1},
	"crashed": {epoch: "aaaaaaaaaaaaaaaa", durable: 300, reserved: 400, gaps: []feedGap{{10, 100}, {200, 300}}},
}

func TestJournalRecord(t *testing.T) {
	for name, r := range feedRecords {
		t.Run(name, func(t *testing.T) {
			b := r.encode()
			if got, err := parseFeedRecord(b); err != nil || !reflect.DeepEqual(got, r) {
				t.Errorf("read %+v, %v, want %+v", got, err, r)
			}
			for i := range 8 * len(b) {
				b[i/8] ^= 1 << (i % 8)
				if got, err := parseFeedRecord(b); !errors.Is(err, errStateDamaged) {
					t.Fatalf("bit %d was flipped: %+v, %v", i, got, err)
				}
				b[i/8] ^= 1 << (i % 8)
			}
		})
	}
}

// withCRC makes a record of any bytes.
func withCRC(body []byte) []byte {
	return binary.BigEndian.AppendUint32(append([]byte(nil), body...), crc32.Checksum(body, castagnoli))
}

func FuzzJournalRecord(f *testing.F) {
	for _, r := range feedRecords {
		b := r.encode()
		f.Add(b[:len(b)-eventSumBytes])
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := parseFeedRecord(withCRC(body))
		if err != nil {
			return
		}
		if again, err := parseFeedRecord(r.encode()); err != nil || !reflect.DeepEqual(again, r) {
			t.Errorf("%+v becomes %+v, %v", r, again, err)
		}
	})
}
