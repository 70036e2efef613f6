package hashing

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
)

// DigestBytes is the length of a Digest in bytes.
const DigestBytes = 16

// A Digest names a file's bytes: their 128-bit sum by an Algorithm.
// The zero Digest means "not known"; it is not the digest of the empty file.
type Digest [DigestBytes]byte

// ErrDigest is returned by ParseDigest for text that is not 32 lower-case hex digits.
var ErrDigest = errors.New("not a digest")

// Sum returns the digest of b by XXH3.
func Sum(b []byte) Digest { return XXH3.Sum(b) }

// ParseDigest reads the text form of a digest: 32 lower-case hex digits, nothing else.
func ParseDigest(s string) (Digest, error) {
	var d Digest
	if len(s) != 2*DigestBytes {
		return d, fmt.Errorf("%w: %q", ErrDigest, s)
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return d, fmt.Errorf("%w: %q", ErrDigest, s)
		}
	}
	_, err := hex.Decode(d[:], []byte(s))
	return d, err
}

// String returns the 32 lower-case hex digits of d.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// IsZero reports whether d is the zero Digest, which stands for "not known".
func (d Digest) IsZero() bool { return d == Digest{} }

// ETag returns the strong entity tag of a file whose digest is d: the hex digits in quotes.
// It must not be called on the zero Digest: a tag that is not known is not sent.
func (d Digest) ETag() string {
	var b [2*DigestBytes + 2]byte
	b[0], b[len(b)-1] = '"', '"'
	hex.Encode(b[1:], d[:])
	return string(b[:])
}

// BlockBytes is the size of the blocks whose hashes let a long body be checked piece by piece while it is sent.
const BlockBytes = 128 << 10

// A Hasher computes the digest of what is written to it, and the hash of each block of BlockBytes.
// Write never fails. A Hasher is not safe for concurrent use.
type Hasher struct {
	algorithm Algorithm
	whole     sum128
	block     sum64
	fill      int // bytes in the current block
	size      int64
	blocks    []uint64
}

var _ io.Writer = (*Hasher)(nil)

// NewHasher returns a Hasher of nothing yet, by XXH3.
func NewHasher() *Hasher { return XXH3.NewHasher() }

// Reset forgets everything written.
func (h *Hasher) Reset() {
	h.whole.Reset()
	h.block.Reset()
	h.fill, h.size, h.blocks = 0, 0, nil
}

// Write adds p to the hash.
func (h *Hasher) Write(p []byte) (int, error) {
	h.size += int64(len(p))
	_, _ = h.whole.Write(p)
	for rest := p; len(rest) > 0; {
		n := min(len(rest), BlockBytes-h.fill)
		h.addToBlock(rest[:n])
		rest = rest[n:]
	}
	return len(p), nil
}

// addToBlock hashes b, which does not reach past the end of the current block. A block that arrives whole takes the
// one-shot function, which copies nothing.
func (h *Hasher) addToBlock(b []byte) {
	if h.fill == 0 && len(b) == BlockBytes {
		h.blocks = append(h.blocks, h.algorithm.BlockSum(b))
		return
	}
	_, _ = h.block.Write(b)
	if h.fill += len(b); h.fill == BlockBytes {
		h.blocks = append(h.blocks, h.block.Sum64())
		h.block.Reset()
		h.fill = 0
	}
}

// Size returns the number of bytes written.
func (h *Hasher) Size() int64 { return h.size }

// Digest returns the digest of all bytes written so far.
func (h *Hasher) Digest() Digest { return h.whole.digest() }

// Blocks returns one hash for each block of BlockBytes, the last one of what is left over, or nil for input of at most
// BlockBytes, whose Digest says all. The slice is the caller's; only Reset may follow.
func (h *Hasher) Blocks() []uint64 {
	if h.size <= BlockBytes {
		return nil
	}
	if h.fill > 0 {
		return append(h.blocks, h.block.Sum64())
	}
	return h.blocks
}

// BlockSum returns the hash that Blocks holds for a block of bytes b, by XXH3.
func BlockSum(b []byte) uint64 { return XXH3.BlockSum(b) }
