package fileserver_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// f shortens the lists of fields in the tables.
type f = []string

func readingSections() []section {
	return []section{plainReading, readingTags, readingDates, readingOrder, ranges, ifRange, safety, foldersAndPaths, methods}
}

var plainReading = section{title: "Reading a file", cases: []conformanceCase{
	{name: "get", method: "GET", path: "/a.txt", status: 200, answer: contentA,
		header: f{"ETag: {A}", "Content-Length: 10",
			"Content-Type: text/plain; charset=utf-8", "Accept-Ranges: bytes", "Cache-Control: no-cache"}},
	{name: "head", method: "HEAD", path: "/a.txt", status: 200, header: f{"ETag: {A}", "Content-Length: 10",
		"Content-Type: text/plain; charset=utf-8", "Accept-Ranges: bytes", "Cache-Control: no-cache"}},
	{name: "get_empty_file", method: "GET", path: "/empty.txt", status: 200,
		header: f{"ETag: {empty}", "Content-Length: 0"}},
	{name: "get_of_same_bytes_under_another_name", method: "GET", path: "/copy.txt", status: 200, answer: contentA,
		header: f{"ETag: {A}"}, given: "`copy.txt` has the bytes of `a.txt`",
		before: func(t *testing.T, w *world, dir string) { w.file(t, dir+"/copy.txt", contentA) }},
	{name: "get_with_cache_rule", method: "GET", path: "/a.txt", server: "cached", status: 200,
		header: f{"Cache-Control: max-age=60"}},
	{name: "get_without_cache_rule", method: "GET", path: "/page.html", server: "cached", status: 200,
		header: f{"Cache-Control: no-cache"}},
	{name: "not_modified_with_cache_rule", method: "GET", path: "/a.txt", fields: f{"If-None-Match: {A}"},
		server: "cached",
		status: 304, header: f{"Cache-Control: max-age=60"}},
	{name: "get_nothing", method: "GET", path: "/none", status: 404},
	{name: "head_nothing", method: "HEAD", path: "/none", status: 404},
	{name: "get_below_a_file", method: "GET", path: "/a.txt/x", status: 404},
	{name: "get_file_with_slash", method: "GET", path: "/a.txt/", status: 404},
	{name: "get_special_file", method: "GET", path: "/pipe", status: 404, given: "`pipe` is a named pipe",
		before: makePipe},
	{name: "get_link_inside", method: "GET", path: "/link", status: 200, answer: contentA, header: f{"ETag: {A}"},
		given: "`link` leads to `a.txt`", before: linkTo("a.txt")},
	{name: "get_link_outside", method: "GET", path: "/link", status: 403, given: "`link` leads to `/etc/passwd`",
		before: linkTo("/etc/passwd")},
	{name: "get_link_above_the_root", method: "GET", path: "/link", status: 403, given: "`link` leads to `../../x`",
		before: linkTo("../../x")},
	{name: "get_broken_link", method: "GET", path: "/link", status: 404, given: "`link` leads nowhere",
		before: linkTo("none")},
	{name: "a_page_for_browsers", method: "GET", path: "/none", fields: f{"Accept: text/html,*/*;q=0.8"}, status: 404,
		header: f{"Content-Type: text/html; charset=utf-8", "Content-Security-Policy: ~script-src 'self'"},
		answer: "~<h1>"},
}}

func linkTo(target string) func(*testing.T, *world, string) {
	return func(t *testing.T, w *world, dir string) {
		if err := os.Symlink(target, filepath.Join(w.root, dir, "link")); err != nil {
			t.Fatal(err)
		}
	}
}

