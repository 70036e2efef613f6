package tree

// arrearsMax is how many events the cache on disk may lack before a whole comparison is cheaper for those who follow the feed.
const arrearsMax = 10_000

// The first look at the tree tells how it differs from what the cache knows, and that has to be what the followers of the feed
// were told last. The cache is never ahead of the feed on disk: see Tree.save. But it may lack what was told before a crash, or
// for as long as it could not be written: a file that was told of and removed while no server ran would be missed by nobody.
// So the cache says up to which place of the feed it knows everything, and what was told behind it is told again.

// arrears are the events that the cache does not know of.
type arrears struct {
	events []Event
	whole  bool // it is not known which, or there are too many: followers are to compare everything
}

// arrears returns what the feed told behind the place that the cache has reached. A cache that is ahead of the feed shows that
// the feed is older than it was: then it is begun anew.
func (t *Tree) arrears() (a arrears) {
	at := t.keeper.reached()
	switch {
	case t.journal.anew:
		return a // nobody follows a feed that has just begun
	case at.Epoch == t.resumed.Epoch && at.Seq > t.resumed.Seq:
		t.o.Log.Warn("the state is older than the cache: the feed is begun anew, and clients compare the tree once")
		_ = t.journal.newEpoch() // in memory it has begun, and the disk is tried again
		return arrears{whole: true}
	case at.Epoch != t.resumed.Epoch:
		return arrears{whole: true}
	}
	for at.Seq < t.resumed.Seq {
		got, err := t.journal.read(at, Path{}, 0)
		if err != nil || len(a.events)+len(got.Events) > arrearsMax || got.Cursor == at {
			return arrears{whole: true}
		}
		a.events = append(a.events, got.Events...)
		at = got.Cursor
	}
	return a
}

// again returns what is to be told of the paths of events, after a look that found root.
func (a *arrears) again(root *node) (events []Event) {
	for i := range a.events {
		if e := &a.events[i]; !e.stillTrue(root) {
			events = append(events, root.state(e))
		}
	}
	return events
}

// stillTrue reports whether an event says what is there now. That of a folder stands for more than can be compared.
func (e *Event) stillTrue(root *node) bool {
	it, ok := root.lookup(e.Path)
	if !ok || e.Gone {
		return !ok && e.Gone
	}
	is := it.entry(0)
	return e.Kind != KindFolder && e.Kind == is.Kind && e.Digest == is.Digest && e.Size == is.Size &&
		e.ModTime.Equal(is.ModTime) && e.Target == is.Target
}

// state tells what is now at the path of an event.
func (n *node) state(e *Event) Event {
	if e.Path.IsRoot() {
		return Event{Kind: KindFolder}
	}
	it, ok := n.lookup(e.Path)
	switch {
	case !ok:
		return Event{Path: e.Path, Kind: e.Kind, Gone: true}
	case it.kind == KindFolder:
		return Event{Path: e.Path, Kind: KindFolder}
	}
	is := it.entry(0)
	return Event{Path: e.Path, Kind: is.Kind, Digest: is.Digest, Size: is.Size, ModTime: is.ModTime, Target: is.Target}
}

// lookup returns what is at a path below n.
func (n *node) lookup(p Path) (item, bool) {
	folder, name := splitPath(p.s)
	if n = n.find(folder); n == nil || p.IsRoot() {
		return item{}, false
	}
	return n.item(name)
}
