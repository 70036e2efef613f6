//go:build linux

package tree_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"freshet/fileserver/tree"
)

// withWatchdog runs workers at once and waits for them, but not for ever: changes that wait for each other are told with
// what every goroutine was doing.
func withWatchdog(t *testing.T, workers ...func()) {
	t.Helper()
	var all sync.WaitGroup
	for _, work := range workers {
		all.Go(work)
	}
	done := make(chan struct{})
	go func() {
		all.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		stacks := make([]byte, 1<<20)
		t.Fatalf("changes wait for each other:\n%s", stacks[:runtime.Stack(stacks, true)])
	}
}

// openQuiet makes a tree whose log is not wanted, and which nothing but the test's own changes touch.
func openQuiet(t *testing.T) (*tree.Tree, string) {
	t.Helper()
	root := t.TempDir()
	tr, err := tree.New(root, tree.Options{Write: true, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tr.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		checkStateFolder(t, root)
	})
	return tr, root
}

// unexpected returns err if it is none of those that are expected.
func unexpected(err error, expected ...error) error {
	for _, e := range expected {
		if errors.Is(err, e) {
			return nil
		}
	}
	return err
}

// TestMovesAcross moves files and folders to and fro from many sides at once: nothing waits for ever, and nothing is lost.
func TestMovesAcross(t *testing.T) {
	folders := []string{"p", "q", "p/sub", "q/sub"}
	var files []string
	for i := range 12 {
		files = append(files, fmt.Sprintf("%s/f%d", folders[i%4], i))
	}
	for _, tt := range []struct {
		name        string
		names       []string // what is moved, and where to
		destination tree.Guard
		refill      bool // every name that a move gave up gets a new file
	}{
		{"onto_free_names", slices.Concat(folders, files, []string{"r", "s", "p/r", "q/s"}), ifAbsent, false},
		{"onto_each_other", files, nil, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := &movesAcross{T: t, names: tt.names, destination: tt.destination, refill: tt.refill}
			var root string
			m.tree, root = openQuiet(t)
			for _, folder := range folders {
				if err := os.Mkdir(filepath.Join(root, folder), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			for _, name := range files {
				m.bodies = append(m.bodies, "first of "+name)
				if err := os.WriteFile(filepath.Join(root, name), []byte("first of "+name), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			withWatchdog(t, m.mover(1), m.mover(2), m.mover(3), m.mover(4))
			m.tree.SettleNow()
			if kept := bodiesBelow(t, filepath.Join(root, tree.Reserved)); !tt.refill && len(kept) > 0 {
				t.Errorf("displaced by moves onto free names: %v", kept)
			}
			checkBodies(t, bodiesBelow(t, root), m.bodies)
			if m.moved < movesAcrossMin {
				t.Errorf("only %d moves were made", m.moved)
			}
		})
	}
}

const (
	movesAcrossMin = 60
	movesTriedMax  = 2000 // by one mover
)

type movesAcross struct {
	*testing.T
	tree        *tree.Tree
	names       []string
	destination tree.Guard
	refill      bool

	mu     sync.Mutex
	moved  int      // guarded by mu
	bodies []string // guarded by mu; all that must be there
}

// mover moves at random until enough moves were made by all.
func (m *movesAcross) mover(n int) func() {
	order := rand.New(rand.NewPCG(uint64(n), 1))
	return func() {
		for i := range movesTriedMax {
			m.move(m.names[order.IntN(len(m.names))], m.names[order.IntN(len(m.names))], fmt.Sprintf("%d of %d", i, n))
			m.mu.Lock()
			enough := m.moved >= movesAcrossMin
			m.mu.Unlock()
			if enough {
				return
			}
		}
	}
}

func (m *movesAcross) move(from, to, body string) {
	_, err := m.tree.Move(context.Background(), at(m, from), at(m, to), tree.Transfer{Destination: m.destination})
	moved, refilled := err == nil, false
	if moved && m.refill {
		_, err = put(m, m.tree, from, body, nil)
		refilled = err == nil
	}
	err = unexpected(err, nil, tree.ErrSame, tree.ErrNotExist, tree.ErrNoParent, tree.ErrUnstable, errRefused)
	if err != nil {
		m.Errorf("move %s to %s: %v", from, to, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if moved {
		m.moved++
	}
	if refilled {
		m.bodies = append(m.bodies, body)
	}
}

// checkBodies makes sure that each body is there exactly once, and no other.
func checkBodies(t *testing.T, found map[string]int, bodies []string) {
	t.Helper()
	for _, body := range bodies {
		if found[body] != 1 {
			t.Errorf("%q is there %d times", body, found[body])
		}
		delete(found, body)
	}
	for body := range found {
		t.Errorf("%q is there, and nobody knows why", body)
	}
}

// TestExchanges has two names moved onto each other over and over, from both sides at once, beside writers and readers of
// each: whoever waits for one name while it has the other meets somebody who does the opposite.
func TestExchanges(t *testing.T) {
	tr, root := openQuiet(t)
	var mu sync.Mutex
	var acknowledged []string
	write := func(name, body string) {
		_, err := put(t, tr, name, body, nil)
		if err == nil {
			mu.Lock()
			acknowledged = append(acknowledged, body)
			mu.Unlock()
		}
		if err = unexpected(err, nil, tree.ErrUnstable); err != nil {
			t.Errorf("put: %v", err)
		}
	}
	const rounds = 50
	mover := func(from, to string) func() {
		return func() {
			for i := range rounds {
				_, err := tr.Move(context.Background(), at(t, from), at(t, to), tree.Transfer{})
				if err = unexpected(err, nil, tree.ErrNotExist, tree.ErrUnstable); err != nil {
					t.Errorf("move: %v", err)
				}
				write(from, fmt.Sprintf("%d of the mover from %s", i, from))
			}
		}
	}
	writer := func(name string) func() {
		return func() {
			for i := range rounds {
				write(name, fmt.Sprintf("%d of the writer of %s", i, name))
				if _, err := get(t, tr, name); unexpected(err, nil, tree.ErrNotExist, tree.ErrTorn, tree.ErrUnstable) != nil {
					t.Errorf("get: %v", err)
				}
			}
		}
	}
	withWatchdog(t, mover("a", "b"), mover("b", "a"), writer("a"), writer("b"))
	tr.SettleNow()
	checkBodies(t, bodiesBelow(t, root), acknowledged)
}

// TestLocksAreTakenInOneOrder has a change hold the name that one move wants first and another move last, until both wait:
// if each had taken its source's name first, they would now wait for each other.
func TestLocksAreTakenInOneOrder(t *testing.T) {
	for _, tt := range []struct{ held, other string }{{"a", "b"}, {"b", "a"}} {
		t.Run(tt.held+"_is_held", func(t *testing.T) {
			tr, root := openQuiet(t)
			for _, name := range []string{"a", "b"} {
				if err := os.WriteFile(filepath.Join(root, name), []byte(name), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			move := func(from, to string) {
				_, err := tr.Move(context.Background(), at(t, from), at(t, to), tree.Transfer{})
				if unexpected(err, nil, tree.ErrNotExist) != nil {
					t.Errorf("move %s to %s: %v", from, to, err)
				}
			}
			held := make(chan struct{})
			const beforeTheyWait = 30 * time.Millisecond
			withWatchdog(t, func() {
				_, err := put(t, tr, tt.held, "held", func(*tree.Entry) error {
					close(held)
					time.Sleep(3 * beforeTheyWait)
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}, func() {
				<-held
				move(tt.held, tt.other)
			}, func() {
				<-held
				time.Sleep(beforeTheyWait)
				move(tt.other, tt.held)
			})
		})
	}
}

// TestFolderRemovedUnderCommits removes a folder while files are committed into it. Each commit has happened before, then
// its file is among the versions, or it fails for want of its folder.
func TestFolderRemovedUnderCommits(t *testing.T) {
	tr, root := openQuiet(t)
	var mu sync.Mutex
	var acknowledged []string
	var committed, refused, rounds atomic.Int64
	const roundsMax = 20
	writer := func(n int) func() {
		return func() {
			for i := 0; rounds.Load() < roundsMax; i++ {
				name := fmt.Sprintf("d/w%d-%d", n, i)
				_, err := put(t, tr, name, name, ifAbsent)
				if err == nil {
					mu.Lock()
					acknowledged = append(acknowledged, name)
					mu.Unlock()
					committed.Add(1)
				} else {
					refused.Add(1)
				}
				if err = unexpected(err, nil, tree.ErrNoParent, tree.ErrUnstable); err != nil {
					t.Errorf("commit: %v", err)
				}
			}
		}
	}
	remover := func() {
		for ; rounds.Load() < roundsMax; rounds.Add(1) {
			before, refusedBefore := committed.Load(), refused.Load()
			if _, err := tr.Mkdir(context.Background(), at(t, "d"), tree.Change{}); err != nil {
				t.Errorf("mkdir: %v", err)
			}
			waitUntil(t, func() bool { return committed.Load() > before })
			if _, err := tr.Remove(context.Background(), at(t, "d"), tree.Change{}); err != nil {
				t.Errorf("remove: %v", err)
			}
			waitUntil(t, func() bool { return refused.Load() > refusedBefore })
		}
	}
	withWatchdog(t, remover, writer(1), writer(2), writer(3))
	tr.SettleNow()
	checkBodies(t, bodiesBelow(t, filepath.Join(root, tree.Reserved, "versions")), acknowledged)
}

// TestFolderMovedUnderChanges moves a folder to and fro while what is in it is replaced, copied and removed.
func TestFolderMovedUnderChanges(t *testing.T) {
	tr, root := openQuiet(t)
	ctx := context.Background()
	if _, err := tr.Mkdir(ctx, at(t, "d"), tree.Change{}); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var acknowledged []string
	expected := []error{nil, tree.ErrNoParent, tree.ErrNotExist, tree.ErrUnstable}
	worker := func(n int) func() {
		return func() {
			for i := range 60 {
				name := fmt.Sprintf("%c/file%d", "de"[i%2], i%3)
				body := fmt.Sprintf("%d of %d", i, n)
				_, err := put(t, tr, name, body, nil)
				if err == nil {
					mu.Lock()
					acknowledged = append(acknowledged, body)
					mu.Unlock()
				}
				if unexpected(err, expected...) != nil {
					t.Errorf("commit: %v", err)
				}
				if i%5 == 0 {
					if _, err = tr.Remove(ctx, at(t, name), tree.Change{}); unexpected(err, expected...) != nil {
						t.Errorf("remove: %v", err)
					}
				}
				if i%7 == 0 {
					_, err = tr.Copy(ctx, at(t, name), at(t, fmt.Sprint("copy", n)), tree.Transfer{})
					if unexpected(err, expected...) != nil {
						t.Errorf("copy: %v", err)
					}
				}
			}
		}
	}
	mover := func() {
		for i := range 60 {
			from, to := at(t, "de"[i%2:i%2+1]), at(t, "ed"[i%2:i%2+1])
			if _, err := tr.Move(ctx, from, to, tree.Transfer{Destination: ifAbsent}); err != nil {
				t.Errorf("move: %v", err)
			}
			time.Sleep(time.Millisecond)
		}
	}
	withWatchdog(t, mover, worker(1), worker(2), worker(3))
	tr.SettleNow()
	found := bodiesBelow(t, root)
	for _, body := range acknowledged {
		if found[body] == 0 {
			t.Errorf("%q was acknowledged and is lost", body)
		}
	}
}
