package tree

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"freshet/hashing"
)

const (
	hashReadBytes     = 256 << 10        // bytes read at once
	largeHashersMax   = 2                // large files hashed at once
	largeFlightsMax   = 64               // large files hashed or waiting for it: each holds a descriptor, whoever asked
	copyBytesMax      = 8 << 20          // a file up to this size is copied where it cannot be held still
	copyWaitMax       = 10 * time.Second // how long a copy waits for memory that other answers hold
	writerWaitMax     = 50 * time.Millisecond
	leasePollInterval = 5 * time.Millisecond
	turnPollInterval  = 50 * time.Millisecond // how often a file that waits to be hashed is asked for by a writer
)

// errMoved says that a file changed while it was read.
var errMoved = errors.New("file changed while it was read")

// A hasher finds digests, each file once however many ask.
type hasher struct {
	algorithm hashing.Algorithm
	index     *hashing.Index
	large     *semaphore.Weighted // files over copyBytesMax
	buffers   *bufferPool

	mu      sync.Mutex
	flights map[hashing.Stamp]*flight // guarded by mu; states being hashed now
	larges  int                       // guarded by mu; flights of large files
}

// flight is one reading of one state of one file.
type flight struct {
	held bool // it is read under a lease
	done chan struct{}
	rec  hashing.Record // set before done is closed, as is err
	err  error
}

// known returns what is remembered of a file in exactly this state.
func (x *hasher) known(s hashing.Stamp) (hashing.Record, bool) { return x.index.Get(s) }

// proven is known for a caller that may hold a lease: what was remembered without one is then not good enough, where
// certainty can be had.
func (x *hasher) proven(h handle, s hashing.Stamp, held bool) (hashing.Record, bool) {
	rec, ok := x.known(s)
	return rec, ok && (rec.Certified || !held || !certain(s) && h.stampsMappings())
}

// hash returns the record of the file behind h in its present state, and remembers it. held says that the caller has a
// lease on h, which it must not give back before h is closed. It waits for at most wait, while hashing goes on behind it;
// then ok is false. read says whether this call made the file be read. ErrBusy: too many large files wait already.
func (x *hasher) hash(ctx context.Context, h handle, held bool, wait time.Duration) (
	rec hashing.Record, ok, read bool, err error) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		m, err := h.stat()
		if err != nil {
			return rec, false, read, err
		}
		if rec, ok = x.proven(h, m.stamp, held); ok {
			return rec, true, read, nil
		}
		f, started, err := x.join(h, m, held)
		if err != nil {
			return rec, false, read, err
		}
		read = read || started
		select {
		case <-f.done:
		case <-timer.C:
			return rec, false, read, nil
		case <-ctx.Done():
			return rec, false, read, ctx.Err()
		}
		// A reading that began without a lease proves less than one that this caller can have under its own.
		if f.err != nil || started || !held || f.held {
			return f.rec, f.err == nil, read, f.err
		}
	}
}

// join finds the flight that reads this state of the file, or starts it. Nothing bounds who may ask, so the flights of large
// files, which last, are bounded.
func (x *hasher) join(h handle, m meta, held bool) (f *flight, started bool, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if f = x.flights[m.stamp]; f != nil {
		return f, false, nil
	}
	if m.isLarge() && x.larges >= largeFlightsMax {
		return nil, false, fmt.Errorf("hash: %w: %d large files wait", ErrBusy, x.larges)
	}
	own, err := h.dup()
	if err != nil {
		return nil, false, err
	}
	if m.isLarge() {
		x.larges++
	}
	f = &flight{held: held, done: make(chan struct{})}
	if x.flights == nil {
		x.flights = map[hashing.Stamp]*flight{}
	}
	x.flights[m.stamp] = f
	go x.fly(f, own, m, held)
	return f, true, nil
}

// isLarge reports whether m is a file whose hashing takes long.
func (m *meta) isLarge() bool { return m.stamp.Size > copyBytesMax }

func (x *hasher) fly(f *flight, own handle, m meta, held bool) {
	f.rec, f.err = x.readAll(own, m, held)
	own.close()
	x.mu.Lock()
	delete(x.flights, m.stamp)
	if m.isLarge() {
		x.larges--
	}
	x.mu.Unlock()
	close(f.done)
}

// readAll hashes the whole file and remembers the outcome if nothing moved meanwhile.
func (x *hasher) readAll(h handle, m meta, held bool) (hashing.Record, error) {
	if m.isLarge() {
		if err := x.awaitTurn(h, held); err != nil {
			return hashing.Record{}, err
		}
		defer x.large.Release(1)
	}
	began := time.Now().UnixNano()
	sum := x.algorithm.NewHasher()
	if err := x.feed(sum, h, m.stamp.Size, held); err != nil {
		return hashing.Record{}, err
	}
	after, err := h.stat()
	if err != nil {
		return hashing.Record{}, err
	}
	if after.stamp != m.stamp || held && !h.leaseHeld() {
		return hashing.Record{}, errMoved
	}
	rec := hashing.Record{
		Stamp: m.stamp, Digest: sum.Digest(), Blocks: sum.Blocks(), Certified: held && h.certain(m.stamp), Began: began,
	}
	x.remember(after, rec)
	return rec, nil
}

// awaitTurn waits until one more large file may be read. A program that waits to write to a file under a lease does not wait
// for its turn too.
func (x *hasher) awaitTurn(h handle, held bool) error {
	for {
		ctx, cancel := context.WithTimeout(context.Background(), turnPollInterval)
		err := x.large.Acquire(ctx, 1)
		cancel()
		if err == nil {
			return nil
		}
		if held && !h.leaseHeld() {
			return errMoved
		}
	}
}

// remember keeps what was read of a file in the state now, unless that state is the file's last: the next file that is given
// its inode may have the same stamp.
func (x *hasher) remember(now meta, rec hashing.Record) {
	if !now.nameless {
		x.index.Put(rec)
	}
}

// certain reports whether s, taken under a lease, will not be given to other bytes of the same file. Whole seconds are what
// filesystems with small inodes keep, whatever the kernel's clock.
func certain(s hashing.Stamp) bool { return fineStamps() && s.Ctime%int64(time.Second) != 0 }

// certain is so only if every store to the file moves its stamp, those through a mapping too.
func (h handle) certain(s hashing.Stamp) bool { return certain(s) && h.stampsMappings() }

// feed reads size bytes of h into sum, and stops early when a program waits to write. Errors of sum are returned.
func (x *hasher) feed(sum io.Writer, h handle, size int64, held bool) error {
	buf := x.buffers.get()
	defer x.buffers.put(buf)
	for off := int64(0); off < size; {
		n, err := h.readAt(buf[:min(int64(len(buf)), size-off)], off)
		if err == io.EOF {
			return errMoved
		}
		if err != nil {
			return fmt.Errorf("hash: %w", err)
		}
		if _, err := sum.Write(buf[:n]); err != nil {
			return err
		}
		off += int64(n)
		if held && off < size && !h.leaseHeld() {
			return errMoved
		}
	}
	return nil
}

// awaitLease asks for a lease until it is granted or known not to be had, for at most wait.
func awaitLease(ctx context.Context, h handle, wait time.Duration) leaseState {
	deadline := time.Now().Add(wait)
	for {
		state := h.lease()
		if state != leaseBusy || time.Now().After(deadline) {
			return state
		}
		select {
		case <-ctx.Done():
			return leaseBusy
		case <-time.After(leasePollInterval):
		}
	}
}
