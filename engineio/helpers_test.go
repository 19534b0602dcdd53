package engineio_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/sockeye-io/sockeye/engineio"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// queue is an unbounded queue: what fills it never waits for who empties it.
type queue[T any] struct {
	mu     sync.Mutex
	items  []T
	err    error
	signal chan struct{}
}

func newQueue[T any]() *queue[T] {
	return &queue[T]{signal: make(chan struct{}, 1)}
}

func (q *queue[T]) wake() {
	select {
	case q.signal <- struct{}{}:
	default:
	}
}

func (q *queue[T]) push(v T) {
	q.mu.Lock()
	q.items = append(q.items, v)
	q.mu.Unlock()
	q.wake()
}

// close makes pop return err once the queue is empty.
func (q *queue[T]) close(err error) {
	q.mu.Lock()
	if q.err == nil {
		q.err = err
	}
	q.mu.Unlock()
	q.wake()
}

var errTimedOut = errors.New("nothing came")

// pop waits for the next item; guard is how long it waits before it gives up.
func (q *queue[T]) pop(guard time.Duration) (v T, err error) {
	timer := time.NewTimer(guard)
	defer timer.Stop()
	for {
		q.mu.Lock()
		if len(q.items) > 0 {
			v = q.items[0]
			q.items = q.items[1:]
			q.mu.Unlock()
			q.wake() // there may be more, or an error
			return v, nil
		}
		err = q.err
		q.mu.Unlock()
		if err != nil {
			q.wake()
			return v, err
		}
		select {
		case <-q.signal:
		case <-timer.C:
			return v, errTimedOut
		}
	}
}

func (q *queue[T]) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.items)
}

// guards against tests that hang: far beyond what a slow machine needs, and on the
// fake clock far beyond every timeout of the protocol.
const (
	realGuard = 2 * time.Minute
	fakeGuard = time.Hour
)

// server is an engine.io server and the listener it is reached through.
type server struct {
	t        testing.TB
	engine   *engineio.Server
	http     *http.Server
	dial     func() (net.Conn, error)
	guard    time.Duration
	accepted *queue[*peer]
	errors   *queue[*engineio.ConnectionError]
	returned *queue[string]               // methods of the requests whose handler has returned
	handler  atomic.Pointer[http.Handler] // instead of the engine
	// onMessage, if set before the first handshake, is called on the read path.
	onMessage func(p *peer, binary bool, data []byte)
	// onAccept, if set before the first handshake, is called in the accept function.
	onAccept func(p *peer)
	clients  sync.WaitGroup
}

// peer is the server's side of a session: it records what the session reports.
type peer struct {
	*engineio.Session
	s        *server
	messages *queue[message]
	closed   *queue[closing]
}

type message struct {
	binary bool
	data   string
}

type closing struct {
	reason engineio.CloseReason
	err    error
}

func (p *peer) Message(binary bool, data []byte) {
	if p.closed.len() > 0 {
		p.s.t.Error("Message after Closed")
	}
	if p.s.onMessage != nil {
		p.s.onMessage(p, binary, data)
		return
	}
	p.messages.push(message{binary, string(data)})
}

func (p *peer) Closed(reason engineio.CloseReason, err error) {
	if p.closed.len() > 0 {
		p.s.t.Errorf("Closed was called again: %s, %v", reason, err)
	}
	p.closed.push(closing{reason, err})
}

func (p *peer) sendText(ss ...string) {
	p.s.t.Helper()
	for _, s := range ss {
		if err := p.Send(textMessage(s)); err != nil {
			p.s.t.Errorf("Send(%.20q): %v", s, err)
		}
	}
}

func (p *peer) expectMessage(want ...string) {
	p.s.t.Helper()
	for _, w := range want {
		m, err := p.messages.pop(p.s.guard)
		if err != nil || m.data != w || m.binary {
			p.s.t.Fatalf("the server got %.100q (binary %v), %v, want %.100q", m.data, m.binary, err, w)
		}
	}
}

// expectClosed waits for the end of the session.
func (p *peer) expectClosed(want engineio.CloseReason) error {
	p.s.t.Helper()
	c, err := p.closed.pop(p.s.guard)
	if err != nil {
		p.s.t.Fatalf("the session did not close: %v", err)
	}
	p.closed.push(c)
	if c.reason != want {
		p.s.t.Fatalf("closed for %q (%v), want %q", c.reason, c.err, want)
	}
	return c.err
}

