package tree

import "time"

// SettleNow ends every quarantine, as Close does: what was displaced is among the versions afterwards.
func (t *Tree) SettleNow() {
	for t.quarantine.settleAll(); len(t.quarantine.slots) > 0; t.quarantine.settleAll() {
		time.Sleep(time.Millisecond) // the tree's own round has some in hand
	}
}

// CacheBytes is what the bodies kept in memory take.
func (t *Tree) CacheBytes() int64 {
	t.cache.mu.Lock()
	defer t.cache.mu.Unlock()
	total := int64(0)
	for _, body := range t.cache.bodies.Values() {
		total += int64(len(body))
	}
	return total
}