var readingTags = section{title: "Reading on condition of tags (RFC 9110 sections 13.1.1 and 13.1.2)", cases: []conformanceCase{
	{name: "if_none_match_current", method: "GET", path: "/a.txt", fields: f{"If-None-Match: {A}"}, status: 304,
		header: f{"ETag: {A}", "Cache-Control: no-cache", "-Content-Length", "-Content-Type"}},
	{name: "head_if_none_match_current", method: "HEAD", path: "/a.txt", fields: f{"If-None-Match: {A}"}, status: 304,
		header: f{"ETag: {A}"}},
	{name: "if_none_match_weak", method: "GET", path: "/a.txt", fields: f{"If-None-Match: W/{A}"}, status: 304},
	{name: "if_none_match_list", method: "GET", path: "/a.txt", fields: f{`If-None-Match: "x", W/"y",{A}`},
		status: 304},
	{name: "if_none_match_two_lines", method: "GET", path: "/a.txt",
		fields: f{`If-None-Match: "x"`, "If-None-Match: {A}"}, status: 304},
	{name: "if_none_match_comma_inside_a_tag", method: "GET", path: "/a.txt", fields: f{`If-None-Match: "x,y", {A}`},
		status: 304},
	{name: "if_none_match_empty_elements", method: "GET", path: "/a.txt", fields: f{`If-None-Match: , ,{A},`},
		status: 304},
	{name: "if_none_match_any", method: "GET", path: "/a.txt", fields: f{"If-None-Match: *"}, status: 304,
		header: f{"ETag: {A}"}},
	{name: "if_none_match_other", method: "GET", path: "/a.txt", fields: f{"If-None-Match: {B}"}, status: 200,
		answer: contentA},
	{name: "if_none_match_unquoted", method: "GET", path: "/a.txt", fields: f{"If-None-Match: {A.hex}"}, status: 200},
	{name: "if_none_match_one_quote", method: "GET", path: "/a.txt", fields: f{`If-None-Match: "{A.hex}`}, status: 200},
	{name: "if_none_match_empty", method: "GET", path: "/a.txt", fields: f{"If-None-Match: "}, status: 200},
	{name: "if_none_match_of_a_coding", method: "GET", path: "/a.txt", fields: f{`If-None-Match: "{A.hex}-gzip.1"`},
		status: 200},
	{name: "if_none_match_upper_case", method: "GET", path: "/a.txt", fields: f{`If-None-Match: "` +
		strings.ToUpper(strings.Trim(tagOf(contentA), `"`)) + `"`}, status: 200},
	{name: "if_none_match_any_of_nothing", method: "GET", path: "/none", fields: f{"If-None-Match: *"}, status: 404},

	{name: "if_match_current", method: "GET", path: "/a.txt", fields: f{"If-Match: {A}"}, status: 200,
		answer: contentA},
	{name: "if_match_any", method: "GET", path: "/a.txt", fields: f{"If-Match: *"}, status: 200},
	{name: "if_match_list", method: "GET", path: "/a.txt", fields: f{`If-Match: "x", {A}`}, status: 200},
	{name: "if_match_two_lines", method: "GET", path: "/a.txt", fields: f{`If-Match: "x"`, `If-Match: {A}`},
		status: 200},
	{name: "if_match_other", method: "GET", path: "/a.txt", fields: f{"If-Match: {B}"}, status: 412,
		header: f{"ETag: {A}", "Content-Type: application/problem+json"},
		answer: `~"current":"\"` + strings.Trim(tagOf(contentA), `"`)},
	{name: "head_if_match_other", method: "HEAD", path: "/a.txt", fields: f{"If-Match: {B}"}, status: 412,
		header: f{"ETag: {A}"}},
	{name: "if_match_weak", method: "GET", path: "/a.txt", fields: f{"If-Match: W/{A}"}, status: 412},
	{name: "if_match_unquoted", method: "GET", path: "/a.txt", fields: f{"If-Match: {A.hex}"}, status: 412},
	{name: "if_match_malformed_list", method: "GET", path: "/a.txt", fields: f{"If-Match: {A}, x"}, status: 412},
	{name: "if_match_empty", method: "GET", path: "/a.txt", fields: f{"If-Match: "}, status: 412},
	{name: "if_match_of_a_coding", method: "GET", path: "/a.txt", fields: f{`If-Match: "{A.hex}-gzip.1"`}, status: 412},
	{name: "if_match_of_nothing", method: "GET", path: "/none", fields: f{`If-Match: "x"`}, status: 404},
}}

