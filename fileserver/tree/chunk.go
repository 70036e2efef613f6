package tree

import (
	"bytes"
	"encoding/binary"
	"sort"
	"time"

	"freshet/hashing"
)

// An item is one child of a folder as the picture holds it.
type item struct {
	name   string
	kind   Kind
	flags  byte
	ino    uint64
	size   int64
	ctime  int64          // nanoseconds since 1970
	mtime  int64          // nanoseconds since 1970
	digest hashing.Digest // of a file's bytes, zero while not known; of a link's text; of folders it is kept elsewhere
	target string         // of a link
}

// What is known about an item's digest besides its value.
const (
	itemTrusted   byte = 1 << iota // an equal stamp means equal bytes: Record.Trusted
	itemCertified                  // Record.Certified
	itemForeign                    // it is on another device than its folder, so that its stamp says nothing here
	itemLinked                     // it is a file with several names
)

// itemPlace are those that do not say anything about a digest.
const itemPlace = itemForeign | itemLinked

// isFile reports whether it is a regular file.
func (it *item) isFile() bool { return it.kind == KindFile || it.kind == KindExecutable }

// folderID is what the folder that it stands for is known by, as far as can be told: its parent is on dev.
func (it *item) folderID(dev uint64) hashing.Inode {
	if it.flags&itemForeign != 0 {
		dev = 0
	}
	return hashing.Inode{Dev: dev, Ino: it.ino}
}

// unknown reports whether it is a file without a digest.
func (it *item) unknown() bool { return it.isFile() && it.digest.IsZero() }

// same reports whether two items are of the same state of the same file.
func (it *item) same(o *item) bool {
	return it.kind == o.kind && it.ino == o.ino && it.size == o.size && it.ctime == o.ctime && it.target == o.target &&
		(it.flags^o.flags)&itemForeign == 0
}

// alike reports whether it makes no difference to a reader which of two items is there.
func (it *item) alike(o *item) bool {
	return it.kind == o.kind && it.size == o.size && it.mtime == o.mtime && it.digest == o.digest && it.target == o.target
}

// entry describes it. The fingerprint of a folder is for the caller to add.
func (it *item) entry(dev uint64) Entry {
	return Entry{
		Name: it.name, Kind: it.kind, Size: it.size, ModTime: time.Unix(0, it.mtime), Digest: it.digest, Target: it.target,
		Stamp: hashing.Stamp{Dev: dev, Ino: it.ino, Size: it.size, Ctime: it.ctime},
	}
}

// A chunk holds the items of a folder, or of a part of a large one, sorted by the bytes of their names, in one piece of
// memory without pointers: a number of records of recordBytes, then the names they end at. It is never changed, so whoever
// holds one has a state that stands still; and it is what the cache writes to disk. The zero chunk is empty.
//
//	u32 number of records
//	records: u64 ino, u64 size, u64 ctime, u64 mtime, 16 bytes digest, u32 end of the name, u8 kind, u8 flags, u16 zero
//	names: of each record its name, and of a link a NUL and its text
type chunk []byte

const (
	chunkHeadBytes = 4
	recordBytes    = 56
)

// Offsets in a record.
const (
	atIno, atSize, atCtime, atMtime, atDigest, atEnd, atKind, atFlags = 0, 8, 16, 24, 32, 48, 52, 53
)

func (c chunk) len() int {
	if len(c) == 0 {
		return 0
	}
	return int(binary.LittleEndian.Uint32(c))
}

func (c chunk) record(i int) []byte {
	at := chunkHeadBytes + i*recordBytes
	return c[at : at+recordBytes]
}

// names is where the names begin.
func (c chunk) names() int { return chunkHeadBytes + c.len()*recordBytes }

// end returns where the text of record i ends, counted from names.
func (c chunk) end(i int) int {
	if i < 0 {
		return 0
	}
	return int(binary.LittleEndian.Uint32(c.record(i)[atEnd:]))
}

// text is the name of record i, and for a link what follows it.
func (c chunk) text(i int) []byte {
	names := c.names()
	return c[names+c.end(i-1) : names+c.end(i)]
}

func (c chunk) kind(i int) Kind { return Kind(c.record(i)[atKind]) }

// name returns the bytes of a name, which must not be changed.
func (c chunk) name(i int) []byte {
	text := c.text(i)
	if c.kind(i) == KindLink {
		if at := bytes.IndexByte(text, 0); at >= 0 {
			return text[:at]
		}
	}
	return text
}

// linked adds those files of a folder on dev that have several names to a set.
func (c chunk) linked(dev uint64, files map[hashing.Inode]struct{}) {
	for i := range c.len() {
		if c.record(i)[atFlags]&itemLinked != 0 {
			files[hashing.Inode{Dev: dev, Ino: c.ino(i)}] = struct{}{}
		}
	}
}

func (c chunk) digest(i int) hashing.Digest {
	return hashing.Digest(c.record(i)[atDigest : atDigest+16])
}

func (c chunk) ino(i int) uint64  { return binary.LittleEndian.Uint64(c.record(i)[atIno:]) }
func (c chunk) ctime(i int) int64 { return int64(binary.LittleEndian.Uint64(c.record(i)[atCtime:])) }
func (c chunk) size(i int) int64  { return int64(binary.LittleEndian.Uint64(c.record(i)[atSize:])) }

// item returns record i.
func (c chunk) item(i int) item {
	r := c.record(i)
	name := c.name(i)
	it := item{
		name: string(name), kind: Kind(r[atKind]), flags: r[atFlags],
		ino: binary.LittleEndian.Uint64(r[atIno:]), size: c.size(i),
		ctime: int64(binary.LittleEndian.Uint64(r[atCtime:])), mtime: int64(binary.LittleEndian.Uint64(r[atMtime:])),
		digest: c.digest(i),
	}
	if text := c.text(i); len(text) > len(name) {
		it.target = string(text[len(name)+1:])
	}
	return it
}

