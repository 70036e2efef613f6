package tree

import (
	"errors"
	"io/fs"
)

// What a path can be refused for, before any file is touched.
var (
	ErrName     = errors.New("not a usable path")
	ErrReserved = errors.New("name is reserved")
)

// What can be in the way of reading or changing.
var (
	ErrNotExist    = fs.ErrNotExist
	ErrExist       = fs.ErrExist
	ErrPermission  = fs.ErrPermission
	ErrNoParent    = errors.New("parent folder does not exist")
	ErrIsFolder    = errors.New("is a folder")
	ErrNotFolder   = errors.New("is not a folder")
	ErrSpecial     = errors.New("is not a regular file or folder")
	ErrOutside     = errors.New("link is not followed")           // leaves the root, or links are not followed at all
	ErrSame        = errors.New("source and destination are one") // also: one inside the other
	ErrReadOnly    = errors.New("tree is read-only")
	ErrCrossDevice = errors.New("destination is on another filesystem")
	ErrNoVersion   = errors.New("no such version")
)

// What may pass with time.
var (
	ErrInUse        = errors.New("a local program is writing the file")
	ErrUnstable     = errors.New("file keeps changing") // no still state within commitTriesMax tries
	ErrTooManyFiles = errors.New("no file descriptors left")
	ErrBusy         = errors.New("too much at once")
	ErrRootGone     = errors.New("the served folder is gone")
	ErrTorn         = errors.New("file changed while it was sent") // the body must be cut short
)

// What a limit refuses.
var (
	ErrNoSpace  = errors.New("no space left")
	ErrTooLarge = errors.New("larger than allowed")
)

// ErrUnsynced says that a change was made but could not be made durable: what is on disk after a power cut is unknown.
var ErrUnsynced = errors.New("change could not be made durable")

// ErrLocked says that another server writes to the same root.
var ErrLocked = errors.New("another server has this folder open for writing")

// errNoExchange says that the filesystem cannot swap two names in one step.
var errNoExchange = errors.New("names cannot be exchanged here")
