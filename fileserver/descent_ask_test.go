package fileserver

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"freshet/fileserver/problem"
	"freshet/fileserver/tree"
	"freshet/hashing"
)

var somePrint = hashing.Sum([]byte("x"))

func TestParseQuestion(t *testing.T) {
	print := `"` + somePrint.String() + `"`
	many := make([]string, questionFoldersMax)
	for i := range many {
		many[i] = fmt.Sprintf(`"f%d/":null`, i)
	}
	for _, c := range []struct {
		name, body string
		folders    string // sorted, apart by a bar
		depth      int
		limit      int
		refused    error
	}{
		{"nothing_is_had", `{"have":{}}`, "", 1, descentEntriesDefault, nil},
		{"root", `{"have":{"":null}}`, "<root>", 1, descentEntriesDefault, nil},
		{"folders_are_sorted", `{"have":{"b/":null,"a/c/":` + print + `,"a/":null}}`, "a|a/c|b", 1, descentEntriesDefault, nil},
		{"blanks", " {\n\"have\" : { } , \"depth\" : 2 } \n", "", 2, descentEntriesDefault, nil},
		{"names_that_are_not_utf8", `{"have64":{"Yf8v":null}}`, "a\xff", 1, descentEntriesDefault, nil},
		{"both_kinds_of_names", `{"have":{"a/":null},"have64":{"Yf8v":null}}`, "a|a\xff", 1, descentEntriesDefault, nil},
		{"escaped_name", `{"have":{"\u0061\u00e4/":null}}`, "aä", 1, descentEntriesDefault, nil},
		{"all_there_is", `{"have":{},"depth":3,"limit":7}`, "", 3, 7, nil},
		{"infinite_depth", `{"have":{},"depth":"infinity"}`, "", levelsMax, descentEntriesDefault, nil},
		{"large_numbers", `{"have":{},"depth":99999999999,"limit":9999999999}`, "", math.MaxInt32, descentEntriesMax, nil},
		{"as_many_as_may_be", `{"have":{` + strings.Join(many, ",") + `}}`, "…", 1, descentEntriesDefault, nil},
		{"one_too_many", `{"have":{"one/":null,` + strings.Join(many, ",") + `}}`, "", 0, 0, problem.AskedTooMuch},
		{"nothing", ``, "", 0, 0, problem.Asked},
		{"no_object", `[]`, "", 0, 0, problem.Asked},
		{"no_have", `{"depth":1}`, "", 0, 0, problem.Asked},
		{"have_is_null", `{"have":null}`, "", 0, 0, problem.Asked},
		{"have_is_a_list", `{"have":["a/"]}`, "", 0, 0, problem.Asked},
		{"cut_off", `{"have":{"a/":null}`, "", 0, 0, problem.Asked},
		{"something_behind", `{"have":{}} {}`, "", 0, 0, problem.Asked},
		{"unknown_member", `{"have":{},"has":1}`, "", 0, 0, problem.Asked},
		{"member_in_capitals", `{"Have":{}}`, "", 0, 0, problem.Asked},
		{"member_twice", `{"have":{},"depth":1,"depth":1}`, "", 0, 0, problem.Asked},
		{"have_twice", `{"have":{},"have":{}}`, "", 0, 0, problem.Asked},
		{"folder_twice", `{"have":{"a/":null,"a/":null}}`, "", 0, 0, problem.Asked},
		{"folder_twice_in_two_spellings", `{"have":{"a/":null,"\u0061/":null}}`, "", 0, 0, problem.Asked},
		{"folder_in_both", `{"have":{"a/":null},"have64":{"YS8=":null}}`, "", 0, 0, problem.Asked},
		{"no_slash_at_the_end", `{"have":{"a":null}}`, "", 0, 0, problem.Asked},
		{"slash_before", `{"have":{"/a/":null}}`, "", 0, 0, problem.Asked},
		{"slash_alone", `{"have":{"/":null}}`, "", 0, 0, problem.Asked},
		{"two_slashes", `{"have":{"a//b/":null}}`, "", 0, 0, problem.Asked},
		{"dot_dot", `{"have":{"a/../":null}}`, "", 0, 0, problem.Asked},
		{"backslash", `{"have":{"a\\b/":null}}`, "", 0, 0, problem.Asked},
		{"nul", `{"have":{"a\u0000/":null}}`, "", 0, 0, problem.Asked},
		{"reserved", `{"have":{".freshet/":null}}`, "", 0, 0, problem.Asked},
		{"reserved_deeper", `{"have":{"a/.FRESHET/":null}}`, "", 0, 0, problem.Asked},
		{"long_name", `{"have":{"` + strings.Repeat("n", 256) + `/":null}}`, "", 0, 0, problem.Asked},
		{"not_base64", `{"have64":{"Yf8":null}}`, "", 0, 0, problem.Asked},
		{"base64_with_bits_left", `{"have64":{"YS9=":null}}`, "", 0, 0, problem.Asked},
		{"not_utf8", "{\"have\":{\"a\xff/\":null}}", "", 0, 0, problem.Asked},
		{"print_is_a_tag", `{"have":{"a/":"\"` + somePrint.String() + `\""}}`, "", 0, 0, problem.Asked},
		{"print_in_capitals", `{"have":{"a/":` + strings.ToUpper(print) + `}}`, "", 0, 0, problem.Asked},
		{"print_is_a_number", `{"have":{"a/":1}}`, "", 0, 0, problem.Asked},
		{"print_is_an_object", `{"have":{"a/":{}}}`, "", 0, 0, problem.Asked},
		{"print_is_missing", `{"have":{"a/"}}`, "", 0, 0, problem.Asked},
		{"depth_zero", `{"have":{},"depth":0}`, "", 0, 0, problem.Asked},
		{"depth_negative", `{"have":{},"depth":-1}`, "", 0, 0, problem.Asked},
		{"depth_fraction", `{"have":{},"depth":1.5}`, "", 0, 0, problem.Asked},
		{"depth_is_text", `{"have":{},"depth":"1"}`, "", 0, 0, problem.Asked},
		{"limit_zero", `{"have":{},"limit":0}`, "", 0, 0, problem.Asked},
		{"limit_infinite", `{"have":{},"limit":"infinity"}`, "", 0, 0, problem.Asked},
		{"limit_null", `{"have":{},"limit":null}`, "", 0, 0, problem.Asked},
	} {
		t.Run(c.name, func(t *testing.T) {
			q, err := parseQuestion([]byte(c.body))
			if !errors.Is(err, c.refused) {
				t.Fatalf("error %v, want %v", err, c.refused)
			}
			if err != nil {
				return
			}
			var folders []string
			for _, p := range q.folders {
				folders = append(folders, orRoot(p))
			}
			if got := strings.Join(folders, "|"); got != c.folders && c.folders != "…" {
				t.Errorf("folders %q, want %q", got, c.folders)
			}
			if q.depth != c.depth || q.limit != c.limit {
				t.Errorf("depth %d, limit %d", q.depth, q.limit)
			}
		})
	}
}

