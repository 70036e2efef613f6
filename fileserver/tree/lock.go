package tree

import (
	"sync"
	"sync/atomic"

	"freshet/hashing"
)

// A lockTable has a lock for each name that a change is under way for.
type lockTable struct {
	mu    sync.Mutex
	locks map[key]*nameLock // guarded by mu
}

type nameLock struct {
	mu   sync.Mutex
	uses int // guarded by lockTable.mu
}

// lock waits for the locks of all keys, which it takes in one order whoever asks, and returns how to give them back.
func (t *lockTable) lock(keys ...key) (unlock func()) {
	if len(keys) == 2 && keys[1].less(keys[0]) {
		keys[0], keys[1] = keys[1], keys[0]
	}
	if len(keys) == 2 && keys[0] == keys[1] {
		keys = keys[:1]
	}
	for _, k := range keys {
		t.acquire(k)
	}
	return func() {
		for _, k := range keys {
			t.release(k)
		}
	}
}

func (k key) less(o key) bool {
	switch {
	case k.folder.Dev != o.folder.Dev:
		return k.folder.Dev < o.folder.Dev
	case k.folder.Ino != o.folder.Ino:
		return k.folder.Ino < o.folder.Ino
	}
	return k.name < o.name
}

func (t *lockTable) acquire(k key) {
	t.mu.Lock()
	if t.locks == nil {
		t.locks = map[key]*nameLock{}
	}
	l := t.locks[k]
	if l == nil {
		l = &nameLock{}
		t.locks[k] = l
	}
	l.uses++
	t.mu.Unlock()
	l.mu.Lock()
}

func (t *lockTable) release(k key) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.locks[k]
	l.mu.Unlock()
	if l.uses--; l.uses == 0 {
		delete(t.locks, k)
	}
}

// A veil covers what a change has swapped in but not yet verified. Readers who meet a veiled file or name wait and look
// again, so that a version that is about to be put back is seen by nobody.
type veil struct {
	mu     sync.Mutex
	inodes map[hashing.Inode]chan struct{} // guarded by mu
	names  map[key]chan struct{}           // guarded by mu
	// undone counts changes that were put back. A reader whose look at the disk has seen it move looks again: it may have
	// met what is not there any more.
	undone atomic.Uint64
}

// cover hides files by inode and names by key until the returned function is called.
func (v *veil) cover(inodes []hashing.Inode, names []key) (lift func()) {
	done := make(chan struct{})
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.inodes == nil {
		v.inodes, v.names = map[hashing.Inode]chan struct{}{}, map[key]chan struct{}{}
	}
	for _, i := range inodes {
		v.inodes[i] = done
	}
	for _, k := range names {
		v.names[k] = done
	}
	return func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		for _, i := range inodes {
			if v.inodes[i] == done {
				delete(v.inodes, i)
			}
		}
		for _, k := range names {
			if v.names[k] == done {
				delete(v.names, k)
			}
		}
		close(done)
	}
}

// overFile returns what to wait for before a file that was just met may be believed, or nil.
func (v *veil) overFile(i hashing.Inode) <-chan struct{} {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.inodes[i]
}

// overNames reports whether any name is covered.
func (v *veil) overNames() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.names) > 0
}

// namesIn returns the names in a folder that are covered.
func (v *veil) namesIn(folder hashing.Inode) (names []string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for k := range v.names {
		if k.folder == folder {
			names = append(names, k.name)
		}
	}
	return names
}

// overName returns what to wait for before the absence of a name may be believed, or nil.
func (v *veil) overName(k key) <-chan struct{} {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.names[k]
}
