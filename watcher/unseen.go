package watcher

import (
	"slices"
	"strings"
	"sync"
)

// Unseen returns, by slash-separated path, the known folders at and below the folder below ("" is the root) in which
// changes may happen that are not reported: those the system refused to watch, those that cannot be read, those on a
// filesystem that others change too, and second paths of a folder that is mounted twice. It returns max of them at most,
// parents before children and siblings by the bytes of their names, and whether there are more. Its cost is that of the
// answer.
//
// A folder that appeared in one that is not watched is not known either: who finds one calls Suspect.
func (w *Watcher) Unseen(below string, max int) (folders []string, more bool) {
	return w.unseen.list(below, max, state.unseen)
}

// Suspect says that there may be a folder at rel that is not known, because its parent is unseen. The next Barrier has
// looked at it, and watches it or names it in Unseen.
func (w *Watcher) Suspect(rel string) {
	if rel != "" {
		w.doubtful.add(rel, came)
	}
}

// An unseenSet holds the paths of unseen folders, as a tree that has no other leaves than these. It takes about as much
// memory as a folderTree of the same folders, and nothing for others. Its methods are safe for concurrent use.
type unseenSet struct {
	mu  sync.Mutex // guards what follows
	top unseenNode
}

type unseenNode struct {
	name  string
	state state         // of the folder itself; untried: it is not unseen
	below []*unseenNode // sorted by name
}

func (n *unseenNode) search(name string) (int, bool) {
	return slices.BinarySearchFunc(n.below, name, func(b *unseenNode, name string) int {
		return strings.Compare(b.name, name)
	})
}

func (s *unseenSet) add(rel string, is state) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := &s.top
	for rest := rel; rest != ""; {
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		i, ok := n.search(name)
		if !ok {
			n.below = slices.Insert(n.below, i, &unseenNode{name: strings.Clone(name)})
		}
		n = n.below[i]
	}
	n.state = is
}

func (s *unseenSet) remove(rel string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.top.remove(rel)
}

// remove reports whether nothing is left of n.
func (n *unseenNode) remove(rel string) bool {
	if rel == "" {
		n.state = untried
		return len(n.below) == 0
	}
	name, rest, _ := strings.Cut(rel, "/")
	if i, ok := n.search(name); ok && n.below[i].remove(rest) {
		n.below = slices.Delete(n.below, i, i+1)
	}
	return n.state == untried && len(n.below) == 0
}

// list is Unseen for the states that want allows.
func (s *unseenSet) list(below string, max int, want func(state) bool) (folders []string, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := &s.top
	for rest := below; rest != ""; {
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		i, ok := n.search(name)
		if !ok {
			return nil, false
		}
		n = n.below[i]
	}
	more = !n.list(below, max, want, &folders)
	return folders, more
}

// list appends the folders of n, which is at rel, and reports false if they are more than max.
func (n *unseenNode) list(rel string, max int, want func(state) bool, folders *[]string) bool {
	if want(n.state) {
		if len(*folders) >= max {
			return false
		}
		*folders = append(*folders, rel)
	}
	for _, b := range n.below {
		if !b.list(join(rel, b.name), max, want, folders) {
			return false
		}
	}
	return true
}
