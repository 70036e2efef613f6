package tree

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestJournalGoesOn(t *testing.T) {
	folder := t.TempDir()
	j := openFeed(t, folder, defaultFeedLimits)
	start := j.end()
	j.append(fileAt("a", 1), fileAt("b", 1))
	closeFeed(t, j)
	if end := j.append(fileAt("late", 1)); end.Seq != 2 {
		t.Errorf("appended after the end: %v", end)
	}
	j = openFeed(t, folder, defaultFeedLimits)
	defer closeFeed(t, j)
	if end := j.end(); end != (Cursor{start.Epoch, 2}) {
		t.Errorf("end %v, began %v", end, start)
	}
	if end := j.append(fileAt("c", 1)); end.Seq != 3 {
		t.Errorf("next is %v", end)
	}
	if got, _ := seqs(t, j, start, "", 0); !slices.Equal(got, []uint64{1, 2, 3}) {
		t.Errorf("read %v", got)
	}
	wantGone(t, j, Cursor{start.Epoch, 4}, GoneGap)
	wantGone(t, j, Cursor{"aaaaaaaaaaaaaaaa", 1}, GoneEpoch)
}

func TestJournalAfterCrash(t *testing.T) {
	folder := t.TempDir()
	l := defaultFeedLimits
	l.reserve = 100
	j := openFeed(t, folder, l)
	epoch := j.end().Epoch
	at := func(seq uint64) Cursor { return Cursor{epoch, seq} }
	appendFiles(j, 3)
	if err := j.flush(3); err != nil { // reserves up to 103
		t.Fatal(err)
	}
	appendFiles(j, 2)
	crashFeed(t, j)
	j = openFeed(t, folder, l)
	if j.end() != at(3) {
		t.Errorf("end %v", j.end())
	}
	wantGone(t, j, at(4), GoneGap)
	wantGone(t, j, at(103), GoneGap)
	if end := j.append(fileAt("x", 1)); end != at(104) {
		t.Errorf("next is %v", end)
	}
	for restart := range 3 {
		for seq, want := range map[uint64][]uint64{0: {1, 2, 3, 104}, 2: {3, 104}, 3: {104}, 104: {}} {
			if got, _ := seqs(t, j, at(seq), "", 0); !slices.Equal(got, want) {
				t.Errorf("restart %d: behind %d: %v, want %v", restart, seq, got, want)
			}
		}
		for _, seq := range []uint64{4, 5, 6, 103, 105} {
			wantGone(t, j, at(seq), GoneGap)
		}
		closeFeed(t, j)
		j = openFeed(t, folder, l)
	}
	closeFeed(t, j)
}

func TestJournalRemembersFewCrashes(t *testing.T) {
	folder := t.TempDir()
	l := smallFeed
	l.saved = 1000
	j := openFeed(t, folder, l)
	var lost []Cursor
	for range 10 {
		end := appendFiles(j, 2)
		if err := j.flush(end.Seq); err != nil {
			t.Fatal(err)
		}
		lost = append(lost, appendFiles(j, 1))
		crashFeed(t, j)
		j = openFeed(t, folder, l)
	}
	defer closeFeed(t, j)
	for _, c := range lost {
		wantGone(t, j, c, GoneGap)
	}
	if n := len(j.saved.gaps); n != l.gaps {
		t.Errorf("%d gaps", n)
	}
}

// TestJournalReservesFirst makes sure that no place is given before it is reserved on disk.
func TestJournalReservesFirst(t *testing.T) {
	l := defaultFeedLimits
	l.reserve = 10
	j, _ := openFeedFor(t, l)
	release := stickFeed(t)
	appendFiles(j, 10)
	given := make(chan Cursor, 1)
	go func() { given <- j.append(fileAt("x", 1)) }()
	select {
	case c := <-given:
		t.Fatalf("%v was given, of %d reserved", c, j.saved.reserved)
	case <-time.After(30 * time.Millisecond):
	}
	release()
	if c := <-given; c.Seq != 11 || j.saved.reserved < 11 {
		t.Errorf("%v was given, of %d reserved", c, j.saved.reserved)
	}
	if end := j.append(make([]Event, 50)...); end.Seq != 61 || j.saved.reserved < 61 {
		t.Errorf("%v was given, of %d reserved", end, j.saved.reserved)
	}
}

// stickFeed lets nothing be written until release is called.
func stickFeed(t testing.TB) (release func()) {
	stuck := make(chan struct{})
	HookFailpoint(func(step string) error {
		if step == "save-feed" {
			<-stuck
		}
		return nil
	})
	var once atomic.Bool
	release = func() {
		if once.CompareAndSwap(false, true) {
			HookFailpoint(nil)
			close(stuck)
		}
	}
	t.Cleanup(release)
	return release
}

