package engineio

import (
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/gobwas/ws"
)

// kick puts the connection in the flusher's list. s.mu is held.
func (c *webSocket) kick() {
	s := c.session
	if s.flush != flushIdle {
		return // it is there already, or being written to
	}
	if c.raw == nil {
		s.flush = flushWriting
		go c.flushBlocking(nil, nil)
		return
	}
	s.flush = flushScheduled
	s.server.flusher.add(c)
}

// flushScheduled is the flusher's turn.
func (c *webSocket) flushScheduled() {
	s := c.session
	s.mu.Lock()
	if s.flush != flushScheduled {
		s.mu.Unlock()
		return
	}
	s.flush = flushWriting
	s.mu.Unlock()
	c.flush()
}

// maxRounds is how many batches of one session are written before others have
// their turn: a producer that never pauses must not keep the flusher to itself.
const maxRounds = 4

// flush writes until the outbox is empty, without blocking: if the peer does
// not keep up, a goroutine takes over. The caller has set flushWriting.
func (c *webSocket) flush() {
	rounds := 0
	for b := c.nextBatch(nil); b != nil; b = c.nextBatch(b) {
		if rounds++; rounds > maxRounds {
			c.giveWay(b)
			return
		}
		rest, err := c.write(b, c.tryWrite)
		if err == errWouldBlock {
			go c.flushBlocking(rest, b)
			return
		}
		if err != nil {
			c.broken(err)
			return
		}
	}
}

// giveWay puts a batch that was taken back in front of what has come since, and
// the session at the end of the flusher's list.
func (c *webSocket) giveWay(b *batch) {
	s := c.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == stateClosed {
		s.flush = flushIdle
		b.release()
		return
	}
	if s.queue != nil {
		for _, m := range s.queue.pending() {
			b.push(m)
		}
		s.queue.release()
	}
	s.queue = b
	s.flush = flushScheduled
	s.server.flusher.add(c)
}

// flushBlocking writes rest, then what is left of b, then the outbox.
func (c *webSocket) flushBlocking(rest []byte, b *batch) {
	if len(rest) > 0 {
		if _, err := c.conn.Write(rest); err != nil {
			c.broken(err)
			return
		}
	}
	if b == nil {
		b = c.nextBatch(nil)
	}
	for ; b != nil; b = c.nextBatch(b) {
		if _, err := c.write(b, c.conn.Write); err != nil {
			c.broken(err)
			return
		}
	}
}

// nextBatch puts away the batch that has been written and takes the next. Nil
// means that the outbox is empty and flushing has ended.
func (c *webSocket) nextBatch(done *batch) *batch {
	s := c.session
	s.mu.Lock()
	if done != nil {
		s.sent(done.cost)
	}
	b := s.queue
	if b == nil || s.state == stateClosed {
		s.flush = flushIdle
		closing := s.state == stateClosing
		s.mu.Unlock()
		if done != nil {
			done.release()
		}
		if closing {
			s.finish(ReasonForcedClose, nil, endAbort)
		}
		return nil
	}
	s.queue = nil
	s.mu.Unlock()
	if done != nil {
		done.release()
	}
	return b
}

// writeSize is the size of the pooled buffers in which small frames are put
// together for one write.
const writeSize = 16 << 10

var writeBuffers = sync.Pool{New: func() any { return new([writeSize]byte) }}

// errWouldBlock says that the peer's window is full.
var errWouldBlock = errors.New("engineio: write would block")

// write writes the rest of b. If it fails with errWouldBlock, b.head is the
// message to go on with after rest.
func (c *webSocket) write(b *batch, write func([]byte) (int, error)) (rest []byte, err error) {
	if len(b.messages)-b.head == 1 {
		m := b.messages[b.head]
		b.head++
		f := c.encode(m)
		n, err := write(f)
		return f[n:], err
	}
	pooled := writeBuffers.Get().(*[writeSize]byte)
	defer writeBuffers.Put(pooled)
	buf := pooled[:0]
	for b.head < len(b.messages) {
		f := c.encode(b.messages[b.head])
		if len(buf)+len(f) <= writeSize {
			buf = append(buf, f...)
			b.head++
			continue
		}
		if len(buf) > 0 {
			if n, err := write(buf); err != nil {
				return append([]byte(nil), buf[n:]...), err
			}
			buf = buf[:0]
			continue
		}
		b.head++
		if n, err := write(f); err != nil {
			return f[n:], err
		}
	}
	if len(buf) > 0 {
		if n, err := write(buf); err != nil {
			return append([]byte(nil), buf[n:]...), err
		}
	}
	return nil, nil
}

