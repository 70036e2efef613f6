package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"freshet/hashing"
)

// What a status says.
const (
	statusNew       = "new"       // nothing is remembered to compare with
	statusUnchanged = "unchanged" // nothing in the tree is different
	statusChanged   = "changed"
	statusUnknown   = "unknown" // a file is being written
)

// A status is the answer to the one question, with stable JSON fields.
type status struct {
	State   string  `json:"state"`
	Files   int64   `json:"files"`
	Subtree *string `json:"subtree"` // the fingerprint; null while it cannot be told
	Seconds float64 `json:"seconds"` // until the answer was there
}

func newStatus() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status URL|DIR",
		Short: "Ask whether anything in a tree has changed",
		Long: "Asks one conditional question, however large the tree is: is it what it was when this was last asked? The\n" +
			"fingerprint of each URL and DIR is remembered in ~/.local/state/freshet. It covers names, bytes, executable bits\n" +
			"and links, and no times.",
		Example: examples(
			"freshet status http://localhost:8080/docs/", "what a server serves",
			"freshet status ~/shared", "a folder that is not being served, by its cache",
			"freshet status --exit-code http://localhost:8080/", "exit code 1 if anything differs, or was never asked"),
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return misuse("status takes one URL or DIR", "", "freshet status "+remoteURLExample)
			}
			return nil
		},
		ValidArgsFunction: completeFolders,
	}
	f := cmd.Flags()
	tag := f.String("tag", "", "compare with this `TAG`, and remember nothing")
	byCode := f.Bool("exit-code", false, "exit with 1 unless it is unchanged")
	asJSON := f.Bool("json", false, "print a JSON object")
	state := addState(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		q := &statusQuestion{what: "cannot tell the status of " + shown(args[0]), stderr: cmd.ErrOrStderr()}
		if *tag != "" {
			var err error
			if q.have, err = digestOfTag("--tag", strings.TrimPrefix(*tag, "W/")); err != nil {
				return err
			}
			q.given = true
		}
		ask := q.folder
		if isURL(args[0]) {
			ask = q.server
		}
		s, err := ask(cmd.Context(), args[0], *state)
		if err != nil {
			return err
		}
		if err := s.print(cmd.OutOrStdout(), *asJSON); err != nil {
			return err
		}
		if *byCode && s.State != statusUnchanged {
			return errPartly
		}
		return nil
	}
	return cmd
}

// A statusQuestion is one question and what it is compared with.
type statusQuestion struct {
	what   string // what messages begin with
	stderr io.Writer
	given  bool           // have is the caller's
	have   hashing.Digest // zero: nothing is remembered
	where  string         // the file that remembers it; "" if none can
}

// server asks a server: one HEAD, which is answered with 304 if nothing has changed.
func (q *statusQuestion) server(ctx context.Context, address, _ string) (*status, error) {
	r, err := newRemote(address)
	if err != nil {
		return nil, err
	}
	known := *r.server
	known.User = nil // who asks makes no difference to what is there
	q.recall((&remote{server: &known, path: r.path, folder: true}).self())
	header := http.Header{}
	if !q.have.IsZero() {
		header.Set("If-None-Match", q.have.ETag())
	}
	began := time.Now()
	res, err := r.ask(ctx, q.what, http.MethodHead, r.api("tree", r.path, nil), header)
	if err != nil {
		var refused *refusal
		if !errors.As(err, &refused) {
			return nil, err
		}
		// The server's words are in a body, which HEAD leaves out.
		if res, err = r.ask(ctx, q.what, http.MethodGet, r.api("tree", r.path, nil), header); err != nil {
			return nil, err
		}
	}
	took := time.Since(began)
	defer res.Body.Close()
	count, err := strconv.ParseInt(res.Header.Get("Freshet-Files"), 10, 64)
	if err != nil {
		return nil, &fault{exitFailed, q.what, "the answer is not what was asked for", notFreshet}
	}
	var now hashing.Digest
	if text := res.Header.Get("Freshet-Subtree"); text != "" {
		if now, err = hashing.ParseDigest(strings.Trim(text, `"`)); err != nil {
			return nil, &fault{exitFailed, q.what, "the answer is not what was asked for", notFreshet}
		}
	}
	return q.answer(now, count, took), nil
}

// folder looks at a folder that no server has open. Only what has changed since it was last looked at is read.
func (q *statusQuestion) folder(ctx context.Context, dir, state string) (*status, error) {
	l, why, err := openLook(ctx, q.what, dir, state, q.stderr)
	if err != nil {
		return nil, err
	}
	defer l.close()
	unkept(q.stderr, why)
	q.recall(resolved(dir))
	f, err := l.folder()
	if err != nil {
		return nil, err
	}
	return q.answer(f.Subtree, f.Files, time.Since(l.began)), nil
}

// answer compares, and remembers what is there now.
func (q *statusQuestion) answer(now hashing.Digest, count int64, took time.Duration) *status {
	s := &status{State: statusChanged, Files: count, Seconds: took.Seconds()}
	if now.IsZero() {
		s.State = statusUnknown
		return s
	}
	text := now.String()
	s.Subtree = &text
	switch q.have {
	case now:
		s.State = statusUnchanged
		return s
	case hashing.Digest{}:
		s.State = statusNew
	}
	q.remember(now)
	return s
}

// recall finds what is remembered of a URL or folder.
func (q *statusQuestion) recall(of string) {
	if q.given {
		return
	}
	home, err := stateHome()
	if err == nil {
		q.where = filepath.Join(home, "status", stateID(of))
		err = os.MkdirAll(filepath.Dir(q.where), 0o700)
	}
	if err != nil {
		unkept(q.stderr, err)
		q.where = ""
		return
	}
	if text, err := os.ReadFile(q.where); err == nil {
		q.have, _ = hashing.ParseDigest(strings.TrimSpace(string(text))) // one that is damaged is none
	}
}

// remember writes a fingerprint down for the next time.
func (q *statusQuestion) remember(d hashing.Digest) {
	if q.given || q.where == "" {
		return
	}
	part := fmt.Sprintf("%s.%d", q.where, os.Getpid())
	err := os.WriteFile(part, []byte(d.String()+"\n"), 0o600)
	if err == nil {
		err = os.Rename(part, q.where)
	}
	if err != nil {
		_ = os.Remove(part)
		unkept(q.stderr, err)
	}
}

func (s *status) print(out io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(out).Encode(s)
	}
	took := shortTime(time.Duration(s.Seconds * float64(time.Second)))
	var err error
	switch s.State {
	case statusUnchanged:
		_, err = fmt.Fprintf(out, "unchanged, %s, %s\n", files(s.Files), took)
	case statusChanged:
		_, err = fmt.Fprintf(out, "changed, %s, %s, %s\n", files(s.Files), *s.Subtree, took)
	case statusNew:
		_, err = fmt.Fprintf(out, "%s, %s, %s\n", files(s.Files), *s.Subtree, took)
	default:
		_, err = fmt.Fprintf(out, "not known now, since a file is being written; %s, %s\n", files(s.Files), took)
	}
	return err
}
