//go:build linux

package tree_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"freshet/fileserver/tree"
	"freshet/hashing"
)

const (
	liveModelTime     = 7 * time.Second
	liveModelSoakTime = 5 * time.Minute
	liveStepOpsMax    = 6               // things done without a look in between
	liveSettleTime    = 8 * time.Second // for the digests of large files, while the machine is busy
	livePathsMax      = 150             // in the tree, before more is removed than made
	liveLooksPerStep  = 2               // folders besides the root
	liveRestartShare  = 60              // steps per restart
	liveLogMax        = 60              // lines about the steps before one that goes wrong
)

// TestLiveModel has local programs and clients change a tree at random. After each step, the fingerprints of the root and of
// other folders are those of the disk, and who only follows the feed has exactly what is on disk.
func TestLiveModel(t *testing.T) {
	d := liveModelTime
	base := t.TempDir()
	if *tree.Soak {
		d = liveModelSoakTime
	} else if os.Geteuid() == 0 {
		if !inSandbox(t) {
			return
		}
		base = memoryFolder(t)
	}
	seed := rand.Uint64()
	m := newLiveModel(t, base, seed)
	defer m.stop()
	began := time.Now()
	for time.Since(began) < d && !t.Failed() {
		m.step()
	}
	t.Logf("seed %d: %d steps, %d events, %d folders read again, done %v", seed, m.steps, m.follower.events,
		m.follower.reread, m.done)
	for _, op := range liveOps {
		if m.tried[op.name] > 20 && m.done[op.name] == 0 {
			t.Errorf("%s never succeeded", op.name)
		}
	}
}

// A liveModel is a tree that is changed at random, and somebody who follows its feed.
type liveModel struct {
	t        *testing.T
	rand     *rand.Rand
	root     string
	outside  string // beside the root, on the same filesystem
	tree     *tree.Tree
	end      func()
	follower *follower
	steps    int
	bodies   int
	tried    map[string]int
	done     map[string]int
	log      []string // what was done last
}

func newLiveModel(t *testing.T, base string, seed uint64) *liveModel {
	m := &liveModel{
		t: t, rand: rand.New(rand.NewPCG(seed, 0)), root: filepath.Join(base, "root"), outside: filepath.Join(base, "outside"),
		tried: map[string]int{}, done: map[string]int{},
	}
	if err := errors.Join(os.Mkdir(m.root, 0o755), os.Mkdir(m.outside, 0o755)); err != nil {
		t.Fatal(err)
	}
	makeTemplates(t, m.outside)
	m.start()
	m.follower = follow(t, m.tree)
	return m
}

