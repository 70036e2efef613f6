package hashing

import (
	"encoding/binary"
	"math"

	"github.com/zeebo/xxh3"
)

// The kinds of children of a folder, as they stand in its fingerprint.
const (
	ChildFile       byte = 'f' // a regular file without an execute bit
	ChildExecutable byte = 'x' // a regular file that its owner may execute
	ChildFolder     byte = 'd'
	ChildLink       byte = 'l' // a symbolic link, whatever it leads to
)

// BucketedChildrenMin is the least number of children of a folder that is hashed as a list of buckets.
const BucketedChildrenMin = 4097

// folderBufferBytesMax is how much a FolderHasher gathers before it hashes: most folders are hashed in one go.
const folderBufferBytesMax = 256 << 10

// What fingerprints begin with, so that none of one form can equal one of another.
const (
	flatHeader     = "freshet-dir-1\x00"
	bucketHeader   = "freshet-bucket-1\x00"
	bucketedHeader = "freshet-dirs-1\x00"
)

// EndsBucket reports whether a bucket ends after the child with this name: whether the low 8 bits of the XXH3-64 of the name
// are zero, whatever the Algorithm. The split depends on names alone, so that equal folders are split alike, and a change of
// one child touches one bucket, or two where the split moves.
func EndsBucket(name []byte) bool { return byte(xxh3.Hash(name)) == 0 }

// A FolderHasher computes the fingerprints of folders. A fingerprint is the digest of
//
//	"freshet-dir-1\0"     the 14 bytes, the last one zero
//	count                 of children, u64
//	then for each child, in the order of the bytes of their names:
//	  kind                1 byte: f file, x executable file, d folder, l symbolic link
//	  length of the name  in bytes, u16
//	  name                as the filesystem has it
//	  size                in bytes, u64; 0 for d and l
//	  tag                 16 bytes: the digest of a file, the fingerprint of a folder, the digest of a link's text
//
// where integers are little-endian. The children of a folder with BucketedChildrenMin or more are split into buckets: in the
// order of their names, one ends after each child whose name EndsBucket, the last one with the last child. The fingerprint of
// a bucket is that of a folder with the bucket's children, but for its beginning, "freshet-bucket-1\0". The fingerprint of
// the folder then is the digest of
//
//	"freshet-dirs-1\0"    the 15 bytes, the last one zero
//	count                 of children in all buckets, u64
//	fingerprints          of the buckets, in order, 16 bytes each
//
// No fingerprint is the zero Digest, which stands for "not known": that one should come out has a chance of 2^-128 and is
// left at that.
//
// A FolderHasher can be used again and again, and allocates nothing for a child. It is not safe for concurrent use.
type FolderHasher struct {
	algorithm Algorithm
	buf       []byte
	long      sum128 // of what did not fit into buf; made when first needed
	spilled   bool   // long holds the beginning
	missing   uint64 // children yet to come; wraps around when there are too many
	unknown   bool   // a child has no tag or too long a name
}

// NewFolderHasher returns a FolderHasher that computes fingerprints by a. Reset or ResetBucket comes next.
func NewFolderHasher(a Algorithm) *FolderHasher { return &FolderHasher{algorithm: a} }

// Reset begins the fingerprint of a folder with count children, fewer than BucketedChildrenMin.
func (h *FolderHasher) Reset(count uint64) { h.begin(flatHeader, count) }

// ResetBucket begins the fingerprint of a bucket of count children.
func (h *FolderHasher) ResetBucket(count uint64) { h.begin(bucketHeader, count) }

func (h *FolderHasher) begin(header string, count uint64) {
	h.buf = append(h.buf[:0], header...)
	h.buf = binary.LittleEndian.AppendUint64(h.buf, count)
	h.missing, h.spilled, h.unknown = count, false, false
}

// Add adds the next child: children come in rising order of the bytes of their names. A name has at most 65,535 bytes. The
// size of what is no file does not count. A zero tag is that of a child whose state is not known.
func (h *FolderHasher) Add(kind byte, name []byte, size int64, tag Digest) {
	h.unknown = h.unknown || tag.IsZero() || len(name) > math.MaxUint16
	h.missing--
	if kind == ChildFolder || kind == ChildLink {
		size = 0
	}
	h.buf = append(h.buf, kind)
	h.buf = binary.LittleEndian.AppendUint16(h.buf, uint16(len(name)))
	h.buf = append(h.buf, name...)
	h.buf = binary.LittleEndian.AppendUint64(h.buf, uint64(size))
	h.buf = append(h.buf, tag[:]...)
	if len(h.buf) >= folderBufferBytesMax {
		h.spill()
	}
}

// Digest returns the fingerprint of the children added, or the zero Digest if that cannot be told: one of them has no tag or
// too long a name, or there were more or fewer than announced.
func (h *FolderHasher) Digest() Digest {
	if h.unknown || h.missing != 0 {
		return Digest{}
	}
	return h.sum()
}

// Buckets returns the fingerprint of a folder of count children, BucketedChildrenMin or more, from those of its buckets in
// order, or the zero Digest if that of a bucket is not known. It ends what was begun before.
func (h *FolderHasher) Buckets(count uint64, buckets []Digest) Digest {
	h.begin(bucketedHeader, count)
	for _, b := range buckets {
		if b.IsZero() {
			return Digest{}
		}
		h.buf = append(h.buf, b[:]...)
		if len(h.buf) >= folderBufferBytesMax {
			h.spill()
		}
	}
	return h.sum()
}

// spill hashes what was gathered, to make room.
func (h *FolderHasher) spill() {
	if h.long == nil {
		h.long = h.algorithm.newSum128()
	}
	if !h.spilled {
		h.long.Reset()
		h.spilled = true
	}
	_, _ = h.long.Write(h.buf)
	h.buf = h.buf[:0]
}

func (h *FolderHasher) sum() Digest {
	if !h.spilled {
		return h.algorithm.Sum(h.buf)
	}
	h.spill()
	return h.long.digest()
}
