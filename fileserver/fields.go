package fileserver

import (
	"encoding/binary"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"freshet/hashing"
)

// Field values that many answers share. They are put into header maps as they are, so nothing may change them.
var (
	valueNoStore       = []string{"no-store"}
	valueNoCache       = []string{"no-cache"}
	valuePrivate       = []string{"private, no-cache"}
	valueImmutable     = []string{"public, max-age=31536000, immutable"}
	valueNosniff       = []string{"nosniff"}
	valueSameOrigin    = []string{"same-origin"}
	valueBytes         = []string{"bytes"}
	valueNone          = []string{"none"}
	valueVaryAccept    = []string{"Accept"}
	valueProblemJSON   = []string{"application/problem+json"}
	valueJSON          = []string{"application/json"}
	valueNDJSON        = []string{"application/x-ndjson"}
	valueEventStream   = []string{"text/event-stream"}
	valueNo            = []string{"no"}
	valueHTML          = []string{"text/html; charset=utf-8"}
	valueTimeAccepted  = []string{"accepted"}
	valueNothingLoaded = []string{"default-src 'none'; frame-ancestors 'none'; sandbox"}
)

// Names of our own fields, as header maps spell them.
const (
	fieldSubtree = "Freshet-Subtree" // a folder's fingerprint, in quotes
	fieldCursor  = "Freshet-Cursor"  // the place in the feed that an answer was taken behind
	fieldFiles   = "Freshet-Files"   // regular files and links in a folder and below
	fieldSeq     = "Freshet-Seq"     // the place of a change in the feed
)

// setSafe sets what every answer carries: no browser guesses its type, and no page of another origin can embed it.
func setSafe(h http.Header) {
	h["X-Content-Type-Options"] = valueNosniff
	h["Cross-Origin-Resource-Policy"] = valueSameOrigin
}

const (
	tagSlots  = 4096 // a power of two
	timeSlots = 1024
)

// A validatorCache keeps the text of tags and times, ready to be put into a header map: making them is much of what a
// 304 costs. Each slot holds what was asked for last of all that falls on it.
type validatorCache struct {
	tags  [tagSlots]atomic.Pointer[tagFields]
	times [timeSlots]atomic.Pointer[timeField]
}

// tagFields are the fields that follow from a digest.
type tagFields struct {
	digest hashing.Digest
	size   int64
	etag   []string
	length []string
}

func (c *validatorCache) tag(d hashing.Digest, size int64) *tagFields {
	slot := &c.tags[binary.LittleEndian.Uint16(d[:])%tagSlots]
	if f := slot.Load(); f != nil && f.digest == d && f.size == size {
		return f
	}
	f := &tagFields{digest: d, size: size, etag: []string{d.ETag()}, length: []string{strconv.FormatInt(size, 10)}}
	slot.Store(f)
	return f
}

type timeField struct {
	second int64
	text   []string
}

// httpDate returns t in the form of RFC 9110 section 5.6.7.
func (c *validatorCache) httpDate(t time.Time) []string {
	second := t.Unix()
	slot := &c.times[uint64(second)%timeSlots]
	if f := slot.Load(); f != nil && f.second == second {
		return f.text
	}
	f := &timeField{second: second, text: []string{t.UTC().Format(http.TimeFormat)}}
	slot.Store(f)
	return f.text
}

// cacheControl returns the Cache-Control of the file at a path of the tree.
func (s *Server) cacheControl(name string) []string {
	for i := range s.cacheRules {
		rule := &s.cacheRules[i]
		subject := name
		if !rule.whole {
			subject = name[strings.LastIndexByte(name, '/')+1:]
		}
		if ok, _ := path.Match(rule.glob, subject); ok {
			return rule.value
		}
	}
	return valueNoCache
}

// A cacheRule is a CacheRule made ready.
type cacheRule struct {
	glob  string
	whole bool // it is matched against the whole path
	value []string
}

// newCacheRules panics if a Glob is malformed.
func newCacheRules(rules []CacheRule) []cacheRule {
	var out []cacheRule
	for _, r := range rules {
		if _, err := path.Match(r.Glob, ""); err != nil {
			panic("cache rule " + strconv.Quote(r.Glob) + ": " + err.Error())
		}
		out = append(out, cacheRule{r.Glob, strings.Contains(r.Glob, "/"), []string{r.Control}})
	}
	return out
}
