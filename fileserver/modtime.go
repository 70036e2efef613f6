package fileserver

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"freshet/fileserver/problem"
)

// The times that a client may give a file, in seconds since 1970: those that every common filesystem can hold.
const (
	modTimeSecondsMin = -1 << 31
	modTimeSecondsMax = 1<<34 - 1<<31 - 1
)

// modTimeOf returns the time that X-OC-Mtime asks for, zero if there is none: decimal seconds since 1970, a fraction
// allowed.
func modTimeOf(h http.Header) (time.Time, error) {
	lines := h["X-Oc-Mtime"]
	switch len(lines) {
	case 0:
		return time.Time{}, nil
	case 1:
		if t, ok := parseModTime(strings.TrimSpace(lines[0])); ok {
			return t, nil
		}
	}
	return time.Time{}, problem.Header.Errorf("X-OC-Mtime is not one number of seconds since 1970, from %d to %d.",
		modTimeSecondsMin, int64(modTimeSecondsMax))
}

// parseModTime reads decimal digits with an optional minus sign and an optional fraction, of which nanoseconds are
// kept.
func parseModTime(s string) (time.Time, bool) {
	digits, minus := strings.CutPrefix(s, "-")
	whole, fraction, dotted := strings.Cut(digits, ".")
	if !isDigits(whole) || dotted && !isDigits(fraction) {
		return time.Time{}, false
	}
	seconds, err := strconv.ParseInt(whole, 10, 48) // far beyond the bounds, and far from overflowing a time.Time
	if err != nil {
		return time.Time{}, false
	}
	nanos, _ := strconv.ParseInt((fraction + "000000000")[:9], 10, 64)
	if minus {
		seconds, nanos = -seconds, -nanos
	}
	t := time.Unix(seconds, nanos)
	return t, t.Unix() >= modTimeSecondsMin && t.Unix() <= modTimeSecondsMax
}

// isDigits reports whether s is one to 64 decimal digits.
func isDigits(s string) bool {
	return s != "" && len(s) <= 64 && strings.Trim(s, "0123456789") == ""
}
