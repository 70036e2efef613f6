package watcher

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

// child prepares this program to do job with root in a process of its own.
func child(t testing.TB, job, root string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), childEnv+"="+job, childRoot+"="+root)
	cmd.Stderr = os.Stderr
	return cmd
}

func TestBurstOfAnotherProcess(t *testing.T) {
	t.Parallel()
	ob := observe(t, Options{Root: memoryFolder(t)}, nil)
	ob.do(child(t, "burst", ob.root).Run())
	ob.settle()
	if ob.rescans == 0 {
		for i := range burstFolders {
			if rel := burstFolder(i); !ob.seen[rel].All {
				t.Errorf("%s is new and not reported as a whole", rel)
			}
		}
	}
	if s := ob.w.Stats(); s.Folders != burstFolders+1 {
		t.Errorf("%+v", s)
	}
	ob.probe()
}

// TestStoppedThroughManyChanges stops a watching process with a signal while the kernel's queue overflows.
func TestStoppedThroughManyChanges(t *testing.T) {
	t.Parallel()
	queued := queuedEventsMax(t)
	root := memoryFolder(t)
	for _, name := range []string{"f", "g"} {
		if err := os.WriteFile(filepath.Join(root, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := child(t, "watch", root)
	stdin, _ := cmd.StdinPipe()
	stdout, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { stdin.Close(); cmd.Wait() }()
	says := bufio.NewScanner(stdout)
	says.Scan()
	ask := func() string {
		fmt.Fprintln(stdin)
		says.Scan()
		return says.Text()
	}
	os.WriteFile(filepath.Join(root, "f"), []byte("x"), 0o600)
	if got := ask(); got != " f" {
		t.Errorf("before: %q", got)
	}
	signalChild(t, cmd, unix.SIGSTOP, "T")
	for i := range queued + 1_000 { // two names in turn, since the kernel merges equal events
		if err := os.Chmod(filepath.Join(root, []string{"f", "g"}[i%2]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	os.MkdirAll(filepath.Join(root, "new/a"), 0o777)
	signalChild(t, cmd, unix.SIGCONT, "RSD")
	if got := ask(); got != "rescan" {
		t.Errorf("after it went on: %q", got)
	}
	os.WriteFile(filepath.Join(root, "new/a/f"), nil, 0o600)
	if got := ask(); got != " new/a/f" {
		t.Errorf("in a folder made meanwhile: %q", got)
	}
}

// signalChild waits until the process is in one of the states, proc_pid_stat(5).
func signalChild(t *testing.T, cmd *exec.Cmd, s unix.Signal, states string) {
	t.Helper()
	if err := cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(waitMax); time.Now().Before(end); time.Sleep(time.Millisecond) {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		if _, rest, ok := bytes.Cut(stat, []byte(") ")); ok && strings.IndexByte(states, rest[0]) >= 0 {
			return
		}
	}
	t.Fatalf("the process does not heed %v", s)
}

// TestBarriersOfManyWriters asks from many goroutines at once; each must find its own write.
func TestBarriersOfManyWriters(t *testing.T) {
	t.Parallel()
	const writers, writes = 16, 60
	ob := observe(t, Options{Root: memoryFolder(t)}, func(root string) {
		for i := range writers {
			os.Mkdir(filepath.Join(root, fmt.Sprint(i)), 0o777)
		}
	})
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() {
			for j := range writes {
				rel, name := fmt.Sprint(i), fmt.Sprint(j)
				err := os.WriteFile(ob.path(join(rel, name)), nil, 0o666)
				if err == nil {
					err = ob.w.Barrier(context.Background())
				}
				ob.w.dirty.mu.Lock()
				seen := ob.w.dirty.rescan || ob.w.dirty.folders[rel].Has(name)
				ob.w.dirty.mu.Unlock()
				if err != nil || !seen {
					t.Errorf("%s/%s: %v, in the set: %v", rel, name, err, seen)
					return
				}
			}
		})
	}
	all.Wait()
}

// BenchmarkReader counts what the reader can note, and what of a real burst arrives. It must be above what a program can
// cause: the kernel's queue is bounded.
func BenchmarkReader(b *testing.B) {
	b.Run("note", func(b *testing.B) {
		w, err := New(Options{Root: b.TempDir()})
		if err != nil {
			b.Fatal(err)
		}
		defer w.Close()
		events := make([]string, 20_000)
		for i := range events {
			events[i] = w.path(fmt.Sprintf("folder%d/below/file%d", i%200, i))
		}
		b.ResetTimer()
		for i := range b.N {
			w.note(fsnotify.Event{Name: events[i%len(events)], Op: fsnotify.Write})
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	})
	b.Run("chmod", func(b *testing.B) {
		ob := observe(b, Options{Root: memoryFolder(b)}, func(root string) {
			for i := range 1_000 {
				dir := filepath.Join(root, fmt.Sprint(i%100))
				os.MkdirAll(dir, 0o777)
				os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), nil, 0o666)
			}
		})
		names := make([]string, 1_000)
		for i := range names {
			names[i] = ob.path(fmt.Sprintf("%d/%d", i%100, i))
		}
		b.ResetTimer()
		for i := range b.N {
			ob.do(unix.Chmod(names[i%len(names)], 0o600))
		}
		ob.do(ob.w.Barrier(context.Background()))
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		b.ReportMetric(float64(ob.w.Stats().Overflows), "overflows")
	})
}
