package engineio_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/gobwas/ws"

	"github.com/sockeye-io/sockeye/engineio"
)

func maskedText(s string) string { return compile(ws.MaskFrame(ws.NewTextFrame([]byte(s)))) }

func TestWebSocketRoundTrip(t *testing.T) {
	s := newServer(t, nil)
	s.onMessage = echo
	c := s.ws()
	c.send("4hello", "4€ ü 𐍈", "4")
	c.expect("4hello", "4€ ü 𐍈", "4")
	for _, data := range []string{"\x01\x02\x03\x04", "", "4text", "b"} {
		c.sendBinary(data)
		c.expectBinary(data)
	}
}

func TestWebSocketFrameSizes(t *testing.T) {
	s := newServer(t, &engineio.Options{MaxPayload: 1 << 20})
	s.onMessage = echo
	c := s.ws()
	for _, n := range []int{1, 123, 124, 125, 126, 65533, 65534, 65535, 65536, 200_000, 1<<20 - 1} {
		m := "4" + repeat("x", n)
		c.send(m)
		c.expect(m)
	}
}

// Frames may be cut and joined in any way by the network.
func TestWebSocketAnySegments(t *testing.T) {
	for _, serve := range []struct {
		name string
		test func(t *testing.T, opts *engineio.Options, run func(*testing.T, *server))
	}{
		{"tcp", func(t *testing.T, o *engineio.Options, run func(*testing.T, *server)) { run(t, newServer(t, o)) }},
		{"memory", func(t *testing.T, o *engineio.Options, run func(*testing.T, *server)) { inBubble(t, o, run) }},
	} {
		t.Run(serve.name, func(t *testing.T) {
			serve.test(t, nil, func(t *testing.T, s *server) {
				c := s.ws()
				random := rand.New(rand.NewPCG(1, 2))
				var raw strings.Builder
				var want []string
				for i := range 300 {
					m := fmt.Sprint(i, ":", repeat("y", random.IntN(3000)))
					want = append(want, m)
					raw.WriteString(maskedText("4" + m))
				}
				bytes := raw.String()
				for len(bytes) > 0 {
					n := min(len(bytes), 1+random.IntN(40))
					if random.IntN(3) == 0 {
						n = min(len(bytes), 1+random.IntN(30_000))
					}
					c.write(bytes[:n])
					bytes = bytes[n:]
				}
				c.peer.expectMessage(want...)
			})
		})
	}
}

func TestWebSocketFragments(t *testing.T) {
	s := newServer(t, nil)
	s.onMessage = echo
	c := s.ws()
	c.sendFrame(ws.NewFrame(ws.OpText, false, []byte("4he")))
	c.sendFrame(ws.NewFrame(ws.OpContinuation, false, nil))
	c.sendFrame(ws.NewPingFrame([]byte("between")))
	c.sendFrame(ws.NewFrame(ws.OpContinuation, false, []byte("l\xe2\x82")))
	c.sendFrame(ws.NewFrame(ws.OpContinuation, true, []byte("\xac")))
	if f := c.next(); f.Header.OpCode != ws.OpPong || string(f.Payload) != "between" {
		t.Errorf("got opcode %#x %q, want the pong", f.Header.OpCode, f.Payload)
	}
	c.expect("4hel€")
	c.sendFrame(ws.NewFrame(ws.OpBinary, false, []byte{1}))
	c.sendFrame(ws.NewFrame(ws.OpContinuation, true, []byte{2}))
	c.expectBinary("\x01\x02")
}

func TestWebSocketPing(t *testing.T) {
	s := newServer(t, nil)
	c := s.ws()
	for _, payload := range []string{"", "abc", repeat("z", 125)} {
		c.sendFrame(ws.NewPingFrame([]byte(payload)))
		if f := c.next(); f.Header.OpCode != ws.OpPong || string(f.Payload) != payload {
			t.Errorf("got opcode %#x %q, want pong %q", f.Header.OpCode, f.Payload, payload)
		}
	}
	c.sendFrame(ws.NewPongFrame([]byte("not asked for")))
	c.send("4alive")
	c.peer.expectMessage("alive")
}

