//go:build linux

package tree_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// fast is a plan under which the cache follows closely.
var fast = plan{Write: true, Keep: 5 * time.Millisecond}

// awaitStep waits until a server has passed a step some times more than it had, or has died.
func (s *server) awaitStep(step string, times int) {
	s.t.Helper()
	first, _ := s.ask(question{Do: "steps"})
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		a, ok := s.ask(question{Do: "steps"})
		if !ok || a.Steps[step] >= first.Steps[step]+times {
			return
		}
		if time.Now().After(end) {
			s.t.Fatalf("the server never comes by %q", step)
		}
	}
}

func write(t testing.TB, root, name, body string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(root, name), []byte(body), 0o644); err != nil {
		t.Fatal(err)
	}
}

func removeAll(t testing.TB, root, name string) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(root, name)); err != nil {
		t.Fatal(err)
	}
}

// TestRestartAfterEveryStep kills a server at each step between a change and its being known on disk, and at those of the first
// look after a restart. Some of the changes are undone before the next start.
func TestRestartAfterEveryStep(t *testing.T) {
	for _, step := range liveSteps {
		for hit := range 2 {
			t.Run(fmt.Sprint(step, hit), func(t *testing.T) {
				root := memoryDir(t)
				world{"a": "1", "b": "2", "d": "/", "d/a": "3", "d/b": "4", "e": "/", "e/a": "5"}.make(t, root)
				s := serve(t, root, fast)
				m := newMirror(t, s)
				s.awaitSaved()
				s.stop()
				write(t, root, "d/a", "changed offline")
				removeAll(t, root, "e")
				p := fast
				p.DieAt, p.DieHit = step, hit
				s = serve(t, root, p)
				dies := m.catchUp(s)
				for i := 0; dies && i < 20; i++ {
					write(t, root, "b", fmt.Sprint("local ", i))
					write(t, root, "new", "local")
					_, lives := s.ask(question{Do: "put", Name: "put", Body: []byte(fmt.Sprint("remote ", i))})
					dies = lives && m.catchUp(s)
				}
				s.kill()
				removeAll(t, root, "new")
				write(t, root, "b", "2")
				world{"e": "/", "e/b": "back"}.make(t, root)
				s = serve(t, root, fast)
				s.shows(root)
				m.agrees(s, root)
				s.kill()
			})
		}
	}
}

// TestCacheIsNotAhead kills a server whose feed cannot be written while its cache can: what the feed never told is not taken
// for known.
func TestCacheIsNotAhead(t *testing.T) {
	root := memoryDir(t)
	world{"a": "one", "d": "/", "d/b": "two"}.make(t, root)
	s := serve(t, root, fast)
	m := newMirror(t, s)
	s.awaitSaved()
	s.stop()
	write(t, root, "d/b", "changed offline")
	p := fast
	p.BlockAt, p.DieAt = "save-feed", "saved"
	s = serve(t, root, p)
	s.awaitStep("save-feed", 1)
	time.Sleep(20 * time.Millisecond) // a cache that does not wait for the feed is written meanwhile
	s.kill()
	s = serve(t, root, fast)
	m.follows(s, root)
	s.kill()
}

// TestCacheIsBehind kills a server whose cache cannot be written while its feed can: what the feed told is not forgotten.
func TestCacheIsBehind(t *testing.T) {
	for _, removed := range []string{"new", "d/new", "e", "d"} {
		t.Run(strings.ReplaceAll(removed, "/", "_"), func(t *testing.T) {
			root := memoryDir(t)
			world{"a": "one", "d": "/", "d/b": "two", "c": "three"}.make(t, root)
			s := serve(t, root, fast)
			m := newMirror(t, s)
			s.awaitSaved()
			s.stop()
			p := fast
			p.BlockAt = "save"
			s = serve(t, root, p)
			m.follows(s, root)
			world{"new": "n", "d/new": "n", "e": "/", "e/f": "n"}.make(t, root)
			removeAll(t, root, "c")
			m.follows(s, root)
			s.must(question{Do: "written"})
			s.kill()
			removeAll(t, root, removed)
			s = serve(t, root, fast)
			m.agrees(s, root)
			s.kill()
		})
	}
}

// TestPlacesAreGivenOnce kills a server whose feed cannot be written, after it has told of changes. The places that it gave
// them are not given to others, and one that was told so much compares everything.
func TestPlacesAreGivenOnce(t *testing.T) {
	root := memoryDir(t)
	s := serve(t, root, fast)
	m := newMirror(t, s)
	s.awaitSaved()
	s.stop()
	p := fast
	p.BlockAt = "save-feed"
	s = serve(t, root, p)
	m.follows(s, root)
	for _, name := range []string{"v", "w", "x", "y", "z"} {
		write(t, root, name, "told")
		m.follows(s, root)
	}
	s.kill()
	for _, name := range []string{"1", "2", "3"} {
		write(t, root, name, "not told")
	}
	s = serve(t, root, fast)
	m.agrees(s, root)
	if len(m.lost) != 1 || m.lost[saysGone+"gap"] != 1 {
		t.Errorf("told %v", m.lost)
	}
	s.kill()
}

// TestRestartsCostNothing starts a server again and again without anything having changed: nobody is told of anything.
func TestRestartsCostNothing(t *testing.T) {
	root := t.TempDir()
	needDisk(t, root)
	world{"a": "one", "d": "/", "d/b": "two", "l": "-> d", "e": "/"}.make(t, root)
	s := serve(t, root, fast)
	m := newMirror(t, s)
	s.must(question{Do: "put", Name: "d/c", Body: []byte("three")})
	m.follows(s, root)
	for i, end := range slices.Repeat([]func(*server){(*server).stop, (*server).kill}, 2) {
		s.awaitSaved()
		end(s)
		s = serve(t, root, fast)
		before := m.events
		m.follows(s, root)
		if m.events != before {
			t.Errorf("start %d: told of %d events", i, m.events-before)
		}
		if n := s.must(question{Do: "stats"}).Stats.HashedInBackground; n != 0 {
			t.Errorf("start %d: hashed %d files", i, n)
		}
	}
	s.kill()
}
