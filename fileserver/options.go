package fileserver

import (
	"context"
	"errors"
	"net/http"

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
	s.answerOptions(w, s.allow(r.Context(), t))
	return nil
}

func (s *Server) answerOptions(w *reply, allow string) {
	h := w.Header()
	setSafe(h)
	h["Allow"] = []string{allow}
	h["Cache-Control"] = valueNoStore
	w.WriteHeader(http.StatusNoContent)
}

// allow returns the value of the Allow field for t. Looking costs less than hashing: nothing is read.
func (s *Server) allow(ctx context.Context, t target) string {
	if !s.config.Write {
		return allowReading
	}
	if t.path.IsRoot() {
		return allowOnRoot
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

func (s *Server) allowAnywhere() string {
	if s.config.Write {
		return allowEverything
	}
	return allowReading
}
