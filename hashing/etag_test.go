package hashing_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"freshet/hashing"
)

const emptyHex = "99aa06d3014798d86001c324468d497f" // the digest of no bytes

func strong(s string) hashing.ETag { return hashing.ETag{Opaque: s} }
func weak(s string) hashing.ETag   { return hashing.ETag{Opaque: s, Weak: true} }

func TestParseETag(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     hashing.ETag
		rest     string
		ok       bool
	}{
		{"strong", `"x"`, strong("x"), "", true},
		{"weak", `W/"x"`, weak("x"), "", true},
		{"empty", `""`, strong(""), "", true},
		{"rest_is_left", `"x", "y"`, strong("x"), `, "y"`, true},
		{"comma_inside", `"a,b"`, strong("a,b"), "", true},
		{"backslash_is_no_escape", `"a\"b"`, strong(`a\`), `b"`, true},
		{"single_quote_inside", `"it's"`, strong("it's"), "", true},
		{"obs_text", "\"caf\xe9\"", strong("caf\xe9"), "", true},
		{"first_and_last_character", "\"!~\"", strong("!~"), "", true},
		{"no_quotes", `JoplinIgnore-12345`, hashing.ETag{}, "", false},
		{"no_closing_quote", `"x`, hashing.ETag{}, "", false},
		{"only_a_quote", `"`, hashing.ETag{}, "", false},
		{"small_w", `w/"x"`, hashing.ETag{}, "", false},
		{"weak_with_space", `W/ "x"`, hashing.ETag{}, "", false},
		{"weak_alone", `W/`, hashing.ETag{}, "", false},
		{"space_inside", `"a b"`, hashing.ETag{}, "", false},
		{"tab_inside", "\"a\tb\"", hashing.ETag{}, "", false},
		{"nul_inside", "\"a\x00b\"", hashing.ETag{}, "", false},
		{"del_inside", "\"a\x7fb\"", hashing.ETag{}, "", false},
		{"leading_space", ` "x"`, hashing.ETag{}, "", false},
		{"star", `*`, hashing.ETag{}, "", false},
		{"nothing", ``, hashing.ETag{}, "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			tag, rest, ok := hashing.ParseETag(c.in)
			if tag != c.want || rest != c.rest || ok != c.ok {
				t.Errorf("ParseETag(%q) = %+v, %q, %v, want %+v, %q, %v", c.in, tag, rest, ok, c.want, c.rest, c.ok)
			}
			if ok && tag.String()+rest != c.in {
				t.Errorf("String() = %s, want what was read of %s", tag, c.in)
			}
		})
	}
}

func TestETagDigest(t *testing.T) {
	for _, c := range []struct {
		name   string
		opaque string
		ok     bool
	}{
		{"plain", emptyHex, true},
		{"coded", emptyHex + "-gzip.1", true},
		{"coded_with_digest_of_its_own", emptyHex + "-br-0123456789abcdef", true},
		{"hyphen_at_the_end", emptyHex + "-", true},
		{"one_digit_short", emptyHex[1:], false},
		{"one_digit_short_then_hyphen", emptyHex[1:] + "-gzip.1", false},
		{"one_digit_long", emptyHex + "0", false},
		{"capitals", strings.ToUpper(emptyHex), false},
		{"no_hex", "g" + emptyHex[1:], false},
		{"dot_instead_of_hyphen", emptyHex + ".gzip", false},
		{"folder", "d" + emptyHex, false},
		{"empty", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, tag := range []hashing.ETag{strong(c.opaque), weak(c.opaque)} {
				d, ok := tag.Digest()
				if ok != c.ok || ok && d != hashing.Sum(nil) {
					t.Errorf("%s.Digest() = %v, %v, want ok %v", tag, d, ok, c.ok)
				}
			}
		})
	}
}

