package tree

import (
	"errors"
	"io"
	"time"

	"freshet/hashing"
)

// inlineBytesMax is the largest file that is hashed by a look at its folder; larger ones are left to be hashed by themselves.
const inlineBytesMax = 1 << 20

// ground is what the files of a folder have in common, which would cost a system call each to ask.
type ground struct {
	dev      uint64
	rel      Path
	leases   bool // the filesystem's leases hold against every writer
	mappings bool // stores through a mapping move its stamps
}

func (t *Tree) ground(rel Path, d dir) (ground, meta, error) {
	m, err := d.self()
	if err != nil {
		return ground{}, m, err
	}
	h := d.handle()
	return ground{dev: m.stamp.Dev, rel: rel, leases: h.reliable(), mappings: h.stampsMappings()}, m, nil
}

// A glance is what one look at a name has found.
type glance struct {
	item   item
	id     hashing.Inode // of a folder
	linked bool          // it is a file with several names
	absent bool
	later  laterWhy // its digest is not known yet
	blocks []uint64 // of a file that was hashed just now and has some
}

// laterWhy is why a file has to be looked at again.
type laterWhy byte

const (
	laterNot   laterWhy = iota
	laterLarge          // it is too large to be hashed in passing
	laterBusy           // a program has it open for writing; its digest may be known all the same
	laterMoved          // it did not hold still
)

// A glancer looks at names. It has the memory that this takes, and is not safe for concurrent use.
type glancer struct {
	tree *Tree
	buf  []byte
	sum  *hashing.Hasher

	list    listing
	builder chunkBuilder

	read bool // a file was read since this was last set to false
}

// name looks at one name. old is what was known of it, if anything. A file whose stamp is still the same keeps its digest.
func (g *glancer) name(d dir, at ground, name string, old *item) (glance, error) {
	if !g.tree.pictures(at.rel, name) {
		return glance{absent: true}, nil
	}
	m, err := d.stat(name)
	if err == nil && m.isSpecial() || errors.Is(err, ErrNotExist) {
		return glance{absent: true}, nil
	}
	if err != nil {
		return glance{}, err
	}
	found, err := g.found(d, at, name, m, old)
	found.linked = m.linked
	return found, err
}

// pictures reports whether a name in the folder at rel is one that is served.
func (t *Tree) pictures(rel Path, name string) bool {
	if checkName(name) != nil || isReserved(name) || len(rel.s)+1+len(name) > PathBytesMax {
		return false
	}
	return t.o.Only == "" || rel.IsRoot() && name == t.o.Only
}

// found goes on from what is at a name.
func (g *glancer) found(d dir, at ground, name string, m meta, old *item) (glance, error) {
	it := itemOf(m, name, at.dev)
	switch {
	case m.isFolder():
		return glance{item: it, id: m.stamp.Inode()}, nil
	case m.isLink():
		text, err := d.readlink(name)
		if err != nil {
			return glance{}, err
		}
		it.target, it.digest = text, g.tree.o.Algorithm.Sum([]byte(text))
		return glance{item: it}, nil
	}
	if old != nil && old.same(&it) && !old.unknown() && old.flags&itemTrusted != 0 {
		it.digest, it.flags = old.digest, it.flags|old.flags
		return glance{item: it}, nil
	}
	if rec, ok := g.tree.hasher.known(m.stamp); ok {
		it.setRecord(&rec)
		return glance{item: it}, nil
	}
	if it.size > inlineBytesMax {
		return glance{item: it, later: laterLarge}, nil
	}
	return g.hash(d, at, name)
}

// itemOf describes what is at a name in a folder on the device dev, without a digest.
func itemOf(m meta, name string, dev uint64) item {
	e := m.entry("")
	it := item{name: name, kind: e.Kind, ino: m.stamp.Ino, mtime: m.mtime}
	if m.isRegular() {
		it.size = m.stamp.Size
	}
	if !m.isFolder() { // what changes in a folder is told by what is in it
		it.ctime = m.stamp.Ctime
	}
	if m.stamp.Dev != dev {
		it.flags |= itemForeign
	}
	if m.linked && m.isRegular() {
		it.flags |= itemLinked
	}
	return it
}

// setRecord gives a file its digest.
func (it *item) setRecord(rec *hashing.Record) {
	it.digest = rec.Digest
	it.flags &= itemPlace
	if rec.Trusted() {
		it.flags |= itemTrusted
	}
	if rec.Certified {
		it.flags |= itemCertified
	}
}

// hash reads a small file whole and names it, under a lease if one can be had.
func (g *glancer) hash(d dir, at ground, name string) (glance, error) {
	h, err := d.openAny(name)
	if errors.Is(err, ErrNotExist) {
		return glance{absent: true}, nil
	}
	if err != nil {
		return glance{}, orMoved(err)
	}
	defer h.close()
	state := leaseNone
	if at.leases {
		state = h.leaseHere()
	}
	m, err := h.stat()
	if err == nil {
		err = orMoved(m.fileKind())
	}
	if err != nil {
		return glance{}, err
	}
	if m.stamp.Dev != at.dev { // a file that is mounted has another filesystem than its folder
		at.mappings = h.stampsMappings()
		if state == leaseGranted && !h.reliable() {
			state = leaseNone
		}
	}
	out := glance{item: itemOf(m, name, at.dev), linked: m.linked}
	if m.stamp.Size > inlineBytesMax {
		out.later = laterLarge
		return out, nil
	}
	rec, err := g.readWhole(h, m, state == leaseGranted)
	if errors.Is(err, errMoved) {
		out.later = laterMoved
		return out, nil
	}
	if err != nil {
		return glance{}, err
	}
	switch state {
	case leaseGranted:
		rec.Certified = at.mappings && certain(m.stamp)
	case leaseBusy:
		rec.Began, out.later = 0, laterBusy // whoever has it open may go on writing
	}
	out.item.setRecord(&rec)
	if out.blocks = rec.Blocks; rec.Trusted() && m.stamp.Size > hashing.BlockBytes {
		g.tree.hasher.remember(m, rec)
	}
	return out, nil
}

// readWhole hashes a file of at most inlineBytesMax that does not move meanwhile.
func (g *glancer) readWhole(h handle, m meta, held bool) (hashing.Record, error) {
	g.read = true
	if g.buf == nil {
		g.buf = make([]byte, inlineBytesMax)
	}
	rec := hashing.Record{Stamp: m.stamp, Began: time.Now().UnixNano()}
	body := g.buf[:m.stamp.Size]
	if n, err := h.readAt(body, 0); err == io.EOF && n < len(body) {
		return rec, errMoved
	} else if err != nil && err != io.EOF {
		return rec, err
	}
	if len(body) <= hashing.BlockBytes {
		rec.Digest = g.tree.o.Algorithm.Sum(body)
	} else {
		if g.sum == nil {
			g.sum = g.tree.o.Algorithm.NewHasher()
		}
		g.sum.Reset()
		_, _ = g.sum.Write(body)
		rec.Digest, rec.Blocks = g.sum.Digest(), g.sum.Blocks()
	}
	if held {
		if !h.leaseHeld() {
			return rec, errMoved
		}
		return rec, nil
	}
	after, err := h.stat()
	if err == nil && after.stamp != m.stamp {
		err = errMoved
	}
	return rec, err
}
