package fileserver

import (
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// rangeList writes what is to be sent: "0-4 90-99", "ignored" or "unsatisfiable".
func rangeList(ranges []byteRange, verdict rangeVerdict) string {
	switch verdict {
	case rangesIgnored:
		return "ignored"
	case rangesUnsatisfiable:
		return "unsatisfiable"
	}
	var out []string
	for _, r := range ranges {
		out = append(out, fmt.Sprintf("%d-%d", r.start, r.end()-1))
	}
	return strings.Join(out, " ")
}

func TestParseRanges(t *testing.T) {
	const huge = "99999999999999999999999999999999"
	for _, c := range []struct {
		name, field string
		size        int64
		want        string
	}{
		{"first_bytes", "bytes=0-499", 1000, "0-499"},
		{"middle", "bytes=500-599", 1000, "500-599"},
		{"one_byte", "bytes=0-0", 1000, "0-0"},
		{"last_byte", "bytes=-1", 1000, "999-999"},
		{"to_the_end", "bytes=950-", 1000, "950-999"},
		{"whole", "bytes=0-", 1000, "0-999"},
		{"suffix", "bytes=-50", 1000, "950-999"},
		{"suffix_of_all", "bytes=-1000", 1000, "0-999"},
		{"suffix_longer_than_the_file", "bytes=-1001", 1000, "0-999"},
		{"last_past_the_end", "bytes=950-1000", 1000, "950-999"},
		{"leading_zeros", "bytes=00950-000951", 1000, "950-951"},
		{"unit_in_capitals", "BYTES=0-0", 1000, "0-0"},

		{"huge_last", "bytes=950-" + huge, 1000, "950-999"},
		{"huge_suffix", "bytes=-" + huge, 1000, "0-999"},
		{"huge_first", "bytes=" + huge + "-", 1000, "unsatisfiable"},
		{"huge_both", "bytes=" + huge + "-" + huge, 1000, "unsatisfiable"},
		{"huge_both_backwards", "bytes=" + huge + "1-" + huge + "0", 1000, "ignored"},
		{"huge_leading_zeros", "bytes=" + strings.Repeat("0", 50) + "7-7", 1000, "7-7"},
		{"largest_position", "bytes=9223372036854775807-", 1000, "unsatisfiable"},
		{"one_more_than_the_largest_position", "bytes=0-9223372036854775808", 1000, "0-999"},
		{"largest_file", "bytes=9223372036854775806-", 1<<63 - 1, "9223372036854775806-9223372036854775806"},
		{"largest_file_suffix", "bytes=-" + huge, 1<<63 - 1, "0-9223372036854775806"},

		{"first_at_the_end", "bytes=1000-", 1000, "unsatisfiable"},
		{"first_and_last_past_the_end", "bytes=1000-1000", 1000, "unsatisfiable"},
		{"empty_suffix", "bytes=-0", 1000, "unsatisfiable"},
		{"empty_suffix_of_many_zeros", "bytes=-000", 1000, "unsatisfiable"},
		{"all_past_the_end", "bytes=1000-,2000-3000,-0", 1000, "unsatisfiable"},
		{"one_of_several_past_the_end", "bytes=1000-,0-1", 1000, "0-1"},
		{"empty_suffix_left_out", "bytes=-0,0-1", 1000, "0-1"},

		{"empty_file_first", "bytes=0-0", 0, "unsatisfiable"},
		{"empty_file_whole", "bytes=0-", 0, "unsatisfiable"},
		{"empty_file_empty_suffix", "bytes=-0", 0, "unsatisfiable"},
		{"empty_file_suffix_is_all_of_it", "bytes=-5", 0, "ignored"},
		{"empty_file_suffix_among_others", "bytes=0-0,-5", 0, "ignored"},
		{"file_of_one_byte", "bytes=0-", 1, "0-0"},

		{"backwards", "bytes=5-4", 1000, "ignored"},
		{"backwards_past_the_end", "bytes=2000-1999", 1000, "ignored"},
		{"backwards_by_length", "bytes=10-9", 1000, "ignored"},
		{"one_of_several_backwards", "bytes=0-1,5-4", 1000, "ignored"},
		{"other_unit", "lines=0-1", 1000, "ignored"},
		{"unit_with_a_letter_that_folds_to_s", "byte\u017f=0-1", 1000, "ignored"},
		{"unit_none", "none=0-1", 1000, "ignored"},
		{"unit_alone", "bytes", 1000, "ignored"},
		{"no_unit", "0-1", 1000, "ignored"},
		{"no_unit_name", "=0-1", 1000, "ignored"},
		{"space_after_the_unit", "bytes =0-1", 1000, "ignored"},
		{"no_ranges", "bytes=", 1000, "ignored"},
		{"only_commas", "bytes= , ,", 1000, "ignored"},
		{"dash", "bytes=-", 1000, "ignored"},
		{"number", "bytes=5", 1000, "ignored"},
		{"letters", "bytes=a-b", 1000, "ignored"},
		{"letter_at_the_end", "bytes=0-1x", 1000, "ignored"},
		{"hexadecimal", "bytes=0-0x10", 1000, "ignored"},
		{"negative", "bytes=--5", 1000, "ignored"},
		{"plus", "bytes=+0-1", 1000, "ignored"},
		{"three_numbers", "bytes=0-1-2", 1000, "ignored"},
		{"space_inside", "bytes=0 - 1", 1000, "ignored"},
		{"digits_of_another_script", "bytes=٣-٤", 1000, "ignored"},
		{"semicolon", "bytes=0-1;5-6", 1000, "ignored"},
		{"malformed_after_good", "bytes=0-1,x", 1000, "ignored"},
		{"empty", "", 1000, "ignored"},

		{"several", "bytes=0-9,200-209", 1000, "0-9 200-209"},
		{"spaces_and_empty_elements", "bytes=0-9 ,,\t200-209, ", 1000, "0-9 200-209"},
		{"order_of_the_client", "bytes=-1,200-209,0-9", 1000, "999-999 200-209 0-9"},
		{"touching", "bytes=0-9,10-19", 1000, "0-19"},
		{"overlapping", "bytes=5-19,0-9", 1000, "0-19"},
		{"one_inside_the_other", "bytes=0-99,10-19", 1000, "0-99"},
		{"the_same_twice", "bytes=0-9,0-9", 1000, "0-9"},
		{"gap_of_80", "bytes=0-9,90-99", 1000, "0-99"},
		{"gap_of_81", "bytes=0-9,91-99", 1000, "0-9 91-99"},
		{"bridged_by_a_later_one", "bytes=0-9,200-209,10-199", 1000, "0-209"},
		{"joined_ones_stand_where_the_first_stood", "bytes=900-909,0-9,500-509,920-929,20-29", 1000, "900-929 0-29 500-509"},
		{"joined_ones_asked_for_backwards", "bytes=20-29,500-509,0-9", 1000, "0-29 500-509"},
		{"joined_to_everything", "bytes=0-,-1000,500-", 1000, "0-999"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := rangeList(parseRanges([]string{c.field}, c.size)); got != c.want {
				t.Errorf("Range: %s of %d bytes is %s, want %s", c.field, c.size, got, c.want)
			}
		})
	}
}

