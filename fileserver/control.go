package fileserver

import (
	"net/http"
	"strings"

	"freshet/fileserver/auth"
	"freshet/fileserver/problem"
	"freshet/fileserver/tree"
	"freshet/web"
)

// An endpoint is one name of the API, below the reserved name.
type endpoint struct {
	name  string
	below bool    // a path of the tree may follow the name; it is the target, and else the root is
	read  handler // GET and HEAD; nil: there is neither
	post  handler // nil: there is no POST
	// writes says that POST changes the tree.
	writes bool
	remove handler // DELETE, which changes the tree; nil: there is none

	// What whoever asks must be allowed at the target. What post writes elsewhere has needs of its own.
	readNeeds, postNeeds, removeNeeds need
}

// endpoints are all there are.
var endpoints = []endpoint{
	{name: "ui", below: true, read: (*Server).getAsset, readNeeds: need{open: true}},
	{name: "v1/tree", below: true, read: (*Server).getTree, post: (*Server).postTree,
		readNeeds: need{below: auth.Reading}, postNeeds: need{below: auth.Reading, asked: true}},
	{name: "v1/changes", read: (*Server).getChanges, readNeeds: need{below: auth.Reading, asked: true}},
	{name: "v1/versions", below: true, read: (*Server).getVersions, post: (*Server).restoreVersion, writes: true,
		remove: (*Server).purgeVersion, readNeeds: need{below: auth.Reading}, postNeeds: need{below: auth.Reading},
		removeNeeds: need{below: auth.Reading | auth.Delete}},
	{name: "v1/trash", below: true, read: (*Server).getTrash, post: (*Server).restoreTrash, writes: true,
		remove: (*Server).purgeTrash, readNeeds: need{below: auth.Reading}, postNeeds: need{below: auth.Reading},
		removeNeeds: need{below: auth.Reading | auth.Delete}},
	{name: "v1/verify", post: (*Server).postVerify, postNeeds: need{below: auth.Reading, asked: true}},
}

// allow returns the value of the Allow field.
func (e *endpoint) allow(write bool) string {
	allow := allowReading
	if e.read == nil {
		allow = http.MethodOptions
	}
	if e.post != nil && (write || !e.writes) {
		allow += ", " + http.MethodPost
	}
	if e.remove != nil && write {
		allow += ", " + http.MethodDelete
	}
	return allow
}

// control answers requests below the reserved name. The reserved name at any other depth is nowhere.
func (s *Server) control(w *reply, r *http.Request, escaped string) error {
	rest, ok := tree.ParseReserved(escaped)
	if !ok {
		return tree.ErrNotExist
	}
	for i := range endpoints {
		e := &endpoints[i]
		below, ok := strings.CutPrefix(rest, e.name)
		if !ok || below != "" && (below[0] != '/' || !e.below) {
			continue
		}
		t, err := targetBelow(below, escaped)
		if err != nil {
			return err
		}
		return s.enterEndpoint(w, r, e, t)
	}
	return tree.ErrNotExist
}

// targetBelow returns the target that names behind an endpoint stand for. They are decoded already, once.
func targetBelow(names, escaped string) (t target, err error) {
	for name := range strings.SplitSeq(names, "/") {
		if name == "" {
			continue
		}
		if t.path, err = t.path.Join(name); err != nil {
			return target{}, err
		}
	}
	t.folder = t.path.IsRoot() || strings.HasSuffix(escaped, "/")
	return t, nil
}

// enterEndpoint is the door of one endpoint.
func (s *Server) enterEndpoint(w *reply, r *http.Request, e *endpoint, t target) error {
	allow := e.allow(s.config.Write)
	answer, writes, needed := e.post, e.writes, e.postNeeds
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		answer, writes, needed = e.read, false, e.readNeeds
	case http.MethodOptions:
		s.answerOptions(w, allow)
		return nil
	case http.MethodPost:
	case http.MethodDelete:
		answer, writes, needed = e.remove, true, e.removeNeeds
	default:
		answer = nil
	}
	switch {
	case answer == nil:
		return s.methodRefused(r.Method, allow)
	case writes && !s.config.Write:
		err := problem.ReadOnly.Errorf("%s cannot be used: nothing can be changed through this server.", r.Method)
		return withAllow(err, allow)
	}
	if !needed.asked {
		if err := s.authorize(w, r, needed, t.path); err != nil {
			return err
		}
	}
	return answer(s, w, r, t)
}

// getAsset answers with a part of the pages, which never changes under its name.
func (s *Server) getAsset(w *reply, r *http.Request, t target) error {
	build, name, _ := strings.Cut(t.path.String(), "/")
	body, contentType, ok := web.Asset(name)
	if !ok || build != web.AssetsHash {
		return tree.ErrNotExist
	}
	h := w.Header()
	setSafe(h)
	h["Content-Type"] = []string{contentType}
	h["Content-Security-Policy"] = valueNothingLoaded
	h["Cache-Control"] = valueImmutable
	s.send(w, r, http.StatusOK, body)
	return nil
}
