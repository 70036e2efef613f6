//go:build linux

package tree_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"freshet/fileserver/tree"
	"freshet/hashing"
)

const (
	loadWriters   = 4
	loadBytesMax  = 300 << 10
	loadRounds    = 15
	loadSoakTime  = time.Minute
	loadCheckTime = 20 * time.Second // for one round
)

var loadNames = []string{"a", "b", "d/c"}

// TestKilledUnderLoad kills a process in which several writers change a few files, at a moment it cannot know, again and
// again. What is on disk afterwards must be explained by some order of the changes that the writers were told of, and of
// those that nobody was told of; no body is torn; and none that was acknowledged is lost: what is not in the tree any more
// is in the versions.
func TestKilledUnderLoad(t *testing.T) {
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "d"), 0o755); err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()
	began, outcomes := time.Now(), map[string]int{}
	for round := 0; round < loadRounds || *tree.Soak && time.Since(began) < loadSoakTime; round++ {
		before, err := loadState(root)
		if err != nil {
			t.Fatal(err)
		}
		history := loadAndKill(t, root, seed+uint64(round), time.Duration(20+rand.IntN(100))*time.Millisecond)
		newTreeClosed(t, root)
		checkLoad(t, root, before, history)
		for _, c := range history {
			outcomes[c.outcome]++
		}
		if t.Failed() {
			t.Fatalf("round %d of seed %d", round, seed)
		}
	}
	t.Logf("calls by outcome, without one if the process was killed: %v", outcomes)
}

