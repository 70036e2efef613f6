package tree_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"freshet/fileserver/tree"
	"freshet/hashing"
)

func digestOf(body string) hashing.Digest { return hashing.Sum([]byte(body)) }

var records = []struct {
	name   string
	record tree.Record
	text   string
}{
	{
		"replaced",
		tree.Record{How: "replaced", Staged: 12, Displaced: 7, Digest: digestOf(""), By: "http 192.0.2.7", Path: "d/a.txt"},
		"1 replaced 12 7 99aa06d3014798d86001c324468d497f http+192.0.2.7 d/a.txt",
	},
	{
		"removed_by_nobody_without_a_digest",
		tree.Record{How: "removed", Displaced: 18446744073709551615, Path: "a"},
		"1 removed 0 18446744073709551615 - - a",
	},
	{
		"moved_from_a_name_with_blanks_and_lines",
		tree.Record{How: "moved", Staged: 1, Displaced: 2, By: "a\nb", Path: " a  b\nc "},
		"1 moved 1 2 - a%0Ab  a  b\nc ",
	},
	{
		"a_name_that_is_no_text",
		tree.Record{How: "replaced", By: "\xff", Path: "\xfe\xff"},
		"1 replaced 0 0 - %FF \xfe\xff",
	},
}

func TestRecord(t *testing.T) {
	for _, test := range records {
		t.Run(test.name, func(t *testing.T) {
			if text := test.record.String(); text != test.text {
				t.Errorf("written %q, want %q", text, test.text)
			}
			if r, err := tree.ParseRecord(test.text); err != nil || r != test.record {
				t.Errorf("read %+v, %v, want %+v", r, err, test.record)
			}
		})
	}
}

func TestRecordIsRefused(t *testing.T) {
	for name, text := range map[string]string{
		"empty":              "",
		"another_form":       "2 replaced 1 2 - - a",
		"no_path":            "1 replaced 1 2 - -",
		"unknown_change":     "1 copied 1 2 - - a",
		"no_number":          "1 replaced one 2 - - a",
		"negative_number":    "1 replaced 1 -2 - - a",
		"number_too_large":   "1 replaced 1 18446744073709551616 - - a",
		"short_digest":       "1 replaced 1 2 99aa06d3014798d86001c324468d497 - a",
		"digest_in_capitals": "1 replaced 1 2 99AA06D3014798D86001C324468D497F - a",
		"broken_escape":      "1 replaced 1 2 - %4 a",
	} {
		if r, err := tree.ParseRecord(text); err == nil {
			t.Errorf("%s: %q was read as %+v", name, text, r)
		}
	}
}

// TestRecordFits writes the longest record there can be as the text of a link, which is where records are kept.
func TestRecordFits(t *testing.T) {
	r := tree.Record{
		How: "replaced", Staged: 1<<64 - 1, Displaced: 1<<64 - 1, Digest: digestOf(""),
		By: strings.Repeat("\xff", 2*tree.ByBytesMax), Path: strings.Repeat("p", tree.PathBytesMax),
	}
	const linkBytesMax = 4095 // PATH_MAX without the NUL
	text := r.String()
	if len(text) > linkBytesMax {
		t.Errorf("%d bytes", len(text))
	}
	got, err := tree.ParseRecord(text)
	if want := strings.Repeat("\xff", tree.ByBytesMax/len("%FF")); err != nil || got.By != want || got.Path != r.Path {
		t.Errorf("%v, by %q, want %q", err, got.By, want)
	}
}

func FuzzParseRecord(f *testing.F) {
	for _, test := range records {
		f.Add(test.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := tree.ParseRecord(text)
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a record that cannot be read is taken for none: %v", err)
			}
			return
		}
		again, err := tree.ParseRecord(r.String())
		cut := len(r.By)*len("%FF") > tree.ByBytesMax || r.By == "-" // which stands for nobody
		if !cut && (err != nil || again != r) {
			t.Errorf("%q is %+v, which becomes %+v, %v", text, r, again, err)
		}
	})
}
