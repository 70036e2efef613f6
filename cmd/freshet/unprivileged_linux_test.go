package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestFolderThatMayNotBeRead checks that the server does not start where all that it could answer is an error.
func TestFolderThatMayNotBeRead(t *testing.T) {
	dir := t.TempDir()
	closed := filepath.Join(dir, "closed")
	if err := os.Mkdir(closed, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(closed, 0o700) })
	ctx, cancel := context.WithTimeout(context.Background(), startTimeMax)
	defer cancel()
	cmd := exec.CommandContext(ctx, "freshet", "--listen", "127.0.0.1:0", closed)
	if os.Geteuid() == 0 {
		cmd.Path = openToAll(t, dir)
		const nobody = 65534
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	out, err := cmd.CombinedOutput()
	want := "freshet: cannot serve " + closed + "\n  why: permission denied\n"
	if err == nil || cmd.ProcessState.ExitCode() != exitFailed || !strings.HasPrefix(string(out), want) {
		t.Errorf("got %v\n%s", err, out)
	}
}

// openToAll lets every user into dir, and returns a copy of the program that every user can run.
func openToAll(t *testing.T, dir string) string {
	t.Helper()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	found, err := exec.LookPath("freshet")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(found)
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(dir, "freshet")
	if err := os.WriteFile(copied, program, 0o755); err != nil {
		t.Fatal(err)
	}
	return copied
}
