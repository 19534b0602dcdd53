package engineio_test

import (
	"bytes"
	"compress/flate"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"github.com/sockeye-io/sockeye/engineio"
)

const offerDeflate = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"

// deflate compresses as RFC 7692 says, from scratch.
func deflate(t testing.TB, data string) string {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, data); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(b.String(), "\x00\x00\xff\xff")
}

func inflate(t testing.TB, data string) string {
	t.Helper()
	r := flate.NewReader(strings.NewReader(data + "\x00\x00\xff\xff\x01\x00\x00\xff\xff"))
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("%x: %v", data, err)
	}
	return string(b)
}

// compressed is a frame with RSV1.
func compressed(op ws.OpCode, payload string) ws.Frame {
	f := ws.NewFrame(op, true, []byte(payload))
	f.Header.Rsv = ws.Rsv(true, false, false)
	return f
}

func deflateServer(t *testing.T, d *engineio.Deflate) *server {
	t.Helper()
	return newServer(t, &engineio.Options{Deflate: d})
}

func TestDeflateNegotiation(t *testing.T) {
	off, on := deflateServer(t, nil), deflateServer(t, &engineio.Deflate{})
	for offer, agreed := range map[string]bool{
		"permessage-deflate":                         true,
		"permessage-deflate; client_max_window_bits": true,
		"permessage-deflate; client_no_context_takeover; server_no_context_takeover": true,
		"x-webkit-deflate-frame, permessage-deflate":                                 true,
		"permessage-deflate; nonsense, permessage-deflate":                           true,
		"x-webkit-deflate-frame":                                                     false,
		"permessage-bzip2":                                                           false,
		"permessage-deflate; nonsense":                                               false,
		"permessage-deflate; client_no_context_takeover; client_no_context_takeover": false,
	} {
		if got := off.wsWith("", "Sec-WebSocket-Extensions: "+offer).header.Get("Sec-WebSocket-Extensions"); got != "" {
			t.Errorf("off, %s: %q was agreed on", offer, got)
		}
		got := on.wsWith("", "Sec-WebSocket-Extensions: "+offer).header.Get("Sec-WebSocket-Extensions")
		if (got != "") != agreed {
			t.Errorf("%s: %q was agreed on, want %v", offer, got, agreed)
		}
		// Each message is compressed on its own, in both directions.
		if agreed && (!strings.Contains(got, "server_no_context_takeover") || !strings.Contains(got, "client_no_context_takeover")) {
			t.Errorf("%s: %q leaves a context", offer, got)
		}
		if agreed && strings.Count(got, "permessage-deflate") != 1 {
			t.Errorf("%s: %q", offer, got)
		}
	}
}

func TestDeflateRoundTrip(t *testing.T) {
	s := deflateServer(t, &engineio.Deflate{Threshold: 100})
	s.onMessage = echo
	c := s.wsWith("", offerDeflate)
	long := repeat("compressible ", 50)

	c.sendFrame(compressed(ws.OpText, deflate(t, "4"+long)))
	f := c.next()
	if f.Header.OpCode != ws.OpText || !f.Header.Rsv1() || len(f.Payload) > len(long)/3 {
		t.Errorf("long text: RSV1 %v, %d bytes", f.Header.Rsv1(), len(f.Payload))
	}
	if got := inflate(t, string(f.Payload)); got != "4"+long {
		t.Errorf("long text: %.50q", got)
	}

	c.sendFrame(compressed(ws.OpBinary, deflate(t, long)))
	f = c.next()
	if f.Header.OpCode != ws.OpBinary || !f.Header.Rsv1() || inflate(t, string(f.Payload)) != long {
		t.Errorf("long binary: opcode %#x, RSV1 %v", f.Header.OpCode, f.Header.Rsv1())
	}

	// Short messages stay as they are; uncompressed ones are taken too.
	c.sendFrame(compressed(ws.OpText, deflate(t, "4short")))
	c.expect("4short")
	c.send("4plain")
	c.expect("4plain")
	c.sendFrame(compressed(ws.OpText, deflate(t, "4")))
	c.expect("4")

	// In fragments, the first carries the bit.
	whole := deflate(t, "4"+long)
	first := ws.NewFrame(ws.OpText, false, []byte(whole[:10]))
	first.Header.Rsv = ws.Rsv(true, false, false)
	c.sendFrame(first)
	c.sendFrame(ws.NewFrame(ws.OpContinuation, true, []byte(whole[10:])))
	if f = c.next(); inflate(t, string(f.Payload)) != "4"+long {
		t.Error("fragments were not put together")
	}
	c.peer.expectOpen()
}

