package fileserver_test

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"hash/adler32"
	"os"
	"path/filepath"
	"testing"
)

func writingSections() []section {
	return []section{putting, puttingTags, puttingDates, bodies, digests, requiring, deleting, makingFolders, moving, copying}
}

var putting = section{title: "PUT", cases: []conformanceCase{
	{name: "put_new", method: "PUT", path: "/n.txt", body: "new", status: 201, header: f{"ETag: {new}"},
		disk: f{"n.txt=new"}},
	{name: "put_over", method: "PUT", path: "/a.txt", body: "new", status: 204, header: f{"ETag: {new}"},
		disk: f{"a.txt=new"}},
	{name: "put_empty", method: "PUT", path: "/n.txt", status: 201, header: f{"ETag: {empty}"}, disk: f{"n.txt="}},
	{name: "put_same_bytes", method: "PUT", path: "/a.txt", body: contentA, status: 204, header: f{"ETag: {A}"}},
	{name: "put_strange_name", method: "PUT", path: "/%20%22%23%3F%25%0A%E2%80%AE%FF", body: "new", status: 201,
		disk: f{" \"#?%\n\u202e\xff=new"}},
	{name: "put_without_parent", method: "PUT", path: "/none/n.txt", body: "new", status: 409,
		disk: f{"none=" + nothing}},
	{name: "put_below_a_file", method: "PUT", path: "/a.txt/n.txt", body: "new", status: 409},
	{name: "put_on_folder", method: "PUT", path: "/d", body: "new", status: 405,
		header: f{"Allow: GET, HEAD, OPTIONS, POST, DELETE, MOVE, COPY"}},
	{name: "put_on_folder_with_slash", method: "PUT", path: "/d/", body: "new", status: 405},
	{name: "put_folder_path", method: "PUT", path: "/n/", body: "new", status: 400, disk: f{"n=" + nothing}},
	{name: "put_on_the_root", method: "PUT", path: "//", body: "new", status: 405},
	{name: "put_link_writes_what_it_leads_to", method: "PUT", path: "/link", body: "new", status: 204,
		disk:  f{"a.txt=new", "link=new"},
		given: "`link` leads to `a.txt`", before: linkTo("a.txt")},
	{name: "put_link_outside", method: "PUT", path: "/link", body: "new", status: 403,
		given:  "`link` leads to `/etc/x`",
		before: linkTo("/etc/x")},
	{name: "put_file_in_use", method: "PUT", path: "/a.txt", body: "new", status: 423, header: f{"Retry-After: 2"},
		given: "a local program has `a.txt` open for writing", before: keepOpen, disk: f{"a.txt=" + contentA}},
	{name: "put_too_large", method: "PUT", path: "/a.txt", body: "123456789", server: "small", status: 413},
	{name: "put_too_large_unannounced", method: "PUT", path: "/a.txt", fields: f{"Transfer-Encoding: chunked"},
		body: "9\r\n123456789\r\n0\r\n\r\n", server: "small", status: 413},
	{name: "put_no_space", method: "PUT", path: "/a.txt", body: "123456789", server: "full", status: 507},
	{name: "put_no_slot", method: "PUT", path: "/a.txt", body: "new", server: "busy", status: 503,
		header: f{"Retry-After: 10"}},
}}

