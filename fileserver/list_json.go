package fileserver

import (
	"encoding/base64"
	"encoding/hex"
	"io"
	"strconv"
	"time"
	"unicode/utf8"

	"freshet/fileserver/tree"
	"freshet/hashing"
)

// renderJSON writes a listing as one JSON object:
//
//	{"path":"/docs/","subtree":"…","entries":[{"n":"a.txt","k":"f","size":12,"mtime":"2026-11-22T13:00:00.5Z",
//	"etag":"\"…\""}],"next":null}
//
// path is the folder's, not escaped. subtree is its fingerprint in 32 hex digits, null while it is not known. In an entry, n is the name and k the kind: f for a file, x for one with an
// execute bit, d for a folder, l for a link, which is described as a link whatever it leads to. target is the text of
// a link. size, in bytes, is that of a file; mtime is in RFC 3339 form, in UTC, and left out if it has a year of more
// than four digits; etag, of a file, is left out while it is not known, and subtree,
// of a folder, is null then. What is not valid UTF-8 stands in base64 (RFC 4648
// section 4) under path64, n64 or target64.
//
// next is null, or the reference of the listing that goes on behind the last entry, relative to the folder's URL.
func renderJSON(w io.Writer, p tree.Path, window listingWindow, q listingQuery, subtree hashing.Digest) error {
	folder := "/" + p.String()
	if !p.IsRoot() {
		folder += "/"
	}
	b := make([]byte, 0, listingChunkBytes+listingMarginBytes)
	b = appendJSONText(append(b, '{'), "path", folder)
	b = appendJSONSubtree(b, subtree)
	b = append(b, `,"entries":[`...)
	for i, e := range window.shown() {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendJSONEntry(b, e)
		if len(b) >= listingChunkBytes {
			if _, err := w.Write(b); err != nil {
				return err
			}
			b = b[:0]
		}
	}
	b = append(b, `],"next":`...)
	if window.to == len(window.entries) {
		b = append(b, "null"...)
	} else {
		b = appendJSONString(b, q.after(cursorBehind(window.entries[window.to-1], q.Sort)).link())
	}
	_, err := w.Write(append(b, "}\n"...))
	return err
}

// appendJSONEntry is written by hand because encoding/json takes several times as long, and large folders are listed
// often.
func appendJSONEntry(b []byte, e *tree.Entry) []byte {
	b = appendJSONText(append(b, '{'), "n", e.Name)
	b = append(b, `,"k":"`...)
	b = append(b, byte(e.Kind), '"')
	return append(appendJSONState(b, e), '}')
}

// appendJSONState appends the members that describe what is at a name, each with a comma before it.
func appendJSONState(b []byte, e *tree.Entry) []byte {
	if e.IsFile() {
		b = append(b, `,"size":`...)
		b = strconv.AppendInt(b, e.Size, 10)
	}
	if t := e.ModTime.UTC(); t.Year() >= 0 && t.Year() <= 9999 {
		b = append(b, `,"mtime":"`...)
		b = t.AppendFormat(b, time.RFC3339Nano)
		b = append(b, '"')
	}
	switch {
	case e.Kind == tree.KindLink:
		return appendJSONText(append(b, ','), "target", e.Target)
	case e.Kind == tree.KindFolder:
		return appendJSONSubtree(b, e.Digest)
	case e.Digest.IsZero():
		return b
	}
	b = append(b, `,"etag":"\"`...)
	b = hex.AppendEncode(b, e.Digest[:])
	return append(b, `\""`...)
}

func appendJSONSubtree(b []byte, subtree hashing.Digest) []byte {
	if subtree.IsZero() {
		return append(b, `,"subtree":null`...)
	}
	b = append(b, `,"subtree":"`...)
	b = hex.AppendEncode(b, subtree[:])
	return append(b, '"')
}

// appendJSONText appends "key":"s", or "key64" with s in base64 if it is not valid UTF-8 and so cannot be a JSON
// string.
func appendJSONText(b []byte, key, s string) []byte {
	b = append(b, '"')
	b = append(b, key...)
	if utf8.ValidString(s) {
		return appendJSONString(append(b, `":`...), s)
	}
	b = append(b, `64":"`...)
	b = base64.StdEncoding.AppendEncode(b, []byte(s))
	return append(b, '"')
}

// appendJSONString appends s, which is valid UTF-8, as a string of RFC 8259 section 7.
func appendJSONString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[start:i]...)
		start = i + 1
		if c < ' ' {
			b = append(b, `\u00`...)
			b = append(b, lowerHex[c>>4], lowerHex[c&15])
			continue
		}
		b = append(b, '\\', c)
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}

const lowerHex = "0123456789abcdef"
