package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"freshet/fileserver/tree"
)

const (
	indexPollTime    = 25 * time.Millisecond  // between two looks at how far the index is
	progressPatience = time.Second            // after which a person is told that something takes longer
	progressTime     = 200 * time.Millisecond // between two of those lines
	eraseLine        = "\r\x1b[2K"
)

// An indexing tells how the first look at a tree goes: to a person by a line below the banner, which is drawn anew while it
// takes longer, else by lines of the log.
type indexing struct {
	tree   *tree.Tree
	out    io.Writer
	log    *slog.Logger
	person bool
	brief  bool // there is one file, of which there is nothing to tell
	began  time.Time
}

// tell returns when the tree was looked at, or ctx ends.
func (x *indexing) tell(ctx context.Context) {
	if x.person && x.brief {
		fmt.Fprintln(x.out, lastLine)
	}
	if x.brief {
		return
	}
	poll := time.NewTicker(indexPollTime)
	defer poll.Stop()
	shown := progress{out: x.out, person: x.person, began: x.began, above: lastLine}
	defer shown.erase()
	for {
		s := x.tree.Stats()
		if !s.Warming {
			shown.erase()
			x.ready(&s, time.Since(x.began), shown.ever)
			return
		}
		shown.draw("  %-17s %s files looked at so far", "Index", grouped(s.FilesLooked))
		select {
		case <-ctx.Done():
			return
		case <-poll.C:
		}
	}
}

// ready tells what there is, and whether changes will be seen.
func (x *indexing) ready(s *tree.Stats, took time.Duration, drawn bool) {
	if !x.person {
		x.log.Info("index is ready", "files", s.Files, "bytes", s.Bytes, "took", took.Round(time.Millisecond),
			"being_hashed", s.FilesPending, "watching", s.Watching, "watched_folders", s.WatchedFolders)
		if s.UnwatchedFolders > 0 {
			x.log.Warn("some folders are not watched: each request looks at them itself",
				"unwatched_folders", s.UnwatchedFolders, "watch_all_with", s.WatchRemedy)
		}
		return
	}
	for _, l := range indexLines(s, took) {
		line(x.out, l[0], l[1])
	}
	if !drawn {
		fmt.Fprintln(x.out, lastLine)
	}
}

// indexLines returns labels and texts for a person.
func indexLines(s *tree.Stats, took time.Duration) (lines [][2]string) {
	text := fmt.Sprintf("%s, %s, ready in %s", files(s.Files), humanBytes(s.Bytes), shortTime(took))
	if n := s.FilesPending; n > 0 {
		text += fmt.Sprintf(" but for %s being read", grouped(int64(n)))
	}
	switch {
	case !s.Watching:
		text += "; not watching: each request looks at the disk itself"
	case s.UnwatchedFolders > 0:
		text += fmt.Sprintf("; %s of %s folders are not watched", grouped(int64(s.UnwatchedFolders)), grouped(s.Folders))
	default:
		text += "; watching for changes"
	}
	lines = append(lines, [2]string{"Index", text})
	if s.WatchRemedy != "" {
		lines = append(lines, [2]string{"To watch them all", s.WatchRemedy})
	}
	return lines
}

// A progress is a line on a terminal that is drawn anew while something takes long.
type progress struct {
	out    io.Writer
	person bool // out is a terminal
	began  time.Time
	above  string // a line to print before the first

	ever  bool // something was drawn
	there bool // the line stands there
	drawn time.Time
}

func newProgress(out io.Writer) *progress {
	return &progress{out: out, person: isTerminal(out), began: time.Now()}
}

// draw shows a line, unless it is too soon.
func (p *progress) draw(format string, args ...any) {
	if !p.person || time.Since(p.began) < progressPatience || time.Since(p.drawn) < progressTime {
		return
	}
	if !p.ever && p.above != "" {
		fmt.Fprintln(p.out, p.above)
	}
	p.ever, p.there, p.drawn = true, true, time.Now()
	fmt.Fprintf(p.out, eraseLine+format, args...)
}

// erase takes the line away.
func (p *progress) erase() {
	if p.there {
		fmt.Fprint(p.out, eraseLine)
	}
	p.there = false
}

// files says how many there are.
func files(n int64) string {
	if n == 1 {
		return "1 file"
	}
	return grouped(n) + " files"
}

// grouped writes a number with a space between each three digits.
func grouped(n int64) string {
	digits := strconv.FormatInt(n, 10)
	var b strings.Builder
	for i, c := range digits {
		if left := len(digits) - i; i > 0 && left%3 == 0 && digits[i-1] != '-' {
			b.WriteByte(' ')
		}
		b.WriteRune(c)
	}
	return b.String()
}

// humanBytes writes a size in the largest decimal unit of which there is one, with two digits at least.
func humanBytes(n int64) string {
	units := []string{"B", "kB", "MB", "GB", "TB", "PB", "EB"}
	amount, unit := float64(n), 0
	for amount >= 999.5 && unit < len(units)-1 {
		amount /= 1000
		unit++
	}
	if unit > 0 && amount < 9.95 {
		return fmt.Sprintf("%.1f %s", amount, units[unit])
	}
	return fmt.Sprintf("%.0f %s", amount, units[unit])
}

// shortTime writes how long something took.
func shortTime(d time.Duration) string {
	switch {
	case d < 99950*time.Microsecond:
		return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
	case d < 99950*time.Millisecond:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return d.Round(time.Second).String()
}
