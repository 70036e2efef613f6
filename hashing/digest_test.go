package hashing_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"freshet/hashing"
)

// pattern returns n bytes that do not repeat.
func pattern(n int) []byte {
	b := make([]byte, n)
	x := uint64(1)
	for i := range b {
		x = x*6364136223846793005 + 1442695040888963407
		b[i] = byte(x >> 56)
	}
	return b
}

// vectorsOf are what a program prints for the first so many bytes of pattern: every length that takes another way through
// the algorithm, and those around the ends of blocks. What b3sum prints is cut to half.
var vectorsOf = []struct {
	algorithm hashing.Algorithm
	program   string
	args      []string
	file      string
	countMin  int
}{
	{hashing.XXH3, "xxhsum", []string{"-H128"}, "testdata/xxh128.txt", 1100},
	{hashing.BLAKE3, "b3sum", nil, "testdata/blake3.txt", 250},
}

func TestDigestIsWhatProgramsPrint(t *testing.T) {
	all := pattern(1<<20 + 1)
	for _, p := range vectorsOf {
		t.Run(p.program, func(t *testing.T) {
			f, err := os.Open(p.file)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			h := p.algorithm.NewHasher()
			vectors := 0
			for lines := bufio.NewScanner(f); lines.Scan(); vectors++ {
				var n int
				var want string
				if _, err := fmt.Sscan(lines.Text(), &n, &want); err != nil {
					t.Fatal(err)
				}
				if got := p.algorithm.Sum(all[:n]).String(); got != want {
					t.Errorf("Sum of %d bytes = %s, want %s", n, got, want)
				}
				h.Reset()
				_, _ = h.Write(all[:n/3])
				_, _ = h.Write(all[n/3 : n])
				if got := h.Digest().String(); got != want {
					t.Errorf("Hasher of %d bytes = %s, want %s", n, got, want)
				}
			}
			if vectors < p.countMin {
				t.Errorf("%d vectors, want at least %d", vectors, p.countMin)
			}
		})
	}
}

func TestDigestAgreesWithProgramsHere(t *testing.T) {
	for _, p := range vectorsOf {
		t.Run(p.program, func(t *testing.T) {
			program, err := exec.LookPath(p.program)
			if err != nil {
				if os.Getenv("CI") == "true" {
					t.Fatalf("%s is not installed", p.program)
				}
				t.Skipf("%s is not installed", p.program)
			}
			dir := t.TempDir()
			var names []string
			for _, n := range []int{0, 1, 240, 241, 1 << 10, 1<<17 + 1, 3<<20 + 7} {
				name := filepath.Join(dir, fmt.Sprint(n))
				if err := os.WriteFile(name, pattern(n), 0o600); err != nil {
					t.Fatal(err)
				}
				names = append(names, name)
			}
			out, err := exec.Command(program, append(p.args, names...)...).Output()
			if err != nil {
				t.Fatal(err)
			}
			for i, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
				b, err := os.ReadFile(names[i])
				if err != nil {
					t.Fatal(err)
				}
				if got := p.algorithm.Sum(b).String(); got != strings.Fields(line)[0][:len(got)] {
					t.Errorf("%d bytes: %s, %s prints %s", len(b), got, p.program, line)
				}
			}
		})
	}
}

func TestParseAlgorithm(t *testing.T) {
	for _, c := range []struct {
		in   string
		want hashing.Algorithm
		ok   bool
	}{
		{"xxh3", hashing.XXH3, true},
		{"blake3", hashing.BLAKE3, true},
		{"BLAKE3", 0, false},
		{"xxh128", 0, false},
		{"Algorithm(2)", 0, false},
		{"", 0, false},
	} {
		a, err := hashing.ParseAlgorithm(c.in)
		if a != c.want || c.ok != (err == nil) || !c.ok && !errors.Is(err, hashing.ErrAlgorithm) {
			t.Errorf("ParseAlgorithm(%q) = %s, %v", c.in, a, err)
		}
		if c.ok && a.String() != c.in {
			t.Errorf("%q was read as %s", c.in, a)
		}
	}
}

func TestXXH3IsTheDefault(t *testing.T) {
	var a hashing.Algorithm
	b := pattern(hashing.BlockBytes)
	if a != hashing.XXH3 || a.Sum(b) != hashing.Sum(b) || a.BlockSum(b) != hashing.BlockSum(b) {
		t.Errorf("the zero Algorithm is %s", a)
	}
}

func TestParseDigest(t *testing.T) {
	for _, c := range []struct {
		name, in string
		ok       bool
	}{
		{"digest", emptyHex, true},
		{"zero", strings.Repeat("0", 32), true},
		{"short", emptyHex[1:], false},
		{"long", emptyHex + "0", false},
		{"capital", strings.Replace(emptyHex, "d", "D", 1), false},
		{"quoted", `"` + emptyHex[2:] + `"`, false},
		{"after_nine", ":" + emptyHex[1:], false},
		{"after_f", "g" + emptyHex[1:], false},
		{"before_a", "`" + emptyHex[1:], false},
		{"before_0", "/" + emptyHex[1:], false},
		{"empty", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, err := hashing.ParseDigest(c.in)
			if c.ok && (err != nil || d.String() != c.in) {
				t.Errorf("ParseDigest(%q) = %s, %v", c.in, d, err)
			}
			if !c.ok && (!errors.Is(err, hashing.ErrDigest) || !d.IsZero()) {
				t.Errorf("ParseDigest(%q) = %s, %v, want ErrDigest", c.in, d, err)
			}
		})
	}
}

