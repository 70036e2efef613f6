//go:build linux

package tree_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"freshet/fileserver/tree"
	"freshet/hashing"
)

// TestModel drives a tree and a model of it with the same random changes, made by clients, by local programs and by
// restarts. After each the disk, the listings and what is read agree with the model, and in the end every version that a
// change displaced is kept.
func TestModel(t *testing.T) {
	if os.Geteuid() == 0 && !inSandbox(t) {
		return
	}
	base := t.TempDir()
	if os.Geteuid() == 0 {
		base = memoryFolder(t)
	}
	runs := 0
	rapid.Check(t, func(rt *rapid.T) {
		runs++
		m := &modelled{T: rt, outer: t, root: filepath.Join(base, fmt.Sprint(runs)), files: map[string]string{}}
		if err := os.Mkdir(m.root, 0o755); err != nil {
			rt.Fatal(err)
		}
		m.start()
		rt.Repeat(map[string]func(*rapid.T){
			"commit": m.commit, "remove": m.remove, "mkdir": m.mkdir, "move": m.move, "copy": m.copy,
			"local_write": m.localWrite, "local_rename_over": m.localRenameOver, "local_remove": m.localRemove,
			"local_mkdir": m.localMkdir, "local_rename": m.localRename, "restart": m.restart, "": m.check,
		})
		m.stop()
		m.checkKept()
	})
}

// A modelled tree is a tree beside what must be in it.
type modelled struct {
	*rapid.T
	outer     *testing.T
	root      string
	tree      *tree.Tree
	files     map[string]string // by path: "=body" or "/"
	displaced []string          // bodies that changes took from their names
	bodies    int               // made so far, so that each is another
}

func (m *modelled) start() {
	var err error
	if m.tree, err = tree.New(m.root, tree.Options{Write: true, Log: slog.New(slog.DiscardHandler)}); err != nil {
		m.Fatal(err)
	}
}

func (m *modelled) stop() {
	if err := m.tree.Close(); err != nil {
		m.Error(err)
	}
	checkStateFolder(m.outer, m.root)
}

var modelPaths = rapid.SampledFrom([]string{"a", "b", "d", "d/a", "d/b", "d/e", "d/e/a", "e", "e/a", "e/d"})

// draw chooses where something happens.
func (m *modelled) draw(t *rapid.T, label string) (name string, p tree.Path) {
	name = modelPaths.Draw(t, label)
	return name, at(m.outer, name)
}

// body is one that was never used, or at times an old one.
func (m *modelled) body(t *rapid.T) string {
	if m.bodies == 0 || rapid.IntRange(0, 4).Draw(t, "new") > 0 {
		m.bodies++
		return fmt.Sprint("body ", m.bodies)
	}
	return fmt.Sprint("body ", rapid.IntRange(1, m.bodies).Draw(t, "again"))
}

// guard chooses a Guard for what is at name, and says what it refuses with.
func (m *modelled) guard(t *rapid.T, name string) (g tree.Guard, refusal error) {
	now, exists := m.files[name]
	switch rapid.SampledFrom([]string{"none", "current", "stale", "absent"}).Draw(t, "guard") {
	case "current":
		if exists && now != "/" {
			return ifMatch(now[1:]), nil
		}
	case "stale":
		return ifMatch("never"), errRefused
	case "absent":
		if exists {
			return ifAbsent, errRefused
		}
		return ifAbsent, nil
	}
	return nil, nil
}

// noParent is what a change that makes name fails with for want of a folder.
func (m *modelled) noParent(name string) error {
	if folder := path.Dir(name); folder != "." && m.files[folder] != "/" {
		return tree.ErrNoParent
	}
	return nil
}

// absent is what a change of what is at name fails with if nothing is.
func (m *modelled) absent(name string) error {
	if m.files[name] == "" {
		return tree.ErrNotExist
	}
	return nil
}

// outcome checks that a change failed with one of the reasons there were, and reports whether it was made.
func (m *modelled) outcome(t *rapid.T, err error, reasons ...error) bool {
	reasons = slices.DeleteFunc(reasons, func(reason error) bool { return reason == nil })
	if err == nil && len(reasons) == 0 {
		return true
	}
	if !slices.ContainsFunc(reasons, func(reason error) bool { return errors.Is(err, reason) }) {
		t.Fatalf("error %v, want one of %v", err, reasons)
	}
	return false
}

