package fileserver

import (
	"net/http"

	"freshet/fileserver/auth"
	"freshet/fileserver/problem"
	"freshet/fileserver/tree"
)

// move answers MOVE (RFC 4918 section 9.9), in one step for files and folders alike.
func (s *Server) move(w *reply, r *http.Request, t target) error {
	if t.path.IsRoot() {
		return problem.Method.Errorf("The root cannot be moved.")
	}
	to, x, err := s.readTransfer(w, r, t, depthInfinity)
	if err != nil {
		return err
	}
	result, err := s.tree.Move(r.Context(), t.path, to.path, x)
	return s.answerTransfer(w, x, result, err)
}

// copy answers COPY (RFC 4918 section 9.8). With Depth 0 a folder is copied without what it holds.
func (s *Server) copy(w *reply, r *http.Request, t target) error {
	to, x, err := s.readTransfer(w, r, t, depthZero, depthInfinity)
	if err != nil {
		return err
	}
	result, err := s.tree.Copy(r.Context(), t.path, to.path, x)
	return s.answerTransfer(w, x, result, err)
}

// readTransfer reads the fields of a MOVE or COPY. Conditions guard the source, Overwrite guards the destination.
func (s *Server) readTransfer(w *reply, r *http.Request, t target, depths ...string) (to target, x tree.Transfer, err error) {
	if to, err = readDestination(r); err != nil {
		return to, x, err
	}
	if err := s.authorizeDestination(w, r, to.path); err != nil {
		return to, x, err
	}
	overwrite, err := overwriteOf(r.Header)
	if err != nil {
		return to, x, err
	}
	depth, err := depthOf(r.Header, depths...)
	if err != nil {
		return to, x, err
	}
	if x.ModTime, err = modTimeOf(r.Header); err != nil {
		return to, x, err
	}
	terms := s.termsOf(r.Header)
	if r.Method == "COPY" {
		terms.required = false // the source stays as it is
	}
	if err := s.arriveAtSource(r, t, &terms); err != nil {
		return to, x, err
	}
	x.Source, x.Destination = sourceGuard(terms.guardOf(t), to), s.destinationGuard(overwrite, s.rightsBelow(w, to.path))
	x.By, x.Shallow = by(w, r), depth == depthZero
	return to, x, nil
}

// sourceGuard refuses to give a file a name with a slash at the end: who wrote that may have meant a name inside that
// folder, and would have the folder replaced.
func sourceGuard(guard tree.Guard, to target) tree.Guard {
	if !to.folder {
		return guard
	}
	return func(cur *tree.Entry) error {
		if cur != nil && cur.IsFile() {
			return problem.SlashAfterFile.Errorf("The source is a file, and the Destination ends with a slash.")
		}
		if guard == nil {
			return nil
		}
		return guard(cur)
	}
}

// destinationGuard guards what a MOVE or COPY would replace, for somebody who can do that much there. The only condition that
// a field can set on it is that it must not be there; who may not replace it has set that too.
func (s *Server) destinationGuard(overwrite bool, can auth.Rights) tree.Guard {
	kind, reason := problem.Precondition, "Something is at the Destination, and Overwrite is F."
	if overwrite {
		kind, reason = problem.PreconditionRequired, "Something is at the Destination, to be replaced on no condition."
	}
	if overwrite && !s.config.RequirePreconditions && can == auth.All {
		return nil
	}
	return func(cur *tree.Entry) error {
		switch {
		case cur == nil && can.Has(auth.Create):
			return nil
		case cur == nil:
			return tree.ErrNotExist
		case !can.Has(neededToReplace(cur)):
			return problem.Precondition.Errorf("Something is at the Destination that you may not replace.")
		case overwrite && !s.config.RequirePreconditions:
			return nil
		}
		err := kind.Errorf("%s", reason)
		if can.Has(auth.Read) {
			err.Current = currentOf(cur)
		}
		err.Next = "Choose another Destination, or first remove what is there, with If-Match and its tag."
		return err
	}
}

// neededToReplace is what somebody must be allowed to put something in the place of cur. With a folder goes all it holds.
func neededToReplace(cur *tree.Entry) auth.Rights {
	if cur.Kind == tree.KindFolder {
		return auth.Replace | auth.Delete
	}
	return auth.Replace
}

func (s *Server) answerTransfer(w *reply, x tree.Transfer, result tree.Result, err error) error {
	if err != nil {
		return err
	}
	if !x.ModTime.IsZero() {
		w.Header()["X-Oc-Mtime"] = valueTimeAccepted
	}
	s.answerChange(w, result)
	return nil
}
