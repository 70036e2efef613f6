//go:build linux

package tree_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"freshet/fileserver/tree"
	"freshet/hashing"
)

// versionBody is the body of a version, which says whose it is.
func versionBody(id string) []byte {
	return fmt.Appendf(nil, "%s\n%s", id, bytes.Repeat([]byte(id), 1+len(id)*97%300))
}

// idOf returns which version a body is; "" if it is none, or none whole.
func idOf(body []byte) string {
	id, _, _ := bytes.Cut(body, []byte("\n"))
	if !bytes.Equal(body, versionBody(string(id))) {
		return ""
	}
	return string(id)
}

// A book is what the writers under conditions did, in the end.
type book struct {
	Written  []string         // versions whose commit was acknowledged
	Named    []hashing.Digest // what they replaced or removed, by the tag they named
	Outcomes map[string]int   // of all tries
	Wrong    map[string]int   // what must not happen, and how often it did
}

const (
	conditionalWriters    = 3
	conditionalCommitsMin = 10 // less is no test; a busy disk gets more time
	conditionalTimeShare  = 8  // how many times the time that was asked for it gets
)

// writeUnderConditions replaces the file at p for a while, as clients do that read, edit and send back with If-Match.
func writeUnderConditions(ctx context.Context, tr *tree.Tree, p tree.Path, d time.Duration) book {
	b := book{Outcomes: map[string]int{}, Wrong: map[string]int{}}
	var mu sync.Mutex
	var all sync.WaitGroup
	began := time.Now()
	over := func() bool {
		mu.Lock()
		defer mu.Unlock()
		passed := time.Since(began)
		return passed > d && len(b.Written) >= conditionalCommitsMin || passed > conditionalTimeShare*d
	}
	for w := range conditionalWriters {
		all.Go(func() {
			for n := 0; !over(); n++ {
				id := fmt.Sprintf("writer %d, version %d", w, n)
				named, written, err := replaceWhatIsRead(ctx, tr, p, versionBody(id))
				mu.Lock()
				if written {
					b.Written = append(b.Written, id)
				}
				if !named.IsZero() {
					b.Named = append(b.Named, named)
				}
				b.Outcomes[outcome(err)]++
				if !harmless(err) {
					b.Wrong[err.Error()]++
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return b
}

// harmless are refusals that a writer among others must expect.
func harmless(err error) bool {
	for _, e := range []error{errRefused, tree.ErrInUse, tree.ErrUnstable, tree.ErrTorn, tree.ErrNotExist, tree.ErrPermission} {
		if errors.Is(err, e) {
			return true
		}
	}
	return err == nil
}

// replaceWhatIsRead reads the file and replaces the version that was read, or creates the file. Where the owner of what is
// there cannot be kept, it removes that version first.
func replaceWhatIsRead(ctx context.Context, tr *tree.Tree, p tree.Path, body []byte) (
	named hashing.Digest, written bool, err error) {
	was, err := readWhole(ctx, tr, p)
	if errors.Is(err, tree.ErrNotExist) {
		err = replaceWith(ctx, tr, p, body, ifAbsent)
		return named, err == nil, err
	}
	if err != nil {
		return named, false, err
	}
	wants := func(cur *tree.Entry) error {
		if cur == nil || cur.Digest != was {
			return errRefused
		}
		return nil
	}
	err = replaceWith(ctx, tr, p, body, wants)
	if err == nil {
		return was, true, nil
	}
	if !errors.Is(err, tree.ErrPermission) {
		return named, false, err
	}
	if _, err = tr.Remove(ctx, p, tree.Change{Guard: wants, By: "test"}); err != nil {
		return named, false, err
	}
	err = replaceWith(ctx, tr, p, body, ifAbsent)
	return was, err == nil, err
}

// readWhole returns the tag under which the file was read, and makes sure that it is true.
func readWhole(ctx context.Context, tr *tree.Tree, p tree.Path) (hashing.Digest, error) {
	f, err := tr.Open(ctx, p)
	if err != nil {
		return hashing.Digest{}, err
	}
	defer f.Close()
	sum := hashing.NewHasher()
	if err := f.Send(ctx, sum, 0, f.Entry.Size); err != nil {
		return hashing.Digest{}, err
	}
	if sum.Digest() != f.Entry.Digest {
		return hashing.Digest{}, fmt.Errorf("sent %s under the tag %s", sum.Digest(), f.Entry.Digest)
	}
	return f.Entry.Digest, nil
}

// localParties are the programs of one machine that save to one file, each without looking what is there. To tell what they
// did to one another from what was done to them, each keeps account of what it overwrote: whole files go to the folder gone.
type localParties struct {
	file, outside, gone string

	mu          sync.Mutex
	written     []string        // guarded by mu
	overwritten map[string]bool // guarded by mu; in place
	count       map[string]int  // guarded by mu; saves of each party
	gones       int             // guarded by mu
}

// run lets the parties save until stop is closed.
func (l *localParties) run(t *testing.T, stop <-chan struct{}) *sync.WaitGroup {
	var all sync.WaitGroup
	for _, party := range []struct {
		name  string
		save  func(body []byte) (bool, error)
		pause time.Duration // at most, between saves
	}{
		{"by rename", l.saveByRename, 4 * time.Millisecond},
		{"in place", l.saveInPlace, 4 * time.Millisecond},
		{"by moving away", l.saveByMovingAway, 20 * time.Millisecond},
	} {
		all.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				case <-time.After(rand.N(party.pause)):
				}
				id := fmt.Sprintf("saved %s, version %d", party.name, n)
				saved, err := party.save(versionBody(id))
				if err != nil {
					t.Errorf("save %s: %v", party.name, err)
					return
				}
				if saved {
					l.mu.Lock()
					l.written = append(l.written, id)
					l.count[party.name]++
					l.mu.Unlock()
				}
			}
		})
	}
	return &all
}

// nameForGone is a new name for a file that a party took from its place.
func (l *localParties) nameForGone() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gones++
	return filepath.Join(l.gone, fmt.Sprint(l.gones))
}