func (m *liveModel) start() {
	tr, err := tree.New(m.root, tree.Options{Write: true, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		m.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- tr.Run(ctx) }()
	m.tree = tr
	m.end = func() {
		cancel()
		if err := errors.Join(<-ended, tr.Close()); err != nil {
			m.t.Error(err)
		}
	}
}

func (m *liveModel) stop() {
	m.end()
	checkStateFolder(m.t, m.root)
}

// step does some things, and then looks.
func (m *liveModel) step() {
	m.steps++
	m.log = append(m.log[max(0, len(m.log)-liveLogMax):], fmt.Sprint("step ", m.steps))
	stopped := m.rand.IntN(liveRestartShare) == 0
	if stopped {
		m.log = append(m.log, "stop")
		m.end()
	}
	ops := 1
	if m.rand.IntN(2) == 0 {
		ops = 1 + m.rand.IntN(liveStepOpsMax)
	}
	for range ops {
		m.op(stopped)
	}
	if stopped {
		m.start()
		m.follower.tree = m.tree
	}
	m.check()
	if m.t.Failed() {
		m.t.Logf("seed and step do not make it happen again, since time matters; what was done:\n\t%s", strings.Join(m.log, "\n\t"))
	}
}

// op does one thing. While the tree is stopped there are no clients.
func (m *liveModel) op(stopped bool) {
	total := 0
	for _, op := range liveOps {
		total += op.share
	}
	n := m.rand.IntN(total)
	for _, op := range liveOps {
		if n -= op.share; n >= 0 {
			continue
		}
		if stopped && op.client {
			return
		}
		m.tried[op.name]++
		err := op.do(m)
		m.log = append(m.log, fmt.Sprintf("= %s: %v", op.name, err))
		if err == nil {
			m.done[op.name]++
		}
		if !expected(err) {
			m.t.Errorf("%s: %v", op.name, err)
		}
		return
	}
}

// expected reports whether err is one that an arbitrary change of an arbitrary tree may come to.
func expected(err error) bool {
	for _, e := range []error{
		nil, errNothing, fs.ErrNotExist, fs.ErrExist, tree.ErrNotExist, tree.ErrExist, tree.ErrIsFolder, tree.ErrNotFolder,
		tree.ErrNoParent, tree.ErrSame, tree.ErrNoVersion, tree.ErrSpecial, tree.ErrOutside, tree.ErrName,
		unix.EISDIR, unix.ENOTDIR, unix.ENOTEMPTY, unix.ENXIO, unix.EINVAL, unix.ELOOP,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// check looks at the tree as a client does who has nothing but the disk to compare it with.
func (m *liveModel) check() {
	m.t.Helper()
	onDisk := snapshotOf(m.t, m.root)
	folders := foldersOf(onDisk)
	looks := []string{""}
	for range liveLooksPerStep {
		looks = append(looks, folders[m.rand.IntN(len(folders))])
	}
	for _, rel := range looks {
		f := m.settled(pathOf(rel))
		if want := onDisk[rel].digest; f.Subtree != want {
			m.t.Errorf("%q has the fingerprint %s, on disk it is %s", rel, f.Subtree, want)
		}
		m.checkEntries(f, rel, onDisk)
	}
	m.follower.catchUp()
	differences(m.t, "the follower", m.follower.seen, onDisk)
}

// settled returns the state of a folder, once it has a fingerprint. One that has none is not wrong, but must not stay so.
func (m *liveModel) settled(p tree.Path) *tree.Folder {
	m.t.Helper()
	for began := time.Now(); ; {
		f, _, err := m.tree.Folder(context.Background(), p)
		if err != nil {
			m.t.Fatalf("%q: %v", p, err)
		}
		if !f.Subtree.IsZero() || time.Since(began) > liveSettleTime {
			return f
		}
	}
}

// checkEntries compares the children of a folder with those on disk, times included.
func (m *liveModel) checkEntries(f *tree.Folder, rel string, onDisk snapshot) {
	m.t.Helper()
	n := 0
	for e := range f.Entries() {
		n++
		name := filepath.Join(rel, e.Name)
		want := onDisk[name]
		if got := (sight{e.Kind, e.Size, e.Digest, e.Target}); got.plain() != want.plain() {
			m.t.Errorf("%q is listed as %+v, on disk it is %+v", name, got, want)
		}
		info, err := os.Lstat(filepath.Join(m.root, name))
		if err == nil && !info.ModTime().Equal(e.ModTime) {
			m.t.Errorf("%q is listed with the time %v, on disk it is %v", name, e.ModTime, info.ModTime())
		}
	}
	if n != f.Len() {
		m.t.Errorf("%q has %d entries and says %d", rel, n, f.Len())
	}
}

// A sight is what there is to know of a path besides times. Folders have nothing but their kind.
type sight struct {
	kind   tree.Kind
	size   int64
	digest hashing.Digest
	target string
}

// plain is s without what only some answers tell: the fingerprint of a folder, the digest of a link's text.
func (s sight) plain() sight {
	if s.kind == tree.KindFolder || s.kind == tree.KindLink {
		s.size, s.digest = 0, hashing.Digest{}
	}
	return s
}

// A snapshot is a whole tree: path to what is there, the root among them. Folders have their fingerprint as digest.
type snapshot map[string]sight

// snapshotOf reads a snapshot from disk. It computes fingerprints by itself, from nothing but that.
func snapshotOf(t testing.TB, root string) snapshot {
	t.Helper()
	s := snapshot{}
	if err := s.read(root, ""); err != nil {
		t.Fatal(err)
	}
	return s
}

// read adds the folder at rel and all below it.
func (s snapshot) read(root, rel string) error {
	entries, err := os.ReadDir(filepath.Join(root, rel)) // sorted by the bytes of their names
	if err != nil {
		return err
	}
	var children [][]byte
	for _, e := range entries {
		if strings.EqualFold(e.Name(), tree.Reserved) {
			continue
		}
		name := filepath.Join(rel, e.Name())
		if err := s.readOne(root, name, e); err != nil {
			return err
		}
		if is, ok := s[name]; ok {
			b := binary.LittleEndian.AppendUint16([]byte{byte(is.kind)}, uint16(len(e.Name())))
			b = binary.LittleEndian.AppendUint64(append(b, e.Name()...), uint64(is.size))
			children = append(children, append(b, is.digest[:]...))
		}
	}
	if len(children) > 4096 {
		return errors.New("too many children for this test")
	}
	s[rel] = sight{kind: tree.KindFolder, digest: hashing.Sum(diskParts("freshet-dir-1\x00", len(children), children))}
	return nil
}

func (s snapshot) readOne(root, rel string, e fs.DirEntry) error {
	name := filepath.Join(root, rel)
	switch {
	case e.IsDir():
		return s.read(root, rel)
	case e.Type()&fs.ModeSymlink != 0:
		text, err := os.Readlink(name)
		s[rel] = sight{kind: tree.KindLink, digest: hashing.Sum([]byte(text)), target: text}
		return err
	case !e.Type().IsRegular():
		return nil
	}
	info, err := e.Info()
	if err != nil {
		return err
	}
	body, err := os.ReadFile(name)
	is := sight{kind: tree.KindFile, size: int64(len(body)), digest: hashing.Sum(body)}
	if info.Mode()&0o100 != 0 {
		is.kind = tree.KindExecutable
	}
	s[rel] = is
	return err
}

// foldersOf returns the paths of all folders, the root first.
func foldersOf(s snapshot) []string {
	var folders []string
	for _, rel := range slices.Sorted(maps.Keys(s)) {
		if s[rel].kind == tree.KindFolder {
			folders = append(folders, rel)
		}
	}
	return folders
}

// differences holds that two snapshots are one.
func differences(t testing.TB, who string, got, want snapshot) {
	t.Helper()
	for rel, is := range want {
		if g, ok := got[rel]; !ok && rel != "" {
			t.Errorf("%s does not know of %q, which is %+v", who, rel, is)
		} else if ok && g != is.plain() {
			t.Errorf("%s has %q as %+v, on disk it is %+v", who, rel, g, is)
		}
	}
	for rel, is := range got {
		if _, ok := want[rel]; !ok {
			t.Errorf("%s has %q as %+v, on disk there is nothing", who, rel, is)
		}
	}
}

// A follower keeps a copy of a tree up to date by nothing but its feed: what an event says of a file is taken as it is, and a
// folder that an event names is read again.
type follower struct {
	t      testing.TB
	tree   *tree.Tree
	cursor tree.Cursor
	seen   snapshot
	events int
	reread int
}

// follow begins with a whole look.
func follow(t testing.TB, tr *tree.Tree) *follower {
	t.Helper()
	f := &follower{t: t, tree: tr, seen: snapshot{}}
	got, err := tr.Changes(context.Background(), tree.ChangesQuery{})
	if err != nil {
		t.Fatal(err)
	}
	f.cursor = got.Cursor
	f.read(tree.Path{})
	return f
}

// catchUp takes all events there are.
func (f *follower) catchUp() {
	f.t.Helper()
	for more := true; more; {
		got, err := f.tree.Changes(context.Background(), tree.ChangesQuery{Since: f.cursor})
		if err != nil {
			f.t.Fatalf("behind %s: %v", f.cursor, err)
		}
		for i := range got.Events {
			if i > 0 && got.Events[i].Seq <= got.Events[i-1].Seq || got.Events[i].Seq <= f.cursor.Seq {
				f.t.Errorf("event %+v comes behind %s and %+v", got.Events[i], f.cursor, got.Events[max(i-1, 0)])
			}
			f.take(&got.Events[i])
		}
		f.cursor, more = got.Cursor, got.More
	}
}

func (f *follower) take(e *tree.Event) {
	f.events++
	f.drop(e.Path.String())
	switch {
	case e.Gone:
	case e.Kind == tree.KindFolder:
		f.reread++
		f.read(e.Path)
	default:
		f.seen[e.Path.String()] = seenAs(e.Kind, e.Size, e.Digest, e.Target)
	}
}

// drop forgets a path and all below it.
func (f *follower) drop(rel string) {
	for name := range f.seen {
		if name == rel || rel == "" || strings.HasPrefix(name, rel+"/") {
			delete(f.seen, name)
		}
	}
}

// read takes a folder as it is now. One that is gone meanwhile has another event.
func (f *follower) read(p tree.Path) {
	f.t.Helper()
	s, err := f.tree.SurveyBelow(context.Background(), p, -1)
	if err != nil {
		f.t.Fatalf("%q: %v", p, err)
	}
	for _, folder := range s.Folders {
		if !folder.Path.IsRoot() {
			f.seen[folder.Path.String()] = sight{kind: tree.KindFolder}
		}
		for e := range folder.Entries() {
			f.seen[filepath.Join(folder.Path.String(), e.Name)] = seenAs(e.Kind, e.Size, e.Digest, e.Target)
		}
	}
}

func seenAs(kind tree.Kind, size int64, digest hashing.Digest, target string) sight {
	return sight{kind, size, digest, target}.plain()
}
