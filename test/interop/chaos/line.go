//go:build linux

package chaos

import (
	"errors"
	"io"
	"net"
	"sync"
)

// A line is the way from one server to the broker: a forwarder that can be cut in two ways.
type line struct {
	ln     net.Listener
	target func() (net.Conn, error)

	mu    sync.Mutex
	open  *sync.Cond
	state lineState
	conns map[net.Conn]bool
	wg    sync.WaitGroup
}

type lineState uint8

const (
	passing lineState = iota
	holding           // connections stay open, and nothing comes through: a network that is gone
	reset             // connections are reset, also new ones: a machine without the service
	closed
)

// newLine starts one that listens on a free port of the host.
func newLine(host string, target func() (net.Conn, error)) (*line, error) {
	ln, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return nil, err
	}
	l := &line{ln: ln, target: target, conns: map[net.Conn]bool{}}
	l.open = sync.NewCond(&l.mu)
	l.wg.Go(l.accept)
	return l, nil
}

func (l *line) addr() string { return l.ln.Addr().String() }

func (l *line) accept() {
	for {
		c, err := l.ln.Accept()
		if err != nil {
			return
		}
		l.wg.Go(func() { l.forward(c) })
	}
}

// set cuts the line or mends it.
func (l *line) set(s lineState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state = s
	if s == reset || s == closed {
		for c := range l.conns {
			abort(c)
		}
	}
	l.open.Broadcast()
}

// wait returns once something may pass, and false if nothing ever may on the connections that are open.
func (l *line) wait() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.state == holding {
		l.open.Wait()
	}
	return l.state == passing
}

// track notes a connection, unless there can be none.
func (l *line) track(c net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state == reset || l.state == closed {
		abort(c)
		return false
	}
	l.conns[c] = true
	return true
}

func (l *line) drop(c net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
	abort(c)
}

// abort closes a connection so that the other side notices at once, and nothing more is sent.
func abort(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = c.Close()
}

func (l *line) forward(c net.Conn) {
	if !l.track(c) {
		return
	}
	defer l.drop(c)
	if !l.wait() {
		return
	}
	t, err := l.target()
	if err != nil || !l.track(t) {
		return
	}
	defer l.drop(t)
	var one sync.WaitGroup
	one.Go(func() {
		l.pump(t, c)
		l.drop(t)
		l.drop(c)
	})
	l.pump(c, t)
	l.drop(t)
	l.drop(c)
	one.Wait()
}

// pump carries what comes from one side. What has been read when the line is cut passes when it is mended, as from the
// buffers of a network.
func (l *line) pump(to io.Writer, from io.Reader) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if !l.wait() {
				return
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				l.wait() // the end comes through no sooner than the rest
			}
			return
		}
	}
}

func (l *line) close() {
	_ = l.ln.Close()
	l.set(closed)
	l.wg.Wait()
}
