//go:build unix

package fileserver_test

import (
	"path/filepath"
	"syscall"
	"testing"
)

func makePipe(t *testing.T, w *world, dir string) {
	if err := syscall.Mkfifo(filepath.Join(w.root, dir, "pipe"), 0o644); err != nil {
		t.Fatal(err)
	}
}
