package hashing_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/zeebo/xxh3"
	"pgregory.net/rapid"

	"freshet/hashing"
)

var algorithms = []hashing.Algorithm{hashing.XXH3, hashing.BLAKE3}

// A child is what a fingerprint says of one child of a folder.
type child struct {
	kind byte
	name string
	size int64
	tag  hashing.Digest
}

// numbered returns n children of all kinds, with so many dots behind the numbers that are their names.
func numbered(n, dots int) []child {
	children := make([]child, n)
	for i := range children {
		c := &children[i]
		c.kind, c.name, c.size = "fxdl"[i%4], fmt.Sprintf("%05d", i)+strings.Repeat(".", dots), int64(i)*1000
		binary.LittleEndian.PutUint64(c.tag[:], uint64(i)+1)
		binary.LittleEndian.PutUint64(c.tag[8:], 0xfeed)
	}
	return children
}

func addAll(h *hashing.FolderHasher, children []child) {
	for _, c := range children {
		h.Add(c.kind, []byte(c.name), c.size, c.tag)
	}
}

// buckets returns the fingerprints of the buckets that children fall into.
func buckets(h *hashing.FolderHasher, children []child) []hashing.Digest {
	var fingerprints []hashing.Digest
	for from, i := 0, 0; i < len(children); i++ {
		if last := i == len(children)-1; last || hashing.EndsBucket([]byte(children[i].name)) {
			h.ResetBucket(uint64(i + 1 - from))
			addAll(h, children[from:i+1])
			fingerprints = append(fingerprints, h.Digest())
			from = i + 1
		}
	}
	return fingerprints
}

// fingerprint returns that of a folder, by the form that so many children take.
func fingerprint(h *hashing.FolderHasher, children []child) hashing.Digest {
	count := uint64(len(children))
	if count >= hashing.BucketedChildrenMin {
		return h.Buckets(count, buckets(h, children))
	}
	h.Reset(count)
	addAll(h, children)
	return h.Digest()
}

// plainly is fingerprint written again from the description of the format, without care for speed.
func plainly(a hashing.Algorithm, children []child) hashing.Digest {
	if len(children) <= 4096 {
		return plainList(a, "freshet-dir-1\x00", children)
	}
	whole := bytes.NewBufferString("freshet-dirs-1\x00")
	_ = binary.Write(whole, binary.LittleEndian, uint64(len(children)))
	var bucket []child
	for _, c := range children {
		bucket = append(bucket, c)
		if xxh3.HashString(c.name)%256 == 0 {
			d := plainList(a, "freshet-bucket-1\x00", bucket)
			whole.Write(d[:])
			bucket = nil
		}
	}
	if len(bucket) > 0 {
		d := plainList(a, "freshet-bucket-1\x00", bucket)
		whole.Write(d[:])
	}
	return a.Sum(whole.Bytes())
}

func plainList(a hashing.Algorithm, header string, children []child) hashing.Digest {
	text := bytes.NewBufferString(header)
	_ = binary.Write(text, binary.LittleEndian, uint64(len(children)))
	for _, c := range children {
		text.WriteByte(c.kind)
		_ = binary.Write(text, binary.LittleEndian, uint16(len(c.name)))
		text.WriteString(c.name)
		if c.kind == 'd' || c.kind == 'l' {
			c.size = 0
		}
		_ = binary.Write(text, binary.LittleEndian, c.size)
		text.Write(c.tag[:])
	}
	return a.Sum(text.Bytes())
}

// The sums were made by xxhsum -H128, and by b3sum cut to half, of bytes that another program put together.
func TestFingerprintVectors(t *testing.T) {
	for _, c := range []struct {
		name         string
		children     []child
		xxh3, blake3 string
	}{
		{"empty", nil, "fdebf961efb174e5e77fcaa6219b812e", "856503b2a65ba6ba72ca8add18c88a97"},
		{"one_of_each_kind", numbered(4, 0), "35993b4d7704629bd78a03a89055c197", "59b52d2a7f73a91d42340459c33e5b34"},
		{"fullest_flat", numbered(4096, 0), "57101a56a5285414c8f81bfe31a4de1e", "86e5da7629b7ef22d431d1b4ddefd899"},
		{"with_long_names", numbered(4096, 100), "74b56f3990ff44ed620709a6b6730eb8", "b346b24600eac14b6b3ed36672f5aded"},
		{"bucketed", numbered(4097, 0), "bb8b7ec6b5afe38942c462fddef7e1ef", "552de894cf8a89d4b591c0c36f363023"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, a := range algorithms {
				want := c.xxh3
				if a == hashing.BLAKE3 {
					want = c.blake3
				}
				if got := fingerprint(hashing.NewFolderHasher(a), c.children).String(); got != want {
					t.Errorf("%s: %s, want %s", a, got, want)
				}
				if got := plainly(a, c.children).String(); got != want {
					t.Errorf("%s, plainly: %s, want %s", a, got, want)
				}
			}
		})
	}
}

