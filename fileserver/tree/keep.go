package tree

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"go.etcd.io/bbolt"

	"freshet/hashing"
)

const (
	keepFile        = "cache.db"
	keepOpenTime    = 100 * time.Millisecond // how long the lock of another server is waited for
	keepInterval    = time.Second            // between two writes
	keepBatchBytes  = 8 << 20                // of chunks in one transaction
	keepBlocksMax   = 1024                   // files whose block hashes wait to be written
	keepBlocksBytes = 16 << 20               // of block hashes that wait to be written
)

var (
	foldersBucket = []byte("folders 2")
	blocksBucket  = []byte("blocks 2")
	reachedBucket = []byte("reached 2")
	reachedKey    = []byte("cursor")
	errCacheBytes = errors.New("cache: bytes that nobody wrote")
)

// A keeper keeps what the picture knows on disk, so that a restart reads no file. It is a cache: whatever is wrong with it
// costs time only. Every value carries a checksum of itself and its key, and what bbolt makes of a damaged file, a panic or a
// fault included, ends in the cache not being used.
//
// A folder is kept as its chunks. The key of one is the folder's path, a NUL, and for a bucket 1 and its last name, for what
// comes last 2; the value of the last tells how many children there are.
type keeper struct {
	where string // "": nothing is kept
	every time.Duration
	log   *slog.Logger

	mu     sync.Mutex
	db     *bbolt.DB                 // guarded by mu; nil: nothing is kept
	upTo   Cursor                    // guarded by mu; everything up to this place of the feed is in the cache
	behind bool                      // guarded by mu; something was not written, so that upTo stays as it is
	blocks map[string]hashing.Record // guarded by mu; by path; block hashes that are to be written
	bytes  int                       // guarded by mu; of blocks
}

// newKeeper returns a keeper that has nothing until it is opened.
func newKeeper(folder string, log *slog.Logger) *keeper {
	k := &keeper{every: keepInterval, log: log, blocks: map[string]hashing.Record{}}
	if folder != "" {
		k.where = filepath.Join(folder, keepFile)
	}
	return k
}

// open opens the cache, or makes a new one. It never fails: without a cache everything is read again.
func (k *keeper) open() {
	if k.where == "" {
		return
	}
	name, log := k.where, k.log
	db, err := openCache(name)
	if errors.Is(err, errCacheBytes) {
		log.Warn("the cache of digests is damaged and is begun anew", "file", name, "error", err)
		_ = os.Remove(name)
		db, err = openCache(name)
	}
	if err != nil {
		log.Warn("digests are not kept on disk", "file", name, "error", err)
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.db = db
}

// openCache opens the cache, or makes a new one. Its pages are checked first: bbolt follows damaged ones in circles, or takes
// as much memory as they say, which no panic ends.
func openCache(name string) (db *bbolt.DB, err error) {
	if _, err := checkStateFile(name); errors.Is(err, errStateDamaged) {
		return nil, fmt.Errorf("%w: %w", errCacheBytes, err)
	} else if err != nil {
		return nil, err
	}
	err = survive(errCacheBytes, func() (err error) {
		if db, err = bbolt.Open(name, 0o600, &bbolt.Options{Timeout: keepOpenTime, FreelistType: bbolt.FreelistMapType}); err != nil {
			return err
		}
		return db.Update(func(tx *bbolt.Tx) (err error) {
			for _, name := range [][]byte{foldersBucket, blocksBucket, reachedBucket} {
				if _, err = tx.CreateBucketIfNotExists(name); err != nil {
					break
				}
			}
			return err
		})
	})
	if err != nil && db != nil {
		_ = closeCache(db)
		db = nil
	}
	return db, err
}

func closeCache(db *bbolt.DB) error { return survive(errCacheBytes, db.Close) }

// view reads from the cache. What goes wrong ends its use.
func (k *keeper) view(fn func(tx *bbolt.Tx) error) bool {
	k.mu.Lock()
	db := k.db
	k.mu.Unlock()
	if db == nil {
		return false
	}
	err := survive(errCacheBytes, func() error { return db.View(fn) })
	if err != nil {
		k.giveUp(db, err)
	}
	return err == nil
}

func (k *keeper) update(fn func(tx *bbolt.Tx) error) bool {
	k.mu.Lock()
	db := k.db
	k.mu.Unlock()
	if db == nil {
		return false
	}
	err := survive(errCacheBytes, func() error { return db.Update(fn) })
	if err != nil {
		k.giveUp(db, err)
	}
	return err == nil
}

// giveUp ends the use of a cache that failed. A damaged one is removed, so that the next start begins anew; it is not closed,
// since after a panic its locks may be held for ever.
func (k *keeper) giveUp(db *bbolt.DB, why error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.db != db {
		return
	}
	k.db = nil
	k.log.Warn("the cache of digests failed and is not used until the next start", "file", db.Path(), "error", why)
	if errors.Is(why, errCacheBytes) {
		_ = os.Remove(db.Path())
		return
	}
	_ = closeCache(db)
}

func (k *keeper) close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.db == nil {
		return nil
	}
	db := k.db
	k.db = nil
	return closeCache(db)
}

