package tree

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"freshet/hashing"
	"freshet/watcher"
)

// A WarmingError says that the tree has not been looked at completely since the server started, so that nothing can be said
// about whole folders. It never means that they are empty.
type WarmingError struct {
	FilesDone  int64 // looked at so far
	FilesTotal int64 // as far as known: those of the last run, or those found so far
}

func (e *WarmingError) Error() string {
	return fmt.Sprintf("the tree is being looked at: %d of %d files done", e.FilesDone, e.FilesTotal)
}

// A Folder is one state of a folder. It does not change when the folder does.
type Folder struct {
	Path Path
	// Subtree is the fingerprint of all that is in the folder and below; zero while it cannot be told, because a file below
	// is being written, or is where changes cannot be seen.
	Subtree hashing.Digest
	// Mtimes changes whenever the modification time of a direct child does. Fingerprints leave times out.
	Mtimes uint64
	Files  int64 // regular files and links in the folder and below
	Bytes  int64 // of the regular files in the folder and below

	dev    uint64
	count  int
	slots  []slot                    // what they point to does not change
	below  map[string]hashing.Digest // the fingerprints of the folders in it
	hidden bool                      // changes below cannot be seen
}

// Len returns the number of direct children.
func (f *Folder) Len() int { return f.count }

// Entries yields the direct children, sorted by the bytes of their names. The Digest of a folder among them is its
// fingerprint; Followed is not set.
func (f *Folder) Entries() iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		for i := range f.slots {
			c := f.slots[i].items
			for i := range c.len() {
				it := c.item(i)
				e := it.entry(f.dev)
				switch e.Kind {
				case KindFolder:
					e.Digest = f.below[e.Name]
				case KindLink:
					e.Digest = hashing.Digest{}
				}
				if !yield(e) {
					return
				}
			}
		}
	}
}

// A Survey is one consistent state of several folders. The Cursor was taken before: what happens behind it may or may not be
// seen in the folders already.
type Survey struct {
	Cursor  Cursor
	Folders []*Folder
	Gone    []Path // asked for and not there, or no folders
}

const (
	digestWaitMax = 2 * time.Second      // how long a survey waits for the digests of files that have just changed
	digestPoll    = 2 * time.Millisecond // between looks at whether they are there
)

// Folder returns the state of the folder at p, in which every local change is seen that had finished before the call. It
// follows no link. Errors: ErrNotExist, ErrNotFolder, ErrRootGone, *WarmingError when the first look at the tree takes longer
// than ctx or Options.HashWaitMax.
func (t *Tree) Folder(ctx context.Context, p Path) (*Folder, Cursor, error) {
	s, err := t.Survey(ctx, []Path{p})
	if err != nil {
		return nil, Cursor{}, err
	}
	if len(s.Gone) == 0 {
		return s.Folders[0], s.Cursor, nil
	}
	if m, err := t.look(ctx, p); err != nil {
		return nil, Cursor{}, err
	} else if !m.isFolder() {
		return nil, Cursor{}, fmt.Errorf("survey %q: %w", p.s, ErrNotFolder)
	}
	return nil, Cursor{}, fmt.Errorf("survey %q: %w", p.s, ErrNotExist) // reached through a link, or made a moment ago
}

// Survey is Folder for several folders in one consistent state. What is not there is in Gone.
func (t *Tree) Survey(ctx context.Context, folders []Path) (Survey, error) {
	return t.survey(ctx, folders, func(p *picture, s *Survey, hidden func(string) bool) {
		for _, rel := range folders {
			n := p.find(rel.s)
			if n == nil {
				s.Gone = append(s.Gone, rel)
				continue
			}
			s.Folders = append(s.Folders, p.folder(rel, n, hidden))
		}
	})
}

// SurveyBelow is Folder for p and the folders below it down to depth levels (0: only p; negative: all), parents before
// children and siblings by the bytes of their names, in one consistent state.
func (t *Tree) SurveyBelow(ctx context.Context, p Path, depth int) (Survey, error) {
	return t.survey(ctx, []Path{p}, func(pic *picture, s *Survey, hidden func(string) bool) {
		n := pic.find(p.s)
		if n == nil {
			s.Gone = append(s.Gone, p)
			return
		}
		pic.descend(s, p, n, depth, hidden)
	})
}

func (p *picture) descend(s *Survey, rel Path, n *node, depth int, hidden func(string) bool) {
	s.Folders = append(s.Folders, p.folder(rel, n, hidden))
	if depth == 0 {
		return
	}
	at := ground{rel: rel}
	for _, name := range slices.Sorted(maps.Keys(n.subs)) {
		p.descend(s, at.below(name), n.subs[name], depth-1, hidden)
	}
}

