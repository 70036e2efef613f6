package watcher

import (
	"strings"
	"sync"
)

// A Batch says where changes may have happened.
type Batch struct {
	// Folders holds, by slash-separated path below the root ("" is the root), which names in a folder may have
	// appeared, changed or gone. A folder may be gone itself. A name that was a folder and is gone, or is another
	// folder now, stands for all that was below. A name that is a new folder is followed by that folder and all below
	// it, each as All, in this Batch or a later one.
	Folders map[string]Names
	// Rescan says that every path is suspect, because the kernel dropped events, the set grew past its bound, or the
	// root is gone. Folders is then empty.
	Rescan bool
}

// Names are names in one folder.
type Names struct {
	All bool                // every name: the folder is new, or too many changed
	Set map[string]struct{} // else these
}

// Has reports whether name is among n.
func (n Names) Has(name string) bool {
	_, ok := n.Set[name]
	return ok || n.All
}

// A dirtySet gathers what a Batch will say, within bounds: names collapse to All, and folders to Rescan.
type dirtySet struct {
	foldersMax int
	wake       chan struct{} // holds one token when there may be something to take

	mu      sync.Mutex // guards what follows
	folders map[string]Names
	names   int // in all folders
	rescan  bool
}

func newDirtySet(foldersMax int) dirtySet {
	if foldersMax <= 0 {
		foldersMax = DirtyFoldersMax
	}
	return dirtySet{foldersMax: foldersMax, wake: make(chan struct{}, 1), folders: map[string]Names{}}
}

// mark adds one name of a folder.
func (s *dirtySet) mark(folder, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, known := s.folders[folder]
	if s.rescan || n.Has(name) {
		return
	}
	if len(n.Set) >= NamesPerFolderMax || s.names >= DirtyNamesMax {
		s.putAll(folder, n, known)
		return
	}
	// What an event says shares the memory of its full path, so what is kept is cloned.
	if n.Set == nil {
		n.Set = map[string]struct{}{}
		if !s.put(folder, n, known) {
			return
		}
	}
	n.Set[strings.Clone(name)] = struct{}{}
	s.names++
	signal(s.wake)
}

// markAll adds every name of a folder.
func (s *dirtySet) markAll(folder string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, known := s.folders[folder]
	if s.rescan || n.All {
		return
	}
	s.putAll(folder, n, known)
}

// markRescan makes every path suspect.
func (s *dirtySet) markRescan() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.collapse()
}

// take returns what was gathered and starts anew; false means nothing was.
func (s *dirtySet) take() (Batch, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.folders) == 0 && !s.rescan {
		return Batch{}, false
	}
	b := Batch{Folders: s.folders, Rescan: s.rescan}
	s.folders, s.names, s.rescan = map[string]Names{}, 0, false
	return b, true
}

func (s *dirtySet) putAll(folder string, n Names, known bool) {
	s.names -= len(n.Set)
	s.put(folder, Names{All: true}, known)
	signal(s.wake)
}

// put stores n, and reports false if that would have made the set too large and it collapsed.
func (s *dirtySet) put(folder string, n Names, known bool) bool {
	if !known {
		if len(s.folders) >= s.foldersMax {
			s.collapse()
			return false
		}
		folder = strings.Clone(folder)
	}
	s.folders[folder] = n
	return true
}

func (s *dirtySet) collapse() {
	s.folders, s.names, s.rescan = map[string]Names{}, 0, true
	signal(s.wake)
}

// A doubt says why a path may no longer be what the folder tree says.
type doubt uint8

const (
	came doubt = 1 << iota // something appeared under that name
	left                   // what had that name is gone from it, or was for a while
)

// A doubtfulSet gathers paths that may be new or gone folders, within doubtfulPathsMax; beyond it, everything is
// doubtful.
type doubtfulSet struct {
	wake chan struct{} // holds one token when there may be something to take

	mu      sync.Mutex // guards what follows
	paths   map[string]doubt
	all     bool
	taken   bool            // what was taken is not settled yet
	waiting []chan struct{} // each is closed when what was doubtful when it came is settled
}

func newDoubtfulSet() doubtfulSet {
	return doubtfulSet{wake: make(chan struct{}, 1), paths: map[string]doubt{}}
}

func (s *doubtfulSet) add(rel string, d doubt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, known := s.paths[rel]
	switch {
	case s.all || before|d == before:
		return
	case !known && len(s.paths) >= doubtfulPathsMax:
		s.collapse()
		return
	case !known:
		rel = strings.Clone(rel)
	}
	s.paths[rel] = before | d
	signal(s.wake)
}

func (s *doubtfulSet) addAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.collapse()
}

func (s *doubtfulSet) collapse() {
	s.paths, s.all = map[string]doubt{}, true
	signal(s.wake)
}

// take returns what was gathered and starts anew. all means that the paths are not known. The caller settles them and then
// calls release with waiting.
func (s *doubtfulSet) take() (paths map[string]doubt, all bool, waiting []chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	paths, all, waiting = s.paths, s.all, s.waiting
	s.paths, s.all, s.waiting = map[string]doubt{}, false, nil
	s.taken = true
	return paths, all, waiting
}

// release says that what was taken is settled.
func (s *doubtfulSet) release(waiting []chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken = false
	for _, c := range waiting {
		close(c)
	}
}

// settled returns a channel that is closed when all is settled that is doubtful now.
func (s *doubtfulSet) settled() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.paths) == 0 && !s.all && !s.taken {
		return closedChan
	}
	c := make(chan struct{})
	s.waiting = append(s.waiting, c)
	signal(s.wake)
	return c
}

// signal leaves a token in wake if it holds none.
func signal(wake chan struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}
