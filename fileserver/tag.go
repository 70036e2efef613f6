package fileserver

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"freshet/fileserver/auth"
	"freshet/fileserver/precond"
	"freshet/fileserver/tree"
	"freshet/hashing"
	"freshet/web"
)

const (
	listingWaitMax  = 2 * time.Second // that a listing waits for a state of its folder, before it is made from the disk
	listingWaitRest = time.Second     // after such a wait was in vain, in which no listing of the same folder waits
	restlessMax     = 1024            // folders of which that is remembered
	linksStatesMax  = 1024            // states of folders of which it is remembered which links are in them
	linksPerState   = 64              // links in one of them; the links of other folders are looked for each time
)

// A listing is what a GET of a folder is about.
type listing struct {
	path   tree.Path
	query  listingQuery
	format listingFormat
	page   pageContext
	tag    string // the strong tag; "" while there is no state to name

	folder  *tree.Folder // the state, or else
	entries []tree.Entry // what is on disk
	links   map[string]*tree.Entry

	rights func(tree.Path) auth.Rights // of whoever asks
	partly bool                        // whoever asks may not see all that is in the folder or below: it has no tag for them
}

// state is what the conditions of a reader are compared with.
func (l *listing) state() precond.State {
	state := precond.State{Exists: true, Folder: true, ETag: l.tag, Window: l.query.After != nil}
	if l.folder != nil {
		state.Digest, state.Mtimes = l.folder.Subtree, l.folder.Mtimes
	}
	return state
}

// size returns the number of entries.
func (l *listing) size() int {
	if l.folder == nil {
		return len(l.entries)
	}
	return l.folder.Len()
}

// all returns the entries, with what links lead to.
func (l *listing) all() []tree.Entry {
	if l.folder == nil {
		return l.entries
	}
	entries := make([]tree.Entry, 0, l.folder.Len())
	for e := range l.folder.Entries() {
		if e.Kind == tree.KindLink {
			e.Followed = l.links[e.Name]
		}
		entries = append(entries, e)
	}
	return entries
}

// lookAt finds the state of the folder and the tag of l. A 304 costs no look at any entry, but for links: what they lead to
// is no part of the folder's state, and is shown.
func (s *Server) lookAt(ctx context.Context, l *listing) (err error) {
	if !l.partly {
		if l.folder, err = s.stateAt(ctx, l.path); err != nil {
			return err
		}
	}
	if l.folder == nil {
		l.entries, err = s.tree.List(ctx, l.path)
		l.leaveOut()
		return err
	}
	names := s.linksIn(l.folder)
	if l.links, err = s.follow(ctx, l, names); err != nil {
		return err
	}
	l.page.Subtree = l.folder.Subtree
	l.tag = hashing.FolderETag(l.folder.Subtree, l.folder.Mtimes, l.view(names), byte(l.format))
	return nil
}

// leaveOut takes out of the entries from the disk what whoever asks may not see. A link is what it
// leads to, and cannot be seen by who may not read that.
func (l *listing) leaveOut() {
	l.entries = slices.DeleteFunc(l.entries, func(e tree.Entry) bool {
		child, err := l.path.Join(e.Name)
		return err != nil || !shows(&e, l.rights(child))
	})
}

// shows reports whether who may do so much at the path of e sees it in a listing: whatever may be read, and folders that may
// be listed.
func shows(e *tree.Entry, can auth.Rights) bool {
	return can.Has(auth.Read) || e.Kind == tree.KindFolder && can.Has(auth.List)
}

