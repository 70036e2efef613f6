package precond_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"freshet/fileserver/precond"
)

// example is the date of RFC 9110 section 5.6.7 in its three forms.
var example = time.Date(1994, time.November, 6, 8, 49, 37, 0, time.UTC)

const (
	exampleIMF     = "Sun, 06 Nov 1994 08:49:37 GMT"
	exampleRFC850  = "Sunday, 06-Nov-94 08:49:37 GMT"
	exampleAsctime = "Sun Nov  6 08:49:37 1994"
)

var today = time.Date(2026, time.November, 22, 12, 0, 0, 0, time.UTC)

func TestParseDate(t *testing.T) {
	utc := func(year int, month time.Month, day, hour, minute, second int) time.Time {
		return time.Date(year, month, day, hour, minute, second, 0, time.UTC)
	}
	for _, c := range []struct {
		name, in string
		want     time.Time // zero: invalid
	}{
		{"imf_fixdate", exampleIMF, example},
		{"rfc850_date", exampleRFC850, example},
		{"asctime_date", exampleAsctime, example},
		{"asctime_day_of_two_digits", "Sat Nov 26 08:49:37 1994", utc(1994, time.November, 26, 8, 49, 37)},
		{"asctime_day_with_a_zero", "Sun Nov 06 08:49:37 1994", example},
		{"day_of_the_week_does_not_matter", "Mon, 06 Nov 1994 08:49:37 GMT", example},
		{"leap_day", "Thu, 29 Feb 2024 00:00:00 GMT", utc(2024, time.February, 29, 0, 0, 0)},
		{"leap_second", "Sat, 31 Dec 2016 23:59:60 GMT", utc(2017, time.January, 1, 0, 0, 0)},
		{"first_year", "Mon, 01 Jan 0000 00:00:00 GMT", utc(0, time.January, 1, 0, 0, 0)},
		{"last_year", "Fri, 31 Dec 9999 23:59:59 GMT", utc(9999, time.December, 31, 23, 59, 59)},

		{"two_digits_this_year", "Sunday, 22-Nov-26 12:00:00 GMT", today},
		{"two_digits_next_year", "Sunday, 22-Nov-27 12:00:00 GMT", today.AddDate(1, 0, 0)},
		{"two_digits_50_years_ahead", "Sunday, 22-Nov-76 12:00:00 GMT", today.AddDate(50, 0, 0)},
		{"two_digits_a_second_more", "Sunday, 22-Nov-76 12:00:01 GMT", utc(1976, time.November, 22, 12, 0, 1)},
		{"two_digits_51_years_ahead", "Sunday, 22-Nov-77 12:00:00 GMT", utc(1977, time.November, 22, 12, 0, 0)},
		{"two_digits_turn_of_the_century", "Saturday, 01-Jan-00 00:00:00 GMT", utc(2000, time.January, 1, 0, 0, 0)},
		{"two_digits_last_of_the_century", "Friday, 31-Dec-99 23:59:59 GMT", utc(1999, time.December, 31, 23, 59, 59)},
		{"two_digits_leap_day", "Tuesday, 29-Feb-00 01:02:03 GMT", utc(2000, time.February, 29, 1, 2, 3)},

		{"empty", "", time.Time{}},
		{"word", "yesterday", time.Time{}},
		{"seconds_since_1970", "784111777", time.Time{}},
		{"rfc3339", "1994-11-06T08:49:37Z", time.Time{}},
		{"two_dates", exampleIMF + ", " + exampleIMF, time.Time{}},
		{"other_zone", "Sun, 06 Nov 1994 08:49:37 CET", time.Time{}},
		{"zone_utc", "Sun, 06 Nov 1994 08:49:37 UTC", time.Time{}},
		{"numeric_zone", "Sun, 06 Nov 1994 08:49:37 +0000", time.Time{}},
		{"no_zone", "Sun, 06 Nov 1994 08:49:37", time.Time{}},
		{"asctime_with_zone", exampleAsctime + " GMT", time.Time{}},
		{"small_letters", strings.ToLower(exampleIMF), time.Time{}},
		{"month_in_capitals", "Sun, 06 NOV 1994 08:49:37 GMT", time.Time{}},
		{"fraction", "Sun, 06 Nov 1994 08:49:37.5 GMT", time.Time{}},
		{"hour_of_one_digit", "Sun, 06 Nov 1994 8:49:37 GMT", time.Time{}},
		{"day_of_one_digit", "Sun, 6 Nov 1994 08:49:37 GMT", time.Time{}},
		{"day_with_a_space", "Sun,  6 Nov 1994 08:49:37 GMT", time.Time{}},
		{"asctime_day_of_one_digit", "Sun Nov 6 08:49:37 1994", time.Time{}},
		{"asctime_day_of_letters", "Sun Nov x6 08:49:37 1994", time.Time{}},
		{"year_of_two_digits", "Sun, 06 Nov 94 08:49:37 GMT", time.Time{}},
		{"rfc850_year_of_four_digits", "Sunday, 06-Nov-1994 08:49:37 GMT", time.Time{}},
		{"long_day_name", "Sunday, 06 Nov 1994 08:49:37 GMT", time.Time{}},
		{"rfc850_short_day_name", "Sun, 06-Nov-94 08:49:37 GMT", time.Time{}},
		{"no_day_name", "06 Nov 1994 08:49:37 GMT", time.Time{}},
		{"unknown_day_name", "Son, 06 Nov 1994 08:49:37 GMT", time.Time{}},
		{"unknown_month", "Sun, 06 Nob 1994 08:49:37 GMT", time.Time{}},
		{"leading_space", " " + exampleIMF, time.Time{}},
		{"trailing_space", exampleIMF + " ", time.Time{}},
		{"two_spaces", "Sun,  06 Nov 1994 08:49:37 GMT", time.Time{}},
		{"letters_for_digits", "Sun, 06 Nov 1994 0a:49:37 GMT", time.Time{}},
		{"negative_number", "Sun, 06 Nov -994 08:49:37 GMT", time.Time{}},
		{"hour_24", "Sun, 06 Nov 1994 24:00:00 GMT", time.Time{}},
		{"minute_60", "Sun, 06 Nov 1994 08:60:00 GMT", time.Time{}},
		{"second_61", "Sun, 06 Nov 1994 08:49:61 GMT", time.Time{}},
		{"day_0", "Sun, 00 Nov 1994 08:49:37 GMT", time.Time{}},
		{"day_31_of_november", "Thu, 31 Nov 1994 08:49:37 GMT", time.Time{}},
		{"day_32", "Thu, 32 Dec 1994 08:49:37 GMT", time.Time{}},
		{"leap_day_of_another_year", "Wed, 29 Feb 2023 00:00:00 GMT", time.Time{}},
		{"rfc850_leap_day_of_another_year", "Wednesday, 29-Feb-23 00:00:00 GMT", time.Time{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ok := precond.ParseDate(c.in, today)
			if ok == c.want.IsZero() || ok && !got.Equal(c.want) {
				t.Errorf("ParseDate(%q) = %v, %v, want %v", c.in, got, ok, c.want)
			}
		})
	}
}

