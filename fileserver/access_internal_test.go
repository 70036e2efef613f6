package fileserver

import (
	"testing"

	"freshet/fileserver/auth"
	"freshet/fileserver/tree"
	"freshet/hashing"
)

// Every way in says what it needs. What is open to everybody is listed here a second time, so that nothing becomes open by a
// slip.
func TestEveryWayInHasItsNeed(t *testing.T) {
	open := map[string]bool{"OPTIONS": true, "read ui": true}
	check := func(name string, n need) {
		switch {
		case n == need{}:
			t.Errorf("%s has no need", name)
		case n.open != open[name]:
			t.Errorf("%s: open %v, want %v", name, n.open, open[name])
		}
		if !n.open && n.metBy(auth.None, auth.None) && n.some == auth.None {
			t.Errorf("%s needs nothing", name)
		}
	}
	for method, h := range handlers {
		n, ok := needs[method]
		if !ok {
			t.Errorf("%s is not in the table of needs", method)
		}
		check(method, n)
		if h.writes && method != "COPY" && !(n.all | n.any | n.below).HasAny(auth.Writing) {
			t.Errorf("%s changes something, and needs no right to", method)
		}
	}
	if len(needs) != len(handlers) {
		t.Error("there are needs of methods that are not understood")
	}
	for _, e := range endpoints {
		if e.read != nil {
			check("read "+e.name, e.readNeeds)
		}
		if e.post != nil {
			check("post "+e.name, e.postNeeds)
		}
		if e.remove != nil {
			check("remove "+e.name, e.removeNeeds)
			if !e.removeNeeds.below.Has(auth.Delete) {
				t.Errorf("%s removes something, and does not need the right to", e.name)
			}
		}
	}
	check("what the server says of itself", wellKnownNeeds)
}

func TestNeedIsMet(t *testing.T) {
	for name, c := range map[string]struct {
		need        need
		here, below auth.Rights
		want        bool
	}{
		"zero":        {need{}, auth.All, auth.All, false},
		"open":        {need{open: true}, auth.None, auth.None, true},
		"all":         {need{all: auth.Reading}, auth.Reading, auth.None, true},
		"not_all":     {need{all: auth.Reading}, auth.Read, auth.Read, false},
		"any":         {need{any: auth.Create | auth.Replace}, auth.Replace, auth.None, true},
		"not_any":     {need{any: auth.Create | auth.Replace}, auth.Delete, auth.All, false},
		"below":       {need{below: auth.Delete}, auth.All, auth.Delete, true},
		"not_below":   {need{below: auth.Delete}, auth.All, auth.Read, false},
		"all_and_any": {need{all: auth.Read, any: auth.Writing}, auth.Read, auth.All, false},
	} {
		if got := c.need.metBy(c.here, c.below); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// Who follows a part of the tree is told that something happened to a folder above, but not what is in that folder now, nor
// where something came from that they may not read.
func TestFollowersSeeTheirPart(t *testing.T) {
	path := func(text string) tree.Path {
		p, _, err := tree.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	rules, err := auth.NewRules([]auth.Rule{
		{Path: path("/work"), Who: []string{"bob"}, Can: auth.All}, {Path: path("/private"), Who: []string{"ana"}, Can: auth.All},
	}, auth.All)
	if err != nil {
		t.Fatal(err)
	}
	events := func() *tree.Changes {
		sum := hashing.Sum(nil)
		return &tree.Changes{Events: []tree.Event{
			{Path: path("/"), Kind: tree.KindFolder, Digest: sum},
			{Path: path("/work"), Kind: tree.KindFolder, Digest: sum, From: "private/x"},
			{Path: path("/work/in/a"), Kind: tree.KindFile, Digest: sum, From: "private/a"},
			{Path: path("/work/in/b"), Kind: tree.KindFile, Digest: sum, From: "work/b"},
		}}
	}
	limited := follower{session{who: "bob", policy: &auth.Policy{Rules: rules}}, path("/work/in")}
	got := events()
	limited.filter(got)
	for i, e := range got.Events {
		if wantDigest := i >= 2; e.Digest.IsZero() == wantDigest {
			t.Errorf("/%s has the digest %v", e.Path, e.Digest)
		}
		if wantFrom := i == 3; (e.From != "") != wantFrom {
			t.Errorf("/%s came from %q", e.Path, e.From)
		}
	}
	all := follower{session{who: "bob", policy: &auth.Policy{Rules: auth.Same(auth.All, auth.None)}}, path("/work/in")}
	if got = events(); got.Events[0].Digest.IsZero() || got.Events[1].From == "" {
		t.Fatal("the events are not what the test needs")
	}
	all.filter(got)
	if got.Events[0].Digest.IsZero() || got.Events[2].From == "" {
		t.Error("who may see everything does not")
	}
}
