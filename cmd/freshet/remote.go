package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
	"unicode"

	"freshet/fileserver/auth"
	"freshet/fileserver/tree"
)

const (
	remoteDialTimeMax     = 10 * time.Second
	remoteHeaderTimeMax   = 90 * time.Second // until an answer begins; a server may have to hash first
	remoteProblemBytesMax = 64 << 10
	remoteAnswerBytesMax  = 64 << 20 // of an answer that is read whole
	remoteTextBytesMax    = 400      // of a server's words in a message
	remoteRedirectsMax    = 4
)

// What a server says and is told.
const (
	controlPath       = "/" + tree.Reserved + "/v1/"
	typeJSON          = "application/json"
	typeProblem       = "application/problem+json"
	problemExists     = "urn:freshet:problem:exists"
	problemReadOnly   = "urn:freshet:problem:read-only"
	problemNoVersion  = "urn:freshet:problem:no-version"
	notFreshet        = "it may not be a freshet server, or not one of this version"
	checkAddress      = "check that the server is running, and its address"
	checkScheme       = "the server may speak http instead of https"
	remoteURLExample  = "http://localhost:8080/docs/"
	remotePathExample = "docs/a.txt"
)

// A remote is a path on a running server.
type remote struct {
	server *url.URL  // scheme, user and host; nothing else
	path   tree.Path // below the root of what it serves
	folder bool      // the URL ended with a slash
	client *http.Client
}

// isURL reports whether an argument means a running server and no folder.
func isURL(arg string) bool {
	scheme, _, ok := strings.Cut(arg, "://")
	return ok && (strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https"))
}

// newRemote reads a URL that was typed.
func newRemote(arg string) (*remote, error) {
	bad := func(why string) error {
		return misuse("cannot use "+shown(arg)+" as a URL", why, "give one such as "+remoteURLExample)
	}
	u, err := url.Parse(arg)
	switch {
	case err != nil:
		return nil, bad(errors.Unwrap(err).Error())
	case !isURL(arg) || u.Host == "" || u.Opaque != "":
		return nil, bad("it does not begin with http://HOST or https://HOST")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, bad("it has a query or a fragment")
	}
	escaped := u.EscapedPath()
	if escaped == "" {
		escaped = "/"
	}
	p, folder, err := tree.Parse(escaped)
	if err != nil {
		return nil, bad(err.Error())
	}
	user, err := credentials(u)
	if err != nil {
		return nil, bad(err.Error())
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DialContext = (&net.Dialer{Timeout: remoteDialTimeMax}).DialContext
	transport.ResponseHeaderTimeout = remoteHeaderTimeMax
	return &remote{
		server: &url.URL{Scheme: u.Scheme, User: user, Host: u.Host}, path: p, folder: folder,
		client: &http.Client{Transport: transport, CheckRedirect: stayOnServer},
	}, nil
}

// passwordVariable holds the password for a URL that has a user's name, or none, and no password in it: what is typed can be
// seen by others of the machine. userVariable holds the name for URLs that have none.
const (
	passwordVariable = environmentPrefix + "PASSWORD"
	userVariable     = environmentPrefix + "USER"
)

// credentials returns who is to be told to be asking at u; nil: nobody in particular.
func credentials(u *url.URL) (*url.Userinfo, error) {
	password := os.Getenv(passwordVariable)
	if _, given := u.User.Password(); given || password == "" {
		return u.User, nil
	}
	name := cmp.Or(u.User.Username(), os.Getenv(userVariable), madeUser)
	if err := auth.CheckPassword(password); err != nil {
		return nil, fmt.Errorf("%s: %w", passwordVariable, err)
	}
	return url.UserPassword(name, password), nil
}

// stayOnServer follows redirects on the same server only, which alone may be told the user's password.
func stayOnServer(next *http.Request, via []*http.Request) error {
	if len(via) > remoteRedirectsMax || next.URL.Host != via[0].URL.Host || next.URL.Scheme != via[0].URL.Scheme {
		return http.ErrUseLastResponse
	}
	return nil
}

// at returns the URL of an escaped path on the server.
func (r *remote) at(escaped, query string) string {
	u := *r.server
	u.Path, _ = url.PathUnescape(escaped) // it was escaped by us
	u.RawPath, u.RawQuery = escaped, query
	return u.String()
}

// self returns the URL itself.
func (r *remote) self() string { return r.at(r.path.URL(r.folder), "") }

// api returns the URL of an endpoint of the API for a path of the tree.
func (r *remote) api(endpoint string, p tree.Path, query url.Values) string {
	escaped := controlPath + endpoint
	if !p.IsRoot() {
		escaped += p.URL(false)
	}
	return r.at(escaped, query.Encode())
}

// ask sends a request without a body and returns the answer, whose body is the caller's to close. what is what the
// message about a failure begins with: "cannot list docs". An answer from 400 on is a *refusal.
func (r *remote) ask(ctx context.Context, what, method, address string, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		return nil, &fault{exitFailed, what, err.Error(), ""}
	}
	if header != nil {
		req.Header = header
	}
	res, err := r.client.Do(req)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, r.unreachable(what, err)
	case res.StatusCode >= http.StatusBadRequest:
		defer res.Body.Close()
		return nil, newRefusal(what, res)
	case res.StatusCode >= http.StatusMultipleChoices && res.StatusCode != http.StatusNotModified:
		defer res.Body.Close()
		return nil, &fault{exitFailed, what, "the server sends on to " + printable(res.Header.Get("Location")),
			"use that URL, if it is meant"}
	}
	return res, nil
}

