package hashing

import "strings"

// HeaderETagsMax is the most entity tags that one condition may list; a longer list is malformed.
const HeaderETagsMax = 1000

// An ETag is an entity tag (RFC 9110 section 8.8.3).
type ETag struct {
	Opaque string // what stands between the quotes
	Weak   bool
}

// String returns the tag as it is written in a field.
func (t ETag) String() string {
	if t.Weak {
		return `W/"` + t.Opaque + `"`
	}
	return `"` + t.Opaque + `"`
}

// Digest returns the digest that a tag of ours begins with, whatever coding of the content it names: 32 lower-case hex digits,
// then the end or a hyphen.
func (t ETag) Digest() (Digest, bool) {
	const digits = 2 * DigestBytes
	if len(t.Opaque) < digits || len(t.Opaque) > digits && t.Opaque[digits] != '-' {
		return Digest{}, false
	}
	d, err := ParseDigest(t.Opaque[:digits])
	return d, err == nil
}

// StrongMatch is the strong comparison of RFC 9110 section 8.8.3.2.
func StrongMatch(a, b ETag) bool { return !a.Weak && !b.Weak && a.Opaque == b.Opaque }

// WeakMatch is the weak comparison of RFC 9110 section 8.8.3.2.
func WeakMatch(a, b ETag) bool { return a.Opaque == b.Opaque }

// ParseETag reads the entity tag that s begins with and returns what follows it.
func ParseETag(s string) (tag ETag, rest string, ok bool) {
	if cut, weak := strings.CutPrefix(s, "W/"); weak {
		tag.Weak, s = true, cut
	}
	if s == "" || s[0] != '"' {
		return ETag{}, "", false
	}
	for i := 1; i < len(s); i++ {
		c := s[i]
		if c == '"' {
			tag.Opaque = s[1:i]
			return tag, s[i+1:], true
		}
		if c < 0x21 || c == 0x7f {
			return ETag{}, "", false
		}
	}
	return ETag{}, "", false
}

// An ETagList is the value of If-Match or If-None-Match.
type ETagList struct {
	Present bool // the field was sent
	Any     bool // "*" was sent; alone, unless Malformed
	// Malformed says that a part of it was no entity tag, that "*" was not alone, that there was nothing in it or that it is
	// Truncated.
	Malformed bool
	Truncated bool   // there were more than HeaderETagsMax tags; what follows them was not read
	Tags      []ETag // the parts that were entity tags
}

// ParseETagList reads all lines of a field as one list (RFC 9110 section 5.3), with empty elements ignored (section 5.6.1.2).
// After a part that is no entity tag it goes on at the next comma.
func ParseETagList(lines []string) ETagList {
	list := ETagList{Present: len(lines) > 0}
	for _, line := range lines {
		list.add(line)
	}
	if list.Any && len(list.Tags) > 0 || !list.Any && len(list.Tags) == 0 {
		list.Malformed = list.Present
	}
	return list
}

func (l *ETagList) add(line string) {
	for {
		if line = strings.TrimLeft(line, " \t,"); line == "" {
			return
		}
		if len(l.Tags) == HeaderETagsMax {
			l.Malformed, l.Truncated = true, true
			return
		}
		var tag ETag
		var rest string
		var ok bool
		if line[0] == '*' {
			ok, rest = !l.Any, line[1:]
			l.Any = true
		} else if tag, rest, ok = ParseETag(line); ok && endsElement(rest) {
			l.Tags = append(l.Tags, tag)
		}
		if !ok || !endsElement(rest) {
			l.Malformed = true
			if _, rest, ok = strings.Cut(line, ","); !ok {
				return
			}
		}
		line = rest
	}
}

// endsElement reports whether a list element may end before rest.
func endsElement(rest string) bool {
	rest = strings.TrimLeft(rest, " \t")
	return rest == "" || rest[0] == ','
}
