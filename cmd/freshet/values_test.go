package main

import (
	"math"
	"testing"
	"time"
)

func TestSizes(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want int64 // 0: refused
	}{
		"plain_number":         {"4096", 4096},
		"bytes":                {"1B", 1},
		"decimal_unit":         {"10GB", 10e9},
		"binary_unit":          {"10GiB", 10 << 30},
		"small_k":              {"3kB", 3000},
		"capital_k":            {"3KB", 3000},
		"space_before_unit":    {"2 MiB", 2 << 20},
		"largest":              {"9223372036854775807", math.MaxInt64},
		"too_large_number":     {"9223372036854775808", 0},
		"too_large_with_unit":  {"8388608TiB", 0},
		"largest_with_unit":    {"8388607TiB", 8388607 << 40},
		"nought":               {"0", 0},
		"nought_with_unit":     {"0GB", 0},
		"negative":             {"-1", 0},
		"signed":               {"+1", 0},
		"fraction":             {"1.5GB", 0},
		"empty":                {"", 0},
		"unit_alone":           {"GB", 0},
		"unknown_unit":         {"3XB", 0},
		"underscore":           {"1_000", 0},
		"percent_is_no_number": {"10%", 0},
	} {
		t.Run(name, func(t *testing.T) {
			var s size
			switch err := s.Set(c.text); {
			case (err != nil) != (c.want == 0):
				t.Fatalf("error %v", err)
			case int64(s) != c.want:
				t.Fatalf("got %d, want %d", s, c.want)
			}
		})
	}
}

func TestShares(t *testing.T) {
	const disk = 1000
	for name, c := range map[string]struct {
		text string
		want int64 // of a disk of 1000 bytes; 0: refused
	}{
		"percent":           {"10%", 100},
		"space":             {"10 %", 100},
		"all":               {"100%", 1000},
		"size":              {"3kB", 3000},
		"more_than_all":     {"101%", 0},
		"nothing":           {"0%", 0},
		"fraction":          {"0.5%", 0},
		"percent_alone":     {"%", 0},
		"percent_of_a_size": {"10MB%", 0},
	} {
		t.Run(name, func(t *testing.T) {
			var s share
			err := s.Set(c.text)
			if (err != nil) != (c.want == 0) {
				t.Fatalf("error %v", err)
			}
			if err == nil && s.of(disk) != c.want {
				t.Fatalf("got %d, want %d", s.of(disk), c.want)
			}
		})
	}
	if s := (share{percent: 50}); s.of(math.MaxInt64) < math.MaxInt64/2-100 {
		t.Error("half of the largest filesystem overflows")
	}
	if s := (share{percent: 1}); s.of(10) != 1 {
		t.Error("a share of a tiny filesystem is nothing, which means no limit further down")
	}
}

func TestSpans(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want time.Duration // 0: refused
	}{
		"seconds":            {"10s", 10 * time.Second},
		"days":               {"30d", 30 * 24 * time.Hour},
		"days_and_hours":     {"1d12h", 36 * time.Hour},
		"hours_and_minutes":  {"1h30m", 90 * time.Minute},
		"fraction":           {"1.5s", 1500 * time.Millisecond},
		"longest_days":       {"106751d", 106751 * 24 * time.Hour},
		"days_overflow":      {"106752d", 0},
		"sum_overflows":      {"106751d24h", 0},
		"no_unit":            {"10", 0},
		"nought":             {"0", 0},
		"nought_days":        {"0d", 0},
		"negative":           {"-1s", 0},
		"negative_after_day": {"1d-1h", 0},
		"negative_days":      {"-1d", 0},
		"empty":              {"", 0},
		"unit_alone":         {"d", 0},
		"days_twice":         {"1d1d", 0},
	} {
		t.Run(name, func(t *testing.T) {
			var d time.Duration
			switch err := (span{&d, false}).Set(c.text); {
			case (err != nil) != (c.want == 0):
				t.Fatalf("error %v, value %v", err, d)
			case d != c.want:
				t.Fatalf("got %v, want %v", d, c.want)
			}
		})
	}
	d := time.Hour
	if err := (span{&d, true}).Set("0"); err != nil || d != 0 {
		t.Errorf("nought where it is allowed: %v, %v", d, err)
	}
}

func TestSpanText(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0", 10 * time.Second: "10s", 30 * day: "30d", 36 * time.Hour: "1d12h", 90 * time.Minute: "1h30m",
		time.Hour: "1h", time.Minute: "1m", day + time.Second: "1d1s", time.Hour + time.Second: "1h0m1s",
	} {
		if got := (span{&d, true}).String(); got != want {
			t.Errorf("%v: got %s, want %s", time.Duration(d), got, want)
		}
	}
}

func TestCacheRules(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want int // rules; 0: refused
	}{
		"one":                  {"*.html=no-cache", 1},
		"two_in_order":         {"*.html=no-cache; assets/*=max-age=31536000, immutable", 2},
		"empty_rule":           {"*.html=no-cache;", 0},
		"no_control":           {"*.html", 0},
		"no_pattern":           {"=no-cache", 0},
		"broken_pattern":       {"[a=no-cache", 0},
		"line_break_injection": {"*=no-cache\r\nX-Evil: 1", 0},
		"empty":                {"", 0},
	} {
		t.Run(name, func(t *testing.T) {
			var rules cacheRules
			if err := rules.Set(c.text); (err != nil) != (c.want == 0) {
				t.Fatalf("error %v", err)
			} else if err == nil && (len(rules) != c.want || rules.String() != c.text) {
				t.Fatalf("got %q", rules.String())
			}
		})
	}
}

func TestNearest(t *testing.T) {
	names := []string{"listen", "write", "public", "symlinks", "host", "uploads", "upload-size", "log"}
	for name, c := range map[string]struct{ word, want string }{
		"letter_missing":     {"lisen", "listen"},
		"letters_swapped":    {"wirte", "write"},
		"letter_too_many":    {"listten", "listen"},
		"letter_wrong":       {"pablic", "public"},
		"capitals":           {"Write", "write"},
		"nearer_of_two":      {"upload", "uploads"},
		"two_edits_in_long":  {"uplod-sise", "upload-size"},
		"two_edits_in_short": {"port", ""},
		"nothing_like_it":    {"colour", ""},
		"empty":              {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := nearest(c.word, names); got != c.want {
				t.Fatalf("got %q, want %q", got, c.want)
			}
		})
	}
}

// FuzzValues checks that what a value prints is read back as the same value.
func FuzzValues(f *testing.F) {
	for _, seed := range []string{"10GiB", "1h0m1s", "30d", "10%", "0.000000001s", "9223372036854775807", "a=b;c=d", "x, y", "blake3"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var d1, d2 time.Duration
		for _, pair := range [][2]value{
			{new(size), new(size)}, {new(share), new(share)}, {new(count), new(count)}, {new(boolean), new(boolean)},
			{span{&d1, true}, span{&d2, true}}, {new(list), new(list)}, {new(algorithm), new(algorithm)}, {new(cacheRules), new(cacheRules)},
		} {
			if pair[0].Set(text) != nil {
				continue
			}
			printed := pair[0].String()
			if err := pair[1].Set(printed); err != nil || pair[1].String() != printed {
				t.Errorf("%T: %q prints as %q, which reads as %q (%v)", pair[0], text, printed, pair[1], err)
			}
		}
	})
}
