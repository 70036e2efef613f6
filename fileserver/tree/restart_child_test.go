//go:build linux

package tree_test

import (
	"context"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"freshet/fileserver/tree"
	"freshet/hashing"
)

func init() { children["serve"] = serveChild }

// A plan says how a process serves a tree, and at which step it is to die.
type plan struct {
	Write   bool
	State   string
	Keep    time.Duration // between two saves of the cache; 0: as usual
	DieAt   string        // step
	DieHit  int           // how often it is passed before
	BlockAt string        // step that is never left
	Delay   time.Duration // at the step DelayAt
	DelayAt string
}

// A question asks a serving process for one thing, and a reply is what came of it.
type (
	question struct {
		Do       string // "survey", "stat", "changes", "put", "remove", "move", "mkdir", "steps", "stats", "saved" or "written"
		Name, To string
		Body     []byte
		Since    tree.Cursor
		Depth    int
		Wait     time.Duration // how long the question may take
	}
	reply struct {
		Err     string
		Cursor  tree.Cursor
		More    bool
		Subtree hashing.Digest
		Paths   []seenPath // of a survey or, with Gone, of events
		Stats   tree.Stats
		Steps   map[string]int
		Looked  tree.WarmingError // with saysWarming
	}
	seenPath struct {
		Path   string
		Kind   tree.Kind
		Size   int64
		Digest hashing.Digest
		Target string
		Gone   bool
	}
)

// What a reply says of errors that are expected.
const (
	saysWarming  = "warming"
	saysGone     = "cursor is gone: "
	saysRootGone = "root is gone"
	saysNotExist = "does not exist"
	saysLate     = "late"
)

// serveChild serves a tree and answers questions until there are no more, and then stops cleanly.
func serveChild(words []string) error {
	var p plan
	if err := json.Unmarshal([]byte(words[1]), &p); err != nil {
		return err
	}
	steps := p.hook()
	tr, err := tree.New(words[0], tree.Options{Write: p.Write, State: p.State, Log: quiet})
	if err != nil {
		return err
	}
	if p.Keep > 0 {
		tr.KeepEvery(p.Keep)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- tr.Run(ctx) }()
	in, out := gob.NewDecoder(os.Stdin), gob.NewEncoder(os.Stdout)
	for {
		var q question
		if err := in.Decode(&q); errors.Is(err, io.EOF) {
			cancel()
			return errors.Join(<-ended, tr.Close())
		} else if err != nil {
			return err
		}
		a := replyTo(tr, q)
		if q.Do == "steps" {
			a.Steps = steps()
		}
		if err := out.Encode(a); err != nil {
			return err
		}
	}
}

// hook makes the plan's steps happen, and returns how often each was passed.
func (p *plan) hook() (steps func() map[string]int) {
	var mu sync.Mutex
	passed := map[string]int{}
	tree.HookFailpoint(func(step string) error {
		mu.Lock()
		hit := passed[step]
		passed[step]++
		mu.Unlock()
		switch step {
		case p.DieAt:
			if hit >= p.DieHit {
				die()
			}
		case p.BlockAt:
			select {}
		case p.DelayAt:
			time.Sleep(p.Delay)
		}
		return nil
	})
	return func() map[string]int {
		mu.Lock()
		defer mu.Unlock()
		return maps.Clone(passed)
	}
}

func replyTo(tr *tree.Tree, q question) (a reply) {
	ctx := context.Background()
	if q.Wait > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, q.Wait)
		defer cancel()
	}
	var err error
	switch q.Do {
	case "survey":
		err = a.survey(ctx, tr, q)
	case "stat":
		var e tree.Entry
		e, err = tr.Stat(ctx, pathOf(q.Name))
		a.Paths = []seenPath{{Path: q.Name, Kind: e.Kind, Size: e.Size, Digest: e.Digest, Target: e.Target}}
	case "changes":
		err = a.changes(ctx, tr, q)
	case "put":
		err = replaceWith(ctx, tr, pathOf(q.Name), q.Body, nil)
	case "remove":
		_, err = tr.Remove(ctx, pathOf(q.Name), tree.Change{})
	case "move":
		_, err = tr.Move(ctx, pathOf(q.Name), pathOf(q.To), tree.Transfer{})
	case "mkdir":
		_, err = tr.Mkdir(ctx, pathOf(q.Name), tree.Change{})
	case "saved":
		for !tr.Saved() {
			time.Sleep(time.Millisecond)
		}
	case "written":
		for !tr.FeedWritten() {
			time.Sleep(time.Millisecond)
		}
	case "stats":
		a.Stats = tr.Stats()
	}
	var warming *tree.WarmingError
	if errors.As(err, &warming) {
		a.Looked = *warming
	}
	a.Err = sayOf(err)
	return a
}

