package fileserver

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"freshet/fileserver/auth"
	"freshet/fileserver/precond"
	"freshet/fileserver/problem"
	"freshet/fileserver/tree"
	"freshet/hashing"
)

const (
	warmingWaitDefault = 10 * time.Second       // that a question about folders waits for the first look at the tree
	warmingWaitMax     = 60 * time.Second       // the most that a client may prefer to wait
	warmingWaitMin     = 100 * time.Millisecond // the least: what a tree that is ready may take
	warmingRetryDelay  = 50 * time.Millisecond  // between two questions of one wait
	descentsMax        = 64                     // answers of the tree that are being sent at once
)

// getTree answers GET and HEAD of v1/tree: what is in a folder and, with depth, in the folders below, in one consistent state.
// The tag is weak, since the bytes hold times and a cursor that the fingerprint leaves out; a 304 says that nothing in the
// folder or anywhere below it has changed.
func (s *Server) getTree(w *reply, r *http.Request, t target) error {
	depth, err := parseDepth(r.URL.Query())
	if err != nil {
		return err
	}
	survey, err := s.survey(r, t.path, 1)
	if err != nil {
		return err
	}
	switch precond.Parse(r.Header).Read(stateOfTree(&survey)) {
	case precond.Failed:
		return preconditionFailed(&tree.Entry{Kind: tree.KindFolder, Digest: survey.Folders[0].Subtree})
	case precond.NotModified:
		setTree(w.Header(), &survey)
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	if depth != 1 && r.Method == http.MethodGet {
		if survey, err = s.survey(r, t.path, depth); err != nil {
			return err
		}
	}
	setTree(w.Header(), &survey)
	if r.Method == http.MethodHead {
		w.WriteHeader(http.StatusOK)
		return nil
	}
	return s.sendDescent(w, func(d *descent) error {
		d.begin(survey.Cursor, survey.Folders[0].Subtree)
		for _, f := range survey.Folders {
			if err := d.folder(f); err != nil {
				return err
			}
		}
		return d.end()
	})
}

// parseDepth reads how many levels of folders are asked for: 1 is the folder itself, which is also the default, 0 stands for
// infinity.
func parseDepth(values url.Values) (int, error) {
	lines := values["depth"]
	if len(lines) == 0 {
		return 1, nil
	}
	if len(lines) == 1 && strings.EqualFold(lines[0], depthInfinity) {
		return 0, nil
	}
	n, err := strconv.ParseUint(lines[0], 10, 31)
	if err != nil || n == 0 || len(lines) > 1 {
		refused := problem.Query.Errorf("depth is %.40q, not a number from 1 on or infinity.", strings.Join(lines, ", "))
		refused.Next = "Leave it out to ask for the folder itself."
		return 0, refused
	}
	return int(n), nil
}

// survey looks at the folder at p and those below it, so many levels of them (0: all).
func (s *Server) survey(r *http.Request, p tree.Path, levels int) (survey tree.Survey, err error) {
	err = s.whileWarming(r, func(ctx context.Context) error {
		if levels != 1 {
			survey, err = s.tree.SurveyBelow(ctx, p, levels-1)
			return err
		}
		f, cursor, err := s.tree.Folder(ctx, p)
		survey = tree.Survey{Cursor: cursor, Folders: []*tree.Folder{f}}
		return err
	})
	if errors.Is(err, tree.ErrNotFolder) || errors.Is(err, tree.ErrNotExist) {
		if _, err := s.tree.Stat(r.Context(), p); err == nil {
			return survey, problem.NotFolder.Errorf("At this path is a file, or there is a link on the way.")
		}
	}
	return survey, err
}

// whileWarming asks look again as long as the tree is not ready and the client is patient.
func (s *Server) whileWarming(r *http.Request, look func(context.Context) error) error {
	ctx, end := s.untilClosing(r.Context())
	defer end()
	ctx, cancel := context.WithTimeout(ctx, max(preferredWait(r.Header), warmingWaitMin))
	defer cancel()
	for {
		err := look(ctx)
		var warming *tree.WarmingError
		if !errors.As(err, &warming) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(warmingRetryDelay):
		}
	}
}

