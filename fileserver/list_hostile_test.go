package fileserver

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"freshet/fileserver/tree"
	"freshet/web"
)

// hostileNames are names that break pages, listings and the trust in them.
var hostileNames = []string{
	`<script>alert(1)<`, `<svg onload=alert(1)>`, `"><img src=x onerror=alert(1)>`, `' onmouseover='alert(1)`,
	"`onload=x`",
	`&lt;b&gt;`, `{{.Name}}`, `javascript:alert(1)`, `data:text,html,x`, `--><!--`, `]]>`, `<title>`, `a=b&c=d;e`,
	"a\r\nSet-Cookie: x=1", "\n", "\t", "\x1b[2J", "\x7f", "\u0085", "\u009b1m",
	"photo\u202egnp.exe", "\u2066\u2067x\u2069", "\u200e\u200f", "pay\u200bpal", "\ufeffx", "a\u2028b\u2029c", "\u00ad",
	"\xff\xfe", "a\xc0\xafb", "\xed\xa0\x80", "é\xcc", "\xf4\x90\x80\x80",
	"..a", "...", " ", " x ", "a b", "#?%", "%2e%2e", "%0A", "a+b", "http:", "?sort=x", "~", "*", "😀\u200d", "→",
	"⟦RLO⟧", strings.Repeat("x", 255), strings.Repeat("\n", 255), strings.Repeat("\xff", 255),
	strings.Repeat("é", 127), strings.Repeat("<", 251) + ".txt",
}

// pageElements and pageAttributes are all that a page may consist of.
var (
	pageElements = strings.Fields(`html head meta title link body svg symbol path use div header nav ol li a h1 h2 h3
		main section p form input label button details summary table thead tbody tr th td span bdi time code data dl dt
		dd footer`)
	pageAttributes = strings.Fields(`lang charset name content rel href type class aria-hidden id viewbox d aria-label
		aria-labelledby aria-describedby aria-sort title method action enctype value for multiple required maxlength
		autocomplete autocapitalize spellcheck dir scope datetime role`)
)

// checkPage fails if the page has an element or attribute that no template has, text that cannot be seen, or anything
// that is loaded from elsewhere.
func checkPage(t *testing.T, doc *html.Node) {
	t.Helper()
	for n := range doc.Descendants() {
		switch n.Type {
		case html.TextNode:
			checkSeen(t, strings.NewReplacer("\n", "", "\t", "").Replace(n.Data))
		case html.CommentNode:
			t.Errorf("a comment: %q", n.Data)
		case html.ElementNode:
			if !slices.Contains(pageElements, n.Data) {
				t.Errorf("an element that no template has: <%s %v>", n.Data, n.Attr)
			}
			for _, a := range n.Attr {
				checkAttribute(t, n, a)
			}
		}
	}
}

func checkAttribute(t *testing.T, n *html.Node, a html.Attribute) {
	t.Helper()
	if !slices.Contains(pageAttributes, strings.ToLower(a.Key)) {
		t.Errorf("an attribute that no template has: <%s %s=%q>", n.Data, a.Key, a.Val)
	}
	if a.Key == "title" {
		checkSeen(t, a.Val)
	}
	if a.Key == "href" || a.Key == "action" {
		u, err := url.Parse(a.Val)
		if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || strings.HasPrefix(a.Val, "//") {
			t.Errorf("<%s %s=%q> leads elsewhere (%v)", n.Data, a.Key, a.Val, err)
		}
	}
}

func checkSeen(t *testing.T, text string) {
	t.Helper()
	for i, r := range text {
		if strangeAt(" "+text+" ", i+1, r, len(string(r))) || r == '\ufffd' {
			t.Errorf("%q is shown, with %U in it", text, r)
		}
	}
}

// usableNames returns hostileNames, each of which can be made into a Path.
func usableNames(t *testing.T) []string {
	t.Helper()
	for _, name := range hostileNames {
		if _, err := (tree.Path{}).Join(name); err != nil {
			t.Fatalf("%q is not a test of anything: %v", name, err)
		}
	}
	return hostileNames
}

