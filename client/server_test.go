package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sockeye-io/sockeye/client"
	"github.com/sockeye-io/sockeye/client/engine"
	"github.com/sockeye-io/sockeye/event"
	"github.com/sockeye-io/sockeye/socketio"
	"github.com/sockeye-io/sockeye/socketio/packet"
	"github.com/sockeye-io/sockeye/sockeyetest"
)

// The tests of this file run against the real server.

// serve starts a server that ends with the test.
func serve(t *testing.T, opts *socketio.Options) (io *socketio.Server, url string) {
	t.Helper()
	io = socketio.NewServer(opts)
	ts := httptest.NewServer(io)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		io.Shutdown(ctx)
		ts.CloseClientConnections()
		ts.Close()
	})
	return io, ts.URL
}

// dial connects and closes with the test.
func dial(t *testing.T, url string, opts *client.Options) *client.Socket {
	t.Helper()
	s, err := client.Dial(t.Context(), url, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Client().Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// transports runs a test over each of them.
func transports(t *testing.T, f func(t *testing.T, opts *client.Options)) {
	for _, name := range []string{"websocket", "polling", "streaming"} {
		t.Run(name, func(t *testing.T) { f(t, &client.Options{Transports: []string{name}}) })
	}
}

var (
	said  = event.New[string]("said")
	add   = event.NewCall[[]int, int]("add")
	bytes = event.NewCall[[]byte, []byte]("bytes")

	number = event.New[int]("number")
	double = event.NewCall[int, int]("double")
)

func TestEcho(t *testing.T) {
	transports(t, func(t *testing.T, opts *client.Options) {
		io, url := serve(t, nil)
		io.OnConnection(func(s *socketio.Socket) {
			said.On(s, func(ctx context.Context, text string) error { return said.Emit(s, text+"!") })
			add.On(s, func(ctx context.Context, n []int) (int, error) { return n[0] + n[1], nil })
			bytes.On(s, func(ctx context.Context, b []byte) ([]byte, error) { return append(b, 7), nil })
		})
		s := dial(t, url, opts)
		heard := make(chan string, 1)
		said.On(s, func(ctx context.Context, text string) error { heard <- text; return nil })
		if err := said.Emit(s, "hello"); err != nil {
			t.Fatal(err)
		}
		if text := <-heard; text != "hello!" {
			t.Errorf("heard %q", text)
		}
		if sum, err := add.Call(t.Context(), s, []int{1, 2}); sum != 3 || err != nil {
			t.Errorf("sum is %d, %v", sum, err)
		}
		if b, err := bytes.Call(t.Context(), s, []byte{1}); len(b) != 2 || err != nil {
			t.Errorf("bytes are %v, %v", b, err)
		}
		if s.ID() == "" || !s.Connected() || !s.Active() || s.Client().Transport() != opts.Transports[0] {
			t.Errorf("id %q, connected %v, transport %q", s.ID(), s.Connected(), s.Client().Transport())
		}
	})
}

func TestDialErrors(t *testing.T) {
	io, url := serve(t, nil)
	io.Of("/members").Use(func(ctx context.Context, s *socketio.Socket) error {
		var auth struct{ Token string }
		if err := s.Auth(&auth); err != nil {
			return err
		}
		if auth.Token != "right" {
			return &socketio.ConnectError{Message: "no entry", Data: map[string]int{"code": 7}}
		}
		return nil
	})
	token := func(token string) *client.Options {
		return &client.Options{Auth: func(context.Context) (any, error) { return map[string]string{"token": token}, nil }}
	}
	var data struct{ Code int }
	_, err := client.Dial(t.Context(), url+"/members", token("wrong"))
	refused, ok := errors.AsType[*client.ConnectError](err)
	if !ok || refused.Message != "no entry" || refused.Bind(&data) != nil || data.Code != 7 {
		t.Errorf("error is %v with %v", err, data)
	}
	_, err = client.Dial(t.Context(), url+"/nowhere", nil)
	if refused, ok := errors.AsType[*client.ConnectError](err); !ok || refused.Message != "Invalid namespace" {
		t.Errorf("error is %v", err)
	}
	if s := dial(t, url+"/members?x=1", token("right")); s.Namespace() != "/members" {
		t.Errorf("joined %s", s.Namespace())
	}

	page := httptest.NewServer(http.NotFoundHandler())
	defer page.Close()
	_, err = client.Dial(t.Context(), page.URL, nil)
	if _, ok := errors.AsType[*engine.DialError](err); !ok {
		t.Errorf("error is %v", err)
	}
	busy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer busy.Close()
	_, err = client.Dial(t.Context(), busy.URL, nil)
	if refused, ok := errors.AsType[*engine.RefusedError](err); !ok || refused.RetryAfter != 7*time.Second {
		t.Errorf("error is %v", err)
	}
	hanging := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { <-hanging }))
	defer slow.Close()
	defer close(hanging)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err = client.Dial(ctx, slow.URL, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error is %v", err)
	}
	_, err = client.Dial(t.Context(), slow.URL, &client.Options{ConnectTimeout: 50 * time.Millisecond})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error of an attempt that takes too long is %v", err)
	}
	for _, url := range []string{"ftp://x", "http://", "x", "http://[", ""} {
		if _, err := client.New(url, nil); err == nil {
			t.Errorf("%q is a URL", url)
		}
	}
}

