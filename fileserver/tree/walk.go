package tree

const walkDepthMax = 4096 // folders below one another that are walked; deeper ones are left where they are

// usage returns the bytes that name and all below it take on disk.
func (d dir) usage(name string) int64 { return d.usageBelow(name, walkDepthMax) }

func (d dir) usageBelow(name string, depth int) int64 {
	m, err := d.stat(name)
	if err != nil {
		return 0
	}
	total := m.disk
	d.eachBelow(name, m, depth, func(sub dir, child string) { total += sub.usageBelow(child, depth-1) })
	return total
}

// removeAll removes name and all below it, as far as it can.
func (d dir) removeAll(name string) { d.removeBelow(name, walkDepthMax) }

func (d dir) removeBelow(name string, depth int) {
	m, err := d.stat(name)
	if err != nil {
		return
	}
	if !m.isFolder() {
		_ = d.unlink(name)
		return
	}
	d.eachBelow(name, m, depth, func(sub dir, child string) { sub.removeBelow(child, depth-1) })
	_ = d.rmdir(name)
}

// eachBelow calls fn for each name in the folder called name, which m describes; nothing if it is no folder.
func (d dir) eachBelow(name string, m meta, depth int, fn func(sub dir, child string)) {
	if !m.isFolder() || depth == 0 {
		return
	}
	sub, err := d.folder(name)
	if err != nil {
		return
	}
	defer sub.close()
	names, err := sub.names()
	if err != nil {
		return
	}
	for _, child := range names {
		fn(sub, child)
	}
}
