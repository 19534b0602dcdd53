package engine

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"github.com/sockeye-io/sockeye/engineio/frame"
)

// wsInput is what has been read of a frame or message that is not complete. At
// rest it holds nothing.
type wsInput struct {
	frame     []byte // beginning of a frame, or what came behind the first message
	message   []byte // fragments so far
	text      []byte // the first message
	fragments int
	op        ws.OpCode // of the fragmented message; 0 if there is none
	opening   bool      // stop behind the first message
	deep      bool      // the reader's stack has grown for what may not come again soon
	batches   uint8     // read so far, up to youth
	first     [1]byte
}

// maxFragments bounds the work that one message can cause.
const maxFragments = 1 << 14

// youth is how many batches of frames a connection's first messages take.
const youth = 4

var errStackGrown = errors.New("engine: the reader's stack has grown")

// readSize is the size of the pooled buffers that frames are read into: about 150
// small messages, or a TLS record. It is more than http.Transport reads ahead.
const readSize = 16 << 10

type readBuffer struct {
	bytes  [readSize]byte
	reader bytes.Reader
	header [ws.MaxHeaderSize]byte
}

var readBuffers = sync.Pool{New: func() any { return new(readBuffer) }}

// protocolError is a violation by the server, with the close code that tells it.
type protocolError struct {
	code ws.StatusCode
	err  error
}

func (e *protocolError) Error() string { return e.err.Error() }
func (e *protocolError) Unwrap() error { return e.err }

func violation(code ws.StatusCode, text string) *protocolError {
	return &protocolError{code, errors.New("engine: " + text)}
}

var (
	errTooLarge    = violation(ws.StatusMessageTooBig, "message is larger than MaxMessage")
	errFragments   = violation(ws.StatusPolicyViolation, "message has too many fragments")
	errInvalidUTF8 = violation(ws.StatusInvalidFramePayloadData, "text message is not UTF-8")
	errHeader      = violation(ws.StatusProtocolError, "invalid WebSocket frame")
	errPeerClosed  = errors.New("engine: the server closed the WebSocket")
	errGone        = errors.New("engine: the connection was cut")
)

func (w *webSocket) read() error {
	if len(w.in.frame) > 0 {
		b := readBuffers.Get().(*readBuffer)
		early := w.in.frame
		w.in.frame = nil
		err := w.feed(b, early)
		readBuffers.Put(b)
		if err != nil {
			return err
		}
	}
	if w.raw != nil {
		return w.readRaw()
	}
	return w.readPlain()
}

// readPlain reads where only Read is to be had. A buffer is taken when there is
// something to read, which the first byte tells.
func (w *webSocket) readPlain() error {
	for {
		n := 0
		if len(w.in.frame) == 0 {
			if _, err := io.ReadFull(w.stream, w.in.first[:]); err != nil {
				return ending(err)
			}
			n = 1
		}
		b := readBuffers.Get().(*readBuffer)
		b.bytes[0] = w.in.first[0]
		// A frame has two bytes or more, so the rest is there or about to come.
		more, err := w.stream.Read(b.bytes[n:])
		err = ending(err)
		if broken := w.feed(b, b.bytes[:n+more]); broken != nil {
			err = broken
		}
		readBuffers.Put(b)
		if err != nil {
			return err
		}
	}
}

// ending names the end of a connection that was cut without a goodbye.
func ending(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return errGone
	}
	return err
}

// feed takes bytes as they come from the connection and handles the frames that
// are complete. An error ends the connection.
func (w *webSocket) feed(b *readBuffer, data []byte) error {
	w.conn.alive()
	if len(w.in.frame) > 0 {
		w.in.frame = append(w.in.frame, data...)
		data = w.in.frame
	}
	if w.in.batches < youth {
		w.in.batches++
		w.in.deep = true
	}
	opening := w.in.opening
	for len(data) > 0 && w.in.opening == opening {
		h, size, err := w.header(b, data)
		if err != nil {
			return err
		}
		if size == 0 || int64(len(data)-size) < h.Length {
			break
		}
		end := size + int(h.Length)
		payload := data[size:end:end]
		data = data[end:]
		if err := w.frame(h, payload); err != nil {
			return err
		}
	}
	w.keep(data)
	return nil
}

