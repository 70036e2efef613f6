package tree_test

import (
	"bytes"
	"errors"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"freshet/fileserver/tree"
	"freshet/hashing"
)

// A mapping is a file mapped for writing, as databases and some editors have it.
type mapping struct {
	file *os.File
	mem  []byte
}

func mapFile(path string) (*mapping, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	fi, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	mem, err := unix.Mmap(int(f.Fd()), 0, int(fi.Size()), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &mapping{f, mem}, nil
}

func (m *mapping) unmap() error { return errors.Join(unix.Munmap(m.mem), m.file.Close()) }

// storeMapped makes the file body through a new mapping that is gone afterwards.
func storeMapped(path string, body []byte) error {
	m, err := mapFile(path)
	if err != nil {
		return err
	}
	copy(m.mem, body)
	return m.unmap()
}

// readAndStoreMapped has every page in the mapping before the first store.
func readAndStoreMapped(path string, body []byte) error {
	m, err := mapFile(path)
	if err != nil {
		return err
	}
	if bytes.Count(m.mem, []byte{'\n'}) == 0 {
		err = errors.New("this is not what was written")
	}
	copy(m.mem, body)
	return errors.Join(err, m.unmap())
}

// While a program holds a mapping, its stores move no stamp. No lease can be had then, and the file is named by a copy each
// time it is asked for, or goes out without a tag.
func TestMappingHeldOpen(t *testing.T) {
	t.Parallel()
	everywhere(t, []string{onDisk, onTmpfs}, []party{ourselves}, func(t *testing.T, w site, who party) {
		d := who.open(t, w.root, true)
		var all sync.WaitGroup
		for _, size := range []string{"small", "blocks"} {
			all.Go(func() {
				t.Run(size, func(t *testing.T) { testMapped(t, w, d, size) })
			})
		}
		all.Wait()
		t.Run("large", func(t *testing.T) { testMappedLarge(t, w, d) })
	})
}

func testMapped(t *testing.T, w site, d door, size string) {
	if err := os.WriteFile(w.path(size), bodyOf("old", editSizes[size]), 0o644); err != nil {
		t.Fatal(err)
	}
	was := d.tag(t, w, size)
	m, err := mapFile(w.path(size))
	if err != nil {
		t.Fatal(err)
	}
	defer m.unmap()
	for i := range 12 {
		if i == 10 {
			time.Sleep(time.Duration(hashing.RacyNanos) + 100*time.Millisecond) // older than any racy window
		}
		m.mem[i] = byte(i)
		now := d.tag(t, w, size)
		if now == was {
			t.Fatalf("store %d: the tag stayed", i)
		}
		was = now
	}
	m.mem[0] = 0xff
	if got := d(request{Do: "replace", Name: size, Was: was}).Outcome; got != tree.ErrInUse.Error() {
		t.Errorf("replacing a file that a program has mapped: %s", got)
	}
	if err := m.unmap(); err != nil {
		t.Fatal(err)
	}
	if d.tag(t, w, size) == was {
		t.Error("the last store was not seen")
	}
	if got := d(request{Do: "replace", Name: size, Was: was}).Outcome; got != errRefused.Error() {
		t.Errorf("replacing the version before the last store: %s", got)
	}
}

func testMappedLarge(t *testing.T, w site, d door) {
	if err := os.WriteFile(w.path("large"), bodyOf("old", editSizes["large"]), 0o644); err != nil {
		t.Fatal(err)
	}
	d.tag(t, w, "large")
	m, err := mapFile(w.path("large"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		m.mem[1_000_000] = byte(i)
		if a := d(request{Do: "open", Name: "large"}); a.Outcome != "done" || !a.Digest.IsZero() {
			t.Errorf("a large file that is mapped for writing: %s under the tag %s", a.Outcome, a.Digest)
		}
	}
	if err := m.unmap(); err != nil {
		t.Fatal(err)
	}
	d.tag(t, w, "large")
}

// On tmpfs a program that reads a page before it stores to it moves no stamp, even with a new mapping. A change that names the
// bytes before the store is refused all the same, since it reads them again under its lease.
func TestMappingOnTmpfs(t *testing.T) {
	t.Parallel()
	w := newSite(t, onTmpfs)
	d := ourselves.open(t, w.root, true)
	was := map[string]hashing.Digest{}
	for size, bytes := range editSizes {
		if err := os.WriteFile(w.path(size), bodyOf("old", bytes), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(time.Duration(hashing.RacyNanos) + 100*time.Millisecond)
	for size, bytes := range editSizes {
		was[size] = d.tag(t, w, size)
		if err := readAndStoreMapped(w.path(size), bodyOf("new", bytes)); err != nil {
			t.Fatal(err)
		}
		if a := d(request{Do: "open", Name: size}); a.Outcome == "done" && a.Sent != a.Digest {
			t.Errorf("%s: sent as %s under the tag %s", size, a.Sent, a.Digest)
		}
		for _, change := range []string{"replace", "remove"} {
			if got := d(request{Do: change, Name: size, Was: was[size]}).Outcome; got != errRefused.Error() {
				t.Errorf("%s: %s the version before the store: %s", size, change, got)
			}
		}
		now := hashing.Sum(bodyOf("new", bytes))
		if got := d(request{Do: "replace", Name: size, Was: now, Body: []byte("seen")}).Outcome; got != "done" {
			t.Errorf("%s: replacing the version after the store: %s", size, got)
		}
	}
}

// Where no lease can be had, stores through an old mapping may be missed by who compares tags, but bytes never go out under a
// tag that is not theirs.
func TestMappingWithoutLease(t *testing.T) {
	w := newSite(t, onDisk)
	d := nobody.open(t, w.root, false)
	for size, bytes := range editSizes {
		if err := os.WriteFile(w.path(size), bodyOf("old", bytes), 0o644); err != nil {
			t.Fatal(err)
		}
		m, err := mapFile(w.path(size))
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			m.mem[bytes/2]++
			if a := d(request{Do: "open", Name: size}); a.Outcome == "done" && a.Sent != a.Digest {
				t.Errorf("%s: sent as %s under the tag %s", size, a.Sent, a.Digest)
			}
		}
		if err := m.unmap(); err != nil {
			t.Fatal(err)
		}
	}
}
