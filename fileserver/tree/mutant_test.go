//go:build linux

package tree_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A mutant is the package with one of its safeguards gone. The test that is named must then fail. All mutants are built into
// one program, where each is asleep until the environment wakes it.
type mutant struct {
	name     string
	file     string
	old, new string // new asks woken(name); old stands once in file
	killer   string // for -test.run
}

const mutantEnv = "FRESHET_TEST_MUTANT"

// mutantSource is added to the package.
const mutantSource = `package tree

import "os"

var mutant = os.Getenv("` + mutantEnv + `")

func woken(name string) bool { return mutant == name }
`

// mutantTimeMax is how long a test may take to fail.
const mutantTimeMax = 20 * time.Second

// TestMutantsDie makes sure that the tests of this package would notice if one of its safeguards was gone.
func TestMutantsDie(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		without(t, err)
	}
	if os.Getenv(mutantEnv) != "" {
		t.Skip("this is a mutant")
	}
	program := buildMutants(t)
	var killers []string
	for _, m := range mutants {
		killers = append(killers, m.killer)
	}
	// What fails without any mutant awake proves nothing.
	if out, err := runMutant(program, "none", strings.Join(killers, "|")); err != nil {
		t.Fatalf("with all mutants asleep: %v\n%s", err, out)
	}
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			out, err := runMutant(program, m.name, m.killer)
			switch {
			case err == nil && !strings.Contains(out, "--- SKIP"):
				t.Errorf("%s survives %s", m.name, m.killer)
			case err != nil && !strings.Contains(out, "--- FAIL"):
				t.Errorf("%s does not fail, but ends: %v\n%s", m.killer, err, out)
			}
		})
	}
}

// runMutant runs tests with one mutant awake.
func runMutant(program, name, tests string) (string, error) {
	cmd := exec.Command(program, "-test.v", "-test.timeout", mutantTimeMax.String(), "-test.run", tests)
	cmd.Env = append(os.Environ(), mutantEnv+"="+name)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// buildMutants builds the tests of this package, with all mutants.
func buildMutants(t *testing.T) (program string) {
	t.Helper()
	dir := t.TempDir()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	overlay := map[string]string{filepath.Join(here, "mutant.go"): writeFile(t, dir, "mutant.go", mutantSource)}
	for file, source := range mutate(t) {
		overlay[filepath.Join(here, file)] = writeFile(t, dir, file, source)
	}
	text, err := json.Marshal(map[string]any{"Replace": overlay})
	if err != nil {
		t.Fatal(err)
	}
	program = filepath.Join(dir, "mutants.test")
	build := exec.Command("go", "test", "-c", "-overlay", writeFile(t, dir, "overlay.json", string(text)), "-o", program, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

// mutate returns the sources with all mutants in them, by file.
func mutate(t *testing.T) map[string]string {
	t.Helper()
	sources, changed := map[string]string{}, map[string]string{}
	for _, m := range mutants {
		if _, ok := sources[m.file]; !ok {
			b, err := os.ReadFile(m.file)
			if err != nil {
				t.Fatal(err)
			}
			sources[m.file], changed[m.file] = string(b), string(b)
		}
		if n := strings.Count(sources[m.file], m.old); n != 1 {
			t.Errorf("%s: %q is %d times in %s", m.name, m.old, n, m.file)
		}
		if n := strings.Count(changed[m.file], m.old); n != 1 {
			t.Errorf("%s: another mutant has changed %q", m.name, m.old)
		}
		changed[m.file] = strings.Replace(changed[m.file], m.old, strings.ReplaceAll(m.new, "woken()", `woken("`+m.name+`")`), 1)
	}
	if t.Failed() {
		t.FailNow()
	}
	return changed
}

func writeFile(t *testing.T, dir, name, text string) string {
	t.Helper()
	name = filepath.Join(dir, name)
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}
