package watcher

import "strings"

// An identity is what a folder keeps when it is renamed. The zero identity is unknown, and equal to nothing.
type identity struct{ dev, ino uint64 }

// A folder is one folder of the tree that is known, most often watched.
type folder struct {
	name   string
	parent *folder // nil: the root
	below  map[string]*folder
	id     identity
	state  state
	shared bool // its filesystem does not tell of all changes
}

// A state says what is seen of a folder.
type state uint8

const (
	untried    state = iota
	watched          // every change in it
	partly           // it is watched, but others change the filesystem too, or a file that is mounted in it
	refused          // nothing: the system did not allow another watch
	unreadable       // nothing, or not what folders are in it
	mirrored         // nothing: it is mounted twice, and watched under its other path
	states           // their number
)

// unseen reports whether changes in a folder may happen that are not reported.
func (s state) unseen() bool { return s > watched }

// rel returns the path of f below the root.
func (f *folder) rel() string {
	if f.parent == nil {
		return ""
	}
	return join(f.parent.rel(), f.name)
}

// holds reports whether f is g or above it.
func (f *folder) holds(g *folder) bool {
	for ; g != nil; g = g.parent {
		if g == f {
			return true
		}
	}
	return false
}

// A folderTree holds every known folder by path, and by identity unless it is mirrored. It takes about 250 bytes a folder.
type folderTree struct {
	root *folder // nil once the root is gone
	byID map[identity]*folder
}

func newFolderTree(root identity) folderTree {
	t := folderTree{root: &folder{id: root}, byID: map[identity]*folder{}}
	t.index(t.root)
	return t
}

// find returns the folder at rel, nil if there is none.
func (t *folderTree) find(rel string) *folder {
	f := t.root
	for rel != "" && f != nil {
		name, rest, _ := strings.Cut(rel, "/")
		f, rel = f.below[name], rest
	}
	return f
}

// insert makes a folder that is not there yet. The caller made sure that id is not in the index.
func (t *folderTree) insert(parent *folder, name string, id identity) *folder {
	f := t.insertMirrored(parent, name, id)
	t.index(f)
	return f
}

// insertMirrored makes a folder whose identity belongs to another path.
func (t *folderTree) insertMirrored(parent *folder, name string, id identity) *folder {
	f := &folder{name: strings.Clone(name), parent: parent, id: id}
	if parent.below == nil {
		parent.below = map[string]*folder{}
	}
	parent.below[f.name] = f
	return f
}

func (t *folderTree) index(f *folder) {
	if f.id != (identity{}) {
		t.byID[f.id] = f
	}
}

// cut takes f and all below it out of the tree and calls gone for each, with its path.
func (t *folderTree) cut(f *folder, gone func(f *folder, rel string)) {
	rel := f.rel()
	if f.parent == nil {
		t.root = nil
	} else {
		delete(f.parent.below, f.name)
	}
	t.forget(f, rel, gone)
}

func (t *folderTree) forget(f *folder, rel string, gone func(f *folder, rel string)) {
	if t.byID[f.id] == f {
		delete(t.byID, f.id)
	}
	gone(f, rel)
	for name, b := range f.below {
		t.forget(b, join(rel, name), gone)
	}
}
