package fileserver_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"freshet/hashing"
)

func folderSections() []section {
	return []section{folderTags, guardedFolders, theTree, askingTheTree, theFeed, seqs, describing}
}

// printOfD is the fingerprint of the folder d that every case has.
func printOfD() hashing.Digest {
	h := hashing.NewFolderHasher(hashing.XXH3)
	h.Reset(1)
	h.Add('f', []byte("in.txt"), int64(len(contentC)), hashing.Sum([]byte(contentC)))
	return h.Digest()
}

// expandFolders puts what the server says of d in the place of names, as far as s has any.
func (r *conformanceRun) expandFolders(t *testing.T, s string) string {
	for name, ask := range map[string]func() string{
		"{D.page}": func() string { return r.w.ask(t, "HEAD", "/"+r.dir+"/d/", "").header.Get("ETag") },
		"{page}":   func() string { return r.w.ask(t, "HEAD", "/"+r.dir+"/", asJSON).header.Get("ETag") },
		"{cursor}": func() string { return r.w.ask(t, "HEAD", "/.freshet/v1/changes", "").header.Get("Freshet-Cursor") },
	} {
		if strings.Contains(s, name) {
			s = strings.ReplaceAll(s, name, ask())
		}
	}
	return s
}

const (
	asJSON     = "Accept: application/json"
	jsonBody   = "Content-Type: application/json"
	treeOfD    = "//.freshet/v1/tree{dir}/d/"
	treeItself = "//.freshet/v1/tree"
	changes    = "//.freshet/v1/changes"
)

var folderTags = section{title: "Tags of folders", text: "The fingerprint of `d`, *D*, names all that is in it and below. It is a part of " +
	"the tag of each form of its listing, *dD-…-h* for the page.",
	cases: []conformanceCase{
		{name: "folder_tag", method: "GET", path: "/d/", fields: f{asJSON}, status: 200, answer: `~"subtree":"{D.hex}"`,
			header: f{`ETag: ~"d{D.hex}-`, "Freshet-Subtree: {D}", "Cache-Control: no-cache", "Vary: Accept", "-Last-Modified"}},
		{name: "folder_tag_head", method: "HEAD", path: "/d/", status: 200,
			header: f{"ETag: {D.page}", "Freshet-Subtree: {D}", "Cache-Control: no-cache"}},
		{name: "folder_not_modified", method: "GET", path: "/d/", fields: f{"If-None-Match: {D.page}"}, status: 304,
			header: f{"ETag: {D.page}", "Freshet-Subtree: {D}", "Cache-Control: no-cache", "Vary: Accept"}},
		{name: "folder_not_modified_weak", method: "GET", path: "/d/", fields: f{"If-None-Match: W/{D.page}"}, status: 304},
		{name: "folder_in_another_form", method: "GET", path: "/d/", fields: f{asJSON, "If-None-Match: {D.page}"}, status: 200},
		{name: "folder_in_another_order", method: "GET", path: "/d/?sort=size", fields: f{"If-None-Match: {D.page}"}, status: 200},
		{name: "folder_if_none_match_fingerprint", method: "GET", path: "/d/", fields: f{"If-None-Match: {D}"}, status: 200},
		{name: "folder_if_match_current", method: "GET", path: "/d/", fields: f{"If-Match: {D.page}"}, status: 200},
		{name: "folder_if_match_of_another_form", method: "GET", path: "/d/", fields: f{asJSON, "If-Match: {D.page}"}, status: 412},
		{name: "folder_next_part_if_match_the_first", method: "GET", path: "/d/?after=f.a", fields: f{asJSON, "If-Match: {D.page}"},
			status: 200, answer: `~"n":"in.txt"`},
		{name: "folder_next_part_after_a_change", method: "GET", path: "/d/?after=f.a", fields: f{asJSON, "If-Match: {D.page}"},
			status: 412, given: "`d/new` is made in between", between: writesFile("d/new")},
		{name: "folder_after_a_change_below", method: "GET", path: "/", fields: f{asJSON, "If-None-Match: {page}"}, status: 200,
			given: "`d/in.txt` is written in between", between: writesFile("d/in.txt")},
		{name: "folder_after_a_touch", method: "GET", path: "/d/", fields: f{"If-None-Match: {D.page}"}, status: 200,
			header: f{"Freshet-Subtree: {D}"}, given: "`d/in.txt` is touched in between", between: touches("d/in.txt")},
		{name: "folder_behind_a_link", method: "GET", path: "/link/", status: 200,
			header: f{"-ETag", "-Freshet-Subtree", "Cache-Control: no-store"}, given: "`link` leads to `d`", before: linkTo("d")},
	}}

