package engineio_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sockeye-io/sockeye/engineio"
)

// Sessions are closed spread over the time there is, each after its outbox, and
// handshakes are refused meanwhile.
func TestShutdownDrains(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *server) {
		const count = 10
		var clients []*wsClient
		for range count {
			clients = append(clients, s.ws())
		}
		p := s.poll()
		get := p.startGet()
		get.expectHeld()
		start := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), 22*time.Second)
		defer cancel()
		done := make(chan error, 1)
		go func() { done <- s.engine.Shutdown(ctx) }()
		synctest.Wait()
		for _, c := range clients {
			if c.peer.closed.len() == 0 {
				c.peer.sendText("last")
			}
		}
		if r := s.get(pollingQuery); r.status != 503 || r.header.Get("Retry-After") == "" {
			t.Errorf("handshake while draining: %v", r)
		}
		time.Sleep(500 * time.Millisecond)
		synctest.Wait()
		if n := s.engine.Sessions(); n < 3 || n > 8 {
			t.Errorf("%d of %d sessions are left after half a second, at ten a second", n, count+1)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if got := time.Since(start); got > 2*time.Second {
			t.Errorf("took %v", got)
		}
		flushed := 0
		for _, c := range clients {
			c.peer.expectClosed("server shutting down")
			for c.frames.len() > 0 {
				if string(c.next().Payload) == "4last" {
					flushed++
				}
			}
		}
		if flushed < count-1 {
			t.Errorf("%d of %d clients got what was sent before their end", flushed, count)
		}
		get.expect(200, "1")
		p.peer.expectClosed("server shutting down")
	})
}

func TestShutdownWithoutDeadline(t *testing.T) {
	eachTransport(t, nil, func(t *testing.T, s *server, c client) {
		c.arrived()
		c.end().sendText("last")
		if err := s.engine.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		expectPackets(t, c, "4last")
		c.end().expectClosed("server shutting down")
		if n := s.engine.Sessions(); n != 0 {
			t.Errorf("%d sessions are left", n)
		}
	})
}

// A client that never fetches its close packet does not hold up the shutdown for longer
// than the deadline.
func TestShutdownDeadline(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *server) {
		p := s.poll()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		start := time.Now()
		if err := s.engine.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the deadline", err)
		}
		if got := time.Since(start); got != 5*time.Second {
			t.Errorf("took %v, want 5s", got)
		}
		p.peer.expectClosed("server shutting down")
	})
}

func TestShutdownOfNothing(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *server) {
		start := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.engine.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if got := time.Since(start); got > time.Second {
			t.Errorf("took %v", got)
		}
	})
}

func TestRefuse(t *testing.T) {
	s := newServer(t, nil)
	s.onMessage = echo
	c := s.ws()
	s.engine.Refuse()
	if r := s.get(pollingQuery); r.status != 503 {
		t.Errorf("got %v, want 503", r)
	}
	c.send("4still here")
	c.expect("4still here")
	c.peer.expectOpen()
}

var _ engineio.Receiver = (*peer)(nil)