// xxhsum -H3 prints a sum that ends in 00 for the first of these names only.
func TestEndsBucket(t *testing.T) {
	for name, want := range map[string]bool{"00078": true, "00000": false, "00001": false, "": false} {
		if got := hashing.EndsBucket([]byte(name)); got != want {
			t.Errorf("EndsBucket(%q) = %v", name, got)
		}
	}
}

// someChildren draws children in the order of their names, which are any bytes.
func someChildren(t *rapid.T, countMax int) []child {
	names := rapid.SliceOfNDistinct(rapid.SliceOfN(rapid.Byte(), 1, 20), 0, countMax, func(b []byte) string { return string(b) }).
		Draw(t, "names")
	slices.SortFunc(names, bytes.Compare)
	children := make([]child, len(names))
	for i, name := range names {
		children[i] = child{
			kind: rapid.SampledFrom([]byte("fxdl")).Draw(t, "kind"),
			name: string(name),
			size: rapid.Int64Range(0, 1<<60).Draw(t, "size"),
			tag:  hashing.Sum([]byte{rapid.Byte().Draw(t, "tag")}),
		}
	}
	return children
}

// TestFingerprintDependsOnChildrenOnly uses one hasher for one folder after another, of all forms and lengths.
func TestFingerprintDependsOnChildrenOnly(t *testing.T) {
	many := numbered(6000, 0)
	for _, a := range algorithms {
		h := hashing.NewFolderHasher(a)
		rapid.Check(t, func(t *rapid.T) {
			children := someChildren(t, 20)
			if rapid.IntRange(0, 9).Draw(t, "of many") == 0 {
				n := rapid.IntRange(4090, len(many)).Draw(t, "count")
				from := rapid.IntRange(0, len(many)-n).Draw(t, "from")
				children = many[from : from+n]
			}
			if got, want := fingerprint(h, children), plainly(a, children); got != want {
				t.Fatalf("%s of %d children: %s, want %s", a, len(children), got, want)
			}
		})
	}
}

// TestLongFoldersLeaveNothingBehind uses one hasher for folders that are longer than what is gathered, and others.
func TestLongFoldersLeaveNothingBehind(t *testing.T) {
	long, longer, short := numbered(4000, 80), numbered(4096, 200), numbered(3, 0)
	for _, a := range algorithms {
		h := hashing.NewFolderHasher(a)
		for i, children := range [][]child{long, longer, short, long, short, short} {
			if got, want := fingerprint(h, children), plainly(a, children); got != want {
				t.Errorf("%s of folder %d: %s, want %s", a, i, got, want)
			}
		}
	}
}

func TestEachFieldChangesTheFingerprint(t *testing.T) {
	for _, n := range []int{7, 5000} {
		h := hashing.NewFolderHasher(hashing.XXH3)
		children := numbered(n, 0)
		seen := map[hashing.Digest]string{fingerprint(h, children): "as it was"}
		for name, change := range map[string]func(c []child) []child{
			"kind":       func(c []child) []child { c[4].kind = 'x'; return c },
			"link":       func(c []child) []child { c[2].kind = 'l'; return c },
			"name":       func(c []child) []child { c[4].name = "00004a"; return c },
			"size":       func(c []child) []child { c[4].size++; return c },
			"size_of_x":  func(c []child) []child { c[5].size++; return c },
			"first_byte": func(c []child) []child { c[4].tag[0]++; return c },
			"last_byte":  func(c []child) []child { c[4].tag[15]++; return c },
			"removed":    func(c []child) []child { return c[:len(c)-1] },
			"added":      func(c []child) []child { return append(c, child{'f', "99999", 0, c[0].tag}) },
			"names_swapped": func(c []child) []child {
				c[0].name, c[4].name = c[4].name, c[0].name
				return c
			},
			"tags_swapped": func(c []child) []child {
				c[0].tag, c[4].tag = c[4].tag, c[0].tag
				return c
			},
			"order": func(c []child) []child {
				c[0], c[4] = c[4], c[0]
				return c
			},
		} {
			changed := fingerprint(h, change(slices.Clone(children)))
			if other, same := seen[changed]; same || changed.IsZero() {
				t.Errorf("%d children, %s: the fingerprint is %s, that of %q", n, name, changed, other)
			}
			seen[changed] = name
		}
	}
}

func TestSizesOfFoldersAndLinksDoNotCount(t *testing.T) {
	h := hashing.NewFolderHasher(hashing.XXH3)
	children := numbered(4, 0)
	was := fingerprint(h, children)
	children[2].size, children[3].size = 4096, 17
	if now := fingerprint(h, children); now != was {
		t.Errorf("the fingerprint went from %s to %s", was, now)
	}
}

func TestFormsOfFoldersDiffer(t *testing.T) {
	h := hashing.NewFolderHasher(hashing.XXH3)
	h.Reset(0)
	flat := h.Digest()
	h.ResetBucket(0)
	bucket := h.Digest()
	if whole := h.Buckets(0, nil); flat == bucket || flat == whole || bucket == whole {
		t.Errorf("an empty folder is %s, an empty bucket %s, no buckets %s", flat, bucket, whole)
	}
}

