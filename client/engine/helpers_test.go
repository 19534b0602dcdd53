package engine_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/sockeye-io/sockeye/client/engine"
	"github.com/sockeye-io/sockeye/engineio"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

var (
	quiet    = slog.New(slog.DiscardHandler)
	quietLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
)

// guard is for tests that hang: far beyond what a slow machine needs, and on the
// fake clock far beyond every timeout of the protocol.
const guard = 2 * time.Minute

// queue is an unbounded queue: what fills it never waits for who empties it.
type queue[T any] struct {
	mu     sync.Mutex
	items  []T
	signal chan struct{}
}

func newQueue[T any]() *queue[T] { return &queue[T]{signal: make(chan struct{}, 1)} }

func (q *queue[T]) push(v T) {
	q.mu.Lock()
	q.items = append(q.items, v)
	q.mu.Unlock()
	select {
	case q.signal <- struct{}{}:
	default:
	}
}

func (q *queue[T]) pop(t testing.TB) T {
	t.Helper()
	timer := time.NewTimer(guard)
	defer timer.Stop()
	for {
		q.mu.Lock()
		if len(q.items) > 0 {
			v := q.items[0]
			q.items = q.items[1:]
			q.mu.Unlock()
			return v
		}
		q.mu.Unlock()
		select {
		case <-q.signal:
		case <-timer.C:
			t.Fatal("nothing came")
		}
	}
}

func (q *queue[T]) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.items)
}

type message struct {
	binary bool
	data   string
}

type closing struct {
	reason engine.Reason
	err    error
}

// recorder is a Receiver that keeps what it is told.
type recorder struct {
	t         testing.TB
	messages  *queue[message]
	closed    *queue[closing]
	onMessage func(binary bool, data []byte)
	onClosed  func()
}

func newRecorder(t testing.TB) *recorder {
	return &recorder{t: t, messages: newQueue[message](), closed: newQueue[closing]()}
}

func (r *recorder) Message(binary bool, data []byte) {
	if r.closed.len() > 0 {
		r.t.Error("Message after Closed")
	}
	if r.onMessage != nil {
		r.onMessage(binary, data)
		return
	}
	r.messages.push(message{binary, string(data)})
}

func (r *recorder) Closed(reason engine.Reason, err error) {
	if r.closed.len() > 0 {
		r.t.Errorf("Closed was called again: %s, %v", reason, err)
	}
	r.closed.push(closing{reason, err})
	if r.onClosed != nil {
		r.onClosed()
	}
}

func (r *recorder) expect(want ...string) {
	r.t.Helper()
	for _, w := range want {
		if m := r.messages.pop(r.t); m.data != w || m.binary {
			r.t.Fatalf("the client got %.100q (binary %v), want %.100q", m.data, m.binary, w)
		}
	}
}

func (r *recorder) expectClosed(want engine.Reason) error {
	r.t.Helper()
	c := r.closed.pop(r.t)
	r.closed.push(c)
	if c.reason != want {
		r.t.Fatalf("closed for %q (%v), want %q", c.reason, c.err, want)
	}
	return c.err
}

// peer is the server's side of a session.
type peer struct {
	*engineio.Session
	t        testing.TB
	messages *queue[message]
	closed   *queue[engineio.CloseReason]
	echo     bool
}

func (p *peer) Message(binary bool, data []byte) {
	if p.echo {
		p.send(binary, string(data))
		return
	}
	p.messages.push(message{binary, string(data)})
}

func (p *peer) Closed(reason engineio.CloseReason, err error) { p.closed.push(reason) }

func (p *peer) send(binary bool, data string) {
	if err := p.Send(engineio.NewMessage(binary, []byte(data))); err != nil && !errors.Is(err, engineio.ErrClosed) {
		p.t.Errorf("the server's Send: %v", err)
	}
}

func (p *peer) expect(want ...string) {
	p.t.Helper()
	for _, w := range want {
		if m := p.messages.pop(p.t); m.data != w || m.binary {
			p.t.Fatalf("the server got %.100q (binary %v), want %.100q", m.data, m.binary, w)
		}
	}
}

// server is an Engine.IO server and the way to it.
type server struct {
	t        testing.TB
	url      string
	engine   *engineio.Server
	client   *http.Client // reaches it
	accepted *queue[*peer]
	echo     bool
	handlers handlers
	// around, if set before the first request, gets every request.
	around func(w http.ResponseWriter, r *http.Request, next http.Handler)
}

// newServer starts a server on a loopback port.
func newServer(t testing.TB, opts *engineio.Options) *server {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := makeServer(t, opts)
	s.url = "http://" + ln.Addr().String()
	s.serve(ln)
	return s
}

// newMemoryServer starts a server on connections in memory, for a bubble.
func newMemoryServer(t testing.TB, opts *engineio.Options) *server {
	t.Helper()
	ln := newMemoryListener()
	s := makeServer(t, opts)
	s.url = "http://memory.test"
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return ln.dial(ctx) }}
	s.client = &http.Client{Transport: transport}
	s.serve(ln)
	t.Cleanup(transport.CloseIdleConnections)
	return s
}

