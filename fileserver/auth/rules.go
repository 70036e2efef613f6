package auth

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"freshet/fileserver/tree"
)

// A Who is the name of a user who has proved to be that user.
type Who string

// Anonymous is somebody who has not said who they are.
const Anonymous Who = ""

// Whom a rule can name besides users.
const (
	WhoAnonymous = "anonymous" // everybody, signed in or not: what needs no name cannot be kept from those who have one
	WhoSignedIn  = "signed-in" // every user
)

// RulesMax is how many rules there can be: some questions ask them all.
const RulesMax = 1000

// A Rule gives users rights at a path and everywhere below, up to the paths that have rules of their own.
type Rule struct {
	Path tree.Path
	Who  []string // user names, WhoAnonymous, WhoSignedIn
	Can  Rights
}

// ErrRule is wrapped by all errors of NewRules.
var ErrRule = errors.New("cannot be used as a rule")

// Rules do not change. Their methods are pure functions.
type Rules struct {
	groups []*group
	exact  map[string]*group // by path
	folded map[string]*group // by the path as fold has it
	alone  *group            // the only one, if it is about the root
}

// A group is all rules of one path.
type group struct {
	folded    string
	anonymous Rights
	signedIn  Rights
	named     map[string]Rights
}

func (g *group) rights(who Who) Rights {
	if who == Anonymous {
		return g.anonymous
	}
	return g.anonymous | g.signedIn | g.named[string(who)]
}

// NewRules returns Rules that know these, of which several may be about one path: their rights add up. Rights beyond ceiling
// are given to nobody. What no rule is about has no rights. It refuses a rule that names nobody or something that cannot be a user's
// name, and paths that differ, but may be one on some filesystems.
func NewRules(rules []Rule, ceiling Rights) (*Rules, error) {
	if len(rules) > RulesMax {
		return nil, fmt.Errorf("%w: there are more than %d", ErrRule, RulesMax)
	}
	r := &Rules{exact: map[string]*group{}, folded: map[string]*group{}}
	for _, rule := range rules {
		g, err := r.groupOf(rule.Path)
		if err != nil {
			return nil, err
		}
		if len(rule.Who) == 0 {
			return nil, fmt.Errorf("%w: the one of /%s names nobody", ErrRule, rule.Path)
		}
		for _, name := range rule.Who {
			if err := g.give(name, rule.Can&ceiling); err != nil {
				return nil, err
			}
		}
	}
	if len(r.groups) == 1 {
		r.alone = r.exact[""]
	}
	return r, nil
}

// Same returns Rules that give everybody signed in, and everybody at all, the same rights at every path.
func Same(signedIn, anonymous Rights) *Rules {
	g := &group{signedIn: signedIn, anonymous: anonymous}
	return &Rules{groups: []*group{g}, exact: map[string]*group{"": g}, folded: map[string]*group{"": g}, alone: g}
}

func (r *Rules) groupOf(p tree.Path) (*group, error) {
	path := p.String()
	if g := r.exact[path]; g != nil {
		return g, nil
	}
	g := &group{folded: fold(path), named: map[string]Rights{}}
	if r.folded[g.folded] != nil {
		return nil, fmt.Errorf("%w: /%s is the path of another one too, spelled otherwise", ErrRule, path)
	}
	r.groups = append(r.groups, g)
	r.exact[path], r.folded[g.folded] = g, g
	return g, nil
}

func (g *group) give(name string, can Rights) error {
	switch {
	case name == WhoAnonymous:
		g.anonymous |= can
	case name == WhoSignedIn:
		g.signedIn |= can
	case CheckName(name) != nil:
		return fmt.Errorf("%w: %w", ErrRule, CheckName(name))
	default:
		g.named[name] |= can
	}
	return nil
}

// Allow returns what who may do at p.
func (r *Rules) Allow(who Who, p tree.Path) Rights {
	if r.alone != nil {
		return r.alone.rights(who)
	}
	path := p.String()
	can := nearest(r.exact, path, who)
	if can == None {
		return None
	}
	return can & nearest(r.folded, fold(path), who)
}

// nearest returns what the group of the longest path at or above path gives who.
func nearest(groups map[string]*group, path string, who Who) Rights {
	for {
		if g := groups[path]; g != nil {
			return g.rights(who)
		}
		if path == "" {
			return None
		}
		path = path[:max(0, strings.LastIndexByte(path, '/'))]
	}
}

// Whole returns what who may do at p and everywhere below, whatever is there.
func (r *Rules) Whole(who Who, p tree.Path) Rights {
	can := r.Allow(who, p)
	if r.alone != nil || can == None {
		return can
	}
	above := fold(p.String()) + "/"
	for _, g := range r.groups {
		if p.IsRoot() || strings.HasPrefix(g.folded, above) {
			can &= g.rights(who)
		}
	}
	return can
}

// Somewhere returns all that who may do at one path or another.
func (r *Rules) Somewhere(who Who) (can Rights) {
	for _, g := range r.groups {
		can |= g.rights(who)
	}
	return can
}

// Names returns the names of users in the rules, each once, in no order.
func (r *Rules) Names() []string {
	seen := map[string]bool{}
	var names []string
	for _, g := range r.groups {
		for name := range g.named {
			if !seen[name] {
				seen[name] = true
				names = append(names, name)
			}
		}
	}
	return names
}

// fold returns one spelling for all paths that some filesystem may take for the same: letters without case, characters in
// one normal form, names without the dots and blanks at their end. Nearly all paths are ASCII and in one spelling already.
func fold(path string) string {
	if isFolded(path) {
		return path
	}
	if utf8.ValidString(path) {
		path = norm.NFC.String(cases.Fold().String(norm.NFD.String(path)))
	} else {
		path = strings.ToLower(path)
	}
	names := strings.Split(path, "/")
	for i, name := range names {
		names[i] = strings.TrimRight(name, ". ")
	}
	return strings.Join(names, "/")
}

// isFolded reports whether path is ASCII and as fold leaves it.
func isFolded(path string) bool {
	ending := byte('/') // what a name may not end with
	for i := range len(path) {
		c := path[i]
		if c >= utf8.RuneSelf || 'A' <= c && c <= 'Z' || c == '/' && (ending == '.' || ending == ' ') {
			return false
		}
		ending = c
	}
	return ending != '.' && ending != ' '
}
