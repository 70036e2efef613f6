package tree

import (
	"context"
	"errors"
	"sync"
	"time"

	"freshet/watcher"
)

const (
	refreshDelay      = 20 * time.Millisecond  // how long a change settles before its file is looked at
	refreshRetryDelay = 250 * time.Millisecond // until a file that is being written is looked at again
	refreshRetriesMax = 40                     // looks at one file that is being written; its next event begins anew
	refreshBusyMax    = 4096                   // files being written that are remembered to be looked at again
	refreshersMax     = 2                      // folders refreshed at once
)

// A refresher keeps digests up to date with what the watcher reports, so that the request after a local save hashes nothing.
// No answer depends on it: a late or lost event costs a hashing, never a wrong tag.
type refresher struct {
	tree *Tree

	mu   sync.Mutex
	busy map[string]int // guarded by mu; path of a file that is being written -> looks so far
}

// refresh runs until ctx ends.
func (t *Tree) refresh(ctx context.Context) error {
	r := &refresher{tree: t, busy: map[string]int{}}
	for {
		batch, err := r.next(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if !sleep(ctx, refreshDelay) {
			return nil
		}
		if batch.Rescan {
			r.rescan(ctx)
		}
		r.folders(ctx, batch.Folders)
		r.retry(ctx)
	}
}

// next waits for changes, but not for long while files are being written.
func (r *refresher) next(ctx context.Context) (watcher.Batch, error) {
	r.mu.Lock()
	waiting := len(r.busy) > 0
	r.mu.Unlock()
	if !waiting {
		return r.tree.watch.Next(ctx)
	}
	short, cancel := context.WithTimeout(ctx, refreshRetryDelay)
	defer cancel()
	batch, err := r.tree.watch.Next(short)
	if errors.Is(err, context.DeadlineExceeded) {
		return watcher.Batch{}, nil
	}
	return batch, err
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// folders looks at the files of a batch, a few folders at a time.
func (r *refresher) folders(ctx context.Context, folders map[string]watcher.Names) {
	var all sync.WaitGroup
	turn := make(chan struct{}, refreshersMax)
	for rel, names := range folders {
		turn <- struct{}{}
		all.Go(func() {
			r.folder(ctx, Path{rel}, names)
			<-turn
		})
	}
	all.Wait()
}

func (r *refresher) folder(ctx context.Context, p Path, names watcher.Names) {
	folder, err := r.tree.disk.folder(p.s, false)
	if err != nil {
		return
	}
	defer folder.close()
	if names.All {
		r.names(ctx, p, folder, false)
		return
	}
	for name := range names.Set {
		r.name(ctx, p, folder, name, false)
	}
}

// names looks at every file of a folder, or only at those that were hashed before.
func (r *refresher) names(ctx context.Context, p Path, folder dir, known bool) {
	names, err := folder.names()
	if err != nil {
		return
	}
	for _, name := range names {
		r.name(ctx, p, folder, name, known)
	}
}

// name hashes a file whose stamp is not the remembered one. With known, a file that was never hashed is left alone: a rescan
// must not read what nobody asked for.
func (r *refresher) name(ctx context.Context, p Path, folder dir, name string, known bool) {
	child, err := p.Join(name)
	if err != nil || !r.tree.serves(child) || ctx.Err() != nil {
		return
	}
	m, err := folder.stat(name)
	if err != nil || !m.isRegular() || known && !r.tree.hasher.index.Has(m.stamp.Inode()) {
		return
	}
	if _, ok := r.tree.hasher.known(m.stamp); ok {
		return
	}
	h, m, err := folder.open(name)
	if err != nil {
		return
	}
	defer h.close()
	switch h.lease() {
	case leaseBusy:
		r.later(child)
	case leaseGranted:
		r.hash(ctx, child, h, true)
	default:
		r.hash(ctx, child, h, false)
	}
}

func (r *refresher) hash(ctx context.Context, p Path, h handle, held bool) {
	_, ok, read, err := r.tree.hasher.hash(ctx, h, held, changeHashWaitMax)
	if ok && read {
		r.tree.stats.hashedInBackground.Add(1)
	}
	if errors.Is(err, errMoved) {
		r.later(p)
	}
}

// later remembers a file that is being written.
func (r *refresher) later(p Path) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.busy[p.s]; known || len(r.busy) < refreshBusyMax {
		r.busy[p.s]++
	}
	if r.busy[p.s] > refreshRetriesMax {
		delete(r.busy, p.s)
	}
}

// retry looks again at what was being written.
func (r *refresher) retry(ctx context.Context) {
	r.mu.Lock()
	busy := r.busy
	r.busy = make(map[string]int, len(busy))
	r.mu.Unlock()
	for rel, looks := range busy {
		p := Path{rel}
		r.folder(ctx, p.Parent(), watcher.Names{Set: map[string]struct{}{p.Base(): {}}})
		r.mu.Lock()
		if _, still := r.busy[rel]; still {
			r.busy[rel] = looks + 1
		}
		if r.busy[rel] > refreshRetriesMax {
			delete(r.busy, rel)
		}
		r.mu.Unlock()
	}
}

// rescan looks at every file that was hashed before.
func (r *refresher) rescan(ctx context.Context) {
	r.tree.o.Log.Info("every remembered file is looked at again", "folder", r.tree.name)
	r.rescanBelow(ctx, Path{}, walkDepthMax)
}

func (r *refresher) rescanBelow(ctx context.Context, p Path, depth int) {
	if depth == 0 || ctx.Err() != nil {
		return
	}
	for _, child := range r.rescanFolder(ctx, p) {
		r.rescanBelow(ctx, child, depth-1)
	}
}

// rescanFolder looks at the files of one folder and returns the folders in it.
func (r *refresher) rescanFolder(ctx context.Context, p Path) (below []Path) {
	folder, err := r.tree.disk.folder(p.s, false)
	if err != nil {
		return nil
	}
	defer folder.close()
	r.names(ctx, p, folder, true)
	names, err := folder.names()
	if err != nil {
		return nil
	}
	for _, name := range names {
		child, err := p.Join(name)
		if err != nil || !r.tree.serves(child) {
			continue
		}
		if m, err := folder.stat(name); err == nil && m.isFolder() {
			below = append(below, child)
		}
	}
	return below
}