// What no client of ours sends. The code is what the peer is told; sessions end, and
// the server goes on.
func TestWebSocketViolations(t *testing.T) {
	s := newServer(t, &engineio.Options{MaxPayload: 1000})
	masked := func(f ws.Frame) string { return compile(ws.MaskFrame(f)) }
	rsv := func(bits byte) string {
		f := ws.NewTextFrame([]byte("4x"))
		f.Header.Rsv = bits
		return masked(f)
	}
	for _, c := range []struct {
		name   string
		raw    string
		code   ws.StatusCode
		reason engineio.CloseReason
	}{
		{"unmasked", compile(ws.NewTextFrame([]byte("4x"))), 1002, engineio.ReasonTransportError},
		{"RSV1 without extension", rsv(4), 1002, engineio.ReasonTransportError},
		{"RSV2", rsv(2), 1002, engineio.ReasonTransportError},
		{"RSV3", rsv(1), 1002, engineio.ReasonTransportError},
		{"reserved opcode", masked(ws.NewFrame(3, true, nil)), 1002, engineio.ReasonTransportError},
		{"reserved control opcode", masked(ws.NewFrame(11, true, nil)), 1002, engineio.ReasonTransportError},
		{"fragmented ping", masked(ws.NewFrame(ws.OpPing, false, nil)), 1002, engineio.ReasonTransportError},
		{"long ping", masked(ws.NewPingFrame([]byte(repeat("p", 126)))), 1002, engineio.ReasonTransportError},
		{"continuation of nothing", masked(ws.NewFrame(ws.OpContinuation, true, nil)), 1002, engineio.ReasonTransportError},
		{"text inside a fragmented message", masked(ws.NewFrame(ws.OpText, false, []byte("4a"))) + maskedText("4b"), 1002, engineio.ReasonTransportError},
		{"not UTF-8", maskedText("4\xff\xfe"), 1007, engineio.ReasonTransportError},
		{"half a character", maskedText("4\xe2\x82"), 1007, engineio.ReasonTransportError},
		{"negative length", "\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00", 1002, engineio.ReasonTransportError},
		{"one byte too many", maskedText("4" + repeat("x", 1000)), 1009, engineio.ReasonTransportError},
		{"one byte too many, binary", masked(ws.NewBinaryFrame(make([]byte, 1001))), 1009, engineio.ReasonTransportError},
		{"too large, announced", "\x81\xff\x00\x00\x00\x00\xff\xff\xff\xff\x00\x00\x00\x00", 1009, engineio.ReasonTransportError},
		{"too large in fragments", masked(ws.NewFrame(ws.OpText, false, []byte("4"+repeat("x", 600)))) +
			masked(ws.NewFrame(ws.OpContinuation, false, []byte(repeat("x", 600)))), 1009, engineio.ReasonTransportError},
		{"unknown packet type", maskedText("abc"), noCode, engineio.ReasonParseError},
		{"unknown digit", maskedText("7"), noCode, engineio.ReasonParseError},
		{"base64", maskedText("bAQID"), noCode, engineio.ReasonParseError},
		{"empty text", maskedText(""), noCode, engineio.ReasonParseError},
		{"ping of the protocol", maskedText("2"), noCode, engineio.ReasonTransportError},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := s.ws()
			w.write(maskedText("4before") + c.raw + maskedText("4after"))
			w.expectClose(c.code)
			err := w.peer.expectClosed(c.reason)
			if err == nil {
				t.Error("no error tells what was wrong")
			}
			w.peer.expectMessage("before")
			if w.peer.messages.len() > 0 {
				t.Error("a message behind the violation was delivered")
			}
		})
	}
	s.onMessage = echo
	c := s.ws()
	c.send("4" + repeat("x", 999))
	c.expect("4" + repeat("x", 999))
}

// As in Node, these change nothing.
func TestWebSocketIgnoresStrayPackets(t *testing.T) {
	s := newServer(t, nil)
	s.onMessage = echo
	c := s.ws()
	c.send("0", "1", "3", "3probe", "5", "6", "4x")
	c.expect("4x")
	c.peer.expectOpen()
}

func TestWebSocketPeerCloses(t *testing.T) {
	s := newServer(t, nil)
	for _, c := range []struct {
		name string
		end  func(*wsClient)
	}{
		{"close frame", func(c *wsClient) { c.sendFrame(ws.NewCloseFrame(nil)) }},
		{"close frame with a code", func(c *wsClient) {
			c.sendFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusGoingAway, "bye")))
		}},
		{"connection lost", (*wsClient).close},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := s.ws()
			w.send("4last words")
			c.end(w)
			w.peer.expectMessage("last words")
			w.peer.expectClosed(engineio.ReasonTransportClose)
			w.expectEOF()
			if err := w.peer.Send(textMessage("late")); !errors.Is(err, engineio.ErrClosed) {
				t.Errorf("Send after the end: %v, want ErrClosed", err)
			}
		})
	}
	if n := s.engine.Sessions(); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
}

// One goroutine's messages arrive in its order, and a Send of several is not torn apart.
func TestConcurrentSenders(t *testing.T) {
	for _, transport := range []string{"websocket", "polling", "streaming"} {
		t.Run(transport, func(t *testing.T) {
			const senders, each = 8, 200
			s := newServer(t, &engineio.Options{Outbox: engineio.OutboxOptions{MaxBytes: -1}})
			var next func() string
			var p *peer
			switch transport {
			case "websocket":
				c := s.ws()
				p, next = c.peer, func() string { return string(c.next().Payload) }
			case "streaming":
				c := s.streaming("")
				p, next = c.peer, c.next
			case "polling":
				c := s.poll()
				var ready []string
				p, next = c.peer, func() string {
					if len(ready) == 0 {
						ready = strings.Split(c.startGet().wait().body, "\x1e")
					}
					defer func() { ready = ready[1:] }()
					return ready[0]
				}
			}
			var wg sync.WaitGroup
			for g := range senders {
				wg.Go(func() {
					for i := range each {
						first := textMessage(fmt.Sprintf("%d %d a", g, i))
						if err := p.Send(first, textMessage(fmt.Sprintf("%d %d b", g, i))); err != nil {
							t.Error(err)
						}
					}
				})
			}
			seen := make([]int, senders)
			for range senders * each {
				var g, i int
				a, b := next(), next()
				if _, err := fmt.Sscanf(a, "4%d %d a", &g, &i); err != nil || b != fmt.Sprintf("4%d %d b", g, i) {
					t.Fatalf("%q is followed by %q", a, b)
				}
				if i != seen[g] {
					t.Fatalf("sender %d: message %d after %d", g, i, seen[g]-1)
				}
				seen[g]++
			}
			wg.Wait()
		})
	}
}

