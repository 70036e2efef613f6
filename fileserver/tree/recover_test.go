//go:build linux

package tree_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"freshet/fileserver/tree"
)

// What files in the stage folder are called by: the later, the larger.
const (
	id1 = "18ea7000000000000001aaaaaaaa"
	id2 = "18ea7000000000010001aaaaaaaa"
)

// TestRecovery opens a tree whose stage folder holds what no crash at a known step leaves, but a disk that lost some of its
// last writes, an older version of the program or a person may.
func TestRecovery(t *testing.T) {
	for _, test := range []struct {
		name     string
		tree     world
		stage    world // "{a}" stands for the inode of a, and "{stage/b}" for that of stage/b
		links    world // second names, in stage, of files in the tree
		after    world
		versions []string // as "content"
	}{
		{
			name:  "an_upload_that_had_a_name",
			stage: world{id1 + ".part": "upload"},
			after: world{},
		},
		{
			name:  "half_a_copy_of_a_folder",
			stage: world{id1 + ".tree": "/", id1 + ".tree/d": "/", id1 + ".tree/d/a": "one"},
			after: world{},
		},
		{
			name:  "a_record_alone",
			tree:  world{"a": "one"},
			stage: world{id1 + ".r": "-> 1 replaced 0 {a} - - a"},
			after: world{"a": "one"},
		},
		{
			name:     "a_file_without_a_record",
			stage:    world{id1: "unknown"},
			after:    world{},
			versions: []string{"unknown"},
		},
		{
			name:     "a_file_with_a_record_that_is_not_understood",
			stage:    world{id1: "unknown", id1 + ".r": "-> 9 turned inside out"},
			after:    world{},
			versions: []string{"unknown"},
		},
		{
			name:     "a_folder_without_a_record",
			stage:    world{id1: "/", id1 + "/a": "unknown"},
			after:    world{},
			versions: []string{"/"},
		},
		{
			name:  "a_file_of_another_name",
			stage: world{"core": "unknown"}, after: world{},
			versions: []string{"unknown"},
		},
		{
			name:  "an_upload_that_was_not_swapped_in",
			tree:  world{"a": "old"},
			stage: world{id1: "new", id1 + ".r": "-> 1 replaced {stage/" + id1 + "} {a} - - a"},
			after: world{"a": "old"},
		},
		{
			name:     "a_displaced_file",
			tree:     world{"a": "new"},
			stage:    world{id1: "old", id1 + ".r": "-> 1 replaced {a} {stage/" + id1 + "} " + digestOf("old").String() + " - a"},
			after:    world{"a": "new"},
			versions: []string{"old"},
		},
		{
			name:     "a_displaced_file_of_unknown_bytes",
			tree:     world{"a": "new"},
			stage:    world{id1: "old", id1 + ".r": "-> 1 replaced {a} {stage/" + id1 + "} - - a"},
			after:    world{"a": "new"},
			versions: []string{"old"},
		},
		{
			name:  "a_displaced_file_that_is_not_what_the_guard_was_shown",
			tree:  world{"a": "new"},
			stage: world{id1: "third", id1 + ".r": "-> 1 replaced {a} 1 - - a"},
			after: world{"a": "new", "a (conflict)": "third"},
		},
		{
			name:  "a_displaced_file_with_other_bytes",
			tree:  world{"a": "new"},
			stage: world{id1: "late", id1 + ".r": "-> 1 replaced {a} {stage/" + id1 + "} " + digestOf("old").String() + " - a"},
			after: world{"a": "new", "a (conflict)": "late"},
		},
		{
			name: "two_displaced_files_with_other_bytes",
			tree: world{"a": "newest"},
			stage: world{
				id1: "late", id1 + ".r": "-> 1 replaced 0 {stage/" + id1 + "} " + digestOf("old").String() + " - a",
				id2: "later", id2 + ".r": "-> 1 replaced {a} {stage/" + id2 + "} " + digestOf("new").String() + " - a",
			},
			after: world{"a": "newest", "a (conflict)": "late", "a (conflict, 2)": "later"},
		},
		{
			name:     "a_displaced_file_with_other_bytes_whose_folder_is_gone",
			stage:    world{id1: "late", id1 + ".r": "-> 1 replaced 0 {stage/" + id1 + "} " + digestOf("old").String() + " - d/a"},
			after:    world{},
			versions: []string{"late"},
		},
		{
			name:  "a_removed_file_with_other_bytes_whose_name_is_free",
			stage: world{id1: "late", id1 + ".r": "-> 1 removed 0 {stage/" + id1 + "} " + digestOf("old").String() + " - a"},
			after: world{"a": "late"},
		},
		{
			name:  "a_removed_file_with_other_bytes_whose_name_is_taken",
			tree:  world{"a": "new"},
			stage: world{id1: "late", id1 + ".r": "-> 1 removed 0 {stage/" + id1 + "} " + digestOf("old").String() + " - a"},
			after: world{"a": "new", "a (conflict)": "late"},
		},
		{
			name:  "a_file_that_came_out_of_a_name_and_nothing_went_in",
			stage: world{id1 + ".old": "old", id1: "new", id1 + ".r": "-> 1 replaced {stage/" + id1 + "} {stage/" + id1 + ".old} - - a"},
			after: world{"a": "old"},
		},
		{
			name:     "a_file_that_came_out_of_a_name_that_another_program_took",
			tree:     world{"a": "third"},
			stage:    world{id1 + ".old": "old", id1: "new", id1 + ".r": "-> 1 replaced {stage/" + id1 + "} {stage/" + id1 + ".old} - - a"},
			after:    world{"a": "third"},
			versions: []string{"old"},
		},
		{
			name:     "a_file_that_came_out_of_a_folder_that_is_gone",
			stage:    world{id1 + ".old": "old", id1: "new", id1 + ".r": "-> 1 replaced {stage/" + id1 + "} {stage/" + id1 + ".old} - - d/a"},
			after:    world{},
			versions: []string{"old"},
		},
		{
			name:     "a_file_that_came_out_of_a_name_that_nobody_knows",
			stage:    world{id1 + ".old": "old"},
			after:    world{},
			versions: []string{"old"},
		},
		{
			name:  "an_upload_that_came_out_again_before_what_it_had_displaced_went_back",
			stage: world{id1 + ".old": "new", id1: "third", id1 + ".r": "-> 1 replaced {stage/" + id1 + ".old} 1 - - a"},
			after: world{"a": "third"},
		},
		{
			name:  "an_upload_that_came_out_again_and_another_program_took_the_name",
			tree:  world{"a": "fourth"},
			stage: world{id1 + ".old": "new", id1: "third", id1 + ".r": "-> 1 replaced {stage/" + id1 + ".old} 1 - - a"},
			after: world{"a": "fourth", "a (conflict)": "third"},
		},
		{
			name:  "a_file_that_still_has_its_name",
			tree:  world{"a": "old"},
			links: world{id1: "a"},
			stage: world{id1 + ".r": "-> 1 removed 0 {a} - - a"},
			after: world{"a": "old"},
		},
		{
			name:     "a_move_that_was_not_finished",
			tree:     world{"a": "two", "b": "one"},
			stage:    world{id1 + ".r": "-> 1 replaced {b} {a} - - b", id1 + ".m": "-> 1 moved {b} {a} - - a"},
			after:    world{"b": "one"},
			versions: []string{"two"},
		},
		{
			name:  "a_move_that_had_not_begun",
			tree:  world{"a": "one", "b": "two"},
			stage: world{id1 + ".r": "-> 1 replaced {a} {b} - - b", id1 + ".m": "-> 1 moved {a} {b} - - a"},
			after: world{"a": "one", "b": "two"},
		},
		{
			name:  "a_move_from_a_folder_that_is_gone",
			tree:  world{"b": "two"},
			stage: world{id1 + ".r": "-> 1 replaced 1 {b} - - b", id1 + ".m": "-> 1 moved 1 {b} - - d/a"},
			after: world{"b": "two"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			root := memoryDir(t)
			state := filepath.Join(root, tree.Reserved, "stage")
			if err := os.MkdirAll(state, 0o700); err != nil {
				t.Fatal(err)
			}
			test.tree.make(t, root)
			withInodes(t, test.stage, root, state).make(t, state)
			for id, name := range test.links {
				if err := os.Link(filepath.Join(root, name), filepath.Join(state, id)); err != nil {
					t.Fatal(err)
				}
			}
			newTree(t, root, tree.Options{})
			if found, err := look(root); err != nil || !maps.Equal(found, test.after) {
				t.Errorf("the tree holds %v (%v), want %v", found, err, test.after)
			}
			if found := contents(t, filepath.Join(root, tree.Reserved, "versions")); !slices.Equal(found, test.versions) {
				t.Errorf("the versions are %q, want %q", found, test.versions)
			}
		})
	}
}