func TestRangeInSeveralLinesIsIgnored(t *testing.T) {
	for _, lines := range [][]string{nil, {"bytes=0-1", "bytes=0-1"}, {"bytes=0-1", ""}} {
		if got := rangeList(parseRanges(lines, 1000)); got != "ignored" {
			t.Errorf("%q is %s, want ignored", lines, got)
		}
	}
}

func TestRangesAreBounded(t *testing.T) {
	spread := func(n int) string {
		var specs []string
		for i := range n {
			specs = append(specs, fmt.Sprintf("%d-%d", 1000*i, 1000*i))
		}
		return "bytes=" + strings.Join(specs, ",")
	}
	if ranges, verdict := parseRanges([]string{spread(rangesMax)}, 1<<20); verdict != rangesPartial || len(ranges) != rangesMax {
		t.Errorf("%d ranges are %d, %v", rangesMax, len(ranges), verdict)
	}
	for _, field := range []string{
		spread(rangesMax + 1),
		"bytes=" + strings.Repeat("0-0,", rangesMax+1), // one, when joined
		"bytes=" + strings.Repeat("-0,", rangesMax) + "0-0",
	} {
		if got := rangeList(parseRanges([]string{field}, 1<<20)); got != "ignored" {
			t.Errorf("%d ranges are %s, want ignored", strings.Count(field, "-"), got)
		}
	}
	if got := rangeList(parseRanges([]string{"bytes=" + strings.Repeat(",", 10*rangesMax) + "0-0"}, 1<<20)); got != "0-0" {
		t.Errorf("empty elements count as ranges: %s", got)
	}
}

// markRanges is the obvious way to read a Range field: it marks each byte that is asked for with the number of the first range
// that asks for it, from 1 on.
func markRanges(field string, size int) (marks []int, verdict rangeVerdict) {
	set, ok := strings.CutPrefix(strings.ToLower(field), "bytes=")
	if !ok {
		return nil, rangesIgnored
	}
	marks = make([]int, size)
	count, satisfiable := 0, false
	form := regexp.MustCompile(`^([0-9]*)-([0-9]*)$`)
	for _, spec := range strings.Split(set, ",") {
		if spec = strings.Trim(spec, " \t"); spec == "" {
			continue
		}
		count++
		m := form.FindStringSubmatch(spec)
		if m == nil || m[1] == "" && m[2] == "" {
			return nil, rangesIgnored
		}
		end, length := big.NewInt(int64(size)), new(big.Int)
		first, hasFirst := new(big.Int).SetString(m[1], 10)
		last, hasLast := new(big.Int).SetString(m[2], 10)
		switch {
		case !hasFirst:
			satisfiable = satisfiable || last.Sign() > 0
			if first = length.Sub(end, last); first.Sign() < 0 {
				first = new(big.Int)
			}
			last = end
		case !hasLast:
			last = end
			satisfiable = satisfiable || first.Cmp(end) < 0
		default:
			if first.Cmp(last) > 0 {
				return nil, rangesIgnored
			}
			satisfiable = satisfiable || first.Cmp(end) < 0
		}
		for i := range size {
			at := big.NewInt(int64(i))
			if marks[i] == 0 && at.Cmp(first) >= 0 && at.Cmp(last) <= 0 {
				marks[i] = count
			}
		}
	}
	switch {
	case count == 0 || count > rangesMax || satisfiable && size == 0:
		return nil, rangesIgnored
	case !satisfiable:
		return nil, rangesUnsatisfiable
	}
	return marks, rangesPartial
}