// take takes a name and all below it away; with keep, what it held must be kept.
func (m *modelled) take(name string, keep bool) {
	for k, v := range m.files {
		if k != name && !strings.HasPrefix(k, name+"/") {
			continue
		}
		if keep && v != "/" {
			m.displaced = append(m.displaced, v[1:])
		}
		delete(m.files, k)
	}
}

// give gives name what from holds.
func (m *modelled) give(from, name string) {
	for k, v := range maps.Clone(m.files) {
		if rest, ok := strings.CutPrefix(k, from); ok && (rest == "" || rest[0] == '/') {
			m.files[name+rest] = v
		}
	}
}

func (m *modelled) commit(t *rapid.T) {
	name, p := m.draw(t, "path")
	body := m.body(t)
	g, refusal := m.guard(t, name)
	var isFolder error
	if m.files[name] == "/" {
		isFolder = tree.ErrIsFolder
	}
	s, err := m.tree.Stage(context.Background(), p, int64(len(body)))
	if err == nil {
		if _, err := s.Write([]byte(body)); err != nil {
			t.Fatal(err)
		}
		var res tree.Result
		res, err = m.tree.Commit(context.Background(), p, s, tree.Change{Guard: g})
		if _, existed := m.files[name]; err == nil && (res.Created == existed || res.Entry.Digest != hashing.Sum([]byte(body))) {
			t.Fatalf("commit: %+v", res)
		}
	}
	if m.outcome(t, err, m.noParent(name), isFolder, refusal) {
		m.take(name, m.files[name] != "="+body)
		m.files[name] = "=" + body
	}
}

func (m *modelled) remove(t *rapid.T) {
	name, p := m.draw(t, "path")
	g, refusal := m.guard(t, name)
	_, err := m.tree.Remove(context.Background(), p, tree.Change{Guard: g})
	if m.outcome(t, err, m.absent(name), refusal) {
		m.take(name, true)
	}
}

func (m *modelled) mkdir(t *rapid.T) {
	name, p := m.draw(t, "path")
	var exists error
	if m.files[name] != "" {
		exists = tree.ErrExist
	}
	_, err := m.tree.Mkdir(context.Background(), p, tree.Change{})
	if m.outcome(t, err, m.noParent(name), exists) {
		m.files[name] = "/"
	}
}

func (m *modelled) move(t *rapid.T) {
	from, fromPath := m.draw(t, "from")
	to, toPath := m.draw(t, "to")
	source, refused := m.guard(t, from)
	destination, refusedToo := m.guard(t, to)
	_, err := m.tree.Move(context.Background(), fromPath, toPath, tree.Transfer{Source: source, Destination: destination})
	if m.outcome(t, err, same(fromPath, toPath), m.absent(from), m.noParent(to), refused, refusedToo) {
		m.take(to, true)
		m.give(from, to)
		m.take(from, false)
	}
}

func same(from, to tree.Path) error {
	if from.Contains(to) || to.Contains(from) {
		return tree.ErrSame
	}
	return nil
}

func (m *modelled) copy(t *rapid.T) {
	from, fromPath := m.draw(t, "from")
	to, toPath := m.draw(t, "to")
	source, refused := m.guard(t, from)
	destination, refusedToo := m.guard(t, to)
	shallow := rapid.Bool().Draw(t, "shallow")
	var isFolder error
	if m.files[from] != "/" && m.files[to] == "/" {
		isFolder = tree.ErrIsFolder
	}
	_, err := m.tree.Copy(context.Background(), fromPath, toPath,
		tree.Transfer{Source: source, Destination: destination, Shallow: shallow})
	if !m.outcome(t, err, same(fromPath, toPath), m.absent(from), m.noParent(to), isFolder, refused, refusedToo) {
		return
	}
	m.take(to, m.files[from] == "/" || m.files[to] != m.files[from])
	if shallow {
		m.files[to] = m.files[from]
	} else {
		m.give(from, to)
	}
}

