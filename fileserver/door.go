package fileserver

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"freshet/fileserver/auth"
	"freshet/fileserver/problem"
	"freshet/fileserver/tree"
)

// A target is what a request is about, decoded once.
type target struct {
	path   tree.Path
	folder bool // the path was written with a slash at the end
}

// A handler answers a request about a target, or returns why it did not. After a part of the answer has been sent, an
// error cuts the connection.
type handler func(s *Server, w *reply, r *http.Request, t target) error

// handlers are the methods that are understood. The rest of the methods that exist are refused with 405, others with
// 501. What they need of the rules is in needs.
var handlers = map[string]struct {
	handle handler
	writes bool
}{
	http.MethodGet:     {(*Server).get, false},
	http.MethodHead:    {(*Server).get, false},
	http.MethodOptions: {(*Server).options, false},
	http.MethodPut:     {(*Server).put, true},
	http.MethodPost:    {(*Server).post, true},
	http.MethodDelete:  {(*Server).delete, true},
	"MKCOL":            {(*Server).mkcol, true},
	"MOVE":             {(*Server).move, true},
	"COPY":             {(*Server).copy, true},
}

// enter is the door: every request with a path comes through here.
func (s *Server) enter(w *reply, r *http.Request) error {
	if err := s.admit(w, r); err != nil {
		return err
	}
	escaped := r.URL.EscapedPath()
	p, folder, err := tree.Parse(escaped)
	if errors.Is(err, tree.ErrReserved) {
		return s.control(w, r, escaped)
	}
	if err != nil {
		return err
	}
	if isOwn(p) {
		return s.describe(w, r)
	}
	t := target{p, folder}
	// The two methods that nearly all requests have need no look into the map.
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		if err := s.authorizeGet(w, r, t); err != nil {
			return err
		}
		return s.get(w, r, t)
	}
	h, ok := handlers[r.Method]
	switch {
	case !ok:
		return s.methodRefused(r.Method, s.allow(w, r.Context(), t))
	case h.writes && !s.config.Write:
		err := problem.ReadOnly.Errorf("%s cannot be used: nothing can be changed through this server.", r.Method)
		return withAllow(err, s.allow(w, r.Context(), t))
	}
	if err := s.authorize(w, r, needs[r.Method], t.path); err != nil {
		return err
	}
	if err := h.handle(s, w, r, t); err != nil {
		return s.discreet(w, t.path, s.explain(w, r.Context(), err, t))
	}
	return nil
}

// admit refuses what a page from elsewhere may have sent, and finds out who is asking.
func (s *Server) admit(w *reply, r *http.Request) error {
	w.asking = session{policy: s.auth.Policy()}
	if err := s.origins.Check(r); err != nil {
		return problem.CrossOrigin.Errorf("A %s from a page of another origin is not carried out.", r.Method)
	}
	known := s.hosts.allows(r.Host)
	if w.asking.policy.Users != nil && len(r.Header["Authorization"]) > 0 {
		if err := s.signIn(w, r); err != nil {
			return err
		}
	}
	if !known && w.asking.who == auth.Anonymous {
		return problem.Host.Errorf("The server is not known as %.*q.", hostBytesMax, r.Host)
	}
	return nil
}

// methodRefused is the answer to a method that is not for this path, or for none.
func (s *Server) methodRefused(method, allow string) error {
	if slices.Contains(methodNames[:], method) {
		return withAllow(problem.Method.Errorf("%s cannot be used here.", method), allow)
	}
	return withAllow(problem.MethodUnknown.Errorf("%.20q is not a method that this server knows.", method), allow)
}

// explain adds to a 405 what would be allowed (RFC 9110 section 15.5.6).
func (s *Server) explain(w *reply, ctx context.Context, err error, t target) error {
	p := problem.Of(err)
	if p.Status != http.StatusMethodNotAllowed || p.Header != nil {
		return err
	}
	return withAllow(problem.From(err), s.allow(w, ctx, t))
}

func withAllow(err *problem.Error, allow string) *problem.Error {
	err.Header = http.Header{"Allow": {allow}}
	return err
}
