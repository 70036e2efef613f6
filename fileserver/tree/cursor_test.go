package tree_test

import (
	"errors"
	"testing"

	"freshet/fileserver/tree"
)

var cursors = []struct {
	name   string
	text   string
	cursor tree.Cursor
}{
	{"start", "abcdefghijklmnop.0", tree.Cursor{Epoch: "abcdefghijklmnop"}},
	{"digits_of_base32", "qrstuvwxyz234567.1043", tree.Cursor{Epoch: "qrstuvwxyz234567", Seq: 1043}},
	{"greatest", "aaaaaaaaaaaaaaaa.18446744073709551615", tree.Cursor{Epoch: "aaaaaaaaaaaaaaaa", Seq: 1<<64 - 1}},
}

func TestCursor(t *testing.T) {
	for _, test := range cursors {
		t.Run(test.name, func(t *testing.T) {
			if c, err := tree.ParseCursor(test.text); err != nil || c != test.cursor {
				t.Errorf("read %+v, %v, want %+v", c, err, test.cursor)
			}
			if text := test.cursor.String(); text != test.text || test.cursor.IsZero() {
				t.Errorf("written %q, want %q", text, test.text)
			}
		})
	}
	if !(tree.Cursor{}).IsZero() {
		t.Error("the zero Cursor is a cursor")
	}
}

var notCursors = map[string]string{
	"empty":             "",
	"no_dot":            "aaaaaaaaaaaaaaaa",
	"no_number":         "aaaaaaaaaaaaaaaa.",
	"no_epoch":          ".1",
	"short_epoch":       "aaaaaaaaaaaaaaa.1",
	"long_epoch":        "aaaaaaaaaaaaaaaaa.1",
	"capitals":          "AAAAAAAAAAAAAAAA.1",
	"not_base32":        "aaaaaaaaaaaaaaa1.1",
	"eight":             "aaaaaaaaaaaaaaa8.1",
	"not_ascii":         "aaaaaaaaaaaaaaé.1",
	"leading_zero":      "aaaaaaaaaaaaaaaa.01",
	"plus":              "aaaaaaaaaaaaaaaa.+1",
	"minus":             "aaaaaaaaaaaaaaaa.-1",
	"underscore":        "aaaaaaaaaaaaaaaa.1_0",
	"hexadecimal":       "aaaaaaaaaaaaaaaa.0x1",
	"blank_before":      " aaaaaaaaaaaaaaaa.1",
	"blank_after":       "aaaaaaaaaaaaaaaa.1 ",
	"too_great":         "aaaaaaaaaaaaaaaa.18446744073709551616",
	"another_part":      "aaaaaaaaaaaaaaaa.1.1",
	"digits_of_another": "aaaaaaaaaaaaaaaa.١",
}

func TestCursorIsRefused(t *testing.T) {
	for name, text := range notCursors {
		if c, err := tree.ParseCursor(text); !errors.Is(err, tree.ErrCursor) || !c.IsZero() {
			t.Errorf("%s: %q was read as %+v, %v", name, text, c, err)
		}
	}
}

func FuzzParseCursor(f *testing.F) {
	for _, test := range cursors {
		f.Add(test.text)
	}
	for _, text := range notCursors {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := tree.ParseCursor(text)
		switch {
		case err == nil && c.String() != text:
			t.Errorf("%q is read as %+v, which is written %q", text, c, c.String())
		case err != nil && (!errors.Is(err, tree.ErrCursor) || !c.IsZero()):
			t.Errorf("%q: %+v, %v", text, c, err)
		}
	})
}
