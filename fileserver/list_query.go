package fileserver

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"freshet/fileserver/tree"
)

const (
	// htmlRowsMax is the most rows that one page of a folder has, and how many it has unless the query asks for
	// fewer.
	htmlRowsMax = 1000
	// listingLimitMax is the largest limit a query may ask for: more entries than a folder can be listed with.
	listingLimitMax = 1 << 30
)

// errListingQuery is wrapped by every error of parseListingQuery; its text is fit to be shown to whoever sent the
// query.
var errListingQuery = errors.New("not a listing that can be asked for")

// A sortKey is what a listing is sorted by.
type sortKey string

const (
	sortByName sortKey = "name"
	sortBySize sortKey = "size"
	sortByTime sortKey = "mtime"
)

// A listingQuery says which part of a folder is listed and in what order. The zero value is not one:
// parseListingQuery of nothing is.
type listingQuery struct {
	Sort       sortKey
	Descending bool
	Limit      int     // 0: as many as the format has on one page
	After      *cursor // nil: from the beginning
}

// A cursor is a place in a listing: just behind an entry, whether or not that entry still exists. Because it says
// what the entry was sorted by and not how many came before, whoever follows next links meets every entry that stays
// as it is exactly once, whatever else comes and goes in between.
type cursor struct {
	Group groupKind
	Value int64 // size in bytes, or nanoseconds since 1970
	Name  string
}

// parseListingQuery reads the query of a folder's URL: sort=name|size|mtime, dir=asc|desc, limit, and after, a cursor
// from an earlier listing in the same order. Other keys are ignored. Errors are errListingQuery.
func parseListingQuery(values url.Values) (listingQuery, error) {
	q := listingQuery{Sort: sortByName}
	for _, key := range []string{"sort", "dir", "limit", "after"} {
		if len(values[key]) > 1 {
			return listingQuery{}, fmt.Errorf("%w: %s is given %d times", errListingQuery, key, len(values[key]))
		}
	}
	if values.Has("sort") {
		q.Sort = sortKey(values.Get("sort"))
	}
	if q.Sort != sortByName && q.Sort != sortBySize && q.Sort != sortByTime {
		return listingQuery{}, fmt.Errorf("%w: sort is %.20q, not name, size or mtime", errListingQuery, q.Sort)
	}
	dir := values.Get("dir")
	if values.Has("dir") && dir != "asc" && dir != "desc" {
		return listingQuery{}, fmt.Errorf("%w: dir is %.20q, not asc or desc", errListingQuery, dir)
	}
	q.Descending = dir == "desc"
	if values.Has("limit") {
		n, err := parseLimit(values.Get("limit"))
		if err != nil {
			return listingQuery{}, err
		}
		q.Limit = n
	}
	if values.Has("after") {
		c, err := parseCursor(values.Get("after"), q.Sort)
		if err != nil {
			return listingQuery{}, err
		}
		q.After = &c
	}
	return q, nil
}

// parseLimit reads a number of entries, digits only.
func parseLimit(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil || n == 0 || n > listingLimitMax {
		return 0, fmt.Errorf("%w: limit is %.20q, not a number from 1 to %d", errListingQuery, s, listingLimitMax)
	}
	return int(n), nil
}

// parseCursor reads what cursor.text writes: "d" or "f" for folders and others, the value unless the order is by
// name, a dot, and the name.
func parseCursor(s string, by sortKey) (cursor, error) {
	bad := fmt.Errorf("%w: after is not a place in a listing by %s", errListingQuery, by)
	head, name, ok := strings.Cut(s, ".")
	if !ok || head == "" || name == "" || len(name) > tree.NameBytesMax {
		return cursor{}, bad
	}
	c := cursor{Group: groupKind(head[0]), Name: name}
	if c.Group != groupFolders && c.Group != groupOthers {
		return cursor{}, bad
	}
	if by == sortByName {
		if len(head) > 1 {
			return cursor{}, bad
		}
		return c, nil
	}
	value, err := strconv.ParseInt(head[1:], 10, 64)
	if err != nil {
		return cursor{}, bad
	}
	c.Value = value
	return c, nil
}

// text returns the form of c that parseCursor reads.
func (c cursor) text(by sortKey) string {
	if by == sortByName {
		return string(c.Group) + "." + c.Name
	}
	return string(c.Group) + strconv.FormatInt(c.Value, 10) + "." + c.Name
}

// place returns where c is in the listing that it is a cursor of.
func (c *cursor) place() place {
	return place{group: c.Group, value: c.Value, key: appendNaturalKey(nil, c.Name), name: c.Name}
}

// cursorBehind returns the place just behind e in a listing sorted by by.
func cursorBehind(e *tree.Entry, by sortKey) *cursor {
	return &cursor{Group: groupOf(e), Value: sortValue(e, by), Name: e.Name}
}

// link returns the reference, relative to the folder, of the listing that q asks for: "./" or "?sort=size&after=…".
func (q listingQuery) link() string {
	var parts []string
	if q.Sort != sortByName {
		parts = append(parts, "sort="+string(q.Sort))
	}
	if q.Descending {
		parts = append(parts, "dir=desc")
	}
	if q.Limit != 0 {
		parts = append(parts, "limit="+strconv.Itoa(q.Limit))
	}
	if q.After != nil {
		parts = append(parts, "after="+tree.EscapeName(q.After.text(q.Sort)))
	}
	if len(parts) == 0 {
		return "./"
	}
	return "?" + strings.Join(parts, "&")
}

// after returns q with another place to begin.
func (q listingQuery) after(c *cursor) listingQuery {
	q.After = c
	return q
}

// rowsOf returns how many rows the page that q asks for has at most.
func rowsOf(q listingQuery) int {
	if q.Limit == 0 || q.Limit > htmlRowsMax {
		return htmlRowsMax
	}
	return q.Limit
}