var puttingTags = section{title: "Writing on condition of tags", cases: []conformanceCase{
	{name: "put_if_match_current", method: "PUT", path: "/a.txt", body: "new", fields: f{"If-Match: {A}"}, status: 204,
		header: f{"ETag: {new}"}, disk: f{"a.txt=new"}},
	{name: "put_if_match_stale", method: "PUT", path: "/a.txt", body: "new", fields: f{"If-Match: {B}"}, status: 412,
		header: f{"ETag: {A}"}},
	{name: "put_if_match_weak", method: "PUT", path: "/a.txt", body: "new", fields: f{"If-Match: W/{A}"}, status: 412},
	{name: "put_if_match_list", method: "PUT", path: "/a.txt", body: "new", fields: f{`If-Match: "x", {A}`},
		status: 204,
		disk:   f{"a.txt=new"}},
	{name: "put_if_match_two_lines", method: "PUT", path: "/a.txt", body: "new",
		fields: f{`If-Match: "x"`, "If-Match: {A}"},
		status: 204, disk: f{"a.txt=new"}},
	{name: "put_if_match_any", method: "PUT", path: "/a.txt", body: "new", fields: f{"If-Match: *"}, status: 204,
		disk: f{"a.txt=new"}},
	{name: "put_if_match_any_of_nothing", method: "PUT", path: "/n.txt", body: "new", fields: f{"If-Match: *"},
		status: 412,
		answer: `~"current":null`, header: f{"-ETag"}, disk: f{"n.txt=" + nothing}},
	{name: "put_if_match_of_nothing", method: "PUT", path: "/n.txt", body: "new", fields: f{"If-Match: {A}"},
		status: 412,
		answer: `~"current":null`, disk: f{"n.txt=" + nothing}},
	{name: "put_if_match_unquoted", method: "PUT", path: "/a.txt", body: "new", fields: f{"If-Match: {A.hex}"},
		status: 412},
	{name: "put_if_match_malformed_list", method: "PUT", path: "/a.txt", body: "new", fields: f{"If-Match: {A} {B}"},
		status: 412},
	{name: "put_if_match_empty", method: "PUT", path: "/a.txt", body: "new", fields: f{"If-Match: "}, status: 412},
	{name: "put_if_match_of_a_coding", method: "PUT", path: "/a.txt", body: "new",
		fields: f{`If-Match: "{A.hex}-gzip.1"`}, status: 204,
		disk: f{"a.txt=new"}},
	{name: "put_if_none_match_any_of_nothing", method: "PUT", path: "/n.txt", body: "new",
		fields: f{"If-None-Match: *"}, status: 201,
		header: f{"ETag: {new}"}, disk: f{"n.txt=new"}},
	{name: "put_if_none_match_any", method: "PUT", path: "/a.txt", body: "new", fields: f{"If-None-Match: *"},
		status: 412,
		header: f{"ETag: {A}"}},
	{name: "put_if_none_match_any_of_folder", method: "PUT", path: "/d", body: "new", fields: f{"If-None-Match: *"},
		status: 405},
	{name: "put_if_none_match_current", method: "PUT", path: "/a.txt", body: "new", fields: f{"If-None-Match: {A}"},
		status: 412},
	{name: "put_if_none_match_weak", method: "PUT", path: "/a.txt", body: "new", fields: f{"If-None-Match: W/{A}"},
		status: 412},
	{name: "put_if_none_match_other", method: "PUT", path: "/a.txt", body: "new", fields: f{"If-None-Match: {B}"},
		status: 204,
		disk:   f{"a.txt=new"}},
	{name: "put_if_none_match_unquoted", method: "PUT", path: "/a.txt", body: "new",
		fields: f{"If-None-Match: JoplinIgnore-12345"},
		status: 204, disk: f{"a.txt=new"}},
	{name: "put_both_hold", method: "PUT", path: "/a.txt", body: "new",
		fields: f{"If-Match: {A}", "If-None-Match: {B}"}, status: 204,
		disk: f{"a.txt=new"}},
	{name: "put_one_of_both_fails", method: "PUT", path: "/a.txt", body: "new",
		fields: f{"If-Match: {A}", "If-None-Match: {A}"}, status: 412},
	{name: "put_after_local_edit", method: "PUT", path: "/a.txt", body: "new", fields: f{"If-Match: {A}"}, status: 412,
		given: "a local program has saved `a.txt` since", disk: f{"a.txt=9876543210"},
		before: func(t *testing.T, w *world, dir string) { w.file(t, dir+"/a.txt", "9876543210") }},
	{name: "put_conflict_page_for_browsers", method: "PUT", path: "/a.txt", body: "new",
		fields: f{"If-Match: {B}", "Accept: text/html"},
		status: 412, header: f{"Content-Type: text/html; charset=utf-8", "ETag: {A}"}},
}}

