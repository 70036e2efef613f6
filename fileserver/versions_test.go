package fileserver_test

import (
	"encoding/json"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"freshet/fileserver"
	"freshet/fileserver/tree"
)

// A listedVersion is a version as a client reads it.
type listedVersion struct {
	ID, Path, K, MTime, ETag, Displaced, By, How string
	Path64                                       []byte
	Size                                         *int64
	Late                                         bool
}

// listed asks for a list of versions below the reserved name.
func (w *world) listed(t *testing.T, path string) []listedVersion {
	t.Helper()
	a := w.ask(t, "GET", "/.freshet/v1/"+path, "")
	var list struct {
		Versions []listedVersion
		Next     *string
	}
	d := json.NewDecoder(strings.NewReader(a.body))
	d.DisallowUnknownFields()
	if err := d.Decode(&list); a.status != 200 || err != nil || list.Next != nil || list.Versions == nil {
		t.Fatalf("%s: %d %s, %v", path, a.status, a.body, err)
	}
	if a.header.Get("Content-Type") != "application/json" || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s: %v", path, a.header)
	}
	return list.Versions
}

// newHistory serves a folder in which a file a é.html has had three contents, of which "three" is there.
func newHistory(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	for _, content := range []string{"one", "two", "three"} {
		if a := w.ask(t, "PUT", historyPath, content, "X-OC-Mtime: 784111777"); a.status/100 != 2 {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	return w
}

const (
	historyPath     = "/a%20%C3%A9.html"
	historyVersions = "/.freshet/v1/versions" + historyPath
)

// byTag is the query for a version by the tag of its content.
func byTag(content string) string { return "?etag=" + url.QueryEscape(tagOf(content)) }

func TestVersionsList(t *testing.T) {
	w := newHistory(t)
	found := w.listed(t, "versions"+historyPath)
	if len(found) != 2 {
		t.Fatalf("%+v", found)
	}
	for i, content := range []string{"two", "one"} {
		v := found[i]
		displaced, err := time.Parse(time.RFC3339Nano, v.Displaced)
		if v.ETag != tagOf(content) || v.Size == nil || *v.Size != int64(len(content)) || v.K != "f" || v.How != "replaced" ||
			!strings.HasPrefix(v.By, "http 127.0.0.1") || v.Path != "/a é.html" || v.MTime != "1994-11-06T08:49:37Z" ||
			err != nil || time.Since(displaced) > time.Minute || v.Late {
			t.Errorf("%+v", v)
		}
	}
	if found := w.listed(t, "versions/none"); len(found) != 0 {
		t.Errorf("of nothing: %+v", found)
	}
	if a := w.ask(t, "HEAD", historyVersions, ""); a.status != 200 || a.body != "" {
		t.Errorf("HEAD: %d %q", a.status, a.body)
	}
	older := w.listed(t, "versions"+historyPath+"?before="+found[0].ID)
	if len(older) != 1 || older[0].ETag != tagOf("one") {
		t.Errorf("before the newest: %+v", older)
	}
}

func TestVersionIsSentAsAnyFile(t *testing.T) {
	w := newHistory(t)
	one := historyVersions + byTag("one")
	bare := strings.Trim(tagOf("one"), `"`)
	oldest := w.listed(t, "versions"+historyPath)[1].ID
	for name, c := range map[string]struct {
		method, path string
		fields       []string
		status       int
		body         string
	}{
		"by_tag":                   {"GET", one, nil, 200, "one"},
		"by_tag_without_quotes":    {"GET", historyVersions + "?etag=" + bare, nil, 200, "one"},
		"by_tag_with_bare_quotes":  {"GET", historyVersions + "?etag=" + tagOf("one"), nil, 200, "one"},
		"by_tag_of_a_coding":       {"GET", historyVersions + `?etag="` + bare + `-gzip"`, nil, 200, "one"},
		"by_id":                    {"GET", historyVersions + "?id=" + oldest, nil, 200, "one"},
		"head":                     {"HEAD", one, nil, 200, ""},
		"not_modified":             {"GET", one, []string{"If-None-Match: " + tagOf("one")}, 304, ""},
		"another_tag_is_known":     {"GET", one, []string{"If-None-Match: " + tagOf("three")}, 200, "one"},
		"precondition":             {"GET", one, []string{"If-Match: " + tagOf("three")}, 412, ""},
		"range":                    {"GET", one, []string{"Range: bytes=1-1"}, 206, "n"},
		"range_if_the_tag_is_this": {"GET", one, []string{"Range: bytes=1-1", "If-Range: " + tagOf("one")}, 206, "n"},
		"range_unless_it_is_not":   {"GET", one, []string{"Range: bytes=1-1", "If-Range: " + tagOf("two")}, 200, "one"},
		"range_beyond":             {"GET", one, []string{"Range: bytes=9-"}, 416, ""},
		"what_is_there_now":        {"GET", historyVersions + byTag("three"), nil, 404, ""},
		"of_another_path":          {"GET", "/.freshet/v1/versions/b" + byTag("one"), nil, 404, ""},
		"no_tag_of_ours":           {"GET", historyVersions + "?etag=x", nil, 400, ""},
		"both_keys":                {"GET", one + "&id=x", nil, 400, ""},
		"key_twice":                {"GET", one + "&etag=x", nil, 400, ""},
		"key_and_before":           {"GET", one + "&before=x", nil, 400, ""},
		"unknown_name":             {"GET", one + "&x=x", nil, 400, ""},
		"empty_value":              {"GET", historyVersions + "?etag=", nil, 400, ""},
		"malformed_query":          {"GET", historyVersions + "?etag=%zz", nil, 400, ""},
		"malformed_path":           {"GET", "/.freshet/v1/versions/a%2Fb", nil, 400, ""},
	} {
		a := w.ask(t, c.method, c.path, "", c.fields...)
		if a.status != c.status || a.status < 300 && a.body != c.body {
			t.Errorf("%s: %d %q, want %d %q", name, a.status, a.body, c.status, c.body)
		}
		if a.status < 400 && (a.header.Get("ETag") != tagOf("one") || a.header.Get("Cache-Control") != "no-cache") {
			t.Errorf("%s: %v", name, a.header)
		}
		if a.status < 300 && (a.header.Get("Content-Type") != "text/html; charset=utf-8" ||
			!strings.Contains(a.header.Get("Content-Security-Policy"), "sandbox") ||
			a.header.Get("X-Content-Type-Options") != "nosniff") {
			t.Errorf("%s is not safe: %v", name, a.header)
		}
		if a.status >= 400 {
			checkProblem(t, a)
		}
	}
}

func TestRestoreVersion(t *testing.T) {
	for _, c := range []struct {
		name, content string // of the version asked for
		gone          bool   // nothing is at the path
		fields        f
		status        int
		at            string // the file that is looked at afterwards; "" is that of the history
		after         string
	}{
		{"unconditional", "one", false, nil, 204, "", "one"},
		{"if_match_current", "one", false, f{"If-Match: " + tagOf("three")}, 204, "", "one"},
		{"if_match_stale", "one", false, f{"If-Match: " + tagOf("two")}, 412, "", "three"},
		{"if_none_match_any", "one", false, f{"If-None-Match: *"}, 412, "", "three"},
		{"if_none_match_any_of_none", "one", true, f{"If-None-Match: *"}, 201, "", "one"},
		{"what_was_removed", "three", true, nil, 201, "", "three"},
		{"not_kept", "four", false, nil, 404, "", "three"},
		{"elsewhere", "one", false, f{"Destination: /b"}, 201, "b", "one"},
		{"elsewhere_guarded", "one", false, f{"Destination: /c", "If-None-Match: *"}, 412, "c", "c"},
		{"to_a_path_with_a_slash", "one", false, f{"Destination: /b/"}, 409, "b", nothing},
		{"to_a_folder", "one", false, f{"Destination: /d"}, 409, "d", aFolder},
		{"to_the_root", "one", false, f{"Destination: /"}, 409, "", "three"},
		{"to_no_folder", "one", false, f{"Destination: /none/b"}, 409, "", "three"},
		{"to_the_reserved_name", "one", false, f{"Destination: /.freshet/b"}, 403, "", "three"},
		{"to_another_server", "one", false, f{"Destination: http://other.example/b"}, 502, "", "three"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newHistory(t)
			w.file(t, "c", "c")
			w.file(t, "d/in", "in")
			if c.gone {
				w.ask(t, "DELETE", historyPath, "")
			}
			a := w.ask(t, "POST", historyVersions+byTag(c.content), "", c.fields...)
			if a.status != c.status {
				t.Errorf("%d %s, want %d", a.status, a.body, c.status)
			}
			if a.status < 300 && (a.header.Get("ETag") != tagOf(c.after) || a.header.Get("Freshet-Seq") == "") {
				t.Errorf("%v", a.header)
			}
			if a.status >= 400 {
				checkProblem(t, a)
			}
			if a.status == 412 && a.header.Get("ETag") != tagOf(c.after) {
				t.Errorf("a 412 tells %q", a.header.Get("ETag"))
			}
			at := c.at
			if at == "" {
				at = "a é.html"
			}
			if found := w.onDisk(t, at); found != c.after {
				t.Errorf("%s is %q, want %q", at, found, c.after)
			}
			if got := w.ask(t, "GET", historyVersions+byTag("one"), ""); got.body != "one" {
				t.Errorf("the version is not kept: %d %s", got.status, got.body)
			}
		})
	}
}

func TestRestoreRequiresPreconditions(t *testing.T) {
	w := newWorld(t, func(c *fileserver.Config) { c.RequirePreconditions = true })
	w.ask(t, "PUT", historyPath, "one")
	w.ask(t, "PUT", historyPath, "two", "If-Match: "+tagOf("one"))
	one := historyVersions + byTag("one")
	if a := w.ask(t, "POST", one, ""); a.status != 428 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := w.ask(t, "POST", one, "", "If-Match: "+tagOf("two")); a.status != 204 {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestTrash(t *testing.T) {
	w := newWorld(t)
	w.file(t, "d/in", "in")
	w.file(t, "d/e/deep", "deep")
	w.file(t, "f", "f")
	for _, path := range []string{"/d/in", "/d/", "/f"} {
		if a := w.ask(t, "DELETE", path, ""); a.status != 204 {
			t.Fatalf("%s: %d", path, a.status)
		}
	}
	found := w.listed(t, "trash")
	var paths []string
	ids := map[string]string{}
	for _, v := range found {
		paths = append(paths, v.Path+" "+v.K+" "+v.How)
		ids[v.Path] = v.ID
	}
	if want := []string{"/f f removed", "/d d removed", "/d/in f removed"}; !slices.Equal(paths, want) {
		t.Fatalf("%q, want %q", paths, want)
	}
	if found[1].Size != nil || found[1].ETag != "" {
		t.Errorf("a folder has a size or a tag: %+v", found[1])
	}
	if below := w.listed(t, "trash/d"); len(below) != 2 {
		t.Errorf("below the folder: %+v", below)
	}
	for _, c := range []struct {
		name, method, path string
		fields             []string
		status             int
		at, after          string
	}{
		{"folder_is_not_sent", "GET", "/versions/d?id=" + ids["/d"], nil, 404, "", ""},
		{"no_id", "POST", "/trash", nil, 400, "", ""},
		{"tag_is_no_id", "POST", "/trash" + byTag("f"), nil, 400, "", ""},
		{"unknown_id", "POST", "/trash?id=1", nil, 404, "", ""},
		{"id_of_elsewhere", "POST", "/trash/d?id=" + ids["/f"], nil, 404, "f", nothing},
		{"file_in_missing_folder", "POST", "/trash?id=" + ids["/d/in"], nil, 409, "d", nothing},
		{"folder", "POST", "/trash?id=" + ids["/d"], []string{"If-None-Match: *"}, 201, "d/e/deep", "deep"},
		{"folder_again", "POST", "/trash?id=" + ids["/d"], nil, 404, "", ""},
		{"file", "POST", "/trash/d?id=" + ids["/d/in"], nil, 201, "d/in", "in"},
		{"file_as_version", "POST", "/versions/f?id=" + ids["/f"], []string{"Destination: /d/f"}, 201, "d/f", "f"},
		{"purge_by_slip", "DELETE", "/trash?ID=" + ids["/f"], nil, 400, "", ""},
		{"purge_of_other_path", "DELETE", "/versions/d?id=" + ids["/d/in"], nil, 404, "", ""},
		{"purge_without_id", "DELETE", "/versions/f", nil, 400, "", ""},
		{"purge", "DELETE", "/versions/d/in?id=" + ids["/d/in"], nil, 204, "d/in", "in"},
		{"purge_again", "DELETE", "/trash?id=" + ids["/d/in"], nil, 404, "", ""},
		{"empty_below", "DELETE", "/trash/d", nil, 200, "", ""},
		{"not_emptied", "GET", "/versions/f?id=" + ids["/f"], nil, 200, "", ""},
		{"empty", "DELETE", "/trash", nil, 200, "", ""},
		{"emptied", "GET", "/versions/f?id=" + ids["/f"], nil, 404, "", ""},
	} {
		a := w.ask(t, c.method, "/.freshet/v1"+c.path, "", c.fields...)
		if a.status != c.status {
			t.Errorf("%s: %d %s, want %d", c.name, a.status, a.body, c.status)
		}
		if a.status >= 400 {
			checkProblem(t, a)
		}
		if c.at != "" && w.onDisk(t, c.at) != c.after {
			t.Errorf("%s: %s is %q", c.name, c.at, w.onDisk(t, c.at))
		}
		if a.status == 201 && a.header.Get("Freshet-Seq") == "" {
			t.Errorf("%s: no place in the feed", c.name)
		}
		if c.name == "empty" && strings.TrimSpace(a.body) != `{"ended":1}` {
			t.Errorf("%s: %s", c.name, a.body)
		}
	}
}

// TestFolderComesBackOnlyToAFreeName: it never replaces anything, whatever the conditions say.
func TestFolderComesBackOnlyToAFreeName(t *testing.T) {
	w := newWorld(t)
	w.file(t, "d/in", "in")
	w.ask(t, "DELETE", "/d/", "")
	w.file(t, "d", "file")
	id := "/.freshet/v1/trash?id=" + w.listed(t, "trash")[0].ID
	for status, field := range map[int]string{409: "If-Match: " + tagOf("file"), 412: "If-None-Match: *"} {
		if a := w.ask(t, "POST", id, "", field); a.status != status {
			t.Errorf("%s: %d %s", field, a.status, a.body)
		}
	}
	a := w.ask(t, "POST", id, "", "Destination: /n/")
	if a.status != 201 || w.onDisk(t, "n/in") != "in" || w.onDisk(t, "d") != "file" {
		t.Errorf("to another name: %d %s", a.status, a.body)
	}
}

// TestVersionsOfNamesThatAreNotText come in base64.
func TestVersionsOfNamesThatAreNotText(t *testing.T) {
	w := newWorld(t)
	if a := w.ask(t, "PUT", "/a%FF", "one"); a.status != 201 {
		t.Skipf("no such names here: %d", a.status)
	}
	w.ask(t, "DELETE", "/a%FF", "")
	found := w.listed(t, "trash")
	if len(found) != 1 || string(found[0].Path64) != "/a\xff" || found[0].Path != "" {
		t.Errorf("%+v", found)
	}
}

func TestVersionsWhereNothingCanBeChanged(t *testing.T) {
	root := t.TempDir()
	for name, o := range map[string]tree.Options{"tree": {}, "server": {Write: true}} {
		w := newWorldOf(t, filepath.Join(root), o, func(c *fileserver.Config) { c.Write = false })
		if found := append(w.listed(t, "versions/a"), w.listed(t, "trash")...); len(found) > 0 {
			t.Errorf("%s: %+v", name, found)
		}
		for _, method := range []string{"POST", "DELETE", "PUT"} {
			for _, path := range []string{"/.freshet/v1/versions/a?id=1", "/.freshet/v1/trash?id=1"} {
				a := w.ask(t, method, path, "")
				if a.status != 405 || a.header.Get("Allow") != "GET, HEAD, OPTIONS" {
					t.Errorf("%s: %s %s: %d, Allow %q", name, method, path, a.status, a.header.Get("Allow"))
				}
			}
		}
	}
	w := newWorld(t)
	if a := w.ask(t, "OPTIONS", "/.freshet/v1/trash", ""); a.header.Get("Allow") != "GET, HEAD, OPTIONS, POST, DELETE" {
		t.Errorf("Allow %q", a.header.Get("Allow"))
	}
	evil := []string{"Origin: http://evil.example", "Sec-Fetch-Site: cross-site"}
	if a := w.ask(t, "POST", "/.freshet/v1/trash?id=1", "", evil...); a.status != 403 {
		t.Errorf("a page from elsewhere: %d", a.status)
	}
}
