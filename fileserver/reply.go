package fileserver

import (
	"cmp"
	"net/http"
	"sync"
	"time"
)

// A reply is the ResponseWriter that handlers see: net/http's own, plus what the log wants to know and deadlines that
// move with progress. It adds no copy and no allocation to a Write.
type reply struct {
	http.ResponseWriter
	server  *Server
	request *http.Request
	start   time.Time
	moved   time.Time // when the deadline for writing was last set
	status  int       // 0 until the header is written
	pending int       // the status that the first Write sends; 0: 200
	bytes   int64
	id      string     // of the request; "" until somebody asks
	body    *pacedBody // the request's body, once a handler reads it
	asking  session
}

var replies = sync.Pool{New: func() any { return new(reply) }}

// Unwrap lets http.ResponseController through to net/http.
func (w *reply) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader sends the header.
func (w *reply) WriteHeader(status int) {
	if status >= 200 {
		w.status = status
		w.allowForTime()
	}
	w.ResponseWriter.WriteHeader(status)
}

// allowForTime renews the deadlines after what may have been a long wait. net/http reads what is left of a short
// request body before it answers, and that read needs a deadline of its own: the body of a refused request may never
// come.
func (w *reply) allowForTime() {
	if w.request.ContentLength != 0 && (w.body == nil || !w.body.ended) {
		_ = http.NewResponseController(w.ResponseWriter).SetReadDeadline(time.Now().Add(w.server.limits.HeaderTimeMax))
	}
	w.extend()
}

// extend moves the deadline for writing, unless that was done a moment ago.
func (w *reply) extend() {
	idle := w.server.limits.BodyIdleTimeMax
	if now := time.Now(); now.Sub(w.moved) > idle/deadlineSteps {
		w.moved = now
		_ = http.NewResponseController(w.ResponseWriter).SetWriteDeadline(now.Add(idle))
	}
}

// deadlineSteps is how often, at the most, a deadline is moved in the time it allows: setting one costs a system timer.
const deadlineSteps = 16

// Write sends a part of the body. It must be on its way within BodyIdleTimeMax.
func (w *reply) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(cmp.Or(w.pending, http.StatusOK))
	} else {
		w.extend()
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}
