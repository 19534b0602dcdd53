package tunnel_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/sockeye-io/sockeye/client"
	"github.com/sockeye-io/sockeye/peers"
	"github.com/sockeye-io/sockeye/peers/tunnel"
	"github.com/sockeye-io/sockeye/socketio"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var secret = []byte("sixteen bytes or more")

// A bus is a broker that can lose what it is given.
type bus struct {
	mu   sync.Mutex
	to   map[string]chan []byte
	lose atomic.Int32                         // so many
	cut  atomic.Bool                          // all
	tap  atomic.Pointer[func(string, []byte)] // sees all
}

func newBus() *bus { return &bus{to: make(map[string]chan []byte)} }

func (b *bus) Send(to string, payload []byte) error {
	if tap := b.tap.Load(); tap != nil {
		(*tap)(to, payload)
	}
	if b.cut.Load() || b.lose.Add(-1) >= 0 {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if c := b.to[to]; c != nil {
		select {
		case c <- payload:
		default:
			return errors.New("full")
		}
	}
	return nil
}

func (b *bus) Receive(id string, f func([]byte)) (func(), error) {
	c := make(chan []byte, 1<<16)
	b.mu.Lock()
	b.to[id] = c
	b.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for m := range c {
			f(m)
		}
	}()
	return func() {
		b.mu.Lock()
		delete(b.to, id)
		close(c)
		b.mu.Unlock()
		<-done
	}, nil
}

func open(t *testing.T, b *bus, id string, h http.Handler, key []byte) *tunnel.Tunnel {
	t.Helper()
	x, err := tunnel.New(tunnel.Options{ID: id, Bus: b, Secret: key, Handler: h, MaxConns: 100, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// All transports work between servers that have only the broker in common, whichever server a request reaches.
func TestTransports(t *testing.T) {
	for name, base := range map[string]string{"no address": peers.ViaBroker, "address that refuses": "http://127.0.0.1:1"} {
		t.Run(name, func(t *testing.T) {
			b := newBus()
			var urls []string
			var servers []*peers.Peers
			for i := range 3 {
				id := string(rune('A' + i))
				carrier := new(late)
				p, err := peers.New(peers.Options{ID: id, Secret: secret, Carrier: carrier, Logger: slog.New(slog.DiscardHandler),
					Directory: peers.Static{"A": base, "B": base, "C": base}})
				if err != nil {
					t.Fatal(err)
				}
				o := new(socketio.Options)
				p.Configure(&o.Engine)
				sio := socketio.NewServer(o)
				sio.OnConnection(func(s *socketio.Socket) {
					s.On("echo", func(_ context.Context, m *socketio.Message) error {
						var v any
						if err := m.Bind(&v); err != nil {
							return err
						}
						return m.Ack(v)
					})
				})
				carrier.Tunnel = open(t, b, id, sio, secret)
				srv := httptest.NewServer(sio)
				urls = append(urls, srv.URL)
				servers = append(servers, p)
				t.Cleanup(func() {
					_ = sio.Close()
					srv.CloseClientConnections()
					srv.Close()
					_ = carrier.Close()
					_ = p.Close()
				})
			}
			var turn atomic.Int64
			transport := new(http.Transport)
			front := httptest.NewServer(&httputil.ReverseProxy{
				Rewrite: func(r *httputil.ProxyRequest) {
					target, _ := url.Parse(urls[int(turn.Add(1))%len(urls)])
					r.SetURL(target)
				},
				Transport: transport, FlushInterval: -1,
			})
			t.Cleanup(func() {
				front.CloseClientConnections()
				front.Close()
				transport.CloseIdleConnections()
			})
			for _, transports := range [][]string{{"polling"}, {"streaming"}, {"websocket"}, {"polling", "websocket"}, {"streaming", "websocket"}} {
				for range 3 {
					s, err := client.Dial(t.Context(), front.URL, &client.Options{Transports: transports})
					if err != nil {
						t.Fatal(transports, err)
					}
					for j := range 20 {
						want := fmt.Sprint(j, string(bytes.Repeat([]byte("x"), j*j*100)))
						ack, err := s.EmitWithAck(t.Context(), "echo", want)
						if err != nil {
							t.Fatal(transports, err)
						}
						var got string
						if err := ack.Bind(&got); err != nil || got != want {
							t.Fatalf("%v: %d bytes, %v", transports, len(got), err)
						}
					}
					_ = s.Client().Close()
				}
			}
			for _, p := range servers {
				if s := p.Stats(); s.Carried == 0 || s.Unreachable+s.Unknown+s.Rejected != 0 {
					t.Errorf("%s: %+v", p.ID(), s)
				}
			}
		})
	}
}

type late struct{ *tunnel.Tunnel }

// pair returns a tunnel A and what client requests to a server B, which echoes bodies, go by.
func pair(t *testing.T, b *bus) (a, other *tunnel.Tunnel) {
	t.Helper()
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		_, _ = io.Copy(w, r.Body)
	})
	return open(t, b, "A", echo, secret), open(t, b, "B", echo, secret)
}

func exchange(ctx context.Context, a *tunnel.Tunnel, body []byte) ([]byte, error) {
	c, err := a.Dial(ctx, "B")
	if err != nil {
		return nil, err
	}
	defer c.Close()
	go func() { _, _ = fmt.Fprintf(c, "POST / HTTP/1.0\r\nContent-Length: %d\r\n\r\n%s", len(body), body) }()
	all, err := io.ReadAll(c)
	if _, rest, ok := bytes.Cut(all, []byte("\r\n\r\n")); ok {
		return rest, err
	}
	return nil, errors.Join(err, errors.New("no answer"))
}

// What is lost ends the connections. Nothing is ever read with a hole in it.
func TestLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBus()
		x, y := pair(t, b)
		body := make([]byte, 3<<20) // several windows
		rand.Read(body)
		if got, err := exchange(t.Context(), x, body); err != nil || !bytes.Equal(got, body) {
			t.Fatalf("%d of %d bytes, %v", len(got), len(body), err)
		}
		for skip := range 40 {
			var n atomic.Int32
			tap := func(string, []byte) {
				if n.Add(1) == int32(skip) {
					b.lose.Store(1)
				}
			}
			b.tap.Store(&tap)
			got, err := exchange(t.Context(), x, body)
			if skip > 0 && err == nil && !bytes.Equal(got, body) || !bytes.HasPrefix(body, got) {
				t.Fatalf("message %d lost: %d bytes, %v", skip, len(got), err)
			}
			b.tap.Store(nil)
			b.lose.Store(0)
			time.Sleep(time.Minute) // what is wrong is noticed, and gone
			if got, err := exchange(t.Context(), x, body[:1000]); err != nil || len(got) != 1000 {
				t.Fatalf("after message %d was lost: %d bytes, %v", skip, len(got), err)
			}
		}
		_ = x.Close()
		_ = y.Close()
	})
}

