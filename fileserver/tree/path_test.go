package tree_test

import (
	"errors"
	"net/url"
	"path"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"freshet/fileserver/tree"
)

var (
	name255 = strings.Repeat("n", tree.NameBytesMax)
	pathMax = strings.Repeat("/"+strings.Repeat("d", 99), tree.PathBytesMax/100) // with the leading slash
	// pathMax is one byte short of the bound, since the bound is without that slash.
	pathFull = pathMax + "e"
)

var parseTests = []struct {
	name    string
	escaped string
	want    string // the path on disk
	folder  bool
	err     error
}{
	{name: "root", escaped: "/", folder: true},
	{name: "root_of_many_slashes", escaped: "////", folder: true},
	{name: "file", escaped: "/a.txt", want: "a.txt"},
	{name: "file_in_folder", escaped: "/docs/a.txt", want: "docs/a.txt"},
	{name: "trailing_slash_is_folder", escaped: "/docs/", want: "docs", folder: true},
	{name: "trailing_slashes", escaped: "/docs//", want: "docs", folder: true},
	{name: "runs_of_slashes", escaped: "//docs///a", want: "docs/a"},
	{name: "leading_double_slash_is_no_host", escaped: "//evil.example/a", want: "evil.example/a"},
	{name: "escaped_letter", escaped: "/%61", want: "a"},
	{name: "lower_case_hex", escaped: "/%c3%a4", want: "ä"},
	{name: "raw_bytes", escaped: "/ä ö", want: "ä ö"},
	{name: "plus_is_plus", escaped: "/a+b", want: "a+b"},
	{name: "delimiters", escaped: "/a%3Fb%23c;d=e&f", want: "a?b#c;d=e&f"},
	{name: "newline_and_bidi", escaped: "/a%0Ab%E2%80%AEc", want: "a\nb\u202ec"},
	{name: "delete_and_control", escaped: "/%01%7f", want: "\x01\x7f"},
	{name: "invalid_utf8", escaped: "/%FF%fe", want: "\xff\xfe"},
	{name: "overlong_dot_is_only_bytes", escaped: "/%c0%ae%c0%ae/a", want: "\xc0\xae\xc0\xae/a"},
	{name: "overlong_slash_is_only_bytes", escaped: "/..%c0%af", want: "..\xc0\xaf"},
	{name: "full_width_dots_are_a_name", escaped: "/%EF%BC%8E%EF%BC%8E/a", want: "．．/a"},
	{name: "decoded_once", escaped: "/%252e%252e/%252f", want: "%2e%2e/%2f"},
	{name: "three_dots", escaped: "/.../a", want: ".../a"},
	{name: "dots_inside_a_name", escaped: "/a..b/..c/d..", want: "a..b/..c/d.."},
	{name: "dotfile", escaped: "/.git/config", want: ".git/config"},
	{name: "name_of_255_bytes", escaped: "/" + name255, want: name255},
	{name: "name_of_255_bytes_escaped", escaped: "/" + strings.Repeat("%6e", 255), want: name255},
	{name: "path_of_all_bytes", escaped: pathFull, want: pathFull[1:]},
	{name: "path_of_all_bytes_folder", escaped: pathFull + "//", want: pathFull[1:], folder: true},
	{name: "path_of_all_bytes_escaped", escaped: "/%64" + pathFull[2:], want: pathFull[1:]},
	{name: "like_the_reserved_name", escaped: "/.freshet2/freshet/x.freshet", want: ".freshet2/freshet/x.freshet"},

	{name: "empty", escaped: "", err: tree.ErrName},
	{name: "relative", escaped: "a", err: tree.ErrName},
	{name: "asterisk", escaped: "*", err: tree.ErrName},
	{name: "escaped_leading_slash", escaped: "%2fa", err: tree.ErrName},
	{name: "dot", escaped: "/./a", err: tree.ErrName},
	{name: "dot_at_end", escaped: "/a/.", err: tree.ErrName},
	{name: "dot_dot", escaped: "/../a", err: tree.ErrName},
	{name: "dot_dot_inside_the_root", escaped: "/a/../b", err: tree.ErrName},
	{name: "dot_dot_at_end", escaped: "/a/..", err: tree.ErrName},
	{name: "dot_dot_folder", escaped: "/a/../", err: tree.ErrName},
	{name: "dot_dot_after_slashes", escaped: "//..//a", err: tree.ErrName},
	{name: "dot_dot_escaped", escaped: "/%2e%2e/a", err: tree.ErrName},
	{name: "dot_dot_escaped_upper_case", escaped: "/%2E%2E/a", err: tree.ErrName},
	{name: "dot_dot_half_escaped", escaped: "/.%2e/a", err: tree.ErrName},
	{name: "dot_escaped", escaped: "/a/%2e", err: tree.ErrName},
	{name: "slash_escaped", escaped: "/a%2fb", err: tree.ErrName},
	{name: "slash_escaped_upper_case", escaped: "/a%2Fb", err: tree.ErrName},
	{name: "dot_dot_slash_escaped", escaped: "/..%2f..%2fetc", err: tree.ErrName},
	{name: "backslash", escaped: `/a\b`, err: tree.ErrName},
	{name: "backslash_escaped", escaped: "/..%5c..%5cetc", err: tree.ErrName},
	{name: "backslash_escaped_upper_case", escaped: "/%5C", err: tree.ErrName},
	{name: "nul", escaped: "/a\x00b", err: tree.ErrName},
	{name: "nul_escaped", escaped: "/a%00.txt", err: tree.ErrName},
	{name: "nul_only", escaped: "/%00", err: tree.ErrName},
	{name: "broken_escape", escaped: "/%zz", err: tree.ErrName},
	{name: "cut_escape", escaped: "/a%2", err: tree.ErrName},
	{name: "bare_percent", escaped: "/100%", err: tree.ErrName},
	{name: "iis_escape", escaped: "/%u002e%u002e/a", err: tree.ErrName},
	{name: "name_of_256_bytes", escaped: "/" + name255 + "n", err: tree.ErrName},
	{name: "name_of_256_bytes_escaped", escaped: "/" + strings.Repeat("%6e", 256), err: tree.ErrName},
	{name: "path_one_byte_too_long", escaped: pathFull + "e", err: tree.ErrName},
	{name: "path_one_byte_too_long_escaped", escaped: "/%64" + pathFull[2:] + "e", err: tree.ErrName},
	{name: "bad_name_before_reserved", escaped: "/../.freshet", err: tree.ErrName},

	{name: "reserved", escaped: "/.freshet", err: tree.ErrReserved},
	{name: "reserved_folder", escaped: "/.freshet/", err: tree.ErrReserved},
	{name: "reserved_below", escaped: "/.freshet/stage/x", err: tree.ErrReserved},
	{name: "reserved_escaped", escaped: "/%2efreshet/v1", err: tree.ErrReserved},
	{name: "reserved_all_escaped", escaped: "/%2e%66%72%65%73%68%65%74", err: tree.ErrReserved},
	{name: "reserved_upper_case", escaped: "/.FRESHET/v1", err: tree.ErrReserved},
	{name: "reserved_long_s", escaped: "/.fre\u017fhet/v1", err: tree.ErrReserved},
	{name: "reserved_after_slashes", escaped: "//.freshet//v1", err: tree.ErrReserved},
	{name: "reserved_deep", escaped: "/a/b/.Freshet/c", err: tree.ErrReserved},
	{name: "reserved_last", escaped: "/a/%2eFreshet", err: tree.ErrReserved},
}

