//go:build !linux

package watcher

// A cookieFolder is of use only where one queue keeps the order of all events.
type cookieFolder struct{}

func newCookies(string, func(string) error, func(string) error) (*cookieFolder, error) {
	return nil, nil
}

func (c *cookieFolder) next() string      { return "" }
func (c *cookieFolder) send(string) error { return nil }
func (c *cookieFolder) renew() error      { return nil }
func (c *cookieFolder) remove()           {}
