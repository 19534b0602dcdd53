package engineio

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"github.com/sockeye-io/sockeye/engineio/frame"
)

// wsInput is what has been read of a frame or message that is not complete. At
// rest it holds nothing.
type wsInput struct {
	frame      []byte // beginning of a frame
	message    []byte // fragments so far
	fragments  int
	op         ws.OpCode // of the fragmented message; 0 if there is none
	compressed bool
	current    bool   // this connection is the session's transport, not a candidate
	draining   bool   // the session has ended; wait for the peer to close
	deep       bool   // the reader's stack has grown for what may not come again soon
	batches    uint8  // read so far, up to youth
	goodbye    []byte // close frame that says what the peer did wrong; guarded by Session.mu
	first      [1]byte
}

// maxFragments bounds the work that one message can cause.
const maxFragments = 1 << 14

// youth is how many batches of frames a connection's handshakes take at most:
// probe, upgrade, and the first messages.
const youth = 4

var errStackGrown = errors.New("engineio: the reader's stack has grown")

// lingerTimeout is how long a closed connection waits for the peer to close
// its end. Closing earlier could destroy what the peer has not read yet.
const lingerTimeout = 2 * time.Second

// readSize is the size of the pooled buffers that frames are read into: about
// 150 small messages, or a TLS record.
const readSize = 16 << 10

type readBuffer struct {
	bytes  [readSize]byte
	reader bytes.Reader
	header [ws.MaxHeaderSize]byte
}

var readBuffers = sync.Pool{New: func() any { return new(readBuffer) }}

// serve reads until the connection ends. opening is set if the session's outbox
// is still held back.
func (c *webSocket) serve(early []byte, opening bool) {
	s := c.session
	if opening {
		c.in.current = true
		s.mu.Lock()
		s.flush = flushIdle
		if s.queue != nil || s.state == stateClosing {
			c.kick()
		}
		s.mu.Unlock()
	}
	if len(early) > 0 {
		b := readBuffers.Get().(*readBuffer)
		c.feed(b, early)
		readBuffers.Put(b)
	}
	c.read()
}

// read reads until the connection ends.
//
// Handling a message takes more than the 2 KB of stack that a goroutine begins
// with, and a stack that has grown to 4 KB never shrinks to 2 again: a third of
// what an idle connection costs. So a reader that has done the work of a
// handshake or a heartbeat leaves waiting for more to a new goroutine.
func (c *webSocket) read() {
	var err error
	if c.raw != nil {
		err = c.readRaw()
	} else {
		err = c.readPlain()
	}
	if err == errStackGrown {
		go c.read()
		return
	}
	_ = c.conn.Close()
	c.lost(err)
}

// readPlain reads where only Read is to be had. A buffer is taken when there
// is something to read, which the first byte tells.
func (c *webSocket) readPlain() error {
	for {
		if len(c.in.frame) > 0 {
			// What comes next may be one byte, the last of the frame.
			b := readBuffers.Get().(*readBuffer)
			n, err := c.conn.Read(b.bytes[:])
			c.feed(b, b.bytes[:n])
			readBuffers.Put(b)
			if err != nil {
				return err
			}
			continue
		}
		if _, err := io.ReadFull(c.conn, c.in.first[:]); err != nil {
			return err
		}
		b := readBuffers.Get().(*readBuffer)
		b.bytes[0] = c.in.first[0]
		n := 1
		var err error
		if n < readSize {
			// A frame from a client has 6 bytes or more, so the rest is there or
			// about to come.
			n, err = c.conn.Read(b.bytes[1:])
			n++
		}
		c.feed(b, b.bytes[:n])
		readBuffers.Put(b)
		if err != nil {
			return err
		}
	}
}

// lost ends what the connection was for.
func (c *webSocket) lost(err error) {
	s := c.session
	if !c.in.current {
		s.abandonUpgrade(c)
		return
	}
	if err == io.EOF || errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) {
		err = nil
	}
	s.finish(ReasonTransportClose, err, endAbort)
}

// feed takes bytes as they come from the connection and handles the frames
// that are complete.
func (c *webSocket) feed(b *readBuffer, data []byte) {
	s := c.session
	if c.in.draining {
		return
	}
	if len(c.in.frame) > 0 {
		c.in.frame = append(c.in.frame, data...)
		data = c.in.frame
	}
	if c.in.batches < youth {
		c.in.batches++
		c.in.deep = true
	}
	s.delivery.Lock()
	for len(data) > 0 && !c.in.draining {
		h, size, err := c.header(b, data)
		if err != nil {
			c.fail(err)
			break
		}
		if size == 0 || len(data)-size < int(h.Length) {
			break
		}
		end := size + int(h.Length)
		payload := data[size:end]
		ws.Cipher(payload, h.Mask, 0)
		data = data[end:]
		if err := c.frame(h, payload); err != nil {
			c.fail(err)
		}
	}
	s.delivery.Unlock()
	s.announceEnd()
	c.keep(data)
}

// keep holds on to the beginning of a frame until the rest arrives.
func (c *webSocket) keep(data []byte) {
	switch {
	case len(data) == 0 || c.in.draining:
		c.in.frame = nil
	case len(c.in.frame) == 0:
		c.in.frame = append([]byte(nil), data...)
	case cap(c.in.frame) > 4*readSize && len(data) < readSize:
		c.in.frame = bytes.Clone(data) // do not sit on the room of a large message
	default:
		n := copy(c.in.frame, data)
		c.in.frame = c.in.frame[:n]
	}
}