func TestHostileNamesInTheFolderPage(t *testing.T) {
	at := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	for _, name := range usableNames(t) {
		p := must((tree.Path{}).Join(name))
		page := testPage()
		page.Root = name
		page.Notice = &notice{Title: name, Text: name, Offers: []offer{{"a", p.URL(true)}}}
		followed := tree.Entry{Kind: tree.KindFolder, ModTime: at}
		entries := []tree.Entry{
			{Name: name, Kind: tree.KindFile, ModTime: at},
			{Name: name + "2", Kind: tree.KindFolder, ModTime: at},
			{Name: "l", Kind: tree.KindLink, Target: name, Followed: &followed},
			{Name: "m", Kind: tree.KindLink, Target: name},
		}
		q := listingQuery{Sort: sortByName, After: &cursor{Group: groupOthers, Name: name}}
		checkPage(t, pageOf(t, p, entries, q, page))
		q.After = nil
		doc := pageOf(t, p, entries[:1], q, page)
		checkPage(t, doc)

		row := all(all(doc, "tbody", "")[0], "tr", "")[0]
		if got, want := rawText(all(row, "span", "name")[0]), plainText(name); got != want {
			t.Errorf("%q is shown as %q, want %q", name, got, want)
		}
		if strange := len(all(row, "span", "tag")) == 1; strange != (plainText(name) != name) {
			t.Errorf("%q is called strange: %v", name, strange)
		}
		base := must(url.Parse("http://host" + p.URL(true)))
		leads := base.ResolveReference(must(url.Parse(attr(all(row, "a", "")[0], "href"))))
		got, _, err := tree.Parse(leads.EscapedPath())
		if err != nil || got != must(p.Join(name)) || leads.RawQuery != "" || leads.Fragment != "" {
			t.Errorf("the link of %q leads to %q: %q, %v", name, leads, got, err)
		}
	}
}

// rawText is textOf with its spaces.
func rawText(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return b.String()
}

func TestHostileNamesInTheOtherPages(t *testing.T) {
	current := tree.Entry{Kind: tree.KindFile, Digest: [16]byte{1}}
	for _, name := range usableNames(t) {
		p := must((tree.Path{}).Join(name))
		page := testPage()
		page.Root = name
		var b strings.Builder
		if err := renderProblemPage(&b, 404, name, name, name, page); err != nil {
			t.Fatal(err)
		}
		checkPage(t, parsePage(t, b.String()))
		b.Reset()
		c := uploadConflict{Name: name, Current: &current, IfMatch: name, Saved: []string{name}}
		if err := renderConflictPage(&b, p, c, page); err != nil {
			t.Fatal(err)
		}
		doc := parsePage(t, b.String())
		checkPage(t, doc)
		for _, input := range all(doc, "input", "") {
			if v := attr(input, "value"); attr(input, "name") == "name" && formName(v) != v {
				t.Errorf("%q: a form sends %q, which does not arrive as it is", name, v)
			}
		}
	}
}

func TestHostileNamesInJSON(t *testing.T) {
	for _, name := range usableNames(t) {
		p := must((tree.Path{}).Join(name))
		entries := append(files(name+"2"), tree.Entry{Name: name, Kind: tree.KindLink, Target: name})
		q := listingQuery{Sort: sortByName, Limit: 1}
		l := readJSON(t, renderToString(t, listingJSON, p, entries, q, pageContext{}))
		path, target := string(l.Path64), string(l.Entries[0].Target64)
		if l.Path != nil {
			path = *l.Path
		}
		if l.Entries[0].Target != nil {
			target = *l.Entries[0].Target
		}
		if path != "/"+name+"/" || l.Entries[0].name() != name || target != name {
			t.Errorf("%q is read back as path %q, name %q, target %q", name, path, l.Entries[0].name(), target)
		}
		next, err := url.Parse(*l.Next)
		if err != nil || must(parseListingQuery(next.Query())).After.Name != name {
			t.Errorf("%q: next is %q, %v", name, *l.Next, err)
		}
	}
}

func TestHostileNamesInText(t *testing.T) {
	text := renderToString(t, listingText, tree.Path{}, files(usableNames(t)...), byName, pageContext{})
	var got []string
	for line := range strings.Lines(text) {
		got = append(got, must(url.PathUnescape(strings.TrimSuffix(line, "\n"))))
	}
	slices.Sort(got)
	if want := slices.Sorted(slices.Values(hostileNames)); !slices.Equal(got, want) {
		t.Errorf("read back %q, want %q", got, want)
	}
}

// What the pages load is what there is, and nothing that the policy sent with them would stop.
func TestPagesLoadOnlyAssets(t *testing.T) {
	doc := pageOf(t, tree.Path{}, files("a"), byName, testPage())
	links := all(doc, "link", "")
	if len(links) != 2 {
		t.Errorf("%d links to assets", len(links))
	}
	for _, link := range links {
		name, ok := strings.CutPrefix(attr(link, "href"), web.AssetsPath+web.AssetsHash+"/")
		if _, _, found := web.Asset(name); !ok || !found {
			t.Errorf("no asset at %q", attr(link, "href"))
		}
	}
}
