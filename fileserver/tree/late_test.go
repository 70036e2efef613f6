//go:build linux

package tree_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"freshet/fileserver/tree"
	"freshet/hashing"
)

// A program that has a file open, or waits to open it, while a change takes its name away saves to what it opened. Whatever
// that is by then, the save is kept as a conflict copy.
func TestLateSavesAreKept(t *testing.T) {
	const old, late = "as it was", "saved late"
	tests := []struct {
		name string
		step string // of the change, at which the program opens the file
		file string // what it opens: the displaced file, or the upload, which has the name for a moment
		body string // of the change
		want string // the change's outcome
	}{
		{"to_the_replaced_file", "commit-verified", "displaced", "new", "done"},
		{"to_a_file_replaced_by_the_same", "commit-verified", "displaced", old, "done"},
		{"to_a_file_being_removed", "remove-moved", "displaced", "", errRefused.Error()},
		{"to_an_upload_that_is_refused", "commit-exchanged", "upload", "new", errRefused.Error()},
	}
	sites := []struct {
		name, kind string
		leases     bool
	}{
		{"leases", onDisk, true},
		{"no_leases", onDisk, false},
		{"no_leases_nor_stamps", onRamfs, false},
	}
	for _, at := range sites {
		for _, tt := range tests {
			t.Run(at.name+"/"+tt.name, func(t *testing.T) {
				w := newSite(t, at.kind)
				if err := os.WriteFile(w.path("f.txt"), []byte(old), 0o644); err != nil {
					t.Fatal(err)
				}
				t.Run("change", func(t *testing.T) { // everything is settled when this ends
					d := ourselves.open(t, w.root, true)
					var once sync.Once
					saved := make(chan error, 1)
					tree.SetFailpoint(t, func(step string) error {
						if step == tt.step {
							once.Do(func() { saveLate(t, w, tt.file, late, saved) })
						}
						if step == "lease" && !at.leases {
							return errRefused
						}
						return nil
					})
					q := request{Do: "replace", Name: "f.txt", Was: hashing.Sum([]byte(old)), Body: []byte(tt.body)}
					if tt.body == "" {
						q.Do = "remove"
					}
					if got := d(q).Outcome; got != tt.want {
						t.Fatalf("the change: %s, want %s", got, tt.want)
					}
					if err := <-saved; err != nil {
						t.Error(err)
					}
				})
				checkKept(t, w, late)
			})
		}
	}
}

// saveLate starts to save to a file that takes part in a change. If the file is held under a lease, that waits.
func saveLate(t *testing.T, w site, file, body string, saved chan<- error) {
	path := w.path("f.txt")
	staged, err := filepath.Glob(w.path(tree.Reserved + "/stage/*"))
	for _, name := range staged {
		if strings.HasSuffix(name, ".r") {
			continue
		}
		if file == "displaced" {
			path = name
			continue
		}
		// Another program has saved meanwhile: what was displaced is not what the change was decided on.
		other := filepath.Join(w.outside, "other")
		err = errors.Join(err, os.WriteFile(other, []byte("by another"), 0o644), os.Rename(other, name))
	}
	if err != nil || len(staged) == 0 {
		t.Errorf("%d files are staged, %v", len(staged), err)
	}
	opened := make(chan bool)
	go func() {
		close(opened)
		saved <- os.WriteFile(path, []byte(body), 0)
	}()
	<-opened
	time.Sleep(20 * time.Millisecond) // until it has the file open, or waits for it
}

// checkKept makes sure that body is beside the file whose name it was saved under.
func checkKept(t *testing.T, w site, body string) {
	t.Helper()
	entries, err := os.ReadDir(w.root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if got, err := os.ReadFile(w.path(e.Name())); err == nil && string(got) == body {
			return
		}
	}
	t.Errorf("%q is in none of %v", body, entries)
}