// checkRanges holds what parseRanges says of a small file against markRanges.
func checkRanges(t interface{ Fatalf(string, ...any) }, field string, size int) {
	ranges, verdict := parseRanges([]string{field}, int64(size))
	marks, want := markRanges(field, size)
	if verdict != want {
		t.Fatalf("Range: %s of %d bytes: verdict %d, want %d", field, size, verdict, want)
	}
	if verdict != rangesPartial {
		if ranges != nil {
			t.Fatalf("Range: %s of %d bytes: ranges %v with verdict %d", field, size, ranges, verdict)
		}
		return
	}
	var order []int
	sent := make([]bool, size)
	for _, r := range ranges {
		if r.start < 0 || r.length <= 0 || r.end() > int64(size) {
			t.Fatalf("Range: %s of %d bytes: %v", field, size, r)
		}
		first := 0
		for i := r.start; i < r.end(); i++ {
			if sent[i] {
				t.Fatalf("Range: %s of %d bytes: byte %d is sent twice", field, size, i)
			}
			sent[i] = true
			if m := marks[i]; m != 0 && (first == 0 || m < first) {
				first = m
			}
		}
		order = append(order, first)
	}
	if !slices.IsSorted(order) {
		t.Fatalf("Range: %s of %d bytes: sent in the order %v", field, size, order)
	}
	checkGaps(t, field, marks, sent)
}

// checkGaps makes sure that what is asked for is sent, and besides that exactly the gaps of at most rangeGapBytesMax between.
func checkGaps(t interface{ Fatalf(string, ...any) }, field string, marks []int, sent []bool) {
	last := -1 // the last byte asked for
	for i, mark := range marks {
		if mark == 0 {
			continue
		}
		gap := i - last - 1
		for j := i - gap; j < i; j++ {
			if want := last >= 0 && gap <= rangeGapBytesMax; sent[j] != want {
				t.Fatalf("Range: %s: byte %d in a gap of %d: sent %v", field, j, gap, sent[j])
			}
		}
		if !sent[i] {
			t.Fatalf("Range: %s: byte %d is not sent", field, i)
		}
		last = i
	}
	if i := slices.Index(sent[last+1:], true); i >= 0 {
		t.Fatalf("Range: %s: byte %d after the last is sent", field, last+1+i)
	}
}

func TestRangesAgainstMarks(t *testing.T) {
	number := rapid.OneOf(
		rapid.Map(rapid.IntRange(0, 700), func(n int) string { return fmt.Sprint(n) }),
		rapid.StringMatching(`0{0,2}[0-9]{1,3}`),
		rapid.StringMatching(`[0-9]{18,25}`),
	)
	spec := rapid.Custom(func(t *rapid.T) string {
		switch rapid.IntRange(0, 9).Draw(t, "form") {
		case 0:
			return number.Draw(t, "first") + "-"
		case 1:
			return "-" + number.Draw(t, "suffix")
		case 2:
			return number.Draw(t, "first") + "-" + number.Draw(t, "last") // often backwards
		}
		first := rapid.IntRange(0, 700).Draw(t, "first")
		return fmt.Sprintf("%d-%d", first, first+rapid.IntRange(0, 30).Draw(t, "more"))
	})
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.SampledFrom([]int{0, 1, 80, 81, 300, 700}).Draw(t, "size")
		specs := rapid.SliceOfN(spec, 1, 6).Draw(t, "specs")
		checkRanges(t, "bytes="+strings.Join(specs, rapid.SampledFrom([]string{",", ", ", " ,, "}).Draw(t, "comma")), size)
	})
}

func FuzzParseRanges(f *testing.F) {
	for _, s := range []string{"bytes=0-9", "bytes=-5,200-", "Bytes=5-4", "bytes=0-99999999999999999999"} {
		f.Add(s, uint16(300))
	}
	f.Fuzz(func(t *testing.T, field string, size uint16) {
		if len(field) > 2000 {
			return // the model is slow
		}
		checkRanges(t, field, int(size%600))
	})
}