func TestParse(t *testing.T) {
	for _, tt := range parseTests {
		t.Run(tt.name, func(t *testing.T) {
			p, folder, err := tree.Parse(tt.escaped)
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if p.String() != tt.want || folder != tt.folder {
				t.Errorf("got %q, folder %v; want %q, %v", p, folder, tt.want, tt.folder)
			}
			checkParse(t, tt.escaped)
		})
	}
}

// checkParse holds for every input.
func checkParse(t interface{ Errorf(string, ...any) }, escaped string) {
	p, folder, err := tree.Parse(escaped)
	rest, reserved := tree.ParseReserved(escaped)
	if reserved && !errors.Is(err, tree.ErrReserved) {
		t.Errorf("%q is %q of the reserved folder, and for Parse %q, %v", escaped, rest, p, err)
	}
	if err != nil {
		if errors.Is(err, tree.ErrName) == errors.Is(err, tree.ErrReserved) {
			t.Errorf("%q: %v is not exactly one of the two refusals", escaped, err)
		}
		if p != (tree.Path{}) || folder {
			t.Errorf("%q: refused, and yet %q", escaped, p)
		}
		checkRefused(t, escaped, err, reserved)
		return
	}
	checkPath(t, p)
	if decoded, err := url.PathUnescape(escaped); err != nil || path.Clean(decoded) != path.Clean("/"+p.String()) {
		t.Errorf("%q became %q", escaped, p)
	}
	for _, f := range []bool{folder, !folder} {
		if q, qf, err := tree.Parse(p.URL(f)); q != p || qf != (f || p.IsRoot()) || err != nil {
			t.Errorf("%q became %q, and by its URL %q, %v, %v", escaped, p, q, qf, err)
		}
	}
}

