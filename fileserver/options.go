package fileserver

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"freshet/fileserver/auth"
	"freshet/fileserver/tree"
)

// The methods that make sense on each kind of thing.
const (
	allowReading    = "GET, HEAD, OPTIONS"
	allowOnFile     = "GET, HEAD, OPTIONS, PUT, DELETE, MOVE, COPY"
	allowOnFolder   = "GET, HEAD, OPTIONS, POST, DELETE, MOVE, COPY"
	allowOnRoot     = "GET, HEAD, OPTIONS, POST, COPY"
	allowOnNothing  = "GET, HEAD, OPTIONS, PUT, MKCOL"
	allowEverything = "GET, HEAD, OPTIONS, PUT, POST, DELETE, MKCOL, MOVE, COPY"
)

// options answers OPTIONS: which methods can be used on the path as it is now.
func (s *Server) options(w *reply, r *http.Request, t target) error {
	s.answerOptions(w, s.allow(w, r.Context(), t))
	return nil
}

func (s *Server) answerOptions(w *reply, allow string) {
	h := w.Header()
	setSafe(h)
	h["Allow"] = []string{allow}
	h["Cache-Control"] = valueNoStore
	w.WriteHeader(http.StatusNoContent)
}

// allow returns the value of the Allow field for t: what whoever asks may use on what is there now. Looking costs less than
// hashing: nothing is read. It is not looked at for somebody who may not read it.
func (s *Server) allow(w *reply, ctx context.Context, t target) string {
	if !s.config.Write {
		return allowReading
	}
	can := s.rights(w, t.path)
	return allowedOf(s.allowThere(ctx, t, can), can)
}

func (s *Server) allowThere(ctx context.Context, t target, can auth.Rights) string {
	if t.path.IsRoot() {
		return allowOnRoot
	}
	if !can.Has(auth.Read) {
		return allowEverything
	}
	e, err := s.tree.Stat(ctx, t.path)
	switch {
	case errors.Is(err, tree.ErrNotExist):
		return allowOnNothing
	case err != nil:
		return allowEverything
	case e.IsFile():
		return allowOnFile
	}
	return allowOnFolder
}

// allowedOf leaves out of a list of methods those that need other rights than can.
func allowedOf(methods string, can auth.Rights) string {
	if can == auth.All {
		return methods
	}
	kept := slices.DeleteFunc(strings.Split(methods, ", "), func(method string) bool {
		return !needs[method].metBy(can, can)
	})
	return strings.Join(kept, ", ")
}

func (s *Server) allowAnywhere() string {
	if s.config.Write {
		return allowEverything
	}
	return allowReading
}
