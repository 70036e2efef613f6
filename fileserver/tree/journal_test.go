package tree

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"freshet/hashing"
)

var quietLog = slog.New(slog.NewTextHandler(io.Discard, nil))

// openFeed opens the state in a folder ("": in memory), and its journal.
func openFeed(t failer, folder string, l feedLimits) *journal {
	t.Helper()
	return openFeedLog(t, folder, l, quietLog)
}

func openFeedLog(t failer, folder string, l feedLimits, log *slog.Logger) *journal {
	t.Helper()
	s, err := openState(folder, hashing.XXH3, log)
	if err != nil {
		t.Fatal(err)
	}
	j, err := openJournalWithin(s, log, l)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// openFeedFor is openFeed in a new folder until the test ends, after which the file must be whole.
func openFeedFor(t *testing.T, l feedLimits) (j *journal, folder string) {
	t.Helper()
	folder = t.TempDir()
	j = openFeed(t, folder, l)
	t.Cleanup(func() {
		if err := errors.Join(j.close(), j.state.close()); err != nil {
			t.Error(err)
		}
		if older, err := checkStateFile(filepath.Join(folder, stateName)); older || err != nil {
			t.Errorf("the file is not whole: %v, %v", older, err)
		}
	})
	return j, folder
}

// closeFeed ends a journal as a server that is told to stop.
func closeFeed(t testing.TB, j *journal) {
	t.Helper()
	if err := errors.Join(j.close(), j.state.close()); err != nil {
		t.Fatal(err)
	}
}

// crashFeed ends a journal as a crash does: nothing more is written.
func crashFeed(t testing.TB, j *journal) {
	t.Helper()
	if err := j.state.close(); err != nil {
		t.Fatal(err)
	}
}

func fileAt(path string, size int64) Event {
	return Event{Path: Path{path}, Kind: KindFile, Size: size}
}

// appendFiles appends n events of different files.
func appendFiles(j *journal, n int) (end Cursor) {
	for range n {
		end = j.append(fileAt(fmt.Sprint("f", j.end().Seq+1), 1))
	}
	return end
}

// seqs reads once, and returns the places of the events.
func seqs(t testing.TB, j *journal, since Cursor, below string, limit int) ([]uint64, Changes) {
	t.Helper()
	c, err := j.read(since, Path{below}, limit)
	if err != nil {
		t.Fatal(err)
	}
	got := []uint64{}
	for _, e := range c.Events {
		got = append(got, e.Seq)
	}
	return got, c
}

func wantGone(t testing.TB, j *journal, since Cursor, reason string) {
	t.Helper()
	_, err := j.read(since, Path{}, 0)
	var gone *CursorGoneError
	if !errors.As(err, &gone) || gone.Reason != reason || gone.Current != j.end() {
		t.Errorf("read behind %v: %+v, want reason %s and current %v", since, err, reason, j.end())
	}
}

func TestJournalNumbers(t *testing.T) {
	j, _ := openFeedFor(t, defaultFeedLimits)
	start := j.end()
	events := []Event{fileAt("a", 1), fileAt("b", 2)}
	end := j.append(events...)
	if start.Seq != 0 || end != (Cursor{start.Epoch, 2}) || events[0].Seq != 1 || events[1].Seq != 2 || j.end() != end {
		t.Errorf("%v to %v: %+v", start, end, events)
	}
	if got := j.append(); got != end {
		t.Errorf("nothing appended: %v", got)
	}
	if _, err := ParseCursor(end.String()); err != nil {
		t.Error(err)
	}
}

// TestJournalRead reads what is in memory, and the same from disk.
func TestJournalRead(t *testing.T) {
	gone := func(path string, kind Kind) Event { return Event{Path: Path{path}, Kind: kind, Gone: true} }
	folder := func(path string) Event { return Event{Path: Path{path}, Kind: KindFolder} }
	for _, test := range []struct {
		name   string
		events []Event
		since  uint64
		below  string
		limit  int
		want   []uint64
		cursor uint64
		more   bool
	}{
		{"all", []Event{fileAt("a", 1), fileAt("b", 1)}, 0, "", 0, []uint64{1, 2}, 2, false},
		{"behind", []Event{fileAt("a", 1), fileAt("b", 1)}, 1, "", 0, []uint64{2}, 2, false},
		{"nothing_behind", []Event{fileAt("a", 1)}, 1, "", 0, []uint64{}, 1, false},
		{"last_of_a_path", []Event{fileAt("a", 1), fileAt("b", 1), fileAt("a", 2)}, 0, "", 0, []uint64{2, 3}, 3, false},
		{"limit", []Event{fileAt("a", 1), fileAt("b", 1), fileAt("c", 2)}, 0, "", 2, []uint64{1, 2}, 2, true},
		{"limit_at_the_end", []Event{fileAt("a", 1), fileAt("b", 1)}, 0, "", 2, []uint64{1, 2}, 2, false},
		{"below", []Event{fileAt("d/a", 1), fileAt("dd/a", 1), fileAt("e", 1)}, 0, "d", 0, []uint64{1}, 3, false},
		{"the_path_itself", []Event{fileAt("d", 1)}, 0, "d", 0, []uint64{1}, 1, false},
		{"no_match_advances", []Event{fileAt("a", 1), fileAt("b", 1)}, 0, "d", 0, []uint64{}, 2, false},
		{"folder_above", []Event{folder("d")}, 0, "d/e/f", 0, []uint64{1}, 1, false},
		{"root_above", []Event{folder("")}, 0, "d/e/f", 0, []uint64{1}, 1, false},
		{"file_in_the_place_of_a_folder_above", []Event{fileAt("d", 1)}, 0, "d/e", 0, []uint64{1}, 1, false},
		{"sibling_above", []Event{folder("d/x"), folder("d/ef")}, 0, "d/e/f", 0, []uint64{}, 2, false},
		{
			"covered_by_a_removal",
			[]Event{fileAt("d/a", 1), fileAt("d/e/a", 1), fileAt("da", 1), gone("d", KindFolder), fileAt("d/b", 1)},
			0, "", 0, []uint64{3, 4, 5}, 5, false,
		},
		{"covered_by_a_file", []Event{fileAt("d/a", 1), fileAt("d", 1)}, 0, "", 0, []uint64{2}, 2, false},
		{"not_covered_by_a_folder", []Event{fileAt("d/a", 1), folder("d")}, 0, "", 0, []uint64{1, 2}, 2, false},
		{
			"not_covered_by_a_removal_that_is_past",
			[]Event{fileAt("d/a", 1), gone("d", KindFolder), folder("d")}, 0, "", 0, []uint64{1, 3}, 3, false,
		},
		{"removed_root", []Event{fileAt("a", 1), gone("", KindFolder)}, 0, "", 0, []uint64{2}, 2, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			j, _ := openFeedFor(t, defaultFeedLimits)
			j.append(test.events...)
			check := func(where string) {
				since := Cursor{j.end().Epoch, test.since}
				got, c := seqs(t, j, since, test.below, test.limit)
				if !slices.Equal(got, test.want) || c.Cursor.Seq != test.cursor || c.More != test.more {
					t.Errorf("%s: %v, cursor %v, more %v; want %v, %d, %v",
						where, got, c.Cursor, c.More, test.want, test.cursor, test.more)
				}
			}
			check("memory")
			if err := j.flush(j.end().Seq); err != nil {
				t.Fatal(err)
			}
			j.forget()
			check("disk")
		})
	}
}

