package client

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sockeye-io/sockeye/client/engine"
)

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f, conn := connected(t, nil)
		var d diary
		d.states(s.client)
		d.watch(s)
		s.On("slow", func(ctx context.Context, m *Message) error {
			<-ctx.Done()
			time.Sleep(time.Second)
			d.add("ended")
			return nil
		})
		conn.deliver(`2["slow"]`, `2["dropped"]`)
		waiting := call(t.Context(), s, "e")
		start := time.Now()
		if err := s.client.Close(); err != nil || time.Since(start) != time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		if r := <-waiting; r.err != ErrDisconnected {
			t.Errorf("error is %v", r.err)
		}
		conn.expect(`20["e"]`, `1`)
		d.expect(t, "slow []; closed(0); ended; disconnect io client disconnect")
		if err := s.client.Close(); err != nil {
			t.Error(err)
		}
		if err := s.Emit("e"); err != ErrClosed {
			t.Errorf("error is %v", err)
		}
		if err := s.Volatile().Emit("e"); err != ErrClosed {
			t.Errorf("error is %v", err)
		}
		if _, err := s.EmitWithAck(t.Context(), "e"); err != ErrClosed {
			t.Errorf("error is %v", err)
		}
		if err := s.Flush(t.Context()); err != ErrClosed {
			t.Errorf("error is %v", err)
		}
		s.Open()
		s.Disconnect()
		s.client.RetryNow()
		if s.Active() || f.dialing() != nil || s.client.SessionID() != "" || s.client.Transport() != "" {
			t.Error("it lives")
		}
	})
}

func TestCloseTellsWhatWasNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, retries := range []int{0, 2} {
			c, f := newFake(t, &Options{Retries: retries})
			s := c.Of("/")
			s.Open()
			s.Emit("one")
			s.Emit("two")
			waiting := call(t.Context(), s, "three")
			flush := make(chan error, 1)
			go func() { flush <- s.Flush(t.Context()) }()
			f.dialing()
			unsent, ok := errors.AsType[*UnsentError](c.Close())
			if !ok || unsent.Events != 2 {
				t.Errorf("error is %+v", unsent)
			}
			if r := <-waiting; r.err != ErrClosed {
				t.Errorf("error is %v", r.err)
			}
			if err := <-flush; err != ErrClosed {
				t.Errorf("error is %v", err)
			}
		}
		e := &UnsentError{Err: engine.ErrUnsent}
		if !errors.Is(e, engine.ErrUnsent) || e.Error() == "" {
			t.Error(e)
		}
	})
}

// Whatever of the user's code calls Close, it must not wait for itself.
func TestCloseInCallbacks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, arrange := range map[string]func(c *Client, s *Socket){
			"handler": func(c *Client, s *Socket) {
				s.On("e", func(context.Context, *Message) error { return c.Close() })
			},
			"OnConnect":    func(c *Client, s *Socket) { s.OnConnect(func() { c.Close() }) },
			"OnDisconnect": func(c *Client, s *Socket) { s.OnDisconnect(func(Reason, error) { c.Close() }) },
			"OnState":      func(c *Client, s *Socket) { c.OnState(func(Change) { c.Close() }) },
			"auth": func(c *Client, s *Socket) {
				s.SetAuth(func(context.Context) (any, error) { return nil, c.Close() })
			},
			"two at once": func(c *Client, s *Socket) {
				h := func(ctx context.Context, m *Message) error { time.Sleep(time.Second); return c.Close() }
				s.On("e", h)
				c.Of("/b").On("e", h)
			},
			"nested": func(c *Client, s *Socket) {
				var deep func(n int)
				deep = func(n int) {
					if n > 0 {
						deep(n - 1)
						return
					}
					c.Close()
				}
				s.On("e", func(context.Context, *Message) error { deep(1000); return nil })
			},
		} {
			c, f := newFake(t, nil)
			s := c.Of("/")
			arrange(c, s)
			s.Open()
			c.Of("/b").Open()
			var conn *fakeConn
			if d := f.dialing(); d != nil {
				conn = &fakeConn{t: t, accepted: make(chan struct{})}
				d.result <- conn
				synctest.Wait()
				conn.deliver(`0{"sid":"a"}`, `0/b,{"sid":"b"}`, `2["e"]`, `2/b,["e"]`)
				conn.lose()
			}
			time.Sleep(2 * time.Second)
			if err := s.Emit("e"); err != ErrClosed {
				t.Errorf("%s: error is %v", name, err)
			}
			c.Close()
		}
	})
}

// From outside, Close waits also for a handler that is itself in Close.
func TestCloseWaitsForAHandlerThatCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, conn := connected(t, nil)
		ended := false
		s.On("e", func(context.Context, *Message) error {
			s.client.Close()
			time.Sleep(time.Second)
			ended = true
			return nil
		})
		conn.deliver(`2["e"]`)
		s.client.Close()
		if !ended {
			t.Error("did not wait")
		}
	})
}

// A handler that calls Close waits for the other handlers.
func TestCloseInAHandlerWaitsForTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, conn := connected(t, nil)
		other := s.client.Of("/b")
		other.Open()
		conn.deliver(`0/b,{"sid":"b"}`)
		ended := false
		other.On("e", func(context.Context, *Message) error {
			time.Sleep(time.Second)
			ended = true
			return nil
		})
		s.On("e", func(context.Context, *Message) error {
			s.client.Close()
			if !ended {
				t.Error("did not wait")
			}
			return nil
		})
		conn.deliver(`2/b,["e"]`)
		conn.deliver(`2["e"]`)
		s.client.Close()
	})
}

// A reader that waits for room in a queue goes on when nobody wants the event any more.
func TestDisconnectWhileTheReaderWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, conn := connected(t, &Options{Queue: QueueOptions{MaxEvents: 1, Timeout: time.Hour}})
		release, read := make(chan struct{}), make(chan struct{})
		s.On("e", func(context.Context, *Message) error { <-release; return nil })
		go func() {
			for range 4 {
				conn.push(`2["e"]`)
			}
			close(read)
		}()
		synctest.Wait()
		s.Disconnect()
		<-read
		close(release)
	})
}

// A connection whose reader waits for room in a queue can be closed.
func TestCloseWhileTheReaderWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, conn := connected(t, &Options{Queue: QueueOptions{MaxEvents: 1, Timeout: time.Hour}})
		s.On("e", func(ctx context.Context, m *Message) error { <-ctx.Done(); return nil })
		go conn.push(`2["e"]`, `2["e"]`, `2["e"]`)
		synctest.Wait()
		start := time.Now()
		s.client.Close()
		if time.Since(start) != 0 {
			t.Errorf("took %v", time.Since(start))
		}
	})
}
