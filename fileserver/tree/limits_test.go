//go:build linux

package tree_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"freshet/fileserver/tree"
)

func TestUploadsMax(t *testing.T) {
	tr, _ := open(t, tree.Options{Write: true, UploadsMax: 2})
	ctx := context.Background()
	if _, err := put(t, tr, "old", "old bytes", nil); err != nil {
		t.Fatal(err)
	}
	stage := func() *tree.Staged {
		s, err := tr.Stage(ctx, at(t, "new"), -1)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	first, second := stage(), stage()
	if _, err := tr.Stage(ctx, at(t, "new"), -1); !errors.Is(err, tree.ErrBusy) {
		t.Errorf("a third upload: %v", err)
	}
	for _, from := range []string{"old", "d"} {
		if _, err := tr.Mkdir(ctx, at(t, "d"), tree.Change{}); err != nil && !errors.Is(err, tree.ErrExist) {
			t.Error(err)
		}
		if _, err := tr.Copy(ctx, at(t, from), at(t, "copy"), tree.Transfer{}); !errors.Is(err, tree.ErrBusy) {
			t.Errorf("a copy of %s as third: %v", from, err)
		}
	}
	first.Discard()
	first.Discard()
	third := stage()
	if _, err := tr.Stage(ctx, at(t, "new"), -1); !errors.Is(err, tree.ErrBusy) {
		t.Errorf("one ended twice made room for two: %v", err)
	}
	if _, err := tr.Commit(ctx, at(t, "new"), third, tree.Change{}); err != nil {
		t.Error(err)
	}
	third.Discard()
	stage().Discard()
	if _, err := tr.Commit(ctx, at(t, "new"), second, tree.Change{Guard: ifAbsent}); !errors.Is(err, errRefused) {
		t.Error(err)
	}
	checkUsable(t, tr)
}

func TestUploadBytesMax(t *testing.T) {
	tr, _ := open(t, tree.Options{Write: true, UploadBytesMax: 100_000})
	if _, err := put(t, tr, "old", "old bytes", nil); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		size      int
		announced bool
		err       error
	}{
		{100_000, true, nil}, {100_001, true, tree.ErrTooLarge}, {100_000, false, nil}, {100_001, false, tree.ErrTooLarge},
	} {
		if err := putSized(t, tr, "new", tt.size, tt.announced); !errors.Is(err, tt.err) {
			t.Errorf("%d bytes, announced %v: %v", tt.size, tt.announced, err)
		}
	}
	s, err := tr.Stage(context.Background(), at(t, "new"), 10)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write(make([]byte, 100_001)); !errors.Is(err, tree.ErrTooLarge) || s.Size() != 0 {
		t.Errorf("more than announced and allowed: %v", err)
	}
	s.Discard()
	checkUsable(t, tr)
}

