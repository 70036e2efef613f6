package precond_test

import (
	"fmt"
	"testing"

	"freshet/fileserver/precond"
)

// A spelling is a value of a field, with what it means for the states of this test: nothing, a file whose tag is A, the same
// coded, and the same while its tag is not known.
type spelling struct {
	lines []string
	// What If-Match is true for, and what If-None-Match is false for, by the letters of the states: n, a, c, u.
	matchRead, matchWrite, noneRead, noneWrite string
}

var spellings = []spelling{
	{},
	{lines: fields("*"), matchRead: "acu", matchWrite: "acu", noneRead: "acu", noneWrite: "acu"},
	{lines: fields(tagA), matchRead: "a", matchWrite: "ac", noneRead: "a", noneWrite: "acu"},
	{lines: fields("W/" + tagA), noneRead: "a", noneWrite: "acu"},
	{lines: fields(codedA), matchRead: "c", matchWrite: "ac", noneRead: "c", noneWrite: "acu"},
	{lines: fields(tagB), noneWrite: "u"},
	{lines: fields(tagB, `"", `+tagA), matchRead: "a", matchWrite: "ac", noneRead: "a", noneWrite: "acu"},
	{lines: fields(codedA + "," + tagA), matchRead: "ac", matchWrite: "ac", noneRead: "ac", noneWrite: "acu"},
	{lines: fields("unquoted")},
	{lines: fields("unquoted, " + tagA), noneRead: "a", noneWrite: "acu"},
}

// A dating is a value of a date field, with what it means for the file of this test.
type dating struct {
	lines []string
	valid bool
	since bool // the file was modified since
}

var datings = []dating{
	{},
	{lines: fields(dateBefore), valid: true, since: true},
	{lines: fields(dateAfter), valid: true},
	{lines: fields("no date")},
	{lines: fields(dateBefore, dateBefore)},
}

// TestOrderOfEvaluation goes through every combination of the four fields and compares with section 13.2.2 of RFC 9110, written
// down as it stands there.
func TestOrderOfEvaluation(t *testing.T) {
	states := map[byte]precond.State{'n': nothing, 'a': file, 'c': coded, 'u': untold}
	for _, match := range spellings {
		for _, none := range spellings {
			for _, unmodified := range datings {
				for _, modified := range datings {
					condition := precond.Parse(map[string][]string{
						"If-Match": match.lines, "If-None-Match": none.lines,
						"If-Unmodified-Since": unmodified.lines, "If-Modified-Since": modified.lines,
					})
					for letter, state := range states {
						about := fmt.Sprintf("%c: If-Match %q, If-None-Match %q, If-Unmodified-Since %q, If-Modified-Since %q",
							letter, match.lines, none.lines, unmodified.lines, modified.lines)
						if got, want := condition.Read(state), evaluate(true, letter, match, none, unmodified, modified); got != want {
							t.Fatalf("%s: Read = %s, want %s", about, verdictNames[got], verdictNames[want])
						}
						if got, want := condition.Write(state), evaluate(false, letter, match, none, unmodified, modified); got != want {
							t.Fatalf("%s: Write = %s, want %s", about, verdictNames[got], verdictNames[want])
						}
					}
				}
			}
		}
	}
}

func evaluate(reading bool, state byte, match, none spelling, unmodified, modified dating) precond.Verdict {
	in := func(letters string) bool {
		for i := range len(letters) {
			if letters[i] == state {
				return true
			}
		}
		return false
	}
	matchTrue, noneFalse := match.matchWrite, none.noneWrite
	if reading {
		matchTrue, noneFalse = match.matchRead, none.noneRead
	}
	// Step 1, and step 2 when there is no If-Match.
	if match.lines != nil {
		if !in(matchTrue) {
			return failed
		}
	} else if unmodified.valid && (unmodified.since || state == 'n') {
		return failed
	}
	// Step 3, and step 4 when there is no If-None-Match.
	switch {
	case none.lines != nil && in(noneFalse) && reading:
		return notModified
	case none.lines != nil && in(noneFalse):
		return failed
	case none.lines == nil && reading && modified.valid && !modified.since && (state == 'a' || state == 'c'):
		return notModified
	}
	return proceed
}
