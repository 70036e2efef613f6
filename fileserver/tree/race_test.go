//go:build linux

package tree_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"freshet/fileserver/tree"
)

// A race is a change and what a local program does when the change has come to a certain step, each for once. The step
// "guard" is within the Guard: the path is locked, and its stamp compared.
type race struct {
	name   string
	before world
	change func(r *racing) error
	rogue  acts

	after     world
	kept      []string // versions, as lookAtState has them
	err       error
	rollbacks uint64
	noLeases  bool   // no read lease can be had
	mode      string // of the only filesystem that has the steps; "": it is all the same
}

// acts are by step.
type acts = map[string]func(r *racing)

// racing is a race under way.
type racing struct {
	t       *testing.T
	race    *race
	mode    string
	root    string
	tree    *tree.Tree
	acted   map[string]bool
	writers []*lateWriter
}

// step is what happens at a step of the change.
func (r *racing) step(step string) error {
	if step == "lease" && r.race.noLeases {
		return unix.EACCES
	}
	if step == "exchange" && r.mode != plain {
		return unix.EINVAL
	}
	if act := r.race.rogue[step]; act != nil && !r.acted[step] {
		r.acted[step] = true
		act(r)
	}
	return nil
}

// guard is g, with what happens while it is asked.
func (r *racing) guard(g tree.Guard) tree.Guard {
	return func(cur *tree.Entry) error {
		_ = r.step("guard")
		return g(cur)
	}
}

func (r *racing) path(name string) string { return filepath.Join(r.root, name) }

// A lateWriter is a program that found a file by its name, and opens it for writing when it likes.
type lateWriter struct {
	t     *testing.T
	file  int // O_PATH
	asked bool
	done  chan struct{}
}

func (r *racing) lateWriter(name string) *lateWriter {
	r.t.Helper()
	fd, err := unix.Open(r.path(name), unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		r.t.Fatal(err)
	}
	w := &lateWriter{t: r.t, file: fd, done: make(chan struct{})}
	r.t.Cleanup(func() { unix.Close(fd) })
	r.writers = append(r.writers, w)
	return w
}

// write writes, at once if no lease is in the way. Else it returns when the kernel has asked for the lease back, and a thread
// waits for that in open(2).
func (w *lateWriter) write(text string, more func(name string)) {
	w.asked = true
	name := fmt.Sprintf("/proc/self/fd/%d", w.file)
	thread := make(chan int, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(w.done)
		thread <- unix.Gettid()
		fd, err := unix.Open(name, unix.O_WRONLY|unix.O_TRUNC|unix.O_CLOEXEC, 0)
		if err == nil {
			_, err = unix.Write(fd, []byte(text))
			unix.Close(fd)
		}
		if err != nil {
			w.t.Error(err)
		} else if more != nil {
			more(name)
		}
	}()
	call := fmt.Sprintf("/proc/self/task/%d/syscall", <-thread)
	for !w.wrote() {
		if b, err := os.ReadFile(call); err == nil && strings.HasPrefix(string(b), fmt.Sprint(unix.SYS_OPENAT, " ")) {
			return
		}
	}
}

// chmod changes the mode, which no lease is in the way of.
func (w *lateWriter) chmod(mode uint32) {
	if err := unix.Chmod(fmt.Sprintf("/proc/self/fd/%d", w.file), mode); err != nil {
		w.t.Error(err)
	}
}

// wrote waits a moment for the writer to be through.
func (w *lateWriter) wrote() bool {
	select {
	case <-w.done:
		return true
	case <-time.After(time.Millisecond):
		return false
	}
}

// What local programs do.
func saves(name, text string) func(*racing) {
	return func(r *racing) {
		spare := r.root + ".spare"
		if err := os.WriteFile(spare, []byte(text), 0o644); err != nil {
			r.t.Error(err)
		}
		if err := os.Rename(spare, r.path(name)); err != nil {
			r.t.Error(err)
		}
	}
}

func deletes(name string) func(*racing) {
	return func(r *racing) {
		if err := os.Remove(r.path(name)); err != nil {
			r.t.Error(err)
		}
	}
}

// writesLate writes to the file that had the name when the change began.
func writesLate(n int) func(*racing) {
	return func(r *racing) { r.writers[n].write("rogue", nil) }
}

// hides writes text of the same size, and gives the file its old time of change back.
func hides(n int, text string) func(*racing) {
	return func(r *racing) {
		w := r.writers[n]
		var st unix.Stat_t
		if err := unix.Fstatat(w.file, "", &st, unix.AT_EMPTY_PATH); err != nil {
			r.t.Fatal(err)
		}
		w.write(text, func(name string) {
			if err := os.Chtimes(name, time.Time{}, time.Unix(st.Mtim.Unix())); err != nil {
				r.t.Error(err)
			}
		})
	}
}

// What is changed. The writers stand ready.
func replaceA(r *racing) error {
	if r.race.before["a"] != "" {
		r.lateWriter("a")
	}
	return commits("a", "new", r.guard(r.condition()))(r.tree)
}

// condition is that of whoever read the world as it was before.
func (r *racing) condition() tree.Guard {
	if old, ok := r.race.before["a"]; ok {
		return ifMatch(old)
	}
	return ifAbsent
}

func removeA(r *racing) error {
	r.lateWriter("a")
	_, err := r.tree.Remove(context.Background(), pathOf("a"), tree.Change{Guard: r.guard(ifMatch("old"))})
	return err
}