// TestChangeTouchesOneBucket changes one child of many: all buckets but one stay, or but two if a split comes or goes.
func TestChangeTouchesOneBucket(t *testing.T) {
	h := hashing.NewFolderHasher(hashing.XXH3)
	children := numbered(20_000, 0)
	was := buckets(h, children)
	if len(was) < 40 || len(was) > 160 {
		t.Fatalf("%d buckets of 20,000 children, want about 78", len(was))
	}
	for _, at := range []int{0, 78, 79, 9_999, 19_999} {
		changed := slices.Clone(children)
		changed[at].tag[0]++
		if n := unlike(was, buckets(h, changed)); n != 1 {
			t.Errorf("child %d changed: %d buckets differ", at, n)
		}
		if n := unlike(was, buckets(h, slices.Delete(changed, at, at+1))); n > 2 {
			t.Errorf("child %d removed: %d buckets differ", at, n)
		}
	}
}

// unlike counts the digests of a that are not in b.
func unlike(a, b []hashing.Digest) int {
	n := 0
	for _, d := range a {
		if !slices.Contains(b, d) {
			n++
		}
	}
	return n
}

func TestUnknownChildHidesTheFingerprint(t *testing.T) {
	for _, c := range []struct {
		name  string
		known bool
		count uint64
		spoil func(children []child)
	}{
		{"all_known", true, 4, func([]child) {}},
		{"first_has_no_tag", false, 4, func(c []child) { c[0].tag = hashing.Digest{} }},
		{"last_has_no_tag", false, 4, func(c []child) { c[3].tag = hashing.Digest{} }},
		{"too_few", false, 5, func([]child) {}},
		{"too_many", false, 3, func([]child) {}},
		{"longest_name", true, 4, func(c []child) { c[3].name = strings.Repeat("z", 65_535) }},
		{"name_too_long", false, 4, func(c []child) { c[3].name = strings.Repeat("z", 65_536) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			children := numbered(4, 0)
			c.spoil(children)
			h := hashing.NewFolderHasher(hashing.XXH3)
			h.Reset(c.count)
			addAll(h, children)
			if d := h.Digest(); d.IsZero() == c.known {
				t.Errorf("Digest = %s, want known: %v", d, c.known)
			}
			h.Reset(0)
			if h.Digest().IsZero() {
				t.Error("what was not known stays so after Reset")
			}
		})
	}
}

func TestUnknownBucketHidesTheFingerprint(t *testing.T) {
	h := hashing.NewFolderHasher(hashing.XXH3)
	of := buckets(h, numbered(5000, 0))
	if h.Buckets(5000, of).IsZero() {
		t.Error("no fingerprint of known buckets")
	}
	of[len(of)-1] = hashing.Digest{}
	if d := h.Buckets(5000, of); !d.IsZero() {
		t.Errorf("the fingerprint of an unknown bucket is %s", d)
	}
}

// TestManyBuckets makes a list of buckets that is longer than what is gathered.
func TestManyBuckets(t *testing.T) {
	of := make([]hashing.Digest, 20_000)
	text := bytes.NewBufferString("freshet-dirs-1\x00")
	_ = binary.Write(text, binary.LittleEndian, uint64(5_000_000))
	for i := range of {
		of[i] = hashing.Sum([]byte{byte(i), byte(i >> 8)})
		text.Write(of[i][:])
	}
	for _, a := range algorithms {
		if got, want := hashing.NewFolderHasher(a).Buckets(5_000_000, of), a.Sum(text.Bytes()); got != want {
			t.Errorf("%s: %s, want %s", a, got, want)
		}
	}
}

func TestFolderHasherAllocatesNothing(t *testing.T) {
	children := numbered(1000, 0)
	names := make([][]byte, len(children))
	for i := range children {
		names[i] = []byte(children[i].name)
	}
	for _, a := range algorithms {
		h := hashing.NewFolderHasher(a)
		n := testing.AllocsPerRun(100, func() {
			h.Reset(uint64(len(children)))
			for i := range children {
				h.Add(children[i].kind, names[i], children[i].size, children[i].tag)
			}
			_ = h.Digest()
		})
		if n > 0 {
			t.Errorf("%s: a folder of 1,000 takes %v allocations, want none", a, n)
		}
	}
}

func ExampleFolderHasher() {
	h := hashing.NewFolderHasher(hashing.XXH3)
	h.Reset(1)
	h.Add(hashing.ChildFile, []byte("a.txt"), 5, hashing.Sum([]byte("hello")))
	inner := h.Digest()
	h.Reset(1)
	h.Add(hashing.ChildFolder, []byte("docs"), 0, inner)
	fmt.Println(h.Digest())
	// Output: 6bef7e9ade041ddca723bb35f80cdbd9
}
