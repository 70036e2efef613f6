package fileserver

import (
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"freshet/fileserver/tree"
)

// byName is the query of nothing.
var byName = listingQuery{Sort: sortByName}

func renderToString(
	t *testing.T, f listingFormat, p tree.Path, entries []tree.Entry, q listingQuery, page pageContext,
) string {
	t.Helper()
	var b strings.Builder
	if err := renderListing(&b, f, p, entries, q, page); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestRenderText(t *testing.T) {
	file, folder := tree.Entry{Kind: tree.KindFile}, tree.Entry{Kind: tree.KindFolder}
	entries := []tree.Entry{
		{Name: "b.txt", Kind: tree.KindFile},
		{Name: "run", Kind: tree.KindExecutable},
		{Name: "docs", Kind: tree.KindFolder},
		{Name: "latest", Kind: tree.KindLink, Followed: &folder},
		{Name: "other.txt", Kind: tree.KindLink, Followed: &file},
		{Name: "nowhere", Kind: tree.KindLink, Target: "/etc"},
	}
	tests := []struct {
		name    string
		entries []tree.Entry
		query   listingQuery
		want    string
	}{
		{"empty", nil, byName, ""},
		{"all_kinds", entries, byName, "docs/\nlatest/ →\nb.txt\nnowhere →\nother.txt →\nrun\n"},
		{"downwards", entries, listingQuery{Sort: sortByName, Descending: true},
			"latest/ →\ndocs/\nrun\nother.txt →\nnowhere →\nb.txt\n"},
		{"limit", entries, listingQuery{Sort: sortByName, Limit: 2}, "docs/\nlatest/ →\n"},
		{"escaped", files("a\nb", "c\x7f%", "d →", "é\xff", " f", "\u202eg"), byName,
			"%20f\na%0Ab\nc%7F%25\nd %E2%86%92\né%FF\n%E2%80%AEg\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := renderToString(t, listingText, tree.Path{}, test.entries, test.query, pageContext{})
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// FuzzTextName holds that a line is one name which can be read back, and that no line can be taken for a link or a
// folder.
func FuzzTextName(f *testing.F) {
	for _, seed := range []string{"a.txt", "a\nb", "%0A", "x →", "\xe2\x86", "\u2028", " ", "a\u200db"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		line := string(appendTextName(nil, name))
		if back, err := url.PathUnescape(line); err != nil || back != name {
			t.Errorf("%q is written %q and read %q, %v", name, line, back, err)
		}
		if !utf8.ValidString(line) || strings.ContainsAny(line, "\r\n\u0085\u2028\u2029→") {
			t.Errorf("%q is written %q", name, line)
		}
	})
}
