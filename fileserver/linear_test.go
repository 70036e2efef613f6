package fileserver_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
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
	linearSeeds   = 200
	linearClients = 5
	linearSteps   = 30 // of one client
	linearPaths   = 3
	linearTimeMax = 20 * time.Second // for checking one history; longer counts as a failure
)

// A step is one request of a history: what is asked of a model with linearPaths names.
type step struct {
	method      string
	path, to    int
	content     int // of a PUT; contents are numbered from 1 and never written twice
	match       int // If-Match with the tag of this content
	absent      bool
	noneMatch   int // If-None-Match with the tag of this content, on GET
	noOverwrite bool
}

// outcome is what came back. A lost reply says nothing: the request may have been carried out or not, then or later.
type outcome struct {
	lost    bool
	status  int
	content int // of a GET
}

// contents is a state of the model: what each path holds, 0 for nothing.
type contents [linearPaths]int

// apply says what a step does to a state, and how it is answered.
func (s step) apply(now contents) (next contents, out outcome) {
	there, next := now[s.path], now
	switch {
	case s.method == http.MethodPut:
	case there == 0:
		return now, outcome{status: http.StatusNotFound}
	}
	if s.match != 0 && there != s.match || s.absent && there != 0 {
		return now, outcome{status: http.StatusPreconditionFailed}
	}
	switch s.method {
	case http.MethodGet:
		if s.noneMatch == there {
			return now, outcome{status: http.StatusNotModified}
		}
		return now, outcome{status: http.StatusOK, content: there}
	case http.MethodPut:
		next[s.path] = s.content
		return next, made(there)
	case http.MethodDelete:
		next[s.path] = 0
		return next, outcome{status: http.StatusNoContent}
	}
	if s.noOverwrite && now[s.to] != 0 {
		return now, outcome{status: http.StatusPreconditionFailed}
	}
	next[s.path], next[s.to] = 0, there
	return next, made(now[s.to])
}

func made(before int) outcome {
	if before == 0 {
		return outcome{status: http.StatusCreated}
	}
	return outcome{status: http.StatusNoContent}
}

var linearModel = (&porcupine.NondeterministicModel{
	Init: func() []any { return []any{contents{}} },
	Step: func(state, input, output any) []any {
		now, out := state.(contents), output.(outcome)
		next, want := input.(step).apply(now)
		switch {
		case out.lost:
			return []any{now, next}
		case out == want:
			return []any{next}
		case out.status == http.StatusServiceUnavailable, out.status == http.StatusLocked:
			return []any{now} // refused, which is allowed at any time
		}
		return nil
	},
	DescribeOperation: func(in, out any) string { return fmt.Sprintf("%+v -> %+v", in, out) },
}).ToModel()

// TestHistoriesAreLinearizable lets clients loose on three paths with and without conditions, cuts some of them off, and
// checks that there is an order of the requests, within the time that each took, that explains every answer.
func TestHistoriesAreLinearizable(t *testing.T) {
	w := newWorldOf(t, fastFolder(t), tree.Options{Write: true})
	statuses := map[int]int{}
	for seed := range uint64(linearSeeds) {
		history := w.history(t, seed)
		for _, o := range history {
			statuses[o.Output.(outcome).status]++
		}
		result := porcupine.CheckOperationsTimeout(linearModel, history, linearTimeMax)
		if result != porcupine.Ok {
			for _, o := range history {
				t.Logf("%d [%d, %d] %s", o.ClientId, o.Call, o.Return, linearModel.DescribeOperation(o.Input, o.Output))
			}
			t.Fatalf("seed %d: %v", seed, result)
		}
	}
	for _, s := range []int{200, 201, 204, 304, 404, 412, noAnswer} {
		if statuses[s] == 0 {
			t.Errorf("no request was answered %d: the histories do not try it", s)
		}
	}
	if busy := statuses[503] + statuses[423]; busy*20 > linearSeeds*linearClients*linearSteps {
		t.Errorf("%d requests were refused as busy: %v", busy, statuses)
	}
}