// checkRefused holds for what Parse refuses: the reserved name at the top, spelled as it is, is ParseReserved's.
func checkRefused(t interface{ Errorf(string, ...any) }, escaped string, err error, reserved bool) {
	decoded, decodeErr := url.PathUnescape(strings.TrimLeft(escaped, "/"))
	first, _, _ := strings.Cut(decoded, "/")
	top := decodeErr == nil && first == tree.Reserved && errors.Is(err, tree.ErrReserved)
	if top != reserved {
		t.Errorf("%q: %v, and ParseReserved says %v", escaped, err, reserved)
	}
}

// checkPath holds for every Path there is.
func checkPath(t interface{ Errorf(string, ...any) }, p tree.Path) {
	if len(p.String()) > tree.PathBytesMax {
		t.Errorf("a path of %d bytes", len(p.String()))
	}
	if p.IsRoot() {
		return
	}
	var again tree.Path
	for name := range strings.SplitSeq(p.String(), "/") {
		if name == "" || name == "." || name == ".." || strings.EqualFold(name, tree.Reserved) ||
			len(name) > tree.NameBytesMax || strings.ContainsAny(name, "\x00\\") {
			t.Errorf("%q has the name %q in it", p, name)
		}
		var err error
		if again, err = again.Join(name); err != nil {
			t.Errorf("Join: %v", err)
		}
	}
	if again != p {
		t.Errorf("%q is by its names %q", p, again)
	}
	if last, err := p.Parent().Join(p.Base()); last != p || err != nil {
		t.Errorf("%q is by its last name %q, %v", p, last, err)
	}
	if !p.Parent().Contains(p) || p.Contains(p.Parent()) || !p.Contains(p) {
		t.Errorf("%q and its parent do not contain each other as they should", p)
	}
}

