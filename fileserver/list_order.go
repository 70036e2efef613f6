package fileserver

import (
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

// A sortItem is the place of one entry in a listing.
type sortItem struct {
	group groupKind
	value int64  // size or time; 0 when the order is by name
	head  uint64 // eight bytes of key that most pairs of names differ in
	key   string // naturalKey of the name
	name  string
	entry *tree.Entry // nil for a cursor
}

// A groupKind parts a listing in two.
type groupKind byte

const (
	groupFolders groupKind = 'd'
	groupOthers  groupKind = 'f'
)

// A listingWindow is the part of a sorted listing that is shown: items[from:to].
type listingWindow struct {
	items    []sortItem
	from, to int
	limit    int // 0 for none
}

// cutWindow sorts entries as q says and cuts out the at most limit ones after q's cursor; 0 is no limit.
func cutWindow(entries []tree.Entry, q listingQuery, limit int) listingWindow {
	w := listingWindow{items: sortEntries(entries, q), limit: limit}
	if q.After != nil {
		at := placeOf(q.After, q.Sort)
		w.from, _ = slices.BinarySearchFunc(w.items, at, func(item, at sortItem) int {
			if compareItems(&item, &at, q) <= 0 { // the entry that the cursor names is before the window
				return -1
			}
			return 1
		})
	}
	w.to = len(w.items)
	if limit > 0 {
		w.to = min(w.to, w.from+limit)
	}
	return w
}

// shown returns what is in the window.
func (w *listingWindow) shown() []sortItem { return w.items[w.from:w.to] }

// sortEntries returns entries in the order of q.
func sortEntries(entries []tree.Entry, q listingQuery) []sortItem {
	items := make([]sortItem, len(entries))
	var keys []byte // of all entries, in one piece: one allocation in place of one for each
	ends := make([]int, len(entries))
	for i := range entries {
		keys = appendNaturalKey(keys, entries[i].Name)
		ends[i] = len(keys)
	}
	all, start := string(keys), 0
	for i := range items {
		e := &entries[i]
		items[i] = sortItem{group: groupOf(e), value: sortValue(e, q.Sort), key: all[start:ends[i]], name: e.Name, entry: e}
		start = ends[i]
	}
	setHeads(items)
	slices.SortFunc(items, func(a, b sortItem) int {
		if c := compareHeads(&a, &b, q); c != 0 {
			return c
		}
		return compareItems(&a, &b, q)
	})
	return items
}

// setHeads takes the heads from where the keys begin to differ, since in large folders the names tend to begin alike.
func setHeads(items []sortItem) {
	if len(items) == 0 {
		return
	}
	common := items[0].key
	for i := range items {
		n := 0
		for n < len(common) && n < len(items[i].key) && common[n] == items[i].key[n] {
			n++
		}
		common = common[:n]
	}
	for i := range items {
		var b [8]byte
		copy(b[:], items[i].key[len(common):])
		items[i].head = binary.BigEndian.Uint64(b[:])
	}
}

// compareHeads decides what can be decided without a look at the keys, and returns 0 for the rest.
func compareHeads(a, b *sortItem, q listingQuery) int {
	if a.group != b.group || a.value != b.value {
		return compareItems(a, b, q)
	}
	if q.Sort == sortByName && q.Descending {
		a, b = b, a
	}
	return cmp.Compare(a.head, b.head)
}

// compareItems is the order of a listing. It is total: no two names of one folder are equal.
func compareItems(a, b *sortItem, q listingQuery) int {
	if c := cmp.Compare(a.group, b.group); c != 0 {
		return c
	}
	if c := cmp.Compare(a.value, b.value); c != 0 {
		return directed(c, q.Descending)
	}
	c := cmp.Or(strings.Compare(a.key, b.key), strings.Compare(a.name, b.name))
	return directed(c, q.Descending && q.Sort == sortByName)
}

func directed(c int, descending bool) int {
	if descending {
		return -c
	}
	return c
}

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

// appendNaturalKey appends to b a key for name such that the keys of names, compared byte by byte, are in natural order: the
// letters in lower case and without accents, however composed, and each run of digits as the digit 0, the length of the
// number without leading zeros (one byte: NameBytesMax is below 256) and its digits. A number so sorts among other
// characters as a digit does, and among numbers by its value, however large.
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
