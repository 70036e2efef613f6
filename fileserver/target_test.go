package fileserver_test

import (
	"fmt"
	"strings"
	"testing"
)

// An absolute request target without a path is the root (RFC 9110 section 4.2.3), but for OPTIONS, which then asks about the
// whole server (RFC 9112 section 3.2.4).
func TestAbsoluteTargetWithoutPath(t *testing.T) {
	w := newWorld(t)
	w.file(t, "here.txt", "here")
	for _, c := range []struct{ method, want string }{
		{"GET", "here.txt"},
		{"OPTIONS", ""},
	} {
		text := fmt.Sprintf("%s http://%s HTTP/1.1\r\nHost: %s\r\nAccept: text/plain\r\nConnection: close\r\n\r\n",
			c.method, w.addr, w.addr)
		if a := w.askRaw(t, c.method, text); a.status/100 != 2 || !strings.Contains(a.body, c.want) {
			t.Errorf("%s: %d %q", c.method, a.status, a.body)
		}
	}
}
