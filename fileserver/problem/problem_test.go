package problem_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"freshet/fileserver/problem"
	"freshet/fileserver/tree"
)

var statuses = []struct {
	name   string
	err    error
	status int
	kind   string
	after  bool // the client is told when to try again
}{
	{"ErrName", tree.ErrName, 400, "path", false},
	{"ErrReserved", tree.ErrReserved, 404, "not-found", false},
	{"ErrNotExist", tree.ErrNotExist, 404, "not-found", false},
	{"ErrExist", tree.ErrExist, 405, "already-there", false},
	{"ErrPermission", tree.ErrPermission, 403, "permission", false},
	{"ErrNoParent", tree.ErrNoParent, 409, "no-parent", false},
	{"ErrIsFolder", tree.ErrIsFolder, 405, "is-folder", false},
	{"ErrNotFolder", tree.ErrNotFolder, 404, "not-found", false},
	{"ErrSpecial", tree.ErrSpecial, 404, "not-found", false},
	{"ErrOutside", tree.ErrOutside, 403, "outside", false},
	{"ErrSame", tree.ErrSame, 403, "same", false},
	{"ErrReadOnly", tree.ErrReadOnly, 403, "read-only-disk", false},
	{"ErrCrossDevice", tree.ErrCrossDevice, 502, "cross-device", false},
	{"ErrNoVersion", tree.ErrNoVersion, 404, "no-version", false},
	{"ErrInUse", tree.ErrInUse, 423, "in-use", true},
	{"ErrUnstable", tree.ErrUnstable, 503, "unstable", true},
	{"ErrTooManyFiles", tree.ErrTooManyFiles, 503, "busy", true},
	{"ErrBusy", tree.ErrBusy, 503, "busy", true},
	{"ErrRootGone", tree.ErrRootGone, 503, "root-gone", true},
	{"ErrTorn", tree.ErrTorn, 503, "unstable", true},
	{"ErrNoSpace", tree.ErrNoSpace, 507, "no-space", false},
	{"ErrTooLarge", tree.ErrTooLarge, 413, "too-large", false},
	{"ErrUnsynced", tree.ErrUnsynced, 500, "unsynced", false},
	{"ErrLocked", tree.ErrLocked, 500, "internal", false}, // is for those who start a server
	{"deadline_of_the_connection", os.ErrDeadlineExceeded, 408, "slow", false},
	{"body_cut_off", io.ErrUnexpectedEOF, 400, "cut", false},
	{"client_gone", context.Canceled, 499, "cancelled", false},
	{"too_long", context.DeadlineExceeded, 503, "overtime", true},
	{"body_limit", &http.MaxBytesError{Limit: 1}, 413, "too-large", false},
	{"warming", fmt.Errorf("x: %w", &tree.WarmingError{FilesDone: 1, FilesTotal: 2}), 503, "index-warming", true},
	{"cursor_gone", &tree.CursorGoneError{Reason: tree.GoneGap}, 410, "cursor-gone", false},
	{"unknown", errors.New("secret"), 500, "internal", false},
	{"parent_before_absence", fmt.Errorf("%w: %w", tree.ErrNoParent, tree.ErrNotExist), 409, "no-parent", false},
	{"root_before_absence", fmt.Errorf("%w: %w", tree.ErrRootGone, tree.ErrNotExist), 503, "root-gone", true},
	{"root_before_parent", fmt.Errorf("%w: %w", tree.ErrRootGone, tree.ErrNoParent), 503, "root-gone", true},
}

func TestOf(t *testing.T) {
	for _, c := range statuses {
		t.Run(c.name, func(t *testing.T) {
			p := problem.Of(fmt.Errorf("open /secret/path: %w", c.err))
			if p.Status != c.status || p.Type != problem.TypePrefix+c.kind || (p.After > 0) != c.after {
				t.Errorf("%d %s, again after %d s; want %d %s", p.Status, p.Type, p.After, c.status, c.kind)
			}
			if p.Title == "" || p.Detail == "" || p.Next == "" && c.kind != "cancelled" {
				t.Errorf("something is not said: %+v", p)
			}
			if b, _ := json.Marshal(p); strings.Contains(string(b), "secret") {
				t.Errorf("the client is told the error: %s", b)
			}
		})
	}
}

