package fileserver_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"freshet/fileserver/tree"
)

// A treeEntry is an entry as answers about folders have it.
type treeEntry struct {
	N, K, Mtime, ETag, Target string
	N64                       []byte
	Size                      int64
	Subtree                   *string
}

// A treeLine is one line of an answer about folders.
type treeLine struct {
	Cursor, Subtree *string
	Dir             *string
	Dir64           []byte
	Entries         []treeEntry
	More, Gone, End bool
	Later           bool
}

// treeLines reads the lines of an answer, which must be whole.
func treeLines(t *testing.T, a answer) (lines []treeLine) {
	t.Helper()
	if a.status != 200 || a.cut {
		t.Fatalf("%d %v %.300s", a.status, a.header, a.body)
	}
	for text := range strings.Lines(a.body) {
		d := json.NewDecoder(strings.NewReader(text))
		d.DisallowUnknownFields()
		var l treeLine
		if err := d.Decode(&l); err != nil {
			t.Fatalf("%v in %.300s", err, text)
		}
		lines = append(lines, l)
	}
	if len(lines) < 2 || lines[0].Cursor == nil || !lines[len(lines)-1].End {
		t.Fatalf("no first or no last line: %.300s", a.body)
	}
	return lines
}

// gather puts the lines of each folder together.
func gather(lines []treeLine) map[string][]treeEntry {
	folders := map[string][]treeEntry{}
	for _, l := range lines[1 : len(lines)-1] {
		dir := string(l.Dir64)
		if l.Dir != nil {
			dir = *l.Dir
		}
		if l.Gone || l.Later {
			continue
		}
		folders[dir] = append(folders[dir], l.Entries...)
	}
	return folders
}

func (w *world) askTree(t *testing.T, body string) []treeLine {
	t.Helper()
	return treeLines(t, w.ask(t, "POST", "/.freshet/v1/tree", body, jsonBody))
}

// TestLargeFolderComesInSeveralLines bounds the length of a line, so that neither side holds a whole folder as text.
func TestLargeFolderComesInSeveralLines(t *testing.T) {
	t.Parallel()
	const files = 2000
	w := &world{root: t.TempDir()}
	for i := range files {
		w.file(t, fmt.Sprintf("large/%s%04d", strings.Repeat("n", 60), i), "")
	}
	w.file(t, "small", "x")
	w = newWorldOf(t, w.root, tree.Options{})
	a := w.ask(t, "GET", "/.freshet/v1/tree/?depth=infinity", "")
	lines := treeLines(t, a)
	for text := range strings.Lines(a.body) {
		if len(text) > 128<<10 {
			t.Errorf("a line has %d bytes", len(text))
		}
	}
	parts := 0
	for i, l := range lines {
		if l.Dir != nil && *l.Dir == "large/" {
			parts++
			if next := lines[i+1].Dir; l.More != (next != nil && *next == "large/") {
				t.Errorf("line %d says that more follows: %v", i, l.More)
			}
		}
	}
	folders := gather(lines)
	if len(folders["large/"]) != files || len(folders[""]) != 2 || parts < 3 {
		t.Errorf("%d entries in %d lines, %d in the root", len(folders["large/"]), parts, len(folders[""]))
	}
	if !slices.IsSortedFunc(folders["large/"], func(a, b treeEntry) int { return strings.Compare(a.N, b.N) }) {
		t.Error("the entries are not in the order of their names")
	}
	if got := a.header.Get("Freshet-Files"); got != fmt.Sprint(files+1) {
		t.Errorf("%s files", got)
	}
}

// TestNamesThatAreNotUTF8 come in base64 and are asked for in base64.
func TestNamesThatAreNotUTF8(t *testing.T) {
	t.Parallel()
	w := &world{root: t.TempDir()}
	w.file(t, "a\xff/b\xfe", "x")
	w = newWorldOf(t, w.root, tree.Options{})
	lines := w.askTree(t, `{"have64":{"Yf8v":null}}`)
	entries := gather(lines)["a\xff/"]
	if len(entries) != 1 || string(entries[0].N64) != "b\xfe" || entries[0].ETag != tagOf("x") {
		t.Errorf("%+v", lines)
	}
}

