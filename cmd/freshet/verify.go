package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"freshet/fileserver/tree"
)

const typeLines = "application/x-ndjson"

func newVerify() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify DIR|URL",
		Short: "Read every file again, and find bytes that changed though nothing says so",
		Long: "Reads every file and compares its bytes with what was remembered when it last changed. A difference means that\n" +
			"the disk has lost bytes, or that a program wrote behind the kernel's back; each is told once, and the exit code\n" +
			"is 7. From then on the file goes by the bytes that it has. It is 5 if a file could not be read. A folder that is\n" +
			"being served is verified through its URL, by its server.",
		Example: examples(
			"freshet verify ~/shared", "a folder that is not being served",
			"freshet verify http://localhost:8080/docs/", "a part of one that is",
			"freshet verify --json ~/shared", "for programs"),
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return misuse("verify takes one DIR or URL", "", "freshet verify .")
			}
			return nil
		},
		ValidArgsFunction: completeFolders,
	}
	asJSON := cmd.Flags().Bool("json", false, "print a JSON object")
	state := addState(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		v := &verification{out: cmd.OutOrStdout(), asJSON: *asJSON, Findings: []verifyLine{}}
		v.what = "cannot verify " + shown(args[0])
		verify := v.folder
		if isURL(args[0]) {
			verify = v.server
		}
		if err := verify(cmd.Context(), args[0], *state, cmd.ErrOrStderr()); err != nil {
			return err
		}
		return v.conclude()
	}
	return cmd
}

// A verification is what one run has found, with stable JSON fields.
type verification struct {
	Findings []verifyLine `json:"findings"`
	verifySums
	Read int64 `json:"read"` // files that were new or had changed since the folder was last looked at

	what   string // what messages begin with
	out    io.Writer
	asJSON bool
}

type verifySums struct {
	Files      int64 `json:"files"`
	Bytes      int64 `json:"bytes"`
	Mismatches int64 `json:"mismatches"`
	Changed    int64 `json:"changed"`
	Unreadable int64 `json:"unreadable"`
}

// A verifyLine is a finding, as the server's lines have it.
type verifyLine struct {
	P       string `json:"p,omitempty"`
	P64     []byte `json:"p64,omitempty"`
	Was     string `json:"was,omitempty"`
	Is      string `json:"is,omitempty"`
	Problem string `json:"problem,omitempty"` // why it cannot be read; then Was and Is are missing
	Detail  string `json:"detail,omitempty"`
}

// folder verifies a folder that no server has open.
func (v *verification) folder(ctx context.Context, dir, state string, stderr io.Writer) error {
	l, why, err := openLook(ctx, v.what, dir, state, stderr)
	if err != nil {
		return err
	}
	defer l.close()
	if why != nil {
		return &fault{exitFailed, v.what, "nothing can be remembered of it: " + reason(why), "--state FOLDER"}
	}
	all, err := l.folder()
	if err != nil {
		return err
	}
	if v.Read = int64(l.Stats().HashedInBackground); v.Read > 0 && v.Read >= all.Files && !all.Subtree.IsZero() {
		return nil // what was read a moment ago would tell nothing new
	}
	sum, err := l.Verify(l.ctx, tree.Path{}, v.note, func(sum tree.Verified) {
		l.shown.draw("%s of %s read again", grouped(sum.Files), files(all.Files))
	})
	v.verifySums = verifySums(sum)
	l.shown.erase()
	return l.fails(err)
}

// note takes down a finding of this program's own.
func (v *verification) note(f tree.Flaw) {
	line := verifyLine{P: f.Path.String()}
	if f.Err != nil {
		line.Detail = reason(f.Err)
	} else {
		line.Was, line.Is = f.Was.String(), f.Is.String()
	}
	v.add(line)
}

// add prints a finding, or keeps it for the JSON object.
func (v *verification) add(f verifyLine) {
	path := f.P
	if path == "" {
		path = string(f.P64)
	}
	switch {
	case v.asJSON:
		v.Findings = append(v.Findings, f)
	case f.Was == "":
		fmt.Fprintf(v.out, "unreadable  %s  %s\n", shown(path), printable(f.Detail))
	default:
		fmt.Fprintf(v.out, "mismatch    %s  was %s  is %s\n", shown(path), printable(f.Was), printable(f.Is))
	}
}

// server has a server verify what it serves.
func (v *verification) server(ctx context.Context, address, _ string, stderr io.Writer) error {
	r, err := newRemote(address)
	if err != nil {
		return err
	}
	query := url.Values{}
	if !r.path.IsRoot() {
		query.Set("path", "/"+r.path.String())
	}
	res, err := r.ask(ctx, v.what, http.MethodPost, r.api("verify", tree.Path{}, query), nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if media, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type")); media != typeLines {
		return &fault{exitFailed, v.what, "the answer is not what was asked for", notFreshet}
	}
	if err = v.read(res.Body, newProgress(stderr)); err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// read reads the server's lines until the last.
func (v *verification) read(body io.Reader, shown *progress) error {
	defer shown.erase()
	lines := json.NewDecoder(body)
	for {
		var line struct {
			verifyLine
			verifySums
			End bool
		}
		if err := lines.Decode(&line); err != nil {
			return &fault{exitUnreachable, v.what, "the answer was cut off: " + strings.ToLower(fmt.Sprint(err)), "try again"}
		}
		switch {
		case line.End:
			v.verifySums = line.verifySums
			return nil
		case line.Was != "" || line.Problem != "":
			shown.erase()
			v.add(line.verifyLine)
		case line.Files > 0:
			shown.draw("%s read again", files(line.Files))
		}
	}
}

// conclude says what was found on the whole.
func (v *verification) conclude() error {
	if v.asJSON {
		if err := json.NewEncoder(v.out).Encode(v); err != nil {
			return err
		}
	} else if _, err := fmt.Fprintln(v.out, v.summary()); err != nil {
		return err
	}
	switch {
	case v.Mismatches > 0:
		return &fault{exitMismatch, files(v.Mismatches) + " with other bytes than remembered",
			"the disk loses bytes, or a program wrote behind the kernel's back", "restore from a backup what is wrong, and check the disk"}
	case v.Unreadable > 0:
		return &fault{exitPartly, "not everything could be read", "", "run it as the user that serves the folder"}
	}
	return nil
}

func (v *verification) summary() string {
	var parts []string
	if v.Files > 0 || v.Read == 0 {
		parts = append(parts, files(v.Files)+", "+humanBytes(v.Bytes)+", "+files(v.Mismatches)+" with other bytes")
	}
	if v.Unreadable > 0 {
		parts = append(parts, grouped(v.Unreadable)+" unreadable")
	}
	if v.Changed > 0 {
		parts = append(parts, grouped(v.Changed)+" changed meanwhile")
	}
	if v.Read > 0 {
		parts = append(parts, files(v.Read)+" read that nothing was known of")
	}
	return strings.Join(parts, "; ")
}
