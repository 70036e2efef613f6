//go:build linux

package fileserver_test

import (
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"freshet/fileserver/tree"
)

// canaryBytes is the size of the file that nobody may see: a number that no answer has for another reason.
const canaryBytes = 1234577

// A fortress is a world with things beside its root that no request may read, change or tell of.
type fortress struct {
	*world
	base   string // holds the root, the file "secret" and the folder "outside"
	canary string // what the answers may not have in them, by lines
	before map[string]string
}

// newFortress serves base/root under a policy. Beside it lie secret, outside/secret and outside/only-here.
func newFortress(t *testing.T, policy tree.Symlinks) *fortress {
	t.Helper()
	f := &fortress{base: fastFolder(t)}
	for _, d := range []string{"root/d", "root/deep", "outside/only-here"} {
		if err := os.MkdirAll(filepath.Join(f.base, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	content := "canary " + strings.Repeat("x", canaryBytes-len("canary "))
	for _, name := range []string{"secret", "outside/secret"} {
		if err := os.WriteFile(filepath.Join(f.base, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	f.canary = "canary\nonly-here\n" + strconv.Itoa(canaryBytes) + "\n" + strings.Trim(tagOf(content), `"`)
	f.before = f.outside(t)
	f.world = newWorldOf(t, filepath.Join(f.base, "root"), tree.Options{Write: true, Symlinks: policy})
	f.restore(t)
	return f
}

// restore puts back the files that requests are about, and removes where MOVE and COPY put theirs.
func (f *fortress) restore(t *testing.T) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(f.root, "stolen")); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"a.txt": "alpha", "d/in.txt": "inner"} {
		if f.onDisk(t, name) != content {
			f.file(t, name, content)
		}
	}
}

// outside describes all that lies beside the root, so that any change whatsoever shows: none leaves the change time.
func (f *fortress) outside(t *testing.T) map[string]string {
	t.Helper()
	state := map[string]string{}
	root := filepath.Join(f.base, "root")
	err := filepath.WalkDir(f.base, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name == root {
			return fs.SkipDir
		}
		var st syscall.Stat_t
		if err := syscall.Lstat(name, &st); err != nil {
			return err
		}
		state[name] = fmt.Sprint(st.Ino, st.Mode, st.Size, st.Nlink, st.Mtim, st.Ctim)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return state
}

// check fails if a request that was answered by a has done or told anything outside.
func (f *fortress) check(t *testing.T, request string, a answer) {
	t.Helper()
	if got := f.outside(t); !maps.Equal(got, f.before) {
		t.Fatalf("%s changed what is outside: %v, before %v", request, got, f.before)
	}
	f.checkNothingTold(t, request, a)
	f.checkAnswered(t, request, a)
}

func (f *fortress) checkNothingTold(t *testing.T, request string, a answer) {
	t.Helper()
	said := fmt.Sprint(a.header) + a.body
	for line := range strings.Lines(f.canary) {
		if line = strings.TrimSpace(line); strings.Contains(said, line) {
			t.Errorf("%s: the answer has %q in it: %d %v %.300q", request, line, a.status, a.header, a.body)
		}
	}
}

// checkAnswered checks that there is a whole answer, and that a refusal says why: net/http refuses by itself, in few
// words, what is not HTTP.
func (f *fortress) checkAnswered(t *testing.T, request string, a answer) {
	t.Helper()
	method, _, _ := strings.Cut(request, " ")
	switch {
	case a.status == noAnswer || a.cut:
		t.Errorf("%s: no answer: %s", request, a.body)
	case a.status == 400 && a.header.Get("Content-Type") == "text/plain; charset=utf-8" && a.header.Get("X-Request-Id") == "":
	default:
		checkAlways(t, method, a)
	}
}

// escapes are ways to write a path that leads out of the root, or that something on the way might take for one.
var escapes = []struct {
	target string
	inside bool // it is a path like any other: nothing is decoded twice
}{
	{target: "/../secret"},
	{target: "/.."},
	{target: "/../"},
	{target: "/d/../../secret"},
	{target: "/d/.."},
	{target: "/./../secret"},
	{target: "/d/./../../secret"},
	{target: "/none/../../secret"},
	{target: "/a.txt/../../secret"},
	{target: "//../secret"},
	{target: "///..//secret"},
	{target: "/../../../../../../../../etc/passwd"},
	{target: "/%2e%2e/secret"},
	{target: "/%2E%2E/secret"},
	{target: "/.%2e/secret"},
	{target: "/%2e./secret"},
	{target: "/%2e%2e%2fsecret"},
	{target: "/..%2fsecret"},
	{target: "/..%2Fsecret"},
	{target: "/d%2f..%2f..%2fsecret"},
	{target: "/%2f..%2fsecret"},
	{target: `/..\secret`},
	{target: `/\..\secret`},
	{target: `/d/..\..\secret`},
	{target: "/..%5csecret"},
	{target: "/..%5Csecret"},
	{target: "/%5c..%5csecret"},
	{target: "/%2e%2e%5csecret"},
	{target: "/%2e"},
	{target: "/./a.txt"},
	{target: "/a.txt%00"},
	{target: "/%00/../secret"},
	{target: "/..%00/secret"},
	{target: "/a.txt%00/../../secret"},
	{target: "/a.txt\x00"},
	{target: "/%"},
	{target: "/%2"},
	{target: "/%zz/../secret"},
	{target: "/%u002e%u002e/secret"},
	{target: "/.. /secret"},
	{target: "/..\t/secret"},
	{target: "secret"},
	{target: "../secret"},
	{target: `\..\secret`},
	{target: "http://{host}/../secret"},
	{target: "http://{host}/%2e%2e/secret"},
	{target: "http://{host}/..%2fsecret"},
	{target: `http://{host}/..\secret`},
	{target: "http://{host}\\..\\secret"},
	{target: "http://evil.example/a.txt"},
	{target: "http://evil.example/../secret"},
	{target: "http://{host}@evil.example/a.txt"},
	{target: "file:///../secret"},
	{target: "http:/../secret"},
	{target: "http:../secret"},
	{target: "http:///../secret"},
	{target: "//evil.example/../secret"},
	{target: "/" + strings.Repeat("../", 1000) + "etc/passwd"},
	{target: "/" + strings.Repeat("d/", 2000) + "x"},
	{target: "/%252e%252e/secret", inside: true},
	{target: "/%252e%252e%252fsecret", inside: true},
	{target: "/%25c0%25ae%25c0%25ae/secret", inside: true},
	{target: "/%c0%ae%c0%ae/secret", inside: true},
	{target: "/%c0%ae%c0%ae%c0%afsecret", inside: true},
	{target: "/..%c0%afsecret", inside: true},
	{target: "/%e0%80%ae%e0%80%ae/secret", inside: true},
	{target: "/%ef%bc%8e%ef%bc%8e/secret", inside: true},
	{target: "/%ef%bc%8e%ef%bc%8e%ef%bc%8fsecret", inside: true},
	{target: "/..;/secret", inside: true},
	{target: "/..%20/secret", inside: true},
	{target: "/.../secret", inside: true},
	{target: "/%7e/secret", inside: true},
	{target: "/..%3b/secret", inside: true},
	{target: "/?/../secret", inside: true},
	{target: "/d/in.txt?/../../secret", inside: true},
	{target: "/none#/../../secret", inside: true},
}

// verbs are the requests that are made of a path. {at} is the path, as a client writes it.
var verbs = map[string]struct {
	method, body string
	fields       []string
	destination  bool // the path is that of the Destination; the request is for a.txt
}{
	"GET":            {method: "GET"},
	"GET_as_json":    {method: "GET", fields: f{"Accept: application/json"}},
	"HEAD":           {method: "HEAD"},
	"OPTIONS":        {method: "OPTIONS"},
	"PUT":            {method: "PUT", body: "stolen"},
	"PUT_on_tag":     {method: "PUT", body: "stolen", fields: f{`If-Match: "0"`}},
	"PUT_new":        {method: "PUT", body: "stolen", fields: f{"If-None-Match: *"}},
	"DELETE":         {method: "DELETE"},
	"MKCOL":          {method: "MKCOL"},
	"POST":           {method: "POST", body: form("file/posted", "stolen"), fields: f{formType}},
	"MOVE":           {method: "MOVE", fields: f{"Destination: /stolen"}},
	"COPY":           {method: "COPY", fields: f{"Destination: /stolen"}},
	"MOVE_to":        {method: "MOVE", fields: f{"Destination: {at}"}, destination: true},
	"COPY_to":        {method: "COPY", fields: f{"Destination: {at}"}, destination: true},
	"COPY_to_url":    {method: "COPY", fields: f{"Destination: http://{host}{at}"}, destination: true},
	"MOVE_to_free":   {method: "MOVE", fields: f{"Destination: {at}", "Overwrite: F"}, destination: true},
	"COPY_folder_to": {method: "COPY", fields: f{"Destination: {at}/"}, destination: true},
}

// try sends a verb about a path. It returns the request as text for messages, and its answer.
func (f *fortress) try(t *testing.T, verb, at string) (string, answer) {
	t.Helper()
	v := verbs[verb]
	path := at
	if v.destination {
		path = "/a.txt"
		if verb == "COPY_folder_to" {
			path = "/d/"
		}
	}
	fill := strings.NewReplacer("{at}", at, "{host}", f.addr)
	var fields []string
	for _, field := range v.fields {
		fields = append(fields, fill.Replace(field))
	}
	return fmt.Sprintf("%s %.100q %q", v.method, path, fields), f.ask(t, v.method, path, v.body, fields...)
}

// TestPathsStayInside sends every way to write a path out of the root with every verb, as raw bytes.
func TestPathsStayInside(t *testing.T) {
	t.Parallel()
	f := newFortress(t, tree.SymlinksInside)
	for verb, v := range verbs {
		for _, e := range escapes {
			if v.destination && e.inside && strings.ContainsAny(e.target, "?#") {
				continue // in a Destination these are refused: see below
			}
			request, a := f.try(t, verb, strings.ReplaceAll(e.target, "{host}", f.addr))
			f.check(t, request, a)
			switch {
			case a.status >= 400 && a.status < 500:
			case e.inside && a.status < 300, a.status == http.StatusBadGateway && v.destination:
			case e.inside && a.status == http.StatusPermanentRedirect:
			default:
				t.Errorf("%s: %d %v %q", request, a.status, a.header, a.body)
			}
			f.restore(t)
		}
	}
}

// TestDestinationsStayHere sends MOVE and COPY to whatever is not a path of this server. Nothing may come of it.
func TestDestinationsStayHere(t *testing.T) {
	t.Parallel()
	f := newFortress(t, tree.SymlinksInside)
	before := f.diskNames(t, "")
	for _, destination := range []string{
		"http://evil.example/n", "https://evil.example/n", "http://evil.example", "http://127.0.0.1:1/n", "http://127.0.0.1/n",
		"//evil.example/n", "//{host}/n", "///n", `\\evil.example\n`, `/\evil.example/n`,
		"http://{host}@evil.example/n", "http://evil.example@{host}/n", "http://user:word@{host}/n", "http://@{host}/n",
		"http://{host}.evil.example/n", "http://evil.example#@{host}/n", "http://evil.example?@{host}/n",
		`http://evil.example\@{host}/n`, `http://{host}\@evil.example/n`, "http://{host}:80/n", "http://{host}%2f@evil.example/n",
		"http://[::1]/n", "http://[{host}]/n", "http://[127.0.0.1/n", "http:///n", "http:/n", "http:n", "http://", "http:",
		"ftp://{host}/n", "file:///n", "javascript://{host}/n", "ws://{host}/n", "n", "./n", "../n", "*", "", "?n", "#n",
		"/n?x", "/n?", "/n#x", "/n#", "http://{host}/n?x=1", "http://{host}/n#x", "http://{host}?/n", "http://{host}#/n",
		"/n /m", "/n, /m", "<http://{host}/n>", `"/n"`, "http://{host}/", "http://{host}", "/", "//",
	} {
		for _, method := range []string{"MOVE", "COPY"} {
			for _, source := range []string{"/a.txt", "/d/"} {
				field := "Destination: " + strings.ReplaceAll(destination, "{host}", f.addr)
				request := method + " " + source + " " + field
				a := f.ask(t, method, source, "", field)
				f.check(t, request, a)
				if a.status < 400 || a.status > 499 && a.status != http.StatusBadGateway {
					t.Errorf("%s: %d", request, a.status)
				}
				if got := f.diskNames(t, ""); strings.Join(got, "|") != strings.Join(before, "|") {
					t.Fatalf("%s: there are %q now", request, got)
				}
			}
		}
	}
	for _, destination := range []string{"http://{host}/n1", "HTTP://{host}/n2", "/n3", "  /n4  ", "https://{host}/n5"} {
		if a := f.ask(t, "COPY", "/a.txt", "", "Destination: "+strings.ReplaceAll(destination, "{host}", f.addr)); a.status != 201 {
			t.Errorf("COPY to %q: %d %s", destination, a.status, a.body)
		}
	}
}

// TestFormNamesStayInside names the files and folders of a form by paths.
func TestFormNamesStayInside(t *testing.T) {
	t.Parallel()
	f := newFortress(t, tree.SymlinksInside)
	for _, name := range []string{"..", ".", "", "../secret", `..\secret`, "/etc/passwd", `C:\secret`, "../", "d/..", "a\x00b",
		"..%2fsecret", ".freshet", ".FRESHET", "../.freshet", strings.Repeat("n", 256)} {
		for way, body := range map[string]string{
			"file":  "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"" + name + "\"\r\n\r\nstolen\r\n--x--\r\n",
			"name":  form("name", name, "file/other", "stolen"),
			"mkdir": form("mkdir", name),
		} {
			request := fmt.Sprintf("POST %s %.20q", way, name)
			a := f.ask(t, "POST", "/d/", body, formType)
			f.check(t, request, a)
			if a.status != 201 && (a.status < 400 || a.status > 499) {
				t.Errorf("%s: %d %s", request, a.status, a.body)
			}
		}
	}
	for _, name := range f.diskNames(t, "d") {
		// What browsers of old called a path is cut to its last name; the rest of the names are refused.
		if name != "in.txt" && name != "secret" && name != "passwd" && name != "..%2fsecret" && name != "other" {
			t.Errorf("a form made %q", name)
		}
	}
	if got := f.diskNames(t, ""); strings.Join(got, " ") != "a.txt d deep" {
		t.Errorf("the root holds %q", got)
	}
}

// TestRedirectsStayHere asks for folders whose names look like another server.
func TestRedirectsStayHere(t *testing.T) {
	t.Parallel()
	f := newFortress(t, tree.SymlinksInside)
	folders := []string{"evil.example", "http:", "@evil.example", "user@evil.example:80", "%2fevil.example", "\tevil",
		"a\r\nLocation: http:"}
	for _, name := range folders {
		if err := os.MkdirAll(filepath.Join(f.root, name, "evil.example"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range folders {
		escaped := tree.EscapeName(name)
		for _, path := range []string{"/" + escaped, "//" + escaped, "///" + escaped, "/" + escaped + "//evil.example",
			"//" + escaped + "///evil.example", "http://" + f.addr + "//" + escaped, "/" + escaped + "?//evil.example",
			"/" + escaped + "?%0d%0aLocation:%20http://evil.example/"} {
			for _, method := range []string{"GET", "HEAD"} {
				a := f.ask(t, method, path, "")
				location := a.header.Values("Location")
				if a.status != http.StatusPermanentRedirect || len(location) != 1 {
					t.Errorf("%s %s: %d %v", method, path, a.status, a.header)
					continue
				}
				base := "/" + strings.TrimLeft(strings.TrimPrefix(path, "http://"+f.addr), "/")
				if to := f.resolve(t, base, location[0]); !strings.HasPrefix(to, "/"+name) || strings.HasPrefix(location[0], "//") {
					t.Errorf("%s %s leads to %q", method, path, location[0])
				}
			}
		}
		for _, path := range []string{"//" + escaped + "/", "///" + escaped} {
			a := f.ask(t, "POST", path, form("file/"+"n", "x"), formType, browser)
			if a.status != http.StatusSeeOther && a.status != http.StatusConflict {
				t.Errorf("POST %s: %d", path, a.status)
			}
			if location := a.header.Get("Location"); location != "" && f.resolve(t, "/", location) != "/"+name+"/" {
				t.Errorf("POST %s leads to %q", path, location)
			}
		}
	}
}