// keep holds on to the beginning of a frame until the rest arrives. It is part of
// what is held already, if anything is.
func (w *webSocket) keep(data []byte) {
	switch {
	case len(data) == 0:
		w.in.frame = nil
	case len(w.in.frame) == 0:
		w.in.frame = bytes.Clone(data)
	case cap(w.in.frame) > 4*readSize && len(data) < readSize:
		w.in.frame = bytes.Clone(data) // do not sit on the room of a large message
	default:
		n := copy(w.in.frame, data)
		w.in.frame = w.in.frame[:n]
	}
}

// header parses a frame header. size is 0 if it is not complete.
func (w *webSocket) header(b *readBuffer, data []byte) (h ws.Header, size int, err error) {
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
	if data[1]&0x80 != 0 {
		return h, 0, errHeader // a server does not mask
	}
	if len(data) < size {
		return h, 0, nil
	}
	b.reader.Reset(data[:size])
	h, err = ws.ReadHeaderBuffer(&b.reader, b.header[:])
	if err != nil {
		return h, 0, errHeader
	}
	state := ws.StateClientSide
	if w.in.op != 0 {
		state = state.Set(ws.StateFragmented)
	}
	if err := ws.CheckHeader(h, state); err != nil {
		return h, 0, &protocolError{ws.StatusProtocolError, fmt.Errorf("engine: invalid WebSocket frame: %w", err)}
	}
	// A text message has the packet's type in front.
	if limit := int64(w.conn.maxMessage) + 1 - int64(len(w.in.message)); h.Length > limit && !h.OpCode.IsControl() {
		return h, 0, errTooLarge
	}
	return h, size, nil
}

func (w *webSocket) frame(h ws.Header, payload []byte) error {
	switch {
	case h.OpCode == ws.OpPing:
		w.pong(payload)
		return nil
	case h.OpCode == ws.OpPong:
		return nil
	case h.OpCode == ws.OpClose:
		return w.closed(payload)
	case h.OpCode == ws.OpContinuation || !h.Fin:
		return w.fragment(h, payload)
	}
	return w.message(h.OpCode, payload)
}

func (w *webSocket) fragment(h ws.Header, payload []byte) error {
	in := &w.in
	if h.OpCode != ws.OpContinuation {
		in.op = h.OpCode
	}
	if in.fragments++; in.fragments > maxFragments {
		return errFragments
	}
	in.message = append(in.message, payload...)
	if !h.Fin {
		return nil
	}
	op, message := in.op, in.message
	in.op, in.message, in.fragments = 0, nil, 0
	return w.message(op, message)
}

// message handles a complete message. payload is valid during the call.
func (w *webSocket) message(op ws.OpCode, payload []byte) error {
	if w.in.opening {
		w.in.opening = false
		if op == ws.OpText {
			w.in.text = bytes.Clone(payload)
		}
		return nil
	}
	if op == ws.OpBinary {
		if len(payload) > w.conn.maxMessage {
			return errTooLarge
		}
		return w.conn.receive(frame.Packet{Type: frame.Message, Binary: true, Data: payload})
	}
	p, err := textPacket(payload)
	if err != nil {
		return err
	}
	w.in.deep = w.in.deep || p.Type == frame.Ping
	return w.conn.receive(p)
}

// textPacket decodes the text form of a packet that is not binary.
func textPacket(text []byte) (frame.Packet, error) {
	if !utf8.Valid(text) {
		return frame.Packet{}, errInvalidUTF8
	}
	if len(text) == 0 || text[0] < '0' || text[0] > '6' {
		return frame.Packet{}, &protocolError{ws.StatusProtocolError, frame.ErrType}
	}
	return frame.Packet{Type: frame.Type(text[0] - '0'), Data: text[1:]}, nil
}

// closed makes an error of a close frame.
func (w *webSocket) closed(payload []byte) error {
	if len(payload) == 0 {
		return errPeerClosed
	}
	code, text := ws.ParseCloseFrameData(payload)
	if err := ws.CheckCloseFrameData(code, text); err != nil {
		return &protocolError{ws.StatusProtocolError, fmt.Errorf("engine: invalid WebSocket close frame: %w", err)}
	}
	if code == ws.StatusNormalClosure || code == ws.StatusGoingAway {
		return errPeerClosed
	}
	return fmt.Errorf("%w: %d %s", errPeerClosed, code, text)
}