// survey waits until the picture shows what has happened, and looks at it.
func (t *Tree) survey(ctx context.Context, roots []Path, look func(*picture, *Survey, func(string) bool)) (s Survey, err error) {
	if err := t.awaitWarm(ctx); err != nil {
		return Survey{}, err
	}
	hidden, err := t.sync(ctx, roots)
	if err != nil {
		return Survey{}, err
	}
	if err := t.awaitDigests(ctx, roots); err != nil {
		return Survey{}, err
	}
	t.picture.mu.Lock()
	defer t.picture.mu.Unlock()
	s.Cursor = t.journal.end()
	look(t.picture, &s, hidden)
	return s, nil
}

// folder describes n. The caller holds mu.
func (p *picture) folder(rel Path, n *node, hidden func(string) bool) *Folder {
	f := &Folder{
		Path: rel, Mtimes: n.modTimes(), Files: n.files, Bytes: n.bytes, dev: n.id.Dev, count: n.count,
		slots: slices.Clone(n.slots),
	}
	if f.hidden = hidden(rel.s); !f.hidden {
		f.Subtree = p.fingerprint(n)
	}
	if len(n.subs) > 0 {
		f.below = make(map[string]hashing.Digest, len(n.subs))
	}
	at := ground{rel: rel}
	for name, sub := range n.subs {
		if !f.hidden || !hidden(at.below(name).s) {
			f.below[name] = p.fingerprint(sub)
		}
	}
	return f
}

// awaitDigests waits for a moment for files that have changed just now to be hashed, but not for those that go on changing,
// nor for those that cannot be read.
func (t *Tree) awaitDigests(ctx context.Context, roots []Path) error {
	deadline := time.Now().Add(min(digestWaitMax, t.o.HashWaitMax))
	for {
		if t.picture.unknownBelow(roots) == 0 || t.pending.settling() == 0 || time.Now().After(deadline) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(digestPoll):
		}
	}
}

// unknownBelow counts the files without a digest in folders and below.
func (p *picture) unknownBelow(roots []Path) (files int64) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for _, rel := range roots {
		if n := p.find(rel.s); n != nil {
			files = max(files, n.unknown)
		}
	}
	return files
}

// sync waits until the picture shows every local change that has finished by now. Folders that cannot be watched are looked
// at; if there are too many of them below one of the roots, hidden tells which folders have such below.
func (t *Tree) sync(ctx context.Context, roots []Path) (hidden func(rel string) bool, err error) {
	seen := errors.New("not watched")
	if t.watch != nil {
		seen = t.watch.Barrier(ctx)
	}
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(seen, watcher.ErrRootGone):
		return nil, fmt.Errorf("%w: %w", ErrRootGone, seen)
	}
	look, hidden := t.unseen(roots, seen == nil)
	t.lookOnTheWay(roots, seen == nil)
	timer := time.NewTimer(t.o.HashWaitMax)
	defer timer.Stop()
	select {
	case <-t.refresher.ask(look):
		return hidden, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-timer.C:
		return nil, t.refresher.warming()
	}
}

// unseen returns the folders that have to be looked at because no event tells of them, and says which have more of them below
// than that. The folders that are asked for are looked at in any case.
func (t *Tree) unseen(roots []Path, watched bool) (look []string, hidden func(string) bool) {
	var blind []string
	for _, rel := range roots {
		found, more := t.unseenBelow(rel.s, watched)
		switch {
		case more:
			blind = append(blind, rel.s)
			if !watched || slices.Contains(found, rel.s) {
				look = append(look, rel.s)
			}
		default:
			look = append(look, found...)
		}
	}
	return look, func(rel string) bool {
		if len(blind) == 0 {
			return false
		}
		found, _ := t.unseenBelow(rel, watched)
		return len(found) > 0 && slices.ContainsFunc(blind, func(root string) bool { return Path{root}.Contains(Path{rel}) })
	}
}

// lookOnTheWay has the next round look at those names on the way to each root that no event tells of.
func (t *Tree) lookOnTheWay(roots []Path, watched bool) {
	for _, p := range roots {
		for !p.IsRoot() {
			name := p.Base()
			if p = p.Parent(); !watched || t.unseenItself(p.s) {
				t.refresher.again(p.s, name)
			}
		}
	}
}

func (t *Tree) unseenBelow(rel string, watched bool) (folders []string, more bool) {
	if watched {
		return t.watch.Unseen(rel, unseenFoldersMax)
	}
	folders = t.picture.folders(rel)
	if len(folders) > unseenFoldersMax {
		return folders[:unseenFoldersMax], true
	}
	return folders, false
}

// Identity says what the tree is, for clients that meet it again.
type Identity struct {
	Root      string // random, kept as long as the state folder is
	Algorithm string // of digests: "xxh3" or "blake3"
}

// Identity returns what the tree is.
func (t *Tree) Identity() Identity {
	return Identity{Root: t.state.root, Algorithm: t.o.Algorithm.String()}
}
