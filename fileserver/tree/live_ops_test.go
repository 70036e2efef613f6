//go:build linux

package tree_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"freshet/fileserver/tree"
)

// liveProgramTime is how long a program may take.
const liveProgramTime = 3 * time.Second

// errNothing says that there is nothing to do something with.
var errNothing = errors.New("nothing to do it with")

// A liveOp is one thing that somebody does to the tree. It may fail as arbitrary changes do.
type liveOp struct {
	name   string
	share  int // of all that is done
	client bool
	do     func(m *liveModel) error
}

var liveOps []liveOp

func init() { // most of them refer to one another
	liveOps = []liveOp{
		{"create", 12, false, (*liveModel).create},
		{"write_in_place", 8, false, (*liveModel).writeInPlace},
		{"truncate", 3, false, (*liveModel).truncate},
		{"append", 3, false, (*liveModel).appendTo},
		{"save_by_rename", 8, false, (*liveModel).saveByRename},
		{"rename_file", 6, false, (*liveModel).renameFile},
		{"rename_folder", 6, false, (*liveModel).renameFolder},
		{"exchange", 4, false, (*liveModel).exchange},
		{"remove_file", 4, false, (*liveModel).removeFile},
		{"remove_folder", 2, false, (*liveModel).removeFolder},
		{"make_folder_anew", 3, false, (*liveModel).makeAnew},
		{"symlink", 3, false, (*liveModel).symlink},
		{"hard_link", 2, false, (*liveModel).hardLink},
		{"chmod", 4, false, (*liveModel).chmod},
		{"touch", 4, false, (*liveModel).touch},
		{"make_folders", 5, false, (*liveModel).makeFolders},
		{"move_in", 2, false, (*liveModel).moveIn},
		{"move_out", 2, false, (*liveModel).moveOut},
		{"fifo", 1, false, (*liveModel).fifo},
		{"copy_tree", 3, false, (*liveModel).copyTree},
		{"unpack", 2, false, (*liveModel).unpack},
		{"clone", 1, false, (*liveModel).clone},
		{"checkout", 4, false, (*liveModel).checkout},
		{"client_put", 12, true, (*liveModel).clientPut},
		{"client_remove", 4, true, (*liveModel).clientRemove},
		{"client_move", 6, true, (*liveModel).clientMove},
		{"client_copy", 4, true, (*liveModel).clientCopy},
		{"client_mkdir", 4, true, (*liveModel).clientMkdir},
		{"client_restore", 4, true, (*liveModel).clientRestore},
		{"together", 6, true, (*liveModel).together},
	}
}

