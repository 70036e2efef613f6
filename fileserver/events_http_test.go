package fileserver_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"freshet/fileserver"
)

// A sent is one event of a stream, as a browser takes it.
type sent struct{ name, id, data string }

// A follower is a client of a stream.
type follower struct {
	conn   net.Conn
	lines  *bufio.Reader
	header http.Header
	id     string // of the last event
	retry  string
}

// follow opens a stream, which must be answered with 200.
func (w *world) follow(t *testing.T, query string, fields ...string) *follower {
	t.Helper()
	c := w.dial(t)
	t.Cleanup(func() { c.Close() })
	fields = append(fields, "Accept: text/event-stream")
	if _, err := io.WriteString(c, w.request("GET", "/.freshet/v1/changes"+query, "", fields...)); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: "GET"})
	if err != nil || res.StatusCode != 200 {
		t.Fatalf("%v %v", err, res)
	}
	return &follower{conn: c, lines: bufio.NewReader(res.Body), header: res.Header}
}

// next returns the next event, as the living standard of HTML has it: a block without data only moves the id.
func (f *follower) next(t *testing.T) sent {
	t.Helper()
	e, err := f.read()
	if err != nil {
		t.Fatalf("the stream ended: %v", err)
	}
	return e
}

func (f *follower) read() (e sent, err error) {
	for {
		line, err := f.lines.ReadString('\n')
		if err != nil {
			return e, err
		}
		field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "event":
			e.name = value
		case "id":
			f.id = value
		case "data":
			e.data += value
		case "retry":
			f.retry = value
		case "":
			if line == "\n" && e.data != "" {
				e.id = f.id
				return e, nil
			}
			if line == "\n" {
				e = sent{}
			}
		}
	}
}

// change returns the next event of the feed.
func (f *follower) change(t *testing.T) (e feedEvent) {
	t.Helper()
	got := f.next(t)
	if got.name != "change" {
		t.Fatalf("%+v is no change", got)
	}
	if err := json.Unmarshal([]byte(got.data), &e); err != nil {
		t.Fatalf("%v in %s", err, got.data)
	}
	if _, seq, _ := strings.Cut(got.id, "."); seq != fmt.Sprint(e.Seq) {
		t.Errorf("the id is %s of %s", got.id, got.data)
	}
	return e
}

// until returns the first event about a path.
func (f *follower) until(t *testing.T, path string) feedEvent {
	t.Helper()
	for {
		if e := f.change(t); e.P == path {
			return e
		}
	}
}

type feedEvent struct {
	Seq     uint64
	P, K    string
	P64     []byte
	ETag    string
	Subtree *string
	Gone    bool
	From    string
}

type feedAnswer struct {
	Cursor string
	More   bool
	Events []feedEvent
}

func (w *world) changes(t *testing.T, query string) (c feedAnswer) {
	t.Helper()
	a := w.ask(t, "GET", "/.freshet/v1/changes"+query, "")
	if err := json.Unmarshal([]byte(a.body), &c); err != nil || a.status != 200 {
		t.Fatalf("%d %v %s", a.status, err, a.body)
	}
	return c
}

func TestStreamTellsOfChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	f := w.follow(t, "")
	hello := f.next(t)
	if hello.name != "hello" || !strings.Contains(hello.data, `"cursor":"`+hello.id+`"`) || f.retry != "2000" {
		t.Errorf("%+v, retry %s", hello, f.retry)
	}
	if f.header.Get("Content-Type") != "text/event-stream" || f.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%v", f.header)
	}
	written := w.ask(t, "PUT", "/a.txt", "one")
	if e := f.until(t, "a.txt"); e.K != "f" || e.ETag != tagOf("one") {
		t.Errorf("%+v", e)
	}
	if seq := written.header.Get("Freshet-Seq"); seq != f.id {
		t.Errorf("the writer was told %s, the event is %s", seq, f.id)
	}
	w.file(t, "b.txt", "two")
	if e := f.until(t, "b.txt"); e.ETag != tagOf("two") {
		t.Errorf("%+v", e)
	}
	if err := os.Remove(filepath.Join(w.root, "b.txt")); err != nil {
		t.Fatal(err)
	}
	if e := f.until(t, "b.txt"); !e.Gone {
		t.Errorf("%+v", e)
	}
}