// sealed puts a checksum of a value and its key before the value.
func sealed(key, value []byte) []byte {
	sum := sealOf(key, value)
	return append(sum[:], value...)
}

// unsealed returns the value if its checksum is right.
func unsealed(key, value []byte) ([]byte, bool) {
	if len(value) < hashing.DigestBytes {
		return nil, false
	}
	value, seal := value[hashing.DigestBytes:], hashing.Digest(value[:hashing.DigestBytes])
	return value, sealOf(key, value) == seal
}

// sealOf combines the digests of a key and a value, of which neither has to be copied.
func sealOf(key, value []byte) hashing.Digest {
	sum, of := hashing.Sum(value), hashing.Sum(key)
	for i := range sum {
		sum[i] ^= of[i]
	}
	return sum
}

// folderPrefix begins the keys of a folder.
func folderPrefix(rel string) []byte { return append([]byte(rel), 0) }

func chunkKey(rel, last string, final bool) []byte {
	if final {
		return append(folderPrefix(rel), 2)
	}
	return append(append(folderPrefix(rel), 1), last...)
}

const chunkPrefaceBytes = 16 // the filesystem, and for the last chunk the number of children

// folder returns what is kept of the folder at rel on the filesystem fs.
func (k *keeper) folder(rel string, fs uint64) (b baseline) {
	count := uint64(1 << 63)
	k.view(func(tx *bbolt.Tx) error {
		prefix := folderPrefix(rel)
		c := tx.Bucket(foldersBucket).Cursor()
		for key, value := c.Seek(prefix); bytes.HasPrefix(key, prefix); key, value = c.Next() {
			value, ok := unsealed(key, value)
			if !ok || len(value) < chunkPrefaceBytes || binary.LittleEndian.Uint64(value) != fs {
				continue
			}
			if key[len(prefix)] == 2 {
				count = binary.LittleEndian.Uint64(value[8:])
			}
			if items := chunk(slices.Clone(value[chunkPrefaceBytes:])); items.valid() && items.len() > 0 {
				b.chunks = append(b.chunks, items)
			}
		}
		return nil
	})
	b.known, b.saved = uint64(b.count()) == count, true
	for i := 1; i < len(b.chunks); i++ {
		if b.chunks[i-1].last() >= string(b.chunks[i].name(0)) {
			return baseline{}
		}
	}
	return b
}

// file returns what is kept of one file, without its blocks.
func (k *keeper) file(rel string, fs uint64, s hashing.Stamp) (rec hashing.Record, found bool) {
	folder, name := splitPath(rel)
	k.view(func(tx *bbolt.Tx) error {
		prefix := folderPrefix(folder)
		key, value := tx.Bucket(foldersBucket).Cursor().Seek(chunkKey(folder, name, false))
		value, ok := unsealed(key, value)
		if !bytes.HasPrefix(key, prefix) || !ok || len(value) < chunkPrefaceBytes ||
			binary.LittleEndian.Uint64(value) != fs {
			return nil
		}
		items := chunk(slices.Clone(value[chunkPrefaceBytes:]))
		if !items.valid() {
			return nil
		}
		if it, ok := items.find(name); ok && it.proves(s) {
			rec, found = it.record(s.Dev), true
		}
		return nil
	})
	return rec, found
}

