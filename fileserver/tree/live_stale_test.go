//go:build linux

package tree_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"freshet/fileserver/tree"
	"freshet/hashing"
)

const (
	staleWrites      = 10_000
	staleFolders     = 10
	staleFiles       = 10 // in each folder
	staleBarrierRuns = 300
	crowdWriters     = 4
	crowdAskers      = 4
	crowdFiles       = 5 // of each writer
	crowdTime        = 2 * time.Second
)

func init() {
	children["write"] = writeChild
	children["count"] = countChild
}

// stalePath and staleBody are what write n is about. A file is written, renamed over and removed in turn.
func stalePath(n int) string {
	return fmt.Sprintf("d%d/f%d", n%staleFolders, n/staleFolders%staleFiles)
}

func staleBody(n int) []byte { return fmt.Appendf(nil, "write %d", n) }

// writeOne makes one change, and reports whether the file is there after it.
func writeOne(root string, n int) (there bool, err error) {
	name := filepath.Join(root, stalePath(n))
	switch n % 7 {
	case 0:
		if err := os.Remove(name); !errors.Is(err, os.ErrNotExist) {
			return false, err
		}
		return false, nil
	case 1, 2:
		beside := root + ".beside"
		return true, errors.Join(os.WriteFile(beside, staleBody(n), 0o644), os.Rename(beside, name))
	}
	return true, os.WriteFile(name, staleBody(n), 0o644)
}

// writeChild makes the changes it is told the numbers of, and says so after each.
func writeChild(words []string) error {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		n, err := strconv.Atoi(lines.Text())
		if err != nil {
			return err
		}
		if _, err := writeOne(words[0], n); err != nil {
			return err
		}
		fmt.Println(n)
	}
	return lines.Err()
}

// A staleTree is what must be in a tree of folders with small files: its fingerprints are computed by themselves.
type staleTree struct {
	bodies  [staleFolders][staleFiles]string // "": no file
	folders [staleFolders]hashing.Digest
}

// wrote notes a change, and returns the fingerprint of its folder and that of the root.
func (s *staleTree) wrote(n int, there bool) (folder, root hashing.Digest) {
	d, f := n%staleFolders, n/staleFolders%staleFiles
	s.bodies[d][f] = ""
	if there {
		s.bodies[d][f] = string(staleBody(n))
	}
	s.folders[d] = s.sum(d)
	h := hashing.NewFolderHasher(hashing.XXH3)
	h.Reset(staleFolders)
	for i, fp := range s.folders {
		h.Add(hashing.ChildFolder, fmt.Append(nil, "d", i), 0, fp)
	}
	return s.folders[d], h.Digest()
}

func (s *staleTree) sum(d int) hashing.Digest {
	count := uint64(0)
	for _, body := range s.bodies[d] {
		if body != "" {
			count++
		}
	}
	h := hashing.NewFolderHasher(hashing.XXH3)
	h.Reset(count)
	for f, body := range s.bodies[d] {
		if body != "" {
			h.Add(hashing.ChildFile, fmt.Append(nil, "f", f), int64(len(body)), hashing.Sum([]byte(body)))
		}
	}
	return h.Digest()
}

func newStaleTree(t testing.TB, root string) *staleTree {
	t.Helper()
	s := &staleTree{}
	for d := range staleFolders {
		if err := os.Mkdir(filepath.Join(root, fmt.Sprint("d", d)), 0o755); err != nil {
			t.Fatal(err)
		}
		s.folders[d] = s.sum(d)
	}
	return s
}

// notStale asks for the folder that write n was in and for the root.
func (s *staleTree) notStale(t testing.TB, tr *tree.Tree, n int) {
	t.Helper()
	folder, whole := s.wrote(n, n%7 != 0)
	asked, want := pathOf(filepath.Dir(stalePath(n))), folder
	if n%2 == 0 {
		asked, want = tree.Path{}, whole
	}
	f, _, err := tr.Folder(context.Background(), asked)
	if err != nil {
		t.Fatal(err)
	}
	if f.Subtree != want {
		t.Fatalf("after write %d, to %s, %q has the fingerprint %s, want %s", n, stalePath(n), asked, f.Subtree, want)
	}
}

// TestNoStaleAnswers has another process write 10,000 times, and asks right after each.
func TestNoStaleAnswers(t *testing.T) {
	t.Parallel()
	tr, root := open(t, tree.Options{Log: quiet})
	s := newStaleTree(t, root)
	cmd := child(t, "write", root)
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	done := bufio.NewScanner(out)
	for n := range staleWrites {
		if _, err := fmt.Fprintln(in, n); err != nil || !done.Scan() {
			t.Fatalf("write %d: %v %v", n, err, done.Err())
		}
		s.notStale(t, tr, n)
	}
	if err := errors.Join(in.Close(), cmd.Wait()); err != nil {
		t.Error(err)
	}
}

