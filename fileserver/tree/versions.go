package tree

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"time"
)

// versions are the displaced files of one area, bounded by age, number and bytes. The oldest go first.
type versions struct {
	dir      dir
	ageMax   time.Duration // negative: nothing is kept
	bytesMax int64
	filesMax int

	mu    sync.Mutex
	kept  []version // guarded by mu; oldest first
	bytes int64     // guarded by mu
}

// version is one displaced file or folder.
type version struct {
	id    string
	bytes int64 // taken on disk
}

func newVersions(d dir, o Options) *versions {
	v := &versions{dir: d, ageMax: o.VersionsAgeMax, bytesMax: o.VersionsBytesMax, filesMax: o.VersionsFilesMax}
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
		if strings.HasSuffix(name, recordSuffix) {
			continue
		}
		bytes := v.dir.usage(name)
		v.kept = append(v.kept, version{name, bytes})
		v.bytes += bytes
	}
	v.remove(v.trim(time.Now()))
	return nil
}

// lateSuffix marks what could be put nowhere else: the save of a late writer whose folder is gone, a file of unknown origin.
// Nobody replaced it knowingly, so neither bytes nor numbers end it, only age.
const lateSuffix = ".late"

func (k version) late() bool { return strings.HasSuffix(k.id, lateSuffix) }

// take moves a displaced file and its record in from the stage folder, the record first: a file whose record is not beside
// it in the stage folder is a version on its way. late says that it is somebody's only copy.
func (v *versions) take(stage dir, id string, late bool) error {
	bytes := stage.usage(id)
	to := id
	if late {
		to += lateSuffix
	}
	err := moveTo(stage, id+recordSuffix, v.dir, to+recordSuffix)
	if err != nil && !errors.Is(err, ErrNotExist) {
		return err
	}
	_ = failpoint("version-recorded")
	if err := moveTo(stage, id, v.dir, to); err != nil {
		return err
	}
	v.mu.Lock()
	at, _ := slices.BinarySearchFunc(v.kept, to, func(k version, id string) int { return strings.Compare(k.id, id) })
	v.kept = slices.Insert(v.kept, at, version{to, bytes})
	v.bytes += bytes
	ended := v.trim(time.Now())
	v.mu.Unlock()
	v.remove(ended)
	return nil
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
