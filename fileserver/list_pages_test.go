package fileserver

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"freshet/fileserver/tree"
	"freshet/hashing"
)

func TestProblemPage(t *testing.T) {
	tests := []struct {
		name                string
		status              int
		title, detail, next string
		want                []string // heading, then paragraphs
	}{
		{"all_texts", 404, "Nothing is here", "It was\nremoved.", "Look above.",
			[]string{"Nothing is here", "404 Not Found", "It was⟦LF⟧removed.", "Look above.", "Go to Shared"}},
		{"title_alone", 507, "The disk is full", "", "",
			[]string{"The disk is full", "507 Insufficient Storage", "Go to Shared"}},
		{"status_without_a_name", 499, "Gone", "", "", []string{"Gone", "499", "Go to Shared"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var b strings.Builder
			if err := renderProblemPage(&b, test.status, test.title, test.detail, test.next, testPage()); err != nil {
				t.Fatal(err)
			}
			doc := parsePage(t, b.String())
			if got := append(texts(doc, "h1", ""), texts(doc, "p", "")...); !slices.Equal(got, test.want) {
				t.Errorf("the page says %q, want %q", got, test.want)
			}
			if got := texts(doc, "title", "")[0]; got != test.title {
				t.Errorf("its title is %q", got)
			}
			if home := all(doc, "a", ""); len(home) != 1 || attr(home[0], "href") != "/" {
				t.Errorf("its links are %v", home)
			}
		})
	}
}

func TestConflictPage(t *testing.T) {
	at := time.Date(2026, 11, 22, 14, 7, 0, 0, time.UTC)
	digest := hashing.Sum([]byte("theirs"))
	file := &tree.Entry{Kind: tree.KindFile, Size: 2345, ModTime: at, Digest: digest}
	unknown := &tree.Entry{Kind: tree.KindFile, Size: 2345, ModTime: at}
	link := &tree.Entry{Kind: tree.KindLink, Target: "b", Followed: file}
	both := "if-none-match=* name=menu (yours 2026-11-22 14.02).md file="
	replace := "if-match=" + digest.ETag() + " name=menu.md file="
	facts := []string{"2.35 kB", "22 Nov 2026 14:07", shortVersion(digest.ETag()), "Open the file"}
	tests := []struct {
		name     string
		conflict uploadConflict
		heading  string
		facts    []string
		forms    []string
	}{
		{"name_taken", uploadConflict{Name: "menu.md", Current: file}, "menu.md exists already", facts,
			[]string{both, replace}},
		{"changed_since", uploadConflict{Name: "menu.md", Current: file, IfMatch: `"x"`},
			"menu.md has changed since you looked at it",
			facts, []string{both, replace}},
		{"link_to_a_file", uploadConflict{Name: "menu.md", Current: link}, "menu.md exists already", facts,
			[]string{both, replace}},
		{"version_not_known_yet", uploadConflict{Name: "menu.md", Current: unknown}, "menu.md exists already",
			[]string{"2.35 kB", "22 Nov 2026 14:07", "not known yet", "Open the file"}, []string{both}},
		{"folder", uploadConflict{Name: "menu.md", Current: &tree.Entry{Kind: tree.KindFolder}},
			"menu.md is not the name of a file",
			nil, []string{both}},
		{"gone", uploadConflict{Name: "menu.md", IfMatch: `"x"`}, "menu.md is not there any more", nil,
			[]string{"if-none-match=* name=menu.md file="}},
		{"name_that_no_form_can_send", uploadConflict{Name: "a\r\n\xff.md", Current: file},
			"a⟦CR⟧⟦LF⟧⟦FF⟧.md exists already strange name",
			facts, []string{"if-none-match=* name=a___ (yours 2026-11-22 14.02).md file="}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := mustParse(t, "/a%20b/c/")
			var b strings.Builder
			if err := renderConflictPage(&b, p, test.conflict, testPage()); err != nil {
				t.Fatal(err)
			}
			doc := parsePage(t, b.String())
			checkPage(t, doc)
			if got := texts(doc, "h1", "")[0]; got != test.heading {
				t.Errorf("heading %q, want %q", got, test.heading)
			}
			if got := texts(doc, "dd", ""); !slices.Equal(got, test.facts) {
				t.Errorf("facts %q, want %q", got, test.facts)
			}
			if got := formFields(t, doc, p); !slices.Equal(got, test.forms) {
				t.Errorf("forms with %q, want %q", got, test.forms)
			}
			if !strings.Contains(textOf(doc), "Nothing was overwritten.") {
				t.Error("the page does not say that nothing was overwritten")
			}
			if !strings.Contains(textOf(doc), "pick it once more") {
				t.Error("the page does not say why the file must be picked again")
			}
			if test.facts != nil {
				open := all(all(doc, "dl", "")[0], "a", "")[0]
				if attr(open, "href") != p.URL(true)+tree.EscapeName(test.conflict.Name) {
					t.Errorf("the file that is there is not at %q", attr(open, "href"))
				}
			}
		})
	}
}

