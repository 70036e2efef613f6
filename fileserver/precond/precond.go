package precond

import (
	"net/http"
	"time"

	"freshet/hashing"
)

// A State is what the conditions are about: the selected representation for reading, what is there now for writing. The zero
// State is that of nothing.
type State struct {
	Exists  bool
	ETag    string         // the strong tag, with its quotes; "" while none is known
	Digest  hashing.Digest // of the content without coding, of a folder its fingerprint; zero while it is not known
	ModTime time.Time      // as the filesystem has it; zero if there is none
	Changed time.Time      // when name, mode or content last changed, by the system's own clock
	Folder  bool
	// Window says that a part of a folder's listing is read. Then If-Match compares the state of the folder, Digest and
	// Mtimes, so that the tag of the first part holds the others together.
	Window bool
	Mtimes uint64 // of a folder's children, as in its tags
}

// A Verdict is the outcome of evaluating a Condition.
type Verdict int

const (
	Proceed     Verdict = iota // do as the method says
	NotModified                // answer 304
	Failed                     // answer 412
	Unknown                    // it cannot be said now: ask again; of a change of a folder only
)

// A Condition is the conditional fields of a request but If-Range. The zero Condition is none.
type Condition struct {
	match, noneMatch               hashing.ETagList
	modifiedSince, unmodifiedSince date
}

// A date is that of a field.
type date struct {
	valid bool
	time  time.Time
}

// Parse reads If-Match, If-None-Match, If-Modified-Since and If-Unmodified-Since, all lines of each. A date field that is
// malformed or sent more than once is as good as not sent (RFC 9110 sections 13.1.3 and 13.1.4); so is an If-Modified-Since
// later than now, which the next change would satisfy too.
func Parse(h http.Header) Condition {
	var c Condition
	if lines := h["If-Match"]; lines != nil {
		c.match = hashing.ParseETagList(lines)
	}
	if lines := h["If-None-Match"]; lines != nil {
		c.noneMatch = hashing.ParseETagList(lines)
	}
	if lines := h["If-Modified-Since"]; lines != nil {
		now := time.Now()
		c.modifiedSince = oneDate(lines, now)
		c.modifiedSince.valid = c.modifiedSince.valid && !c.modifiedSince.time.After(now)
	}
	if lines := h["If-Unmodified-Since"]; lines != nil {
		c.unmodifiedSince = oneDate(lines, time.Now())
	}
	return c
}

func oneDate(lines []string, now time.Time) date {
	if len(lines) != 1 {
		return date{}
	}
	t, ok := ParseDate(lines[0], now)
	return date{valid: ok, time: t}
}

// Any reports whether there is any condition at all.
func (c Condition) Any() bool {
	return c.match.Present || c.noneMatch.Present || c.unmodifiedSince.valid || c.modifiedSince.valid
}

// HasWriteCondition reports whether there is a condition that a change can fail: If-Match, a valid If-Unmodified-Since, or an
// If-None-Match with something in it to match. A client that sends `If-None-Match: anything` without quotes has asked for
// nothing.
func (c Condition) HasWriteCondition() bool {
	n := &c.noneMatch
	return c.match.Present || c.unmodifiedSince.valid || n.Any || n.Truncated || len(n.Tags) > 0
}

// NeedsTag reports whether the verdict on a change may depend on the tag.
func (c Condition) NeedsTag() bool { return len(c.match.Tags) > 0 || len(c.noneMatch.Tags) > 0 }

// Read evaluates the conditions of a GET or HEAD, in the order of RFC 9110 section 13.2.2, against the tag of the selected
// representation. Of a malformed If-None-Match only its well-formed tags count.
func (c Condition) Read(s State) Verdict {
	n := &c.noneMatch
	switch {
	case c.unmet(&s, comparison{window: s.Window}):
		return Failed
	case n.Any && !n.Malformed && s.Exists, comparison{weak: true}.anyOf(n.Tags, &s):
		return NotModified
	case n.Present:
		return Proceed
	case c.modifiedSince.valid && s.notModifiedSince(c.modifiedSince.time):
		return NotModified
	}
	return Proceed
}

