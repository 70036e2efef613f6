package tree

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"freshet/hashing"
)

func openStateIn(t testing.TB, folder string) *state {
	t.Helper()
	s, err := openState(folder, hashing.XXH3, quietLog)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStateIsKept(t *testing.T) {
	folder := t.TempDir()
	s := openStateIn(t, folder)
	root := s.root
	if len(root) != epochBytes {
		t.Errorf("root %q", root)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(folder, stateName))
	if err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	s = openStateIn(t, folder)
	defer s.close()
	if s.root != root {
		t.Errorf("root %s, was %s", s.root, root)
	}
}

func TestStateInMemory(t *testing.T) {
	one, other := openStateIn(t, ""), openStateIn(t, "")
	if one.root == other.root || one.db != nil {
		t.Errorf("%+v, %+v", one, other)
	}
	if err := one.close(); err != nil {
		t.Error(err)
	}
}

func TestStateIsRefused(t *testing.T) {
	write := func(key, text string) func(*testing.T, string) {
		return func(t *testing.T, folder string) {
			s := openStateIn(t, folder)
			err := s.update(func(tx *bbolt.Tx) error { return tx.Bucket(rootBucket).Put([]byte(key), []byte(text)) })
			if err := errors.Join(err, s.close()); err != nil {
				t.Fatal(err)
			}
		}
	}
	newer := formatIdentity("abcdefghijklmnop", "sha3 and more")
	newer = strings.Replace(newer, "1 ", "2 ", 1)
	newer = withTextSum(newer[:strings.LastIndexByte(newer, ' ')])
	for _, test := range []struct {
		name    string
		prepare func(*testing.T, string)
		want    error
		text    string
	}{
		{
			"another_algorithm", write("identity", formatIdentity("abcdefghijklmnop", "blake3")),
			ErrAlgorithm, "root is indexed with another hash algorithm: it is blake3, not xxh3",
		},
		{"newer_format", write("identity", newer), ErrStateNewer, "format 2, and this version knows 1"},
		{"in_use", func(t *testing.T, folder string) {
			s := openStateIn(t, folder)
			t.Cleanup(func() { _ = s.close() })
		}, ErrStateBusy, stateName},
		{"no_folder", func(t *testing.T, folder string) {
			if err := os.Remove(folder); err != nil {
				t.Fatal(err)
			}
		}, os.ErrNotExist, stateName},
	} {
		t.Run(test.name, func(t *testing.T) {
			folder := t.TempDir()
			test.prepare(t, folder)
			s, err := openState(folder, hashing.XXH3, quietLog)
			if err == nil {
				s.close()
				t.Fatal("opened")
			}
			if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.text) {
				t.Errorf("%v, want %v with %q", err, test.want, test.text)
			}
			if aside, _ := filepath.Glob(filepath.Join(folder, "*.broken-*")); len(aside) > 0 {
				t.Errorf("set aside: %v", aside)
			}
		})
	}
}

func withTextSum(text string) string {
	b := withCRC([]byte(text))
	return fmt.Sprintf("%s %08x", text, b[len(text):])
}

// TestStateDamaged makes sure that a file which cannot be read is kept for whoever wants to look, and that the server starts.
func TestStateDamaged(t *testing.T) {
	for name, damage := range map[string]func(whole []byte) []byte{
		"not_a_database":    func([]byte) []byte { return []byte("hello") },
		"zeros":             func(b []byte) []byte { return make([]byte, len(b)) },
		"cut_to_one_page":   func(b []byte) []byte { return b[:4096] },
		"cut_in_the_middle": func(b []byte) []byte { return b[:len(b)/2] },
		"no_meta_page":      func(b []byte) []byte { clear(b[:8192]); return b },
		"pages_shifted":     func(b []byte) []byte { return append(b[:8192:8192], b[4096:]...) },
		"identity_flipped": func(b []byte) []byte {
			return bytes.ReplaceAll(b, []byte(" xxh3 "), []byte(" xxh2 "))
		},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			j := openFeed(t, folder, defaultFeedLimits)
			old, root := appendFiles(j, 300), j.state.root
			closeFeed(t, j)
			file := filepath.Join(folder, stateName)
			whole, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			damaged := damage(whole)
			if err := os.WriteFile(file, damaged, 0o600); err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			j = openFeedLog(t, folder, defaultFeedLimits, slog.New(slog.NewTextHandler(&out, nil)))
			defer closeFeed(t, j)
			wantGone(t, j, old, GoneEpoch)
			if j.state.root == root {
				t.Error("the root is the same")
			}
			aside, _ := filepath.Glob(file + ".broken-*")
			if len(aside) != 1 || !strings.Contains(out.String(), "level=ERROR") || !strings.Contains(out.String(), aside[0]) {
				t.Fatalf("aside %v, log %s", aside, out.String())
			}
			if b, err := os.ReadFile(aside[0]); err != nil || !bytes.Equal(b, damaged) {
				t.Errorf("%d bytes are kept, %v", len(b), err)
			}
		})
	}
}

// TestStateDeleted makes sure that losing the file costs a comparison, not more.
func TestStateDeleted(t *testing.T) {
	folder := t.TempDir()
	for _, leave := range []func(string) error{os.Remove, func(name string) error { return os.Truncate(name, 0) }} {
		j := openFeed(t, folder, defaultFeedLimits)
		old := appendFiles(j, 3)
		closeFeed(t, j)
		if err := leave(filepath.Join(folder, stateName)); err != nil {
			t.Fatal(err)
		}
		j = openFeed(t, folder, defaultFeedLimits)
		wantGone(t, j, old, GoneEpoch)
		closeFeed(t, j)
	}
}

// TestStateHasRoomForMore makes sure that a file with other buckets, of any form, is taken for whole.
func TestStateHasRoomForMore(t *testing.T) {
	folder := t.TempDir()
	s := openStateIn(t, folder)
	big := bytes.Repeat([]byte("x"), 100_000)
	for round := range 4 {
		err := s.update(func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("locks"))
			for i := range 400 {
				key := fmt.Appendf(nil, "%d %d", i*7919%400, round)
				err = errors.Join(err, b.Put(key, big[:i%300]), b.Delete(fmt.Appendf(nil, "%d %d", i, round-2)))
			}
			inner, err2 := b.CreateBucketIfNotExists([]byte("inner"))
			err = errors.Join(err, err2, inner.Put([]byte("key"), nil), b.Put([]byte("big"), big[round*9000:]))
			empty, err2 := tx.CreateBucketIfNotExists([]byte("empty"))
			_, err3 := empty.CreateBucketIfNotExists([]byte("more"))
			return errors.Join(err, err2, err3)
		})
		if err == nil {
			err = s.close()
		}
		if err != nil {
			t.Fatal(err)
		}
		if older, err := checkStateFile(filepath.Join(folder, stateName)); older || err != nil {
			t.Fatalf("round %d: older %v, %v", round, older, err)
		}
		s = openStateIn(t, folder)
	}
	_ = s.close()
}
