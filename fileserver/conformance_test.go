package fileserver_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"freshet/fileserver"
	"freshet/fileserver/tree"
)

var update = flag.Bool("update", false, "rewrite CONFORMANCE.md")

// A conformanceCase is one row of the table: a request to a folder in a known state, and what must come of it.
//
// In its texts {A}, {B} and {empty} are the tags of the files below, {A.hex} what stands between the quotes, {dir}
// the folder's own path and {name} its name; {D} is the fingerprint of its folder d as a bare tag, {D.hex} without
// quotes, and {D.page} the tag of its page; {page} is that of the folder itself, {cursor} the end of the feed; {now}, {past} and {future} are dates in the preferred form, {now850} and {nowasc} the same
// in the obsolete ones.
type conformanceCase struct {
	name   string
	method string
	path   string   // below the case's own folder, or absolute with two slashes before it
	fields []string // of the request
	body   string

	status int
	header []string // "Name: value", "Name: ~part of it", "-Name" for a field that must be missing
	answer string   // the body; "~part of it"; "" says nothing
	goOn   bool     // 100 Continue comes first; without it, nothing may
	disk   []string // "name=content" afterwards; every case also checks that all else is as it was

	server string                           // one of the servers below; "" is the usual one
	before func(*testing.T, *world, string) // changes the folder first
	// between changes the folder after the request was made up, and before it is sent.
	between func(*testing.T, *world, string)
	given   string // what before or between does, for the table
}

// A section is a part of the table.
type section struct {
	title, text string
	cases       []conformanceCase
	settled     bool // the cases want files that have been still for a while
}

// The folder that every case has to itself.
const (
	contentA = "0123456789"
	contentB = "beta"
	contentC = "inner"
)

func layFolder(t *testing.T, w *world, dir string) {
	t.Helper()
	w.file(t, dir+"/a.txt", contentA)
	w.file(t, dir+"/b.txt", contentB)
	w.file(t, dir+"/empty.txt", "")
	w.file(t, dir+"/page.html", "<script>1</script>")
	w.file(t, dir+"/d/in.txt", contentC)
}

var laid = map[string]string{"a.txt": contentA, "b.txt": contentB, "empty.txt": "", "page.html": "<script>1</script>",
	"d": aFolder, "d/in.txt": contentC}

// conformanceServers are the servers that cases ask for by name.
var conformanceServers = map[string]struct {
	said    string // in the table
	options tree.Options
	change  func(*fileserver.Config)
}{
	"":          {"", tree.Options{Write: true}, func(*fileserver.Config) {}},
	"read-only": {"read-only server", tree.Options{}, func(*fileserver.Config) {}},
	"required":  {"`require-preconditions`", tree.Options{Write: true}, func(c *fileserver.Config) { c.RequirePreconditions = true }},
	"small":     {"uploads limited to 8 bytes", tree.Options{Write: true, UploadBytesMax: 8}, func(*fileserver.Config) {}},
	"full":      {"no room for uploads", tree.Options{Write: true, StageBytesMax: 1}, func(*fileserver.Config) {}},
	"busy":      {"no upload may begin", tree.Options{Write: true, UploadsMax: -1}, func(*fileserver.Config) {}},
	"cached": {"`cache = {\"*.txt\" = \"max-age=60\"}`", tree.Options{}, func(c *fileserver.Config) {
		c.Cache = []fileserver.CacheRule{{Glob: "*.txt", Control: "max-age=60"}}
	}},
}

// settleTime is how long a file must have been still for a date to name its state, and a second for rounding.
const settleTime = 2100 * time.Millisecond

// TestConformance asks every case over HTTP and compares the table with the document.
func TestConformance(t *testing.T) {
	sections := slices.Concat(readingSections(), writingSections(), formSections(), []section{arriving},
		folderSections())
	runs := layConformance(t, sections)
	settled := time.Now().Add(settleTime)
	t.Run("cases", func(t *testing.T) {
		for _, r := range runs {
			t.Run(r.c.name, func(t *testing.T) {
				t.Parallel()
				if r.section.settled {
					time.Sleep(time.Until(settled))
				}
				r.run(t)
			})
		}
	})
	if !t.Failed() {
		compareDocument(t, sections)
	}
}

