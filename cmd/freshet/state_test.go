package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"freshet/fileserver/tree"
)

// TestRestartReadsNoFile checks that a server which only reads remembers all digests, and finds what has changed while it was
// down.
func TestRestartReadsNoFile(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	root := filepath.Join(base, "shared")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	if why := unproven(t, root); why != "" {
		t.Skip(why)
	}
	for _, name := range []string{"a", "b", "c"} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	env := []string{"PATH=" + os.Getenv("PATH"), stateHomeVariable + "=" + base}
	for _, hashed := range []string{" hashed=3 ", " hashed=0 ", " hashed=1 "} {
		if hashed == " hashed=1 " {
			if err := os.WriteFile(filepath.Join(root, "b"), []byte("other"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		s, err := startServer(base, env, "--listen", "127.0.0.1:0", root)
		if err != nil {
			t.Fatal(err)
		}
		s.log.wait(startTimeMax, s.exited, func(text string) bool { return strings.Contains(text, `msg="index is ready" files=3 `) })
		if err := s.stop(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(s.log.String(), hashed) {
			t.Errorf("want%s\n%s", hashed, s.log.String())
		}
	}
}

// unproven returns why an equal stamp is no proof of equal bytes under root; "": it is one.
func unproven(t *testing.T, root string) string {
	t.Helper()
	findings, err := tree.Probe(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range findings {
		if !f.OK && (f.Name == "filesystem" || f.Name == "fine stamps" || f.Name == "read leases") {
			return f.Detail
		}
	}
	return ""
}

func TestStateHome(t *testing.T) {
	for name, c := range map[string]struct{ xdg, home, want string }{
		"given":                 {"/x", "/h", "/x/freshet"},
		"default":               {"", "/h", "/h/.local/state/freshet"},
		"relative_is_ignored":   {"x", "/h", "/h/.local/state/freshet"},
		"no_home":               {"", "", ""},
		"relative_home_is_none": {"", "h", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(stateHomeVariable, c.xdg)
			t.Setenv("HOME", c.home)
			if got, err := stateHome(); got != c.want || (err == nil) != (c.want != "") {
				t.Errorf("got %q, %v, want %q", got, err, c.want)
			}
		})
	}
}

func TestContains(t *testing.T) {
	base := t.TempDir()
	for _, dir := range []string{"served/in", "outside"} {
		if err := os.MkdirAll(filepath.Join(base, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../served/in", filepath.Join(base, "outside/link")); err != nil {
		t.Fatal(err)
	}
	for folder, want := range map[string]bool{
		"served": true, "served/in": true, "served/new/deep": true, "outside": false, "outside/new": false, "served2": false,
		"outside/link": true, "outside/link/new": true, "served/..in": true, "served/../outside": false,
	} {
		if got := (target{dir: filepath.Join(base, "served")}).contains(filepath.Join(base, folder)); got != want {
			t.Errorf("%s: got %v", folder, got)
		}
	}
	if (target{dir: base, only: "file"}).contains(filepath.Join(base, "in")) {
		t.Error("a folder is in a file")
	}
}
