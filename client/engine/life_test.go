package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"

	"github.com/sockeye-io/sockeye/client/engine"
	"github.com/sockeye-io/sockeye/engineio"
)

// A connection at rest lives on heartbeats.
func TestHeartbeat(t *testing.T) {
	eachInMemory(t, nil, func(t *testing.T, s *server, transport string) {
		c, r := s.dial(nil, transport)
		p := s.accepted.pop(t)
		time.Sleep(10 * time.Minute)
		if c.Expired() {
			t.Error("expired")
		}
		send(t, c, text("still here"))
		p.expect("still here")
		if r.closed.len() > 0 {
			t.Errorf("closed: %v", r.closed.pop(t))
		}
	})
}

// A server that falls silent is given up after one interval and one timeout.
func TestPingTimeout(t *testing.T) {
	serve := func(f *frames) {
		time.Sleep(10 * time.Second)
		f.write(compile(ws.NewTextFrame([]byte("2"))))
		f.expect(ws.OpText, "3")
		_, _ = f.conn.Read(make([]byte, 1))
	}
	withFrames(t, nil, serve, func(t *testing.T, c *engine.Conn, r *recorder) {
		began := time.Now()
		r.expectClosed(engine.ReasonPingTimeout)
		if took := time.Since(began); took != 55*time.Second {
			t.Errorf("after %v", took)
		}
	})
}

func TestPingTimeoutOfPolling(t *testing.T) {
	for _, transport := range []string{engine.Polling, engine.Streaming} {
		t.Run(transport, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newMemoryServer(t, nil)
				s.around = func(w http.ResponseWriter, r *http.Request, next http.Handler) {
					_, _ = io.Copy(io.Discard, r.Body) // or net/http does not see the client leave
					if r.URL.Query().Get("sid") == "" {
						_, _ = io.WriteString(w, openPacket)
						if transport == engine.Polling {
							return
						}
						_, _ = io.WriteString(w, "\x1e")
						_ = http.NewResponseController(w).Flush()
					}
					<-r.Context().Done()
				}
				c, r := s.dial(nil, transport)
				send(t, c, text("into the void"))
				began := time.Now()
				r.expectClosed(engine.ReasonPingTimeout)
				if took := time.Since(began); took != 45*time.Second {
					t.Errorf("after %v", took)
				}
			})
		})
	}
}

// A large message that takes long is a sign of life with every piece.
func TestSlowMessage(t *testing.T) {
	serve := func(f *frames) {
		for _, b := range compile(ws.NewTextFrame([]byte("4x"))) {
			time.Sleep(20 * time.Second)
			f.write([]byte{b})
		}
		_, _ = f.conn.Read(make([]byte, 1))
	}
	withFrames(t, nil, serve, func(t *testing.T, c *engine.Conn, r *recorder) { r.expect("x") })
}

