package fileserver

import (
	"io"
	"unicode/utf8"

	"freshet/fileserver/tree"
)

// renderText writes the names of a listing, one on each line, which ends in a single LF:
//
//	docs/
//	a.txt
//	latest/ →
//
// A folder has a slash behind its name, and what is reached through a link has " →" behind that; a link that leads
// nowhere, or where the server does not follow, has the arrow too. The name is as on disk but for these, which are
// percent-encoded byte by byte so that a line is always one name and names can be read back: bytes that are not
// UTF-8, every character that the page shows as a mark (controls, direction and format characters, separators, blanks
// at either end), the percent sign and the arrow.
func renderText(w io.Writer, window listingWindow) error {
	b := make([]byte, 0, listingChunkBytes+listingMarginBytes)
	for _, e := range window.shown() {
		b = appendTextName(b, e.Name)
		if groupOf(e) == groupFolders {
			b = append(b, '/')
		}
		if e.Kind == tree.KindLink {
			b = append(b, " →"...)
		}
		if b = append(b, '\n'); len(b) >= listingChunkBytes {
			if _, err := w.Write(b); err != nil {
				return err
			}
			b = b[:0]
		}
	}
	_, err := w.Write(b)
	return err
}

func appendTextName(b []byte, name string) []byte {
	start := 0
	for i := 0; i < len(name); {
		r, size := utf8.DecodeRuneInString(name[i:])
		if r == '%' || r == '→' || strangeAt(name, i, r, size) {
			b = append(b, name[start:i]...)
			for _, c := range []byte(name[i : i+size]) {
				b = append(b, '%', upperHex[c>>4], upperHex[c&15])
			}
			start = i + size
		}
		i += size
	}
	return append(b, name[start:]...)
}

const upperHex = "0123456789ABCDEF"
