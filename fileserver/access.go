package fileserver

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"freshet/fileserver/auth"
	"freshet/fileserver/problem"
	"freshet/fileserver/tree"
)

// A session is who asks, and what held when the request came.
type session struct {
	who    auth.Who
	policy *auth.Policy

	// Where the path that was looked at last leads. A request asks for the same several times.
	at  tree.Path
	led *tree.Resolved // nil: none was looked at
}

// leads returns where p leads, as it did when this was first asked.
func (s *Server) leads(w *reply, p tree.Path) (*tree.Resolved, error) {
	if w.asking.led != nil && w.asking.at == p {
		return w.asking.led, nil
	}
	r, err := s.tree.Resolve(p)
	if err != nil {
		return nil, err
	}
	w.asking.at, w.asking.led = p, &r
	return &r, nil
}

// A need is what a request must be allowed before anything is looked at for it. The zero need is met by nobody.
type need struct {
	all   auth.Rights // at the path
	any   auth.Rights // one of these at the path
	below auth.Rights // at the path and everywhere below
	some  auth.Rights // one of these at any path
	open  bool        // nothing: the answer says nothing of the tree
	// asked says that the request names its path elsewhere: its handler calls authorize when it has read it.
	asked bool
}

// needs are the needs of the methods. Those of MOVE and COPY are about the source, see [Server.authorizeDestination]. The
// endpoints have theirs in their own table.
var needs = map[string]need{
	http.MethodGet:     {any: auth.Reading}, // see [Server.authorizeGet]
	http.MethodHead:    {any: auth.Reading},
	http.MethodOptions: {open: true},
	http.MethodPut:     {any: auth.Create | auth.Replace},
	http.MethodPost:    {any: auth.Create | auth.Replace},
	http.MethodDelete:  {below: auth.Delete},
	"MKCOL":            {all: auth.Create},
	"MOVE":             {below: auth.Reading | auth.Delete},
	"COPY":             {below: auth.Reading},
}

// metBy reports whether here, the rights at the path, and below, those everywhere below too, are enough.
func (n need) metBy(here, below auth.Rights) bool {
	if n.open {
		return true
	}
	return n != need{} && here.Has(n.all) && below.Has(n.below) && (n.any == auth.None || here.HasAny(n.any))
}

// rights returns what whoever asks may do with what is at p: what the rules say of p, and of all that p is by the links in
// it. Where everything else is allowed as well, links cannot lead to anything less.
func (s *Server) rights(w *reply, p tree.Path) auth.Rights {
	return s.rightsBy(w, p, (*auth.Rules).Allow)
}

// rightsBelow returns what whoever asks may do at p and everywhere below.
func (s *Server) rightsBelow(w *reply, p tree.Path) auth.Rights {
	return s.rightsBy(w, p, (*auth.Rules).Whole)
}

func (s *Server) rightsBy(w *reply, p tree.Path, of func(*auth.Rules, auth.Who, tree.Path) auth.Rights) auth.Rights {
	rules, who := w.asking.policy.Rules, w.asking.who
	can := of(rules, who, p)
	if rules.Whole(who, tree.Path{}).Has(can) {
		return s.below(can)
	}
	r, err := s.leads(w, p)
	if err != nil {
		return auth.None
	}
	for _, q := range r.Paths {
		can &= of(rules, who, q)
	}
	return s.below(can)
}

// below returns can below the ceiling that Config.Write is.
func (s *Server) below(can auth.Rights) auth.Rights {
	if !s.config.Write {
		can &= auth.Reading
	}
	return can
}

// authorize refuses a request about p whose needs are not met. The refusal is the same whatever is at p.
func (s *Server) authorize(w *reply, r *http.Request, n need, p tree.Path) error {
	var met bool
	switch {
	case n.open:
		met = true
	case n.some != auth.None:
		met = s.below(w.asking.policy.Rules.Somewhere(w.asking.who)).HasAny(n.some)
	default:
		met = n.metBy(s.rights(w, p), s.rightsBelow(w, p))
	}
	if !met {
		return s.denied(w, r)
	}
	return s.authorizeCondition(w, r, n, p)
}

// authorizeCondition refuses conditions by which somebody who may not read what is at p would learn something of it: they
// may only ask whether it is there, as they learn that from any answer to a change.
func (s *Server) authorizeCondition(w *reply, r *http.Request, n need, p tree.Path) error {
	if n.open || !(n.any | n.all | n.below).HasAny(auth.Writing) || s.rightsBelow(w, p).Has(auth.Read) {
		return nil
	}
	if hasTellingCondition(r.Header) {
		return s.denied(w, r)
	}
	return nil
}

