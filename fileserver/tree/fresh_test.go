//go:build linux

package tree_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"freshet/fileserver/tree"
	"freshet/hashing"
)

// Whatever a local program does to a file whose tag is remembered: the next look finds the new tag and the new bytes, and no
// change that names the old ones goes ahead.
func TestLocalEdits(t *testing.T) {
	t.Parallel()
	everywhere(t, []string{onDisk, onTmpfs}, []party{ourselves, nobody}, func(t *testing.T, w site, who party) {
		testLocalEdits(t, w, who.open(t, w.root, true))
	})
}

func testLocalEdits(t *testing.T, w site, d door) {
	was := map[string]hashing.Digest{}
	for _, e := range edits {
		for size, bytes := range e.sizes(w) {
			name := e.name + "." + size
			prepare := e.prepare
			if prepare == nil {
				prepare = func(w site, name string, body []byte) error { return os.WriteFile(w.path(name), body, 0o644) }
			}
			if err := prepare(w, name, bodyOf("old "+name, bytes)); err != nil {
				t.Fatal(err)
			}
			was[name] = hashing.Digest{}
		}
	}
	time.Sleep(time.Duration(hashing.RacyNanos) + 100*time.Millisecond) // without leases, nothing younger is remembered
	for name := range was {
		was[name] = d.tag(t, w, name)
	}
	before := d(request{Do: "stats"}).Stats.HashedOnRequest
	for name := range was {
		d.tag(t, w, name)
	}
	if n := d(request{Do: "stats"}).Stats.HashedOnRequest - before; n != 0 {
		t.Fatalf("%d files are not remembered, so their edits cannot be missed", n)
	}
	for _, e := range edits {
		for size, bytes := range e.sizes(w) {
			name := e.name + "." + size
			t.Run(name, func(t *testing.T) { e.test(t, w, d, name, was[name], bodyOf("new "+name, bytes)) })
		}
	}
}

// test makes the edit and looks at what becomes of the old tag.
func (e edit) test(t *testing.T, w site, d door, name string, was hashing.Digest, body []byte) {
	if err := e.do(w, name, body); err != nil {
		t.Fatal(err)
	}
	now := d.tag(t, w, name)
	if now == was {
		t.Fatal("the edit changed nothing")
	}
	refused, kept := errRefused.Error(), tree.ErrPermission.Error()
	replaced := d(request{Do: "replace", Name: name, Was: was, Body: []byte("unseen")}).Outcome
	if replaced != refused && replaced != kept {
		t.Errorf("replacing the version before the edit: %s", replaced)
	}
	if got := d(request{Do: "remove", Name: name, Was: was}).Outcome; got != refused {
		t.Errorf("removing the version before the edit: %s", got)
	}
	if d.tag(t, w, name) != now {
		t.Error("a refused change left other bytes")
	}
	// The same with the right tag, or the refusals above prove nothing. Who cannot give a file to its owner may only remove it.
	if replaced == refused {
		if got := d(request{Do: "replace", Name: name, Was: now, Body: []byte("seen")}).Outcome; got != "done" {
			t.Errorf("replacing the version after the edit: %s", got)
		}
		now = d.tag(t, w, name)
	}
	if !e.link {
		if got := d(request{Do: "remove", Name: name, Was: now}).Outcome; got != "done" {
			t.Errorf("removing the version after the edit: %s", got)
		}
	}
}