// A server that no longer reads: the outbox fills to its bound, Close gives up after
// two seconds, Abort at once.
func TestServerStopsReading(t *testing.T) {
	blocked := func(test func(t *testing.T, c *engine.Conn, r *recorder)) func(t *testing.T) {
		return func(t *testing.T) {
			withFrames(t, &engine.Options{MaxOutbox: 10_000}, func(f *frames) { time.Sleep(time.Hour) }, func(t *testing.T, c *engine.Conn, r *recorder) {
				for range 9 {
					send(t, c, text(strings.Repeat("x", 968)))
				}
				synctest.Wait()
				if c.SendVolatile(text("volatile")) {
					t.Error("a volatile message went into a full outbox")
				}
				if n := c.Buffered(); n != 9000 {
					t.Errorf("%d bytes are in the outbox", n)
				}
				if err := c.Send(text(strings.Repeat("x", 500)), text(strings.Repeat("x", 469))); err != engine.ErrOutboxFull {
					t.Errorf("Send into a full outbox: %v", err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if err := c.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("Flush: %v", err)
				}
				test(t, c, r)
			})
		}
	}
	t.Run("Close", blocked(func(t *testing.T, c *engine.Conn, r *recorder) {
		began := time.Now()
		flushed := make(chan error, 1)
		go func() { flushed <- c.Flush(t.Context()) }()
		if err := c.Close(); err != engine.ErrUnsent {
			t.Errorf("Close: %v", err)
		}
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("Close took %v", took)
		}
		r.expectClosed(engine.ReasonForcedClose)
		if err := <-flushed; err != engine.ErrClosed {
			t.Errorf("Flush: %v", err)
		}
	}))
	t.Run("Abort", blocked(func(t *testing.T, c *engine.Conn, r *recorder) {
		began := time.Now()
		c.Abort()
		r.expectClosed(engine.ReasonForcedClose)
		if took := time.Since(began); took != 0 {
			t.Errorf("Abort took %v", took)
		}
	}))
	t.Run("ping timeout", blocked(func(t *testing.T, c *engine.Conn, r *recorder) {
		r.expectClosed(engine.ReasonPingTimeout)
	}))
}

// A server that takes everything and never says goodbye.
func TestCloseWithoutAnswer(t *testing.T) {
	withFrames(t, nil, func(f *frames) { _, _ = io.Copy(io.Discard, f.conn) }, func(t *testing.T, c *engine.Conn, r *recorder) {
		send(t, c, text("x"))
		began := time.Now()
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("Close took %v", took)
		}
	})
}

// A single message that the server would not take does not cost the connection.
func TestTooLarge(t *testing.T) {
	eachInMemory(t, &engineio.Options{MaxPayload: 1000}, func(t *testing.T, s *server, transport string) {
		c, _ := s.dial(nil, transport)
		p := s.accepted.pop(t)
		largestBinary := 1000
		if transport != engine.WebSocket {
			largestBinary = 747 // 996 as base64, and the mark
		}
		fits := []engine.Message{text(strings.Repeat("x", 999)), binary(strings.Repeat("x", largestBinary))}
		for _, m := range fits {
			send(t, c, m, m)
		}
		for _, m := range fits {
			m.Data = append(m.Data, 'x')
			err := c.Send(text("not this either"), m)
			var large *engine.TooLargeError
			if !errors.As(err, &large) || large.Limit != 1000 || large.Size <= 1000 {
				t.Errorf("Send of %d bytes: %v", len(m.Data), err)
			}
			if c.SendVolatile(m) {
				t.Error("a volatile message that is too large was sent")
			}
		}
		send(t, c, text("alive"))
		for _, m := range fits {
			for range 2 {
				if got := p.messages.pop(t); got.data != string(m.Data) {
					t.Errorf("the server got %d bytes, want %d", len(got.data), len(m.Data))
				}
			}
		}
		p.expect("alive")
	})
}

// No POST has more than 16 packets or more than the server's maxPayload.
func TestPostLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemoryServer(t, &engineio.Options{MaxPayload: 1000})
		posts := newQueue[string]()
		s.around = func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if r.Method == http.MethodPost {
				b, _ := io.ReadAll(r.Body)
				posts.push(string(b))
				r.Body = io.NopCloser(strings.NewReader(string(b)))
			}
			next.ServeHTTP(w, r)
		}
		c, _ := s.dial(nil, engine.Polling)
		p := s.accepted.pop(t)
		var want []string
		var ms []engine.Message
		for i := range 200 {
			want = append(want, fmt.Sprint(i, strings.Repeat("x", i*i%900)))
			ms = append(ms, text(want[i]))
		}
		send(t, c, ms...)
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		p.expect(want...)
		full := 0
		for posts.len() > 0 {
			body := posts.pop(t)
			n := strings.Count(body, "\x1e") + 1
			if n > 16 || len(body) > 1000 {
				t.Errorf("a POST of %d packets, %d bytes", n, len(body))
			}
			if n == 16 || len(body) > 800 {
				full++
			}
		}
		if full < 10 {
			t.Errorf("only %d POSTs are full", full)
		}
	})
}

