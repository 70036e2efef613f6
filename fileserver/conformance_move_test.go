package fileserver_test

import (
	"slices"
	"strings"
)

func to(path string) string { return "Destination: {dir}" + path }

var moving = section{title: "MOVE", cases: []conformanceCase{
	{name: "move_file", method: "MOVE", path: "/a.txt", fields: f{to("/n.txt")}, status: 201, header: f{"ETag: {A}"},
		disk: f{"a.txt=" + nothing, "n.txt=" + contentA}},
	{name: "move_file_over_file", method: "MOVE", path: "/a.txt", fields: f{to("/b.txt")}, status: 204, header: f{"ETag: {A}"},
		disk: f{"a.txt=" + nothing, "b.txt=" + contentA}},
	{name: "move_file_over_file_overwrite_t", method: "MOVE", path: "/a.txt", fields: f{to("/b.txt"), "Overwrite: T"}, status: 204,
		disk: f{"a.txt=" + nothing, "b.txt=" + contentA}},
	{name: "move_file_overwrite_f", method: "MOVE", path: "/a.txt", fields: f{to("/b.txt"), "Overwrite: F"}, status: 412,
		header: f{"ETag: {B}"}},
	{name: "move_file_overwrite_f_to_free_name", method: "MOVE", path: "/a.txt", fields: f{to("/n.txt"), "Overwrite: F"}, status: 201,
		disk: f{"a.txt=" + nothing, "n.txt=" + contentA}},
	{name: "move_overwrite_malformed", method: "MOVE", path: "/a.txt", fields: f{to("/b.txt"), "Overwrite: no"}, status: 400},
	{name: "move_overwrite_twice", method: "MOVE", path: "/a.txt", fields: f{to("/b.txt"), "Overwrite: T", "Overwrite: F"}, status: 400},
	{name: "move_folder", method: "MOVE", path: "/d/", fields: f{to("/n/")}, status: 201,
		disk: f{"d=" + nothing, "d/in.txt=" + nothing, "n/in.txt=" + contentC}},
	{name: "move_folder_without_slashes", method: "MOVE", path: "/d", fields: f{to("/n")}, status: 201,
		disk: f{"d=" + nothing, "d/in.txt=" + nothing, "n/in.txt=" + contentC}},
	{name: "move_folder_depth_zero", method: "MOVE", path: "/d/", fields: f{to("/n/"), "Depth: 0"}, status: 400, disk: f{"n=" + nothing}},
	{name: "move_folder_depth_infinity", method: "MOVE", path: "/d/", fields: f{to("/n/"), "Depth: Infinity"}, status: 201,
		disk: f{"d=" + nothing, "d/in.txt=" + nothing, "n/in.txt=" + contentC}},
	{name: "move_nothing", method: "MOVE", path: "/none", fields: f{to("/n.txt")}, status: 404},
	{name: "move_without_parent", method: "MOVE", path: "/a.txt", fields: f{to("/none/n.txt")}, status: 409},
	{name: "move_onto_itself", method: "MOVE", path: "/a.txt", fields: f{to("/a.txt")}, status: 403},
	{name: "move_folder_into_itself", method: "MOVE", path: "/d/", fields: f{to("/d/n/")}, status: 403},
	{name: "move_the_root", method: "MOVE", path: "//", fields: f{to("/n/")}, status: 405},
	{name: "move_file_to_path_with_slash", method: "MOVE", path: "/a.txt", fields: f{to("/d/")}, status: 409},
	{name: "move_if_match_current", method: "MOVE", path: "/a.txt", fields: f{to("/n.txt"), "If-Match: {A}"}, status: 201,
		disk: f{"a.txt=" + nothing, "n.txt=" + contentA}},
	{name: "move_if_match_stale", method: "MOVE", path: "/a.txt", fields: f{to("/n.txt"), "If-Match: {B}"}, status: 412,
		header: f{"ETag: {A}"}, disk: f{"n.txt=" + nothing}},
	{name: "move_conditions_guard_the_source", method: "MOVE", path: "/a.txt", fields: f{to("/b.txt"), "If-Match: {B}"}, status: 412,
		header: f{"ETag: {A}"}},
	{name: "move_if_none_match_any", method: "MOVE", path: "/a.txt", fields: f{to("/n.txt"), "If-None-Match: *"}, status: 412},
	{name: "move_destination_url", method: "MOVE", path: "/a.txt", fields: f{"Destination: http://{host}{dir}/n.txt"}, status: 201,
		disk: f{"a.txt=" + nothing, "n.txt=" + contentA}},
	{name: "move_destination_url_https", method: "MOVE", path: "/a.txt", fields: f{"Destination: https://{host}{dir}/n.txt"}, status: 201,
		disk: f{"a.txt=" + nothing, "n.txt=" + contentA}},
	{name: "move_destination_escaped", method: "MOVE", path: "/a.txt", fields: f{to("/n%20%C3%A9.txt")}, status: 201,
		disk: f{"a.txt=" + nothing, "n é.txt=" + contentA}},
	{name: "move_destination_elsewhere", method: "MOVE", path: "/a.txt", fields: f{"Destination: http://other.example{dir}/n.txt"}, status: 502},
	{name: "move_destination_other_port", method: "MOVE", path: "/a.txt", fields: f{"Destination: http://127.0.0.1:1{dir}/n.txt"}, status: 502},
	{name: "move_destination_missing", method: "MOVE", path: "/a.txt", status: 400},
	{name: "move_destination_twice", method: "MOVE", path: "/a.txt", fields: f{to("/n.txt"), to("/m.txt")}, status: 400},
	{name: "move_destination_relative", method: "MOVE", path: "/a.txt", fields: f{"Destination: n.txt"}, status: 400},
	{name: "move_destination_other_scheme", method: "MOVE", path: "/a.txt", fields: f{"Destination: file:///n.txt"}, status: 400},
	{name: "move_destination_two_slashes", method: "MOVE", path: "/a.txt", fields: f{"Destination: //evil.example/n.txt"}, status: 400},
	{name: "move_destination_query", method: "MOVE", path: "/a.txt", fields: f{to("/n.txt?x")}, status: 400},
	{name: "move_destination_dot_dot", method: "MOVE", path: "/a.txt", fields: f{to("/d/%2e%2e/n.txt")}, status: 400,
		disk: f{"n.txt=" + nothing}},
	{name: "move_destination_encoded_slash", method: "MOVE", path: "/a.txt", fields: f{to("/d%2fn.txt")}, status: 400},
	{name: "move_destination_nul", method: "MOVE", path: "/a.txt", fields: f{to("/n%00")}, status: 400},
	{name: "move_mtime", method: "MOVE", path: "/a.txt", fields: f{to("/n.txt"), "X-OC-Mtime: 784111777"}, status: 201,
		header: f{"X-OC-Mtime: accepted"}, disk: f{"a.txt=" + nothing, "n.txt=" + contentA}},
	{name: "move_link_not_what_it_leads_to", method: "MOVE", path: "/link", fields: f{to("/n")}, status: 201,
		given: "`link` leads to `a.txt`", before: linkTo("a.txt"), disk: f{"link=" + nothing, "n=" + contentA, "a.txt=" + contentA}},
	{name: "move_file_in_use", method: "MOVE", path: "/a.txt", fields: f{to("/n.txt")}, status: 423,
		given: "a local program has `a.txt` open for writing", before: keepOpen, disk: f{"a.txt=" + contentA, "n.txt=" + nothing}},
}}

