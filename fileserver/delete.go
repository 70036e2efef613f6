package fileserver

import (
	"net/http"
	"strings"

	"freshet/fileserver/problem"
	"freshet/fileserver/tree"
)

// delete answers DELETE: a file, a link, or a folder with all it holds, in one step. What is removed becomes a version.
func (s *Server) delete(w *reply, r *http.Request, t target) error {
	if t.path.IsRoot() {
		return problem.Method.Errorf("The root cannot be removed.")
	}
	if _, err := depthOf(r.Header, depthInfinity); err != nil {
		return err
	}
	terms := s.termsOf(r.Header)
	if err := s.arriveAtSource(r, t, &terms); err != nil {
		return err
	}
	result, err := s.tree.Remove(r.Context(), t.path, tree.Change{Guard: terms.guardOf(t), By: by(w, r)})
	if err != nil {
		return err
	}
	h := w.Header()
	setSafe(h)
	setSeq(h, result.Cursor)
	h["Cache-Control"] = valueNoStore
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// arriveAtSource finds the tag of what is at t, link or not, if one will have to be compared. There is no body to wait for,
// so nothing is decided here. What a link turns out to lead to then has that tag only if it is still the same.
func (s *Server) arriveAtSource(r *http.Request, t target, terms *terms) error {
	if !terms.cond.NeedsTag() {
		return nil
	}
	seen, err := s.current(r.Context(), t.path, true)
	if err != nil {
		return err
	}
	terms.behind = func() *tree.Entry {
		now, err := s.tree.Stat(r.Context(), t.path)
		switch {
		case err != nil:
			return nil
		case seen != nil && seen.Stamp == now.Stamp:
			now = *seen
		}
		if !now.IsFile() {
			return nil // its fingerprint is that of another path, which the lock of the link does not hold still
		}
		return &now
	}
	return nil
}

// guardOf returns the Guard of a change that takes away what is at t. A path with a slash at the end does not name a
// file.
func (t terms) guardOf(at target) tree.Guard {
	guard := t.guard()
	if !at.folder {
		return guard
	}
	return func(cur *tree.Entry) error {
		if cur != nil && cur.IsFile() {
			return tree.ErrNotFolder
		}
		if guard == nil {
			return nil
		}
		return guard(cur)
	}
}

const (
	depthZero     = "0"
	depthInfinity = "infinity"
)

// depthOf reads the Depth field (RFC 4918 section 10.2), which must be one of allowed; infinity if there is none.
func depthOf(h http.Header, allowed ...string) (string, error) {
	lines := h["Depth"]
	if len(lines) == 0 {
		return depthInfinity, nil
	}
	for _, depth := range allowed {
		if len(lines) == 1 && strings.EqualFold(strings.TrimSpace(lines[0]), depth) {
			return depth, nil
		}
	}
	return "", problem.Header.Errorf("Depth is %.40q, not %s.", strings.Join(lines, ", "), strings.Join(allowed, " or "))
}
