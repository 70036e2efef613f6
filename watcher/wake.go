package watcher

// Dirty returns a channel that holds a token when there may be something to take. Who receives it and does not call Take, or
// Next, leaves the others without.
func (w *Watcher) Dirty() <-chan struct{} { return w.dirty.wake }