// Write evaluates the conditions of a method that changes something. Tags are compared by the digest that they begin with, so
// that the tag of any coding names the version; those of a folder by the fingerprint in them, so that the tag of any of its
// listings does. An If-None-Match of which it cannot be said that it does not match fails. While a folder's fingerprint is not
// known a condition that compares it is neither true nor false: that passes by itself.
func (c Condition) Write(s State) Verdict {
	n := &c.noneMatch
	unknown := s.Exists && s.Folder && s.Digest.IsZero()
	switch {
	case unknown && c.match.Present && !c.match.Malformed && !c.match.Any:
		return Unknown
	case c.unmet(&s, comparison{byDigest: true}):
		return Failed
	case !s.Exists:
		return Proceed
	case n.Any, n.Truncated:
		return Failed
	case unknown && len(n.Tags) > 0:
		return Unknown
	case len(n.Tags) > 0 && s.ETag == "":
		return Failed
	case comparison{weak: true, byDigest: true}.anyOf(n.Tags, &s):
		return Failed
	}
	return Proceed
}

// unmet evaluates If-Match, or If-Unmodified-Since when there is none. What is gone does not match, and has been modified; a
// resource that exists but has no modification date is not asked for it (RFC 9110 section 13.1.4).
func (c *Condition) unmet(s *State, strong comparison) bool {
	switch {
	case c.match.Malformed:
		return true
	case c.match.Any:
		return !s.Exists
	case c.match.Present:
		return !strong.anyOf(c.match.Tags, s)
	case !c.unmodifiedSince.valid:
		return false
	}
	return !s.Exists || !s.ModTime.IsZero() && s.modificationDate().After(c.unmodifiedSince.time)
}

// A comparison is a way to compare tags (RFC 9110 section 8.8.3.2).
type comparison struct {
	weak     bool // the weak comparison
	byDigest bool // by the digests that the tags begin with, if both have one
	window   bool // by the states of the folder that the tags name
}

// anyOf reports whether one of the tags is that of s.
func (c comparison) anyOf(tags []hashing.ETag, s *State) bool {
	if !s.Exists || s.ETag == "" {
		return false
	}
	for _, t := range tags {
		if t.Weak && !c.weak {
			continue
		}
		if t.Opaque == s.opaque() || c.byDigest && s.isVersion(t) || c.window && s.isState(t) {
			return true
		}
	}
	return false
}

// opaque is the part of the strong tag between its quotes.
func (s *State) opaque() string { return s.ETag[1 : len(s.ETag)-1] }

// isVersion reports whether t names the content of s in any coding, or the folder in any listing.
func (s *State) isVersion(t hashing.ETag) bool {
	d, ok := t.Digest()
	if s.Folder {
		d, ok = hashing.SubtreeOf(t)
	}
	return ok && !s.Digest.IsZero() && d == s.Digest
}

// isState reports whether t is the tag of a listing of the folder in the state s.
func (s *State) isState(t hashing.ETag) bool {
	subtree, mtimes, _, _, ok := hashing.ParseFolderETag(t.String())
	return ok && !s.Digest.IsZero() && subtree == s.Digest && mtimes == s.Mtimes
}

// IfRange evaluates If-Range (RFC 9110 section 13.1.5): whether a range of the selected representation may be sent. Without the
// field it may; with a tag only if it matches strongly; with a date only if that is exactly the modification date, and strong.
func IfRange(lines []string, s State) bool {
	switch len(lines) {
	case 0:
		return true
	case 1:
	default:
		return false
	}
	if t, rest, ok := hashing.ParseETag(lines[0]); ok {
		return rest == "" && comparison{}.anyOf([]hashing.ETag{t}, &s)
	}
	d, ok := ParseDate(lines[0], time.Now())
	return ok && s.notModifiedSince(d) && s.modificationDate().Equal(d)
}
