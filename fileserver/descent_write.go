package fileserver

import (
	"fmt"
	"io"

	"freshet/fileserver/tree"
	"freshet/hashing"
)

const (
	// descentLineBytes is the length at which a line is ended and the rest of its folder goes on in another one. A line is
	// longer by at most the folder's path and one entry.
	descentLineBytes = 64 << 10
	// descentEntryBytesMax is the most that the longest path, and an entry with the longest name and target that there are,
	// take when six bytes stand for each of theirs.
	descentEntryBytesMax = 64 << 10
)

// A descent writes an answer about folders, as lines of JSON. Besides its buffer it needs no memory, however large the
// folders are. The lines are
//
//	{"cursor":"…","subtree":"…"}                        first: the place in the feed from which to follow, and the
//	                                                    fingerprint of the folder asked for, of the root after a POST
//	{"dir":"a/","subtree":"…","entries":[…]}            all that is in a folder, parents before what is below them
//	{"dir":"a/","subtree":"…","entries":[…],"more":true}  a part of it: the next line goes on with the same folder
//	{"dir":"b/","gone":true}                            no folder is there any more
//	{"dir":"c/","later":true}                           it differs too, but the limit was reached: ask for it again
//	{"end":true}                                        last; without it the answer was cut off, and is to be thrown away
//
// A folder is written as in a question, the root as "", and one whose path is not UTF-8 in base64 under dir64. Entries are
// those of a JSON listing, in the order of the bytes of their names. A fingerprint that is not known is null.
type descent struct {
	w       io.Writer
	b       []byte
	line    int // where in b the line begins that is being written
	entries int // written so far
}

// sendDescent sends what write writes. So many answers at once hold the states that they tell about in memory.
func (s *Server) sendDescent(w *reply, write func(*descent) error) error {
	if !s.descents.TryAcquire(1) {
		return fmt.Errorf("%w: %d answers about folders are being sent", tree.ErrBusy, descentsMax)
	}
	defer s.descents.Release(1)
	return write(&descent{w: w, b: make([]byte, 0, listingChunkBytes+listingMarginBytes)})
}

// begin writes the first line.
func (d *descent) begin(cursor tree.Cursor, subtree hashing.Digest) {
	d.b = append(d.b, `{"cursor":`...)
	if cursor.IsZero() {
		d.b = append(d.b, "null"...)
	} else {
		d.b = appendJSONString(d.b, cursor.String())
	}
	d.b = append(appendJSONSubtree(d.b, subtree), "}\n"...)
	d.line = len(d.b)
}

// folder writes all that is in f, in one line or several.
func (d *descent) folder(f *tree.Folder) error {
	d.open(f)
	first := true
	for e := range f.Entries() {
		if len(d.b)-d.line >= descentLineBytes {
			d.b = append(d.b, `],"more":true}`...)
			if err := d.endLine(); err != nil {
				return err
			}
			d.open(f)
			first = true
		}
		if !first {
			d.b = append(d.b, ',')
		}
		first = false
		d.b = appendJSONEntry(d.b, &e)
		d.entries++
	}
	d.b = append(d.b, "]}"...)
	return d.endLine()
}

// folderWithin writes f, or that it is left for later because limit is reached.
func (d *descent) folderWithin(f *tree.Folder, limit int) error {
	if d.entries >= limit {
		return d.mark(f.Path, "later")
	}
	return d.folder(f)
}

func (d *descent) open(f *tree.Folder) {
	d.b = appendJSONText(append(d.b, '{'), "dir", folderText(f.Path))
	d.b = append(appendJSONSubtree(d.b, f.Subtree), `,"entries":[`...)
}

// mark writes a line that says one thing of a folder.
func (d *descent) mark(p tree.Path, what string) error {
	d.b = appendJSONText(append(d.b, '{'), "dir", folderText(p))
	d.b = append(d.b, `,"`...)
	d.b = append(d.b, what...)
	d.b = append(d.b, `":true}`...)
	return d.endLine()
}

// endLine ends a line, and sends what is ready if that is much.
func (d *descent) endLine() error {
	d.b = append(d.b, '\n')
	d.line = len(d.b)
	if len(d.b) < listingChunkBytes {
		return nil
	}
	return d.flush()
}

func (d *descent) flush() error {
	_, err := d.w.Write(d.b)
	d.b, d.line = d.b[:0], 0
	return err
}

// end writes the last line.
func (d *descent) end() error {
	d.b = append(d.b, `{"end":true}`+"\n"...)
	return d.flush()
}

// folderText writes the path of a folder: its names with a slash behind each, so that the path of what is in it begins with
// it; "" is the root.
func folderText(p tree.Path) string {
	if p.IsRoot() {
		return ""
	}
	return p.String() + "/"
}