// TestStreamGoesOnFromTheLastEvent after the connection was lost, whatever the address says.
func TestStreamGoesOnFromTheLastEvent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	f := w.follow(t, "")
	begin := f.next(t).id
	w.ask(t, "PUT", "/a.txt", "one")
	f.until(t, "a.txt")
	f.conn.Close()
	w.ask(t, "PUT", "/b.txt", "two")
	again := w.follow(t, "?since="+begin, "Last-Event-ID: "+f.id)
	if e := again.next(t); e.name != "hello" || e.id != f.id {
		t.Errorf("%+v instead of a hello at %s", e, f.id)
	}
	if e := again.change(t); e.P != "b.txt" {
		t.Errorf("%+v", e)
	}
	since := w.follow(t, "?since="+begin)
	since.next(t)
	if e := since.until(t, "a.txt"); e.ETag != tagOf("one") {
		t.Errorf("%+v", e)
	}
}

// TestStaleIDsAreReset with 200, since browsers never come back after anything else.
func TestStaleIDsAreReset(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, id := range []string{"aaaaaaaaaaaaaaaa.7", "nonsense", "aaaaaaaaaaaaaaaa.99999999999999999999"} {
		f := w.follow(t, "", "Last-Event-ID: "+id)
		e := f.next(t)
		if e.name != "reset" || !strings.Contains(e.data, `"cursor":"`+e.id+`"`) || !strings.Contains(e.data, `"reason":"`) {
			t.Errorf("%s: %+v", id, e)
		}
		w.ask(t, "PUT", "/a.txt", id)
		if e := f.until(t, "a.txt"); e.ETag != tagOf(id) {
			t.Errorf("after the reset: %+v", e)
		}
		f.conn.Close()
	}
}

// TestStreamOfOnePath tells only of it, and of the folders that hold it.
func TestStreamOfOnePath(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.file(t, "d/e/f", "0")
	w.file(t, "other", "0")
	w.changes(t, "")
	f := w.follow(t, "?path=/d/e/")
	f.next(t)
	w.ask(t, "PUT", "/other", "1")
	w.ask(t, "PUT", "/d/e/f", "1")
	if e := f.change(t); e.P != "d/e/f" {
		t.Errorf("%+v", e)
	}
	if err := os.RemoveAll(filepath.Join(w.root, "d")); err != nil {
		t.Fatal(err)
	}
	for {
		if e := f.change(t); e.Gone && strings.HasPrefix("d/e/", e.P) {
			break
		}
	}
}

func TestChangesByLongPoll(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cursor := w.changes(t, "").Cursor
	begin := time.Now()
	if c := w.changes(t, "?wait=1&since="+cursor); len(c.Events) > 0 || time.Since(begin) < 900*time.Millisecond {
		t.Errorf("%+v after %v", c, time.Since(begin))
	}
	go func() {
		time.Sleep(100 * time.Millisecond)
		_ = os.WriteFile(filepath.Join(w.root, "a.txt"), []byte("one"), 0o644)
	}()
	begin = time.Now()
	c := w.changes(t, "?wait=30&since="+cursor)
	if len(c.Events) == 0 || c.Events[0].P != "a.txt" || time.Since(begin) > 10*time.Second {
		t.Errorf("%+v after %v", c, time.Since(begin))
	}
	for i := range 5 {
		w.file(t, fmt.Sprintf("f%d", i), "x")
	}
	seen, at := map[string]bool{}, cursor
	for more := true; more; {
		c := w.changes(t, "?limit=2&since="+at)
		if len(c.Events) > 2 {
			t.Fatalf("%+v", c)
		}
		for _, e := range c.Events {
			seen[e.P] = true
		}
		at, more = c.Cursor, c.More
	}
	if len(seen) != 6 {
		t.Errorf("%v", seen)
	}
	if again := w.changes(t, "?since="+at); len(again.Events) != 0 {
		t.Errorf("%+v", again)
	}
}

// TestStreamsEndWithTheServer at once: long before requests under way are cut.
func TestStreamsEndWithTheServer(t *testing.T) {
	t.Parallel()
	var begin time.Time
	polled := make(chan answer, 1)
	t.Run("server", func(t *testing.T) {
		w := newWorld(t, limited(func(l *fileserver.Limits) { l.ShutdownTimeMax = 20 * time.Second }))
		w.follow(t, "").next(t)
		go func() { polled <- w.ask(t, "GET", "/.freshet/v1/changes?wait=60", "") }()
		waitFor(t, func() bool { return strings.Contains(w.metrics(t), "freshet_feed_subscribers 2\n") })
		begin = time.Now() // what newWorld has begun ends now
	})
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("the server took %v to stop", took)
	}
	if a := <-polled; a.status != 200 || !strings.Contains(a.body, `"events":[]`) {
		t.Errorf("the poll ended with %d %s", a.status, a.body)
	}
}

// waitFor polls until what must come about has.
func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !done(); {
		if time.Now().After(end) {
			t.Fatal("it does not come about")
		}
		time.Sleep(5 * time.Millisecond)
	}
}
