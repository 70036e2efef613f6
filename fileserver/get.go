package fileserver

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"freshet/fileserver/auth"
	"freshet/fileserver/precond"
	"freshet/fileserver/problem"
	"freshet/fileserver/tree"
	"freshet/hashing"
)

const tornTriesMax = 8 // times a file that changes before its first byte is sent is opened again

// get answers GET and HEAD: a file, in the order of RFC 9110 section 13.2.2, or a folder.
func (s *Server) get(w *reply, r *http.Request, t target) error {
	if t.folder {
		return s.getFolder(w, r, t.path)
	}
	err := untorn(w, func() error { return s.getFile(w, r, t.path) })
	if errors.Is(err, tree.ErrIsFolder) {
		return s.redirectToFolder(w, r, t.path)
	}
	return err
}

// untorn answers again when the file was torn before its first byte was sent.
func untorn(w *reply, answer func() error) error {
	for try := 1; ; try++ {
		err := answer()
		if !errors.Is(err, tree.ErrTorn) || w.status != 0 || try == tornTriesMax {
			return err
		}
		clear(w.Header())
		w.pending = 0
	}
}

func (s *Server) getFile(w *reply, r *http.Request, p tree.Path) error {
	f, err := s.tree.Open(r.Context(), p)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := s.authorizeOpened(w, r, p, f); err != nil {
		return err
	}
	return s.answerFile(w, r, f, s.cacheControlFor(w, p))
}

// cacheControlFor returns the Cache-Control of the file at p. Caches that serve many may not keep what not everybody may
// read, whatever is said of its name.
func (s *Server) cacheControlFor(w *reply, p tree.Path) []string {
	control := s.cacheControl(p.String())
	if w.asking.who == auth.Anonymous || !isShared(control[0]) ||
		w.asking.policy.Rules.Allow(auth.Anonymous, p).Has(auth.Read) {
		return control
	}
	return valuePrivate
}

// isShared reports whether a Cache-Control lets shared caches keep the answer to a request with an Authorization field (RFC
// 9111 section 3.5).
func isShared(control string) bool {
	control = strings.ToLower(control)
	return strings.Contains(control, "public") || strings.Contains(control, "s-maxage") || strings.Contains(control, "must-revalidate")
}

// answerFile answers with f: a part of it, all of it, or that the client has it or must not have it.
func (s *Server) answerFile(w *reply, r *http.Request, f *tree.File, cache []string) error {
	h := w.Header()
	media := mediaOf(f.Entry.Name)
	setSafe(h)
	media.setSafe(h, f.Entry.Name)
	state := s.stateOf(f)
	condition := precond.Parse(r.Header)
	switch condition.Read(state) {
	case precond.Failed:
		return preconditionFailed(&f.Entry)
	case precond.NotModified:
		s.setValidators(w, f, cache, state)
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	s.setValidators(w, f, cache, state)
	h["Content-Type"] = media.contentType
	if f.Entry.Digest.IsZero() {
		return s.sendUntagged(w, r, f)
	}
	h["Accept-Ranges"] = valueBytes
	if r.Method == http.MethodGet && len(r.Header["Range"]) > 0 && precond.IfRange(r.Header["If-Range"], state) {
		return s.sendRanges(w, r, f, media)
	}
	h["Content-Length"] = s.validators.tag(f.Entry.Digest, f.Entry.Size).length
	return s.sendWhole(w, r, f)
}

// stateOf is what the conditions of a reader are compared with.
func (s *Server) stateOf(f *tree.File) precond.State {
	e := &f.Entry
	state := precond.State{Exists: true, Digest: e.Digest, ModTime: e.ModTime, Changed: time.Unix(0, e.Stamp.Ctime)}
	if !e.Digest.IsZero() {
		state.ETag = s.validators.tag(e.Digest, e.Size).etag[0]
	}
	return state
}

// setValidators sets what a 200 and its 304 have in common (RFC 9110 section 15.4.5). Without a tag nothing may be
// kept: the file is being written right now. Date and Last-Modified are of when the request came, before the file was
// looked at: a client may ask by either of them, and a change made while the answer waited must not be older.
func (s *Server) setValidators(w *reply, f *tree.File, cache []string, state precond.State) {
	h := w.Header()
	h["Date"] = s.validators.httpDate(w.start)
	if f.Entry.Digest.IsZero() {
		h["Cache-Control"] = valueNoStore
		return
	}
	h["ETag"] = s.validators.tag(f.Entry.Digest, f.Entry.Size).etag
	h["Cache-Control"] = cache
	if modified, ok := precond.LastModified(state, w.start); ok {
		h["Last-Modified"] = s.validators.httpDate(modified)
	}
}

// sendUntagged sends a file whose digest could not be had in time, as it is while it is read, for nobody to keep.
func (s *Server) sendUntagged(w *reply, r *http.Request, f *tree.File) error {
	h := w.Header()
	h["Accept-Ranges"] = valueNone
	h["Content-Length"] = []string{strconv.FormatInt(f.Entry.Size, 10)}
	return s.sendWhole(w, r, f)
}

// sendWhole sends all of f. The header goes out with the first bytes, so that a file that is torn before them can
// still be opened again.
func (s *Server) sendWhole(w *reply, r *http.Request, f *tree.File) error {
	if r.Method == http.MethodHead || f.Entry.Size == 0 {
		w.WriteHeader(http.StatusOK)
		return nil
	}
	return sendPart(r.Context(), w, f, 0, f.Entry.Size)
}

// sendPart sends a part of f. Buffers for large bodies are lent for a while at most to those who wait for one; a
// request that gets none before its answer has begun is told to come back.
func sendPart(ctx context.Context, w *reply, f *tree.File, off, n int64) error {
	if n > hashing.BlockBytes {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, w.server.limits.BufferTimeMax)
		defer cancel()
	}
	return f.Send(ctx, w, off, n)
}

