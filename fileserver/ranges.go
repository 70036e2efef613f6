package fileserver

import (
	"cmp"
	"math"
	"slices"
	"strings"
)

const (
	rangesMax        = 64 // ranges in one request; a longer list is answered with the whole file
	rangeGapBytesMax = 80 // ranges closer than this, about the size of a part's header, are sent as one
)

// A byteRange is a part of a file.
type byteRange struct {
	start, length int64 // bytes
}

func (r byteRange) end() int64 { return r.start + r.length }

// A rangeVerdict says how a request for ranges is to be answered.
type rangeVerdict int

const (
	rangesIgnored       rangeVerdict = iota // with the whole file, as if there were no Range field
	rangesPartial                           // with 206
	rangesUnsatisfiable                     // with 416
)

// parseRanges reads the Range field for a file of size bytes (RFC 9110 section 14.2). A field of another unit, one that is
// malformed, sent in several lines or longer than rangesMax is ignored. Ranges that begin past the end, and suffixes of
// length zero, are left out; if none is left, the field is unsatisfiable. Numbers of any length are read. What overlaps or is
// not further apart than rangeGapBytesMax is joined; otherwise the client's order stays.
//
// A suffix of an empty file is satisfiable (section 14.1.2) by the whole of it, which is nothing. A 206 cannot say so, since a
// Content-Range names at least one byte, so the answer is the whole file.
func parseRanges(lines []string, size int64) ([]byteRange, rangeVerdict) {
	if len(lines) != 1 {
		return nil, rangesIgnored
	}
	const unit = "bytes="
	field := lines[0]
	if len(field) < len(unit) || !strings.EqualFold(field[:len(unit)], unit) {
		return nil, rangesIgnored
	}
	var ranges []byteRange
	count := 0
	for spec := range strings.SplitSeq(field[len(unit):], ",") {
		if spec = strings.Trim(spec, " \t"); spec == "" {
			continue
		}
		r, satisfiable, ok := parseRange(spec, size)
		if count++; !ok || count > rangesMax {
			return nil, rangesIgnored
		}
		if satisfiable {
			ranges = append(ranges, r)
		}
	}
	switch {
	case count == 0, size == 0 && len(ranges) > 0:
		return nil, rangesIgnored
	case len(ranges) == 0:
		return nil, rangesUnsatisfiable
	}
	return joinRanges(ranges), rangesPartial
}

// parseRange reads one range: "first-last", "first-" or "-suffix".
func parseRange(spec string, size int64) (r byteRange, satisfiable, ok bool) {
	from, to, ok := strings.Cut(spec, "-")
	if !ok || from == "" && to == "" {
		return r, false, false
	}
	first, ok1 := parsePosition(from)
	last, ok2 := parsePosition(to)
	switch {
	case from != "" && !ok1, to != "" && !ok2:
		return r, false, false
	case from == "":
		n := min(last, size)
		return byteRange{size - n, n}, last > 0, true
	case to != "" && before(to, from):
		return r, false, false
	case first >= size:
		return r, false, true
	case to == "" || last >= size:
		last = size - 1
	}
	return byteRange{first, last - first + 1}, true, true
}

// parsePosition reads digits. What does not fit is as good as the largest position there is.
func parsePosition(s string) (int64, bool) {
	const most = int64(math.MaxInt64)
	n := int64(0)
	for i := range len(s) {
		digit := int64(s[i]) - '0'
		if digit < 0 || digit > 9 {
			return 0, false
		}
		if n > (most-digit)/10 {
			n = most
			continue
		}
		n = n*10 + digit
	}
	return n, s != ""
}

// before compares two numbers by their digits, however many those are.
func before(a, b string) bool {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	if len(a) != len(b) {
		return len(a) < len(b)
	}
	return a < b
}

// joinRanges joins what overlaps or nearly touches, in the order in which the client first asked for a byte of each (RFC 9110
// section 15.3.7.2).
func joinRanges(ranges []byteRange) []byteRange {
	type group struct {
		byteRange
		first int // the least index in ranges
	}
	groups := make([]group, len(ranges))
	for i, r := range ranges {
		groups[i] = group{r, i}
	}
	slices.SortFunc(groups, func(a, b group) int { return cmp.Compare(a.start, b.start) })
	joined := groups[:1]
	for _, g := range groups[1:] {
		last := &joined[len(joined)-1]
		if g.start-last.end() > rangeGapBytesMax {
			joined = append(joined, g)
			continue
		}
		last.length = max(last.end(), g.end()) - last.start
		last.first = min(last.first, g.first)
	}
	slices.SortFunc(joined, func(a, b group) int { return cmp.Compare(a.first, b.first) })
	out := ranges[:0]
	for _, g := range joined {
		out = append(out, g.byteRange)
	}
	return out
}
