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

// listen opens the address that the named setting gives. What can be reached from beyond this machine is refused unless
// public. danger says what could happen there: "read /srv/docs".
func (c *config) listen(key, address, danger string) (*net.TCPListener, error) {
	flag := "--" + key
	if key == "metrics" {
		flag = "metrics ="
	}
	// The name is looked up once, so that what is checked is what is opened.
	at, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return nil, misuse("cannot listen on "+shown(address), err.Error(), flag+" 127.0.0.1:8080")
	}
	if !bool(c.Public) && !at.IP.IsLoopback() {
		return nil, misuse("will not listen on "+shown(address),
			"it can be reached from beyond this machine, by anyone, to "+danger,
			fmt.Sprintf("%s %s, or --public if that is meant", flag, net.JoinHostPort("127.0.0.1", strconv.Itoa(at.Port))))
	}
	listener, err := net.ListenTCP("tcp", at)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, inUse(at, address, flag)
	case errors.Is(err, syscall.EACCES):
		return nil, &fault{exitFailed, "cannot listen on " + shown(address), "the system keeps this port for itself",
			flag + " " + net.JoinHostPort(hostOf(at), "8080")}
	case err != nil:
		return nil, &fault{exitFailed, "cannot listen on " + shown(address), errors.Unwrap(err).Error(), flag + " 127.0.0.1:8080"}
	}
	return listener, nil
}

// inUse returns the fault of an address that another program has, with that program if it can be found and a free port.
func inUse(at *net.TCPAddr, address, flag string) *fault {
	f := &fault{exitFailed, "cannot listen on " + shown(address), "address already in use", "stop the program that uses it"}
	if owner := portOwner(at.Port); owner != "" {
		f.why += " (" + owner + ")"
	}
	for port := at.Port + 1; port <= min(at.Port+portsTried, 65535); port++ {
		l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: at.IP, Port: port, Zone: at.Zone})
		if err == nil {
			_ = l.Close()
			f.try = fmt.Sprintf("freshet %s %s", flag, net.JoinHostPort(hostOf(at), strconv.Itoa(port)))
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