func sayOf(err error) string {
	var warming *tree.WarmingError
	var gone *tree.CursorGoneError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &warming):
		return saysWarming
	case errors.As(err, &gone):
		return saysGone + gone.Reason
	case errors.Is(err, tree.ErrRootGone):
		return saysRootGone
	case errors.Is(err, context.DeadlineExceeded):
		return saysLate
	case errors.Is(err, tree.ErrNotExist):
		return saysNotExist
	}
	return err.Error()
}

func (a *reply) survey(ctx context.Context, tr *tree.Tree, q question) error {
	p := tree.Path{}
	if q.Name != "" {
		p = pathOf(q.Name)
	}
	s, err := tr.SurveyBelow(ctx, p, q.Depth)
	if err != nil {
		return err
	}
	if len(s.Gone) > 0 {
		return tree.ErrNotExist
	}
	a.Cursor, a.Subtree = s.Cursor, s.Folders[0].Subtree
	for _, f := range s.Folders {
		if !f.Path.IsRoot() {
			a.Paths = append(a.Paths, seenPath{Path: f.Path.String(), Kind: tree.KindFolder})
		}
		for e := range f.Entries() {
			a.Paths = append(a.Paths, seenPath{
				Path: filepath.Join(f.Path.String(), e.Name), Kind: e.Kind, Size: e.Size, Digest: e.Digest, Target: e.Target,
			})
		}
	}
	return nil
}

func (a *reply) changes(ctx context.Context, tr *tree.Tree, q question) error {
	got, err := tr.Changes(ctx, tree.ChangesQuery{Since: q.Since})
	a.Cursor, a.More = got.Cursor, got.More
	for _, e := range got.Events {
		a.Paths = append(a.Paths, seenPath{e.Path.String(), e.Kind, e.Size, e.Digest, e.Target, e.Gone})
	}
	return err
}

// A server is a process that serves a tree.
type server struct {
	t   testing.TB
	cmd *exec.Cmd
	in  *gob.Encoder
	out *gob.Decoder
	end func() error // of questions
}

func serve(t testing.TB, root string, p plan) *server {
	t.Helper()
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	cmd := child(t, "serve", root, string(text))
	asks, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	answers, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return &server{t: t, cmd: cmd, in: gob.NewEncoder(asks), out: gob.NewDecoder(answers), end: asks.Close}
}

// ask asks a question; false if the server died of it, or before.
func (s *server) ask(q question) (a reply, ok bool) {
	if s.in.Encode(q) != nil || s.out.Decode(&a) != nil {
		return reply{}, false
	}
	return a, true
}

// must asks a question that is answered without an error.
func (s *server) must(q question) reply {
	s.t.Helper()
	a, ok := s.ask(q)
	if !ok || a.Err != "" {
		s.t.Fatalf("%s %q: %q, and lives: %v", q.Do, q.Name, a.Err, ok)
	}
	return a
}

// kill ends the process at once, and died waits for one that does so by itself.
func (s *server) kill() {
	s.t.Helper()
	_ = s.cmd.Process.Signal(syscall.SIGCONT)
	_ = s.cmd.Process.Kill()
	s.died()
}

func (s *server) died() {
	s.t.Helper()
	if err := s.cmd.Wait(); !killed(err) {
		s.t.Errorf("the server ended with %v", err)
	}
}

// stop ends the process cleanly.
func (s *server) stop() {
	s.t.Helper()
	if err := errors.Join(s.end(), s.cmd.Wait()); err != nil {
		s.t.Errorf("the server ended with %v", err)
	}
}

// awaitSaved waits until everything that the server knows by now is in its cache.
func (s *server) awaitSaved() {
	s.t.Helper()
	s.must(question{Do: "survey"})
	s.must(question{Do: "saved"})
}

