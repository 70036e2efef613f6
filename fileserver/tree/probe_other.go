//go:build !linux

package tree

import (
	"os"
	"runtime"
)

var errReadOnlyDisk error = os.ErrPermission

// probeSystem names the steps that are weaker here than on Linux.
func probeSystem(string) []Finding {
	return []Finding{
		{"system", false, runtime.GOOS + ": no read leases and no exchange of names; a digest is trusted only when the file " +
			"has been still for 2 s"},
		{"fine stamps", false, "a change within the clock's grain is found by reading the file again"},
	}
}
