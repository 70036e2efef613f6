package fileserver

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"freshet/fileserver/auth"
	"freshet/fileserver/problem"
	"freshet/fileserver/tree"
)

// A delivery is what a PUT says about the bytes that it brings.
type delivery struct {
	size    int64 // -1: not announced
	digests digestList
	modTime time.Time // zero: now
}

// put answers PUT: it makes the body the content of a file, if the conditions hold on arrival and again at the commit.
func (s *Server) put(w *reply, r *http.Request, t target) error {
	d, err := readDelivery(r)
	if err != nil {
		return err
	}
	if t.folder {
		return s.refuseFolderPath(r, t)
	}
	terms := s.termsFor(w, t.path, r.Header)
	if err := s.arrive(r.Context(), t.path, &terms); err != nil {
		return err
	}
	staged, err := s.tree.Stage(r.Context(), t.path, d.size)
	if err != nil {
		return err
	}
	defer staged.Discard()
	if err := d.receive(staged, bodyOf(w), r); err != nil {
		return err
	}
	w.Header()["Date"] = s.validators.httpDate(time.Now()) // see answerChange
	change := tree.Change{Guard: terms.guard(), ModTime: d.modTime, By: by(w, r)}
	result, err := s.tree.Commit(r.Context(), t.path, staged, change)
	if err != nil {
		return err
	}
	if !d.modTime.IsZero() {
		w.Header()["X-Oc-Mtime"] = valueTimeAccepted
	}
	s.answerChange(w, result)
	return nil
}

// answerChange tells what is at a path now: 201 if it is new, else 204. The Date is of before the change, so that nobody
// who asks by it later is told that nothing has happened since.
func (s *Server) answerChange(w *reply, result tree.Result) {
	h := w.Header()
	setSafe(h)
	h["Cache-Control"] = valueNoStore
	if h["Date"] == nil {
		h["Date"] = s.validators.httpDate(w.start)
	}
	setSeq(h, result.Cursor)
	if e := &result.Entry; e.IsFile() && !e.Digest.IsZero() {
		h["ETag"] = s.validators.tag(e.Digest, e.Size).etag
	}
	if result.Created {
		w.WriteHeader(http.StatusCreated)
	} else {
		w.WriteHeader(http.StatusNoContent)
	}
}

// refuseFolderPath answers a PUT to a path with a slash at the end.
func (s *Server) refuseFolderPath(r *http.Request, t target) error {
	if e, err := s.tree.Stat(r.Context(), t.path); err == nil && e.Kind == tree.KindFolder {
		return tree.ErrIsFolder
	}
	return problem.FolderPath.Errorf("A path with a slash at the end names a folder; PUT is for files.")
}

// readDelivery reads the fields that say what the body is, and refuses bodies that are not the whole file as it is.
func readDelivery(r *http.Request) (delivery, error) {
	h := r.Header
	switch {
	case len(h["Content-Range"]) > 0:
		return delivery{}, problem.ContentRange.Errorf("A PUT with Content-Range is not carried out.")
	case len(h["Oc-Chunked"]) > 0:
		return delivery{}, problem.Unsupported.Errorf("Chunked uploads (OC-Chunked) are not carried out.")
	case isCoded(h["Content-Encoding"]):
		err := problem.Coding.Errorf("Content-Encoding is %.40q.", strings.Join(h["Content-Encoding"], ", "))
		err.Header = http.Header{"Accept-Encoding": {"identity"}}
		return delivery{}, err
	}
	var d delivery
	var err error
	if d.size, err = announcedSize(r); err != nil {
		return delivery{}, err
	}
	if d.modTime, err = modTimeOf(h); err != nil {
		return delivery{}, err
	}
	d.digests, err = readDigests(h)
	return d, err
}

// isCoded reports whether lines of a Content-Encoding field name a coding other than identity.
func isCoded(lines []string) bool {
	for _, line := range lines {
		for coding := range strings.SplitSeq(line, ",") {
			if c := strings.TrimSpace(coding); c != "" && !strings.EqualFold(c, "identity") {
				return true
			}
		}
	}
	return false
}

// announcedSize returns the length of the body, -1 if nothing tells. Chunked bodies may tell it in
// X-Expected-Entity-Length.
func announcedSize(r *http.Request) (int64, error) {
	lines := r.Header["X-Expected-Entity-Length"]
	if len(lines) == 0 {
		return r.ContentLength, nil
	}
	size, err := strconv.ParseUint(strings.TrimSpace(lines[0]), 10, 63)
	if err != nil || len(lines) > 1 {
		return 0, problem.Header.Errorf("X-Expected-Entity-Length is not one number of bytes.")
	}
	if r.ContentLength >= 0 && r.ContentLength != int64(size) {
		return 0, problem.Length.Errorf("Content-Length is %d, X-Expected-Entity-Length is %d.", r.ContentLength, size)
	}
	return int64(size), nil
}

// receive copies the body to dst and checks it against what was announced.
func (d *delivery) receive(dst *tree.Staged, body io.Reader, r *http.Request) error {
	sums := newSums(d.digests, r.Trailer)
	var w io.Writer = dst
	if len(sums) > 0 {
		w = sums.tee(dst)
	}
	if err := copyBody(w, body); err != nil {
		return err
	}
	if d.size >= 0 && dst.Size() != d.size {
		return problem.Length.Errorf("%d bytes were announced, %d came.", d.size, dst.Size())
	}
	offered := d.digests
	trailing, err := readDigests(r.Trailer)
	if err != nil {
		return err
	}
	return sums.verify(append(offered, trailing...))
}

// by says who changes something, for the record of what is displaced.
func by(w *reply, r *http.Request) string {
	if w.asking.who == auth.Anonymous {
		return "http " + peer(r)
	}
	return "http " + peer(r) + " " + string(w.asking.who)
}

// setSeq tells who made a change its place in the feed, so that its own event is no news. A tree without a feed has none.
func setSeq(h http.Header, c tree.Cursor) {
	if !c.IsZero() {
		h[fieldSeq] = []string{c.String()}
	}
}
