package main

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"freshet/fileserver/auth"
)

// madeUser is who signs in with a password that was made for one run of the server.
const madeUser = "guest"

// A door is who is let in, and the password that was made if nothing was said about users.
type door struct {
	authority *auth.Authority
	target    target
	made      *auth.Users // of the password that was made, if any
	password  string
}

// openDoor returns the door of what is served at an address. Beyond this machine nobody is let in without a password, unless
// that is asked for.
func (c *config) openDoor(t target, at *net.TCPAddr) (*door, error) {
	d := &door{target: t}
	if c.Users == "" && !bool(c.Public) && !at.IP.IsLoopback() {
		var err error
		d.password = madePassword()
		if d.made, err = auth.One(madeUser, d.password); err != nil {
			return nil, err
		}
	}
	policy, err := d.policy(c)
	if err != nil {
		return nil, err
	}
	d.authority = auth.NewAuthority(policy)
	return d, nil
}

// madePassword returns a password of 80 random bits that can be typed.
func madePassword() string {
	text := strings.ToLower(rand.Text())
	return text[:4] + "-" + text[4:8] + "-" + text[8:12] + "-" + text[12:16]
}

// policy returns what the settings say of users and rules.
func (d *door) policy(c *config) (p auth.Policy, err error) {
	p.Users = d.made
	if c.Users != "" {
		root := d.target.dir
		if d.target.only != "" {
			root = ""
		}
		if p.Users, err = auth.LoadUsers(c.Users, root); err != nil {
			return p, cannotUse(c, err)
		}
	}
	switch {
	case len(c.Rules) > 0:
		p.Rules, err = auth.NewRules(c.Rules, auth.All)
	case p.Users == nil:
		p.Rules = auth.Same(auth.All, auth.All)
	case bool(c.Public):
		p.Rules = auth.Same(auth.All, auth.Reading)
	default:
		p.Rules = auth.Same(auth.All, auth.None)
	}
	return p, err
}

// cannotUse is the fault of a users file.
func cannotUse(c *config, err error) error {
	what := c.source["users"] + ": cannot use " + shown(c.Users)
	switch {
	case errors.Is(err, auth.ErrInside):
		return misuse(what, err.Error(), "move it to where nobody can fetch it")
	case errors.Is(err, auth.ErrFile), errors.Is(err, auth.ErrScheme), errors.Is(err, auth.ErrName):
		return misuse(what, err.Error(), "freshet user add "+shown(c.Users)+" NAME")
	}
	return missing(what, err, "freshet user add "+shown(c.Users)+" NAME")
}

// anyoneMay reports whether somebody who has not signed in has one of the rights somewhere.
func (d *door) anyoneMay(can auth.Rights) bool {
	return d.authority.Policy().Rules.Somewhere(auth.Anonymous).HasAny(can)
}

// unknownNames returns the users in the rules who are not among the users.
func (d *door) unknownNames() []string {
	p := d.authority.Policy()
	var known []string
	if p.Users != nil {
		known = p.Users.Names()
	}
	names := slices.DeleteFunc(p.Rules.Names(), func(name string) bool { return slices.Contains(known, name) })
	slices.Sort(names)
	return names
}

// reload reads users and rules again each time SIGHUP comes, until ctx ends. If something is wrong with them, what was read
// before stays in force.
func (d *door) reload(ctx context.Context, c *config, log *slog.Logger) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
		}
		fresh, err := c.again()
		var policy auth.Policy
		if err == nil {
			policy, err = d.policy(fresh)
		}
		if err != nil {
			log.Error("users and rules were not read again: those from before stay", "error", err)
			continue
		}
		d.authority.Replace(policy)
		log.Info("users and rules were read again")
	}
}