// forget drops from memory what is on disk.
func (j *journal) forget() {
	memory := j.limits.memory
	j.limits.memory = 0
	j.evict()
	j.limits.memory = memory
}

func TestJournalFromDiskThenMemory(t *testing.T) {
	l := defaultFeedLimits
	l.memory = 4
	j, _ := openFeedFor(t, l)
	start := j.end()
	appendFiles(j, 8)
	if err := j.flush(8); err != nil {
		t.Fatal(err)
	}
	appendFiles(j, 2)
	got, c := seqs(t, j, start, "", 0)
	if want := []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}; !slices.Equal(got, want) || c.More || c.Cursor.Seq != 10 {
		t.Errorf("%v, %+v", got, c)
	}
}

func TestJournalScanIsBounded(t *testing.T) {
	l := defaultFeedLimits
	l.scan = 10
	for _, where := range []string{"memory", "disk"} {
		t.Run(where, func(t *testing.T) {
			j, _ := openFeedFor(t, l)
			start := j.end()
			appendFiles(j, 25)
			if err := j.flush(25); err != nil {
				t.Fatal(err)
			}
			if where == "disk" {
				j.forget()
			}
			for _, want := range []uint64{10, 20, 25} {
				got, c := seqs(t, j, start, "elsewhere", 0)
				if len(got) > 0 || c.Cursor.Seq != want || c.More != (want < 25) {
					t.Errorf("behind %v: %+v, want %d", start, c, want)
				}
				start = c.Cursor
			}
		})
	}
}

