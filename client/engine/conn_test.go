package engine_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sockeye-io/sockeye/client/engine"
	"github.com/sockeye-io/sockeye/engineio"
)

func TestExchange(t *testing.T) {
	eachTransport(t, nil, func(t *testing.T, s *server, transport string) {
		c, r := s.dial(nil, transport)
		p := s.accepted.pop(t)
		if c.ID() != p.ID() || c.Transport() != transport || c.PingInterval() != 25*time.Second || c.PingTimeout() != 20*time.Second || c.MaxPayload() != 1_000_000 {
			t.Errorf("%q over %q, %v, %v, %d", c.ID(), c.Transport(), c.PingInterval(), c.PingTimeout(), c.MaxPayload())
		}
		send(t, c, text("héllo"), binary("\x00\xff\x1e"), text(""))
		p.expect("héllo")
		if m := p.messages.pop(t); !m.binary || m.data != "\x00\xff\x1e" {
			t.Errorf("got %v", m)
		}
		p.expect("")
		p.send(false, "wörld")
		p.send(true, "\x01\x1e\xfe")
		p.send(false, "")
		r.expect("wörld")
		if m := r.messages.pop(t); !m.binary || m.data != "\x01\x1e\xfe" {
			t.Errorf("got %v", m)
		}
		r.expect("")
		if err := c.Flush(t.Context()); err != nil {
			t.Errorf("Flush: %v", err)
		}
		if c.Buffered() != 0 {
			t.Errorf("%d bytes are in the outbox", c.Buffered())
		}
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if r.closed.len() != 1 {
			t.Fatal("Close returned before Closed")
		}
		if err := r.expectClosed(engine.ReasonForcedClose); err != nil {
			t.Errorf("closed with %v", err)
		}
		if got := p.closed.pop(t); got != engineio.ReasonTransportClose {
			t.Errorf("for the server it ended by %q", got)
		}
		if err := c.Send(text("late")); err != engine.ErrClosed {
			t.Errorf("Send on a closed connection: %v", err)
		}
	})
}

// What is sent before Close arrives, in order, however much it is.
func TestCloseFlushes(t *testing.T) {
	eachTransport(t, nil, func(t *testing.T, s *server, transport string) {
		c, _ := s.dial(nil, transport)
		p := s.accepted.pop(t)
		var want []string
		for i := range 100 {
			want = append(want, fmt.Sprint(i, strings.Repeat("x", i*i)))
			send(t, c, text(want[i]))
		}
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		p.expect(want...)
		if got := p.closed.pop(t); got != engineio.ReasonTransportClose {
			t.Errorf("for the server it ended by %q", got)
		}
	})
}

func TestServerCloses(t *testing.T) {
	eachTransport(t, nil, func(t *testing.T, s *server, transport string) {
		c, r := s.dial(nil, transport)
		p := s.accepted.pop(t)
		p.send(false, "last")
		p.Session.Close()
		r.expect("last")
		if err := r.expectClosed(engine.ReasonTransportClose); err != nil {
			t.Errorf("closed with %v", err)
		}
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}
