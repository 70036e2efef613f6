package tree

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"freshet/hashing"
)

// versions are the displaced files of one area, bounded by age, number and bytes. The oldest go first. What can be asked for
// is found in memory: 64 bytes for each, its id of 28 and its path.
type versions struct {
	dir      dir
	stage    dir           // where those that arrive are; the area's
	ageMax   time.Duration // negative: nothing is kept
	bytesMax int64
	filesMax int

	// moves is held while a version comes in, and while one goes back to the tree: what is neither here nor there for a
	// moment is not looked for. It is taken after the locks of names and before mu.
	moves sync.Mutex

	mu       sync.Mutex
	kept     []version // guarded by mu; oldest first
	arriving []version // guarded by mu; still in the quarantine, which bounds them
	bytes    int64     // guarded by mu; of those kept
}

// version is one displaced file or folder.
type version struct {
	id     string
	path   string // as recorded; "" if no record says
	digest hashing.Digest
	bytes  int64 // taken on disk
	trash  bool  // it did not make room for another version of itself
	ended  bool  // somebody wants it gone as soon as the quarantine is over
}

func newVersions(d, stage dir, o Options) *versions {
	v := &versions{
		dir: d, stage: stage, ageMax: o.VersionsAgeMax, bytesMax: o.VersionsBytesMax, filesMax: o.VersionsFilesMax,
	}
	if v.bytesMax == 0 {
		if size, _, err := d.space(); err == nil {
			v.bytesMax = int64(float64(size) * VersionsShareMax)
		}
	}
	return v
}

// load finds what is kept from earlier runs.
func (v *versions) load() error {
	names, err := v.dir.names()
	if err != nil {
		return err
	}
	slices.Sort(names)
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, name := range names {
		if id, isRecord := strings.CutSuffix(name, recordSuffix); isRecord {
			v.dropOrphan(id, names)
			continue
		}
		v.insert(v.look(name, v.dir.usage(name)))
	}
	v.remove(v.trim(time.Now()))
	return nil
}

// dropOrphan removes a record whose version a crash let go back to the tree without it. While the file is in the stage
// folder it is on its way in.
func (v *versions) dropOrphan(id string, names []string) {
	if _, found := slices.BinarySearch(names, id); found {
		return
	}
	if _, err := v.stage.stat(strings.TrimSuffix(id, lateSuffix)); errors.Is(err, ErrNotExist) {
		_ = v.dir.unlink(id + recordSuffix)
	}
}

// look finds out what a version is that takes so many bytes.
func (v *versions) look(id string, bytes int64) version {
	k := version{id: id, bytes: bytes}
	r, err := readRecord(v.dir, id)
	if err != nil {
		k.trash = true
		return k
	}
	k.path, k.digest = r.path, r.digest
	if k.trash = r.how == tookRemoved || k.late(); !k.trash {
		m, err := v.dir.stat(id)
		k.trash = err == nil && m.isFolder()
	}
	return k
}

// readRecord reads the record that lies beside id.
func readRecord(d dir, id string) (record, error) {
	text, err := d.readRecord(id + recordSuffix)
	if err != nil {
		return record{}, err
	}
	return parseRecord(text)
}

// insert adds k where it belongs by age. v.mu is held.
func (v *versions) insert(k version) {
	at, _ := slices.BinarySearchFunc(v.kept, k.id, version.compare)
	v.kept = slices.Insert(v.kept, at, k)
	v.bytes += k.bytes
}

func (k version) compare(id string) int { return strings.Compare(k.id, id) }

// lateSuffix marks what could be put nowhere else: the save of a late writer whose folder is gone, a file of unknown origin.
// Nobody replaced it knowingly, so neither bytes nor numbers end it, only age.
const lateSuffix = ".late"

func (k version) late() bool { return strings.HasSuffix(k.id, lateSuffix) }