// proves reports whether a file in the state s, on the device of its folder, may be taken to have the item's digest.
func (it *item) proves(s hashing.Stamp) bool {
	return it.isFile() && !it.digest.IsZero() && it.ino == s.Ino && it.size == s.Size && it.ctime == s.Ctime &&
		it.flags&itemTrusted != 0 && it.flags&itemForeign == 0
}

// A folderKeep is a folder to be written.
type folderKeep struct {
	rel    string
	fs     uint64
	count  int
	files  int64   // in it and below, for the root
	chunks []chunk // those of buckets, and the last
	write  []bool  // which of them are new
}

// reached returns the place of the feed up to which everything is in the cache; zero if that is not known.
func (k *keeper) reached() (c Cursor) {
	k.view(func(tx *bbolt.Tx) error {
		if text, ok := unsealed(reachedKey, tx.Bucket(reachedBucket).Get(reachedKey)); ok {
			c, _ = ParseCursor(string(text))
		}
		return nil
	})
	k.mu.Lock()
	defer k.mu.Unlock()
	k.upTo = c
	return c
}

// lacks reports whether the cache does not say yet that it knows everything up to a place, and may.
func (k *keeper) lacks(upTo Cursor) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.db != nil && !k.behind && !upTo.IsZero() && k.upTo != upTo
}

// fallBehind says that what was to be saved was not.
func (k *keeper) fallBehind() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.behind = true
}

// save writes folders in one transaction, and forgets those that are gone, with all below them. With it everything that the
// feed tells up to a place is in the cache; the zero Cursor leaves that as it is.
func (k *keeper) save(folders []folderKeep, gone []string, upTo Cursor) bool {
	reached := k.lacks(upTo)
	saved := k.write(folders, gone, func(tx *bbolt.Tx) error {
		if !reached {
			return nil
		}
		return tx.Bucket(reachedBucket).Put(reachedKey, sealed(reachedKey, []byte(upTo.String())))
	})
	if k.mu.Lock(); saved && reached {
		k.upTo = upTo
	}
	k.mu.Unlock()
	return saved
}

func (k *keeper) write(folders []folderKeep, gone []string, last func(tx *bbolt.Tx) error) bool {
	blocks := k.takeBlocks()
	return k.update(func(tx *bbolt.Tx) error {
		all := tx.Bucket(foldersBucket)
		for _, rel := range gone {
			if err := forgetBelow(all, rel); err != nil {
				return err
			}
			if err := forgetBelow(tx.Bucket(blocksBucket), rel); err != nil {
				return err
			}
			if err := tx.Bucket(blocksBucket).Delete([]byte(rel)); err != nil {
				return err
			}
		}
		for i := range folders {
			if folders[i].rel == "" {
				_ = all.SetSequence(uint64(max(folders[i].files, 0)))
			}
			if err := folders[i].save(all); err != nil {
				return err
			}
		}
		for rel, rec := range blocks {
			key := []byte(rel)
			if err := tx.Bucket(blocksBucket).Put(key, sealed(key, blocksValue(rec))); err != nil {
				return err
			}
		}
		return last(tx)
	})
}

func (f *folderKeep) save(all *bbolt.Bucket) error {
	keys := make(map[string]bool, len(f.chunks)+1)
	for i, c := range f.chunks {
		final := i == len(f.chunks)-1
		key := chunkKey(f.rel, c.last(), final)
		keys[string(key)] = true
		if !f.write[i] && !final {
			continue
		}
		value := binary.LittleEndian.AppendUint64(make([]byte, 0, chunkPrefaceBytes+len(c)), f.fs)
		value = binary.LittleEndian.AppendUint64(value, uint64(f.count))
		if err := all.Put(key, sealed(key, append(value, c...))); err != nil {
			return err
		}
	}
	prefix := folderPrefix(f.rel)
	var old [][]byte
	c := all.Cursor()
	for key, _ := c.Seek(prefix); bytes.HasPrefix(key, prefix); key, _ = c.Next() {
		if !keys[string(key)] {
			old = append(old, slices.Clone(key))
		}
	}
	return forgetKeys(all, old)
}

