package tree

import (
	"log/slog"
	"time"

	"freshet/hashing"
)

// Symlinks says which symbolic links are followed.
type Symlinks string

const (
	SymlinksInside   Symlinks = "inside"   // relative links, while they stay in the root
	SymlinksNever    Symlinks = "never"    // none
	SymlinksAnywhere Symlinks = "anywhere" // for reading only, all; changes follow those inside
)

// Default limits. Each can be set in Options.
const (
	UploadsMax        = 256                 // uploads staged at once
	UploadBytesMax    = int64(1) << 40      // bytes of one upload
	BodyBytesMax      = int64(256) << 20    // bytes of buffers for bodies being sent
	CacheBytesMax     = int64(64) << 20     // bytes of small bodies kept in memory
	VersionsAgeMax    = 30 * 24 * time.Hour // how long a displaced file is kept
	VersionsShareMax  = 0.10                // share of the filesystem that versions may take
	VersionsFilesMax  = 100_000             // displaced files kept
	StageShareMax     = 0.50                // share of the filesystem that staged uploads may take
	HashWaitMax       = 10 * time.Second    // how long a request waits for a tag
	QuarantineTimeMax = 5 * time.Second     // how long a displaced file is watched for a late writer
	RescanInterval    = time.Hour           // between looks at everything for what no event told of
	InUseWaitMax      = 2 * time.Second     // how long a change waits for a local writer to finish
)

// Options say how a Tree is served. The zero value is a read-only tree with the limits above.
type Options struct {
	Write    bool
	Symlinks Symlinks // "" means SymlinksInside
	// Only, if set, is the one name in the root that is served; everything else is absent. Read-only.
	Only string
	// State is the folder for staged uploads and versions, on the root's filesystem; "" means Reserved in the root. It is
	// used only with Write.
	State string
	// Algorithm computes digests. A root keeps to the one it was first served with.
	Algorithm hashing.Algorithm
	Log       *slog.Logger // nil: slog.Default()

	UploadsMax       int
	UploadBytesMax   int64
	StageBytesMax    int64 // 0: StageShareMax of the filesystem
	BodyBytesMax     int64 // at least copyBytesMax
	CacheBytesMax    int64
	VersionsAgeMax   time.Duration // 0: the default; negative: no versions are kept
	VersionsBytesMax int64         // 0: VersionsShareMax of the filesystem
	VersionsFilesMax int
	HashWaitMax      time.Duration

	// RescanInterval is how often everything is looked at for changes that no event told of; 0: RescanInterval.
	RescanInterval time.Duration
}

// withDefaults fills in the limits that are zero.
func (o Options) withDefaults() Options {
	def(&o.Symlinks, SymlinksInside)
	def(&o.UploadsMax, UploadsMax)
	def(&o.UploadBytesMax, UploadBytesMax)
	def(&o.BodyBytesMax, BodyBytesMax)
	def(&o.CacheBytesMax, CacheBytesMax)
	def(&o.VersionsAgeMax, VersionsAgeMax)
	def(&o.VersionsFilesMax, VersionsFilesMax)
	def(&o.HashWaitMax, HashWaitMax)
	def(&o.RescanInterval, RescanInterval)
	o.BodyBytesMax = max(o.BodyBytesMax, copyBytesMax) // what one body may need
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return o
}

func def[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
