package sockeyetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/sockeye-io/sockeye/event"
	"github.com/sockeye-io/sockeye/socketio"
)

// A Peer is the server's side of a connected client, for tests that play the server: a socketio.Socket with everything
// that it can do, and an [End] for the test.
type Peer struct {
	*socketio.Socket
	*End
}

// Arrivals are the clients that connect to a namespace.
type Arrivals struct {
	srv       *Server
	namespace string

	// Guarded by Server.mu.
	waiting []*Peer
	count   int
	watched map[*socketio.Server]bool
}

// Arrivals notes the clients that connect to a namespace from now on, also after a Restart, for tests that play the
// server. The Socket.IO server must be known, see [Start].
func (s *Server) Arrivals(namespace string) *Arrivals {
	a := &Arrivals{srv: s, namespace: namespace, watched: map[*socketio.Server]bool{}}
	s.mu.Lock()
	s.arrivals = append(s.arrivals[:len(s.arrivals):len(s.arrivals)], a)
	servers := s.current.servers
	s.mu.Unlock()
	a.watch(servers)
	return a
}

func (a *Arrivals) watch(servers []*socketio.Server) {
	for _, io := range servers {
		a.srv.mu.Lock()
		known := a.watched[io] // it has outlived a Restart
		a.watched[io] = true
		a.srv.mu.Unlock()
		if known {
			continue
		}
		io.Of(a.namespace).OnConnection(func(socket *socketio.Socket) {
			p := a.srv.newPeer(socket)
			a.srv.update(func() { a.waiting, a.count = append(a.waiting, p), a.count+1 })
		})
	}
}

// Next waits for the next client that connects.
func (a *Arrivals) Next(t testing.TB) *Peer {
	t.Helper()
	s := a.srv
	if p := s.await(func() *Peer {
		if len(a.waiting) == 0 {
			return nil
		}
		p := a.waiting[0]
		a.waiting = a.waiting[1:]
		return p
	}); p != nil {
		return p
	}
	s.mu.Lock()
	count := a.count
	s.mu.Unlock()
	t.Fatalf("no client connected to %s in %v; %d did before", a.namespace, s.Patience, count)
	return nil
}

// await calls take, with s.mu held, until it returns something, or patience is at its end.
func (s *Server) await(take func() *Peer) *Peer {
	patience := time.NewTimer(s.Patience)
	defer patience.Stop()
	for {
		s.mu.Lock()
		p, changed := take(), s.changed
		s.mu.Unlock()
		if p != nil {
			return p
		}
		select {
		case <-changed:
		case <-patience.C:
			return nil
		}
	}
}

func (s *Server) newPeer(socket *socketio.Socket) *Peer {
	p := &Peer{Socket: socket, End: newEnd(s, func() bool { return false })}
	b := p.End
	b.socket = socket
	b.who = func() string { return fmt.Sprintf("peer %s in %s", socket.ID(), socket.Namespace().Name()) }
	b.state = func() string {
		if socket.Connected() {
			return "connected over " + socket.Transport()
		}
		return "not connected"
	}
	b.gone = func() bool { return !socket.Connected() }
	b.foreign = func() bool {
		for _, c := range s.everybody() {
			if c.ID() == socket.ID() {
				return false
			}
		}
		return socket.Connected()
	}
	socket.OnAny(func(_ context.Context, m *event.Message) error { b.arrived(m); return nil })
	socket.OnAnyOutgoing(b.left)
	socket.OnDisconnect(func(r socketio.Reason, err error) {
		b.step(step{kind: disconnected, reason: string(r), err: err})
	})
	b.step(step{kind: connected, id: socket.ID(), recovered: socket.Recovered()})
	return p
}

// ExpectDisconnect waits until the client is disconnected, which must be for this reason ("" is any), and returns what
// was wrong with the connection, or nil.
func (p *Peer) ExpectDisconnect(t testing.TB, reason socketio.Reason) error {
	t.Helper()
	return p.disconnect(t, string(reason))
}