// The time that a caller gives is for all transports.
func TestDialSharesItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		io := socketio.NewServer(nil)
		srv := sockeyetest.Start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Get("transport") == "websocket" {
				<-r.Context().Done()
				return
			}
			io.ServeHTTP(w, r)
		}), io)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second) // less than AttemptTimeout
		defer cancel()
		s, err := client.Dial(ctx, srv.URL(), &client.Options{HTTPClient: srv.HTTP()})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Client().Close()
		if got := s.Client().Transport(); got != "polling" {
			t.Errorf("connected over %s", got)
		}
	})
}

func TestOptionsThatAreWrong(t *testing.T) {
	for _, o := range []client.Options{
		{AttemptTimeout: -1}, {Retries: -1}, {Buffer: client.BufferOptions{Policy: 9}}, {Format: 9}, {Transports: []string{}},
		{Transports: []string{"pigeon"}}, {Transports: []string{"polling", "polling"}}, {Limits: packet.Limits{MaxAttachments: -1}},
		{Reconnect: client.ReconnectOptions{Jitter: 2}}, {Reconnect: client.ReconnectOptions{Delay: 3, MaxDelay: 2}},
	} {
		if _, err := client.New("http://localhost", &o); err == nil {
			t.Errorf("%+v are accepted", o)
		}
	}
}

// The stock client gives up at the eleventh.
func TestManyAttachments(t *testing.T) {
	io, url := serve(t, nil)
	io.OnConnection(func(s *socketio.Socket) {
		s.On("ask", func(context.Context, *socketio.Message) error {
			parts := make([][]byte, 100)
			for i := range parts {
				parts[i] = []byte{byte(i)}
			}
			return s.Emit("parts", parts)
		})
	})
	s := dial(t, url, nil)
	got := make(chan [][]byte, 1)
	s.On("parts", func(_ context.Context, m *client.Message) error {
		var parts [][]byte
		err := m.Bind(&parts)
		got <- parts
		return err
	})
	if err := s.Emit("ask"); err != nil {
		t.Fatal(err)
	}
	if parts := <-got; len(parts) != 100 || len(parts[99]) != 1 || parts[99][0] != 99 {
		t.Errorf("%d parts", len(parts))
	}
}

