//go:build linux

package fileserver_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"freshet/fileserver/tree"
	"freshet/hashing"
)

var soak = flag.Bool("soak", false, "run the random tests for a minute instead of moments")

const (
	partiesTime     = 2 * time.Second
	partiesSoakTime = time.Minute
	partiesTimeMax  = 30 * time.Second // that a short run may take until every party has saved leastSaves times
	leastSaves      = 20

	namingClients  = 3 // read, edit, and send back under the tag they read
	blindClients   = 2 // PUT without a condition
	readingClients = 2

	partiesFile = "file.txt"
)

// savedBody is the content of a version, which says which it is. Its length differs from version to version.
func savedBody(id string) []byte {
	return fmt.Appendf(nil, "%s\n%s", id, bytes.Repeat([]byte(id), 1+int(hashing.Sum([]byte(id))[0])))
}

// savedID returns which version a content is; "" if it is none, or not whole.
func savedID(content []byte) string {
	id, _, _ := bytes.Cut(content, []byte("\n"))
	if !bytes.Equal(content, savedBody(string(id))) {
		return ""
	}
	return string(id)
}

// An account says who replaced what, as far as the parties know it themselves.
type account struct {
	mu      sync.Mutex
	saved   []string          // versions that were acknowledged, or that a local program wrote; guarded by mu
	named   map[string]string // version -> the one that replaced it by naming its tag; guarded by mu
	inPlace map[string]string // version -> the one that a local program wrote over it; guarded by mu
	count   map[string]int    // by party; guarded by mu
}

func (a *account) save(party, id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.saved = append(a.saved, id)
	a.count[party]++
}

// least is how often the party has saved that did so least.
func (a *account) least() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	least := len(a.saved)
	for _, party := range partyNames {
		least = min(least, a.count[party])
	}
	return least
}

var partyNames = []string{"by rename", "in place", "by name", "blindly", "not at all"}

// nameReplaced notes an acknowledged swap. Two of them on one version are a lost update.
func (a *account) nameReplaced(t *testing.T, base, id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if before := a.named[base]; before != "" && base != "" {
		t.Errorf("%q was replaced under its tag twice, by %q and by %q", base, before, id)
	}
	a.named[base] = id
}

// A party saves version after version to the one file, or only reads it.
type party struct {
	name  string
	save  func(id string) error
	pause time.Duration // at most, between saves
}

// TestNoPartyLosesAVersion has clients that name what they replace, clients that do not, an editor that saves by rename
// and a program that writes in place all save to one file. Whatever a party wrote is at its name in the end, among the
// versions or in a conflict copy, unless a local program overwrote it: no server sees that coming.
func TestNoPartyLosesAVersion(t *testing.T) {
	t.Parallel()
	for name, folder := range map[string]func(*testing.T) string{
		"memory": fastFolder, "disk": func(t *testing.T) string { return t.TempDir() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root, gone := folder(t), folder(t)
			a := &account{named: map[string]string{}, inPlace: map[string]string{}, count: map[string]int{}}
			t.Run("saving", func(t *testing.T) { a.run(t, root, gone) })
			a.check(t, root, gone)
		})
	}
}