// search returns where name is, or where it would be.
func (c chunk) search(name string) (i int, found bool) {
	n := c.len()
	i = sort.Search(n, func(i int) bool { return string(c.name(i)) >= name })
	return i, i < n && string(c.name(i)) == name
}

// find returns the item called name.
func (c chunk) find(name string) (item, bool) {
	i, ok := c.search(name)
	if !ok {
		return item{}, false
	}
	return c.item(i), true
}

// last returns the last name, "" if there is none.
func (c chunk) last() string {
	if n := c.len(); n > 0 {
		return string(c.name(n - 1))
	}
	return ""
}

// valid reports whether bytes that come from outside can be used as a chunk: every offset inside, the names sorted.
func (c chunk) valid() bool {
	if len(c) == 0 {
		return true
	}
	if len(c) < chunkHeadBytes || c.len() > (len(c)-chunkHeadBytes)/recordBytes {
		return false
	}
	last, names := 0, len(c)-c.names()
	for i := range c.len() {
		end := c.end(i)
		if end <= last || end > names {
			return false
		}
		last = end
	}
	if last != names {
		return false
	}
	for i := range c.len() {
		if k := c.kind(i); k != KindFile && k != KindExecutable && k != KindFolder && k != KindLink || len(c.name(i)) == 0 {
			return false
		}
		if i > 0 && bytes.Compare(c.name(i-1), c.name(i)) >= 0 {
			return false
		}
	}
	return true
}

// unchanged reports whether record i, on the device dev, describes what m does, and its digest can go on being used.
func (c chunk) unchanged(i int, m *meta, dev uint64) bool {
	r := c.record(i)
	if binary.LittleEndian.Uint64(r[atIno:]) != m.stamp.Ino || int64(binary.LittleEndian.Uint64(r[atMtime:])) != m.mtime ||
		m.stamp.Dev != dev || r[atFlags]&itemForeign != 0 {
		return false
	}
	kind := Kind(r[atKind])
	if kind == KindFolder {
		return m.isFolder()
	}
	if int64(binary.LittleEndian.Uint64(r[atCtime:])) != m.stamp.Ctime {
		return false
	}
	if kind == KindLink {
		return m.isLink()
	}
	return m.isRegular() && c.size(i) == m.stamp.Size && r[atFlags]&itemTrusted != 0 &&
		(kind == KindExecutable) == (m.mode&0o100 != 0) && !c.digest(i).IsZero()
}

// A chunkBuilder gathers items in the order of their names.
type chunkBuilder struct {
	n       int
	records []byte
	names   []byte

	run      chunk // records of it that come next, and are not copied before that must be
	from, to int
}

// reset forgets everything.
func (b *chunkBuilder) reset() {
	*b = chunkBuilder{records: b.records[:0], names: b.names[:0]}
}

// keep adds record i of c.
func (b *chunkBuilder) keep(c chunk, i int) {
	if b.from < b.to && b.to == i && &b.run[0] == &c[0] {
		b.to++
		return
	}
	b.settle()
	b.run, b.from, b.to = c, i, i+1
}

// settle copies what keep has put off.
func (b *chunkBuilder) settle() {
	run, from, to := b.run, b.from, b.to
	b.run, b.from, b.to = nil, 0, 0
	b.copy(run, from, to)
}

func (b *chunkBuilder) add(it *item) {
	b.settle()
	var r [recordBytes]byte
	binary.LittleEndian.PutUint64(r[atIno:], it.ino)
	binary.LittleEndian.PutUint64(r[atSize:], uint64(it.size))
	binary.LittleEndian.PutUint64(r[atCtime:], uint64(it.ctime))
	binary.LittleEndian.PutUint64(r[atMtime:], uint64(it.mtime))
	copy(r[atDigest:], it.digest[:])
	b.names = append(b.names, it.name...)
	if it.kind == KindLink {
		b.names = append(b.names, 0)
		b.names = append(b.names, it.target...)
	}
	binary.LittleEndian.PutUint32(r[atEnd:], uint32(len(b.names)))
	r[atKind], r[atFlags] = byte(it.kind), it.flags
	b.records = append(b.records, r[:]...)
	b.n++
}

// copy adds the records from up to to of c.
func (b *chunkBuilder) copy(c chunk, from, to int) {
	if from >= to {
		return
	}
	names, start, end := c.names(), c.end(from-1), c.end(to-1)
	at, shift := len(b.records), len(b.names)-start
	b.names = append(b.names, c[names+start:names+end]...)
	b.records = append(b.records, c[chunkHeadBytes+from*recordBytes:chunkHeadBytes+to*recordBytes]...)
	for ; at < len(b.records); at += recordBytes {
		field := b.records[at+atEnd:]
		binary.LittleEndian.PutUint32(field, uint32(int(binary.LittleEndian.Uint32(field))+shift))
	}
	b.n += to - from
}

// take returns what was gathered, in memory of its own, and starts anew.
func (b *chunkBuilder) take() chunk {
	b.settle()
	if b.n == 0 {
		return nil
	}
	c := make(chunk, chunkHeadBytes+len(b.records)+len(b.names))
	binary.LittleEndian.PutUint32(c, uint32(b.n))
	copy(c[chunkHeadBytes:], b.records)
	copy(c[chunkHeadBytes+len(b.records):], b.names)
	b.n, b.records, b.names = 0, b.records[:0], b.names[:0]
	return c
}
