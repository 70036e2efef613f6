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
	v.trim(time.Now())
	return nil
}

// take moves a displaced file and its record in from the stage folder, the record first: a file whose record is not beside
// it in the stage folder is a version on its way.
func (v *versions) take(stage dir, id string) error {
	bytes := stage.usage(id)
	err := moveTo(stage, id+recordSuffix, v.dir, id+recordSuffix)
	if err != nil && !errors.Is(err, ErrNotExist) {
		return err
	}
	_ = failpoint("version-recorded")
	if err := moveTo(stage, id, v.dir, id); err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	at, _ := slices.BinarySearchFunc(v.kept, id, func(k version, id string) int { return strings.Compare(k.id, id) })
	v.kept = slices.Insert(v.kept, at, version{id, bytes})
	v.bytes += bytes
	v.trim(time.Now())
	return nil
}

// trimNow drops what is too old.
func (v *versions) trimNow(now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.trim(now)
}

// trim brings the versions within their bounds. v.mu is held.
func (v *versions) trim(now time.Time) {
	n := 0
	for ; n < len(v.kept); n++ {
		made, ok := idTime(v.kept[n].id)
		old := ok && v.ageMax != 0 && now.Sub(made) > v.ageMax
		if !old && v.bytes <= v.bytesMax && len(v.kept)-n <= v.filesMax {
			break
		}
		v.drop(n)
	}
	v.kept = slices.Delete(v.kept, 0, n)
}

// drop removes the version at index i from disk. v.mu is held.
func (v *versions) drop(i int) {
	v.dir.removeAll(v.kept[i].id)
	_ = v.dir.unlink(v.kept[i].id + recordSuffix)
	v.bytes -= v.kept[i].bytes
}

// makeRoom drops the oldest versions until need bytes are free, at least one, and reports whether any went. None goes in
// vain: when all of them would not be enough.
func (v *versions) makeRoom(need int64) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	_, free, err := v.dir.space()
	if err != nil || free+v.bytes < need {
		return false
	}
	n := 0
	for ; n < len(v.kept) && (n == 0 || free < need); n++ {
		free += v.kept[n].bytes
		v.drop(n)
	}
	v.kept = slices.Delete(v.kept, 0, n)
	return n > 0
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