// TestJournalWithoutDisk makes sure that the tree goes on when the disk does not, and that nobody misses anything for it.
func TestJournalWithoutDisk(t *testing.T) {
	for _, how := range []string{"stuck", "failing"} {
		t.Run(how, func(t *testing.T) {
			l := defaultFeedLimits
			l.reserve, l.reserveWait = 10, 20*time.Millisecond
			folder := t.TempDir()
			j := openFeed(t, folder, l)
			old := appendFiles(j, 5)
			if err := j.flush(old.Seq); err != nil {
				t.Fatal(err)
			}
			release := func() { HookFailpoint(nil) }
			if how == "stuck" {
				release = stickFeed(t)
			} else {
				SetFailpoint(t, func(string) error { return errors.New("no space") })
				if err := j.flush(appendFiles(j, 1).Seq); err == nil {
					t.Error("flushed to a disk that fails")
				}
			}
			end := appendFiles(j, 100)
			if end.Epoch == old.Epoch {
				t.Fatalf("%v was given, of %d reserved", end, j.saved.reserved)
			}
			wantGone(t, j, old, GoneEpoch)
			first := Cursor{end.Epoch, end.Seq - 80}
			if got, _ := seqs(t, j, first, "", 0); len(got) != 80 {
				t.Errorf("%d events behind %v", len(got), first)
			}
			release()
			if err := j.flush(end.Seq); err != nil {
				t.Fatal(err)
			}
			crashFeed(t, j)
			j = openFeed(t, folder, l)
			defer closeFeed(t, j)
			if got, _ := seqs(t, j, first, "", 0); len(got) != 80 {
				t.Errorf("after a restart %d events behind %v", len(got), first)
			}
		})
	}
}

// TestJournalNewEpochIsNotFlushed makes sure that nothing is taken for durable while the epoch on disk is another one.
func TestJournalNewEpochIsNotFlushed(t *testing.T) {
	folder := t.TempDir()
	j := openFeed(t, folder, defaultFeedLimits)
	old := appendFiles(j, 3)
	if err := j.flush(3); err != nil {
		t.Fatal(err)
	}
	SetFailpoint(t, func(string) error { return errors.New("no space") })
	if j.newEpoch() == nil || j.flush(0) == nil || j.flush(2) == nil {
		t.Error("a new epoch was flushed to a disk that fails")
	}
	given := appendFiles(j, 3)
	if j.close() == nil {
		t.Error("closed cleanly on a disk that fails")
	}
	HookFailpoint(nil)
	crashFeed(t, j)
	j = openFeed(t, folder, defaultFeedLimits)
	defer closeFeed(t, j)
	wantGone(t, j, given, GoneEpoch)
	if j.end() != old {
		t.Errorf("end %v, want %v", j.end(), old)
	}
}

// TestJournalBacklog makes sure that a disk that is too slow holds nobody up, and that whoever misses events for it is told.
func TestJournalBacklog(t *testing.T) {
	l := defaultFeedLimits
	l.memory, l.backlog = 10, 30
	j, _ := openFeedFor(t, l)
	start := appendFiles(j, 1)
	if err := j.flush(1); err != nil {
		t.Fatal(err)
	}
	release := stickFeed(t)
	end := appendFiles(j, 30)
	if got, _ := seqs(t, j, start, "", 0); len(got) != 30 {
		t.Errorf("%d events in the backlog", len(got))
	}
	end = appendFiles(j, 5)
	if s := j.stats(); s.Backlog != 30 {
		t.Errorf("%+v", s)
	}
	kept := Cursor{end.Epoch, end.Seq - 30}
	for range 2 {
		wantGone(t, j, start, GoneGap)
		wantGone(t, j, Cursor{end.Epoch, kept.Seq - 1}, GoneGap)
		if got, _ := seqs(t, j, kept, "", 0); len(got) != 30 {
			t.Errorf("%d events in the backlog", len(got))
		}
		release()
		if err := j.flush(end.Seq); err != nil {
			t.Fatal(err)
		}
		if j.recent.count > l.memory {
			t.Errorf("%d events in memory when the disk has caught up", j.recent.count)
		}
	}
}

