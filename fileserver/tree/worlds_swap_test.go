//go:build linux

package tree_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"freshet/fileserver/tree"
)

// swapTime is how long folders and links are swapped under the server.
const swapTime = 2 * time.Second

// TestSwappedForLinksOut has a local program swap folders and files for links that lead out of the root and back, as fast as
// it can, while every operation is under way: nothing outside is opened, told or changed.
func TestSwappedForLinksOut(t *testing.T) {
	if os.Geteuid() == 0 && !inSandbox(t) {
		return
	}
	base := t.TempDir()
	if os.Geteuid() == 0 {
		base = memoryFolder(t)
	}
	root, beside := filepath.Join(base, "root"), filepath.Join(base, "outside")
	for _, folder := range []string{"root/d/sub", "root/e", "outside/sub"} {
		if err := os.MkdirAll(filepath.Join(base, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"f", "g", "sub/f", "outside-only"} {
		if err := os.WriteFile(filepath.Join(beside, name), bytes.Repeat([]byte("outside"), 1000), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	links := map[string]string{"out": "../outside", "d/out": "../../outside/sub", "y": "../outside/f"}
	for name, target := range links {
		if err := os.Symlink(target, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	tr, err := tree.New(root, tree.Options{Write: true, VersionsFilesMax: 100, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	before, opens := stateOf(t, beside, true), watchOpens(t, beside)
	s := &swapTest{T: t, tree: tr, done: make([]atomic.Int64, len(swapOps)), refused: make([]atomic.Int64, len(swapOps))}
	ctx, cancel := context.WithTimeout(t.Context(), swapTime)
	defer cancel()
	var all sync.WaitGroup
	all.Go(func() { swap(ctx, root) })
	for range 4 {
		all.Go(func() { s.work(ctx) })
	}
	all.Go(func() {
		for ; ctx.Err() == nil; time.Sleep(swapTime / 100) {
			tr.SettleNow() // nobody waits for the quarantine to have room
		}
	})
	all.Wait()
	if err := tr.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	checkStateFolder(t, root)
	if got := opens.opened(); len(got) > 0 {
		t.Errorf("outside the root were opened: %q", got)
	}
	if !maps.Equal(stateOf(t, beside, true), before) {
		t.Error("something outside the root was changed")
	}
	for i, op := range swapOps {
		if s.done[i].Load() == 0 {
			t.Errorf("%s never succeeded", op.name)
		}
		t.Logf("%s: %d succeeded, %d refused", op.name, s.done[i].Load(), s.refused[i].Load())
	}
}

// swap exchanges the folders and files with the links until ctx ends.
func swap(ctx context.Context, root string) {
	pairs := [][2]string{{"d", "out"}, {"d/sub", "d/out"}, {"x", "y"}}
	for i := 0; ctx.Err() == nil; i++ {
		pair := pairs[i%len(pairs)]
		a, b := filepath.Join(root, pair[0]), filepath.Join(root, pair[1])
		_ = unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
		if i%64 == 0 {
			time.Sleep(100 * time.Microsecond) // let others have the disk's locks
		}
	}
}

type swapTest struct {
	*testing.T
	tree          *tree.Tree
	done, refused []atomic.Int64 // by operation
}

// expectedOfSwaps is all that an operation may be refused with while names change what they are.
var expectedOfSwaps = []error{
	tree.ErrOutside, tree.ErrNotExist, tree.ErrExist, tree.ErrNoParent, tree.ErrIsFolder, tree.ErrNotFolder, tree.ErrUnstable,
	tree.ErrSame, tree.ErrTorn,
}

func (s *swapTest) work(ctx context.Context) {
	for ctx.Err() == nil {
		i := rand.IntN(len(swapOps))
		err := swapOps[i].do(s, swapPaths[rand.IntN(len(swapPaths))])
		if err == nil {
			s.done[i].Add(1)
			continue
		}
		s.refused[i].Add(1)
		expected := false
		for _, e := range expectedOfSwaps {
			expected = expected || errors.Is(err, e)
		}
		if !expected {
			s.Errorf("%s: %v", swapOps[i].name, err)
			return
		}
	}
}

var swapPaths = []string{"d/f", "d/g", "d/sub/f", "x", "y", "out/f"}

// told fails the test if what the server said is of the files outside.
func (s *swapTest) told(what, text string) {
	if strings.Contains(text, "outside") {
		s.Errorf("%s told %.40q", what, text)
	}
}

var swapOps = []struct {
	name string
	do   func(s *swapTest, name string) error
}{
	{"open", func(s *swapTest, name string) error {
		f, err := s.tree.Open(context.Background(), at(s, name))
		if err != nil {
			return err
		}
		defer f.Close()
		var b bytes.Buffer
		err = f.Send(context.Background(), &b, 0, f.Entry.Size)
		s.told("open", b.String())
		return err
	}},
	{"stat", func(s *swapTest, name string) error {
		e, err := s.tree.Stat(context.Background(), at(s, name))
		if err == nil && e.Size >= 7000 {
			s.Errorf("stat told the size %d", e.Size)
		}
		return err
	}},
	{"list", func(s *swapTest, name string) error {
		entries, err := s.tree.List(context.Background(), at(s, name).Parent())
		for _, e := range entries {
			s.told("list", e.Name)
			if e.Followed != nil && e.Followed.Size >= 7000 {
				s.Errorf("list told the size %d", e.Followed.Size)
			}
		}
		return err
	}},
	{"commit", func(s *swapTest, name string) error {
		_, err := put(s, s.tree, name, fmt.Sprint("inside ", rand.Uint64()), nil)
		return err
	}},
	{"guarded_commit", func(s *swapTest, name string) error {
		_, err := put(s, s.tree, name, fmt.Sprint("inside ", rand.Uint64()), func(cur *tree.Entry) error {
			if cur != nil && cur.Size >= 7000 {
				s.Errorf("a guard was shown the size %d", cur.Size)
			}
			return nil
		})
		return err
	}},
	{"remove", func(s *swapTest, name string) error {
		if name == "y" || rand.IntN(4) > 0 {
			return tree.ErrNotExist // links and files are to be there most of the time
		}
		_, err := s.tree.Remove(context.Background(), at(s, name), tree.Change{})
		return err
	}},
	{"mkdir", func(s *swapTest, name string) error {
		p := at(s, name+"-folder")
		_, err := s.tree.Mkdir(context.Background(), p, tree.Change{})
		if err == nil {
			_, _ = s.tree.Remove(context.Background(), p, tree.Change{})
		}
		return err
	}},
	{"move", func(s *swapTest, name string) error {
		to := swapPaths[rand.IntN(3)]
		_, err := s.tree.Move(context.Background(), at(s, name), at(s, to), tree.Transfer{})
		return err
	}},
	{"copy", func(s *swapTest, name string) error {
		_, err := s.tree.Copy(context.Background(), at(s, name), at(s, swapPaths[rand.IntN(len(swapPaths))]), tree.Transfer{})
		return err
	}},
	{"copy_folder", func(s *swapTest, name string) error {
		_, err := s.tree.Copy(context.Background(), at(s, "d"), at(s, "e/copy"), tree.Transfer{})
		return err
	}},
}

// TestOnePlaceByTwoPaths makes sure that links do not let anything be moved or copied onto or into itself.
func TestOnePlaceByTwoPaths(t *testing.T) {
	for _, tt := range []struct {
		name     string
		made     []string
		from, to string
	}{
		{"file_below_a_link", []string{"d/", "d/a=alpha", "l->d"}, "l/a", "d/a"},
		{"file_below_two_links", []string{"d/", "d/a=alpha", "l->d", "m->d"}, "l/a", "m/a"},
		{"folder_below_a_link", []string{"d/", "d/e/", "l->d"}, "d/e", "l/e"},
		{"folder_into_itself", []string{"d/", "d/a=alpha", "l->d"}, "d", "l/e"},
		{"folder_deep_into_itself", []string{"d/", "d/e/", "d/e/f/", "l->d/e"}, "d", "l/f/g"},
		{"file_onto_its_folder", []string{"d/", "d/e/", "d/e/a=alpha", "l->d/e"}, "l/a", "d"},
		{"folder_onto_its_child", []string{"d/", "d/e/", "l->d"}, "d", "l/e"},
		{"folder_onto_its_parent", []string{"d/", "d/e/", "l->d"}, "l/e", "d"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root, _ := build(t, filepath.Join(t.TempDir(), "base"), tt.made)
			tr := openAt(t, root, tree.Options{Write: true})
			before := servedState(t, root)
			_, err := tr.Move(context.Background(), at(t, tt.from), at(t, tt.to), tree.Transfer{})
			if !errors.Is(err, tree.ErrSame) {
				t.Errorf("move: %v", err)
			}
			_, err = tr.Copy(context.Background(), at(t, tt.from), at(t, tt.to), tree.Transfer{})
			if !errors.Is(err, tree.ErrSame) && !errors.Is(err, tree.ErrIsFolder) {
				t.Errorf("copy: %v", err)
			}
			if after := servedState(t, root); !maps.Equal(before, after) {
				t.Errorf("before: %v\nafter:  %v", before, after)
			}
		})
	}
}
