package fileserver

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"freshet/fileserver/problem"
	"freshet/fileserver/tree"
	"freshet/hashing"
)

func FuzzDestination(f *testing.F) {
	for _, seed := range []string{
		"/a", "/a/b%20c/", "/%2e%2e/x", "//evil/x", "http://host/a", "HTTP://HOST:80/a", "https://host:443/a%2Fb", "http://host",
		"http://host@evil/a", "http://user@host/a", "http://host:80:80/", "http:/a", "http:a", "file:///a", "/a?b", "/a#b", "/.freshet/x",
		"/.FRESHET", "http://host//evil.example/..", "http://[::1]/a", " /a", "", "/%zz", "/\x00", "http://host\\@evil/a",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, field string) {
		r := &http.Request{Host: "host", Header: http.Header{"Destination": {field}}}
		to, err := readDestination(r)
		if err != nil {
			if p := problem.Of(err); p.Status != 400 && p.Status != 403 && p.Status != 502 {
				t.Errorf("%q: %v", field, err)
			}
			return
		}
		again, folder, err := tree.Parse(to.path.URL(to.folder))
		if err != nil || again != to.path || folder != to.folder {
			t.Errorf("%q leads to %q, which is %q: %v", field, to.path, again, err)
		}
		for name := range strings.SplitSeq(to.path.String(), "/") {
			if name == ".." || name == "." || strings.EqualFold(name, tree.Reserved) || strings.ContainsAny(name, "\\\x00") {
				t.Errorf("%q leads to %q", field, to.path)
			}
		}
		if rest, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(field)), "http"); ok {
			rest = strings.TrimPrefix(strings.TrimPrefix(rest, "s"), "://host")
			if rest != "" && rest[0] != '/' && rest[0] != ':' {
				t.Errorf("%q is another host", field)
			}
		}
	})
}

