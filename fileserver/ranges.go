package fileserver

import (
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
// malformed, sent in several lines or longer than rangesMax is ignored. Ranges that begin past the end, and empty suffixes,
// are left out; if none is left, the field is unsatisfiable. Numbers of any length are read. What overlaps or is closer than
// rangeGapBytesMax is joined, otherwise the client's order stays.
func parseRanges(lines []string, size int64) ([]byteRange, rangeVerdict) {
	if len(lines) != 1 {
		return nil, rangesIgnored
	}
	unit, set, ok := strings.Cut(lines[0], "=")
	if !ok || !strings.EqualFold(strings.TrimSpace(unit), "bytes") {
		return nil, rangesIgnored
	}
	var ranges []byteRange
	count := 0
	for spec := range strings.SplitSeq(set, ",") {
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
	case count == 0:
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
		return byteRange{size - n, n}, n > 0, true
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

// joinRanges joins what overlaps or nearly touches. If nothing does, the order stays as it was asked for.
func joinRanges(ranges []byteRange) []byteRange {
	sorted := slices.SortedFunc(slices.Values(ranges), func(a, b byteRange) int {
		return int(min(max(a.start-b.start, -1), 1))
	})
	joined := sorted[:1]
	for _, r := range sorted[1:] {
		last := &joined[len(joined)-1]
		if r.start-last.end() > rangeGapBytesMax {
			joined = append(joined, r)
			continue
		}
		last.length = max(last.end(), r.end()) - last.start
	}
	if len(joined) == len(ranges) {
		return ranges
	}
	return joined
}