// A server that says nothing more is gone within 10 seconds, for who reads and for who writes.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBus()
		x, y := pair(t, b)
		c, err := x.Dial(t.Context(), "B")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour) // idle is not gone; though B's HTTP server would like a request
		c.Close()
		if c, err = x.Dial(t.Context(), "B"); err != nil {
			t.Fatal(err)
		}
		b.cut.Store(true)
		start := time.Now()
		if _, err := c.Read(make([]byte, 1)); err == nil || time.Since(start) > 10*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if _, err := c.Write([]byte("x")); err == nil {
			t.Error("written to a server that is gone")
		}
		start = time.Now()
		if _, err := x.Dial(t.Context(), "B"); err == nil || time.Since(start) > 3*time.Second {
			t.Errorf("dialled: %v after %v", err, time.Since(start))
		}
		_ = c.Close()
		_ = x.Close()
		_ = y.Close()
	})
}

// Who does not have the secret gets nowhere, nor does what is sent again.
func TestForged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBus()
		var served atomic.Int32
		count := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served.Add(1) })
		y := open(t, b, "B", count, secret)
		stranger := open(t, b, "A", count, []byte("another secret of theirs"))
		if _, err := stranger.Dial(t.Context(), "B"); err == nil {
			t.Error("connected without the secret")
		}
		_ = stranger.Close()

		x := open(t, b, "A", count, secret)
		var mu sync.Mutex
		var recorded [][]byte
		tap := func(to string, m []byte) {
			mu.Lock()
			defer mu.Unlock()
			if to == "B" {
				recorded = append(recorded, bytes.Clone(m))
			}
		}
		b.tap.Store(&tap)
		if _, err := exchange(t.Context(), x, []byte("x")); err != nil {
			t.Fatal(err)
		}
		b.tap.Store(nil)
		again := func() {
			for _, m := range recorded {
				_ = b.Send("B", m)
			}
			synctest.Wait()
		}
		again() // while the link is there
		_ = x.Close()
		synctest.Wait()
		again() // when it is not
		for i := range recorded {
			for j := range recorded[i] {
				bad := bytes.Clone(recorded[i])
				bad[j] ^= 1
				_ = b.Send("B", bad)
				_ = b.Send("B", bad[:j])
			}
		}
		time.Sleep(time.Minute)
		if served.Load() != 1 {
			t.Errorf("served %d times", served.Load())
		}
		_ = y.Close()
	})
}

// Connections are limited, and who is refused does no harm to others.
func TestTooMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, y := pair(t, newBus())
		for i := range 101 {
			_, err := x.Dial(t.Context(), "B")
			if want := i == 100; errors.Is(err, tunnel.ErrTooMany) != want {
				t.Errorf("connection %d: %v", i, err)
			}
		}
		_ = x.Close()
		_ = y.Close()
	})
}
