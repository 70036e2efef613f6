package fileserver

import (
	"fmt"
	"io"
	"time"

	"freshet/fileserver/tree"
	"freshet/hashing"
)

// A listingFormat is one of the representations of a folder.
type listingFormat byte

const (
	listingHTML listingFormat = 'h' // the page
	listingJSON listingFormat = 'j'
	listingText listingFormat = 'n' // names
)

// listingChunkBytes is how much of a listing is gathered before it is written.
const listingChunkBytes = 64 << 10

// listingMarginBytes is how much longer a chunk may get by its last entry: six bytes for each of a name, with the
// rest of the entry. A link with a longer target makes its chunk grow.
const listingMarginBytes = 4 << 10

// listingContentType returns the Content-Type of a listing in format f.
func listingContentType(f listingFormat) string {
	switch f {
	case listingJSON:
		return "application/json"
	case listingText:
		return "text/plain; charset=utf-8"
	}
	return "text/html; charset=utf-8"
}

// A pageContext is what the pages say besides the folder they show.
type pageContext struct {
	Root    string // what a person calls the served folder
	Write   bool   // the forms are shown
	Version string
	// Now is when the page is made. Only a suggested name depends on it, and its time zone, which is that of all
	// times shown: a listing of the same entries is the same bytes at any later hour.
	Now    time.Time
	Notice *notice
	// Subtree is the fingerprint of the folder that is shown; zero while it is not known.
	Subtree hashing.Digest
}

// A notice is something to be said before the listing, such as why a form was refused.
type notice struct {
	Title, Text string
	Offers      []offer
}

// An offer is a link that leads on from a notice.
type offer struct{ Label, URL string }

// renderListing writes the listing of the folder at p, whose entries may come in any order and are not changed. The
// page must be answered at the folder's URL with its trailing slash, for its links are relative to it.
//
// All formats have one order: folders first, links that lead to folders among them, and then what q asks for. Names
// are in natural order: letters without regard to case and accents, numbers by their value, and names that differ in
// nothing else by their bytes. A listing by size or time has names in that order, upwards, where the size or time is
// equal.
//
// The page has at most htmlRowsMax rows; JSON and text have all entries unless q has a limit. The work done before
// the first byte is the sorting, and apart from its keys no memory grows with the number of entries: errors are those
// of w.
func renderListing(
	w io.Writer, f listingFormat, p tree.Path, entries []tree.Entry, q listingQuery, page pageContext,
) error {
	switch f {
	case listingJSON:
		return renderJSON(w, p, cutWindow(entries, q, q.Limit), q, page.Subtree)
	case listingText:
		return renderText(w, cutWindow(entries, q, q.Limit))
	case listingHTML:
		return renderHTML(w, p, cutWindow(entries, q, rowsOf(q)), q, page)
	}
	return fmt.Errorf("no listing format %q", f)
}
