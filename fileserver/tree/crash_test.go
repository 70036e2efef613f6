//go:build linux

package tree_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"freshet/fileserver/tree"
)

// childEnv makes the test binary, started again by a test, play the part that it names instead of running tests.
const childEnv = "FRESHET_TEST_CHILD"

// children are the parts. Each is given words by the test, and leaves without closing anything.
var children = map[string]func(words []string) error{
	"change":   changeChild,
	"recover":  recoverChild,
	"unsynced": unsyncedChild,
	"load":     loadChild,
	"standing": standingChild,

	"opposite-moves": oppositeMovesChild,
}

func TestMain(m *testing.M) {
	part, ok := os.LookupEnv(childEnv)
	if !ok {
		os.Exit(m.Run())
	}
	if err := children[part](os.Args[1:]); err != nil {
		fmt.Println("error:", err)
		os.Exit(3)
	}
	os.Exit(0)
}

// child prepares a process that plays a part.
func child(t testing.TB, part string, words ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, words...)
	cmd.Env = append(os.Environ(), childEnv+"="+part)
	cmd.Stderr = os.Stderr
	return cmd
}

// killed reports whether a process ended by SIGKILL.
func killed(err error) bool {
	exit, ok := err.(*exec.ExitError)
	return ok && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL
}

// die ends this process at once, as kill -9 does.
func die() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// A play is a scene that is played in a folder of its own.
type play struct {
	scene *scene
	mode  string
	root  string
	said  string // how it ended: "acknowledged", or "died at" a step
	late  bool   // what it displaced was written to after it died
}

func (p *play) acknowledged() bool { return p.said == acknowledged }

const acknowledged = "acknowledged"

// changeChild plays each scene up to its first step, then again up to its second, until it comes to its end; each time in a
// new folder of base, where it stands still. When all do, the process dies. It says how far each play came, and where.
func changeChild(words []string) error {
	base := words[0]
	for i := range scenes {
		for _, mode := range scenes[i].modes() {
			for hit := 1; ; hit++ {
				p := play{scene: &scenes[i], mode: mode, root: fmt.Sprintf("%s/%d-%s-%d", base, i, mode, hit)}
				if err := p.crash(hit); err != nil {
					return fmt.Errorf("%s: %w", p.scene.name, err)
				}
				fmt.Printf("%d %s %s %s\n", i, mode, p.root, p.said)
				if p.acknowledged() {
					break
				}
			}
		}
	}
	die()
	return nil
}

// crash plays a scene up to its hit-th step.
func (p *play) crash(hit int) error {
	if err := os.Mkdir(p.root, 0o755); err != nil {
		return err
	}
	if err := p.scene.build(p.root); err != nil {
		return err
	}
	tr, err := tree.New(p.root, tree.Options{Write: true, Log: quiet})
	if err != nil {
		return err
	}
	tr.Unwatch()
	p.said, err = until(hit, p.scene.player(p.root, p.mode), func() error { return p.scene.change(tr) })
	return err
}

// recoverChild opens trees, and so recovers them, until the hit-th step of each recovery.
func recoverChild(words []string) error {
	last, err := strconv.Atoi(words[0])
	if err != nil {
		return err
	}
	for roots := words[1:]; len(roots) > 0; roots = roots[2:] {
		mode, root := roots[0], roots[1]
		said, err := until(last, (&scene{}).player(root, mode), func() error {
			tr, err := tree.New(root, tree.Options{Write: true, Log: quiet})
			if err == nil {
				tr.Unwatch()
			}
			return err
		})
		if err != nil {
			return err
		}
		fmt.Println(said)
	}
	die()
	return nil
}

// until runs work up to its hit-th step, where it stays for good, or to its end.
func until(hit int, play func(step string) error, work func() error) (said string, err error) {
	stands, ended := make(chan string), make(chan error)
	hits := 0
	tree.HookFailpoint(func(step string) error {
		if slices.Contains(noSteps, step) {
			return play(step)
		}
		if hits++; hits == hit {
			stands <- "died at " + step
			select {}
		}
		return play(step)
	})
	go func() { ended <- work() }()
	select {
	case said = <-stands:
		return said, nil
	case err = <-ended:
		return acknowledged, err
	}
}

// noSteps are calls of the kernel that a test can let fail. To die there is to die at the step before.
var noSteps = []string{"exchange", "rename", "record", "lease"}

