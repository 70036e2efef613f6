package fileserver

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"freshet/fileserver/problem"
	"freshet/fileserver/tree"
)

const (
	changesWaitMax = 60 * time.Second // the most that an answer waits for the first event
	subscribersMax = 2048             // who follow the feed, or wait for its next event, at once
)

// getChanges answers GET and HEAD of v1/changes: what happened behind a cursor, as one JSON object or as a stream of events.
func (s *Server) getChanges(w *reply, r *http.Request, _ target) error {
	q, err := parseChangesQuery(r.URL.Query())
	if err != nil {
		return err
	}
	follower := s.follower(w, q.Below)
	if !follower.allowed(s) {
		return s.denied(w, r)
	}
	if wantsStream(r.Header["Accept"]) {
		return s.streamChanges(w, r, q, follower)
	}
	if r.Method == http.MethodHead {
		q.Wait, q.Limit = 0, 1
	}
	if q.Wait > 0 {
		if err := s.subscribe(); err != nil {
			return err
		}
		defer s.subscribers.Add(-1)
	}
	changes, err := s.changesNow(r, q)
	if err != nil {
		return err
	}
	if len(changes.Events) == 0 && q.Wait > 0 {
		ctx, end := s.untilClosing(r.Context())
		defer end()
		q.Since, q.Unsynced = changes.Cursor, true
		if changes, err = s.tree.Changes(ctx, q); err != nil {
			return err
		}
		if !follower.allowed(s) {
			return s.denied(w, r)
		}
	}
	follower.filter(&changes)
	h := w.Header()
	setSafe(h)
	h["Content-Type"] = valueJSON
	h["Content-Security-Policy"] = valueNothingLoaded
	h["Cache-Control"] = valueNoStore
	h["Vary"] = valueVaryAccept
	h[fieldCursor] = []string{changes.Cursor.String()}
	if r.Method == http.MethodHead {
		w.WriteHeader(http.StatusOK)
		return nil
	}
	return sendChanges(w, &changes)
}

// changesNow returns what has happened by now, as soon as the tree is ready.
func (s *Server) changesNow(r *http.Request, q tree.ChangesQuery) (changes tree.Changes, err error) {
	q.Wait = 0
	err = s.whileWarming(r, func(ctx context.Context) error {
		changes, err = s.tree.Changes(ctx, q)
		return err
	})
	return changes, err
}

// subscribe counts one more who waits for events, if there may be one more.
func (s *Server) subscribe() error {
	if s.subscribers.Add(1) > subscribersMax {
		s.subscribers.Add(-1)
		return problem.Busy.Errorf("%d clients follow the changes already.", subscribersMax)
	}
	return nil
}

// wantsStream reports whether an Accept field asks for a stream of events by name, and for JSON no more than for it.
func wantsStream(acceptLines []string) bool {
	var ranges []acceptRange
	for _, line := range acceptLines {
		for _, part := range splitUnquoted(line, ',') {
			if r, ok := parseAcceptRange(part); ok {
				ranges = append(ranges, r)
			}
		}
	}
	named := slices.ContainsFunc(ranges, func(r acceptRange) bool { return r.mediaType == "text/event-stream" })
	stream, _ := weightOf(ranges, "text", "event-stream")
	other, _ := weightOf(ranges, "application", "json")
	return named && stream > 0 && stream >= other
}

