//go:build !linux

package tree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
)

const linkHopsMax = 40 // links followed to find the name that a change is for

// disk is the served root, kept closed by os.Root. There are no leases here and names cannot be exchanged in one step: the
// algorithms are the same, with the weaker steps that Probe names.
type disk struct {
	root   dir
	policy Symlinks
}

func openDisk(root string, policy Symlinks) (*disk, error) {
	if policy == SymlinksAnywhere {
		return nil, fmt.Errorf("symlinks %q: %w", policy, errors.ErrUnsupported)
	}
	d, err := openFolder(root)
	return &disk{root: d, policy: policy}, err
}

func (d *disk) close() { _ = d.root.base.Close() }

// gone reports whether the root itself was removed.
func (d *disk) gone() bool {
	_, err := os.Stat(d.root.base.Name())
	return errors.Is(err, fs.ErrNotExist)
}

// check refuses links where none are followed, and the reserved folder when it is reached through a link.
func (d *disk) check(rel string, last bool) error {
	at := d.root
	parts := strings.Split(rel, "/")
	for i, part := range parts {
		m, err := at.stat(part)
		if err != nil {
			return err
		}
		if m.isLink() && (last || i < len(parts)-1) {
			text, err := at.readlink(part)
			if err != nil || d.policy == SymlinksNever || strings.Contains(strings.ToLower(text), Reserved) {
				return ErrOutside
			}
		}
		at = dir{at.base, path.Join(at.rel, part)}
	}
	return nil
}

func (d *disk) lookup(rel string) (meta, error) {
	h, m, err := d.openAny(rel)
	h.close()
	return m, err
}

func (d *disk) openAny(rel string) (handle, meta, error) {
	if rel == "" {
		rel = "."
	} else if err := d.check(rel, true); err != nil {
		return noHandle, meta{}, diskError("open", rel, err)
	}
	f, err := d.root.base.Open(rel)
	if err != nil {
		return noHandle, meta{}, diskError("open", rel, err)
	}
	h := handle{f, d.root, rel}
	m, err := h.stat()
	if err != nil {
		h.close()
		return noHandle, meta{}, diskError("stat", rel, err)
	}
	return h, m, nil
}

func (d *disk) open(rel string) (handle, meta, error) {
	h, m, err := d.openAny(rel)
	if err == nil {
		if err = m.fileKind(); err != nil {
			h.close()
			return noHandle, meta{}, diskError("open", rel, err)
		}
	}
	return h, m, err
}

func (d *disk) folder(rel string, _ bool) (dir, error) {
	h, m, err := d.openAny(rel)
	if err != nil {
		return noDir, err
	}
	h.close()
	if !m.isFolder() {
		return noDir, diskError("open", rel, ErrNotFolder)
	}
	return dir{d.root.base, path.Join(".", rel)}, nil
}

// place finds where a change to rel happens, as on Linux, but by names: a folder that is renamed meanwhile is not noticed.
func (d *disk) place(rel string, follow bool) (place, error) {
	for range linkHopsMax {
		parent, name := path.Split(rel)
		folder, err := d.folder(strings.TrimSuffix(parent, "/"), true)
		if err != nil {
			return place{}, noParent(err)
		}
		self, err := folder.self()
		if err != nil {
			return place{}, err
		}
		at := place{dir: folder, name: name, key: key{self.stamp.Inode(), name}}
		m, err := folder.stat(name)
		if !follow || err != nil || !m.isLink() {
			return at, nil
		}
		text, err := folder.readlink(name)
		if err != nil || d.policy == SymlinksNever || path.IsAbs(text) {
			return place{}, diskError("resolve", rel, ErrOutside)
		}
		rel = path.Join(parent, text)
		if hasReserved(rel) {
			return place{}, diskError("resolve", rel, ErrReserved)
		}
		if rel == "." || rel == ".." || strings.HasPrefix(rel, "../") {
			return place{}, diskError("resolve", rel, ErrOutside)
		}
	}
	return place{}, diskError("resolve", rel, ErrOutside)
}

func noParent(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrNotFolder) {
		return fmt.Errorf("%w: %w", ErrNoParent, err)
	}
	return err
}

func diskError(op, rel string, err error) error {
	if known := systemMeans(err); known != nil {
		return fmt.Errorf("%s %q: %w (%w)", op, rel, known, err)
	}
	return fmt.Errorf("%s %q: %w", op, rel, err)
}

// leaseBreaks never tells of any: there are no leases.
func leaseBreaks() (broken <-chan os.Signal, stop func()) { return nil, func() {} }

// fineStamps is not known of other kernels than Linux.
func fineStamps() bool { return false }

func descriptorsMax() int { return 1024 }

// pathOf returns the path below the root that a folder was opened by.
func (d *disk) pathOf(folder dir) (rel string, ok bool) {
	return strings.TrimPrefix(folder.rel, "."), true
}
