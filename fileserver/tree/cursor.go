package tree

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrCursor is returned by ParseCursor for text that is no cursor.
var ErrCursor = errors.New("not a cursor")

// epochBytes is the length of an epoch in text form: 80 random bits in base32.
const epochBytes = 16

// A Cursor is a place in the feed of changes: everything up to Seq of an Epoch has been seen. Within an epoch sequence
// numbers only rise; a new epoch begins when the server cannot tell any more what happened before.
type Cursor struct {
	Epoch string
	Seq   uint64
}

// String is the text form, "epoch.seq".
func (c Cursor) String() string { return c.Epoch + "." + strconv.FormatUint(c.Seq, 10) }

// IsZero reports whether c is no cursor at all.
func (c Cursor) IsZero() bool { return c == Cursor{} }

// ParseCursor reads what String writes: 16 characters of lower-case base32, a dot and a decimal number without sign or
// leading zeros. Anything else is ErrCursor.
func ParseCursor(s string) (Cursor, error) {
	epoch, digits, _ := strings.Cut(s, ".")
	seq, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || len(epoch) != epochBytes || strconv.FormatUint(seq, 10) != digits {
		return Cursor{}, fmt.Errorf("%w: %.60q", ErrCursor, s)
	}
	for _, c := range []byte(epoch) {
		if (c < 'a' || c > 'z') && (c < '2' || c > '7') {
			return Cursor{}, fmt.Errorf("%w: %.60q", ErrCursor, s)
		}
	}
	return Cursor{epoch, seq}, nil
}

// Why a cursor cannot be followed any more.
const (
	GoneEpoch   = "epoch"   // it is of another epoch
	GoneTrimmed = "trimmed" // the events behind it are forgotten
	GoneGap     = "gap"     // the server stopped before those events were written down
)

// A CursorGoneError says that what happened behind a cursor cannot be told. Whoever follows the feed compares the tree
// once, and follows from Current.
type CursorGoneError struct {
	Reason  string // GoneEpoch, GoneTrimmed or GoneGap
	Current Cursor // the end of the feed
}

func (e *CursorGoneError) Error() string { return "cursor is gone: " + e.Reason }
