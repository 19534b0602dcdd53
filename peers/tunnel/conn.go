package tunnel

import (
	"encoding/binary"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// A conn is a connection to another server. Its fields are guarded by the link's mutex.
type conn struct {
	l       *link
	number  uint32
	writing sync.Mutex // one Write at a time
	changed *sync.Cond

	unread  []byte
	read    int // bytes that the other side was not told of
	credit  int // bytes that may be written
	ended   bool
	closed  bool
	err     error // of the link
	readBy  deadline
	writeBy deadline
}

type deadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

func newConn(l *link, number uint32) *conn {
	return &conn{l: l, number: number, changed: sync.NewCond(&l.mu), credit: window}
}

func (c *conn) wake() { c.changed.Broadcast() }

// received takes what the other side wrote. It has never more under way than the window.
func (c *conn) received(body []byte) error {
	if len(c.unread)+c.read+len(body) > window {
		return errProtocol
	}
	c.unread = append(c.unread, body...)
	c.wake()
	return nil
}

// Read implements [net.Conn].
func (c *conn) Read(p []byte) (int, error) {
	l := c.l
	l.mu.Lock()
	for {
		switch {
		case c.closed:
			l.mu.Unlock()
			return 0, net.ErrClosed
		case c.err != nil:
			defer l.mu.Unlock()
			return 0, c.err
		case c.readBy.passed():
			l.mu.Unlock()
			return 0, os.ErrDeadlineExceeded
		case len(p) == 0:
			l.mu.Unlock()
			return 0, nil
		case len(c.unread) > 0:
			n := copy(p, c.unread)
			if c.unread = c.unread[n:]; len(c.unread) == 0 {
				c.unread = nil // nothing is held at rest
			}
			c.read += n
			told := 0
			if c.read >= window/2 {
				told, c.read = c.read, 0
			}
			l.mu.Unlock()
			if told > 0 {
				l.send(kindWindow, c.number, binary.BigEndian.AppendUint32(nil, uint32(told)))
			}
			return n, nil
		case c.ended:
			l.mu.Unlock()
			return 0, io.EOF
		}
		c.changed.Wait()
	}
}

// Write implements [net.Conn]. It waits while the other side does not read.
func (c *conn) Write(p []byte) (int, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	l := c.l
	for done := 0; ; {
		l.mu.Lock()
		var err error
		for {
			switch {
			case c.closed:
				err = net.ErrClosed
			case c.err != nil:
				err = c.err
			case c.ended:
				err = io.ErrClosedPipe
			case c.writeBy.passed():
				err = os.ErrDeadlineExceeded
			}
			if err != nil || c.credit > 0 || done == len(p) {
				break
			}
			c.changed.Wait()
		}
		if err != nil || done == len(p) {
			l.mu.Unlock()
			return done, err
		}
		n := min(len(p)-done, chunk, c.credit)
		c.credit -= n
		l.mu.Unlock()
		l.send(kindData, c.number, p[done:done+n])
		done += n
	}
}

// Close implements [net.Conn].
func (c *conn) Close() error {
	l := c.l
	l.mu.Lock()
	if c.closed {
		l.mu.Unlock()
		return net.ErrClosed
	}
	c.closed = true
	c.unread = nil
	for _, d := range []*deadline{&c.readBy, &c.writeBy} {
		if d.timer != nil {
			d.timer.Stop()
		}
	}
	alive := l.err == nil
	if alive {
		delete(l.conns, c.number)
		l.used = time.Now()
	}
	c.wake()
	l.mu.Unlock()
	if alive {
		// After what a Write has taken already, which would be lost behind it.
		l.send(kindClose, c.number, nil)
	}
	return nil
}

// LocalAddr implements [net.Conn]: the name of this server.
func (c *conn) LocalAddr() net.Addr { return address(c.l.t.o.ID) }

// RemoteAddr implements [net.Conn]: the name of the other server.
func (c *conn) RemoteAddr() net.Addr { return address(c.l.peer) }

// SetDeadline implements [net.Conn].
func (c *conn) SetDeadline(t time.Time) error {
	c.set(&c.readBy, t)
	c.set(&c.writeBy, t)
	return nil
}

// SetReadDeadline implements [net.Conn].
func (c *conn) SetReadDeadline(t time.Time) error {
	c.set(&c.readBy, t)
	return nil
}

// SetWriteDeadline implements [net.Conn].
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.set(&c.writeBy, t)
	return nil
}

func (c *conn) set(d *deadline, at time.Time) {
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.at = at
	if !at.IsZero() && !c.closed {
		d.timer = time.AfterFunc(time.Until(at), func() {
			c.l.mu.Lock()
			defer c.l.mu.Unlock()
			c.wake()
		})
	}
	c.wake()
}