func TestParseReserved(t *testing.T) {
	for _, tt := range []struct {
		name, escaped, rest string
		ok                  bool
	}{
		{"top", "/.freshet", "", true},
		{"folder", "/.freshet/", "", true},
		{"below", "/.freshet/v1/tree/a", "v1/tree/a", true},
		{"escaped", "/%2efreshe%74/v%31", "v1", true},
		{"runs_of_slashes", "//.freshet//v1", "v1", true},
		{"spaces", "/.freshet/a%20b", "a b", true},
		{"twice", "/.freshet/.freshet", ".freshet", true},
		{"other_case", "/.Freshet/v1", "", false},
		{"deeper", "/a/.freshet/v1", "", false},
		{"longer_name", "/.freshets/v1", "", false},
		{"plain_path", "/a", "", false},
		{"root", "/", "", false},
		{"empty", "", "", false},
		{"dot_dot_below", "/.freshet/../a", "", false},
		{"dot_dot_before", "/a/../.freshet/v1", "", false},
		{"escaped_slash", "/.freshet%2fv1", "", false},
		{"escaped_slash_below", "/.freshet/v1%2ftree", "", false},
		{"broken_escape", "/.freshet/%", "", false},
		{"decoded_once", "/%252efreshet/v1", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if rest, ok := tree.ParseReserved(tt.escaped); rest != tt.rest || ok != tt.ok {
				t.Errorf("got %q, %v; want %q, %v", rest, ok, tt.rest, tt.ok)
			}
			checkParse(t, tt.escaped)
		})
	}
}

func TestJoin(t *testing.T) {
	long := at(t, pathFull[1:][:tree.PathBytesMax-101])
	for _, tt := range []struct {
		name string
		p    tree.Path
		add  string
		want string
		err  error
	}{
		{name: "in_root", add: "a", want: "a"},
		{name: "in_folder", p: at(t, "d"), add: "a", want: "d/a"},
		{name: "not_unescaped", add: "%2e%2e", want: "%2e%2e"},
		{name: "space_and_newline", add: " \n", want: " \n"},
		{name: "invalid_utf8", add: "\xff", want: "\xff"},
		{name: "name_of_255_bytes", add: name255, want: name255},
		{name: "path_of_all_bytes", p: long, add: strings.Repeat("e", 100), want: long.String() + "/" + strings.Repeat("e", 100)},
		{name: "path_one_byte_too_long", p: long, add: strings.Repeat("e", 101), err: tree.ErrName},
		{name: "name_of_256_bytes", add: name255 + "n", err: tree.ErrName},
		{name: "empty", add: "", err: tree.ErrName},
		{name: "dot", add: ".", err: tree.ErrName},
		{name: "dot_dot", p: at(t, "d"), add: "..", err: tree.ErrName},
		{name: "slash", add: "a/b", err: tree.ErrName},
		{name: "leading_slash", add: "/a", err: tree.ErrName},
		{name: "backslash", add: `a\b`, err: tree.ErrName},
		{name: "nul", add: "a\x00", err: tree.ErrName},
		{name: "reserved", add: ".freshet", err: tree.ErrReserved},
		{name: "reserved_deep_in_other_case", p: at(t, "d"), add: ".fresHet", err: tree.ErrReserved},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := tt.p.Join(tt.add)
			if p.String() != tt.want || !errors.Is(err, tt.err) {
				t.Fatalf("got %q, %v; want %q, %v", p, err, tt.want, tt.err)
			}
			if err == nil {
				checkPath(t, p)
			}
		})
	}
}

