package main

import (
	"net"
	"slices"
	"strings"
	"testing"
)

func TestBanner(t *testing.T) {
	loopback := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080}
	everywhere := &net.TCPAddr{IP: net.IPv6unspecified, Port: 80}
	for name, c := range map[string]struct {
		args    []string
		environ []string
		at      *net.TCPAddr
		network []string
		only    string
		want    string
	}{
		"read_only_on_loopback": {nil, nil, loopback, nil, "", `
freshet 1.0   serving /home/ana/shared   (read-only; add --write to allow uploads)
  On this machine   http://localhost:8080/
  On your network   not shared; add --listen :8080
`},
		"writing": {[]string{"--write"}, nil, loopback, nil, "", `
freshet 1.0   serving /home/ana/shared   (reading and writing)
  On this machine   http://localhost:8080/
  On your network   not shared; add --listen :8080
  Replaced files    kept for 30d in .freshet, at most 10% of the disk
`},
		"public_read_only": {[]string{"--public"}, nil, everywhere, []string{"files.example", "192.0.2.7", "2001:db8::7"}, "", `
freshet 1.0   serving /home/ana/shared   (read-only; add --write to allow uploads)
  On this machine   http://localhost:80/
  On your network   http://files.example:80/
  On your network   http://192.0.2.7:80/
  On your network   http://[2001:db8::7]:80/
`},
		"a_password_is_made": {nil, nil, everywhere, []string{"192.0.2.7"}, "", `
freshet 1.0   serving /home/ana/shared   (read-only; add --write to allow uploads)
  On this machine   http://localhost:80/
  On your network   http://192.0.2.7:80/
  Sign in           as guest with the password abcd-efgh-ijkl-mnop
  Warning           passwords and files go over the network without encryption
`},
		"strangers_may_write": {[]string{"--write"}, []string{"FRESHET_RULE=create anonymous /inbox; list,read ana /"}, everywhere, nil, "", `
freshet 1.0   serving /home/ana/shared   (reading and writing)
  On this machine   http://localhost:80/
  Sign in           as guest with the password abcd-efgh-ijkl-mnop
  Replaced files    kept for 30d in .freshet, at most 10% of the disk
  Warning           anyone who can reach this server may change and remove files
  Warning           passwords and files go over the network without encryption
  Warning           rules name users that are not there: ana
`},
		"public_and_writing": {[]string{"--public", "--write", "--state=/var/lib/my files"}, nil,
			&net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 80}, []string{"192.0.2.7"}, "", `
freshet 1.0   serving /home/ana/shared   (reading and writing)
  On your network   http://192.0.2.7:80/
  Replaced files    kept for 30d in "/var/lib/my files", at most 10% of the disk
  Warning           anyone who can reach this server may change and remove files
`},
		"one_file": {nil, nil, loopback, nil, "a b.txt", `
freshet 1.0   serving "/home/ana/shared/a b.txt"   (read-only)
  On this machine   http://localhost:8080/a%20b.txt
  On your network   not shared; add --listen :8080
`},
		"with_metrics": {nil, []string{"FRESHET_METRICS=127.0.0.1:9100"}, loopback, nil, "", `
freshet 1.0   serving /home/ana/shared   (read-only; add --write to allow uploads)
  On this machine   http://localhost:8080/
  On your network   not shared; add --listen :8080
  Metrics           http://127.0.0.1:9100/metrics
`},
	} {
		t.Run(name, func(t *testing.T) {
			config, err := loadFrom(t, c.args, c.environ, "")
			if err != nil {
				t.Fatal(err)
			}
			var got strings.Builder
			metrics := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9100}
			at := target{"/home/ana/shared", c.only}
			door, err := config.openDoor(at, c.at)
			if err != nil {
				t.Fatal(err)
			}
			if door.password != "" {
				door.password = "abcd-efgh-ijkl-mnop"
			}
			(&greeting{"1.0", at, config, c.at, c.network, metrics, door}).print(&got)
			if want := strings.TrimPrefix(c.want, "\n"); got.String() != want {
				t.Errorf("got\n%s\nwant\n%s", got.String(), want)
			}
		})
	}
}

func TestKeeping(t *testing.T) {
	for want, file := range map[string]string{
		"not kept: what an unconditional write replaces is gone": "versions = 0",
		"kept for 1d in .freshet, at most 2GiB":                  "versions = \"24h\"\nversions-size = \"2GiB\"",
	} {
		c, err := loadFrom(t, []string{"--write"}, nil, file)
		if err != nil || keeping(c) != want {
			t.Errorf("%s: got %q, %v, want %q", file, keeping(c), err, want)
		}
	}
}

func TestNetworkAddressesNameTheAddressListenedOn(t *testing.T) {
	at := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 80}
	if got := networkAddresses(at); !slices.Equal(got, []string{"192.0.2.7"}) {
		t.Errorf("got %q", got)
	}
	for _, got := range networkAddresses(&net.TCPAddr{IP: net.IPv4zero, Port: 80}) {
		if ip := net.ParseIP(got); ip == nil || ip.IsLoopback() || ip.To4() == nil {
			t.Errorf("%s is not an IPv4 address that others can reach", got)
		}
	}
}
