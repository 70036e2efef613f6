package tree

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
	"time"
)

// The form of an event on disk: version, kind and flags, a byte each; size and, unless it is zero, the time of modification
// as seconds and nanoseconds, in variable length; the digest, unless it is zero; path, target and origin, each with its
// length before it; and the CRC-32C of the place and all that.
const (
	eventVersion  = 1
	eventGone     = 1 << 0
	eventDigest   = 1 << 1
	eventTime     = 1 << 2
	eventFlags    = eventGone | eventDigest | eventTime
	eventSumBytes = 4
)

var errEvent = errors.New("not an event")

// eventKey is the key of the event at a place, in the order of places.
func eventKey(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

// appendEvent adds the form of e on disk to b.
func appendEvent(b []byte, e *Event) []byte {
	start := len(b)
	flags := byte(0)
	if e.Gone {
		flags |= eventGone
	}
	if !e.Digest.IsZero() {
		flags |= eventDigest
	}
	if !e.ModTime.IsZero() {
		flags |= eventTime
	}
	b = append(b, eventVersion, byte(e.Kind), flags)
	b = binary.AppendVarint(b, e.Size)
	if flags&eventTime != 0 {
		b = binary.AppendVarint(b, e.ModTime.Unix())
		b = binary.AppendUvarint(b, uint64(e.ModTime.Nanosecond()))
	}
	if flags&eventDigest != 0 {
		b = append(b, e.Digest[:]...)
	}
	for _, text := range []string{e.Path.s, e.Target, e.From} {
		b = binary.AppendUvarint(b, uint64(len(text)))
		b = append(b, text...)
	}
	return binary.BigEndian.AppendUint32(b, eventSum(e.Seq, b[start:]))
}

func eventSum(seq uint64, body []byte) uint32 {
	var key [8]byte
	binary.BigEndian.PutUint64(key[:], seq)
	return crc32.Update(crc32.Checksum(key[:], castagnoli), castagnoli, body)
}

// parseEvent reads what appendEvent writes for the event at a place. Anything else is errEvent.
func parseEvent(seq uint64, b []byte) (Event, error) {
	e, ok := Event{Seq: seq}, len(b) >= eventSumBytes
	if ok {
		body := b[:len(b)-eventSumBytes]
		ok = binary.BigEndian.Uint32(b[len(body):]) == eventSum(seq, body) && e.parse(body)
	}
	if !ok {
		return Event{}, fmt.Errorf("%w: %d bytes at %d", errEvent, len(b), seq)
	}
	return e, nil
}

// parse reads the form of e without its sum.
func (e *Event) parse(b []byte) bool {
	if len(b) < 3 || b[0] != eventVersion || b[2]&^eventFlags != 0 {
		return false
	}
	flags := b[2]
	e.Kind, e.Gone = Kind(b[1]), flags&eventGone != 0
	switch e.Kind {
	case KindFile, KindExecutable, KindFolder, KindLink:
	default:
		return false
	}
	f := fields{b[3:], true}
	e.Size = f.varint()
	if flags&eventTime != 0 {
		seconds, nanos := f.varint(), f.uvarint()
		e.ModTime = time.Unix(seconds, int64(nanos))
		f.ok = f.ok && nanos < uint64(time.Second) && !e.ModTime.IsZero()
	}
	if flags&eventDigest != 0 {
		copy(e.Digest[:], f.take(uint64(len(e.Digest))))
		f.ok = f.ok && !e.Digest.IsZero()
	}
	e.Path.s, e.Target, e.From = f.text(), f.text(), f.text()
	return f.ok && len(f.rest) == 0 && isPath(e.Path.s)
}

// isPath reports whether s is what a Path holds.
func isPath(s string) bool {
	if s == "" {
		return true
	}
	for name := range strings.SplitSeq(s, "/") {
		if checkName(name) != nil || isReserved(name) {
			return false
		}
	}
	return len(s) <= PathBytesMax
}

// fields reads values one after the other. When one is not there, ok turns false and all that follow are zero.
type fields struct {
	rest []byte
	ok   bool
}

func (f *fields) varint() int64 {
	n, size := binary.Varint(f.rest)
	f.skip(size)
	return n
}

func (f *fields) uvarint() uint64 {
	n, size := binary.Uvarint(f.rest)
	f.skip(size)
	return n
}

func (f *fields) skip(size int) {
	if size <= 0 {
		f.rest, f.ok = nil, false
		return
	}
	f.rest = f.rest[size:]
}

func (f *fields) take(n uint64) []byte {
	if n > uint64(len(f.rest)) {
		f.rest, f.ok = nil, false
		return nil
	}
	b := f.rest[:n]
	f.rest = f.rest[n:]
	return b
}

func (f *fields) text() string { return string(f.take(f.uvarint())) }
