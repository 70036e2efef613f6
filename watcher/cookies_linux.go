package watcher

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	cookiesPrefix   = "freshet-cookies-" // of the names of folders of cookies
	cookiePrefix    = "cookie."          // of the names in them
	cookiesTriesMax = 8                  // folders made in one place, since the sweep of another process may take them
)

var (
	errInside = errors.New("is inside the watched folder")
	errSwept  = errors.New("was removed while it was made")
)

// A cookieFolder is a private folder outside the root, watched through the same queue. It holds one file, the cookie,
// whose name changes with each barrier: that needs no room on the disk. The process keeps the folder locked, so a folder
// that can be locked is a leftover.
type cookieFolder struct {
	root   string // with all links resolved
	places []string
	watch  func(path string) error
	forget func(path string) error
	dir    *os.File // nil: there is none
	path   string   // of the folder
	cookie string   // path of the file
	made   uint64   // names so far
}

// newCookies makes and watches a folder of cookies in the first place that allows it: in memory, if there is one.
func newCookies(root string, watch, forget func(string) error) (*cookieFolder, error) {
	real, err := filepath.EvalSymlinks(root)
	if err != nil {
		return nil, err
	}
	c := &cookieFolder{root: real, watch: watch, forget: forget}
	for _, place := range []string{"/dev/shm", os.Getenv("XDG_RUNTIME_DIR"), os.TempDir()} {
		if place != "" {
			c.places = append(c.places, place)
		}
	}
	if err := c.renew(); err != nil {
		return nil, err
	}
	return c, nil
}

// renew leaves the folder there is and makes another.
func (c *cookieFolder) renew() error {
	c.remove()
	var errs []error
	for _, place := range c.places {
		err := c.makeIn(place)
		if err == nil {
			return nil
		}
		errs = append(errs, fmt.Errorf("folder of cookies in %s: %w", place, err))
	}
	return errors.Join(errs...)
}

func (c *cookieFolder) makeIn(place string) error {
	place, err := filepath.Abs(place)
	if err == nil {
		place, err = filepath.EvalSymlinks(place)
	}
	if err != nil {
		return err
	}
	if place == c.root || strings.HasPrefix(place, strings.TrimSuffix(c.root, "/")+"/") {
		return errInside
	}
	sweepCookies(place)
	for range cookiesTriesMax {
		if err = c.make(place); !errors.Is(err, errSwept) {
			break
		}
	}
	if err != nil {
		return err
	}
	err = c.watch(c.path)
	if err == nil {
		err = c.send(c.next())
	}
	if err != nil {
		c.remove()
	}
	return err
}

// make makes the folder and locks it.
func (c *cookieFolder) make(place string) error {
	path, err := os.MkdirTemp(place, cookiesPrefix)
	if err != nil {
		return err
	}
	dir, err := lockFolder(path)
	switch {
	case errors.Is(err, unix.EWOULDBLOCK), errors.Is(err, unix.ENOENT):
		return errSwept
	case err != nil:
		_ = os.Remove(path)
		return err
	}
	made, err := dir.Stat()
	if err == nil {
		var there os.FileInfo
		if there, err = os.Lstat(path); err == nil && os.SameFile(made, there) {
			c.path, c.dir = path, dir
			return nil
		}
	}
	_ = dir.Close()
	return errSwept
}

// next returns a path that no cookie had.
func (c *cookieFolder) next() string {
	c.made++
	return c.path + "/" + cookiePrefix + strconv.FormatUint(c.made, 10)
}

// send gives the cookie its next name.
func (c *cookieFolder) send(name string) error {
	if c.dir == nil {
		return unix.ENOENT
	}
	if c.cookie == "" || unix.Rename(c.cookie, name) != nil {
		fd, err := unix.Open(name, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
		if err != nil {
			return &os.PathError{Op: "create", Path: name, Err: err}
		}
		_ = unix.Close(fd)
	}
	c.cookie = name
	return nil
}

// remove removes the folder. The lock goes last, so that nobody else removes it too.
func (c *cookieFolder) remove() {
	if c.dir == nil {
		return
	}
	_ = c.forget(c.path) // the library may have been closed before
	if c.cookie != "" {
		_ = os.Remove(c.cookie)
	}
	_ = os.Remove(c.path)
	_ = c.dir.Close()
	c.dir, c.cookie = nil, ""
}

// lockFolder opens the folder at path and takes its lock if it is free.
func lockFolder(path string) (*os.File, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = unix.Close(fd)
		return nil, &os.PathError{Op: "lock", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// sweepCookies removes the folders of this user that killed processes left in place.
func sweepCookies(place string) {
	entries, _ := os.ReadDir(place)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), cookiesPrefix) && e.IsDir() {
			sweepFolder(filepath.Join(place, e.Name()))
		}
	}
}

// sweepFolder removes the folder at path if it is a leftover. It removes nothing but cookies, and by way of the folder that
// it locked.
func sweepFolder(path string) {
	dir, err := lockFolder(path)
	if err != nil {
		return
	}
	defer dir.Close()
	var st unix.Stat_t
	if unix.Fstat(int(dir.Fd()), &st) != nil || int(st.Uid) != os.Geteuid() {
		return
	}
	names, _ := dir.Readdirnames(-1)
	for _, name := range names {
		if strings.HasPrefix(name, cookiePrefix) {
			_ = unix.Unlinkat(int(dir.Fd()), name, 0)
		}
	}
	_ = unix.Rmdir(path)
}