var readingDates = section{
	title: "Reading on condition of dates (RFC 9110 sections 13.1.3 and 13.1.4)", settled: true,
	text: "A date names a state once the second of the last change is over; until then it leads to no 304.",
	cases: []conformanceCase{
		{name: "last_modified", method: "GET", path: "/a.txt", status: 200, header: f{"Last-Modified: {modified}"}},
		{name: "last_modified_with_not_modified", method: "GET", path: "/a.txt", fields: f{"If-None-Match: {A}"},
			status: 304,
			header: f{"Last-Modified: {modified}"}},
		{name: "if_modified_since_same", method: "GET", path: "/a.txt", fields: f{"If-Modified-Since: {modified}"},
			status: 304,
			header: f{"ETag: {A}"}},
		{name: "if_modified_since_imf_date", method: "GET", path: "/a.txt", fields: f{"If-Modified-Since: {now}"},
			status: 304},
		{name: "if_modified_since_rfc850_date", method: "GET", path: "/a.txt",
			fields: f{"If-Modified-Since: {now850}"}, status: 304},
		{name: "if_modified_since_asctime_date", method: "GET", path: "/a.txt",
			fields: f{"If-Modified-Since: {nowasc}"}, status: 304},
		{name: "head_if_modified_since", method: "HEAD", path: "/a.txt", fields: f{"If-Modified-Since: {now}"},
			status: 304},
		{name: "if_modified_since_in_the_future", method: "GET", path: "/a.txt",
			fields: f{"If-Modified-Since: {future}"}, status: 200},
		{name: "if_modified_since_earlier", method: "GET", path: "/a.txt", fields: f{"If-Modified-Since: {past}"},
			status: 200},
		{name: "if_modified_since_invalid", method: "GET", path: "/a.txt", fields: f{"If-Modified-Since: yesterday"},
			status: 200},
		{name: "if_modified_since_other_zone", method: "GET", path: "/a.txt", status: 200,
			fields: f{"If-Modified-Since: Sun, 06 Nov 2044 08:49:37 CET"}},
		{name: "if_modified_since_twice", method: "GET", path: "/a.txt", status: 200,
			fields: f{"If-Modified-Since: {now}", "If-Modified-Since: {now}"}},
		{name: "if_modified_since_restored_time", method: "GET", path: "/a.txt",
			fields: f{"If-Modified-Since: {past}"}, status: 200,
			given: "the time of `a.txt` was set to 1994", before: setPast},
		{name: "if_unmodified_since_now", method: "GET", path: "/a.txt", fields: f{"If-Unmodified-Since: {now}"},
			status: 200},
		{name: "if_unmodified_since_rfc850_date", method: "GET", path: "/a.txt",
			fields: f{"If-Unmodified-Since: {now850}"}, status: 200},
		{name: "if_unmodified_since_asctime_date", method: "GET", path: "/a.txt",
			fields: f{"If-Unmodified-Since: {nowasc}"}, status: 200},
		{name: "if_unmodified_since_earlier", method: "GET", path: "/a.txt", fields: f{"If-Unmodified-Since: {past}"},
			status: 412,
			header: f{"ETag: {A}"}},
		{name: "head_if_unmodified_since_earlier", method: "HEAD", path: "/a.txt",
			fields: f{"If-Unmodified-Since: {past}"}, status: 412},
		{name: "if_unmodified_since_invalid", method: "GET", path: "/a.txt", fields: f{"If-Unmodified-Since: 1994"},
			status: 200},
	}}

