package tree

import (
	"bytes"
	"encoding/binary"
	"slices"

	"freshet/hashing"
)

// rebuild makes edits, which are sorted by name and each change something, in the chunks of n. Chunks without an edit stay
// as they are.
func (n *node) rebuild(edits []edit) {
	files, bytes, unknown, count := n.balance(edits)
	n.count += count
	n.weigh(files, bytes, unknown)
	if len(edits) == 1 && n.replace(edits) {
		return
	}
	var b chunkBuilder
	old := n.slots
	slots := make([]slot, 0, len(old)+1)
	for k := 0; k < len(old) || len(edits) > 0; {
		if k == len(old) { // a folder that was empty
			n.merge(&b, nil, edits)
			edits = nil
			slots = n.cut(slots, b.take())
			break
		}
		mine := editsUpTo(edits, old, k)
		edits = edits[len(mine):]
		if len(mine) == 0 {
			slots = append(slots, old[k])
			k++
			continue
		}
		n.merge(&b, old[k].items, mine)
		k++
		for n.split && k < len(old) && !b.endsBucket() { // its last name has gone: the next one goes on in it
			mine = editsUpTo(edits, old, k)
			edits = edits[len(mine):]
			n.merge(&b, old[k].items, mine)
			k++
		}
		slots = n.cut(slots, b.take())
	}
	n.slots = slots
	if !n.split && n.count >= splitChildrenMin {
		n.resplit()
	}
}

// replace makes one edit that leaves the other slots as they are, and reports false if there is none such. Who holds slots
// outside the critical section has a copy.
func (n *node) replace(edits []edit) bool {
	if len(n.slots) == 0 || !n.split && n.count >= splitChildrenMin {
		return false
	}
	k := n.slotOf(edits[0].name)
	var b chunkBuilder
	n.merge(&b, n.slots[k].items, edits)
	if n.split && k < len(n.slots)-1 && !b.endsBucket() {
		return false
	}
	n.slots = slices.Replace(n.slots, k, k+1, n.cut(nil, b.take())...)
	return true
}

// editsUpTo returns those edits that belong into slot k: all up to its last name, or all that are left.
func editsUpTo(edits []edit, slots []slot, k int) []edit {
	if k == len(slots)-1 {
		return edits
	}
	last, i := slots[k].items.last(), 0
	for i < len(edits) && edits[i].name <= last {
		i++
	}
	return edits[:i]
}

// balance is how edits change the counts: of files and links, bytes, files without a digest, and children.
func (n *node) balance(edits []edit) (files, bytes, unknown int64, count int) {
	tally := func(it *item, sign int64) {
		count += int(sign)
		switch {
		case it.kind == KindFolder:
			return
		case it.unknown():
			unknown += sign
		}
		files += sign
		if it.isFile() {
			bytes += sign * it.size
		}
	}
	for i := range edits {
		if old, had := n.item(edits[i].name); had {
			tally(&old, -1)
		}
		if edits[i].item != nil {
			tally(edits[i].item, 1)
		}
	}
	return files, bytes, unknown, count
}

// merge adds the items of c to b with edits made.
func (n *node) merge(b *chunkBuilder, c chunk, edits []edit) {
	at := 0
	for i := range edits {
		e := &edits[i]
		to, found := c.search(e.name)
		b.copy(c, at, to)
		at = to
		if found {
			at++
		}
		if e.item != nil {
			b.add(e.item)
		}
	}
	b.copy(c, at, c.len())
}

// endsBucket reports whether the last item added ends a bucket. Nothing at all ends none.
func (b *chunkBuilder) endsBucket() bool {
	if b.n == 0 {
		return false
	}
	start := 0
	if b.n > 1 {
		start = int(binary.LittleEndian.Uint32(b.records[len(b.records)-2*recordBytes+atEnd:]))
	}
	name := b.names[start:]
	if kind := b.records[len(b.records)-recordBytes+atKind]; Kind(kind) == KindLink {
		name, _, _ = bytes.Cut(name, []byte{0})
	}
	return hashing.EndsBucket(name)
}

// endsBucket reports whether the last item ends a bucket.
func (c chunk) endsBucket() bool { return c.len() > 0 && hashing.EndsBucket(c.name(c.len()-1)) }

// cut appends c to slots: whole, or in a split folder one slot for each bucket.
func (n *node) cut(slots []slot, c chunk) []slot {
	if !n.split {
		if c.len() > 0 {
			slots = append(slots, slot{items: c})
		}
		return slots
	}
	var b chunkBuilder
	from := 0
	for i := range c.len() {
		if i == c.len()-1 || hashing.EndsBucket(c.name(i)) {
			b.copy(c, from, i+1)
			slots = append(slots, slot{items: b.take()})
			from = i + 1
		}
	}
	return slots
}

// resplit cuts the chunks of a folder that has become large.
func (n *node) resplit() {
	n.split = true
	var b chunkBuilder
	for i := range n.slots {
		b.copy(n.slots[i].items, 0, n.slots[i].items.len())
	}
	n.slots = n.cut(nil, b.take())
}

// modTimes returns a number that changes with the modification time of any child.
func (n *node) modTimes() uint64 {
	all := make([]byte, 0, 8*len(n.slots))
	for i := range n.slots {
		s := &n.slots[i]
		if !s.timed {
			s.times, s.timed = s.items.modTimes(), true
		}
		all = binary.LittleEndian.AppendUint64(all, s.times)
	}
	return shortSum(all)
}

func (c chunk) modTimes() uint64 {
	all := make([]byte, 0, 8*c.len())
	for i := range c.len() {
		all = append(all, c.record(i)[atMtime:atMtime+8]...)
	}
	return shortSum(all)
}

func shortSum(b []byte) uint64 {
	sum := hashing.Sum(b)
	return binary.LittleEndian.Uint64(sum[:])
}
