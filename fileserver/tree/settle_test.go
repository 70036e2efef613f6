package tree

// SettleNow ends every quarantine, as Close does: what was displaced is among the versions afterwards.
func (t *Tree) SettleNow() { t.quarantine.settleAll() }
