//go:build linux

package fileserver_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/net/html"

	"freshet/fileserver/tree"
)

// byteNames are names in which something between a client and the disk could take one byte for another.
var byteNames = map[string]string{
	"plain":                   "a.txt",
	"space":                   " ",
	"spaces_around":           "  a  b  ",
	"double_quote":            `say "hi"`,
	"single_quote":            "it's",
	"backquote":               "`sh`",
	"fragment_query_percent":  "#?%",
	"looks_escaped":           "%41%2f%2e%2e%00",
	"broken_escape":           "100%",
	"plus_and_delimiters":     "a+b&c=d;e,f:g@h!$'()*",
	"looks_like_a_scheme":     "http:",
	"looks_like_a_query":      "?sort=size",
	"looks_like_an_authority": "user@evil.example:80",
	"line_feed":               "line\nbreak",
	"carriage_return":         "a\rb",
	"only_line_breaks":        "\r\n\t",
	"header_injection":        "a\r\nSet-Cookie: x=1\r\n\r\n<p>",
	"right_to_left_override":  "photo\u202egnp.exe",
	"isolates":                "\u2066left\u2069\u200e\u200f",
	"byte_order_mark":         "\ufeffmark",
	"zero_width":              "a\u200bb\u00adc",
	"line_separators":         "a\u2028b\u2029c\u0085",
	"not_utf8":                "\xff\xfe",
	"overlong_dots":           "\xc0\xae\xc0\xae",
	"surrogate":               "\xed\xa0\x80",
	"cut_sequence":            "caf\xc3",
	"tilde":                   "~",
	"tilde_user":              "~root",
	"leading_dot":             ".hidden",
	"three_dots":              "...",
	"dot_at_the_end":          "dot.",
	"leading_dash":            "-rf",
	"two_dashes":              "--",
	"star":                    "*",
	"emoji":                   "👩‍👧🏽",
	"composed":                "caf\u00e9",
	"decomposed":              "cafe\u0301",
	"upper_case":              "A.TXT",
	"markup":                  `<b onclick="x">.html`,
	"entity":                  "&amp;lt;",
	"control":                 "\x01\x7f\x1b[31m",
	"device_name":             "CON",
	"arrow_of_the_listing":    "a → b",
	"longest":                 strings.Repeat("n", tree.NameBytesMax),
	"longest_not_utf8":        strings.Repeat("\xff", tree.NameBytesMax),
	"longest_of_percents":     strings.Repeat("%", tree.NameBytesMax),
	"every_byte":              everyByte(),
}

// everyByte is a name with all bytes in it that a name can have.
func everyByte() string {
	var b []byte
	for c := 1; c < 256; c++ {
		if c != '/' && c != '\\' {
			b = append(b, byte(c))
		}
	}
	return string(b)
}

// spellings are ways in which clients write one name in a URL.
func spellings(name string) []string {
	var every strings.Builder
	for i := range len(name) {
		fmt.Fprintf(&every, "%%%02x", name[i])
	}
	ways := []string{tree.EscapeName(name), url.PathEscape(name), every.String()}
	mustEscape := func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune("#?%", r) }
	if !strings.ContainsFunc(name, mustEscape) {
		ways = append(ways, name)
	}
	return ways
}

// diskNames returns what the operating system lists in a folder.
func (w *world) diskNames(t *testing.T, folder string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(w.root, folder))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != tree.Reserved {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names
}

// TestNamesAreBytesOverHTTP takes each name through every method that can carry one, and compares with the disk.
func TestNamesAreBytesOverHTTP(t *testing.T) {
	t.Parallel()
	w := newWorldOf(t, fastFolder(t), tree.Options{Write: true})
	i := 0
	for what, name := range byteNames {
		folder := fmt.Sprint("f", i)
		i++
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			for _, d := range []string{folder, folder + "/copied", folder + "/moved"} {
				if err := os.Mkdir(filepath.Join(w.root, d), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			w.carryName(t, folder, name)
		})
	}
}