var readingOrder = section{title: "Several conditions at once (RFC 9110 section 13.2.2)", cases: []conformanceCase{
	{name: "if_match_before_if_none_match", method: "GET", path: "/a.txt",
		fields: f{"If-None-Match: {A}", "If-Match: {B}"}, status: 412},
	{name: "if_none_match_after_if_match", method: "GET", path: "/a.txt",
		fields: f{"If-None-Match: {A}", "If-Match: {A}"}, status: 304},
	{name: "if_match_instead_of_if_unmodified_since", method: "GET", path: "/a.txt",
		fields: f{"If-Match: {A}", "If-Unmodified-Since: {past}"}, status: 200},
	{name: "if_unmodified_since_before_if_none_match", method: "GET", path: "/a.txt",
		fields: f{"If-None-Match: {A}", "If-Unmodified-Since: {past}"}, status: 412},
	{name: "if_none_match_instead_of_if_modified_since", method: "GET", path: "/a.txt",
		fields: f{"If-None-Match: {B}", "If-Modified-Since: {now}"}, status: 200},
	{name: "if_none_match_current_and_if_modified_since_earlier", method: "GET", path: "/a.txt",
		fields: f{"If-None-Match: {A}", "If-Modified-Since: {past}"}, status: 304},
	{name: "conditions_before_ranges", method: "GET", path: "/a.txt",
		fields: f{"If-None-Match: {A}", "Range: bytes=0-1"}, status: 304},
	{name: "failed_condition_before_unsatisfiable_range", method: "GET", path: "/a.txt",
		fields: f{"If-Match: {B}", "Range: bytes=90-"}, status: 412},
	{name: "conditions_only_where_there_is_something", method: "GET", path: "/none", fields: f{"If-Match: *"},
		status: 404},
}}

var ranges = section{title: "Ranges (RFC 9110 section 14)", cases: []conformanceCase{
	{name: "range_first_bytes", method: "GET", path: "/a.txt", fields: f{"Range: bytes=0-3"}, status: 206,
		answer: "0123",
		header: f{"Content-Range: bytes 0-3/10", "Content-Length: 4", "ETag: {A}", "Content-Type: text/plain; charset=utf-8"}},
	{name: "range_middle", method: "GET", path: "/a.txt", fields: f{"Range: bytes=4-4"}, status: 206, answer: "4",
		header: f{"Content-Range: bytes 4-4/10"}},
	{name: "range_open", method: "GET", path: "/a.txt", fields: f{"Range: bytes=7-"}, status: 206, answer: "789"},
	{name: "range_suffix", method: "GET", path: "/a.txt", fields: f{"Range: bytes=-2"}, status: 206, answer: "89",
		header: f{"Content-Range: bytes 8-9/10"}},
	{name: "range_suffix_longer_than_the_file", method: "GET", path: "/a.txt", fields: f{"Range: bytes=-99"},
		status: 206,
		answer: contentA, header: f{"Content-Range: bytes 0-9/10"}},
	{name: "range_past_the_end", method: "GET", path: "/a.txt", fields: f{"Range: bytes=8-99"}, status: 206,
		answer: "89"},
	{name: "range_huge_number", method: "GET", path: "/a.txt", fields: f{"Range: bytes=8-99999999999999999999999999"},
		status: 206,
		answer: "89"},
	{name: "range_unit_in_capitals", method: "GET", path: "/a.txt", fields: f{"Range: BYTES=0-0"}, status: 206,
		answer: "0"},
	{name: "range_of_one_that_can_be_had", method: "GET", path: "/a.txt", fields: f{"Range: bytes=90-99,0-0"},
		status: 206, answer: "0"},
	{name: "range_beyond_the_end", method: "GET", path: "/a.txt", fields: f{"Range: bytes=10-"}, status: 416,
		header: f{"Content-Range: bytes */10", "-ETag"}},
	{name: "range_beyond_the_end_huge", method: "GET", path: "/a.txt",
		fields: f{"Range: bytes=99999999999999999999999999-"},
		status: 416, header: f{"Content-Range: bytes */10"}},
	{name: "range_empty_suffix", method: "GET", path: "/a.txt", fields: f{"Range: bytes=-0"}, status: 416,
		header: f{"Content-Range: bytes */10"}},
	{name: "range_of_empty_file", method: "GET", path: "/empty.txt", fields: f{"Range: bytes=0-"}, status: 416,
		header: f{"Content-Range: bytes */0"}},
	{name: "range_backwards", method: "GET", path: "/a.txt", fields: f{"Range: bytes=5-4"}, status: 200,
		answer: contentA},
	{name: "range_malformed", method: "GET", path: "/a.txt", fields: f{"Range: bytes=0-x"}, status: 200},
	{name: "range_without_numbers", method: "GET", path: "/a.txt", fields: f{"Range: bytes=-"}, status: 200},
	{name: "range_negative", method: "GET", path: "/a.txt", fields: f{"Range: bytes=--2"}, status: 200},
	{name: "range_other_unit", method: "GET", path: "/a.txt", fields: f{"Range: lines=0-1"}, status: 200},
	{name: "range_two_lines", method: "GET", path: "/a.txt", fields: f{"Range: bytes=0-1", "Range: bytes=4-5"},
		status: 200},
	{name: "range_list_too_long", method: "GET", path: "/a.txt",
		fields: f{"Range: bytes=" + strings.Repeat("0-0,", 64) + "9-9"},
		status: 200},
	{name: "range_with_head", method: "HEAD", path: "/a.txt", fields: f{"Range: bytes=0-1"}, status: 200,
		header: f{"Content-Length: 10"}},
	{name: "ranges_that_touch_are_one", method: "GET", path: "/a.txt", fields: f{"Range: bytes=0-1,2-3"}, status: 206,
		answer: "0123",
		header: f{"Content-Range: bytes 0-3/10"}},
	{name: "ranges_that_overlap_are_one", method: "GET", path: "/a.txt", fields: f{"Range: bytes=5-9,0-6"}, status: 206,
		answer: contentA},
	{name: "ranges_apart", method: "GET", path: "/long.txt", fields: f{"Range: bytes=0-1,-2"}, status: 206,
		header: f{"Content-Type: ~multipart/byteranges; boundary=", "-Content-Range"},
		answer: "~Content-Range: bytes 298-299/300\r\n\r\nyz",
		given:  "`long.txt` has 300 bytes", before: func(t *testing.T, w *world, dir string) {
			w.file(t, dir+"/long.txt", strings.Repeat("x", 298)+"yz")
		}},
}}