// shows holds that the server's picture of the whole tree is what is on disk.
func (s *server) shows(root string) {
	s.t.Helper()
	want := snapshotOf(s.t, root)
	a := s.must(question{Do: "survey", Depth: -1})
	if a.Subtree != want[""].digest {
		s.t.Errorf("the root has the fingerprint %s, on disk it is %s", a.Subtree, want[""].digest)
	}
	got := snapshot{}
	for _, p := range a.Paths {
		got[p.Path] = seenAs(p.Kind, p.Size, p.Digest, p.Target)
	}
	differences(s.t, "the server", got, want)
}

// A mirror keeps a copy of a tree by its feed, over restarts of the server.
type mirror struct {
	t      testing.TB
	cursor tree.Cursor
	seen   snapshot
	events int
	lost   map[string]int // whole looks, by what the server said of the cursor
}

func newMirror(t testing.TB, s *server) *mirror {
	t.Helper()
	m := &mirror{t: t, lost: map[string]int{}}
	if !m.begin(s) {
		t.Fatal("the server died")
	}
	return m
}

// begin begins with a whole look; false if the server died.
func (m *mirror) begin(s *server) bool {
	m.seen = snapshot{}
	a, ok := s.ask(question{Do: "changes"})
	if !ok || a.Err != "" {
		m.unless(ok, "no cursor: "+a.Err)
		return false
	}
	m.cursor = a.Cursor
	return m.read(s, "")
}

// unless fails the test if a server that lives said something else than an answer.
func (m *mirror) unless(lives bool, what string) {
	m.t.Helper()
	if lives {
		m.t.Error(what)
	}
}

// catchUp takes all events there are; false if the server died.
func (m *mirror) catchUp(s *server) bool {
	m.t.Helper()
	for {
		a, ok := s.ask(question{Do: "changes", Since: m.cursor})
		if strings.HasPrefix(a.Err, saysGone) {
			m.lost[a.Err]++
			return m.begin(s)
		}
		if !ok || a.Err != "" {
			m.unless(ok, fmt.Sprintf("behind %s: %s", m.cursor, a.Err))
			return false
		}
		for _, e := range a.Paths {
			if !m.take(s, e) {
				return false
			}
		}
		m.cursor = a.Cursor
		if !a.More {
			return true
		}
	}
}

func (m *mirror) take(s *server, e seenPath) bool {
	m.events++
	if !e.Gone && e.Kind == tree.KindFolder {
		return m.read(s, e.Path)
	}
	m.drop(e.Path)
	if !e.Gone {
		m.seen[e.Path] = seenAs(e.Kind, e.Size, e.Digest, e.Target)
	}
	return true
}

// read takes a folder as it is now. One that is gone meanwhile has another event.
func (m *mirror) read(s *server, rel string) bool {
	m.t.Helper()
	a, ok := s.ask(question{Do: "survey", Name: rel, Depth: -1})
	if !ok || a.Err != "" && a.Err != saysNotExist {
		m.unless(ok, fmt.Sprintf("survey %q: %s", rel, a.Err))
		return false
	}
	m.drop(rel)
	for _, p := range a.Paths {
		m.seen[p.Path] = seenAs(p.Kind, p.Size, p.Digest, p.Target)
	}
	return true
}

// drop forgets a path and all below it.
func (m *mirror) drop(rel string) {
	maps.DeleteFunc(m.seen, func(name string, _ sight) bool {
		return name == rel || rel == "" || strings.HasPrefix(name, rel+"/")
	})
}

// agrees holds that the copy is what is on disk, once it has caught up.
func (m *mirror) agrees(s *server, root string) {
	m.t.Helper()
	s.must(question{Do: "survey"})
	if !m.catchUp(s) {
		m.t.Fatal("the server died")
	}
	differences(m.t, "the follower", m.seen, snapshotOf(m.t, root))
}

// follows is agrees for a cursor that must not have been lost.
func (m *mirror) follows(s *server, root string) {
	m.t.Helper()
	m.agrees(s, root)
	if len(m.lost) > 0 {
		m.t.Errorf("told %q", slices.Collect(maps.Keys(m.lost)))
	}
}
