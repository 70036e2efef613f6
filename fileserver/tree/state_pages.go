package tree

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"slices"
)

// The file format of bbolt, version 2. Numbers are in the byte order of the machine.
const (
	pageHeadBytes    = 16 // id u64, flags u16, count u16, overflow u32
	pageElementBytes = 16 // branch: pos u32, ksize u32, id u64; leaf: flags u32, pos u32, ksize u32, vsize u32
	bucketHeadBytes  = 16 // root u64, sequence u64; with root 0 a leaf page follows, else it is elsewhere
	metaBytes        = 64

	pageBranch   = 0x01
	pageLeaf     = 0x02
	pageMeta     = 0x04
	pageFreelist = 0x10
	leafBucket   = 0x01 // of an element: its value is a bucket

	metaMagic    = 0xED0CDAED
	metaVersion  = 2
	freelistNone = ^uint64(0)
	freelistLong = 0xFFFF // of count: the number of ids is the first of them
)

var order = binary.NativeEndian

// A pageCheck walks all pages of a file that bbolt wrote, with nothing but reads of it: bbolt's own check maps the file,
// follows what it finds there in circles if it leads there, and does so where a panic ends the process.
type pageCheck struct {
	file     io.ReaderAt
	pageSize uint64
	end      uint64 // number of pages
	seen     []bool // by page: it is in use or free
	older    bool   // one meta page is damaged, maybe the younger one

	scratch  []byte        // the last page that was read
	elements []pageElement // of a leaf
}

// checkPages returns errStateDamaged for a file in which a page is not what bbolt would have written in its place, is in use
// twice, or is lost. The bytes of keys and values are their owners' to check, beyond the order of keys. One of the two meta
// pages may be damaged; then the file may be as it was before the last transaction, and older is true.
func checkPages(name string, pageSize int) (older bool, err error) {
	f, err := os.Open(name)
	if err != nil {
		return false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	c := &pageCheck{file: f, pageSize: uint64(pageSize)}
	if err := c.run(uint64(info.Size())); err != nil {
		return false, fmt.Errorf("%w: %w", errStateDamaged, err)
	}
	return c.older, nil
}

func (c *pageCheck) run(size uint64) error {
	root, freelist, err := c.meta()
	if err != nil {
		return err
	}
	if c.end < 4 || c.end > size/c.pageSize {
		return fmt.Errorf("%d pages in %d bytes", c.end, size)
	}
	c.seen = make([]bool, c.end)
	c.seen[0], c.seen[1] = true, true
	if err := c.freelist(freelist); err != nil {
		return err
	}
	if err := c.tree(root, nil, nil); err != nil {
		return err
	}
	for id, seen := range c.seen {
		if !seen {
			return fmt.Errorf("page %d is lost", id)
		}
	}
	return nil
}

// meta reads the younger of the two meta pages that is whole: one may have been half written when the power went.
func (c *pageCheck) meta() (root, freelist uint64, err error) {
	youngest := int64(-1)
	for id := range uint64(2) {
		page := make([]byte, pageHeadBytes+metaBytes)
		if _, err := c.file.ReadAt(page, int64(id*c.pageSize)); err != nil {
			return 0, 0, err
		}
		// magic, version, page size and flags u32; root, its sequence, freelist, end, transaction, sum u64
		m := page[pageHeadBytes:]
		sum := fnv.New64a()
		_, _ = sum.Write(m[:56])
		if order.Uint32(m) != metaMagic || order.Uint32(m[4:]) != metaVersion || order.Uint64(m[56:]) != sum.Sum64() {
			c.older = true
			continue
		}
		if tx := int64(order.Uint64(m[48:])); tx > youngest {
			youngest = tx
			root, freelist, c.end = order.Uint64(m[16:]), order.Uint64(m[32:]), order.Uint64(m[40:])
		}
	}
	if youngest < 0 {
		return 0, 0, fmt.Errorf("no meta page is whole")
	}
	return root, freelist, nil
}

// page reads a page, with its overflow, that is of one of the kinds, and takes note that it is in use. The next call overwrites
// it.
func (c *pageCheck) page(id uint64, kinds uint16) ([]byte, error) {
	if id >= c.end {
		return nil, fmt.Errorf("page %d of %d", id, c.end)
	}
	c.scratch = slices.Grow(c.scratch[:0], int(c.pageSize))
	head := c.scratch[:c.pageSize]
	if _, err := c.file.ReadAt(head, int64(id*c.pageSize)); err != nil {
		return nil, fmt.Errorf("page %d: %w", id, err)
	}
	flags, overflow := order.Uint16(head[8:]), uint64(order.Uint32(head[12:]))
	switch {
	case order.Uint64(head) != id:
		return nil, fmt.Errorf("page %d says that it is page %d", id, order.Uint64(head))
	case flags&kinds == 0 || flags&^kinds != 0 || flags&(flags-1) != 0:
		return nil, fmt.Errorf("page %d is of kind %#x", id, flags)
	case overflow >= c.end-id:
		return nil, fmt.Errorf("page %d is %d pages long", id, overflow+1)
	}
	for i := id; i <= id+overflow; i++ {
		if err := c.use(i); err != nil {
			return nil, err
		}
	}
	if overflow == 0 {
		return head, nil
	}
	c.scratch = slices.Grow(c.scratch[:0], int((overflow+1)*c.pageSize))
	whole := c.scratch[:(overflow+1)*c.pageSize]
	_, err := c.file.ReadAt(whole, int64(id*c.pageSize))
	return whole, err
}

func (c *pageCheck) use(id uint64) error {
	if id >= c.end || c.seen[id] {
		return fmt.Errorf("page %d is used twice, or free, or beyond the end", id)
	}
	c.seen[id] = true
	return nil
}

// freelist reads which pages are free.
func (c *pageCheck) freelist(id uint64) error {
	if id == freelistNone {
		return fmt.Errorf("no list of free pages")
	}
	page, err := c.page(id, pageFreelist)
	if err != nil {
		return err
	}
	count, ids := uint64(order.Uint16(page[10:])), page[pageHeadBytes:]
	if count == freelistLong {
		count, ids = order.Uint64(ids), ids[8:]
	}
	if count > uint64(len(ids))/8 {
		return fmt.Errorf("%d free pages in a list of %d bytes", count, len(ids))
	}
	for i := range count {
		if err := c.use(order.Uint64(ids[8*i:])); err != nil {
			return err
		}
	}
	return nil
}

// tree checks the page that holds the keys from low up to high, both nil where there is no bound, and all below it.
func (c *pageCheck) tree(id uint64, low, high []byte) error {
	page, err := c.page(id, pageBranch|pageLeaf)
	if err != nil {
		return err
	}
	leaf, elements := order.Uint16(page[8:]) == pageLeaf, c.elements[:0]
	if !leaf {
		page, elements = bytes.Clone(page), nil // of use until all below is checked
	}
	if elements, err = elementsOf(page, elements); err == nil {
		err = inOrder(elements, low, high)
	}
	if err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	}
	if leaf {
		c.elements = elements
		return c.buckets(elements)
	}
	if len(elements) == 0 {
		return fmt.Errorf("page %d: a branch without twigs", id)
	}
	for i, e := range elements {
		above := high
		if i+1 < len(elements) {
			above = elements[i+1].key
		}
		if err := c.tree(e.page, e.key, above); err != nil {
			return err
		}
	}
	return nil
}

