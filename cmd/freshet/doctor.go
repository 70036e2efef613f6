package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"freshet/fileserver/tree"
)

// A finding is a tree.Finding with stable JSON fields.
type finding struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

func newDoctor() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor DIR",
		Short: "Say what a folder's filesystem gives, and what is weaker without",
		Long: "Tries out, in a temporary folder inside DIR, what the promises of freshet rest on. A line that begins with\n" +
			"\"weak\" says what the server does instead. If DIR cannot be written to, only what can be read is reported.",
		Example: examples(
			"freshet doctor ~/shared", "before serving a folder with --write",
			"freshet doctor --json ~/shared", "for programs",
			"sudo -u www-data freshet doctor /srv", "as the user that will serve it"),
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return misuse("doctor takes one DIR", "", "freshet doctor .")
			}
			return nil
		},
		ValidArgsFunction: completeFolders,
	}
	asJSON := cmd.Flags().Bool("json", false, "print a JSON object")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		findings, err := diagnose(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		if *asJSON {
			return json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]any{"dir": args[0], "findings": findings})
		}
		return printFindings(cmd.OutOrStdout(), findings)
	}
	return cmd
}

// diagnose returns what the folder has to offer.
func diagnose(ctx context.Context, dir string) ([]finding, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, missing("cannot look at "+shown(dir), err, "give a folder that is there")
	}
	if !info.IsDir() {
		return nil, misuse(shown(dir)+" is not a folder", "", "give the folder that it is in")
	}
	probed, err := tree.Probe(dir)
	if err == nil {
		var watching tree.Finding
		watching, err = tree.ProbeWatching(ctx, dir)
		probed = append(probed, watching)
	}
	if err != nil && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, &fault{exitFailed, "cannot try out " + shown(dir), reason(err), "run it as the user that will serve the folder"}
	}
	var findings []finding
	for _, f := range probed {
		findings = append(findings, finding(f))
	}
	return findings, nil
}

func printFindings(out io.Writer, findings []finding) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, f := range findings {
		mark := "ok"
		if !f.OK {
			mark = "weak"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", mark, f.Name, f.Detail)
	}
	return w.Flush()
}