// saveByRename saves as most editors do. To who looks at the name, an exchange is what a rename is; this party keeps what a
// rename would have destroyed.
func (l *localParties) saveByRename(body []byte) (bool, error) {
	temp := l.nameForGone()
	if err := os.WriteFile(temp, body, 0o644); err != nil {
		return false, err
	}
	for {
		err := unix.Renameat2(unix.AT_FDCWD, temp, unix.AT_FDCWD, l.file, unix.RENAME_EXCHANGE)
		if err == unix.ENOENT {
			err = unix.Renameat2(unix.AT_FDCWD, temp, unix.AT_FDCWD, l.file, unix.RENAME_NOREPLACE)
		}
		if err != unix.EEXIST {
			return err == nil, err
		}
	}
}

// saveByMovingAway makes a backup of the file by renaming it, and then puts a new one in its place.
func (l *localParties) saveByMovingAway(body []byte) (bool, error) {
	temp := filepath.Join(l.outside, "temp")
	if err := os.WriteFile(temp, body, 0o644); err != nil {
		return false, err
	}
	if err := os.Rename(l.file, l.nameForGone()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return false, err
	}
	err := unix.Renameat2(unix.AT_FDCWD, temp, unix.AT_FDCWD, l.file, unix.RENAME_NOREPLACE)
	if err == unix.EEXIST {
		return false, os.Remove(temp)
	}
	return err == nil, err
}

// saveInPlace truncates the file and writes it in two steps. It is the only party that writes to files that have their name,
// so what it read before truncating is what it destroyed.
func (l *localParties) saveInPlace(body []byte) (bool, error) {
	f, err := l.truncated()
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	_, err = f.Write(body[:len(body)/2])
	if err == nil {
		_, err = f.Write(body[len(body)/2:])
	}
	return err == nil, errors.Join(err, f.Close())
}

