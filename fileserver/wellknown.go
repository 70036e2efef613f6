package fileserver

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"freshet/fileserver/auth"
	"freshet/fileserver/precond"
	"freshet/fileserver/tree"
	"freshet/hashing"
)

// wellKnown is the path of the document that says what this server is (RFC 8615). It is the server's own, as the reserved name
// is: a file of that path is listed and has its part in fingerprints, but cannot be read or changed here.
const wellKnown = ".well-known/freshet"

// isOwn reports whether p is answered by the server and not by the tree.
func isOwn(p tree.Path) bool { return p.String() == wellKnown }

// A description is what the document says.
type description struct {
	Version  int            `json:"version"` // of the protocol
	Root     string         `json:"root"`    // names the root, as long as its state folder is kept
	Control  string         `json:"control"` // the path below which the API is
	Tag      string         `json:"tag"`     // how the digests in tags are computed
	Write    bool           `json:"write"`
	Features []string       `json:"features"`
	Limits   map[string]int `json:"limits"`
}

const (
	protocolVersion = 1
	controlPath     = "/" + tree.Reserved + "/v1"
)

// wellKnownNeeds: who may do nothing here has no business with what the server is.
var wellKnownNeeds = need{some: auth.All}

// describe answers at wellKnown.
func (s *Server) describe(w *reply, r *http.Request) error {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodOptions:
		s.answerOptions(w, allowReading)
		return nil
	default:
		return s.methodRefused(r.Method, allowReading)
	}
	if err := s.authorize(w, r, wellKnownNeeds, tree.Path{}); err != nil {
		return err
	}
	d := s.description()
	d.Write = s.below(w.asking.policy.Rules.Somewhere(w.asking.who)).HasAny(auth.Writing)
	body, err := json.Marshal(d)
	if err != nil {
		return err
	}
	body = append(body, '\n')
	digest := hashing.Sum(body)
	state := precond.State{Exists: true, ETag: digest.ETag(), Digest: digest}
	verdict := precond.Parse(r.Header).Read(state)
	if verdict == precond.Failed {
		return preconditionFailed(&tree.Entry{Kind: tree.KindFile, Digest: digest})
	}
	h := w.Header()
	setSafe(h)
	h["ETag"] = []string{state.ETag}
	h["Cache-Control"] = valueNoCache
	if verdict == precond.NotModified {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	h["Content-Type"] = valueJSON
	h["Content-Security-Policy"] = valueNothingLoaded
	s.send(w, r, http.StatusOK, body)
	return nil
}

func (s *Server) description() description {
	id := s.tree.Identity()
	d := description{
		Version: protocolVersion, Root: id.Root, Control: controlPath, Tag: id.Algorithm, Write: s.config.Write,
		Features: []string{"folder-etags"},
		Limits: map[string]int{
			"changes_events":           tree.EventsPerAnswerMax,
			"changes_wait_seconds":     int(changesWaitMax / time.Second),
			"header_bytes":             s.limits.HeaderBytesMax,
			"if_match_tags":            hashing.HeaderETagsMax,
			"name_bytes":               tree.NameBytesMax,
			"path_bytes":               tree.PathBytesMax,
			"stream_heartbeat_seconds": int(heartbeatTime / time.Second),
			"subscribers":              subscribersMax,
			"tree_body_bytes":          questionBytesMax,
			"tree_entries":             descentEntriesMax,
			"tree_entries_default":     descentEntriesDefault,
			"tree_folders":             questionFoldersMax,
			"tree_line_bytes":          descentLineBytes + descentEntryBytesMax,
			"tree_wait_seconds":        int(warmingWaitMax / time.Second),
		},
	}
	for i := range endpoints {
		if name, ok := strings.CutPrefix(endpoints[i].name, "v1/"); ok {
			d.Features = append(d.Features, name)
		}
	}
	return d
}
