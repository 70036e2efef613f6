package fileserver

import (
	"net/http"
	"strings"

	"freshet/fileserver/tree"
	"freshet/web"
)

// control answers requests below the reserved name: the assets of the pages, and nothing else. The reserved name at
// any other depth is nowhere.
func (s *Server) control(w *reply, r *http.Request, escaped string) error {
	rest, ok := tree.ParseReserved(escaped)
	if !ok {
		return tree.ErrNotExist
	}
	build, name, _ := strings.Cut(strings.TrimPrefix(rest, "ui/"), "/")
	body, contentType, ok := web.Asset(name)
	if !ok || !strings.HasPrefix(rest, "ui/") || build != web.AssetsHash {
		return tree.ErrNotExist
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return s.methodRefused(r.Method, allowAsset)
	}
	h := w.Header()
	setSafe(h)
	h["Content-Type"] = []string{contentType}
	h["Content-Security-Policy"] = valueNothingLoaded
	h["Cache-Control"] = valueImmutable
	s.send(w, r, http.StatusOK, body)
	return nil
}

const allowAsset = "GET, HEAD"