// liveSteps are steps of a tree that runs, at which TestRestartAfterEveryStep dies.
var liveSteps = []string{"first-look", "looked", "save", "save-feed", "saved"}

// TestCrashAtEveryStep kills the process at each step of each change, in turn, and then also at each step of the recovery.
// What is found afterwards is the old world or the new one, and the new one if the change was acknowledged.
func TestCrashAtEveryStep(t *testing.T) {
	died := map[string]bool{}
	plays := crashes(t)
	for _, p := range plays {
		died[strings.TrimPrefix(p.said, "died at ")] = true
		p.late = p.scene.late != nil && p.writeLate(t)
	}
	crashRecoveries(t, plays, died)
	for _, p := range plays {
		if err := p.verify(t); err != nil {
			t.Errorf("%s, %s, %s: %v", p.scene.name, p.mode, p.said, err)
		}
	}
	// A step that no scene comes by is a crash that nobody tried.
	for step, file := range failpointsInSource(t) {
		if !died[step] && !slices.Contains(noSteps, step) && !slices.Contains(liveSteps, step) {
			t.Errorf("%s: no scene comes by the step %q", file, step)
		}
	}
}

// memoryDir is a folder for tests that sync a thousand times and lose nothing when the machine stops: on a tmpfs, if the
// system has one in the usual place, and with -soak on a disk.
func memoryDir(t testing.TB) string {
	t.Helper()
	if *tree.Soak {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp("/dev/shm", "freshet")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// crashes lets a process play all scenes and die, and returns how far each came.
func crashes(t *testing.T) (plays []*play) {
	t.Helper()
	for _, line := range crashed(t, "change", []string{memoryDir(t)}) {
		words := strings.SplitN(line, " ", 4)
		n, err := strconv.Atoi(words[0])
		if err != nil || len(words) != 4 {
			t.Fatalf("the process said %q", line)
		}
		plays = append(plays, &play{scene: &scenes[n], mode: words[1], root: words[2], said: words[3]})
	}
	return plays
}

// writeLate writes to the file that a change displaced, if it has.
func (p *play) writeLate(t *testing.T) bool {
	staged, _ := filepath.Glob(filepath.Join(p.root, tree.Reserved, "stage", "*"))
	for _, name := range staged {
		if b, err := os.ReadFile(name); err != nil || string(b) != "old" {
			continue
		}
		if err := os.WriteFile(name, []byte("late"), 0); err != nil {
			t.Fatal(err)
		}
		return true
	}
	return false
}

// crashRecoveries lets each recovery die at its first step, the next one at its second, until it is through.
func crashRecoveries(t *testing.T, plays []*play, died map[string]bool) {
	t.Helper()
	plays = slices.DeleteFunc(slices.Clone(plays), func(p *play) bool {
		left, _ := filepath.Glob(filepath.Join(p.root, tree.Reserved, "stage", "*"))
		return len(left) == 0
	})
	for hit := 1; len(plays) > 0; hit++ {
		words := []string{strconv.Itoa(hit)}
		for _, p := range plays {
			words = append(words, p.mode, p.root)
		}
		var unfinished []*play
		for i, said := range crashed(t, "recover", words) {
			if said != acknowledged {
				died[strings.TrimPrefix(said, "died at ")] = true
				unfinished = append(unfinished, plays[i])
			}
		}
		plays = unfinished
	}
}

// crashed runs a part to its violent end and returns what it said, by line.
func crashed(t *testing.T, part string, words []string) []string {
	t.Helper()
	out, err := child(t, part, words...).Output()
	if !killed(err) {
		t.Fatalf("%s: the process said %q and ended with %v", part, out, err)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

// verify opens the tree again and compares what is there with the worlds that the scene may leave behind.
func (p *play) verify(t *testing.T) error {
	tr, err := tree.New(p.root, tree.Options{Write: true, Log: slog.New(slog.NewTextHandler(testWriter{t}, nil))})
	if err != nil {
		return fmt.Errorf("open again: %w", err)
	}
	if err := tr.Close(); err != nil {
		return err
	}
	return p.compare()
}

// compare says how what is left of a play differs from what its scene allows.
func (p *play) compare() error {
	found, err := look(p.root)
	if err != nil {
		return err
	}
	versions, err := lookAtState(p.root)
	if err != nil {
		return err
	}
	s := p.scene
	after, kept := s.after, s.kept
	if p.late {
		after, kept = s.late, nil
	}
	switch {
	case maps.Equal(found, after):
		if want := slices.Sorted(slices.Values(kept)); !slices.Equal(versions, want) {
			return fmt.Errorf("the versions are %q, want %q", versions, want)
		}
		return nil
	case p.acknowledged(), p.late:
		return fmt.Errorf("the tree holds %v, want %v", found, after)
	case p.mode == byLinks && s.linked != nil && maps.Equal(found, s.linked):
		return nil
	case s.halfway != nil && maps.Equal(found, s.halfway):
		return nil
	case maps.Equal(found, s.before), s.meanwhile != nil && maps.Equal(found, s.between):
		if !slices.Equal(versions, s.held) {
			return fmt.Errorf("nothing changed, but the versions are %q, not %q", versions, s.held)
		}
		return nil
	}
	return fmt.Errorf("the tree holds %v, want %v or %v", found, s.before, after)
}

// isBefore says how what is left differs from what was there.
func (p *play) isBefore() error {
	found, err := look(p.root)
	if err == nil && !maps.Equal(found, p.scene.before) && !(p.scene.meanwhile != nil && maps.Equal(found, p.scene.between)) {
		err = fmt.Errorf("the tree holds %v, want %v", found, p.scene.before)
	}
	return err
}

// conflictTime is the part of a conflict copy's name that look leaves out.
var conflictTime = regexp.MustCompile(`\(conflict [0-9. -]+(, [0-9]+)?\)`)

// look returns what is in root beside the state folder.
func look(root string) (world, error) {
	found := world{}
	err := filepath.WalkDir(root, func(name string, e os.DirEntry, err error) error {
		rel, _ := filepath.Rel(root, name)
		if err != nil || rel == "." {
			return err
		}
		if rel == tree.Reserved {
			return filepath.SkipDir
		}
		rel = conflictTime.ReplaceAllString(rel, "(conflict$1)")
		found[rel], err = content(name, e)
		return err
	})
	return found, err
}

// content is what is at name in the words of a world.
func content(name string, e os.DirEntry) (string, error) {
	switch {
	case e.IsDir():
		return "/", nil
	case e.Type()&os.ModeSymlink != 0:
		text, err := os.Readlink(name)
		return "-> " + text, err
	}
	b, err := os.ReadFile(name)
	return string(b), err
}

// lookAtState returns the versions, as versionsIn has them, and makes sure that nothing is left in the stage folder.
func lookAtState(root string) (versions []string, err error) {
	if left, _ := filepath.Glob(filepath.Join(root, tree.Reserved, "stage", "*")); len(left) > 0 {
		return nil, fmt.Errorf("left in the stage folder: %q", left)
	}
	return versionsIn(root)
}

// versionsIn returns the versions, sorted, each as "path: content".
func versionsIn(root string) (versions []string, err error) {
	kept := filepath.Join(root, tree.Reserved, "versions")
	entries, err := os.ReadDir(kept)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		name := filepath.Join(kept, e.Name())
		if id, isRecord := strings.CutSuffix(name, ".r"); isRecord {
			if _, err := os.Lstat(id); err != nil {
				return nil, fmt.Errorf("a record without a version: %w", err)
			}
			continue
		}
		text, err := recordText(name + ".r")
		if err != nil {
			return nil, fmt.Errorf("a version without a record: %w", err)
		}
		what, err := content(name, e)
		if err != nil {
			return nil, err
		}
		versions = append(versions, strings.SplitN(text, " ", 7)[6]+": "+what)
	}
	slices.Sort(versions)
	return versions, nil
}

// recordText reads a record: the text of a link, or of a file where that is bounded.
func recordText(name string) (string, error) {
	text, err := os.Readlink(name)
	if errors.Is(err, syscall.EINVAL) {
		b, err := os.ReadFile(name)
		return string(b), err
	}
	return text, err
}

// failpointsInSource returns the steps that the package names, and in which file.
func failpointsInSource(t *testing.T) map[string]string {
	t.Helper()
	steps := map[string]string{}
	files, _ := filepath.Glob("*.go")
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
			if _, rest, ok := strings.Cut(lines.Text(), `failpoint("`); ok {
				step, _, _ := strings.Cut(rest, `"`)
				steps[step] = name
			}
		}
	}
	return steps
}