func TestJournalIsTrimmed(t *testing.T) {
	for name, bound := range map[string]func(*feedLimits){
		"events": func(l *feedLimits) { l.saved = 50 },
		"bytes":  func(l *feedLimits) { l.savedBytes = 50 * (8 + 10 + 8 + pageElementBytes) },
	} {
		t.Run(name, func(t *testing.T) {
			l := defaultFeedLimits
			l.memory = 5
			bound(&l)
			j, _ := openFeedFor(t, l)
			epoch := j.end().Epoch
			for range 30 {
				if err := j.flush(appendFiles(j, 10).Seq); err != nil {
					t.Fatal(err)
				}
			}
			s := j.stats()
			if s.Saved < 40 || s.Saved > 55 || s.Oldest != 300-uint64(s.Saved) || s.Bytes > int64(l.savedBytes) {
				t.Errorf("%+v", s)
			}
			wantGone(t, j, Cursor{epoch, 0}, GoneTrimmed)
			wantGone(t, j, Cursor{epoch, s.Oldest - 1}, GoneTrimmed)
			if got, _ := seqs(t, j, Cursor{epoch, s.Oldest}, "", 0); len(got) != s.Saved {
				t.Errorf("%d events, %+v", len(got), s)
			}
		})
	}
}

// TestJournalIsTrimmedWhileRead trims events between finding out that they are on disk and reading them.
func TestJournalIsTrimmedWhileRead(t *testing.T) {
	l := defaultFeedLimits
	l.saved, l.memory = 50, 5
	j, _ := openFeedFor(t, l)
	start := appendFiles(j, 1)
	for range 10 {
		if err := j.flush(appendFiles(j, 10).Seq); err != nil {
			t.Fatal(err)
		}
	}
	s := &feedScan{limit: 1000, max: 1000, places: map[Path]int{}, removed: map[Path]uint64{}}
	var gone *CursorGoneError
	if _, err := j.readSaved(s, start); !errors.As(err, &gone) || gone.Reason != GoneTrimmed {
		t.Errorf("%v, and %d events", err, len(s.events))
	}
}

// TestJournalCoalesces makes sure that one file that changes all the time does not fill the disk.
func TestJournalCoalesces(t *testing.T) {
	j, _ := openFeedFor(t, defaultFeedLimits)
	for i := range 1000 {
		j.append(fileAt("log", int64(i)))
	}
	if err := j.flush(1000); err != nil {
		t.Fatal(err)
	}
	if s := j.stats(); s.Saved != 1 || s.Events != 1000 || s.Backlog != 0 {
		t.Errorf("%+v", s)
	}
}

// TestJournalRenewsInTime makes sure that append does not wait while the disk keeps up.
func TestJournalRenewsInTime(t *testing.T) {
	l := defaultFeedLimits
	l.reserve = 1000
	j, _ := openFeedFor(t, l)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- j.run(ctx) }()
	for range 5 {
		appendFiles(j, 510)
		for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
			j.mu.Lock()
			reserved := j.saved.reserved
			j.mu.Unlock()
			if reserved >= j.end().Seq+490 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d are reserved at %v", reserved, j.end())
			}
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestJournalSaysOnceThatTheDiskFails(t *testing.T) {
	var out bytes.Buffer
	j := openFeedLog(t, t.TempDir(), defaultFeedLimits, slog.New(slog.NewTextHandler(&out, nil)))
	defer closeFeed(t, j)
	SetFailpoint(t, func(string) error { return errors.New("no space") })
	end := appendFiles(j, 3)
	for range 3 {
		if err := j.flush(end.Seq); err == nil || !strings.Contains(err.Error(), "no space") {
			t.Errorf("flush: %v", err)
		}
	}
	HookFailpoint(nil)
	if err := j.flush(end.Seq); err != nil {
		t.Error(err)
	}
	if lines := strings.Split(strings.TrimSpace(out.String()), "\n"); len(lines) != 2 {
		t.Errorf("%q", lines)
	}
}

// TestJournalOfACopy makes sure that a feed does not go on in two places, or from an old backup.
func TestJournalOfACopy(t *testing.T) {
	folder, copied := t.TempDir(), t.TempDir()
	j := openFeed(t, folder, defaultFeedLimits)
	old, root := appendFiles(j, 3), j.state.root
	closeFeed(t, j)
	b, err := os.ReadFile(filepath.Join(folder, stateName))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(copied, stateName), b, 0o600); err != nil {
		t.Fatal(err)
	}
	j = openFeed(t, copied, defaultFeedLimits)
	defer closeFeed(t, j)
	wantGone(t, j, old, GoneEpoch)
	if j.state.root != root {
		t.Errorf("root %s, was %s", j.state.root, root)
	}
}
