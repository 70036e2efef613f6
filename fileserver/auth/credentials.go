package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"hash"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// Limits of what is remembered of credentials that were right.
const (
	CredentialsMinutes = 5    // after which they are checked again
	CredentialsMax     = 1024 // that are remembered at once
)

const credentialsTime = CredentialsMinutes * time.Minute

// A credentialKey stands for credentials; without the key of this process nothing can be told from it.
type credentialKey [sha256.Size]byte

// credentials are those that were right a moment ago. What was wrong leaves nothing here.
type credentials struct {
	sums  sync.Pool // of hash.Hash, keyed
	right *lru.Cache[credentialKey, rightful]
}

type rightful struct {
	who   Who
	until time.Time
}

func newCredentials() *credentials {
	secret := make([]byte, sha256.Size)
	_, _ = rand.Read(secret)
	right, err := lru.New[credentialKey, rightful](CredentialsMax)
	if err != nil {
		panic(err) // of a size that is not positive
	}
	c := &credentials{right: right}
	c.sums.New = func() any { return hmac.New(sha256.New, secret) }
	return c
}

// key returns what an Authorization field is remembered by.
func (c *credentials) key(authorization string) (k credentialKey) {
	sum := c.sums.Get().(hash.Hash)
	defer c.sums.Put(sum)
	sum.Reset()
	_, _ = sum.Write([]byte(authorization))
	sum.Sum(k[:0])
	return k
}

func (c *credentials) get(k credentialKey, now time.Time) (Who, bool) {
	r, ok := c.right.Get(k)
	return r.who, ok && now.Before(r.until)
}

func (c *credentials) add(k credentialKey, who Who, now time.Time) {
	c.right.Add(k, rightful{who, now.Add(credentialsTime)})
}
