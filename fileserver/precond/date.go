package precond

import (
	"slices"
	"strings"
	"time"
)

// The three forms of RFC 9110 section 5.6.7, each as what follows the name of the day. A 0 stands for a digit and a ? for any
// byte.
const (
	imfForm     = ", 00 ??? 0000 00:00:00 GMT"
	rfc850Form  = ", 00-???-00 00:00:00 GMT"
	asctimeForm = " ??? ?0 00:00:00 0000"
)

const longDateYearsMax = 50 // how far ahead a year of two digits may be

var (
	dayNames     = []string{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"}
	longDayNames = []string{"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"}
	monthNames   = []string{"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"}
)

// ParseDate reads a date in one of the three forms of RFC 9110 section 5.6.7, to the letter: case counts, and so does every
// space. A year of two digits is the latest one that is at most 50 years after now. The day of the week need not be that of
// the date. A leap second is read as the second after it.
func ParseDate(s string, now time.Time) (time.Time, bool) {
	at := strings.IndexAny(s, ", ")
	if at < 0 {
		return time.Time{}, false
	}
	day, f := s[:at], s[at:]
	switch {
	case fits(f, imfForm) && slices.Contains(dayNames, day):
		return dateOf(number(f[9:13]), f[5:8], f[2:4], f[14:22])
	case fits(f, asctimeForm) && slices.Contains(dayNames, day):
		if f[5] != ' ' && (f[5] < '0' || f[5] > '9') {
			return time.Time{}, false
		}
		return dateOf(number(f[17:21]), f[1:4], strings.TrimPrefix(f[5:7], " "), f[8:16])
	case fits(f, rfc850Form) && slices.Contains(longDayNames, day):
		year := now.Year()/100*100 + 100 + number(f[9:11])
		latest := now.AddDate(longDateYearsMax, 0, 0)
		t, ok := dateOf(year, f[5:8], f[2:4], f[12:20])
		for t.After(latest) {
			year -= 100
			t, ok = dateOf(year, f[5:8], f[2:4], f[12:20])
		}
		return t, ok
	}
	return time.Time{}, false
}

// fits reports whether s has the form.
func fits(s, form string) bool {
	if len(s) != len(form) {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; form[i] {
		case '?':
		case '0':
			if c < '0' || c > '9' {
				return false
			}
		default:
			if c != form[i] {
				return false
			}
		}
	}
	return true
}

// number reads digits.
func number(digits string) int {
	n := 0
	for i := range len(digits) {
		n = 10*n + int(digits[i]-'0')
	}
	return n
}

// dateOf puts a date together and reports whether there is such a day and such a time. A day that the month does not have
// gives a time in the next month, so that it can still be told whether it is far ahead.
func dateOf(year int, monthName, dayDigits, clock string) (time.Time, bool) {
	month := time.Month(slices.Index(monthNames, monthName) + 1)
	day, hour, minute, second := number(dayDigits), number(clock[:2]), number(clock[3:5]), number(clock[6:8])
	if month == 0 || hour > 23 || minute > 59 || second > 60 {
		return time.Time{}, false
	}
	exists := time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Month() == month
	return time.Date(year, month, day, hour, minute, second, 0, time.UTC), exists
}
