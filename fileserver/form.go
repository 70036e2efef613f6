package fileserver

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
	"strings"

	"freshet/fileserver/auth"
	"freshet/fileserver/precond"
	"freshet/fileserver/problem"
	"freshet/fileserver/tree"
)

// The fields of an upload form. Those that set conditions come before the files that they are for.
const (
	fieldIfNoneMatch = "if-none-match"
	fieldIfMatch     = "if-match"
	fieldName        = "name" // another name for the one file of the form
	fieldFile        = "file"
	fieldMkdir       = "mkdir" // the name of a folder to make
)

// post answers POST of a multipart/form-data to a folder: the upload of a page without script. Files become new files
// unless the form names the version that they replace; each is a commit of its own, and the first that is refused
// ends the upload.
func (s *Server) post(w *reply, r *http.Request, t target) error {
	e, err := s.tree.Stat(r.Context(), t.path)
	if err != nil {
		return err
	}
	if e.Kind != tree.KindFolder {
		return problem.Method.Errorf("POST is for folders.")
	}
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" || params["boundary"] == "" {
		return problem.MediaType.Errorf("POST to a folder takes multipart/form-data.")
	}
	// Nothing holds the folder still while its files come one by one, so no tag of it can be promised to be current.
	state := stateOf(&e)
	state.Folder = false
	if precond.Parse(r.Header).Write(state) == precond.Failed {
		return preconditionFailed(&e)
	}
	f := form{server: s, reply: w, request: r, folder: t.path}
	if err := f.read(multipart.NewReader(bodyOf(w), params["boundary"])); err != nil {
		return f.refuse(w, err)
	}
	return f.answer(w)
}

// A form is an upload form on its way in.
type form struct {
	server     *Server
	reply      *reply
	request    *http.Request
	folder     tree.Path
	conditions http.Header // from the form's fields, under the names of the header fields that they stand for
	name       string
	fields     int
	saved      []problem.Saved
	cursor     tree.Cursor // of the last change

	// What was asked for last: the subject of an error.
	at      string
	current *tree.Entry
	blind   bool // whoever asks may not know what is there
}

// read carries out one part after the other. Nothing of a file is kept in memory but a buffer.
func (f *form) read(parts *multipart.Reader) error {
	for {
		part, err := parts.NextPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			return formError(err)
		}
		if err := f.take(part); err != nil {
			return err
		}
	}
	if len(f.saved) == 0 {
		return problem.Form.Errorf("It has no file in it.")
	}
	return nil
}

// formError tells a form that is malformed from one that does not arrive.
func formError(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	return problem.Form.Errorf("It is not well-formed multipart/form-data.")
}

func (f *form) take(part *multipart.Part) error {
	field := part.FormName()
	if field == fieldFile {
		return f.takeFile(part)
	}
	if f.fields++; f.fields > formFieldsMax {
		return problem.Form.Errorf("It has more than %d fields.", formFieldsMax)
	}
	if len(f.saved) > 0 && field != fieldMkdir {
		return problem.Form.Errorf("The field %.40q comes after a file.", field)
	}
	text, err := io.ReadAll(io.LimitReader(part, formFieldBytesMax+1))
	switch {
	case err != nil:
		return formError(err)
	case len(text) > formFieldBytesMax:
		return problem.Form.Errorf("The field %.40q is longer than %d bytes.", field, formFieldBytesMax)
	}
	return f.takeField(field, string(text))
}

func (f *form) takeField(field, text string) error {
	switch field {
	case fieldMkdir:
		return f.makeFolder(text)
	case fieldName:
		f.name = text
	case fieldIfMatch, fieldIfNoneMatch:
		if f.conditions == nil {
			f.conditions = http.Header{}
		}
		f.conditions.Add(field, text)
	default:
		return problem.Form.Errorf("The field %.40q is not known here.", field)
	}
	return nil
}

// takeFile saves one file. A browser sends a nameless empty one if none was chosen.
func (f *form) takeFile(part *multipart.Part) error {
	name := partName(part)
	if name == "" {
		return nil
	}
	if len(f.saved) >= formFilesMax {
		return problem.Form.Errorf("It has more than %d files.", formFilesMax)
	}
	if f.name != "" {
		if len(f.saved) > 0 {
			return problem.Form.Errorf("It has one name for several files.")
		}
		name = f.name
	}
	p, err := f.join(name)
	if err != nil {
		return err
	}
	return f.save(p, part)
}

