//go:build linux

package tree_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"freshet/fileserver/tree"
)

const (
	restartRounds   = 40
	restartSoakTime = 3 * time.Minute
	restartLifeMax  = 120 * time.Millisecond // before a server is killed
)

// TestRestartsAreFollowed kills a server at moments it cannot know, while it makes changes and local programs do, changes more
// while it is down, and starts it again, over and over. From the first answer the tree is what is on disk, and one that
// follows the feed over all of this either knows of everything or is told that it does not.
func TestRestartsAreFollowed(t *testing.T) {
	root := memoryDir(t)
	seed := rand.Uint64()
	c := &churn{root: root, rand: rand.New(rand.NewPCG(seed, 0))}
	p := plan{Write: true, Keep: 15 * time.Millisecond}
	s := serve(t, root, p)
	m := newMirror(t, s)
	began, kills := time.Now(), 0
	for round := 0; round < restartRounds || *tree.Soak && time.Since(began) < restartSoakTime; round++ {
		if c.rand.IntN(5) == 0 {
			c.disturb(s, m, time.Duration(c.rand.Int64N(int64(restartLifeMax))))
			s.stop()
		} else {
			timer := time.AfterFunc(time.Duration(c.rand.Int64N(int64(restartLifeMax))), func() { _ = s.cmd.Process.Kill() })
			c.disturb(s, m, time.Hour)
			timer.Stop()
			s.died()
			kills++
		}
		for range c.rand.IntN(4) {
			c.local()
		}
		s = serve(t, root, p)
		if c.rand.IntN(3) == 0 {
			continue // killed again, at its first look
		}
		s.shows(root)
		m.agrees(s, root)
		if t.Failed() {
			t.Fatalf("round %d of seed %d; the last changes: %q", round, seed, c.log[max(0, len(c.log)-60):])
		}
	}
	s.kill()
	t.Logf("%d kills, %d events, cursors lost: %v", kills, m.events, m.lost)
}

// A churn changes a few files and folders to and fro. Each of the few bodies comes with a modification time of its own, so
// that what was there before is often there again.
type churn struct {
	root string
	rand *rand.Rand
	log  []string
}

var churnNames = []string{"a", "b", "d", "d/a", "d/b", "d/e", "d/e/a", "e", "e/a"}

func (c *churn) name() string { return churnNames[c.rand.IntN(len(churnNames))] }

func (c *churn) path(name string) string { return filepath.Join(c.root, name) }

func (c *churn) say(format string, args ...any) { c.log = append(c.log, fmt.Sprintf(format, args...)) }

// disturb changes and follows until the server dies or the time is over.
func (c *churn) disturb(s *server, m *mirror, life time.Duration) {
	for end := time.Now().Add(life); time.Now().Before(end); {
		lives := true
		switch n := c.rand.IntN(10); {
		case n < 5:
			c.local()
		case n < 7:
			lives = m.catchUp(s)
			c.say("caught up to %s", m.cursor)
		default:
			lives = c.remote(s)
		}
		if !lives {
			return
		}
	}
}

// local makes one change as a local program does.
func (c *churn) local() {
	name, to := c.name(), c.name()
	var err error
	what := ""
	switch c.rand.IntN(8) {
	case 0:
		what, err = "mkdir "+name, os.MkdirAll(c.path(name), 0o755)
	case 1:
		what, err = "rm -r "+name, os.RemoveAll(c.path(name))
	case 2:
		what, err = "mv "+name+" "+to, os.Rename(c.path(name), c.path(to))
	case 3:
		what, err = "rm "+name, os.Remove(c.path(name))
	default:
		n := c.rand.IntN(3)
		what, err = fmt.Sprintf("write %d to %s", n, name), c.write(c.path(name), n)
	}
	if err == nil {
		c.say("%s", what)
	}
}

// write saves one of the bodies in place or by renaming.
func (c *churn) write(name string, n int) error {
	save := name
	if c.rand.IntN(2) == 0 {
		save += ".tmp"
		defer os.Remove(save)
	}
	when := time.Unix(int64(1_000_000_000+n), 0)
	err := errors.Join(os.WriteFile(save, []byte{'0' + byte(n)}, 0o644))
	if err == nil {
		err = os.Chtimes(save, when, when)
	}
	if err == nil && save != name {
		err = os.Rename(save, name)
	}
	return err
}

// remote makes one change through the server; false if it died.
func (c *churn) remote(s *server) bool {
	q := question{Name: c.name(), To: c.name(), Body: []byte{'0' + byte(c.rand.IntN(3))}}
	q.Do = []string{"put", "put", "remove", "move", "mkdir"}[c.rand.IntN(5)]
	a, ok := s.ask(q)
	c.say("%s %s %s %s: %s %v", q.Do, q.Name, q.To, q.Body, a.Err, ok)
	return ok
}