// A message is encoded once and shared by all transports.
func TestSharedMessage(t *testing.T) {
	s := newServer(t, nil)
	w, p, st := s.ws(), s.poll(), s.streaming("")
	text, binary := textMessage("all"), binaryMessage("\x01\x02\x03")
	if text.Len() != 3 || binary.Len() != 3 {
		t.Errorf("Len: %d, %d", text.Len(), binary.Len())
	}
	built := engineio.NewTextMessage(1, func(dst []byte) []byte { return append(dst, "built"...) })
	for _, peer := range []*peer{w.peer, p.peer, st.poller.peer} {
		if err := peer.Send(text, binary, built); err != nil {
			t.Fatal(err)
		}
	}
	w.expect("4all")
	w.expectBinary("\x01\x02\x03")
	w.expect("4built")
	p.expectPoll("4all\x1ebAQID\x1e4built")
	st.expect("4all", "bAQID", "4built")
}

// Frames of control that go out while messages do must stop neither.
func TestPingsDuringTraffic(t *testing.T) {
	s := newServer(t, nil)
	s.onMessage = echo
	c := s.ws()
	const rounds = 3000
	go func() {
		for i := range rounds {
			c.write(maskedText(fmt.Sprint("4", i)) + compile(ws.MaskFrame(ws.NewPingFrame(nil))))
		}
	}()
	for want := 0; want < rounds; {
		f := c.next()
		if f.Header.OpCode == ws.OpPong {
			continue
		}
		if string(f.Payload) != fmt.Sprint("4", want) {
			t.Fatalf("got %q, want 4%d", f.Payload, want)
		}
		want++
	}
}

// The same with messages from elsewhere, so that a flush is often under way when the
// reader answers.
func TestPingsDuringBroadcast(t *testing.T) {
	s := newServer(t, nil)
	c := s.ws()
	const total = 5000
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range total {
			if err := c.peer.SendContext(s.within(), textMessage(fmt.Sprint(i))); err != nil {
				end, _ := c.peer.closed.pop(s.guard)
				t.Errorf("message %d: %v; closed for %q, %v", i, err, end.reason, end.err)
				return
			}
			if i%16 == 0 {
				runtime.Gosched()
			}
		}
	}()
	// Pongs wait in the outbox like everything else, so they must not be asked for
	// faster than they are read.
	ping := compile(ws.MaskFrame(ws.NewPingFrame(nil)))
	outstanding := make(chan struct{}, 100)
	go func() {
		for {
			select {
			case <-done:
				return
			case outstanding <- struct{}{}:
				c.write(ping)
			}
		}
	}()
	for want := 0; want < total; {
		f := c.next()
		if f.Header.OpCode == ws.OpPong {
			<-outstanding
			continue
		}
		if string(f.Payload) != fmt.Sprint("4", want) {
			t.Fatalf("got %q, want 4%d", f.Payload, want)
		}
		want++
	}
	<-done
}

func TestVolatileOnWebSocket(t *testing.T) {
	s := newServer(t, nil)
	c := s.ws()
	// The open packet may still be on its way out.
	for !c.peer.SendVolatile(textMessage("now")) {
		runtime.Gosched()
	}
	c.expect("4now")
	c.close()
	c.peer.expectClosed(engineio.ReasonTransportClose)
	if c.peer.SendVolatile(textMessage("gone")) {
		t.Error("a volatile message was taken after the end")
	}
}

// Volatile messages do not queue up behind a peer that does not read.
func TestVolatileWhileBlocked(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *server) {
		conn, err := s.dial()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, upgradeRequest(wsQuery)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 4096)); err != nil {
			t.Fatal(err)
		}
		p := s.nextPeer()
		synctest.Wait()
		if !p.SendVolatile(textMessage("goes out, and blocks")) {
			t.Error("a volatile message was refused by an idle connection")
		}
		synctest.Wait()
		waiting := p.Buffered()
		for range 10 {
			if p.SendVolatile(textMessage("x")) {
				t.Error("a volatile message was taken while a write is blocked")
			}
		}
		if got := p.Buffered(); got != waiting {
			t.Errorf("%d bytes wait, %d before", got, waiting)
		}
	})
}
