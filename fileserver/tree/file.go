package tree

import (
	"context"
	"fmt"
	"io"

	"freshet/hashing"
)

// A File is a file to be sent and the Entry that describes exactly its bytes. Close it. Not safe for concurrent use.
type File struct {
	// Entry says what will be sent. Its Digest is zero when no tag could be had in time: then the bytes are those of the
	// file as it is when they are read, up to Size, and must go out without a tag.
	Entry Entry

	tree     *Tree
	rel      string
	blocks   []uint64
	h        handle
	body     []byte // the whole body, when it is in memory
	borrowed int64  // bytes of Options.BodyBytesMax that body takes
}

// Close releases what f holds. A closed File may not be sent.
func (f *File) Close() {
	f.h.close()
	f.h = noHandle
	f.tree.bodies.Release(f.borrowed)
	f.borrowed, f.body = 0, nil
}

// Ready gets hold of the bytes, so that what can go wrong shows before an answer has begun. ErrTorn: the file is not what
// Entry says any more; open it again.
func (f *File) Ready(ctx context.Context) error {
	if f.body != nil || f.Entry.Size == 0 || f.h.ok() && f.Entry.Digest.IsZero() {
		return nil
	}
	if f.Entry.Size <= cacheFileBytesMax {
		if body, ok := f.tree.cache.get(f.Entry.Digest); ok {
			f.body = body
			return nil
		}
	}
	if err := f.open(); err != nil {
		return err
	}
	if f.Entry.Size <= cacheFileBytesMax {
		return f.load()
	}
	return nil
}

// open opens the file unless it is open, and makes sure that it still is the one that was described.
func (f *File) open() error {
	if f.h.ok() {
		return nil
	}
	h, m, err := f.tree.disk.open(f.rel)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrTorn, err)
	}
	f.h = h
	if m.stamp != f.Entry.Stamp {
		return fmt.Errorf("open %q: %w", f.rel, ErrTorn)
	}
	return nil
}

// load reads a small body whole, checks it and keeps it for others.
func (f *File) load() error {
	body := make([]byte, f.Entry.Size)
	if n, err := f.h.readAt(body, 0); err != nil && err != io.EOF {
		return err
	} else if n < len(body) || f.tree.o.Algorithm.Sum(body) != f.Entry.Digest {
		return f.torn()
	}
	f.tree.cache.put(f.Entry.Digest, body)
	f.body = body
	return nil
}

// torn counts and reports bytes that are not what their tag says, and forgets the tag.
func (f *File) torn() error {
	f.tree.stats.torn.Add(1)
	f.tree.hasher.index.Drop(f.Entry.Stamp.Inode())
	f.tree.distrust(f.rel)
	return fmt.Errorf("read %q: %w", f.rel, ErrTorn)
}

// Send writes the n bytes from offset off to w, in writes of at most hashing.BlockBytes. Bytes that no longer are what
// Entry.Digest says are not written: ErrTorn, and the answer must be cut short. Other errors are w's, or ctx's while waiting
// for a buffer.
func (f *File) Send(ctx context.Context, w io.Writer, off, n int64) error {
	if err := f.Ready(ctx); err != nil {
		return err
	}
	if f.body != nil {
		return writeChunks(w, f.body[off:off+n])
	}
	if n == 0 {
		return nil
	}
	if err := f.tree.bodies.Acquire(ctx, hashReadBytes); err != nil {
		return err
	}
	defer f.tree.bodies.Release(hashReadBytes)
	buf := f.tree.buffers.get()
	defer f.tree.buffers.put(buf)
	for end := off + n; off < end; {
		block := off / hashing.BlockBytes
		b, err := f.block(buf[:hashing.BlockBytes], block)
		if err != nil {
			return err
		}
		start := block * hashing.BlockBytes
		b = b[off-start : min(end-start, int64(len(b)))]
		if _, err := w.Write(b); err != nil {
			return err
		}
		off += int64(len(b))
	}
	return nil
}

// writeChunks lets a body in memory move the deadlines of a slow connection as one from disk does.
func writeChunks(w io.Writer, b []byte) error {
	for len(b) > 0 {
		n := min(len(b), hashing.BlockBytes)
		if _, err := w.Write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// block reads one block and checks it against its hash. A file without a digest has none to check.
func (f *File) block(buf []byte, i int64) ([]byte, error) {
	start := i * hashing.BlockBytes
	b := buf[:min(hashing.BlockBytes, f.Entry.Size-start)]
	n, err := f.h.readAt(b, start)
	if err != nil && err != io.EOF {
		return nil, err
	}
	switch {
	case n < len(b):
		return nil, f.torn()
	case f.Entry.Digest.IsZero():
	case f.blocks == nil:
		if f.tree.o.Algorithm.Sum(b) != f.Entry.Digest {
			return nil, f.torn()
		}
	case f.tree.o.Algorithm.BlockSum(b) != f.blocks[i]:
		return nil, f.torn()
	}
	return b, nil
}