// protocolError is a violation by the peer, with the close code that tells it.
type protocolError struct {
	code ws.StatusCode
	text string
}

func (e *protocolError) Error() string { return "engineio: " + e.text }

var (
	errTooLarge     = &protocolError{ws.StatusMessageTooBig, "message is larger than MaxPayload"}
	errFragments    = &protocolError{ws.StatusPolicyViolation, "message has too many fragments"}
	errInvalidUTF8  = &protocolError{ws.StatusInvalidFramePayloadData, "text message is not UTF-8"}
	errNotMasked    = &protocolError{ws.StatusProtocolError, "frame from client is not masked"}
	errBadInflate   = &protocolError{ws.StatusInvalidFramePayloadData, "compressed message is damaged"}
	errPeerClosed   = errors.New("engineio: peer closed the WebSocket")
	errFrameHeading = &protocolError{ws.StatusProtocolError, "invalid frame header"}
)

// header parses a frame header. size is 0 if it is not complete.
func (c *webSocket) header(b *readBuffer, data []byte) (h ws.Header, size int, err error) {
	if len(data) < 2 {
		return h, 0, nil
	}
	size = 2
	switch data[1] & 0x7f {
	case 126:
		size += 2
	case 127:
		size += 8
	}
	if data[1]&0x80 == 0 {
		return h, 0, errNotMasked
	}
	size += 4
	if len(data) < size {
		return h, 0, nil
	}
	b.reader.Reset(data[:size])
	h, err = ws.ReadHeaderBuffer(&b.reader, b.header[:])
	if err != nil {
		return h, 0, errFrameHeading
	}
	state := ws.StateServerSide
	if c.deflate {
		state = state.Set(ws.StateExtended)
	}
	if c.in.op != 0 {
		state = state.Set(ws.StateFragmented)
	}
	if err := ws.CheckHeader(h, state); err != nil {
		return h, 0, &protocolError{ws.StatusProtocolError, err.Error()}
	}
	if c.deflate && (h.Rsv2() || h.Rsv3() || h.Rsv1() && (h.OpCode.IsControl() || h.OpCode == ws.OpContinuation)) {
		return h, 0, errFrameHeading
	}
	if h.Length > int64(c.limit()-len(c.in.message)) && !h.OpCode.IsControl() {
		return h, 0, errTooLarge
	}
	return h, size, nil
}

func (c *webSocket) limit() int { return c.session.server.opts.MaxPayload }

// frame handles one frame. s.delivery is held.
func (c *webSocket) frame(h ws.Header, payload []byte) error {
	switch h.OpCode {
	case ws.OpPing:
		c.pong(payload)
		return nil
	case ws.OpPong:
		return nil
	case ws.OpClose:
		return errPeerClosed
	}
	if h.OpCode == ws.OpContinuation || !h.Fin {
		return c.fragment(h, payload)
	}
	return c.message(h.OpCode, h.Rsv1(), payload)
}

func (c *webSocket) fragment(h ws.Header, payload []byte) error {
	in := &c.in
	if h.OpCode != ws.OpContinuation {
		in.op, in.compressed = h.OpCode, h.Rsv1()
	}
	in.fragments++
	if in.fragments > maxFragments {
		return errFragments
	}
	in.message = append(in.message, payload...)
	if !h.Fin {
		return nil
	}
	op, compressed, message := in.op, in.compressed, in.message
	in.op, in.compressed, in.message, in.fragments = 0, false, nil, 0
	return c.message(op, compressed, message)
}

// message handles a complete message. payload is valid during the call.
func (c *webSocket) message(op ws.OpCode, compressed bool, payload []byte) error {
	if compressed {
		buf := scratch.Get().(*bytes.Buffer)
		defer putScratch(buf)
		if err := inflate(buf, payload, c.limit()); err != nil {
			return err
		}
		payload = buf.Bytes()
	}
	p := frame.Packet{Type: frame.Message, Binary: true, Data: payload}
	if op == ws.OpText {
		if !utf8.Valid(payload) {
			return errInvalidUTF8
		}
		if len(payload) == 0 || payload[0] < '0' || payload[0] > '6' {
			return frame.ErrType
		}
		p = frame.Packet{Type: frame.Type(payload[0] - '0'), Data: payload[1:]}
	}
	s := c.session
	if c.in.current {
		c.in.deep = c.in.deep || p.Type == frame.Pong
		s.receive(p)
		return nil
	}
	s.upgradePacket(c, p)
	s.mu.Lock()
	c.in.current = s.transport == transport(c)
	s.mu.Unlock()
	return nil
}

// fail ends the session, or only the candidate, because of what the peer sent.
// s.delivery is held.
func (c *webSocket) fail(err error) {
	s := c.session
	var violation *protocolError
	if errors.As(err, &violation) {
		goodbye := newFrame(ws.OpClose, ws.NewCloseFrameBody(violation.code, "")).frame()
		s.mu.Lock()
		c.in.goodbye = goodbye
		s.mu.Unlock()
	}
	switch {
	case !c.in.current:
		s.abandonUpgrade(c)
	case err == errPeerClosed:
		s.finish(ReasonTransportClose, nil, endPeer)
	case violation != nil:
		s.finish(ReasonTransportError, err, endAbort)
	default:
		s.finish(ReasonParseError, err, endAbort)
	}
	c.in.draining = true
}
