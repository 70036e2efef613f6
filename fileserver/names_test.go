package fileserver

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestShowName(t *testing.T) {
	long := strings.Repeat("long ", 6)
	tests := []struct {
		name, file string
		want       string // stem|tail|extension, marks in ⟦⟧
		strange    bool
	}{
		{"plain", "menu.md", "menu||.md", false},
		{"empty", "", "||", false},
		{"no_extension", "README", "README||", false},
		{"two_dots", "a.tar.gz", "a.tar||.gz", false},
		{"dot_file", ".gitignore", ".gitignore||", false},
		{"dot_file_with_extension", ".config.toml", ".config||.toml", false},
		{"ends_with_a_dot", "a.", "a.||", false},
		{"space_in_what_follows_the_dot", "Dr. Who", "Dr. Who||", false},
		{"longest_extension", "a." + strings.Repeat("x", extensionBytesMax-1),
			"a||." + strings.Repeat("x", extensionBytesMax-1), false},
		{"too_long_for_an_extension", "a." + strings.Repeat("x", extensionBytesMax),
			"a." + strings.Repeat("x", extensionBytesMax) + "||", false},
		{"markup_is_text", `<b onclick="x">.html`, `<b onclick="x">||.html`, false},
		{"spaces_inside", "a  b.txt", "a  b||.txt", false},
		{"letters_of_other_scripts", "мäß長.txt", "мäß長||.txt", false},
		{"right_to_left_letters", "מסמך.pdf", "מסמך||.pdf", false},

		{"line_feed", "a\nb.txt", "a⟦LF⟧b||.txt", true},
		{"escape_and_delete", "\x1b[1m\x7f", "⟦ESC⟧[1m⟦DEL⟧||", true},
		{"form_feed_is_not_byte_ff", "a\fb\xffc", "a⟦U+000C⟧b⟦FF⟧c||", true},
		{"c1_control", "a\u0085b\u009b", "a⟦NEL⟧b⟦U+009B⟧||", true},
		{"override", "photo\u202egnp.exe", "photo⟦RLO⟧gnp||.exe", true},
		{"override_in_the_extension", "a.\u202etxt", "a||.⟦RLO⟧txt", true},
		{"isolates", "\u2066a\u2067b\u2068c\u2069", "⟦LRI⟧a⟦RLI⟧b⟦FSI⟧c⟦PDI⟧||", true},
		{"direction_marks", "a\u200e\u200f\u061c", "a⟦LRM⟧⟦RLM⟧⟦ALM⟧||", true},
		{"line_and_paragraph_separator", "a\u2028b\u2029c", "a⟦LS⟧b⟦PS⟧c||", true},
		{"zero_width", "a\u200bb\ufeffc\u2060d", "a⟦ZWSP⟧b⟦ZWNBSP⟧c⟦WJ⟧d||", true},
		{"soft_hyphen", "pay\u00adpal", "pay⟦SHY⟧pal||", true},
		{"invisible_operator", "a\u2061b", "a⟦U+2061⟧b||", true},
		{"tag_character", "a\U000e0041b", "a⟦U+E0041⟧b||", true},
		{"blank_letter", "a\u3164b", "a⟦U+3164⟧b||", true},
		{"joiner_between_latin_letters", "a\u200db\u200cc", "a⟦ZWJ⟧b⟦ZWNJ⟧c||", true},
		{"joiner_with_one_side_that_joins", "می\u200cé", "می⟦ZWNJ⟧é||", true},
		{"joiner_between_spaces_of_emoji", "👩 \u200d👧", "👩 ⟦ZWJ⟧👧||", true},
		{"joiner_behind_what_is_not_utf8", "\xff\u200d👧", "⟦FF⟧⟦ZWJ⟧👧||", true},
		{"joiner_at_the_beginning", "\u200d👧", "⟦ZWJ⟧👧||", true},
		{"joiner_at_the_end", "می\u200c", "می⟦ZWNJ⟧||", true},
		{"joiner_that_persian_needs", "می\u200cخواهم.txt", "می\u200cخواهم||.txt", false},
		{"joiner_of_an_emoji", "👩\u200d👧.jpg", "👩\u200d👧||.jpg", false},
		{"joiner_behind_a_variation_selector", "❤\ufe0f\u200d🔥", "❤\ufe0f\u200d🔥||", false},
		{"arabic_number_sign_is_seen", "\u0600123", "\u0600123||", false},
		{"blank_at_the_beginning", " a.txt", "⟦SP⟧a||.txt", true},
		{"blank_at_the_end", "a.txt ", "a.txt⟦SP⟧||", true},
		{"no_break_space_at_the_end", "a.b\u00a0", "a||.b⟦NBSP⟧", true},
		{"no_break_space_inside", "a\u00a0b", "a\u00a0b||", false},
		{"only_a_space", " ", "⟦SP⟧||", true},

		{"not_utf8", "bad\xff\xfe.txt", "bad⟦FF⟧⟦FE⟧||.txt", true},
		{"half_a_character", "a\xe2\x82", "a⟦E2⟧⟦82⟧||", true},
		{"half_a_surrogate_pair", "\xed\xa0\x80", "⟦ED⟧⟦A0⟧⟦80⟧||", true},
		{"replacement_character_is_one", "a\ufffdb", "a\ufffdb||", false},

		{"long_name_keeps_its_end", long + "report final.pdf", long + "report|" + " final|.pdf", false},
		{"longest_name_that_is_whole", strings.Repeat("x", longNameRunes) + ".pdf",
			strings.Repeat("x", longNameRunes) + "||.pdf", false},
		{"one_longer", strings.Repeat("x", longNameRunes+1) + ".a",
			strings.Repeat("x", longNameRunes+1-tailRunes) + "|xxxxxx|.a", false},
		{"long_name_of_wide_letters", strings.Repeat("長", 40) + ".txt", strings.Repeat("長", 40) + "||.txt", false},
		{"long_name_with_one_at_the_cut", strings.Repeat("x", 40) + "é12345",
			strings.Repeat("x", 40) + "é12345||", false},
		{"long_name_with_accent_before_the_end", long + "e\u0301123456", long + "e\u0301|123456|", false},
		{"long_name_with_right_to_left_letters", long + "א 123456789", long + "א 123456789||", false},
		{"long_name_with_an_override", long + "\u202e 123456789", long + "⟦RLO⟧ 123456789||", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			n := showFile(test.file)
			got := joinParts(n.Stem) + "|" + joinParts(n.Tail) + "|" + joinParts(n.Ext)
			if got != test.want || n.Strange != test.strange {
				t.Errorf("showFile(%q) = %q, strange %v; want %q", test.file, got, n.Strange, test.want)
			}
			if isLong := utf8.RuneCountInString(test.file) > longNameRunes; isLong != (n.Full != "") {
				t.Errorf("showFile(%q).Full = %q", test.file, n.Full)
			}
		})
	}
}

