package engine

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/gobwas/ws"

	"github.com/sockeye-io/sockeye/engineio/frame"
)

// wsPong marks a packet that is a WebSocket pong.
const wsPong frame.Type = 0x80

// writeSize is the size of the pooled buffers in which frames are put together,
// and masked, for one write.
const writeSize = 16 << 10

var writeBuffers = sync.Pool{New: func() any { return new([writeSize]byte) }}

// maxHeader is the longest header of a masked frame.
const maxHeader = 14

func (w *webSocket) write(ps []frame.Packet, bye bool) error {
	pooled := writeBuffers.Get().(*[writeSize]byte)
	defer writeBuffers.Put(pooled)
	out := frameWriter{stream: w.stream, buf: pooled[:0]}
	for _, p := range ps {
		switch {
		case p.Type == wsPong:
			out.add(ws.OpPong, nil, p.Data)
		case p.Binary:
			out.add(ws.OpBinary, nil, p.Data)
		default:
			out.add(ws.OpText, []byte{'0' + byte(p.Type)}, p.Data)
		}
	}
	if bye {
		out.add(ws.OpClose, nil, ws.NewCloseFrameBody(ws.StatusNormalClosure, ""))
	}
	out.flush()
	return out.err
}

// frameWriter puts masked frames together in a buffer and writes it when it is
// full. Masking is done in the buffer: what is sent belongs to the caller.
type frameWriter struct {
	stream interface{ Write([]byte) (int, error) }
	buf    []byte
	err    error
}

// add appends a frame whose payload is prefix and data.
func (f *frameWriter) add(op ws.OpCode, prefix, data []byte) {
	length := len(prefix) + len(data)
	if len(f.buf)+maxHeader+min(length, 64) > writeSize {
		f.flush()
	}
	// The mask keeps those who control what is sent from controlling the bytes on
	// the wire, which an old proxy might take for HTTP. It must be unpredictable to
	// them; the generator behind rand.Uint32 is ChaCha8, seeded by the system.
	var mask [4]byte
	binary.LittleEndian.PutUint32(mask[:], rand.Uint32())
	f.buf = append(f.buf, 0x80|byte(op))
	switch {
	case length < 126:
		f.buf = append(f.buf, 0x80|byte(length))
	case length < 1<<16:
		f.buf = append(f.buf, 0x80|126)
		f.buf = binary.BigEndian.AppendUint16(f.buf, uint16(length))
	default:
		f.buf = append(f.buf, 0x80|127)
		f.buf = binary.BigEndian.AppendUint64(f.buf, uint64(length))
	}
	f.buf = append(f.buf, mask[:]...)
	f.masked(prefix, mask, 0)
	f.masked(data, mask, len(prefix))
}

// masked appends data, masked from the given position of the payload on.
func (f *frameWriter) masked(data []byte, mask [4]byte, position int) {
	for len(data) > 0 {
		if len(f.buf) == writeSize {
			f.flush()
		}
		start := len(f.buf)
		n := min(len(data), writeSize-start)
		f.buf = append(f.buf, data[:n]...)
		ws.Cipher(f.buf[start:], mask, position)
		data = data[n:]
		position += n
	}
}

func (f *frameWriter) flush() {
	if f.err == nil && len(f.buf) > 0 {
		_, f.err = f.stream.Write(f.buf)
	}
	f.buf = f.buf[:0]
}

// pong answers a WebSocket ping. One waits in the outbox at most: a server that
// pings faster than it reads is answered once.
func (w *webSocket) pong(payload []byte) {
	c := w.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.transport != transport(w) || c.state != stateOpen || c.ponging {
		return
	}
	c.ponging = true
	c.push(frame.Packet{Type: wsPong, Data: append([]byte(nil), payload...)})
	c.kick()
}

// goodbyeTimeout is how long the last frame may take.
const goodbyeTimeout = time.Second

// goodbye answers the server's close frame, or tells it what it did wrong, unless
// something is stuck being written: then the end of the connection has to do.
func (w *webSocket) goodbye(cause error) {
	code := ws.StatusNormalClosure
	var wrong *protocolError
	switch {
	case errors.As(cause, &wrong):
		code = wrong.code
	case !errors.Is(cause, errPeerClosed) && cause != errServerClosed:
		return
	}
	c := w.conn
	ctx, cancel := context.WithTimeout(context.Background(), goodbyeTimeout)
	defer cancel()
	c.mu.Lock()
	_ = c.wait(ctx, func() bool { return !c.flushing || c.state != stateOpen }) // the next line looks
	claimed := !c.flushing && !c.switching && !c.bye && c.transport == transport(w)
	if claimed {
		c.flushing, c.bye = true, true // for good
	}
	c.mu.Unlock()
	if !claimed || w.net == nil || w.net.SetWriteDeadline(time.Now().Add(goodbyeTimeout)) != nil {
		return
	}
	out := frameWriter{stream: w.stream, buf: make([]byte, 0, 64)}
	out.add(ws.OpClose, nil, ws.NewCloseFrameBody(code, ""))
	out.flush() // the connection ends in any case
}
