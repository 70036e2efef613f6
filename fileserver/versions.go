package fileserver

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"freshet/fileserver/auth"
	"freshet/fileserver/problem"
	"freshet/fileserver/tree"
	"freshet/hashing"
)

// versionsJSON is a list of versions, newest first. Next is null, or the reference of the rest of the list, relative
// to the list's own URL.
type versionsJSON struct {
	Versions []versionJSON `json:"versions"`
	Next     *string       `json:"next"`
}

// versionJSON is a version. K is as in listings. Path begins with a slash and is not escaped; if it is not valid
// UTF-8, it stands in base64 under path64; neither is there if the path is not known. What is not known of the rest is
// left out too.
type versionJSON struct {
	ID        string `json:"id"`
	Path      string `json:"path,omitempty"`
	Path64    []byte `json:"path64,omitempty"`
	K         string `json:"k"`
	Size      *int64 `json:"size,omitempty"` // bytes of a file
	MTime     string `json:"mtime,omitempty"`
	ETag      string `json:"etag,omitempty"`
	Displaced string `json:"displaced,omitempty"`
	By        string `json:"by,omitempty"`
	How       string `json:"how,omitempty"`
	Late      bool   `json:"late,omitempty"`
}

func newVersionJSON(v *tree.Version) versionJSON {
	j := versionJSON{
		ID: string(v.ID), K: string(rune(v.Kind)), MTime: jsonTime(v.ModTime), ETag: v.ETag(),
		Displaced: jsonTime(v.Displaced), By: v.By, How: v.How, Late: v.Late,
	}
	switch path := "/" + v.Path.String(); {
	case v.Path.IsRoot():
	case utf8.ValidString(path):
		j.Path = path
	default:
		j.Path64 = []byte(path)
	}
	if v.Kind == tree.KindFile || v.Kind == tree.KindExecutable {
		j.Size = &v.Size
	}
	return j
}

// jsonTime returns t in RFC 3339 form, in UTC; "" for the zero time and for those that the form has no room for.
func jsonTime(t time.Time) string {
	t = t.UTC()
	if t.IsZero() || t.Year() < 0 || t.Year() > 9999 {
		return ""
	}
	return t.Format(time.RFC3339Nano)
}

// The names that a query about versions may have.
const (
	queryETag   = "etag"
	queryID     = "id"
	queryBefore = "before"
)

// versionQuery is the query of a request about versions.
type versionQuery struct {
	key    tree.VersionKey
	keyed  bool // key is given
	before tree.VersionID
}

// readVersionQuery refuses every name but those allowed, so that a slip never widens what a DELETE is about.
func readVersionQuery(r *http.Request, allowed ...string) (q versionQuery, err error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return q, queryRefused("It is not well-formed.", allowed)
	}
	for name, given := range values {
		if !slices.Contains(allowed, name) || len(given) != 1 || given[0] == "" {
			return q, queryRefused("It may have each of these names once: "+strings.Join(allowed, ", ")+".", allowed)
		}
	}
	q.before = tree.VersionID(values.Get(queryBefore))
	q.key.ID = tree.VersionID(values.Get(queryID))
	if tag := values.Get(queryETag); tag != "" {
		if q.key.Digest, err = digestOfTag(tag); err != nil {
			return q, err
		}
	}
	q.keyed = values.Has(queryID) || values.Has(queryETag)
	if values.Has(queryID) && values.Has(queryETag) || q.keyed && q.before != "" {
		return q, queryRefused("It has more than one of these names: "+strings.Join(allowed, ", ")+".", allowed)
	}
	return q, nil
}

// digestOfTag reads the tag of a file, in any coding; its quotes may be left out.
func digestOfTag(text string) (hashing.Digest, error) {
	if !strings.HasPrefix(text, `"`) {
		text = `"` + text + `"`
	}
	tag, rest, ok := hashing.ParseETag(text)
	digest, isOurs := tag.Digest()
	if !ok || rest != "" || !isOurs {
		return digest, queryRefused("The tag is not one that a file of this server can have.", []string{queryETag})
	}
	return digest, nil
}

func queryRefused(detail string, allowed []string) *problem.Error {
	err := problem.Query.Errorf("%s", detail)
	err.Next = "Use " + strings.Join(allowed, "=… or ") + "=…, with the values that the list of versions gives."
	return err
}

// getVersions answers with what changes of a path have displaced, or one version of it as any file is sent.
func (s *Server) getVersions(w *reply, r *http.Request, t target) error {
	q, err := readVersionQuery(r, queryETag, queryID, queryBefore)
	if err != nil {
		return err
	}
	if q.keyed {
		return untorn(w, func() error { return s.getVersion(w, r, t.path, q.key) })
	}
	list, err := s.tree.Versions(r.Context(), t.path, q.before)
	return s.answerVersions(w, r, list, err)
}

func (s *Server) getVersion(w *reply, r *http.Request, p tree.Path, key tree.VersionKey) error {
	f, err := s.tree.OpenVersion(r.Context(), p, key)
	if errors.Is(err, tree.ErrIsFolder) || errors.Is(err, tree.ErrSpecial) {
		return problem.NoVersion.Errorf("This version is a folder or a link; it has no bytes to send.")
	}
	if err != nil {
		return err
	}
	defer f.Close()
	return s.answerFile(w, r, f, valueNoCache)
}

// getTrash answers with what was removed at or below a path.
func (s *Server) getTrash(w *reply, r *http.Request, t target) error {
	q, err := readVersionQuery(r, queryBefore)
	if err != nil {
		return err
	}
	list, err := s.tree.Trash(r.Context(), t.path, q.before)
	return s.answerVersions(w, r, list, err)
}