// carryName puts a file called name into an empty folder, reads it, copies it, moves it, and removes it.
func (w *world) carryName(t *testing.T, folder, name string) {
	content := "in " + name
	escaped := "/" + folder + "/" + tree.EscapeName(name)
	expect := func(want int, method, path, body string, fields ...string) answer {
		t.Helper()
		a := w.ask(t, method, path, body, fields...)
		if a.status != want {
			t.Fatalf("%s %.80s: %d, want %d: %s", method, path, a.status, want, a.body)
		}
		return a
	}
	holds := func(d string) {
		t.Helper()
		if got := w.onDisk(t, d+"/"+name); got != content {
			t.Fatalf("%s holds %q, and the file %q", d, w.diskNames(t, d), got)
		}
	}
	expect(201, "PUT", escaped, content, "If-None-Match: *")
	holds(folder)
	for _, way := range spellings(name) {
		path := "/" + folder + "/" + way
		if a := expect(200, "GET", path, ""); a.body != content || a.header.Get("ETag") != tagOf(content) {
			t.Errorf("GET %.80s: %q", path, a.body)
		}
		if a := expect(200, "HEAD", path, ""); a.header.Get("ETag") != tagOf(content) {
			t.Errorf("HEAD %.80s: %v", path, a.header)
		}
		expect(412, "PUT", path, "other", "If-None-Match: *")
	}
	expect(201, "COPY", escaped, "", "Destination: /"+folder+"/copied/"+url.PathEscape(name))
	holds(folder + "/copied")
	expect(201, "MOVE", escaped, "", "Destination: http://"+w.addr+"/"+folder+"/moved/"+tree.EscapeName(name))
	holds(folder + "/moved")
	for _, d := range []string{"/copied", "/moved"} {
		if got := w.diskNames(t, folder+d); !slices.Equal(got, []string{name}) {
			t.Errorf("%s holds %q", d, got)
		}
		ways := spellings(name)
		expect(204, "DELETE", "/"+folder+d+"/"+ways[len(ways)-1], "")
		if got := w.diskNames(t, folder+d); len(got) > 0 {
			t.Errorf("after the removal %s holds %q", d, got)
		}
	}
	w.carryFolderName(t, folder, name, expect)
}

// carryFolderName makes a folder called name, and follows the redirect of a reader who leaves out the slash.
func (w *world) carryFolderName(t *testing.T, folder, name string,
	expect func(want int, method, path, body string, fields ...string) answer) {
	escaped := "/" + folder + "/" + tree.EscapeName(name)
	expect(201, "MKCOL", escaped, "")
	if got := w.onDisk(t, folder+"/"+name); got != aFolder {
		t.Fatalf("there is %q", got)
	}
	location := expect(308, "GET", escaped, "").header.Get("Location")
	if got := w.resolve(t, escaped, location); got != "/"+folder+"/"+name+"/" {
		t.Errorf("Location %q leads to %q", location, got)
	}
	expect(200, "GET", location, "")
	expect(204, "DELETE", escaped+"/", "")
}

// resolve returns the path, decoded, to which a reference leads from the page at base. It must not leave the server.
func (w *world) resolve(t *testing.T, base, reference string) string {
	t.Helper()
	from, err := url.Parse("http://" + w.addr + base)
	if err != nil {
		t.Fatal(err)
	}
	to, err := from.Parse(reference)
	if err != nil {
		t.Fatal(err)
	}
	if to.Host != w.addr || to.Scheme != "http" || to.User != nil {
		t.Fatalf("%q leads away, to %s", reference, to)
	}
	return to.Path
}

// TestListingsLeadBackToNames lists all the names at once in each form, and gets every file by what the listing says.
func TestListingsLeadBackToNames(t *testing.T) {
	t.Parallel()
	w := newWorldOf(t, fastFolder(t), tree.Options{})
	folder := "all #?%\xff"
	var want []string
	for _, name := range byteNames {
		w.file(t, folder+"/"+name, "in "+name)
		want = append(want, name)
	}
	slices.Sort(want)
	if got := w.diskNames(t, folder); !slices.Equal(got, want) {
		t.Fatalf("on disk are %q", got)
	}
	path := "/" + tree.EscapeName(folder) + "/"
	for form, read := range map[string]func(t *testing.T, path, listing string) []string{
		"application/json": w.namesInJSON, "text/plain": namesInText, "text/html": w.namesInHTML,
	} {
		t.Run(strings.ReplaceAll(form, "/", "_"), func(t *testing.T) {
			a := w.ask(t, "GET", path, "", "Accept: "+form)
			if a.status != 200 || !strings.HasPrefix(a.header.Get("Content-Type"), form) {
				t.Fatalf("%d %v %s", a.status, a.header, a.body)
			}
			got := read(t, path, a.body)
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("listed are\n%q, want\n%q", got, want)
			}
		})
	}
}

