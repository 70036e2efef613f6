package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A mirror is a served folder and a copy of it that the README's script makes.
type mirror struct {
	served, copied, script string
	server                 *server
	random                 *rand.Rand
}

func newMirror(t *testing.T, settings ...string) *mirror {
	t.Helper()
	need(t, "bash", "curl", "jq")
	base := t.TempDir()
	m := &mirror{
		served: filepath.Join(base, "served"), copied: filepath.Join(base, "the copy"), script: filepath.Join(base, "pull.sh"),
		random: rand.New(rand.NewPCG(1, 2)),
	}
	err := os.Mkdir(m.served, 0o755)
	if err == nil {
		err = os.WriteFile(m.script, []byte(pullScript(t)), 0o644)
	}
	if err == nil {
		env := append([]string{"PATH=" + os.Getenv("PATH"), stateHomeVariable + "=" + base}, settings...)
		m.server, err = startServer(base, env, "--write", "--state", filepath.Join(base, "kept"), "--listen", "127.0.0.1:0", m.served)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.server.kill)
	return m
}

func (m *mirror) command(ctx context.Context, args ...string) (cmd *exec.Cmd, said *lockedBuffer) {
	cmd = exec.CommandContext(ctx, "bash", append([]string{m.script, m.server.url, m.copied}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // so that its curl ends with it
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	said = &lockedBuffer{}
	cmd.Stdout, cmd.Stderr = said, said
	return cmd, said
}

// pull brings the copy up to date.
func (m *mirror) pull(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd, said := m.command(ctx, "once")
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, said.String())
	}
}

// differs returns what is different in the copy; "": nothing.
func (m *mirror) differs() string {
	out, err := exec.Command("diff", "-r", "--no-dereference", m.served, m.copied).CombinedOutput()
	if err != nil {
		return fmt.Sprintf("%v\n%s", err, out)
	}
	var lists [2][]byte
	for i, dir := range []string{m.served, m.copied} {
		list := exec.Command("sh", "-c", `find . \( -type f -perm -100 -printf 'x %P\0' \) -o -printf '%y %l %P\0' | sort -z`)
		list.Dir = dir
		if lists[i], err = list.Output(); err != nil {
			return err.Error()
		}
	}
	if !bytes.Equal(lists[0], lists[1]) {
		return fmt.Sprintf("kinds differ:\n%q\n%q", lists[0], lists[1])
	}
	return ""
}

var mirrorNames = []string{
	"a", "b", "c.txt", " two  words ", `q"u'o\te`, "Grüße 漢字 🎈", "%41%", "new\nline", "-rf", "*", "$HOME `x`", "a+b&c=d?#e;[1]{2}",
	"\u202egnp", "e\u0301", "é", "n,k:d", strings.Repeat("long", 60),
}

func init() { // a name with a backslash in it is not served
	for i, name := range mirrorNames {
		mirrorNames[i] = strings.ReplaceAll(name, `\`, "")
	}
}

// name returns a path that need not be there.
func (m *mirror) name() string {
	parts := []string{m.served}
	for range 1 + m.random.IntN(3) {
		parts = append(parts, mirrorNames[m.random.IntN(len(mirrorNames))])
	}
	return filepath.Join(parts...)
}

// existing returns the path of something that is there, if anything is.
func (m *mirror) existing() string {
	var all []string
	_ = filepath.WalkDir(m.served, func(path string, _ fs.DirEntry, _ error) error {
		if path != m.served {
			all = append(all, path)
		}
		return nil
	})
	if len(all) == 0 {
		return m.name()
	}
	return all[m.random.IntN(len(all))]
}

// change does one thing that a local program might, at random. What cannot be done, because something else is there, is not
// done.
func (m *mirror) change() {
	at, to := m.existing(), m.name()
	body := []byte(fmt.Sprint(m.random.Uint64()))
	if m.random.IntN(8) == 0 {
		body = nil
	}
	switch m.random.IntN(12) {
	case 0, 1, 2, 3:
		_ = os.MkdirAll(filepath.Dir(to), 0o755)
		_ = os.WriteFile(to, body, 0o644+os.FileMode(m.random.IntN(2)*0o111))
	case 4:
		_ = os.WriteFile(at, body, 0o644)
	case 5:
		_ = os.RemoveAll(at)
	case 6:
		_ = os.Rename(at, to)
	case 7:
		_ = os.Rename(at, m.existing())
	case 8:
		_ = os.MkdirAll(to, 0o755)
	case 9:
		_ = os.Symlink(filepath.Base(at), to)
	case 10:
		_ = os.RemoveAll(at)
		_ = os.Symlink(filepath.Base(to), at)
	case 11:
		if info, err := os.Lstat(at); err == nil && info.Mode().IsRegular() {
			_ = os.Chmod(at, info.Mode()^0o111)
		}
	}
}

// TestPullKeepsACopyInStep runs the README's sync client against random changes, after which the trees must be the same.
func TestPullKeepsACopyInStep(t *testing.T) {
	t.Parallel()
	m := newMirror(t)
	for round := range 3 {
		for range 10 + round*8 {
			m.change()
		}
		m.pull(t)
		if found := m.differs(); found != "" {
			t.Fatalf("round %d: %s", round, found)
		}
	}
	if n := strings.Count(m.server.access.String(), `"POST /.freshet/v1/tree`); n == 0 || n > 60 {
		t.Errorf("%d questions were asked", n)
	}
	many := filepath.Join(m.served, "many")
	if err := os.MkdirAll(filepath.Join(many, "deep"), 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range 220 { // which an answer tells of in two lines
		name := fmt.Sprintf("%0200d", i)
		if err := os.Symlink(name, filepath.Join(many, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, then := range []func() error{func() error { return os.RemoveAll(many) }, func() error { return nil }} {
		m.pull(t)
		if found := m.differs(); found != "" {
			t.Fatal(found)
		}
		if err := then(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestPullFollows lets the script run, which is told of each change by the feed.
func TestPullFollows(t *testing.T) {
	t.Parallel()
	m := newMirror(t, "FRESHET_HASH=blake3")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	cmd, said := m.command(ctx)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cancel(); _ = cmd.Wait() }()
	for round := range 2 {
		for range 8 {
			m.change()
		}
		found := "?"
		for deadline := time.Now().Add(startTimeMax); found != "" && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
			found = m.differs()
		}
		if found != "" {
			t.Fatalf("round %d: %s\n%s", round, found, said.String())
		}
	}
}
