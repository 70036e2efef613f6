package hashing_test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"freshet/hashing"
)

const folderTag = "d" + emptyHex + "-00000000000000ff-fedcba9876543210-j"

func TestFolderETag(t *testing.T) {
	tag := hashing.FolderETag(hashing.Sum(nil), 0xff, 0xfedcba9876543210, hashing.FormJSON)
	if tag != `"`+folderTag+`"` {
		t.Errorf("FolderETag = %s", tag)
	}
	if parsed, rest, ok := hashing.ParseETag(tag); !ok || rest != "" || parsed.Weak {
		t.Errorf("%s is no strong entity tag", tag)
	}
	if _, ok := (hashing.ETag{Opaque: folderTag}).Digest(); ok {
		t.Errorf("%s passes for the tag of a file", tag)
	}
	if n := testing.AllocsPerRun(100, func() { _ = hashing.FolderETag(hashing.Digest{1}, 2, 3, hashing.FormHTML) }); n > 1 {
		t.Errorf("FolderETag takes %v allocations, want at most 1", n)
	}
}

func TestParseFolderETag(t *testing.T) {
	for _, c := range []struct {
		name, in string
		ok       bool
	}{
		{"json", `"` + folderTag + `"`, true},
		{"html", `"` + strings.TrimSuffix(folderTag, "j") + `h"`, true},
		{"names", `"` + strings.TrimSuffix(folderTag, "j") + `n"`, true},
		{"other_form", `"` + strings.TrimSuffix(folderTag, "j") + `k"`, false},
		{"without_quotes", folderTag, false},
		{"without_the_first_quote", "x" + folderTag + `"`, false},
		{"without_the_last_quote", `"` + folderTag + `x`, false},
		{"weak", `W/"` + folderTag + `"`, false},
		{"coded", `"` + folderTag + `-gzip.1"`, false},
		{"longer", `"` + folderTag + `j"`, false},
		{"shorter", `"` + folderTag[:len(folderTag)-1] + `"`, false},
		{"other_letter", `"e` + folderTag[1:] + `"`, false},
		{"capital_in_the_subtree", `"` + strings.Replace(folderTag, "aa", "Aa", 1) + `"`, false},
		{"capital_in_the_times", `"` + strings.Replace(folderTag, "ff", "fF", 1) + `"`, false},
		{"capital_in_the_view", `"` + strings.Replace(folderTag, "fedc", "feDc", 1) + `"`, false},
		{"no_hex_in_the_view", `"` + strings.Replace(folderTag, "fedc", "fegc", 1) + `"`, false},
		{"sign", `"` + strings.Replace(folderTag, "-0000", "-+000", 1) + `"`, false},
		{"dot_before_the_times", `"` + strings.Replace(folderTag, "-0000", ".0000", 1) + `"`, false},
		{"dot_before_the_view", `"` + strings.Replace(folderTag, "-fedc", ".fedc", 1) + `"`, false},
		{"dot_before_the_form", `"` + strings.Replace(folderTag, "-j", ".j", 1) + `"`, false},
		{"unknown_subtree", `"d` + strings.Repeat("0", 32) + folderTag[33:] + `"`, false},
		{"bare", `"` + emptyHex + `"`, false},
		{"empty", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			subtree, mtimes, view, form, ok := hashing.ParseFolderETag(c.in)
			if ok != c.ok {
				t.Fatalf("ParseFolderETag(%s) = %v, want %v", c.in, ok, c.ok)
			}
			if !ok && (!subtree.IsZero() || mtimes != 0 || view != 0 || form != 0) {
				t.Errorf("ParseFolderETag(%s) = %s, %x, %x, %c, want nothing", c.in, subtree, mtimes, view, form)
			}
			if back := hashing.FolderETag(subtree, mtimes, view, form); ok && back != c.in {
				t.Errorf("%s was read as %s", c.in, back)
			}
		})
	}
}