// truncated opens the file empty: by open(2) with O_TRUNC, or by truncating what is open.
func (l *localParties) truncated() (*os.File, error) {
	twice := rand.N(2) == 0
	flags := os.O_RDWR
	if twice {
		flags = os.O_RDONLY
	}
	f, err := os.OpenFile(l.file, flags, 0)
	if err != nil {
		return nil, err
	}
	was, err := io.ReadAll(f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if twice {
		defer f.Close()
		if f, err = os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), os.O_WRONLY|os.O_TRUNC, 0); err != nil {
			return nil, err
		}
	} else if err := f.Truncate(0); err != nil {
		return nil, errors.Join(err, f.Close())
	} else if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if id := idOf(was); id != "" {
		l.mu.Lock()
		l.overwritten[id] = true
		l.mu.Unlock()
	}
	return f, nil
}

const partiesTime, partiesSoakTime = 3 * time.Second, time.Minute

// Writers under conditions, an editor that saves by rename, one that moves the file away first and a program that writes in
// place all save to one file. A version that is nowhere any more was overwritten by a party that did not look: none is lost
// by the server.
func TestNoVersionIsLost(t *testing.T) {
	t.Parallel()
	d := partiesTime
	if *tree.Soak {
		d = partiesSoakTime
	}
	var all sync.WaitGroup
	for _, who := range []party{ourselves, nobody, keeper} {
		all.Go(func() {
			t.Run(onDisk+"/"+who.name, func(t *testing.T) { testParties(t, newSite(t, onDisk), who, d) })
		})
	}
	for _, kind := range []string{onTmpfs, onRamfs} {
		all.Go(func() {
			t.Run(kind+"/"+ourselves.name, func(t *testing.T) { testParties(t, newSite(t, kind), ourselves, d) })
		})
	}
	all.Wait()
}

func testParties(t *testing.T, w site, who party, d time.Duration) {
	l := &localParties{
		file: w.path("file.txt"), outside: w.outside, gone: filepath.Join(w.outside, "gone"),
		overwritten: map[string]bool{}, count: map[string]int{},
	}
	if err := errors.Join(os.Mkdir(l.gone, 0o755), os.WriteFile(l.file, versionBody("the first"), 0o644)); err != nil {
		t.Fatal(err)
	}
	l.written = []string{"the first"}
	var b book
	t.Run("saving", func(t *testing.T) { // the tree is closed, and has settled everything, when this ends
		serve := who.open(t, w.root, true)
		stop := make(chan struct{})
		all := l.run(t, stop)
		a := serve(request{Do: "write", Name: "file.txt", For: d})
		close(stop)
		all.Wait()
		if a.Outcome != "done" {
			t.Fatal(a.Outcome)
		}
		b = a.Book
		s := serve(request{Do: "stats"}).Stats
		t.Logf("under conditions %d, locally %v; outcomes %v; %d rolled back, %d conflict copies", len(b.Written), l.count,
			b.Outcomes, s.Rollbacks, s.ConflictCopies)
	})
	for wrong, n := range b.Wrong {
		t.Errorf("%d times: %s", n, wrong)
	}
	if len(b.Written) < conditionalCommitsMin || l.count["by rename"] == 0 || l.count["in place"] == 0 {
		t.Errorf("too little happened: %d commits, %v", len(b.Written), l.count)
	}
	kept := map[string]bool{}
	for _, folder := range []string{w.root, w.path(tree.Reserved + "/versions"), l.gone} {
		collect(t, folder, kept)
	}
	checkVersionsWereNamed(t, w, b)
	for _, id := range append(l.written, b.Written...) {
		if !kept[id] && !l.overwritten[id] {
			t.Errorf("%q is nowhere", id)
		}
	}
}

// checkVersionsWereNamed makes sure that every version that went silently was one that a writer had read and named.
func checkVersionsWereNamed(t *testing.T, w site, b book) {
	t.Helper()
	named := map[hashing.Digest]bool{}
	for _, d := range b.Named {
		named[d] = true
	}
	versions, err := filepath.Glob(w.path(tree.Reserved + "/versions/*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range versions {
		body, err := os.ReadFile(name)
		if err != nil {
			continue // the record beside a version is a link that leads nowhere
		}
		if !named[hashing.Sum(body)] {
			t.Errorf("%q was displaced by writers of whom none had read it", idOf(body))
		}
	}
}

// collect notes which versions are whole in the files of a folder.
func collect(t *testing.T, folder string, kept map[string]bool) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		body, err := os.ReadFile(filepath.Join(folder, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		kept[idOf(body)] = true
	}
}
