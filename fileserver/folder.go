package fileserver

import (
	"fmt"
	"net/http"

	"freshet/fileserver/auth"
	"freshet/fileserver/precond"
	"freshet/fileserver/problem"
	"freshet/fileserver/tree"
)

// getFolder answers GET and HEAD of a folder with a listing. All of it is of one state, which its tag names. While there is
// no state to be named, because the tree has not been looked at yet, a file below is being written or the path leads
// through a link, the folder is listed as it is on disk, without a tag and for nobody to keep.
func (s *Server) getFolder(w *reply, r *http.Request, p tree.Path) error {
	query, err := parseListingQuery(r.URL.Query())
	if err != nil {
		return problem.Query.Errorf("%v.", err)
	}
	l := listing{path: p, query: query, format: negotiateListing(r.Header["Accept"]), page: s.page(nil)}
	l.page.Write = s.rights(w, p).HasAny(auth.Create | auth.Replace)
	l.partly = !s.rightsBelow(w, p).Has(auth.Reading)
	l.rights = func(p tree.Path) auth.Rights { return s.rights(w, p) }
	if err := s.lookAt(r.Context(), &l); err != nil {
		return err
	}
	condition := precond.Parse(r.Header)
	verdict := condition.Read(l.state())
	if verdict == precond.Failed {
		return preconditionFailed(&tree.Entry{Kind: tree.KindFolder, Digest: l.page.Subtree})
	}
	s.setListing(w.Header(), &l)
	switch {
	case verdict == precond.NotModified:
		w.WriteHeader(http.StatusNotModified)
		return nil
	case r.Method == http.MethodHead:
		w.WriteHeader(http.StatusOK)
		return nil
	}
	return s.sendListing(w, &l)
}

// setListing sets the fields of a listing, which those of its 304 are too. A listing has no Last-Modified: a time says
// nothing about what is below, nor about how it is shown.
func (s *Server) setListing(h http.Header, l *listing) {
	setSafe(h)
	if l.format == listingHTML {
		setPage(h)
	} else {
		h["Content-Type"] = []string{listingContentType(l.format)}
		h["Content-Security-Policy"] = valueNothingLoaded
	}
	h["Vary"] = valueVaryAccept
	if l.tag == "" {
		h["Cache-Control"] = valueNoStore
		return
	}
	h["Cache-Control"] = valueNoCache
	h["ETag"] = []string{l.tag}
	h[fieldSubtree] = []string{l.page.Subtree.ETag()}
}

// sendListing sends the body. Its entries are in memory until the last of it is sent.
func (s *Server) sendListing(w *reply, l *listing) error {
	held := min(int64(l.size()), listedEntriesMax)
	if !s.listed.TryAcquire(held) {
		return fmt.Errorf("list %q: %w: other listings are being sent", l.path, tree.ErrBusy)
	}
	defer s.listed.Release(held)
	return renderListing(w, l.format, l.path, l.all(), l.query, l.page)
}
