package tree

import (
	"time"

	"freshet/hashing"
)

const (
	farewellTimeMax = 2 * time.Second // how long what left its name is expected under another one
	farewellsMax    = 4096            // files and folders that are expected so
)

// A farewell is what left its name a moment ago, and may have been renamed: it saves hashing a whole folder again, and gives
// events the hint where something came from.
type farewell struct {
	path   string
	digest hashing.Digest // of a file
	sub    *node          // of a folder
	at     time.Time
}

// part remembers what left its name. The caller holds mu.
func (p *picture) part(id hashing.Inode, f farewell) {
	if len(p.gone) >= farewellsMax {
		p.outlive(time.Time{})
	}
	f.at = time.Now()
	p.gone[id] = f
}

// outlive forgets what left its name before a moment, and everything for the zero time. The caller holds mu.
func (p *picture) outlive(before time.Time) {
	for id, f := range p.gone {
		if before.IsZero() || f.at.Before(before) {
			delete(p.gone, id)
		}
	}
}

// origin returns the name that a file had a moment ago, if it is the same file with the same bytes. The caller holds mu.
func (p *picture) origin(id hashing.Inode, path string, digest hashing.Digest) string {
	f, ok := p.gone[id]
	if !ok || f.path == path || f.digest.IsZero() || f.digest != digest || time.Since(f.at) > farewellTimeMax {
		return ""
	}
	delete(p.gone, id)
	return f.path
}

// returned gives back the folder that left its name a moment ago, and that name.
func (p *picture) returned(id hashing.Inode) (sub *node, path string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f, ok := p.gone[id]
	if !ok || f.sub == nil || time.Since(f.at) > farewellTimeMax {
		return nil, ""
	}
	delete(p.gone, id)
	return f.sub, f.path
}