func TestConflictPageSaysWhatWasSaved(t *testing.T) {
	many := make([]string, savedNamesMax+2)
	for i := range many {
		many[i] = fmt.Sprintf("%d.txt", i)
	}
	tests := []struct {
		name     string
		conflict uploadConflict
		want     []string
	}{
		{"nothing", uploadConflict{},
			[]string{"Nothing was overwritten. If you chose several files, those after it were not saved."}},
		{"replacing_one", uploadConflict{IfMatch: `"x"`}, []string{"Nothing was overwritten."}},
		{"some", uploadConflict{Saved: []string{"a.txt", "b\n"}},
			[]string{"Nothing was overwritten. If you chose several files, those after it were not saved.",
				"Saved before it: a.txt, b⟦LF⟧."}},
		{"more_than_are_listed", uploadConflict{Saved: many},
			[]string{"Nothing was overwritten. If you chose several files, those after it were not saved.",
				"Saved before it: 0.txt, 1.txt, 2.txt, 3.txt, 4.txt and 2 more."}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.conflict.Name = "x"
			var b strings.Builder
			if err := renderConflictPage(&b, tree.Path{}, test.conflict, testPage()); err != nil {
				t.Fatal(err)
			}
			said := texts(all(parsePage(t, b.String()), "section", "conflict")[0], "p", "")
			if len(said) < len(test.want) || !slices.Equal(said[:len(test.want)], test.want) {
				t.Errorf("the page says %q, want %q", said, test.want)
			}
			if strings.Contains(strings.Join(said[len(test.want):], " "), "Saved before") {
				t.Errorf("the page says %q", said)
			}
		})
	}
}

func TestKeepBothName(t *testing.T) {
	now := time.Date(2026, 11, 22, 14, 2, 0, 0, time.UTC)
	const yours = " (yours 2026-11-22 14.02)"
	tests := []struct{ name, file, want string }{
		{"extension_stays_last", "menu.md", "menu" + yours + ".md"},
		{"no_extension", "README", "README" + yours},
		{"dot_file", ".profile", ".profile" + yours},
		{"longest_name_is_cut", strings.Repeat("x", 251) + ".txt",
			strings.Repeat("x", 251-len(yours)) + yours + ".txt"},
		{"cut_between_characters", strings.Repeat("é", 125) + ".txt",
			strings.Repeat("é", (251-len(yours))/2) + yours + ".txt"},
		{"not_utf8", "a\xff\xfe.md", "a_" + yours + ".md"},
		{"controls", "a\nb\x7f.md", "a_b_" + yours + ".md"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := keepBothName(test.file, now)
			if got != test.want {
				t.Errorf("keepBothName(%q) = %q, want %q", test.file, got, test.want)
			}
			if _, err := (tree.Path{}).Join(got); err != nil {
				t.Error(err)
			}
		})
	}
}