func TestSendVolatile(t *testing.T) {
	eachInMemory(t, nil, func(t *testing.T, s *server, transport string) {
		c, _ := s.dial(nil, transport)
		p := s.accepted.pop(t)
		synctest.Wait()
		if !c.SendVolatile(text("a"), text("b")) {
			t.Error("nothing waits, and yet it was not sent")
		}
		synctest.Wait()
		if !c.SendVolatile(text("d")) {
			t.Error("nothing waits any more, and yet it was not sent")
		}
		p.expect("a", "b", "d")
		c.Close()
		if c.SendVolatile(text("e")) {
			t.Error("the connection is closed, and yet it was sent")
		}
	})
}

// Close may be called from anywhere: from the receiver, from the accept function,
// from many goroutines.
func TestCloseFromInside(t *testing.T) {
	eachTransport(t, nil, func(t *testing.T, s *server, transport string) {
		s.echo = true
		run := func(name string, part func(t *testing.T)) { // there are no subtests in a bubble
			t.Log(name)
			part(t)
		}
		run("Message", func(t *testing.T) {
			r := newRecorder(t)
			conn := make(chan *engine.Conn, 1)
			r.onMessage = func(bool, []byte) {
				c := <-conn
				c.Close()
				conn <- c
			}
			c := s.dialTo(r, nil, transport)
			conn <- c
			send(t, c, text("close"))
			r.expectClosed(engine.ReasonForcedClose)
		})
		run("Closed", func(t *testing.T) {
			r := newRecorder(t)
			conn := make(chan *engine.Conn, 1)
			r.onClosed = func() { (<-conn).Close() }
			c := s.dialTo(r, nil, transport)
			conn <- c
			c.Close()
			r.expectClosed(engine.ReasonForcedClose)
		})
		for name, end := range map[string]func(*engine.Conn){
			"accept":       func(c *engine.Conn) { c.Close() },
			"accept abort": func(c *engine.Conn) { c.Abort() },
		} {
			run(name, func(t *testing.T) {
				r := newRecorder(t)
				c, err := engine.Dial(t.Context(), s.url, s.options(nil, transport), func(c *engine.Conn) engine.Receiver {
					if err := c.Send(text("from accept")); err != nil {
						t.Error(err)
					}
					end(c)
					return r
				})
				if err != nil {
					t.Fatal(err)
				}
				r.expectClosed(engine.ReasonForcedClose)
				c.Close()
			})
		}
		run("many", func(t *testing.T) {
			c, r := s.dial(nil, transport)
			var all sync.WaitGroup
			for i := range 8 {
				all.Go(func() {
					if i == 3 {
						c.Abort()
					}
					c.Close()
					if r.closed.len() != 1 {
						t.Error("Close returned before Closed")
					}
				})
			}
			all.Wait()
		})
	})
}

// Messages are delivered one at a time, and what the receiver does not take waits in
// the network.
func TestSlowReceiver(t *testing.T) {
	eachTransport(t, nil, func(t *testing.T, s *server, transport string) {
		r := newRecorder(t)
		next := make(chan struct{})
		seen := newQueue[string]()
		r.onMessage = func(_ bool, data []byte) {
			<-next
			seen.push(string(data))
		}
		s.dialTo(r, nil, transport)
		p := s.accepted.pop(t)
		for i := range 50 {
			p.send(false, fmt.Sprint(i))
		}
		for i := range 50 {
			next <- struct{}{}
			if got := seen.pop(t); got != fmt.Sprint(i) {
				t.Fatalf("got %s, want %d", got, i)
			}
		}
	})
}

// cutter cuts connections.
type cutter struct {
	mu    sync.Mutex
	conns []net.Conn
}

