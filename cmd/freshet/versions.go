package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"freshet/fileserver/tree"
)

func newVersions() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "versions URL | DIR PATH",
		Short: "List the earlier versions of a file",
		Long: "Lists what changes of a path have displaced, newest first: when, how many bytes, by what change and whose,\n" +
			"and the tag or id to give to freshet restore. With a DIR that no server has open, its versions are read from disk.",
		Example: examples(
			"freshet versions http://localhost:8080/docs/a.txt", "of a file on a server",
			"freshet versions ~/shared docs/a.txt", "of a file in a folder that is not being served",
			"freshet versions --json http://localhost:8080/a.txt", "for programs"),
		ValidArgsFunction: completeFolders,
	}
	asJSON := cmd.Flags().Bool("json", false, "print a JSON object")
	state := addState(cmd)
	cmd.Args = func(_ *cobra.Command, args []string) error {
		if len(args) == 1 && isURL(args[0]) || len(args) == 2 && !isURL(args[0]) {
			return nil
		}
		return misuse("versions takes one URL, or a DIR and a PATH in it", "", "freshet versions "+remoteURLExample+"a.txt")
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		at, _, err := openArchive("cannot list versions", args, *state, 0)
		if err != nil {
			return err
		}
		defer at.close()
		return at.print(cmd.Context(), cmd.OutOrStdout(), false, *asJSON)
	}
	return cmd
}

// addState adds the flag that says where the versions of a DIR are.
func addState(cmd *cobra.Command) *string {
	return cmd.Flags().String("state", "", "the server's state `FOLDER`, if it is not .freshet in DIR")
}

// print lists the versions of a path, or the trash below it.
func (at archived) print(ctx context.Context, out io.Writer, trash, asJSON bool) error {
	all := []versionLine{}
	before := ""
	for {
		part, next, err := at.list(ctx, trash, at.path, before)
		if err != nil {
			return err
		}
		if all = append(all, part...); next == "" {
			break
		}
		before = next
	}
	if asJSON {
		return json.NewEncoder(out).Encode(map[string]any{"versions": all})
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for i := range all {
		l := &all[i]
		key := l.key()
		if trash {
			key = l.ID + "\t" + l.shownPath()
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", l.when(), l.bytes(), l.change(), printable(l.By), key)
	}
	return w.Flush()
}

// when returns when the version was displaced, by the local clock.
func (l *versionLine) when() string {
	t, err := time.Parse(time.RFC3339Nano, l.Displaced)
	if err != nil {
		return "-"
	}
	return t.Local().Format(time.DateTime)
}

// bytes returns the size of a file, and of what is none what it is.
func (l *versionLine) bytes() string {
	switch {
	case l.Size != nil:
		return strconv.FormatInt(*l.Size, 10)
	case l.K == string(rune(tree.KindFolder)):
		return "folder"
	case l.K == string(rune(tree.KindLink)):
		return "link"
	}
	return "-"
}

func (l *versionLine) change() string {
	switch {
	case l.Late:
		return "saved late"
	case l.How == "":
		return "-"
	}
	return printable(l.How)
}

// key is what freshet restore finds the version by.
func (l *versionLine) key() string {
	if len(l.ETag) > 2 {
		return printable(l.ETag[1 : len(l.ETag)-1])
	}
	return "--id " + printable(l.ID)
}

func (l *versionLine) shownPath() string {
	path := l.Path
	if path == "" {
		path = string(l.Path64)
	}
	if path == "" {
		return "(unknown)"
	}
	return shown(path[1:])
}

func (l *versionLine) setPath(path string) {
	if utf8.ValidString(path) {
		l.Path = path
		return
	}
	l.Path64 = []byte(path)
}