func TestJournalNewEpoch(t *testing.T) {
	j, _ := openFeedFor(t, defaultFeedLimits)
	old := appendFiles(j, 3)
	woken := j.wait(old.Seq)
	if err := j.newEpoch(); err != nil {
		t.Fatal(err)
	}
	<-woken
	<-j.wait(old.Seq) // who asks late is woken, too
	wantGone(t, j, old, GoneEpoch)
	start := j.end()
	wantGone(t, j, Cursor{start.Epoch, start.Seq - 1}, GoneGap)
	appendFiles(j, 2)
	if got, _ := seqs(t, j, start, "", 0); len(got) != 2 {
		t.Errorf("%d events", len(got))
	}
	if s := j.stats(); s.Saved != 0 || s.Oldest != start.Seq {
		t.Errorf("%+v", s)
	}
}

func TestJournalMemoryIsBounded(t *testing.T) {
	for _, disk := range []bool{true, false} {
		folder := ""
		if disk {
			folder = t.TempDir()
		}
		j := openFeed(t, folder, defaultFeedLimits)
		start := j.end()
		long := strings.Repeat("x", 3000)
		before := heap()
		for i := range 20_000 {
			j.append(Event{Path: Path{"f"}, Kind: KindLink, Target: fmt.Sprint(i, long)})
			if i%5_000 == 0 {
				if err := j.flush(j.end().Seq); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := j.flush(j.end().Seq); err != nil {
			t.Fatal(err)
		}
		if used := heap() - before; used > eventsInMemoryBytesMax*5/4 || j.recent.bytes > eventsInMemoryBytesMax {
			t.Errorf("disk %v: %d MiB in use, %d MiB counted", disk, used>>20, j.recent.bytes>>20)
		}
		if !disk {
			wantGone(t, j, start, GoneTrimmed)
		}
		closeFeed(t, j)
	}
}

// heap returns the bytes of memory in use.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestJournalWait(t *testing.T) {
	j := openFeed(t, "", defaultFeedLimits)
	defer closeFeed(t, j)
	woken := j.wait(0)
	select {
	case <-woken:
		t.Error("woken by nothing")
	default:
	}
	began := time.Now()
	appendFiles(j, 3)
	if got, _ := seqs(t, j, Cursor{j.end().Epoch, 0}, "", 0); len(got) != 3 {
		t.Errorf("%d events before the wake-up", len(got))
	}
	select {
	case <-woken:
		t.Errorf("woken after %v, in the middle of a burst", time.Since(began))
	default:
	}
	if j.wait(0) != woken { // who comes in a burst is woken with all others
		t.Error("another wake-up in the same burst")
	}
	<-woken
	if late := time.Since(began); late < feedWakeDelay {
		t.Errorf("woken after %v", late)
	}
	<-j.wait(2) // is there
	woken = j.wait(3)
	appendFiles(j, 1)
	<-woken
	woken = j.wait(4)
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
	<-woken
}

func TestJournalRun(t *testing.T) {
	j, _ := openFeedFor(t, defaultFeedLimits)
	before := runtime.NumGoroutine()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- j.run(ctx) }()
	saved := func(seq uint64, within time.Duration) {
		t.Helper()
		for deadline := time.Now().Add(within); !j.isDurable(seq); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%d is not on disk: %+v", seq, j.stats())
			}
		}
	}
	appendFiles(j, 1)
	saved(1, 5*time.Second)
	appendFiles(j, feedCommitEvents)
	began := time.Now()
	saved(feedCommitEvents+1, 5*time.Second)
	t.Logf("%d events on disk after %v", feedCommitEvents, time.Since(began))
	end := appendFiles(j, 3)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if !j.isDurable(end.Seq) {
		t.Error("run ended before all was on disk")
	}
	for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}

func TestJournalInMemory(t *testing.T) {
	l := defaultFeedLimits
	l.memory = 4
	j := openFeed(t, "", l)
	defer closeFeed(t, j)
	start := j.end()
	appendFiles(j, 4)
	if got, _ := seqs(t, j, start, "", 0); len(got) != 4 {
		t.Errorf("%v", got)
	}
	appendFiles(j, 1)
	wantGone(t, j, start, GoneTrimmed)
	if err := errors.Join(j.flush(5), j.newEpoch(), j.flush(5)); err != nil {
		t.Error(err)
	}
	wantGone(t, j, start, GoneEpoch)
	if s := j.stats(); s.Backlog != 0 || s.Oldest != j.end().Seq {
		t.Errorf("%+v", s)
	}
}
