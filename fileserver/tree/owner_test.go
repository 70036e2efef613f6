//go:build linux

package tree_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"freshet/fileserver/tree"
)

// statOf is what the kernel says of a file.
func statOf(t testing.TB, name string) unix.Stat_t {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(name, &st); err != nil {
		t.Fatal(err)
	}
	return st
}

func modeOf(t testing.TB, name string) uint32 { return statOf(t, name).Mode & 0o7777 }

// TestReplacedFileKeepsWhoItIs replaces a file with another owner, group, mode and attributes: only its bytes change.
func TestReplacedFileKeepsWhoItIs(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("giving files away needs root")
	}
	tr, root := open(t, tree.Options{Write: true})
	for _, tt := range []struct {
		name     string
		uid, gid int
		mode     uint32
		want     uint32
	}{
		{"own", 0, 0, 0o640, 0o640},
		{"of_others", 1234, 4321, 0o600, 0o600},
		{"executable", 1234, 0, 0o755, 0o755},
		{"of_nobody_to_read", 1234, 4321, 0o000, 0o000},
		{"setuid_is_not_kept", 1234, 4321, 0o4755, 0o755},
		{"setgid_is_not_kept", 0, 4321, 0o2755, 0o755},
		{"sticky_is_not_kept", 0, 0, 0o1644, 0o644},
	} {
		t.Run(tt.name, func(t *testing.T) {
			name := filepath.Join(root, tt.name)
			err := errors.Join(os.WriteFile(name, []byte("old"), 0o600), os.Chown(name, tt.uid, tt.gid), unix.Chmod(name, tt.mode),
				unix.Setxattr(name, "user.kept", []byte("value"), 0), unix.Setxattr(name, "user.empty", nil, 0))
			if err != nil {
				t.Fatal(err)
			}
			was := statOf(t, name)
			if _, err := put(t, tr, tt.name, "new", ifMatch("old")); err != nil {
				t.Fatal(err)
			}
			st := statOf(t, name)
			if int(st.Uid) != tt.uid || int(st.Gid) != tt.gid || st.Mode&0o7777 != tt.want || st.Ino == was.Ino {
				t.Errorf("owner %d:%d, mode %o", st.Uid, st.Gid, st.Mode&0o7777)
			}
			value := make([]byte, 100)
			if n, err := unix.Getxattr(name, "user.kept", value); string(value[:max(n, 0)]) != "value" {
				t.Errorf("user.kept is %q, %v", value[:max(n, 0)], err)
			}
			if n, err := unix.Getxattr(name, "user.empty", value); n != 0 || err != nil {
				t.Errorf("user.empty has %d bytes, %v", n, err)
			}
		})
	}
}

// TestPrivilegesAreNotKept makes sure that a file's capabilities do not go to the bytes that somebody uploaded.
func TestPrivilegesAreNotKept(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("setting capabilities needs root")
	}
	tr, root := open(t, tree.Options{Write: true})
	name := filepath.Join(root, "tool")
	if err := os.WriteFile(name, []byte("old"), 0o755); err != nil {
		t.Fatal(err)
	}
	// VFS_CAP_REVISION_2: cap_net_bind_service is permitted and effective.
	capability := []byte{1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	if err := unix.Setxattr(name, "security.capability", capability, 0); err != nil {
		t.Skipf("no capabilities on this filesystem: %v", err)
	}
	if _, err := put(t, tr, "tool", "new", nil); err != nil {
		t.Fatal(err)
	}
	if n, err := unix.Getxattr(name, "security.capability", nil); err == nil {
		t.Errorf("the new bytes have capabilities, %d bytes", n)
	}
}

