//go:build !linux

package watcher

// A mountTable knows nothing here: every Barrier is a Rescan anyway.
type mountTable struct{}

func openMounts(string) (*mountTable, error) { return &mountTable{}, nil }

func (m *mountTable) changed() (mountChange, error) { return mountChange{}, nil }
func (m *mountTable) holdsFile(string) bool         { return false }
func (m *mountTable) close()                        {}
