package tree

import "errors"

// straysMax is how many strays are remembered one by one.
const straysMax = 1024

// A stray is a path that the feed was told of by a change of the tree's own before the picture had the folder that it is in. When
// the folder is found its event tells all that is in it. But a program may have removed it before it was found: then nothing
// but the stray knows that the feed was ever told.

// stray remembers a path. The caller holds mu.
func (p *picture) stray(path string, kind Kind) {
	if len(p.strays) < straysMax {
		p.strays[path] = kind
		return
	}
	clear(p.strays)
	p.feed([]Event{{Kind: KindFolder}}) // whoever follows compares everything
}

// takeStrays returns what is remembered, and forgets it.
func (p *picture) takeStrays() map[string]Kind {
	p.mu.Lock()
	defer p.mu.Unlock()
	strays := p.strays
	p.strays = map[string]Kind{}
	return strays
}

// settleStrays tells which of some strays are gone, after a look at all that has changed. Those that are there and were not found
// yet are strays still.
func (t *Tree) settleStrays(strays map[string]Kind) {
	for path, kind := range strays {
		_, err := t.disk.lookup(path)
		gone := errors.Is(err, ErrNotExist) || errors.Is(err, ErrNotFolder) || errors.Is(err, ErrOutside)
		t.picture.settleStray(path, kind, gone)
	}
}

func (p *picture) settleStray(path string, kind Kind, gone bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, told := p.strays[path]
	if _, found := p.root.lookup(Path{path}); found || told {
		return
	}
	if gone {
		p.feed([]Event{{Path: Path{path}, Kind: kind, Gone: true}})
		return
	}
	p.stray(path, kind)
}
