package watcher

// A mountChange says what was mounted or unmounted since the last look.
type mountChange struct {
	root  bool // the root is of another mount now
	below bool // mounts below the root are not the same
}
