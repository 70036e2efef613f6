//go:build linux

package fileserver_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"freshet/fileserver/tree"
)

const mib = 1 << 20

const ownMountsEnv = "FRESHET_TEST_OWN_MOUNTS"

// inOwnMounts reports whether the test runs in a process with mounts of its own, and if not, runs it in one: what it
// mounts is seen by nobody else, and gone when the process ends, however it does.
func inOwnMounts(t *testing.T) bool {
	t.Helper()
	if os.Getenv(ownMountsEnv) == t.Name() {
		return true
	}
	cannot := t.Skip
	if os.Getenv("CI") == "true" {
		cannot = t.Fatal
	}
	if os.Geteuid() != 0 {
		cannot("mounting filesystems needs root")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, "-test.run=^"+t.Name()+"$", "-test.timeout=2m",
		"-test.v="+strconv.FormatBool(testing.Verbose()))
	cmd.Env = append(os.Environ(), ownMountsEnv+"="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, unix.EPERM) {
		cannot("this root may not mount filesystems")
	}
	if err != nil {
		t.Errorf("in a process of its own: %v", err)
	}
	if err != nil || testing.Verbose() {
		t.Logf("%s", out)
	}
	return false
}

// smallDisk mounts an empty filesystem of 4 MiB with the file "old" in it.
func smallDisk(t *testing.T) (root string) {
	t.Helper()
	root = t.TempDir()
	if err := unix.Mount("tmpfs", root, "tmpfs", 0, "size=4m"); err != nil {
		t.Fatalf("mount: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(root, unix.MNT_DETACH) })
	if err := os.WriteFile(filepath.Join(root, "old"), []byte("old bytes"), 0o644); err != nil {
		t.Fatal(err)
	}
	return root
}

// fill takes all space of the filesystem but about leave bytes.
func fill(t *testing.T, root string, leave int64) {
	t.Helper()
	var st unix.Statfs_t
	if err := unix.Statfs(root, &st); err != nil {
		t.Fatal(err)
	}
	ballast := make([]byte, int64(st.Bavail)*st.Bsize-leave)
	err := os.WriteFile(filepath.Join(root, "ballast"), ballast, 0o600)
	if full := leave == 0 && errors.Is(err, unix.ENOSPC); err != nil && !full { // the server writes too
		t.Fatal(err)
	}
}

// checkIntact makes sure that a server which ran out of something has lost nothing, keeps nothing and goes on.
func (w *world) checkIntact(t *testing.T) {
	t.Helper()
	if a := w.ask(t, "GET", "/old", ""); a.status != 200 || a.body != "old bytes" || a.header.Get("ETag") != tagOf("old bytes") {
		t.Errorf("the old bytes: %d %v %q", a.status, a.header, a.body)
	}
	if a := w.ask(t, "GET", "/", "", "Accept: text/plain"); a.status != 200 || !strings.Contains(a.body, "old\n") {
		t.Errorf("the listing: %d %q", a.status, a.body)
	}
	if s := w.tree.Stats(); s.StagedUploads != 0 || s.StagedBytes != 0 {
		t.Errorf("%d uploads of %d bytes are still counted", s.StagedUploads, s.StagedBytes)
	}
	if left, _ := filepath.Glob(filepath.Join(w.root, tree.Reserved, "stage/*.part")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// putUnannounced sends size bytes in chunks, and reads the answer while it does: a server that has no room says so when
// it finds out.
func (w *world) putUnannounced(t *testing.T, path string, size int) answer {
	t.Helper()
	conn := w.dial(t)
	defer conn.Close()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, err := fmt.Fprintf(conn, "PUT %s HTTP/1.1\r\nHost: %s\r\nTransfer-Encoding: chunked\r\n\r\n", path, w.addr)
		piece := strings.Repeat("x", 32<<10)
		for left := size; left > 0 && err == nil; left -= len(piece) {
			piece = piece[:min(len(piece), left)]
			_, err = fmt.Fprintf(conn, "%x\r\n%s\r\n", len(piece), piece)
		}
		if err == nil {
			_, _ = io.WriteString(conn, "0\r\n\r\n")
		}
	}()
	a := readAnswer(t, bufio.NewReader(conn), "PUT")
	conn.Close()
	<-sent
	return a
}

func expectProblem(t *testing.T, what string, a answer, status int, kind string) {
	t.Helper()
	if a.status != status || !strings.Contains(a.body, `"urn:freshet:problem:`+kind+`"`) {
		t.Errorf("%s: %d %q, want %d %s", what, a.status, a.body, status, kind)
	}
}

// TestFullDiskOverHTTP runs out of space in each of the ways that bytes come in.
func TestFullDiskOverHTTP(t *testing.T) {
	if !inOwnMounts(t) {
		return
	}
	root := smallDisk(t)
	w := newWorldOf(t, root, tree.Options{Write: true})
	fill(t, root, 256<<10)
	for _, path := range []string{"/new", "/old"} {
		announced := w.ask(t, "PUT", path, "", "Expect: 100-continue", "Content-Length: "+strconv.Itoa(mib))
		expectProblem(t, "announced PUT "+path, announced, 507, "no-space")
		if len(announced.interim) > 0 {
			t.Errorf("the body was asked for: %v", announced.interim)
		}
		w.checkIntact(t)
		// Room for less than 1 MiB is not asked for beforehand.
		expectProblem(t, "half a MiB to "+path, w.ask(t, "PUT", path, strings.Repeat("x", mib/2)), 507, "no-space")
		expectProblem(t, "unannounced PUT "+path, w.putUnannounced(t, path, mib), 507, "no-space")
		w.checkIntact(t)
	}
	files := form("file/first", "small", "file/second", strings.Repeat("x", mib/2), "file/third", "small")
	a := w.ask(t, "POST", "/", files, formType)
	expectProblem(t, "a form", a, 507, "no-space")
	if !strings.Contains(a.body, `"saved":[{"name":"first"`) || w.onDisk(t, "first") != "small" || w.onDisk(t, "second") != nothing {
		t.Errorf("the form with one file too many: %s", a.body)
	}
	if w.onDisk(t, "new") != nothing {
		t.Error("there is a new file")
	}
	expectProblem(t, "a copy", w.ask(t, "COPY", "/ballast", "", "Destination: /copy"), 507, "no-space")
	w.checkIntact(t)
	for _, path := range []string{"/small", "/old"} {
		if a := w.ask(t, "PUT", path, "old bytes"); a.status > 204 {
			t.Errorf("what fits, to %s: %d %s", path, a.status, a.body)
		}
	}
	if err := os.Remove(filepath.Join(root, "ballast")); err != nil {
		t.Fatal(err)
	}
	if a := w.ask(t, "PUT", "/new", strings.Repeat("x", mib)); a.status != 201 {
		t.Errorf("once there is room: %d %s", a.status, a.body)
	}
	w.checkIntact(t)
}

// TestNotOneBlockIsFree has the disk full to its last block: what needs none goes on.
func TestNotOneBlockIsFree(t *testing.T) {
	if !inOwnMounts(t) {
		return
	}
	root := smallDisk(t)
	w := newWorldOf(t, root, tree.Options{Write: true})
	fill(t, root, 0)
	expectProblem(t, "one byte", w.ask(t, "PUT", "/new", "x"), 507, "no-space")
	expectProblem(t, "one byte for the old ones", w.ask(t, "PUT", "/old", "x", "If-Match: "+tagOf("old bytes")), 507, "no-space")
	w.checkIntact(t)
	if a := w.ask(t, "GET", "/old", "", "If-None-Match: "+tagOf("old bytes")); a.status != 304 {
		t.Errorf("a condition: %d", a.status)
	}
	if a := w.ask(t, "MOVE", "/old", "", "Destination: /moved"); a.status != 201 {
		t.Errorf("MOVE: %d %s", a.status, a.body)
	}
	if a := w.ask(t, "DELETE", "/moved", ""); a.status != 204 {
		t.Errorf("DELETE: %d %s", a.status, a.body)
	}
}

// TestVersionsGiveWay replaces a file until only old versions of it stand in the way of an upload.
func TestVersionsGiveWay(t *testing.T) {
	if !inOwnMounts(t) {
		return
	}
	for _, announced := range []bool{true, false} {
		t.Run(fmt.Sprintf("announced_%v", announced), func(t *testing.T) {
			root := smallDisk(t)
			o := tree.Options{Write: true, VersionsBytesMax: 4 * mib}
			t.Run("three_versions", func(t *testing.T) { // and what they displace is settled when this server ends
				w := newWorldOf(t, root, o)
				for i := range 3 {
					if a := w.ask(t, "PUT", "/file", strings.Repeat(strconv.Itoa(i), mib)); a.status > 204 {
						t.Fatalf("%d %s", a.status, a.body)
					}
				}
			})
			w := newWorldOf(t, root, o)
			if n := w.tree.Stats().VersionsFiles; n != 2 {
				t.Fatalf("there are %d versions", n)
			}
			var a answer
			if announced {
				a = w.ask(t, "PUT", "/more", strings.Repeat("x", mib+mib/2))
			} else {
				a = w.putUnannounced(t, "/more", mib+mib/2)
			}
			if n := w.tree.Stats().VersionsFiles; a.status != 201 || n != 1 {
				t.Errorf("%d %s; %d versions are left, one had to go", a.status, a.body, n)
			}
			if got := w.onDisk(t, "file"); got != strings.Repeat("2", mib) {
				t.Errorf("the newest version has %d bytes", len(got))
			}
			w.checkIntact(t)
		})
	}
}

// TestReadOnlyMountOverHTTP has a folder that is mounted for reading only: nothing in it changes, all of it is served, and
// what comes of each change is said in the same words.
func TestReadOnlyMountOverHTTP(t *testing.T) {
	if !inOwnMounts(t) {
		return
	}
	root := smallDisk(t)
	w := newWorldOf(t, root, tree.Options{Write: true})
	w.file(t, "d/old", "old bytes")
	d := filepath.Join(root, "d")
	if err := unix.Mount(d, d, "", unix.MS_BIND, ""); err != nil {
		t.Fatalf("mount: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(d, unix.MNT_DETACH) })
	if err := unix.Mount("", d, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatalf("remount: %v", err)
	}
	for what, a := range map[string]answer{
		"create":      w.ask(t, "PUT", "/d/new", "x"),
		"replace":     w.ask(t, "PUT", "/d/old", "other"),
		"conditional": w.ask(t, "PUT", "/d/old", "other", "If-Match: "+tagOf("old bytes")),
		"form":        w.ask(t, "POST", "/d/", form("file/n", "x"), formType),
		"mkcol":       w.ask(t, "MKCOL", "/d/n", ""),
		"copy_into":   w.ask(t, "COPY", "/old", "", "Destination: /d/n"),
		"move_within": w.ask(t, "MOVE", "/d/old", "", "Destination: /d/n"),
		"delete":      w.ask(t, "DELETE", "/d/old", ""),
	} {
		expectProblem(t, what, a, 403, "read-only-disk")
	}
	w.checkIntact(t)
	if a := w.ask(t, "GET", "/d/old", ""); a.status != 200 || a.body != "old bytes" {
		t.Errorf("%d %q", a.status, a.body)
	}
}

// eachChangeOverHTTP tries every way to change a root that has the file "old" and the folder "d".
func (w *world) eachChangeOverHTTP(t *testing.T) map[string]answer {
	t.Helper()
	return map[string]answer{
		"create":      w.ask(t, "PUT", "/d/new", "x"),
		"replace":     w.ask(t, "PUT", "/old", "other"),
		"conditional": w.ask(t, "PUT", "/old", "other", "If-Match: "+tagOf("old bytes")),
		"form":        w.ask(t, "POST", "/d/", form("file/n", "x"), formType),
		"mkcol":       w.ask(t, "MKCOL", "/n", ""),
		"copy":        w.ask(t, "COPY", "/old", "", "Destination: /n"),
		"copy_folder": w.ask(t, "COPY", "/d/", "", "Destination: /n/"),
		"move":        w.ask(t, "MOVE", "/old", "", "Destination: /n"),
		"move_folder": w.ask(t, "MOVE", "/d/", "", "Destination: /n/"),
		"delete":      w.ask(t, "DELETE", "/old", ""),
		"delete_all":  w.ask(t, "DELETE", "/d/", ""),
	}
}

// TestRootRemovedOverHTTP removes the served folder, and makes another one in its place.
func TestRootRemovedOverHTTP(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	root := filepath.Join(base, "root")
	if err := os.MkdirAll(filepath.Join(root, "d"), 0o755); err != nil {
		t.Fatal(err)
	}
	w := newWorldOf(t, root, tree.Options{Write: true})
	w.file(t, "old", "old bytes")
	w.checkIntact(t)
	status, said := w.slowPut(t, "/d/new", "X: y", func() {
		if err := os.RemoveAll(root); err != nil {
			t.Fatal(err)
		}
	})
	expectProblem(t, "an upload on its way", answer{status: status, body: said}, 503, "root-gone")
	for _, again := range []bool{false, true} {
		if again {
			if err := os.Mkdir(root, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		answers := w.eachChangeOverHTTP(t)
		for _, path := range []string{"/", "/old", "/d/", "/none/of/it"} {
			answers["GET "+path] = w.ask(t, "GET", path, "")
		}
		answers["listing"] = w.ask(t, "GET", "/", "", "Accept: application/json")
		for what, a := range answers {
			expectProblem(t, what, a, 503, "root-gone")
			if a.header.Get("Retry-After") == "" {
				t.Errorf("%s: there is no Retry-After", what)
			}
		}
		if a := w.ask(t, "OPTIONS", "*", ""); a.status != 204 {
			t.Errorf("OPTIONS *: %d", a.status)
		}
	}
	if got := w.diskNames(t, ""); len(got) > 0 {
		t.Errorf("the new folder holds %q", got)
	}
}

// TestFolderChangesUnderAnUpload has the folder of an upload go, or become something else, while the body arrives.
func TestFolderChangesUnderAnUpload(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(w *world, d string) error
		status int
		kind   string
		lands  string // where the file is afterwards
	}{
		"nothing": {func(*world, string) error { return nil }, 201, "", "d/e/new"},
		"removed": {func(_ *world, d string) error { return os.RemoveAll(d) }, 409, "no-parent", ""},
		"renamed": {func(_ *world, d string) error { return os.Rename(d, d+"2") }, 409, "no-parent", ""},
		"removed_by_another_client": {func(w *world, _ string) error {
			return wantStatus(w, 204, "DELETE", "/d/e/")
		}, 409, "no-parent", ""},
		"moved_by_another_client": {func(w *world, _ string) error {
			return wantStatus(w, 201, "MOVE", "/d", "Destination: /d2")
		}, 409, "no-parent", ""},
		"replaced": {func(_ *world, d string) error { return errors.Join(os.Rename(d, d+"2"), os.Mkdir(d, 0o755)) },
			201, "", "d/e/new"},
		"became_a_file": {func(_ *world, d string) error { return errors.Join(os.RemoveAll(d), os.WriteFile(d, nil, 0o644)) },
			409, "no-parent", ""},
		"became_a_link_inside": {func(_ *world, d string) error { return errors.Join(os.Rename(d, d+"2"), os.Symlink("e2", d)) },
			201, "", "d/e2/new"},
		"became_a_link_out": {func(_ *world, d string) error { return errors.Join(os.Rename(d, d+"2"), os.Symlink("../../..", d)) },
			403, "outside", ""},
		"became_the_reserved_folder": {func(_ *world, d string) error {
			return errors.Join(os.Rename(d, d+"2"), os.Symlink("../.freshet", d))
		}, 404, "not-found", ""},
		"target_became_a_folder": {func(_ *world, d string) error { return os.Mkdir(filepath.Join(d, "new"), 0o755) },
			405, "is-folder", ""},
		"target_appeared": {func(_ *world, d string) error { return os.WriteFile(filepath.Join(d, "new"), []byte("local"), 0o644) },
			412, "precondition", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorldOf(t, fastFolder(t), tree.Options{Write: true})
			w.file(t, "old", "old bytes")
			w.file(t, "d/e/other", "other")
			status, said := w.slowPut(t, "/d/e/new", "If-None-Match: *", func() {
				if err := c.change(w, filepath.Join(w.root, "d/e")); err != nil {
					t.Fatal(err)
				}
			})
			if status != c.status || c.kind != "" && !strings.Contains(said, ":"+c.kind+`"`) {
				t.Errorf("%d %s, want %d %s", status, said, c.status, c.kind)
			}
			if c.lands != "" && w.onDisk(t, c.lands) != "halfhalf" {
				t.Errorf("%s is %q", c.lands, w.onDisk(t, c.lands))
			}
			w.checkIntact(t)
			if found := w.withContent(t, "halfhalf"); (c.lands == "") != (len(found) == 0) || len(found) > 1 {
				t.Errorf("the upload is at %q", found)
			}
		})
	}
}

// wantStatus sends a request and wants it to be answered so.
func wantStatus(w *world, status int, method, path string, fields ...string) error {
	r, err := http.NewRequest(method, "http://"+w.addr+path, nil)
	if err != nil {
		return err
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		r.Header.Set(name, value)
	}
	reply, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	if reply.StatusCode != status {
		err = fmt.Errorf("%s %s: %s", method, path, reply.Status)
	}
	return errors.Join(err, reply.Body.Close())
}

// withContent returns the files with that content anywhere below the root, the server's own folder included.
func (w *world) withContent(t *testing.T, content string) (found []string) {
	t.Helper()
	err := filepath.WalkDir(w.root, func(name string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(name)
		if string(b) == content {
			found = append(found, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