// localWrite is a program that saves in place.
func (m *modelled) localWrite(t *rapid.T) {
	name, _ := m.draw(t, "path")
	body := m.body(t)
	if m.noParent(name) != nil || m.files[name] == "/" {
		t.Skip("no file can be here")
	}
	if err := os.WriteFile(filepath.Join(m.root, name), []byte(body), 0o644); err != nil {
		t.Fatal(err)
	}
	m.files[name] = "=" + body
}

// localRenameOver is a program that saves beside and renames.
func (m *modelled) localRenameOver(t *rapid.T) {
	name, _ := m.draw(t, "path")
	body := m.body(t)
	if m.noParent(name) != nil || m.files[name] == "/" {
		t.Skip("no file can be here")
	}
	beside := m.root + ".save"
	err := os.WriteFile(beside, []byte(body), 0o644)
	if err = errors.Join(err, os.Rename(beside, filepath.Join(m.root, name))); err != nil {
		t.Fatal(err)
	}
	m.files[name] = "=" + body
}

func (m *modelled) localRemove(t *rapid.T) {
	name, _ := m.draw(t, "path")
	if err := os.RemoveAll(filepath.Join(m.root, name)); err != nil && m.noParent(name) == nil {
		t.Fatal(err)
	}
	m.take(name, false)
}

func (m *modelled) localMkdir(t *rapid.T) {
	name, _ := m.draw(t, "path")
	if m.noParent(name) != nil || m.files[name] != "" {
		t.Skip("no folder can be made here")
	}
	if err := os.Mkdir(filepath.Join(m.root, name), 0o755); err != nil {
		t.Fatal(err)
	}
	m.files[name] = "/"
}

func (m *modelled) localRename(t *rapid.T) {
	from, fromPath := m.draw(t, "from")
	to, toPath := m.draw(t, "to")
	if m.files[from] == "" || m.files[to] != "" || m.noParent(to) != nil || same(fromPath, toPath) != nil {
		t.Skip("nothing to rename here")
	}
	if err := os.Rename(filepath.Join(m.root, from), filepath.Join(m.root, to)); err != nil {
		t.Fatal(err)
	}
	m.give(from, to)
	m.take(from, false)
}

func (m *modelled) restart(*rapid.T) {
	m.stop()
	m.start()
}

// check compares the model with the disk, and with what the tree tells.
func (m *modelled) check(t *rapid.T) {
	if onDisk := servedState(m.outer, m.root); !maps.Equal(map[string]string(onDisk), m.files) {
		t.Fatalf("on disk: %v\nwant:    %v", onDisk, m.files)
	}
	told := map[string]string{}
	m.tell(t, tree.Path{}, told)
	if !maps.Equal(told, m.files) {
		t.Fatalf("told: %v\nwant: %v", told, m.files)
	}
}

// tell gathers what listings and files say of a folder and all below it.
func (m *modelled) tell(t *rapid.T, p tree.Path, told map[string]string) {
	entries, err := m.tree.List(context.Background(), p)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		child, err := p.Join(e.Name)
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind == tree.KindFolder {
			told[child.String()] = "/"
			m.tell(t, child, told)
			continue
		}
		body, err := get(m.outer, m.tree, child.String())
		if err != nil {
			t.Fatal(err)
		}
		if e.Size != int64(len(body)) || !e.Digest.IsZero() && e.Digest != hashing.Sum([]byte(body)) {
			t.Fatalf("%q is listed as %+v", body, e)
		}
		told[child.String()] = "=" + body
	}
}

// checkKept makes sure that everything that changes displaced is among the versions.
func (m *modelled) checkKept() {
	kept := bodiesBelow(m.outer, filepath.Join(m.root, tree.Reserved, "versions"))
	for _, body := range m.displaced {
		if kept[body] == 0 {
			m.Fatalf("%q was displaced and is not kept", body)
		}
		kept[body]--
	}
}

// bodiesBelow counts the bodies of the files below a folder, but for empty ones, which the lock file is, and for the databases
// of a state folder.
func bodiesBelow(t testing.TB, folder string) map[string]int {
	t.Helper()
	bodies := map[string]int{}
	for name, what := range stateOf(t, folder, false) {
		if filepath.Ext(name) == ".db" {
			continue
		}
		if body, ok := strings.CutPrefix(what, "="); ok && body != "" {
			bodies[body]++
		}
	}
	return bodies
}
