package fileserver

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"freshet/fileserver/problem"
	"freshet/fileserver/tree"
)

// readDestination returns where the Destination field of r (RFC 4918 section 10.3) leads. Clients send a whole URL or
// only a path; a URL must have this server's authority, whatever its scheme, since a proxy in front may have changed
// that.
func readDestination(r *http.Request) (target, error) {
	lines := r.Header["Destination"]
	if len(lines) != 1 {
		return target{}, problem.Destination.Errorf("The request has %d Destination fields instead of one.", len(lines))
	}
	escaped, err := destinationPath(strings.TrimSpace(lines[0]), r.Host)
	if err != nil {
		return target{}, err
	}
	p, folder, err := tree.Parse(escaped)
	switch {
	case errors.Is(err, tree.ErrReserved):
		return target{}, problem.DestinationForbidden.Errorf("%s is the server's own.", tree.Reserved)
	case err == nil && isOwn(p):
		return target{}, problem.DestinationForbidden.Errorf("%s is the server's own.", wellKnown)
	case err != nil:
		return target{}, problem.Destination.Errorf(
			"Its path has dot segments, encoded slashes, backslashes or NUL in it, or is too long.")
	}
	return target{p, folder}, nil
}

// destinationPath returns the escaped path of a Destination, exactly as it was sent. It begins with one slash at
// least; what else it holds is for tree.Parse to judge, in the same way as the path of a request.
func destinationPath(field, host string) (string, error) {
	if strings.ContainsAny(field, "?#") {
		return "", problem.Destination.Errorf("It has a query or a fragment.")
	}
	if strings.HasPrefix(field, "//") {
		return "", problem.Destination.Errorf("It begins with two slashes, which is neither a URL nor a path.")
	}
	if strings.HasPrefix(field, "/") {
		return field, nil
	}
	u, err := url.Parse(field)
	if err != nil || u.Opaque != "" || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", problem.Destination.Errorf("It is neither a URL nor an absolute path.")
	}
	if !sameAuthority(u, host) {
		return "", problem.DestinationElsewhere.Errorf("This server is %.*q, the Destination is on %.*q.",
			hostBytesMax, host, hostBytesMax, u.Host)
	}
	_, rest, _ := strings.Cut(field, "://")
	slash := strings.IndexByte(rest, '/')
	if slash < 0 {
		return "/", nil
	}
	return rest[slash:], nil
}

// sameAuthority reports whether u leads to the server that was called host. The port that a scheme has by default may
// be left out on either side.
func sameAuthority(u *url.URL, host string) bool {
	port := ":80"
	if u.Scheme == "https" {
		port = ":443"
	}
	plain := func(s string) string { return strings.TrimSuffix(strings.ToLower(s), port) }
	return u.User == nil && plain(u.Host) == plain(host)
}

// overwriteOf reads the Overwrite field (RFC 4918 section 10.6): T unless it says otherwise.
func overwriteOf(h http.Header) (bool, error) {
	lines := h["Overwrite"]
	switch {
	case len(lines) == 0:
		return true, nil
	case len(lines) == 1 && strings.EqualFold(strings.TrimSpace(lines[0]), "T"):
		return true, nil
	case len(lines) == 1 && strings.EqualFold(strings.TrimSpace(lines[0]), "F"):
		return false, nil
	}
	return false, problem.Header.Errorf("Overwrite is %.40q, not T or F.", strings.Join(lines, ", "))
}
