package tree

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"freshet/hashing"
)

// VersionsListedMax is how many versions one listing holds at most.
const VersionsListedMax = 1000

// A VersionID names one version for as long as it is kept. That of a later one is greater.
type VersionID string

// A Version is a file, link or folder that a change displaced. No door but those that ask for versions shows it.
type Version struct {
	ID VersionID
	// Path is the one that the change was made by; what has moved since keeps its old versions under its old path. It is
	// the root if nothing tells.
	Path Path
	Kind Kind
	// Digest of a file is that of its bytes when it was displaced; zero if nobody had asked for it, and for others.
	Digest    hashing.Digest
	Size      int64 // bytes; 0 for folders
	ModTime   time.Time
	Displaced time.Time
	By        string // who made the change, as Change.By; "" if nothing tells
	How       string // "replaced" or "removed"; "" if nothing tells
	// Late says that a program saved it to a path which was gone: it is nobody's older version, but their only copy.
	Late bool
}

// ETag returns the strong entity tag of v, or "" while none is known.
func (v *Version) ETag() string {
	if v.Digest.IsZero() {
		return ""
	}
	return v.Digest.ETag()
}

// A VersionKey says which version of a path is meant: that with the ID, or if it has none the newest one with the
// Digest.
type VersionKey struct {
	ID     VersionID
	Digest hashing.Digest
}

// A VersionList is a part of a listing, newest first. Next, if not "", is what to ask for the rest with.
type VersionList struct {
	Versions []Version
	Next     VersionID
}

// Versions returns what changes by the path p have displaced and the bounds of Options have spared, newest first,
// those older than before if that is not "". What a change displaced a moment ago is among it. A folder that was
// removed is one version, of the folder's path; the earlier versions of the files in it stay under theirs. A tree that
// is read-only has no versions; one that keeps none has those of the last moments. Nothing is read but the records and
// stamps of what is listed. There is no error for a path that nothing is known of.
func (t *Tree) Versions(_ context.Context, p Path, before VersionID) (VersionList, error) {
	t.findArea(p)
	return t.listVersions(before, func(k version) bool { return k.path == p.s }), nil
}

// Trash is Versions for what was removed at or below a path: files, links and folders, folders that others have
// replaced, and what came too late to be put anywhere else. Of filesystems that are mounted below, those count on
// which something was changed or asked for since the tree was opened.
func (t *Tree) Trash(_ context.Context, below Path, before VersionID) (VersionList, error) {
	t.findArea(below)
	return t.listVersions(before, func(k version) bool { return k.trashBelow(below) }), nil
}

func (k version) trashBelow(p Path) bool { return k.trash && p.Contains(Path{k.path}) }

// Version returns the version with an ID. ErrNoVersion: there is none, or not any more.
func (t *Tree) Version(_ context.Context, id VersionID) (Version, error) {
	for _, f := range t.findVersions("", 1, func(k version) bool { return k.id == string(id) }) {
		if v, err := t.describeVersion(f); err == nil {
			return v, nil
		}
	}
	return Version{}, fmt.Errorf("version %q: %w", id, ErrNoVersion)
}

// OpenVersion opens a version of p that is a file, with the rules of Open: the tag is that of the bytes, whatever was
// recorded. Errors: ErrNoVersion, ErrIsFolder and ErrSpecial for versions that are no files, ErrBusy while the digest
// of one that may be meant is not known, and those of Open.
func (t *Tree) OpenVersion(ctx context.Context, p Path, key VersionKey) (*File, error) {
	f, _, err := t.openVersion(ctx, p, key)
	return f, err
}

// foundVersion is a version and the area that has it.
type foundVersion struct {
	version
	in *versions
}

func (t *Tree) openVersion(ctx context.Context, p Path, key VersionKey) (*File, foundVersion, error) {
	t.findArea(p)
	for _, k := range t.candidates(p, key) {
		f, err := t.openFound(ctx, p, k)
		switch {
		case errors.Is(err, ErrNotExist), key.ID == "" && isNoFile(err): // it ended meanwhile, or is another one
			continue
		case err != nil:
			return nil, k, err
		case key.ID != "" || f.Entry.Digest == key.Digest:
			return f, k, nil
		}
		known := !f.Entry.Digest.IsZero()
		f.Close()
		if !known {
			return nil, k, fmt.Errorf("version of %q: %w: its tag is being found out", p.s, ErrBusy)
		}
	}
	return nil, foundVersion{}, fmt.Errorf("version of %q: %w", p.s, ErrNoVersion)
}

func isNoFile(err error) bool { return errors.Is(err, ErrIsFolder) || errors.Is(err, ErrSpecial) }

// candidates returns the versions that key may mean, the likely ones first: the digest of some was not recorded.
func (t *Tree) candidates(p Path, key VersionKey) []foundVersion {
	if key.ID != "" {
		return t.findVersions("", 1, func(k version) bool { return k.path == p.s && k.id == string(key.ID) })
	}
	of := func(digest hashing.Digest) []foundVersion {
		return t.findVersions("", VersionsListedMax, func(k version) bool { return k.path == p.s && k.digest == digest })
	}
	return append(of(key.Digest), of(hashing.Digest{})...)
}

