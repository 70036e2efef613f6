//go:build linux

package tree_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"freshet/fileserver/tree"
)

// A reads tells which files were opened.
type reads struct {
	fd      int
	folders map[int32]string
}

// watchReads begins to watch the files of a folder and of all below it.
func watchReads(t testing.TB, root string) *reads {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	r := &reads{fd, map[int32]string{}}
	err = filepath.WalkDir(root, func(name string, d os.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if d.Name() == tree.Reserved {
			return filepath.SkipDir
		}
		n, err := unix.InotifyAddWatch(fd, name, unix.IN_OPEN)
		r.folders[int32(n)] = name
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// files returns the files that were opened since it was called last.
func (r *reads) files(root string) (opened []string) {
	buf := make([]byte, 1<<20)
	for {
		n, err := unix.Read(r.fd, buf)
		if n <= 0 || err != nil {
			slices.Sort(opened)
			return slices.Compact(opened)
		}
		for b := buf[:n]; len(b) >= unix.SizeofInotifyEvent; {
			folder, mask := int32(binary.NativeEndian.Uint32(b)), binary.NativeEndian.Uint32(b[4:])
			end := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(b[12:]))
			base := strings.TrimRight(string(b[unix.SizeofInotifyEvent:end]), "\x00")
			b = b[end:]
			name, err := filepath.Rel(root, filepath.Join(r.folders[folder], base))
			if err == nil && mask&unix.IN_ISDIR == 0 {
				opened = append(opened, name)
			}
		}
	}
}

const (
	restartFolders = 25
	restartFiles   = 30 // in each folder
)

// buildForRestart makes a tree of some size, with a large file.
func buildForRestart(t testing.TB, root string) {
	t.Helper()
	for i := range restartFolders {
		folder := filepath.Join(root, fmt.Sprintf("d%02d/sub", i))
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		for j := range restartFiles {
			name := filepath.Join(filepath.Dir(folder), fmt.Sprintf("f%02d", j))
			if err := os.WriteFile(name, fmt.Appendf(nil, "file %d of %d", j, i), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.WriteFile(filepath.Join(root, "large"), make([]byte, 3<<20), 0o644); err != nil {
		t.Fatal(err)
	}
}

// An offline change is one that a local program makes while no server runs.
type offlineChange struct {
	name string
	do   func(path func(string) string) error
	read []string // files that have to be read for it
}

var offlineChanges = []offlineChange{
	{"in_place_with_its_old_time", func(path func(string) string) error {
		info, err := os.Stat(path("d00/f00"))
		if err == nil {
			err = os.WriteFile(path("d00/f00"), []byte("file 0 of X"), 0o644)
		}
		if err == nil {
			err = os.Chtimes(path("d00/f00"), info.ModTime(), info.ModTime())
		}
		return err
	}, []string{"d00/f00"}},
	{"saved_by_renaming", func(path func(string) string) error {
		return errors.Join(os.WriteFile(path("d01/tmp"), []byte("new"), 0o644), os.Rename(path("d01/tmp"), path("d01/f01")))
	}, []string{"d01/f01"}},
	{"two_files_exchanged", func(path func(string) string) error {
		return unix.Renameat2(unix.AT_FDCWD, path("d02/f02"), unix.AT_FDCWD, path("d02/f03"), unix.RENAME_EXCHANGE)
	}, []string{"d02/f02", "d02/f03"}},
	{"removed", func(path func(string) string) error { return os.Remove(path("d03/f04")) }, nil},
	{"made", func(path func(string) string) error { return os.WriteFile(path("d04/new"), []byte("x"), 0o644) }, []string{"d04/new"}},
	{"executable", func(path func(string) string) error { return os.Chmod(path("d05/f05"), 0o755) }, []string{"d05/f05"}},
	{"large_file", func(path func(string) string) error {
		f, err := os.OpenFile(path("large"), os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = f.WriteAt([]byte("x"), 2<<20)
		return errors.Join(err, f.Close())
	}, []string{"large"}},
	{"folder_removed", func(path func(string) string) error { return os.RemoveAll(path("d06")) }, nil},
	{"folders_exchanged", func(path func(string) string) error {
		return unix.Renameat2(unix.AT_FDCWD, path("d07/sub"), unix.AT_FDCWD, path("d08/sub"), unix.RENAME_EXCHANGE)
	}, nil},
	{"file_became_a_folder", func(path func(string) string) error {
		return errors.Join(os.Remove(path("d09/f06")), os.MkdirAll(path("d09/f06/in"), 0o755))
	}, nil},
	{"folder_became_a_file", func(path func(string) string) error {
		return errors.Join(os.Remove(path("d10/sub")), os.WriteFile(path("d10/sub"), []byte("file"), 0o644))
	}, []string{"d10/sub"}},
	{"folder_became_a_link", func(path func(string) string) error {
		return errors.Join(os.Remove(path("d11/sub")), os.Symlink("../d12", path("d11/sub")))
	}, nil},
}

// TestRestart starts a server again, once when nothing happened and once after local programs have changed files. It is asked
// as soon as it can be, when it has looked at nothing yet: what it says of files is right from the first answer on, and so is
// what it says of folders, which it finds out without opening a file that did not change. One that follows the feed is told of
// all changes.
func TestRestart(t *testing.T) {
	for _, end := range []struct {
		name string
		of   func(*server)
	}{{"clean", (*server).stop}, {"killed", (*server).kill}} {
		t.Run(end.name, func(t *testing.T) {
			root := t.TempDir()
			needDisk(t, root) // elsewhere young files have to be read again, since an equal stamp proves nothing
			buildForRestart(t, root)
			p := plan{Write: true, Keep: 10 * time.Millisecond, DelayAt: "looked", Delay: 150 * time.Millisecond}
			s := serve(t, root, p)
			m := newMirror(t, s)
			for _, changes := range [][]offlineChange{nil, offlineChanges} {
				s.awaitSaved()
				m.follows(s, root)
				end.of(s)
				var changed []string
				for _, change := range changes {
					if err := change.do(func(name string) string { return filepath.Join(root, name) }); err != nil {
						t.Fatalf("%s: %v", change.name, err)
					}
					changed = append(changed, change.read...)
				}
				want, watched := snapshotOf(t, root), watchReads(t, root)
				s = serve(t, root, p)
				rightFromTheStart(t, s, changed, want)
				if a := s.must(question{Do: "survey", Depth: -1}); a.Subtree != want[""].digest {
					t.Errorf("the root has the fingerprint %s, on disk it is %s", a.Subtree, want[""].digest)
				}
				slices.Sort(changed)
				if opened := watched.files(root); !slices.Equal(opened, changed) {
					t.Errorf("opened %q, changed are %q", opened, changed)
				}
				m.follows(s, root)
			}
			s.kill()
		})
	}
}

// rightFromTheStart asks a server that has not looked at the tree yet, until it has.
func rightFromTheStart(t *testing.T, s *server, changed []string, want snapshot) {
	t.Helper()
	asked := 0
	for warming := true; warming; asked++ {
		a := s.must(question{Do: "stats"})
		warming = a.Stats.Warming
		for _, name := range append([]string{"d20/f20", "d03/f04"}, changed...) {
			is, there := want[name]
			a, _ := s.ask(question{Do: "stat", Name: name})
			switch {
			case !there && a.Err != saysNotExist, there && a.Err != "":
				t.Fatalf("%s: %q", name, a.Err)
			case there && a.Paths[0].Digest != is.digest && !a.Paths[0].Digest.IsZero():
				t.Fatalf("%s is called %s, on disk it is %s", name, a.Paths[0].Digest, is.digest)
			}
		}
		a, _ = s.ask(question{Do: "survey", Wait: time.Millisecond})
		switch {
		case a.Err == "" && a.Subtree != want[""].digest:
			t.Fatalf("the root has the fingerprint %s, on disk it is %s", a.Subtree, want[""].digest)
		case a.Err != "" && a.Err != saysWarming && a.Err != saysLate:
			t.Fatalf("survey: %q", a.Err)
		}
	}
	if asked < 2 {
		t.Error("the tree was looked at before the first question")
	}
}