func TestDigestOfNothingIsKnown(t *testing.T) {
	if d := hashing.Sum(nil); d.IsZero() || d.String() != emptyHex || d != hashing.NewHasher().Digest() {
		t.Errorf("the digest of no bytes is %s, want %s", d, emptyHex)
	}
	if !(hashing.Digest{}).IsZero() {
		t.Error("the zero Digest is known")
	}
}

func TestDigestETag(t *testing.T) {
	d := hashing.Sum([]byte("x"))
	tag, rest, ok := hashing.ParseETag(d.ETag())
	if back, coded := tag.Digest(); !ok || rest != "" || tag.Weak || !coded || back != d || tag.Opaque != d.String() {
		t.Errorf("%s is not the strong tag of %s", d.ETag(), d)
	}
	if n := testing.AllocsPerRun(100, func() { _ = d.ETag() }); n > 1 {
		t.Errorf("ETag takes %v allocations, want at most 1", n)
	}
}

// TestHasherDoesNotCareForChunks writes the same bytes in pieces of any length, and asks for the digest in between.
func TestHasherDoesNotCareForChunks(t *testing.T) {
	all := pattern(4*hashing.BlockBytes + 1)
	length := rapid.OneOf(
		rapid.IntRange(0, 3*hashing.BlockBytes),
		rapid.Custom(func(t *rapid.T) int {
			return rapid.IntRange(1, 4).Draw(t, "blocks")*hashing.BlockBytes + rapid.IntRange(-1, 1).Draw(t, "more")
		}),
	)
	for _, a := range algorithms {
		h := a.NewHasher()
		rapid.Check(t, func(t *rapid.T) {
			b := all[:length.Draw(t, "length")]
			h.Reset()
			for at := 0; at < len(b); {
				n := max(1, min(length.Draw(t, "chunk"), len(b)-at))
				written, err := h.Write(b[at : at+n])
				if written != n || err != nil {
					t.Fatalf("Write = %d, %v, want %d", written, err, n)
				}
				at += n
				if rapid.Bool().Draw(t, "ask") && h.Digest() != a.Sum(b[:at]) {
					t.Fatalf("%s of %d bytes so far differs from Sum", a, at)
				}
			}
			if h.Size() != int64(len(b)) {
				t.Errorf("Size = %d, want %d", h.Size(), len(b))
			}
			if h.Digest() != a.Sum(b) {
				t.Errorf("%s of %d bytes in chunks differs from Sum", a, len(b))
			}
			if got, want := h.Blocks(), blocksOf(a, b); !slices.Equal(got, want) {
				t.Errorf("%s of %d bytes: %d blocks, want %d, or they differ", a, len(b), len(got), len(want))
			}
		})
	}
}

// blocksOf is what Blocks should be: the hash of each piece, and nothing for a single piece.
func blocksOf(a hashing.Algorithm, b []byte) []uint64 {
	if len(b) <= hashing.BlockBytes {
		return nil
	}
	var sums []uint64
	for piece := range slices.Chunk(b, hashing.BlockBytes) {
		sums = append(sums, a.BlockSum(piece))
	}
	return sums
}

// TestBlocksAreOfTheAlgorithm: blocks by another would undo what a root chose its algorithm for.
func TestBlocksAreOfTheAlgorithm(t *testing.T) {
	b := pattern(hashing.BlockBytes)
	d := hashing.BLAKE3.Sum(b)
	if got, want := hashing.BLAKE3.BlockSum(b), binary.BigEndian.Uint64(d[:]); got != want {
		t.Errorf("the hash of a block is %x, want the beginning of its digest, %x", got, want)
	}
}

func TestResetLeavesBlocksToTheCaller(t *testing.T) {
	b := pattern(3 * hashing.BlockBytes)
	h := hashing.NewHasher()
	_, _ = h.Write(b)
	blocks := h.Blocks()
	want := slices.Clone(blocks)
	h.Reset()
	_, _ = h.Write(bytes.Repeat([]byte{1}, len(b)))
	if !slices.Equal(blocks, want) {
		t.Error("blocks that were handed out changed after Reset")
	}
}

func TestHasherAllocatesPerBlocksOnly(t *testing.T) {
	b := pattern(hashing.BlockBytes / 4)
	for _, a := range algorithms {
		h := a.NewHasher()
		if n := testing.AllocsPerRun(100, func() { h.Reset(); _, _ = h.Write(b); _ = h.Digest() }); n > 0 {
			t.Errorf("%s of a small file takes %v allocations, want none", a, n)
		}
	}
}
