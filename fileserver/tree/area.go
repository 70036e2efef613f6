package tree

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	stageFolder    = "stage"
	versionsFolder = "versions"
	lockFile       = "lock"
	partSuffix     = ".part" // an upload on a filesystem without nameless files
	recordSuffix   = ".r"
	treeSuffix     = ".tree" // a copy of a folder that is being made
	ascentMax      = 512     // folders climbed to find where a filesystem is mounted
)

// An area is the server's own folder on one mounted filesystem: uploads are staged and displaced files kept where a rename
// can reach them.
type area struct {
	dir      dir
	stage    dir
	versions *versions
	locked   handle
	mount    uint64
}

// areas finds the area of a folder, making it when the first change on its filesystem asks.
type areas struct {
	tree *Tree
	mu   sync.Mutex
	all  map[uint64]*area // guarded by mu; by mount
}

// openArea opens, makes and locks the folder name in parent.
func openArea(t *Tree, parent dir, name string) (*area, error) {
	home, err := subfolder(parent, name)
	if err != nil {
		return nil, err
	}
	a := &area{dir: home, stage: noDir, locked: noHandle}
	if err := a.open(t); err != nil {
		a.close()
		return nil, fmt.Errorf("state folder %s: %w", name, err)
	}
	return a, nil
}

func (a *area) open(t *Tree) (err error) {
	if a.locked, err = a.dir.lock(lockFile); err != nil {
		return err
	}
	if err = a.dir.writable(); err != nil {
		return err
	}
	if a.mount, err = a.dir.mount(); err != nil {
		return err
	}
	if a.stage, err = subfolder(a.dir, stageFolder); err != nil {
		return err
	}
	kept, err := subfolder(a.dir, versionsFolder)
	if err != nil {
		return err
	}
	a.versions = newVersions(kept, a.stage, t.o)
	return a.versions.load()
}

// subfolder opens a folder of the server's own, and makes it if need be.
func subfolder(d dir, name string) (dir, error) {
	if err := d.mkdir(name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return noDir, err
	}
	sub, err := d.folder(name)
	if err != nil {
		return noDir, err
	}
	if err := sub.private(); err != nil {
		sub.close()
		return noDir, err
	}
	return sub, nil
}

func (a *area) close() {
	if a.versions != nil {
		a.versions.dir.close()
	}
	a.stage.close()
	a.locked.close()
	a.dir.close()
}

// of returns the area on d's filesystem.
func (s *areas) of(d dir) (*area, error) {
	mount, err := d.mount()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.all[mount]; a != nil {
		return a, nil
	}
	top, err := mountTop(d, mount)
	if err != nil {
		return nil, err
	}
	defer top.close()
	a, err := openArea(s.tree, top, Reserved)
	if err != nil {
		return nil, err
	}
	if err := s.tree.recover(a); err != nil {
		a.close()
		return nil, err
	}
	s.all[mount] = a
	return a, nil
}

// mountTop climbs from d to the folder where its filesystem is mounted, which is below the root since the root's own
// filesystem has its area from the start.
func mountTop(d dir, mount uint64) (dir, error) {
	at, err := d.folder(".")
	if err != nil {
		return noDir, err
	}
	for range ascentMax {
		up, err := at.up()
		if err != nil {
			at.close()
			return noDir, err
		}
		if m, err := up.mount(); err != nil || m != mount {
			up.close()
			return at, err
		}
		at.close()
		at = up
	}
	at.close()
	return noDir, ErrCrossDevice
}

// each calls fn for every area there is.
func (s *areas) each(fn func(*area)) {
	s.mu.Lock()
	all := slices.Collect(maps.Values(s.all))
	s.mu.Unlock()
	for _, a := range all {
		fn(a)
	}
}

var idCount atomic.Uint32

// newID names something in an area: ids sort by the time they were made.
func newID() string {
	var random [4]byte
	_, _ = rand.Read(random[:])
	now := uint64(time.Now().UnixNano())
	return fmt.Sprintf("%016x%04x%s", now, uint16(idCount.Add(1)), hex.EncodeToString(random[:]))
}

const idBytes = 16 + 4 + 8

// idTime returns when an id was made.
func idTime(id string) (time.Time, bool) {
	if len(id) < idBytes {
		return time.Time{}, false
	}
	n, err := strconv.ParseUint(id[:16], 16, 63)
	return time.Unix(0, int64(n)), err == nil
}
