package fileserver

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"freshet/fileserver/tree"
	"freshet/web"
)

// A pageFrame is what the layout of every page shows.
type pageFrame struct {
	Title   string // of the window or tab
	Version string
	Write   bool
	Zone    string // of the times on the page; empty if it shows none
}

// A folderPage is what web.PageFolder shows.
type folderPage struct {
	pageFrame
	Crumbs []crumb
	Name   shownName
	Notice *noticeView
	Action string // where the forms go
	Beyond bool   // there are entries, but none behind the cursor
	Count  string
	Pager  *pager // nil if all is on one page
	Heads  []columnHead
	Rows   []folderRow
}

// A crumb is a folder on the way to the one that is shown.
type crumb struct {
	Name shownName
	URL  string
}

type noticeView struct {
	Title  string
	Text   []namePart
	Offers []offer
}

// A pager has the references of other pages, empty where there is none.
type pager struct{ First, Previous, Range, Next, Last string }

// A columnHead is the head of a column: the link that sorts by it, and the order if it is the one in use.
type columnHead struct{ Class, Label, URL, Order string }

// A folderRow is one entry.
type folderRow struct {
	Name                  shownName
	URL, Icon             string // no URL: a link that leads nowhere, or where the server does not follow
	Dim                   bool   // its name begins with a dot
	Link                  bool
	LinkTitle             string
	Modified, ModifiedUTC string
	Versioned             bool // it is a thing that has a version, known or not
	Version, Tag          string
	Size                  string
	Bytes                 int64
}

// renderHTML writes the page of a folder.
func renderHTML(w io.Writer, p tree.Path, window listingWindow, q listingQuery, page pageContext) error {
	v := folderPage{
		pageFrame: frameOf(folderTitle(p, page), page, true),
		Crumbs:    crumbsTo(p, page),
		Name:      showFolder(folderName(p, page)),
		Action:    p.URL(true),
		Beyond:    len(window.entries) > 0,
		Count:     countOf(len(window.entries)),
		Pager:     pagerOf(&window, q),
		Heads:     columnHeads(q),
	}
	if n := page.Notice; n != nil {
		v.Notice = &noticeView{Title: plainText(n.Title), Text: textParts(n.Text), Offers: n.Offers}
	}
	shown := window.shown()
	v.Rows = make([]folderRow, len(shown))
	for i := range shown {
		v.Rows[i] = rowOf(shown[i], page.Now.Location())
	}
	return renderPage(w, web.PageFolder, v)
}

// renderPage gathers the many small writes of a template.
func renderPage(w io.Writer, name string, data any) error {
	b := bufio.NewWriterSize(w, listingChunkBytes)
	if err := web.Render(b, name, data); err != nil {
		return err
	}
	return b.Flush()
}

func frameOf(title string, page pageContext, times bool) pageFrame {
	f := pageFrame{Title: title, Version: page.Version, Write: page.Write}
	if times {
		f.Zone = "in " + zoneOf(page.Now.Location())
	}
	return f
}

// zoneOf names a time zone for a person.
func zoneOf(l *time.Location) string {
	if l == time.Local {
		return "the server's time zone"
	}
	return l.String()
}

// folderName returns what a person calls the folder at p.
func folderName(p tree.Path, page pageContext) string {
	if p.IsRoot() {
		return page.Root
	}
	return p.Base()
}

func folderTitle(p tree.Path, page pageContext) string {
	title := showFolder(folderName(p, page)).String()
	if !p.IsRoot() {
		title += " – " + showFolder(page.Root).String()
	}
	return title
}

// crumbsTo returns the folders above p, from the root down.
func crumbsTo(p tree.Path, page pageContext) []crumb {
	if p.IsRoot() {
		return nil
	}
	up := p.Parent()
	return append(crumbsTo(up, page), crumb{Name: showFolder(folderName(up, page)), URL: up.URL(true)})
}

