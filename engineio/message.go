package engineio

import (
	"encoding/base64"
	"encoding/binary"
	"sync/atomic"

	"github.com/gobwas/ws"

	"github.com/sockeye-io/sockeye/engineio/frame"
)

// headerRoom is the longest header of an unmasked WebSocket frame. A message
// reserves it in front of its body, so that the frame needs no second buffer.
const headerRoom = 10

// Message is an encoded Engine.IO message. It is immutable and may be sent to
// any number of sessions at once: its WebSocket frame is built when the message
// is, its other forms (base64, compressed) once, when first needed.
type Message struct {
	buf        []byte // header room, then the body
	start      int    // where the WebSocket frame begins in buf
	kind       frame.Type
	binary     bool
	noCompress bool
	base64     atomic.Pointer[[]byte]
	deflated   atomic.Pointer[[]byte]
}

// NewMessage returns a message with the given content. The message keeps no
// reference to data.
func NewMessage(binary bool, data []byte) *Message {
	if !binary {
		return NewTextMessage(len(data), func(dst []byte) []byte { return append(dst, data...) })
	}
	buf := make([]byte, headerRoom, headerRoom+len(data))
	m := &Message{buf: append(buf, data...), kind: frame.Message, binary: true}
	m.seal()
	return m
}

// NewTextMessage returns a text message whose content is what build appends
// to the slice it is given, so that an encoder can write straight into the
// frame. size is a hint, in bytes.
func NewTextMessage(size int, build func(dst []byte) []byte) *Message {
	var m *Message
	var buf []byte
	if headerRoom+1+size <= smallMessage {
		small := &struct {
			Message
			buf [smallMessage]byte
		}{}
		m, buf = &small.Message, small.buf[:headerRoom+1]
	} else {
		m, buf = new(Message), make([]byte, headerRoom+1, headerRoom+1+size)
	}
	buf[headerRoom] = '0' + byte(frame.Message)
	m.buf, m.kind = build(buf), frame.Message
	m.seal()
	return m
}

// smallMessage is the size up to which a message and its buffer are one
// allocation; with it they fill the size class of 256 bytes.
const smallMessage = 192

// newControl returns a packet of another type than message.
func newControl(kind frame.Type, data string) *Message {
	buf := make([]byte, headerRoom+1, headerRoom+1+len(data))
	buf[headerRoom] = '0' + byte(kind)
	m := &Message{buf: append(buf, data...), kind: kind, noCompress: true}
	m.seal()
	return m
}

// newFrame returns a WebSocket control frame that takes its turn in the outbox
// like a message. It must only be sent over WebSocket.
func newFrame(op ws.OpCode, payload []byte) *Message {
	buf := make([]byte, headerRoom, headerRoom+len(payload))
	m := &Message{buf: append(buf, payload...), kind: frame.Noop, noCompress: true}
	m.start = headerRoom - putFrameHeader(m.buf[:headerRoom], op, 0, len(payload))
	return m
}

var (
	pingMessage  = newControl(frame.Ping, "")
	noopMessage  = newControl(frame.Noop, "")
	closeMessage = newControl(frame.Close, "")
	probeMessage = newControl(frame.Pong, "probe")
)

// DisableCompression marks the message as not worth compressing, by
// permessage-deflate or by HTTP. Call it before the message is sent.
func (m *Message) DisableCompression() *Message {
	m.noCompress = true
	return m
}

// Len returns the length of the content in bytes.
func (m *Message) Len() int {
	if m.binary {
		return len(m.buf) - headerRoom
	}
	return len(m.buf) - headerRoom - 1
}

// cost is what the message counts in an outbox: its bytes and the room its
// place in the queue takes.
func (m *Message) cost() int { return len(m.buf) + 16 }

func (m *Message) opcode() ws.OpCode {
	if m.binary {
		return ws.OpBinary
	}
	return ws.OpText
}

// body is the payload of the WebSocket frame.
func (m *Message) body() []byte { return m.buf[headerRoom:] }

// frame is the whole WebSocket frame.
func (m *Message) frame() []byte { return m.buf[m.start:] }

func (m *Message) seal() {
	m.start = headerRoom - putFrameHeader(m.buf[:headerRoom], m.opcode(), 0, len(m.buf)-headerRoom)
}

// putFrameHeader writes the header of an unmasked, final frame so that it ends
// where room ends, and returns its length.
func putFrameHeader(room []byte, op ws.OpCode, rsv byte, length int) int {
	first := 0x80 | rsv<<4 | byte(op)
	end := len(room)
	switch {
	case length < 126:
		room[end-2], room[end-1] = first, byte(length)
		return 2
	case length < 1<<16:
		room[end-4], room[end-3] = first, 126
		binary.BigEndian.PutUint16(room[end-2:], uint16(length))
		return 4
	default:
		room[end-10], room[end-9] = first, 127
		binary.BigEndian.PutUint64(room[end-8:], uint64(length))
		return 10
	}
}

// text is the form of the packet in a polling payload and in a stream.
func (m *Message) text() []byte {
	if !m.binary {
		return m.body()
	}
	if p := m.base64.Load(); p != nil {
		return *p
	}
	raw := m.body()
	b := make([]byte, 1, 1+base64.StdEncoding.EncodedLen(len(raw)))
	b[0] = 'b'
	b = base64.StdEncoding.AppendEncode(b, raw)
	m.base64.Store(&b)
	return b
}

func (m *Message) packet() frame.Packet {
	if m.binary {
		return frame.Packet{Type: frame.Message, Binary: true, Data: m.body()}
	}
	return frame.Packet{Type: m.kind, Data: m.body()[1:]}
}
