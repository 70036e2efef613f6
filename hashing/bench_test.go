package hashing_test

import (
	"fmt"
	"testing"

	"freshet/hashing"
)

// listed are children whose names need no conversion.
type listed struct {
	names [][]byte
	tags  []hashing.Digest
}

func listedChildren(n int) listed {
	l := listed{make([][]byte, n), make([]hashing.Digest, n)}
	for i := range n {
		l.names[i] = fmt.Appendf(nil, "img-2026-%07d.jpeg", i)
		l.tags[i] = hashing.Sum(l.names[i])
	}
	return l
}

func (l listed) add(h *hashing.FolderHasher, from, to int) {
	for i := from; i < to; i++ {
		h.Add(hashing.ChildFile, l.names[i], int64(i), l.tags[i])
	}
}

// ends returns where the buckets of l end.
func (l listed) ends() []int {
	var ends []int
	for i, name := range l.names {
		if i == len(l.names)-1 || hashing.EndsBucket(name) {
			ends = append(ends, i+1)
		}
	}
	return ends
}

// bucket returns the fingerprint of the bucket k of those that end so.
func (l listed) bucket(h *hashing.FolderHasher, ends []int, k int) hashing.Digest {
	from := 0
	if k > 0 {
		from = ends[k-1]
	}
	h.ResetBucket(uint64(ends[k] - from))
	l.add(h, from, ends[k])
	return h.Digest()
}

func BenchmarkFolder(b *testing.B) {
	for _, a := range algorithms {
		for _, n := range []int{1_000, 4_096} {
			b.Run(fmt.Sprintf("algorithm=%s/children=%d", a, n), func(b *testing.B) {
				l, h := listedChildren(n), hashing.NewFolderHasher(a)
				b.ReportAllocs()
				for b.Loop() {
					h.Reset(uint64(n))
					l.add(h, 0, n)
					_ = h.Digest()
				}
			})
		}
	}
}

func BenchmarkFolderOfAMillion(b *testing.B) {
	const n = 1_000_000
	l := listedChildren(n)
	for _, a := range algorithms {
		h := hashing.NewFolderHasher(a)
		b.Run(fmt.Sprintf("algorithm=%s/change=all", a), func(b *testing.B) {
			for b.Loop() {
				ends := l.ends()
				fingerprints := make([]hashing.Digest, len(ends))
				for k := range ends {
					fingerprints[k] = l.bucket(h, ends, k)
				}
				_ = h.Buckets(n, fingerprints)
			}
		})
		b.Run(fmt.Sprintf("algorithm=%s/change=one", a), func(b *testing.B) {
			ends := l.ends()
			fingerprints := make([]hashing.Digest, len(ends))
			for k := range ends {
				fingerprints[k] = l.bucket(h, ends, k)
			}
			for k := 0; b.Loop(); k = (k + 1) % len(ends) {
				fingerprints[k] = l.bucket(h, ends, k)
				_ = h.Buckets(n, fingerprints)
			}
		})
	}
}

func BenchmarkDigest(b *testing.B) {
	for _, a := range algorithms {
		for _, n := range []int{4 << 10, 1 << 20} {
			content := pattern(n)
			b.Run(fmt.Sprintf("algorithm=%s/bytes=%d/of=whole", a, n), func(b *testing.B) {
				b.SetBytes(int64(n))
				for b.Loop() {
					_ = a.Sum(content)
				}
			})
			b.Run(fmt.Sprintf("algorithm=%s/bytes=%d/of=whole+blocks", a, n), func(b *testing.B) {
				b.SetBytes(int64(n))
				h := a.NewHasher()
				for b.Loop() {
					h.Reset()
					_, _ = h.Write(content)
					_ = h.Digest()
				}
			})
		}
	}
}