func (k *cutter) watch(transport *http.Transport) {
	dial := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err == nil {
			k.mu.Lock()
			k.conns = append(k.conns, conn)
			k.mu.Unlock()
		}
		return conn, err
	}
}

func (k *cutter) cut() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, conn := range k.conns {
		conn.Close()
	}
	k.conns = nil
}

// A network that cuts connections after the same silence twice is met with
// heartbeats: by those of the server, which is asked for them.
func TestHeartbeatMemory(t *testing.T) {
	for name, test := range map[string]struct{ idle, want time.Duration }{
		"granted by the server": {8 * time.Second, 4 * time.Second},
		"below its minimum":     {1600 * time.Millisecond, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newMemoryServer(t, nil)
				var network cutter
				network.watch(s.client.Transport.(*http.Transport))
				opts := &engine.Options{Memory: new(engine.Memory)}
				for range 2 {
					c, r := s.dial(opts)
					if c.PingInterval() != 25*time.Second {
						t.Errorf("interval %v", c.PingInterval())
					}
					time.Sleep(test.idle)
					network.cut()
					synctest.Wait()
					if r.closed.len() != 1 {
						t.Fatal("not closed")
					}
				}
				c, r := s.dial(opts)
				if c.PingInterval() != test.want {
					t.Errorf("interval %v, want %v", c.PingInterval(), test.want)
				}
				time.Sleep(time.Minute)
				if r.closed.len() > 0 {
					t.Error("closed")
				}
				opts.Memory.Forget()
				c, _ = s.dial(opts)
				if c.PingInterval() != 25*time.Second {
					t.Errorf("interval %v, forgotten", c.PingInterval())
				}
			})
		})
	}
}

// A server that does not grant heartbeats gets an empty packet instead.
func TestKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemoryServer(t, nil)
		var network cutter
		network.watch(s.client.Transport.(*http.Transport))
		var asked atomic.Value
		said := newQueue[string]()
		s.around = func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			asked.Store(r.URL.Query().Get("heartbeat"))
			conn := hijackWebSocket(t, w, r)
			defer conn.Close()
			_, _ = conn.Write(compile(ws.NewTextFrame([]byte(openPacket))))
			for {
				_, payload, err := readFrame(conn)
				if err != nil {
					return
				}
				said.push(payload)
			}
		}
		opts := &engine.Options{Memory: new(engine.Memory)}
		for range 2 {
			s.dial(opts, engine.WebSocket)
			time.Sleep(8 * time.Second)
			network.cut()
			synctest.Wait()
		}
		c, _ := s.dial(opts, engine.WebSocket)
		time.Sleep(13 * time.Second)
		if asked.Load() != "4000" || said.len() != 3 {
			t.Errorf("asked for %q, said %d things", asked.Load(), said.len())
		}
		for said.len() > 0 {
			if got := said.pop(t); got != "6" {
				t.Errorf("said %q", got)
			}
		}
		c.Abort()
	})
}

// A WebSocket that used to work gets another chance when the server has started.
func TestSecondChance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemoryServer(t, nil)
		var starting atomic.Bool
		s.around = func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if r.Header.Get("Upgrade") != "" && starting.Swap(false) {
				http.Error(w, "starting", http.StatusBadGateway)
				return
			}
			next.ServeHTTP(w, r)
		}
		opts := &engine.Options{Memory: new(engine.Memory)}
		c, _ := s.dial(opts)
		c.Close()
		starting.Store(true)
		c, _ = s.dial(opts)
		synctest.Wait()
		time.Sleep(time.Second)
		if c.Transport() != engine.WebSocket {
			t.Errorf("%s; %+v", c.Transport(), c.Attempts())
		}
		c.Close()
		c, _ = s.dial(opts)
		if a := c.Attempts(); c.Transport() != engine.WebSocket || len(a) != 1 {
			t.Errorf("%+v", a)
		}
	})
}
