//go:build !linux

package watcher

import "os"

// isLeaf knows of no folder that there is none in it.
func isLeaf(*os.File) bool { return false }
