package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"freshet/fileserver/tree"
)

func newTrash() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "trash URL | DIR [PATH]",
		Short: "List what was removed, and bring it back",
		Long: "Lists what was removed at or below a path, newest first: when, how many bytes, by what change and whose,\n" +
			"the id to give to freshet trash restore, and where it was.",
		Example: examples(
			"freshet trash http://localhost:8080/", "what was removed on a server",
			"freshet trash ~/shared docs", "in a part of a folder",
			"freshet trash restore http://localhost:8080/ 18ea7e21f7aa1373000100000000", "bring one of it back"),
		Args:              archiveArgs("trash", 0),
		ValidArgsFunction: completeFolders,
	}
	asJSON := cmd.Flags().Bool("json", false, "print a JSON object")
	state := addState(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		at, _, err := openArchive("cannot list the trash", args, *state, 0)
		if err != nil {
			return err
		}
		defer at.close()
		return at.print(cmd.Context(), cmd.OutOrStdout(), true, *asJSON)
	}
	cmd.AddCommand(newTrashRestore(), newTrashPurge(), newTrashEmpty())
	return cmd
}

// archiveArgs allows URL or DIR [PATH], and so many arguments more.
func archiveArgs(name string, more int) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		n := len(args) - more
		if n == 1 || n == 2 && !isURL(args[0]) {
			return nil
		}
		takes, try := " takes a URL, or a DIR and a PATH in it", "freshet "+name+" "+remoteURLExample
		if more > 0 {
			takes, try = takes+", and an ID", try+" ID"
		}
		return misuse(name+takes, "", try)
	}
}

func newTrashRestore() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "restore URL ID | DIR [PATH] ID",
		Short: "Bring back what was removed",
		Long: "Brings a file, a link or a folder with all it held back to where it was, or to --to. If something is\n" +
			"there, it is left alone, with exit code 12; a file can replace it with --if-match or --replace.",
		Example: examples(
			"freshet trash restore http://localhost:8080/ 18ea7e21f7aa1373000100000000", "to where it was",
			"freshet trash restore ~/shared 18ea7e21f7aa1373000100000000", "in a folder",
			"freshet trash restore ~/shared 18ea7e21f7aa1373000100000000 --to old", "to another place"),
		Args:              archiveArgs("trash restore", 1),
		ValidArgsFunction: completeFolders,
	}
	terms := addTerms(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		how, err := terms.read()
		if err != nil {
			return err
		}
		at, left, err := openArchive("cannot restore", args, terms.state, 1)
		if err != nil {
			return err
		}
		defer at.close()
		p, err := at.find(cmd.Context(), left[0])
		if err != nil {
			return err
		}
		how.key.ID = tree.VersionID(left[0])
		return at.bringBack(cmd.Context(), cmd.OutOrStdout(), p, how, terms)
	}
	return cmd
}

// find returns where the thing in the trash with an id was.
func (at archived) find(ctx context.Context, id string) (tree.Path, error) {
	for before := ""; ; {
		part, next, err := at.list(ctx, true, at.path, before)
		if err != nil {
			return tree.Path{}, err
		}
		for i := range part {
			if l := &part[i]; l.ID == id {
				return pathOf(l.Path + string(l.Path64))
			}
		}
		if next == "" {
			what := "cannot restore " + shown(id)
			return tree.Path{}, &fault{exitNotFound, what, "it is not in the trash", "freshet trash lists what is"}
		}
		before = next
	}
}

func newTrashPurge() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "purge URL ID | DIR [PATH] ID",
		Short: "End one thing in the trash, or one version, for good",
		Example: examples(
			"freshet trash purge http://localhost:8080/ 18ea7e21f7aa1373000100000000", "on a server",
			"freshet trash purge ~/shared 18ea7e21f7aa1373000100000000", "in a folder",
			"freshet versions --json http://localhost:8080/a.txt", "tells the ids of versions"),
		Args:              archiveArgs("trash purge", 1),
		ValidArgsFunction: completeFolders,
	}
	state := addState(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		at, left, err := openArchive("cannot purge", args, *state, 1)
		if err != nil {
			return err
		}
		defer at.close()
		return at.purge(cmd.Context(), at.path, left[0])
	}
	return cmd
}

func newTrashEmpty() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "empty URL | DIR [PATH]",
		Short: "End all that is in the trash for good",
		Long: "Ends what was removed at or below a path. What a program saved after its folder was gone is somebody's\n" +
			"only copy, and stays until it is purged by its id.",
		Example: examples(
			"freshet trash empty http://localhost:8080/", "all of a server",
			"freshet trash empty http://localhost:8080/docs/", "what was removed below a folder",
			"freshet trash empty ~/shared", "of a folder that is not being served"),
		Args:              archiveArgs("trash empty", 0),
		ValidArgsFunction: completeFolders,
	}
	asJSON := cmd.Flags().Bool("json", false, "print a JSON object")
	state := addState(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		at, _, err := openArchive("cannot empty the trash", args, *state, 0)
		if err != nil {
			return err
		}
		defer at.close()
		n, err := at.empty(cmd.Context(), at.path)
		if err != nil {
			return err
		}
		if *asJSON {
			return json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]int{"ended": n})
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "ended %d\n", n)
		return err
	}
	return cmd
}