// encode returns the frame in the form agreed on with the peer.
func (c *webSocket) encode(m *Message) []byte {
	if c.deflate && !m.noCompress && m.Len() >= c.session.server.opts.Deflate.Threshold {
		return m.deflatedFrame(c.session.server.opts.Deflate.Level)
	}
	return m.frame()
}

// rawWriter is one attempt to write without blocking. It is pooled with its
// closure, since RawConn.Write would have one allocated for each call.
type rawWriter struct {
	data []byte
	n    int
	err  error
	do   func(fd uintptr) bool
}

var rawWriters = sync.Pool{New: func() any {
	w := new(rawWriter)
	w.do = func(fd uintptr) bool {
		w.n, w.err = writeFD(fd, w.data)
		return true
	}
	return w
}}

// tryWrite writes what the kernel takes at once.
func (c *webSocket) tryWrite(p []byte) (int, error) {
	w := rawWriters.Get().(*rawWriter)
	w.data = p
	err := c.raw.Write(w.do)
	n := w.n
	if err == nil {
		err = w.err
	}
	w.data, w.n, w.err = nil, 0, nil
	rawWriters.Put(w)
	if err == nil && n < len(p) {
		err = errWouldBlock
	}
	return n, err
}

// broken notes that the peer cannot be written to. The reader finds out why;
// flushing stays on so that nobody tries again.
func (c *webSocket) broken(err error) {
	s := c.session
	s.mu.Lock()
	current := s.transport == transport(c)
	s.mu.Unlock()
	if !current {
		s.abandonUpgrade(c)
		return
	}
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe) {
		s.finish(ReasonTransportClose, err, endAbort)
		return
	}
	s.finish(ReasonTransportError, err, endAbort)
}

// reply sends one packet over a candidate, to whose writing nobody else has a
// claim.
func (c *webSocket) reply(m *Message) {
	c.writeSoon(m.frame())
}

// pong answers a WebSocket ping. It waits its turn in the outbox and counts
// there, so that a flood of pings ends like any other overflow. A candidate
// does not answer: the outbox is not its own yet.
func (c *webSocket) pong(payload []byte) {
	if c.in.current {
		_ = c.session.Send(newFrame(ws.OpPong, payload)) // the policy has been carried out
	}
}

// writeSoon writes a small frame, without blocking where that is possible.
// Failure shows in the reader.
func (c *webSocket) writeSoon(f []byte) {
	if c.raw != nil {
		_, _ = c.tryWrite(f)
		return
	}
	_ = c.conn.SetWriteDeadline(time.Now().Add(lingerTimeout))
	_, _ = c.conn.Write(f)
	_ = c.conn.SetWriteDeadline(time.Time{})
}

// end says goodbye, closes the sending half, and leaves it to the reader to
// close the connection when the peer has done the same.
func (c *webSocket) end(endKind) {
	s := c.session
	s.mu.Lock()
	conn, last := c.conn, c.in.goodbye
	busy := s.flush == flushWriting && s.transport == transport(c)
	s.mu.Unlock()
	if conn == nil {
		return // attach will see that the session has ended
	}
	if last == nil {
		last = ws.CompiledClose
	}
	if c.raw != nil {
		if busy {
			last = nil
		}
		c.goodbye(last)
		return
	}
	if busy {
		// Whoever writes may be stuck, and over TLS everything that says goodbye
		// waits for him.
		if over, ok := conn.(interface{ NetConn() net.Conn }); ok {
			conn = over.NetConn()
		}
		_ = conn.Close()
		return
	}
	go c.goodbye(last) // writes, and the peer may have stopped reading
}

// goodbye sends a last frame, if there is one, and closes the sending half.
func (c *webSocket) goodbye(last []byte) {
	if last != nil {
		c.writeSoon(last)
	}
	_ = c.conn.SetReadDeadline(time.Now().Add(lingerTimeout))
	half, ok := c.conn.(interface{ CloseWrite() error })
	if ok && half.CloseWrite() == nil {
		return
	}
	if c.raw != nil {
		// Close would wait for the reader, and this may be the reader.
		_ = c.conn.SetReadDeadline(time.Unix(1, 0))
		return
	}
	_ = c.conn.Close()
}
