package tree

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"freshet/hashing"
)

// afresh returns the fingerprint of a folder of these files, computed from nothing else.
func afresh(files map[string]*item) hashing.Digest {
	h := hashing.NewFolderHasher(hashing.XXH3)
	names := slices.Sorted(maps.Keys(files))
	add := func(names []string) {
		for _, name := range names {
			h.Add(byte(files[name].kind), []byte(name), files[name].size, files[name].digest)
		}
	}
	if len(names) < hashing.BucketedChildrenMin {
		h.Reset(uint64(len(names)))
		add(names)
		return h.Digest()
	}
	var buckets []hashing.Digest
	for from, i := 0, 0; i < len(names); i++ {
		if i == len(names)-1 || hashing.EndsBucket([]byte(names[i])) {
			h.ResetBucket(uint64(i + 1 - from))
			add(names[from : i+1])
			buckets, from = append(buckets, h.Digest()), i+1
		}
	}
	return h.Buckets(uint64(len(names)), buckets)
}

// TestFingerprintOfALargeFolderHasNoHistory lets a folder grow and shrink over the number of children from which on it is
// hashed in buckets, by bursts that spare no place: whole stretches come and go, and the names that end buckets most of all.
func TestFingerprintOfALargeFolderHasNoHistory(t *testing.T) {
	const bursts, pool = 100, 4600
	r := rand.New(rand.NewPCG(1, 2))
	var all, ends []string
	for i := range pool {
		all = append(all, fmt.Sprintf("%05d", i))
		if hashing.EndsBucket([]byte(all[i])) {
			ends = append(ends, all[i])
		}
	}
	p := newPicture(hashing.XXH3, func([]Event) Cursor { return Cursor{} })
	p.root = &node{}
	files := map[string]*item{}
	bucketed := 0
	for burst := range bursts {
		edits := map[string]*item{}
		touch := func(name string, gone bool) {
			it := &item{name: name, kind: KindFile, size: r.Int64N(1 << 20), digest: hashing.Sum([]byte{byte(r.Int())})}
			if gone {
				it = nil
			}
			edits[name] = it
		}
		kind := r.IntN(4)
		if burst < 3 { // first to the very edge
			for _, name := range all[len(files) : hashing.BucketedChildrenMin-1+burst] {
				touch(name, false)
			}
			kind = -1
		}
		switch from := r.IntN(pool); kind {
		case 0, 1: // a stretch goes, at times all
			for _, name := range all[from:min(pool, from+r.IntN(pool/8))] {
				touch(name, true)
			}
			if r.IntN(20) == 0 {
				for _, name := range all {
					touch(name, true)
				}
			}
		case 2: // most comes back
			for _, name := range all {
				if files[name] == nil && r.IntN(50) > 0 {
					touch(name, false)
				}
			}
		case 3: // here and there
			for range 1 + r.IntN(5) {
				touch(all[r.IntN(pool)], r.IntN(2) == 0)
				touch(ends[r.IntN(len(ends))], r.IntN(2) == 0)
			}
		}
		var list []edit
		for _, name := range slices.Sorted(maps.Keys(edits)) {
			list = append(list, edit{name: name, item: edits[name]})
			if files[name] = edits[name]; edits[name] == nil {
				delete(files, name)
			}
		}
		p.mu.Lock()
		p.fold(p.root, list, true)
		got := p.fingerprint(p.root)
		p.mu.Unlock()
		if want := afresh(files); got != want {
			t.Fatalf("burst %d, %d children: %s, want %s", burst, len(files), got, want)
		}
		if len(files) >= hashing.BucketedChildrenMin {
			bucketed++
		}
	}
	if bucketed < bursts/5 || bucketed > bursts*4/5 {
		t.Errorf("after %d of %d bursts the folder was hashed in buckets", bucketed, bursts)
	}
}
