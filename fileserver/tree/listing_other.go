//go:build !linux

package tree

import "slices"

// A listing is the names in a folder, sorted by their bytes.
type listing struct{ names []string }

func (l *listing) len() int           { return len(l.names) }
func (l *listing) name(i int) []byte  { return []byte(l.names[i]) }
func (l *listing) regular(i int) bool { return false }

// read lists the folder.
func (l *listing) read(d dir) (err error) {
	l.names, err = d.names()
	slices.Sort(l.names)
	return err
}

// stat is dir.stat for name i.
func (l *listing) stat(d dir, i int) (meta, error) { return d.stat(l.names[i]) }
