package fileserver

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

const (
	copyBytesMin = 8 << 10   // buffer of an upload that comes slowly
	copyBytesMax = 256 << 10 // buffer of one that comes as fast as it is read
	copyBuffers  = 64        // of the larger kind, in use at once; further uploads make do with the smaller
)

// A pacedBody is a request's body that must keep coming: in any BodyIdleTimeMax at least BodyProgressBytesMin. The
// request's own Body field is left as it is, since net/http decides by it whether a 100 Continue is still owed.
type pacedBody struct {
	body  io.Reader
	conn  *http.ResponseController
	idle  time.Duration
	least int64
	moved int64 // bytes since the deadline was set
	begun bool
	ended bool // all of it has been read
}

// bodyOf returns the body of w's request for reading. Only the first Read makes net/http send 100 Continue.
func bodyOf(w *reply) *pacedBody {
	if w.body == nil {
		l := &w.server.limits
		w.body = &pacedBody{
			body: w.request.Body, conn: http.NewResponseController(w.ResponseWriter),
			idle: l.BodyIdleTimeMax, least: l.BodyProgressBytesMin, ended: w.request.ContentLength == 0,
		}
	}
	return w.body
}

func (b *pacedBody) Read(p []byte) (int, error) {
	if !b.begun || b.moved >= b.least {
		b.begun, b.moved = true, 0
		_ = b.conn.SetReadDeadline(time.Now().Add(b.idle))
	}
	n, err := b.body.Read(p)
	b.moved += int64(n)
	if errors.Is(err, io.EOF) {
		b.ended = true // and net/http has lifted the deadline, to listen for the client's leaving
	}
	return n, err
}

// copyPool lends the larger buffers, a bounded number of them.
var copyPool = struct {
	sync.Pool
	slots chan struct{}
}{slots: make(chan struct{}, copyBuffers)}

func takeCopyBuffer() *[copyBytesMax]byte {
	select {
	case copyPool.slots <- struct{}{}:
	default:
		return nil
	}
	if b, ok := copyPool.Get().(*[copyBytesMax]byte); ok {
		return b
	}
	return new([copyBytesMax]byte)
}

func returnCopyBuffer(b *[copyBytesMax]byte) {
	if b != nil {
		copyPool.Put(b)
		<-copyPool.slots
	}
}

// copyBody copies all of src to dst. A source that fills its buffer gets a large one until it falls behind, so that
// fast uploads cost few system calls and slow ones, which may be many, little memory.
func copyBody(dst io.Writer, src io.Reader) error {
	var large *[copyBytesMax]byte
	defer func() { returnCopyBuffer(large) }()
	small := smallBuffers.Get().(*[copyBytesMin]byte)
	defer smallBuffers.Put(small)
	buf := small[:]
	for {
		n, err := src.Read(buf)
		if n > 0 {
			if _, err := dst.Write(buf[:n]); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case large == nil && n == len(buf):
			if large = takeCopyBuffer(); large != nil {
				buf = large[:]
			}
		case large != nil && n < copyBytesMin:
			returnCopyBuffer(large)
			large, buf = nil, small[:]
		}
	}
}

var smallBuffers = sync.Pool{New: func() any { return new([copyBytesMin]byte) }}