func TestStageBytesMax(t *testing.T) {
	tr, _ := open(t, tree.Options{Write: true, StageBytesMax: 4 * mib})
	ctx := context.Background()
	if _, err := put(t, tr, "old", "old bytes", nil); err != nil {
		t.Fatal(err)
	}
	large, err := tr.Stage(ctx, at(t, "large"), 3*mib)
	if err != nil {
		t.Fatal(err)
	}
	if n := tr.Stats().StagedBytes; n != 3*mib {
		t.Errorf("%d bytes are counted for an announced upload", n)
	}
	for _, announced := range []bool{true, false} {
		if err := putSized(t, tr, "more", mib+1, announced); !errors.Is(err, tree.ErrNoSpace) {
			t.Errorf("more than is left, announced %v: %v", announced, err)
		}
		if err := putSized(t, tr, "fits", mib-1, announced); err != nil {
			t.Errorf("what is left, announced %v: %v", announced, err)
		}
	}
	var small []*tree.Staged
	for range 100 {
		s, err := tr.Stage(ctx, at(t, "small"), -1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Write(make([]byte, 1000)); err != nil {
			t.Errorf("%d small uploads of unknown size leave no room for one: %v", len(small), err)
			break
		}
		small = append(small, s)
	}
	for _, s := range append(small, large) {
		s.Discard()
	}
	if err := putSized(t, tr, "more", 4*mib, true); err != nil {
		t.Errorf("when all is free again: %v", err)
	}
	if _, err := tr.Copy(ctx, at(t, "more"), at(t, "copy"), tree.Transfer{}); err != nil {
		t.Errorf("a copy that just fits: %v", err)
	}
	if _, err := put(t, tr, "more", "replaced", nil); err != nil {
		t.Error(err)
	}
	tr.SettleNow()
	kept := tr.Stats().VersionsFiles
	for _, announced := range []bool{true, false} {
		if err := putSized(t, tr, "more", 4*mib+1, announced); !errors.Is(err, tree.ErrNoSpace) {
			t.Error(err)
		}
	}
	if n := tr.Stats().VersionsFiles; n != kept || n == 0 {
		t.Errorf("%d of %d versions are left by uploads that no version could have made room for", n, kept)
	}
	checkUsable(t, tr)
}

// TestShares makes sure of the bounds that follow from the size of the filesystem.
func TestShares(t *testing.T) {
	if !inSandbox(t) {
		return
	}
	tr, _ := open4MiB(t, "", tree.Options{})
	err := putSized(t, tr, "new", 2*mib+1, true)
	if !errors.Is(err, tree.ErrNoSpace) || !strings.Contains(err.Error(), "2097152") {
		t.Errorf("more than StageShareMax: %v", err)
	}
	for range 4 {
		if err := putSized(t, tr, "new", 300<<10, true); err != nil {
			t.Fatal(err)
		}
		tr.SettleNow()
		if s := tr.Stats(); s.VersionsFiles > 1 || float64(s.VersionsBytes) > 4*mib*tree.VersionsShareMax {
			t.Errorf("%d versions of %d bytes are more than VersionsShareMax", s.VersionsFiles, s.VersionsBytes)
		}
	}
	if n := tr.Stats().VersionsFiles; n != 1 {
		t.Errorf("%d versions, there is room for one", n)
	}
}

func TestVersionsBounds(t *testing.T) {
	for _, tt := range []struct {
		name       string
		o          tree.Options
		kept       int
		perVersion int
	}{
		{"files", tree.Options{VersionsFilesMax: 5}, 5, 10},
		{"bytes", tree.Options{VersionsBytesMax: 3 * 64 << 10}, 3, 64 << 10},
		{"larger_than_all", tree.Options{VersionsBytesMax: 32 << 10}, 0, 64 << 10},
		{"age", tree.Options{VersionsAgeMax: time.Nanosecond}, 0, 10},
		{"none", tree.Options{VersionsAgeMax: -1}, 0, 10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.o.Write = true
			tr, root := open(t, tt.o)
			for n := range 8 {
				if _, err := put(t, tr, "file", strings.Repeat(fmt.Sprint(n), tt.perVersion), nil); err != nil {
					t.Fatal(err)
				}
				tr.SettleNow()
				if s := tr.Stats(); s.VersionsFiles != min(n, tt.kept) || s.VersionsFiles == 0 && s.VersionsBytes != 0 {
					t.Errorf("after %d changes %d versions of %d bytes are kept", n, s.VersionsFiles, s.VersionsBytes)
				}
			}
			names, err := filepath.Glob(filepath.Join(root, tree.Reserved, "versions", "*"))
			if err != nil {
				t.Fatal(err)
			}
			names = slices.DeleteFunc(names, func(name string) bool { return strings.HasSuffix(name, ".r") })
			for i, name := range names { // their names sort by time: the newest are kept
				if body, err := os.ReadFile(name); err != nil || string(body[:1]) != fmt.Sprint(7-len(names)+i) {
					t.Errorf("version %d of %d is %.1q, %v", i, len(names), body, err)
				}
			}
			if len(names) != tt.kept {
				t.Errorf("%d versions are on disk", len(names))
			}
		})
	}
}

