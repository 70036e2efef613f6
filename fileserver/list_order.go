package fileserver

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"freshet/fileserver/tree"
)

// A groupKind parts a listing in two.
type groupKind byte

const (
	groupFolders groupKind = 'd'
	groupOthers  groupKind = 'f'
)

// A place is what decides where in a listing an entry stands.
type place struct {
	group groupKind
	value int64  // size or time; 0 when the order is by name
	key   []byte // natural key of name
	name  string
}

// compare is the order of a listing. It is total: no two names of one folder are equal. The order of the library for
// natural sorting is not, since it takes "01a" for "1a" and yet puts "1" between them, and no cursor could be trusted
// in it.
func (a place) compare(b place, q listingQuery) int {
	if a.group != b.group {
		return cmp.Compare(a.group, b.group)
	}
	if a.value != b.value {
		return directed(cmp.Compare(a.value, b.value), q.Descending)
	}
	c := cmp.Or(bytes.Compare(a.key, b.key), strings.Compare(a.name, b.name))
	return directed(c, q.Descending && q.Sort == sortByName)
}

func directed(c int, descending bool) int {
	if descending {
		return -c
	}
	return c
}

// A sorter holds what the entries of a folder are sorted by. Beside the entries it takes their names once more, for
// the keys, and 32 bytes for each.
type sorter struct {
	entries []tree.Entry
	query   listingQuery
	keys    []byte // the natural keys of all names, in one piece
	ends    []int  // where in keys that of each entry ends
}

// A sortItem stands for one entry while the order is made. Most pairs of items differ in head, so that few looks at
// the entries themselves are needed.
type sortItem struct {
	head  uint64 // in the order of the listing as far as it goes
	index int
}

// sortEntries returns pointers to entries in the order of q.
func sortEntries(entries []tree.Entry, q listingQuery) []*tree.Entry {
	s := sorter{entries: entries, query: q, ends: make([]int, len(entries))}
	nameBytes := 0
	for i := range entries {
		nameBytes += len(entries[i].Name) + numberMarkBytes
	}
	s.keys = make([]byte, 0, nameBytes)
	items := make([]sortItem, len(entries))
	folders, others := 0, len(entries)
	for i := range entries {
		s.keys = appendNaturalKey(s.keys, entries[i].Name)
		s.ends[i] = len(s.keys)
		if groupOf(&entries[i]) == groupFolders {
			items[folders].index = i
			folders++
		} else {
			others--
			items[others].index = i
		}
	}
	s.sort(items[:folders])
	s.sort(items[folders:])
	sorted := make([]*tree.Entry, len(items))
	for i, item := range items {
		sorted[i] = &entries[item.index]
	}
	return sorted
}

// sort sorts items of one group.
func (s *sorter) sort(items []sortItem) {
	s.setHeads(items)
	slices.SortFunc(items, func(a, b sortItem) int {
		switch {
		case a.head < b.head:
			return -1
		case a.head > b.head:
			return 1
		}
		return s.place(a.index).compare(s.place(b.index), s.query)
	})
}

func (s *sorter) place(i int) place {
	e := &s.entries[i]
	return place{group: groupOf(e), value: sortValue(e, s.query.Sort), key: s.key(i), name: e.Name}
}

func (s *sorter) key(i int) []byte {
	if i == 0 {
		return s.keys[:s.ends[0]]
	}
	return s.keys[s.ends[i-1]:s.ends[i]]
}

// setHeads takes the heads from the sizes or times, or from where the keys begin to differ, since in large folders
// the names tend to begin alike.
func (s *sorter) setHeads(items []sortItem) {
	skip := 0
	if s.query.Sort == sortByName {
		skip = s.commonBytes(items)
	}
	for i := range items {
		var head uint64
		if s.query.Sort == sortByName {
			var b [8]byte
			copy(b[:], s.key(items[i].index)[skip:])
			head = binary.BigEndian.Uint64(b[:])
		} else {
			head = uint64(sortValue(&s.entries[items[i].index], s.query.Sort)) ^ 1<<63 // negative before positive
		}
		if s.query.Descending {
			head = ^head
		}
		items[i].head = head
	}
}

