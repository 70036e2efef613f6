package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"freshet/hashing"
)

// ask runs the program in this process.
func ask(stdin io.Reader, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(context.Background(), args, stdin, &out, &errs)
	return code, out.String(), errs.String()
}

// oldXxhsum is a version that prints names as they are. From 0.8.2 on it escapes line breaks and backslashes.
var oldXxhsum = regexp.MustCompile(`xxhsum 0\.([0-7]\.|8\.[01]\b)`)

func TestHashPrintsWhatXxhsumPrints(t *testing.T) {
	need(t, "xxhsum")
	t.Chdir(t.TempDir())
	names := []string{"a", "with space", " lead", "tab\there", "\xff\xfe", "ü", "\u202egnp.exe", "quote\"'", "-dash", "*", "$HOME",
		strings.Repeat("n", 255)}
	if version, _ := exec.Command("xxhsum", "--version").CombinedOutput(); oldXxhsum.Match(version) {
		names = append(names, "line\nbreak", "back\\slash", "return\r")
	}
	paths := []string{"./-dash"}
	for i, name := range names {
		if err := os.WriteFile(name, bytes.Repeat([]byte{byte(i)}, i*i*997), 0o600); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(name, "-") {
			paths = append(paths, name)
		}
	}
	// The lengths at which XXH3 and our reading change their ways.
	for _, n := range []int{0, 1, 3, 4, 8, 9, 16, 17, 128, 129, 240, 241, 1 << 10, 128 << 10, 1<<20 - 1, 1 << 20, 1<<20 + 1, 3<<20 + 7} {
		name := fmt.Sprint("size ", n)
		if err := os.WriteFile(name, bytes.Repeat([]byte("freshet"), n/7+1)[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, name)
	}
	want, err := exec.Command("xxhsum", append([]string{"-H128"}, paths...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	code, got, errs := ask(nil, append([]string{"hash"}, paths...)...)
	if code != exitOK || got != string(want) || errs != "" {
		t.Errorf("exit code %d\ngot  %q\nwant %q\n%s", code, got, want, errs)
	}

	piped := exec.Command("xxhsum", "-H128", "-")
	piped.Stdin = strings.NewReader("piped")
	if want, err = piped.Output(); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"hash"}, {"hash", "-"}} {
		if code, got, _ = ask(strings.NewReader("piped"), args...); code != exitOK || got != string(want) {
			t.Errorf("%q: exit code %d, got %q, want %q", args, code, got, want)
		}
	}
}

func TestHashPrintsWhatB3sumPrints(t *testing.T) {
	need(t, "b3sum")
	t.Chdir(t.TempDir())
	paths := []string{"-"}
	for _, n := range []int{0, 1, 64, 65, 1 << 10, 1<<10 + 1, 8 << 10, 8<<10 + 1, 1<<20 - 1, 1 << 20, 3<<20 + 7} {
		paths = append(paths, fmt.Sprint("size ", n))
		if err := os.WriteFile(fmt.Sprint("size ", n), bytes.Repeat([]byte("freshet"), n/7+1)[:n], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	theirs := exec.Command("b3sum", append([]string{"--length", "16"}, paths...)...)
	theirs.Stdin = strings.NewReader("piped")
	want, err := theirs.Output()
	if err != nil {
		t.Fatal(err)
	}
	code, got, errs := ask(strings.NewReader("piped"), append([]string{"hash", "--algorithm", "blake3"}, paths...)...)
	if code != exitOK || got != string(want) || errs != "" {
		t.Errorf("exit code %d\ngot  %q\nwant %q\n%s", code, got, want, errs)
	}
}

func TestHashTellsAReadThatFails(t *testing.T) {
	code, out, errs := ask(iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader("abc"))), "hash", "-")
	if code != exitFailed || out != "" || errs != "freshet: cannot hash -: timeout\n" {
		t.Errorf("exit code %d, %q, %q", code, out, errs)
	}
}

func TestHashEndsWhenInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	pipe, writer := io.Pipe() // nothing ever comes
	defer writer.Close()
	time.AfterFunc(10*time.Millisecond, cancel)
	var out, errs bytes.Buffer
	if code := run(ctx, []string{"hash", "-"}, pipe, &out, &errs); code != exitInterrupted || errs.Len() > 0 {
		t.Errorf("exit code %d, %q", code, errs.String())
	}
}

func TestHashEndsWhenNobodyReads(t *testing.T) {
	gone := errors.New("nobody reads")
	err := hashAll(context.Background(), hashing.XXH3, []string{"-"}, strings.NewReader(""), failingWriter{gone}, io.Discard)
	if !errors.Is(err, gone) {
		t.Errorf("got %v", err)
	}
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }
