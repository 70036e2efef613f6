package fileserver

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"time"

	"freshet/fileserver/auth"
	"freshet/fileserver/precond"
	"freshet/fileserver/problem"
	"freshet/fileserver/tree"
)

// terms are the conditions under which a change of one path may be made: those of the request, and that there are any
// if the server requires it.
type terms struct {
	cond     precond.Condition
	required bool
	// lacks are the rights to make or to replace what is there, as far as whoever asks has them not. Who may only make things
	// asks on the condition that nothing is there (If-None-Match: *), whether that is said or not.
	lacks auth.Rights
	// behind returns the file that a link leads to now, nil if that cannot be told. A change of a link itself is shown the
	// link, but the tag that its client knows is that of the file behind it.
	behind func() *tree.Entry
}

func (s *Server) termsOf(h http.Header) terms {
	return terms{cond: precond.Parse(h), required: s.config.RequirePreconditions}
}

// termsFor are the terms of a change that makes or replaces what is at p.
func (s *Server) termsFor(w *reply, p tree.Path, h http.Header) terms {
	t := s.termsOf(h)
	t.lacks = (auth.Create | auth.Replace) &^ s.rights(w, p)
	return t
}

// guard returns the Guard that decides under the lock, nil if there is nothing to decide: then the tree need not find
// out what is there.
func (t terms) guard() tree.Guard {
	if !t.cond.HasWriteCondition() && !t.required && t.lacks == auth.None {
		return nil
	}
	return t.ask
}

// ask decides whether a change of cur (nil: absent) may be made.
func (t terms) ask(cur *tree.Entry) error {
	if cur != nil && cur.Kind == tree.KindLink && t.behind != nil {
		cur = cmp.Or(t.behind(), cur)
	}
	switch {
	case cur == nil && t.lacks.Has(auth.Create):
		return tree.ErrNotExist
	case cur != nil && t.lacks.Has(auth.Replace):
		return preconditionFailed(cur)
	}
	if t.required && cur != nil && !t.cond.HasWriteCondition() {
		err := problem.PreconditionRequired.Errorf("There is no If-Match, If-None-Match or If-Unmodified-Since.")
		err.Current = currentOf(cur)
		return err
	}
	switch t.cond.Write(stateOf(cur)) {
	case precond.Failed:
		return preconditionFailed(cur)
	case precond.Unknown:
		return problem.Unsettled.Errorf("A file in the folder, or below, is being written or looked at.")
	}
	return nil
}

// arrive asks before the body is read, so that an upload that will be refused is not sent: no 100 Continue goes out
// before the first read. What is there is found as a reader would find it. A tag that is not known yet decides
// nothing here.
func (s *Server) arrive(ctx context.Context, p tree.Path, t *terms) error {
	cur, err := s.current(ctx, p, t.cond.NeedsTag())
	switch {
	case err != nil:
		return err
	case cur != nil && !cur.IsFile():
		return tree.ErrIsFolder
	case t.guard() == nil, cur != nil && cur.Digest.IsZero() && t.cond.NeedsTag():
		return nil
	}
	if err = t.ask(cur); err == nil {
		return nil
	}
	return s.refuseOnArrival(ctx, p, cur, t, err)
}

// refuseOnArrival completes a refusal: conditions count only where the request would succeed without them (RFC 9110
// section 13.2.1), and the client is told the tag that is there even if the condition had no need of it.
func (s *Server) refuseOnArrival(ctx context.Context, p tree.Path, cur *tree.Entry, t *terms, refused error) error {
	if cur == nil {
		if parent, err := s.tree.Stat(ctx, p.Parent()); err != nil || parent.Kind != tree.KindFolder {
			return tree.ErrNoParent
		}
		return refused
	}
	if !cur.Digest.IsZero() {
		return refused
	}
	cur, err := s.current(ctx, p, true)
	if err != nil {
		return err
	}
	return t.ask(cur)
}

// current returns what a reader finds at p, nil if that is nothing; with its digest if tag is set and it can be had
// in time.
func (s *Server) current(ctx context.Context, p tree.Path, tag bool) (*tree.Entry, error) {
	e, err := s.tree.Stat(ctx, p)
	if err == nil && tag && e.IsFile() && e.Digest.IsZero() {
		var f *tree.File
		if f, err = s.tree.Open(ctx, p); err == nil {
			e = f.Entry
			f.Close()
		}
	}
	switch {
	case errors.Is(err, tree.ErrRootGone):
		return nil, err
	case errors.Is(err, tree.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return &e, nil
}

// stateOf is what the conditions of a change are compared with.
func stateOf(e *tree.Entry) precond.State {
	if e == nil {
		return precond.State{}
	}
	return precond.State{
		Exists:  true,
		Folder:  e.Kind == tree.KindFolder,
		ETag:    currentOf(e).ETag,
		Digest:  e.Digest,
		ModTime: e.ModTime,
		Changed: time.Unix(0, e.Stamp.Ctime),
	}
}

// preconditionFailed is the 412 that tells what is there now.
func preconditionFailed(cur *tree.Entry) error {
	var err *problem.Error
	current := currentOf(cur)
	switch {
	case cur == nil:
		err = problem.Precondition.Errorf("Nothing is at this path.")
	case current.ETag == "":
		err = problem.Precondition.Errorf("What is at this path does not meet the condition; its tag is not known.")
	case current.Folder:
		err = problem.Precondition.Errorf("The folder, or something below it, has changed; it is %s now.", current.ETag)
	default:
		err = problem.Precondition.Errorf("The path has another version, %s.", current.ETag)
	}
	err.Current = current
	return err
}

// currentOf returns the tag of what is there now: a file's own, or the bare fingerprint of a folder.
func currentOf(e *tree.Entry) problem.CurrentTag {
	if e == nil || e.Digest.IsZero() {
		return problem.CurrentTag{Known: true}
	}
	return problem.CurrentTag{Known: true, ETag: e.Digest.ETag(), Folder: e.Kind == tree.KindFolder}
}