func orRoot(p tree.Path) string {
	if p.IsRoot() {
		return "<root>"
	}
	return p.String()
}

func TestQuestionKeepsFingerprints(t *testing.T) {
	q, err := parseQuestion([]byte(`{"have":{"a/":"` + somePrint.String() + `","b/":null}}`))
	if err != nil {
		t.Fatal(err)
	}
	a, b := mustParse(t, "/a"), mustParse(t, "/b")
	if got, ok := q.have[a]; !ok || got != somePrint {
		t.Errorf("a/ has %s", got)
	}
	if got, ok := q.have[b]; !ok || !got.IsZero() {
		t.Errorf("b/ has %s", got)
	}
}

// The levels that are looked at reach from the root to the deepest folder, and as far below as is asked for.
func TestLevelsOfAQuestion(t *testing.T) {
	for body, want := range map[string]int{
		`{"have":{"":null},"depth":2}`:              2,
		`{"have":{"a/b/":null},"depth":2}`:          4,
		`{"have":{"a/b/":null},"depth":"infinity"}`: 0,
		`{"have":{},"depth":5}`:                     5,
	} {
		q, err := parseQuestion([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		if got := q.levels(); got != want {
			t.Errorf("%s: %d levels, want %d", body, got, want)
		}
	}
}

func FuzzParseQuestion(f *testing.F) {
	for _, body := range []string{
		`{"have":{"a/":"` + somePrint.String() + `","":null},"have64":{"Yf8v":null},"depth":2,"limit":10}`,
		`{"have":{"a/":null},"depth":"infinity"}`, `{"have":{"a/../":null}}`, `{"have":{"a/":null,"a/":null}}`,
		"{\"have\":{\"\xff/\":null}}", `[[[[[[`, `{"have":{"\ud800/":null}}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		q, err := parseQuestion(body)
		if err != nil {
			if status := problem.Of(err).Status; status != 400 && status != 413 {
				t.Fatalf("status %d: %v", status, err)
			}
			return
		}
		if q.depth < 1 || q.limit < 1 || q.limit > descentEntriesMax || len(q.folders) != len(q.have) ||
			len(q.folders) > questionFoldersMax {
			t.Fatalf("%+v", q)
		}
		for i, p := range q.folders {
			// What is asked about is what an answer would call it, and is a path of the tree.
			again, err := folderOf(folderText(p))
			if err != nil || again != p {
				t.Fatalf("%q is read back as %q, %v", p, again, err)
			}
			if parsed, _, err := tree.Parse(p.URL(true)); err != nil || parsed != p {
				t.Fatalf("%q is no path: %v", p, err)
			}
			if i > 0 && q.folders[i-1].String() >= p.String() {
				t.Fatalf("%q comes before %q", q.folders[i-1], p)
			}
			coded := base64.StdEncoding.EncodeToString([]byte(folderText(p)))
			if _, err := parseQuestion([]byte(`{"have64":{"` + coded + `":null}}`)); err != nil {
				t.Fatalf("%q in base64: %v", p, err)
			}
		}
	})
}

func TestPreferredWait(t *testing.T) {
	for _, c := range []struct {
		name  string
		lines []string
		want  time.Duration
	}{
		{"nothing", nil, warmingWaitDefault},
		{"wait", []string{"wait=3"}, 3 * time.Second},
		{"wait_zero", []string{"wait=0"}, 0},
		{"quoted", []string{`wait="3"`}, 3 * time.Second},
		{"among_others", []string{"respond-async, Wait = 3 ;x=1, wait=4"}, 3 * time.Second},
		{"in_another_line", []string{"respond-async", "wait=3"}, 3 * time.Second},
		{"inside_a_quoted_value", []string{`x="a, wait=3", wait=4`}, 4 * time.Second},
		{"too_long", []string{"wait=3600"}, warmingWaitMax},
		{"very_long", []string{"wait=9223372036854775807"}, warmingWaitMax},
		{"beyond_all_numbers", []string{"wait=99999999999999999999"}, warmingWaitDefault},
		{"negative", []string{"wait=-1"}, warmingWaitDefault},
		{"fraction", []string{"wait=1.5"}, warmingWaitDefault},
		{"no_value", []string{"wait"}, warmingWaitDefault},
		{"another_name", []string{"waiting=3"}, warmingWaitDefault},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := preferredWait(http.Header{"Prefer": c.lines}); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

func FuzzPreferredWait(f *testing.F) {
	for _, line := range []string{"wait=3", `wait="3"`, `x="a, wait=3", wait=4`, "wait=99999999999999999999", `"`, "wait=;,"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if got := preferredWait(http.Header{"Prefer": {line}}); got < 0 || got > warmingWaitMax {
			t.Fatalf("%q is %v", line, got)
		}
	})
}
