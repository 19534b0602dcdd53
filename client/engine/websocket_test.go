package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/gobwas/ws"

	"github.com/sockeye-io/sockeye/client/engine"
	"github.com/sockeye-io/sockeye/engineio"
)

const openPacket = `0{"sid":"x","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000}`

// frames is the server's side of a WebSocket, frame by frame.
type frames struct {
	t    testing.TB
	conn net.Conn
}

func (f *frames) write(b []byte) {
	if _, err := f.conn.Write(b); err != nil {
		f.t.Errorf("the server's write: %v", err)
	}
}

func compile(fs ...ws.Frame) []byte {
	var b []byte
	for _, f := range fs {
		b = append(b, ws.MustCompileFrame(f)...)
	}
	return b
}

// read reads one frame of the client's, which must be masked.
func (f *frames) read() (ws.OpCode, string) {
	f.t.Helper()
	op, payload, err := readFrame(f.conn)
	if err != nil {
		f.t.Errorf("the server's read: %v", err)
	}
	return op, payload
}

func readFrame(conn net.Conn) (ws.OpCode, string, error) {
	h, err := ws.ReadHeader(conn)
	if err != nil {
		return 0, "", err
	}
	if !h.Masked {
		return 0, "", errors.New("a frame is not masked")
	}
	payload := make([]byte, h.Length)
	_, err = io.ReadFull(conn, payload)
	ws.Cipher(payload, h.Mask, 0)
	return h.OpCode, string(payload), err
}

func (f *frames) expect(op ws.OpCode, payload string) {
	f.t.Helper()
	if gotOp, got := f.read(); gotOp != op || got != payload {
		f.t.Errorf("the server got %x %.100q, want %x %.100q", gotOp, got, op, payload)
	}
}

// withFrames connects to a server that is written by hand, over connections in
// memory.
func withFrames(t *testing.T, opts *engine.Options, serve func(f *frames), test func(t *testing.T, c *engine.Conn, r *recorder)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newMemoryServer(t, nil)
		served := make(chan struct{})
		s.around = func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			defer close(served)
			conn := hijackWebSocket(t, w, r)
			defer conn.Close()
			f := &frames{t, conn}
			f.write(compile(ws.NewTextFrame([]byte(openPacket))))
			serve(f)
		}
		c, r := s.dial(opts, engine.WebSocket)
		test(t, c, r)
		c.Abort()
		<-served
	})
}

func TestFrames(t *testing.T) {
	fragment := func(op ws.OpCode, fin bool, payload string) ws.Frame {
		return ws.NewFrame(op, fin, []byte(payload))
	}
	serve := func(f *frames) {
		// Frames that share a write, frames in pieces, and control frames between
		// fragments.
		f.write(compile(ws.NewTextFrame([]byte("4one")), ws.NewBinaryFrame([]byte("\x00two")), ws.NewTextFrame([]byte("6"))))
		for _, b := range compile(ws.NewTextFrame([]byte("4" + strings.Repeat("three", 100)))) {
			f.write([]byte{b})
		}
		f.write(compile(fragment(ws.OpText, false, "4fo"), fragment(ws.OpPing, true, "are you there")))
		f.expect(ws.OpPong, "are you there")
		f.write(compile(fragment(ws.OpContinuation, false, "u"), fragment(ws.OpPong, true, "unasked"), fragment(ws.OpContinuation, true, "r")))
		f.write(compile(fragment(ws.OpBinary, false, ""), fragment(ws.OpContinuation, true, "")))
		big := strings.Repeat("five", 50_000)
		f.write(compile(ws.NewTextFrame([]byte("4" + big))))
		f.write(compile(ws.NewTextFrame([]byte("2")))) // Engine.IO's ping
		f.expect(ws.OpText, "3")
		f.write(compile(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusNormalClosure, ""))))
		f.expect(ws.OpClose, "\x03\xe8")
		if _, err := f.conn.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("after the close frame: %v", err)
		}
	}
	withFrames(t, nil, serve, func(t *testing.T, c *engine.Conn, r *recorder) {
		r.expect("one")
		if m := r.messages.pop(t); !m.binary || m.data != "\x00two" {
			t.Errorf("got %v", m)
		}
		r.expect(strings.Repeat("three", 100), "four")
		if m := r.messages.pop(t); !m.binary || m.data != "" {
			t.Errorf("got %v", m)
		}
		r.expect(strings.Repeat("five", 50_000))
		if err := r.expectClosed(engine.ReasonTransportClose); err != nil {
			t.Errorf("closed with %v", err)
		}
	})
}

