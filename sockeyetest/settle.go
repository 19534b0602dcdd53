package sockeyetest

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/sockeye-io/sockeye/event"
	"github.com/sockeye-io/sockeye/socketio"
)

// barrier is the event with which Settle finds out that everything before it has been handled.
const barrier = "sockeyetest.settle"

// maxRounds is how often everybody is asked before it is said that they never come to rest.
const maxRounds = 100

// quietRounds is how many rounds in which nothing moves mean that nothing will. An event is counted when a client gets
// it and when one emits it, and every round takes it further: after the first, clients are done with what they had got,
// so that it is on its way to the server; after the second, the server has handled it; after the third, clients have got
// what the server had to say.
const quietRounds = 3

// Settle returns when everything has come to rest: what was emitted, on either side, has arrived and been handled, and
// so has what was emitted in consequence.
//
// In a bubble of testing/synctest that is synctest.Wait: nothing is left to do before the clock moves on.
//
// Outside of one, every client of this package emits an event, "sockeyetest.settle", whose way leads through the queue
// of its handlers at the server, back, and through its own; this is repeated until nothing else has moved meanwhile.
// That covers handlers and what they emit, but not what other goroutines of the program or timers are about to do: use
// a bubble where there are such. OnAny and Use, on both sides, see the event.
func (s *Server) Settle(t testing.TB) {
	t.Helper()
	if s.bubble {
		synctest.Wait()
		return
	}
	if len(s.sockets()) == 0 {
		t.Fatal("sockeyetest: outside of a bubble of testing/synctest, Start must be told which *socketio.Server is in the handler")
	}
	quiet := 0
	for range maxRounds {
		before := s.moved()
		for _, c := range s.everybody() {
			c.roundtrip(t)
		}
		quiet++
		if s.moved() != before {
			quiet = 0
		}
		if quiet == quietRounds {
			return
		}
	}
	t.Fatalf("sockeyetest: after %d rounds there is still something going on: client and server may be answering each other for ever", maxRounds)
}

func (s *Server) everybody() []*Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clients[:len(s.clients):len(s.clients)]
}

// moved counts what came to clients and what they emitted.
func (s *Server) moved() int {
	n := 0
	for _, c := range s.everybody() {
		c.mu.Lock()
		n += c.End.moved
		c.mu.Unlock()
	}
	return n
}

// roundtrip sends a barrier through the handlers of the socket and back. A client that is not connected, or is frozen,
// has nothing on its way.
func (c *Client) roundtrip(t testing.TB) {
	t.Helper()
	peer := c.peer()
	if peer == nil || c.link.Frozen() {
		return
	}
	c.mu.Lock()
	n := c.settled + 1
	c.mu.Unlock()
	sub := peer.OnAny(func(_ context.Context, m *event.Message) error {
		if m.Event() != barrier {
			return nil
		}
		_ = m.Ack() // only a client with retries wants it
		return peer.Emit(barrier, n)
	})
	defer sub.Close()
	if err := c.Emit(barrier, n); err != nil {
		return // it is not connected any more
	}
	gone := false
	if !c.await(func() bool { gone = c.offline; return gone || c.settled >= n }) {
		t.Fatal(c.report("does not come to rest: a handler of the client's socket has not returned, on the server or here",
			[]field{{"hint", "in a bubble of testing/synctest it is no matter that handlers wait"}}))
	}
}

// settle is Settle for what came to this end.
func (b *End) settle(t testing.TB) {
	t.Helper()
	if !b.srv.bubble && b.foreign != nil && b.foreign() {
		t.Fatal(b.report("whether more comes can't be known: the client is none of this package", []field{
			{"hint", "run the test in a bubble of testing/synctest"},
		}))
	}
	b.srv.Settle(t)
}

// peer returns the server's side of a client's socket, or nil.
func (c *Client) peer() *socketio.Socket {
	id := c.ID()
	if id == "" {
		return nil
	}
	for _, io := range c.srv.sockets() {
		// Of would make the namespace in a server that does not have it.
		if io.Engine().Session(c.Client().SessionID()) != nil {
			return io.Of(c.Namespace()).Socket(id)
		}
	}
	return nil
}

// Peer returns the server's side of the client's socket, to look at its rooms and data, or to disconnect it. The client
// must be connected.
func (c *Client) Peer(t testing.TB) *socketio.Socket {
	t.Helper()
	s := c.peer()
	if s == nil {
		t.Fatal(c.report(fmt.Sprintf("no server knows the socket %q", c.ID()), nil))
	}
	return s
}
