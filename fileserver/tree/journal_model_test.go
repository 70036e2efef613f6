package tree

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// smallFeed makes every bound of a journal one that a test reaches.
var smallFeed = feedLimits{
	saved: 20, savedBytes: 1 << 20, memory: 6, memoryBytes: 1 << 20, backlog: 16, backlogBytes: 1 << 20,
	reserve: 10, group: 5, scan: 9, gaps: 3, reserveWait: feedReserveWaitMax,
}

// TestJournalModel drives a journal at random, over restarts and crashes, next to a list of all that it was given. Whoever
// follows the feed from any place is told exactly what happened since, or that it cannot be told; and may be told the latter
// only for a reason.
func TestJournalModel(t *testing.T) {
	base := memoryFolder(t)
	rapid.Check(t, func(rt *rapid.T) {
		folder, err := os.MkdirTemp(base, "")
		if err != nil {
			rt.Fatal(err)
		}
		m := &feedModel{folder: folder, j: openFeed(rt, folder, smallFeed)}
		defer func() { m.stop(rt) }()
		rt.Repeat(map[string]func(*rapid.T){
			"append":       m.append,
			"append_again": m.append,
			"save":         func(t *rapid.T) { m.save(t) },
			"restart":      func(t *rapid.T) { m.stop(t); m.open(t) },
			"crash":        m.crash,
			"new_epoch":    m.newEpoch,
			"follow":       m.follow,
			"":             m.invariants,
		})
	})
}

// A feedModel is a journal and what it should know.
type feedModel struct {
	folder   string
	j        *journal
	epoch    []Event         // all events of the epoch that were not lost in a crash
	crashes  []feedGap       // of the epoch
	overrun  bool            // of the epoch: the disk was too far behind
	given    map[uint64]bool // places of the epoch
	epochs   []string
	appended int
}

func (m *feedModel) open(t failer) { m.j = openFeed(t, m.folder, smallFeed) }

func (m *feedModel) stop(t failer) {
	if err := m.j.close(); err != nil {
		t.Fatal(err)
	}
	if err := m.j.state.close(); err != nil {
		t.Fatal(err)
	}
}

var feedPaths = []string{"", "a", "d", "d/a", "d/b", "d/e", "d/e/a", "dd", "e", "e/a"}

func (m *feedModel) append(t *rapid.T) {
	events := make([]Event, rapid.IntRange(1, 4).Draw(t, "events"))
	for i := range events {
		m.appended++
		events[i] = Event{
			Path: Path{rapid.SampledFrom(feedPaths).Draw(t, "path")},
			Kind: rapid.SampledFrom([]Kind{KindFile, KindFolder}).Draw(t, "kind"),
			Gone: rapid.Bool().Draw(t, "gone"),
			Size: int64(m.appended), // so that no two events are equal
		}
	}
	before := m.j.end()
	end := m.j.append(events...)
	if end.Epoch != before.Epoch || end.Seq != events[len(events)-1].Seq {
		t.Fatalf("appended up to %v behind %v: %+v", end, before, events)
	}
	if m.given == nil {
		m.given = map[uint64]bool{}
	}
	for _, e := range events {
		if m.given[e.Seq] {
			t.Fatalf("place %d was given twice", e.Seq)
		}
		m.given[e.Seq] = true
		m.epoch = append(m.epoch, e)
	}
	m.overrun = m.overrun || m.j.stats().Backlog >= smallFeed.backlog-len(events)
}

func (m *feedModel) save(t failer) {
	if err := m.j.flush(m.j.end().Seq); err != nil {
		t.Fatal(err)
	}
}

// crash loses what is not on disk.
func (m *feedModel) crash(t *rapid.T) {
	durable := m.j.saved.durable
	m.crashes = append(m.crashes, feedGap{durable, m.j.end().Seq})
	m.epoch = slices.DeleteFunc(m.epoch, func(e Event) bool { return e.Seq > durable })
	if err := m.j.state.close(); err != nil {
		t.Fatal(err)
	}
	m.open(t)
}

func (m *feedModel) newEpoch(t *rapid.T) {
	m.epochs = append(m.epochs, m.j.end().Epoch)
	if err := m.j.newEpoch(); err != nil {
		t.Fatal(err)
	}
	m.epoch, m.crashes, m.overrun, m.given = nil, nil, false, nil
}

// follow reads from some place to the end.
func (m *feedModel) follow(t *rapid.T) {
	end := m.j.end()
	since := Cursor{end.Epoch, uint64(rapid.IntRange(0, int(end.Seq)+2).Draw(t, "since"))}
	if len(m.epochs) > 0 && rapid.IntRange(0, 9).Draw(t, "old") == 0 {
		since.Epoch = rapid.SampledFrom(m.epochs).Draw(t, "epoch")
	}
	below := Path{rapid.SampledFrom(feedPaths).Draw(t, "below")}
	limit := rapid.IntRange(0, 5).Draw(t, "limit")
	got, err := followFeed(m.j, since, below, limit)
	var gone *CursorGoneError
	switch {
	case errors.As(err, &gone):
		if why := m.mustFollow(since); why != "" {
			t.Fatalf("%v: %v, although %s; end %v", since, err, why, end)
		}
		if gone.Current != end || (gone.Reason == GoneEpoch) != (since.Epoch != end.Epoch) {
			t.Fatalf("%v: %v, current %v, end %v", since, err, gone.Current, end)
		}
	case err != nil:
		t.Fatal(err)
	default:
		if why := m.mustNotFollow(since); why != "" {
			t.Fatalf("%v was followed, although %s", since, why)
		}
		if want := m.happened(since.Seq, below); !maps.Equal(got, want) {
			t.Fatalf("behind %v below %q:\ngot  %v\nwant %v", since, below, got, want)
		}
	}
}

