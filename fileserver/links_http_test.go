//go:build linux

package fileserver_test

import (
	"errors"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"freshet/fileserver/tree"
)

// outward are links out of the root, and what is at their end.
var outward = map[string]string{
	"file_relative":      "../secret",
	"file_absolute":      "{base}/secret",
	"file_in_two_hops":   "file_relative",
	"deep/file":          "../../secret",
	"deep/in_two_hops":   "../folder_relative/secret",
	"folder_relative":    "../outside",
	"folder_absolute":    "{base}/outside",
	"above":              "..",
	"deep/above":         "../..",
	"whole_machine":      "/",
	"own_process":        "/proc/self/cwd",
	"nothing_yet":        "../created",
	"nothing_yet_as_url": "{base}/created",
	"out_and_in_again":   "../root/d",
	"in_by_its_name":     "{base}/root/d",
}

// Paths at or below those links. throughFolder: the last name is not itself the link.
var outwardPaths = []struct {
	path          string
	throughFolder bool
	there         bool // a reader who may go anywhere finds a file
}{
	{path: "/file_relative", there: true},
	{path: "/file_absolute", there: true},
	{path: "/file_in_two_hops", there: true},
	{path: "/deep/file", there: true},
	{path: "/deep/in_two_hops", there: true},
	{path: "/folder_relative"},
	{path: "/folder_absolute"},
	{path: "/nothing_yet"},
	{path: "/nothing_yet_as_url"},
	{path: "/folder_relative/secret", throughFolder: true, there: true},
	{path: "/folder_absolute/secret", throughFolder: true, there: true},
	{path: "/folder_relative/only-here/n", throughFolder: true},
	{path: "/folder_absolute/n", throughFolder: true},
	{path: "/folder_relative/", throughFolder: true},
	{path: "/folder_absolute/", throughFolder: true},
	{path: "/above/secret", throughFolder: true, there: true},
	{path: "/deep/above/secret", throughFolder: true, there: true},
	{path: "/above/outside/n", throughFolder: true},
	{path: "/above/", throughFolder: true},
	{path: "/whole_machine{base}/secret", throughFolder: true, there: true},
	{path: "/whole_machine{base}/outside/n", throughFolder: true},
}

// layLinks puts links back as they were.
func (f *fortress) layLinks(t *testing.T, links map[string]string) {
	t.Helper()
	for name, target := range links {
		full, target := filepath.Join(f.root, name), strings.ReplaceAll(target, "{base}", f.base)
		if got, err := os.Readlink(full); err == nil && got == target {
			continue
		}
		if err := errors.Join(os.RemoveAll(full), os.Symlink(target, full)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLinksOutAreRefused sends every verb through every link out of the root, under each policy. A link itself may be
// moved or removed like a file.
func TestLinksOutAreRefused(t *testing.T) {
	t.Parallel()
	for _, policy := range []tree.Symlinks{tree.SymlinksNever, tree.SymlinksInside, tree.SymlinksAnywhere} {
		t.Run(string(policy), func(t *testing.T) {
			t.Parallel()
			f := newFortress(t, policy)
			for verb, v := range verbs {
				for _, p := range outwardPaths {
					f.restore(t)
					f.layLinks(t, outward)
					request, a := f.try(t, verb, strings.ReplaceAll(p.path, "{base}", f.base))
					reads := v.method == "GET" || v.method == "HEAD" || v.method == "OPTIONS" || verb == "COPY"
					// The refusal of a condition tells the tag, which whoever may read knows.
					if policy == tree.SymlinksAnywhere && (reads || strings.HasPrefix(verb, "PUT_")) {
						f.checkReads(t, request, a, reads && p.there && verb != "OPTIONS")
						continue
					}
					f.check(t, request, a)
					ownLink := (!p.throughFolder || strings.HasSuffix(p.path, "/")) &&
						(v.method == "MOVE" || verb == "DELETE" || verb == "COPY_folder_to")
					if a.status < 400 && !ownLink && verb != "OPTIONS" {
						t.Errorf("%s: %d %v %q", request, a.status, a.header, a.body)
					}
				}
			}
		})
	}
}

// checkReads checks the answer to a reader who may follow links anywhere.
func (f *fortress) checkReads(t *testing.T, request string, a answer, there bool) {
	t.Helper()
	if got := f.outside(t); !maps.Equal(got, f.before) {
		t.Fatalf("%s changed what is outside", request)
	}
	f.checkAnswered(t, request, a)
	if strings.HasPrefix(request, "PUT") && a.status < 400 {
		t.Errorf("%s: %d", request, a.status)
	}
	if there && a.status >= 300 && a.status != http.StatusPreconditionFailed {
		t.Errorf("%s: %d %s", request, a.status, a.body)
	}
}

// TestLinksTellNothing lists links that are not followed: by text and by what is refused, nobody learns what is at their
// ends, or whether anything is.
func TestLinksTellNothing(t *testing.T) {
	t.Parallel()
	for _, policy := range []tree.Symlinks{tree.SymlinksNever, tree.SymlinksInside} {
		f := newFortress(t, policy)
		f.layLinks(t, outward)
		for _, form := range []string{"application/json", "text/plain", "text/html"} {
			for _, folder := range []string{"/", "/deep/"} {
				f.check(t, "GET "+folder, f.ask(t, "GET", folder, "", "Accept: "+form))
			}
		}
		for _, pair := range [][2]string{
			{"/above/secret", "/above/none"}, {"/folder_absolute/secret", "/folder_absolute/none"}, {"/file_relative", "/nothing_yet"},
			{"/file_absolute", "/nothing_yet_as_url"}, {"/folder_relative/only-here/", "/folder_relative/none/"},
		} {
			for _, method := range []string{"GET", "PUT", "OPTIONS", "POST"} {
				there, none := f.ask(t, method, pair[0], "x"), f.ask(t, method, pair[1], "x")
				if there.status != none.status || there.header.Get("Allow") != none.header.Get("Allow") {
					t.Errorf("%s under %s: %s is %d %v, %s is %d %v", method, policy,
						pair[0], there.status, there.header, pair[1], none.status, none.header)
				}
			}
		}
	}
}
