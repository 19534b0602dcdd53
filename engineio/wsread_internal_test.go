package engineio

import (
	"bytes"
	"fmt"
	"net"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// nullConn takes everything and gives nothing.
type nullConn struct{ net.Conn }

func (nullConn) Write(p []byte) (int, error)        { return len(p), nil }
func (nullConn) Close() error                       { return nil }
func (nullConn) SetReadDeadline(t time.Time) error  { return nil }
func (nullConn) SetWriteDeadline(t time.Time) error { return nil }

// journal writes down what a session delivers.
type journal struct{ entries []string }

func (j *journal) Message(binary bool, data []byte) {
	j.entries = append(j.entries, fmt.Sprintf("%v %q", binary, data))
}

func (j *journal) Closed(reason CloseReason, err error) {
	j.entries = append(j.entries, fmt.Sprintf("closed %s: %v", reason, err))
}

// feedAll gives a WebSocket session input in chunks of the given size and
// returns what came of it.
func feedAll(t *testing.T, input []byte, chunk int) []string {
	t.Helper()
	j := &journal{}
	srv := NewServer(&Options{MaxPayload: 4096, Deflate: &Deflate{}}, func(*Session) Receiver { return j })
	c := &webSocket{conn: nullConn{}, deflate: true}
	q := &request{Request: httptest.NewRequest("GET", "/engine.io/?EIO=4&transport=websocket", nil)}
	s, refusal := srv.open(q, c, func(s *Session) { c.session = s })
	if refusal != nil {
		t.Fatal(refusal.message)
	}
	defer s.timer.Stop()
	c.in.current = true
	b := new(readBuffer)
	for len(input) > 0 {
		n := copy(b.bytes[:chunk], input)
		c.feed(b, b.bytes[:n])
		input = input[n:]
	}
	if held := len(c.in.frame) + len(c.in.message); held > 4096+ws.MaxHeaderSize {
		t.Errorf("%d bytes are held, with a MaxPayload of 4096", held)
	}
	return j.entries
}

// Whatever a peer sends, and however the network cuts it up: nothing panics,
// what is held is bounded, and the outcome is the same.
func FuzzWebSocketInput(f *testing.F) {
	frame := func(f ws.Frame) []byte { return ws.MustCompileFrame(ws.MaskFrame(f)) }
	fragment := ws.NewFrame(ws.OpText, false, []byte("4a"))
	last := ws.NewFrame(ws.OpContinuation, true, []byte("b"))
	compressed := NewMessage(false, bytes.Repeat([]byte("abc"), 100)).deflatedFrame(1)
	h, _ := ws.ReadHeader(bytes.NewReader(compressed))
	deflated := ws.Frame{Header: h, Payload: bytes.Clone(compressed[len(compressed)-int(h.Length):])}
	bomb := NewMessage(true, make([]byte, 1<<20)).deflatedFrame(1)
	h, _ = ws.ReadHeader(bytes.NewReader(bomb))
	f.Add(frame(ws.NewTextFrame([]byte("4hello"))))
	f.Add(append(frame(fragment), frame(last)...))
	f.Add(append(append(frame(fragment), frame(ws.NewPingFrame([]byte("x")))...), frame(last)...))
	f.Add(frame(deflated))
	f.Add(frame(ws.Frame{Header: h, Payload: bytes.Clone(bomb[len(bomb)-int(h.Length):])}))
	f.Add(append(frame(ws.NewBinaryFrame([]byte{1, 2})), frame(ws.NewTextFrame([]byte("3")))...))
	f.Add(frame(ws.NewCloseFrame(ws.NewCloseFrameBody(1000, "bye"))))
	f.Add(frame(ws.NewTextFrame([]byte("4\xff"))))
	f.Add([]byte{0x81, 0x05, '4', 'b', 'a', 'r', 'e'})
	f.Add([]byte{0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Add(bytes.Repeat(frame(ws.NewFrame(ws.OpContinuation, false, nil)), 3))
	f.Fuzz(func(t *testing.T, input []byte) {
		whole := feedAll(t, input, readSize)
		for _, chunk := range []int{1, 3, 7} {
			if cut := feedAll(t, input, chunk); !slices.Equal(whole, cut) {
				t.Errorf("in chunks of %d: %q, else %q", chunk, cut, whole)
			}
		}
	})
}

func FuzzInflate(f *testing.F) {
	f.Add([]byte{0x00})
	f.Add([]byte{0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00})
	f.Fuzz(func(t *testing.T, input []byte) {
		var dst bytes.Buffer
		if err := inflate(&dst, input, 1000); err == nil && dst.Len() > 1000 {
			t.Errorf("%d bytes, with a limit of 1000", dst.Len())
		}
	})
}
