package fileserver_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const liveRounds = 150

// A liveReader has what a client of the API knows: the tags of files, by nothing but the feed, and the tags under which it
// last got folders.
type liveReader struct {
	*world
	cursor string
	files  map[string]string // as world.disk
	tree   string            // the tag of the whole tree
	page   string            // the tag of a listing
}

// TestFolderQuestionsAgree has local programs and clients change a tree in turn. After each change, the old tags of the tree
// and of a listing are answered in full if and only if something is different, the feed has led to what is on disk, and who
// made a change has been told a place in the feed that others reach.
func TestFolderQuestionsAgree(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.file(t, "a/b/first", "0")
	r := &liveReader{world: w, cursor: w.changes(t, "").Cursor, files: w.disk(t)}
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	r.look(t, true)
	for round := range liveRounds {
		before := w.disk(t)
		folders := r.folders(t)
		place := r.change(t, random, round)
		after := w.disk(t)
		r.look(t, !maps.Equal(before, after) || folders != r.folders(t))
		r.follow(t)
		if place != "" && !reached(r.cursor, place) {
			t.Errorf("the feed is at %s, the change was at %s", r.cursor, place)
		}
		if !maps.Equal(r.files, after) {
			t.Errorf("the feed led to %v, on disk is %v", r.files, after)
		}
		if t.Failed() {
			t.Fatalf("round %d of seed %d", round, seed)
		}
	}
}

// folders names all folders, as one text.
func (r *liveReader) folders(t *testing.T) string {
	t.Helper()
	var names strings.Builder
	err := filepath.WalkDir(r.root, func(name string, e fs.DirEntry, err error) error {
		if e != nil && e.IsDir() && e.Name() == ".freshet" {
			return fs.SkipDir
		}
		if e != nil && e.IsDir() {
			fmt.Fprintln(&names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names.String()
}

// change makes one change, which may be none, and returns its place in the feed if a client made it.
func (r *liveReader) change(t *testing.T, random *rand.Rand, round int) (place string) {
	t.Helper()
	paths := []string{"a/x", "a/b/x", "a/b/first", "y", "a/c"}
	path, other := paths[random.IntN(len(paths))], paths[random.IntN(len(paths))]
	full := filepath.Join(r.root, path)
	body := fmt.Sprint("round ", round)
	var err error
	switch random.IntN(9) {
	case 0, 1:
		err = os.WriteFile(full, []byte(body), 0o644)
	case 2:
		err = os.Rename(full, filepath.Join(r.root, other))
	case 3:
		err = os.RemoveAll(full)
	case 4:
		err = os.Mkdir(full, 0o755)
	case 5, 6:
		return r.ask(t, "PUT", "/"+path, body).header.Get("Freshet-Seq")
	case 7:
		return r.ask(t, "DELETE", "/"+path, "").header.Get("Freshet-Seq")
	case 8:
		return r.ask(t, "MOVE", "/"+path, "", "Destination: /"+other).header.Get("Freshet-Seq")
	}
	if pathError, link := (*fs.PathError)(nil), (*os.LinkError)(nil); err != nil && !errors.As(err, &pathError) && !errors.As(err, &link) {
		t.Fatal(err)
	}
	return ""
}

// look asks with the tags of the last answers, and makes sure that the answers are about now.
func (r *liveReader) look(t *testing.T, differs bool) {
	t.Helper()
	whole := r.ask(t, "GET", "/.freshet/v1/tree", "", "If-None-Match: "+r.tree)
	if whole.status == 304 && differs || whole.status == 200 && !differs || whole.status != 200 && whole.status != 304 {
		t.Errorf("the tree: %d, though it differs: %v", whole.status, differs)
	}
	page := r.ask(t, "GET", "/a/", "", asJSON, "If-None-Match: "+r.page)
	if page.status == 200 {
		r.compare(t, page.body)
	}
	if whole.status == 304 && page.status == 200 && r.page != "" && !strings.Contains(page.header.Get("ETag"), r.page[:20]) {
		t.Errorf("the tree is as it was, a folder in it is not: %s, %s", r.page, page.header.Get("ETag"))
	}
	if whole.status == 200 {
		r.tree = whole.header.Get("ETag")
	}
	if page.status == 200 {
		r.page = page.header.Get("ETag")
	}
	for path, tag := range map[string]string{"/.freshet/v1/tree": r.tree, "/a/": r.page} {
		if a := r.ask(t, "GET", path, "", asJSON, "If-None-Match: "+tag); a.status != 304 {
			t.Errorf("%s, with the tag %s it was sent under: %d", path, tag, a.status)
		}
	}
}

// compare holds that the files of a listing have the tags of what is on disk.
func (r *liveReader) compare(t *testing.T, body string) {
	t.Helper()
	var listing struct{ Entries []treeEntry }
	if err := json.Unmarshal([]byte(body), &listing); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(body, `"k":"f"`) && len(listing.Entries) == 0 {
		t.Errorf("no entries in %s", body)
	}
	for _, e := range listing.Entries {
		content, err := os.ReadFile(filepath.Join(r.root, "a", e.N))
		if e.K == "f" && (err != nil || e.ETag != tagOf(string(content))) {
			t.Errorf("%s is listed with the tag %s, on disk is %q, %v", e.N, e.ETag, content, err)
		}
	}
}

// follow takes what the feed tells. A folder that is new is read from disk, as one that a client reads again.
func (r *liveReader) follow(t *testing.T) {
	t.Helper()
	for more := true; more; {
		got := r.changes(t, "?since="+r.cursor)
		for _, e := range got.Events {
			path := strings.TrimSuffix(e.P, "/")
			maps.DeleteFunc(r.files, func(name, _ string) bool { return name == path || strings.HasPrefix(name, path+"/") })
			switch {
			case e.Gone:
			case e.K == "d":
				for name, tag := range r.disk(t) {
					if strings.HasPrefix(name, path+"/") {
						r.files[name] = tag
					}
				}
			default:
				r.files[path] = e.ETag
			}
		}
		r.cursor, more = got.Cursor, got.More
	}
}

// reached reports whether a cursor is at a place in the feed, or behind it.
func reached(cursor, place string) bool {
	epoch, at, _ := strings.Cut(cursor, ".")
	same, seq, _ := strings.Cut(place, ".")
	return epoch == same && (len(at) > len(seq) || len(at) == len(seq) && at >= seq)
}
