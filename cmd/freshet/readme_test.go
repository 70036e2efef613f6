package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A step is one command of the README and what it shows.
type step struct {
	line    int
	command string // may have several lines
	shown   string // … stands for anything in a line, or alone in a line for any lines
}

// readSteps finds the commands in the README: the lines of fenced blocks that begin with "$ ", with those that continue them.
func readSteps(text string) []step {
	var steps []step
	fenced, open := false, false // open: what follows belongs to the last step
	for i, l := range strings.Split(text, "\n") {
		last := len(steps) - 1
		command, isCommand := strings.CutPrefix(l, "$ ")
		switch {
		case strings.HasPrefix(l, "```"):
			fenced, open = !fenced, false
		case fenced && isCommand:
			steps, open = append(steps, step{line: i + 1, command: command}), true
		case open && steps[last].shown == "" && strings.HasSuffix(steps[last].command, `\`):
			steps[last].command += "\n" + l
		case open:
			steps[last].shown += l + "\n"
		}
	}
	return steps
}

// matches reports whether output is what a step shows.
func (s step) matches(output string) bool {
	var pattern strings.Builder
	for l := range strings.Lines(s.shown) {
		if l == "…\n" {
			pattern.WriteString(`(?:.*\n)*?`)
			continue
		}
		pattern.WriteString(strings.ReplaceAll(regexp.QuoteMeta(l), "…", ".*"))
	}
	return regexp.MustCompile(`\A` + pattern.String() + `\z`).MatchString(output)
}

// runSteps runs all steps in one shell, and returns the output of each. servers says where those are that the README knows
// by other addresses.
func runSteps(t *testing.T, home string, servers map[string]string, steps []step) []string {
	t.Helper()
	const mark = "\x1e" // no program of the README prints it
	var script strings.Builder
	for _, s := range steps {
		fmt.Fprintf(&script, "printf '%s'\n%s\n", mark, s.command)
	}
	text := script.String()
	for shown, real := range servers {
		text = strings.ReplaceAll(text, shown, real)
	}
	shell := exec.Command("bash")
	shell.Dir = home
	shell.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "LC_ALL=C.UTF-8",
		stateHomeVariable + "=" + home}
	shell.Stdin = strings.NewReader("exec 2>&1\n" + text)
	out, err := shell.Output()
	if err != nil {
		t.Logf("the last command of the README: %v", err)
	}
	outputs := strings.Split(strings.ReplaceAll(string(out), "\r\n", "\n"), mark)[1:]
	if len(outputs) != len(steps) {
		t.Fatalf("%d commands were run, want %d", len(outputs), len(steps))
	}
	return outputs
}

// pullScript returns the sync client that the README shows.
func pullScript(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(moduleDir, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, script, found := strings.Cut(string(text), "```sh\n")
	script, _, ended := strings.Cut(script, "```")
	if lines := strings.Count(script, "\n"); !found || !ended || lines >= 40 {
		t.Fatalf("the README's sync client has %d lines", lines)
	}
	return script
}

// TestReadme does what the README says and compares what it shows.
func TestReadme(t *testing.T) {
	need(t, "bash", "curl", "jq")
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(moduleDir, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	steps := readSteps(string(text))
	if len(steps) < 10 {
		t.Fatalf("only %d commands were found", len(steps))
	}
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, "pull.sh"), []byte(pullScript(t)), 0o644); err != nil {
		t.Fatal(err)
	}
	servers := map[string]string{}
	for shown, setting := range map[string]string{
		"http://localhost:8080/": "FRESHET_REQUIRE_PRECONDITIONS=false",
		"http://localhost:8081/": "FRESHET_REQUIRE_PRECONDITIONS=true",
	} {
		root := "shared"
		if strings.HasSuffix(setting, "true") {
			root = "strict"
		}
		if err := os.Mkdir(filepath.Join(home, root), 0o777); err != nil {
			t.Fatal(err)
		}
		s, err := startServer(home, []string{"PATH=" + os.Getenv("PATH"), setting}, "--write", "--listen", "127.0.0.1:0", root)
		if err != nil {
			t.Fatal(err)
		}
		defer s.kill()
		servers[shown] = s.url
	}
	for i, output := range runSteps(t, home, servers, steps) {
		if s := steps[i]; !s.matches(output) {
			t.Errorf("README.md:%d: $ %s\ngot\n%s\nwant\n%s", s.line, s.command, output, s.shown)
		}
	}
}

// TestReadmeNamesTheTwoCommands keeps the commands that nothing here can run from being lost.
func TestReadmeNamesTheTwoCommands(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(moduleDir, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"\ngo run ./cmd/freshet serve --write DIR\n", "\ngo test ./...\n"} {
		if !strings.Contains(string(text), command) {
			t.Errorf("the README lacks the line %q", strings.TrimSpace(command))
		}
	}
}

var relativeLink = regexp.MustCompile(`\]\(([^)#:]+)\)`)

func TestReadmeLinks(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(moduleDir, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	links := relativeLink.FindAllStringSubmatch(string(text), -1)
	if len(links) == 0 {
		t.Fatal("no links were found")
	}
	for _, link := range links {
		if _, err := os.Stat(filepath.Join(moduleDir, link[1])); err != nil {
			t.Errorf("a link leads nowhere: %v", err)
		}
	}
}

func TestReadmeSteps(t *testing.T) {
	steps := readSteps("$ not fenced\n```\n$ one \\\n  two\nshown\n$ silent\n```\nprose\n```sh\nno command\n$ three\n```\n")
	want := []step{{3, "one \\\n  two", "shown\n"}, {6, "silent", ""}, {11, "three", ""}}
	if fmt.Sprint(steps) != fmt.Sprint(want) {
		t.Errorf("got %+v, want %+v", steps, want)
	}
	for _, c := range []struct {
		shown, output string
		want          bool
	}{
		{"a…c\n", "abbc\n", true},
		{"a…c\n", "ab\nc\n", false},
		{"a\n…\nd\n", "a\nb\nc\nd\n", true},
		{"a\n…\nd\n", "a\nd\n", true},
		{"a\n…\nd\n", "a\nb\nc\n", false},
		{"a\n", "a\nb\n", false},
		{"a.c\n", "abc\n", false},
		{"", "", true},
		{"", "x\n", false},
	} {
		if got := (step{shown: c.shown}).matches(c.output); got != c.want {
			t.Errorf("%q against %q: %v", c.shown, c.output, got)
		}
	}
}
