package tree

import (
	"bytes"
	"encoding/binary"
	"io/fs"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"

	"freshet/hashing"
)

const listingReadBytes = 64 << 10 // of a folder read at once

// A listing is the names in a folder, sorted by their bytes, in memory that is used again for the next folder. It costs no
// allocation for a name, which is what looking at a million of them would spend its time on.
type listing struct {
	raw   []byte
	texts []byte // the names, each with a NUL behind it
	names []listed
}

// listed is where a name begins and ends in texts, and whether the folder says that it is a regular file.
type listed struct {
	start, end uint32
	regular    bool
}

func (l *listing) len() int          { return len(l.names) }
func (l *listing) name(i int) []byte { return l.texts[l.names[i].start:l.names[i].end] }

// regular reports whether name i is known to be a regular file without looking at it.
func (l *listing) regular(i int) bool { return l.names[i].regular }

// read lists the folder, which must not have been listed before.
func (l *listing) read(d dir) error {
	if l.raw == nil {
		l.raw = make([]byte, listingReadBytes)
	}
	l.texts, l.names = l.texts[:0], l.names[:0]
	for {
		n := 0
		err := eintr(func() (err error) {
			n, err = unix.Getdents(d.fd, l.raw)
			return err
		})
		if err != nil {
			return diskError("list", ".", err)
		}
		if n == 0 {
			break
		}
		l.add(l.raw[:n])
	}
	slices.SortFunc(l.names, func(a, b listed) int {
		return bytes.Compare(l.texts[a.start:a.end], l.texts[b.start:b.end])
	})
	// A name that is taken away and made again meanwhile may be met twice.
	l.names = slices.CompactFunc(l.names, func(a, b listed) bool {
		return bytes.Equal(l.texts[a.start:a.end], l.texts[b.start:b.end])
	})
	return nil
}

// Offsets in what getdents64 returns for a name.
const (
	direntLength = 16
	direntType   = 18
	direntName   = 19
)

func (l *listing) add(entries []byte) {
	for len(entries) > direntName {
		length := int(binary.NativeEndian.Uint16(entries[direntLength:]))
		name, _, _ := bytes.Cut(entries[direntName:length], []byte{0})
		if dots := string(name); dots != "." && dots != ".." {
			start := uint32(len(l.texts))
			l.texts = append(append(l.texts, name...), 0)
			regular := entries[direntType] == unix.DT_REG
			l.names = append(l.names, listed{start, start + uint32(len(name)), regular})
		}
		entries = entries[length:]
	}
}

// stat is dir.stat for name i.
func (l *listing) stat(d dir, i int) (meta, error) {
	const wanted = unix.STATX_BASIC_STATS
	var st unix.Statx_t
	for {
		_, _, errno := unix.Syscall6(unix.SYS_STATX, uintptr(d.fd), uintptr(unsafe.Pointer(&l.texts[l.names[i].start])),
			unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT, wanted, uintptr(unsafe.Pointer(&st)), 0)
		switch errno {
		case 0:
			return metaOfStatx(&st), nil
		case unix.EINTR:
			continue
		case unix.ENOENT:
			return meta{}, diskError("stat", "", errno)
		}
		return d.stat(string(l.name(i))) // where statx is not to be had
	}
}

func metaOfStatx(st *unix.Statx_t) meta {
	m := meta{
		stamp: hashing.Stamp{
			Dev: unix.Mkdev(st.Dev_major, st.Dev_minor), Ino: st.Ino, Size: int64(st.Size),
			Ctime: st.Ctime.Sec*1e9 + int64(st.Ctime.Nsec),
		},
		mode:  fs.FileMode(st.Mode & 0o777),
		mtime: st.Mtime.Sec*1e9 + int64(st.Mtime.Nsec),
		disk:  int64(st.Blocks) * 512,
		uid:   st.Uid,
		gid:   st.Gid,

		nameless: st.Nlink == 0,
		linked:   st.Nlink > 1,
	}
	m.setType(uint32(st.Mode))
	return m
}
