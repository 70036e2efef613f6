package tree

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"freshet/hashing"
)

const (
	pictureRounds     = 300
	pictureNames      = 4600 // in the large folder: it is split at 4,097
	pictureSaveRounds = 25   // rounds per save
)

// A plainTree is what a picture must be equal to: path to child, folders among them.
type plainTree map[string]item

// below returns the names in the folder at rel, sorted.
func (p plainTree) below(rel string) (names []string) {
	for path := range p {
		if folder, name := splitPath(path); folder == rel && path != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// fingerprint is computed from nothing but the map.
func (p plainTree) fingerprint(rel string) hashing.Digest {
	names := p.below(rel)
	h := hashing.NewFolderHasher(hashing.XXH3)
	add := func(name string) {
		it := p[joinPath(rel, name)]
		tag := it.digest
		if it.kind == KindFolder {
			tag = p.fingerprint(joinPath(rel, name))
		}
		h.Add(byte(it.kind), []byte(name), it.size, tag)
	}
	if len(names) < hashing.BucketedChildrenMin {
		h.Reset(uint64(len(names)))
		for _, name := range names {
			add(name)
		}
		return h.Digest()
	}
	var buckets []hashing.Digest
	for len(names) > 0 {
		n := 1 + slices.IndexFunc(names, func(name string) bool { return hashing.EndsBucket([]byte(name)) })
		if n == 0 {
			n = len(names)
		}
		h.ResetBucket(uint64(n))
		for _, name := range names[:n] {
			add(name)
		}
		buckets, names = append(buckets, h.Digest()), names[n:]
	}
	return h.Buckets(uint64(len(p.below(rel))), buckets)
}

func joinPath(folder, name string) string {
	if folder == "" {
		return name
	}
	return folder + "/" + name
}

// counts are those of a folder and all below it.
func (p plainTree) counts(rel string) (files, bytes, unknown int64) {
	for path, it := range p {
		if rel != "" && !strings.HasPrefix(path, rel+"/") || it.kind == KindFolder {
			continue
		}
		files++
		if it.isFile() {
			bytes += it.size
		}
		if it.unknown() {
			unknown++
		}
	}
	return files, bytes, unknown
}

// drop takes a path and all below it away.
func (p plainTree) drop(rel string) {
	maps.DeleteFunc(p, func(path string, _ item) bool { return path == rel || strings.HasPrefix(path, rel+"/") })
}

// A pictured is a picture beside the plain tree that it must be equal to, and one that only its events have told of.
type pictured struct {
	*testing.T
	rand    *rand.Rand
	picture *picture
	plain   plainTree
	told    plainTree
	events  []Event
	serial  uint64
	known   int // times that there was a fingerprint
	keeper  *keeper
}

// TestPictureModel makes random edits in a picture: it is always equal to a plain tree with the same edits, and so is what its
// events tell and what the cache has of it.
func TestPictureModel(t *testing.T) {
	t.Run("known_seed", func(t *testing.T) { pictureModel(t, 1) }) // which is known to go where a mutant errs
	t.Run("any_seed", func(t *testing.T) { pictureModel(t, rand.Uint64()) })
}

func pictureModel(t *testing.T, seed uint64) {
	m := &pictured{T: t, rand: rand.New(rand.NewPCG(seed, 0)), plain: plainTree{}, told: plainTree{}}
	m.picture = newPicture(hashing.XXH3, func(events []Event) Cursor {
		m.events = append(m.events, slices.Clone(events)...)
		return Cursor{}
	})
	m.picture.root = &node{id: hashing.Inode{Dev: 1, Ino: 1}}
	m.keeper = newKeeper(t.TempDir(), quietLog)
	m.keeper.open()
	defer m.keeper.close()
	for _, name := range []string{"large", "small", "deep"} {
		m.edit("", []edit{{name: name, item: m.folder(name)}})
	}
	m.edit("deep", []edit{{name: "deeper", item: m.folder("deeper")}})
	m.edit("large", m.edits("large", 4096, 0))
	for round := range pictureRounds {
		if m.rand.IntN(2) == 0 {
			m.complete()
		}
		m.round(round)
		m.check()
		if round%pictureSaveRounds == 0 {
			m.checkKept()
		}
		if t.Failed() {
			t.Fatalf("round %d of seed %d", round, seed)
		}
	}
	m.checkKept()
	if m.known < pictureRounds/3 {
		t.Errorf("there was a fingerprint %d times only", m.known)
	}
}

// round makes some edits in some folder. The large one goes to and fro where it is split.
func (m *pictured) round(round int) {
	rel := []string{"", "large", "large", "large", "small", "deep", "deep/deeper"}[m.rand.IntN(7)]
	if m.plain[rel].kind != KindFolder && rel != "" {
		rel = ""
	}
	adds, drops := m.rand.IntN(6), m.rand.IntN(6)
	if rel == "large" {
		switch excess := len(m.plain.below(rel)) - hashing.BucketedChildrenMin; {
		case round%10 == 0 && excess > 0:
			drops += excess + m.rand.IntN(200)
		case round%10 == 0:
			adds += -excess + m.rand.IntN(200)
		case m.rand.IntN(2) == 0: // to the last one that matters
			adds, drops = max(0, -excess), max(0, excess)
		}
	}
	m.edit(rel, m.edits(rel, adds, drops))
}

// edits returns changes of some names in the folder at rel: those that end buckets more often than by chance.
func (m *pictured) edits(rel string, adds, drops int) []edit {
	changed := map[string]*item{}
	names := m.plain.below(rel)
	for range drops {
		if len(names) > 0 {
			changed[m.some(names)] = nil
		}
	}
	for fails := 0; adds > 0 && fails < 20*pictureNames; fails++ {
		name := fmt.Sprintf("n%04d", m.rand.IntN(pictureNames))
		_, had := m.plain[joinPath(rel, name)]
		if _, twice := changed[name]; twice || had && m.rand.IntN(4) > 0 {
			continue
		}
		if m.rand.IntN(50) == 0 && rel != "large" {
			changed[name] = m.folder(name)
		} else {
			changed[name] = m.file(name)
		}
		adds--
	}
	var edits []edit
	for _, name := range slices.Sorted(maps.Keys(changed)) {
		edits = append(edits, edit{name: name, item: changed[name]})
	}
	return edits
}

// some returns one of names, and one that ends a bucket if it comes by one soon.
func (m *pictured) some(names []string) string {
	at := m.rand.IntN(len(names))
	if m.rand.IntN(2) == 0 {
		for _, name := range names[at:min(at+300, len(names))] {
			if hashing.EndsBucket([]byte(name)) {
				return name
			}
		}
	}
	return names[at]
}

func (m *pictured) folder(name string) *item {
	m.serial++
	return &item{name: name, kind: KindFolder, ino: 100 + m.serial, mtime: int64(m.serial)}
}

// file is a new state of a file or link; a few have no digest.
func (m *pictured) file(name string) *item {
	m.serial++
	it := &item{name: name, kind: KindFile, ino: 100 + m.serial, ctime: int64(m.serial), mtime: int64(m.serial % 7)}
	switch m.rand.IntN(40) {
	case 0:
		it.kind, it.target = KindLink, fmt.Sprint("to ", m.serial)
		it.digest = hashing.Sum([]byte(it.target))
		return it
	case 1:
		it.kind = KindExecutable
	}
	it.size = m.rand.Int64N(1000)
	it.digest = hashing.Sum(fmt.Append(nil, m.serial))
	it.flags = itemTrusted
	if len(m.plain) > pictureNames-1000 && m.rand.IntN(100) == 0 {
		it.digest, it.flags = hashing.Digest{}, 0
	}
	return it
}

// complete gives all files their digests. What is known of an older state of one is not taken.
func (m *pictured) complete() {
	m.Helper()
	pass := m.picture.begin()
	defer pass.end()
	for _, path := range m.picture.unknown(len(m.plain)) {
		it := m.plain[path]
		folder, _ := splitPath(path)
		it.digest, it.flags = hashing.Sum([]byte(path)), itemTrusted
		old := it
		old.ctime--
		if n := m.picture.at(folder); pass.complete(n, &old) || !pass.complete(n, &it) {
			m.Errorf("the digest of an older state of %q is taken, or that of the present one is not", path)
		}
		m.plain[path] = it
	}
}

// edit folds edits in, as a look at the disk or as a change of the tree's own does.
func (m *pictured) edit(rel string, edits []edit) {
	m.Helper()
	for _, e := range edits {
		path := joinPath(rel, e.name)
		m.plain.drop(path)
		if e.item != nil {
			m.plain[path] = *e.item
		}
	}
	p := m.picture
	n := p.at(rel)
	if n == nil {
		m.Fatalf("there is no folder %q", rel)
	}
	if len(edits) == 1 && m.rand.IntN(2) == 0 {
		if _, ok := p.own(rel, n.id, edits[0], KindFile); !ok {
			m.Errorf("%q is another folder", rel)
		}
		return
	}
	pass := p.begin()
	defer pass.end()
	if again := pass.apply(n, edits, false); len(again) > 0 {
		m.Errorf("%q shall be looked at again", again)
	}
}

// check compares everything.
func (m *pictured) check() {
	m.Helper()
	for _, rel := range m.picture.folders("") {
		n := m.picture.at(rel)
		m.checkSlots(n, rel)
		files, bytes, unknown := m.plain.counts(rel)
		if n.files != files || n.bytes != bytes || n.unknown != unknown {
			m.Errorf("%q has %d files, %d bytes, %d unknown, want %d, %d, %d", rel, n.files, n.bytes, n.unknown, files, bytes, unknown)
		}
	}
	want := hashing.Digest{}
	if _, _, unknown := m.plain.counts(""); unknown == 0 {
		want = m.plain.fingerprint("")
	}
	m.picture.mu.Lock()
	got := m.picture.fingerprint(m.picture.root)
	m.picture.mu.Unlock()
	if got != want {
		m.Errorf("the fingerprint is %s, want %s", got, want)
	}
	if !want.IsZero() {
		m.known++
	}
	m.checkEvents()
}

// checkSlots compares the children of a folder, and holds that they are kept as they must be.
func (m *pictured) checkSlots(n *node, rel string) {
	m.Helper()
	var names []string
	for i := range n.slots {
		c := n.slots[i].items
		if c.len() == 0 || !c.valid() {
			m.Errorf("%q: chunk %d of %d children is not valid", rel, i, c.len())
		}
		for k := range c.len() {
			it := c.item(k)
			names = append(names, it.name)
			if it != m.plain[joinPath(rel, it.name)] {
				m.Errorf("%q has %+v, want %+v", rel, it, m.plain[joinPath(rel, it.name)])
			}
			last := k == c.len()-1
			if n.split && hashing.EndsBucket([]byte(it.name)) != last && (!last || i < len(n.slots)-1) {
				m.Errorf("%q: chunk %d is not a bucket", rel, i)
			}
		}
	}
	if want := m.plain.below(rel); !slices.Equal(names, want) || n.count != len(want) {
		m.Errorf("%q has %d names and counts %d, want %d", rel, len(names), n.count, len(want))
	}
	if !n.split && n.count >= hashing.BucketedChildrenMin {
		m.Errorf("%q has %d children in one piece", rel, n.count)
	}
	if name := fmt.Sprintf("n%04d", m.rand.IntN(pictureNames)); true {
		want, had := m.plain[joinPath(rel, name)]
		if got, ok := n.item(name); ok != had || got != want {
			m.Errorf("%q is found: %v, as %+v; want %v, %+v", name, ok, got, had, want)
		}
	}
}

// checkEvents takes what was told since the last time: of a folder, all that is in it. A file that has changed and has no
// digest yet is not told of.
func (m *pictured) checkEvents() {
	m.Helper()
	for _, e := range m.events {
		rel := e.Path.s
		m.told.drop(rel)
		switch {
		case e.Gone:
		case e.Kind == KindFolder:
			for path, it := range m.plain {
				if path == rel || strings.HasPrefix(path, rel+"/") {
					m.told[path] = it
				}
			}
		default:
			m.told[rel] = item{kind: e.Kind, size: e.Size, mtime: e.ModTime.UnixNano(), digest: e.Digest, target: e.Target}
		}
	}
	m.events = nil
	for path, it := range m.plain {
		got, ok := m.told[path]
		if !ok || !it.unknown() && it.kind != KindFolder && !it.alike(&got) {
			m.Errorf("%q is %+v, told was %v %+v", path, it, ok, got)
		}
	}
	if len(m.told) != len(m.plain) {
		m.Errorf("told was of %d paths, want %d", len(m.told), len(m.plain))
	}
}

// checkKept saves what has changed, and compares what the cache has then.
func (m *pictured) checkKept() {
	m.Helper()
	const filesystem = 7
	for more := true; more; {
		var folders []folderKeep
		var gone []string
		var upTo Cursor
		folders, gone, upTo, more = m.picture.toSave(func(uint64, string) uint64 { return filesystem })
		if !m.keeper.save(folders, gone, upTo) {
			m.Fatal("the cache does not save")
		}
	}
	for _, rel := range m.picture.folders("") {
		n := m.picture.at(rel)
		kept := m.keeper.folder(rel, filesystem)
		if !kept.known || kept.count() != n.count {
			m.Errorf("the cache knows %q: %v, with %d children, want %d", rel, kept.known, kept.count(), n.count)
		}
		if other := m.keeper.folder(rel, filesystem+1); len(other.chunks) > 0 {
			m.Errorf("the cache has %q on another filesystem", rel)
		}
		var got []item
		for _, c := range kept.chunks {
			for i := range c.len() {
				got = append(got, c.item(i))
			}
		}
		for i, name := range m.plain.below(rel) {
			if i >= len(got) || got[i] != m.plain[joinPath(rel, name)] {
				m.Fatalf("the cache has other children of %q", rel)
			}
		}
		again := &node{count: n.count}
		again.reuse(&kept)
		if n.split && n.count >= hashing.BucketedChildrenMin && len(again.slots) != len(n.slots) {
			m.Errorf("%q comes back in %d chunks, want %d", rel, len(again.slots), len(n.slots))
		}
	}
	if gone := m.keeper.folder("gone", filesystem); gone.known {
		m.Error("the cache knows a folder that never was")
	}
}

// FuzzChunk holds that nothing that valid allows makes a chunk fail later.
func FuzzChunk(f *testing.F) {
	var b chunkBuilder
	f.Add([]byte(b.take()), "a")
	b.add(&item{name: "a", kind: KindFile, size: 1, digest: hashing.Sum([]byte("a"))})
	f.Add([]byte(b.take()), "a")
	for _, name := range []string{"a", "b", "c"} {
		b.add(&item{name: name, kind: KindLink, target: "to\x00" + name})
		b.add(&item{name: name + "d", kind: KindFolder})
	}
	whole := []byte(b.take())
	f.Add(whole, "bd")
	f.Add(whole[:len(whole)-1], "bd")
	f.Add([]byte{0xff, 0xff, 0xff, 0xff}, "")
	f.Add([]byte{0, 0, 0, 0, 'x'}, "x")
	f.Fuzz(func(t *testing.T, data []byte, name string) {
		c := chunk(data)
		if !c.valid() {
			return
		}
		_, _ = c.find(name)
		_, _ = c.last(), c.endsBucket()
		c.modTimes()
		var copied, built chunkBuilder
		for i := range c.len() {
			it := c.item(i)
			if found, ok := c.find(it.name); !ok || found.name != it.name || string(c.name(i)) != it.name {
				t.Fatalf("%q is not found", it.name)
			}
			built.add(&it)
		}
		copied.copy(c, 0, c.len()/2)
		copied.copy(c, c.len()/2, c.len())
		if again := copied.take(); !again.valid() || again.len() != c.len() {
			t.Fatalf("%d of %d records are copied", again.len(), c.len())
		}
		if again := built.take(); !again.valid() {
			t.Fatal("what was built from a valid chunk is none")
		}
	})
}
