package watcher

import (
	"fmt"
	"strings"
	"testing"
)

func TestDirtySetIsBounded(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name       string
		foldersMax int
		fill       func(*dirtySet)
		want       func(Batch) bool
	}{
		{"as_many_names_as_allowed", 0, func(s *dirtySet) {
			for i := range NamesPerFolderMax {
				s.mark("a", fmt.Sprint(i))
				s.mark("a", fmt.Sprint(i))
			}
		}, func(b Batch) bool { return len(b.Folders["a"].Set) == NamesPerFolderMax && !b.Folders["a"].All }},
		{"one_name_more", 0, func(s *dirtySet) {
			for i := range NamesPerFolderMax + 1 {
				s.mark("a", fmt.Sprint(i))
			}
			s.mark("b", "f")
		}, func(b Batch) bool {
			return b.Folders["a"].All && b.Folders["a"].Set == nil && b.Folders["b"].Has("f") && !b.Folders["b"].All
		}},
		{"as_many_names_in_all_as_allowed", 0, func(s *dirtySet) {
			for i := range DirtyNamesMax {
				s.mark(fmt.Sprint(i/100), fmt.Sprint(i))
			}
		}, func(b Batch) bool { return len(b.Folders["5"].Set) == 100 && !b.Folders["5"].All }},
		{"one_name_in_all_more", 0, func(s *dirtySet) {
			for i := range DirtyNamesMax {
				s.mark(fmt.Sprint(i/100), fmt.Sprint(i))
			}
			s.mark("5", "more") // its hundred names make room
			s.mark("6", "more")
		}, func(b Batch) bool {
			return b.Folders["5"].All && !b.Folders["6"].All && b.Folders["6"].Has("more") && !b.Rescan
		}},
		{"as_many_folders_as_allowed", 3, func(s *dirtySet) {
			s.mark("a", "f")
			s.markAll("b")
			s.mark("c", "f")
			s.markAll("c")
		}, func(b Batch) bool { return len(b.Folders) == 3 && b.Folders["c"].All && !b.Rescan }},
		{"one_folder_more", 3, func(s *dirtySet) {
			s.mark("a", "f")
			s.markAll("b")
			s.mark("c", "f")
			s.mark("d", "f")
			s.mark("a", "f")
			s.markAll("e")
		}, func(b Batch) bool { return b.Rescan && len(b.Folders) == 0 }},
		{"one_whole_folder_more", 1, func(s *dirtySet) { s.mark("a", "f"); s.markAll("b") },
			func(b Batch) bool { return b.Rescan && len(b.Folders) == 0 }},
		{"default_folders", 0, func(s *dirtySet) {
			for i := range DirtyFoldersMax + 1 {
				s.markAll(fmt.Sprint(i))
			}
		}, func(b Batch) bool { return b.Rescan }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newDirtySet(c.foldersMax)
			c.fill(&s)
			select {
			case <-s.wake:
			default:
				t.Error("nobody is woken")
			}
			if b, ok := s.take(); !ok || !c.want(b) {
				t.Errorf("got %d folders, rescan %v", len(b.Folders), b.Rescan)
			}
			if b, ok := s.take(); ok {
				t.Errorf("taken twice: %+v", b)
			}
			s.mark("z", "f")
			if b, ok := s.take(); !ok || b.Rescan || len(b.Folders) != 1 || b.Folders["z"].All {
				t.Errorf("afterwards: %+v", b)
			}
		})
	}
}

func TestDoubtfulSetIsBounded(t *testing.T) {
	t.Parallel()
	s := newDoubtfulSet()
	for i := range doubtfulPathsMax {
		s.add(fmt.Sprint(i), came)
	}
	s.add("0", left)
	if paths, all, _ := s.take(); all || len(paths) != doubtfulPathsMax || paths["0"] != came|left || paths["1"] != came {
		t.Errorf("full: %d paths, all %v", len(paths), all)
	}
	for i := range doubtfulPathsMax + 1 {
		s.add(fmt.Sprint(i), came)
	}
	s.add("more", came)
	if paths, all, _ := s.take(); !all || len(paths) != 0 {
		t.Errorf("over: %d paths, all %v", len(paths), all)
	}
	s.add("a", left)
	if paths, all, _ := s.take(); all || len(paths) != 1 {
		t.Errorf("afterwards: %d paths, all %v", len(paths), all)
	}
}

func TestMarkingAgainAllocatesNothing(t *testing.T) {
	s := newDirtySet(0)
	name := strings.Repeat("f", 40)
	s.mark("a/b", name)
	if n := testing.AllocsPerRun(100, func() { s.mark("a/b", name) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestRelativePaths(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ root, name, rel string }{
		{"/r", "/r", ""},
		{"/r", "/r/a", "a"},
		{"/r", "/r/a/b", "a/b"},
		{"/r", "/rest", "outside"},
		{"/", "/", ""},
		{"/", "//a", "a"},
		{"/", "/a/b", "a/b"},
	} {
		w := &Watcher{root: c.root, prefix: strings.TrimSuffix(c.root, "/") + "/"}
		rel, ok := w.relative(c.name)
		if !ok {
			rel = "outside"
		}
		if rel != c.rel {
			t.Errorf("%s below %s: %q, want %q", c.name, c.root, rel, c.rel)
		}
		if back := w.path(rel); ok && back != strings.Replace(c.name, "//", "/", 1) {
			t.Errorf("%q below %s is at %s", rel, c.root, back)
		}
	}
}