// What a server does wrong ends the connection, and the server is told.
func TestViolations(t *testing.T) {
	masked := func(f ws.Frame) ws.Frame { return ws.MaskFrameInPlace(f) }
	reserved := ws.NewTextFrame([]byte("4"))
	reserved.Header.Rsv = ws.Rsv(true, false, false)
	for name, test := range map[string]struct {
		sent []byte
		code ws.StatusCode
	}{
		"masked":                {compile(masked(ws.NewTextFrame([]byte("4x")))), ws.StatusProtocolError},
		"reserved bit":          {compile(reserved), ws.StatusProtocolError},
		"unknown opcode":        {[]byte{0x83, 0}, ws.StatusProtocolError},
		"long control frame":    {append([]byte{0x89, 126, 0, 200}, make([]byte, 200)...), ws.StatusProtocolError},
		"fragmented ping":       {[]byte{0x09, 0}, ws.StatusProtocolError},
		"nothing to continue":   {compile(ws.NewFrame(ws.OpContinuation, true, nil)), ws.StatusProtocolError},
		"interleaved":           {compile(ws.NewFrame(ws.OpText, false, []byte("4")), ws.NewTextFrame([]byte("4"))), ws.StatusProtocolError},
		"invalid UTF-8":         {compile(ws.NewTextFrame([]byte("4\xff"))), ws.StatusInvalidFramePayloadData},
		"empty":                 {compile(ws.NewTextFrame(nil)), ws.StatusProtocolError},
		"unknown type":          {compile(ws.NewTextFrame([]byte("9"))), ws.StatusProtocolError},
		"too large":             {compile(ws.NewTextFrame(make([]byte, 1002)))[:10], ws.StatusMessageTooBig},
		"too large binary":      {compile(ws.NewBinaryFrame(make([]byte, 1001))), ws.StatusMessageTooBig},
		"too large in all":      {compile(ws.NewFrame(ws.OpText, false, make([]byte, 900)), ws.NewFrame(ws.OpContinuation, true, make([]byte, 200)))[:920], ws.StatusMessageTooBig},
		"largest length":        {[]byte{0x82, 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, ws.StatusMessageTooBig},
		"negative length":       {[]byte{0x82, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, ws.StatusProtocolError},
		"invalid close":         {compile(ws.NewCloseFrame([]byte{1})), ws.StatusProtocolError},
		"invalid code in close": {compile(ws.NewCloseFrame(ws.NewCloseFrameBody(1006, ""))), ws.StatusProtocolError},
	} {
		t.Run(name, func(t *testing.T) {
			serve := func(f *frames) {
				// net.Pipe hands over only what is read, and the client stops reading.
				go func() { _, _ = f.conn.Write(test.sent) }()
				f.expect(ws.OpClose, string(ws.NewCloseFrameBody(test.code, "")))
				if _, err := f.conn.Read(make([]byte, 1)); err != io.EOF {
					t.Errorf("after the close frame: %v", err)
				}
			}
			withFrames(t, &engine.Options{MaxMessage: 1000}, serve, func(t *testing.T, c *engine.Conn, r *recorder) {
				if err := r.expectClosed(engine.ReasonParseError); err == nil {
					t.Error("closed without an error")
				}
				if r.messages.len() > 0 {
					t.Errorf("got %v", r.messages.pop(t))
				}
			})
		})
	}
}

func TestManyFragments(t *testing.T) {
	serve := func(f *frames) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			b := compile(ws.NewFrame(ws.OpText, false, []byte("4")))
			for range 20_000 {
				b = append(b, 0, 0)
			}
			_, _ = f.conn.Write(b)
		}()
		f.expect(ws.OpClose, string(ws.NewCloseFrameBody(ws.StatusPolicyViolation, "")))
		f.conn.Close()
		<-done
	}
	withFrames(t, nil, serve, func(t *testing.T, c *engine.Conn, r *recorder) {
		r.expectClosed(engine.ReasonParseError)
	})
}

// The ends of a WebSocket that are not this side's.
func TestWebSocketEnds(t *testing.T) {
	for name, test := range map[string]struct {
		serve  func(f *frames)
		reason engine.Reason
		want   string // in the error; empty for none
	}{
		"cut":             {func(f *frames) {}, engine.ReasonTransportClose, "cut"},
		"cut in a frame":  {func(f *frames) { f.write([]byte{0x81, 3, '4'}) }, engine.ReasonTransportClose, "cut"},
		"close with code": {func(f *frames) { f.write(compile(ws.NewCloseFrame(ws.NewCloseFrameBody(1009, "too big")))); f.read() }, engine.ReasonTransportClose, "1009 too big"},
		"close packet":    {func(f *frames) { f.write(compile(ws.NewTextFrame([]byte("1")))); f.read() }, engine.ReasonTransportClose, ""},
	} {
		t.Run(name, func(t *testing.T) {
			withFrames(t, nil, test.serve, func(t *testing.T, c *engine.Conn, r *recorder) {
				err := r.expectClosed(test.reason)
				if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
					t.Errorf("closed with %v", err)
				}
				a := c.Attempts()
				if last := a[len(a)-1]; last.Phase != "close" || last.Err == nil || !strings.Contains(last.Err.Error(), string(test.reason)) {
					t.Errorf("%+v", last)
				}
			})
		})
	}
}