func (s *Server) answerVersions(w *reply, r *http.Request, list tree.VersionList, err error) error {
	if err != nil {
		return err
	}
	answer := versionsJSON{Versions: make([]versionJSON, len(list.Versions))}
	for i := range list.Versions {
		answer.Versions[i] = newVersionJSON(&list.Versions[i])
	}
	if list.Next != "" {
		next := "?" + queryBefore + "=" + url.QueryEscape(string(list.Next))
		answer.Next = &next
	}
	return s.answerJSON(w, r, answer)
}

// answerJSON sends what is true for a moment.
func (s *Server) answerJSON(w *reply, r *http.Request, answer any) error {
	body, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	h := w.Header()
	setSafe(h)
	h["Content-Type"] = valueJSON
	h["Content-Security-Policy"] = valueNothingLoaded
	h["Cache-Control"] = valueNoStore
	s.send(w, r, http.StatusOK, append(body, '\n'))
	return nil
}

// restoreVersion answers POST to the versions of a path: one of them comes back.
func (s *Server) restoreVersion(w *reply, r *http.Request, t target) error {
	q, err := readVersionQuery(r, queryETag, queryID)
	if err != nil {
		return err
	}
	if !q.keyed {
		return queryRefused("It does not say which version to restore.", []string{queryETag, queryID})
	}
	kind := tree.KindFile // only files are asked for by tag
	if q.key.ID != "" {
		v, err := s.tree.Version(r.Context(), q.key.ID)
		if err != nil {
			return err
		}
		kind = v.Kind
	}
	return s.restore(w, r, t.path, q.key, kind)
}

// restoreTrash answers POST to the trash: one thing that was removed at or below the path comes back to where it was.
func (s *Server) restoreTrash(w *reply, r *http.Request, t target) error {
	q, err := readVersionQuery(r, queryID)
	if err != nil {
		return err
	}
	if !q.keyed {
		return queryRefused("It does not say what to restore.", []string{queryID})
	}
	v, err := s.versionBelow(r, t.path, q.key.ID)
	if err != nil {
		return err
	}
	return s.restore(w, r, v.Path, q.key, v.Kind)
}

func (s *Server) versionBelow(r *http.Request, p tree.Path, id tree.VersionID) (tree.Version, error) {
	v, err := s.tree.Version(r.Context(), id)
	if err == nil && !p.Contains(v.Path) {
		err = tree.ErrNoVersion
	}
	return v, err
}

// restore brings a version of p back to p, or to where the Destination field (RFC 4918 section 10.3) says. Conditions
// guard the path that it comes to, as with PUT.
func (s *Server) restore(w *reply, r *http.Request, p tree.Path, key tree.VersionKey, kind tree.Kind) (err error) {
	to := target{path: p}
	if len(r.Header["Destination"]) > 0 {
		if to, err = readDestination(r); err != nil {
			return err
		}
	}
	isFile := kind == tree.KindFile || kind == tree.KindExecutable
	if err := s.authorize(w, r, need{any: auth.Create | auth.Replace}, to.path); err != nil {
		return err
	}
	defer func() { err = s.discreet(w, to.path, err) }()
	if isFile && to.folder {
		return problem.SlashAfterFile.Errorf("The version is a file, and the Destination ends with a slash.")
	}
	terms := s.termsOf(r.Header)
	terms.lacks = (auth.Create | auth.Replace) &^ s.rightsBelow(w, to.path)
	if isFile {
		if err := s.arrive(r.Context(), to.path, &terms); err != nil {
			return orTaken(err)
		}
	}
	w.Header()["Date"] = s.validators.httpDate(time.Now()) // see answerChange
	result, err := s.tree.Restore(r.Context(), p, key, to.path, tree.Change{Guard: terms.guard(), By: by(w, r)})
	if err != nil {
		return orTaken(err)
	}
	s.answerChange(w, result)
	return nil
}

// orTaken tells that a version cannot come back to where a folder is, or a folder to where anything is.
func orTaken(err error) error {
	if errors.Is(err, tree.ErrExist) || errors.Is(err, tree.ErrIsFolder) {
		taken := problem.Exists.Errorf("A folder, or a version that is one, cannot take the place of what is there.")
		taken.Next = "Name another path in the Destination field, or first remove what is there, with If-Match and its tag."
		return taken
	}
	return err
}

// purgeVersion answers DELETE of one version of a path, which is named by its id: several may have the same tag.
func (s *Server) purgeVersion(w *reply, r *http.Request, t target) error {
	q, err := readVersionQuery(r, queryID)
	if err != nil {
		return err
	}
	if !q.keyed {
		return queryRefused("It does not say which version to end.", []string{queryID})
	}
	v, err := s.versionBelow(r, t.path, q.key.ID)
	if err == nil && v.Path != t.path {
		err = tree.ErrNoVersion
	}
	return s.purge(w, r, q.key.ID, err)
}

// purgeTrash answers DELETE of one thing that was removed, or of all below the path.
func (s *Server) purgeTrash(w *reply, r *http.Request, t target) error {
	q, err := readVersionQuery(r, queryID)
	if err != nil {
		return err
	}
	if q.keyed {
		_, err := s.versionBelow(r, t.path, q.key.ID)
		return s.purge(w, r, q.key.ID, err)
	}
	ended, err := s.tree.EmptyTrash(r.Context(), t.path)
	if err != nil {
		return err
	}
	return s.answerJSON(w, r, map[string]int{"ended": ended})
}

func (s *Server) purge(w *reply, r *http.Request, id tree.VersionID, err error) error {
	if err == nil {
		err = s.tree.Purge(r.Context(), id)
	}
	if err != nil {
		return err
	}
	h := w.Header()
	setSafe(h)
	h["Cache-Control"] = valueNoStore
	w.WriteHeader(http.StatusNoContent)
	return nil
}