// makeTemplates makes what clones and archives come from.
func makeTemplates(t *testing.T, outside string) {
	t.Helper()
	for _, command := range []string{"git", "tar"} {
		if _, err := exec.LookPath(command); err != nil {
			without(t, err)
		}
	}
	script := `
		git init -q -b main template && cd template
		git config user.email test@example.com && git config user.name test && git config gc.auto 0
		mkdir -p src/deep/er doc && for i in 1 2 3 4 5; do echo main $i >src/$i.c; echo main >src/deep/er/$i.h; done
		echo main >README; ln -s README link; echo '#!/bin/sh' >run; chmod +x run; echo main >doc/page; echo main >thing
		git add . && git commit -qm main
		git checkout -qb other
		git rm -q src/1.c src/2.c src/deep/er/3.h thing && git mv doc manual && git mv src/deep src/shallow
		mkdir thing && echo other >thing/inside; echo other >README; chmod -x run; echo other >src/3.c
		ln -sf run link; git add . && git commit -qm other
		cd .. && tar cf archive.tar --exclude .git template`
	cmd := exec.Command("sh", "-ec", script)
	cmd.Dir = outside
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// found is what there is below the root to do something with.
type found struct{ files, folders, all []string }

// look lists the tree. The root is the first folder and not among all.
func (m *liveModel) look() found {
	f := found{folders: []string{""}}
	_ = filepath.WalkDir(m.root, func(name string, e fs.DirEntry, err error) error {
		if err != nil || name == m.root {
			return nil // another program may be at it
		}
		if e.Name() == tree.Reserved {
			return fs.SkipDir
		}
		rel := name[len(m.root)+1:]
		f.all = append(f.all, rel)
		switch {
		case e.IsDir():
			f.folders = append(f.folders, rel)
		case e.Type().IsRegular():
			f.files = append(f.files, rel)
		}
		return nil
	})
	return f
}

// any returns one of all, "" if there are none.
func (m *liveModel) any(all []string) string {
	if len(all) == 0 {
		return ""
	}
	rel := all[m.rand.IntN(len(all))]
	m.log = append(m.log, fmt.Sprintf("%q", rel))
	return rel
}

var liveNames = []string{"a", "b", "c", "d", "e", "f", "A", "ä", "x y", "z.tmp", ".hidden"}

// place is a name in some folder, new or not.
func (m *liveModel) place() string {
	folders := m.look().folders
	rel := filepath.Join(folders[m.rand.IntN(len(folders))], liveNames[m.rand.IntN(len(liveNames))])
	m.log = append(m.log, fmt.Sprintf("at %q", rel))
	return rel
}

func (m *liveModel) path(rel string) string { return filepath.Join(m.root, rel) }

// body is one that was never there before; at times it is too large to be hashed in passing.
func (m *liveModel) body() []byte {
	m.bodies++
	b := fmt.Appendf(nil, "body %d", m.bodies)
	switch m.rand.IntN(30) {
	case 0:
		b = append(b, make([]byte, 1<<20+m.rand.IntN(1<<20))...)
	case 1:
		b = append(b, make([]byte, m.rand.IntN(300<<10))...)
	case 2:
		b = nil
	}
	return b
}

// crowded keeps the tree from growing for ever.
func (m *liveModel) crowded() bool { return len(m.look().all) > livePathsMax }

// openToWrite opens a file. It waits while a look at the file has a lease on it, but not for who reads a fifo.
func openToWrite(name string, flags int) (f *os.File, err error) {
	for began := time.Now(); time.Since(began) < liveProgramTime; time.Sleep(time.Millisecond) {
		f, err = os.OpenFile(name, os.O_WRONLY|unix.O_NONBLOCK|flags, 0o644)
		if !errors.Is(err, unix.EAGAIN) {
			break
		}
	}
	return f, err
}

// save writes a file in place.
func save(name string, body []byte) error {
	f, err := openToWrite(name, os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	_, err = f.Write(body)
	return errors.Join(err, f.Close())
}

func (m *liveModel) create() error {
	if m.crowded() {
		return m.removeFolder()
	}
	return save(m.path(m.place()), m.body())
}

// open opens some file for writing.
func (m *liveModel) open(flags int) (*os.File, error) {
	rel := m.any(m.look().files)
	if rel == "" || strings.Contains(rel, ".git/") {
		return nil, errNothing
	}
	return openToWrite(m.path(rel), flags)
}

func (m *liveModel) writeInPlace() error {
	f, err := m.open(0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(m.body(), m.rand.Int64N(100))
	return errors.Join(err, f.Close())
}

func (m *liveModel) truncate() error {
	f, err := m.open(0)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(m.rand.Int64N(50)), f.Close())
}

func (m *liveModel) appendTo() error {
	f, err := m.open(os.O_APPEND)
	if err != nil {
		return err
	}
	_, err = f.Write(m.body())
	return errors.Join(err, f.Close())
}

func (m *liveModel) saveByRename() error {
	rel := m.any(m.look().files)
	if rel == "" {
		return errNothing
	}
	beside := m.path(rel) + ".save"
	if m.rand.IntN(2) == 0 {
		beside = filepath.Join(m.outside, "save")
	}
	return errors.Join(save(beside, m.body()), os.Rename(beside, m.path(rel)))
}

func (m *liveModel) renameFile() error { return m.rename(m.any(m.look().files), m.place()) }

// renameFolder renames any folder but the root.
func (m *liveModel) renameFolder() error { return m.rename(m.any(m.look().folders[1:]), m.place()) }

func (m *liveModel) rename(from, to string) error {
	if from == "" || (to + "/")[:min(len(from)+1, len(to)+1)] == from+"/" || strings.HasPrefix(from+"/", to+"/") {
		return errNothing
	}
	return os.Rename(m.path(from), m.path(to))
}

// exchange swaps the names of two files.
func (m *liveModel) exchange() error {
	files := m.look().files
	a, b := m.any(files), m.any(files)
	if a == "" || a == b {
		return errNothing
	}
	return unix.Renameat2(unix.AT_FDCWD, m.path(a), unix.AT_FDCWD, m.path(b), unix.RENAME_EXCHANGE)
}

func (m *liveModel) removeFile() error {
	rel := m.any(m.look().files)
	if rel == "" {
		return errNothing
	}
	return os.Remove(m.path(rel))
}

func (m *liveModel) removeFolder() error {
	rel := m.any(m.look().folders[1:])
	if rel == "" {
		return errNothing
	}
	return os.RemoveAll(m.path(rel))
}

// makeAnew puts another folder in the place of one: it may have the inode of the old one, or come from a client.
func (m *liveModel) makeAnew() error {
	rel := m.any(m.look().folders[1:])
	if rel == "" {
		return errNothing
	}
	if err := os.RemoveAll(m.path(rel)); err != nil {
		return err
	}
	if err := os.Mkdir(m.path(rel), 0o755); err != nil || m.rand.IntN(2) == 0 {
		return err
	}
	return save(m.path(filepath.Join(rel, "a")), m.body())
}

func (m *liveModel) symlink() error {
	to := []string{"a", "../b", "nowhere", ".", "d/e"}[m.rand.IntN(5)]
	rel := m.place()
	if m.rand.IntN(2) == 0 {
		return os.Symlink(to, m.path(rel))
	}
	beside := filepath.Join(m.outside, "link")
	if err := os.Symlink(to, beside); err != nil {
		return err
	}
	defer os.Remove(beside)
	return os.Rename(beside, m.path(rel))
}

func (m *liveModel) hardLink() error {
	rel := m.any(m.look().files)
	if rel == "" {
		return errNothing
	}
	return os.Link(m.path(rel), m.path(m.place()))
}

func (m *liveModel) chmod() error {
	rel := m.any(m.look().files)
	if rel == "" {
		return errNothing
	}
	return os.Chmod(m.path(rel), []fs.FileMode{0o644, 0o755, 0o640, 0o700}[m.rand.IntN(4)])
}

func (m *liveModel) touch() error {
	rel := m.any(m.look().all)
	if rel == "" {
		return errNothing
	}
	when := time.Unix(1e9+m.rand.Int64N(1e8), m.rand.Int64N(1e9))
	return os.Chtimes(m.path(rel), when, when)
}

func (m *liveModel) makeFolders() error {
	if m.crowded() {
		return m.removeFolder()
	}
	rel := m.place()
	for range m.rand.IntN(4) {
		rel = filepath.Join(rel, liveNames[m.rand.IntN(len(liveNames))])
	}
	if err := os.MkdirAll(m.path(rel), 0o755); err != nil {
		return err
	}
	for range m.rand.IntN(3) {
		name := filepath.Join(rel, liveNames[m.rand.IntN(len(liveNames))])
		if err := save(m.path(name), m.body()); err != nil {
			return err
		}
	}
	return nil
}

// moveOut moves something out of the tree, from where moveIn may bring it back.
func (m *liveModel) moveOut() error {
	rel := m.any(m.look().all)
	aside := filepath.Join(m.outside, "aside")
	if rel == "" || os.RemoveAll(aside) != nil {
		return errNothing
	}
	return os.Rename(m.path(rel), aside)
}

func (m *liveModel) moveIn() error {
	return os.Rename(filepath.Join(m.outside, "aside"), m.path(m.place()))
}

func (m *liveModel) fifo() error { return unix.Mkfifo(m.path(m.place()), 0o644) }

// run runs a program in the root. It fails as programs do whose ground shifts.
func (m *liveModel) run(args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), liveProgramTime) // it may meet a fifo
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir, cmd.WaitDelay = m.root, time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %v %.200s", errNothing, err, out)
	}
	return nil
}