// TestNewFilesTakeAfterTheirFolder makes sure that what the server makes is as if a local program had made it.
func TestNewFilesTakeAfterTheirFolder(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("giving folders away needs root")
	}
	tr, root := open(t, tree.Options{Write: true})
	ctx := context.Background()
	plain, shared := filepath.Join(root, "plain"), filepath.Join(root, "shared")
	err := errors.Join(os.Mkdir(plain, 0o777), os.Mkdir(shared, 0o777), os.Chown(plain, 0, 4321), os.Chown(shared, 0, 4321),
		unix.Chmod(shared, 0o2775))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := put(t, tr, "source", "source", nil); err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{"source-folder", "source-folder/sub"} {
		if _, err := tr.Mkdir(ctx, at(t, folder), tree.Change{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := put(t, tr, "source-folder/sub/file", "body", nil); err != nil {
		t.Fatal(err)
	}
	for folder, gid := range map[string]uint32{"plain": 0, "shared": 4321} {
		if _, err := put(t, tr, folder+"/new", "new", nil); err != nil {
			t.Error(err)
		}
		if _, err := tr.Mkdir(ctx, at(t, folder+"/folder"), tree.Change{}); err != nil {
			t.Error(err)
		}
		if _, err := tr.Copy(ctx, at(t, "source"), at(t, folder+"/copy"), tree.Transfer{}); err != nil {
			t.Error(err)
		}
		if _, err := tr.Copy(ctx, at(t, "source-folder"), at(t, folder+"/tree"), tree.Transfer{}); err != nil {
			t.Error(err)
		}
		for _, name := range []string{"new", "folder", "copy", "tree", "tree/sub", "tree/sub/file"} {
			st := statOf(t, filepath.Join(root, folder, name))
			if st.Gid != gid {
				t.Errorf("%s/%s has group %d, want %d", folder, name, st.Gid, gid)
			}
			isFolder := st.Mode&unix.S_IFMT == unix.S_IFDIR
			if setgid := st.Mode&unix.S_ISGID != 0; setgid != (isFolder && gid != 0) {
				t.Errorf("%s/%s has mode %o", folder, name, st.Mode)
			}
		}
	}
}

// TestStateFolderHandsNothingOn has the root inherit to all that is made in it: what goes into a folder that does not inherits
// nothing by way of the state folder, which nobody else may enter.
func TestStateFolderHandsNothingOn(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("giving folders away needs root")
	}
	root := t.TempDir()
	if err := errors.Join(os.Mkdir(filepath.Join(root, "plain"), 0o755), os.Mkdir(filepath.Join(root, tree.Reserved), 0o777),
		os.Chown(root, 0, 4321), unix.Chmod(root, 0o2777)); err != nil {
		t.Fatal(err)
	}
	setfacl(t, "-d", "-m", "u:4321:rwx", root)
	tr := openAt(t, root, tree.Options{Write: true})
	if _, err := put(t, tr, "plain/new", "new", nil); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "plain/local"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	got, want := statOf(t, filepath.Join(root, "plain/new")), statOf(t, filepath.Join(root, "plain/local"))
	if got.Gid != want.Gid || got.Mode != want.Mode {
		t.Errorf("group %d, mode %o; one made locally has %d and %o", got.Gid, got.Mode, want.Gid, want.Mode)
	}
	for _, folder := range []string{"", "stage", "versions"} {
		name := filepath.Join(root, tree.Reserved, folder)
		if got := getfacl(t, name); modeOf(t, name) != 0o700 || strings.Contains(got, "4321") {
			t.Errorf("the folder %q has mode %o and the list\n%s", folder, modeOf(t, name), got)
		}
	}
}

// TestUmask makes sure that new files and folders have the mode that the process gives.
func TestUmask(t *testing.T) {
	if !inProcess(t, nil) {
		return
	}
	tr, root := open(t, tree.Options{Write: true})
	for _, umask := range []int{0o022, 0o027, 0o077, 0o002} {
		was := unix.Umask(umask)
		file, folder := fmt.Sprintf("file%o", umask), fmt.Sprintf("folder%o", umask)
		if _, err := put(t, tr, file, "body", nil); err != nil {
			t.Error(err)
		}
		if _, err := tr.Mkdir(context.Background(), at(t, folder), tree.Change{}); err != nil {
			t.Error(err)
		}
		if _, err := tr.Copy(context.Background(), at(t, folder), at(t, folder+"copy"), tree.Transfer{}); err != nil {
			t.Error(err)
		}
		unix.Umask(was)
		for name, mode := range map[string]uint32{file: 0o666, folder: 0o777, folder + "copy": 0o777} {
			if got := modeOf(t, filepath.Join(root, name)); got != mode&^uint32(umask) {
				t.Errorf("umask %o: %s has mode %o", umask, name, got)
			}
		}
	}
}

// TestCopyKeepsTheMode makes sure that an executable file's copy is one, and that a copy is never privileged.
func TestCopyKeepsTheMode(t *testing.T) {
	tr, root := open(t, tree.Options{Write: true})
	if err := os.Mkdir(filepath.Join(root, "d"), 0o755); err != nil {
		t.Fatal(err)
	}
	for mode, want := range map[uint32]uint32{0o755: 0o755, 0o640: 0o640, 0o4755: 0o755} {
		name := fmt.Sprintf("mode%o", mode)
		for _, folder := range []string{root, filepath.Join(root, "d")} {
			path := filepath.Join(folder, name)
			if err := errors.Join(os.WriteFile(path, []byte("body"), 0o600), unix.Chmod(path, mode)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := tr.Copy(context.Background(), at(t, name), at(t, name+"copy"), tree.Transfer{}); err != nil {
			t.Error(err)
		}
		if got := modeOf(t, filepath.Join(root, name+"copy")); got != want {
			t.Errorf("the copy of a file of mode %o has mode %o", mode, got)
		}
	}
	if _, err := tr.Copy(context.Background(), at(t, "d"), at(t, "e"), tree.Transfer{}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]uint32{"mode755": 0o755, "mode640": 0o640, "mode4755": 0o755} {
		if got := modeOf(t, filepath.Join(root, "e", name)); got != want {
			t.Errorf("%s in a copied folder has mode %o", name, got)
		}
	}
}

// setfacl changes access control lists, or skips the test where there are none.
func setfacl(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("setfacl", args...).CombinedOutput(); err != nil {
		without(t, fmt.Errorf("no access control lists here: setfacl %v: %w %s", args, err, out))
	}
}

// getfacl returns the access control list of a file, and the default one of a folder.
func getfacl(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("getfacl", "-cpnE", name).CombinedOutput()
	if err != nil {
		without(t, fmt.Errorf("no access control lists here: getfacl: %w %s", err, out))
	}
	return strings.TrimSpace(string(out))
}

func TestAccessControlLists(t *testing.T) {
	tr, root := open(t, tree.Options{Write: true})
	name := func(rel string) string { return filepath.Join(root, rel) }
	ctx := context.Background()
	if err := errors.Join(os.Mkdir(name("d"), 0o750), os.WriteFile(name("d/private"), []byte("old"), 0o640),
		os.WriteFile(name("d/shared"), []byte("old"), 0o640), os.Mkdir(name("src"), 0o755), os.Mkdir(name("src/sub"), 0o755),
		os.WriteFile(name("src/sub/file"), []byte("old"), 0o640)); err != nil {
		t.Fatal(err)
	}
	setfacl(t, "-m", "u:1234:r", name("d/shared"))
	setfacl(t, "-d", "-m", "u:4321:rw,g::r,o::-", name("d"))
	private, shared := getfacl(t, name("d/private")), getfacl(t, name("d/shared"))

	for _, file := range []string{"d/private", "d/shared"} {
		if _, err := put(t, tr, file, "new", nil); err != nil {
			t.Fatal(err)
		}
	}
	if got := getfacl(t, name("d/shared")); got != shared {
		t.Errorf("a replaced file had the list\n%s\nand has\n%s", shared, got)
	}
	if got := getfacl(t, name("d/private")); got != private {
		t.Errorf("a replaced file had no list but\n%s\nand has the folder's default\n%s", private, got)
	}

	if err := os.WriteFile(name("d/local"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(name("d/local-folder"), 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := put(t, tr, "d/new", "new", nil); err != nil {
		t.Fatal(err)
	}
	if got, want := getfacl(t, name("d/new")), getfacl(t, name("d/local")); got != want {
		t.Errorf("a new file has\n%s\nand one made locally\n%s", got, want)
	}
	if _, err := tr.Mkdir(ctx, at(t, "d/folder"), tree.Change{}); err != nil {
		t.Fatal(err)
	}
	if _, err := tr.Copy(ctx, at(t, "src"), at(t, "d/copy"), tree.Transfer{}); err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{"d/folder", "d/copy", "d/copy/sub"} {
		if got, want := getfacl(t, name(folder)), getfacl(t, name("d/local-folder")); got != want {
			t.Errorf("%s has\n%s\nand one made locally\n%s", folder, got, want)
		}
	}
	if got := getfacl(t, name("d/copy/sub/file")); !strings.Contains(got, "user:4321:") {
		t.Errorf("a file in a copied folder has\n%s", got)
	}
}

// TestOwnerThatCannotBeKept is for the server that may not give files away: it refuses rather than take the file over.
func TestOwnerThatCannotBeKept(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("changing who the process is needs root")
	}
	if !inProcess(t, nil) {
		return
	}
	root := t.TempDir()
	for _, dir := range []string{root, filepath.Dir(root)} { // to be served, and removed, by nobody
		if err := os.Chown(dir, 65534, 65534); err != nil {
			t.Fatal(err)
		}
	}
	name := filepath.Join(root, "file")
	if err := errors.Join(os.WriteFile(name, []byte("old"), 0o644), os.Chown(name, 1234, 4321)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(unix.Setgroups(nil), unix.Setgid(65534), unix.Setuid(65534)); err != nil {
		t.Fatal(err)
	}
	tr, err := tree.New(root, tree.Options{Write: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := put(t, tr, "file", "new", nil); !errors.Is(err, tree.ErrPermission) {
		t.Errorf("error %v", err)
	}
	if st := statOf(t, name); st.Uid != 1234 || st.Gid != 4321 {
		t.Errorf("owner %d:%d", st.Uid, st.Gid)
	}
	if body, err := os.ReadFile(name); string(body) != "old" {
		t.Errorf("%q, %v", body, err)
	}
	if err := tr.Close(); err != nil {
		t.Error(err)
	}
	checkStateFolder(t, root)
}
