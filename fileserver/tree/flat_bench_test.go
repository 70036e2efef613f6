package tree

import (
	"fmt"
	"testing"

	"freshet/hashing"
)

// BenchmarkChangeInFlatMillion folds one change into a folder of a million files, and computes its fingerprint.
func BenchmarkChangeInFlatMillion(b *testing.B) {
	const files = 1_000_000
	p := newPicture(hashing.XXH3, func([]Event) Cursor { return Cursor{} })
	p.root = &node{}
	edits := make([]edit, files)
	for i := range edits {
		name := fmt.Sprintf("file%06d.txt", i)
		edits[i] = edit{name: name, item: &item{name: name, kind: KindFile, size: 1, digest: hashing.Sum([]byte(name))}}
	}
	p.fold(p.root, edits, true)
	p.fingerprint(p.root)
	i := 0
	for b.Loop() {
		i = (i + 7919) % files
		name := fmt.Sprintf("file%06d.txt", i)
		it := &item{name: name, kind: KindFile, size: int64(i), mtime: int64(b.N), digest: hashing.Sum([]byte{byte(i), byte(i >> 8)})}
		p.fold(p.root, []edit{{name: name, item: it}}, false)
		p.fingerprint(p.root)
		p.root.modTimes()
	}
}