// announce lists what the quarantine holds: an undo may come at once.
func (v *versions) announce(d *displaced) {
	if !d.keep {
		return
	}
	k := version{id: d.id, path: d.record.path, digest: d.record.digest, trash: d.record.how == tookRemoved}
	if !d.h.ok() {
		if m, err := v.stage.stat(d.id); err == nil && m.isFolder() {
			k.trash = true
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.arriving = append(v.arriving, k)
}

// settled ends what announce began, wherever the file has gone.
func (v *versions) settled(id string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.arriving = slices.DeleteFunc(v.arriving, func(k version) bool { return k.id == id })
}

// drop removes what leaves the quarantine and is not kept.
func (v *versions) drop(id string) {
	v.moves.Lock()
	v.settled(id) // from here on nobody can take it back to the tree
	v.moves.Unlock()
	v.stage.removeAll(id)
	_ = v.stage.unlink(id + recordSuffix)
}

// take moves a displaced file and its record in from the stage folder, the record first: a file whose record is not beside
// it in the stage folder is a version on its way. late says that it is somebody's only copy. What has gone back to the tree
// meanwhile is not missed.
func (v *versions) take(id string, late bool) error {
	bytes := v.stage.usage(id)
	v.moves.Lock()
	ended, err := v.takeIn(id, late, bytes)
	v.moves.Unlock()
	v.remove(ended)
	return err
}

func (v *versions) takeIn(id string, late bool, bytes int64) (ended []version, err error) {
	to := id
	if late {
		to += lateSuffix
	}
	err = moveTo(v.stage, id+recordSuffix, v.dir, to+recordSuffix)
	if err != nil && !errors.Is(err, ErrNotExist) {
		return nil, err
	}
	_ = failpoint("version-recorded")
	if err := moveTo(v.stage, id, v.dir, to); err != nil {
		if errors.Is(err, ErrNotExist) {
			_ = v.dir.unlink(to + recordSuffix)
			return nil, nil
		}
		return nil, err
	}
	_ = failpoint("version-kept")
	k := v.look(to, bytes)
	v.mu.Lock()
	defer v.mu.Unlock()
	if at := slices.IndexFunc(v.arriving, func(k version) bool { return k.id == id }); at >= 0 {
		unwanted := v.arriving[at].ended
		v.arriving = slices.Delete(v.arriving, at, at+1)
		if unwanted {
			return []version{k}, nil
		}
	}
	v.insert(k)
	return v.trim(time.Now()), nil
}

// expects reports whether a file was on its way in: its record is here already.
func (v *versions) expects(id string) bool {
	_, err := v.dir.stat(id + recordSuffix)
	return err == nil
}

// trimNow drops what is too old.
func (v *versions) trimNow(now time.Time) {
	v.mu.Lock()
	ended := v.trim(now)
	v.mu.Unlock()
	v.remove(ended)
}

// trim takes out of the list what is beyond the bounds, for the caller to remove once v.mu, which is held, is free again.
func (v *versions) trim(now time.Time) (ended []version) {
	var stay []version
	n := 0
	for ; n < len(v.kept); n++ {
		k := v.kept[n]
		if v.ends(k, now, len(v.kept)-n+len(stay)) {
			v.bytes -= k.bytes
			ended = append(ended, k)
			continue
		}
		if !k.late() {
			break
		}
		stay = append(stay, k)
	}
	v.kept = slices.Replace(v.kept, 0, n, stay...)
	return ended
}

// ends reports whether k goes, when it is the oldest of files that could.
func (v *versions) ends(k version, now time.Time, files int) bool {
	made, ok := idTime(k.id)
	age := now.Sub(made)
	if k.late() {
		return ok && age > max(v.ageMax, VersionsAgeMax)
	}
	return ok && v.ageMax != 0 && age > v.ageMax || v.bytes > v.bytesMax || files > v.filesMax
}

// remove takes versions from the disk that are out of the list already.
func (v *versions) remove(ended []version) {
	for _, k := range ended {
		v.dir.removeAll(k.id)
		_ = v.dir.unlink(k.id + recordSuffix)
	}
}

// makeRoom drops the oldest versions until need bytes are free, at least one, and reports whether any went. None goes in
// vain: when all of them would not be enough.
func (v *versions) makeRoom(need int64) bool {
	ended := v.giveUp(need)
	v.remove(ended)
	return len(ended) > 0
}

func (v *versions) giveUp(need int64) (ended []version) {
	v.mu.Lock()
	defer v.mu.Unlock()
	_, free, err := v.dir.space()
	if err != nil || free+v.bytes < need {
		return nil
	}
	v.kept = slices.DeleteFunc(v.kept, func(k version) bool {
		if k.late() || len(ended) > 0 && free >= need {
			return false
		}
		free += k.bytes
		v.bytes -= k.bytes
		ended = append(ended, k)
		return true
	})
	return ended
}

// couldHold reports whether need bytes would find room if every version went.
func (v *versions) couldHold(need int64) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	_, free, err := v.dir.space()
	return err == nil && free+v.bytes >= need
}

// withRoom makes an attempt, and another if the disk was full and old versions have made room for need bytes.
func (v *versions) withRoom(need int64, attempt func() error) error {
	err := attempt()
	if errors.Is(err, ErrNoSpace) && v.makeRoom(need) {
		err = attempt()
	}
	return err
}

func (v *versions) levels() (files int, bytes int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.kept), v.bytes
}