// commonBytes returns how many bytes all keys of items begin with in common.
func (s *sorter) commonBytes(items []sortItem) int {
	if len(items) == 0 {
		return 0
	}
	common := s.key(items[0].index)
	for _, item := range items {
		key := s.key(item.index)
		n := 0
		for n < len(common) && n < len(key) && common[n] == key[n] {
			n++
		}
		common = common[:n]
	}
	return len(common)
}

// A listingWindow is the part of a sorted listing that is shown: entries[from:to].
type listingWindow struct {
	entries  []*tree.Entry
	from, to int
	limit    int // 0 for none
}

// cutWindow sorts entries as q says and cuts out the at most limit ones after q's cursor; 0 is no limit.
func cutWindow(entries []tree.Entry, q listingQuery, limit int) listingWindow {
	w := listingWindow{entries: sortEntries(entries, q), limit: limit}
	if q.After != nil {
		at := q.After.place()
		w.from, _ = slices.BinarySearchFunc(w.entries, at, func(e *tree.Entry, at place) int {
			if cursorBehind(e, q.Sort).place().compare(at, q) > 0 {
				return 1
			}
			return -1 // the entry that the cursor names is before the window
		})
	}
	w.to = len(w.entries)
	if limit > 0 {
		w.to = min(w.to, w.from+limit)
	}
	return w
}

// shown returns what is in the window.
func (w *listingWindow) shown() []*tree.Entry { return w.entries[w.from:w.to] }

// leadsTo returns what a person finds who opens e: what a link leads to, if that may be followed, and else e itself.
func leadsTo(e *tree.Entry) *tree.Entry {
	if e.Kind == tree.KindLink && e.Followed != nil {
		return e.Followed
	}
	return e
}

func groupOf(e *tree.Entry) groupKind {
	if leadsTo(e).Kind == tree.KindFolder {
		return groupFolders
	}
	return groupOthers
}

// sortValue is what e is sorted by before its name. Folders have no size of their own.
func sortValue(e *tree.Entry, by sortKey) int64 {
	e = leadsTo(e)
	switch {
	case by == sortByTime:
		return timeValue(e.ModTime)
	case by == sortBySize && e.IsFile():
		return e.Size
	}
	return 0
}

// timeValue returns t in nanoseconds since 1970, held at the ends of what 64 bits can say (the years 1677 and 2262).
func timeValue(t time.Time) int64 {
	const secondsMax = math.MaxInt64/int64(time.Second) - 1
	switch s := t.Unix(); {
	case s > secondsMax:
		return math.MaxInt64
	case s < -secondsMax:
		return math.MinInt64
	}
	return t.UnixNano()
}

// appendNaturalKey appends to b a key for name such that the keys of names, compared byte by byte, are in natural
// order: the letters in lower case and without accents, however composed, and each run of digits as the digit 0, the
// length of the number without leading zeros (one byte: NameBytesMax is below 256) and its digits. A number so sorts
// among other characters as a digit does, and among numbers by its value, however large.
//
// Names that differ only in what the key leaves out have equal keys.
func appendNaturalKey(b []byte, name string) []byte {
	for i := range len(name) {
		if name[i] >= utf8.RuneSelf {
			name = foldName(name)
			break
		}
	}
	for i := 0; i < len(name); {
		c := name[i]
		if c >= '0' && c <= '9' {
			end := i
			for end < len(name) && name[end] >= '0' && name[end] <= '9' {
				end++
			}
			digits := strings.TrimLeft(name[i:end], "0")
			b = append(b, '0', byte(len(digits)))
			b = append(b, digits...)
			i = end
			continue
		}
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		b = append(b, c)
		i++
	}
	return b
}

// numberMarkBytes is by how much the key of a name of one number is longer than the name. Names with more numbers are
// longer still.
const numberMarkBytes = 2

// foldName takes case and accents from name. Bytes that are not UTF-8 stay as they are.
func foldName(name string) string {
	var b strings.Builder
	for rest := norm.NFD.String(name); rest != ""; {
		r, size := utf8.DecodeRuneInString(rest)
		switch {
		case r == utf8.RuneError && size == 1:
			b.WriteByte(rest[0])
		case r < combiningFirst || r > combiningLast:
			b.WriteRune(unicode.ToLower(r))
		}
		rest = rest[size:]
	}
	return b.String()
}

// The block of combining diacritical marks: what is left of the accents of Latin, Greek and Cyrillic letters in NFD.
const (
	combiningFirst = 0x0300
	combiningLast  = 0x036f
)
