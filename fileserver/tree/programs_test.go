//go:build linux

package tree_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"freshet/hashing"
)

// programs are command lines that edit FILE, which has lines; OTHER has as many bytes, and others each time.
var programs = []struct {
	name string
	args []string
}{
	{"vim_by_rename", []string{"vim", "-es", "-n", "-i", "NONE", "-u", "NONE", "-N",
		"-c", "set backupcopy=no", "-c", "%s/$/,/", "-c", "wq", "FILE"}},
	{"vim_in_place", []string{"vim", "-es", "-n", "-i", "NONE", "-u", "NONE", "-N",
		"-c", "set backupcopy=yes", "-c", "%s/$/,/", "-c", "wq", "FILE"}},
	{"sed_in_place", []string{"sed", "-i", "s/^/,/", "FILE"}},
	{"cp_over", []string{"cp", "OTHER", "FILE"}},
	{"cp_same_times", []string{"cp", "-p", "OTHER", "FILE"}},
	{"cp_replacing", []string{"cp", "--remove-destination", "OTHER", "FILE"}},
	{"dd_without_truncating", []string{"dd", "if=OTHER", "of=FILE", "bs=4096", "conv=notrunc", "status=none"}},
	{"dd_one_block", []string{"dd", "if=OTHER", "of=FILE", "bs=4096", "count=1", "skip=20", "seek=20", "conv=notrunc",
		"status=none"}},
	// This one opens without waiting, and fails while a lease is held.
	{"truncate", []string{"sh", "-c", "for i in $(seq 100); do truncate -s -7 FILE 2>/dev/null && exit; done; exit 1"}},
	{"append", []string{"sh", "-c", "cat OTHER >>FILE"}},
	{"write_mapped", nil},
}

const (
	programFileBytes = 200_000
	programRuns      = 2
)

// While and after real programs save, what is sent is what its tag says, and no change goes over what they saved.
func TestRealPrograms(t *testing.T) {
	t.Parallel()
	everywhere(t, []string{onDisk}, []party{ourselves, nobody}, func(t *testing.T, w site, who party) {
		d := who.open(t, w.root, true)
		for _, p := range programs {
			t.Run(p.name, func(t *testing.T) { testProgram(t, w, d, p.name, p.args) })
		}
	})
}

func testProgram(t *testing.T, w site, d door, name string, args []string) {
	if len(args) > 0 {
		if _, err := exec.LookPath(args[0]); err != nil {
			without(t, err)
		}
	}
	if err := os.WriteFile(w.path(name), bodyOf("a line", programFileBytes), 0o644); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var readers sync.WaitGroup
	readers.Go(func() { readUntil(t, d, name, stop) })
	was := d.tag(t, w, name)
	for run := range programRuns {
		other := bodyOf(fmt.Sprint("run ", run), programFileBytes)
		if err := runProgram(w, name, args, other); err != nil {
			t.Error(err)
			break
		}
		now := d.tag(t, w, name)
		if now == was {
			t.Errorf("run %d changed nothing", run)
		}
		if got := d(request{Do: "remove", Name: name, Was: was}).Outcome; got != errRefused.Error() {
			t.Errorf("removing the version before run %d: %s", run, got)
		}
		was = now
	}
	close(stop)
	readers.Wait()
}

// runProgram lets one program edit the file name.
func runProgram(w site, name string, args []string, other []byte) error {
	if len(args) == 0 {
		return storeMapped(w.path(name), other)
	}
	source := filepath.Join(w.outside, "other."+name)
	if err := os.WriteFile(source, other, 0o644); err != nil {
		return err
	}
	args = append([]string{}, args...)
	for i := range args {
		args[i] = strings.NewReplacer("OTHER", source, "FILE", w.path(name)).Replace(args[i])
	}
	c := exec.Command(args[0], args[1:]...)
	c.Env = append(os.Environ(), "TERM=dumb", "HOME="+w.outside)
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return nil
}

// readUntil reads a file again and again, and makes sure that each body is what its tag says. A file without a tag says
// nothing.
func readUntil(t *testing.T, d door, name string, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		if a := d(request{Do: "open", Name: name}); a.Outcome == "done" && !a.Digest.IsZero() && a.Sent != a.Digest {
			t.Errorf("%s: sent as %s under the tag %s", name, a.Sent, a.Digest)
			return
		}
	}
}

// hugeWriteBytes are written by one system call, on each kind of site.
var hugeWriteBytes = map[string]int64{onTmpfs: 128 << 20, onDisk: 512 << 20}

const hugeWritePiece = 1 << 20 // the same bytes again and again; one system call takes up to 1024

// A write of half a gigabyte in one system call moves the stamp when it begins, not when it ends. While it is under way the
// file has no tag, or the right one.
func TestOneHugeWrite(t *testing.T) {
	for kind, size := range hugeWriteBytes {
		t.Run(kind, func(t *testing.T) {
			w := newSite(t, kind)
			f, err := os.Create(w.path("huge"))
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
				t.Fatal(err)
			}
			d := ourselves.open(t, w.root, false)
			stop := make(chan struct{})
			var readers sync.WaitGroup
			for range 2 {
				readers.Go(func() { readUntil(t, d, "huge", stop) })
			}
			time.Sleep(100 * time.Millisecond)
			want, took := writeHuge(t, w.path("huge"), size)
			close(stop)
			readers.Wait()
			a := d(request{Do: "open", Name: "huge"})
			if a.Outcome != "done" || a.Digest != want || a.Sent != want {
				t.Errorf("%s: called %s and sent as %s, its bytes are %s", a.Outcome, a.Digest, a.Sent, want)
			}
			t.Logf("written in %v", took)
		})
	}
}

// writeHuge writes the whole file in one call.
func writeHuge(t *testing.T, path string, size int64) (want hashing.Digest, took time.Duration) {
	t.Helper()
	piece := bodyOf("one piece of many", hugeWritePiece)
	pieces := make([][]byte, size/hugeWritePiece)
	sum := hashing.NewHasher()
	for i := range pieces {
		pieces[i] = piece
		_, _ = sum.Write(piece)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	n, err := unix.Pwritev(int(f.Fd()), pieces, 0)
	took = time.Since(began)
	if err := errors.Join(err, f.Close()); err != nil || n != int(size) {
		t.Fatalf("wrote %d bytes, %v", n, err)
	}
	return sum.Digest(), took
}