func (p *peer) expectOpen() {
	p.s.t.Helper()
	if p.closed.len() > 0 {
		c, _ := p.closed.pop(0)
		p.s.t.Fatalf("the session closed: %s, %v", c.reason, c.err)
	}
}

func textMessage(s string) *engineio.Message { return engineio.NewMessage(false, []byte(s)) }

func binaryMessage(s string) *engineio.Message { return engineio.NewMessage(true, []byte(s)) }

func echo(p *peer, binary bool, data []byte) {
	if err := p.Send(engineio.NewMessage(binary, data)); err != nil && !errors.Is(err, engineio.ErrClosed) {
		p.s.t.Errorf("echo: %v", err)
	}
}

// newServer starts a server on a loopback port.
func newServer(t testing.TB, opts *engineio.Options) *server {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	return serveOn(t, opts, ln, realGuard, func() (net.Conn, error) { return net.Dial("tcp", addr) })
}

// newPipeServer starts a server on connections in memory, for use inside a
// synctest bubble: everything the server does is at rest when synctest.Wait returns.
func newPipeServer(t testing.TB, opts *engineio.Options) *server {
	t.Helper()
	ln := &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
	return serveOn(t, opts, ln, fakeGuard, ln.dial)
}

func serveOn(t testing.TB, opts *engineio.Options, ln net.Listener, guard time.Duration, dial func() (net.Conn, error)) *server {
	t.Helper()
	s := &server{t: t, dial: dial, guard: guard, accepted: newQueue[*peer](), errors: newQueue[*engineio.ConnectionError](), returned: newQueue[string]()}
	s.engine = engineio.NewServer(s.options(opts), s.accept)
	s.http = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer s.returned.push(r.Method)
		if h := s.handler.Load(); h != nil {
			(*h).ServeHTTP(w, r)
			return
		}
		s.engine.ServeHTTP(w, r)
	}), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = s.http.Serve(ln)
	}()
	t.Cleanup(func() {
		_ = s.engine.Close()
		_ = s.http.Close()
		<-served
		s.clients.Wait()
	})
	return s
}

// options adds to opts what the tests watch.
func (s *server) options(opts *engineio.Options) *engineio.Options {
	var o engineio.Options
	if opts != nil {
		o = *opts
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.OnConnectionError == nil {
		o.OnConnectionError = s.errors.push
	}
	return &o
}

func (s *server) accept(session *engineio.Session) engineio.Receiver {
	p := &peer{Session: session, s: s, messages: newQueue[message](), closed: newQueue[closing]()}
	if s.onAccept != nil {
		s.onAccept(p)
	}
	s.accepted.push(p)
	return p
}

func (s *server) nextPeer() *peer {
	s.t.Helper()
	p, err := s.accepted.pop(s.guard)
	if err != nil {
		s.t.Fatalf("no session was accepted: %v", err)
	}
	return p
}

// peerOf skips sessions that a test has opened and forgotten.
func (s *server) peerOf(sid string) *peer {
	s.t.Helper()
	for {
		if p := s.nextPeer(); p.ID() == sid {
			return p
		}
	}
}

// withoutDeadline hides a method that rapid calls if there is one, and that must not be
// called inside a bubble.
type withoutDeadline struct{ testing.TB }

// inBubble runs a test with a fake clock.
func inBubble(t *testing.T, opts *engineio.Options, test func(t *testing.T, s *server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, newPipeServer(t, opts)) })
}

type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (l *pipeListener) dial() (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }

// response is an HTTP response, read to its end.
type response struct {
	status int
	header http.Header
	body   string
	err    error
}

func (r response) String() string { return fmt.Sprintf("%d %.300q %v", r.status, r.body, r.err) }

// pending is a request on its way, on a connection of its own.
type pending struct {
	s    *server
	conn net.Conn
	done *queue[response]
}

const path = "/engine.io/"

// start sends a request. target is a query, or a whole path if it begins with a
// slash. Headers are "Name: value".
func (s *server) start(method, target, body string, headers ...string) *pending {
	s.t.Helper()
	if !strings.HasPrefix(target, "/") {
		target = path + "?" + target
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: example.test\r\n", method, target)
	chunked := false
	for _, h := range headers {
		b.WriteString(h + "\r\n")
		chunked = chunked || strings.HasPrefix(h, "Transfer-Encoding:")
	}
	if (body != "" || method == "POST") && !chunked {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(body))
	}
	b.WriteString("\r\n" + body)
	return s.startRaw(b.String(), method)
}

