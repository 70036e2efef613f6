package hashing

import "sync"

// IndexRecordsMax is the default bound of an Index, in records.
const IndexRecordsMax = 4 << 20

const indexShards = 64 // a power of two; spreads the lock

// An Index remembers digests by inode and stamp, in memory, bounded. It is a cache: losing a record costs one hashing, and
// no record is believed unless the stamp agrees. Safe for concurrent use.
type Index struct {
	perShardMax int
	shards      [indexShards]indexShard
}

type indexShard struct {
	mu      sync.RWMutex
	records map[Inode]Record // guarded by mu
}

// NewIndex returns an empty Index of at most recordsMax records; 0 means IndexRecordsMax.
func NewIndex(recordsMax int) *Index {
	if recordsMax <= 0 {
		recordsMax = IndexRecordsMax
	}
	x := &Index{perShardMax: max(1, recordsMax/indexShards)}
	for i := range x.shards {
		x.shards[i].records = map[Inode]Record{}
	}
	return x
}

func (x *Index) shard(i Inode) *indexShard {
	h := (i.Ino ^ i.Dev<<32) * 0x9e3779b97f4a7c15
	return &x.shards[h>>58]
}

// Get returns the record of s's inode if it is of exactly the state s and can be trusted.
func (x *Index) Get(s Stamp) (Record, bool) {
	sh := x.shard(s.Inode())
	sh.mu.RLock()
	r, ok := sh.records[s.Inode()]
	sh.mu.RUnlock()
	if !ok || r.Stamp != s || !r.Trusted() {
		return Record{}, false
	}
	return r, true
}

// Has reports whether anything is remembered of an inode, in whatever state it was.
func (x *Index) Has(i Inode) bool {
	sh := x.shard(i)
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	_, ok := sh.records[i]
	return ok
}

// Put remembers r, forgetting what was known of the same inode, and some other record when the Index is full.
func (x *Index) Put(r Record) {
	i := r.Stamp.Inode()
	sh := x.shard(i)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if _, known := sh.records[i]; !known && len(sh.records) >= x.perShardMax {
		for victim := range sh.records {
			delete(sh.records, victim)
			break
		}
	}
	sh.records[i] = r
}

// Drop forgets an inode.
func (x *Index) Drop(i Inode) {
	sh := x.shard(i)
	sh.mu.Lock()
	delete(sh.records, i)
	sh.mu.Unlock()
}

// Len returns the number of records held.
func (x *Index) Len() int {
	n := 0
	for i := range x.shards {
		x.shards[i].mu.RLock()
		n += len(x.shards[i].records)
		x.shards[i].mu.RUnlock()
	}
	return n
}
