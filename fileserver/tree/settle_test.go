package tree

// SettleNow ends every quarantine, as Close does: what was displaced is among the versions afterwards.
func (t *Tree) SettleNow() { t.quarantine.settleAll() }

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
