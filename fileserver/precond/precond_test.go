package precond_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"freshet/fileserver/precond"
	"freshet/hashing"
)

const (
	proceed     = precond.Proceed
	notModified = precond.NotModified
	failed      = precond.Failed
)

var verdictNames = map[precond.Verdict]string{proceed: "Proceed", notModified: "NotModified", failed: "Failed", precond.Unknown: "Unknown"}

var (
	digestA = hashing.Sum([]byte("a"))
	tagA    = digestA.ETag()
	codedA  = strings.TrimSuffix(tagA, `"`) + `-gzip.1"`
	tagB    = hashing.Sum([]byte("b")).ETag()
)

// changed is when the file of these tests was written: between two seconds, and its change time a moment later.
var changed = example.Add(300 * time.Millisecond)

const (
	dateBefore = "Sun, 06 Nov 1994 08:49:37 GMT" // the second of the change, which began before it
	dateAfter  = "Sun, 06 Nov 1994 08:49:38 GMT" // the modification date
	dateLater  = "Sun, 06 Nov 1994 08:49:39 GMT"
)

var (
	nothing = precond.State{}
	file    = precond.State{Exists: true, ETag: tagA, Digest: digestA, ModTime: changed, Changed: changed.Add(time.Millisecond)}
	coded   = precond.State{Exists: true, ETag: codedA, Digest: digestA, ModTime: file.ModTime, Changed: file.Changed}
	untold  = precond.State{Exists: true, ModTime: file.ModTime, Changed: file.Changed} // its tag is not known
	folder  = precond.State{Exists: true}
	tagged  = precond.State{Exists: true, ETag: `"d0-0-h"`, Changed: changed} // no file: it has a tag, but no digest and no date
)

// header makes a Header of "Name: value"; a name may come several times.
func header(fields ...string) http.Header {
	h := http.Header{}
	for _, f := range fields {
		name, value, ok := strings.Cut(f, ": ")
		if !ok {
			panic(f)
		}
		h.Add(name, value)
	}
	return h
}

func fields(f ...string) []string { return f }