func (w *world) namesInJSON(t *testing.T, path, listing string) (names []string) {
	var l struct {
		Path   *string `json:"path"`
		Path64 *string `json:"path64"`
		Next   *string `json:"next"`

		Entries []struct {
			N   *string `json:"n"`
			N64 *string `json:"n64"`
		} `json:"entries"`
	}
	if err := json.Unmarshal([]byte(listing), &l); err != nil {
		t.Fatal(err)
	}
	if l.Next != nil {
		t.Fatal("the listing goes on elsewhere")
	}
	if got, want := oneOf(t, l.Path, l.Path64), w.resolve(t, path, ""); got != want {
		t.Errorf("the path is %q, want %q", got, want)
	}
	for _, e := range l.Entries {
		name := oneOf(t, e.N, e.N64)
		names = append(names, name)
		if a := w.ask(t, "GET", path+tree.EscapeName(name), ""); a.status != 200 || a.body != "in "+name {
			t.Errorf("%q: %d %q", name, a.status, a.body)
		}
	}
	return names
}

// oneOf returns the text, or what its form in base64 stands for. There must be exactly one of them.
func oneOf(t *testing.T, text, coded *string) string {
	t.Helper()
	switch {
	case text != nil && coded == nil:
		return *text
	case text == nil && coded != nil:
		b, err := base64.StdEncoding.DecodeString(*coded)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	t.Fatal("a name is there twice, or not at all")
	return ""
}

func namesInText(t *testing.T, _, listing string) (names []string) {
	for line := range strings.Lines(listing) {
		name, err := url.PathUnescape(strings.TrimSuffix(line, "\n"))
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	return names
}

// namesInHTML follows the links of the table as a browser does.
func (w *world) namesInHTML(t *testing.T, path, listing string) (names []string) {
	doc, err := html.Parse(strings.NewReader(listing))
	if err != nil {
		t.Fatal(err)
	}
	for _, href := range hrefsInTables(doc) {
		to := w.resolve(t, path, href)
		if !strings.HasPrefix(to, w.resolve(t, path, "")) {
			continue // the heads of the columns, and the folder above
		}
		name := strings.TrimPrefix(to, w.resolve(t, path, ""))
		if name == "" {
			continue
		}
		names = append(names, name)
		u, err := url.Parse(href)
		if err != nil {
			t.Fatal(err)
		}
		if a := w.ask(t, "GET", path+u.EscapedPath(), ""); a.status != 200 || a.body != "in "+name {
			t.Errorf("%q by %q: %d %q", name, href, a.status, a.body)
		}
	}
	return names
}

// hrefsInTables returns where the links in tables lead.
func hrefsInTables(doc *html.Node) (hrefs []string) {
	for body := range doc.Descendants() {
		if body.Data != "tbody" {
			continue
		}
		for a := range body.Descendants() {
			for _, attribute := range a.Attr {
				if a.Data == "a" && attribute.Key == "href" {
					hrefs = append(hrefs, attribute.Val)
				}
			}
		}
	}
	return hrefs
}

// TestNamesInForms uploads a file under each name in the ways that a form has for saying a name.
func TestNamesInForms(t *testing.T) {
	t.Parallel()
	w := newWorldOf(t, fastFolder(t), tree.Options{Write: true})
	quoted := strings.NewReplacer(`"`, `\"`)
	i := 0
	for what, name := range byteNames {
		ways := map[string]string{
			"name_field": "--x\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\n" + name + "\r\n" +
				"--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"other\"\r\n\r\ncontent\r\n--x--\r\n",
			"extended_parameter": "--x\r\nContent-Disposition: form-data; name=\"file\"; filename*=UTF-8''" +
				tree.EscapeName(name) + "\r\n\r\ncontent\r\n--x--\r\n",
		}
		if strings.IndexFunc(name, unicode.IsControl) < 0 { // a header field can have no control characters
			ways["quoted"] = "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"" + quoted.Replace(name) +
				"\"\r\n\r\ncontent\r\n--x--\r\n"
		}
		for way, body := range ways {
			folder := fmt.Sprint("f", i)
			i++
			t.Run(what+"/"+way, func(t *testing.T) {
				if err := os.Mkdir(filepath.Join(w.root, folder), 0o755); err != nil {
					t.Fatal(err)
				}
				a := w.ask(t, "POST", "/"+folder+"/", body, formType)
				if a.status != 201 || !slices.Equal(w.diskNames(t, folder), []string{name}) {
					t.Fatalf("%d %s; on disk %q", a.status, a.body, w.diskNames(t, folder))
				}
				location := a.header.Get("Location")
				if got := w.resolve(t, "/"+folder+"/", location); got != "/"+folder+"/"+name {
					t.Errorf("Location %q leads to %q", location, got)
				}
				if a := w.ask(t, "GET", location, ""); a.status != 200 || a.body != "content" {
					t.Errorf("GET %s: %d %q", location, a.status, a.body)
				}
			})
		}
	}
}
