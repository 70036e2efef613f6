package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) { testscript.Main(tests{m}, map[string]func(){"freshet": main}) }

// tests keep what the program remembers away from whoever runs them.
type tests struct{ *testing.M }

func (m tests) Run() int {
	folder, err := os.MkdirTemp("", "freshet-state-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(folder)
	os.Setenv(stateHomeVariable, folder)
	return m.M.Run()
}

// need skips a test on a machine without the programs; in CI their absence is a failure.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err == nil {
			continue
		}
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is not installed", p)
		}
		t.Skipf("%s is not installed", p)
	}
}

// The scripts run the program itself. Besides what testscript has, they may use:
//
//	exits CODE PROGRAM ARGS…   run it and expect that exit code
//	serve ARGS…                start freshet serve in the background and set $URL, without a slash at its end
//	hup TEXT                   send it HUP and wait until its log has the text
//	stop SIGNAL                end it by TERM or INT and expect exit code 0; what it wrote is in serve.log and access.log
func runScripts(t *testing.T, dir string) {
	testscript.Run(t, testscript.Params{
		Dir:                 dir,
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Values[serverKey{}] = new(*server)
			env.Setenv(stateHomeVariable, filepath.Join(env.WorkDir, ".state"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": scriptExits, "serve": scriptServe, "stop": scriptStop, "hup": scriptHangup,
		},
	})
}

func TestScripts(t *testing.T) { runScripts(t, "testdata/script") }

func TestServeScripts(t *testing.T) {
	need(t, "curl")
	runScripts(t, "testdata/serve")
}

func scriptExits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	code := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		code = exit.ExitCode()
	}
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
}

// serverKey is the key of a script's server among its values: a **server.
type serverKey struct{}

func scriptServe(ts *testscript.TestScript, _ bool, args []string) {
	var env []string
	names := []string{"PATH", "HOME", "TMPDIR", "FRESHET_CONFIG", stateHomeVariable}
	for _, setting := range settings(defaults()) {
		names = append(names, setting.environment())
	}
	for _, name := range names {
		if v := ts.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	s, err := startServer(ts.MkAbs("."), env, args...)
	ts.Check(err)
	ts.Defer(s.kill)
	ts.Setenv("URL", strings.TrimSuffix(s.url, "/"))
	*ts.Value(serverKey{}).(**server) = s
}

func scriptHangup(ts *testscript.TestScript, _ bool, args []string) {
	s := *ts.Value(serverKey{}).(**server)
	ts.Check(s.process.Process.Signal(syscall.SIGHUP))
	said := false
	s.log.wait(startTimeMax, s.exited, func(text string) bool { said = strings.Contains(text, args[0]); return said })
	if !said {
		ts.Fatalf("its log does not say %q: %s", args[0], s.log.String())
	}
}

func scriptStop(ts *testscript.TestScript, _ bool, args []string) {
	s := *ts.Value(serverKey{}).(**server)
	signal := map[string]os.Signal{"TERM": syscall.SIGTERM, "INT": os.Interrupt}[args[0]]
	err := s.stop(signal)
	ts.Check(os.WriteFile(ts.MkAbs("serve.log"), []byte(s.log.String()), 0o666))
	ts.Check(os.WriteFile(ts.MkAbs("access.log"), []byte(s.access.String()), 0o666))
	ts.Check(err)
}