// partName returns what a part calls its file, without the folders that some browsers put before it.
func partName(part *multipart.Part) string {
	_, params, err := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
	if err != nil {
		return ""
	}
	name := params["filename"]
	return name[strings.LastIndexAny(name, `/\`)+1:]
}

func (f *form) join(name string) (tree.Path, error) {
	f.at, f.current = name, nil
	p, err := f.folder.Join(name)
	if err != nil || isOwn(p) {
		return p, problem.Form.Errorf("%.*q cannot be the name of a file or folder here.", tree.NameBytesMax, name)
	}
	return p, nil
}

// save makes the part the content of p, on the form's conditions: that p is new if it has none.
func (f *form) save(p tree.Path, part io.Reader) error {
	s, ctx := f.server, f.request.Context()
	if err := f.authorize(p, auth.Create|auth.Replace); err != nil {
		return err
	}
	cond := precond.Parse(f.conditions)
	if !cond.HasWriteCondition() { // a field with nothing to match in it replaces nothing
		cond = precond.Parse(http.Header{"If-None-Match": {"*"}})
	}
	terms := s.termsFor(f.reply, p, nil)
	terms.cond = cond
	if err := s.arrive(ctx, p, &terms); err != nil {
		return f.noting(p, err)
	}
	staged, err := s.tree.Stage(ctx, p, -1)
	if err != nil {
		return err
	}
	defer staged.Discard()
	if err := copyBody(staged, part); err != nil {
		return err
	}
	result, err := s.tree.Commit(ctx, p, staged, tree.Change{Guard: terms.guard(), By: by(f.reply, f.request)})
	if err != nil {
		return f.noting(p, err)
	}
	f.saved = append(f.saved, problem.Saved{Name: p.Base(), ETag: result.Entry.ETag()})
	f.cursor = result.Cursor
	return nil
}

// authorize refuses to do anything at p without one of the rights, or with a condition that would tell somebody what they
// may not read.
func (f *form) authorize(p tree.Path, any auth.Rights) error {
	can := f.server.rights(f.reply, p)
	f.blind = !can.Has(auth.Read)
	if can.HasAny(any) && !(f.blind && hasTellingCondition(f.conditions)) {
		return nil
	}
	return f.server.denied(f.reply, f.request)
}

// noting finds out what is at p if err is a failed precondition, for the page that asks what to do about it.
func (f *form) noting(p tree.Path, err error) error {
	if errors.Is(err, problem.Precondition) && !f.blind {
		f.current, _ = f.server.current(f.request.Context(), p, true)
	}
	return err
}

func (f *form) makeFolder(name string) error {
	p, err := f.join(name)
	if err != nil {
		return err
	}
	if err := f.authorize(p, auth.Create); err != nil {
		return err
	}
	change := tree.Change{Guard: terms{}.whereFree(), By: by(f.reply, f.request)}
	result, err := f.server.tree.Mkdir(f.request.Context(), p, change)
	if errors.Is(err, tree.ErrExist) {
		return problem.Exists.Errorf("There is already something called %q.", name)
	}
	if err == nil {
		f.saved = append(f.saved, problem.Saved{Name: name})
		f.cursor = result.Cursor
	}
	return err
}

// refuse answers a form that ended with err. What was saved before stays, and the answer says so.
func (f *form) refuse(w *reply, err error) error {
	told := problem.From(err)
	if errors.Is(err, problem.Precondition) {
		if wantsPage(f.request) && !f.blind {
			return f.answerConflict(w)
		}
		told = problem.Exists.Errorf("%q was not saved: the name is taken, or has another version.", f.at)
		if !f.blind {
			told.Current = currentOf(f.current)
		}
	}
	told.Saved = f.saved
	if f.at != "" {
		p := problem.Of(told)
		told.Refused = []problem.Refused{{Name: f.at, Type: p.Type, Detail: p.Detail}}
	}
	return told
}

// answerConflict asks a person what to do about a name that is taken.
func (f *form) answerConflict(w *reply) error {
	c := uploadConflict{Name: f.at, Current: f.current, IfMatch: f.conditions.Get(fieldIfMatch)}
	for _, saved := range f.saved {
		c.Saved = append(c.Saved, saved.Name)
	}
	var page bytes.Buffer
	if err := renderConflictPage(&page, f.folder, c, f.server.page(nil)); err != nil {
		return err
	}
	h := w.Header()
	setSafe(h)
	setPage(h)
	h["Cache-Control"] = valueNoStore
	f.server.send(w, f.request, http.StatusConflict, page.Bytes())
	return nil
}

// answer sends a browser back to the folder, and tells others what was saved.
func (f *form) answer(w *reply) error {
	h := w.Header()
	setSafe(h)
	h["Cache-Control"] = valueNoStore
	setSeq(h, f.cursor)
	if wantsPage(f.request) {
		h["Location"] = []string{f.folder.URL(true)}
		f.server.send(w, f.request, http.StatusSeeOther, nil)
		return nil
	}
	if p, err := f.folder.Join(f.saved[0].Name); err == nil && len(f.saved) == 1 {
		h["Location"] = []string{p.URL(f.saved[0].ETag == "")}
		if f.saved[0].ETag != "" {
			h["ETag"] = []string{f.saved[0].ETag}
		}
	}
	body, err := json.Marshal(struct {
		Saved []problem.Saved `json:"saved"`
	}{f.saved})
	if err != nil {
		return err
	}
	h["Content-Type"] = valueJSON
	h["Content-Security-Policy"] = valueNothingLoaded
	f.server.send(w, f.request, http.StatusCreated, append(body, '\n'))
	return nil
}
