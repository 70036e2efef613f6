package fileserver

import (
	"net/http"
	"strings"
	"unicode/utf8"

	"freshet/fileserver/tree"
)

// A media is what is said about files with one extension.
type media struct {
	contentType []string
	policy      []string // Content-Security-Policy; nil if the type cannot run anything
	download    bool     // never shown as a page of its own
}

// User bytes are served from the origin that our own pages have, so a file that a browser runs as a page could do
// whatever its reader may do here. Types that can hold script are therefore sandboxed, which gives them an origin of
// their own and no script, and offered as downloads; an <img> still shows an SVG. A sandbox breaks the PDF viewers of
// browsers, and PDF script does not reach the page, so those are only kept from being framed elsewhere. All other
// types are inert once nosniff keeps browsers from guessing.
var (
	policySandbox = []string{"sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"}
	policyPDF     = []string{"frame-ancestors 'self'"}
)

const (
	typeUnknown = "application/octet-stream"
	utf8Text    = "; charset=utf-8"
)

// activeTypes can hold script, or name a style sheet that does.
const activeTypes = `
text/html: html htm shtml
application/xhtml+xml: xhtml xht
image/svg+xml: svg
application/xml: xml xsl xsd
application/xslt+xml: xslt
application/mathml+xml: mathml mml
application/rss+xml: rss
application/atom+xml: atom
application/rdf+xml: rdf
application/gpx+xml: gpx
application/vnd.google-earth.kml+xml: kml
`

// inertTypes are the rest of the types that browsers or people make use of. The table of the system is not asked: it
// differs from machine to machine.
const inertTypes = `
text/plain: txt text log md markdown rst adoc org tex conf cfg ini properties toml env csv-schema diff patch srt sub
text/plain: go py rb rs c h cc cpp cxx hpp java kt swift cs php pl pm lua r jl hs ml scala clj
text/plain: ex exs erl sh bash zsh fish ps1 bat sql
text/plain: vue svelte ts tsx jsx scss sass less proto graphql gradle cmake mk dockerfile
text/plain: gitignore editorconfig tf nix zig
text/css: css
text/csv: csv
text/tab-separated-values: tsv
text/javascript: js mjs cjs
text/vcard: vcf
text/calendar: ics
text/vtt: vtt
application/json: json map geojson jsonl ndjson ipynb
application/manifest+json: webmanifest
application/yaml: yaml yml
application/wasm: wasm
application/pdf: pdf
application/rtf: rtf
application/epub+zip: epub
application/zip: zip
application/gzip: gz tgz
application/x-tar: tar
application/zstd: zst
application/x-xz: xz
application/x-bzip2: bz2
application/x-7z-compressed: 7z
application/vnd.rar: rar
application/java-archive: jar
application/vnd.android.package-archive: apk
application/x-sqlite3: sqlite sqlite3
application/msword: doc
application/vnd.ms-excel: xls
application/vnd.ms-powerpoint: ppt
application/vnd.openxmlformats-officedocument.wordprocessingml.document: docx
application/vnd.openxmlformats-officedocument.spreadsheetml.sheet: xlsx
application/vnd.openxmlformats-officedocument.presentationml.presentation: pptx
application/vnd.oasis.opendocument.text: odt
application/vnd.oasis.opendocument.spreadsheet: ods
application/vnd.oasis.opendocument.presentation: odp
image/png: png
image/jpeg: jpg jpeg jpe
image/gif: gif
image/webp: webp
image/avif: avif
image/heic: heic
image/heif: heif
image/jxl: jxl
image/bmp: bmp
image/tiff: tif tiff
image/x-icon: ico
audio/mpeg: mp3
audio/mp4: m4a
audio/ogg: ogg oga opus
audio/flac: flac
audio/wav: wav
audio/aac: aac
audio/midi: mid midi
video/mp4: mp4 m4v
video/webm: webm
video/ogg: ogv
video/quicktime: mov
video/x-matroska: mkv
video/x-msvideo: avi
video/mp2t: m2ts
application/vnd.apple.mpegurl: m3u8
font/woff: woff
font/woff2: woff2
font/ttf: ttf
font/otf: otf
`

// medias is keyed by extension, without its dot, in lower case.
var medias = newMedias()

var mediaUnknown = &media{contentType: []string{typeUnknown}}

func newMedias() map[string]*media {
	all := map[string]*media{}
	each := func(list string, make func(contentType string) *media) {
		for line := range strings.Lines(strings.TrimSpace(list)) {
			contentType, extensions, _ := strings.Cut(line, ": ")
			m := make(contentType)
			for ext := range strings.FieldsSeq(extensions) {
				all[ext] = m
			}
		}
	}
	each(activeTypes, func(t string) *media {
		if t == "text/html" {
			t += utf8Text
		}
		return &media{contentType: []string{t}, policy: policySandbox, download: true}
	})
	each(inertTypes, func(t string) *media {
		if strings.HasPrefix(t, "text/") {
			t += utf8Text
		}
		return &media{contentType: []string{t}}
	})
	all["pdf"].policy = policyPDF
	return all
}

// mediaOf returns what is said about a file of that name. Bytes are not looked at: what a file is called is all that
// its owner and its readers agree on.
func mediaOf(name string) *media {
	ext := name[strings.LastIndexByte(name, '.')+1:]
	if len(ext) == len(name) || len(ext) > extensionBytesMax {
		return mediaUnknown
	}
	m, ok := medias[ext]
	if !ok {
		m, ok = medias[strings.ToLower(ext)]
	}
	if !ok {
		return mediaUnknown
	}
	return m
}

// setSafe sets what keeps a file from running as a page of ours, on every status.
func (m *media) setSafe(h http.Header, name string) {
	if m.policy != nil {
		h["Content-Security-Policy"] = m.policy
	}
	if m.download {
		h["Content-Disposition"] = []string{attachment(name)}
	}
}

// attachment returns a Content-Disposition that saves under name (RFC 6266, RFC 8187). Characters that nobody sees,
// or that change how the rest reads, are left out of what a browser may show.
func attachment(name string) string {
	clean := strings.Map(func(r rune) rune {
		if r == utf8.RuneError || r < ' ' || r == 0x7f || invisible(r) {
			return -1
		}
		return r
	}, name)
	return "attachment; filename*=UTF-8''" + tree.EscapeName(clean)
}
