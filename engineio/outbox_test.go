package engineio_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sockeye-io/sockeye/engineio"
)

func outbox(max int, policy engineio.OverflowPolicy) *engineio.Options {
	return &engineio.Options{Outbox: engineio.OutboxOptions{MaxBytes: max, Policy: policy}}
}

func TestOutboxDisconnects(t *testing.T) {
	inBubble(t, outbox(10_000, engineio.PolicyDisconnect), func(t *testing.T, s *server) {
		p := s.poll()
		kilobyte := textMessage(repeat("x", 1000))
		var err error
		n := 0
		for ; err == nil && n < 100; n++ {
			if got := p.peer.Buffered(); got > 10_000 {
				t.Errorf("%d bytes wait", got)
			}
			err = p.peer.Send(kilobyte)
		}
		if !errors.Is(err, engineio.ErrOutboxFull) || n < 8 || n > 11 {
			t.Errorf("Send %d: %v, want ErrOutboxFull after about ten", n, err)
		}
		if err := p.peer.expectClosed("outbox full"); !errors.Is(err, engineio.ErrOutboxFull) {
			t.Errorf("closed with %v", err)
		}
		if err := p.peer.Send(kilobyte); !errors.Is(err, engineio.ErrClosed) {
			t.Errorf("Send afterwards: %v, want ErrClosed", err)
		}
		if st := s.engine.Stats(); st.OutboxFull != 1 || st.Dropped != 1 || st.Sessions != 0 {
			t.Errorf("Stats %+v", st)
		}
		p.expectGone()
	})
}

func TestOutboxDropsNewest(t *testing.T) {
	inBubble(t, outbox(10_000, engineio.PolicyDropNewest), func(t *testing.T, s *server) {
		p := s.poll()
		accepted := 0
		for i := range 50 {
			switch err := p.peer.Send(textMessage(fmt.Sprintf("%04d%996s", i, ""))); {
			case err == nil:
				if i != accepted {
					t.Errorf("message %d was taken after one was dropped", i)
				}
				accepted++
			case !errors.Is(err, engineio.ErrOutboxFull):
				t.Fatal(err)
			}
		}
		if accepted < 8 || accepted > 10 {
			t.Errorf("%d messages were taken, want about ten", accepted)
		}
		p.peer.expectOpen()
		for i := 0; i < accepted; i++ {
			if i == 0 {
				if r := p.startGet().wait(); len(r.body) < 1000*(accepted-1) || r.body[:5] != "40000" {
					t.Errorf("got %d bytes %.10q", len(r.body), r.body)
				}
			}
		}
		if st := s.engine.Stats(); st.Dropped != int64(50-accepted) || st.OutboxFull != 0 {
			t.Errorf("Stats %+v", st)
		}
		p.peer.sendText("room again")
		p.expectPoll("4room again")
	})
}

// All messages of a Send are queued or none.
func TestSendIsAtomic(t *testing.T) {
	inBubble(t, outbox(5_000, engineio.PolicyDropNewest), func(t *testing.T, s *server) {
		p := s.poll()
		p.peer.sendText("first")
		kilobyte := textMessage(repeat("x", 1000))
		if err := p.peer.Send(kilobyte, kilobyte, kilobyte, kilobyte, kilobyte, kilobyte); !errors.Is(err, engineio.ErrOutboxFull) {
			t.Errorf("Send of too much: %v", err)
		}
		p.peer.sendText("second")
		p.expectPoll("4first\x1e4second")
	})
}

// A message that is larger than the limit could never be sent: it is taken when nothing
// else waits.
func TestOutboxTakesOneLargeMessage(t *testing.T) {
	inBubble(t, outbox(1_000, engineio.PolicyDisconnect), func(t *testing.T, s *server) {
		p := s.poll()
		p.peer.sendText(repeat("x", 5_000))
		p.expectPoll("4" + repeat("x", 5_000))
		p.peer.expectOpen()
	})
}

