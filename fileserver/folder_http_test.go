package fileserver_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"freshet/fileserver"
	"freshet/fileserver/tree"
)

// TestListingAfterEachLocalChange is never one that was right a moment ago.
func TestListingAfterEachLocalChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.file(t, "d/e/f", "0")
	tag := ""
	for i := range 150 {
		content := fmt.Sprint(i)
		w.file(t, "d/e/f", content)
		a := w.ask(t, "GET", "/d/", "", asJSON, "If-None-Match: "+tag)
		if a.status != 200 {
			t.Fatalf("%d: %d after a change below", i, a.status)
		}
		tag = a.header.Get("ETag")
		if a = w.ask(t, "GET", "/d/", "", asJSON, "If-None-Match: "+tag); tag != "" && a.status != 304 {
			t.Fatalf("%d: %d though nothing has changed", i, a.status)
		}
		if a = w.ask(t, "GET", "/d/e/", "", asJSON); !strings.Contains(a.body, strings.Trim(tagOf(content), `"`)) {
			t.Fatalf("%d: %s", i, a.body)
		}
	}
}

// TestListingShowsWhatLinksLeadTo has another tag when that changes, though the folder does not.
func TestListingShowsWhatLinksLeadTo(t *testing.T) {
	t.Parallel()
	w := &world{root: t.TempDir()}
	w.file(t, "other/target", "x")
	w.file(t, "d/file", "x")
	if err := os.Symlink("../other/target", filepath.Join(w.root, "d/link")); err != nil {
		t.Fatal(err)
	}
	w = newWorldOf(t, w.root, tree.Options{})
	before := w.ask(t, "GET", "/d/", "")
	w.file(t, "other/target", "longer")
	after := w.ask(t, "GET", "/d/", "", "If-None-Match: "+before.header.Get("ETag"))
	if after.status != 200 || after.header.Get("ETag") == before.header.Get("ETag") {
		t.Errorf("%d %v", after.status, after.header)
	}
	if before.header.Get("Freshet-Subtree") != after.header.Get("Freshet-Subtree") || before.header.Get("Freshet-Subtree") == "" {
		t.Errorf("the fingerprint was %v, is %v", before.header, after.header)
	}
	if err := os.Remove(filepath.Join(w.root, "other/target")); err != nil {
		t.Fatal(err)
	}
	broken := w.ask(t, "GET", "/d/", "", "If-None-Match: "+after.header.Get("ETag"))
	if broken.status != 200 || !strings.Contains(broken.body, "not followed") {
		t.Errorf("%d %.200s", broken.status, broken.body)
	}
}

// TestPartsOfOneListing are held together by the tag of the first part.
func TestPartsOfOneListing(t *testing.T) {
	t.Parallel()
	w := &world{root: t.TempDir()}
	for i := range 10 {
		w.file(t, fmt.Sprintf("d/f%d", i), fmt.Sprint(i))
	}
	w = newWorldOf(t, w.root, tree.Options{Write: true})
	first := w.ask(t, "GET", "/d/?limit=3", "", asJSON)
	var l struct{ Next, Subtree string }
	if err := json.Unmarshal([]byte(first.body), &l); err != nil || l.Next == "" || l.Subtree == "" {
		t.Fatalf("%v %s", err, first.body)
	}
	held := "If-Match: " + first.header.Get("ETag")
	if a := w.ask(t, "GET", "/d/"+l.Next, "", asJSON, held); a.status != 200 {
		t.Errorf("the next part: %d %s", a.status, a.body)
	}
	w.ask(t, "PUT", "/d/f9", "changed")
	if a := w.ask(t, "GET", "/d/"+l.Next, "", asJSON, held); a.status != 412 {
		t.Errorf("the next part after a change: %d %s", a.status, a.body)
	}
}

// TestTagsOfFoldersAreNoTagsOfFiles: folders have no etag in a listing, and a PUT on a fingerprint replaces no file.
func TestTagsOfFoldersAreNoTagsOfFiles(t *testing.T) {
	t.Parallel()
	w := &world{root: t.TempDir()}
	w.file(t, "d/e/f", "x")
	w = newWorldOf(t, w.root, tree.Options{Write: true})
	var l struct{ Entries []map[string]any }
	if err := json.Unmarshal([]byte(w.ask(t, "GET", "/d/", "", asJSON).body), &l); err != nil || len(l.Entries) != 1 {
		t.Fatal(err, l)
	}
	if _, ok := l.Entries[0]["etag"]; ok || l.Entries[0]["subtree"] == nil {
		t.Errorf("%v", l.Entries[0])
	}
	for _, path := range []string{"/d/e", "/d/e/"} {
		if tag := w.ask(t, "MOVE", path, "", "Destination: /n").header.Get("ETag"); tag != "" {
			t.Errorf("the folder moved has the tag %s", tag)
		}
		w.ask(t, "MOVE", "/n", "", "Destination: /d/e")
	}
	page := w.ask(t, "HEAD", "/d/", "").header.Get("ETag")
	w.file(t, "g", "x")
	if a := w.ask(t, "PUT", "/g", "y", "If-Match: "+page); a.status != 412 {
		t.Errorf("a file was replaced on the tag of a folder: %d", a.status)
	}
}

