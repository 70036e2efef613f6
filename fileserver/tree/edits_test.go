//go:build linux

package tree_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// An edit is what a local program does to a file. It must fail loudly: an edit that did nothing tests nothing.
type edit struct {
	name    string
	prepare func(w site, name string, body []byte) error // nil: the file is written
	do      func(w site, name string, body []byte) error // makes the file body
	link    bool                                         // name is a link, which Remove does not follow
	large   bool                                         // worth trying on a large file
	only    string                                       // the only kind of site where this can be seen; "": all
}

// edits are local edits. Most keep the size, and many are not seen by who looks at the times that a program can set.
var edits = []edit{
	{name: "write_in_place", large: true, do: func(w site, name string, body []byte) error {
		return overwrite(w.path(name), body)
	}},
	{name: "write_truncating", do: func(w site, name string, body []byte) error {
		return os.WriteFile(w.path(name), body, 0)
	}},
	{name: "write_and_restore_times", large: true, do: func(w site, name string, body []byte) error {
		return withOldTimes(w.path(name), func() error { return overwrite(w.path(name), body) })
	}},
	{name: "append", do: func(w site, name string, body []byte) error {
		f, err := os.OpenFile(w.path(name), os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			return err
		}
		_, err = f.Write(body[:10])
		return errors.Join(err, f.Close())
	}},
	{name: "truncate_by_name", do: func(w site, name string, body []byte) error {
		return os.Truncate(w.path(name), int64(len(body)-1))
	}},
	{name: "truncate_and_extend_by_name", do: func(w site, name string, body []byte) error {
		return errors.Join(os.Truncate(w.path(name), 0), os.Truncate(w.path(name), int64(len(body))))
	}},
	{name: "truncate_to_nothing", do: func(w site, name string, _ []byte) error {
		return os.Truncate(w.path(name), 0)
	}},
	{name: "punch_hole", do: func(w site, name string, _ []byte) error {
		f, err := os.OpenFile(w.path(name), os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		return unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, 4096)
	}},
	{name: "copy_file_range", do: func(w site, name string, body []byte) error {
		if err := os.WriteFile(filepath.Join(w.outside, name), body, 0o644); err != nil {
			return err
		}
		return copyInto(filepath.Join(w.outside, name), w.path(name))
	}},
	{name: "rename_over", large: true, do: func(w site, name string, body []byte) error {
		return renameOver(w, name, body)
	}},
	{name: "rename_over_with_old_times", do: func(w site, name string, body []byte) error {
		return withOldTimes(w.path(name), func() error { return renameOver(w, name, body) })
	}},
	{name: "exchange", do: func(w site, name string, body []byte) error {
		other := filepath.Join(w.outside, name)
		if err := os.WriteFile(other, body, 0o644); err != nil {
			return err
		}
		return unix.Renameat2(unix.AT_FDCWD, other, unix.AT_FDCWD, w.path(name), unix.RENAME_EXCHANGE)
	}},
	{name: "delete_and_create", do: func(w site, name string, body []byte) error {
		return errors.Join(os.Remove(w.path(name)), os.WriteFile(w.path(name), body, 0o644))
	}},
	{name: "delete_and_link", do: func(w site, name string, body []byte) error {
		other := filepath.Join(w.outside, name)
		return errors.Join(os.WriteFile(other, body, 0o644), os.Remove(w.path(name)), os.Link(other, w.path(name)))
	}},
	{name: "write_by_a_link_from_outside",
		prepare: func(w site, name string, body []byte) error {
			other := filepath.Join(w.outside, name)
			return errors.Join(os.WriteFile(other, body, 0o644), os.Link(other, w.path(name)))
		},
		do: func(w site, name string, body []byte) error {
			other := filepath.Join(w.outside, name)
			return withOldTimes(other, func() error { return overwrite(other, body) })
		}},
	{name: "symlink_retargeted", link: true,
		prepare: func(w site, name string, body []byte) error {
			return errors.Join(os.WriteFile(w.path(name+".1"), body, 0o644), os.Symlink(name+".1", w.path(name)))
		},
		do: func(w site, name string, body []byte) error {
			return errors.Join(os.WriteFile(w.path(name+".2"), body, 0o644),
				os.Symlink(name+".2", w.path(name+".new")), os.Rename(w.path(name+".new"), w.path(name)))
		}},
	{name: "symlink_target_written", link: true,
		prepare: func(w site, name string, body []byte) error {
			return errors.Join(os.WriteFile(w.path(name+".1"), body, 0o644), os.Symlink(name+".1", w.path(name)))
		},
		do: func(w site, name string, body []byte) error { return overwrite(w.path(name+".1"), body) }},
	{name: "symlink_becomes_file", prepare: func(w site, name string, body []byte) error {
		return errors.Join(os.WriteFile(w.path(name+".1"), body, 0o644), os.Symlink(name+".1", w.path(name)))
	}, do: renameOver},
	{name: "map_and_store", large: true, do: func(w site, name string, body []byte) error {
		return storeMapped(w.path(name), body)
	}},
	{name: "map_and_store_and_restore_times", do: func(w site, name string, body []byte) error {
		return withOldTimes(w.path(name), func() error { return storeMapped(w.path(name), body) })
	}},
	{name: "map_and_read_and_store", only: onDisk, do: func(w site, name string, body []byte) error {
		return readAndStoreMapped(w.path(name), body)
	}},
}

