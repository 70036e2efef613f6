//go:build linux

package tree_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"freshet/fileserver/tree"
)

const (
	unchangedFolders = 1_000
	unchangedFiles   = 100 // in each
	subscribers      = 1_000
)

// quantiles reports the median of what was measured, and the time that one in a hundred is above.
func quantiles(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Nanoseconds())/1e3, "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds())/1e3, "p99-µs")
}

// BenchmarkFolderUnchanged asks for the state of a tree of 100,000 files in 1,000 folders, in which nothing happens: what a
// conditional request costs that is answered 304. "after_a_write" has one file change before each question.
func BenchmarkFolderUnchanged(b *testing.B) {
	root := b.TempDir()
	for d := range unchangedFolders {
		folder := filepath.Join(root, fmt.Sprintf("d%03d", d))
		if err := os.Mkdir(folder, 0o755); err != nil {
			b.Fatal(err)
		}
		for f := range unchangedFiles {
			if err := os.WriteFile(filepath.Join(folder, fmt.Sprint("f", f)), fmt.Appendln(nil, d, f), 0o644); err != nil {
				b.Fatal(err)
			}
		}
	}
	tr := openAt(b, root, tree.Options{Log: quiet, HashWaitMax: time.Minute})
	if _, _, err := tr.Folder(context.Background(), tree.Path{}); err != nil { // once it was looked at
		b.Fatal(err)
	}
	ask := func(b *testing.B, before func(i int) error) {
		var took []time.Duration
		for i := 0; b.Loop(); i++ {
			if err := before(i); err != nil {
				b.Fatal(err)
			}
			began := time.Now()
			f, _, err := tr.Folder(context.Background(), tree.Path{})
			if err != nil || f.Subtree.IsZero() || f.Files != unchangedFolders*unchangedFiles {
				b.Fatalf("%+v, %v", f, err)
			}
			took = append(took, time.Since(began))
		}
		quantiles(b, took)
	}
	b.Run("nothing_happens", func(b *testing.B) { ask(b, func(int) error { return nil }) })
	b.Run("after_a_write", func(b *testing.B) {
		ask(b, func(i int) error {
			return os.WriteFile(filepath.Join(root, fmt.Sprintf("d%03d/f7", i%unchangedFolders)), fmt.Append(nil, "write ", i), 0o644)
		})
	})
}

// BenchmarkWriteToEvent is the time from a local write to the answer of who waits for it.
func BenchmarkWriteToEvent(b *testing.B) {
	tr, root := open(b, tree.Options{Log: quiet})
	start, err := tr.Changes(context.Background(), tree.ChangesQuery{})
	if err != nil {
		b.Fatal(err)
	}
	cursor := start.Cursor
	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		answered := make(chan time.Time, 1)
		go func() {
			got, err := tr.Changes(context.Background(), tree.ChangesQuery{Since: cursor, Wait: time.Minute})
			if err != nil || len(got.Events) == 0 {
				b.Errorf("%+v, %v", got, err)
			}
			cursor = got.Cursor
			answered <- time.Now()
		}()
		time.Sleep(5 * time.Millisecond) // until it waits
		if err := os.WriteFile(filepath.Join(root, "a"), fmt.Append(nil, "write ", i), 0o644); err != nil {
			b.Fatal(err)
		}
		wrote := time.Now()
		took = append(took, (<-answered).Sub(wrote))
	}
	quantiles(b, took)
}

// BenchmarkSubscribers has 1,000 wait for changes: the time from a local write until all have been told of it, and the memory
// that one takes while it waits.
func BenchmarkSubscribers(b *testing.B) {
	tr, root := open(b, tree.Options{Log: quiet})
	start, err := tr.Changes(context.Background(), tree.ChangesQuery{})
	if err != nil {
		b.Fatal(err)
	}
	before := inUse()
	cursors := make([]tree.Cursor, subscribers)
	for i := range cursors {
		cursors[i] = start.Cursor
	}
	var took []time.Duration
	var memory uint64
	for i := 0; b.Loop(); i++ {
		var all sync.WaitGroup
		for s := range cursors {
			all.Go(func() {
				got, err := tr.Changes(context.Background(), tree.ChangesQuery{Since: cursors[s], Wait: time.Minute, Unsynced: true})
				if err != nil || len(got.Events) == 0 {
					b.Errorf("%+v, %v", got, err)
				}
				cursors[s] = got.Cursor
			})
		}
		time.Sleep(20 * time.Millisecond) // until they wait
		memory = max(memory, inUse())
		began := time.Now()
		if err := os.WriteFile(filepath.Join(root, "a"), fmt.Append(nil, "write ", i), 0o644); err != nil {
			b.Fatal(err)
		}
		all.Wait()
		took = append(took, time.Since(began))
	}
	quantiles(b, took)
	b.ReportMetric(float64(memory-min(memory, before))/subscribers, "B/subscriber")
}

// inUse is the memory that is in use after a collection, stacks included.
func inUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}