// The table of RFC 9110 section 8.8.3.2.
func TestETagComparison(t *testing.T) {
	for _, c := range []struct {
		a, b         hashing.ETag
		strong, weak bool
	}{
		{weak("1"), weak("1"), false, true},
		{weak("1"), weak("2"), false, false},
		{weak("1"), strong("1"), false, true},
		{strong("1"), weak("1"), false, true},
		{strong("1"), strong("1"), true, true},
		{strong("1"), strong("2"), false, false},
		{strong("a"), strong("A"), false, false},
	} {
		if got := hashing.StrongMatch(c.a, c.b); got != c.strong {
			t.Errorf("StrongMatch(%s, %s) = %v", c.a, c.b, got)
		}
		if got := hashing.WeakMatch(c.a, c.b); got != c.weak {
			t.Errorf("WeakMatch(%s, %s) = %v", c.a, c.b, got)
		}
	}
}

func TestParseETagList(t *testing.T) {
	x, y, z := strong("x"), strong("y"), strong("z")
	for _, c := range []struct {
		name  string
		lines []string
		want  hashing.ETagList
	}{
		{"no_field", nil, hashing.ETagList{}},
		{"star", lines(`*`), hashing.ETagList{Present: true, Any: true}},
		{"star_with_space", lines(" * \t"), hashing.ETagList{Present: true, Any: true}},
		{"star_among_empty_elements", lines(`, *,,`, ``), hashing.ETagList{Present: true, Any: true}},
		{"one", lines(`"x"`), good(x)},
		{"weak", lines(`W/"x"`), good(weak("x"))},
		{"list", lines(`"x", W/"y","z"`), good(x, weak("y"), z)},
		{"tabs_and_spaces", lines("\t \"x\" \t,\t \"y\" "), good(x, y)},
		{"several_lines", lines(`"x"`, `"y", "z"`), good(x, y, z)},
		{"empty_line_between", lines(`"x"`, ``, `"z"`), good(x, z)},
		{"empty_elements", lines(`,,"x",, ,"y",`), good(x, y)},
		{"comma_inside_a_tag", lines(`"x,y", "z"`), good(strong("x,y"), z)},
		{"star_inside_a_tag", lines(`"*"`), good(strong("*"))},
		{"obs_text", lines("\"\x80\xff\""), good(strong("\x80\xff"))},
		{"the_same_twice", lines(`"x", "x"`), good(x, x)},

		{"empty_field", lines(``), bad()},
		{"only_commas", lines(` ,, `), bad()},
		{"unquoted", lines(`JoplinIgnore-12345`), bad()},
		{"unquoted_then_tag", lines(`abc, "x"`), bad(x)},
		{"tag_then_unquoted", lines(`"x", abc`), bad(x)},
		{"unquoted_line_then_tag", lines(`abc`, `"x"`), bad(x)},
		{"no_comma_between", lines(`"x" "y"`), bad()},
		{"no_space_between", lines(`"x""y", "z"`), bad(z)},
		{"unclosed", lines(`"x`), bad()},
		{"unclosed_does_not_reach_into_the_next_line", lines(`"x`, `y"`), bad()},
		{"unclosed_then_tag", lines(`"x, "y"`), bad(y)},
		{"semicolon", lines(`"x"; "y"`), bad()},
		{"small_w", lines(`w/"x", "y"`), bad(y)},
		{"star_twice", lines(`*, *`), hashing.ETagList{Present: true, Any: true, Malformed: true}},
		{"star_on_two_lines", lines(`*`, `*`), hashing.ETagList{Present: true, Any: true, Malformed: true}},
		{"star_then_tag", lines(`*, "x"`), hashing.ETagList{Present: true, Any: true, Malformed: true, Tags: []hashing.ETag{x}}},
		{"tag_then_star", lines(`"x", *`), hashing.ETagList{Present: true, Any: true, Malformed: true, Tags: []hashing.ETag{x}}},
		{"tag_and_star_on_two_lines", lines(`"x"`, `*`),
			hashing.ETagList{Present: true, Any: true, Malformed: true, Tags: []hashing.ETag{x}}},
		{"star_with_more", lines(`*x`), hashing.ETagList{Present: true, Any: true, Malformed: true}},
		{"weak_star", lines(`W/*`), bad()},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := hashing.ParseETagList(c.lines); !equalLists(got, c.want) {
				t.Errorf("ParseETagList(%q) = %+v, want %+v", c.lines, got, c.want)
			}
		})
	}
}

