package fileserver

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"

	"freshet/fileserver/tree"
)

const (
	heartbeatTime    = 20 * time.Second      // after which a stream that has nothing to say says so
	streamPause      = 20 * time.Millisecond // from one write to the next, so that many changes make few writes
	streamEventsMax  = 100                   // events that a stream holds in memory at once
	streamRetryTime  = 2 * time.Second       // after which a client is to connect again
	streamChunkBytes = 4 << 10               // of events that are gathered before they are written
	streamEndTimeMax = time.Second           // for a write under way when the server stops
)

// streamChanges answers with Server-Sent Events. A stream has no queue: it is a cursor, and reads on from there when the
// client has taken what came before, so that a slow one costs no more than a fast one. The events are
//
//	hello   first, with the cursor from which the stream goes on
//	change  one event of the feed
//	reset   the feed cannot be followed from where the client was: compare the tree once, the stream goes on from the cursor
//
// Each has the cursor behind it for its id. A browser never connects again after an answer other than 200, so a stale id is
// answered with a reset.
func (s *Server) streamChanges(w *reply, r *http.Request, q tree.ChangesQuery, f follower) error {
	if err := s.subscribe(); err != nil {
		return err
	}
	defer s.subscribers.Add(-1)
	ctx, end := s.untilClosing(r.Context())
	defer end()
	st := stream{server: s, query: q, follower: f, conn: http.NewResponseController(w.ResponseWriter), w: w}
	hurry := context.AfterFunc(s.closing, func() { _ = st.conn.SetWriteDeadline(time.Now().Add(streamEndTimeMax)) })
	defer hurry()
	st.query.Wait, st.query.Limit = 0, min(q.Limit, streamEventsMax)
	malformed := false
	if id := first(r.Header["Last-Event-Id"]); id != "" {
		cursor, err := tree.ParseCursor(id)
		st.query.Since, malformed = cursor, err != nil
	}
	changes, err := s.changesNow(r, st.query)
	var gone *tree.CursorGoneError
	if err != nil && !errors.As(err, &gone) {
		return err
	}
	setStream(w.Header())
	if r.Method == http.MethodHead {
		w.WriteHeader(http.StatusOK)
		return nil
	}
	if malformed {
		gone = &tree.CursorGoneError{Reason: tree.GoneEpoch, Current: changes.Cursor}
	}
	return st.run(ctx, changes, gone)
}

func setStream(h http.Header) {
	setSafe(h)
	h["Content-Type"] = valueEventStream
	h["Content-Security-Policy"] = valueNothingLoaded
	h["Cache-Control"] = valueNoStore
	h["Vary"] = valueVaryAccept
	h["X-Accel-Buffering"] = valueNo // or nginx in front gathers events
}

// A stream is one client that follows the feed.
type stream struct {
	server *Server
	query  tree.ChangesQuery // Since is where the stream is
	follower
	conn *http.ResponseController
	w    *reply
	b    []byte // what is to be written next; borrowed while there is something
}

// run sends what there is, first what the first look found, until ctx ends or the client is gone.
func (st *stream) run(ctx context.Context, changes tree.Changes, gone *tree.CursorGoneError) error {
	st.borrow()
	st.b = append(st.b, "retry: "...)
	st.b = strconv.AppendInt(st.b, int64(streamRetryTime/time.Millisecond), 10)
	st.b = append(st.b, '\n')
	if gone == nil {
		if st.query.Since.IsZero() {
			st.query.Since = changes.Cursor
		}
		st.say("hello", st.query.Since, "")
	}
	st.query.Unsynced, st.query.Wait = true, st.server.heartbeat
	for {
		if gone != nil {
			st.say("reset", gone.Current, gone.Reason)
			st.query.Since = gone.Current
		} else if err := st.tell(&changes); err != nil {
			return err
		}
		if err := st.send(); err != nil {
			return err
		}
		var err error
		if changes, gone, err = st.next(ctx); err != nil || ctx.Err() != nil || !st.allowed(st.server) {
			return err
		}
		st.borrow()
	}
}

// next waits for what comes next; for nothing, if nothing comes until the next heartbeat.
func (st *stream) next(ctx context.Context) (tree.Changes, *tree.CursorGoneError, error) {
	select {
	case <-ctx.Done():
	case <-time.After(streamPause):
	}
	changes, err := st.server.tree.Changes(ctx, st.query)
	var gone *tree.CursorGoneError
	if errors.As(err, &gone) {
		err = nil
	}
	return changes, gone, err
}

// tell adds changes to what is to be sent; a comment, if there are none. The id behind them is sent alone, for those events
// that the client did not ask for.
func (st *stream) tell(changes *tree.Changes) error {
	st.filter(changes)
	for i := range changes.Events {
		e := &changes.Events[i]
		st.begin("change", tree.Cursor{Epoch: changes.Cursor.Epoch, Seq: e.Seq})
		st.b = append(appendEvent(st.b, e), "\n\n"...)
		if len(st.b) >= streamChunkBytes {
			if _, err := st.w.Write(st.b); err != nil {
				return err
			}
			st.b = st.b[:0]
		}
	}
	if n := len(changes.Events); n == 0 || changes.Events[n-1].Seq != changes.Cursor.Seq {
		st.b = append(st.b, ":\nid: "...)
		st.b = append(st.b, changes.Cursor.String()...)
		st.b = append(st.b, "\n\n"...)
	}
	st.query.Since = changes.Cursor
	return nil
}

// begin adds the head of an event.
func (st *stream) begin(name string, id tree.Cursor) {
	st.b = append(st.b, "event: "...)
	st.b = append(st.b, name...)
	st.b = append(st.b, "\nid: "...)
	st.b = append(st.b, id.String()...)
	st.b = append(st.b, "\ndata: "...)
}

// say adds an event that is about the stream itself.
func (st *stream) say(name string, cursor tree.Cursor, reason string) {
	st.begin(name, cursor)
	st.b = appendJSONString(append(st.b, `{"cursor":`...), cursor.String())
	if reason != "" {
		st.b = appendJSONString(append(st.b, `,"reason":`...), reason)
	}
	st.b = append(st.b, "}\n\n"...)
}

// send writes what was added. A client that does not take it in time is gone: see reply.Write.
func (st *stream) send() error {
	_, err := st.w.Write(st.b)
	if err == nil {
		err = st.conn.Flush()
	}
	st.giveBack()
	return err
}

// streamBuffers are lent to streams that have something to write, for most of them wait most of the time.
var streamBuffers = sync.Pool{New: func() any { return new([streamChunkBytes + listingMarginBytes]byte) }}

func (st *stream) borrow() {
	if st.b == nil {
		st.b = streamBuffers.Get().(*[streamChunkBytes + listingMarginBytes]byte)[:0]
	}
}

func (st *stream) giveBack() {
	if cap(st.b) == streamChunkBytes+listingMarginBytes {
		streamBuffers.Put((*[streamChunkBytes + listingMarginBytes]byte)(st.b[:cap(st.b)]))
	}
	st.b = nil
}