var puttingDates = section{title: "Writing on condition of dates", settled: true, cases: []conformanceCase{
	{name: "put_if_unmodified_since_now", method: "PUT", path: "/a.txt", body: "new",
		fields: f{"If-Unmodified-Since: {now}"},
		status: 204, disk: f{"a.txt=new"}},
	{name: "put_if_unmodified_since_rfc850_date", method: "PUT", path: "/a.txt", body: "new",
		fields: f{"If-Unmodified-Since: {now850}"}, status: 204, disk: f{"a.txt=new"}},
	{name: "put_if_unmodified_since_asctime_date", method: "PUT", path: "/a.txt", body: "new",
		fields: f{"If-Unmodified-Since: {nowasc}"}, status: 204, disk: f{"a.txt=new"}},
	{name: "put_if_unmodified_since_earlier", method: "PUT", path: "/a.txt", body: "new",
		fields: f{"If-Unmodified-Since: {past}"},
		status: 412},
	{name: "put_if_unmodified_since_invalid", method: "PUT", path: "/a.txt", body: "new",
		fields: f{"If-Unmodified-Since: noon"},
		status: 204, disk: f{"a.txt=new"}},
	{name: "put_if_match_instead_of_date", method: "PUT", path: "/a.txt", body: "new",
		fields: f{"If-Match: {A}", "If-Unmodified-Since: {past}"}, status: 204, disk: f{"a.txt=new"}},
	{name: "put_if_modified_since_is_for_reading", method: "PUT", path: "/a.txt", body: "new",
		fields: f{"If-Modified-Since: {now}"},
		status: 204, disk: f{"a.txt=new"}},
}}

var bodies = section{title: "What a body may be", cases: []conformanceCase{
	{name: "put_content_range", method: "PUT", path: "/a.txt", body: "new", fields: f{"Content-Range: bytes 0-2/10"},
		status: 400},
	{name: "put_content_coding", method: "PUT", path: "/a.txt", body: "new", fields: f{"Content-Encoding: gzip"},
		status: 415,
		header: f{"Accept-Encoding: identity"}},
	{name: "put_content_coding_list", method: "PUT", path: "/a.txt", body: "new",
		fields: f{"Content-Encoding: identity, br"}, status: 415},
	{name: "put_content_coding_identity", method: "PUT", path: "/a.txt", body: "new",
		fields: f{"Content-Encoding: identity"},
		status: 204, disk: f{"a.txt=new"}},
	{name: "put_chunked", method: "PUT", path: "/a.txt", fields: f{"Transfer-Encoding: chunked"},
		body:   "1\r\nn\r\n2\r\new\r\n0\r\n\r\n",
		status: 204, header: f{"ETag: {new}"}, disk: f{"a.txt=new"}},
	{name: "put_chunked_expected_length", method: "PUT", path: "/a.txt",
		fields: f{"Transfer-Encoding: chunked", "X-Expected-Entity-Length: 3"},
		body:   "3\r\nnew\r\n0\r\n\r\n", status: 204, disk: f{"a.txt=new"}},
	{name: "put_chunked_other_length", method: "PUT", path: "/a.txt",
		fields: f{"Transfer-Encoding: chunked", "X-Expected-Entity-Length: 4"},
		body:   "3\r\nnew\r\n0\r\n\r\n", status: 400},
	{name: "put_chunked_too_short", method: "PUT", path: "/a.txt",
		fields: f{"Transfer-Encoding: chunked", "X-Expected-Entity-Length: 0"},
		body:   "3\r\nnew\r\n0\r\n\r\n", status: 400},
	{name: "put_two_lengths", method: "PUT", path: "/a.txt", body: "new", fields: f{"X-Expected-Entity-Length: 4"},
		status: 400},
	{name: "put_malformed_length", method: "PUT", path: "/a.txt", body: "new",
		fields: f{"X-Expected-Entity-Length: -3"}, status: 400},
	{name: "put_old_chunking", method: "PUT", path: "/a.txt", body: "new", fields: f{"OC-Chunked: 1"}, status: 501},
	{name: "put_mtime", method: "PUT", path: "/n.txt", body: "new", fields: f{"X-OC-Mtime: 784111777"}, status: 201,
		header: f{"X-OC-Mtime: accepted"}, disk: f{"n.txt=new"}},
	{name: "put_mtime_fraction", method: "PUT", path: "/n.txt", body: "new", fields: f{"X-OC-Mtime: 784111777.25"},
		status: 201,
		header: f{"X-OC-Mtime: accepted"}, disk: f{"n.txt=new"}},
	{name: "put_mtime_malformed", method: "PUT", path: "/a.txt", body: "new", fields: f{"X-OC-Mtime: 0x2ebcb0a1"},
		status: 400},
	{name: "put_mtime_out_of_bounds", method: "PUT", path: "/a.txt", body: "new", fields: f{"X-OC-Mtime: 15032385536"},
		status: 400},
	{name: "put_mtime_twice", method: "PUT", path: "/a.txt", body: "new", fields: f{"X-OC-Mtime: 1", "X-OC-Mtime: 1"},
		status: 400},
}}

