package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"time"

	"freshet/fileserver/tree"
	"freshet/hashing"
)

const lookPollTime = 50 * time.Millisecond // between two looks at files that are still being read

// A look is a folder that this program looks at itself, with what a server of it has kept.
type look struct {
	*tree.Tree
	ctx   context.Context // ends when the look cannot go on, too
	stop  func()
	ended chan struct{}
	shown *progress
	began time.Time
}

// openLook opens a folder that no server has open. What its server keeps is used and kept up; if none has kept anything, that
// begins in the user's state folder, as for a server that only reads. why says why nothing can be kept, if so.
func openLook(ctx context.Context, what, dir, state string, stderr io.Writer) (l *look, why error, err error) {
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		return nil, nil, missing(what, err, "give a folder that is there, or a URL")
	case !info.IsDir():
		return nil, nil, misuse(what, shown(dir)+" is not a folder", "give the folder that it is in")
	}
	chosen := state != ""
	if !chosen {
		state, chosen, why = keptState(dir)
	}
	t, err := newLook(dir, state)
	if err != nil && state != "" && !chosen && !errors.Is(err, tree.ErrStateNewer) {
		why, state = err, ""
		t, err = newLook(dir, "")
	}
	switch {
	case errors.Is(err, tree.ErrStateNewer):
		return nil, nil, &fault{exitFailed, what, "a newer freshet has served " + shown(dir), "use that one"}
	case err != nil:
		return nil, nil, &fault{exitFailed, what, reason(err), "run it as the user that serves the folder"}
	case state != "" && !t.Stats().Kept:
		_ = t.Close()
		return nil, nil, &fault{exitFailed, what, "a server has " + shown(dir) + " open", "give its URL instead: http://localhost:8080/"}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	l = &look{Tree: t, ctx: ctx, ended: make(chan struct{}), shown: newProgress(stderr), began: time.Now()}
	l.stop = func() { cancel(nil) }
	go func() {
		defer close(l.ended)
		if err := t.Run(ctx); err != nil {
			cancel(&fault{exitFailed, what, reason(err), "freshet doctor " + shown(dir)})
		}
	}()
	return l, why, nil
}

// keptState returns where a server of dir keeps what it knows, and whether one has done so. why says why it has no place.
func keptState(dir string) (state string, kept bool, why error) {
	inside := filepath.Join(dir, tree.Reserved)
	if info, err := os.Stat(inside); err == nil && info.IsDir() {
		return inside, true, nil
	}
	path, err := filepath.Abs(dir)
	if err != nil {
		return "", false, err
	}
	state, err = target{dir: path}.readOnlyState()
	return state, false, err
}

func newLook(dir, state string) (*tree.Tree, error) {
	o := tree.Options{
		State: state, Log: slog.New(slog.DiscardHandler), HashWaitMax: math.MaxInt64, RescanInterval: math.MaxInt64,
	}
	t, err := tree.New(dir, o)
	if errors.Is(err, tree.ErrAlgorithm) {
		o.Algorithm = hashing.BLAKE3
		t, err = tree.New(dir, o)
	}
	return t, err
}

// close writes down what was found.
func (l *look) close() {
	l.shown.erase()
	l.stop()
	<-l.ended
	_ = l.Tree.Close()
}

// folder returns the whole tree, as soon as all in it is known that comes to rest.
func (l *look) folder() (*tree.Folder, error) {
	type answer struct {
		folder *tree.Folder
		err    error
	}
	answers := make(chan answer, 1)
	for {
		go func() {
			f, _, err := l.Folder(l.ctx, tree.Path{})
			answers <- answer{f, err}
		}()
		var a answer
		for waiting := true; waiting; {
			select {
			case a = <-answers:
				waiting = false
			case <-time.After(lookPollTime):
				l.draw()
			}
		}
		if a.err != nil {
			return nil, l.fails(a.err)
		}
		if s := l.Stats(); !a.folder.Subtree.IsZero() || s.FilesPending <= s.FilesRestless {
			return a.folder, nil
		}
	}
}

func (l *look) draw() {
	s := l.Stats()
	if s.Warming {
		l.shown.draw("%s looked at so far", files(s.FilesLooked))
		return
	}
	l.shown.draw("%s still to be read", files(int64(s.FilesPending)))
}

// fails returns what ended the look, if anything did, else err.
func (l *look) fails(err error) error {
	var f *fault
	if cause := context.Cause(l.ctx); errors.As(cause, &f) {
		return cause
	}
	return err
}

// unkept tells that nothing will be remembered.
func unkept(stderr io.Writer, why error) {
	if why != nil {
		fmt.Fprintf(stderr, "freshet: nothing is remembered: %v\n", why)
	}
}
