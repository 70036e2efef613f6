package tree

import (
	"time"

	"freshet/hashing"
)

// An Event says what is at a path since Seq: a state, not what somebody did. One of a folder stands for all that is in it.
type Event struct {
	Seq  uint64
	Path Path
	Kind Kind // what is there; of what is gone, what it was
	Gone bool // nothing is there any more, nor below
	// Digest is that of a file, or the fingerprint of a folder; zero while it is not known.
	Digest  hashing.Digest
	Size    int64 // bytes of a file
	ModTime time.Time
	Target  string // the text of a link
	From    string // a hint: the path below the root that the same file or folder had a moment ago, or ""
}

// A ChangesQuery says which events are wanted.
type ChangesQuery struct {
	Since Cursor        // zero: the end of the feed, so that no events come but those waited for
	Below Path          // only this path and what is below it, and events of the folders above that cover it
	Limit int           // events at most; 0: EventsPerAnswerMax
	Wait  time.Duration // how long to wait for the first event
	// Unsynced answers from what is known, without first waiting for the watcher: for the later answers of one stream.
	Unsynced bool
}

// EventsPerAnswerMax is how many events one answer of Changes holds at most.
const EventsPerAnswerMax = 10_000

// Changes are events in rising order of Seq, at most one for each path, and the Cursor behind them. More says that the feed
// goes on behind Cursor already.
type Changes struct {
	Cursor Cursor
	Events []Event
	More   bool
}