func TestSubtreeOf(t *testing.T) {
	for _, c := range []struct {
		name, opaque string
		ok           bool
	}{
		{"bare", emptyHex, true},
		{"form", folderTag, true},
		{"form_coded", folderTag + "-gzip.1", true},
		{"form_coded_with_digest_of_its_own", folderTag + "-br-0123456789abcdef", true},
		{"form_and_hyphen", folderTag + "-", true},
		{"form_and_more", folderTag + "x", false},
		{"form_cut", folderTag[:len(folderTag)-1], false},
		{"letter_and_subtree", folderTag[:33], false},
		{"bare_coded", emptyHex + "-gzip.1", false},
		{"bare_capital", strings.ToUpper(emptyHex), false},
		{"bare_unknown", strings.Repeat("0", 32), false},
		{"form_unknown", "d" + strings.Repeat("0", 32) + folderTag[33:], false},
		{"other_form", strings.TrimSuffix(folderTag, "j") + "k", false},
		{"empty", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, tag := range []hashing.ETag{strong(c.opaque), weak(c.opaque)} {
				d, ok := hashing.SubtreeOf(tag)
				if ok != c.ok || ok && d != hashing.Sum(nil) || !ok && !d.IsZero() {
					t.Errorf("SubtreeOf(%s) = %s, %v, want %v", tag, d, ok, c.ok)
				}
			}
		})
	}
}

var (
	folderTagPattern = regexp.MustCompile(`^"d([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{16})-([hjn])"$`)
	subtreePattern   = regexp.MustCompile(`^(?:([0-9a-f]{32})|d([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{16}-[hjn](?s:-.*)?)$`)
)

// FuzzParseFolderETag compares the parser with the form of tags as a regular expression.
func FuzzParseFolderETag(f *testing.F) {
	f.Add(`"` + folderTag + `"`)
	f.Add(`"` + emptyHex + `"`)
	f.Fuzz(func(t *testing.T, tag string) {
		subtree, mtimes, view, form, ok := hashing.ParseFolderETag(tag)
		want := folderTagPattern.FindStringSubmatch(tag)
		if known := want != nil && want[1] != strings.Repeat("0", 32); ok != known {
			t.Fatalf("ParseFolderETag(%q) = %v, want %v", tag, ok, known)
		}
		if !ok {
			return
		}
		wantMtimes, _ := strconv.ParseUint(want[2], 16, 64)
		wantView, _ := strconv.ParseUint(want[3], 16, 64)
		if subtree.String() != want[1] || mtimes != wantMtimes || view != wantView || string(form) != want[4] {
			t.Fatalf("ParseFolderETag(%q) = %s, %x, %x, %c", tag, subtree, mtimes, view, form)
		}
		if back := hashing.FolderETag(subtree, mtimes, view, form); back != tag {
			t.Fatalf("%s was read as %s", tag, back)
		}
	})
}

// FuzzSubtreeOf compares SubtreeOf with the two forms of tags as a regular expression.
func FuzzSubtreeOf(f *testing.F) {
	f.Add(folderTag + "-gzip.1")
	f.Add(emptyHex)
	f.Fuzz(func(t *testing.T, opaque string) {
		subtree, ok := hashing.SubtreeOf(hashing.ETag{Opaque: opaque})
		want := ""
		if parts := subtreePattern.FindStringSubmatch(opaque); parts != nil {
			want = parts[1] + parts[2]
		}
		if known := want != "" && want != strings.Repeat("0", 32); ok != known || ok && subtree.String() != want {
			t.Fatalf("SubtreeOf(%q) = %s, %v, want %q", opaque, subtree, ok, want)
		}
	})
}

func ExampleSubtreeOf() {
	subtree := hashing.Sum([]byte("all that is in the folder"))
	page, _, _ := hashing.ParseETag(hashing.FolderETag(subtree, 1, 2, hashing.FormHTML))
	bare, _, _ := hashing.ParseETag(subtree.ETag())
	a, _ := hashing.SubtreeOf(page)
	b, _ := hashing.SubtreeOf(bare)
	fmt.Println(a == subtree, b == subtree)
	// Output: true true
}
