package fileserver

import (
	"cmp"
	"time"
)

// Default limits. Each can be set in Limits.
const (
	HeaderBytesMax       = 64 << 10         // bytes of a request's line and header
	HeaderTimeMax        = 10 * time.Second // for a request's header to arrive
	BodyIdleTimeMax      = 60 * time.Second // in which BodyProgressBytesMin must move, in a body on its way in or out
	BodyProgressBytesMin = 4 << 10          // bytes; fewer count as no progress
	BufferTimeMax        = 20 * time.Second // that a large body waits for a buffer (tree.Options.BodyBytesMax)
	IdleTimeMax          = 2 * time.Minute  // between two requests on one connection
	ConnectionsMax       = 4096             // connections open at once
	ShutdownTimeMax      = 10 * time.Second // for requests under way to finish when the server stops
)

// Limits that are not set.
const (
	listedEntriesMax  = 1 << 21 // entries of all listings that are being sent; at least one listing of any size may be
	connectionsShare  = 2       // one of so many file descriptors may be a connection, whatever ConnectionsMax says
	formFieldsMax     = 16      // fields of a form that are not files
	formFieldBytesMax = 4 << 10 // bytes of one of them
	formFilesMax      = 1000    // files in one form
	hostBytesMax      = 255     // bytes of a Host field that is looked at
)

// Limits bound what clients can take. A field that is zero means the default above.
type Limits struct {
	HeaderBytesMax       int
	HeaderTimeMax        time.Duration
	BodyIdleTimeMax      time.Duration
	BodyProgressBytesMin int64
	BufferTimeMax        time.Duration
	IdleTimeMax          time.Duration
	ConnectionsMax       int
	ShutdownTimeMax      time.Duration
}

func (l Limits) withDefaults() Limits {
	return Limits{
		HeaderBytesMax:       cmp.Or(l.HeaderBytesMax, HeaderBytesMax),
		HeaderTimeMax:        cmp.Or(l.HeaderTimeMax, HeaderTimeMax),
		BodyIdleTimeMax:      cmp.Or(l.BodyIdleTimeMax, BodyIdleTimeMax),
		BodyProgressBytesMin: cmp.Or(l.BodyProgressBytesMin, BodyProgressBytesMin),
		BufferTimeMax:        cmp.Or(l.BufferTimeMax, BufferTimeMax),
		IdleTimeMax:          cmp.Or(l.IdleTimeMax, IdleTimeMax),
		ConnectionsMax:       cmp.Or(l.ConnectionsMax, ConnectionsMax),
		ShutdownTimeMax:      cmp.Or(l.ShutdownTimeMax, ShutdownTimeMax),
	}
}
