package tree

import "freshet/hashing"

// key is what a path's lock is named by: two paths to one name in one folder share it.
type key struct {
	folder hashing.Inode
	name   string
}

// place is where a change happens: a name in an open folder.
type place struct {
	dir  dir
	name string
	key  key
}

func (p *place) close() { p.dir.close() }

// stat returns what has the name now, without following a link.
func (p *place) stat() (meta, error) { return p.dir.stat(p.name) }
