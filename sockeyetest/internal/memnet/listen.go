package memnet

import (
	"context"
	"net"
	"sync"
	"syscall"
)

// Listener accepts the connections that links dial to it.
type Listener struct {
	addr    net.Addr
	mu      sync.Mutex
	arrived sync.Cond
	backlog []*Conn
	closed  bool
	onPair  func(*Conn)
}

// Listen returns a listener. accepted, if not nil, is called with the server's end
// of every connection before it can be accepted.
func Listen(addr net.Addr, accepted func(*Conn)) *Listener {
	l := &Listener{addr: addr, onPair: accepted}
	l.arrived.L = &l.mu
	return l
}

// Accept waits for the next connection.
func (l *Listener) Accept() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.backlog) == 0 && !l.closed {
		l.arrived.Wait()
	}
	if l.closed {
		return nil, &net.OpError{Op: "accept", Net: l.addr.Network(), Addr: l.addr, Err: net.ErrClosed}
	}
	c := l.backlog[0]
	l.backlog = l.backlog[1:]
	return c, nil
}

// Close refuses further connections, and cuts those that nobody has accepted.
func (l *Listener) Close() error {
	l.mu.Lock()
	waiting := l.backlog
	l.backlog, l.closed = nil, true
	l.arrived.Broadcast()
	l.mu.Unlock()
	for _, c := range waiting {
		c.cut()
		_ = c.Close() // nobody else has it
	}
	return nil
}

// Addr returns the address of the listener.
func (l *Listener) Addr() net.Addr { return l.addr }

// connect makes a connection from an address. It does not wait for Accept.
func (l *Listener) connect(from net.Addr, onClose func(*Conn)) (*Conn, error) {
	here, there := Pair(from, l.addr)
	here.onClose = func() { onClose(here) }
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, refused(from, l.addr)
	}
	if l.onPair != nil {
		l.onPair(there)
	}
	l.backlog = append(l.backlog, there)
	l.arrived.Broadcast()
	return here, nil
}

func refused(from, to net.Addr) error {
	return &net.OpError{Op: "dial", Net: to.Network(), Source: from, Addr: to, Err: syscall.ECONNREFUSED}
}

// unreachable is what waiting for an answer that can't come ends with, when ctx is
// done.
func unreachable(ctx context.Context, from, to net.Addr) error {
	return &net.OpError{Op: "dial", Net: to.Network(), Source: from, Addr: to, Err: ctx.Err()}
}
