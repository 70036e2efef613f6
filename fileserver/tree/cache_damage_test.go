//go:build linux

package tree_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"freshet/fileserver/tree"
)

const (
	damageRounds   = 60
	damageSoakTime = time.Minute
	damageFolders  = 120
)

// A damage is what may have become of the cache while no server ran. It may return nil for no cache at all.
type damage struct {
	name string
	do   func(cache []byte, r *rand.Rand) []byte
}

var damages = []damage{
	{"none", func(b []byte, _ *rand.Rand) []byte { return b }},
	{"deleted", func([]byte, *rand.Rand) []byte { return nil }},
	{"empty", func([]byte, *rand.Rand) []byte { return []byte{} }},
	{"garbage", func(b []byte, r *rand.Rand) []byte {
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}},
	{"zeros", func(b []byte, _ *rand.Rand) []byte { return make([]byte, len(b)) }},
	{"a_branch_that_leads_to_itself", func(b []byte, _ *rand.Rand) []byte {
		eachPage(b, pageIsBranch, func(id uint64, page []byte) {
			for at := 16; at < 16+16*int(binary.NativeEndian.Uint16(page[10:])); at += 16 {
				binary.NativeEndian.PutUint64(page[at+8:], id)
			}
		})
		return b
	}},
	{"more_free_pages_than_memory", func(b []byte, _ *rand.Rand) []byte {
		eachPage(b, pageIsFreelist, func(_ uint64, page []byte) {
			binary.NativeEndian.PutUint16(page[10:], 0xffff)
			binary.NativeEndian.PutUint64(page[16:], 1<<45)
		})
		return b
	}},
	{"pages_in_use_and_free", func(b []byte, _ *rand.Rand) []byte {
		eachPage(b, pageIsFreelist, func(_ uint64, page []byte) {
			binary.NativeEndian.PutUint16(page[10:], 8)
			for i := range 8 {
				binary.NativeEndian.PutUint64(page[16+8*i:], uint64(3+i))
			}
		})
		return b
	}},
	{"truncated", func(b []byte, r *rand.Rand) []byte { return b[:r.IntN(len(b))] }},
	{"pages_exchanged", func(b []byte, r *rand.Rand) []byte {
		size, other := os.Getpagesize(), make([]byte, os.Getpagesize())
		a, c := r.IntN(len(b)/size)*size, r.IntN(len(b)/size)*size
		copy(other, b[a:a+size])
		copy(b[a:a+size], b[c:c+size])
		copy(b[c:], other)
		return b
	}},
	{"a_bit_flipped", func(b []byte, r *rand.Rand) []byte {
		b[r.IntN(len(b))] ^= 1 << r.IntN(8)
		return b
	}},
	{"many_bits_flipped", func(b []byte, r *rand.Rand) []byte {
		for range 1 + r.IntN(200) {
			b[r.IntN(len(b))] ^= 1 << r.IntN(8)
		}
		return b
	}},
}

// The file format of the cache, as far as it is damaged here on purpose.
const (
	pageIsBranch   = 0x01
	pageIsFreelist = 0x10
)

func eachPage(b []byte, kind uint16, fn func(id uint64, page []byte)) {
	for at, size := 0, os.Getpagesize(); at+size <= len(b); at += size {
		page := b[at : at+size]
		if binary.NativeEndian.Uint64(page) == uint64(at/size) && binary.NativeEndian.Uint16(page[8:]) == kind {
			fn(uint64(at/size), page)
		}
	}
}

// A kept is a root that was served before, while it is served by nobody.
type kept struct {
	t      *testing.T
	root   string
	follow *follower
}

func keptTree(t *testing.T) *kept {
	t.Helper()
	k := &kept{t: t, root: t.TempDir()}
	needDisk(t, k.root) // elsewhere nothing is taken from the cache while files are young
	for i := range damageFolders {
		folder := filepath.Join(k.root, fmt.Sprintf("folder %03d", i), "sub")
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		for j := range 3 {
			write(t, folder, fmt.Sprint("file ", j), fmt.Sprint(i, j))
		}
	}
	tr, stop := k.start(tree.Options{})
	k.follow = follow(t, tr)
	stop()
	return k
}

func (k *kept) cache() string { return filepath.Join(k.root, tree.Reserved, "cache.db") }

// start serves the root until stop is called.
func (k *kept) start(o tree.Options) (tr *tree.Tree, stop func()) {
	k.t.Helper()
	if o.Write = true; o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	tr, err := tree.New(k.root, o)
	if err != nil {
		k.t.Fatal(err)
	}
	tr.KeepEvery(fast.Keep)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- tr.Run(ctx) }()
	return tr, func() {
		k.t.Helper()
		cancel()
		if err := <-ended; err != nil {
			k.t.Errorf("Run: %v", err)
		}
		if err := tr.Close(); err != nil {
			k.t.Errorf("Close: %v", err)
		}
	}
}

// right serves the root, and holds that everything is as on disk and that a follower learns of what has changed.
func (k *kept) right() (hashed uint64) {
	k.t.Helper()
	tr, stop := k.start(tree.Options{})
	defer stop()
	agrees(k.t, tr, k.root, "")
	k.follow.tree = tr
	k.follow.catchUp()
	differences(k.t, "the follower", k.follow.seen, snapshotOf(k.t, k.root))
	return tr.Stats().HashedInBackground
}

// change makes a few changes that nobody sees.
func (k *kept) change(r *rand.Rand) {
	folder := filepath.Join(k.root, fmt.Sprintf("folder %03d", r.IntN(damageFolders)), "sub")
	write(k.t, folder, fmt.Sprint("file ", r.IntN(3)), fmt.Sprint(r.Uint64()))
	write(k.t, folder, fmt.Sprint("new ", r.IntN(3)), fmt.Sprint(r.Uint64()))
	removeAll(k.t, folder, fmt.Sprint("new ", r.IntN(3)))
}

// TestCacheDamaged starts servers with a cache that something has happened to: what they say is right all the same.
func TestCacheDamaged(t *testing.T) {
	k := keptTree(t)
	seed := rand.Uint64()
	r, began := rand.New(rand.NewPCG(seed, 0)), time.Now()
	for round := 0; round < damageRounds || *tree.Soak && time.Since(began) < damageSoakTime; round++ {
		d := damages[min(round, len(damages)-1)]
		if round >= len(damages) {
			d = damages[len(damages)-1-r.IntN(4)]
		}
		cache, err := os.ReadFile(k.cache())
		if err != nil {
			t.Fatal(err)
		}
		cache = d.do(cache, r)
		removeAll(t, filepath.Dir(k.cache()), "cache.db")
		if cache != nil {
			write(t, filepath.Dir(k.cache()), "cache.db", string(cache))
		}
		k.change(r)
		hashed := k.right()
		if d.name == "none" && hashed > 6 {
			t.Errorf("hashed %d files, though the cache was whole", hashed)
		}
		if t.Failed() {
			t.Fatalf("%s, in round %d of seed %d", d.name, round, seed)
		}
	}
}