// Digests of "new", and of something else.
var (
	sha256New = sha256.Sum256([]byte("new"))
	sha512New = sha512.Sum512([]byte("new"))
	md5New    = md5.Sum([]byte("new"))
	sha1New   = sha1.Sum([]byte("new"))

	digest256 = base64.StdEncoding.EncodeToString(sha256New[:])
	digest512 = base64.StdEncoding.EncodeToString(sha512New[:])
	wrong256  = base64.StdEncoding.EncodeToString(make([]byte, 32))
	wrongMD5  = base64.StdEncoding.EncodeToString(make([]byte, 16))
)

// withDigest is a PUT of "new" with one field.
func withDigest(name, field string, status int) conformanceCase {
	c := conformanceCase{name: name, method: "PUT", path: "/a.txt", body: "new", fields: f{field}, status: status}
	if status == 204 {
		c.disk = f{"a.txt=new"}
	}
	return c
}

var digests = section{title: "Digests that a body must have", text: "The body is `new`. A mismatch changes nothing.",
	cases: []conformanceCase{
		withDigest("content_digest_sha_256", "Content-Digest: sha-256=:"+digest256+":", 204),
		withDigest("content_digest_sha_512", "Content-Digest: sha-512=:"+digest512+":", 204),
		withDigest("content_digest_both", "Content-Digest: sha-512=:"+digest512+":, sha-256=:"+digest256+":", 204),
		withDigest("content_digest_mismatch", "Content-Digest: sha-256=:"+wrong256+":", 422),
		withDigest("content_digest_one_of_two_mismatches", "Content-Digest: sha-512=:"+digest512+":, sha-256=:"+wrong256+":", 422),
		withDigest("content_digest_unknown_algorithm", "Content-Digest: crc32c=:AAAAAA==:", 204),
		withDigest("content_digest_not_base64", "Content-Digest: sha-256=:???:", 400),
		withDigest("content_digest_no_bytes", "Content-Digest: sha-256=1", 400),
		withDigest("content_digest_wrong_size", "Content-Digest: sha-256=:AAAA:", 400),
		withDigest("content_digest_malformed", "Content-Digest: sha-256 "+digest256, 400),
		withDigest("repr_digest", "Repr-Digest: sha-256=:"+digest256+":", 204),
		withDigest("repr_digest_mismatch", "Repr-Digest: sha-256=:"+wrong256+":", 422),
		withDigest("content_md5", "Content-MD5: "+base64.StdEncoding.EncodeToString(md5New[:]), 204),
		withDigest("content_md5_mismatch", "Content-MD5: "+wrongMD5, 422),
		withDigest("content_md5_malformed", "Content-MD5: x", 400),
		withDigest("oc_checksum_sha1", fmt.Sprintf("OC-Checksum: SHA1:%x", sha1New), 204),
		withDigest("oc_checksum_md5", fmt.Sprintf("OC-Checksum: MD5:%x", md5New), 204),
		withDigest("oc_checksum_sha256", fmt.Sprintf("OC-Checksum: SHA256:%X", sha256New), 204),
		withDigest("oc_checksum_adler32", fmt.Sprintf("OC-Checksum: ADLER32:%08x", adler32.Checksum([]byte("new"))), 204),
		withDigest("oc_checksum_several", fmt.Sprintf("OC-Checksum: SHA1:%x MD5:%x", sha1New, md5New), 204),
		withDigest("oc_checksum_mismatch", fmt.Sprintf("OC-Checksum: SHA1:%x", [20]byte{}), 422),
		withDigest("oc_checksum_unknown_type", "OC-Checksum: BLAKE9:00", 204),
		withDigest("oc_checksum_malformed", "OC-Checksum: SHA1:xyz", 400),
		withDigest("oc_checksum_without_type", "OC-Checksum: 0123", 400),
		{name: "digest_lines_are_one_dictionary", method: "PUT", path: "/a.txt", body: "new", status: 422,
			fields: f{"Content-Digest: sha-512=:" + digest512 + ":", "Content-Digest: sha-256=:" + wrong256 + ":"}},
		{name: "digest_in_trailer", method: "PUT", path: "/a.txt", status: 204, disk: f{"a.txt=new"},
			fields: f{"Transfer-Encoding: chunked", "Trailer: Content-Digest"},
			body:   "3\r\nnew\r\n0\r\nContent-Digest: sha-256=:" + digest256 + ":\r\n\r\n"},
		{name: "digest_in_trailer_mismatch", method: "PUT", path: "/a.txt", status: 422,
			fields: f{"Transfer-Encoding: chunked", "Trailer: Repr-Digest"},
			body:   "3\r\nnew\r\n0\r\nRepr-Digest: sha-256=:" + wrong256 + ":\r\n\r\n"},
		{name: "digest_in_unannounced_trailer", method: "PUT", path: "/a.txt", status: 400,
			fields: f{"Transfer-Encoding: chunked"},
			body:   "3\r\nnew\r\n0\r\nRepr-Digest: sha-256=:" + wrong256 + ":\r\n\r\n"},
		{name: "condition_before_digest", method: "PUT", path: "/a.txt", body: "new", status: 412,
			fields: f{"If-Match: {B}", "Content-Digest: sha-256=:" + wrong256 + ":"}},
	}}

