package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"
)

// Exit codes.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitRefused     = 4  // the server wants to know who asks, or allows nobody
	exitPartly      = 5  // some of it could not be done
	exitUnreachable = 6  // there is no server, or no answer
	exitMismatch    = 7  // bytes are not what they are said to be
	exitConflict    = 12 // what is there is not what was expected
	exitInterrupted = 130
)

// A fault is an error told to the person at the terminal: what failed, why, and what to do about it, one line each.
type fault struct {
	code           int
	what, why, try string
}

func (f *fault) Error() string {
	if f.why == "" {
		return f.what
	}
	return f.what + ": " + f.why
}

// lines returns f as it is printed.
func (f *fault) lines() string {
	var b strings.Builder
	fmt.Fprintf(&b, "freshet: %s\n", f.what)
	if f.why != "" {
		fmt.Fprintf(&b, "  why: %s\n", f.why)
	}
	if f.try != "" {
		fmt.Fprintf(&b, "  try: %s\n", f.try)
	}
	return b.String()
}

// misuse returns the fault of a command line or setting that asks for what cannot be.
func misuse(what, why, try string) *fault { return &fault{exitUsage, what, why, try} }

// missing returns the fault of a file that cannot be opened: exitNotFound if there is none, else exitFailed.
func missing(what string, err error, try string) *fault {
	code := exitFailed
	if errors.Is(err, fs.ErrNotExist) {
		code = exitNotFound
	}
	return &fault{code, what, reason(err), try}
}

// reason returns what the system said. If it is about the one path that the caller names, the path is left out.
func reason(err error) string {
	if path, ok := err.(*fs.PathError); ok {
		err = path.Err
	}
	return err.Error()
}

// errPartly says that what failed has been told already, and only the exit code is left to give.
var errPartly = errors.New("not everything could be done")

// report prints err, if any, and returns the exit code.
func report(ctx context.Context, err error, stderr io.Writer) int {
	var f *fault
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		return exitInterrupted
	case errors.Is(err, errPartly):
		return exitFailed
	case errors.As(err, &f):
	default:
		f = &fault{code: exitFailed, what: err.Error()}
	}
	_, _ = io.WriteString(stderr, f.lines())
	return f.code
}

// shown returns a file's name or a setting's text for a message: quoted if it would not print as it is, or could be taken
// for more than one word.
func shown(name string) string {
	if quoted := strconv.Quote(name); name == "" || quoted[1:len(quoted)-1] != name || strings.ContainsAny(name, " '") {
		return quoted
	}
	return name
}