// Bytes have one name, whatever happens to the file that they are in.
func TestSameBytesKeepTheirTag(t *testing.T) {
	body := bodyOf("same", 300_000)
	tests := []struct {
		name string
		do   func(w site) error
		then string // where the bytes are afterwards
	}{
		{"touch", func(w site) error { return os.Chtimes(w.path("a"), time.Now(), time.Now()) }, "a"},
		{"touch_far_away", func(w site) error { return os.Chtimes(w.path("a"), time.Unix(1, 1), time.Unix(1, 1)) }, "a"},
		{"chmod", func(w site) error { return os.Chmod(w.path("a"), 0o755) }, "a"},
		{"write_the_same", func(w site) error { return os.WriteFile(w.path("a"), body, 0) }, "a"},
		{"copy", func(w site) error { return os.WriteFile(w.path("b"), body, 0o600) }, "b"},
		{"rename", func(w site) error { return os.Rename(w.path("a"), w.path("b")) }, "b"},
		{"hard_link", func(w site) error { return os.Link(w.path("a"), w.path("b")) }, "b"},
		{"symlink", func(w site) error { return os.Symlink("a", w.path("b")) }, "b"},
		{"rename_over_by_the_same", func(w site) error { return renameOver(w, "a", body) }, "a"},
		{"move_into_folder", func(w site) error {
			return errors.Join(os.Mkdir(w.path("d"), 0o755), os.Rename(w.path("a"), w.path("d/a")))
		}, "d/a"},
		{"restart", func(site) error { return nil }, "a"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newSite(t, onDisk)
			if err := os.WriteFile(w.path("a"), body, 0o644); err != nil {
				t.Fatal(err)
			}
			d := ourselves.open(t, w.root, false)
			was := d.tag(t, w, "a")
			if err := tt.do(w); err != nil {
				t.Fatal(err)
			}
			if tt.name == "restart" {
				d = ourselves.open(t, w.root, false)
			}
			if now := d.tag(t, w, tt.then); now != was || now != hashing.Sum(body) {
				t.Errorf("the tag %s became %s", was, now)
			}
		})
	}
}

func TestEditsWithinOneTick(t *testing.T) {
	t.Parallel()
	everywhere(t, []string{onDisk, onTmpfs, onRamfs, onSeconds}, []party{ourselves, nobody},
		func(t *testing.T, w site, who party) {
			d := who.open(t, w.root, false)
			for name, do := range quick {
				testWithinOneTick(t, w, d, name, do)
			}
		})
}

const (
	quickEdits    = 300
	quickEditsMin = 20
	quickTimeMax  = time.Second // on a busy machine
)

// A file that was hashed after its last name went is not remembered: the next file that gets its inode may have its stamp.
func TestDeletedWhileHashed(t *testing.T) {
	w := newSite(t, onDisk)
	d := ourselves.open(t, w.root, false)
	// Opening waits for the writer to finish, and meanwhile the file goes.
	writer, err := os.Create(w.path("f"))
	if err != nil {
		t.Fatal(err)
	}
	opened := make(chan answer)
	go func() { opened <- d(request{Do: "open", Name: "f"}) }()
	time.Sleep(20 * time.Millisecond)
	if err := errors.Join(os.Remove(w.path("f")), writer.Close()); err != nil {
		t.Fatal(err)
	}
	if a := <-opened; a.Outcome != "done" && a.Outcome != tree.ErrNotExist.Error() {
		t.Error(a.Outcome)
	}
	if n := d(request{Do: "stats"}).Stats.IndexRecords; n != 0 {
		t.Errorf("%d deleted files are remembered", n)
	}
}

// The number of a device says nothing about its filesystem once it was unmounted.
func TestAnotherFilesystemOnTheSameDevice(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can mount filesystems")
	}
	w := newSite(t, onDisk)
	devices := map[string]uint64{}
	for _, kind := range []string{onTmpfs, onRamfs} {
		t.Run(kind, func(t *testing.T) {
			mount(t, kind, w.root)
			d := ourselves.open(t, w.root, false)
			var st unix.Stat_t
			if err := unix.Stat(w.root, &st); err != nil {
				t.Fatal(err)
			}
			devices[kind] = st.Dev
			testWithinOneTick(t, w, d, "write_in_place", quick["write_in_place"])
		})
	}
	if devices[onTmpfs] != devices[onRamfs] {
		t.Skip("the kernel gave the filesystems different numbers")
	}
}

