package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

// helpTemplate puts the examples first: most readers need no more.
const helpTemplate = `Examples:
{{.Example}}

{{with or .Long .Short}}{{. | trimTrailingWhitespaces}}
{{end}}{{if .Runnable}}
Usage:
  {{.UseLine}}
{{end}}{{if .HasAvailableSubCommands}}
Commands:{{range .Commands}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}
  {{rpad "config" .NamePadding}} The settings (freshet help config)
{{end}}{{if .HasAvailableLocalFlags}}
Flags:
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}
{{end}}`

// examples lays out pairs of a command line and what it is for.
func examples(pairs ...string) string {
	width := 0
	for i := 0; i < len(pairs); i += 2 {
		width = max(width, len(pairs[i]))
	}
	var lines []string
	for i := 0; i < len(pairs); i += 2 {
		lines = append(lines, fmt.Sprintf("  %-*s   # %s", width, pairs[i], pairs[i+1]))
	}
	return strings.Join(lines, "\n")
}

// newConfigHelp returns a help topic: a command that only explains.
func newConfigHelp() *cobra.Command {
	return &cobra.Command{
		Use:   "config",
		Short: "The settings",
		Long:  configHelp(),
		Example: examples(
			"freshet --config freshet.toml ~/shared", `the file holds lines such as: upload-size = "10GB"`,
			"FRESHET_UPLOAD_SIZE=10GB freshet ~/shared", "the same, from the environment",
			"freshet --log json ~/shared", "flags win over the environment, and that over the file"),
	}
}

func configHelp() string {
	var b strings.Builder
	b.WriteString("Every setting is a key of the TOML file given with --config, and a variable FRESHET_<KEY> of the\n" +
		"environment, with _ for -. Those marked -- are flags too. A flag wins over the environment, that over the\n" +
		"file. Sizes are such as \"10MB\" (10^7) or \"10MiB\" (10 * 2^20), times such as \"10s\", \"1h30m\" or \"30d\".\n\n")
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, s := range settings(defaults()) {
		mark := "  "
		if s.flag {
			mark = "--"
		}
		fmt.Fprintf(w, "  %s%s\t%s\t%s\n", mark, s.key, s.value.String(), strings.ReplaceAll(s.help, "`", ""))
	}
	_ = w.Flush() // to a strings.Builder
	return b.String()
}

// newCompletion returns the command that prints a shell's completion script.
func newCompletion() *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use:   "completion bash|zsh|fish|powershell",
		Short: "Print a completion script for a shell",
		Example: examples(
			"freshet completion bash > /etc/bash_completion.d/freshet", "for every user's bash",
			"source <(freshet completion zsh)", "for this zsh",
			"freshet completion fish | source", "for this fish"),
		ValidArgs: shells,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return misuse("completion takes one shell", "it is one of "+strings.Join(shells, ", "), "freshet completion bash")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			out, root := cmd.OutOrStdout(), cmd.Root()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(out, true)
			case "zsh":
				return root.GenZshCompletion(out)
			case "fish":
				return root.GenFishCompletion(out, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(out)
			}
			return misuse("no completion for "+shown(args[0]), "it is one of "+strings.Join(shells, ", "),
				didYouMean(args[0], "freshet completion ", shells, "freshet completion bash"))
		},
	}
}
