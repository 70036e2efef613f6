package fileserver

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"freshet/fileserver/problem"
	"freshet/fileserver/tree"
	"freshet/hashing"
)

func TestWantsStream(t *testing.T) {
	for _, c := range []struct {
		name  string
		lines []string
		want  bool
	}{
		{"no_accept", nil, false},
		{"a_browser_that_follows", []string{"text/event-stream"}, true},
		{"in_capitals", []string{"Text/Event-Stream"}, true},
		{"with_anything", []string{"text/event-stream, */*"}, true},
		{"with_json", []string{"application/json, text/event-stream"}, true},
		{"anything", []string{"*/*"}, false},
		{"any_text", []string{"text/*"}, false},
		{"json", []string{"application/json"}, false},
		{"rather_json", []string{"text/event-stream;q=0.5, application/json"}, false},
		{"rather_anything", []string{"text/event-stream;q=0.5, */*"}, false},
		{"rather_a_stream", []string{"application/json;q=0.5", "text/event-stream"}, true},
		{"not_a_stream", []string{"text/event-stream;q=0, */*"}, false},
		{"malformed", []string{"text/event-stream;q=x"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := wantsStream(c.lines); got != c.want {
				t.Errorf("%v", got)
			}
		})
	}
}

func FuzzWantsStream(f *testing.F) {
	for _, line := range []string{"text/event-stream", "text/event-stream;q=0", `x/y;a="text/event-stream,"`, "*/*, text/event-stream"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if wantsStream([]string{line}) && !strings.Contains(strings.ToLower(line), "text/event-stream") {
			t.Fatalf("%q asks for a stream without naming it", line)
		}
	})
}

const someCursor = "abcdefghijklmnop.12"

func TestParseChangesQuery(t *testing.T) {
	since := tree.Cursor{Epoch: "abcdefghijklmnop", Seq: 12}
	all := tree.EventsPerAnswerMax
	for _, c := range []struct {
		name, query string
		want        tree.ChangesQuery
		below       string
		refused     bool
	}{
		{"nothing", "", tree.ChangesQuery{Limit: all}, "", false},
		{"since", "since=" + someCursor, tree.ChangesQuery{Since: since, Limit: all}, "", false},
		{"wait", "wait=7", tree.ChangesQuery{Wait: 7 * time.Second, Limit: all}, "", false},
		{"wait_too_long", "wait=99999", tree.ChangesQuery{Wait: changesWaitMax, Limit: all}, "", false},
		{"limit", "limit=7", tree.ChangesQuery{Limit: 7}, "", false},
		{"limit_too_large", "limit=99999999", tree.ChangesQuery{Limit: all}, "", false},
		{"path", "path=/a%20b/c/", tree.ChangesQuery{Limit: all}, "a b/c", false},
		{"path_of_a_file", "path=/a/b", tree.ChangesQuery{Limit: all}, "a/b", false},
		{"path_is_the_root", "path=/", tree.ChangesQuery{Limit: all}, "", false},
		{"path_not_escaped_again", "path=/%2541", tree.ChangesQuery{Limit: all}, "%41", false},
		{"path_not_utf8", "path=/%FF", tree.ChangesQuery{Limit: all}, "\xff", false},
		{"other_keys", "tab=1", tree.ChangesQuery{Limit: all}, "", false},
		{"empty_since", "since=", tree.ChangesQuery{}, "", true},
		{"malformed_since", "since=12", tree.ChangesQuery{}, "", true},
		{"since_with_sign", "since=abcdefghijklmnop.%2B12", tree.ChangesQuery{}, "", true},
		{"since_twice", "since=" + someCursor + "&since=" + someCursor, tree.ChangesQuery{}, "", true},
		{"empty_path", "path=", tree.ChangesQuery{}, "", true},
		{"path_without_slash", "path=a", tree.ChangesQuery{}, "", true},
		{"path_with_dots", "path=/a/../b", tree.ChangesQuery{}, "", true},
		{"path_reserved", "path=/.freshet/v1", tree.ChangesQuery{}, "", true},
		{"path_with_backslash", "path=/a%5Cb", tree.ChangesQuery{}, "", true},
		{"negative_wait", "wait=-1", tree.ChangesQuery{}, "", true},
		{"fraction_of_a_second", "wait=0.5", tree.ChangesQuery{}, "", true},
		{"limit_zero", "limit=0", tree.ChangesQuery{}, "", true},
		{"limit_no_number", "limit=all", tree.ChangesQuery{}, "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			values, err := url.ParseQuery(c.query)
			if err != nil {
				t.Fatal(err)
			}
			got, err := parseChangesQuery(values)
			if c.refused {
				if !errors.Is(err, problem.Query) {
					t.Fatalf("%+v, %v", got, err)
				}
				return
			}
			if err != nil || got.Below.String() != c.below {
				t.Fatalf("%+v, %v", got, err)
			}
			if got.Below = (tree.Path{}); got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
		})
	}
}

