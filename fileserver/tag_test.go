package fileserver

import (
	"testing"
	"time"

	"freshet/fileserver/tree"
	"freshet/hashing"
)

// A tag changes with all that a listing shows besides the state of its folder, and with nothing else.
func TestViewOfAListing(t *testing.T) {
	target := tree.Entry{Kind: tree.KindFile, Size: 1, ModTime: time.Unix(1, 0), Digest: hashing.Sum([]byte("x"))}
	usual := func() listing {
		e := target
		return listing{query: byName, page: testPage(), links: map[string]*tree.Entry{"l": &e}}
	}
	links := []string{"broken", "l"}
	changes := map[string]func(*listing){
		"order":                   func(l *listing) { l.query.Sort = sortBySize },
		"direction":               func(l *listing) { l.query.Descending = true },
		"limit":                   func(l *listing) { l.query.Limit = 2 },
		"place":                   func(l *listing) { l.query.After = &cursor{Group: groupOthers, Name: "a"} },
		"root_name":               func(l *listing) { l.page.Root = "other" },
		"write":                   func(l *listing) { l.page.Write = false },
		"version":                 func(l *listing) { l.page.Version = "2" },
		"time_zone":               func(l *listing) { l.page.Now = l.page.Now.In(time.FixedZone("UTC", 3600)) },
		"kind_behind_a_link":      func(l *listing) { l.links["l"].Kind = tree.KindExecutable },
		"size_behind_a_link":      func(l *listing) { l.links["l"].Size++ },
		"time_behind_a_link":      func(l *listing) { l.links["l"].ModTime = time.Unix(1, 1) },
		"tag_behind_a_link":       func(l *listing) { l.links["l"].Digest = hashing.Digest{} },
		"link_leads_nowhere":      func(l *listing) { delete(l.links, "l") },
		"broken_link_leads_there": func(l *listing) { l.links["broken"] = &target },
	}
	plain := usual()
	want := plain.view(links)
	seen := map[uint64]string{want: "the usual listing"}
	for name, change := range changes {
		l := usual()
		change(&l)
		got := l.view(links)
		if other, twice := seen[got]; twice {
			t.Errorf("%s shows in the same tag as %s", name, other)
		}
		seen[got] = name
	}
	later := usual()
	later.page.Now = later.page.Now.Add(time.Hour)
	if later.view(links) != want {
		t.Error("the tag depends on when it is asked for")
	}
}

// The specimen holds what listings are made of, so that another template makes other tags.
func TestRendererIsTold(t *testing.T) {
	if a, b := renderer(), renderer(); a != b || len(a) < 32 {
		t.Errorf("%q, then %q", a, b)
	}
}