func testWithinOneTick(t *testing.T, w site, d door, name string, do func(w site, name string, body []byte) error) {
	if err := os.WriteFile(w.path(name), bodyOf("start", 24), 0o644); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for i := range quickEdits {
		if i >= quickEditsMin && time.Since(began) > quickTimeMax {
			break
		}
		body := fmt.Appendf(nil, "%-24d", i)
		if err := do(w, name, body); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if a := d(request{Do: "open", Name: name}); a.Digest != hashing.Sum(body) || a.Sent != a.Digest {
			t.Fatalf("%s: edit %d is called %s and was sent as %s, its bytes are %s (%s)", name, i, a.Digest, a.Sent,
				hashing.Sum(body), a.Outcome)
		}
	}
}

// Readers who race with an editor see a version that was there while they looked.
func TestReadersRaceWithEdits(t *testing.T) {
	t.Parallel()
	everywhere(t, []string{onDisk, onTmpfs, onRamfs, onSeconds}, []party{ourselves},
		func(t *testing.T, w site, who party) {
			d := who.open(t, w.root, false)
			for _, name := range []string{"write_in_place", "write_and_restore_times", "rename_over", "map_and_store"} {
				testRace(t, w, d, name, quick[name])
			}
		})
}

const (
	raceTime    = 150 * time.Millisecond
	raceTimeMax = 20 * time.Second // on a busy machine
	raceEdits   = 10               // at least
	raceReaders = 3
)

func testRace(t *testing.T, w site, d door, name string, do func(w site, name string, body []byte) error) {
	// Eight bytes at the start of a page are written and read whole.
	version := func(i int64) []byte { return fmt.Appendf(nil, "%08d", i) }
	if err := os.WriteFile(w.path(name), version(0), 0o644); err != nil {
		t.Fatal(err)
	}
	var begun, done atomic.Int64
	began := time.Now()
	over := func() bool {
		passed := time.Since(began)
		return passed > raceTimeMax || passed > raceTime && done.Load() >= raceEdits || t.Failed()
	}
	var all sync.WaitGroup
	all.Go(func() {
		for i := int64(1); !over(); i++ {
			begun.Store(i)
			if err := do(w, name, version(i)); err != nil && !errors.Is(err, syscall.ENOENT) {
				t.Errorf("%s: %v", name, err)
				return
			}
			done.Store(i)
		}
	})
	for range raceReaders {
		all.Go(func() {
			for !over() {
				least := done.Load()
				a := d(request{Do: "open", Name: name})
				most := begun.Load()
				if a.Outcome == "done" && a.Sent != a.Digest {
					t.Errorf("%s: sent as %s under the tag %s", name, a.Sent, a.Digest)
				}
				found := false
				for i := least; i <= most && !found; i++ {
					found = hashing.Sum(version(i)) == a.Digest
				}
				if !found && a.Outcome == "done" {
					t.Errorf("%s: the tag %s is of none of the versions %d to %d", name, a.Digest, least, most)
				}
			}
		})
	}
	all.Wait()
	if done.Load() < raceEdits {
		t.Errorf("%s: only %d edits", name, done.Load())
	}
}

// A name that leaves the root while it is looked up is missing, not out of bounds.
func TestNameLeavesTheRootWhileLookedUp(t *testing.T) {
	w := newSite(t, onDisk)
	d := ourselves.open(t, w.root, false)
	stop, stopped := make(chan struct{}), make(chan error)
	go func() {
		outside := filepath.Join(w.outside, "f")
		err := os.WriteFile(w.path("f"), []byte("here"), 0o644)
		for err == nil {
			select {
			case <-stop:
				stopped <- err
				return
			default:
				err = errors.Join(os.Rename(w.path("f"), outside), os.Rename(outside, w.path("f")))
			}
		}
		stopped <- err
	}()
	outcomes := map[string]int{}
	for range 20_000 {
		outcomes[d(request{Do: "open", Name: "f"}).Outcome]++
	}
	close(stop)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	for outcome, n := range outcomes {
		if outcome != "done" && outcome != tree.ErrNotExist.Error() && outcome != tree.ErrTorn.Error() {
			t.Errorf("%d times: %s", n, outcome)
		}
	}
}