// columnHeads returns the heads of the columns. A column that is not in use sorts first the way that is asked for
// most: names upwards, the newest and the largest first.
func columnHeads(q listingQuery) []columnHead {
	columns := []struct {
		by           sortKey
		class, label string
		descending   bool
	}{
		{sortByName, "entry", "Name", false},
		{sortByTime, "modified", "Modified", true},
		{"", "version", "Version", false},
		{sortBySize, "size", "Size", true},
	}
	var heads []columnHead
	for _, c := range columns {
		h := columnHead{Class: c.class, Label: c.label}
		next := listingQuery{Sort: c.by, Descending: c.descending, Limit: q.Limit}
		if c.by == q.Sort {
			next.Descending = !q.Descending
			h.Order = "ascending"
			if q.Descending {
				h.Order = "descending"
			}
		}
		if c.by != "" {
			h.URL = next.link()
		}
		heads = append(heads, h)
	}
	return heads
}

// pagerOf returns the links to the other pages of window, or nil if it holds all. The pages meet where those that the
// next links lead to do, as long as nothing is added or removed.
func pagerOf(window *listingWindow, q listingQuery) *pager {
	n, rows := len(window.entries), window.limit
	if window.from == 0 && window.to == n {
		return nil
	}
	behind := func(count int) string { // the page that begins behind so many entries
		if count <= 0 {
			return q.after(nil).link()
		}
		return q.after(cursorBehind(window.entries[count-1], q.Sort)).link()
	}
	pg := &pager{Range: fmt.Sprintf("%d–%d of %d", window.from+1, window.to, n)}
	if window.from == window.to {
		pg.Range = fmt.Sprintf("0 of %d", n)
	}
	if window.from > 0 {
		pg.First = behind(0)
		pg.Previous = behind(window.from - rows)
	}
	if window.to < n {
		pg.Next = behind(window.to)
		pg.Last = behind(window.to + (n-window.to-1)/rows*rows)
	}
	return pg
}

// rowOf describes e, with its times in zone.
func rowOf(e *tree.Entry, zone *time.Location) folderRow {
	to := leadsTo(e)
	r := folderRow{
		Name: showFile(e.Name),
		URL:  tree.EscapeName(e.Name),
		Icon: "file",
		Dim:  strings.HasPrefix(e.Name, "."),
		Link: e.Kind == tree.KindLink,
	}
	if r.Link {
		r.LinkTitle = "link to " + plainText(e.Target)
	}
	switch {
	case to.Kind == tree.KindFolder:
		r.Name, r.URL, r.Icon = showFolder(e.Name), r.URL+"/", "folder"
	case to.IsFile():
		r.Size, r.Bytes = sizeText(to.Size), to.Size
		r.Versioned, r.Version, r.Tag = true, shortVersion(to.ETag()), to.ETag()
	default:
		r.URL, r.Icon = "", "broken"
	}
	r.Modified, r.ModifiedUTC = timeText(to.ModTime, zone)
	return r
}

// shortVersion abbreviates a file's tag: the first eight digits, in two groups. It returns "" for "".
func shortVersion(tag string) string {
	digits := strings.Trim(tag, `"`)
	if len(digits) < 8 {
		return ""
	}
	return digits[:4] + "·" + digits[4:8]
}

// timeText returns t for a person and for a machine (RFC 3339), or nothing for a year that the latter cannot say.
func timeText(t time.Time, zone *time.Location) (shown, utc string) {
	if t = t.UTC(); t.Year() < 0 || t.Year() > 9999 {
		return "", ""
	}
	return t.In(zone).Format("2 Jan 2006 15:04"), t.Format(time.RFC3339)
}

// sizeText returns n bytes with three digits that count, in decimal units.
func sizeText(n int64) string {
	if n < 1000 {
		return strconv.FormatInt(n, 10) + " B"
	}
	size := float64(n)
	unit := ""
	for _, unit = range []string{"kB", "MB", "GB", "TB", "PB", "EB"} {
		if size /= 1000; size < 999.5 {
			break
		}
	}
	decimals := 0
	switch {
	case size < 9.995:
		decimals = 2
	case size < 99.95:
		decimals = 1
	}
	return strconv.FormatFloat(size, 'f', decimals, 64) + " " + unit
}

func countOf(n int) string {
	if n == 1 {
		return "1 item"
	}
	return strconv.Itoa(n) + " items"
}