// TestVersionsBoundsAtStart makes sure that what is kept from before is counted, and cut to a smaller bound.
func TestVersionsBoundsAtStart(t *testing.T) {
	root := t.TempDir()
	for _, filesMax := range []int{10, 3, 10} {
		tr, err := tree.New(root, tree.Options{Write: true, VersionsFilesMax: filesMax})
		if err != nil {
			t.Fatal(err)
		}
		if filesMax == 10 {
			for n := range 6 {
				if _, err := put(t, tr, "file", fmt.Sprint(filesMax, n), nil); err != nil {
					t.Fatal(err)
				}
			}
		} else if n := tr.Stats().VersionsFiles; n != filesMax {
			t.Errorf("%d versions", n)
		}
		if err := tr.Close(); err != nil {
			t.Fatal(err)
		}
	}
	left, err := filepath.Glob(filepath.Join(root, tree.Reserved, "versions", "*"))
	if want := 2 * (3 + 6); len(left) != want || err != nil {
		t.Errorf("%d names in the versions folder, want %d, %v", len(left), want, err)
	}
}

// slowClient is a writer that takes nothing until it is let go.
type slowClient struct {
	began *atomic.Int64
	goOn  chan struct{}
}

func (c slowClient) Write(b []byte) (int, error) {
	c.began.Add(1)
	<-c.goOn
	return len(b), nil
}

// TestBodyBytesMax has more slow clients than there are buffers for: those in excess wait and can be cancelled, and all are
// served in the end.
func TestBodyBytesMax(t *testing.T) {
	const clients, bufferBytes, buffers = 40, 256 << 10, 32
	tr, root := open(t, tree.Options{BodyBytesMax: buffers * bufferBytes})
	if err := os.WriteFile(filepath.Join(root, "large"), bytes.Repeat([]byte("0123456789abcdef"), mib/16), 0o644); err != nil {
		t.Fatal(err)
	}
	var began atomic.Int64
	goOn := make(chan struct{})
	send := func(ctx context.Context, w io.Writer) error {
		f, err := tr.Open(ctx, at(t, "large"))
		if err != nil {
			return err
		}
		defer f.Close()
		return f.Send(ctx, w, 0, 100<<10)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var ended [clients]error
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() { ended[i] = send(ctx, slowClient{&began, goOn}) })
	}
	waitUntil(t, func() bool { return began.Load() >= buffers })
	time.Sleep(50 * time.Millisecond)
	if n := began.Load(); n != buffers {
		t.Errorf("%d clients have a buffer, there is room for %d", n, buffers)
	}
	copied, cancelCopy := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancelCopy()
	if err := openWhileWritten(copied, tr, root); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a file that has to be copied into memory when there is none: %v", err)
	}
	cancel()
	close(goOn)
	all.Wait()
	cancelled := 0
	for _, err := range ended {
		if errors.Is(err, context.Canceled) {
			cancelled++
		} else if err != nil {
			t.Error(err)
		}
	}
	if cancelled != clients-buffers {
		t.Errorf("%d clients were cancelled, %d waited", cancelled, clients-buffers)
	}
	if err := send(context.Background(), io.Discard); err != nil {
		t.Errorf("once all is free: %v", err)
	}
	if err := openWhileWritten(context.Background(), tr, root); err != nil {
		t.Errorf("a file that has to be copied into memory: %v", err)
	}
}

// openWhileWritten opens a file that a local program has open for writing, which is sent from a copy in memory.
func openWhileWritten(ctx context.Context, tr *tree.Tree, root string) error {
	w, err := os.Create(filepath.Join(root, "written"))
	if err != nil {
		return err
	}
	defer w.Close()
	if _, err := w.Write(make([]byte, 100)); err != nil {
		return err
	}
	p, err := tree.Path{}.Join("written")
	if err != nil {
		return err
	}
	f, err := tr.Open(ctx, p)
	if err == nil {
		f.Close()
	}
	return err
}