// A conformanceRun is a case with the folder that it is to be tried in.
type conformanceRun struct {
	section *section
	c       *conformanceCase
	w       *world
	dir     string

	lastModified string
}

// layConformance makes all folders before any server starts.
func layConformance(t *testing.T, sections []section) (runs []*conformanceRun) {
	t.Helper()
	roots := map[string]*world{}
	names := map[string]bool{}
	for i := range sections {
		for j := range sections[i].cases {
			c := &sections[i].cases[j]
			if names[c.name] {
				t.Fatalf("two cases are called %s", c.name)
			}
			names[c.name] = true
			w := roots[c.server]
			if w == nil {
				w = &world{root: t.TempDir()}
				roots[c.server] = w
			}
			dir := fmt.Sprintf("c%d", len(runs))
			layFolder(t, w, dir)
			runs = append(runs, &conformanceRun{section: &sections[i], c: c, w: w, dir: dir})
		}
	}
	for name, w := range roots {
		setup := conformanceServers[name]
		*w = *newWorldOf(t, w.root, setup.options, setup.change)
	}
	return runs
}

func (r *conformanceRun) run(t *testing.T) {
	c := r.c
	if c.before != nil {
		c.before(t, r.w, r.dir)
	}
	if r.section.settled {
		r.lastModified = r.modified(t)
	}
	fields := make([]string, len(c.fields))
	for i, f := range c.fields {
		fields[i] = r.expandFolders(t, r.expand(f))
	}
	path := "/" + r.dir + c.path
	if strings.HasPrefix(c.path, "//") {
		path = r.expandFolders(t, r.expand(c.path[1:]))
	}
	body := r.expand(c.body)
	if c.between != nil {
		c.between(t, r.w, r.dir)
	}
	a := r.w.ask(t, c.method, path, body, fields...)
	if a.status != c.status {
		t.Fatalf("status %d, want %d\n%v\n%s", a.status, c.status, a.header, a.body)
	}
	if (len(a.interim) > 0) != c.goOn {
		t.Errorf("interim answers %v", a.interim)
	}
	r.checkHeader(t, a)
	r.checkBody(t, a)
	checkAlways(t, c.method, a)
	r.checkDisk(t)
}

// expand puts values in the place of names.
func (r *conformanceRun) expand(s string) string {
	now := time.Now().UTC()
	hex := strings.Trim(tagOf(contentA), `"`)
	return strings.NewReplacer("{A}", tagOf(contentA), "{B}", tagOf(contentB), "{empty}", tagOf(""), "{in}", tagOf(contentC),
		"{A.hex}", hex, "{D}", printOfD().ETag(), "{D.hex}", printOfD().String(), "{name}", r.dir, "{new}", tagOf("new"), "{dir}", "/"+r.dir, "{host}", r.w.addr,
		"{now}", now.Format(http.TimeFormat), "{now850}", now.Format("Monday, 02-Jan-06 15:04:05 GMT"),
		"{nowasc}", now.Format(time.ANSIC), "{past}", "Sun, 06 Nov 1994 08:49:37 GMT",
		"{future}", now.Add(time.Hour).Format(http.TimeFormat),
		"{modified}", r.lastModified).Replace(s)
}

// modified is the Last-Modified of a.txt, which is its modification time rounded up.
func (r *conformanceRun) modified(t *testing.T) string {
	t.Helper()
	info, err := os.Stat(filepath.Join(r.w.root, r.dir, "a.txt"))
	if err != nil {
		t.Fatal(err)
	}
	text := r.w.ask(t, "HEAD", "/"+r.dir+"/a.txt", "").header.Get("Last-Modified")
	date, err := http.ParseTime(text)
	if err != nil {
		t.Fatal(err)
	}
	if after := date.Sub(info.ModTime()); after < 0 || after > 2*time.Second {
		t.Errorf("Last-Modified %s is %v after the file's time", text, after)
	}
	return text
}

