package web_test

import (
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"

	"freshet/web"
)

func TestAssets(t *testing.T) {
	want := map[string]string{"freshet.css": "text/css; charset=utf-8", "icon.svg": "image/svg+xml"}
	for _, name := range web.AssetNames() {
		body, contentType, ok := web.Asset(name)
		if !ok || len(body) == 0 || contentType != want[name] {
			t.Errorf("Asset(%q) = %d bytes, %q, %v; want %q", name, len(body), contentType, ok, want[name])
		}
		if url := web.URL(name); url != web.AssetsPath+web.AssetsHash+"/"+name {
			t.Errorf("URL(%q) = %q", name, url)
		}
		delete(want, name)
	}
	if len(want) != 0 {
		t.Errorf("missing: %v", want)
	}
	for _, name := range []string{"", "/", "nope.css", "css/base.css", "../embed.go", "static/icon.svg"} {
		if _, _, ok := web.Asset(name); ok {
			t.Errorf("Asset(%q) is there", name)
		}
	}
}

func TestAssetsHash(t *testing.T) {
	if !regexp.MustCompile(`^[0-9a-f]{16}$`).MatchString(web.AssetsHash) {
		t.Errorf("AssetsHash is %q", web.AssetsHash)
	}
}

func TestURLOfAMissingAssetPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	web.URL("nope.css")
}

func TestRenderRefuses(t *testing.T) {
	var b strings.Builder
	if err := web.Render(&b, "nope.html", nil); err == nil {
		t.Error("an unknown page was rendered")
	}
	if err := web.Render(&b, web.PageProblem, struct{ Title string }{"x"}); err == nil {
		t.Error("a page was rendered with half of its data")
	}
}

// Each style sheet is in the one that is sent, and none loads anything: an @import or a url() would be one more
// request, or one that the policy stops.
func TestStyleSheets(t *testing.T) {
	sent, _, _ := web.Asset("freshet.css")
	found := 0
	err := fs.WalkDir(os.DirFS("static"), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".css") {
			return err
		}
		found++
		css, err := os.ReadFile("static/" + path)
		if err != nil {
			return err
		}
		if !strings.Contains(string(sent), string(css)) {
			t.Errorf("%s is not sent", path)
		}
		if bad := regexp.MustCompile(`(?i)@import|url\(|expression\(|javascript:`).Find(css); bad != nil {
			t.Errorf("%s has %q in it", path, bad)
		}
		if open, closed := strings.Count(string(css), "{"), strings.Count(string(css), "}"); open != closed {
			t.Errorf("%s opens %d blocks and closes %d", path, open, closed)
		}
		return nil
	})
	if err != nil || found == 0 {
		t.Errorf("%d style sheets, %v", found, err)
	}
	if len(sent) > 24<<10 {
		t.Errorf("the style sheets are %d bytes", len(sent))
	}
}

// What CSP forbids does not fail, it silently does nothing. So no template may have it.
func TestTemplatesKeepThePolicy(t *testing.T) {
	forbidden := regexp.MustCompile(
		`(?i)<(script|style|iframe|object|embed|base)|\s(style|on[a-z]+)\s*=|javascript:|https?://`)
	names, err := fs.Glob(os.DirFS("templates"), "*.html")
	if err != nil || len(names) == 0 {
		t.Fatalf("%d templates, %v", len(names), err)
	}
	for _, name := range names {
		text, err := os.ReadFile("templates/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if bad := forbidden.Find(text); bad != nil {
			t.Errorf("%s has %q in it", name, bad)
		}
	}
}

func TestCSP(t *testing.T) {
	got := map[string]string{}
	for directive := range strings.SplitSeq(web.CSP, ";") {
		name, sources, _ := strings.Cut(strings.TrimSpace(directive), " ")
		got[name] = sources
	}
	want := map[string]string{
		"default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "img-src": "'self' blob:",
		"media-src":   "'self'",
		"connect-src": "'self'", "worker-src": "'self'", "frame-src": "'self'", "form-action": "'self'",
		"base-uri":        "'none'",
		"frame-ancestors": "'none'", "require-trusted-types-for": "'script'",
	}
	for name, sources := range want {
		if got[name] != sources {
			t.Errorf("%s is %q, want %q", name, got[name], sources)
		}
	}
	if len(got) != len(want) || strings.Contains(web.CSP, "unsafe") {
		t.Errorf("the policy is %q", web.CSP)
	}
}