func TestAppendEvent(t *testing.T) {
	at := time.Date(2026, 11, 22, 13, 0, 0, 5e8, time.UTC)
	hex := somePrint.String()
	for _, c := range []struct {
		name  string
		path  string
		event tree.Event
		want  string
	}{
		{"file", "/docs/a.txt", tree.Event{Seq: 1043, Kind: tree.KindFile, Digest: somePrint, Size: 9, ModTime: at, From: "docs/old.txt"},
			`{"seq":1043,"p":"docs/a.txt","k":"f","size":9,"mtime":"2026-11-22T13:00:00.5Z","etag":"\"` + hex +
				`\"","from":"docs/old.txt"}`},
		{"file_without_tag", "/a", tree.Event{Seq: 1, Kind: tree.KindExecutable, ModTime: at},
			`{"seq":1,"p":"a","k":"x","size":0,"mtime":"2026-11-22T13:00:00.5Z"}`},
		{"folder", "/docs", tree.Event{Seq: 2, Kind: tree.KindFolder, Digest: somePrint, ModTime: at, From: "old"},
			`{"seq":2,"p":"docs/","k":"d","mtime":"2026-11-22T13:00:00.5Z","subtree":"` + hex + `","from":"old/"}`},
		{"folder_without_fingerprint", "/docs", tree.Event{Seq: 2, Kind: tree.KindFolder, ModTime: at},
			`{"seq":2,"p":"docs/","k":"d","mtime":"2026-11-22T13:00:00.5Z","subtree":null}`},
		{"the_root", "/", tree.Event{Seq: 2, Kind: tree.KindFolder, ModTime: at, Digest: hashing.Digest{}},
			`{"seq":2,"p":"","k":"d","mtime":"2026-11-22T13:00:00.5Z","subtree":null}`},
		{"link", "/l", tree.Event{Seq: 3, Kind: tree.KindLink, ModTime: at, Target: "a"},
			`{"seq":3,"p":"l","k":"l","mtime":"2026-11-22T13:00:00.5Z","target":"a"}`},
		{"gone_file", "/a", tree.Event{Seq: 4, Kind: tree.KindFile, Gone: true, Digest: somePrint, ModTime: at},
			`{"seq":4,"p":"a","k":"f","gone":true}`},
		{"gone_folder", "/docs/old", tree.Event{Seq: 1044, Kind: tree.KindFolder, Gone: true},
			`{"seq":1044,"p":"docs/old/","k":"d","gone":true}`},
		{"not_utf8", "/a%FF", tree.Event{Seq: 5, Kind: tree.KindFolder, Gone: true}, `{"seq":5,"p64":"Yf8v","k":"d","gone":true}`},
		{"from_not_utf8", "/a", tree.Event{Seq: 5, Kind: tree.KindFile, ModTime: at, From: "\xff"},
			`{"seq":5,"p":"a","k":"f","size":0,"mtime":"2026-11-22T13:00:00.5Z","from64":"/w=="}`},
		{"line_feed_in_a_name", "/a%0Ab", tree.Event{Seq: 6, Kind: tree.KindFile, Gone: true},
			`{"seq":6,"p":"a\u000ab","k":"f","gone":true}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.event.Path = mustParse(t, c.path)
			if got := string(appendEvent(nil, &c.event)); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}