// What a first message can be but a handshake.
func TestWebSocketStrangers(t *testing.T) {
	for name, test := range map[string]struct {
		serve    func(f *frames)
		stranger bool
	}{
		"other text":   {func(f *frames) { f.write(compile(ws.NewTextFrame([]byte("welcome")))) }, true},
		"binary":       {func(f *frames) { f.write(compile(ws.NewBinaryFrame([]byte(openPacket)))) }, true},
		"other packet": {func(f *frames) { f.write(compile(ws.NewTextFrame([]byte("40")))) }, true},
		"close":        {func(f *frames) { f.write(compile(ws.NewCloseFrame(nil))) }, false},
		"end":          {func(f *frames) {}, false},
		"no frame":     {func(f *frames) { f.write([]byte("HTTP/1.1 400 Bad Request\r\n")) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newMemoryServer(t, nil)
				s.around = func(w http.ResponseWriter, r *http.Request, next http.Handler) {
					conn := hijackWebSocket(t, w, r)
					defer conn.Close()
					test.serve(&frames{t, conn})
				}
				failed := dialFails(t, t.Context(), s.url, s.options(nil, engine.WebSocket))
				var stranger *engine.NotEngineIOError
				if errors.As(failed, &stranger) != test.stranger || test.stranger && stranger.Status != 101 {
					t.Errorf("%v", failed)
				}
			})
		})
	}
}

// A response 101 that is not to the request.
func TestBadSwitch(t *testing.T) {
	for name, header := range map[string]string{
		"protocol":    "Upgrade: h2c\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: KEY\r\n",
		"connection":  "Upgrade: websocket\r\nSec-WebSocket-Accept: KEY\r\n",
		"accept":      "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n",
		"extension":   "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: KEY\r\nSec-WebSocket-Extensions: permessage-deflate\r\n",
		"subprotocol": "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: KEY\r\nSec-WebSocket-Protocol: chat\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newMemoryServer(t, nil)
				s.around = func(w http.ResponseWriter, r *http.Request, next http.Handler) {
					conn, _, err := http.NewResponseController(w).Hijack()
					if err != nil {
						t.Error(err)
						return
					}
					defer conn.Close()
					header = strings.Replace(header, "KEY", acceptKey(r), 1)
					_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\n"+header+"\r\n"+string(compile(ws.NewTextFrame([]byte(openPacket)))))
				}
				dialFails(t, t.Context(), s.url, s.options(nil, engine.WebSocket))
			})
		})
	}
}

// What is sent is masked in a copy, and large messages go out whole.
func TestDataIsNotTouched(t *testing.T) {
	s := newServer(t, &engineio.Options{MaxPayload: 1 << 20})
	s.echo = true
	c, r := s.dial(nil, engine.WebSocket)
	var sizes = []int{0, 1, 125, 126, 127, 16<<10 - 15, 16<<10 - 14, 16 << 10, 65535, 65536, 1 << 20}
	for _, n := range sizes {
		data := bytes.Repeat([]byte("0123456789abcdef!"), n/17+1)[:n]
		kept := bytes.Clone(data)
		send(t, c, engine.Message{Binary: true, Data: data})
		if m := r.messages.pop(t); m.data != string(kept) || !m.binary {
			t.Errorf("%d bytes came back wrong", n)
		}
		if !bytes.Equal(data, kept) {
			t.Errorf("%d bytes have been changed", n)
		}
	}
	for round := range 3 {
		var ms []engine.Message
		for i := range 3000 {
			ms = append(ms, text(fmt.Sprint(round, i, strings.Repeat("y", i%70))))
		}
		send(t, c, ms...)
		for _, m := range ms {
			r.expect(string(m.Data))
		}
	}
}

// writes counts the writes on a connection.
type writes struct {
	net.Conn
	count *int
}

func (w writes) Write(p []byte) (int, error) {
	*w.count++
	return w.Conn.Write(p)
}

// Messages that are sent together leave together.
func TestOneWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemoryServer(t, nil)
		transport := s.client.Transport.(*http.Transport)
		dial := transport.DialContext
		count := 0
		transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dial(ctx, network, address)
			return writes{conn, &count}, err
		}
		c, _ := s.dial(nil, engine.WebSocket)
		p := s.accepted.pop(t)
		synctest.Wait()
		before := count
		for i := range 3 {
			send(t, c, text(fmt.Sprint(i)), binary("b"))
		}
		synctest.Wait()
		if n := count - before; n > 2 {
			t.Errorf("%d writes", n)
		}
		before = count
		send(t, c, text("x"), binary("y"), text("z"))
		synctest.Wait()
		if count != before+1 {
			t.Errorf("%d writes for one Send", count-before)
		}
		if p.messages.len() != 9 {
			t.Errorf("%d messages", p.messages.len())
		}
	})
}
