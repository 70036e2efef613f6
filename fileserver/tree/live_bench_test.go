package tree_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"freshet/fileserver/tree"
)

// reportTimes tells the median and the 99th percentile of what took from to to.
func reportTimes(b *testing.B, times []time.Duration, unit time.Duration, name string) {
	b.Helper()
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2])/float64(unit), "p50-"+name)
	b.ReportMetric(float64(times[len(times)*99/100])/float64(unit), "p99-"+name)
}

// BenchmarkFolderUnchanged asks for the fingerprint of a tree of 10,000 files in which nothing has changed, barrier included.
func BenchmarkFolderUnchanged(b *testing.B) {
	root := b.TempDir()
	for i := range 10_000 {
		folder := filepath.Join(root, fmt.Sprintf("dir%02d", i/100))
		if err := os.MkdirAll(folder, 0o755); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, strconv.Itoa(i)), []byte("x"), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	tr := openAt(b, root, tree.Options{Write: true})
	ask := func() {
		if f, _, err := tr.Folder(context.Background(), tree.Path{}); err != nil || f.Subtree.IsZero() {
			b.Fatal(f, err)
		}
	}
	ask()
	var times []time.Duration
	for b.Loop() {
		began := time.Now()
		ask()
		times = append(times, time.Since(began))
	}
	reportTimes(b, times, time.Microsecond, "us")
}

// BenchmarkWriteToEvent measures how long after a local write whoever waits for changes is told of it.
func BenchmarkWriteToEvent(b *testing.B) {
	tr, root := open(b, tree.Options{Write: true})
	got, err := tr.Changes(context.Background(), tree.ChangesQuery{})
	if err != nil {
		b.Fatal(err)
	}
	var times []time.Duration
	for i := 0; b.Loop(); i++ {
		waiting := make(chan tree.Changes)
		go func() {
			now, err := tr.Changes(context.Background(), tree.ChangesQuery{Since: got.Cursor, Wait: 10 * time.Second, Unsynced: true})
			if err != nil {
				b.Error(err)
			}
			waiting <- now
		}()
		time.Sleep(5 * time.Millisecond) // the other one waits by now
		began := time.Now()
		if err := os.WriteFile(filepath.Join(root, "f"+strconv.Itoa(i%100)), strconv.AppendInt(nil, int64(i), 10), 0o644); err != nil {
			b.Fatal(err)
		}
		if got = <-waiting; len(got.Events) == 0 {
			b.Fatal("the event did not come")
		}
		times = append(times, time.Since(began))
	}
	reportTimes(b, times, time.Millisecond, "ms")
}