// hasTellingCondition reports whether conditions ask for more than whether something is there.
func hasTellingCondition(h http.Header) bool {
	for _, field := range []string{"If-Match", "If-None-Match"} {
		for _, line := range h[field] {
			if strings.TrimSpace(line) != "*" {
				return true
			}
		}
	}
	for _, field := range []string{"If-Unmodified-Since", "If-Modified-Since", "If-Range", "If"} {
		if len(h[field]) > 0 {
			return true
		}
	}
	return false
}

// authorizeGet is authorize for GET and HEAD. A folder that may be listed, but not read, is redirected to; else only a
// reader learns whether a path without a slash at its end is one.
func (s *Server) authorizeGet(w *reply, r *http.Request, t target) error {
	can := s.rights(w, t.path)
	switch {
	case t.folder && can.Has(auth.List), !t.folder && can.Has(auth.Read):
		return nil
	case !t.folder && can.Has(auth.List):
		if e, err := s.tree.Stat(r.Context(), t.path); err == nil && e.Kind == tree.KindFolder {
			return nil
		}
	}
	return s.denied(w, r)
}

// authorizeDestination refuses a Destination where nothing may be made or replaced.
func (s *Server) authorizeDestination(w *reply, r *http.Request, p tree.Path) error {
	if s.rightsBelow(w, p).HasAny(auth.Create | auth.Replace) {
		return nil
	}
	return s.denied(w, r)
}

// authorizeOpened makes sure that f is what p was when its rights were looked at: a link put in its place in between could have
// led elsewhere. What was replaced meanwhile is looked at once more, as if it were torn.
func (s *Server) authorizeOpened(w *reply, r *http.Request, p tree.Path, f *tree.File) error {
	if w.asking.policy.Rules.Whole(w.asking.who, tree.Path{}).Has(auth.Read) {
		return nil
	}
	if !s.rights(w, p).Has(auth.Read) {
		return s.denied(w, r)
	}
	at, err := s.leads(w, p)
	if err == nil && at.Inode != f.Entry.Stamp.Inode() {
		w.asking.led = nil
		return tree.ErrTorn
	}
	return err
}

// denied is the answer to who may not do what they ask for: to sign in, if they have not and there are users.
func (s *Server) denied(w *reply, r *http.Request) error {
	switch {
	case w.asking.who != auth.Anonymous || w.asking.policy.Users == nil:
		return problem.Denied
	case !s.isPrivate(r):
		return problem.Unencrypted
	}
	return challenge(problem.SignIn)
}

// challenge asks for a name and a password (RFC 7617).
func challenge(k *problem.Kind) error {
	err := problem.From(k)
	err.Header = http.Header{"WWW-Authenticate": {`Basic realm="freshet", charset="UTF-8"`}}
	return err
}

// isPrivate reports whether a password can be sent by the way that r came, as far as this server knows.
func (s *Server) isPrivate(r *http.Request) bool {
	return s.config.PlainPasswords || r.TLS != nil || fromLoopback(r)
}

// fromLoopback reports whether r came over no network.
func fromLoopback(r *http.Request) bool {
	if r.RemoteAddr == "" || r.RemoteAddr[0] == '@' || r.RemoteAddr[0] == '/' { // a socket of this machine
		return true
	}
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && at.Addr().Unmap().IsLoopback()
}

// signIn finds out who the Authorization field is of.
func (s *Server) signIn(w *reply, r *http.Request) error {
	if !s.isPrivate(r) {
		return problem.Unencrypted
	}
	lines := r.Header["Authorization"]
	if len(lines) != 1 {
		return challenge(problem.Credentials)
	}
	who, name, err := s.auth.SignIn(r.Context(), w.asking.policy, lines[0], peer(r))
	var tries *auth.TriesError
	switch {
	case err == nil:
		w.asking.who = who
		return nil
	case errors.As(err, &tries):
		refused := problem.From(problem.Tries)
		refused.After = int((tries.After + time.Second - 1) / time.Second)
		return refused
	case errors.Is(err, auth.ErrBusy):
		return problem.Busy.Errorf("Too many passwords are being checked.")
	case errors.Is(err, auth.ErrCredentials), errors.Is(err, auth.ErrMalformed):
		s.traffic.loginsFailed.Add(1)
		s.log.LogAttrs(context.Background(), slog.LevelWarn, "login failed",
			slog.String("client", strings.Trim(peer(r), "[]")), slog.String("user", name), slog.String("id", s.requestID(w, r)))
		return challenge(problem.Credentials)
	}
	return err
}

// discreet takes out of an error what somebody may not know who may change, but not read what is at p.
func (s *Server) discreet(w *reply, p tree.Path, err error) error {
	if err == nil || s.rightsBelow(w, p).Has(auth.Read) {
		return err
	}
	if told := problem.From(err); told.Current.Known {
		return told.Blind()
	}
	return err
}