// withInodes makes the files of a stage folder and returns what is left to be made: records that name them by inode.
func withInodes(t *testing.T, stage world, root, state string) world {
	t.Helper()
	files, records := world{}, world{}
	for name, text := range stage {
		if strings.HasPrefix(text, "-> ") {
			records[name] = text
		} else {
			files[name] = text
		}
	}
	files.make(t, state)
	for name, text := range records {
		for {
			before, rest, found := strings.Cut(text, "{")
			if !found {
				break
			}
			file, after, _ := strings.Cut(rest, "}")
			file, staged := strings.CutPrefix(file, "stage/")
			folder := root
			if staged {
				folder = state
			}
			var st unix.Stat_t
			if err := unix.Lstat(filepath.Join(folder, file), &st); err != nil {
				t.Fatal(file, err)
			}
			text = fmt.Sprint(before, st.Ino, after)
		}
		records[name] = text
	}
	return records
}

// contents returns what the files of a folder of versions hold, sorted.
func contents(t *testing.T, folder string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".r") {
			continue
		}
		text, err := content(filepath.Join(folder, e.Name()), e)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, text)
	}
	slices.Sort(all)
	return all
}

// TestRecoveryIsLogged says what was found and what became of it.
func TestRecoveryIsLogged(t *testing.T) {
	root := memoryDir(t)
	world{tree.Reserved: "/", tree.Reserved + "/stage": "/", tree.Reserved + "/stage/" + id1: "unknown"}.make(t, root)
	var log bytes.Buffer
	tr, err := tree.New(root, tree.Options{Write: true, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), id1) {
		t.Errorf("logged %q", log.String())
	}
}

