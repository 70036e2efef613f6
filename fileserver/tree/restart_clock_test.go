package tree

import (
	"testing"
	"time"

	"freshet/hashing"
)

// A clock that was set back leaves files behind whose stamps lie in the future: what was read of them without a lease is never
// taken for known, neither by the picture nor by the cache.
func TestStampsFromTheFuture(t *testing.T) {
	now := time.Now().UnixNano()
	for _, tt := range []struct {
		name      string
		ctime     int64
		certified bool
		trusted   bool
	}{
		{"long_ago", now - int64(time.Hour), false, true},
		{"now", now, false, false},
		{"in_a_moment", now + int64(time.Second), false, false},
		{"in_an_hour", now + int64(time.Hour), false, false},
		{"in_an_hour_under_a_lease", now + int64(time.Hour), true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			stamp := hashing.Stamp{Dev: 1, Ino: 2, Size: 3, Ctime: tt.ctime}
			rec := hashing.Record{Stamp: stamp, Digest: hashing.Sum([]byte("abc")), Began: now, Certified: tt.certified}
			it := item{name: "a", kind: KindFile, ino: 2, size: 3, ctime: tt.ctime}
			it.setRecord(&rec)
			if got := it.proves(stamp); got != tt.trusted {
				t.Errorf("the picture takes it for known: %v", got)
			}
			var b chunkBuilder
			b.add(&it)
			m := meta{stamp: stamp, mode: 0o100644}
			if got := b.take().unchanged(0, &m, 1); got != tt.trusted {
				t.Errorf("the cache takes it for known: %v", got)
			}
		})
	}
}