// sendRanges sends what the Range field asks for (RFC 9110 section 14.2): one range, several, or all if the field
// does not count.
func (s *Server) sendRanges(w *reply, r *http.Request, f *tree.File, m *media) error {
	size := f.Entry.Size
	ranges, verdict := parseRanges(r.Header["Range"], size)
	switch {
	case verdict == rangesUnsatisfiable:
		return rangeRefused(size)
	case verdict == rangesIgnored:
		w.Header()["Content-Length"] = s.validators.tag(f.Entry.Digest, size).length
		return s.sendWhole(w, r, f)
	case len(ranges) > 1:
		return s.sendParts(w, r, f, multipartRanges{ranges, size, m.contentType[0], rand.Text()})
	}
	one, h := ranges[0], w.Header()
	h["Content-Range"] = []string{fmt.Sprintf("bytes %d-%d/%d", one.start, one.end()-1, size)}
	h["Content-Length"] = []string{strconv.FormatInt(one.length, 10)}
	w.pending = http.StatusPartialContent
	return sendPart(r.Context(), w, f, one.start, one.length)
}

// sendParts sends several ranges. A file that was torn before the first of them is noticed while there still is a
// choice.
func (s *Server) sendParts(w *reply, r *http.Request, f *tree.File, parts multipartRanges) error {
	if err := f.Ready(r.Context()); err != nil {
		return err
	}
	h := w.Header()
	h["Content-Type"] = []string{parts.mediaType()}
	h["Content-Length"] = []string{strconv.FormatInt(parts.length(), 10)}
	w.pending = http.StatusPartialContent
	return parts.writeTo(w, func(off, n int64) error { return sendPart(r.Context(), w, f, off, n) })
}

// redirectToFolder sends a reader to the folder's own URL, where relative links work. The Location is a path of this
// server whatever the request's path looked like: made from the parsed one, it begins with exactly one slash.
func (s *Server) redirectToFolder(w *reply, r *http.Request, p tree.Path) error {
	location := p.URL(true)
	if r.URL.RawQuery != "" {
		location += "?" + r.URL.RawQuery
	}
	h := w.Header()
	clear(h)
	setSafe(h)
	h["Location"] = []string{location}
	h["Cache-Control"] = valueNoStore
	s.send(w, r, http.StatusPermanentRedirect, nil)
	return nil
}

// rangeRefused is the 416 for a file of size bytes.
func rangeRefused(size int64) *problem.Error {
	err := problem.Range.Errorf("The file has %d bytes.", size)
	err.Header = http.Header{"Content-Range": {"bytes */" + strconv.FormatInt(size, 10)}}
	return err
}