var requiring = section{title: "When preconditions are required", cases: []conformanceCase{
	{name: "required_put_without", method: "PUT", path: "/a.txt", body: "new", server: "required", status: 428,
		header: f{"ETag: {A}"}},
	{name: "required_put_with", method: "PUT", path: "/a.txt", body: "new", fields: f{"If-Match: {A}"},
		server: "required",
		status: 204, disk: f{"a.txt=new"}},
	{name: "required_put_with_date", method: "PUT", path: "/a.txt", body: "new",
		fields: f{"If-Unmodified-Since: {future}"},
		server: "required", status: 204, disk: f{"a.txt=new"}},
	{name: "required_put_with_invalid_date", method: "PUT", path: "/a.txt", body: "new",
		fields: f{"If-Unmodified-Since: x"},
		server: "required", status: 428},
	{name: "required_put_new", method: "PUT", path: "/n.txt", body: "new", server: "required", status: 201,
		disk: f{"n.txt=new"}},
	{name: "required_delete_without", method: "DELETE", path: "/a.txt", server: "required", status: 428},
	{name: "required_delete_with", method: "DELETE", path: "/a.txt", fields: f{"If-Match: {A}"}, server: "required",
		status: 204,
		disk:   f{"a.txt=" + nothing}},
	{name: "required_move_without", method: "MOVE", path: "/a.txt", fields: f{"Destination: {dir}/n.txt"},
		server: "required", status: 428,
		disk: f{"n.txt=" + nothing}},
	{name: "required_move_over", method: "MOVE", path: "/a.txt", fields: f{"Destination: {dir}/b.txt", "If-Match: {A}"},
		server: "required", status: 428},
	{name: "required_move_with", method: "MOVE", path: "/a.txt", server: "required", status: 201,
		fields: f{"Destination: {dir}/n.txt", "If-Match: {A}", "Overwrite: F"},
		disk:   f{"n.txt=" + contentA, "a.txt=" + nothing}},
	{name: "required_copy", method: "COPY", path: "/a.txt", fields: f{"Destination: {dir}/n.txt"}, server: "required",
		status: 201,
		disk:   f{"n.txt=" + contentA}},
	{name: "required_mkcol", method: "MKCOL", path: "/n", server: "required", status: 201, disk: f{"n=" + aFolder}},
}}