func TestVerdict(t *testing.T) {
	for _, c := range []struct {
		name        string
		fields      []string
		state       precond.State
		read, write precond.Verdict
	}{
		{"no_condition", nil, file, proceed, proceed},
		{"no_condition_on_nothing", nil, nothing, proceed, proceed},

		{"if_match_current", fields("If-Match: " + tagA), file, proceed, proceed},
		{"if_match_other", fields("If-Match: " + tagB), file, failed, failed},
		{"if_match_list_with_current", fields("If-Match: " + tagB + ", " + tagA), file, proceed, proceed},
		{"if_match_two_field_lines", fields("If-Match: "+tagB, "If-Match: "+tagA), file, proceed, proceed},
		{"if_match_weak", fields("If-Match: W/" + tagA), file, failed, failed},
		{"if_match_any", fields("If-Match: *"), file, proceed, proceed},
		{"if_match_any_unknown_tag", fields("If-Match: *"), untold, proceed, proceed},
		{"if_match_any_of_folder", fields("If-Match: *"), folder, proceed, proceed},
		{"if_match_any_of_nothing", fields("If-Match: *"), nothing, failed, failed},
		{"if_match_tag_of_nothing", fields("If-Match: " + tagA), nothing, failed, failed},
		{"if_match_unknown_tag", fields("If-Match: " + tagA), untold, failed, failed},
		{"if_match_empty_tag_unknown_tag", fields(`If-Match: ""`), untold, failed, failed},
		{"if_match_empty", fields("If-Match: "), file, failed, failed},
		{"if_match_empty_on_nothing", fields("If-Match: "), nothing, failed, failed},
		{"if_match_unquoted", fields("If-Match: " + digestA.String()), file, failed, failed},
		{"if_match_malformed_beside_current", fields("If-Match: x, " + tagA), file, failed, failed},
		{"if_match_malformed_line_beside_current", fields("If-Match: "+tagA, "If-Match: x"), file, failed, failed},
		{"if_match_any_beside_current", fields("If-Match: *, " + tagA), file, failed, failed},
		{"if_match_any_twice", fields("If-Match: *, *"), file, failed, failed},

		{"if_match_coded_tag", fields("If-Match: " + codedA), file, failed, proceed},
		{"if_match_coded_tag_of_coded", fields("If-Match: " + codedA), coded, proceed, proceed},
		{"if_match_plain_tag_of_coded", fields("If-Match: " + tagA), coded, failed, proceed},
		{"if_match_weak_coded_tag", fields("If-Match: W/" + codedA), coded, failed, failed},
		{"if_match_other_coded_tag", fields("If-Match: " + strings.Replace(codedA, "gzip", "br", 1)), coded, failed, proceed},
		{"if_match_longer_than_a_digest", fields("If-Match: " + strings.Replace(codedA, "-", "0", 1)), file, failed, failed},

		{"if_match_tag_without_digest", fields(`If-Match: "d0-0-h"`), tagged, proceed, proceed},
		{"if_match_zero_digest", fields("If-Match: " + hashing.Digest{}.ETag()), tagged, failed, failed},

		{"if_none_match_current", fields("If-None-Match: " + tagA), file, notModified, failed},
		{"if_none_match_weak_current", fields("If-None-Match: W/" + tagA), file, notModified, failed},
		{"if_none_match_other", fields("If-None-Match: " + tagB), file, proceed, proceed},
		{"if_none_match_list_with_current", fields("If-None-Match: " + tagB + "," + tagA), file, notModified, failed},
		{"if_none_match_two_field_lines", fields("If-None-Match: "+tagB, "If-None-Match: "+tagA), file, notModified, failed},
		{"if_none_match_any", fields("If-None-Match: *"), file, notModified, failed},
		{"if_none_match_any_unknown_tag", fields("If-None-Match: *"), untold, notModified, failed},
		{"if_none_match_any_of_folder", fields("If-None-Match: *"), folder, notModified, failed},
		{"if_none_match_any_of_nothing", fields("If-None-Match: *"), nothing, proceed, proceed},
		{"if_none_match_tag_of_nothing", fields("If-None-Match: " + tagA), nothing, proceed, proceed},
		{"if_none_match_unknown_tag", fields("If-None-Match: " + tagA), untold, proceed, failed},
		{"if_none_match_empty_tag_unknown_tag", fields(`If-None-Match: ""`), untold, proceed, failed},
		{"if_none_match_coded_tag", fields("If-None-Match: " + codedA), file, proceed, failed},
		{"if_none_match_weak_coded_tag", fields("If-None-Match: W/" + codedA), file, proceed, failed},
		{"if_none_match_plain_tag_of_coded", fields("If-None-Match: " + tagA), coded, proceed, failed},
		{"if_none_match_coded_tag_of_coded", fields("If-None-Match: " + codedA), coded, notModified, failed},

		{"if_none_match_unquoted", fields("If-None-Match: JoplinIgnore-12345"), file, proceed, proceed},
		{"if_none_match_unquoted_unknown_tag", fields("If-None-Match: JoplinIgnore-12345"), untold, proceed, proceed},
		{"if_none_match_unquoted_digest", fields("If-None-Match: " + digestA.String()), file, proceed, proceed},
		{"if_none_match_empty", fields("If-None-Match: "), file, proceed, proceed},
		{"if_none_match_malformed_beside_current", fields("If-None-Match: x, " + tagA), file, notModified, failed},
		{"if_none_match_malformed_beside_other", fields("If-None-Match: x, " + tagB), file, proceed, proceed},
		{"if_none_match_any_beside_other", fields("If-None-Match: *, " + tagB), file, proceed, failed},
		{"if_none_match_any_twice", fields("If-None-Match: *, *"), file, proceed, failed},
		{"if_none_match_any_with_more", fields("If-None-Match: *x"), file, proceed, failed},

		{"if_unmodified_since_before", fields("If-Unmodified-Since: " + dateBefore), file, failed, failed},
		{"if_unmodified_since_the_date", fields("If-Unmodified-Since: " + dateAfter), file, proceed, proceed},
		{"if_unmodified_since_later", fields("If-Unmodified-Since: " + dateLater), file, proceed, proceed},
		{"if_unmodified_since_of_nothing", fields("If-Unmodified-Since: " + dateLater), nothing, failed, failed},
		{"if_unmodified_since_of_no_date", fields("If-Unmodified-Since: " + dateBefore), folder, proceed, proceed},
		{"if_unmodified_since_unknown_tag", fields("If-Unmodified-Since: " + dateBefore), untold, failed, failed},
		{"if_unmodified_since_invalid", fields("If-Unmodified-Since: 1994"), file, proceed, proceed},
		{"if_unmodified_since_two_lines", fields("If-Unmodified-Since: "+dateBefore, "If-Unmodified-Since: "+dateBefore),
			file, proceed, proceed},
		{"if_unmodified_since_list", fields("If-Unmodified-Since: " + dateBefore + ", " + dateBefore), file, proceed, proceed},
		{"if_unmodified_since_first_second", fields("If-Unmodified-Since: Mon, 01 Jan 0001 00:00:00 GMT"), file, failed, failed},
		{"if_unmodified_since_rfc850", fields("If-Unmodified-Since: Sunday, 06-Nov-94 08:49:37 GMT"), file, failed, failed},
		{"if_unmodified_since_asctime", fields("If-Unmodified-Since: Sun Nov  6 08:49:37 1994"), file, failed, failed},

		{"if_modified_since_before", fields("If-Modified-Since: " + dateBefore), file, proceed, proceed},
		{"if_modified_since_the_date", fields("If-Modified-Since: " + dateAfter), file, notModified, proceed},
		{"if_modified_since_later", fields("If-Modified-Since: " + dateLater), file, notModified, proceed},
		{"if_modified_since_rfc850", fields("If-Modified-Since: Sunday, 06-Nov-94 08:49:38 GMT"), file, notModified, proceed},
		{"if_modified_since_asctime", fields("If-Modified-Since: Sun Nov  6 08:49:38 1994"), file, notModified, proceed},
		{"if_modified_since_of_nothing", fields("If-Modified-Since: " + dateLater), nothing, proceed, proceed},
		{"if_modified_since_of_no_date", fields("If-Modified-Since: " + dateLater), folder, proceed, proceed},
		{"if_modified_since_of_tag_without_date", fields("If-Modified-Since: " + dateLater), tagged, proceed, proceed},
		{"if_modified_since_unknown_tag", fields("If-Modified-Since: " + dateLater), untold, proceed, proceed},
		{"if_modified_since_invalid", fields("If-Modified-Since: tomorrow"), file, proceed, proceed},
		{"if_modified_since_two_lines", fields("If-Modified-Since: "+dateLater, "If-Modified-Since: "+dateLater),
			file, proceed, proceed},
		{"if_modified_since_in_the_future", fields("If-Modified-Since: Fri, 31 Dec 9999 23:59:59 GMT"), file, proceed, proceed},

		{"if_match_instead_of_if_unmodified_since", fields("If-Match: "+tagA, "If-Unmodified-Since: "+dateBefore),
			file, proceed, proceed},
		{"if_match_before_if_none_match", fields("If-None-Match: "+tagA, "If-Match: "+tagB), file, failed, failed},
		{"if_match_then_if_none_match", fields("If-None-Match: "+tagA, "If-Match: "+tagA), file, notModified, failed},
		{"if_match_then_if_modified_since", fields("If-Modified-Since: "+dateLater, "If-Match: "+tagA), file, notModified, proceed},
		{"if_unmodified_since_before_if_none_match", fields("If-None-Match: "+tagA, "If-Unmodified-Since: "+dateBefore),
			file, failed, failed},
		{"if_unmodified_since_then_if_none_match", fields("If-None-Match: "+tagA, "If-Unmodified-Since: "+dateLater),
			file, notModified, failed},
		{"if_none_match_instead_of_if_modified_since", fields("If-None-Match: "+tagB, "If-Modified-Since: "+dateLater),
			file, proceed, proceed},
		{"if_none_match_current_though_modified_since", fields("If-None-Match: "+tagA, "If-Modified-Since: "+dateBefore),
			file, notModified, failed},
		{"malformed_if_none_match_instead_of_if_modified_since", fields("If-None-Match: x", "If-Modified-Since: "+dateLater),
			file, proceed, proceed},
		{"if_match_with_invalid_date", fields("If-Match: "+tagB, "If-Unmodified-Since: x"), file, failed, failed},
	} {
		t.Run(c.name, func(t *testing.T) {
			condition := precond.Parse(header(c.fields...))
			if got := condition.Read(c.state); got != c.read {
				t.Errorf("Read = %s, want %s", verdictNames[got], verdictNames[c.read])
			}
			if got := condition.Write(c.state); got != c.write {
				t.Errorf("Write = %s, want %s", verdictNames[got], verdictNames[c.write])
			}
		})
	}
}

