package auth_test

import (
	"errors"
	"strings"
	"testing"

	"freshet/fileserver/auth"
	"freshet/fileserver/tree"
)

const (
	anyone = auth.WhoAnonymous
	signed = auth.WhoSignedIn
	ana    = auth.Who("ana")
	bob    = auth.Who("bob")
	nobody = auth.Anonymous
)

func path(t testing.TB, text string) tree.Path {
	t.Helper()
	p, _, err := tree.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func rule(t testing.TB, at, who string, can auth.Rights) auth.Rule {
	return auth.Rule{Path: path(t, at), Who: strings.Split(who, ","), Can: can}
}

func TestAllow(t *testing.T) {
	rules, err := auth.NewRules([]auth.Rule{
		rule(t, "/", signed, auth.Reading),
		rule(t, "/", "ana", auth.Writing),
		rule(t, "/up", anyone, auth.Create),
		rule(t, "/up", signed, auth.Reading),
		rule(t, "/Private", "bob", auth.All),
		rule(t, "/Private/for%20all", anyone, auth.Read),
		rule(t, "/stra%C3%9Fe", "ana", auth.Read),
	}, auth.All&^auth.Delete)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		who   auth.Who
		at    string
		here  auth.Rights
		below auth.Rights
	}{
		"root_of_nobody":              {nobody, "/", auth.None, auth.None},
		"root_of_a_user":              {bob, "/", auth.Reading, auth.None},
		"rules_of_one_path_add_up":    {ana, "/", auth.Reading | auth.Create | auth.Replace, auth.None},
		"ceiling":                     {bob, "/Private", auth.All &^ auth.Delete, auth.Read},
		"below_goes_with_above":       {ana, "/docs/a/b", auth.Reading | auth.Create | auth.Replace, auth.Reading | auth.Create | auth.Replace},
		"longest_path_decides_alone":  {ana, "/Private/x", auth.None, auth.None},
		"and_does_so_for_nobody":      {nobody, "/up/x", auth.Create, auth.Create},
		"what_anyone_may_users_may":   {bob, "/up", auth.Reading | auth.Create, auth.Reading | auth.Create},
		"sibling_with_same_beginning": {nobody, "/up_backup", auth.None, auth.None},
		"hole_in_a_closed_folder":     {nobody, "/Private/for%20all/x", auth.Read, auth.Read},
		"other_case_has_no_more":      {ana, "/private/x", auth.None, auth.None},
		"other_case_has_no_more_too":  {bob, "/private/x", auth.Reading, auth.Reading},
		"dot_at_the_end":              {ana, "/Private./x", auth.None, auth.None},
		"blank_at_the_end":            {ana, "/Private%20/x", auth.None, auth.None},
		"folded_sharp_s":              {bob, "/STRASSE", auth.None, auth.None},
		"decomposed":                  {bob, "/stra%C3%9Fe", auth.None, auth.None},
		"doubled_slashes":             {ana, "//Private///x", auth.None, auth.None},
		"escaped_letter":              {ana, "/%50rivate/x", auth.None, auth.None},
		"a_user_that_no_rule_names":   {auth.Who("eve"), "/docs", auth.Reading, auth.Reading},
	} {
		t.Run(name, func(t *testing.T) {
			p := path(t, c.at)
			if got := rules.Allow(c.who, p); got != c.here {
				t.Errorf("may %q at it, want %q", got, c.here)
			}
			if got := rules.Whole(c.who, p); got != c.below {
				t.Errorf("may %q below it, want %q", got, c.below)
			}
		})
	}
	if got := rules.Somewhere(nobody); got != auth.Create|auth.Read {
		t.Errorf("nobody may %q somewhere", got)
	}
	if names := rules.Names(); len(names) != 2 {
		t.Errorf("the rules name %q", names)
	}
}

func TestOneRuleForAll(t *testing.T) {
	rules, err := auth.NewRules([]auth.Rule{rule(t, "/docs", anyone, auth.Read)}, auth.All)
	if err != nil {
		t.Fatal(err)
	}
	if got := rules.Allow(nobody, path(t, "/")); got != auth.None {
		t.Errorf("what no rule is about: %q", got)
	}
	same := auth.Same(auth.All, auth.Read)
	if same.Allow(nobody, path(t, "/a")) != auth.Read || same.Whole(ana, path(t, "/a")) != auth.All {
		t.Error("Same is not the same everywhere")
	}
}

func TestRulesThatAreRefused(t *testing.T) {
	for name, rules := range map[string][]auth.Rule{
		"two_cases":      {rule(t, "/a", anyone, auth.Read), rule(t, "/A", "ana", auth.Read)},
		"two_forms":      {rule(t, "/%C3%A9", anyone, auth.Read), rule(t, "/e%CC%81", "ana", auth.Read)},
		"nobody":         {{Can: auth.Read}},
		"name_of_nobody": {{Who: []string{""}, Can: auth.Read}},
		"bad_name":       {{Who: []string{"a:b"}, Can: auth.Read}},
		"too_many":       make([]auth.Rule, auth.RulesMax+1),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := auth.NewRules(rules, auth.All); !errors.Is(err, auth.ErrRule) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// FuzzRules compares rules with what they mean, said in a plainer way, and with themselves: nobody has more rights below a
// path than Whole says of it.
func FuzzRules(f *testing.F) {
	f.Add("/a", "/a/b", "/a/b/c", uint8(3), uint8(31))
	f.Add("/A", "/a./b", "/a", uint8(1), uint8(2))
	f.Add("/up", "/up_backup", "/%C3%9F", uint8(4), uint8(0))
	f.Fuzz(func(t *testing.T, first, second, asked string, one, two uint8) {
		var paths []tree.Path
		for _, text := range []string{first, second, asked} {
			p, _, err := tree.Parse(text)
			if err != nil {
				return
			}
			paths = append(paths, p)
		}
		can := []auth.Rights{auth.Rights(one) & auth.All, auth.Rights(two) & auth.All}
		rules, err := auth.NewRules([]auth.Rule{
			{Path: paths[0], Who: []string{anyone}, Can: can[0]}, {Path: paths[1], Who: []string{anyone}, Can: can[1]},
		}, auth.All)
		if err != nil {
			return
		}
		p := paths[2]
		longest, want := -1, auth.None
		for i := range can {
			switch length := len(paths[i].String()); {
			case !paths[i].Contains(p):
			case length > longest:
				longest, want = length, can[i]
			case length == longest:
				want |= can[i]
			}
		}
		if got := rules.Allow(nobody, p); !want.Has(got) {
			t.Fatalf("%q at %q is more than %q", got, p, want)
		}
		for up := p; ; up = up.Parent() {
			if whole := rules.Whole(nobody, up); !rules.Allow(nobody, p).Has(whole) {
				t.Fatalf("%q everywhere below %q, but not at %q", whole, up, p)
			}
			if up.IsRoot() {
				break
			}
		}
	})
}

func BenchmarkAllow(b *testing.B) {
	rules, err := auth.NewRules([]auth.Rule{
		rule(b, "/", anyone, auth.Read), rule(b, "/private", "ana", auth.All), rule(b, "/inbox", signed, auth.Create),
	}, auth.All)
	if err != nil {
		b.Fatal(err)
	}
	p := path(b, "/docs/2026/report.pdf")
	b.ReportAllocs()
	for b.Loop() {
		rules.Allow(ana, p)
	}
}
