package tree

import (
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"freshet/hashing"
)

// cacheFileBytesMax is the largest body that is kept in memory, in bytes.
const cacheFileBytesMax = 64 << 10

// A bodyCache keeps small bodies by what they are called. What it holds cannot be out of date: a digest names bytes, not a
// file.
type bodyCache struct {
	bytesMax int64

	mu     sync.Mutex
	bodies *simplelru.LRU[hashing.Digest, []byte] // guarded by mu
	bytes  int64                                  // guarded by mu
}

func newBodyCache(bytesMax int64) *bodyCache {
	c := &bodyCache{bytesMax: bytesMax}
	entriesMax := int(max(1, bytesMax/64))
	c.bodies, _ = simplelru.NewLRU(entriesMax, func(_ hashing.Digest, body []byte) { c.bytes -= int64(len(body)) })
	return c
}

// get returns the body called d, which must not be changed.
func (c *bodyCache) get(d hashing.Digest) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bodies.Get(d)
}

// put keeps a body, if it is small enough, and drops the least recently used ones over the bound.
func (c *bodyCache) put(d hashing.Digest, body []byte) {
	if len(body) > cacheFileBytesMax || int64(len(body)) > c.bytesMax {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bodies.Contains(d) {
		return
	}
	c.bytes += int64(len(body))
	c.bodies.Add(d, body)
	for c.bytes > c.bytesMax {
		c.bodies.RemoveOldest()
	}
}
