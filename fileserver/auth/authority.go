package auth

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
)

// Limits of the work that credentials may make.
const (
	HashesMax        = 2  // password hashes that are worked out at once
	HashesWaitingMax = 64 // requests that wait for that
)

// Why credentials are refused.
var (
	ErrCredentials = errors.New("no such user, or another password")
	ErrMalformed   = errors.New("not credentials of the Basic scheme")
	ErrBusy        = errors.New("too many passwords are being checked")
)

// A TriesError says that somebody has guessed too often; the credentials were not looked at.
type TriesError struct{ After time.Duration }

func (e *TriesError) Error() string { return "too many failed logins; again in " + e.After.String() }

// A Policy is who there is and what they may do. It does not change.
type Policy struct {
	Users *Users // nil: nobody can sign in
	Rules *Rules
}

// An Authority finds out who is asking. Its methods are safe for concurrent use.
type Authority struct {
	policy  atomic.Pointer[Policy]
	hashes  *semaphore.Weighted
	waiting atomic.Int64
	tries   *tries
}

// NewAuthority returns an Authority that goes by p.
func NewAuthority(p Policy) *Authority {
	a := &Authority{hashes: semaphore.NewWeighted(HashesMax), tries: newTries()}
	a.Replace(p)
	return a
}

// Policy returns what the Authority goes by now. A request should ask once, and then keep to that.
func (a *Authority) Policy() *Policy { return a.policy.Load() }

// Replace makes p the policy from now on. Requests under way keep the one that they began with; no credentials are
// remembered if the users are others.
func (a *Authority) Replace(p Policy) { a.policy.Store(&p) }

// SignIn returns whom the value of an Authorization field, sent from the address client, shows to be asking. name is whom it
// says it is of, for the log, whatever else is wrong. Errors: ErrCredentials, ErrMalformed, ErrBusy, *TriesError, and that of
// ctx.
func (a *Authority) SignIn(ctx context.Context, p *Policy, authorization, client string) (who Who, name string, err error) {
	if p.Users == nil {
		return Anonymous, "", ErrCredentials
	}
	now := time.Now()
	key := p.Users.known.key(authorization)
	if who, ok := p.Users.known.get(key, now); ok {
		return who, string(who), nil
	}
	name, password, err := parseBasic(authorization)
	if err != nil {
		return Anonymous, "", err
	}
	if after := a.tries.delay(client, name, now); after > 0 {
		return Anonymous, name, &TriesError{after}
	}
	if a.waiting.Add(1) > HashesWaitingMax {
		a.waiting.Add(-1)
		return Anonymous, name, ErrBusy
	}
	err = a.hashes.Acquire(ctx, 1)
	a.waiting.Add(-1)
	if err != nil {
		return Anonymous, name, err
	}
	defer a.hashes.Release(1)
	return a.verify(p.Users, key, name, password, client)
}

// verify compares a password with what the users file has of it, unless another request has done so, or has run out of
// tries, while this one waited.
func (a *Authority) verify(u *Users, key credentialKey, name, password, client string) (Who, string, error) {
	now := time.Now()
	if who, ok := u.known.get(key, now); ok {
		return who, name, nil
	}
	if after := a.tries.delay(client, name, now); after > 0 {
		return Anonymous, name, &TriesError{after}
	}
	s, known := u.secretOf(name)
	if !s.matches(password) || !known {
		a.tries.failed(client, name, time.Now())
		return Anonymous, name, ErrCredentials
	}
	a.tries.succeeded(client, name)
	u.known.add(key, Who(name), time.Now())
	return Who(name), name, nil
}

// parseBasic reads Basic credentials (RFC 7617 section 2).
func parseBasic(field string) (name, password string, err error) {
	scheme, coded, ok := strings.Cut(field, " ")
	if !ok || !strings.EqualFold(scheme, "Basic") || len(coded) > (NameBytesMax+1+PasswordBytesMax)*2 {
		return "", "", ErrMalformed
	}
	text, err := base64.StdEncoding.DecodeString(strings.TrimLeft(coded, " "))
	if err != nil {
		return "", "", ErrMalformed
	}
	name, password, ok = strings.Cut(string(text), ":")
	if !ok || len(name) > NameBytesMax || len(password) > PasswordBytesMax {
		return "", "", ErrMalformed
	}
	return name, password, nil
}
