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

// A thousand clients are told to go one after the other, evenly, and not all of one
// transport first.
func TestDrainIsEven(t *testing.T) {
	inBubble(t, &engineio.Options{PingInterval: time.Hour}, func(t *testing.T, s *server) {
		const count = 1000
		var polls []*poller
		for i := range count {
			switch i % 3 {
			case 0:
				s.ws()
			case 1:
				s.streaming("")
			default:
				p := s.poll()
				p.startGet()
				polls = append(polls, p)
			}
		}
		if s.engine.Draining() {
			t.Error("Draining before Drain")
		}
		synctest.Wait()
		// The last is told at four fifths of the time.
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Second)
		defer cancel()
		start := time.Now()
		done := make(chan error, 1)
		go func() { done <- s.engine.Drain(ctx) }()
		for second := range 40 {
			synctest.Wait()
			if got, want := s.engine.Sessions(), count-25*second-1; got < want-1 || got > want+1 {
				t.Errorf("%d sessions after %d s, want %d", got, second, want)
			}
			if second == 20 {
				if n := openPolls(s, polls); n < count/3/3 || n > count/3*2/3 {
					t.Errorf("%d of %d polling sessions are left at half time", n, len(polls))
				}
			}
			time.Sleep(time.Second)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if got := time.Since(start); got > 41*time.Second {
			t.Errorf("took %v", got)
		}
		if !s.engine.Draining() {
			t.Error("not Draining after Drain")
		}
	})
}

func openPolls(s *server, polls []*poller) (n int) {
	for _, p := range polls {
		if s.engine.Session(p.sid) != nil {
			n++
		}
	}
	return n
}

// Who does not fetch his close packet is left when the time is over, and who has not been told to go is served on.
func TestDrainDeadline(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *server) {
		s.onMessage = echo
		p := s.poll()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		start := time.Now()
		if err := s.engine.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the deadline", err)
		}
		if got := time.Since(start); got != 5*time.Second {
			t.Errorf("took %v, want 5s", got)
		}
		p.peer.expectOpen()
		p.startGet().expect(200, "1")
		p.peer.expectClosed("server shutting down")
		if r := s.get(pollingQuery); r.status != 503 || r.header.Get("Retry-After") == "" {
			t.Errorf("handshake after draining: %v", r)
		}
	})
	inBubble(t, nil, func(t *testing.T, s *server) {
		s.onMessage = echo
		one, other := s.ws(), s.ws()
		ctx, cancel := context.WithCancel(context.Background())
		deadline, cancelDeadline := context.WithTimeout(ctx, time.Minute)
		defer cancelDeadline()
		done := make(chan error, 1)
		go func() { done <- s.engine.Drain(deadline) }()
		synctest.Wait() // the first of the two has been told
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if n := s.engine.Sessions(); n != 1 {
			t.Fatalf("%d sessions are left, want 1", n)
		}
		if one.peer.closed.len() > 0 {
			one, other = other, one
		}
		one.send("4still here")
		one.expect("4still here")
		other.peer.expectClosed("server shutting down")
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
