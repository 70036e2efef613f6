package tree

import (
	"crypto/rand"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"

	"freshet/hashing"
)

const (
	stateName     = "state.db"
	stateFormat   = 1                      // of everything in the file; a newer one is refused
	stateLockWait = 200 * time.Millisecond // how long openState waits for another process to leave
)

// Why the state of a root cannot be used.
var (
	ErrStateBusy    = errors.New("state is in use by another process")
	ErrAlgorithm    = errors.New("root is indexed with another hash algorithm")
	ErrStateNewer   = errors.New("state was written by a newer version")
	errStateDamaged = errors.New("state is damaged")
)

var (
	rootBucket  = []byte("root")
	identityKey = []byte("identity")
)

// castagnoli is the CRC-32C that guards what is kept in the state against bytes that went bad on disk.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A state is what of a root cannot be found out again by looking at its files. Each part has a bucket of its own in one file.
// A state without a file holds nothing.
type state struct {
	root      string // random id of the root
	algorithm hashing.Algorithm
	log       *slog.Logger
	file      string    // "": in memory
	db        *bbolt.DB // nil: in memory
	older     bool      // it may be the last state but one: one of the file's two meta pages is damaged

	broken atomic.Bool // bbolt panicked, and may hold its locks for ever: db must not be used any more
}

// openState opens the state of a root in an existing folder, or begins one. Without a folder nothing outlives the process.
// Errors: ErrStateBusy, ErrAlgorithm when the root was begun with another algorithm, ErrStateNewer. A file that is damaged is
// renamed, for whoever wants to look at it, and a new state is begun.
func openState(folder string, algorithm hashing.Algorithm, log *slog.Logger) (*state, error) {
	s := &state{root: randomID(), algorithm: algorithm, log: log}
	if folder == "" {
		return s, nil
	}
	s.file = filepath.Join(folder, stateName)
	err := s.openFile()
	if errors.Is(err, errStateDamaged) {
		if err = s.setAside(err); err == nil {
			err = s.openFile()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", s.file, err)
	}
	return s, nil
}

// randomID returns 80 random bits in lower-case base32.
func randomID() string { return strings.ToLower(rand.Text()[:epochBytes]) }

func (s *state) openFile() error {
	older, err := checkStateFile(s.file)
	if err != nil {
		return err
	}
	s.older = older
	err = survive(errStateDamaged, func() (err error) {
		s.db, err = bbolt.Open(s.file, 0o600, &bbolt.Options{Timeout: stateLockWait, FreelistType: bbolt.FreelistMapType})
		return err
	})
	if errors.Is(err, bbolterrors.ErrTimeout) {
		return ErrStateBusy
	}
	if err == nil {
		err = s.identify()
	}
	if err != nil {
		s.close()
	}
	return err
}

// checkStateFile looks through the whole file before anything trusts it. Meanwhile it shares the lock, so that no other
// process changes the file.
func checkStateFile(name string) (older bool, err error) {
	info, err := os.Stat(name)
	if errors.Is(err, os.ErrNotExist) || err == nil && info.Size() == 0 {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	err = survive(errStateDamaged, func() error {
		db, err := bbolt.Open(name, 0o600, &bbolt.Options{Timeout: stateLockWait, ReadOnly: true})
		var errno syscall.Errno
		switch {
		case errors.Is(err, bbolterrors.ErrTimeout):
			return ErrStateBusy
		case errors.As(err, &errno):
			return err // the file was not even read
		case err != nil:
			return fmt.Errorf("%w: %w", errStateDamaged, err)
		}
		defer db.Close()
		older, err = checkPages(name, db.Info().PageSize)
		return err
	})
	return older, err
}

// survive calls fn, and returns the error damaged if it panics or touches memory that a file cut short no longer backs: what
// bbolt does with a file that is not what it wrote.
func survive(damaged error, fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", damaged, r)
		}
	}()
	return fn()
}

// setAside renames a damaged file.
func (s *state) setAside(why error) error {
	aside := s.file + ".broken-" + time.Now().UTC().Format("20060102T150405.000000000Z")
	if err := os.Rename(s.file, aside); err != nil {
		return err
	}
	s.log.Error("the state of the root is damaged and begun anew; clients compare the tree once", "kept_as", aside, "why", why)
	return nil
}

// identify reads who the root is, or writes it down when the state is new.
func (s *state) identify() error {
	text := ""
	err := s.view(func(tx *bbolt.Tx) error {
		if b := tx.Bucket(rootBucket); b != nil {
			text = string(b.Get(identityKey))
		}
		return nil
	})
	if err != nil {
		return err
	}
	if text == "" {
		return s.update(func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists(rootBucket)
			if err != nil {
				return err
			}
			return b.Put(identityKey, []byte(formatIdentity(s.root, s.algorithm.String())))
		})
	}
	root, algorithm, err := parseIdentity(text)
	if err != nil {
		return err
	}
	if algorithm != s.algorithm.String() {
		return fmt.Errorf("%w: it is %s, not %s", ErrAlgorithm, algorithm, s.algorithm)
	}
	s.root = root
	return nil
}

// formatIdentity is the text form of a root's identity: "format root algorithm sum", the sum over all before it.
func formatIdentity(root, algorithm string) string {
	text := fmt.Sprintf("%d %s %s", stateFormat, root, algorithm)
	return fmt.Sprintf("%s %08x", text, crc32.Checksum([]byte(text), castagnoli))
}

// parseIdentity reads what formatIdentity writes. Every format begins with its number and ends with the sum.
func parseIdentity(text string) (root, algorithm string, err error) {
	end := strings.LastIndexByte(text, ' ')
	if end < 0 || text[end+1:] != fmt.Sprintf("%08x", crc32.Checksum([]byte(text[:end]), castagnoli)) {
		return "", "", fmt.Errorf("%w: identity %.80q", errStateDamaged, text)
	}
	words := strings.Split(text[:end], " ")
	if format, err := strconv.Atoi(words[0]); err == nil && format > stateFormat {
		return "", "", fmt.Errorf("%w: format %d, and this version knows %d", ErrStateNewer, format, stateFormat)
	}
	if len(words) != 3 || words[0] != strconv.Itoa(stateFormat) {
		return "", "", fmt.Errorf("%w: identity %.80q", errStateDamaged, text)
	}
	return words[1], words[2], nil
}

// view calls fn with a transaction that reads. It must not be called without a file.
func (s *state) view(fn func(tx *bbolt.Tx) error) error { return s.use(fn, (*bbolt.DB).View) }

// update calls fn with a transaction that is durable when update returns nil, and without effect if fn returns an error.
// It must not be called without a file. Nothing may be appended to the journal within fn.
func (s *state) update(fn func(tx *bbolt.Tx) error) error { return s.use(fn, (*bbolt.DB).Update) }

// use begins a transaction. Once the file has turned out to be damaged, every transaction fails with errStateDamaged until
// the next start, which sets the file aside.
func (s *state) use(fn func(tx *bbolt.Tx) error, begin func(*bbolt.DB, func(*bbolt.Tx) error) error) error {
	if s.broken.Load() {
		return fmt.Errorf("%w: it is not used any more", errStateDamaged)
	}
	whole := false
	err := survive(errStateDamaged, func() error {
		err := begin(s.db, fn)
		whole = true
		return err
	})
	if !whole {
		s.broken.Store(true)
	}
	return err
}

// close releases the file. One that turned out to be damaged stays open, and locked, until the process ends.
func (s *state) close() error {
	if s.db == nil || s.broken.Load() {
		return nil
	}
	db := s.db
	s.db = nil
	return survive(errStateDamaged, db.Close)
}