// buckets checks the buckets among the elements of a leaf.
func (c *pageCheck) buckets(elements []pageElement) error {
	var buckets []pageElement
	for _, e := range elements {
		if e.bucket { // of use after the next page was read
			buckets = append(buckets, pageElement{key: bytes.Clone(e.key), value: bytes.Clone(e.value)})
		}
	}
	for _, e := range buckets {
		if len(e.value) < bucketHeadBytes {
			return fmt.Errorf("bucket %q is %d bytes long", e.key, len(e.value))
		}
		if root := order.Uint64(e.value); root != 0 {
			if err := c.tree(root, nil, nil); err != nil {
				return fmt.Errorf("bucket %q: %w", e.key, err)
			}
			continue
		}
		page := e.value[bucketHeadBytes:]
		if len(page) < pageHeadBytes || order.Uint16(page[8:]) != pageLeaf {
			return fmt.Errorf("bucket %q holds no page", e.key)
		}
		inner, err := elementsOf(page, nil)
		if err == nil {
			err = inOrder(inner, nil, nil)
		}
		if err == nil {
			err = c.buckets(inner)
		}
		if err != nil {
			return fmt.Errorf("bucket %q: %w", e.key, err)
		}
	}
	return nil
}

type pageElement struct {
	key, value []byte
	page       uint64 // of an element of a branch
	bucket     bool   // of an element of a leaf
}

// elementsOf reads the elements of a page. Their bytes follow each other without a hole, so that no count and no length can
// be wrong alone. They take the place of those that are given.
func elementsOf(page []byte, elements []pageElement) ([]pageElement, error) {
	count, leaf := int(order.Uint16(page[10:])), order.Uint16(page[8:]) == pageLeaf
	at := pageHeadBytes + count*pageElementBytes
	if at > len(page) {
		return nil, fmt.Errorf("%d elements in %d bytes", count, len(page))
	}
	elements = slices.Grow(elements[:0], count)[:count]
	for i := range elements {
		elements[i] = pageElement{}
		start := pageHeadBytes + i*pageElementBytes
		head := page[start:]
		pos, ksize, vsize := order.Uint32(head), order.Uint32(head[4:]), uint32(0)
		if leaf {
			pos, ksize, vsize = order.Uint32(head[4:]), order.Uint32(head[8:]), order.Uint32(head[12:])
			flags := order.Uint32(head)
			elements[i].bucket = flags == leafBucket
			if flags > leafBucket {
				return nil, fmt.Errorf("element %d is of kind %#x", i, flags)
			}
		} else {
			elements[i].page = order.Uint64(head[8:])
		}
		if start+int(pos) != at || uint64(ksize)+uint64(vsize) > uint64(len(page)-at) || ksize == 0 {
			return nil, fmt.Errorf("element %d is not in its place", i)
		}
		split, end := at+int(ksize), at+int(ksize)+int(vsize)
		elements[i].key, elements[i].value = page[at:split], page[split:end]
		at = end
	}
	return elements, nil
}

// inOrder checks that keys rise from low up to high. The first key of a branch may be greater than that above it, not less.
func inOrder(elements []pageElement, low, high []byte) error {
	for i, e := range elements {
		switch {
		case i == 0 && bytes.Compare(e.key, low) < 0, i > 0 && bytes.Compare(elements[i-1].key, e.key) >= 0:
			return fmt.Errorf("key %q is out of order", e.key)
		case high != nil && bytes.Compare(e.key, high) >= 0:
			return fmt.Errorf("key %q is beyond those of its page", e.key)
		}
	}
	return nil
}