var ifRange = section{title: "If-Range (RFC 9110 section 13.1.5)", settled: true, cases: []conformanceCase{
	{name: "if_range_current", method: "GET", path: "/a.txt", fields: f{"Range: bytes=0-1", "If-Range: {A}"},
		status: 206, answer: "01"},
	{name: "if_range_other", method: "GET", path: "/a.txt", fields: f{"Range: bytes=0-1", "If-Range: {B}"},
		status: 200, answer: contentA},
	{name: "if_range_weak", method: "GET", path: "/a.txt", fields: f{"Range: bytes=0-1", "If-Range: W/{A}"},
		status: 200},
	{name: "if_range_list", method: "GET", path: "/a.txt", fields: f{"Range: bytes=0-1", "If-Range: {A}, {B}"},
		status: 200},
	{name: "if_range_two_lines", method: "GET", path: "/a.txt",
		fields: f{"Range: bytes=0-1", "If-Range: {A}", "If-Range: {A}"}, status: 200},
	{name: "if_range_date", method: "GET", path: "/a.txt", fields: f{"Range: bytes=0-1", "If-Range: {modified}"},
		status: 206},
	{name: "if_range_later_date", method: "GET", path: "/a.txt",
		fields: f{"Range: bytes=0-1", "If-Range: Fri, 06 Nov 2043 08:49:37 GMT"},
		status: 200},
	{name: "if_range_invalid", method: "GET", path: "/a.txt", fields: f{"Range: bytes=0-1", "If-Range: x"},
		status: 200},
	{name: "if_range_other_beyond_the_end", method: "GET", path: "/a.txt",
		fields: f{"Range: bytes=90-", "If-Range: {B}"}, status: 200},
	{name: "if_range_without_range", method: "GET", path: "/a.txt", fields: f{"If-Range: {B}"}, status: 200},
}}

func setPast(t *testing.T, w *world, dir string) {
	if err := os.Chtimes(filepath.Join(w.root, dir, "a.txt"), past, past); err != nil {
		t.Fatal(err)
	}
}
