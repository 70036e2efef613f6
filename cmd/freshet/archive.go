package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"freshet/fileserver/tree"
	"freshet/hashing"
)

// An archive is what has versions: a running server, or a folder that none has open.
type archive interface {
	// list returns a part of the versions of a path, or of the trash below it, and what the rest is asked for with.
	list(ctx context.Context, trash bool, p tree.Path, before string) (part []versionLine, next string, err error)
	// restore brings a version back to a path.
	restore(ctx context.Context, p tree.Path, how restoring) (tag string, err error)
	purge(ctx context.Context, p tree.Path, id string) error
	// empty ends what is in the trash below a path, and returns how much that was.
	empty(ctx context.Context, p tree.Path) (int, error)
	close()
}

// A versionLine is a version, with the stable JSON fields of the server's own list.
type versionLine struct {
	ID        string `json:"id"`
	Path      string `json:"path,omitempty"`
	Path64    []byte `json:"path64,omitempty"`
	K         string `json:"k"`
	Size      *int64 `json:"size,omitempty"`
	MTime     string `json:"mtime,omitempty"`
	ETag      string `json:"etag,omitempty"`
	Displaced string `json:"displaced,omitempty"`
	By        string `json:"by,omitempty"`
	How       string `json:"how,omitempty"`
	Late      bool   `json:"late,omitempty"`
}

// restoring says which version comes back, to where and on what terms.
type restoring struct {
	key     tree.VersionKey
	to      tree.Path
	replace bool           // whatever is there
	match   hashing.Digest // only what has this digest; zero: nothing may be there, unless replace
}

// archived is a path in an archive: an argument that is a URL, or a folder and a path in it.
type archived struct {
	archive
	path tree.Path
}

// openArchive reads the arguments: URL, or DIR and, if they are given, PATH. What is left of them is returned.
func openArchive(what string, args []string, state string, rest int) (archived, []string, error) {
	if isURL(args[0]) {
		r, err := newRemote(args[0])
		if err != nil {
			return archived{}, nil, err
		}
		return archived{remoteArchive{r, what}, r.path}, args[1:], nil
	}
	var p tree.Path
	left := args[1:]
	if len(left) > rest {
		var err error
		if p, err = pathOf(left[0]); err != nil {
			return archived{}, nil, err
		}
		left = left[1:]
	}
	a, err := openLocal(args[0], state, what)
	return archived{a, p}, left, err
}

// remoteArchive is the archive of a running server.
type remoteArchive struct {
	*remote
	what string // what messages begin with
}

func (remoteArchive) close() {}

func endpointOf(trash bool) string {
	if trash {
		return "trash"
	}
	return "versions"
}

func (a remoteArchive) list(ctx context.Context, trash bool, p tree.Path, before string) (
	part []versionLine, behind string, err error) {
	query := url.Values{}
	if before != "" {
		query.Set("before", before)
	}
	var list struct {
		Versions []versionLine
		Next     string
	}
	if err := a.askJSON(ctx, a.what, http.MethodGet, a.api(endpointOf(trash), p, query), &list); err != nil {
		return nil, "", err
	}
	if list.Next == "" {
		return list.Versions, "", nil
	}
	next, err := url.Parse(list.Next)
	if err != nil || len(list.Versions) == 0 {
		return nil, "", &fault{exitFailed, a.what, "the answer is not what was asked for", notFreshet}
	}
	return list.Versions, next.Query().Get("before"), nil
}

func (a remoteArchive) restore(ctx context.Context, p tree.Path, how restoring) (string, error) {
	query := url.Values{}
	if how.key.ID != "" {
		query.Set("id", string(how.key.ID))
	} else {
		query.Set("etag", how.key.Digest.ETag())
	}
	header := http.Header{}
	switch {
	case !how.match.IsZero():
		header.Set("If-Match", how.match.ETag())
	case !how.replace:
		header.Set("If-None-Match", "*")
	}
	if how.to != p {
		header.Set("Destination", how.to.URL(false))
	}
	res, err := a.ask(ctx, a.what, http.MethodPost, a.api(endpointOf(false), p, query), header)
	if err != nil {
		return "", a.conflict(err)
	}
	defer res.Body.Close()
	return res.Header.Get("ETag"), nil
}

// conflict says in this program's words what can be done about a failed precondition.
func (a remoteArchive) conflict(err error) error {
	var r *refusal
	if errors.As(err, &r) && r.status == http.StatusPreconditionFailed {
		return conflict(a.what, r.current)
	}
	return err
}

func (a remoteArchive) purge(ctx context.Context, p tree.Path, id string) error {
	res, err := a.ask(ctx, a.what, http.MethodDelete, a.api("trash", p, url.Values{"id": {id}}), nil)
	if err == nil {
		res.Body.Close()
	}
	return err
}

func (a remoteArchive) empty(ctx context.Context, p tree.Path) (int, error) {
	var answer struct{ Ended int }
	err := a.askJSON(ctx, a.what, http.MethodDelete, a.api("trash", p, nil), &answer)
	return answer.Ended, err
}

