package main

import (
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"

	"freshet/fileserver/auth"
	"freshet/fileserver/tree"
)

// A greeting is what the first lines on a terminal say.
type greeting struct {
	version string
	target  target
	config  *config
	at      *net.TCPAddr
	network []string // names and addresses by which others reach the server
	metrics *net.TCPAddr
	door    *door
}

// print writes the banner: where the server is, what it allows, and what it does not. What is known of the files follows when
// it is known, and then lastLine.
func (g *greeting) print(w io.Writer) {
	c := g.config
	mode := "read-only; add --write to allow uploads"
	if g.target.only != "" {
		mode = "read-only"
	} else if c.Write {
		mode = "reading and writing"
	}
	fmt.Fprintf(w, "freshet %s   serving %s   (%s)\n", g.version, shown(g.target.String()), mode)
	if url := g.localURL(); url != "" {
		line(w, "On this machine", url)
	}
	switch {
	case g.at.IP.IsLoopback():
		line(w, "On your network", fmt.Sprintf("not shared; add --listen :%d", g.at.Port))
	default:
		for _, host := range g.network {
			line(w, "On your network", g.url(host))
		}
	}
	if g.door.password != "" {
		line(w, "Sign in", "as "+madeUser+" with the password "+g.door.password)
	}
	if c.Write {
		line(w, "Replaced files", keeping(c))
	}
	if c.Metrics != "" {
		line(w, "Metrics", g.metricsURL())
	}
	for _, warning := range g.warnings() {
		line(w, "Warning", warning)
	}
}

// warnings are what whoever starts the server may not have meant.
func (g *greeting) warnings() (warnings []string) {
	c := g.config
	beyond := !g.at.IP.IsLoopback()
	if bool(c.Write) && (bool(c.Public) || beyond) && g.door.anyoneMay(auth.Writing) {
		warnings = append(warnings, publicWriteWarning)
	}
	if beyond && g.door.password == "" && c.Users != "" && !bool(c.PlainPasswords) {
		warnings = append(warnings, plainPasswordsWarning)
	}
	if beyond && (g.door.password != "" || bool(c.PlainPasswords)) {
		warnings = append(warnings, unencryptedWarning)
	}
	if unknown := g.door.unknownNames(); len(unknown) > 0 {
		warnings = append(warnings, "rules name users that are not there: "+strings.Join(unknown, ", "))
	}
	return warnings
}

const plainPasswordsWarning = "users of other machines cannot sign in: passwords are not taken without encryption, " +
	"see plain-passwords"

const unencryptedWarning = "passwords and files go over the network without encryption"

const lastLine = "Press Ctrl+C to stop. More: freshet help serve"

const publicWriteWarning = "anyone who can reach this server may change and remove files"

func line(w io.Writer, label, text string) { fmt.Fprintf(w, "  %-17s %s\n", label, text) }

// keeping says what becomes of what a write replaces.
func keeping(c *config) string {
	if c.Versions == 0 {
		return "not kept: what an unconditional write replaces is gone"
	}
	where := ".freshet"
	if c.State != "" {
		where = shown(c.State)
	}
	most := c.VersionsSize.String()
	if c.VersionsSize.percent > 0 {
		most += " of the disk"
	}
	return fmt.Sprintf("kept for %s in %s, at most %s", span{&c.Versions, true}, where, most)
}

// localURL returns the URL for a browser on this machine, or "" if the server listens on an outside address only.
func (g *greeting) localURL() string {
	switch ip := g.at.IP; {
	case len(ip) == 0, ip.IsUnspecified(), ip.Equal(net.IPv4(127, 0, 0, 1)):
		return g.url("localhost")
	case ip.IsLoopback():
		return g.url(hostOf(g.at))
	}
	return ""
}

// url returns the URL of what is served, on a host that listens at g.at.
func (g *greeting) url(host string) string {
	return "http://" + net.JoinHostPort(host, strconv.Itoa(g.at.Port)) + "/" + tree.EscapeName(g.target.only)
}

func (g *greeting) metricsURL() string { return "http://" + g.metrics.String() + "/metrics" }

// networkAddresses returns the addresses by which other machines reach a listener at at, IPv4 first.
func networkAddresses(at *net.TCPAddr) []string {
	if len(at.IP) > 0 && !at.IP.IsUnspecified() {
		return []string{hostOf(at)}
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var four, six []string
	for _, a := range addresses {
		n, ok := a.(*net.IPNet)
		switch {
		case !ok || !n.IP.IsGlobalUnicast():
		case n.IP.To4() != nil:
			four = append(four, n.IP.String())
		case at.IP.To4() == nil:
			six = append(six, n.IP.String())
		}
	}
	return append(four, six...)
}