var copying = section{title: "COPY", cases: []conformanceCase{
	{name: "copy_file", method: "COPY", path: "/a.txt", fields: f{to("/n.txt")}, status: 201, header: f{"ETag: {A}"},
		disk: f{"n.txt=" + contentA}},
	{name: "copy_file_over_file", method: "COPY", path: "/a.txt", fields: f{to("/b.txt")}, status: 204, header: f{"ETag: {A}"},
		disk: f{"b.txt=" + contentA}},
	{name: "copy_file_overwrite_f", method: "COPY", path: "/a.txt", fields: f{to("/b.txt"), "Overwrite: F"}, status: 412,
		header: f{"ETag: {B}"}},
	{name: "copy_folder", method: "COPY", path: "/d/", fields: f{to("/n/")}, status: 201, disk: f{"n/in.txt=" + contentC}},
	{name: "copy_folder_depth_infinity", method: "COPY", path: "/d/", fields: f{to("/n/"), "Depth: infinity"}, status: 201,
		disk: f{"n/in.txt=" + contentC}},
	{name: "copy_folder_depth_zero", method: "COPY", path: "/d/", fields: f{to("/n/"), "Depth: 0"}, status: 201,
		disk: f{"n=" + aFolder, "n/in.txt=" + nothing}},
	{name: "copy_folder_depth_one", method: "COPY", path: "/d/", fields: f{to("/n/"), "Depth: 1"}, status: 400, disk: f{"n=" + nothing}},
	{name: "copy_nothing", method: "COPY", path: "/none", fields: f{to("/n.txt")}, status: 404},
	{name: "copy_without_parent", method: "COPY", path: "/a.txt", fields: f{to("/none/n.txt")}, status: 409},
	{name: "copy_onto_itself", method: "COPY", path: "/a.txt", fields: f{to("/a.txt")}, status: 403},
	{name: "copy_folder_into_itself", method: "COPY", path: "/d/", fields: f{to("/d/n/")}, status: 403},
	{name: "copy_if_match_stale", method: "COPY", path: "/a.txt", fields: f{to("/n.txt"), "If-Match: {B}"}, status: 412,
		header: f{"ETag: {A}"}, disk: f{"n.txt=" + nothing}},
	{name: "copy_if_match_current", method: "COPY", path: "/a.txt", fields: f{to("/n.txt"), "If-Match: {A}"}, status: 201,
		disk: f{"n.txt=" + contentA}},
	{name: "copy_destination_reserved", method: "COPY", path: "/a.txt", fields: f{to("/.Freshet")}, status: 403},
	{name: "copy_destination_elsewhere", method: "COPY", path: "/a.txt", fields: f{"Destination: http://other.example/n.txt"}, status: 502},
}}