func TestServerDisconnectsAndClientComesBack(t *testing.T) {
	transports(t, func(t *testing.T, opts *client.Options) {
		io, url := serve(t, nil)
		io.OnConnection(func(s *socketio.Socket) {
			add.On(s, func(ctx context.Context, n []int) (int, error) { return n[0] + n[1], nil })
		})
		s := dial(t, url, opts)
		first := s.ID()
		disconnected, connected := make(chan client.Reason, 10), make(chan struct{}, 10)
		s.OnDisconnect(func(r client.Reason, err error) { disconnected <- r })
		s.OnConnect(func() { connected <- struct{}{} })
		io.DisconnectSockets(true)
		if r := <-disconnected; r != client.ReasonServerDisconnect || s.Active() {
			t.Errorf("reason %q, active %v", r, s.Active())
		}
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-connected
		if s.ID() == first || s.ID() == "" {
			t.Errorf("id is %q", s.ID())
		}
		if sum, err := add.Call(t.Context(), s, []int{1, 2}); sum != 3 || err != nil {
			t.Error(sum, err)
		}
	})
}

// A server that was restarted: what was emitted meanwhile arrives at the new one, over a new connection.
func TestServerThatIsStartedAnew(t *testing.T) {
	transports(t, func(t *testing.T, opts *client.Options) {
		var mu sync.Mutex
		var io *socketio.Server
		received := make(chan string, 100)
		start := func() {
			mu.Lock()
			defer mu.Unlock()
			io = socketio.NewServer(nil)
			io.OnConnection(func(s *socketio.Socket) {
				said.On(s, func(ctx context.Context, text string) error { received <- text; return nil })
			})
		}
		start()
		ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			current := io
			mu.Unlock()
			current.ServeHTTP(w, r)
		}))
		t.Cleanup(func() {
			io.Close()
			ts.CloseClientConnections()
			ts.Close()
		})
		s := dial(t, ts.URL, impatient(*opts))
		again := make(chan client.Change, 100)
		s.Client().OnState(func(ch client.Change) { again <- ch })
		gone := make(chan client.Reason, 1)
		s.OnDisconnect(func(r client.Reason, err error) { gone <- r })
		said.Emit(s, "one")
		if text := <-received; text != "one" {
			t.Error(text)
		}
		io.Close()
		if r := <-gone; r == client.ReasonServerDisconnect || !s.Active() {
			t.Fatalf("reason is %q", r)
		}
		said.Emit(s, "two")
		start()
		said.Emit(s, "three")
		for _, want := range []string{"two", "three"} {
			if text := <-received; text != want {
				t.Errorf("received %q, want %q", text, want)
			}
		}
		if ch := <-again; ch.From != client.Connected || ch.To != client.Reconnecting || ch.Attempt != 1 {
			t.Errorf("first change is %+v", ch)
		}
	})
}