func (m *liveModel) copyTree() error {
	from := m.any(m.look().folders)
	if from == "" || m.crowded() {
		return errNothing
	}
	return m.run("cp", "-r", from, m.place())
}

func (m *liveModel) unpack() error {
	if m.crowded() {
		return m.removeFolder()
	}
	return m.run("tar", "xf", "../outside/archive.tar", "-C", m.path(m.any(m.look().folders)), "--overwrite")
}

func (m *liveModel) clone() error {
	if m.crowded() {
		return m.removeFolder()
	}
	return m.run("git", "clone", "-q", "--no-hardlinks", "../outside/template", m.place())
}

// checkout switches the branch of one of the clones.
func (m *liveModel) checkout() error {
	var clones []string
	for _, rel := range m.look().folders {
		if filepath.Base(rel) == ".git" {
			clones = append(clones, filepath.Dir(rel))
		}
	}
	if len(clones) == 0 {
		return m.clone()
	}
	branch := []string{"origin/main", "origin/other"}[m.rand.IntN(2)]
	return m.run("git", "-C", m.any(clones), "-c", "safe.directory=*", "checkout", "-q", "-f", branch)
}

func (m *liveModel) clientPut() error {
	rel := m.place()
	if files := m.look().files; len(files) > 0 && m.rand.IntN(2) == 0 {
		rel = m.any(files)
	}
	_, err := put(m.t, m.tree, rel, string(m.body()), nil)
	return err
}

