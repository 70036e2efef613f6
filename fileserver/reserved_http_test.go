//go:build linux

package fileserver_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"freshet/fileserver/tree"
)

// reservedSpellings are ways to write the name of the server's own folder.
var reservedSpellings = []string{
	"/.freshet", "/.FRESHET", "/.Freshet", "/%2efreshet", "/%2Efreshet", "/.%66reshet", "/%2E%46%52%45%53%48%45%54",
	"//.freshet", "///%2efreshet", "/./.freshet", "/d/../.freshet", "/.freshet/.", "/d%2f..%2f.freshet", `/\.freshet`,
	"/.fre\u017fhet", "/.fre%c5%bfhet", "/.freshet%00", "http://{host}/.freshet", "/.freshet/ui/../..", "/up/.freshet",
	"/up/up/d/.freshet", "/d/out/root/.freshet", "/whole_machine{base}/root/.freshet", "/root_by_name/.freshet",
	"/own", "/own_by_name", "/up/own", "/kept_by_name", "/own_file", "/own_new_file",
}

// inward are links to the server's own folder and around it.
var inward = map[string]string{
	"own": ".freshet", "own_by_name": "{base}/root/.freshet", "kept_by_name": "{base}/root/.freshet/versions/..", "up": ".",
	"d/out": "../..", "root_by_name": "{base}/root", "whole_machine": "/",
	"own_file": ".freshet" + keptName, "own_new_file": "d/../.freshet/versions/new",
}

// TestReservedFolderIsNowhere puts a secret among the versions and another among what is staged, and asks for them by
// every spelling of the folder's name and through every link to it.
func TestReservedFolderIsNowhere(t *testing.T) {
	t.Parallel()
	for _, policy := range []tree.Symlinks{tree.SymlinksInside, tree.SymlinksAnywhere} {
		t.Run(string(policy), func(t *testing.T) {
			t.Parallel()
			f := newFortress(t, policy)
			staged := f.keepSecrets(t)
			f.layLinks(t, inward)
			for _, spelled := range reservedSpellings {
				spelled = strings.NewReplacer("{host}", f.addr, "{base}", f.base).Replace(spelled)
				for _, below := range []string{staged, keptName, "", "/", "/versions/", "/stage", "/lock"} {
					for verb, v := range verbs {
						if v.method == "GET" || verb == "COPY" || below == keptName || below == "" {
							f.tryReserved(t, spelled, below, verb)
						}
					}
				}
			}
			if got, err := os.ReadFile(filepath.Join(f.root, ".freshet", keptName)); string(got) != "canary of old" {
				t.Errorf("after all that: %q, %v", got, err)
			}
			if got := f.onDisk(t, ".freshet/versions/new"); got != nothing {
				t.Errorf("written through a link: %q", got)
			}
		})
	}
}

const keptName = "/versions/0123456789abcdef" // below the reserved folder

// keepSecrets makes a version and a staged file with a canary in them, and returns the path of the latter below the
// reserved folder.
func (f *fortress) keepSecrets(t *testing.T) (staged string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(f.root, ".freshet", keptName), []byte("canary of old"), 0o644); err != nil {
		t.Fatal(err)
	}
	f.ask(t, "PUT", "/kept.txt", "canary of today")
	f.ask(t, "PUT", "/kept.txt", "nothing to see") // what it displaced is in the stage folder for some seconds
	entries, err := os.ReadDir(filepath.Join(f.root, ".freshet/stage"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Type().IsRegular() {
			return "/stage/" + e.Name()
		}
	}
	t.Fatal("nothing is staged")
	return ""
}

// tryReserved sends a verb about one name. It is refused, unless it is about a link of the user's, which can be moved
// and removed like any other.
func (f *fortress) tryReserved(t *testing.T, spelled, below, verb string) {
	t.Helper()
	request, a := f.try(t, verb, spelled+below)
	f.check(t, request, a)
	v := verbs[verb]
	ownLink := inward[filepath.Base(spelled)] != "" && strings.Trim(below, "/") == ""
	switch {
	case a.status >= 400 && a.status < 500:
	case v.method == "OPTIONS" && a.status == http.StatusNoContent:
	case v.destination && a.status == http.StatusBadGateway:
	case ownLink && (verb == "DELETE" || v.method == "MOVE" || verb == "COPY_folder_to"):
	default:
		t.Errorf("%s: %d %v %q", request, a.status, a.header, a.body)
	}
	f.restore(t)
	f.layLinks(t, inward)
}