// A puller keeps a copy of a tree by asking which folders differ, as a sync client does.
type puller struct {
	w      *world
	prints map[string]string // of the folders that it has
	files  map[string]string // their tags
	rounds int
	asked  int // folders that came
}

// pull asks until all folders are as they were in one state. The limit of entries makes it ask again.
func (p *puller) pull(t *testing.T, limit int) {
	t.Helper()
	ask := map[string]string{"": p.prints[""]}
	for len(ask) > 0 {
		if p.rounds++; p.rounds > 200 {
			t.Fatal("the copy does not settle")
		}
		var have []string
		for dir, print := range ask {
			value := "null"
			if print != "" {
				value = `"` + print + `"`
			}
			key, _ := json.Marshal(dir)
			have = append(have, string(key)+":"+value)
		}
		lines := p.w.askTree(t, fmt.Sprintf(`{"have":{%s},"limit":%d}`, strings.Join(have, ","), limit))
		asked := ask
		ask = map[string]string{}
		for _, l := range lines[1 : len(lines)-1] {
			switch {
			case l.Gone:
				p.forget(*l.Dir)
			case l.Later:
				ask[*l.Dir] = asked[*l.Dir]
			default:
				p.take(t, &l, ask)
			}
		}
	}
}

// take makes a folder what a line says, and notes which folders below differ.
func (p *puller) take(t *testing.T, l *treeLine, ask map[string]string) {
	t.Helper()
	p.asked++
	if l.More || l.Subtree == nil {
		t.Fatalf("%+v", l)
	}
	dir, seen := *l.Dir, map[string]bool{}
	for _, e := range l.Entries {
		seen[dir+e.N] = true
		if e.K != "d" {
			p.files[dir+e.N] = e.ETag
			continue
		}
		sub := dir + e.N + "/"
		if p.prints[sub] != *e.Subtree {
			ask[sub] = p.prints[sub]
		}
	}
	for name := range p.files {
		if rest, ok := strings.CutPrefix(name, dir); ok && !strings.Contains(rest, "/") && !seen[name] {
			delete(p.files, name)
		}
	}
	for sub := range p.prints {
		rest, ok := strings.CutPrefix(sub, dir)
		if first, _, below := strings.Cut(rest, "/"); ok && below && !seen[dir+first] {
			p.forget(sub)
		}
	}
	p.prints[dir] = *l.Subtree
}

func (p *puller) forget(dir string) {
	maps.DeleteFunc(p.files, func(name, _ string) bool { return strings.HasPrefix(name, dir) })
	maps.DeleteFunc(p.prints, func(name, _ string) bool { return strings.HasPrefix(name, dir) })
}

