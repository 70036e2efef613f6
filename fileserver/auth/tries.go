package auth

import (
	"net/netip"
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
)

// How fast somebody may fail to sign in.
const (
	TriesPerAddress   = 10              // failures in a row from one address before it must wait
	TriesAddressPause = 5 * time.Second // after which it may fail once more
	TriesPerUser      = 20              // failures in a row on one name, from wherever
	TriesUserPause    = 2 * time.Second
	triesAddressesMax = 4096 // addresses, and as many names, that are remembered; those that have long been quiet go first
	triesNetworkBits  = 64   // of an IPv6 address: one customer has at least so many addresses
)

// tries slow down those who guess. Somebody who has signed in from an address before is not held up there because others
// guess at the same name from elsewhere.
type tries struct {
	mu        sync.Mutex // guards the making of limiters
	addresses *lru.Cache[string, *rate.Limiter]
	names     *lru.Cache[string, *rate.Limiter]
	familiar  *lru.Cache[familiar, struct{}]
}

type familiar struct{ client, name string }

func newTries() *tries {
	return &tries{
		addresses: newMemory[string, *rate.Limiter](), names: newMemory[string, *rate.Limiter](),
		familiar: newMemory[familiar, struct{}](),
	}
}

func newMemory[K comparable, V any]() *lru.Cache[K, V] {
	c, err := lru.New[K, V](triesAddressesMax)
	if err != nil {
		panic(err) // of a size that is not positive
	}
	return c
}

// delay returns how long credentials of name that come from client must wait before they are looked at; 0: not at all.
func (t *tries) delay(client, name string, now time.Time) time.Duration {
	client = network(client)
	var wait time.Duration
	if l, ok := t.addresses.Get(client); ok {
		wait = untilOne(l, now)
	}
	if l, ok := t.names.Get(name); ok && !t.familiar.Contains(familiar{client, name}) {
		wait = max(wait, untilOne(l, now))
	}
	return wait
}

func untilOne(l *rate.Limiter, now time.Time) time.Duration {
	missing := 1 - l.TokensAt(now)
	if missing <= 0 {
		return 0
	}
	return max(time.Millisecond, time.Duration(missing/float64(l.Limit())*float64(time.Second)))
}

// failed notes a failure. Those that were under way at once make a debt, so that nothing is gained by hurry.
func (t *tries) failed(client, name string, now time.Time) {
	t.limiter(t.addresses, network(client), TriesPerAddress, TriesAddressPause).ReserveN(now, 1)
	t.limiter(t.names, name, TriesPerUser, TriesUserPause).ReserveN(now, 1)
}

func (t *tries) succeeded(client, name string) {
	t.familiar.Add(familiar{network(client), name}, struct{}{})
}

func (t *tries) limiter(of *lru.Cache[string, *rate.Limiter], key string, burst int, pause time.Duration) *rate.Limiter {
	t.mu.Lock()
	defer t.mu.Unlock()
	l, ok := of.Get(key)
	if !ok {
		l = rate.NewLimiter(rate.Every(pause), burst)
		of.Add(key, l)
	}
	return l
}

// network returns what the failures from an address are counted by.
func network(client string) string {
	addr, err := netip.ParseAddr(strings.Trim(client, "[]"))
	if err != nil {
		return client
	}
	if addr = addr.Unmap(); addr.Is4() {
		return addr.String()
	}
	prefix, err := addr.WithZone("").Prefix(triesNetworkBits)
	if err != nil {
		return client
	}
	return prefix.String()
}