// preferredWait reads the wait preference (RFC 7240 section 4.3), in whole seconds. The first one counts; one that is
// malformed is none (section 2).
func preferredWait(h http.Header) time.Duration {
	for _, line := range h["Prefer"] {
		for _, part := range splitUnquoted(line, ',') {
			preference, _, _ := strings.Cut(part, ";")
			name, value, _ := strings.Cut(preference, "=")
			if !strings.EqualFold(strings.TrimSpace(name), "wait") {
				continue
			}
			seconds, err := strconv.ParseUint(strings.Trim(strings.TrimSpace(value), `"`), 10, 63)
			if err != nil {
				return warmingWaitDefault
			}
			return time.Duration(min(seconds, uint64(warmingWaitMax/time.Second))) * time.Second
		}
	}
	return warmingWaitDefault
}

// stateOfTree is what the conditions of a reader are compared with. They name the fingerprint, however weak the tag.
func stateOfTree(survey *tree.Survey) precond.State {
	f := survey.Folders[0]
	state := precond.State{Exists: true, Folder: true, Digest: f.Subtree}
	if !f.Subtree.IsZero() {
		state.ETag = f.Subtree.ETag()
	}
	return state
}

// setTree sets the fields of an answer about the first folder of survey, which those of its 304 are too.
func setTree(h http.Header, survey *tree.Survey) {
	setDescent(h, survey.Cursor)
	f := survey.Folders[0]
	h[fieldFiles] = []string{strconv.FormatInt(f.Files, 10)}
	if f.Subtree.IsZero() {
		return
	}
	tag := f.Subtree.ETag()
	h["Cache-Control"] = valueNoCache
	h["ETag"] = []string{"W/" + tag}
	h[fieldSubtree] = []string{tag}
}

// setDescent sets what all answers about folders have in common.
func setDescent(h http.Header, cursor tree.Cursor) {
	setSafe(h)
	h["Content-Type"] = valueNDJSON
	h["Content-Security-Policy"] = valueNothingLoaded
	h["Cache-Control"] = valueNoStore
	if !cursor.IsZero() {
		h[fieldCursor] = []string{cursor.String()}
	}
}

// postTree answers POST of v1/tree: of the folders that the client says it has, those whose fingerprint is another one now.
func (s *Server) postTree(w *reply, r *http.Request, t target) error {
	if !t.path.IsRoot() {
		return s.methodRefused(r.Method, allowReading)
	}
	if err := s.authorize(w, r, need{some: auth.Reading}, t.path); err != nil {
		return err
	}
	q, err := s.readQuestion(w, r)
	if err != nil {
		return err
	}
	for _, p := range q.folders {
		if err := s.authorize(w, r, need{below: auth.Reading}, p); err != nil {
			return err
		}
	}
	survey, err := s.surveyOf(r, q)
	if err != nil {
		return err
	}
	setDescent(w.Header(), survey.Cursor)
	whole := s.rightsBelow(w, tree.Path{}).Has(auth.Reading)
	return s.sendDescent(w, func(d *descent) error { return d.answer(q, &survey, whole) })
}

// surveyOf looks at the folders that q may be answered with, and the root, in one consistent state.
func (s *Server) surveyOf(r *http.Request, q *question) (survey tree.Survey, err error) {
	err = s.whileWarming(r, func(ctx context.Context) error {
		if q.depth == 1 {
			survey, err = s.tree.Survey(ctx, q.withRoot())
		} else {
			survey, err = s.tree.SurveyBelow(ctx, tree.Path{}, q.levels()-1)
		}
		return err
	})
	return survey, err
}

// answer writes what is new since the client looked. The fingerprint of the root is for those who may see the whole tree.
func (d *descent) answer(q *question, survey *tree.Survey, whole bool) error {
	present := make(map[tree.Path]*tree.Folder, len(survey.Folders))
	for _, f := range survey.Folders {
		present[f.Path] = f
	}
	var root hashing.Digest
	if f := present[tree.Path{}]; f != nil && whole {
		root = f.Subtree
	}
	d.begin(survey.Cursor, root)
	for _, p := range q.folders {
		if present[p] == nil {
			if err := d.mark(p, "gone"); err != nil {
				return err
			}
		}
	}
	left := make(map[tree.Path]int, len(q.folders)) // levels that are still to be listed, from here on
	for _, f := range survey.Folders {
		have, asked := q.have[f.Path]
		levels := 0
		if !f.Path.IsRoot() {
			levels = left[f.Path.Parent()] - 1
		}
		if asked {
			levels = max(levels, q.depth)
		}
		if levels <= 0 || asked && !have.IsZero() && have == f.Subtree {
			continue
		}
		left[f.Path] = levels
		if err := d.folderWithin(f, q.limit); err != nil {
			return err
		}
	}
	return d.end()
}
