//go:build linux

package tree_test

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"freshet/fileserver/tree"
)

// TestFailureAtEveryStep lets each step of each change fail, in turn. A change that fails leaves the old world, unless it
// says that the new one could not be made durable; what it displaced on the way is nowhere lost.
func TestFailureAtEveryStep(t *testing.T) {
	for i := range scenes {
		s := &scenes[i]
		if s.late != nil || s.undone || s.halfway != nil {
			continue
		}
		for _, mode := range s.modes() {
			for hit := 1; s.fails(t, mode, hit); hit++ {
			}
		}
	}
}

// fails plays a scene whose hit-th step fails. It reports false once the change has fewer steps.
func (s *scene) fails(t *testing.T, mode string, hit int) bool {
	t.Helper()
	p := &play{scene: s, mode: mode, root: memoryDir(t)}
	s.make(t, p.root)
	tr, err := tree.New(p.root, tree.Options{Write: true, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	played := s.player(p.root, mode)
	hits, failed := 0, ""
	tree.SetFailpoint(t, func(step string) error {
		if err := played(step); err != nil {
			return err
		}
		if hits++; hits == hit {
			failed = step
			return unix.EIO
		}
		return nil
	})
	err = s.change(tr)
	tree.HookFailpoint(nil)
	if err := tr.Close(); err != nil {
		t.Error(err)
	}
	switch {
	case err == nil, errors.Is(err, tree.ErrUnsynced):
		p.said = acknowledged
	case !errors.Is(err, unix.EIO):
		t.Errorf("%s, %s, %s failed: the change says %v", s.name, mode, failed, err)
	}
	if failed == "sync-folder" && err == nil {
		t.Errorf("%s, %s: acknowledged, though a folder could not be synced", s.name, mode)
	}
	problem := p.compare()
	if problem == nil && err != nil && !p.acknowledged() {
		problem = p.isBefore()
	}
	if problem != nil {
		t.Errorf("%s, %s, %s failed, the change says %v: %v", s.name, mode, failed, err, problem)
	}
	return failed != ""
}

// TestOrderOfSteps says when what is made durable: bytes before a name leads to them, names before the answer.
func TestOrderOfSteps(t *testing.T) {
	const name = "commit-created" // the upload has got its name
	for _, test := range []struct {
		scene string
		steps []string
	}{
		{"create", []string{"sync-file", name, "sync-folder"}},
		// The second time for owner and mode, which are those of the file that goes.
		{"replace", []string{"sync-file", "sync-file", "exchange", "sync-folder"}},
		{"remove_file", []string{"rename", "sync-folder"}},
		{"remove_folder", []string{"rename", "sync-folder"}},
		{"move_file_to_free_name", []string{"rename", "sync-folder"}},
		{"move_file_across_folders", []string{"rename", "sync-folder", "sync-folder"}},
		// The second renaming takes what was displaced to the stage folder.
		{"move_file_onto_file", []string{"sync-file", "exchange", "rename", "sync-folder"}},
		{"move_file_onto_file_across_folders", []string{"sync-file", "exchange", "rename", "sync-folder", "sync-folder"}},
		{"copy_file", []string{"sync-file", name, "sync-folder"}},
		{"copy_file_onto_file", []string{"sync-file", "exchange", "sync-folder"}},
		{"copy_folder_onto_file", []string{"sync-file", "sync-folder", "rename", "exchange", "sync-folder"}},
		{"make_folder", []string{"mkdir-made", "sync-folder"}},
	} {
		t.Run(test.scene, func(t *testing.T) {
			counted := []string{"sync-file", "sync-folder", "exchange", "rename", "mkdir-made", name}
			var steps []string
			s := sceneNamed(test.scene)
			root := memoryDir(t)
			s.make(t, root)
			tr := newTree(t, root, tree.Options{})
			tree.SetFailpoint(t, func(step string) error {
				if slices.Contains(counted, step) {
					steps = append(steps, step)
				}
				return nil
			})
			if err := s.change(tr); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(steps, test.steps) {
				t.Errorf("the steps were %q, want %q", steps, test.steps)
			}
		})
	}
}

// TestFolderNotSynced lets no folder be synced. Every change says so, whatever folder it is.
func TestFolderNotSynced(t *testing.T) {
	for i := range scenes {
		s := &scenes[i]
		if s.undone {
			continue
		}
		folders := 1
		if strings.Contains(s.name, "across_folders") || s.name == "move_folder" {
			folders = 2
		}
		for fails := 1; fails <= folders; fails++ {
			root := memoryDir(t)
			s.make(t, root)
			tr := newTree(t, root, tree.Options{})
			synced, play := 0, s.player(root, plain)
			tree.SetFailpoint(t, func(step string) error {
				if step != "sync-folder" || strings.HasPrefix(s.name, "copy_folder") && !placed(root, s) {
					return play(step)
				}
				if synced++; synced == fails {
					return unix.EIO
				}
				return nil
			})
			if err := s.change(tr); !errors.Is(err, tree.ErrUnsynced) {
				t.Errorf("%s: folder %d was not synced, the change says %v", s.name, fails, err)
			}
		}
	}
}

// placed reports whether a copy has got its name.
func placed(root string, s *scene) bool {
	found, err := look(root)
	return err == nil && maps.Equal(found, s.after)
}

// newTree makes a tree that is not run, for writing, and closes it when the test ends.
func newTree(t testing.TB, root string, o tree.Options) *tree.Tree {
	t.Helper()
	o.Write, o.Log = true, slog.New(slog.NewTextHandler(testWriter{t}, nil))
	tr, err := tree.New(root, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
		checkStateFolder(t, root)
	})
	return tr
}

// TestUnsyncedIsNotDoneAgain lets the sync of a folder fail for want of space. There is a version that could make room, but
// the change is made: to try again would be to make another one.
func TestUnsyncedIsNotDoneAgain(t *testing.T) {
	root := memoryDir(t)
	tr := newTree(t, root, tree.Options{})
	for _, body := range []string{"one", "two"} {
		if _, err := put(t, tr, "a", body, nil); err != nil {
			t.Fatal(err)
		}
	}
	tr.Settle(time.Now().Add(time.Minute))
	exchanges := 0
	tree.SetFailpoint(t, func(step string) error {
		switch step {
		case "exchange":
			exchanges++
		case "sync-folder":
			return tree.ErrNoSpace
		}
		return nil
	})
	if _, err := put(t, tr, "a", "three", ifMatch("two")); !errors.Is(err, tree.ErrUnsynced) {
		t.Errorf("a change whose folder could not be synced: %v", err)
	}
	if got, err := get(t, tr, "a"); got != "three" || err != nil || exchanges != 1 {
		t.Errorf("after %d exchanges: %q, %v", exchanges, got, err)
	}
}

// TestGroupCommit holds the sync of a folder that one change began, while others change the folder too. They share the next
// one, since that which had begun before them may not have seen their names, and none returns before it has ended.
func TestGroupCommit(t *testing.T) {
	const others = 5
	root := memoryDir(t)
	tr := newTree(t, root, tree.Options{})
	began, goOn := make(chan int), make(chan struct{})
	syncs := 0 // only one sync of a folder is under way at a time
	tree.SetFailpoint(t, func(step string) error {
		if step == "sync-folder" {
			syncs++
			began <- syncs
			<-goOn
		}
		return nil
	})
	returned := make(chan error, 1+others)
	change := func(name string) { go func() { returned <- commits(name, name, ifAbsent)(tr) }() }
	change("first")
	<-began
	for i := range others {
		change(fmt.Sprintf("other %d", i))
	}
	for tr.WaitingForSync() < 1+others {
		time.Sleep(time.Millisecond)
	}
	goOn <- struct{}{}
	if err := <-returned; err != nil {
		t.Fatal(err)
	}
	select {
	case n := <-began:
		if n != 2 || len(returned) > 0 {
			t.Errorf("before sync %d began, %d changes had returned that came after the first one", n, len(returned))
		}
	case err := <-returned:
		t.Fatalf("a change returned before the sync that it needs began: %v", err)
	}
	goOn <- struct{}{}
	for range others {
		select {
		case err := <-returned:
			if err != nil {
				t.Error(err)
			}
		case n := <-began:
			t.Fatalf("sync %d of %d changes", n, 1+others)
		}
	}
}

// TestFailedGroupCommit lets a sync fail that two changes share, after one of a third change: both are told.
func TestFailedGroupCommit(t *testing.T) {
	root := memoryDir(t)
	tr := newTree(t, root, tree.Options{})
	syncs := 0
	tree.SetFailpoint(t, func(step string) error {
		if step != "sync-folder" {
			return nil
		}
		if syncs++; syncs > 1 {
			return unix.EIO
		}
		for tr.WaitingForSync() < 3 {
			time.Sleep(time.Millisecond)
		}
		return nil
	})
	returned := make(chan error)
	for _, name := range []string{"a", "b", "c"} {
		go func() { returned <- commits(name, name, nil)(tr) }()
	}
	failed := 0
	for range 3 {
		if err := <-returned; errors.Is(err, tree.ErrUnsynced) && errors.Is(err, unix.EIO) {
			failed++
		} else if err != nil {
			t.Error(err)
		}
	}
	if failed != 2 || syncs != 2 {
		t.Errorf("%d changes failed after %d syncs, want 2 after 2", failed, syncs)
	}
}

// TestDiskRefusesToSync lets the kernel itself refuse every fsync, so that it is seen that there are any. No change is then
// acknowledged: one that brings bytes fails before they have a name, one of names only says that it is not durable.
func TestDiskRefusesToSync(t *testing.T) {
	var words []string
	var plays []*play
	unsynced := map[string]bool{
		"create": false, "replace": false, "copy_file": false, "copy_folder": false, "move_file_onto_file": false,
		"remove_file": true, "remove_folder": true, "move_file_to_free_name": true, "move_folder": true, "make_folder": true,
	}
	for name := range unsynced {
		p := &play{scene: sceneNamed(name), mode: plain, root: memoryDir(t)}
		p.scene.make(t, p.root)
		plays = append(plays, p)
		words = append(words, name, p.root)
	}
	for i, said := range crashed(t, "unsynced", words) {
		p := plays[i]
		if said == "no filter" {
			t.Skip("the kernel lets no filter for system calls be installed here")
		}
		if said != map[bool]string{true: "unsynced", false: "failed"}[unsynced[p.scene.name]] {
			t.Errorf("%s: %s", p.scene.name, said)
			continue
		}
		problem := p.verify(t)
		if found, err := look(p.root); problem == nil && unsynced[p.scene.name] != maps.Equal(found, p.scene.after) {
			problem = fmt.Errorf("the tree holds %v (%v)", found, err)
		}
		if problem != nil {
			t.Errorf("%s, %s: %v", p.scene.name, said, problem)
		}
	}
}

// unsyncedChild plays scenes without a disk that syncs, and says how each ended.
func unsyncedChild(words []string) error {
	var trees []*tree.Tree
	for i := 1; i < len(words); i += 2 {
		tr, err := tree.New(words[i], tree.Options{Write: true, Log: quiet})
		if err != nil {
			return err
		}
		tr.Unwatch()
		trees = append(trees, tr)
	}
	if err := refuseSyncs(); err != nil {
		fmt.Println("no filter")
		die()
	}
	for i, tr := range trees {
		switch err := sceneNamed(words[2*i]).change(tr); {
		case errors.Is(err, tree.ErrUnsynced):
			fmt.Println("unsynced")
		case errors.Is(err, unix.EIO):
			fmt.Println("failed")
		default:
			fmt.Println("acknowledged", err)
		}
	}
	die()
	return nil
}

// refuseSyncs lets all calls that sync anything fail with EIO from here on, in all threads of the process.
func refuseSyncs() error {
	const load, equal, answer = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_RET
	program := []unix.SockFilter{{Code: load}} // the number of the call
	for i, call := range []uint32{unix.SYS_FSYNC, unix.SYS_FDATASYNC, unix.SYS_SYNCFS, unix.SYS_SYNC_FILE_RANGE} {
		program = append(program, unix.SockFilter{Code: equal, Jt: uint8(4 - i), K: call})
	}
	program = append(program,
		unix.SockFilter{Code: answer, K: unix.SECCOMP_RET_ALLOW},
		unix.SockFilter{Code: answer, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EIO)})
	filter := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	thread, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC,
		uintptr(unsafe.Pointer(&filter)))
	if errno != 0 || thread != 0 {
		return fmt.Errorf("filter system calls: thread %d: %w", thread, errno)
	}
	return nil
}
