//go:build linux

package tree_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"freshet/fileserver/tree"
	"freshet/hashing"
)

const readyTimeMax = 10 * time.Second // until a digest that nobody asked for is there, on a busy machine

// await polls until the digest of a file is remembered.
func (d door) await(t *testing.T, name string, want hashing.Digest) {
	t.Helper()
	end := time.Now().Add(readyTimeMax)
	for time.Now().Before(end) {
		if a := d(request{Do: "stat", Name: name}); a.Digest == want {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
	t.Errorf("%s: its digest was not ready in time", name)
}

// until waits for the stats to say something.
func (d door) until(t *testing.T, what string, said func(s tree.Stats) bool) {
	t.Helper()
	end := time.Now().Add(readyTimeMax)
	for !said(d(request{Do: "stats"}).Stats) {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// watching waits until so many folders are watched: what changes before is nobody's business until somebody asks.
func (d door) watching(t *testing.T, folders int) {
	t.Helper()
	d.until(t, "folders are watched", func(s tree.Stats) bool { return s.WatchedFolders >= folders })
}

// After a local save the digest is there before anybody asks.
func TestDigestsAreReady(t *testing.T) {
	w := newSite(t, onDisk)
	if err := os.Mkdir(w.path("folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	d := ourselves.open(t, w.root, false)
	d.watching(t, 2)
	saves := []struct {
		name string // of the file that the save leaves
		save func(name string, body []byte) error
	}{
		{"created", func(name string, body []byte) error { return os.WriteFile(w.path(name), body, 0o644) }},
		{"created", func(name string, body []byte) error { return os.WriteFile(w.path(name), body, 0) }},
		{"created", func(name string, body []byte) error { return overwrite(w.path(name), body) }},
		{"created", func(name string, body []byte) error { return renameOver(w, name, body) }},
		{"folder/below", func(name string, body []byte) error { return os.WriteFile(w.path(name), body, 0o644) }},
		{"folder/below", func(name string, body []byte) error { return renameOver(w, name, body) }},
		{"new/folders/below", func(name string, body []byte) error {
			return errors.Join(os.MkdirAll(w.path("new/folders"), 0o755), os.WriteFile(w.path(name), body, 0o644))
		}},
		{"moved/folders/below", func(name string, body []byte) error {
			return errors.Join(os.Rename(w.path("new"), w.path("moved")), overwrite(w.path(name), body))
		}},
		{"large", func(name string, _ []byte) error {
			return os.WriteFile(w.path(name), bodyOf("large", editSizes["large"]), 0o644)
		}},
	}
	for i, s := range saves {
		if err := s.save(s.name, bodyOf("save "+strconv.Itoa(i), 100_000)); err != nil {
			t.Fatal(err)
		}
		saved, err := os.ReadFile(w.path(s.name))
		if err != nil {
			t.Fatal(err)
		}
		d.await(t, s.name, hashing.Sum(saved))
		before := d(request{Do: "stats"}).Stats
		d.tag(t, w, s.name)
		after := d(request{Do: "stats"}).Stats
		if after.HashedOnRequest != before.HashedOnRequest {
			t.Errorf("save %d of %s was hashed for the request", i, s.name)
		}
		if after.HashedInBackground == 0 {
			t.Error("nothing was hashed in the background")
		}
	}
}

// floodEvents are more than the kernel's queue holds, by default.
const floodEvents = 40_000

// When change events are lost, tags stay true, and what was saved meanwhile is made ready again.
func TestLostEvents(t *testing.T) {
	w := newSite(t, onDisk)
	d := apart.open(t, w.root, false)
	d.watching(t, 1)
	names := []string{"one", "two", "saved after the queue is full"}
	for _, name := range names {
		if err := os.WriteFile(w.path(name), bodyOf("old "+name, 1000), 0o644); err != nil {
			t.Fatal(err)
		}
		d.tag(t, w, name)
	}
	time.Sleep(100 * time.Millisecond) // what was seen so far is dealt with
	process := d(request{Do: "stats"}).Process
	halt(t, process)
	for i := range floodEvents {
		if err := os.Chmod(w.path(names[i%2]), os.FileMode(0o600|i&2)); err != nil {
			t.Error(err)
			break
		}
	}
	for _, name := range names {
		if err := os.WriteFile(w.path(name), bodyOf("new "+name, 1000), 0); err != nil {
			t.Error(err)
		}
	}
	if err := unix.Kill(process, unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	d.tag(t, w, "one") // at once
	d.until(t, "the queue has overflown", func(s tree.Stats) bool { return s.WatchOverflows > 0 })
	d.await(t, names[2], hashing.Sum(bodyOf("new "+names[2], 1000)))
	for _, name := range names {
		d.tag(t, w, name)
	}
}

// halt stops a process with all its threads.
func halt(t *testing.T, process int) {
	t.Helper()
	if err := unix.Kill(process, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	end := time.Now().Add(readyTimeMax)
	for running := true; running; {
		if time.Now().After(end) {
			t.Fatal("the process does not stop")
		}
		time.Sleep(time.Millisecond)
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", process))
		if err != nil {
			t.Fatal(err)
		}
		running = false
		for _, thread := range threads {
			stat, err := os.ReadFile(thread)
			if err == nil && !bytes.Contains(stat, []byte(") T ")) {
				running = true
			}
		}
	}
}

// A file that a program has open for writing can be read: a small one under its own tag, a large one without.
func TestOpenForWriting(t *testing.T) {
	w := newSite(t, onDisk)
	d := ourselves.open(t, w.root, true)
	for _, size := range []string{"small", "blocks", "large"} {
		body := bodyOf("old", editSizes[size])
		if err := os.WriteFile(w.path(size), body, 0o644); err != nil {
			t.Fatal(err)
		}
		d.tag(t, w, size)
		f, err := os.OpenFile(w.path(size), os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			if i > 0 {
				body = append(body, "one more line\n"...)
				if _, err := f.WriteString("one more line\n"); err != nil {
					t.Fatal(err)
				}
			}
			a := d(request{Do: "open", Name: size})
			want := hashing.Sum(body)
			if a.Outcome != "done" || a.Sent != want {
				t.Errorf("%s, open for writing, %d lines added: %s, sent %s", size, i, a.Outcome, a.Sent)
			}
			// The stamp of what nobody has written to yet is still that of the certified bytes.
			if size == "large" && i > 0 {
				want = hashing.Digest{}
			}
			if a.Digest != want {
				t.Errorf("%s, open for writing, %d lines added: the tag is %s", size, i, a.Digest)
			}
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		d.tag(t, w, size)
	}
}

const slowFileBytes = 512 << 20 // takes longer to hash than a millisecond

// A request that will not wait for the hashing gets the bytes without a tag. Hashing goes on, but not in the way of a program
// that wants to write.
func TestHashWait(t *testing.T) {
	ctx := context.Background()
	w := newSite(t, onDisk)
	tr := openAt(t, w.root, tree.Options{HashWaitMax: time.Millisecond})
	d := door(func(q request) answer { return answerTo(tr, q) })
	f, err := os.Create(w.path("slow"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(slowFileBytes), f.Close()); err != nil {
		t.Fatal(err)
	}
	open := func() *tree.File {
		t.Helper()
		opened, err := tr.Open(ctx, at(t, "slow"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(opened.Close)
		return opened
	}
	untagged := open()
	if !untagged.Entry.Digest.IsZero() {
		t.Fatalf("%d bytes were hashed within a millisecond", slowFileBytes)
	}
	var sent bytes.Buffer
	if err := untagged.Send(ctx, &sent, 5, 1000); err != nil || !bytes.Equal(sent.Bytes(), make([]byte, 1000)) {
		t.Errorf("sent %d bytes, %v", sent.Len(), err)
	}

	began := time.Now()
	f, err = os.OpenFile(w.path("slow"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if waited := time.Since(began); waited > time.Second {
		t.Errorf("a program that wants to write waited for %v", waited)
	}
	if _, err := f.WriteAt([]byte("changed"), 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}

	if first := open(); !first.Entry.Digest.IsZero() {
		t.Errorf("%d bytes were hashed within a millisecond, again", slowFileBytes)
	}
	sum := hashing.NewHasher()
	zeros := make([]byte, 1<<20)
	_, _ = sum.Write([]byte("changed"))
	_, _ = sum.Write(zeros[len("changed"):])
	for range slowFileBytes>>20 - 1 {
		_, _ = sum.Write(zeros)
	}
	d.await(t, "slow", sum.Digest())
	before := tr.Stats().HashedOnRequest
	if later := open(); later.Entry.Digest != sum.Digest() {
		t.Errorf("called %s later", later.Entry.Digest)
	}
	if n := tr.Stats().HashedOnRequest - before; n != 0 {
		t.Error("hashed again for a later request")
	}
}
