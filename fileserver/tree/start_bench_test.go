//go:build linux

package tree_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"freshet/fileserver/tree"
)

// How large a tree the benchmarks of the start take, in folders of 1,000 files. With a folder the tree is kept for the next
// run, since making a million files takes longer than looking at them.
var (
	benchFiles = flag.Int("bench-files", 20_000, "files in the tree of the start benchmarks")
	benchTree  = flag.String("bench-tree", "", "folder to keep the tree of the start benchmarks in")
)

const (
	benchFolderFiles = 1000
	benchFileBytes   = 3900
)

func init() { children["start"] = playStart }

// A startReport is what a process that starts on a tree says of it.
type startReport struct {
	First, Warm time.Duration // since the process began, until a file was opened with its tag, and until a folder was
	Cpu         time.Duration // of the process, user and system
	Anon        int64         // bytes of anonymous memory in the end
	Hashed      uint64
}

// playStart opens a tree and reports how long it takes to be of use.
func playStart(words []string) error {
	began := processStart()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	tr, err := tree.New(words[0], tree.Options{State: words[1], Log: log, HashWaitMax: time.Hour})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- tr.Run(ctx) }()
	var report startReport
	if words[2] != "" {
		p, _, err := tree.Parse("/" + words[2])
		if err != nil {
			return err
		}
		f, err := tr.Open(ctx, p)
		if err != nil {
			return err
		}
		f.Close()
		report.First = time.Since(began)
	}
	if _, _, err := tr.Folder(ctx, tree.Path{}); err != nil {
		return err
	}
	report.Warm = time.Since(began)
	report.Cpu, report.Hashed = processTime(), tr.Stats().HashedInBackground
	time.Sleep(time.Second)
	report.Anon = anonymousBytes()
	cancel()
	if err := <-ended; err != nil {
		return err
	}
	if err := tr.Close(); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(report)
}

// processStart is when the process began, to a hundredth of a second.
func processStart() time.Time {
	stat, _ := os.ReadFile("/proc/self/stat")
	uptime, _ := os.ReadFile("/proc/uptime")
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	ticks, _ := strconv.ParseInt(fields[19], 10, 64)
	up, _ := strconv.ParseFloat(strings.Fields(string(uptime))[0], 64)
	return time.Now().Add(time.Duration(ticks)*10*time.Millisecond - time.Duration(up*float64(time.Second)))
}

func processTime() time.Duration {
	stat, _ := os.ReadFile("/proc/self/stat")
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond
}

func anonymousBytes() int64 {
	status, _ := os.ReadFile("/proc/self/status")
	_, rest, _ := strings.Cut(string(status), "RssAnon:")
	var kib int64
	_, _ = fmt.Sscan(rest, &kib)
	return kib << 10
}

// startOn runs a process on a tree with a state folder.
func startOn(b *testing.B, root, state, probe string) (r startReport) {
	b.Helper()
	out, err := child(b, "start", root, state, probe).Output()
	if err == nil {
		err = json.Unmarshal(out, &r)
	}
	if err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	return r
}

// startTree returns a tree of benchFiles files, and the name of one of them.
func startTree(b *testing.B) (root, probe string) {
	b.Helper()
	root = *benchTree
	if root == "" {
		root = b.TempDir()
	}
	body := bytes.Repeat([]byte("0123456789abcdef"), benchFileBytes/16)
	for i := range *benchFiles {
		folder := filepath.Join(root, fmt.Sprintf("dir%04d", i/benchFolderFiles))
		name := filepath.Join(folder, fmt.Sprintf("file%06d.txt", i%benchFolderFiles))
		probe = strings.TrimPrefix(name, root+"/")
		if _, err := os.Lstat(name); err == nil {
			continue
		}
		if err := os.MkdirAll(folder, 0o755); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(name, append(strconv.AppendInt(nil, int64(i), 10), body...), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	return root, probe
}

// peer runs a shell command and returns how long it took.
func peer(b *testing.B, folder, command string) time.Duration {
	b.Helper()
	cmd := exec.Command("sh", "-c", command+" >/dev/null 2>&1")
	cmd.Dir = folder
	began := time.Now()
	if err := cmd.Run(); err != nil {
		b.Fatalf("%s: %v", command, err)
	}
	return time.Since(began)
}

// BenchmarkFirstLook measures a start without a cache, which reads every file, as a multiple of what hashing them by
// xxhsum on two cores takes.
func BenchmarkFirstLook(b *testing.B) {
	root, _ := startTree(b)
	var ours, theirs time.Duration
	for b.Loop() {
		theirs += peer(b, root, "find . -type f -print0 | xargs -0 -P2 -n500 xxhsum -H2")
		ours += startOn(b, root, b.TempDir(), "").Warm
	}
	b.ReportMetric(ours.Seconds()/float64(b.N), "s/look")
	b.ReportMetric(float64(ours)/float64(theirs), "x-xxhsum")
}

// BenchmarkRestart measures a start with a cache, which compares every stamp, as a multiple of what find takes to print them,
// the memory above that of a server of nothing, and the time until the first file is answered for.
func BenchmarkRestart(b *testing.B) {
	root, probe := startTree(b)
	state, nothing := b.TempDir(), b.TempDir()
	startOn(b, root, state, "")
	base := startOn(b, nothing, b.TempDir(), "")
	var ours, theirs, first, cpu time.Duration
	var memory int64
	for b.Loop() {
		theirs += peer(b, root, `find . -printf '%i %s %T@ %C@\n'`)
		r := startOn(b, root, state, probe)
		if r.Hashed > 0 {
			b.Fatalf("%d files were read", r.Hashed)
		}
		ours, first, cpu, memory = ours+r.Warm, first+r.First, cpu+r.Cpu, memory+r.Anon-base.Anon
	}
	n := float64(b.N)
	b.ReportMetric(ours.Seconds()/n, "s/restart")
	b.ReportMetric(cpu.Seconds()/n, "cpu-s/restart")
	b.ReportMetric(float64(ours)/float64(theirs), "x-find")
	b.ReportMetric(first.Seconds()/n, "s/first-file")
	b.ReportMetric(float64(memory)/n/(1<<20), "MiB-anon")
}
