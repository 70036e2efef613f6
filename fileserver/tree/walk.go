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

// onMountOf reports whether no filesystem is mounted between d and a folder in it, so that what is mounted inside a
// displaced folder is neither counted nor removed with it.
func (d dir) onMountOf(parent dir) bool {
	mine, err1 := d.mount()
	theirs, err2 := parent.mount()
	return err1 == nil && err2 == nil && mine == theirs
}

// eachBelow calls fn for each name in the folder called name, which m describes; nothing if it is no folder, or another
// filesystem.
func (d dir) eachBelow(name string, m meta, depth int, fn func(sub dir, child string)) {
	if !m.isFolder() || depth == 0 {
		return
	}
	sub, err := d.folder(name)
	if err != nil {
		return
	}
	defer sub.close()
	if !sub.onMountOf(d) {
		return
	}
	names, err := sub.names()
	if err != nil {
		return
	}
	for _, child := range names {
		fn(sub, child)
	}
}
