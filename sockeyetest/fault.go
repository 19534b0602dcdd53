package sockeyetest

import (
	"maps"
	"net/http"
	"slices"
	"testing"

	"github.com/sockeye-io/sockeye/socketio"
	"github.com/sockeye-io/sockeye/sockeyetest/internal/memnet"
)

// Cut breaks all connections, see [Client.Cut].
func (s *Server) Cut() { s.each((*memnet.Link).Cut) }

// Freeze lets nothing pass between the clients and the server, and nobody notices, see [Client.Freeze].
func (s *Server) Freeze() { s.each((*memnet.Link).Freeze) }

// Thaw lets pass what Freeze held back.
func (s *Server) Thaw() { s.each((*memnet.Link).Thaw) }

// Down cuts all connections and refuses new ones until Up, as a machine that is off. The handler knows nothing of it.
func (s *Server) Down() { s.each(func(l *memnet.Link) { l.SetDown(true) }) }

// Up ends Down.
func (s *Server) Up() { s.each(func(l *memnet.Link) { l.SetDown(false) }) }

func (s *Server) each(do func(*memnet.Link)) {
	s.mu.Lock()
	links := s.links[:len(s.links):len(s.links)]
	s.mu.Unlock()
	for _, l := range links {
		do(l)
	}
}

// Restart ends the server as if its process were killed, which closes its connections, and serves h from now on, at the same address; servers are as
// in [Start]. Servers that are not among the new ones are closed; one that is keeps what it knows, as if only the HTTP
// server in front had been killed.
func (s *Server) Restart(t testing.TB, h http.Handler, servers ...*socketio.Server) {
	t.Helper()
	s.mu.Lock()
	old := s.current
	s.mu.Unlock()
	_ = old.http.Close() // the listener's error, which has none
	<-old.served
	old.hangUp()
	s.serve(h, servers)
	now := map[*socketio.Server]bool{}
	for _, io := range s.sockets() {
		now[io] = true
	}
	for _, io := range old.servers {
		if !now[io] {
			_ = io.Close() // that it was closed already
		}
	}
}

// hangUp closes the server's ends of all connections, whoever has them.
func (b *backend) hangUp() {
	b.srv.mu.Lock()
	ends := slices.Collect(maps.Keys(b.ends))
	b.srv.mu.Unlock()
	for _, c := range ends {
		_ = c.Close() // that it was closed meanwhile
	}
}