// forgetBelow deletes the keys of a path and of all paths below it.
func forgetBelow(all *bbolt.Bucket, rel string) error {
	var old [][]byte
	c := all.Cursor()
	for _, prefix := range []string{rel + "\x00", rel + "/"} {
		for key, _ := c.Seek([]byte(prefix)); bytes.HasPrefix(key, []byte(prefix)); key, _ = c.Next() {
			old = append(old, slices.Clone(key))
		}
	}
	return forgetKeys(all, old)
}

func forgetKeys(all *bbolt.Bucket, keys [][]byte) error {
	for _, key := range keys {
		if err := all.Delete(key); err != nil {
			return err
		}
	}
	return nil
}

// sweep forgets folders that are not there, and block hashes of files that have none, as told.
func (k *keeper) sweep(exists, hasBlocks func(rel string) bool) {
	var old []string
	k.view(func(tx *bbolt.Tx) error {
		c := tx.Bucket(foldersBucket).Cursor()
		for key, _ := c.First(); key != nil; {
			rel, _, _ := bytes.Cut(key, []byte{0})
			if !exists(string(rel)) {
				old = append(old, string(rel))
			}
			key, _ = c.Seek(append(slices.Clone(rel), 1)) // behind the keys of this folder
		}
		return tx.Bucket(blocksBucket).ForEach(func(key, _ []byte) error {
			if !hasBlocks(string(key)) {
				old = append(old, string(key))
			}
			return nil
		})
	})
	if len(old) > 0 {
		k.save(nil, old, Cursor{})
	}
}

// files returns how many files there were at the last save of the root, as far as is known.
func (k *keeper) files() (n int64) {
	k.view(func(tx *bbolt.Tx) error {
		n = int64(tx.Bucket(foldersBucket).Sequence())
		return nil
	})
	return n
}

// hasBlocks reports whether block hashes wait to be written.
func (k *keeper) hasBlocks() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.blocks) > 0
}

// later has the block hashes of a file written with the next save. Beyond its bounds they are dropped: the file is hashed
// again when it is asked for after a restart.
func (k *keeper) later(rel string, rec hashing.Record) {
	k.mu.Lock()
	defer k.mu.Unlock()
	size := 8 * len(rec.Blocks)
	if k.db == nil || rec.Blocks == nil || !rec.Trusted() || len(k.blocks) >= keepBlocksMax || k.bytes+size > keepBlocksBytes {
		return
	}
	k.blocks[rel] = rec
	k.bytes += size
}

func (k *keeper) takeBlocks() map[string]hashing.Record {
	k.mu.Lock()
	defer k.mu.Unlock()
	blocks := k.blocks
	k.blocks, k.bytes = map[string]hashing.Record{}, 0
	return blocks
}

func blocksValue(rec hashing.Record) []byte {
	v := append(make([]byte, 0, hashing.DigestBytes+8*len(rec.Blocks)), rec.Digest[:]...)
	for _, b := range rec.Blocks {
		v = binary.LittleEndian.AppendUint64(v, b)
	}
	return v
}

// blocksOf returns the block hashes of a file whose digest is known.
func (k *keeper) blocksOf(rel string, rec *hashing.Record) (found bool) {
	want := int((rec.Stamp.Size + hashing.BlockBytes - 1) / hashing.BlockBytes)
	k.view(func(tx *bbolt.Tx) error {
		value, ok := unsealed([]byte(rel), tx.Bucket(blocksBucket).Get([]byte(rel)))
		if !ok || len(value) != hashing.DigestBytes+8*want || !bytes.Equal(value[:hashing.DigestBytes], rec.Digest[:]) {
			return nil
		}
		rec.Blocks = make([]uint64, want)
		for i := range rec.Blocks {
			rec.Blocks[i] = binary.LittleEndian.Uint64(value[hashing.DigestBytes+8*i:])
		}
		found = true
		return nil
	})
	return found
}