// TestAnswerAwaitsEvents is TestNoStaleAnswers for moments.
func TestAnswerAwaitsEvents(t *testing.T) {
	tr, root := open(t, tree.Options{Log: quiet})
	s := newStaleTree(t, root)
	for n := range staleBarrierRuns {
		if _, err := writeOne(root, n); err != nil {
			t.Fatal(err)
		}
		s.notStale(t, tr, n)
	}
}

// countChild writes rising numbers to its files, one after another, and says so after each.
func countChild(words []string) error {
	root, who := words[0], words[1]
	said := bufio.NewWriter(os.Stdout)
	for n := 0; ; n++ {
		name := filepath.Join(root, "w"+who, fmt.Sprint("f", n%crowdFiles))
		beside := root + "." + who
		err := os.WriteFile(beside, []byte(strconv.Itoa(n)), 0o644)
		if err == nil {
			err = os.Rename(beside, name)
		}
		if err != nil {
			return err
		}
		fmt.Fprintln(said, n)
		if err := said.Flush(); err != nil {
			return nil // the test is over
		}
	}
}

// TestAnswersIncludeFinishedWrites has several processes write as fast as they can, and several ask meanwhile. Every answer
// shows, of each file, at least the write that had finished before it was asked for.
func TestAnswersIncludeFinishedWrites(t *testing.T) {
	t.Parallel()
	tr, root := open(t, tree.Options{Log: quiet})
	var finished [crowdWriters][crowdFiles]atomic.Int64
	digests := &crowdDigests{}
	var writers sync.WaitGroup
	var programs []*exec.Cmd
	defer func() {
		for _, cmd := range programs {
			_ = cmd.Process.Kill()
		}
		writers.Wait()
		for _, cmd := range programs {
			_ = cmd.Wait()
		}
	}()
	for w := range crowdWriters {
		if err := os.Mkdir(filepath.Join(root, fmt.Sprint("w", w)), 0o755); err != nil {
			t.Fatal(err)
		}
		cmd := child(t, "count", root, strconv.Itoa(w))
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		programs = append(programs, cmd)
		writers.Go(func() {
			for lines := bufio.NewScanner(out); lines.Scan(); {
				n, _ := strconv.Atoi(lines.Text())
				finished[w][n%crowdFiles].Store(int64(n))
			}
		})
	}
	var askers sync.WaitGroup
	var answers atomic.Int64
	began := time.Now()
	for a := range crowdAskers {
		askers.Go(func() {
			for n := a; time.Since(began) < crowdTime && !t.Failed(); n++ {
				w := n % crowdWriters
				var least [crowdFiles]int64
				var seen [crowdFiles]bool
				for f := range least {
					least[f] = finished[w][f].Load()
				}
				got, _, err := tr.Folder(context.Background(), pathOf(fmt.Sprint("w", w)))
				if err != nil {
					t.Error(err)
					return
				}
				for e := range got.Entries() {
					f, _ := strconv.Atoi(strings.TrimPrefix(e.Name, "f"))
					seen[f] = true
					if shown, ok := digests.number(e.Digest, least[f]); !ok || shown < least[f] {
						t.Errorf("w%d/%s is shown at write %d (%v), and had write %d before", w, e.Name, shown, ok, least[f])
					}
				}
				for f := range seen {
					if least[f] > 0 && !seen[f] {
						t.Errorf("w%d/f%d is not shown, and had write %d before", w, f, least[f])
					}
				}
				answers.Add(1)
			}
		})
	}
	askers.Wait()
	writes := finished[0][0].Load()
	t.Logf("%d answers; one of the writers wrote about %d times", answers.Load(), writes)
	if answers.Load() < 20 || writes < 20 {
		t.Error("too little happened to tell anything")
	}
}

// crowdDigests tells numbers by the digests of their text.
type crowdDigests struct {
	mu    sync.Mutex
	known map[hashing.Digest]int64
	next  int64
}

// number returns the number with a digest, if it is at most a hundred thousand above least.
func (c *crowdDigests) number(d hashing.Digest, least int64) (n int64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil {
		c.known = map[hashing.Digest]int64{}
	}
	for n, ok = c.known[d]; !ok && c.next < least+100_000; n, ok = c.known[d] {
		c.known[hashing.Sum([]byte(strconv.FormatInt(c.next, 10)))] = c.next
		c.next++
	}
	return n, ok
}