// form makes the body of a multipart/form-data with one part for each of its arguments, which are a part's name, or a name
// and a file name apart by a slash, and its content.
func form(parts ...string) string {
	var b strings.Builder
	for i := 0; i < len(parts); i += 2 {
		name, file, isFile := strings.Cut(parts[i], "/")
		b.WriteString("--x\r\nContent-Disposition: form-data; name=\"" + name + "\"")
		if isFile {
			b.WriteString("; filename=\"" + file + "\"\r\nContent-Type: text/plain")
		}
		b.WriteString("\r\n\r\n" + parts[i+1] + "\r\n")
	}
	return b.String() + "--x--\r\n"
}

const (
	formType = "Content-Type: multipart/form-data; boundary=x"
	browser  = "Accept: text/html,application/xhtml+xml,*/*;q=0.8"
)

func formSections() []section {
	return []section{{title: "POST of a form", text: "The page without script. A file in a form is new, unless the form's field `if-match` " +
		"names the version that it replaces.", cases: []conformanceCase{
		{name: "form_file", method: "POST", path: "/", fields: f{formType}, body: form("file/n.txt", "new"), status: 201,
			header: f{"Location: {dir}/n.txt", "ETag: {new}", "Content-Type: application/json"}, disk: f{"n.txt=new"}},
		{name: "form_file_from_browser", method: "POST", path: "/", fields: f{formType, browser}, body: form("file/n.txt", "new"),
			status: 303, header: f{"Location: {dir}/"}, disk: f{"n.txt=new"}},
		{name: "form_file_to_folder_without_slash", method: "POST", path: "/d", fields: f{formType, browser}, body: form("file/n.txt", "new"),
			status: 303, header: f{"Location: {dir}/d/"}, disk: f{"d/n.txt=new"}},
		{name: "form_file_exists", method: "POST", path: "/", fields: f{formType}, body: form("file/a.txt", "new"), status: 409,
			header: f{"ETag: {A}"}, answer: "~a.txt"},
		{name: "form_file_exists_from_browser", method: "POST", path: "/", fields: f{formType, browser}, body: form("file/a.txt", "new"),
			status: 409, header: f{"Content-Type: text/html; charset=utf-8"}, answer: "~Keep both"},
		{name: "form_if_none_match", method: "POST", path: "/", fields: f{formType}, status: 409,
			body: form("if-none-match", "*", "file/a.txt", "new")},
		{name: "form_if_match_current", method: "POST", path: "/", fields: f{formType}, status: 201,
			body: form("if-match", "{A}", "file/a.txt", "new"), header: f{"ETag: {new}"}, disk: f{"a.txt=new"}},
		{name: "form_if_match_stale", method: "POST", path: "/", fields: f{formType}, body: form("if-match", "{B}", "file/a.txt", "new"),
			status: 409, header: f{"ETag: {A}"}},
		{name: "form_name", method: "POST", path: "/", fields: f{formType}, body: form("name", "m.txt", "file/a.txt", "new"), status: 201,
			header: f{"Location: {dir}/m.txt"}, disk: f{"m.txt=new"}},
		{name: "form_several_files", method: "POST", path: "/", fields: f{formType}, body: form("file/n.txt", "new", "file/m.txt", "neu"),
			status: 201, header: f{"-Location", "-ETag"}, answer: "~m.txt", disk: f{"n.txt=new", "m.txt=neu"}},
		{name: "form_several_files_one_exists", method: "POST", path: "/", fields: f{formType}, status: 409, answer: `~"saved":[{"name":"n.txt"`,
			body: form("file/n.txt", "new", "file/a.txt", "new", "file/m.txt", "new"), disk: f{"n.txt=new", "m.txt=" + nothing}},
		{name: "form_one_name_for_several_files", method: "POST", path: "/", fields: f{formType}, status: 400,
			body: form("name", "n.txt", "file/x", "new", "file/y", "new"), disk: f{"n.txt=new"}},
		{name: "form_file_name_with_folders", method: "POST", path: "/", fields: f{formType}, status: 201,
			body: form("file/../../n.txt", "new"), disk: f{"n.txt=new"}},
		{name: "form_file_name_with_backslashes", method: "POST", path: "/", fields: f{formType}, status: 201,
			body: form(`file/C:\x\n.txt`, "new"), disk: f{"n.txt=new"}},
		{name: "form_name_with_slash", method: "POST", path: "/", fields: f{formType}, status: 400,
			body: form("name", "d/n.txt", "file/x", "new"), disk: f{"d/n.txt=" + nothing}},
		{name: "form_name_reserved", method: "POST", path: "/", fields: f{formType}, body: form("file/.freshet", "new"), status: 400},
		{name: "form_name_dot_dot", method: "POST", path: "/", fields: f{formType}, body: form("name", "..", "file/x", "new"), status: 400},
		{name: "form_mkdir", method: "POST", path: "/", fields: f{formType}, body: form("mkdir", "n"), status: 201,
			header: f{"Location: {dir}/n/"}, disk: f{"n=" + aFolder}},
		{name: "form_mkdir_from_browser", method: "POST", path: "/", fields: f{formType, browser}, body: form("mkdir", "n"), status: 303,
			disk: f{"n=" + aFolder}},
		{name: "form_mkdir_exists", method: "POST", path: "/", fields: f{formType}, body: form("mkdir", "d"), status: 409},
		{name: "form_without_file", method: "POST", path: "/", fields: f{formType}, body: form("if-none-match", "*"), status: 400},
		{name: "form_no_file_chosen", method: "POST", path: "/", fields: f{formType}, body: form("file/", ""), status: 400},
		{name: "form_condition_after_file", method: "POST", path: "/", fields: f{formType}, status: 400,
			body: form("file/n.txt", "new", "if-match", "{A}"), disk: f{"n.txt=new"}},
		{name: "form_unknown_field", method: "POST", path: "/", fields: f{formType}, body: form("colour", "red"), status: 400},
		{name: "form_too_many_fields", method: "POST", path: "/", fields: f{formType}, status: 400,
			body: form(slices.Repeat([]string{"if-match", "x"}, 17)...)},
		{name: "form_field_too_long", method: "POST", path: "/", fields: f{formType}, status: 400,
			body: form("name", strings.Repeat("n", 4097))},
		{name: "form_cut_off", method: "POST", path: "/", fields: f{formType}, status: 400, disk: f{"n.txt=" + nothing},
			body: strings.TrimSuffix(form("file/n.txt", "new"), "\r\n--x--\r\n")},
		{name: "form_not_multipart", method: "POST", path: "/", fields: f{"Content-Type: text/plain"}, body: "new", status: 415},
		{name: "form_without_boundary", method: "POST", path: "/", fields: f{"Content-Type: multipart/form-data"}, body: "new", status: 415},
		{name: "form_to_nothing", method: "POST", path: "/none/", fields: f{formType}, body: form("file/n.txt", "new"), status: 404},
		{name: "form_condition_on_the_folder", method: "POST", path: "/", fields: f{formType, `If-Match: "x"`}, status: 412,
			body: form("file/n.txt", "new"), disk: f{"n.txt=" + nothing}},
		{name: "form_required_precondition_is_in_the_form", method: "POST", path: "/", fields: f{formType}, server: "required", status: 201,
			body: form("file/n.txt", "new"), disk: f{"n.txt=new"}},
	}}}
}

