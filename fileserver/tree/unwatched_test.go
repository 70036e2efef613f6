package tree

// NewUnwatched is New on a system that has no watch queue left.
func NewUnwatched(root string, o Options) (*Tree, error) {
	t, err := New(root, o)
	if err == nil {
		err = t.watch.Close()
		t.watch = nil
	}
	return t, err
}