// Many goroutines emit, call, flush, leave and come back; what each emits arrives in order.
func TestConcurrentUse(t *testing.T) {
	const senders, events = 8, 100
	transports(t, func(t *testing.T, opts *client.Options) {
		io, url := serve(t, nil)
		var mu sync.Mutex
		next := make(map[string]int)
		for _, ns := range []string{"/a", "/b"} {
			io.Of(ns).OnConnection(func(s *socketio.Socket) {
				s.On("n", func(ctx context.Context, m *socketio.Message) error {
					var sender string
					var n int
					if err := m.Bind(&sender, &n); err != nil {
						return err
					}
					mu.Lock()
					defer mu.Unlock()
					if next[sender] != n {
						t.Errorf("%s: event %d came at place %d", sender, n, next[sender])
					}
					next[sender] = n + 1
					if m.WantsAck() {
						return m.Ack(n)
					}
					return nil
				})
			})
		}
		c, err := client.New(url, opts)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		var all sync.WaitGroup
		for i := range senders {
			s := c.Of([]string{"/a", "/b"}[i%2])
			name := fmt.Sprint("sender ", i)
			all.Go(func() {
				s.Open()
				for n := range events {
					if n%10 == 9 {
						if _, err := s.EmitWithAck(t.Context(), "n", name, n); err != nil {
							t.Errorf("%s: %v", name, err)
						}
					} else if err := s.Emit("n", name, n); err != nil {
						t.Errorf("%s: %v", name, err)
					}
				}
				if err := s.Flush(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		all.Go(func() {
			other := c.Of("/")
			for range 20 {
				if err := other.Connect(t.Context()); err != nil {
					t.Error(err)
				}
				c.State()
				c.Attempts()
				c.RetryNow()
				other.Disconnect()
			}
		})
		all.Wait()
		mu.Lock()
		defer mu.Unlock()
		for i := range senders {
			if n := next[fmt.Sprint("sender ", i)]; n != events {
				t.Errorf("%d events of sender %d", n, i)
			}
		}
	})
}

func TestMsgpack(t *testing.T) {
	io, url := serve(t, &socketio.Options{Format: socketio.Msgpack})
	io.OnConnection(func(s *socketio.Socket) {
		bytes.On(s, func(ctx context.Context, b []byte) ([]byte, error) { return append(b, 7), nil })
	})
	for _, retries := range []int{0, 1} {
		s := dial(t, url, &client.Options{Format: client.Msgpack, Retries: retries})
		if b, err := bytes.Call(t.Context(), s, []byte{1}); len(b) != 2 || err != nil {
			t.Errorf("bytes are %v, %v", b, err)
		}
		s.Disconnect()
	}
}

// A message larger than the server takes is the caller's error and nothing else's.
func TestTooLargeForTheServer(t *testing.T) {
	transports(t, func(t *testing.T, opts *client.Options) {
		io, url := serve(t, nil)
		io.OnConnection(func(s *socketio.Socket) {
			add.On(s, func(ctx context.Context, n []int) (int, error) { return n[0] + n[1], nil })
		})
		s := dial(t, url, opts)
		id := s.ID()
		if _, ok := errors.AsType[*engine.TooLargeError](s.Emit("e", strings.Repeat("x", 1_100_000))); !ok {
			t.Error("no TooLargeError")
		}
		if sum, err := add.Call(t.Context(), s, []int{1, 2}); sum != 3 || err != nil || s.ID() != id {
			t.Error(sum, err)
		}
	})
}

// What a load balancer wants to recognise a client by is kept when the client connects again.
func TestCookiesAreKept(t *testing.T) {
	transports(t, func(t *testing.T, opts *client.Options) {
		io := socketio.NewServer(nil)
		var mu sync.Mutex
		without := 0
		ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, err := r.Cookie("balancer"); err != nil {
				mu.Lock()
				without++
				mu.Unlock()
				http.SetCookie(w, &http.Cookie{Name: "balancer", Value: "1", Path: "/"})
			}
			io.ServeHTTP(w, r)
		}))
		t.Cleanup(func() { io.Close(); ts.CloseClientConnections(); ts.Close() })
		s := dial(t, ts.URL, opts)
		s.Disconnect()
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		defer mu.Unlock()
		if without != 1 {
			t.Errorf("%d requests came without the cookie", without)
		}
	})
}

func TestUpgradeIsRemembered(t *testing.T) {
	_, url := serve(t, nil)
	for _, remember := range []bool{false, true} {
		c, err := client.New(url, &client.Options{Transports: []string{"polling", "websocket"}, RememberUpgrade: remember})
		if err != nil {
			t.Fatal(err)
		}
		attempts := make(chan engine.Attempt, 100)
		c.OnAttempt(func(a engine.Attempt) { attempts <- a })
		next := func(transport, phase string) {
			t.Helper()
			if a := <-attempts; a.Transport != transport || a.Phase != phase || a.Err != nil {
				t.Errorf("remember %v: attempt is %+v, want %s %s", remember, a, transport, phase)
			}
		}
		s := c.Of("/")
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		next("polling", "connect")
		next("websocket", "upgrade")
		s.Disconnect()
		next("websocket", "close")
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		if remember {
			next("websocket", "connect")
		} else {
			next("polling", "connect")
		}
		if c.SessionID() == "" || c.Transport() == "" || len(c.Attempts()) < 4 {
			t.Errorf("session %q over %q after %v", c.SessionID(), c.Transport(), c.Attempts())
		}
		c.Close()
	}
}
