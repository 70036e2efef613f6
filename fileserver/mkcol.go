package fileserver

import (
	"net/http"

	"freshet/fileserver/problem"
	"freshet/fileserver/tree"
)

// mkcol answers MKCOL (RFC 4918 section 9.3): it makes a folder where nothing is.
func (s *Server) mkcol(w *reply, r *http.Request, t target) error {
	if r.ContentLength != 0 {
		return problem.MediaType.Errorf("MKCOL takes no body.")
	}
	if t.path.IsRoot() {
		return tree.ErrExist
	}
	terms := s.termsOf(r.Header)
	result, err := s.tree.Mkdir(r.Context(), t.path, tree.Change{Guard: terms.whereFree(), By: by(w, r)})
	if err != nil {
		return err
	}
	s.answerChange(w, result)
	return nil
}

// whereFree returns the Guard of a change that is made only where nothing is. That something is there comes before the
// conditions, which count only where the request would succeed without them (RFC 9110 section 13.2.1).
func (t terms) whereFree() tree.Guard {
	guard := t.guard()
	return func(cur *tree.Entry) error {
		if cur != nil {
			return tree.ErrExist
		}
		if guard == nil {
			return nil
		}
		return guard(nil)
	}
}
