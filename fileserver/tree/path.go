package tree

import (
	"fmt"
	"net/url"
	"strings"
)

const (
	// NameBytesMax is the longest name of a file or folder, in bytes.
	NameBytesMax = 255
	// PathBytesMax is the longest path below the root, in bytes.
	PathBytesMax = 3800
	// Reserved is the one name that is never served, at any depth and in any case: the server's own folder.
	Reserved = ".freshet"
)

// A Path names a resource inside the tree: slash-separated, cleaned, never leaving the root, never under the reserved name.
// Its bytes are the name on disk. The zero Path is the root. The only ways to make one are Parse and Join.
type Path struct{ s string }

// Parse reads the escaped path of a URL ("/docs/a%20b.txt"), decoding it once. Runs of slashes count as one. folder reports
// a trailing slash. It refuses with ErrName: paths that do not start with a slash, dot and dot-dot segments, NUL, slashes
// and backslashes in a segment however encoded, broken escapes, and what exceeds NameBytesMax or PathBytesMax; and with
// ErrReserved the reserved name.
func Parse(escaped string) (p Path, folder bool, err error) {
	if p, folder, ok := parsePlain(escaped); ok {
		return p, folder, nil
	}
	segments, folder, err := segments(escaped)
	if err != nil {
		return Path{}, false, err
	}
	for _, s := range segments {
		if isReserved(s) {
			return Path{}, false, fmt.Errorf("%w: %q", ErrReserved, escaped)
		}
	}
	return Path{strings.Join(segments, "/")}, folder, nil
}

// ParseReserved splits off the reserved name at the top of an escaped URL path: "/.freshet/v1/x" gives "v1/x" and true. It
// decodes exactly as Parse does, so that no spelling reaches the reserved names by another way.
func ParseReserved(escaped string) (rest string, ok bool) {
	if _, _, ok := parsePlain(escaped); ok {
		return "", false
	}
	segments, _, err := segments(escaped)
	if err != nil || len(segments) == 0 || segments[0] != Reserved {
		return "", false
	}
	return strings.Join(segments[1:], "/"), true
}

// parsePlain reads a path in which nothing is to be decoded, joined or refused, without copying it: that of nearly every
// request. What it leaves to segments need not be wrong.
func parsePlain(escaped string) (p Path, folder, ok bool) {
	rest, ok := strings.CutPrefix(escaped, "/")
	if !ok || strings.IndexByte(rest, '%') >= 0 {
		return Path{}, false, false
	}
	if rest == "" {
		return Path{}, true, true
	}
	rest, folder = strings.CutSuffix(rest, "/")
	if len(rest) > PathBytesMax {
		return Path{}, false, false
	}
	for name := range strings.SplitSeq(rest, "/") {
		if isReserved(name) || checkName(name) != nil {
			return Path{}, false, false
		}
	}
	return Path{rest}, folder, true
}

// segments decodes an escaped path into its names and checks each.
func segments(escaped string) (names []string, folder bool, err error) {
	rest, ok := strings.CutPrefix(escaped, "/")
	if !ok {
		return nil, false, fmt.Errorf("%w: %q does not start with a slash", ErrName, escaped)
	}
	names = make([]string, 0, min(strings.Count(rest, "/")+1, 16))
	size := -1 // the first name has no slash before it
	for part := range strings.SplitSeq(rest, "/") {
		if part == "" {
			continue
		}
		name, err := url.PathUnescape(part)
		if err == nil {
			err = checkName(name)
		}
		if size += len(name) + 1; err == nil && size > PathBytesMax {
			err = fmt.Errorf("%w: longer than %d bytes", ErrName, PathBytesMax)
		}
		if err != nil {
			return nil, false, fmt.Errorf("%w: %q", orName(err), escaped)
		}
		names = append(names, name)
	}
	return names, len(names) == 0 || strings.HasSuffix(rest, "/"), nil
}

// orName makes any error one of ErrName.
func orName(err error) error {
	if strings.HasPrefix(err.Error(), ErrName.Error()) {
		return err
	}
	return fmt.Errorf("%w: %v", ErrName, err)
}

// checkName refuses what cannot be one name in a folder on every system the tree may be copied to by its own doors.
func checkName(name string) error {
	switch {
	case name == "", name == ".", name == "..":
		return fmt.Errorf("%w: %q is not a name", ErrName, name)
	case len(name) > NameBytesMax:
		return fmt.Errorf("%w: a name is longer than %d bytes", ErrName, NameBytesMax)
	case strings.ContainsAny(name, "\x00/\\"):
		return fmt.Errorf("%w: a name has a slash, a backslash or a NUL in it", ErrName)
	}
	return checkNameOS(name)
}

func isReserved(name string) bool { return strings.EqualFold(name, Reserved) }

// hasReserved reports whether a name on the way along rel is reserved.
func hasReserved(rel string) bool {
	for name := range strings.SplitSeq(rel, "/") {
		if isReserved(name) {
			return true
		}
	}
	return false
}

// Join returns the path of name inside p, with the refusals of Parse. name is not escaped.
func (p Path) Join(name string) (Path, error) {
	if err := checkName(name); err != nil {
		return Path{}, err
	}
	if isReserved(name) {
		return Path{}, fmt.Errorf("%w: %q", ErrReserved, name)
	}
	if p.s != "" {
		name = p.s + "/" + name
	}
	if len(name) > PathBytesMax {
		return Path{}, fmt.Errorf("%w: longer than %d bytes", ErrName, PathBytesMax)
	}
	return Path{name}, nil
}

// String returns the path without a leading slash, as it is on disk; the root is "".
func (p Path) String() string { return p.s }

// IsRoot reports whether p is the root.
func (p Path) IsRoot() bool { return p.s == "" }

// Base returns the last name of p; that of the root is "".
func (p Path) Base() string { return p.s[strings.LastIndexByte(p.s, '/')+1:] }

// Parent returns the folder that holds p; that of the root is the root.
func (p Path) Parent() Path {
	return Path{p.s[:max(0, strings.LastIndexByte(p.s, '/'))]}
}

// Contains reports whether q is p or below it.
func (p Path) Contains(q Path) bool {
	return p.s == "" || p.s == q.s || strings.HasPrefix(q.s, p.s+"/")
}

// URL returns the escaped URL path of p: "/docs/a%20b.txt", with a trailing slash if folder. Parse gives p back.
func (p Path) URL(folder bool) string {
	var b strings.Builder
	for name := range strings.SplitSeq(p.s, "/") {
		if name != "" {
			b.WriteByte('/')
			b.WriteString(EscapeName(name))
		}
	}
	if folder || b.Len() == 0 {
		b.WriteByte('/')
	}
	return b.String()
}

// EscapeName escapes one name for use as a URL path segment: every byte but the unreserved ones of RFC 3986 section 2.3.
func EscapeName(name string) string {
	const hexDigits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(name) {
		c := name[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hexDigits[c>>4])
		b.WriteByte(hexDigits[c&15])
	}
	return b.String()
}
