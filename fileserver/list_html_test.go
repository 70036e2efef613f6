package fileserver

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"freshet/fileserver/tree"
	"freshet/hashing"
)

// testPage is a page that shows everything there is.
func testPage() pageContext {
	return pageContext{Root: "Shared", Write: true, Version: "1.0", Now: time.Date(2026, 11, 22, 14, 2, 0, 0, time.UTC)}
}

func parsePage(t *testing.T, text string) *html.Node {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// pageOf returns the parsed page of a folder.
func pageOf(t *testing.T, p tree.Path, entries []tree.Entry, q listingQuery, page pageContext) *html.Node {
	t.Helper()
	return parsePage(t, renderToString(t, listingHTML, p, entries, q, page))
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// all returns the elements below n of that tag and, unless class is empty, class.
func all(n *html.Node, tag, class string) []*html.Node {
	var found []*html.Node
	for d := range n.Descendants() {
		if d.Type != html.ElementNode || d.Data != tag {
			continue
		}
		if class == "" || slices.Contains(strings.Fields(attr(d, "class")), class) {
			found = append(found, d)
		}
	}
	return found
}

func textOf(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// texts returns the text of each element that all finds.
func texts(n *html.Node, tag, class string) []string {
	var found []string
	for _, e := range all(n, tag, class) {
		found = append(found, textOf(e))
	}
	return found
}

func TestFolderPage(t *testing.T) {
	at := time.Date(2026, 11, 2, 9, 5, 0, 0, time.UTC)
	folder := tree.Entry{Kind: tree.KindFolder, ModTime: at}
	file := tree.Entry{Kind: tree.KindFile, Size: 3, ModTime: at}
	digest := hashing.Digest{0x9f, 0x3c, 0xa1, 0xe0, 1}
	entries := []tree.Entry{
		{Name: "docs", Kind: tree.KindFolder, ModTime: at},
		{Name: "menu.md", Kind: tree.KindFile, Size: 2345, ModTime: at, Digest: digest},
		{Name: "new.md", Kind: tree.KindFile, Size: 1, ModTime: at},
		{Name: ".profile", Kind: tree.KindFile, ModTime: at},
		{Name: "latest", Kind: tree.KindLink, Target: "docs", Followed: &folder},
		{Name: "other", Kind: tree.KindLink, Target: "a.txt", Followed: &file},
		{Name: "nowhere", Kind: tree.KindLink, Target: "/etc", ModTime: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)},
	}
	want := []string{ // URL | name and tags | modified | version | size
		"docs/|docs|2 Nov 2026 09:05||",
		"latest/|latest→link to docs|2 Nov 2026 09:05||",
		".profile|.profile|2 Nov 2026 09:05|–|0 B",
		"menu.md|menu.md|2 Nov 2026 09:05|9f3c·a1e0|2.35 kB",
		"new.md|new.md|2 Nov 2026 09:05|–|1 B",
		"|nowhere→link to /etc not followed|||",
		"other|other→link to a.txt|2 Nov 2026 09:05|–|3 B",
	}
	doc := pageOf(t, mustParse(t, "/a/b%20c/"), entries, byName, testPage())
	var got []string
	for _, row := range all(all(doc, "tbody", "")[0], "tr", "") {
		got = append(got, attr(all(row, "a", "")[0], "href")+"|"+strings.Join(texts(row, "td", ""), "|"))
	}
	if !slices.Equal(got, want) {
		t.Errorf("rows are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got := texts(doc, "title", ""); !slices.Equal(got, []string{"b c – Shared"}) {
		t.Errorf("title %q", got)
	}
	if got := texts(doc, "h1", ""); !slices.Equal(got, []string{"b c"}) {
		t.Errorf("heading %q", got)
	}
	crumbs := all(all(doc, "nav", "crumbs")[0], "a", "")
	way := ""
	for _, a := range crumbs {
		way += attr(a, "href") + textOf(a) + " "
	}
	if way != "/Shared /a/a " {
		t.Errorf("the way from the root is %q", way)
	}
	if got := texts(doc, "p", "count"); !slices.Equal(got, []string{"7 items"}) {
		t.Errorf("count %q", got)
	}
	if code := all(doc, "code", ""); len(code) != 1 || attr(code[0], "title") != `"9f3ca1e0010000000000000000000000"` {
		t.Errorf("the whole tag is not with its short form: %v", code)
	}
}

func TestFolderPageSaysThatThereIsNothing(t *testing.T) {
	readOnly := testPage()
	readOnly.Write = false
	tests := []struct {
		name    string
		entries []tree.Entry
		after   string
		page    pageContext
		want    string
	}{
		{"writable", nil, "", testPage(), "This folder is empty. Add files with Upload."},
		{"read_only", nil, "", readOnly, "This folder is empty."},
		{"behind_the_last", files("a"), "b", testPage(),
			"Nothing comes after this point any more. Back to the beginning"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			q := byName
			if test.after != "" {
				q.After = &cursor{Group: groupOthers, Name: test.after}
			}
			doc := pageOf(t, tree.Path{}, test.entries, q, test.page)
			if got := texts(doc, "p", "empty"); !slices.Equal(got, []string{test.want}) {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if len(all(doc, "table", "")) != 0 {
				t.Error("there is a table of nothing")
			}
		})
	}
}

func TestColumnHeads(t *testing.T) {
	tests := []struct {
		query string
		want  []string // class, aria-sort, link
	}{
		{"", []string{
			"entry ascending ?dir=desc", "modified  ?sort=mtime&dir=desc", "version  ", "size  ?sort=size&dir=desc",
		}},
		{"dir=desc&limit=5", []string{
			"entry descending ?limit=5", "modified  ?sort=mtime&dir=desc&limit=5", "version  ",
			"size  ?sort=size&dir=desc&limit=5",
		}},
		{"sort=mtime&dir=desc", []string{
			"entry  ./", "modified descending ?sort=mtime", "version  ", "size  ?sort=size&dir=desc",
		}},
		{"sort=size", []string{
			"entry  ./", "modified  ?sort=mtime&dir=desc", "version  ", "size ascending ?sort=size&dir=desc",
		}},
	}
	for _, test := range tests {
		t.Run(test.query, func(t *testing.T) {
			q := must(parseListingQuery(must(url.ParseQuery(test.query))))
			doc := pageOf(t, tree.Path{}, files("a"), q, testPage())
			var got []string
			for _, th := range all(doc, "th", "") {
				link := ""
				if a := all(th, "a", ""); len(a) > 0 {
					link = attr(a[0], "href")
				}
				got = append(got, attr(th, "class")+" "+attr(th, "aria-sort")+" "+link)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}

func TestPagesOfAFolder(t *testing.T) {
	entries := manyEntries(2500) // in natural order: IMG_0 … IMG_2499
	link := func(i int) string { return fmt.Sprintf("?after=f.IMG_%d%%20holiday.jpg", i) }
	limited := func(limit, next, last int) string {
		return strings.ReplaceAll(link(next)+" "+link(last), "?", fmt.Sprintf("?limit=%d&", limit))
	}
	tests := []struct {
		name, query string
		want        string // range, and the links to the first, previous, next and last page
		rows        int
	}{
		{"first", "", "1–1000 of 2500 - - " + link(999) + " " + link(1999), 1000},
		{"second", link(999)[1:], "1001–2000 of 2500 ./ ./ " + link(1999) + " " + link(1999), 1000},
		{"last", link(1999)[1:], "2001–2500 of 2500 ./ " + link(999) + " - -", 500},
		{"between", link(1004)[1:], "1006–2005 of 2500 ./ " + link(4) + " " + link(2004) + " " + link(2004), 1000},
		{"near_the_beginning", link(4)[1:], "6–1005 of 2500 ./ ./ " + link(1004) + " " + link(2004), 1000},
		{"behind_the_last", "after=f.z", "0 of 2500 ./ " + link(1499) + " - -", 0},
		{"limit_below_the_most", "limit=2498", "1–1000 of 2500 - - " + limited(2498, 999, 1999), 1000},
		{"limit", "limit=600", "1–600 of 2500 - - " + limited(600, 599, 2399), 600},
		{"pages_that_fit", "limit=500", "1–500 of 2500 - - " + limited(500, 499, 1999), 500},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			q := must(parseListingQuery(must(url.ParseQuery(test.query))))
			doc := pageOf(t, tree.Path{}, entries, q, testPage())
			pagers := all(doc, "nav", "pager")
			if len(pagers) == 0 {
				t.Fatal("no links to other pages")
			}
			for _, pager := range pagers {
				got := texts(pager, "span", "")[0]
				for _, label := range []string{"First", "Previous", "Next", "Last"} {
					href := "-"
					for _, a := range all(pager, "a", "") {
						if textOf(a) == label {
							href = attr(a, "href")
						}
					}
					got += " " + href
				}
				if got != test.want {
					t.Errorf("got  %s\nwant %s", got, test.want)
				}
			}
			if rows := len(all(doc, "tr", "")) - 1; test.rows > 0 && rows != test.rows {
				t.Errorf("%d rows, want %d", rows, test.rows)
			}
		})
	}
}

func TestOnePageHasNoPager(t *testing.T) {
	for _, n := range []int{1, htmlRowsMax} {
		doc := pageOf(t, tree.Path{}, manyEntries(n), byName, testPage())
		if len(all(doc, "nav", "pager")) != 0 || len(all(doc, "tr", "")) != n+1 {
			t.Errorf("%d entries: %d rows and a pager", n, len(all(doc, "tr", ""))-1)
		}
	}
}

// The server reads a form as it comes: the conditions must be there before the first byte of a file.
func TestFormsSendConditionsBeforeFiles(t *testing.T) {
	p := mustParse(t, "/a%20b/")
	doc := pageOf(t, p, nil, byName, testPage())
	want := []string{"if-none-match=* file=", "mkdir="}
	if got := formFields(t, doc, p); !slices.Equal(got, want) {
		t.Errorf("forms have the fields %q, want %q", got, want)
	}
	if file := all(doc, "input", "")[1]; attr(file, "type") != "file" {
		t.Errorf("the file is picked by %v", file.Attr)
	}
}

// formFields returns name and value of the fields of each form, which must go to the folder at p.
func formFields(t *testing.T, doc *html.Node, p tree.Path) []string {
	t.Helper()
	var forms []string
	for _, form := range all(doc, "form", "") {
		how := attr(form, "method") + " " + attr(form, "enctype") + " " + attr(form, "action")
		if how != "post multipart/form-data "+p.URL(true) {
			t.Errorf("a form is %v", form.Attr)
		}
		var fields []string
		for _, input := range all(form, "input", "") {
			fields = append(fields, attr(input, "name")+"="+attr(input, "value"))
		}
		forms = append(forms, strings.Join(fields, " "))
	}
	return forms
}

func TestReadOnlyPageHasNoForms(t *testing.T) {
	page := testPage()
	page.Write = false
	doc := pageOf(t, tree.Path{}, files("a"), byName, page)
	for _, tag := range []string{"form", "input", "button", "details"} {
		if len(all(doc, tag, "")) != 0 {
			t.Errorf("a read-only page has a %s", tag)
		}
	}
	if !strings.Contains(textOf(all(doc, "footer", "")[0]), "Read-only") {
		t.Error("a read-only page does not say so")
	}
}

// A listing that has not changed is the same bytes later, as a tag for it will have to mean.
func TestPageDoesNotDependOnTheHour(t *testing.T) {
	early, late := testPage(), testPage()
	late.Now = late.Now.Add(1000 * time.Hour)
	for _, f := range []listingFormat{listingHTML, listingJSON, listingText} {
		a := renderToString(t, f, tree.Path{}, manyEntries(20), byName, early)
		if b := renderToString(t, f, tree.Path{}, manyEntries(20), byName, late); a != b {
			t.Errorf("%q is different 1000 hours later", f)
		}
	}
}

func TestTimesAreInTheZoneOfThePage(t *testing.T) {
	entries := []tree.Entry{{Name: "a", Kind: tree.KindFile, ModTime: time.Date(2026, 12, 31, 23, 30, 0, 0, time.UTC)}}
	page := testPage()
	page.Now = page.Now.In(time.FixedZone("Far/East", 9*3600))
	doc := pageOf(t, tree.Path{}, entries, byName, page)
	stamp := all(doc, "time", "")[0]
	if textOf(stamp) != "1 Jan 2027 08:30" || attr(stamp, "datetime") != "2026-12-31T23:30:00Z" {
		t.Errorf("shown as %q, %v", textOf(stamp), stamp.Attr)
	}
	if footer := textOf(all(doc, "footer", "")[0]); !strings.HasSuffix(footer, "Times are in Far/East.") {
		t.Errorf("footer %q", footer)
	}
}

func TestNotice(t *testing.T) {
	page := testPage()
	page.Notice = &notice{
		Title: "docs\u202e exists", Text: "Nothing was\nchanged.",
		Offers: []offer{{"Open it", "docs/"}, {"Hm", "javascript:alert(1)"}},
	}
	doc := pageOf(t, tree.Path{}, nil, byName, page)
	section := all(doc, "section", "notice")
	if len(section) != 1 || textOf(section[0]) != "docs⟦RLO⟧ exists Nothing was⟦LF⟧changed. Open it Hm" {
		t.Fatalf("notice %q", texts(doc, "section", "notice"))
	}
	links := all(section[0], "a", "")
	if attr(links[0], "href") != "docs/" || strings.HasPrefix(attr(links[1], "href"), "javascript") {
		t.Errorf("offers lead to %v and %v", links[0].Attr, links[1].Attr)
	}
}

func TestSizeText(t *testing.T) {
	tests := map[int64]string{
		0: "0 B", 1: "1 B", 999: "999 B", 1000: "1.00 kB", 2345: "2.35 kB", 9994: "9.99 kB", 9995: "10.0 kB",
		84_123: "84.1 kB",
		99_949: "99.9 kB", 99_950: "100 kB", 999_499: "999 kB", 999_500: "1.00 MB", 1_920_000_000: "1.92 GB",
		999_500_000_000_000_000: "1.00 EB", 1<<63 - 1: "9.22 EB",
	}
	for n, want := range tests {
		if got := sizeText(n); got != want {
			t.Errorf("sizeText(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestListingContentType(t *testing.T) {
	tests := map[listingFormat]string{
		listingHTML: "text/html; charset=utf-8",
		listingJSON: "application/json",
		listingText: "text/plain; charset=utf-8",
	}
	for f, want := range tests {
		if got := listingContentType(f); got != want {
			t.Errorf("listingContentType(%q) = %q, want %q", f, got, want)
		}
	}
}
