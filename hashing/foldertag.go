package hashing

import (
	"encoding/binary"
	"encoding/hex"
	"strings"
)

// The forms in which the content of a folder is sent.
const (
	FormHTML  byte = 'h'
	FormJSON  byte = 'j'
	FormNames byte = 'n' // plain text
)

// Where the parts of the opaque tag of a form of a folder stand: d<subtree>-<mtimes>-<view>-<form>.
const (
	subtreeAt      = 1
	mtimesAt       = subtreeAt + 2*DigestBytes + 1
	viewAt         = mtimesAt + 16 + 1
	formAt         = viewAt + 16 + 1
	folderTagBytes = formAt + 1
)

// FolderETag returns the strong entity tag of one form of a folder: "d<subtree>-<mtimes>-<view>-<form>" in quotes, the
// subtree in 32 and the others in 16 lower-case hex digits. Subtree is the folder's fingerprint, mtimes stands for the times
// of its children, and view for all else that the bytes depend on, such as order and page. The form is FormHTML, FormJSON or
// FormNames. It must not be called with the zero Digest: a tag that is not known is not sent.
func FolderETag(subtree Digest, mtimes, view uint64, form byte) string {
	var b [folderTagBytes + 2]byte
	b[0], b[len(b)-1] = '"', '"'
	tag := b[1 : len(b)-1]
	tag[0], tag[mtimesAt-1], tag[viewAt-1], tag[formAt-1] = 'd', '-', '-', '-'
	hex.Encode(tag[subtreeAt:], subtree[:])
	putHex(tag[mtimesAt:], mtimes)
	putHex(tag[viewAt:], view)
	tag[formAt] = form
	return string(b[:])
}

// ParseFolderETag reads what FolderETag writes, and nothing else: no weak tag, none with a coding behind the form, none of a
// fingerprint that is not known.
func ParseFolderETag(tag string) (subtree Digest, mtimes, view uint64, form byte, ok bool) {
	if len(tag) != folderTagBytes+2 || tag[0] != '"' || tag[len(tag)-1] != '"' {
		return Digest{}, 0, 0, 0, false
	}
	return parseFolderTag(tag[1 : len(tag)-1])
}

// SubtreeOf returns the fingerprint in a folder's tag: in that of one of its forms, whatever coding of the content its end
// names, or in the bare "<32 hex digits>". It does not look at whether the tag is weak. The zero Digest is never returned as
// known, so that no tag can match a folder whose state is not known.
func SubtreeOf(tag ETag) (Digest, bool) {
	if len(tag.Opaque) == 2*DigestBytes {
		return parseSubtree(tag.Opaque)
	}
	if len(tag.Opaque) < folderTagBytes || len(tag.Opaque) > folderTagBytes && tag.Opaque[folderTagBytes] != '-' {
		return Digest{}, false
	}
	subtree, _, _, _, ok := parseFolderTag(tag.Opaque[:folderTagBytes])
	return subtree, ok
}

// parseFolderTag reads the folderTagBytes bytes of an opaque tag.
func parseFolderTag(s string) (subtree Digest, mtimes, view uint64, form byte, ok bool) {
	form = s[formAt]
	ok = s[0] == 'd' && s[mtimesAt-1] == '-' && s[viewAt-1] == '-' && s[formAt-1] == '-' &&
		(form == FormHTML || form == FormJSON || form == FormNames)
	if !ok {
		return Digest{}, 0, 0, 0, false
	}
	subtree, okSubtree := parseSubtree(s[subtreeAt : mtimesAt-1])
	mtimes, okMtimes := parseHex(s[mtimesAt : viewAt-1])
	view, okView := parseHex(s[viewAt : formAt-1])
	if !okSubtree || !okMtimes || !okView {
		return Digest{}, 0, 0, 0, false
	}
	return subtree, mtimes, view, form, true
}

func parseSubtree(s string) (Digest, bool) {
	d, err := ParseDigest(s)
	return d, err == nil && !d.IsZero()
}

// putHex writes n as 16 lower-case hex digits.
func putHex(dst []byte, n uint64) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], n)
	hex.Encode(dst, b[:])
}

// parseHex reads the 16 lower-case hex digits that s is.
func parseHex(s string) (uint64, bool) {
	if strings.ContainsAny(s, "ABCDEF") {
		return 0, false
	}
	var b [8]byte
	if _, err := hex.Decode(b[:], []byte(s)); err != nil {
		return 0, false
	}
	return binary.BigEndian.Uint64(b[:]), true
}
