package main

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"
)

// portsTried is how many ports after one in use are tried for a suggestion.
const portsTried = 20

// An address is a setting that says where to listen.
type address struct {
	key      string
	text     string
	instead  string // one that works almost anywhere
	danger   string // what somebody could do who reaches it: "read /srv/docs"
	fromFile bool   // it is no flag
}

// suggest returns how to set a to another text.
func (a *address) suggest(text string) string {
	if a.fromFile {
		return fmt.Sprintf("%s = %q", a.key, text)
	}
	return "freshet --" + a.key + " " + text
}

// fails returns the fault of an address that cannot be had.
func (a *address) fails(code int, why, try string) *fault {
	return &fault{code, "cannot listen on " + shown(a.text), why, try}
}

// listen opens an address. What can be reached from beyond this machine is refused unless public.
func (a *address) listen(public bool) (*net.TCPListener, error) {
	// The name is looked up once, so that what is checked is what is opened.
	at, err := net.ResolveTCPAddr("tcp", a.text)
	if err == nil && a.text == "" {
		err = errors.New("it is empty")
	}
	if err != nil {
		return nil, a.fails(exitUsage, err.Error(), a.suggest(a.instead))
	}
	if !public && !at.IP.IsLoopback() {
		local := net.JoinHostPort("127.0.0.1", strconv.Itoa(at.Port))
		return nil, misuse("will not listen on "+shown(a.text),
			"it can be reached from beyond this machine, by anyone, to "+a.danger,
			a.suggest(local)+", or --public if that is meant")
	}
	listener, err := net.ListenTCP("tcp", at)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, a.inUse(at)
	case errors.Is(err, syscall.EACCES):
		return nil, a.fails(exitFailed, "this user may not use that port", a.suggest(net.JoinHostPort(hostOf(at), "8080")))
	case err != nil:
		return nil, a.fails(exitFailed, errors.Unwrap(err).Error(), a.suggest(a.instead))
	}
	return listener, nil
}

// inUse returns the fault of an address that another program has, with that program if it can be found and a free port.
func (a *address) inUse(at *net.TCPAddr) *fault {
	f := a.fails(exitFailed, "address already in use", "stop the program that uses it")
	if owner := portOwner(at.Port); owner != "" {
		f.why += " (" + owner + ")"
	}
	for port := at.Port + 1; port <= min(at.Port+portsTried, 65535); port++ {
		l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: at.IP, Port: port, Zone: at.Zone})
		if err == nil {
			_ = l.Close()
			f.try = a.suggest(net.JoinHostPort(hostOf(at), strconv.Itoa(port)))
			break
		}
	}
	return f
}

// hostOf returns the host part of an address as it is typed: nothing for all addresses.
func hostOf(at *net.TCPAddr) string {
	if len(at.IP) == 0 {
		return ""
	}
	return (&net.IPAddr{IP: at.IP, Zone: at.Zone}).String()
}