func FuzzMultipartNames(f *testing.F) {
	for _, name := range []string{
		`a.txt`, `../../etc/passwd`, `C:\dir\a.txt`, `..`, `.`, ``, `a\"b`, "a\u202e.txt", "\xff", ".freshet", "a/", `\`, "a;b=c", "%2e%2e",
	} {
		f.Add([]byte("--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"" + name + "\"\r\n\r\nbody\r\n--x--\r\n"))
	}
	f.Add([]byte("--x\r\nContent-Disposition: form-data; name=file; filename*=UTF-8''..%2fx\r\n\r\n\r\n--x--\r\n"))
	f.Add([]byte("--x\r\nContent-Disposition: form-data; name=file; filename*0=a; filename*1=/b\r\n\r\n\r\n--x--\r\n"))
	folder, _, err := tree.Parse("/d")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		parts := multipart.NewReader(bytes.NewReader(body), "x")
		for range 10 {
			part, err := parts.NextPart()
			if err != nil {
				return
			}
			name := partName(part)
			if strings.ContainsAny(name, `/\`) {
				t.Errorf("%q is not one name", name)
			}
			if p, err := folder.Join(name); err == nil && (p.Parent() != folder || p.Base() != name) {
				t.Errorf("%q became %q", name, p)
			}
		}
	})
}

func FuzzOCMtime(f *testing.F) {
	for _, seed := range []string{
		"0", "784111777", "784111777.25", "-1", "-0.5", "15032385535", "15032385536", "-2147483648", "-2147483649", "1e9", "0x1", "1.", ".1",
		"", " 1", "1 ", "+1", "99999999999999999999", "1.9999999999999", "--1", "١", strings.Repeat("0", 64) + "1",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, ok := parseModTime(text)
		if !ok {
			return
		}
		want, err := strconv.ParseFloat(text, 64)
		if err != nil || strings.ContainsAny(text, "eExXpP_+iInN") {
			t.Fatalf("%q is not a decimal number, and became %v", text, got)
		}
		if s := got.Unix(); s < modTimeSecondsMin || s > modTimeSecondsMax {
			t.Errorf("%q became %v", text, got)
		}
		if diff := float64(got.UnixNano())/1e9 - want; (diff > 1e-5 || diff < -1e-5) && want < 9e9 {
			t.Errorf("%q became %v, which is off by %g s", text, got, diff)
		}
	})
}

func FuzzDigests(f *testing.F) {
	for _, seed := range []string{
		"sha-256=:AAAA:", "sha-256=:" + strings.Repeat("A", 43) + "=:", "sha-512=1;a=b, x=(1 2)", "SHA1:00", "MD5:d41d8cd98f00b204e9800998ecf8427e",
		"adler32:00000001 SHA1:zz", "=", "", "sha-256", "1B2M2Y8AsgTpgAmY7PhCfg==", ":", "a:b:c",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		for _, field := range []string{"Content-Digest", "Repr-Digest", "Content-Md5", "Oc-Checksum"} {
			list, err := readDigests(http.Header{field: {value}})
			if err != nil && !errors.Is(err, problem.Header) {
				t.Errorf("%s %q: %v", field, value, err)
			}
			for _, d := range list {
				if len(d.sum) != d.algorithm.new().Size() {
					t.Errorf("%s %q: a %s digest of %d bytes", field, value, d.algorithm.name, len(d.sum))
				}
			}
		}
	})
}

var hostCases = []struct {
	name, field string
	want        bool
}{
	{"address", "192.0.2.7", true},
	{"address_and_port", "192.0.2.7:8080", true},
	{"ipv6", "[2001:db8::1]", true},
	{"ipv6_and_port", "[2001:db8::1]:8080", true},
	{"ipv6_zone", "[fe80::1%25eth0]:80", true},
	{"localhost", "localhost", true},
	{"localhost_in_capitals", "LOCALHOST:80", true},
	{"localhost_with_root_dot", "localhost.:80", true},
	{"below_localhost", "a.localhost", true},
	{"mdns", "kitchen.local:8080", true},
	{"none", "", true},
	{"configured", "files.example.com:443", true},
	{"configured_below", "a.b.example.org", true},
	{"other", "evil.example", false},
	{"ends_like_localhost", "evillocalhost", false},
	{"ends_like_configured", "evilexample.org", false},
	{"configured_parent", "example.org", false},
	{"begins_like_an_address", "127.0.0.1.evil.example", false},
	{"user", "localhost@evil.example", false},
	{"long", strings.Repeat("a.", 130) + "local", false},
}

func TestHosts(t *testing.T) {
	hosts := newHostList([]string{"Files.Example.com", "*.example.org."})
	for _, c := range hostCases {
		t.Run(c.name, func(t *testing.T) {
			for range 2 { // the second time it may be remembered
				if got := hosts.allows(c.field); got != c.want {
					t.Errorf("allows(%q) = %v", c.field, got)
				}
			}
		})
	}
	if !newHostList([]string{"*"}).allows("evil.example") {
		t.Error("* does not allow all")
	}
}

// TestHostIsNotMistakenForTheLastOne alternates, since the last one that was allowed is remembered.
func TestHostIsNotMistakenForTheLastOne(t *testing.T) {
	hosts := newHostList(nil)
	for range 3 {
		if !hosts.allows("localhost:1") || hosts.allows("evil.example") {
			t.Fatal("the wrong one was allowed")
		}
	}
}

func TestMediaTypes(t *testing.T) {
	for name, c := range map[string]struct {
		file, contentType string
		sandboxed         bool
	}{
		"text":           {"a.txt", "text/plain; charset=utf-8", false},
		"capitals":       {"A.HTML", "text/html; charset=utf-8", true},
		"two_extensions": {"a.html.gz", "application/gzip", false},
		"hidden_behind":  {"a.txt.svg", "image/svg+xml", true},
		"only_extension": {".svg", "image/svg+xml", true},
		"script_type":    {"a.mjs", "text/javascript; charset=utf-8", false},
		"feed":           {"a.atom", "application/atom+xml", true},
		"map_data":       {"a.kml", "application/vnd.google-earth.kml+xml", true},
		"unknown":        {"a.zzz", "application/octet-stream", false},
		"none":           {"README", "application/octet-stream", false},
		"dot_at_the_end": {"a.", "application/octet-stream", false},
		"web_archive":    {"a.mhtml", "application/octet-stream", false},
		"long":           {"a." + strings.Repeat("x", 300), "application/octet-stream", false},
	} {
		t.Run(name, func(t *testing.T) {
			h := http.Header{}
			m := mediaOf(c.file)
			m.setSafe(h, c.file)
			if m.contentType[0] != c.contentType {
				t.Errorf("%s is %s, want %s", c.file, m.contentType[0], c.contentType)
			}
			sandboxed := strings.HasPrefix(h.Get("Content-Security-Policy"), "sandbox")
			if attached := h.Get("Content-Disposition") != ""; sandboxed != c.sandboxed || attached != c.sandboxed {
				t.Errorf("%s: sandboxed %v, attached %v", c.file, sandboxed, attached)
			}
		})
	}
}

// TestEveryActiveTypeIsSandboxed goes by the names of the types, so that none is added to the wrong list.
func TestEveryActiveTypeIsSandboxed(t *testing.T) {
	for ext, m := range medias {
		name := m.contentType[0]
		active := strings.HasPrefix(name, "text/html") || strings.HasSuffix(name, "+xml") || strings.HasSuffix(name, "/xml") ||
			strings.HasSuffix(name, "xslt+xml")
		if active != m.download || active != (m.policy != nil && ext != "pdf") {
			t.Errorf("%s (%s): active %v, download %v, policy %v", ext, name, active, m.download, m.policy)
		}
		if ext != strings.ToLower(ext) || strings.ContainsAny(ext, "./:") {
			t.Errorf("the extension %q cannot match", ext)
		}
	}
}

func TestEachExtensionHasOneType(t *testing.T) {
	seen := map[string]bool{}
	for line := range strings.Lines(strings.TrimSpace(activeTypes + inertTypes)) {
		_, extensions, _ := strings.Cut(line, ": ")
		for ext := range strings.FieldsSeq(extensions) {
			if seen[ext] {
				t.Errorf("%s stands in two lines", ext)
			}
			seen[ext] = true
		}
	}
}

func TestAttachmentNames(t *testing.T) {
	for name, want := range map[string]string{
		"a b.html":          "a%20b.html",
		"é.svg":             "%C3%A9.svg",
		"a\u202e\"\r\n.svg": "a%22.svg",
		"a\xff'*.svg":       "a%27%2A.svg",
	} {
		if got := attachment(name); got != "attachment; filename*=UTF-8''"+want {
			t.Errorf("attachment(%q) = %s", name, got)
		}
	}
}

func TestCacheRules(t *testing.T) {
	s := &Server{cacheRules: newCacheRules([]CacheRule{{"*.css", "one"}, {"assets/*", "two"}, {"*", "three"}})}
	for name, want := range map[string]string{
		"a.css": "one", "assets/a.css": "one", "assets/a.js": "two", "x/assets/a.js": "three", "a": "three",
	} {
		if got := s.cacheControl(name)[0]; got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if got := (&Server{}).cacheControl("a.css")[0]; got != "no-cache" {
		t.Errorf("without rules: %s", got)
	}
}

// TestValidatorsThatShareASlot asks in turns for what falls on one slot of the cache.
func TestValidatorsThatShareASlot(t *testing.T) {
	var c validatorCache
	a := hashing.Sum([]byte("a"))
	b := a
	b[15]++
	first, second := time.Unix(1e9, 5), time.Unix(1e9+timeSlots, 0)
	for range 3 {
		for _, want := range []struct {
			digest hashing.Digest
			size   int64
		}{{a, 1}, {b, 1}, {a, 2}} {
			got := c.tag(want.digest, want.size)
			if got.etag[0] != want.digest.ETag() || got.length[0] != strconv.FormatInt(want.size, 10) {
				t.Errorf("%v %d became %s %s", want.digest, want.size, got.etag, got.length)
			}
		}
		if got := c.httpDate(first)[0]; got != "Sun, 09 Sep 2001 01:46:40 GMT" {
			t.Errorf("%v became %s", first, got)
		}
		if got := c.httpDate(second)[0]; got != "Sun, 09 Sep 2001 02:03:44 GMT" {
			t.Errorf("%v became %s", second, got)
		}
	}
}

// TestFailureAfterTheHeaderCuts has a handler fail when a part of its answer is out. To end the answer properly would make
// a part of a listing look like the whole.
func TestFailureAfterTheHeaderCuts(t *testing.T) {
	s := New(Config{Log: slog.New(slog.DiscardHandler)})
	r := httptest.NewRequest("GET", "/", nil)
	defer func() {
		if recover() != http.ErrAbortHandler {
			t.Error("the connection would not be cut")
		}
	}()
	s.fail(&reply{ResponseWriter: httptest.NewRecorder(), server: s, request: r, status: 200}, r, tree.ErrTorn)
}

// inPieces gives its bytes in pieces of a size.
type inPieces struct {
	r    io.Reader
	size int
	most *int // the largest buffer that was offered
}

func (p inPieces) Read(b []byte) (int, error) {
	*p.most = max(*p.most, len(b))
	return p.r.Read(b[:min(len(b), p.size)])
}

func TestCopyBody(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789"), 100_000)
	for name, c := range map[string]struct{ piece, most int }{
		"fast_source_gets_a_large_buffer": {1 << 20, copyBytesMax},
		"slow_source_keeps_a_small_one":   {100, copyBytesMin},
		"pieces_as_large_as_the_small":    {copyBytesMin, copyBytesMax},
	} {
		t.Run(name, func(t *testing.T) {
			var got bytes.Buffer
			most := 0
			// The buffers that readers of bytes would skip are what is tested.
			if err := copyBody(struct{ io.Writer }{&got}, inPieces{bytes.NewReader(content), c.piece, &most}); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Bytes(), content) || most != c.most {
				t.Errorf("%d bytes through a buffer of %d, want %d", got.Len(), most, c.most)
			}
			if len(copyPool.slots) != 0 {
				t.Errorf("%d large buffers are not given back", len(copyPool.slots))
			}
		})
	}
}

func TestCopyBodyWithoutLargeBuffers(t *testing.T) {
	var taken []*[copyBytesMax]byte
	for range copyBuffers {
		taken = append(taken, takeCopyBuffer())
	}
	if takeCopyBuffer() != nil {
		t.Error("there are more large buffers than allowed")
	}
	var got bytes.Buffer
	most := 0
	err := copyBody(&got, inPieces{strings.NewReader(strings.Repeat("x", 1<<20)), 1 << 20, &most})
	if err != nil || got.Len() != 1<<20 || most != copyBytesMin {
		t.Errorf("%d bytes through a buffer of %d: %v", got.Len(), most, err)
	}
	for _, b := range taken {
		returnCopyBuffer(b)
	}
}