// openFound opens a version and finds the digest of what it is now.
func (t *Tree) openFound(ctx context.Context, p Path, k foundVersion) (*File, error) {
	for range openTriesMax {
		d, m, err := k.in.stat(k.id)
		if err != nil {
			return nil, err
		}
		if err := m.fileKind(); err != nil {
			return nil, fmt.Errorf("version of %q: %w", p.s, err)
		}
		f := t.file(p, m, hashing.Record{})
		if f.h, m, err = d.open(k.id); err == nil {
			f.Entry = m.entry(p.Base())
			err = t.describeKept(ctx, f)
		}
		if err == nil {
			return f, nil
		}
		f.Close()
		if !errors.Is(err, errMoved) && !errors.Is(err, ErrNotExist) { // it may have moved from one folder to the other
			return nil, err
		}
	}
	return nil, fmt.Errorf("version of %q: %w", p.s, ErrUnstable)
}

func (t *Tree) describeKept(ctx context.Context, f *File) error {
	if rec, ok := t.hasher.known(f.Entry.Stamp); ok {
		f.Entry.Digest, f.blocks = rec.Digest, rec.Blocks
		return nil
	}
	return t.describe(ctx, f)
}

// listVersions describes what match says yes to.
func (t *Tree) listVersions(before VersionID, match func(version) bool) (list VersionList) {
	found := t.findVersions(before, VersionsListedMax+1, match)
	if len(found) > VersionsListedMax {
		found = found[:VersionsListedMax]
		list.Next = VersionID(found[len(found)-1].id)
	}
	for _, f := range found {
		if v, err := t.describeVersion(f); err == nil { // else it ended meanwhile
			list.Versions = append(list.Versions, v)
		}
	}
	return list
}

// findVersions returns the newest versions that match says yes to, those older than before if that is not "".
func (t *Tree) findVersions(before VersionID, countMax int, match func(version) bool) (all []foundVersion) {
	if t.home == nil || t.o.Only != "" {
		return nil
	}
	t.areas.each(func(a *area) {
		for _, k := range a.versions.find(string(before), countMax, match) {
			all = append(all, foundVersion{k, a.versions})
		}
	})
	slices.SortFunc(all, func(a, b foundVersion) int { return strings.Compare(b.id, a.id) })
	return all[:min(len(all), countMax)]
}

// find returns the newest versions that match says yes to, in no order.
func (v *versions) find(before string, countMax int, match func(version) bool) (all []version) {
	v.mu.Lock()
	defer v.mu.Unlock()
	older := len(v.kept)
	if before != "" {
		older, _ = slices.BinarySearchFunc(v.kept, before, version.compare)
	}
	for _, k := range slices.Backward(v.kept[:older]) {
		if len(all) == countMax {
			break
		}
		if match(k) {
			all = append(all, k)
		}
	}
	for _, k := range v.arriving {
		if !k.ended && (before == "" || k.id < before) && match(k) {
			all = append(all, k)
		}
	}
	return all
}

// stat finds a version where it is: it may be on its way from the stage folder.
func (v *versions) stat(id string) (dir, meta, error) {
	m, err := v.stage.stat(id)
	if errors.Is(err, ErrNotExist) {
		m, err = v.dir.stat(id)
		return v.dir, m, err
	}
	return v.stage, m, err
}

// recordOf reads the record of a version, which goes ahead of it on its way.
func (v *versions) recordOf(id string) (record, error) {
	r, err := readRecord(v.stage, id)
	if errors.Is(err, ErrNotExist) {
		return readRecord(v.dir, id)
	}
	return r, err
}

// describeVersion says what is known of a version.
func (t *Tree) describeVersion(f foundVersion) (Version, error) {
	_, m, err := f.in.stat(f.id)
	if err != nil {
		return Version{}, err
	}
	v := Version{ID: VersionID(f.id), Digest: f.digest, Late: f.late()}
	if p, err := pathOfRecord(f.path); err == nil {
		v.Path = p
	}
	if r, err := f.in.recordOf(f.id); err == nil {
		v.By, v.How = r.by, r.how
	}
	e := m.entry(v.Path.Base())
	v.Kind, v.Size, v.ModTime = e.Kind, e.Size, e.ModTime
	v.Displaced, _ = idTime(f.id)
	switch rec, ok := t.hasher.known(m.stamp); {
	case !m.isRegular():
		v.Digest = hashing.Digest{}
	case ok:
		v.Digest = rec.Digest
	}
	return v, nil
}

// pathOfRecord makes a Path of what a record says, which an older server may have taken for one.
func pathOfRecord(rel string) (p Path, err error) {
	if rel == "" {
		return p, nil
	}
	for name := range strings.SplitSeq(rel, "/") {
		if p, err = p.Join(name); err != nil {
			return Path{}, err
		}
	}
	return p, nil
}

// findArea opens the area on the filesystem that p is on, if an earlier run has left one there.
func (t *Tree) findArea(p Path) {
	if t.home == nil {
		return
	}
	for {
		d, err := t.disk.folder(p.s, true)
		if err == nil {
			t.areas.find(d)
			d.close()
			return
		}
		if p.IsRoot() {
			return
		}
		p = p.Parent()
	}
}

// find is of, but makes nothing.
func (s *areas) find(d dir) {
	mount, err := d.mount()
	if err != nil {
		return
	}
	s.mu.Lock()
	known := s.all[mount] != nil
	s.mu.Unlock()
	if known {
		return
	}
	top, err := mountTop(d, mount)
	if err != nil {
		return
	}
	defer top.close()
	if _, err := top.stat(Reserved); err == nil {
		if _, err := s.of(d); err != nil {
			s.tree.o.Log.Debug("what is kept on a mounted filesystem cannot be had", "error", err)
		}
	}
}
