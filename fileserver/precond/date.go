package precond

import (
	"errors"
	"time"
)

// ErrDate is returned for text that is not a date of HTTP.
var ErrDate = errors.New("not a date of HTTP")

// ParseDate reads a date in one of the three forms of RFC 9110 section 5.6.7. The two-digit year of the second form is read as
// the latest one that is not more than 50 years ahead.
func ParseDate(s string) (time.Time, error) { return parseDate(s, time.Now()) }

func parseDate(s string, now time.Time) (time.Time, error) {
	if t, err := time.Parse("Mon, 02 Jan 2006 15:04:05 GMT", s); err == nil {
		return t, nil
	}
	if t, err := time.Parse("Monday, 02-Jan-06 15:04:05 GMT", s); err == nil {
		return century(t, now), nil
	}
	if t, err := time.Parse(time.ANSIC, s); err == nil {
		return t, nil
	}
	return time.Time{}, ErrDate
}

// century moves a date read with two digits of its year to the century that it means.
func century(t, now time.Time) time.Time {
	t = t.AddDate(now.Year()/100*100+100-t.Year()/100*100, 0, 0)
	for t.After(now.AddDate(50, 0, 0)) {
		t = t.AddDate(-100, 0, 0)
	}
	return t
}