// A list that was cut short may go on with the present tag.
func TestListBeyondTheBound(t *testing.T) {
	many := strings.Repeat(`"x",`, hashing.HeaderETagsMax)
	ifNoneMatch := precond.Parse(header("If-None-Match: " + many + tagA))
	if got := ifNoneMatch.Read(file); got != proceed {
		t.Errorf("Read with If-None-Match = %s, want Proceed", verdictNames[got])
	}
	if got := ifNoneMatch.Write(file); got != failed {
		t.Errorf("Write with If-None-Match = %s, want Failed", verdictNames[got])
	}
	if got := ifNoneMatch.Write(nothing); got != proceed {
		t.Errorf("Write of nothing with If-None-Match = %s, want Proceed", verdictNames[got])
	}
	ifMatch := precond.Parse(header("If-Match: " + tagA + "," + many))
	if got := ifMatch.Write(file); got != failed {
		t.Errorf("Write with If-Match = %s, want Failed", verdictNames[got])
	}
}

func TestWhatAConditionIs(t *testing.T) {
	for _, c := range []struct {
		name                 string
		fields               []string
		any, write, needsTag bool
	}{
		{"none", nil, false, false, false},
		{"unrelated", fields("If-Range: " + tagA), false, false, false},
		{"if_match", fields("If-Match: " + tagA), true, true, true},
		{"if_match_any", fields("If-Match: *"), true, true, false},
		{"if_match_malformed", fields("If-Match: x"), true, true, false},
		{"if_match_empty", fields("If-Match: "), true, true, false},
		{"if_none_match", fields("If-None-Match: " + tagA), true, true, true},
		{"if_none_match_any", fields("If-None-Match: *"), true, true, false},
		{"if_none_match_unquoted", fields("If-None-Match: JoplinIgnore-12345"), true, false, false},
		{"if_none_match_empty", fields("If-None-Match: "), true, false, false},
		{"if_unmodified_since", fields("If-Unmodified-Since: " + dateBefore), true, true, false},
		{"if_unmodified_since_invalid", fields("If-Unmodified-Since: x"), false, false, false},
		{"if_modified_since", fields("If-Modified-Since: " + dateBefore), true, false, false},
		{"if_modified_since_invalid", fields("If-Modified-Since: x"), false, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			condition := precond.Parse(header(c.fields...))
			if got := condition.Any(); got != c.any {
				t.Errorf("Any = %v", got)
			}
			if got := condition.HasWriteCondition(); got != c.write {
				t.Errorf("HasWriteCondition = %v", got)
			}
			if got := condition.NeedsTag(); got != c.needsTag {
				t.Errorf("NeedsTag = %v", got)
			}
			if !c.write && condition.Write(file) == failed {
				t.Error("a change fails without a condition for changes")
			}
			told, withoutTag := condition.Write(file), condition.Write(untold)
			if !c.needsTag && told != withoutTag {
				t.Error("the verdict on a change depends on a tag that is not needed")
			}
		})
	}
}

