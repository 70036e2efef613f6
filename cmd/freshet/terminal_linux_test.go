package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// openTerminal returns both ends of a new pseudo-terminal (pts(4)).
func openTerminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminal can be had: %v", err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if slave, err = os.OpenFile(fmt.Sprint("/dev/pts/", n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() })
	return master, slave
}

// TestTerminalGetsTheBanner checks that a person sees the banner and no log lines, and that Ctrl+C ends the server with 0.
func TestTerminalGetsTheBanner(t *testing.T) {
	master, slave := openTerminal(t)
	program, err := exec.LookPath("freshet")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte("one"), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "--listen", "127.0.0.1:0", dir)
	cmd.Stderr = slave
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	var text lockedBuffer
	ended := make(chan struct{})
	go func() { defer close(ended); _, _ = master.WriteTo(&text) }()
	const last = "More: freshet help serve"
	text.wait(startTimeMax, ended, func(text string) bool { return strings.Contains(text, last) })
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("Ctrl+C: %v", err)
	}
	got := text.String()
	if !strings.HasPrefix(got, "freshet ") || !strings.Contains(got, "serving "+dir) || !strings.Contains(got, last) ||
		strings.Contains(got, "level=") || !strings.Contains(got, "\r\n  Index             1 file, 3 B, ready in ") {
		t.Errorf("got %q", got)
	}
}