// run lets all parties save. When the test that it runs in ends, the server has settled what it displaced.
func (a *account) run(t *testing.T, root, gone string) {
	first := "the first version"
	if err := os.WriteFile(filepath.Join(root, partiesFile), savedBody(first), 0o644); err != nil {
		t.Fatal(err)
	}
	a.save("the beginning", first)
	w := newWorldOf(t, root, tree.Options{Write: true, VersionsBytesMax: 1 << 40, VersionsFilesMax: 1 << 30})
	d := partiesTime
	if *soak {
		d = partiesSoakTime
	}
	editor := &localEditor{file: filepath.Join(root, partiesFile), gone: gone, account: a}
	parties := []party{
		{"by rename", editor.saveByRename, 3 * time.Millisecond},
		{"in place", editor.saveInPlace, 10 * time.Millisecond},
	}
	for range namingClients {
		parties = append(parties, party{"by name", newPartyClient(t, w, a).saveByTag, 2 * time.Millisecond})
	}
	for range blindClients {
		parties = append(parties, party{"blindly", newPartyClient(t, w, a).saveBlindly, 10 * time.Millisecond})
	}
	for range readingClients {
		parties = append(parties, party{"not at all", newPartyClient(t, w, a).read, time.Millisecond})
	}
	var all sync.WaitGroup
	begun := time.Now()
	goOn := func() bool {
		passed := time.Since(begun)
		return passed < d || passed < partiesTimeMax && a.least() < leastSaves
	}
	for i, p := range parties {
		all.Go(func() {
			for n := 0; goOn(); n++ {
				if err := p.save(fmt.Sprintf("%s, party %d, version %d", p.name, i, n)); err != nil {
					t.Errorf("saving %s: %v", p.name, err)
					return
				}
				time.Sleep(rand.N(p.pause))
			}
		})
	}
	all.Wait()
	s := w.tree.Stats()
	t.Logf("%v; %d commits, %d rolled back, %d conflict copies, %d bodies cut", a.count, s.Commits, s.Rollbacks,
		s.ConflictCopies, s.Torn)
}

// A partyClient is one client of the server.
type partyClient struct {
	t       *testing.T
	url     string
	http    *http.Client
	account *account
}

func newPartyClient(t *testing.T, w *world, a *account) *partyClient {
	c := &partyClient{t, "http://" + w.addr + "/" + partiesFile, &http.Client{Transport: &http.Transport{}}, a}
	t.Cleanup(c.http.CloseIdleConnections)
	return c
}

// get returns a whole body and its tag, which must be its digest; no tag if the server has none, or no body, just now.
func (c *partyClient) get() (content []byte, tag string, err error) {
	reply, err := c.http.Get(c.url)
	if err != nil {
		return nil, "", err
	}
	defer reply.Body.Close()
	content, err = io.ReadAll(reply.Body)
	tag = reply.Header.Get("ETag")
	switch {
	case reply.StatusCode == http.StatusServiceUnavailable:
		return nil, "", nil
	case reply.StatusCode != http.StatusOK:
		return nil, "", fmt.Errorf("GET: %d %s", reply.StatusCode, content)
	case err != nil: // the body was cut since the file changed: then nobody takes it for whole
		return nil, "", nil
	case tag == "" && reply.Header.Get("Cache-Control") != "no-store":
		return nil, "", errors.New("a body without a tag may be kept")
	case tag != "" && hashing.Sum(content).ETag() != tag:
		return nil, "", fmt.Errorf("%.100q came under the tag %s", content, tag)
	}
	return content, tag, nil
}

func (c *partyClient) read(string) error {
	_, tag, err := c.get()
	if tag != "" {
		c.account.mu.Lock()
		c.account.count["not at all"]++
		c.account.mu.Unlock()
	}
	return err
}

func (c *partyClient) saveByTag(id string) error {
	was, tag, err := c.get()
	if err != nil || tag == "" {
		return err
	}
	done, err := c.put(id, tag)
	if done {
		c.account.nameReplaced(c.t, savedID(was), id)
		c.account.save("by name", id)
	}
	return err
}

func (c *partyClient) saveBlindly(id string) error {
	done, err := c.put(id, "")
	if done {
		c.account.save("blindly", id)
	}
	return err
}

