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

// notAbove refuses, with ErrSame, a folder that is the folder d or has it inside, by whatever links either was reached.
func notAbove(folder meta, d dir) error {
	if !folder.isFolder() {
		return nil
	}
	at, err := d.folder(".")
	if err != nil {
		return err
	}
	defer func() { at.close() }()
	var below hashing.Inode
	for range ascentMax {
		m, err := at.self()
		if err != nil || m.stamp.Inode() == below {
			return err // the top of the machine
		}
		if below = m.stamp.Inode(); below == folder.stamp.Inode() {
			return ErrSame
		}
		up, err := at.up()
		if err != nil {
			return err
		}
		at.close()
		at = up
	}
	return ErrName
}

// stat returns what has the name now, without following a link.
func (p *place) stat() (meta, error) { return p.dir.stat(p.name) }
