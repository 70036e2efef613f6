// Package precond decides on conditional requests: RFC 9110 section 13, and If-Range of section 13.1.5, as pure functions of
// header fields and the state of a resource.
//
// # Dates
//
// A date names a state only to the second, and local programs can set a file's modification time to what they like. So a
// Last-Modified is sent only when the file has been still for StillTime, and an If-Modified-Since leads to a 304 only while
// neither the modification time nor the change time, which cannot be set, is later than the date's second. A file whose
// change time is later than its modification time, as after a chmod or a restore from a backup, is sent again: a needless
// 200 is harmless, a 304 for changed bytes is not. If-Unmodified-Since compares the modification time alone, since a file that was
// copied in with an old time could else never be written with a date; whoever needs certainty uses a tag.
package precond

import (
	"net/http"
	"time"

	"freshet/hashing"
)

// StillTime is how long a file must not have changed before a date is used to name its state.
const StillTime = 2 * time.Second

// A State is what the conditions are about: the selected representation for reading, what is there now for writing. The zero
// State is that of nothing.
type State struct {
	Exists  bool
	ETag    string         // the strong tag, with its quotes; "" while none is known
	Digest  hashing.Digest // of the content without coding; zero while it is not known
	ModTime time.Time
	Changed time.Time // when name, mode or content last changed, by the system's own clock
}

// A Verdict is the outcome of evaluating a Condition.
type Verdict int

const (
	Proceed     Verdict = iota // do as the method says
	NotModified                // answer 304
	Failed                     // answer 412
)

// A Condition is the conditional fields of a request but If-Range.
type Condition struct {
	match, noneMatch           hashing.ETagList
	modifiedSince, notModSince time.Time // zero: not sent, or not valid
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
	if c.modifiedSince = oneDate(h["If-Modified-Since"]); c.modifiedSince.After(time.Now()) {
		c.modifiedSince = time.Time{}
	}
	c.notModSince = oneDate(h["If-Unmodified-Since"])
	return c
}

func oneDate(lines []string) time.Time {
	if len(lines) != 1 {
		return time.Time{}
	}
	t, err := ParseDate(lines[0])
	if err != nil {
		return time.Time{}
	}
	return t
}

// Any reports whether there is any condition at all.
func (c Condition) Any() bool { return c.HasWriteCondition() || !c.modifiedSince.IsZero() }

// HasWriteCondition reports whether there is a condition that a change can fail: If-Match, If-None-Match or a valid
// If-Unmodified-Since.
func (c Condition) HasWriteCondition() bool {
	return c.match.Present || c.noneMatch.Present || !c.notModSince.IsZero()
}

// NeedsTag reports whether the verdict may depend on the tag.
func (c Condition) NeedsTag() bool { return len(c.match.Tags) > 0 || len(c.noneMatch.Tags) > 0 }

// Read evaluates the conditions of a GET or HEAD, in the order of RFC 9110 section 13.2.2, against the tag of the selected
// representation.
func (c Condition) Read(s State) Verdict {
	if c.unmet(s, matchesTag) {
		return Failed
	}
	if c.noneMatch.Present {
		if c.noneMatch.Any && s.Exists || anyTag(c.noneMatch.Tags, s, weaklyMatchesTag) {
			return NotModified
		}
		return Proceed
	}
	if s.Exists && c.unmodified(s) {
		return NotModified
	}
	return Proceed
}

// Write evaluates the conditions of a method that changes something. Tags are compared by the digest that they begin with,
// so that the tag of any coding names the version. What cannot be decided, because the present tag is not known or the field
// is malformed, fails: nothing is lost by it.
func (c Condition) Write(s State) Verdict {
	switch {
	case c.unmet(s, matchesDigest):
		return Failed
	case !c.noneMatch.Present || !s.Exists:
		return Proceed
	case c.noneMatch.Any, len(c.noneMatch.Tags) > 0 && s.ETag == "":
		return Failed
	case anyTag(c.noneMatch.Tags, s, weaklyMatchesDigest):
		return Failed
	}
	return Proceed
}

// unmet evaluates If-Match, or If-Unmodified-Since when there is none.
func (c Condition) unmet(s State, matches func(hashing.ETag, State) bool) bool {
	switch {
	case c.match.Malformed:
		return true
	case c.match.Any:
		return !s.Exists
	case c.match.Present:
		return !s.Exists || !anyTag(c.match.Tags, s, matches)
	case !c.notModSince.IsZero():
		return !s.Exists || s.ModTime.Truncate(time.Second).After(c.notModSince)
	}
	return false
}

// unmodified evaluates If-Modified-Since.
func (c Condition) unmodified(s State) bool {
	if c.modifiedSince.IsZero() {
		return false
	}
	later := s.ModTime
	if s.Changed.After(later) {
		later = s.Changed
	}
	return !later.Truncate(time.Second).After(c.modifiedSince)
}

func anyTag(tags []hashing.ETag, s State, matches func(hashing.ETag, State) bool) bool {
	if s.ETag == "" {
		return false
	}
	for _, t := range tags {
		if matches(t, s) {
			return true
		}
	}
	return false
}

// opaque is the part of a strong tag between its quotes.
func (s *State) opaque() string { return s.ETag[1 : len(s.ETag)-1] }

func matchesTag(t hashing.ETag, s State) bool       { return !t.Weak && t.Opaque == s.opaque() }
func weaklyMatchesTag(t hashing.ETag, s State) bool { return t.Opaque == s.opaque() }

func matchesDigest(t hashing.ETag, s State) bool { return !t.Weak && weaklyMatchesDigest(t, s) }

func weaklyMatchesDigest(t hashing.ETag, s State) bool {
	if t.Opaque == s.opaque() {
		return true
	}
	d, ok := t.Digest()
	return ok && !s.Digest.IsZero() && d == s.Digest
}

// IfRange evaluates If-Range (RFC 9110 section 13.1.5): whether a range of the selected representation may be sent. Without the
// field it may; with a tag only if it matches strongly; with a date only if that is exactly the Last-Modified and strong.
func IfRange(lines []string, s State) bool {
	switch len(lines) {
	case 0:
		return true
	case 1:
	default:
		return false
	}
	if t, rest, ok := hashing.ParseETag(lines[0]); ok {
		return rest == "" && s.ETag != "" && matchesTag(t, s)
	}
	date, err := ParseDate(lines[0])
	if err != nil {
		return false
	}
	return s.ModTime.Truncate(time.Second).Equal(date) && !s.Changed.Truncate(time.Second).After(date)
}

// LastModified returns the Last-Modified to send, if the file has been still for StillTime: a date that is sent sooner could
// stand for two states (RFC 9110 section 8.8.2.2). It is the modification time, never later than now.
func LastModified(s State, now time.Time) (time.Time, bool) {
	later := s.ModTime
	if s.Changed.After(later) {
		later = s.Changed
	}
	if now.Sub(later) < StillTime {
		return time.Time{}, false
	}
	return s.ModTime, true
}
