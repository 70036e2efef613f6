package tree

// suspectNew has the watcher look at n, a folder that is at rel in the folder parent, and at those below it, wherever no event
// told it of them: a folder that is made in one that cannot be watched is known to nobody but who has looked.
func (t *Tree) suspectNew(parent, rel Path, n *node) {
	if t.watch == nil || t.watch.Stats().Unseen == 0 {
		return
	}
	if t.unseenItself(parent.s) && !t.unseenItself(rel.s) {
		t.watch.Suspect(rel.s)
	}
	t.suspectBelow(rel, n)
}

// suspectBelow is suspectNew for all folders below n.
func (t *Tree) suspectBelow(rel Path, n *node) {
	at := ground{rel: rel}
	for name, sub := range n.subs {
		t.suspectNew(rel, at.below(name), sub)
	}
}

// unseenItself reports whether no event tells of changes in a folder that is known to the watcher.
func (t *Tree) unseenItself(rel string) bool {
	found, _ := t.watch.Unseen(rel, 1)
	return len(found) > 0 && found[0] == rel
}