func TestSendContextWaits(t *testing.T) {
	inBubble(t, outbox(3_000, engineio.PolicyDisconnect), func(t *testing.T, s *server) {
		p := s.poll()
		const total = 20
		done := make(chan error, 1)
		go func() {
			for i := range total {
				if err := p.peer.SendContext(s.within(), textMessage(fmt.Sprintf("%04d%996s", i, ""))); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
		for next := 0; next < total; {
			synctest.Wait()
			r := p.startGet().wait()
			for len(r.body) > 0 {
				if want := fmt.Sprintf("4%04d", next); r.body[:5] != want {
					t.Fatalf("got %.10q, want %q", r.body, want)
				}
				r.body = r.body[min(len(r.body), 1002):]
				next++
			}
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		p.peer.expectOpen()
	})
}

func TestSendContextGivesUp(t *testing.T) {
	inBubble(t, outbox(1_000, engineio.PolicyDisconnect), func(t *testing.T, s *server) {
		p := s.poll()
		kilobyte := textMessage(repeat("x", 1000))
		p.peer.sendText(repeat("x", 1000))
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := p.peer.SendContext(ctx, kilobyte); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the deadline", err)
		}
		p.peer.expectOpen()
		// The end of the session wakes who waits.
		done := make(chan error, 1)
		go func() { done <- p.peer.SendContext(context.Background(), kilobyte) }()
		synctest.Wait()
		p.peer.Abort()
		if err := <-done; !errors.Is(err, engineio.ErrClosed) {
			t.Errorf("got %v, want ErrClosed", err)
		}
	})
}

// A client that reads nothing is cut off at the limit, and nobody waits for it.
func TestAttackSlowReader(t *testing.T) {
	for _, transport := range []string{"websocket", "streaming"} {
		t.Run(transport, func(t *testing.T) {
			s := newServer(t, outbox(200_000, engineio.PolicyDisconnect))
			s.dial = s.dialAndIgnore()
			query := wsQuery
			request := upgradeRequest(query)
			if transport == "streaming" {
				request = "GET " + path + "?" + streamQuery + " HTTP/1.1\r\nHost: x\r\n\r\n"
			}
			conn, err := s.dial()
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := conn.Write([]byte(request)); err != nil {
				t.Fatal(err)
			}
			slow := s.nextPeer()
			m := textMessage(repeat("x", 10_000))
			// The sockets' own buffers take some megabytes first.
			for i := 0; ; i++ {
				if err := slow.Send(m); err != nil {
					if !errors.Is(err, engineio.ErrOutboxFull) {
						t.Errorf("Send: %v", err)
					}
					break
				}
				if i > 10_000 {
					t.Fatal("100 MB were taken for a client that does not read")
				}
			}
			slow.expectClosed("outbox full")
			if st := s.engine.Stats(); st.Sessions != 0 || st.OutboxFull != 1 {
				t.Errorf("Stats %+v", st)
			}
		})
	}
}

// dialAndIgnore connects with a small window and never reads.
func (s *server) dialAndIgnore() func() (net.Conn, error) {
	dial := s.dial
	return func() (net.Conn, error) {
		c, err := dial()
		if tcp, ok := c.(*net.TCPConn); ok {
			err = tcp.SetReadBuffer(4 << 10)
		}
		return c, err
	}
}

// One slow reader in a crowd: the others get everything.
func TestSlowReaderDoesNotDelayOthers(t *testing.T) {
	s := newServer(t, outbox(100_000, engineio.PolicyDropNewest))
	conn, err := s.dialAndIgnore()()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(upgradeRequest(wsQuery))); err != nil {
		t.Fatal(err)
	}
	slow := s.nextPeer()
	var others []*wsClient
	for range 5 {
		others = append(others, s.ws())
	}
	const total = 400
	for i := range total {
		m := textMessage(fmt.Sprintf("%04d%29996s", i, ""))
		_ = slow.Send(m) // full from some point on
		for _, c := range others {
			if err := c.peer.SendContext(s.within(), m); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range others {
		for i := range total {
			if f := c.next(); string(f.Payload[:5]) != fmt.Sprintf("4%04d", i) {
				t.Fatalf("got %.10q, want message %d", f.Payload, i)
			}
		}
	}
	if s.engine.Stats().Dropped == 0 {
		t.Error("nothing was dropped: the slow reader was not slow")
	}
	slow.expectOpen()
	slow.Abort()
	slow.expectClosed(engineio.ReasonForcedClose)
}

func TestFlush(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *server) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		p := s.poll()
		if err := p.peer.Flush(ctx); err != nil {
			t.Errorf("nothing waits: %v", err)
		}
		p.peer.sendText("a")
		if err := p.peer.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("nobody polls: %v", err)
		}
		done := make(chan error, 1)
		go func() { done <- p.peer.Flush(context.Background()) }()
		synctest.Wait()
		p.expectPoll("4a")
		if err := <-done; err != nil {
			t.Errorf("it was fetched: %v", err)
		}
		p.peer.sendText("b")
		go func() { done <- p.peer.Flush(context.Background()) }()
		synctest.Wait()
		p.peer.Abort()
		if err := <-done; !errors.Is(err, engineio.ErrClosed) {
			t.Errorf("the session ended: %v", err)
		}
	})
}

// A producer that flushes gets more through than fits the outbox.
func TestFlushOnWebSocket(t *testing.T) {
	s := newServer(t, outbox(10_000, engineio.PolicyDisconnect))
	c := s.ws()
	const count = 200
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range count {
			if err := c.peer.Send(textMessage(fmt.Sprintf("%04d%5000s", i, ""))); err != nil {
				t.Errorf("message %d: %v", i, err)
			}
			if err := c.peer.Flush(context.Background()); err != nil {
				t.Errorf("message %d: %v", i, err)
			}
		}
	}()
	for i := range count {
		if got := string(c.next().Payload[:5]); got != fmt.Sprintf("4%04d", i) {
			t.Fatalf("got %s, want message %d", got, i)
		}
	}
	<-done // the last Flush returns before the session ends
}