// TestBodyBytesLeast makes sure that no bound is so small that nothing can be sent at all.
func TestBodyBytesLeast(t *testing.T) {
	tr, root := open(t, tree.Options{BodyBytesMax: 1})
	if err := os.WriteFile(filepath.Join(root, "large"), make([]byte, 8*mib), 0o644); err != nil {
		t.Fatal(err)
	}
	w, err := os.OpenFile(filepath.Join(root, "large"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	f, err := tr.Open(ctx, at(t, "large"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Send(ctx, io.Discard, 0, f.Entry.Size); err != nil {
		t.Error(err)
	}
}

func TestCacheBytesMax(t *testing.T) {
	const bound = 256 << 10
	tr, root := open(t, tree.Options{CacheBytesMax: bound})
	for i := range 16 {
		name := fmt.Sprint("f", i)
		if err := os.WriteFile(filepath.Join(root, name), bytes.Repeat([]byte{byte(i)}, 60<<10), 0o644); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := get(t, tr, name); err != nil {
				t.Fatal(err)
			}
		}
		if n := tr.CacheBytes(); n > bound || n < min(int64(i+1)*60<<10, bound-60<<10) {
			t.Errorf("after %d files %d bytes are kept", i+1, n)
		}
	}
	kept := tr.CacheBytes()
	if err := os.WriteFile(filepath.Join(root, "large"), make([]byte, 64<<10+1), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := get(t, tr, "large"); err != nil || tr.CacheBytes() != kept {
		t.Errorf("a larger file: %d bytes instead of %d are kept, %v", tr.CacheBytes(), kept, err)
	}
}

// TestHashWaitMax opens a file that takes longer to hash than a request waits: it goes out without a tag, and has one soon.
func TestHashWaitMax(t *testing.T) {
	tr, root := open(t, tree.Options{HashWaitMax: time.Nanosecond})
	if why := proves(t, root); why != "" {
		t.Skip("a digest of a new file is not remembered here: ", why)
	}
	name := filepath.Join(root, "large")
	if err := errors.Join(os.WriteFile(name, nil, 0o644), os.Truncate(name, 64*mib)); err != nil {
		t.Fatal(err)
	}
	f, err := tr.Open(context.Background(), at(t, "large"))
	if err != nil {
		t.Fatal(err)
	}
	if f.Entry.ETag() != "" {
		t.Error("64 MiB were hashed in a nanosecond")
	}
	var sent bytes.Buffer
	if err := f.Send(context.Background(), &sent, 64*mib-10, 10); err != nil || sent.Len() != 10 {
		t.Errorf("%d bytes without a tag: %v", sent.Len(), err)
	}
	f.Close()
	waitUntil(t, func() bool {
		e, err := tr.Stat(context.Background(), at(t, "large"))
		return err == nil && e.ETag() != ""
	})
}

// TestInUseWaitMax changes a file that a local program has open for writing: it is waited for, but not for ever.
func TestInUseWaitMax(t *testing.T) {
	t.Parallel()
	tr, root := open(t, tree.Options{Write: true})
	if _, err := put(t, tr, "file", "one", nil); err != nil {
		t.Fatal(err)
	}
	w, err := os.OpenFile(filepath.Join(root, "file"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	began := time.Now()
	if _, err := put(t, tr, "file", "two", nil); !errors.Is(err, tree.ErrInUse) {
		t.Errorf("a file that is open for writing: %v", err)
	}
	if waited := time.Since(began); waited < tree.InUseWaitMax || waited > 2*tree.InUseWaitMax {
		t.Errorf("waited %v", waited)
	}
	go func() {
		time.Sleep(tree.InUseWaitMax / 10)
		w.Close()
	}()
	if _, err := put(t, tr, "file", "two", ifMatch("one")); err != nil {
		t.Errorf("a file that is closed in time: %v", err)
	}
}

// TestQuarantineTimeMax watches what was displaced for as long as it says.
func TestQuarantineTimeMax(t *testing.T) {
	tr, err := tree.New(t.TempDir(), tree.Options{Write: true})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	for _, body := range []string{"one", "two"} {
		if _, err := put(t, tr, "file", body, nil); err != nil {
			t.Fatal(err)
		}
	}
	tr.Settle(time.Now().Add(tree.QuarantineTimeMax - time.Second))
	if s := tr.Stats(); s.QuarantinedFiles != 1 || s.VersionsFiles != 0 {
		t.Errorf("before its time: %+v", s)
	}
	tr.Settle(time.Now().Add(tree.QuarantineTimeMax + time.Second))
	if s := tr.Stats(); s.QuarantinedFiles != 0 || s.VersionsFiles != 1 {
		t.Errorf("after its time: %+v", s)
	}
}

// waitUntil waits for what happens by itself.
func waitUntil(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Error("waited in vain")
			return
		}
	}
}