var guardedFolders = section{title: "Changes of folders on condition of tags", cases: []conformanceCase{
	{name: "delete_folder_if_match_fingerprint", method: "DELETE", path: "/d/", fields: f{"If-Match: {D}"}, status: 204,
		disk: f{"d=" + nothing, "d/in.txt=" + nothing}},
	{name: "delete_folder_if_match_page", method: "DELETE", path: "/d/", fields: f{"If-Match: {D.page}"}, status: 204,
		disk: f{"d=" + nothing, "d/in.txt=" + nothing}},
	{name: "delete_folder_if_match_weak", method: "DELETE", path: "/d/", fields: f{"If-Match: W/{D}"}, status: 412},
	{name: "delete_folder_if_match_after_a_change", method: "DELETE", path: "/d/", fields: f{"If-Match: {D}"}, status: 412,
		header: f{"-ETag"}, given: "`d/in.txt` is written in between", between: writesFile("d/in.txt"), disk: f{"d/in.txt=x"}},
	{name: "delete_folder_if_none_match_fingerprint", method: "DELETE", path: "/d/", fields: f{"If-None-Match: {D}"}, status: 412,
		header: f{"Freshet-Subtree: {D}", "-ETag"}},
	{name: "delete_link_if_match_the_folder_behind", method: "DELETE", path: "/link", fields: f{"If-Match: {D}"}, status: 412,
		answer: `~"current":null`, given: "`link` leads to `d`", before: linkTo("d")},
	{name: "move_folder_if_match_fingerprint", method: "MOVE", path: "/d/", fields: f{to("/n/"), "If-Match: {D}"}, status: 201,
		disk: f{"d=" + nothing, "d/in.txt=" + nothing, "n/in.txt=" + contentC}},
	{name: "move_folder_if_match_stale", method: "MOVE", path: "/d/", fields: f{to("/n/"), "If-Match: {B}"}, status: 412,
		header: f{"Freshet-Subtree: {D}"}, disk: f{"n=" + nothing}},
	{name: "copy_folder_if_match_page", method: "COPY", path: "/d/", fields: f{to("/n/"), "If-Match: {D.page}"}, status: 201,
		disk: f{"n/in.txt=" + contentC}},
	{name: "copy_folder_if_match_stale", method: "COPY", path: "/d/", fields: f{to("/n/"), "If-Match: {B}"}, status: 412,
		answer: `~"current":"\"{D.hex}\""`, disk: f{"n=" + nothing}},
}}

// writesFile writes a file anew.
func writesFile(name string) func(*testing.T, *world, string) {
	return func(t *testing.T, w *world, dir string) { w.file(t, dir+"/"+name, "x") }
}

