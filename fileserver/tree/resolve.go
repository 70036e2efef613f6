package tree

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"freshet/hashing"
)

const (
	resolveHopsMax = 40 // links that Resolve follows; the kernel's own bound
	resolveNames   = 16 // of a path that needs no more room
)

// A Resolved is where a path leads by the links in it.
type Resolved struct {
	// Paths are where the path is when no link is on the way: first the name itself and then, if it is a link, what each link
	// leads to. What does not exist is where it would be.
	Paths []Path
	// Inode is that of what is at the last of Paths; zero if nothing is.
	Inode hashing.Inode
}

// Resolve finds out where p leads, for who has to know what else it is a path to. It opens nothing. A program that puts a
// link in the place of a folder at the same time is not held off: compare Inode with what is opened then. Errors: ErrOutside
// where a link leaves the root, or the links never end; ErrReserved; those of the disk.
func (t *Tree) Resolve(p Path) (Resolved, error) {
	at, left := make([]string, 0, resolveNames), strings.Split(p.s, "/") // so far without links, and to come
	var r Resolved
	var inode hashing.Inode
	for hops := 0; len(left) > 0; {
		name := left[0]
		left = left[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			if len(at) == 0 {
				return Resolved{}, fmt.Errorf("resolve %q: %w", p.s, ErrOutside)
			}
			at = at[:len(at)-1]
			continue
		}
		rel := strings.Join(append(at, name), "/")
		if hasReserved(rel) {
			return Resolved{}, fmt.Errorf("resolve %q: %w", p.s, ErrReserved)
		}
		if len(left) == 0 {
			r.Paths = append(r.Paths, Path{rel})
		}
		m, err := t.disk.root.stat(rel)
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, ErrNotExist), errors.Is(err, ErrNotFolder):
			inode = hashing.Inode{}
			at = append(at, name)
			continue
		case err != nil:
			return Resolved{}, err
		case !m.isLink():
			inode = m.stamp.Inode()
			at = append(at, name)
			continue
		}
		text, err := t.disk.root.readlink(rel)
		if hops++; err != nil || path.IsAbs(text) || hops > resolveHopsMax {
			return Resolved{}, fmt.Errorf("resolve %q: %w", p.s, ErrOutside)
		}
		left = append(strings.Split(text, "/"), left...)
	}
	return t.resolved(r, Path{strings.Join(at, "/")}, inode)
}

// resolved ends a Resolve that came to p. A link whose text ends in a slash or in dots leads to a folder that no name stood for.
func (t *Tree) resolved(r Resolved, p Path, inode hashing.Inode) (Resolved, error) {
	if n := len(r.Paths); n == 0 || r.Paths[n-1] != p {
		r.Paths = append(r.Paths, p)
		inode = hashing.Inode{}
		if m, err := t.disk.lookup(p.s); err == nil {
			inode = m.stamp.Inode()
		}
	}
	r.Inode = inode
	return r, nil
}
