package tree

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"freshet/hashing"
)

// benchEvent is one of the events of a million files in a thousand folders, in the order in which a scan finds them.
func benchEvent(i int) Event {
	return Event{
		Path: Path{fmt.Sprintf("folder-%03d/file-%06d.txt", i/1000%1000, i)}, Kind: KindFile, Size: int64(i),
		Digest: hashing.Digest{byte(i), byte(i >> 8), byte(i >> 16), 1}, ModTime: time.Unix(1_700_000_000, int64(i)),
	}
}

// BenchmarkJournalAppend is what a change pays for its place.
func BenchmarkJournalAppend(b *testing.B) {
	j := openFeed(b, b.TempDir(), defaultFeedLimits)
	defer closeFeed(b, j)
	events := make([]Event, 100_000)
	for i := range events {
		events[i] = benchEvent(i)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i > 0 && i%50_000 == 0 { // as run would have done meanwhile
			b.StopTimer()
			if err := j.flush(j.end().Seq); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
		j.append(events[i%len(events)])
	}
}

// BenchmarkJournalMillion appends a million events, and waits until they are on disk.
func BenchmarkJournalMillion(b *testing.B) {
	for b.Loop() {
		folder, began := b.TempDir(), time.Now()
		j := openFeed(b, folder, defaultFeedLimits)
		for i := range eventsMax {
			j.append(benchEvent(i))
			if i%feedGroupMax == feedGroupMax-1 {
				if err := j.flush(j.end().Seq); err != nil {
					b.Fatal(err)
				}
			}
		}
		closeFeed(b, j)
		if info, err := os.Stat(filepath.Join(folder, stateName)); err == nil {
			b.ReportMetric(float64(info.Size())/eventsMax, "B/event")
		}
		b.ReportMetric(float64(time.Since(began))/eventsMax, "ns/event")
		began = time.Now()
		j = openFeed(b, folder, defaultFeedLimits)
		b.ReportMetric(float64(time.Since(began).Milliseconds()), "ms/reopen")
		closeFeed(b, j)
	}
}

// BenchmarkJournalRead reads one page of a thousand events.
func BenchmarkJournalRead(b *testing.B) {
	for _, where := range []string{"memory", "disk"} {
		b.Run(where, func(b *testing.B) {
			j := openFeed(b, b.TempDir(), defaultFeedLimits)
			defer closeFeed(b, j)
			start := j.end()
			for i := range 20_000 {
				j.append(benchEvent(i))
			}
			if err := j.flush(j.end().Seq); err != nil {
				b.Fatal(err)
			}
			if where == "disk" {
				j.forget()
			}
			b.ReportAllocs()
			for b.Loop() {
				if c, err := j.read(start, Path{}, 1000); err != nil || len(c.Events) != 1000 {
					b.Fatal(len(c.Events), err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/event")
		})
	}
}