// put reports whether the server acknowledged a version. What it may answer otherwise is that another was faster.
func (c *partyClient) put(id, ifMatch string) (done bool, err error) {
	body := savedBody(id)
	r, err := http.NewRequest(http.MethodPut, c.url, bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	if ifMatch != "" {
		r.Header.Set("If-Match", ifMatch)
	}
	reply, err := c.http.Do(r)
	if err != nil {
		return false, err
	}
	defer reply.Body.Close()
	said, err := io.ReadAll(reply.Body)
	if err != nil {
		return false, err
	}
	switch reply.StatusCode {
	case http.StatusNoContent:
		if tag := hashing.Sum(body).ETag(); reply.Header.Get("ETag") != tag {
			return true, fmt.Errorf("PUT of %s is answered with %s", tag, reply.Header.Get("ETag"))
		}
		return true, nil
	case http.StatusPreconditionFailed:
		if ifMatch != "" {
			return false, nil
		}
	case http.StatusLocked, http.StatusServiceUnavailable:
		return false, nil
	}
	return false, fmt.Errorf("PUT: %d %s", reply.StatusCode, said)
}

// A localEditor saves as programs on the same machine do, without asking the server.
type localEditor struct {
	file, gone string
	account    *account
	renames    int
}

// saveByRename puts a new file in the place of the old one. To who looks at the name an exchange is what a rename is; it
// keeps what a rename would have destroyed, for the account.
func (e *localEditor) saveByRename(id string) error {
	e.renames++
	temp := filepath.Join(e.gone, fmt.Sprint(e.renames))
	if err := os.WriteFile(temp, savedBody(id), 0o644); err != nil {
		return err
	}
	err := unix.Renameat2(unix.AT_FDCWD, temp, unix.AT_FDCWD, e.file, unix.RENAME_EXCHANGE)
	if err == nil {
		e.account.save("by rename", id)
	}
	return err
}

// saveInPlace truncates the file and writes it in two steps. Nobody else writes to a file that has its name, so what it
// read before is what it destroys.
func (e *localEditor) saveInPlace(id string) error {
	reader, err := os.Open(e.file)
	if err != nil {
		return err
	}
	defer reader.Close()
	was, err := io.ReadAll(reader)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", reader.Fd()), os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	body := savedBody(id)
	_, err = f.Write(body[:len(body)/2])
	if err == nil {
		_, err = f.Write(body[len(body)/2:])
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	e.account.mu.Lock()
	e.account.inPlace[savedID(was)] = id
	e.account.mu.Unlock()
	e.account.save("in place", id)
	return nil
}

// check looks for every version, and at how those went that are not there any more.
func (a *account) check(t *testing.T, root, gone string) {
	if a.least() < leastSaves {
		t.Errorf("too little happened to prove anything: %v", a.count)
	}
	there := idsIn(t, root)
	versions := idsIn(t, filepath.Join(root, tree.Reserved, "versions"))
	taken := idsIn(t, gone)
	current := currentID(t, root)
	for _, id := range a.saved {
		if !there[id] && !versions[id] && !taken[id] && a.inPlace[id] == "" {
			t.Errorf("%q is nowhere", id)
		}
	}
	for base, by := range a.named {
		if base == "" {
			continue
		}
		if taken[base] {
			t.Errorf("%q was replaced by %q under its tag, though a local editor had put another file in its place", base, by)
		}
		if late := a.inPlace[base]; late != "" && (!there[late] || late == current) {
			t.Errorf("%q was written over %q, which %q replaced under its tag, and did not become a conflict copy", late, base, by)
		}
	}
	checkOnlyCopies(t, root)
}

// idsIn returns which versions are whole in the files of a folder.
func idsIn(t *testing.T, folder string) map[string]bool {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		content, err := os.ReadFile(filepath.Join(folder, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		ids[savedID(content)] = true
	}
	return ids
}

// currentID returns which version the file is.
func currentID(t *testing.T, root string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, partiesFile))
	if err != nil {
		t.Fatal(err)
	}
	return savedID(content)
}

// checkOnlyCopies makes sure that the folder holds nothing but the file and conflict copies of it.
func checkOnlyCopies(t *testing.T, root string) {
	t.Helper()
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if n := e.Name(); n != tree.Reserved && n != partiesFile && !strings.HasPrefix(n, "file (conflict ") {
			t.Errorf("there is %q", n)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(root, tree.Reserved, "stage", "*")); len(left) > 0 {
		t.Errorf("left in the stage folder: %v", left)
	}
}