var deleting = section{title: "DELETE", cases: []conformanceCase{
	{name: "delete_file", method: "DELETE", path: "/a.txt", status: 204, disk: f{"a.txt=" + nothing}},
	{name: "delete_nothing", method: "DELETE", path: "/none", status: 404},
	{name: "delete_nothing_if_match", method: "DELETE", path: "/none", fields: f{"If-Match: {A}"}, status: 404},
	{name: "delete_folder_with_all_it_holds", method: "DELETE", path: "/d/", status: 204,
		disk: f{"d=" + nothing, "d/in.txt=" + nothing}},
	{name: "delete_folder_without_slash", method: "DELETE", path: "/d", status: 204,
		disk: f{"d=" + nothing, "d/in.txt=" + nothing}},
	{name: "delete_folder_depth_zero", method: "DELETE", path: "/d/", fields: f{"Depth: 0"}, status: 400},
	{name: "delete_folder_if_match", method: "DELETE", path: "/d/", fields: f{"If-Match: {A}"}, status: 412,
		header: f{"Freshet-Subtree: {D}", "-ETag"}, answer: `~"current":"\"{D.hex}`},
	{name: "delete_folder_if_match_any", method: "DELETE", path: "/d/", fields: f{"If-Match: *"}, status: 204,
		disk: f{"d=" + nothing, "d/in.txt=" + nothing}},
	{name: "delete_file_with_slash", method: "DELETE", path: "/a.txt/", status: 404},
	{name: "delete_the_root", method: "DELETE", path: "//", status: 405,
		header: f{"Allow: GET, HEAD, OPTIONS, POST, COPY"}},
	{name: "delete_if_match_current", method: "DELETE", path: "/a.txt", fields: f{"If-Match: {A}"}, status: 204,
		disk: f{"a.txt=" + nothing}},
	{name: "delete_if_match_stale", method: "DELETE", path: "/a.txt", fields: f{"If-Match: {B}"}, status: 412,
		header: f{"ETag: {A}"}},
	{name: "delete_if_none_match_any", method: "DELETE", path: "/a.txt", fields: f{"If-None-Match: *"}, status: 412},
	{name: "delete_if_unmodified_since_earlier", method: "DELETE", path: "/a.txt",
		fields: f{"If-Unmodified-Since: {past}"}, status: 412},
	{name: "delete_link_not_what_it_leads_to", method: "DELETE", path: "/link", status: 204,
		given:  "`link` leads to `a.txt`",
		before: linkTo("a.txt"), disk: f{"link=" + nothing, "a.txt=" + contentA}},
	{name: "delete_link_if_match_what_it_leads_to", method: "DELETE", path: "/link", fields: f{"If-Match: {A}"},
		status: 204,
		given:  "`link` leads to `a.txt`", before: linkTo("a.txt"), disk: f{"link=" + nothing, "a.txt=" + contentA}},
	{name: "delete_link_if_match_stale", method: "DELETE", path: "/link", fields: f{"If-Match: {B}"}, status: 412,
		given: "`link` leads to `a.txt`", before: linkTo("a.txt"), disk: f{"link=" + contentA}},
	{name: "delete_file_in_use", method: "DELETE", path: "/a.txt", status: 423, header: f{"Retry-After: 2"},
		given: "a local program has `a.txt` open for writing", before: keepOpen, disk: f{"a.txt=" + contentA}},
}}

// keepOpen holds a file open for writing until the test ends, as a program that has not finished saving does.
func keepOpen(t *testing.T, w *world, dir string) {
	open, err := os.OpenFile(filepath.Join(w.root, dir, "a.txt"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { open.Close() })
}

var makingFolders = section{title: "MKCOL", cases: []conformanceCase{
	{name: "mkcol", method: "MKCOL", path: "/n", status: 201, disk: f{"n=" + aFolder}},
	{name: "mkcol_with_slash", method: "MKCOL", path: "/n/", status: 201, disk: f{"n=" + aFolder}},
	{name: "mkcol_on_folder", method: "MKCOL", path: "/d/", status: 405},
	{name: "mkcol_on_file", method: "MKCOL", path: "/a.txt", status: 405},
	{name: "mkcol_on_the_root", method: "MKCOL", path: "//", status: 405},
	{name: "mkcol_on_folder_with_condition", method: "MKCOL", path: "/d/", fields: f{"If-None-Match: *"}, status: 405},
	{name: "mkcol_without_parent", method: "MKCOL", path: "/none/n", status: 409, disk: f{"none=" + nothing}},
	{name: "mkcol_with_body", method: "MKCOL", path: "/n", body: "x", status: 415, disk: f{"n=" + nothing}},
	{name: "mkcol_if_none_match_any", method: "MKCOL", path: "/n", fields: f{"If-None-Match: *"}, status: 201,
		disk: f{"n=" + aFolder}},
	{name: "mkcol_if_match_any", method: "MKCOL", path: "/n", fields: f{"If-Match: *"}, status: 412,
		disk: f{"n=" + nothing}},
}}
