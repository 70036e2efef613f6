package main

import (
	"errors"
	"fmt"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"freshet/fileserver"
	"freshet/hashing"
)

// A value is one field of a config that can be set from text. It is a pflag.Value, so that a table of values can drive flags,
// environment, file and help alike.
type value interface {
	Set(text string) error
	String() string // in the form that Set reads
	Type() string   // "bool", "size", …: what is printed in help, and which TOML types are taken
}

// clearer is a value that Set adds to. Clear empties it when a stronger source takes over.
type clearer interface{ Clear() }

type boolean bool

func (b *boolean) String() string { return strconv.FormatBool(bool(*b)) }
func (b *boolean) Type() string   { return "bool" }
func (b *boolean) Set(text string) error {
	switch text {
	case "true", "1":
		*b = true
	case "false", "0":
		*b = false
	default:
		return errors.New("it is either true or false")
	}
	return nil
}

// A word is any text.
type word struct {
	text *string
	kind string
}

func (w word) String() string        { return *w.text }
func (w word) Type() string          { return w.kind }
func (w word) Set(text string) error { *w.text = text; return nil }

// A choice is one of a few words.
type choice struct {
	text *string
	from []string
}

func (c choice) String() string { return *c.text }
func (c choice) Type() string   { return strings.Join(c.from, "|") }
func (c choice) Set(text string) error {
	if !slices.Contains(c.from, text) {
		return fmt.Errorf("it is one of %s", strings.Join(c.from, ", "))
	}
	*c.text = text
	return nil
}

// An algorithm makes digests. The zero value is the default.
type algorithm hashing.Algorithm

func (a *algorithm) String() string { return hashing.Algorithm(*a).String() }
func (a *algorithm) Type() string   { return "xxh3|blake3" }
func (a *algorithm) Set(text string) error {
	parsed, err := hashing.ParseAlgorithm(text)
	if err != nil {
		return errors.New("it is one of xxh3, blake3")
	}
	*a = algorithm(parsed)
	return nil
}

// A list is names, comma-separated or given one by one.
type list []string

func (l *list) String() string { return strings.Join(*l, ",") }
func (l *list) Type() string   { return "list" }
func (l *list) Clear()         { *l = nil }
func (l *list) Set(text string) error {
	for name := range strings.SplitSeq(text, ",") {
		if name = strings.TrimSpace(name); name == "" {
			return errors.New("a name in it is empty")
		}
		*l = append(*l, name)
	}
	return nil
}

// A count is a whole number of things, at least 1: no limit of ours means "none".
type count int

func (c *count) String() string { return strconv.Itoa(int(*c)) }
func (c *count) Type() string   { return "count" }
func (c *count) Set(text string) error {
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 1 {
		return errors.New("it is a whole number from 1 to 2147483647")
	}
	*c = count(n)
	return nil
}

// A size is a number of bytes, at least 1: "512", "10MB" (10^7), "10MiB" (10·2^20).
type size int64

var errSize = errors.New(`it is a number of bytes such as 4096, "10MB" or "10GiB"`)

var sizeUnits = []struct {
	name  string
	bytes int64
}{
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"KB", 1e3}, {"B", 1},
}

