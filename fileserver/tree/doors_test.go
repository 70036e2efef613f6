//go:build linux

package tree_test

import (
	"context"
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

	"freshet/fileserver/tree"
	"freshet/hashing"
)

// A request asks a Tree for one thing, an answer is what came of it. Both can be sent to a process of another user.
type (
	request struct {
		Do   string // "open", "stat", "replace", "remove", "stats" or "write"
		Name string
		Was  hashing.Digest // what a change wants to find
		Body []byte         // of a replacement
		For  time.Duration  // of "write"
	}
	answer struct {
		Outcome string         // "done", or why not
		Digest  hashing.Digest // what Open or Stat said
		Sent    hashing.Digest // what Send sent
		Stats   tree.Stats
		Process int
		Book    book
	}
)

// A door leads to a Tree, in this process or in another.
type door func(request) answer

// answerTo asks tr what q wants.
func answerTo(tr *tree.Tree, q request) (a answer) {
	ctx := context.Background()
	if q.Do == "stats" {
		return answer{Outcome: "done", Stats: tr.Stats(), Process: os.Getpid()}
	}
	p, err := joined(q.Name)
	if err != nil {
		return answer{Outcome: err.Error()}
	}
	wants := func(cur *tree.Entry) error {
		if cur == nil || cur.Digest != q.Was {
			return errRefused
		}
		return nil
	}
	switch q.Do {
	case "open":
		a, err = openWhole(ctx, tr, p)
	case "stat":
		var e tree.Entry
		e, err = tr.Stat(ctx, p)
		a.Digest = e.Digest
	case "replace":
		err = replaceWith(ctx, tr, p, q.Body, wants)
	case "write":
		a.Book = writeUnderConditions(ctx, tr, p, q.For)
	case "remove":
		_, err = tr.Remove(ctx, p, tree.Change{Guard: wants})
	}
	a.Outcome = outcome(err)
	return a
}

// joined is the path of a name below the root.
func joined(name string) (p tree.Path, err error) {
	for part := range strings.SplitSeq(name, "/") {
		if p, err = p.Join(part); err != nil {
			return p, err
		}
	}
	return p, nil
}

func openWhole(ctx context.Context, tr *tree.Tree, p tree.Path) (a answer, err error) {
	f, err := tr.Open(ctx, p)
	if err != nil {
		return a, err
	}
	defer f.Close()
	sent := hashing.NewHasher()
	err = f.Send(ctx, sent, 0, f.Entry.Size)
	return answer{Digest: f.Entry.Digest, Sent: sent.Digest()}, err
}

func replaceWith(ctx context.Context, tr *tree.Tree, p tree.Path, body []byte, g tree.Guard) error {
	s, err := tr.Stage(ctx, p, int64(len(body)))
	if err != nil {
		return err
	}
	if _, err := s.Write(body); err != nil {
		s.Discard()
		return err
	}
	_, err = tr.Commit(ctx, p, s, tree.Change{Guard: g, By: "test"})
	return err
}

func outcome(err error) string {
	for _, known := range []error{errRefused, tree.ErrPermission, tree.ErrInUse, tree.ErrNotExist, tree.ErrTorn} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	if err != nil {
		return err.Error()
	}
	return "done"
}

// tag opens a file, and makes sure that what is said of it and what is sent are what is on disk now.
func (d door) tag(t *testing.T, w site, name string) hashing.Digest {
	t.Helper()
	onDisk, err := os.ReadFile(w.path(name))
	if err != nil {
		t.Fatal(err)
	}
	a := d(request{Do: "open", Name: name})
	switch {
	case a.Outcome != "done":
		t.Errorf("open %s: %s", name, a.Outcome)
	case a.Digest != hashing.Sum(onDisk):
		t.Errorf("%s is called %s, its bytes are %s", name, a.Digest, hashing.Sum(onDisk))
	case a.Sent != a.Digest:
		t.Errorf("%s was sent as %s under the tag %s", name, a.Sent, a.Digest)
	}
	return a.Digest
}

// A site is a served folder and one beside it, on one filesystem.
type site struct{ kind, root, outside string }

func (w site) path(name string) string { return filepath.Join(w.root, name) }

// What a site may be on.
const (
	onDisk    = "disk" // the filesystem of temporary files
	onTmpfs   = "tmpfs"
	onRamfs   = "ramfs"             // has no leases that hold, and stamps of a coarse clock
	onSeconds = "ext4_with_seconds" // small inodes keep stamps in whole seconds
)

// newSite makes a site that every user may read and write to.
func newSite(t *testing.T, kind string) site {
	t.Helper()
	base, err := os.MkdirTemp("", "tree")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(base) })
	if kind == onDisk {
		needDisk(t, base)
	} else {
		mount(t, kind, base)
	}
	w := site{kind, filepath.Join(base, "root"), filepath.Join(base, "outside")}
	for _, folder := range []string{base, w.root, w.outside} {
		if err := errors.Join(os.MkdirAll(folder, 0o755), os.Chmod(folder, 0o777)); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// needDisk skips tests of what only disks with leases and fine stamps can give.
func needDisk(t *testing.T, folder string) {
	t.Helper()
	var st unix.Statfs_t
	if err := unix.Statfs(folder, &st); err != nil {
		t.Fatal(err)
	}
	switch uint32(st.Type) {
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC:
	default:
		t.Skipf("%s is not on ext4, xfs or btrfs: set TMPDIR", folder)
	}
}

// mount mounts a new filesystem until the test ends.
func mount(t *testing.T, kind, folder string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skipf("only root can mount %s", kind)
	}
	var err error
	if kind == onSeconds {
		err = mountImage(t, folder)
	} else {
		err = unix.Mount(kind, folder, kind, 0, "")
	}
	if err != nil {
		without(t, fmt.Errorf("mount %s: %w", kind, err))
	}
	t.Cleanup(func() {
		if err := unix.Unmount(folder, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
}

// mountImage mounts an ext4 filesystem whose inodes have no room for fractions of a second.
func mountImage(t *testing.T, folder string) error {
	image := filepath.Join(t.TempDir(), "image")
	for _, command := range [][]string{
		{"truncate", "-s", "16M", image},
		{"mkfs.ext4", "-q", "-I", "128", image},
		{"mount", "-o", "loop", image, folder},
	} {
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", command[0], err, out)
		}
	}
	return nil
}

// A party is who serves: with leases, or without.
type party struct {
	name string
	open func(t *testing.T, root string, write bool) door
}

var ourselves = party{"as_ourselves", func(t *testing.T, root string, write bool) door {
	tr := openAt(t, root, tree.Options{Write: write})
	return func(q request) answer { return answerTo(tr, q) }
}}

// everywhere runs a test on all kinds of sites with all parties at the same time, since most of the time it waits.
func everywhere(t *testing.T, kinds []string, parties []party, test func(t *testing.T, w site, who party)) {
	var all sync.WaitGroup
	for _, kind := range kinds {
		for _, who := range parties {
			all.Go(func() {
				t.Run(kind+"/"+who.name, func(t *testing.T) { test(t, newSite(t, kind), who) })
			})
		}
	}
	all.Wait()
}
