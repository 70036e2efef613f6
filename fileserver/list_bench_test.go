package fileserver

import (
	"fmt"
	"io"
	"testing"
	"time"

	"freshet/fileserver/tree"
	"freshet/hashing"
)

// manyEntries returns n files in an order that has nothing to do with their names, as a filesystem lists them.
func manyEntries(n int) []tree.Entry {
	start := time.Date(2026, 11, 22, 13, 0, 0, 123456789, time.UTC)
	entries := make([]tree.Entry, n)
	for i := range entries {
		k := i * 7919 % n // 7919 is prime, and divides none of the sizes used
		name := fmt.Sprintf("IMG_%d holiday.jpg", k)
		entries[i] = tree.Entry{
			Name: name, Kind: tree.KindFile, Size: int64(k) * 4711,
			ModTime: start.Add(time.Duration(k) * time.Second), Digest: hashing.Sum([]byte(name)),
		}
	}
	return entries
}

func BenchmarkRenderListing(b *testing.B) {
	page := pageContext{Root: "Shared", Write: true, Version: "1.0", Now: time.Unix(0, 0).UTC()}
	for _, n := range []int{1000, 10_000, 100_000} {
		entries := manyEntries(n)
		for name, f := range map[string]listingFormat{"json": listingJSON, "text": listingText, "html": listingHTML} {
			b.Run(fmt.Sprintf("%s/entries=%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if err := renderListing(io.Discard, f, tree.Path{}, entries, byName, page); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkSortEntries(b *testing.B) {
	entries := manyEntries(100_000)
	for _, by := range []sortKey{sortByName, sortBySize, sortByTime} {
		b.Run(string(by), func(b *testing.B) {
			for b.Loop() {
				sortEntries(entries, listingQuery{Sort: by})
			}
		})
	}
}
