package tree

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"freshet/hashing"
)

const (
	linkHopsMax   = 40 // links followed to find the name that a change is for; the kernel's own bound
	racedTriesMax = 16 // openat2 answers EAGAIN while a rename races with a path that has dot-dot in it
)

// disk is the served root. All names below it are resolved by the kernel with openat2, which keeps them beneath the root.
type disk struct {
	root     dir
	rootName string // what /proc calls the root
	policy   Symlinks
}

func openDisk(root string, policy Symlinks) (*disk, error) {
	fd, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, diskError("open", root, err)
	}
	name, err := procName(fd)
	if err != nil {
		_ = unix.Close(fd)
		return nil, diskError("open", root, err)
	}
	return &disk{root: dir{fd}, rootName: name, policy: policy}, nil
}

func (d *disk) close() { d.root.close() }

// gone reports whether the root itself was removed.
func (d *disk) gone() bool {
	var st unix.Stat_t
	return unix.Fstat(d.root.fd, &st) == nil && st.Nlink == 0
}

// openBelow opens rel with the given flags. Most paths have no link in them: those are opened without following any, and
// only when that fails is the policy asked, and the outcome checked not to be inside the reserved folder.
func (d *disk) openBelow(rel string, flags uint64, write bool) (int, error) {
	if rel == "" {
		rel = "."
	}
	how := unix.OpenHow{Flags: flags | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS}
	fd, err := d.openat2(rel, &how)
	if !errors.Is(err, unix.ELOOP) || d.policy == SymlinksNever {
		return fd, err
	}
	how.Resolve = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS
	if d.policy == SymlinksAnywhere && !write {
		how.Resolve = unix.RESOLVE_NO_MAGICLINKS
	}
	if fd, err = d.openat2(rel, &how); err != nil {
		return fd, err
	}
	if d.inReserved(fd) {
		_ = unix.Close(fd)
		return -1, ErrReserved
	}
	return fd, nil
}

// openat2 looks again when a rename raced with it. EXDEV on a path in which no link is followed means that what was found
// left the root before the kernel was done.
func (d *disk) openat2(rel string, how *unix.OpenHow) (fd int, err error) {
	for range racedTriesMax {
		fd, err = unix.Openat2(d.root.fd, rel, how)
		left := err == unix.EXDEV && how.Resolve&unix.RESOLVE_NO_SYMLINKS != 0
		if err != unix.EAGAIN && err != unix.EINTR && !left {
			return fd, err
		}
	}
	return -1, err
}

// inReserved reports whether fd, reached through a link, is the reserved folder or below one. A name that cannot be found
// out counts as reserved.
func (d *disk) inReserved(fd int) bool {
	name, err := procName(fd)
	if err != nil {
		return true
	}
	return hasReserved(strings.TrimPrefix(name, d.rootName))
}

// pathOf returns the path below the root by which the kernel knows a folder; false if it is not below the root any more.
func (d *disk) pathOf(folder dir) (rel string, ok bool) {
	name, err := procName(folder.fd)
	if err != nil || name == d.rootName {
		return "", err == nil
	}
	rel, ok = strings.CutPrefix(name, strings.TrimSuffix(d.rootName, "/")+"/")
	return rel, ok && !hasReserved(rel)
}

func procName(fd int) (string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd), buf)
	return string(buf[:max(n, 0)]), err
}

// lookup returns what is at rel, following links as the policy allows, without opening it.
func (d *disk) lookup(rel string) (meta, error) {
	fd, err := d.openBelow(rel, unix.O_PATH, false)
	if err != nil {
		return meta{}, diskError("stat", rel, err)
	}
	defer unix.Close(fd)
	m, err := handle{fd}.stat()
	if err != nil {
		return meta{}, diskError("stat", rel, err)
	}
	return m, nil
}

// open opens the regular file at rel for reading.
func (d *disk) open(rel string) (handle, meta, error) {
	fd, err := d.openBelow(rel, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, false)
	if err != nil {
		return handle{-1}, meta{}, diskError("open", rel, err)
	}
	m, err := handle{fd}.stat()
	if err == nil {
		err = m.fileKind()
	}
	if err != nil {
		_ = unix.Close(fd)
		return handle{-1}, meta{}, diskError("open", rel, err)
	}
	return handle{fd}, m, nil
}

// folder opens the folder at rel, for changing what it holds if write.
func (d *disk) folder(rel string, write bool) (dir, error) {
	fd, err := d.openBelow(rel, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOCTTY, write)
	if err != nil {
		return dir{-1}, diskError("open", rel, err)
	}
	return dir{fd}, nil
}

