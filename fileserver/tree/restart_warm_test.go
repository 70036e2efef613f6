//go:build linux

package tree_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestFirstLook asks a server while it looks at the tree for the first time, and has it and local programs change things
// meanwhile. Of folders it says how far it is, never that they are empty; files are served at once; and when the look is over
// it has seen everything.
func TestFirstLook(t *testing.T) {
	for _, step := range []string{"first-look", "looked"} {
		for _, again := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s_again_%v", step, again), func(t *testing.T) {
				root := memoryDir(t)
				buildForRestart(t, root)
				var m *mirror
				if again {
					s := serve(t, root, fast)
					m = newMirror(t, s)
					s.awaitSaved()
					s.stop()
				}
				p := fast
				p.DelayAt, p.Delay = step, 400*time.Millisecond
				s := serve(t, root, p)
				s.awaitWithin(step)
				files := int64(restartFolders*restartFiles + 1)
				a, _ := s.ask(question{Do: "survey", Wait: 5 * time.Millisecond})
				looked := map[string]int64{"first-look": 0, "looked": files}[step]
				if a.Err != saysWarming || a.Looked.FilesDone < looked || a.Looked.FilesTotal < a.Looked.FilesDone {
					t.Errorf("survey: %q, %+v", a.Err, a.Looked)
				}
				if again && a.Looked.FilesTotal < files {
					t.Errorf("%d files are expected, the last time there were %d", a.Looked.FilesTotal, files)
				}
				if a, _ = s.ask(question{Do: "changes", Wait: 5 * time.Millisecond}); a.Err != saysWarming {
					t.Errorf("changes: %q", a.Err)
				}
				disturbFirstLook(t, s, root)
				if a = s.must(question{Do: "stats"}); !a.Stats.Warming {
					t.Error("the look was over before all was changed")
				}
				s.shows(root)
				if m != nil {
					m.follows(s, root)
				}
				s.stop()
			})
		}
	}
}

// awaitWithin waits until a server has come to a step at which it is delayed.
func (s *server) awaitWithin(step string) {
	s.t.Helper()
	for s.must(question{Do: "steps"}).Steps[step] == 0 {
		time.Sleep(time.Millisecond)
	}
}

// disturbFirstLook makes changes of every kind.
func disturbFirstLook(t *testing.T, s *server, root string) {
	t.Helper()
	for _, q := range []question{
		{Do: "put", Name: "d00/f00", Body: []byte("replaced")},
		{Do: "put", Name: "d00/sub/new", Body: []byte("created")},
		{Do: "remove", Name: "d01/f01"},
		{Do: "remove", Name: "d02"},
		{Do: "move", Name: "d03/f03", To: "d04/moved"},
		{Do: "move", Name: "d05", To: "d06/sub/moved"},
		{Do: "mkdir", Name: "made"},
		{Do: "put", Name: "made/file", Body: []byte("in a new folder")},
		{Do: "put", Name: "d06/sub/moved/f00", Body: []byte("in a moved folder")},
	} {
		s.must(q)
	}
	write(t, root, "d07/f07", "by a program")
	write(t, root, "made/other", "by a program")
	removeAll(t, root, "d08")
	if err := os.Rename(filepath.Join(root, "d09"), filepath.Join(root, "d10/sub/renamed")); err != nil {
		t.Fatal(err)
	}
	write(t, root, "d10/sub/renamed/f01", "by a program")
}
