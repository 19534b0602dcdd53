package engine

import (
	"context"
	"net"
	"sync"
)

// connections are those of an HTTP client that belongs to one Conn alone. They are
// closed with it: http.Transport closes only what is idle, and over HTTP/2 a
// connection is not yet when the last request has just been given up.
type connections struct {
	dialer net.Dialer
	mu     sync.Mutex
	open   map[*ownConn]struct{}
	closed bool
}

type ownConn struct {
	net.Conn
	of *connections
}

func (cs *connections) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := cs.dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	own := &ownConn{conn, cs}
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.closed {
		_ = conn.Close()
		return nil, net.ErrClosed
	}
	if cs.open == nil {
		cs.open = make(map[*ownConn]struct{})
	}
	cs.open[own] = struct{}{}
	return own, nil
}

func (c *ownConn) Close() error {
	c.of.forget(c)
	return c.Conn.Close()
}

func (cs *connections) forget(c *ownConn) {
	cs.mu.Lock()
	delete(cs.open, c)
	cs.mu.Unlock()
}

// close closes all connections, also those that are still being made.
func (cs *connections) close() {
	cs.mu.Lock()
	open := cs.open
	cs.open, cs.closed = nil, true
	cs.mu.Unlock()
	for c := range open {
		_ = c.Conn.Close()
	}
}

// take takes the connection of a WebSocket out of its client's care, and returns
// what is to be used of it.
func take(conn net.Conn) net.Conn {
	for under := conn; ; {
		switch c := under.(type) {
		case *ownConn:
			c.of.forget(c)
			if under == conn {
				return c.Conn
			}
			return conn
		case interface{ NetConn() net.Conn }: // TLS
			under = c.NetConn()
		default:
			return conn
		}
	}
}