// One message is compressed once for all, and left alone where it says so.
func TestDeflateBroadcast(t *testing.T) {
	s := deflateServer(t, &engineio.Deflate{})
	long := repeat("compressible ", 500)
	a, b, plain := s.wsWith("", offerDeflate), s.wsWith("", offerDeflate), s.ws()
	m := textMessage(long)
	for _, c := range []*wsClient{a, plain, b} {
		if err := c.peer.Send(m, textMessage(long).DisableCompression()); err != nil {
			t.Fatal(err)
		}
	}
	plain.expect("4"+long, "4"+long)
	fa, fb := a.next(), b.next()
	if !fa.Header.Rsv1() || !bytes.Equal(fa.Payload, fb.Payload) || inflate(t, string(fa.Payload)) != "4"+long {
		t.Errorf("RSV1 %v, %d and %d bytes", fa.Header.Rsv1(), len(fa.Payload), len(fb.Payload))
	}
	a.expect("4" + long)
	b.expect("4" + long)
}

// Compressed data that grows beyond the limit, or is none.
func TestAttackDecompressionBomb(t *testing.T) {
	s := deflateServer(t, &engineio.Deflate{})
	limit := 1_000_000
	bomb := deflate(t, "4"+repeat("\x00", 20<<20))
	for name, c := range map[string]struct {
		frame ws.Frame
		code  ws.StatusCode
	}{
		"bomb":                  {compressed(ws.OpText, bomb), ws.StatusMessageTooBig},
		"one byte too many":     {compressed(ws.OpText, deflate(t, "4"+repeat("a", limit))), ws.StatusMessageTooBig},
		"garbage":               {compressed(ws.OpText, "\xff\xff\xff\xff\xff"), ws.StatusInvalidFramePayloadData},
		"invalid UTF-8":         {compressed(ws.OpText, deflate(t, "4\xff")), ws.StatusInvalidFramePayloadData},
		"compressed ping":       {compressed(ws.OpPing, deflate(t, "x")), ws.StatusProtocolError},
		"compressed in between": {compressed(ws.OpContinuation, deflate(t, "x")), ws.StatusProtocolError},
	} {
		t.Run(name, func(t *testing.T) {
			w := s.wsWith("", offerDeflate)
			if c.frame.Header.OpCode == ws.OpContinuation {
				w.sendFrame(ws.NewFrame(ws.OpText, false, []byte("4")))
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			w.sendFrame(c.frame)
			w.expectClose(c.code)
			runtime.ReadMemStats(&after)
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 8<<20 {
				t.Errorf("%d MB were allocated; the limit is 1 MB", grown>>20)
			}
			if err := w.peer.expectClosed(engineio.ReasonTransportError); err == nil {
				t.Error("no error tells what was wrong")
			}
		})
	}
	s.onMessage = echo
	w := s.wsWith("", offerDeflate)
	w.sendFrame(compressed(ws.OpText, deflate(t, "4"+repeat("a", limit-1))))
	if f := w.next(); inflate(t, string(f.Payload)) != "4"+repeat("a", limit-1) {
		t.Error("a message of exactly the limit did not pass")
	}
}