func (s *size) Type() string { return "size" }
func (s *size) Set(text string) error {
	digits, unit := text, int64(1)
	for _, u := range sizeUnits {
		if rest, ok := strings.CutSuffix(text, u.name); ok {
			digits, unit = strings.TrimSpace(rest), u.bytes
			break
		}
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || n < 1 || int64(n) > math.MaxInt64/unit {
		return errSize
	}
	*s = size(int64(n) * unit)
	return nil
}

// String returns s in the largest unit that divides it, so that Set gives s back.
func (s *size) String() string {
	for _, u := range sizeUnits {
		if n := int64(*s); n >= u.bytes && n%u.bytes == 0 && u.bytes > 1 {
			return strconv.FormatInt(n/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(*s), 10) + "B"
}

// A share is a size, or a percentage of the filesystem that what it bounds is kept on.
type share struct {
	percent int // 1 to 100; 0: bytes says it
	bytes   size
}

func (s *share) Type() string { return "size|%" }
func (s *share) String() string {
	if s.percent > 0 {
		return strconv.Itoa(s.percent) + "%"
	}
	return s.bytes.String()
}

func (s *share) Set(text string) error {
	digits, ok := strings.CutSuffix(text, "%")
	if !ok {
		var bytes size
		if bytes.Set(text) != nil {
			return errors.New(`it is a size such as "10GiB", or a share of the disk from "1%" to "100%"`)
		}
		*s = share{bytes: bytes}
		return nil
	}
	n, err := strconv.ParseUint(strings.TrimSpace(digits), 10, 8)
	if err != nil || n < 1 || n > 100 {
		return errors.New(`a share of the disk is from "1%" to "100%"`)
	}
	*s = share{percent: int(n)}
	return nil
}

// of returns the bytes that s stands for on a filesystem of so many.
func (s *share) of(filesystemBytes int64) int64 {
	if s.percent == 0 {
		return int64(s.bytes)
	}
	return max(1, filesystemBytes/100*int64(s.percent))
}

// A span is a length of time: "30d", "1h30m", "10s". Zero is allowed only where orZero says so.
type span struct {
	time   *time.Duration
	orZero bool
}

var errSpan = errors.New(`it is a length of time such as "10s", "1h30m" or "30d"`)

const day = 24 * time.Hour

func (s span) Type() string { return "time" }

func (s span) Set(text string) error {
	rest, days := text, time.Duration(0)
	if whole, after, ok := strings.Cut(text, "d"); ok {
		n, err := strconv.ParseUint(whole, 10, 31)
		if err != nil || n > uint64(math.MaxInt64/day) {
			return errSpan
		}
		rest, days = after, time.Duration(n)*day
	}
	var clock time.Duration
	if rest != "" || text == "" {
		var err error
		if clock, err = time.ParseDuration(rest); err != nil {
			return errSpan
		}
	}
	switch total := days + clock; {
	case clock < 0, total < 0:
		return errSpan
	case total == 0 && !s.orZero:
		return errors.New("it must be longer than nothing")
	default:
		*s.time = total
		return nil
	}
}

// String returns s in days and Go's notation for the rest, without the units that are nought.
func (s span) String() string {
	days, clock := *s.time/day, *s.time%day
	switch {
	case *s.time == 0:
		return "0"
	case clock == 0:
		return strconv.Itoa(int(days)) + "d"
	}
	text := clock.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	if days > 0 {
		text = strconv.Itoa(int(days)) + "d" + text
	}
	return text
}

// cacheRules are in order of precedence. As one text they are separated by semicolons, which Cache-Control has no use for:
// "*.html=no-cache; assets/*=max-age=31536000, immutable".
type cacheRules []fileserver.CacheRule

func (c *cacheRules) Type() string { return "list" }
func (c *cacheRules) Clear()       { *c = nil }

func (c *cacheRules) String() string {
	var texts []string
	for _, r := range *c {
		texts = append(texts, r.Glob+"="+r.Control)
	}
	return strings.Join(texts, "; ")
}

func (c *cacheRules) Set(text string) error {
	for rule := range strings.SplitSeq(text, ";") {
		glob, control, _ := strings.Cut(rule, "=")
		if err := c.add(strings.TrimSpace(glob), strings.TrimSpace(control)); err != nil {
			return err
		}
	}
	return nil
}

// add appends a rule, checking what can be checked without a request.
func (c *cacheRules) add(glob, control string) error {
	if _, err := path.Match(glob, ""); glob == "" || err != nil {
		return fmt.Errorf("%s is not a pattern of names", shown(glob))
	}
	if control == "" || strings.ContainsFunc(control, func(r rune) bool { return r < ' ' || r > '~' }) {
		return fmt.Errorf("%s is not a Cache-Control", shown(control))
	}
	*c = append(*c, fileserver.CacheRule{Glob: glob, Control: control})
	return nil
}