func TestETagListIsBounded(t *testing.T) {
	tags := func(n int) string { return strings.TrimSuffix(strings.Repeat(`"x",`, n), ",") }
	full := hashing.ParseETagList(lines(tags(hashing.HeaderETagsMax) + " , "))
	if len(full.Tags) != hashing.HeaderETagsMax || full.Malformed || full.Truncated {
		t.Errorf("a full list: %d tags, malformed %v, truncated %v", len(full.Tags), full.Malformed, full.Truncated)
	}
	for name, long := range map[string][]string{
		"one_line":   lines(tags(hashing.HeaderETagsMax + 1)),
		"two_lines":  lines(tags(hashing.HeaderETagsMax), `"x"`),
		"then_other": lines(tags(hashing.HeaderETagsMax), `x`, `"y"`),
	} {
		l := hashing.ParseETagList(long)
		if len(l.Tags) != hashing.HeaderETagsMax || !l.Malformed || !l.Truncated {
			t.Errorf("%s: %d tags, malformed %v, truncated %v", name, len(l.Tags), l.Malformed, l.Truncated)
		}
	}
}

func TestParseETagListAllocates(t *testing.T) {
	field := lines(hashing.Sum(nil).ETag())
	if n := testing.AllocsPerRun(100, func() { hashing.ParseETagList(field) }); n > 1 {
		t.Errorf("a list of one tag takes %v allocations, want at most 1", n)
	}
}

func lines(s ...string) []string { return s }

func good(tags ...hashing.ETag) hashing.ETagList { return hashing.ETagList{Present: true, Tags: tags} }

func bad(tags ...hashing.ETag) hashing.ETagList {
	return hashing.ETagList{Present: true, Malformed: true, Tags: tags}
}

func equalLists(a, b hashing.ETagList) bool {
	same := slices.Equal(a.Tags, b.Tags)
	return same && a.Present == b.Present && a.Any == b.Any && a.Malformed == b.Malformed && a.Truncated == b.Truncated
}

const tagPattern = `(?:W/)?"[^\x00-\x20"\x7f]*"`

var (
	wellFormed = regexp.MustCompile(`^[ \t,]*(?:\*|` + tagPattern + `(?:[ \t]*,[ \t,]*` + tagPattern + `)*)(?:[ \t]*,[ \t,]*|[ \t]*)$`)
	tagsInside = regexp.MustCompile(tagPattern)
)

// FuzzParseETagList compares the parser with the grammar of RFC 9110 as a regular expression.
func FuzzParseETagList(f *testing.F) {
	for _, s := range []string{`"x"`, `W/"x", "y,z"`, `*`, `a"b,"c"`} {
		f.Add(s, `"z"`)
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		got := hashing.ParseETagList([]string{first, second})
		joined := first + ", " + second
		if valid := wellFormed.MatchString(joined); !got.Truncated && valid == got.Malformed {
			t.Fatalf("%q: malformed %v, by the grammar %v", joined, got.Malformed, !valid)
		}
		var texts []string
		for _, tag := range got.Tags {
			back, rest, ok := hashing.ParseETag(tag.String())
			if back != tag || rest != "" || !ok {
				t.Fatalf("%+v does not survive its text", tag)
			}
			texts = append(texts, tag.String())
		}
		if !got.Malformed && !slices.Equal(texts, tagsInside.FindAllString(joined, -1)) {
			t.Fatalf("%q: tags %q", joined, texts)
		}
		if len(got.Tags) > hashing.HeaderETagsMax {
			t.Fatalf("%d tags", len(got.Tags))
		}
	})
}

func ExampleParseETagList() {
	list := hashing.ParseETagList([]string{`"x", W/"y,z"`, `"last"`})
	for _, tag := range list.Tags {
		fmt.Println(tag.Opaque, tag.Weak)
	}
	// Output:
	// x false
	// y,z true
	// last false
}
