package fileserver

import (
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
)

// A hostList says which Host fields are accepted. A page whose own name was rebound to this machine's address passes
// every check of origins, since its Origin and its Host agree; only its name gives it away.
type hostList struct {
	names    []string // lower case
	suffixes []string // ".example.com"
	any      bool
	// last is the latest field that was accepted: nearly all requests carry the same one.
	last atomic.Pointer[string]
}

func newHostList(hosts []string) *hostList {
	l := &hostList{names: []string{"localhost"}, suffixes: []string{".localhost", ".local"}}
	for _, h := range hosts {
		h = strings.ToLower(strings.TrimSuffix(h, "."))
		switch {
		case h == "*":
			l.any = true
		case strings.HasPrefix(h, "*."):
			l.suffixes = append(l.suffixes, h[1:])
		default:
			l.names = append(l.names, h)
		}
	}
	return l
}

// allows reports whether a Host field may be answered. An empty one may: no browser sends it.
func (l *hostList) allows(field string) bool {
	if last := l.last.Load(); last != nil && *last == field {
		return true
	}
	return len(field) <= hostBytesMax && (l.any || l.knows(hostOf(field))) && l.remember(field)
}

// remember is apart from allows so that only a new field is moved to the heap.
func (l *hostList) remember(field string) bool {
	l.last.Store(&field)
	return true
}

func (l *hostList) knows(host string) bool {
	if host == "" || slices.Contains(l.names, host) {
		return true
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return slices.ContainsFunc(l.suffixes, func(suffix string) bool { return strings.HasSuffix(host, suffix) })
}

// hostOf returns the host of a Host field: without port and brackets, in lower case, without the dot of the DNS root.
func hostOf(field string) string {
	host := field
	if rest, ok := strings.CutPrefix(field, "["); ok {
		host, _, _ = strings.Cut(rest, "]")
	} else if i := strings.LastIndexByte(field, ':'); i >= 0 {
		host = field[:i]
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}