// askJSON is ask for an answer in JSON, which it reads into answer.
func (r *remote) askJSON(ctx context.Context, what, method, address string, answer any) error {
	res, err := r.ask(ctx, what, method, address, http.Header{"Accept": {typeJSON}})
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if media, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type")); media != typeJSON {
		return &fault{exitFailed, what, "the answer is not what was asked for", notFreshet}
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, remoteAnswerBytesMax)).Decode(answer); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return &fault{exitUnreachable, what, "the answer cannot be read: " + err.Error(), "try again"}
	}
	return nil
}

// unreachable says why there is no answer.
func (r *remote) unreachable(what string, err error) error {
	why := err
	var inURL *url.Error
	if errors.As(err, &inURL) {
		why = inURL.Err
	}
	var dial *net.OpError
	if errors.As(err, &dial) && dial.Op == "dial" {
		why = dial.Err
	}
	try := checkAddress
	var plain tls.RecordHeaderError
	if errors.As(err, &plain) {
		try = checkScheme
	}
	return &fault{exitUnreachable, what, "cannot reach " + r.server.Redacted() + ": " + why.Error(), try}
}

// A refusal is a fault that the server's answer tells of.
type refusal struct {
	fault
	status  int
	kind    string // the type of the problem; "" if the answer was none of ours
	current string // the tag of what is there, as a 412 tells; "" if nothing is, or nobody said
}

func (r *refusal) Unwrap() error { return &r.fault }

// newRefusal reads the problem (RFC 9457) that an answer holds.
func newRefusal(what string, res *http.Response) *refusal {
	var p struct {
		Type, Title, Detail, Next string
		Current                   string
	}
	why, try := printable(res.Status), notFreshet
	body, err := io.ReadAll(io.LimitReader(res.Body, remoteProblemBytesMax))
	media, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if err == nil && media == typeProblem && json.Unmarshal(body, &p) == nil && p.Title != "" {
		why, try = printable(p.Title+": "+p.Detail), printable(p.Next)
	}
	if res.StatusCode == http.StatusUnauthorized {
		try = "put the name into the URL, http://NAME@HOST/, and the password into " + passwordVariable
	}
	f := fault{refusalCode(res.StatusCode, p.Type), what, why, try}
	return &refusal{f, res.StatusCode, p.Type, printable(p.Current)}
}

func refusalCode(status int, kind string) int {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests:
		return exitRefused
	case http.StatusNotFound, http.StatusGone:
		return exitNotFound
	case http.StatusPreconditionFailed, http.StatusPreconditionRequired:
		return exitConflict
	}
	switch kind {
	case problemExists:
		return exitConflict
	case problemReadOnly:
		return exitRefused
	}
	return exitFailed
}

// printable makes a server's words fit to be shown on a terminal, in one line.
func printable(text string) string {
	if len(text) > remoteTextBytesMax {
		text = text[:remoteTextBytesMax] + "…"
	}
	return strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return '?'
		}
		return c
	}, text)
}

// pathOf reads a path of the tree as it was typed, below a folder or on a server; a slash at its beginning counts for
// nothing.
func pathOf(typed string) (p tree.Path, err error) {
	for name := range strings.SplitSeq(strings.Trim(typed, "/"), "/") {
		if name == "" && p.IsRoot() && strings.Trim(typed, "/") == "" {
			return p, nil
		}
		if p, err = p.Join(name); err != nil {
			return p, misuse("cannot use "+shown(typed)+" as a path", fmt.Sprint(err), "give one such as "+remotePathExample)
		}
	}
	return p, nil
}
