// Package problem is the one table from errors to what a client is told: a status code and a problem document (RFC
// 9457).
//
// A client sees a type to branch on, a title, one sentence on what was refused and one on what to do next. The text
// of an error goes to the log only, since it may name paths and causes that are not the client's business; an error
// that is not in the table is an internal error.
package problem

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"freshet/fileserver/tree"
)

// TypePrefix begins every problem type.
const TypePrefix = "urn:freshet:problem:"

// A Problem is what a client is told about a request that was refused or failed.
type Problem struct {
	Type    string     `json:"type"`
	Title   string     `json:"title"`
	Status  int        `json:"status"`
	Detail  string     `json:"detail,omitempty"`
	Next    string     `json:"next,omitempty"`        // what the client can do now, one sentence
	Current CurrentTag `json:"current,omitzero"`      // what is there now; with a failed precondition only
	Request string     `json:"request,omitempty"`     // the id of the request in the log
	Saved   []Saved    `json:"saved,omitempty"`       // what a request that failed in part has done
	Refused []Refused  `json:"refused,omitempty"`     // what it has not
	After   int        `json:"retry_after,omitempty"` // seconds; also the Retry-After field
	*Progress
	*LostCursor

	// Header holds further fields that the answer must carry, such as Allow with a 405.
	Header http.Header `json:"-"`
}

// Progress says how far the server is with the first look at its tree.
type Progress struct {
	Done  int64 `json:"files_done"`
	Total int64 `json:"files_total"` // as far as known
}

// A LostCursor says why the feed cannot be followed from a cursor, and from where it can.
type LostCursor struct {
	Reason string `json:"reason"` // "epoch", "trimmed" or "gap"
	Cursor string `json:"cursor"`
}

// A CurrentTag is the entity tag of what is at a path now. The zero value is left out of a Problem.
type CurrentTag struct {
	Known bool   // the rest means something
	ETag  string // "" if nothing is there, or its tag is not known: null in JSON
	// Folder says that ETag names a folder and all that is below. It goes with conditions, and is the tag of no
	// representation.
	Folder bool
}

// IsZero reports whether c is left out.
func (c CurrentTag) IsZero() bool { return !c.Known }

// MarshalJSON gives the tag as a string, or null.
func (c CurrentTag) MarshalJSON() ([]byte, error) {
	if c.ETag == "" {
		return []byte("null"), nil
	}
	return json.Marshal(c.ETag)
}

// Saved is one file that a request with several has saved.
type Saved struct {
	Name string `json:"name"`
	ETag string `json:"etag,omitempty"`
}

// Refused is one file that a request with several has not saved, and why.
type Refused struct {
	Name   string `json:"name"`
	Type   string `json:"type"`
	Detail string `json:"detail"`
}

// A Kind is one sort of problem.
type Kind struct {
	name       string // the end of its type
	status     int
	title      string
	detail     string // when the error brings none of its own
	next       string
	retryAfter time.Duration
}

// Status returns the status code of k.
func (k *Kind) Status() int { return k.status }

// Errorf returns an error of this kind. Its text is told to the client.
func (k *Kind) Errorf(format string, args ...any) *Error {
	return &Error{kind: k, detail: fmt.Sprintf(format, args...)}
}

// An Error is an error that knows what its client is to be told.
type Error struct {
	kind   *Kind
	detail string
	cause  error // for the log; nil if the detail says all

	// What Problem has under the same names; an empty Next is that of the kind.
	Next    string
	After   int
	Current CurrentTag
	Saved   []Saved
	Refused []Refused
	Header  http.Header
}

// From returns err as an *Error, so that something can be added to what the client is told. What is in err's chain
// stays there.
func From(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		c := *e
		return &c
	}
	k := kindOf(err)
	return &Error{kind: k, detail: k.detail, cause: err}
}

// tell adds what the causes of a problem know about it.
func (p *Problem) tell(err error) {
	var warming *tree.WarmingError
	var gone *tree.CursorGoneError
	switch {
	case errors.As(err, &warming):
		p.Progress = &Progress{warming.FilesDone, warming.FilesTotal}
	case errors.As(err, &gone):
		p.LostCursor = &LostCursor{gone.Reason, gone.Current.String()}
	}
}

// Blind returns e for somebody who may not know what is there now.
func (e *Error) Blind() *Error {
	c := *e
	c.Current, c.Saved, c.Refused = CurrentTag{}, nil, nil
	c.detail = "What is at this path does not meet the conditions of the request, or those of the rules of this server."
	return &c
}

// Error returns the detail that the client is told, after the kind's title, and what caused it.
func (e *Error) Error() string {
	text := e.kind.title + ": " + e.detail
	if e.cause != nil {
		text += " (" + e.cause.Error() + ")"
	}
	return text
}

// Unwrap returns what caused e.
func (e *Error) Unwrap() error { return e.cause }

// Is makes errors.Is(err, kind) true for every error of that kind.
func (e *Error) Is(target error) bool {
	k, ok := target.(*Kind)
	return ok && k == e.kind
}

// Error makes a Kind usable as the target of errors.Is, and as an error that needs no detail.
func (k *Kind) Error() string { return k.title }

// Of returns what to tell the client about err. It never returns the text of an error that is not an *Error.
func Of(err error) Problem {
	p := kindOf(err).problem()
	var e *Error
	if errors.As(err, &e) {
		p = e.kind.problem()
		p.Detail, p.Next, p.After = e.detail, cmp.Or(e.Next, p.Next), cmp.Or(e.After, p.After)
		p.Current, p.Saved, p.Refused, p.Header = e.Current, e.Saved, e.Refused, e.Header
	}
	p.tell(err)
	return p
}

func (k *Kind) problem() Problem {
	return Problem{
		Type:   TypePrefix + k.name,
		Title:  k.title,
		Status: k.status,
		Detail: k.detail,
		Next:   k.next,
		After:  int(k.retryAfter / time.Second),
	}
}

// kindOf finds the kind of an error in the table, Internal if it is not there.
func kindOf(err error) *Kind {
	var k *Kind
	if errors.As(err, &k) {
		return k
	}
	var tooLong *http.MaxBytesError
	var warming *tree.WarmingError
	var gone *tree.CursorGoneError
	switch {
	case errors.As(err, &tooLong):
		return TooLarge
	case errors.As(err, &warming):
		return IndexWarming
	case errors.As(err, &gone):
		return CursorGone
	}
	for _, row := range table {
		if errors.Is(err, row.err) {
			return row.kind
		}
	}
	return Internal
}