// disk returns the tags of all files, as they are.
func (w *world) disk(t *testing.T) map[string]string {
	t.Helper()
	tags := map[string]string{}
	err := filepath.WalkDir(w.root, func(name string, e os.DirEntry, err error) error {
		rel, _ := filepath.Rel(w.root, name)
		switch {
		case err != nil:
			return err
		case rel == tree.Reserved:
			return filepath.SkipDir
		case !e.IsDir():
			b, err := os.ReadFile(name)
			tags[rel] = tagOf(string(b))
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return tags
}

// TestPullByDescent keeps a copy up with local changes, and asks only for what differs.
func TestPullByDescent(t *testing.T) {
	t.Parallel()
	w := &world{root: t.TempDir()}
	for i := range 60 {
		w.file(t, fmt.Sprintf("a%d/b%d/f%d", i%3, i%5, i), fmt.Sprint(i))
	}
	w = newWorldOf(t, w.root, tree.Options{Write: true})
	p := puller{w: w, prints: map[string]string{}, files: map[string]string{}}
	check := func(what string) {
		t.Helper()
		if want := w.disk(t); !maps.Equal(p.files, want) {
			t.Fatalf("after %s: the copy is %v, the disk %v", what, p.files, want)
		}
	}
	p.pull(t, 1)
	check("the first pull with a limit")
	p.asked = 0
	p.pull(t, 5000)
	if p.asked != 0 {
		t.Errorf("%d folders came though nothing had changed", p.asked)
	}
	w.file(t, "a1/b1/new", "x")
	p.pull(t, 5000)
	check("a new file")
	if p.asked != 3 {
		t.Errorf("%d folders came for one change in the third level", p.asked)
	}
	if err := os.RemoveAll(filepath.Join(w.root, "a1")); err != nil {
		t.Fatal(err)
	}
	p.pull(t, 5000)
	check("the removal of a folder")
	if err := os.Rename(filepath.Join(w.root, "a2"), filepath.Join(w.root, "a0/moved")); err != nil {
		t.Fatal(err)
	}
	p.pull(t, 2)
	check("the move of a folder, with a limit")
}

// TestDescentIsOfOneState reads a whole tree while two files are written again and again: what comes of each folder is what
// the folder above says of it, and one fingerprint never stands for two states.
func TestDescentIsOfOneState(t *testing.T) {
	t.Parallel()
	w := &world{root: t.TempDir()}
	w.file(t, "a/x", "1")
	w.file(t, "b/x", "1")
	w = newWorldOf(t, w.root, tree.Options{Write: true})
	stop := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		for i := 0; ; i++ {
			for _, dir := range []string{"a", "b"} {
				_ = os.WriteFile(filepath.Join(w.root, dir, "x"), fmt.Append(nil, i), 0o644)
			}
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
		}
	})
	seen := map[string]string{}
	for range 60 {
		lines := treeLines(t, w.ask(t, "GET", "/.freshet/v1/tree/?depth=infinity", ""))
		prints := map[string]string{}
		for _, l := range lines[1 : len(lines)-1] {
			prints[*l.Dir] = orNull(l.Subtree)
		}
		folders := gather(lines)
		for _, e := range folders[""] {
			if print := orNull(e.Subtree); print != prints[e.N+"/"] {
				t.Errorf("the root has %s for %s, which is %s", print, e.N, prints[e.N+"/"])
			}
		}
		if lines[0].Subtree == nil {
			continue
		}
		state := folders["a/"][0].ETag + folders["b/"][0].ETag
		if other, ok := seen[prints[""]]; ok && other != state {
			t.Errorf("%s is %s and %s", prints[""], state, other)
		}
		seen[prints[""]] = state
	}
	close(stop)
	writer.Wait()
	if len(seen) < 2 {
		t.Errorf("only %d states were seen", len(seen))
	}
}

func orNull(print *string) string {
	if print == nil {
		return "null"
	}
	return *print
}

// TestDeleteOfAFolderAgainstAChange lets one client remove a folder on condition that it is as it was, and another write into
// it: never do both succeed.
func TestDeleteOfAFolderAgainstAChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	outcomes := map[string]int{}
	for i := range 40 {
		dir := fmt.Sprintf("/d%d", i)
		w.file(t, dir+"/in/a", "old")
		tag := w.ask(t, "HEAD", "/.freshet/v1/tree"+dir, "").header.Get("Freshet-Subtree")
		if tag == "" {
			t.Fatal("the folder has no fingerprint")
		}
		var both sync.WaitGroup
		var removed, written answer
		both.Go(func() { removed = w.ask(t, "DELETE", dir+"/", "", "If-Match: "+tag) })
		both.Go(func() { written = w.ask(t, "PUT", dir+"/in/a", "new") })
		both.Wait()
		outcome := fmt.Sprintf("removed %d, written %d", removed.status, written.status)
		outcomes[outcome]++
		switch {
		case removed.status == 204 && written.status >= 400:
		case removed.status != 204 && removed.status >= 400 && written.status == 204:
			if got := w.onDisk(t, dir+"/in/a"); got != "new" {
				t.Errorf("%s: on disk is %q", outcome, got)
			}
		default:
			t.Errorf("%s: %s %s", outcome, removed.body, written.body)
		}
	}
	t.Log(outcomes)
}

// TestDeleteAfterALocalChange refuses to remove a folder in which a local program has written a moment ago.
func TestDeleteAfterALocalChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 40 {
		w.file(t, "d/in/deep/a", fmt.Sprint(i))
		tag := w.ask(t, "HEAD", "/d/", "").header.Get("ETag")
		w.file(t, "d/in/deep/a", fmt.Sprint(i, "changed"))
		if a := w.ask(t, "DELETE", "/d/", "", "If-Match: "+tag); a.status != 412 && a.status != 503 {
			t.Fatalf("%d: %d %s", i, a.status, a.body)
		}
	}
}