// mustFollow says why there is no excuse for not telling what happened.
func (m *feedModel) mustFollow(since Cursor) string {
	behind := 0
	for _, e := range m.epoch {
		if e.Seq > since.Seq {
			behind++
		}
	}
	end := m.j.end()
	first := m.j.saved.lost // an epoch that follows another one begins here
	if len(m.crashes) > smallFeed.gaps || m.overrun || since.Epoch != end.Epoch || since.Seq > end.Seq ||
		since.Seq < first || behind > smallFeed.saved || m.mustNotFollow(since) != "" {
		return ""
	}
	for _, g := range m.j.saved.gaps {
		if g.after < since.Seq && since.Seq <= g.upTo {
			return "" // reserved before a crash, whether it was given or not
		}
	}
	return fmt.Sprintf("only %d events are behind it", behind)
}

// mustNotFollow says why nobody can tell what happened.
func (m *feedModel) mustNotFollow(since Cursor) string {
	if end := m.j.end(); since.Epoch != end.Epoch || since.Seq > end.Seq {
		return "it is not of this epoch, or of nobody's"
	}
	for _, g := range m.crashes {
		if g.after < since.Seq && since.Seq <= g.upTo {
			return "it was given before a crash"
		}
	}
	return ""
}

// happened is what is known at the end to somebody who followed from a place.
func (m *feedModel) happened(at uint64, below Path) map[Path]string {
	known := map[Path]string{}
	for i := range m.epoch {
		if e := &m.epoch[i]; e.Seq > at && (below.Contains(e.Path) || e.Path.Contains(below)) {
			learn(known, e)
		}
	}
	return known
}

// learn adds an event to what is known. It stands for all that is below, too.
func learn(known map[Path]string, e *Event) {
	maps.DeleteFunc(known, func(p Path, _ string) bool { return p != e.Path && e.Path.Contains(p) })
	known[e.Path] = fmt.Sprintf("%d %c %v %d", e.Seq, e.Kind, e.Gone, e.Size)
}

// followFeed reads to the end, and checks each answer for itself.
func followFeed(j *journal, since Cursor, below Path, limit int) (map[Path]string, error) {
	known := map[Path]string{}
	for at := since; ; {
		c, err := j.read(at, below, limit)
		if err != nil {
			return nil, err
		}
		if err := checkAnswer(at, c, below, limit); err != nil {
			return nil, fmt.Errorf("behind %v below %q: %w", at, below.s, err)
		}
		for i := range c.Events {
			learn(known, &c.Events[i])
		}
		if at = c.Cursor; !c.More {
			return known, nil
		}
	}
}

// checkAnswer returns what is wrong with an answer whatever happened.
func checkAnswer(since Cursor, c Changes, below Path, limit int) error {
	last, paths := since.Seq, map[Path]bool{}
	for _, e := range c.Events {
		switch {
		case e.Seq <= last || e.Seq > c.Cursor.Seq:
			return fmt.Errorf("event %d behind %d, cursor %v", e.Seq, last, c.Cursor)
		case paths[e.Path]:
			return fmt.Errorf("%q twice", e.Path.s)
		case e.Path != below && !strings.HasPrefix(e.Path.s+"/", below.s+"/") && below.s != "" &&
			!strings.HasPrefix(below.s+"/", e.Path.s+"/") && e.Path.s != "":
			return fmt.Errorf("%q has nothing to do with it", e.Path.s)
		}
		for p := e.Path; !p.IsRoot(); {
			p = p.Parent()
			for _, above := range c.Events {
				if above.Path == p && (above.Gone || above.Kind == KindFile) && above.Seq > e.Seq {
					return fmt.Errorf("%q, which is covered by %d", e.Path.s, above.Seq)
				}
			}
		}
		last, paths[e.Path] = e.Seq, true
	}
	switch {
	case limit > 0 && len(c.Events) > limit:
		return fmt.Errorf("%d events of %d", len(c.Events), limit)
	case c.Cursor.Epoch != since.Epoch, c.More && c.Cursor.Seq == since.Seq:
		return fmt.Errorf("no progress to %v", c.Cursor)
	}
	return nil
}

// invariants hold after every step.
func (m *feedModel) invariants(t *rapid.T) {
	j := m.j
	switch s := j.stats(); {
	case j.recent.count > smallFeed.backlog:
		t.Fatalf("%d events in memory", j.recent.count)
	case j.recent.count > smallFeed.memory && j.recent.first() <= j.saved.durable:
		t.Fatalf("%d events in memory, the first of them on disk", j.recent.count)
	case s.Saved > smallFeed.saved || len(j.saved.gaps) > smallFeed.gaps:
		t.Fatalf("%+v, %d gaps", s, len(j.saved.gaps))
	case j.end().Seq > j.saved.reserved:
		t.Fatalf("%d was given, of %d reserved", j.end().Seq, j.saved.reserved)
	}
}

// failer is what a test and a random one have in common.
type failer interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

// memoryFolder returns a new folder, in memory if there is such a filesystem: what is synced there costs nothing.
func memoryFolder(t testing.TB) string {
	folder, err := os.MkdirTemp("/dev/shm", "freshet")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	return folder
}