// overwrite writes body from the start of the file, which is not truncated.
func overwrite(path string, body []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(body)
	return errors.Join(err, f.Close())
}

// renameOver saves as most editors do.
func renameOver(w site, name string, body []byte) error {
	temp := filepath.Join(w.outside, filepath.Base(name))
	return errors.Join(os.WriteFile(temp, body, 0o644), os.Rename(temp, w.path(name)))
}

// withOldTimes hides an edit from who compares modification times.
func withOldTimes(path string, do func() error) error {
	before, err := os.Stat(path)
	if err != nil {
		return err
	}
	if err := errors.Join(do(), os.Chtimes(path, before.ModTime(), before.ModTime())); err != nil {
		return err
	}
	after, err := os.Stat(path)
	if err == nil && (!after.ModTime().Equal(before.ModTime()) || after.Size() != before.Size()) {
		return errors.New("the edit shows in time or size")
	}
	return err
}

func copyInto(from, to string) error {
	r, err := os.Open(from)
	if err != nil {
		return err
	}
	defer r.Close()
	f, err := os.OpenFile(to, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	var at, off int64
	n, err := unix.CopyFileRange(int(r.Fd()), &at, int(f.Fd()), &off, 4096, 0)
	if err == nil && n == 0 {
		err = errors.New("nothing was copied")
	}
	return err
}

// bodyOf is a body of so many bytes that no other version has.
func bodyOf(version string, size int) []byte {
	line := []byte(version + "\n")
	return bytes.Repeat(line, size/len(line)+1)[:size]
}

// quick are edits that fit many times into one tick of a coarse clock.
var quick = map[string]func(w site, name string, body []byte) error{
	"write_in_place": func(w site, name string, body []byte) error { return overwrite(w.path(name), body) },
	"write_truncating": func(w site, name string, body []byte) error {
		return os.WriteFile(w.path(name), body, 0)
	},
	"write_and_restore_times": func(w site, name string, body []byte) error {
		return withOldTimes(w.path(name), func() error { return overwrite(w.path(name), body) })
	},
	"rename_over": renameOver,
	"delete_and_create": func(w site, name string, body []byte) error {
		return errors.Join(os.Remove(w.path(name)), os.WriteFile(w.path(name), body, 0o644))
	},
	"map_and_store": func(w site, name string, body []byte) error { return storeMapped(w.path(name), body) },
}

// editSizes are those of a body kept in memory, of one in blocks, and of one that is too large to be copied.
var editSizes = map[string]int{"small": 5_000, "blocks": 300_000, "large": 9 << 20}

// sizes are those of the bodies to try the edit on.
func (e edit) sizes(w site) map[string]int {
	sizes := map[string]int{}
	for size, bytes := range editSizes {
		if (e.large || size != "large") && (e.only == "" || e.only == w.kind) {
			sizes[size] = bytes
		}
	}
	return sizes
}
