package tree_test

import (
	"bytes"
	"os"
	"testing"
	"time"

	"freshet/hashing"
)

// tmpfs moves no stamp for a store through a mapping that was read before. A remembered digest is no proof there, and a
// change reads the file again under its lease.
func TestMappedStoreOnTmpfsIsNotOverwritten(t *testing.T) {
	t.Parallel()
	w := newSite(t, onTmpfs)
	d := ourselves.open(t, w.root, true)
	for _, size := range []int{100, 300_000} {
		before, after := bodyOf("before", size), bodyOf("after!", size)
		if err := os.WriteFile(w.path("a"), before, 0o644); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(hashing.RacyNanos) + 100*time.Millisecond)
		was := d.tag(t, w, "a")
		if err := readAndStoreMapped(w.path("a"), after); err != nil {
			t.Fatal(err)
		}
		got := d(request{Do: "replace", Name: "a", Was: was, Body: []byte("unseen")}).Outcome
		if got != errRefused.Error() {
			t.Errorf("replacing the version before the store: %s", got)
		}
		if b, err := os.ReadFile(w.path("a")); err != nil || !bytes.Equal(b, after) {
			t.Errorf("the store is gone: %d bytes, %v", len(b), err)
		}
	}
}