// handlers are the requests under way, for which the end of a bubble has to wait.
type handlers struct {
	mu    sync.Mutex
	count int
	empty chan struct{} // when nobody may enter any more
}

func (h *handlers) enter() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.empty != nil {
		return false
	}
	h.count++
	return true
}

func (h *handlers) leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.count--; h.count == 0 && h.empty != nil {
		close(h.empty)
	}
}

func (h *handlers) wait() {
	h.mu.Lock()
	h.empty = make(chan struct{})
	if h.count == 0 {
		close(h.empty)
	}
	h.mu.Unlock()
	<-h.empty
}

func makeServer(t testing.TB, opts *engineio.Options) *server {
	s := &server{t: t, accepted: newQueue[*peer]()}
	var o engineio.Options
	if opts != nil {
		o = *opts
	}
	o.Path = "/socket.io/"
	o.Logger = quiet
	s.engine = engineio.NewServer(&o, func(session *engineio.Session) engineio.Receiver {
		p := &peer{Session: session, t: t, messages: newQueue[message](), closed: newQueue[engineio.CloseReason](), echo: s.echo}
		s.accepted.push(p)
		return p
	})
	return s
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.handlers.enter() {
		return
	}
	defer s.handlers.leave()
	if s.around != nil {
		s.around(w, r, s.engine)
		return
	}
	s.engine.ServeHTTP(w, r)
}

func (s *server) serve(ln net.Listener) {
	h := &http.Server{Handler: s, ErrorLog: quietLog}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = h.Serve(ln)
	}()
	s.t.Cleanup(func() {
		_ = s.engine.Close()
		_ = h.Close()
		<-served
		s.handlers.wait()
	})
}

// dial connects, and sees to it that the connection is closed at the end.
func (s *server) dial(opts *engine.Options, transports ...string) (*engine.Conn, *recorder) {
	s.t.Helper()
	r := newRecorder(s.t)
	c := s.dialTo(r, opts, transports...)
	return c, r
}

func (s *server) dialTo(r engine.Receiver, opts *engine.Options, transports ...string) *engine.Conn {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), guard)
	defer cancel()
	c, err := engine.Dial(ctx, s.url, s.options(opts, transports...), func(*engine.Conn) engine.Receiver { return r })
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	return c
}

func (s *server) options(opts *engine.Options, transports ...string) *engine.Options {
	var o engine.Options
	if opts != nil {
		o = *opts
	}
	if o.HTTPClient == nil {
		o.HTTPClient = s.client
	}
	o.Transports = transports
	o.Logger = quiet
	return &o
}

func text(s string) engine.Message { return engine.Message{Data: []byte(s)} }

func binary(s string) engine.Message { return engine.Message{Binary: true, Data: []byte(s)} }

func send(t testing.TB, c *engine.Conn, ms ...engine.Message) {
	t.Helper()
	if err := c.Send(ms...); err != nil {
		t.Fatalf("Send: %v", err)
	}
}

// eachTransport runs a test for every transport, on real connections and in memory
// with a fake clock.
func eachTransport(t *testing.T, opts *engineio.Options, test func(t *testing.T, s *server, transport string)) {
	for _, transport := range []string{engine.WebSocket, engine.Polling, engine.Streaming} {
		t.Run(transport, func(t *testing.T) {
			t.Run("tcp", func(t *testing.T) { test(t, newServer(t, opts), transport) })
			t.Run("memory", func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { test(t, newMemoryServer(t, opts), transport) })
			})
		})
	}
}

type memoryListener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newMemoryListener() *memoryListener {
	return &memoryListener{conns: make(chan net.Conn), done: make(chan struct{})}
}

func (l *memoryListener) dial(ctx context.Context) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *memoryListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *memoryListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *memoryListener) Addr() net.Addr { return &net.UnixAddr{Name: "memory", Net: "memory"} }

// eachUpgrade runs a test for every pair of transports that a connection moves
// between.
func eachUpgrade(t *testing.T, test func(t *testing.T, s *server, order []string)) {
	for _, order := range [][]string{
		{engine.Polling, engine.WebSocket}, {engine.Polling, engine.Streaming}, {engine.Streaming, engine.WebSocket},
	} {
		t.Run(order[0]+"-"+order[1], func(t *testing.T) {
			t.Run("tcp", func(t *testing.T) { test(t, newServer(t, nil), order) })
			t.Run("memory", func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { test(t, newMemoryServer(t, nil), order) })
			})
		})
	}
}

// eachInMemory runs a test for every transport with a fake clock.
func eachInMemory(t *testing.T, opts *engineio.Options, test func(t *testing.T, s *server, transport string)) {
	for _, transport := range []string{engine.WebSocket, engine.Polling, engine.Streaming} {
		t.Run(transport, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, newMemoryServer(t, opts), transport) })
		})
	}
}
