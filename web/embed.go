// Package web holds the browser page: templates that are complete without JavaScript, and the assets they name. It
// knows nothing of files and folders; what a template shows is handed to it.
//
// Assets live under a path that contains their own hash, so they may be cached for ever, and a page never meets the
// style sheet of another build. Templates may hold no inline style, script or event handler: CSP forbids them all.
package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"path"
	"slices"
)

// CSP is the Content-Security-Policy of every page that is made from a template of this package.
const CSP = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self'; " +
	"connect-src 'self'; worker-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; " +
	"frame-ancestors 'none'; require-trusted-types-for 'script'"

// AssetsPath is the URL path below which each build has the folder of its assets, named by AssetsHash.
const AssetsPath = "/.freshet/ui/"

// AssetsHash names this build's assets: 16 hex digits that change whenever the name or a byte of one of them does.
var AssetsHash = hashAssets()

// The pages that Render knows.
const (
	PageFolder   = "folder.html"
	PageProblem  = "problem.html"
	PageConflict = "conflict.html"
)

//go:embed templates
var templateFiles embed.FS

//go:embed static
var staticFiles embed.FS

// styleSheets are sent as one asset, freshet.css, in this order: a first view costs one request for all of them.
var styleSheets = []string{"css/tokens.css", "css/base.css", "css/list.css", "css/pages.css", "css/print.css"}

// contentTypes are those of the assets, by file extension. The table of the system is not asked, since it differs
// from one machine to the next and the assets are sent with nosniff.
var contentTypes = map[string]string{
	".css": "text/css; charset=utf-8",
	".svg": "image/svg+xml",
}

// assets is complete after initialisation and never changed.
var assets = loadAssets()

var pages = loadPages()

// Asset returns the embedded file that URL(name) leads to, and its Content-Type. The caller must not change body.
func Asset(name string) (body []byte, contentType string, ok bool) {
	body, ok = assets[name]
	return body, contentTypes[path.Ext(name)], ok
}

// AssetNames returns the names that Asset knows, sorted.
func AssetNames() []string {
	names := make([]string, 0, len(assets))
	for name := range assets {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// URL returns the URL path of the asset called name. It panics if there is none: a page that names a missing asset is
// broken.
func URL(name string) string {
	if _, ok := assets[name]; !ok {
		panic(fmt.Sprintf("web: no asset %q", name))
	}
	return AssetsPath + AssetsHash + "/" + name
}

// Render writes the page of that name, one of the constants above, showing data. It writes in many small pieces, so w
// should be buffered. Its errors are those of w; a template that does not fit its data is one too.
func Render(w io.Writer, page string, data any) error {
	t, ok := pages[page]
	if !ok {
		return fmt.Errorf("web: no page %q", page)
	}
	if err := t.ExecuteTemplate(w, "layout", data); err != nil {
		return fmt.Errorf("render %s: %w", page, err)
	}
	return nil
}

// loadAssets reads what is embedded. It panics on a file that no page can use: the embedded set is wrong at build
// time.
func loadAssets() map[string][]byte {
	found := map[string][]byte{}
	var css bytes.Buffer
	for _, name := range styleSheets {
		css.Write(mustRead("static/" + name))
	}
	found["freshet.css"] = css.Bytes()
	for _, name := range mustGlob("static/*.*") {
		found[path.Base(name)] = mustRead(name)
	}
	for name := range found {
		if contentTypes[path.Ext(name)] == "" {
			panic(fmt.Sprintf("web: asset %q has no content type", name))
		}
	}
	return found
}

// hashAssets hashes names and lengths with the bytes, so that no two sets of assets look alike.
func hashAssets() string {
	h := sha256.New()
	for _, name := range AssetNames() {
		fmt.Fprintf(h, "%q %d\n", name, len(assets[name]))
		h.Write(assets[name])
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// loadPages parses each page together with the layout and the parts that pages share.
func loadPages() map[string]*template.Template {
	shared := template.New("layout").Funcs(template.FuncMap{"URL": URL})
	shared = template.Must(shared.ParseFS(templateFiles, "templates/layout.html", "templates/parts.html"))
	found := map[string]*template.Template{}
	for _, page := range []string{PageFolder, PageProblem, PageConflict} {
		t := template.Must(shared.Clone())
		found[page] = template.Must(t.ParseFS(templateFiles, "templates/"+page))
	}
	return found
}

func mustRead(name string) []byte {
	b, err := staticFiles.ReadFile(name)
	if err != nil {
		panic(err)
	}
	return b
}

func mustGlob(pattern string) []string {
	names, err := fs.Glob(staticFiles, pattern)
	if err != nil {
		panic(err)
	}
	return names
}