// startRaw sends bytes and reads one response.
func (s *server) startRaw(raw, method string) *pending {
	s.t.Helper()
	conn, err := s.dial()
	if err != nil {
		s.t.Fatal(err)
	}
	p := &pending{s, conn, newQueue[response]()}
	s.clients.Go(func() {
		// A server may answer without reading everything: no error of ours.
		_, _ = io.WriteString(conn, raw)
	})
	s.clients.Go(func() {
		defer conn.Close()
		br := bufio.NewReader(conn)
		req, _ := http.NewRequest(method, "/", nil)
		r, err := http.ReadResponse(br, req)
		if err != nil {
			p.done.push(response{err: err})
			return
		}
		body, err := io.ReadAll(r.Body)
		p.done.push(response{r.StatusCode, r.Header, string(body), err})
	})
	return p
}

func (p *pending) wait() response {
	p.s.t.Helper()
	r, err := p.done.pop(p.s.guard)
	if err != nil {
		p.s.t.Fatalf("no response: %v", err)
	}
	return r
}

func (p *pending) expect(status int, body string) response {
	p.s.t.Helper()
	r := p.wait()
	if r.err != nil || r.status != status || r.body != body {
		p.s.t.Fatalf("got %v, want %d %.300q", r, status, body)
	}
	return r
}

// expectHeld checks, inside a bubble, that the response has not come yet.
func (p *pending) expectHeld() {
	p.s.t.Helper()
	synctest.Wait()
	if p.done.len() > 0 {
		p.s.t.Fatalf("the request is answered: %v", p.wait())
	}
}

func (p *pending) abort() { _ = p.conn.Close() }

func (s *server) do(method, target, body string, headers ...string) response {
	s.t.Helper()
	return s.start(method, target, body, headers...).wait()
}

func (s *server) get(target string, headers ...string) response {
	s.t.Helper()
	return s.do("GET", target, "", headers...)
}

var sidPattern = regexp.MustCompile(`"sid":"([^"]+)"`)

func sidOf(t testing.TB, open string) string {
	t.Helper()
	m := sidPattern.FindStringSubmatch(open)
	if m == nil {
		t.Fatalf("no sid in %q", open)
	}
	return m[1]
}

// poller is a client on long-polling.
type poller struct {
	*server
	sid  string
	open string // the body of the handshake response
	peer *peer
}

const pollingQuery = "EIO=4&transport=polling"

// poll opens a session by long-polling. extra is added to the query.
func (s *server) poll(extra ...string) *poller {
	s.t.Helper()
	r := s.get(pollingQuery + strings.Join(extra, ""))
	if r.status != 200 {
		s.t.Fatalf("handshake: %v", r)
	}
	sid := sidOf(s.t, r.body)
	return &poller{s, sid, r.body, s.peerOf(sid)}
}

func (p *poller) query() string { return pollingQuery + "&sid=" + url.QueryEscape(p.sid) }

func (p *poller) startGet(headers ...string) *pending {
	p.t.Helper()
	return p.start("GET", p.query(), "", headers...)
}

func (p *poller) startPost(body string, headers ...string) *pending {
	p.t.Helper()
	return p.start("POST", p.query(), body, headers...)
}

// expectPoll makes one GET and checks its body.
func (p *poller) expectPoll(want string) {
	p.t.Helper()
	p.startGet().expect(200, want)
}

func (p *poller) post(packets ...string) {
	p.t.Helper()
	p.startPost(strings.Join(packets, "\x1e")).expect(200, "ok")
}

func (p *poller) expectGone() {
	p.t.Helper()
	p.startGet().expect(400, `{"code":1,"message":"Session ID unknown"}`)
}

// within returns a context that ends when a hanging test should.
func (s *server) within() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), s.guard)
	s.t.Cleanup(cancel)
	return ctx
}

func repeat(s string, n int) string { return strings.Repeat(s, n) }

// exchange sends bytes and returns everything that comes back.
func exchange(t *testing.T, s *server, raw string) string {
	t.Helper()
	conn, err := s.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, raw); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
