package main

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// everyCommand calls f for each command that can be typed, the root included.
func everyCommand(cmd *cobra.Command, f func(*cobra.Command)) {
	f(cmd)
	for _, c := range cmd.Commands() {
		everyCommand(c, f)
	}
}

func TestHelpBeginsWithThreeExamples(t *testing.T) {
	everyCommand(newRoot(), func(cmd *cobra.Command) {
		path := append(strings.Fields(cmd.CommandPath())[1:], "--help")
		code, out, errs := ask(nil, path...)
		lines := strings.Split(out, "\n")
		if code != exitOK || errs != "" || len(lines) < 6 || lines[0] != "Examples:" || lines[4] != "" {
			t.Errorf("%q: exit code %d\n%s%s", path, code, out, errs)
			return
		}
		for _, l := range lines[1:4] {
			if !strings.Contains(l, "freshet") || !strings.Contains(l, "   # ") {
				t.Errorf("%q: %q is not an example", path, l)
			}
		}
	})
}

// TestExamplesCanBeTyped checks that the commands and flags in examples are there.
func TestExamplesCanBeTyped(t *testing.T) {
	everyCommand(newRoot(), func(cmd *cobra.Command) {
		for example := range strings.SplitSeq(cmd.Example, "\n") {
			line, _, _ := strings.Cut(example, "#")
			_, words, _ := strings.Cut(" "+line, "freshet ")
			words, _, _ = strings.Cut(words, "|")
			words, _, _ = strings.Cut(words, ">")
			root := newRoot()
			root.InitDefaultVersionFlag()
			found, args, err := root.Find(strings.Fields(strings.Trim(words, " )")))
			if err == nil {
				err = found.ParseFlags(args)
			}
			if err != nil {
				t.Errorf("%q: %v", example, err)
			}
		}
	})
}

func TestHelpIsNoWiderThanATerminal(t *testing.T) {
	const columnsMax = 120
	everyCommand(newRoot(), func(cmd *cobra.Command) {
		_, out, _ := ask(nil, append(strings.Fields(cmd.CommandPath())[1:], "--help")...)
		for line := range strings.SplitSeq(out, "\n") {
			if len(line) > columnsMax {
				t.Errorf("%s: %d columns: %s", cmd.CommandPath(), len(line), line)
			}
		}
	})
}