func moveAToB(r *racing) error {
	r.lateWriter("a")
	x := tree.Transfer{Source: r.guard(ifMatch("old")), Destination: ifAbsent}
	if r.race.before["b"] != "" {
		r.lateWriter("b")
		x.Destination = ifMatch("two")
	}
	_, err := r.tree.Move(context.Background(), pathOf("a"), pathOf("b"), x)
	return err
}

func copyAToB(r *racing) error {
	_, err := r.tree.Copy(context.Background(), pathOf("a"), pathOf("b"), tree.Transfer{Destination: r.guard(ifAbsent)})
	return err
}

func copyFolderToA(r *racing) error {
	r.lateWriter("a")
	x := tree.Transfer{Destination: r.guard(ifMatch("old"))}
	_, err := r.tree.Copy(context.Background(), pathOf("d"), pathOf("a"), x)
	return err
}

// TestRaces lets a local program come between any two steps of a change. No version that nobody knowingly replaced is lost:
// it has the name, or is a conflict copy beside it.
func TestRaces(t *testing.T) {
	for i := range races {
		for _, mode := range []string{plain, gap} {
			if races[i].mode == "" || races[i].mode == mode {
				t.Run(races[i].name+"/"+mode, func(t *testing.T) { races[i].run(t, mode) })
			}
		}
	}
}

func (race *race) run(t *testing.T, mode string) {
	r := &racing{t: t, mode: mode, root: memoryDir(t), acted: map[string]bool{}}
	own := *race
	own.rogue = maps.Clone(race.rogue) // an act may add others
	r.race = &own
	race.before.make(t, r.root)
	r.tree = newTree(t, r.root, tree.Options{})
	tree.SetFailpoint(t, r.step)
	if err := race.change(r); !errors.Is(err, race.err) {
		t.Errorf("the change says %v, want %v", err, race.err)
	}
	r.settle()
	for step := range race.rogue {
		if !r.acted[step] {
			t.Errorf("the change did not come by %q", step)
		}
	}
	found, err := look(r.root)
	if err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(found, race.after) {
		t.Errorf("the tree holds %v, want %v", found, race.after)
	}
	if versions, err := lookAtState(r.root); err != nil || !slices.Equal(versions, race.kept) {
		t.Errorf("the versions are %q (%v), want %q", versions, err, race.kept)
	}
	if n := r.tree.Stats().Rollbacks; n != race.rollbacks {
		t.Errorf("rolled back %d times, want %d", n, race.rollbacks)
	}
}

// settle lets the writers in and then ends the quarantine.
func (r *racing) settle() {
	r.t.Helper()
	for _, w := range r.writers {
		for w.asked && !w.wrote() {
			r.tree.Settle(time.Now())
		}
	}
	r.tree.Settle(time.Now().Add(time.Minute))
}

// TestReadersWait asks for names while a change of them is not yet known to be right: no reader is shown what may be undone,
// and none is told that a file is gone which may come back.
func TestReadersWait(t *testing.T) {
	for _, test := range []struct {
		scene, mode, step string
		names             []string
	}{
		{"replace", plain, "commit-exchanged", []string{"a"}},
		{"replace", plain, "commit-verified", []string{"a"}},
		{"replace", gap, "swap-emptied", []string{"a"}},
		{"replace", gap, "swap-filled", []string{"a"}},
		{"remove_file", plain, "remove-moved", []string{"a"}},
		{"remove_link", plain, "remove-moved", []string{"l"}},
		{"remove_folder", plain, "remove-moved", []string{"d"}},
		{"move_file_to_free_name", plain, "move-moved", []string{"a", "b"}},
		{"move_file_onto_file", plain, "move-exchanged", []string{"a", "b"}},
		{"move_file_onto_file", plain, "move-staged", []string{"a", "b"}},
		{"move_file_onto_file", gap, "move-emptied", []string{"b"}},
		{"move_folder_onto_file", plain, "move-exchanged", []string{"a", "d"}},
		{"copy_folder_onto_file", plain, "copy-exchanged", []string{"b"}},
		{"copy_folder_onto_file", gap, "swap-emptied", []string{"b"}},
	} {
		t.Run(test.scene+"/"+test.step, func(t *testing.T) {
			s := sceneNamed(test.scene)
			root := memoryDir(t)
			s.before.make(t, root)
			tr := newTree(t, root, tree.Options{})
			looked, play := false, s.player(root, test.mode)
			tree.SetFailpoint(t, func(step string) error {
				if step == test.step && !looked {
					looked = true
					for _, name := range test.names {
						checkWaits(t, tr, name)
					}
				}
				return play(step)
			})
			if err := s.change(tr); err != nil {
				t.Fatal(err)
			}
			if !looked {
				t.Errorf("the change did not come by %q", test.step)
			}
		})
	}
}

// checkWaits makes sure that nothing is said of a name for now.
func checkWaits(t *testing.T, tr *tree.Tree, name string) {
	for door, ask := range map[string]func(ctx context.Context) error{
		"stat": func(ctx context.Context) error {
			_, err := tr.Stat(ctx, pathOf(name))
			return err
		},
		"open": func(ctx context.Context) error {
			_, err := tr.Open(ctx, pathOf(name))
			return err
		},
		"list": func(ctx context.Context) error {
			_, err := tr.List(ctx, tree.Path{})
			return err
		},
	} {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Millisecond)
		if err := ask(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s of %s: %v", door, name, err)
		}
		cancel()
	}
}
