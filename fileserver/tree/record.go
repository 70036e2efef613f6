package tree

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"freshet/hashing"
)

// ByBytesMax bounds Change.By in a version's record, in bytes after escaping.
const ByBytesMax = 96

// What a record says happened.
const (
	tookReplaced = "replaced"
	tookRemoved  = "removed"
	tookMoved    = "moved" // the name was given up by a move onto another one; recovery finishes the move
)

// A record says what a file in the stage or versions folder is: what displaced it from where. It is written before the
// change that it describes.
type record struct {
	how       string
	staged    uint64 // inode of the file that comes; 0 if none does
	displaced uint64 // inode of the file that goes
	digest    hashing.Digest
	by        string
	path      string // below the root
}

// String is the text form: "1 how staged displaced digest by path", the path last since it may hold blanks.
func (r record) String() string {
	digest := "-"
	if !r.digest.IsZero() {
		digest = r.digest.String()
	}
	by := url.QueryEscape(r.by)
	for len(by) > ByBytesMax {
		r.by = r.by[:len(r.by)-1]
		by = url.QueryEscape(r.by)
	}
	if by == "" {
		by = "-"
	}
	return fmt.Sprintf("1 %s %d %d %s %s %s", r.how, r.staged, r.displaced, digest, by, r.path)
}

// parseRecord reads what String writes.
func parseRecord(text string) (r record, err error) {
	parts := strings.SplitN(text, " ", 7)
	if len(parts) != 7 || parts[0] != "1" {
		return r, fmt.Errorf("record %.40q: not of a form this version knows", text)
	}
	r.how, r.path = parts[1], parts[6]
	if r.how != tookReplaced && r.how != tookRemoved && r.how != tookMoved {
		return r, fmt.Errorf("record: unknown change %q", r.how)
	}
	if r.staged, err = strconv.ParseUint(parts[2], 10, 64); err != nil {
		return r, fmt.Errorf("record: %w", err)
	}
	if r.displaced, err = strconv.ParseUint(parts[3], 10, 64); err != nil {
		return r, fmt.Errorf("record: %w", err)
	}
	if parts[4] != "-" {
		if r.digest, err = hashing.ParseDigest(parts[4]); err != nil {
			return r, fmt.Errorf("record: %w", err)
		}
	}
	if parts[5] != "-" {
		if r.by, err = url.QueryUnescape(parts[5]); err != nil {
			return r, fmt.Errorf("record: %w", err)
		}
	}
	return r, nil
}