// place finds where a change to rel happens: the folder and the name in it. With follow, a link at rel is followed to the
// name it stands for, which need not exist. A missing folder is ErrNoParent. Close the place's folder.
func (d *disk) place(rel string, follow bool) (place, error) {
	parent, name := path.Split(rel)
	for range linkHopsMax {
		folder, err := d.folder(strings.TrimSuffix(parent, "/"), true)
		if err != nil {
			return place{}, noParent(err)
		}
		at, target, err := newPlace(folder, name, follow)
		if err != nil {
			folder.close()
			return place{}, err
		}
		if target == "" {
			return at, nil
		}
		folder.close()
		if d.policy == SymlinksNever || strings.HasPrefix(target, "/") {
			return place{}, diskError("resolve", rel, ErrOutside)
		}
		// The kernel resolves the link's text from the link's own folder, dot-dot included, beneath the root.
		next, last := path.Split(target)
		parent, name = parent+next, last
		if hasReserved(parent + name) {
			return place{}, diskError("resolve", rel, ErrReserved)
		}
		if name == "" || name == "." || name == ".." {
			return place{}, d.notAFile(parent + name)
		}
	}
	return place{}, diskError("resolve", rel, ErrOutside)
}

// notAFile says why a link whose text can only mean a folder leads to no name for a file.
func (d *disk) notAFile(rel string) error {
	folder, err := d.folder(rel, true)
	if err != nil {
		return noParent(err)
	}
	folder.close()
	return diskError("resolve", rel, ErrIsFolder)
}

// newPlace looks at name in folder. If it is a link to be followed, its text comes back instead.
func newPlace(folder dir, name string, follow bool) (at place, target string, err error) {
	self, err := folder.self()
	if err != nil {
		return place{}, "", err
	}
	at = place{dir: folder, name: name, key: key{self.stamp.Inode(), name}}
	if !follow {
		return at, "", nil
	}
	m, err := folder.stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return at, "", nil
	}
	if err != nil || !m.isLink() {
		return at, "", err
	}
	target, err = folder.readlink(name)
	return at, target, err
}

// noParent turns the absence of a folder on the way into ErrNoParent.
func noParent(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrNotFolder) {
		return fmt.Errorf("%w: %w", ErrNoParent, err)
	}
	return err
}

// metaOf translates the kernel's answer.
func metaOf(st *unix.Stat_t) meta {
	m := meta{
		stamp: hashing.Stamp{Dev: uint64(st.Dev), Ino: st.Ino, Size: st.Size, Ctime: st.Ctim.Nano()},
		mode:  fs.FileMode(st.Mode & 0o777),
		mtime: st.Mtim.Nano(),
		disk:  st.Blocks * 512,
		uid:   st.Uid,
		gid:   st.Gid,

		nameless: st.Nlink == 0,
		linked:   st.Nlink > 1,
	}
	m.setType(st.Mode)
	return m
}

// setType adds the type of a file to its mode.
func (m *meta) setType(mode uint32) {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
	case unix.S_IFDIR:
		m.mode |= fs.ModeDir
		if mode&unix.S_ISGID != 0 {
			m.mode |= fs.ModeSetgid
		}
	case unix.S_IFLNK:
		m.mode |= fs.ModeSymlink
	default:
		m.mode |= fs.ModeIrregular
	}
}

// errnoMeans maps the kernel's words to ours; what is missing here is already matched by errors.Is (ENOENT, EEXIST, EACCES).
var errnoMeans = map[unix.Errno]error{
	unix.EAGAIN:       ErrUnstable, // a rename raced with every look, or another program holds a write lease
	unix.ENOTDIR:      ErrNotFolder,
	unix.ELOOP:        ErrOutside,
	unix.EXDEV:        ErrOutside,
	unix.EISDIR:       ErrIsFolder,
	unix.EROFS:        ErrReadOnly,
	unix.ENOSPC:       ErrNoSpace,
	unix.EDQUOT:       ErrNoSpace,
	unix.EFBIG:        ErrTooLarge,
	unix.EMFILE:       ErrTooManyFiles,
	unix.ENFILE:       ErrTooManyFiles,
	unix.ENAMETOOLONG: ErrName,
	unix.ETXTBSY:      ErrInUse,
	unix.ENXIO:        ErrSpecial,
}

// diskError says which operation on which path failed, in the sentinels of this package.
func diskError(op, rel string, err error) error {
	if errno, ok := err.(unix.Errno); ok {
		if known := errnoMeans[errno]; known != nil {
			return fmt.Errorf("%s %q: %w (%w)", op, rel, known, errno)
		}
	}
	return fmt.Errorf("%s %q: %w", op, rel, err)
}
