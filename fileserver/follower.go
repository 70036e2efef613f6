package fileserver

import (
	"freshet/fileserver/auth"
	"freshet/fileserver/tree"
	"freshet/hashing"
)

// A follower is somebody who follows the changes at a path and below, which they may see as a whole: events about folders
// stand for all that is in them.
type follower struct {
	asking session
	below  tree.Path
}

func (s *Server) follower(w *reply, below tree.Path) follower { return follower{w.asking, below} }

// allowed reports whether the follower is, by what holds now, still who they were and may still see all that is below. Those
// who follow do so for longer than users and rules may last.
func (f *follower) allowed(s *Server) bool {
	now := s.auth.Policy()
	if now != f.asking.policy && !now.Users.Keeps(f.asking.policy.Users, f.asking.who) {
		return false
	}
	w := reply{asking: session{who: f.asking.who, policy: now}}
	return s.rightsBelow(&w, f.below).Has(auth.Reading)
}

// filter takes out of events what the follower may not see: of the folders above, all but that something has happened to
// them, and where things were that came from elsewhere.
func (f *follower) filter(changes *tree.Changes) {
	rules, who := f.asking.policy.Rules, f.asking.who
	if rules.Whole(who, tree.Path{}).Has(auth.Reading) {
		return
	}
	for i := range changes.Events {
		e := &changes.Events[i]
		if !f.below.Contains(e.Path) {
			e.Digest = hashing.Digest{}
			e.From = ""
		}
		if e.From != "" && !f.mayRead(e.From) {
			e.From = ""
		}
	}
}

func (f *follower) mayRead(rel string) bool {
	p, err := pathOf("/" + rel)
	return err == nil && f.asking.policy.Rules.Allow(f.asking.who, p).Has(auth.Read)
}
