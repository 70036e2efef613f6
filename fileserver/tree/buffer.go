package tree

import "sync"

// bufferPool hands out buffers of hashReadBytes for reading files and receiving bodies.
type bufferPool struct{ pool sync.Pool }

func (p *bufferPool) get() []byte {
	if b, ok := p.pool.Get().(*[]byte); ok {
		return *b
	}
	return make([]byte, hashReadBytes)
}

func (p *bufferPool) put(b []byte) { p.pool.Put(&b) }
