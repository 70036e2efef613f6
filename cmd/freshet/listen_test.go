package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
)

func listenOn(text string, public bool) (*net.TCPListener, error) {
	return (&address{key: "listen", text: text}).listen(public)
}

func TestAddressInUseNamesTheProgramAndAFreePort(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, err = listenOn(taken.Addr().String(), false)
	var f *fault
	if !errors.As(err, &f) || f.code != exitFailed {
		t.Fatalf("got %v", err)
	}
	if owner := fmt.Sprintf("(pid %d, ", os.Getpid()); runtime.GOOS == "linux" && !strings.Contains(f.why, owner) {
		t.Errorf("%q does not name %s", f.why, owner)
	}
	free, ok := strings.CutPrefix(f.try, "freshet --listen ")
	if !ok || free == taken.Addr().String() {
		t.Fatalf("suggests %q", f.try)
	}
	again, err := listenOn(free, false)
	if err != nil {
		t.Fatalf("the suggested %s cannot be used: %v", free, err)
	}
	again.Close()
}

func TestListenBeyondThisMachine(t *testing.T) {
	for address, beyond := range map[string]bool{
		"127.0.0.1:0": false, "127.8.8.8:0": false, "[::1]:0": false, "localhost:0": false,
		":0": true, "0.0.0.0:0": true, "[::]:0": true, "192.0.2.1:0": true, "[fe80::1%lo]:0": true, "[::ffff:192.0.2.1]:0": true,
		"": false, "127.0.0.1": false, "localhost": false, ":nosuchport": false,
	} {
		l, err := listenOn(address, false)
		if err == nil {
			l.Close()
		}
		var f *fault
		refused := errors.As(err, &f) && strings.HasPrefix(f.what, "will not listen")
		if refused != beyond {
			t.Errorf("%s: got %v", address, err)
		}
	}
	l, err := listenOn(":0", true)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}
