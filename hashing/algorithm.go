package hashing

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/zeebo/blake3"
	"github.com/zeebo/xxh3"
)

// An Algorithm computes digests. A root keeps to one for life: digests of different algorithms say nothing about each other.
type Algorithm uint8

const (
	// XXH3 is XXH3-128 in canonical (big-endian) form, what `xxhsum -H128` prints: as fast as memory, and no obstacle to
	// somebody who wants two contents with one digest.
	XXH3 Algorithm = iota
	// BLAKE3 is the first 128 bits of BLAKE3, the first half of what `b3sum` prints, for roots that people may write to who
	// are not trusted. To find a second content for a given digest takes 2^128 trials, to find any two with one digest 2^64.
	BLAKE3
)

// ErrAlgorithm is returned by ParseAlgorithm for text that names no Algorithm.
var ErrAlgorithm = errors.New(`not "xxh3" or "blake3"`)

// ParseAlgorithm reads what Algorithm.String writes: "xxh3" or "blake3".
func ParseAlgorithm(s string) (Algorithm, error) {
	for a := XXH3; a <= BLAKE3; a++ {
		if s == a.String() {
			return a, nil
		}
	}
	return XXH3, fmt.Errorf("%w: %.60q", ErrAlgorithm, s)
}

// String returns the name of a, "xxh3" or "blake3".
func (a Algorithm) String() string {
	switch a {
	case XXH3:
		return "xxh3"
	case BLAKE3:
		return "blake3"
	}
	return fmt.Sprintf("Algorithm(%d)", uint8(a))
}

// Sum returns the digest of b by a.
func (a Algorithm) Sum(b []byte) Digest {
	if a == BLAKE3 {
		sum := blake3.Sum256(b)
		return Digest(sum[:DigestBytes])
	}
	return xxh3.Hash128(b).Bytes()
}

// NewHasher returns a Hasher of nothing yet, by a.
func (a Algorithm) NewHasher() *Hasher {
	h := &Hasher{algorithm: a, whole: a.newSum128(), block: xxh3.New()}
	if a == BLAKE3 {
		h.block = newBlake128()
	}
	return h
}

// BlockSum returns the hash that Hasher.Blocks holds for a block of bytes b. It guards a body, under a digest that was
// checked before, against changes that did not show. By BLAKE3 somebody who can store into a file without a trace cannot
// aim at the hash of a block that another wrote: that takes 2^64 trials (two blocks of one's own with one hash: 2^32).
func (a Algorithm) BlockSum(b []byte) uint64 {
	if a == BLAKE3 {
		sum := blake3.Sum256(b)
		return binary.BigEndian.Uint64(sum[:8])
	}
	return xxh3.Hash(b)
}

// newSum128 returns a running sum of the whole, by a.
func (a Algorithm) newSum128() sum128 {
	if a == BLAKE3 {
		return newBlake128()
	}
	return xxh128{xxh3.New128()}
}

// A sum128 is a running 128-bit sum. Write never fails.
type sum128 interface {
	Write(p []byte) (int, error)
	Reset()
	digest() Digest
}

// A sum64 is a running 64-bit sum. Write never fails.
type sum64 interface {
	Write(p []byte) (int, error)
	Reset()
	Sum64() uint64
}

type xxh128 struct{ *xxh3.Hasher128 }

func (x xxh128) digest() Digest { return x.Sum128().Bytes() }

// blake128 keeps a place for the sum, so that asking for it allocates nothing.
type blake128 struct {
	*blake3.Hasher
	sum []byte
}

func newBlake128() *blake128 { return &blake128{Hasher: blake3.New(), sum: make([]byte, 0, 32)} }

func (b *blake128) digest() Digest { return Digest(b.Sum(b.sum)[:DigestBytes]) }

func (b *blake128) Sum64() uint64 { return binary.BigEndian.Uint64(b.Sum(b.sum)) }
