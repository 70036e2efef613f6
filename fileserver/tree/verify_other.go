//go:build !linux

package tree

// uncache has no way to tell the system.
func (h handle) uncache() {}