func TestShowFolderHasNoExtension(t *testing.T) {
	if n := showFolder("v1.2"); joinParts(n.Stem) != "v1.2" || n.Ext != nil {
		t.Errorf("showFolder(v1.2) = %+v", n)
	}
}

// FuzzNameParts holds that the parts of a name are the name with its marks, that nothing strange is left in them, and
// that a name without marks is shown as it is.
func FuzzNameParts(f *testing.F) {
	for _, seed := range []string{
		"menu.md", "a\u202eb.txt", "\xff\xfe", " ", "\u200d\u200d", "👩\u200d👩\u200d👧.jpg",
		strings.Repeat("long name ", 8) + ".tar.gz", "⟦RLO⟧",
		strings.Repeat("x", 30) + "\u0301abcdef.x", "a.\u00a0", strings.Repeat("é", 60),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		n := showFile(name)
		marks, text := false, ""
		for _, parts := range [][]namePart{n.Stem, n.Tail, n.Ext} {
			for _, p := range parts {
				marks = marks || p.Mark
				if p.Text == "" {
					t.Fatalf("%q has an empty part: %+v", name, n)
				}
				looksLikeOne := strings.HasPrefix(p.Text, "⟦") && strings.HasSuffix(p.Text, "⟧")
				if p.Mark != looksLikeOne && !strings.Contains(name, "⟦") {
					t.Errorf("%q: part %+v", name, p)
				}
				if !utf8.ValidString(p.Text) {
					t.Errorf("%q: part %q is not UTF-8", name, p.Text)
				}
				for _, r := range p.Text {
					if r != zeroWidthJoiner && r != zeroWidthNonJoiner && invisible(r) {
						t.Errorf("%q: part %q has %U", name, p.Text, r)
					}
				}
				text += p.Text
			}
		}
		if marks != n.Strange {
			t.Errorf("%q is strange: %v, has marks: %v", name, n.Strange, marks)
		}
		if !marks && text != name {
			t.Errorf("%q is shown as %q", name, text)
		}
		if n.String() != text {
			t.Errorf("%q as a string is %q, in parts %q", name, n.String(), text)
		}
	})
}