func (r *conformanceRun) checkHeader(t *testing.T, a answer) {
	t.Helper()
	for _, want := range r.c.header {
		if name, missing := strings.CutPrefix(want, "-"); missing {
			if got := a.header.Values(name); len(got) > 0 {
				t.Errorf("there is %s: %q", name, got)
			}
			continue
		}
		name, value, _ := strings.Cut(r.expandFolders(t, r.expand(want)), ": ")
		got := strings.Join(a.header.Values(name), ", ")
		if part, ok := strings.CutPrefix(value, "~"); ok && strings.Contains(got, part) && got != "" {
			continue
		}
		if got != value {
			t.Errorf("%s: %q, want %q", name, got, value)
		}
	}
}

func (r *conformanceRun) checkBody(t *testing.T, a answer) {
	t.Helper()
	want := r.expand(r.c.answer)
	if part, ok := strings.CutPrefix(want, "~"); ok {
		if !strings.Contains(a.body, part) {
			t.Errorf("body %q has no %q in it", a.body, part)
		}
	} else if want != "" && a.body != want {
		t.Errorf("body %q, want %q", a.body, want)
	}
	if a.cut {
		t.Error("the body is shorter than announced")
	}
	if a.status >= 300 && strings.Contains(a.body, contentA) {
		t.Error("the file's bytes are in the answer")
	}
}

// checkAlways checks what holds for every answer.
func checkAlways(t *testing.T, method string, a answer) {
	t.Helper()
	for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Cross-Origin-Resource-Policy": "same-origin"} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if a.header.Get("Date") == "" {
		t.Error("there is no Date")
	}
	if tag := a.header.Get("ETag"); strings.HasPrefix(tag, "W/") && a.header.Get("Freshet-Cursor") == "" {
		t.Errorf("the tag %s is weak", tag)
	}
	if (a.status == 304 || a.status == 204 || method == "HEAD") && a.body != "" {
		t.Errorf("there is a body: %q", a.body)
	}
	if a.status == 405 && a.header.Get("Allow") == "" {
		t.Error("there is no Allow")
	}
	if a.status >= 400 && method != "HEAD" && a.header.Get("Content-Type") == "application/problem+json" {
		checkProblem(t, a)
	} else if a.status >= 400 && method != "HEAD" && !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
		t.Errorf("the refusal is %s", a.header.Get("Content-Type"))
	}
}

func checkProblem(t *testing.T, a answer) {
	t.Helper()
	var p map[string]any
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		t.Fatalf("the problem is not JSON: %v\n%s", err, a.body)
	}
	for _, member := range []string{"type", "title", "detail", "next", "request"} {
		if text, _ := p[member].(string); text == "" {
			t.Errorf("the problem has no %s", member)
		}
	}
	if p["status"] != float64(a.status) {
		t.Errorf("the problem has status %v", p["status"])
	}
	current, told := p["current"]
	if told != (a.status == 412 || a.status == 428) && a.status != 409 {
		t.Errorf("current is there: %v", told)
	}
	if tag, _ := current.(string); tag != a.header.Get("ETag")+a.header.Get("Freshet-Subtree") {
		t.Errorf("current is %q, the ETag field %q, Freshet-Subtree %q", tag, a.header.Get("ETag"), a.header.Get("Freshet-Subtree"))
	}
}

// checkDisk makes sure that what the case says is on disk, and that all it does not speak of is as it was.
func (r *conformanceRun) checkDisk(t *testing.T) {
	t.Helper()
	want := map[string]string{}
	if r.c.before == nil && r.c.between == nil {
		for name, content := range laid {
			want[name] = content
		}
	}
	for _, d := range r.c.disk {
		name, content, _ := strings.Cut(d, "=")
		want[name] = r.expand(content)
	}
	for name, content := range want {
		if got := r.w.onDisk(t, r.dir+"/"+name); got != content {
			t.Errorf("%s is %q on disk, want %q", name, got, content)
		}
	}
}

