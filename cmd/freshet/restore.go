package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"freshet/fileserver/tree"
	"freshet/hashing"
)

func newRestore() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "restore URL | DIR PATH",
		Short: "Bring an earlier version of a file back",
		Long: "Makes the version that --etag or --id names the content of its path again. If something is at the path,\n" +
			"it is left alone, with exit code 12, unless --if-match names it or --replace is given; then it becomes a version.",
		Example: examples(
			"freshet restore http://localhost:8080/a.txt --etag 99aa06d3014798d86001c324468d497f", "what was removed",
			"freshet restore ~/shared a.txt --etag 99aa06d3014798d86001c324468d497f --replace", "in a folder",
			"freshet restore http://localhost:8080/a.txt --id 18ea7e21f7aa1373000100000000 --to b.txt", "beside it"),
		ValidArgsFunction: completeFolders,
	}
	etag := cmd.Flags().String("etag", "", "the `TAG` of the version")
	id := cmd.Flags().String("id", "", "the `ID` of the version, instead of its tag")
	terms := addTerms(cmd)
	cmd.Args = func(_ *cobra.Command, args []string) error {
		if len(args) == 1 && isURL(args[0]) || len(args) == 2 && !isURL(args[0]) {
			return nil
		}
		return misuse("restore takes one URL, or a DIR and a PATH in it", "",
			"freshet restore "+remoteURLExample+"a.txt --etag TAG")
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		how, err := terms.read()
		if err != nil {
			return err
		}
		if (*etag == "") == (*id == "") {
			return misuse("restore takes one of --etag and --id", "", "freshet versions "+shown(args[0])+" lists them")
		}
		how.key.ID = tree.VersionID(*id)
		if *etag != "" {
			if how.key.Digest, err = digestOfTag("--etag", *etag); err != nil {
				return err
			}
		}
		at, _, err := openArchive("cannot restore", args, terms.state, 0)
		if err != nil {
			return err
		}
		defer at.close()
		return at.bringBack(cmd.Context(), cmd.OutOrStdout(), at.path, how, terms)
	}
	return cmd
}

// terms are the flags of the commands that restore something.
type terms struct {
	to, match, state string
	replace, asJSON  bool
}

func addTerms(cmd *cobra.Command) *terms {
	t := &terms{}
	f := cmd.Flags()
	f.StringVar(&t.to, "to", "", "another `PATH` to restore to")
	f.StringVar(&t.match, "if-match", "", "replace what is there if it has this `TAG`")
	f.BoolVar(&t.replace, "replace", false, "replace whatever is there")
	f.BoolVar(&t.asJSON, "json", false, "print a JSON object")
	f.StringVar(&t.state, "state", "", "the server's state `FOLDER`, if it is not .freshet in DIR")
	return t
}

func (t *terms) read() (how restoring, err error) {
	if how.replace = t.replace; t.match == "" {
		return how, nil
	}
	if t.replace {
		return how, misuse("--replace and --if-match are given", "one of them is enough", "leave one out")
	}
	how.match, err = digestOfTag("--if-match", t.match)
	return how, err
}

// digestOfTag reads a tag as it was typed: with its quotes or without.
func digestOfTag(flag, text string) (hashing.Digest, error) {
	tag, rest, ok := hashing.ParseETag(`"` + strings.Trim(text, `"`) + `"`)
	digest, isOurs := tag.Digest()
	if !ok || rest != "" || !isOurs {
		return digest, misuse(flag+" "+shown(text)+" is not a tag", "a tag has 32 digits, of 0 to 9 and a to f",
			"freshet hash FILE prints one")
	}
	return digest, nil
}

// bringBack restores a version of p and says so.
func (at archived) bringBack(ctx context.Context, out io.Writer, p tree.Path, how restoring, t *terms) (err error) {
	how.to = p
	if t.to != "" {
		if how.to, err = pathOf(t.to); err != nil {
			return err
		}
	}
	if how.to.IsRoot() {
		return misuse("cannot restore to no path", "", "--to PATH")
	}
	tag, err := at.restore(ctx, p, how)
	if err != nil {
		return err
	}
	if t.asJSON {
		return json.NewEncoder(out).Encode(map[string]string{"path": "/" + how.to.String(), "etag": tag})
	}
	if len(tag) > 2 {
		tag = ": version " + printable(tag[1:len(tag)-1])
	}
	_, err = fmt.Fprintf(out, "restored %s%s\n", shown(how.to.String()), tag)
	return err
}
