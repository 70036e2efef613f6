package fileserver

import (
	"io"
	"net"
	"strconv"
	"sync"
	"time"
)

const (
	turnedOffTimeMax  = time.Second // that a refused client has to read why
	turnedOffBytesMax = 64 << 10    // of a refused client's request that are read, so that it is not reset while it reads
	turnedOffMax      = 64          // refused clients that are told why at the same time; further ones are just closed
)

// tooManyConnections is sent to a client that comes when ConnectionsMax are open. It is no answer to its request,
// which is not read, but every HTTP/1 client takes it for one.
var tooManyConnections = "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 2\r\n" +
	"Content-Type: application/problem+json\r\nX-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n" +
	"Content-Length: " + strconv.Itoa(len(tooManyProblem)) + "\r\n\r\n" + tooManyProblem

const tooManyProblem = `{"type":"urn:freshet:problem:connections","title":"Too many connections","status":503,` +
	`"detail":"The server has as many connections open as it may.","next":"Try again in a moment."}` + "\n"

// A limitedListener has at most max connections open. One that is too many is told so and closed.
type limitedListener struct {
	net.Listener
	traffic *traffic
	max     int64
	telling chan struct{} // a slot for each client that is being told
}

func limitConnections(l net.Listener, t *traffic, connectionsMax int) *limitedListener {
	return &limitedListener{l, t, int64(connectionsMax), make(chan struct{}, turnedOffMax)}
}

// Accept waits for a connection that may stay.
func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.traffic.connected.Add(1) <= l.max {
			return l.count(c), nil
		}
		l.traffic.connected.Add(-1)
		l.traffic.turnedOff.Add(1)
		select {
		case l.telling <- struct{}{}:
			go l.turnOff(c)
		default:
			_ = c.Close()
		}
	}
}

// turnOff tells a client why it is refused. It reads what the client has sent, since closing a connection with unread
// bytes resets it, and a reset may overtake the answer.
func (l *limitedListener) turnOff(c net.Conn) {
	defer func() { <-l.telling }()
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(turnedOffTimeMax))
	if _, err := io.WriteString(c, tooManyConnections); err != nil {
		return
	}
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	_, _ = io.CopyN(io.Discard, c, turnedOffBytesMax)
}

// count wraps c so that its end is noticed. A TCP connection keeps all its methods: net/http closes its writing half
// first, so that a client can read an answer that came before it had sent its whole body.
func (l *limitedListener) count(c net.Conn) net.Conn {
	end := sync.OnceFunc(func() { l.traffic.connected.Add(-1) })
	if tcp, ok := c.(*net.TCPConn); ok {
		return &countedTCP{tcp, end}
	}
	return &countedConn{c, end}
}

type countedTCP struct {
	*net.TCPConn
	end func()
}

func (c *countedTCP) Close() error {
	c.end()
	return c.TCPConn.Close()
}

type countedConn struct {
	net.Conn
	end func()
}

func (c *countedConn) Close() error {
	c.end()
	return c.Conn.Close()
}