// newTreeClosed opens the tree, which recovers it, and closes it again.
func newTreeClosed(t *testing.T, root string) {
	t.Helper()
	tr, err := tree.New(root, tree.Options{Write: true, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.Close(); err != nil {
		t.Fatal(err)
	}
	checkStateFolder(t, root)
}

// A call is one change that a writer made, or began to make.
type call struct {
	writer       int
	verb         string // put, replace, delete, move, and read for what is found at last
	name, second string // second is the destination of a move
	body         string // digest of what was brought, or found; "" is nothing
	expected     string // digest that a replace was on condition of
	outcome      string // "" for a call that did not return
	began, ended int64
}

// body makes bytes of which it can be told whether they are whole.
func body(id string, size int) []byte {
	b := fmt.Appendf(nil, "%s %d\n", id, size)
	r := rand.New(rand.NewPCG(uint64(size), uint64(hashing.Sum(b)[0])))
	for len(b) < size {
		b = append(b, byte(r.Uint32()))
	}
	return b
}

// nameOf returns what a call names a body by, or why it is torn.
func nameOf(b []byte) (string, error) {
	line, _, _ := bytes.Cut(b, []byte("\n"))
	id, size, _ := strings.Cut(string(line), " ")
	n, err := strconv.Atoi(size)
	if err != nil || n > loadBytesMax || !bytes.Equal(b, body(id, n)) {
		return "", fmt.Errorf("torn: %d bytes, beginning with %.60q", len(b), b)
	}
	return hashing.Sum(b).String(), nil
}

// loadState returns the digests of what is in the tree, by name.
func loadState(root string) (map[string]string, error) {
	state := map[string]string{}
	found, err := look(root)
	for name, content := range found {
		if content == "/" {
			continue
		}
		if !slices.Contains(loadNames, name) {
			return nil, fmt.Errorf("%q is in the tree", name)
		}
		if state[name], err = nameOf([]byte(content)); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return state, err
}

// loadAndKill runs the writers for a while and returns what they said they did.
func loadAndKill(t *testing.T, root string, seed uint64, after time.Duration) []*call {
	t.Helper()
	cmd := child(t, "load", root, strconv.FormatUint(seed, 10))
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	var calls []*call
	open := map[string]*call{}
	lines := bufio.NewScanner(out)
	for now := int64(1); lines.Scan(); now++ {
		if now == 1 {
			time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
		}
		// "began" writer verb name second body expected, or "ended" writer outcome
		w := strings.Split(lines.Text(), " ")
		if w[0] == "began" {
			n, _ := strconv.Atoi(w[1])
			c := &call{writer: n, verb: w[2], name: w[3], second: w[4], body: w[5], expected: w[6], began: now}
			open[w[1]], calls = c, append(calls, c)
			continue
		}
		if w[0] != "ended" {
			t.Fatalf("the writers said %q", lines.Text())
		}
		open[w[1]].outcome, open[w[1]].ended = w[2], now
		if !slices.Contains([]string{"done", "refused", "failed"}, w[2]) {
			t.Errorf("%+v", *open[w[1]])
		}
	}
	if err := cmd.Wait(); !killed(err) {
		t.Fatalf("the writers ended with %v", err)
	}
	return calls
}

// checkLoad compares what is on disk with what the writers were told, and empties the versions.
func checkLoad(t *testing.T, root string, before map[string]string, calls []*call) {
	t.Helper()
	after, err := loadState(root)
	if err != nil {
		t.Error(err)
		return
	}
	kept := loadVersions(t, root)
	for id := range maps.Values(after) {
		kept[id] = true
	}
	end := int64(len(calls)*2 + 2)
	var history []porcupine.Operation
	add := func(c *call) {
		history = append(history, porcupine.Operation{ClientId: c.writer, Input: c, Call: c.began, Return: c.ended})
	}
	for _, c := range calls {
		if c.outcome == "done" && c.body != "-" && !kept[c.body] {
			t.Errorf("%s of %s at %s was acknowledged and is nowhere", c.verb, c.body, c.name)
		}
		if c.outcome == "" {
			c.ended = end
		}
		add(c)
	}
	for i, name := range loadNames {
		add(&call{writer: loadWriters + i, verb: "read", name: name, body: after[name], began: end + 1, ended: end + 2})
	}
	model := loadModel(before)
	if porcupine.CheckOperationsTimeout(model, history, loadCheckTime) != porcupine.Ok {
		t.Errorf("before: %v, after: %v; no order of these explains it:", before, after)
		for _, c := range calls {
			t.Errorf("%+v", *c)
		}
	}
}

// loadVersions returns the digests of the versions, and removes them.
func loadVersions(t *testing.T, root string) map[string]bool {
	t.Helper()
	kept := map[string]bool{}
	files, _ := filepath.Glob(filepath.Join(root, tree.Reserved, "versions", "*"))
	for _, name := range files {
		if !strings.HasSuffix(name, ".r") {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			id, err := nameOf(b)
			if err != nil {
				t.Errorf("version %s: %v", name, err)
			}
			kept[id] = true
		}
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	return kept
}

// loadModel is the tree as its callers see it: names that hold digests.
func loadModel(before map[string]string) porcupine.Model {
	type state = [3]string
	return (&porcupine.NondeterministicModel{
		Init: func() []any {
			var s state
			for i, name := range loadNames {
				s[i] = before[name]
			}
			return []any{s}
		},
		Step: func(s, input, _ any) []any {
			c := input.(*call)
			next, ok := c.apply(s.(state))
			switch {
			case c.outcome == "" && c.verb != "read" && ok:
				return []any{next, s}
			case c.outcome == "" && c.verb != "read", c.outcome == "failed":
				return []any{s}
			case ok != (c.outcome == "done" || c.verb == "read"):
				return nil
			}
			return []any{next}
		},
	}).ToModel()
}

// apply returns what a call makes of a state; ok is false, and nothing changes, if it must be refused.
func (c *call) apply(s [3]string) (next [3]string, ok bool) {
	at, to := slices.Index(loadNames, c.name), slices.Index(loadNames, c.second)
	next = s
	switch c.verb {
	case "read":
		return s, s[at] == c.body
	case "put":
		next[at] = c.body
	case "replace":
		if s[at] != c.expected {
			return s, false
		}
		next[at] = c.body
	case "delete":
		next[at] = ""
		return next, s[at] != ""
	case "move":
		next[to], next[at] = s[at], ""
		if s[at] == "" {
			return s, false
		}
	}
	return next, true
}

// loadChild changes a few files until it is killed, and says so before and after each change.
func loadChild(words []string) error {
	seed, err := strconv.ParseUint(words[1], 10, 64)
	if err != nil {
		return err
	}
	tr, err := tree.New(words[0], tree.Options{Write: true, Log: quiet})
	if err != nil {
		return err
	}
	go func() {
		for range time.Tick(10 * time.Millisecond) {
			tr.Settle(time.Now().Add(time.Hour)) // so that versions are made before the process is killed
		}
	}()
	var all sync.WaitGroup
	for n := range loadWriters {
		w := &loadWriter{tree: tr, n: n, rand: rand.New(rand.NewPCG(seed, uint64(n))), run: fmt.Sprintf("%x", seed)}
		all.Go(func() {
			for {
				w.step()
			}
		})
	}
	all.Wait()
	return tr.Run(context.Background())
}

// A loadWriter is one of the writers of loadChild.
type loadWriter struct {
	tree *tree.Tree
	n    int
	run  string
	rand *rand.Rand
	made int
}

// step makes one change.
func (w *loadWriter) step() {
	ctx := context.Background()
	at := w.rand.IntN(len(loadNames))
	name := loadNames[at]
	switch w.rand.IntN(8) {
	case 0:
		w.say("delete", name, "-", "-", "-", func() error {
			_, err := w.tree.Remove(ctx, pathOf(name), tree.Change{Guard: ifPresent})
			return err
		})
	case 1:
		second := loadNames[(at+1+w.rand.IntN(len(loadNames)-1))%len(loadNames)]
		w.say("move", name, second, "-", "-", func() error {
			_, err := w.tree.Move(ctx, pathOf(name), pathOf(second), tree.Transfer{Source: ifPresent, Destination: anything})
			return err
		})
	case 2, 3, 4:
		cur, err := w.tree.Stat(ctx, pathOf(name))
		if err != nil || cur.Digest.IsZero() {
			return
		}
		b := w.body()
		w.say("replace", name, "-", hashing.Sum(b).String(), cur.Digest.String(), func() error {
			return commits(name, string(b), ifDigest(cur.Digest))(w.tree)
		})
	default:
		b := w.body()
		w.say("put", name, "-", hashing.Sum(b).String(), "-", func() error {
			return commits(name, string(b), nil)(w.tree)
		})
	}
}

func ifDigest(d hashing.Digest) tree.Guard {
	return func(cur *tree.Entry) error {
		if cur == nil || cur.Digest != d {
			return errRefused
		}
		return nil
	}
}

// body makes a new body, small as a rule.
func (w *loadWriter) body() []byte {
	w.made++
	size := w.rand.IntN(4 << 10)
	if w.rand.IntN(6) == 0 {
		size = w.rand.IntN(loadBytesMax)
	}
	return body(fmt.Sprintf("%s-%d-%d", w.run, w.n, w.made), size)
}

// say makes a change, and says so before and after, each in one write, which outlives the process.
func (w *loadWriter) say(verb, name, second, body, expected string, change func() error) {
	fmt.Printf("began %d %s %s %s %s %s\n", w.n, verb, name, second, body, expected)
	err := change()
	outcome := "done"
	switch {
	case errors.Is(err, tree.ErrUnstable), errors.Is(err, tree.ErrInUse):
		outcome = "failed"
	case errors.Is(err, errRefused), errors.Is(err, fs.ErrNotExist):
		outcome = "refused"
	case err != nil:
		outcome = strings.ReplaceAll(err.Error(), " ", "_")
	}
	fmt.Printf("ended %d %s\n", w.n, outcome)
}
