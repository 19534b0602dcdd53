package sockeyetest

import (
	"context"
	"log"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sockeye-io/sockeye/client"
	"github.com/sockeye-io/sockeye/socketio"
	"github.com/sockeye-io/sockeye/sockeyetest/internal/memnet"
)

// A Server serves a handler on connections in memory.
type Server struct {
	// Patience is how long to wait for what must come, before the test fails. It may be changed before it is used. Start
	// sets it to an hour in a bubble of testing/synctest, where waiting costs nothing, and to 10 seconds outside.
	Patience time.Duration

	t      testing.TB
	bubble bool

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced when a connection or a request ends
	current  *backend
	backends []*backend // all that there were
	links    []*memnet.Link
	clients  []*Client
	arrivals []*Arrivals
	clientNo int
	portNo   int
	over     bool // the test has ended
}

const (
	host = "sockeye.test"

	// Patience. It is never part of what is asserted.
	realPatience = 10 * time.Second
	fakePatience = time.Hour
)

// Start serves h until the test ends. If h is not itself a *socketio.Server but has some in it, name them: what they
// know is used by [Server.Settle], [Client.Peer] and at the end.
//
// When the test ends all clients are closed, then the servers with [socketio.Server.Shutdown], and it is an error if a
// handler does not return or a connection is never closed.
func Start(t testing.TB, h http.Handler, servers ...*socketio.Server) *Server {
	t.Helper()
	s := &Server{t: t, bubble: inBubble(), changed: make(chan struct{}), portNo: 40_000, Patience: realPatience}
	if s.bubble {
		s.Patience = fakePatience
	}
	s.serve(h, servers)
	t.Cleanup(s.close)
	return s
}

// inBubble reports whether the caller is in a bubble of testing/synctest. If so, it waits until all else is at rest.
func inBubble() (is bool) {
	defer func() {
		if v := recover(); v != nil {
			is = false
		}
	}()
	synctest.Wait() // panics outside
	return true
}

func (s *Server) patience() time.Duration { return s.Patience }

// A backend is one life of the server.
type backend struct {
	srv      *Server
	listener *memnet.Listener
	http     *http.Server
	servers  []*socketio.Server
	served   chan struct{} // closed when Serve has returned

	// Guarded by Server.mu.
	requests map[*http.Request]struct{} // whose handlers run
	conns    map[net.Conn]struct{}      // that the HTTP server reads
	ends     map[*memnet.Conn]struct{}  // that are not closed
}

func (s *Server) serve(h http.Handler, servers []*socketio.Server) {
	if io, ok := h.(*socketio.Server); ok && !slices.Contains(servers, io) {
		servers = append(slices.Clone(servers), io)
	}
	b := &backend{
		srv: s, servers: servers, served: make(chan struct{}),
		requests: map[*http.Request]struct{}{}, conns: map[net.Conn]struct{}{}, ends: map[*memnet.Conn]struct{}{},
	}
	b.listener = memnet.Listen(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80}, b.opened)
	b.http = &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s.update(func() { b.requests[r] = struct{}{} })
			defer s.update(func() { delete(b.requests, r) })
			h.ServeHTTP(w, r)
		}),
		ConnState: b.connState,
		ErrorLog:  log.New(logger{s}, "", 0),
	}
	s.mu.Lock()
	s.current = b
	s.backends = append(s.backends, b)
	arrivals := s.arrivals
	s.mu.Unlock()
	for _, a := range arrivals {
		a.watch(servers)
	}
	go func() {
		defer close(b.served)
		_ = b.http.Serve(b.listener) // that it was closed
	}()
}

func (s *Server) update(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	close(s.changed)
	s.changed = make(chan struct{})
}

func (b *backend) opened(c *memnet.Conn) {
	b.srv.update(func() { b.ends[c] = struct{}{} })
	c.OnClose(func() { b.srv.update(func() { delete(b.ends, c) }) })
}

func (b *backend) connState(c net.Conn, state http.ConnState) {
	b.srv.update(func() {
		switch state {
		case http.StateNew:
			b.conns[c] = struct{}{}
		case http.StateClosed, http.StateHijacked:
			delete(b.conns, c)
		}
	})
}

// logger passes on what the HTTP server has to say, while the test lasts.
type logger struct{ s *Server }

func (l logger) Write(p []byte) (int, error) {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	if !l.s.over {
		l.s.t.Logf("http: %s", p)
	}
	return len(p), nil
}

// URL returns the address of the server, without a slash at the end. Only what this package makes can reach it.
func (s *Server) URL() string { return "http://" + host }

// Options returns options for the client of a program that is tested: with them client.Dial and client.New reach the
// server, see [Server.URL]. Further fields may be set.
func (s *Server) Options(opts ...Option) *client.Options {
	set := s.settings(opts)
	s.t.Cleanup(set.web.CloseIdleConnections)
	return &set.client
}

// HTTP returns a client for the other pages of the handler, with a cookie jar of its own.
func (s *Server) HTTP(opts ...Option) *http.Client {
	set := s.settings(opts)
	s.t.Cleanup(set.web.CloseIdleConnections)
	return set.web
}

// Dial opens a connection to the server, for what is below HTTP.
func (s *Server) Dial(ctx context.Context) (net.Conn, error) {
	return s.settings(nil).link.Dial(ctx, s.listening())
}

// listening is where connections go at the moment.
func (s *Server) listening() *memnet.Listener {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current.listener
}

func (s *Server) number() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clientNo++
	return s.clientNo
}

func (s *Server) port() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.portNo++
	return s.portNo
}

// sockets returns the Socket.IO servers at present.
func (s *Server) sockets() []*socketio.Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current.servers
}

// recovers reports whether a server adds its position to events.
func (s *Server) recovers() bool {
	return slices.ContainsFunc(s.sockets(), func(io *socketio.Server) bool { return io.Options().Recovery != nil })
}