// fastFolder is a folder in memory where there is one, since a history is about order, not about disks.
func fastFolder(t *testing.T) string {
	t.Helper()
	root, err := os.MkdirTemp("/dev/shm", "freshet-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	return root
}

// history runs one history in a folder of its own.
func (w *world) history(t *testing.T, seed uint64) []porcupine.Operation {
	t.Helper()
	if err := os.Mkdir(fmt.Sprintf("%s/%d", w.root, seed), 0o755); err != nil {
		t.Fatal(err)
	}
	base := fmt.Sprintf("http://%s/%d", w.addr, seed)
	begin := time.Now()
	histories := make([][]porcupine.Operation, linearClients)
	var all sync.WaitGroup
	for c := range linearClients {
		all.Go(func() {
			client := &linearClient{
				base: base, begin: begin, id: c, random: rand.New(rand.NewPCG(seed, uint64(c))),
				http: &http.Client{Transport: &http.Transport{}},
			}
			defer client.http.CloseIdleConnections()
			histories[c] = client.run(t)
		})
	}
	all.Wait()
	var history []porcupine.Operation
	end := time.Since(begin).Nanoseconds() + 1
	for _, h := range histories {
		for _, o := range h {
			if o.Output.(outcome).lost {
				o.Return = end
			}
			history = append(history, o)
		}
	}
	return history
}

// A linearClient makes the requests of one client and remembers what it last saw at each path.
type linearClient struct {
	base   string
	begin  time.Time
	id     int
	random *rand.Rand
	http   *http.Client
	seen   contents
	wrote  int
}

func (c *linearClient) run(t *testing.T) []porcupine.Operation {
	var history []porcupine.Operation
	for range linearSteps {
		s := c.next()
		call := time.Since(c.begin).Nanoseconds()
		out := c.do(t, s)
		history = append(history, porcupine.Operation{
			ClientId: c.id, Input: s, Output: out, Call: call, Return: time.Since(c.begin).Nanoseconds(),
		})
		if out.lost {
			// What a lost request does, it may do later: as somebody else's request, so that this client can go on.
			c.id += linearClients
		}
	}
	return history
}

// next thinks of a step.
func (c *linearClient) next() step {
	s := step{path: c.random.IntN(linearPaths)}
	s.to = (s.path + 1 + c.random.IntN(linearPaths-1)) % linearPaths
	switch c.random.IntN(8) {
	case 0, 1, 2:
		s.method = http.MethodGet
		if c.random.IntN(2) == 0 {
			s.noneMatch = c.seen[s.path]
		}
		return s
	case 3, 4, 5:
		s.method = http.MethodPut
		c.wrote++
		s.content = (c.id%linearClients)*1000 + c.wrote
	case 6:
		s.method = http.MethodDelete
	case 7:
		s.method = "MOVE"
		s.noOverwrite = c.random.IntN(2) == 0
	}
	switch c.random.IntN(3) {
	case 0:
		s.match = c.seen[s.path]
	case 1:
		s.absent = s.method == http.MethodPut
	}
	return s
}

func bodyOf(content int) string { return "content " + strconv.Itoa(content) }

func contentTag(content int) string { return hashing.Sum([]byte(bodyOf(content))).ETag() }

// do sends a step. One in twenty is cut off at a random moment.
func (c *linearClient) do(t *testing.T, s step) outcome {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if c.random.IntN(20) == 0 {
		timer := time.AfterFunc(time.Duration(c.random.IntN(1500))*time.Microsecond, cancel)
		defer timer.Stop()
	}
	body := io.Reader(http.NoBody)
	if s.method == http.MethodPut {
		body = strings.NewReader(bodyOf(s.content))
	}
	r, err := http.NewRequestWithContext(ctx, s.method, fmt.Sprintf("%s/%d", c.base, s.path), body)
	if err != nil {
		t.Error(err)
		return outcome{lost: true}
	}
	s.fields(r.Header, c.base)
	reply, err := c.http.Do(r)
	if err != nil {
		return outcome{lost: true}
	}
	defer reply.Body.Close()
	b, err := io.ReadAll(reply.Body)
	if err != nil {
		return outcome{lost: true}
	}
	out := outcome{status: reply.StatusCode}
	if s.method == http.MethodGet && out.status == http.StatusOK {
		if got := hashing.Sum(b).ETag(); got != reply.Header.Get("ETag") {
			t.Errorf("%q came under the tag %s", b, reply.Header.Get("ETag"))
		}
		out.content, _ = strconv.Atoi(strings.TrimPrefix(string(b), "content "))
		c.seen[s.path] = out.content
	}
	if s.method == http.MethodPut && out.status < 300 {
		c.seen[s.path] = s.content
	}
	return out
}

func (s step) fields(h http.Header, base string) {
	if s.match != 0 {
		h.Set("If-Match", contentTag(s.match))
	}
	if s.noneMatch != 0 {
		h.Set("If-None-Match", contentTag(s.noneMatch))
	}
	if s.absent {
		h.Set("If-None-Match", "*")
	}
	if s.method == "MOVE" {
		h.Set("Destination", fmt.Sprintf("%s/%d", base, s.to))
	}
	if s.noOverwrite {
		h.Set("Overwrite", "F")
	}
}
