package fileserver_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"freshet/fileserver/tree"
	"freshet/hashing"
)

// TestFolderSwappedUnderReaders exchanges two folders over and over while a file in them is read. Each state has a tag that
// is known, so what is described and what is opened for sending may be two files: that shows before the first byte, and the
// file is opened again. No body is ever sent under the tag of the other.
func TestFolderSwappedUnderReaders(t *testing.T) {
	t.Parallel()
	w := newWorldOf(t, fastFolder(t), tree.Options{})
	w.file(t, "d/big", strings.Repeat("x", 200<<10)) // more than is kept in memory
	w.file(t, "e/big", strings.Repeat("y", 200<<10))
	for _, path := range []string{"/d/big", "/e/big"} {
		w.ask(t, "GET", path, "")
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		d, e := filepath.Join(w.root, "d"), filepath.Join(w.root, "e")
		for {
			select {
			case <-done:
				return
			case <-time.After(200 * time.Microsecond):
				if err := unix.Renameat2(unix.AT_FDCWD, d, unix.AT_FDCWD, e, unix.RENAME_EXCHANGE); err != nil {
					t.Errorf("exchange: %v", err)
					return
				}
			}
		}
	}()
	const requests = 300
	unstable := 0
	for range requests {
		a := w.ask(t, "GET", "/d/big", "")
		switch {
		case a.status == 503:
			unstable++
		case a.status != 200:
			t.Errorf("status %d: %.200s", a.status, a.body)
		case !a.cut && a.header.Get("ETag") != hashing.Sum([]byte(a.body)).ETag():
			t.Errorf("a body of %d bytes has the tag of another", len(a.body))
		}
	}
	close(done)
	<-ended
	if unstable > 0 {
		t.Errorf("%d answers of %d were 503", unstable, requests)
	}
}
