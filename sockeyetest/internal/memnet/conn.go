package memnet

import (
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

// Conn is one end of a connection.
type Conn struct {
	in, out       *stream
	local, remote net.Addr
	closed        sync.Once
	onClose       func()
}

// Pair returns the two ends of a connection. here has the address a.
func Pair(a, b net.Addr) (here, there *Conn) {
	x, y := newStream(), newStream()
	return &Conn{in: x, out: y, local: a, remote: b}, &Conn{in: y, out: x, local: b, remote: a}
}

// failure dresses an error as package net does.
func (c *Conn) failure(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return &net.OpError{Op: op, Net: c.local.Network(), Source: c.local, Addr: c.remote, Err: err}
}

// Read reads what has arrived, and waits if nothing has.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.in.read(p)
	return n, c.failure("read", err)
}

// Write writes into the buffer of the connection, and waits while that is full.
func (c *Conn) Write(p []byte) (int, error) {
	n, err := c.out.write(p)
	return n, c.failure("write", err)
}

// Close closes this end. The other one reads what was written before, then
// io.EOF, and can't write any more.
func (c *Conn) Close() error {
	err := c.failure("close", net.ErrClosed)
	c.closed.Do(func() {
		err = nil
		c.in.do(func() {
			c.in.readClosed, c.in.left = true, true
			c.in.readDeadline.set(c.in, time.Time{})
		})
		c.out.do(func() {
			c.out.writeClosed, c.out.ended = true, true
			c.out.writeDeadline.set(c.out, time.Time{})
		})
		if c.onClose != nil {
			c.onClose()
		}
	})
	return err
}

// CloseWrite closes the sending half: the other end reads what was written
// before, then io.EOF.
func (c *Conn) CloseWrite() error {
	c.out.do(func() { c.out.ended = true })
	return nil
}

// LocalAddr returns the address of this end.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr returns the address of the other end.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// SetReadDeadline sets when reading fails with os.ErrDeadlineExceeded.
func (c *Conn) SetReadDeadline(t time.Time) error {
	return c.setDeadline(c.in, &c.in.readDeadline, &c.in.readClosed, t)
}

// SetWriteDeadline sets when writing fails with os.ErrDeadlineExceeded.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	return c.setDeadline(c.out, &c.out.writeDeadline, &c.out.writeClosed, t)
}

func (c *Conn) setDeadline(s *stream, d *deadline, closed *bool, t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if *closed {
		return c.failure("set", net.ErrClosed)
	}
	d.set(s, t)
	return nil
}

// OnClose has f called when this end is closed. It is for an accepted function.
func (c *Conn) OnClose(f func()) { c.onClose = f }

// cut breaks the connection: both ends fail from now on, as after a reset.
func (c *Conn) cut() {
	c.in.cut(syscall.ECONNRESET)
	c.out.cut(syscall.ECONNRESET)
}

// freeze lets nothing arrive any more at either end, or everything again.
func (c *Conn) freeze(frozen bool) {
	for _, s := range []*stream{c.in, c.out} {
		s.do(func() { s.frozen = frozen && s.broken == nil })
	}
}