func TestContains(t *testing.T) {
	for _, tt := range []struct {
		name, p, q string
		want       bool
	}{
		{"root_has_all", "", "a/b", true},
		{"itself", "a", "a", true},
		{"child", "a", "a/b", true},
		{"grandchild", "a", "a/b/c", true},
		{"parent", "a/b", "a", false},
		{"longer_name", "a", "ab", false},
		{"longer_name_below", "a/b", "a/bc/d", false},
		{"sibling", "a/b", "a/c", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var p tree.Path
			if tt.p != "" {
				p = at(t, tt.p)
			}
			if got := p.Contains(at(t, tt.q)); got != tt.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestURL(t *testing.T) {
	for _, tt := range []struct {
		name, path string
		folder     bool
		want       string
	}{
		{"root", "", false, "/"},
		{"root_folder", "", true, "/"},
		{"file", "docs/a.txt", false, "/docs/a.txt"},
		{"folder", "docs", true, "/docs/"},
		{"unreserved", "aZ0-._~", false, "/aZ0-._~"},
		{"delimiters", ":@!$&'()*+,;=", false, "/%3A%40%21%24%26%27%28%29%2A%2B%2C%3B%3D"},
		{"quotes_and_query", `"<a>"?#%`, false, "/%22%3Ca%3E%22%3F%23%25"},
		{"line_ends", "a\r\nb", false, "/a%0D%0Ab"},
		{"invalid_utf8", "\xff", false, "/%FF"},
		{"colon_first", "javascript:x", false, "/javascript%3Ax"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var p tree.Path
			if tt.path != "" {
				p = at(t, tt.path)
			}
			if got := p.URL(tt.folder); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestEscapeName makes sure of each byte: what net/url reads back is that byte, and nothing is left to interpretation.
func TestEscapeName(t *testing.T) {
	for c := range 256 {
		name := string([]byte{byte(c)})
		escaped := tree.EscapeName(name)
		if back, err := url.PathUnescape(escaped); back != name || err != nil {
			t.Errorf("byte %#02x became %q, and %q again, %v", c, escaped, back, err)
		}
		unreserved := c < utf8.RuneSelf && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
			strings.ContainsRune("-._~", rune(c)))
		if (escaped == name) != unreserved {
			t.Errorf("byte %#02x became %q", c, escaped)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, tt := range parseTests {
		f.Add(tt.escaped)
	}
	f.Fuzz(func(t *testing.T, escaped string) { checkParse(t, escaped) })
}

// TestParseDrawn builds escaped paths from what matters in them.
func TestParseDrawn(t *testing.T) {
	part := rapid.SampledFrom([]string{
		"/", "//", ".", "..", "%2e", "%2E", "%2f", "%5c", "%00", "%25", "%", "%c0%ae", "\\", "\x00", "a", "b%20c", "é", "\xff",
		".freshet", ".FRESHET", "%2efreshet", ".fresh", "et", name255, strings.Repeat("x/", 1800),
	})
	rapid.Check(t, func(t *rapid.T) {
		checkParse(t, "/"+strings.Join(rapid.SliceOfN(part, 0, 8).Draw(t, "parts"), ""))
	})
}

// TestNamesDrawn takes any names that a folder may have through their URL.
func TestNamesDrawn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var p tree.Path
		for range rapid.IntRange(1, 4).Draw(t, "depth") {
			name := string(rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(t, "name"))
			q, err := p.Join(name)
			bad := name == "." || name == ".." || strings.ContainsAny(name, "/\\\x00")
			if bad != errors.Is(err, tree.ErrName) {
				t.Fatalf("Join(%q): %v", name, err)
			}
			if bad {
				return
			}
			p = q
		}
		checkParse(t, p.URL(false))
		if q, _, err := tree.Parse(p.URL(false)); q != p || err != nil {
			t.Fatalf("%q by its URL is %q, %v", p, q, err)
		}
	})
}

// TestParseAllocs bounds what reading the path of a request may cost, in allocations.
func TestParseAllocs(t *testing.T) {
	for _, tt := range []struct {
		name, escaped string
		allocsMax     float64
	}{
		{"root", "/", 0},
		{"file", "/docs/2026/report.pdf", 0},
		{"folder", "/docs/2026/", 0},
		{"escaped_space", "/docs/2026/annual%20report.pdf", 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			parse := testing.AllocsPerRun(100, func() { _, _, _ = tree.Parse(tt.escaped) })
			reserved := testing.AllocsPerRun(100, func() { _, _ = tree.ParseReserved(tt.escaped) })
			if parse > tt.allocsMax || reserved > tt.allocsMax {
				t.Errorf("%v and %v allocations, at most %v are allowed", parse, reserved, tt.allocsMax)
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	for name, escaped := range map[string]string{
		"plain":   "/docs/2026/report.pdf",
		"escaped": "/docs/2026/annual%20report.pdf",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := tree.Parse(escaped); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
