package client_test

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/sockeye-io/sockeye/client"
	"github.com/sockeye-io/sockeye/socketio"
)

// A cutter passes bytes on to a server and cuts connections in the middle of what they carry.
type cutter struct {
	listener net.Listener
	target   string
	mu       sync.Mutex
	conns    map[net.Conn]bool
	accepted int
	whole    bool // cuts no more
	work     sync.WaitGroup
}

func newCutter(t *testing.T, target string) *cutter {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{listener: l, target: u.Host, conns: make(map[net.Conn]bool)}
	c.work.Go(c.serve)
	t.Cleanup(func() {
		l.Close()
		c.cutAll()
		c.work.Wait()
	})
	return c
}

func (c *cutter) url() string { return "http://" + c.listener.Addr().String() }

func (c *cutter) serve() {
	for {
		near, err := c.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", c.target)
		if err != nil {
			near.Close()
			continue
		}
		c.mu.Lock()
		c.conns[near], c.conns[far] = true, true
		c.accepted++
		c.mu.Unlock()
		c.work.Go(func() { c.pass(near, far) })
		c.work.Go(func() { c.pass(far, near) })
	}
}

// pass copies bytes until the end, or until it has copied so many that the connection is cut.
func (c *cutter) pass(to, from net.Conn) {
	var r io.Reader = from
	c.mu.Lock()
	whole := c.whole
	c.mu.Unlock()
	if !whole {
		r = io.LimitReader(from, 200+rand.Int64N(2500))
	}
	io.Copy(to, r)
	to.Close()
	from.Close()
	c.mu.Lock()
	delete(c.conns, to)
	delete(c.conns, from)
	c.mu.Unlock()
}

func (c *cutter) cutAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.conns {
		conn.Close()
	}
}

// stop cuts once more and then no more.
func (c *cutter) stop() {
	c.mu.Lock()
	c.whole = true
	c.mu.Unlock()
	c.cutAll()
}

func (c *cutter) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.accepted
}

// impatient reconnects at once.
func impatient(o client.Options) *client.Options {
	o.Reconnect.Delay, o.Reconnect.MaxDelay = time.Millisecond, 5*time.Millisecond
	return &o
}

// Events that are sent until they are acknowledged, over connections that are cut all the time, are handled once and in
// order.
func TestExactlyOnce(t *testing.T) {
	const events = 200
	transports(t, func(t *testing.T, opts *client.Options) {
		server, target := serve(t, nil)
		server.Use(socketio.DropRepeats(nil))
		var mu sync.Mutex
		var up []int
		server.OnConnection(func(s *socketio.Socket) {
			number.On(s, func(ctx context.Context, n int) error {
				mu.Lock()
				defer mu.Unlock()
				up = append(up, n)
				return nil
			})
			double.On(s, func(ctx context.Context, n int) (int, error) {
				mu.Lock()
				defer mu.Unlock()
				up = append(up, n)
				return 2 * n, nil
			})
		})
		c := newCutter(t, target)
		opts.Retries, opts.AckTimeout = 1_000_000, 200*time.Millisecond
		opts.Buffer.MaxEvents = events
		cl, err := client.New(c.url(), impatient(*opts))
		if err != nil {
			t.Fatal(err)
		}
		defer cl.Close()
		s := cl.Of("/")
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		for n := range events {
			if n%10 > 0 {
				if err := number.Emit(s, n); err != nil {
					t.Fatal(err)
				}
			} else if twice, err := double.Call(t.Context(), s, n); err != nil || twice != 2*n {
				t.Fatalf("%d: %d, %v", n, twice, err)
			}
		}
		if err := s.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.stop()
		t.Logf("%d connections", c.count())
		mu.Lock()
		defer mu.Unlock()
		if len(up) != events {
			t.Errorf("%d events were handled", len(up))
		}
		for i, n := range up {
			if n != i {
				t.Fatalf("event %d came at place %d: %v", n, i, up)
			}
		}
	})
}

// Events that the server sends again to clients that come back, over connections that are cut all the time, are received
// once and in order.
func TestRecoveryOverCutConnections(t *testing.T) {
	transports(t, func(t *testing.T, opts *client.Options) {
		events := 500
		if opts.Transports[0] == "polling" {
			events = 60 // the server takes up to 2 s to make sure that a poller is gone
		}
		server, target := serve(t, &socketio.Options{Recovery: &socketio.RecoveryOptions{}})
		server.OnConnection(func(s *socketio.Socket) {
			if s.Recovered() {
				return
			}
			go func() {
				for n := range events {
					number.Emit(server.In(s.ID()), n)
				}
			}()
		})
		c := newCutter(t, target)
		cl, err := client.New(c.url(), impatient(*opts))
		if err != nil {
			t.Fatal(err)
		}
		defer cl.Close()
		s := cl.Of("/")
		received := make(chan int, 2*events)
		fresh := 0
		number.On(s, func(ctx context.Context, n int) error { received <- n; return nil })
		s.OnConnect(func() {
			if !s.Recovered() {
				fresh++
			}
		})
		s.Open()
		for want := range events {
			if n := <-received; n != want {
				t.Fatalf("received %d, want %d", n, want)
			}
		}
		c.stop()
		cl.Close()
		t.Logf("%d connections", c.count())
		if fresh != 1 || len(received) > 0 {
			t.Errorf("%d sessions, %d events too many", fresh, len(received))
		}
	})
}