func TestFutureIfModifiedSinceIsIgnored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now().UTC() // a whole second
		for after, want := range map[time.Duration]precond.Verdict{0: notModified, -time.Second: notModified, time.Second: proceed} {
			date := now.Add(after).Format(http.TimeFormat)
			if got := precond.Parse(header("If-Modified-Since: " + date)).Read(file); got != want {
				t.Errorf("a date %v from now: %s, want %s", after, verdictNames[got], verdictNames[want])
			}
		}
	})
}

func TestIfRange(t *testing.T) {
	for _, c := range []struct {
		name  string
		lines []string
		state precond.State
		want  bool
	}{
		{"no_field", nil, file, true},
		{"no_field_unknown_tag", nil, untold, true},
		{"current", fields(tagA), file, true},
		{"other", fields(tagB), file, false},
		{"weak", fields("W/" + tagA), file, false},
		{"coded_tag", fields(codedA), file, false},
		{"coded_tag_of_coded", fields(codedA), coded, true},
		{"plain_tag_of_coded", fields(tagA), coded, false},
		{"list", fields(tagA + ", " + tagB), file, false},
		{"two_lines", fields(tagA, tagA), file, false},
		{"any", fields("*"), file, false},
		{"unquoted", fields(digestA.String()), file, false},
		{"empty", fields(""), file, false},
		{"unknown_tag", fields(tagA), untold, false},
		{"empty_tag_unknown_tag", fields(`""`), untold, false},
		{"the_date", fields(dateAfter), file, true},
		{"the_date_rfc850", fields("Sunday, 06-Nov-94 08:49:38 GMT"), file, true},
		{"the_date_asctime", fields("Sun Nov  6 08:49:38 1994"), file, true},
		{"earlier_date", fields(dateBefore), file, false},
		{"later_date", fields(dateLater), file, false},
		{"the_date_twice", fields(dateAfter, dateAfter), file, false},
		{"the_date_unknown_tag", fields(dateAfter), untold, false},
		{"the_date_of_nothing", fields(dateAfter), nothing, false},
		{"invalid_date", fields("1994"), file, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := precond.IfRange(c.lines, c.state); got != c.want {
				t.Errorf("IfRange(%q) = %v, want %v", c.lines, got, c.want)
			}
		})
	}
}

// What runs on every 304 is to be cheap.
func TestNotModifiedAllocates(t *testing.T) {
	h := header("If-None-Match: "+tagA, "Accept: */*")
	if n := testing.AllocsPerRun(100, func() {
		if precond.Parse(h).Read(file) != notModified {
			t.Fatal("modified")
		}
	}); n > 1 {
		t.Errorf("a 304 takes %v allocations, want at most 1", n)
	}
	h = header("If-Modified-Since: " + dateLater)
	if n := testing.AllocsPerRun(100, func() { precond.Parse(h).Read(file) }); n > 0 {
		t.Errorf("a 304 by date takes %v allocations, want none", n)
	}
}

func BenchmarkNotModified(b *testing.B) {
	h := header("If-None-Match: "+tagA, "Accept: */*")
	b.ReportAllocs()
	for b.Loop() {
		precond.Parse(h).Read(file)
	}
}