// touches gives a file another modification time.
func touches(name string) func(*testing.T, *world, string) {
	return func(t *testing.T, w *world, dir string) {
		full := filepath.Join(w.root, dir, name)
		info, err := os.Stat(full)
		if err == nil {
			err = os.Chtimes(full, info.ModTime(), info.ModTime().AddDate(-1, 0, 0))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

var theTree = section{title: "GET /.freshet/v1/tree", cases: []conformanceCase{
	{name: "tree", method: "GET", path: treeOfD, status: 200, answer: `~"entries":[{"n":"in.txt","k":"f","size":5,`,
		header: f{"Content-Type: application/x-ndjson", "ETag: W/{D}", "Freshet-Subtree: {D}", "Freshet-Files: 1", "Freshet-Cursor: ~.",
			"Cache-Control: no-cache"}},
	{name: "tree_without_slash", method: "GET", path: "//.freshet/v1/tree{dir}/d", status: 200, answer: `~"dir":"`},
	{name: "tree_head", method: "HEAD", path: treeOfD, status: 200, header: f{"ETag: W/{D}", "Freshet-Files: 1", "Freshet-Cursor: ~."}},
	{name: "tree_not_modified", method: "GET", path: treeOfD, fields: f{"If-None-Match: {D}"}, status: 304,
		header: f{"ETag: W/{D}", "Freshet-Files: 1", "Freshet-Cursor: ~.", "Cache-Control: no-cache"}},
	{name: "tree_not_modified_weak", method: "GET", path: treeOfD, fields: f{"If-None-Match: W/{D}"}, status: 304},
	{name: "tree_modified", method: "GET", path: treeOfD, fields: f{"If-None-Match: {D}"}, status: 200, header: f{"Freshet-Files: 2"},
		given: "`d/new` is made in between", between: writesFile("d/new")},
	{name: "tree_not_modified_after_a_touch", method: "GET", path: treeOfD, fields: f{"If-None-Match: {D}"}, status: 304,
		given: "`d/in.txt` is touched in between", between: touches("d/in.txt")},
	{name: "tree_of_two_levels", method: "GET", path: "//.freshet/v1/tree{dir}/?depth=2", status: 200, answer: `~"n":"in.txt"`,
		header: f{"Freshet-Files: 5"}},
	{name: "tree_of_all_levels", method: "GET", path: "//.freshet/v1/tree{dir}/?depth=infinity", status: 200, answer: "~{\"end\":true}\n"},
	{name: "tree_depth_zero", method: "GET", path: treeOfD + "?depth=0", status: 400},
	{name: "tree_depth_no_number", method: "GET", path: treeOfD + "?depth=deep", status: 400},
	{name: "tree_of_a_file", method: "GET", path: "//.freshet/v1/tree{dir}/a.txt", status: 409},
	{name: "tree_of_a_link", method: "GET", path: "//.freshet/v1/tree{dir}/link", status: 409, given: "`link` leads to `d`",
		before: linkTo("d")},
	{name: "tree_of_nothing", method: "GET", path: "//.freshet/v1/tree{dir}/none/", status: 404},
	{name: "tree_of_what_is_reserved", method: "GET", path: "//.freshet/v1/tree/.freshet/", status: 404},
	{name: "tree_dot_dot", method: "GET", path: "//.freshet/v1/tree/../x", status: 400},
	{name: "tree_put", method: "PUT", path: treeOfD, body: "x", status: 405, header: f{"Allow: GET, HEAD, OPTIONS, POST"}},
	{name: "tree_of_read_only_server", method: "GET", path: treeOfD, server: "read-only", status: 200, header: f{"ETag: W/{D}"}},
}}

var askingTheTree = section{title: "POST /.freshet/v1/tree", cases: []conformanceCase{
	{name: "ask_same", method: "POST", path: treeItself, fields: f{jsonBody}, body: `{"have":{"{name}/d/":"{D.hex}"}}`, status: 200,
		answer: "~\"}\n{\"end\":true}\n",
		header: f{"Content-Type: application/x-ndjson", "Cache-Control: no-store", "-ETag", "Freshet-Cursor: ~."}},
	{name: "ask_other", method: "POST", path: treeItself, fields: f{jsonBody}, body: `{"have":{"{name}/d/":"{A.hex}"}}`, status: 200,
		answer: `~{"dir":"{name}/d/","subtree":"{D.hex}","entries":[{"n":"in.txt",`},
	{name: "ask_unknown", method: "POST", path: treeItself, fields: f{jsonBody}, body: `{"have":{"{name}/d/":null}}`, status: 200,
		answer: `~"n":"in.txt"`},
	{name: "ask_gone", method: "POST", path: treeItself, fields: f{jsonBody}, body: `{"have":{"{name}/none/":null}}`, status: 200,
		answer: "~{\"dir\":\"{name}/none/\",\"gone\":true}\n"},
	{name: "ask_about_a_file", method: "POST", path: treeItself, fields: f{jsonBody}, body: `{"have":{"{name}/a.txt/":null}}`, status: 200,
		answer: "~{\"dir\":\"{name}/a.txt/\",\"gone\":true}\n"},
	{name: "ask_more_than_the_limit", method: "POST", path: treeItself, fields: f{jsonBody}, status: 200,
		body:   `{"have":{"{name}/":null,"{name}/d/":null},"limit":1}`,
		answer: "~{\"dir\":\"{name}/d/\",\"later\":true}\n"},
	{name: "ask_two_levels", method: "POST", path: treeItself, fields: f{jsonBody}, body: `{"have":{"{name}/":null},"depth":2}`, status: 200,
		answer: `~{"dir":"{name}/d/","subtree":"{D.hex}"`},
	{name: "ask_nonsense", method: "POST", path: treeItself, fields: f{jsonBody}, body: "{", status: 400},
	{name: "ask_outside", method: "POST", path: treeItself, fields: f{jsonBody}, body: `{"have":{"../":null}}`, status: 400},
	{name: "ask_unknown_member", method: "POST", path: treeItself, fields: f{jsonBody}, body: `{"have":{},"x":1}`, status: 400},
	{name: "ask_too_much", method: "POST", path: treeItself, fields: f{jsonBody, "Content-Length: 1048577"}, status: 413},
	{name: "ask_in_another_type", method: "POST", path: treeItself, fields: f{"Content-Type: text/plain"}, body: `{"have":{}}`, status: 415},
	{name: "ask_at_a_path", method: "POST", path: treeOfD, fields: f{jsonBody}, body: `{"have":{}}`, status: 405,
		header: f{"Allow: GET, HEAD, OPTIONS"}},
	{name: "ask_from_elsewhere", method: "POST", path: treeItself, fields: f{jsonBody, "Sec-Fetch-Site: cross-site"},
		body: `{"have":{}}`, status: 403},
	{name: "ask_read_only_server", method: "POST", path: treeItself, fields: f{jsonBody}, server: "read-only",
		body: `{"have":{}}`, status: 200},
}}

var theFeed = section{title: "GET /.freshet/v1/changes", cases: []conformanceCase{
	{name: "changes_from_now", method: "GET", path: changes, status: 200, answer: `~,"more":false,"events":[]}`,
		header: f{"Content-Type: application/json", "Cache-Control: no-store", "Vary: Accept", "Freshet-Cursor: ~."}},
	{name: "changes_since", method: "GET", path: changes + "?since={cursor}&path={dir}/", status: 200, answer: `~"p":"{name}/d/new","k":"f"`,
		given: "`d/new` is made in between", between: writesFile("d/new")},
	{name: "changes_elsewhere", method: "GET", path: changes + "?since={cursor}&path={dir}/none/", status: 200, answer: `~"events":[]}`,
		given: "`d/new` is made in between", between: writesFile("d/new")},
	{name: "changes_head", method: "HEAD", path: changes + "?wait=60", status: 200, header: f{"Freshet-Cursor: ~."}},
	{name: "changes_malformed_cursor", method: "GET", path: changes + "?since=1", status: 400},
	{name: "changes_malformed_wait", method: "GET", path: changes + "?wait=-1", status: 400},
	{name: "changes_of_another_epoch", method: "GET", path: changes + "?since=aaaaaaaaaaaaaaaa.1", status: 410,
		header: f{"-ETag", "Content-Type: application/problem+json"}, answer: `~"reason":"epoch","cursor":"`},
	{name: "changes_as_stream_head", method: "HEAD", path: changes, fields: f{"Accept: text/event-stream"}, status: 200,
		header: f{"Content-Type: text/event-stream", "Cache-Control: no-store", "Vary: Accept"}},
	{name: "changes_post", method: "POST", path: changes, body: "x", status: 405, header: f{"Allow: GET, HEAD, OPTIONS"}},
	{name: "changes_of_a_path_below", method: "GET", path: changes + "/x", status: 404},
}}

var seqs = section{title: "The place of a change in the feed", cases: []conformanceCase{
	{name: "seq_of_put", method: "PUT", path: "/n.txt", body: "new", status: 201, header: f{"Freshet-Seq: ~."}, disk: f{"n.txt=new"}},
	{name: "seq_of_delete", method: "DELETE", path: "/a.txt", status: 204, header: f{"Freshet-Seq: ~."}, disk: f{"a.txt=" + nothing}},
	{name: "seq_of_move", method: "MOVE", path: "/a.txt", fields: f{to("/n.txt")}, status: 201, header: f{"Freshet-Seq: ~."},
		disk: f{"a.txt=" + nothing}},
	{name: "seq_of_copy", method: "COPY", path: "/a.txt", fields: f{to("/n.txt")}, status: 201, header: f{"Freshet-Seq: ~."}},
	{name: "seq_of_mkcol", method: "MKCOL", path: "/n/", status: 201, header: f{"Freshet-Seq: ~."}, disk: f{"n=" + aFolder}},
	{name: "seq_of_form", method: "POST", path: "/", fields: f{formType}, body: form("file/n.txt", "new"), status: 201,
		header: f{"Freshet-Seq: ~."}, disk: f{"n.txt=new"}},
	{name: "no_seq_of_what_was_refused", method: "PUT", path: "/a.txt", body: "new", fields: f{"If-Match: {B}"}, status: 412,
		header: f{"-Freshet-Seq"}},
}}

var describing = section{title: "GET /.well-known/freshet", text: "A file of that path in the folder is listed, but it is the server that answers.",
	cases: []conformanceCase{
		{name: "well_known", method: "GET", path: "//.well-known/freshet", status: 200, answer: `~{"version":1,"root":"`,
			header: f{"Content-Type: application/json", "Cache-Control: no-cache", "ETag: ~\""}},
		{name: "well_known_head", method: "HEAD", path: "//.well-known/freshet", status: 200},
		{name: "well_known_not_modified", method: "GET", path: "//.well-known/freshet", fields: f{"If-None-Match: *"}, status: 304},
		{name: "well_known_put", method: "PUT", path: "//.well-known/freshet", body: "x", status: 405, header: f{"Allow: GET, HEAD, OPTIONS"}},
		{name: "well_known_destination", method: "MOVE", path: "/a.txt", fields: f{"Destination: /.well-known/freshet"}, status: 403},
	}}