// TestCrashWhileAProgramWaits kills the server while another process waits in open(2) for a file that was just replaced. The
// leases of the server end with it, so the program writes to the displaced file before the next start.
func TestCrashWhileAProgramWaits(t *testing.T) {
	root := memoryDir(t)
	world{"a": "old"}.make(t, root)
	r := &racing{t: t, root: root}
	w := r.lateWriter("a")
	server := child(t, "standing", "replace", root)
	out, err := server.StdoutPipe()
	if err == nil {
		err = server.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	said := make([]byte, len("stands"))
	if _, err := out.Read(said); err != nil || string(said) != "stands" {
		t.Fatalf("the server said %q, %v", said, err)
	}
	w.write("late", nil)
	if w.wrote() {
		t.Error("the lease was in nobody's way")
	}
	if err := server.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := server.Wait(); !killed(err) {
		t.Fatal(err)
	}
	<-w.done
	newTree(t, root, tree.Options{})
	r.holds(world{"a": "new", "a (conflict)": "late"})
}

// standingChild plays a scene until the change is acknowledged, and stays.
func standingChild(words []string) error {
	tr, err := tree.New(words[1], tree.Options{Write: true, Log: quiet})
	if err == nil {
		err = sceneNamed(words[0]).change(tr)
	}
	if err != nil {
		return err
	}
	fmt.Print("stands")
	time.Sleep(time.Hour)
	return nil
}