// parseChangesQuery reads the query of v1/changes: since, a cursor; path, the file or folder that the changes must concern,
// from the root on and not escaped but as the value of a query; wait, whole seconds; limit, a number of events. What exceeds a
// limit is taken for the limit. Other keys are ignored, so that a stream can be asked for under several addresses.
func parseChangesQuery(values url.Values) (q tree.ChangesQuery, err error) {
	for _, key := range []string{"since", "path", "wait", "limit"} {
		if len(values[key]) > 1 {
			return q, changesRefused("%s is given %d times.", key, len(values[key]))
		}
	}
	if values.Has("since") {
		if q.Since, err = tree.ParseCursor(values.Get("since")); err != nil {
			return q, changesRefused("since is %.60q, which is no cursor.", values.Get("since"))
		}
	}
	if values.Has("path") {
		if q.Below, err = pathOf(values.Get("path")); err != nil {
			return q, changesRefused("path is %.80q, which is no path from the root on.", values.Get("path"))
		}
	}
	if values.Has("wait") {
		seconds, err := strconv.ParseUint(values.Get("wait"), 10, 63)
		if err != nil {
			return q, changesRefused("wait is %.20q, not a number of seconds.", values.Get("wait"))
		}
		q.Wait = time.Duration(min(seconds, uint64(changesWaitMax/time.Second))) * time.Second
	}
	q.Limit = tree.EventsPerAnswerMax
	if values.Has("limit") {
		n, err := strconv.ParseUint(values.Get("limit"), 10, 63)
		if err != nil || n == 0 {
			return q, changesRefused("limit is %.20q, not a number from 1 on.", values.Get("limit"))
		}
		q.Limit = int(min(n, tree.EventsPerAnswerMax))
	}
	return q, nil
}

func changesRefused(format string, args ...any) error {
	err := problem.Query.Errorf(format, args...)
	err.Next = "Leave since out to learn the present cursor."
	return err
}

// pathOf reads a path that begins with a slash and is not escaped, as tree.Parse reads one that is.
func pathOf(text string) (p tree.Path, err error) {
	rest, ok := strings.CutPrefix(text, "/")
	if !ok {
		return p, tree.ErrName
	}
	for name := range strings.SplitSeq(rest, "/") {
		if name == "" {
			continue
		}
		if p, err = p.Join(name); err != nil {
			return tree.Path{}, err
		}
	}
	return p, nil
}

// sendChanges writes the JSON form of changes:
//
//	{"cursor":"…","more":false,"events":[…]}
func sendChanges(w *reply, changes *tree.Changes) error {
	b := make([]byte, 0, listingChunkBytes+listingMarginBytes)
	b = appendJSONString(append(b, `{"cursor":`...), changes.Cursor.String())
	b = strconv.AppendBool(append(b, `,"more":`...), changes.More)
	b = append(b, `,"events":[`...)
	for i := range changes.Events {
		if i > 0 {
			b = append(b, ',')
		}
		if b = appendEvent(b, &changes.Events[i]); len(b) >= listingChunkBytes {
			if _, err := w.Write(b); err != nil {
				return err
			}
			b = b[:0]
		}
	}
	_, err := w.Write(append(b, "]}\n"...))
	return err
}

// appendEvent appends an event as JSON:
//
//	{"seq":1043,"p":"docs/a.txt","k":"f","size":9,"mtime":"…","etag":"\"…\"","from":"docs/old.txt"}
//	{"seq":1044,"p":"docs/old/","k":"d","gone":true}
//
// p is the path below the root, not escaped, that of a folder with a slash at its end, the root's is "". The other members are
// those of an entry in a JSON listing, and left out of what is gone. from is where the same file or folder was a moment ago.
// What is not valid UTF-8 stands in base64 under p64, from64 or target64.
func appendEvent(b []byte, e *tree.Event) []byte {
	b = strconv.AppendUint(append(b, `{"seq":`...), e.Seq, 10)
	path := e.Path.String()
	if e.Kind == tree.KindFolder {
		path = folderText(e.Path)
	}
	b = appendJSONText(append(b, ','), "p", path)
	b = append(b, `,"k":"`...)
	b = append(b, byte(e.Kind), '"')
	if e.Gone {
		return append(b, `,"gone":true}`...)
	}
	b = appendJSONState(b, &tree.Entry{
		Kind: e.Kind, Size: e.Size, ModTime: e.ModTime, Digest: e.Digest, Target: e.Target,
	})
	if e.From != "" {
		from := e.From
		if e.Kind == tree.KindFolder {
			from += "/"
		}
		b = appendJSONText(append(b, ','), "from", from)
	}
	return append(b, '}')
}