// conflict is the fault of a path that is not as it was expected. current is the tag of what is there, if that is
// known.
func conflict(what, current string) error {
	f := &fault{exitConflict, what, "conflict: something else is there", "--replace; what is there becomes a version"}
	if current != "" {
		f.why = "conflict: version " + current + " is there"
		f.try = "--if-match " + current[1:len(current)-1] + ", or --replace; what is there becomes a version"
	}
	return f
}

// localArchive is the archive of a folder that no server has open for writing.
type localArchive struct {
	*tree.Tree
	what string
}

// keptForever is longer than any version is old: looking at versions ends none.
const keptForever = 100 * 365 * 24 * time.Hour

// openLocal opens a folder that has been served for writing before.
func openLocal(dir, state, what string) (archive, error) {
	kept := state
	if kept == "" {
		kept = filepath.Join(dir, tree.Reserved)
	}
	if _, err := os.Stat(dir); err != nil {
		return nil, missing(what, err, "give a folder that is there, or a URL")
	}
	if info, err := os.Stat(kept); err != nil || !info.IsDir() {
		return nil, &fault{exitNotFound, what, "nothing has been kept: there is no " + shown(kept),
			"--state FOLDER, if the server keeps it elsewhere"}
	}
	o := tree.Options{
		Write: true, State: state, Log: slog.New(slog.DiscardHandler),
		VersionsAgeMax: keptForever, VersionsBytesMax: math.MaxInt64, VersionsFilesMax: math.MaxInt,
	}
	t, err := tree.New(dir, o)
	if errors.Is(err, tree.ErrAlgorithm) {
		o.Algorithm = hashing.BLAKE3
		t, err = tree.New(dir, o)
	}
	switch {
	case errors.Is(err, tree.ErrLocked):
		return nil, &fault{exitFailed, what, "a server has " + shown(dir) + " open for writing",
			"give its URL instead: http://localhost:8080/PATH"}
	case err != nil:
		return nil, &fault{exitFailed, what, reason(err), "run it as the user that serves the folder"}
	}
	return localArchive{t, what}, nil
}

func (a localArchive) close() { _ = a.Close() }

func (a localArchive) list(ctx context.Context, trash bool, p tree.Path, before string) ([]versionLine, string, error) {
	list, err := a.Versions(ctx, p, tree.VersionID(before))
	if trash {
		list, err = a.Trash(ctx, p, tree.VersionID(before))
	}
	lines := make([]versionLine, len(list.Versions))
	for i := range list.Versions {
		lines[i] = newVersionLine(&list.Versions[i])
	}
	return lines, string(list.Next), err
}

func newVersionLine(v *tree.Version) versionLine {
	l := versionLine{
		ID: string(v.ID), K: string(rune(v.Kind)), ETag: v.ETag(), By: v.By, How: v.How, Late: v.Late,
		MTime: v.ModTime.UTC().Format(time.RFC3339Nano), Displaced: v.Displaced.UTC().Format(time.RFC3339Nano),
	}
	if !v.Path.IsRoot() {
		l.setPath("/" + v.Path.String())
	}
	if v.Kind == tree.KindFile || v.Kind == tree.KindExecutable {
		l.Size = &v.Size
	}
	return l
}

func (a localArchive) restore(ctx context.Context, p tree.Path, how restoring) (string, error) {
	guard := func(cur *tree.Entry) error {
		switch {
		case cur == nil && how.match.IsZero(), cur != nil && !how.match.IsZero() && cur.Digest == how.match:
			return nil
		case cur == nil:
			return conflict(a.what, "")
		}
		return conflict(a.what, cur.ETag())
	}
	if how.replace {
		guard = nil
	}
	res, err := a.Restore(ctx, p, how.key, how.to, tree.Change{Guard: guard, By: "freshet restore"})
	if err != nil {
		return "", a.fails(err)
	}
	return res.Entry.ETag(), nil
}

func (a localArchive) purge(ctx context.Context, p tree.Path, id string) error {
	v, err := a.Version(ctx, tree.VersionID(id))
	if err == nil && !p.Contains(v.Path) {
		err = tree.ErrNoVersion
	}
	if err == nil {
		err = a.Purge(ctx, v.ID)
	}
	return a.fails(err)
}

func (a localArchive) empty(ctx context.Context, p tree.Path) (int, error) {
	n, err := a.EmptyTrash(ctx, p)
	return n, a.fails(err)
}

// fails makes a fault of what the tree says.
func (a localArchive) fails(err error) error {
	var f *fault
	switch {
	case err == nil, errors.As(err, &f), errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, tree.ErrNoVersion):
		return &fault{exitNotFound, a.what, "no such version is kept", "freshet versions or freshet trash lists what is"}
	case errors.Is(err, tree.ErrExist), errors.Is(err, tree.ErrIsFolder):
		return &fault{exitConflict, a.what, "something is there", "--to PATH"}
	case errors.Is(err, tree.ErrNoParent):
		return &fault{exitFailed, a.what, "the folder that it was in is gone", "restore the folder first, or --to PATH"}
	}
	return &fault{exitFailed, a.what, fmt.Sprint(err), ""}
}