// TestEveryErrorOfTheTreeIsHere reads the names of the tree's errors from its source.
func TestEveryErrorOfTheTreeIsHere(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../tree/errors.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, c := range statuses {
		known[c.name] = true
	}
	found := 0
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok {
			for _, name := range spec.Names {
				if name.IsExported() {
					found++
					if !known[name.Name] {
						t.Errorf("tree.%s has no test here", name.Name)
					}
				}
			}
		}
		return true
	})
	if found < 20 {
		t.Errorf("only %d errors were found in the source", found)
	}
}

func TestErrorTellsItsDetail(t *testing.T) {
	err := problem.Precondition.Errorf("It is %d now.", 2)
	err.Current = problem.CurrentTag{Known: true, ETag: `"x"`}
	wrapped := fmt.Errorf("put: %w", err)
	p := problem.Of(wrapped)
	if p.Status != 412 || p.Detail != "It is 2 now." || p.Next == "" || p.Current.ETag != `"x"` {
		t.Errorf("%+v", p)
	}
	err.Next = "Wait."
	if p := problem.Of(wrapped); p.Next != "Wait." {
		t.Errorf("%+v", p)
	}
	if !errors.Is(wrapped, problem.Precondition) || errors.Is(wrapped, problem.Digest) {
		t.Error("the error is not of its kind, or of another")
	}
}

func TestFromKeepsTheCause(t *testing.T) {
	from := problem.From(fmt.Errorf("mkdir: %w", tree.ErrExist))
	from.Header = http.Header{"Allow": {"GET"}}
	p := problem.Of(from)
	if p.Status != 405 || p.Header.Get("Allow") != "GET" || p.Detail == "" {
		t.Errorf("%+v", p)
	}
	if !errors.Is(from, tree.ErrExist) || !strings.Contains(from.Error(), "mkdir") {
		t.Errorf("the cause is lost: %v", from)
	}
	again := problem.From(from)
	again.Header = nil
	if from.Header == nil {
		t.Error("From changed the error that it was given")
	}
}

func TestCurrentInJSON(t *testing.T) {
	for name, c := range map[string]struct {
		current problem.CurrentTag
		want    string
	}{
		"left_out":    {problem.CurrentTag{}, `{"type":"t","title":"","status":0}`},
		"nothing":     {problem.CurrentTag{Known: true}, `{"type":"t","title":"","status":0,"current":null}`},
		"current_tag": {problem.CurrentTag{Known: true, ETag: `"x"`}, `{"type":"t","title":"","status":0,"current":"\"x\""}`},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := json.Marshal(problem.Problem{Type: "t", Current: c.current})
			if err != nil || string(b) != c.want {
				t.Errorf("%s %v, want %s", b, err, c.want)
			}
		})
	}
}

// What a client needs in order to go on stands in members of its own.
func TestWhatErrorsOfTheTreeTell(t *testing.T) {
	current := tree.Cursor{Epoch: "abcdefghijklmnop", Seq: 7}
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"progress": {&tree.WarmingError{FilesDone: 0, FilesTotal: 12}, `"files_done":0,"files_total":12`},
		"cursor":   {&tree.CursorGoneError{Reason: tree.GoneTrimmed, Current: current}, `"reason":"trimmed","cursor":"abcdefghijklmnop.7"`},
		"neither":  {tree.ErrNotExist, `"status":404`},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := json.Marshal(problem.Of(fmt.Errorf("x: %w", problem.From(c.err))))
			if err != nil || !strings.Contains(string(b), c.want) {
				t.Errorf("%s %v has no %s", b, err, c.want)
			}
			if name == "neither" && (strings.Contains(string(b), "files_") || strings.Contains(string(b), "cursor")) {
				t.Errorf("%s tells what nobody knows", b)
			}
		})
	}
}
