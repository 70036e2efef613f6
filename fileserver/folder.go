package fileserver

import (
	"fmt"
	"net/http"

	"freshet/fileserver/precond"
	"freshet/fileserver/problem"
	"freshet/fileserver/tree"
)

// getFolder answers GET and HEAD of a folder with a listing. Listings have no tag yet, so nobody may keep one.
func (s *Server) getFolder(w *reply, r *http.Request, p tree.Path) error {
	query, err := parseListingQuery(r.URL.Query())
	if err != nil {
		return problem.Query.Errorf("%v.", err)
	}
	entries, err := s.tree.List(r.Context(), p)
	if err != nil {
		return err
	}
	condition := precond.Parse(r.Header)
	verdict := condition.Read(precond.State{Exists: true})
	if verdict == precond.Failed {
		return preconditionFailed(&tree.Entry{Kind: tree.KindFolder})
	}
	format := negotiateListing(r.Header["Accept"])
	h := w.Header()
	setSafe(h)
	if format == listingHTML {
		setPage(h)
	} else {
		h["Content-Type"] = []string{listingContentType(format)}
		h["Content-Security-Policy"] = valueNothingLoaded
	}
	h["Cache-Control"] = valueNoStore
	h["Vary"] = valueVaryAccept
	if verdict == precond.NotModified {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	if r.Method == http.MethodHead {
		w.WriteHeader(http.StatusOK)
		return nil
	}
	held := min(int64(len(entries)), listedEntriesMax)
	if !s.listed.TryAcquire(held) {
		return fmt.Errorf("list %q: %w: other listings are being sent", p, tree.ErrBusy)
	}
	defer s.listed.Release(held)
	return renderListing(w, format, p, entries, query, s.page(nil))
}
