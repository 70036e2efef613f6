package fileserver

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"freshet/fileserver/auth"
	"freshet/fileserver/problem"
	"freshet/fileserver/tree"
)

// verifyProgressTime is how often a client that waits for a verification hears how far it is.
const verifyProgressTime = time.Second

// forwardedFields are those by which a proxy says that it asks for somebody else.
var forwardedFields = []string{"Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via"}

// postVerify answers POST of v1/verify: every file at the path that the query names, or everything, is read again and compared
// with what is remembered. It takes as long as the disk does, and so is for programs on the server's own machine, and for
// those who may change files; one at a time. The lines are
//
//	{"p":"a.txt","was":"…","is":"…"}                  the file has other bytes, under an unchanged stamp
//	{"p":"b.txt","problem":"…","detail":"…"}          the file or folder cannot be read
//	{"files":10,"bytes":4711,…}                       how far it is, once a second; {} while one file takes long
//	{"end":true,"files":12,"bytes":5000,"mismatches":1,"changed":0,"unreadable":1}  last; without it it was not finished
func (s *Server) postVerify(w *reply, r *http.Request, _ target) error {
	below, err := verifyPath(r.URL.Query())
	if err != nil {
		return err
	}
	if err := s.authorize(w, r, need{below: auth.Reading}, below); err != nil {
		return err
	}
	if !s.rightsBelow(w, below).HasAny(auth.Writing) && !fromHere(r) {
		refused := problem.ReadOnly.Errorf("Only programs on the server's own machine may have everything read again.")
		refused.Next = "Run freshet verify on that machine."
		return withAllow(refused, http.MethodOptions)
	}
	ctx, end := s.untilClosing(r.Context())
	defer end()
	v := &verifying{server: s, lines: make(chan []byte)}
	go v.run(ctx, below)
	defer func() {
		end()
		for range v.lines { // so that it comes to its end
		}
	}()
	return v.send(w)
}

// fromHere reports whether a request comes from this machine, and from no proxy on it.
func fromHere(r *http.Request) bool {
	for _, field := range forwardedFields {
		if len(r.Header[field]) > 0 {
			return false
		}
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	ip := net.ParseIP(host)
	return err == nil && ip != nil && ip.IsLoopback()
}

func verifyPath(values url.Values) (p tree.Path, err error) {
	if !values.Has("path") {
		return p, nil
	}
	if p, err = pathOf(values.Get("path")); err != nil || len(values["path"]) > 1 {
		refused := problem.Query.Errorf("path is %.80q, which is no path from the root on.", values.Get("path"))
		refused.Next = "Leave it out to have everything verified."
		return p, refused
	}
	return p, nil
}

// A verifying is a verification and the answer about it.
type verifying struct {
	server *Server
	lines  chan []byte   // closed when there will be no more
	sum    tree.Verified // set before lines is closed, as is err
	err    error
}

func (v *verifying) run(ctx context.Context, below tree.Path) {
	defer close(v.lines)
	told := time.Now()
	say := func(line []byte) {
		select {
		case v.lines <- line:
		case <-ctx.Done():
		}
	}
	v.sum, v.err = v.server.tree.Verify(ctx, below,
		func(f tree.Flaw) { say(v.server.appendFlaw(nil, &f)) },
		func(sum tree.Verified) {
			if time.Since(told) >= verifyProgressTime {
				told = time.Now()
				say(append(appendVerified([]byte{'{'}, &sum), "}\n"...))
			}
		})
}

// send sends the lines. What went wrong before the first is told by the status. A line with no news keeps the connection
// from being taken for dead while a large file is read.
func (v *verifying) send(w *reply) error {
	conn := http.NewResponseController(w.ResponseWriter)
	quiet := time.NewTicker(v.server.heartbeat)
	defer quiet.Stop()
	for {
		line, more := []byte("{}\n"), true
		select {
		case line, more = <-v.lines:
		case <-quiet.C:
		}
		if !more {
			return v.end(w)
		}
		setVerify(w.Header())
		if _, err := w.Write(line); err != nil {
			return err
		}
		if err := conn.Flush(); err != nil {
			return err
		}
	}
}

func (v *verifying) end(w *reply) error {
	if errors.Is(v.err, tree.ErrBusy) {
		return problem.Busy.Errorf("The files are being verified already.")
	}
	if v.err != nil {
		return v.err
	}
	setVerify(w.Header())
	_, err := w.Write(append(appendVerified([]byte(`{"end":true,`), &v.sum), "}\n"...))
	return err
}

func setVerify(h http.Header) {
	setSafe(h)
	h["Content-Type"] = valueNDJSON
	h["Content-Security-Policy"] = valueNothingLoaded
	h["Cache-Control"] = valueNoStore
	h["X-Accel-Buffering"] = valueNo // or nginx in front gathers lines
}

func (s *Server) appendFlaw(b []byte, f *tree.Flaw) []byte {
	b = appendJSONText(append(b, '{'), "p", f.Path.String())
	if f.Err == nil {
		b = appendJSONString(append(b, `,"was":`...), f.Was.String())
		b = appendJSONString(append(b, `,"is":`...), f.Is.String())
		return append(b, "}\n"...)
	}
	s.log.Warn("cannot be read to be verified", slog.String("path", f.Path.String()), slog.Any("err", f.Err))
	p := problem.Of(f.Err)
	b = appendJSONString(append(b, `,"problem":`...), p.Type)
	b = appendJSONString(append(b, `,"detail":`...), p.Detail)
	return append(b, "}\n"...)
}

func appendVerified(b []byte, sum *tree.Verified) []byte {
	b = strconv.AppendInt(append(b, `"files":`...), sum.Files, 10)
	b = strconv.AppendInt(append(b, `,"bytes":`...), sum.Bytes, 10)
	b = strconv.AppendInt(append(b, `,"mismatches":`...), sum.Mismatches, 10)
	b = strconv.AppendInt(append(b, `,"changed":`...), sum.Changed, 10)
	return strconv.AppendInt(append(b, `,"unreadable":`...), sum.Unreadable, 10)
}
