package fileserver

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	"freshet/fileserver/problem"
	"freshet/web"
)

const requestIDBytesMax = 64 // of an id that a client or proxy gives a request

// fail answers a request that a handler has not answered. When a part of an answer is on its way already, all that is
// left is to cut the connection, so that nobody takes the part for the whole.
func (s *Server) fail(w *reply, r *http.Request, err error) {
	p := problem.Of(err)
	if p.Status >= http.StatusInternalServerError || w.status != 0 {
		s.logFailure(w, r, p.Status, err)
	}
	if w.status != 0 {
		panic(http.ErrAbortHandler)
	}
	s.answerProblem(w, r, p)
}

// logFailure writes down what the client is not told. Clients that leave are not worth more than a debug line.
func (s *Server) logFailure(w *reply, r *http.Request, status int, err error) {
	level := slog.LevelError
	switch {
	case r.Context().Err() != nil: // the client left, or a write to it failed
		level = slog.LevelDebug
	case status < http.StatusInternalServerError, status == http.StatusServiceUnavailable:
		level = slog.LevelWarn
	}
	s.log.LogAttrs(context.Background(), level, "request failed", slog.String("id", s.requestID(w, r)),
		slog.String("method", r.Method), slog.String("uri", r.RequestURI), slog.Int("status", status),
		slog.Any("err", err))
}

// answerProblem sends p: as a short page to a browser, as a problem document to everybody else.
func (s *Server) answerProblem(w *reply, r *http.Request, p problem.Problem) {
	p.Request = s.requestID(w, r)
	h := w.Header()
	clear(h)
	setSafe(h)
	maps.Copy(h, p.Header)
	h["X-Request-Id"] = []string{p.Request}
	h["Cache-Control"] = valueNoStore
	if p.After > 0 {
		h["Retry-After"] = []string{strconv.Itoa(p.After)}
	}
	switch c := p.Current; {
	case c.ETag == "":
	case c.Folder:
		h[fieldSubtree] = []string{c.ETag}
	default:
		h["ETag"] = []string{c.ETag}
	}
	if p.Status == http.StatusRequestTimeout {
		h["Connection"] = []string{"close"}
	}
	s.send(w, r, p.Status, s.problemBody(h, r, p))
}

// problemBody makes the body of p and sets its type.
func (s *Server) problemBody(h http.Header, r *http.Request, p problem.Problem) []byte {
	if wantsPage(r) {
		var page bytes.Buffer
		if err := renderProblemPage(&page, p.Status, p.Title, p.Detail, p.Next, s.page(nil)); err == nil {
			setPage(h)
			return page.Bytes()
		}
	}
	body, err := json.Marshal(p)
	if err != nil {
		body = []byte(`{"status":` + strconv.Itoa(p.Status) + `}`)
	}
	h["Content-Type"] = valueProblemJSON
	h["Content-Security-Policy"] = valueNothingLoaded
	return append(body, '\n')
}

// setPage sets what goes with each page of ours (and no other): only what this server has sent runs or is shown in
// it, and no page frames it.
func setPage(h http.Header) {
	h["Content-Type"] = valueHTML
	h["Content-Security-Policy"] = valuePageCSP
	h["Referrer-Policy"] = valueSameOrigin
	h["Cross-Origin-Opener-Policy"] = valueSameOrigin
}

var valuePageCSP = []string{web.CSP}

// send sends a whole body, or only its header to HEAD.
func (s *Server) send(w *reply, r *http.Request, status int, body []byte) {
	w.Header()["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // a client that is gone needs no other answer
	}
}

// wantsPage reports whether r comes from somebody who reads pages: its Accept field names HTML. The "*/*" of most
// programs does not.
func wantsPage(r *http.Request) bool {
	lines := r.Header["Accept"]
	for _, line := range lines {
		if strings.Contains(line, "text/html") {
			return negotiateListing(lines) == listingHTML
		}
	}
	return false
}

// page returns what all pages say.
func (s *Server) page(n *notice) pageContext {
	return pageContext{Root: s.config.Name, Write: s.config.Write, Version: s.config.Version, Now: time.Now(), Notice: n}
}

// requestID returns the id by which the client's side and the log can speak of the same request: the one that a proxy
// in front has given it, else a new one. It is made when it is first asked for, since most requests need none.
func (s *Server) requestID(w *reply, r *http.Request) string {
	if w.id != "" {
		return w.id
	}
	if given := first(r.Header["X-Request-Id"]); isRequestID(given) {
		w.id = given
	} else {
		w.id = s.started + "-" + strconv.FormatUint(s.named.Add(1), 36)
	}
	return w.id
}

// isRequestID reports whether id is short and plain enough to be repeated in logs and headers.
func isRequestID(id string) bool {
	plain := func(c rune) bool {
		return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '-' || c == '_' || c == '.'
	}
	return id != "" && len(id) <= requestIDBytesMax && strings.IndexFunc(id, func(c rune) bool { return !plain(c) }) < 0
}

// newProcessID tells the requests of this run from those of the last one.
func newProcessID() string {
	var b [4]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}