const documentName = "CONFORMANCE.md"

func compareDocument(t *testing.T, sections []section) {
	t.Helper()
	want := document(sections)
	if *update {
		if err := os.WriteFile(documentName, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(documentName)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not what the tests say; run go test ./fileserver -run Conformance -update", documentName)
	}
}

// document writes the table.
func document(sections []section) string {
	var b strings.Builder
	b.WriteString(`# What freshet answers

This table is made from the tests that ask these very requests: ` + "`go test ./fileserver -run Conformance -update`" + `.

Each request is about a folder that holds ` + "`a.txt`" + ` (ten bytes, tag *A*), ` + "`b.txt`" + ` (tag *B*), ` + "`empty.txt`" + `,
` + "`page.html`" + ` and the folder ` + "`d`" + ` with ` + "`in.txt`" + `. Every answer carries ` + "`X-Content-Type-Options: nosniff`" + `
and ` + "`Cross-Origin-Resource-Policy: same-origin`" + `; every refusal is a problem document (RFC 9457), every 412 and 428
tells the tag that is there now, and after every refusal all files are as they were.
`)
	for _, s := range sections {
		fmt.Fprintf(&b, "\n## %s\n\n", s.title)
		if s.text != "" {
			b.WriteString(s.text + "\n\n")
		}
		b.WriteString("| case | request | answer |\n|---|---|---|\n")
		for _, c := range s.cases {
			fmt.Fprintf(&b, "| %s | %s | %s |\n", strings.ReplaceAll(c.name, "_", " "), c.request(), c.result())
		}
	}
	return b.String()
}

func (c *conformanceCase) request() string {
	parts := []string{code(c.method + " " + c.shownPath())}
	for _, f := range c.fields {
		parts = append(parts, code(f))
	}
	if c.body != "" && len(c.body) < 40 {
		parts = append(parts, "body "+code(strings.ReplaceAll(c.body, "\r\n", "␍␊")))
	}
	text := strings.Join(parts, "<br>")
	if said := conformanceServers[c.server].said; said != "" {
		text += "<br>(" + said + ")"
	}
	if c.given != "" {
		text += "<br>(" + c.given + ")"
	}
	return text
}

func (c *conformanceCase) shownPath() string {
	path := c.path
	if strings.HasPrefix(path, "//") {
		path = path[1:]
	}
	if len(path) > 60 {
		path = path[:30] + "…"
	}
	return path
}

func (c *conformanceCase) result() string {
	var parts []string
	if c.goOn {
		parts = append(parts, "**100** Continue")
	}
	parts = append(parts, "**"+strconv.Itoa(c.status)+"** "+http.StatusText(c.status))
	for _, f := range c.header {
		if name, missing := strings.CutPrefix(f, "-"); missing {
			parts = append(parts, "no "+code(name))
		} else {
			parts = append(parts, code(strings.Replace(f, ": ~", ": … ", 1)))
		}
	}
	if c.answer != "" {
		parts = append(parts, "body "+code(strings.ReplaceAll(strings.Replace(c.answer, "~", "… ", 1), "\r\n", "␍␊")))
	}
	for _, d := range c.disk {
		parts = append(parts, "then "+code(strings.Replace(d, "=", " = ", 1)))
	}
	return strings.Join(parts, "<br>")
}

// code shows s as it is sent, with letters for tags.
func code(s string) string {
	s = strings.NewReplacer("{A}", `"A"`, "{B}", `"B"`, "{empty}", `"E"`, "{in}", `"I"`, "{new}", `"N"`, "{A.hex}", "A",
		"{D}", `"D"`, "{D.hex}", "D", "{D.page}", `"dD-…-h"`, "{page}", `"d…-h"`, "{cursor}", "*cursor*", "{name}/", "",
		"{dir}", "", "{host}", "server", "|", "\\|").Replace(s)
	return "`" + s + "`"
}