// stateAt returns the state of the folder at p, nil if there is none to be had soon. Whatever is in the way of it, a look at
// the disk gives an answer or says why there is none; but for a root that is gone, since its old folder may be open still.
func (s *Server) stateAt(ctx context.Context, p tree.Path) (*tree.Folder, error) {
	began := time.Now()
	if until, ok := s.restless.Get(p); began.UnixNano() < s.coldUntil.Load() || ok && began.Before(until) {
		return nil, nil
	}
	short, cancel := context.WithTimeout(ctx, listingWaitMax)
	defer cancel()
	f, _, err := s.tree.Folder(short, p)
	if err == nil && !f.Subtree.IsZero() {
		return f, nil
	}
	var warming *tree.WarmingError
	switch now := time.Now(); {
	case ctx.Err() != nil:
	case errors.Is(err, tree.ErrRootGone):
		return nil, err
	case errors.As(err, &warming):
		s.coldUntil.Store(now.Add(listingWaitRest).UnixNano())
	case now.Sub(began) > listingWaitMax/2:
		s.restless.Add(p, now.Add(listingWaitRest))
	}
	return nil, nil
}

// linksIn returns the names of the links in a folder, in order. The fingerprint names a folder's children and their kinds, so
// that what was found in one state is true of every folder of that state.
func (s *Server) linksIn(f *tree.Folder) (names []string) {
	if names, ok := s.links.Get(f.Subtree); ok {
		return names
	}
	for e := range f.Entries() {
		if e.Kind == tree.KindLink {
			names = append(names, e.Name)
		}
	}
	if len(names) <= linksPerState {
		s.links.Add(f.Subtree, names)
	}
	return names
}

// newMemory returns a cache of at most so many values.
func newMemory[K comparable, V any](valuesMax int) *lru.Cache[K, V] {
	c, err := lru.New[K, V](valuesMax)
	if err != nil {
		panic(err) // of a size that is not positive
	}
	return c
}

// follow finds what the links of those names in the folder at p lead to. Those that lead nowhere are left out.
func (s *Server) follow(ctx context.Context, l *listing, names []string) (map[string]*tree.Entry, error) {
	if len(names) == 0 {
		return nil, nil
	}
	links := make(map[string]*tree.Entry, len(names))
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		child, err := l.path.Join(name)
		if err != nil {
			continue
		}
		if e, err := s.tree.Stat(ctx, child); err == nil && shows(&e, l.rights(child)) {
			links[name] = &e
		}
	}
	return links, nil
}

// view returns a hash of all that a listing shows besides the state of its folder: its part and order, what the page says
// around it, what made it, and what its links, of those names, lead to.
func (l *listing) view(names []string) uint64 {
	zone, offset := l.page.Now.Zone()
	b := fmt.Appendf(nil, "%s\n%q %t %q\n%s %d\n%s\n", l.query.link(), l.page.Root, l.page.Write, l.page.Version,
		zone, offset, renderer())
	for _, name := range names {
		e := l.links[name]
		if e == nil {
			b = fmt.Appendf(b, "%q\n", name)
			continue
		}
		b = fmt.Appendf(b, "%q %c %d %d %s\n", name, e.Kind, e.Size, e.ModTime.UnixNano(), e.Digest)
	}
	sum := hashing.Sum(b)
	return binary.BigEndian.Uint64(sum[:])
}

// renderer names what makes listings: the assets, and templates and code by what they make of a specimen. A version alone
// does not change between two builds of the same one.
var renderer = sync.OnceValue(func() string {
	var b bytes.Buffer
	file := tree.Entry{Name: "a", Kind: tree.KindFile, Size: 1000, Digest: hashing.Sum(nil)}
	entries := []tree.Entry{
		file,
		{Name: ".b", Kind: tree.KindFolder},
		{Name: "c", Kind: tree.KindLink, Target: "a", Followed: &file},
		{Name: "d\xff", Kind: tree.KindLink, Target: "nowhere"},
	}
	page := pageContext{Root: "root", Write: true, Now: time.Unix(0, 0).UTC()}
	for _, f := range []listingFormat{listingHTML, listingJSON, listingText} {
		for _, limit := range []int{0, 1} {
			query := listingQuery{Sort: sortByName, Limit: limit}
			if err := renderListing(&b, f, tree.Path{}, entries, query, page); err != nil {
				panic(err) // of a template that does not fit what it is to show
			}
		}
	}
	return web.AssetsHash + " " + hashing.Sum(b.Bytes()).String()
})