func (m *liveModel) clientRemove() error {
	rel := m.any(m.look().all)
	if rel == "" {
		return errNothing
	}
	_, err := m.tree.Remove(context.Background(), at(m.t, rel), tree.Change{})
	return err
}

func (m *liveModel) clientMove() error {
	from := m.any(m.look().all)
	if from == "" {
		return errNothing
	}
	_, err := m.tree.Move(context.Background(), at(m.t, from), at(m.t, m.place()), tree.Transfer{})
	return err
}

func (m *liveModel) clientCopy() error {
	from := m.any(m.look().all)
	if from == "" || m.crowded() {
		return errNothing
	}
	_, err := m.tree.Copy(context.Background(), at(m.t, from), at(m.t, m.place()), tree.Transfer{})
	return err
}

func (m *liveModel) clientMkdir() error {
	_, err := m.tree.Mkdir(context.Background(), at(m.t, m.place()), tree.Change{})
	return err
}

// clientRestore brings a version back, to where it was or anywhere.
func (m *liveModel) clientRestore() error {
	list, err := m.tree.Trash(context.Background(), tree.Path{}, "")
	if err != nil || len(list.Versions) == 0 {
		return errors.Join(err, errNothing)
	}
	v := list.Versions[m.rand.IntN(min(len(list.Versions), 10))]
	to := v.Path
	if to.IsRoot() || m.rand.IntN(2) == 0 {
		to = at(m.t, m.place())
	}
	m.log = append(m.log, fmt.Sprintf("%q to %q", v.Path, to))
	_, err = m.tree.Restore(context.Background(), v.Path, tree.VersionKey{ID: v.ID}, to, tree.Change{})
	return err
}

// together has some do their things at once.
func (m *liveModel) together() error {
	var some []*liveModel
	var ops []liveOp
	for range 2 + m.rand.IntN(2) {
		one := *m
		one.rand, one.log = rand.New(rand.NewPCG(m.rand.Uint64(), 0)), nil
		one.bodies += m.rand.IntN(1 << 40)
		some, ops = append(some, &one), append(ops, liveOps[m.rand.IntN(len(liveOps)-1)])
	}
	var all sync.WaitGroup
	errs := make([]error, len(some))
	for i, one := range some {
		all.Go(func() { errs[i] = ops[i].do(one) })
	}
	all.Wait()
	var wrong error
	for i, one := range some {
		m.log = append(append(m.log, one.log...), fmt.Sprintf("- %s: %v", ops[i].name, errs[i]))
		if !expected(errs[i]) && !harmless(errs[i]) {
			wrong = errors.Join(wrong, fmt.Errorf("%s: %w", ops[i].name, errs[i]))
		}
	}
	return wrong
}