// TestWellKnown says what the server can do, and hides the file of that path.
func TestWellKnown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.file(t, ".well-known/freshet", "a file")
	a := w.ask(t, "GET", "/.well-known/freshet", "")
	var d struct {
		Version            int
		Root, Control, Tag string
		Write              bool
		Features           []string
		Limits             map[string]int
	}
	dec := json.NewDecoder(strings.NewReader(a.body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&d); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
	if d.Version != 1 || d.Root == "" || d.Control != "/.freshet/v1" || d.Tag != "xxh3" || !d.Write {
		t.Errorf("%+v", d)
	}
	for _, feature := range []string{"tree", "changes", "folder-etags"} {
		if !strings.Contains(strings.Join(d.Features, " ")+" ", feature+" ") {
			t.Errorf("%s is not among %v", feature, d.Features)
		}
	}
	for name, n := range d.Limits {
		if n <= 0 {
			t.Errorf("the limit %s is %d", name, n)
		}
	}
	if d.Limits["tree_folders"] != 10_000 || d.Limits["tree_body_bytes"] != 1<<20 {
		t.Errorf("%v", d.Limits)
	}
	for _, refused := range []string{"PUT", "DELETE", "MKCOL", "MOVE", "COPY", "POST"} {
		if b := w.ask(t, refused, "/.well-known/freshet", "", "Destination: /x"); b.status != 405 {
			t.Errorf("%s: %d", refused, b.status)
		}
	}
	if b := w.ask(t, "POST", "/.well-known/", form("file/freshet", "x"), formType); b.status != 400 {
		t.Errorf("a form: %d %s", b.status, b.body)
	}
	if got := w.onDisk(t, ".well-known/freshet"); got != "a file" {
		t.Errorf("on disk is %q", got)
	}
}

// A server that only reads, and one file, have all of it too.
func TestReadingServersTellOfFolders(t *testing.T) {
	t.Parallel()
	w := &world{root: t.TempDir()}
	w.file(t, "d/f", "x")
	w = newWorldOf(t, w.root, tree.Options{}, func(c *fileserver.Config) { c.Name = "reading" })
	a := w.ask(t, "GET", "/.freshet/v1/tree/d/", "")
	if a.status != 200 || a.header.Get("ETag") == "" {
		t.Errorf("%d %v", a.status, a.header)
	}
	if b := w.ask(t, "GET", "/.freshet/v1/tree/d/", "", "If-None-Match: "+a.header.Get("ETag")); b.status != 304 {
		t.Errorf("%d", b.status)
	}
}

// TestFolderThatIsNeverAtRest has no fingerprint while a program goes on writing below: nothing that depends on it is
// promised, and all of it comes back when the program stops.
func TestFolderThatIsNeverAtRest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.file(t, "d/e/log", "")
	if err := os.Truncate(filepath.Join(w.root, "d/e/log"), 12<<20); err != nil { // too much to be copied and looked at
		t.Fatal(err)
	}
	before := w.ask(t, "HEAD", "/.freshet/v1/tree/d/", "").header.Get("Freshet-Subtree")
	if before == "" {
		t.Fatal("there is no fingerprint to begin with")
	}
	stop := keepWriting(t, filepath.Join(w.root, "d/e/log"))
	waitFor(t, func() bool { return w.ask(t, "HEAD", "/.freshet/v1/tree/d/", "").header.Get("ETag") == "" })
	a := w.ask(t, "GET", "/.freshet/v1/tree/d/?depth=2", "", "If-None-Match: "+before)
	if lines := treeLines(t, a); lines[0].Subtree != nil || a.header.Get("Cache-Control") != "no-store" || a.header.Get("ETag") != "" {
		t.Errorf("%v %s", a.header, a.body)
	}
	if l := w.ask(t, "GET", "/d/", "", asJSON); l.status != 200 || l.header.Get("ETag") != "" ||
		l.header.Get("Cache-Control") != "no-store" || !strings.Contains(l.body, `"n":"e","k":"d"`) {
		t.Errorf("%d %v %s", l.status, l.header, l.body)
	}
	refused := w.ask(t, "DELETE", "/d/", "", "If-Match: "+before)
	if refused.status != 503 || !strings.Contains(refused.body, "fingerprint-unknown") || refused.header.Get("Retry-After") == "" {
		t.Errorf("%d %s", refused.status, refused.body)
	}
	if other := w.ask(t, "GET", "/d/e/log", ""); other.status != 200 {
		t.Errorf("the file itself: %d", other.status)
	}
	stop()
	waitFor(t, func() bool { return w.ask(t, "HEAD", "/d/", "").header.Get("ETag") != "" })
}

// keepWriting writes to a file again and again until stop is called.
func keepWriting(t *testing.T, name string) (stop func()) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		defer f.Close()
		for i := 0; ; i++ {
			_, _ = f.WriteAt(fmt.Append(nil, i), 0)
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond):
			}
		}
	}()
	stop = sync.OnceFunc(func() { close(done); <-ended })
	t.Cleanup(stop)
	return stop
}

// TestRootThatIsGone is a refusal, and no empty tree.
func TestRootThatIsGone(t *testing.T) {
	t.Parallel()
	outer := t.TempDir()
	w := &world{root: filepath.Join(outer, "root")}
	w.file(t, "a", "x")
	w = newWorldOf(t, w.root, tree.Options{})
	cursor := w.changes(t, "").Cursor
	if err := os.Rename(w.root, filepath.Join(outer, "elsewhere")); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/", "/.freshet/v1/tree/", "/.freshet/v1/tree/?depth=infinity", "/.freshet/v1/changes?since=" + cursor} {
		if a := w.ask(t, "GET", path, "", asJSON); a.status != 503 || !strings.Contains(a.body, ":root-gone") {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	if a := w.ask(t, "POST", "/.freshet/v1/tree", `{"have":{"":null}}`, jsonBody); a.status != 503 {
		t.Errorf("a question: %d %s", a.status, a.body)
	}
}