// A year of two digits depends on now only.
func TestYearOfTwoDigitsFollowsTheCentury(t *testing.T) {
	for _, c := range []struct {
		now, in string
		want    int // 0: invalid
	}{
		{"1999-12-31", "Saturday, 01-Jan-00 00:00:00 GMT", 2000},
		{"1999-12-31", "Saturday, 01-Jan-49 00:00:00 GMT", 2049},
		{"1999-12-31", "Saturday, 31-Dec-50 00:00:00 GMT", 1950},
		{"2000-01-01", "Friday, 31-Dec-99 00:00:00 GMT", 1999},
		{"2060-01-01", "Friday, 31-Dec-09 00:00:00 GMT", 2109},
		{"2060-01-01", "Friday, 31-Dec-10 00:00:00 GMT", 2010},
		{"2060-01-01", "Monday, 29-Feb-00 00:00:00 GMT", 0}, // 2100 is no leap year
	} {
		now, err := time.Parse(time.DateOnly, c.now)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := precond.ParseDate(c.in, now)
		if ok != (c.want != 0) || ok && got.Year() != c.want {
			t.Errorf("in %s, ParseDate(%q) = %v, %v, want the year %d", c.now, c.in, got, ok, c.want)
		}
	}
}

func TestParseDateAllocatesNothing(t *testing.T) {
	for _, s := range []string{exampleIMF, exampleRFC850, exampleAsctime, "yesterday"} {
		if n := testing.AllocsPerRun(100, func() { precond.ParseDate(s, today) }); n > 0 {
			t.Errorf("ParseDate(%q) takes %v allocations, want none", s, n)
		}
	}
}

// FuzzParseDate compares with the standard library, which reads all that is valid, but for leap seconds, and more.
func FuzzParseDate(f *testing.F) {
	for _, s := range []string{exampleIMF, exampleRFC850, exampleAsctime, "Sat, 31 Dec 2016 23:59:60 GMT"} {
		f.Add(s, int64(0))
	}
	forms := []string{http.TimeFormat, "Monday, 02-Jan-06 15:04:05 GMT", time.ANSIC}
	f.Fuzz(func(t *testing.T, s string, seconds int64) {
		if got, ok := precond.ParseDate(s, today); ok {
			plain := strings.Replace(s, ":60", ":59", 1)
			want, err := http.ParseTime(plain)
			if plain != s {
				want = want.Add(time.Second)
			}
			years := got.Year() - want.Year()
			if err != nil || years%100 != 0 || got.Sub(want.AddDate(years, 0, 0)) != 0 {
				t.Fatalf("ParseDate(%q) = %v, the library reads %v, %v", s, got, want, err)
			}
			if got.After(today.AddDate(50, 0, 0)) && years != 0 {
				t.Fatalf("ParseDate(%q) = %v, more than 50 years ahead", s, got)
			}
		}
		const range50 = 49 * 365 * 24 * 3600
		at := today.Add(time.Duration(seconds%range50) * time.Second)
		for _, form := range forms {
			if got, ok := precond.ParseDate(at.Format(form), today); !ok || !got.Equal(at) {
				t.Fatalf("ParseDate(%q) = %v, %v", at.Format(form), got, ok)
			}
		}
	})
}