// early is a request that asks before it sends its body, which is not sent.
func early(name, method, path string, status int, fields ...string) conformanceCase {
	return conformanceCase{name: name, method: method, path: path, status: status, server: "",
		fields: append(fields, "Content-Length: 3", "Expect: 100-continue")}
}

var arriving = section{title: "Refused before the body is sent", text: "The client waits for `100 Continue` and is told no.",
	cases: []conformanceCase{
		{name: "expect_put", method: "PUT", path: "/a.txt", fields: f{"Expect: 100-continue", "If-Match: {A}"}, body: "new", goOn: true,
			status: 204, disk: f{"a.txt=new"}},
		early("expect_if_match_stale", "PUT", "/a.txt", 412, "If-Match: {B}"),
		early("expect_if_none_match_any", "PUT", "/a.txt", 412, "If-None-Match: *"),
		early("expect_if_match_of_nothing", "PUT", "/n.txt", 412, "If-Match: {A}"),
		early("expect_if_unmodified_since_earlier", "PUT", "/a.txt", 412, "If-Unmodified-Since: {past}"),
		early("expect_without_parent", "PUT", "/none/n.txt", 409),
		early("expect_without_parent_if_match", "PUT", "/none/n.txt", 409, "If-Match: {A}"),
		early("expect_on_folder", "PUT", "/d", 405),
		early("expect_content_range", "PUT", "/a.txt", 400, "Content-Range: bytes 0-2/10"),
		early("expect_content_coding", "PUT", "/a.txt", 415, "Content-Encoding: br"),
		early("expect_malformed_digest", "PUT", "/a.txt", 400, "Content-Digest: ?"),
		early("expect_cross_origin", "PUT", "/a.txt", 403, "Origin: http://evil.example"),
		early("expect_mkcol_with_body", "MKCOL", "/n", 415),
		early("expect_form_of_another_type", "POST", "/", 415, "Content-Type: text/plain"),
		{name: "expect_required_precondition", method: "PUT", path: "/a.txt", fields: f{"Content-Length: 3", "Expect: 100-continue"},
			server: "required", status: 428},
		{name: "expect_too_large", method: "PUT", path: "/a.txt", fields: f{"Content-Length: 9", "Expect: 100-continue"},
			server: "small", status: 413},
		{name: "expect_read_only", method: "PUT", path: "/a.txt", fields: f{"Content-Length: 3", "Expect: 100-continue"},
			server: "read-only", status: 405},
	}}
