//go:build !linux

package watcher

import (
	"os"
	"path/filepath"
)

// An anchor is the path of the root, on systems where the walk goes by full paths: a folder above that becomes a link while
// it is walked may lead out of the root.
type anchor struct{ root string }

func openAnchor(root string) (anchor, error) { return anchor{root}, nil }

func (a anchor) open(rel string) (*os.File, error) {
	return openFolder(filepath.Join(a.root, filepath.FromSlash(rel)), rel == "")
}

func (a anchor) identity() (identity, error) {
	fi, err := os.Stat(a.root)
	if err != nil {
		return identity{}, err
	}
	return identityOf(fi), nil
}

func (a anchor) close() {}
