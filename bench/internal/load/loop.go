//go:build linux

package load

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"syscall"
	"time"
)

// loop drives every connection of a run from one goroutine with epoll. A goroutine per connection would cost the
// generator more than the servers it measures, and they share the machine's cores.
//
// Nothing in it is safe for concurrent use, and nothing needs to be.
type loop struct {
	epoll  int
	conns  []*conn // by file descriptor
	events [512]syscall.EpollEvent
	buf    [64 << 10]byte
	dirty  []*conn
	start  time.Time
	now    time.Duration // since start, read once for every event
	tick   func()        // called about every millisecond, if it is there
}

// user is what a connection belongs to. Its methods run on the loop.
type user interface {
	connected(c *conn)
	// data returns how many bytes of b it is done with; the rest comes again with what follows it. b is valid only
	// during the call. An error closes the connection.
	data(c *conn, b []byte) (int, error)
	// gone is called once, when the connection has ended in any way but close.
	gone(c *conn, err error)
}

type conn struct {
	loop       *loop
	fd         int
	user       user
	in         []byte // read and not yet consumed
	out        []byte // to be written at the end of the current event
	queued     bool   // in loop.dirty
	connecting bool
	blocked    bool // waiting for the socket to be writable
}

var errTimeout = errors.New("no progress in time")

func newLoop() (*loop, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	return &loop{epoll: fd, start: time.Now()}, nil
}

// close ends all connections with a reset, so that tens of thousands of them don't linger in TIME_WAIT.
func (l *loop) close() {
	for _, c := range l.conns {
		if c != nil {
			c.close()
		}
	}
	syscall.Close(l.epoll)
}

func (l *loop) clock() time.Duration {
	l.now = time.Since(l.start)
	return l.now
}

// dial starts a connection; u.connected or u.gone tells how it went.
func (l *loop) dial(addr netip.AddrPort, u user) (*conn, error) {
	var sa syscall.Sockaddr
	family := syscall.AF_INET
	if a := addr.Addr().Unmap(); a.Is4() {
		sa = &syscall.SockaddrInet4{Port: int(addr.Port()), Addr: a.As4()}
	} else {
		sa, family = &syscall.SockaddrInet6{Port: int(addr.Port()), Addr: a.As16()}, syscall.AF_INET6
	}
	fd, err := syscall.Socket(family, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
	_ = syscall.SetsockoptLinger(fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1})
	if err := syscall.Connect(fd, sa); err != nil && err != syscall.EINPROGRESS {
		syscall.Close(fd)
		return nil, fmt.Errorf("connect: %w", err)
	}
	c := &conn{loop: l, fd: fd, user: u, connecting: true}
	ev := syscall.EpollEvent{Events: syscall.EPOLLIN | syscall.EPOLLOUT, Fd: int32(fd)}
	if err := syscall.EpollCtl(l.epoll, syscall.EPOLL_CTL_ADD, fd, &ev); err != nil {
		syscall.Close(fd)
		return nil, fmt.Errorf("epoll: %w", err)
	}
	for len(l.conns) <= fd {
		l.conns = append(l.conns, nil)
	}
	l.conns[fd] = c
	return c, nil
}

// runUntil handles events until done is true, and reports whether it is, at the latest after limit.
func (l *loop) runUntil(limit time.Duration, done func() bool) bool {
	deadline := l.clock() + limit
	for !done() {
		left := deadline - l.clock()
		if left <= 0 {
			return false
		}
		// At most 20 ms at a time, for the sake of what done reads from the clock.
		wait := 20 * time.Millisecond
		if l.tick != nil {
			l.tick()
			wait = 0
		}
		l.poll(int(min(left, wait)/time.Millisecond) + 1)
	}
	return true
}

// run handles events for d.
func (l *loop) run(d time.Duration) { l.runUntil(d, func() bool { return false }) }

func (l *loop) poll(ms int) {
	n, err := syscall.EpollWait(l.epoll, l.events[:], ms)
	if err != nil {
		return // EINTR
	}
	for _, ev := range l.events[:n] {
		// A connection closed by an event before this one, in the same batch, is nil here, or its descriptor is a new
		// connection's, for which the event is at worst a read that finds nothing.
		if c := l.conns[ev.Fd]; c != nil {
			c.event(ev.Events)
		}
		l.flush()
	}
}

// flush writes what the last event made connections want to say: one write each.
func (l *loop) flush() {
	for i := 0; i < len(l.dirty); i++ { // flushing can fail, and failing can add to the list
		c := l.dirty[i]
		c.queued = false
		if c.fd >= 0 && !c.blocked && !c.connecting {
			c.write()
		}
	}
	l.dirty = l.dirty[:0]
}

func (c *conn) event(events uint32) {
	if c.connecting {
		if errno, _ := syscall.GetsockoptInt(c.fd, syscall.SOL_SOCKET, syscall.SO_ERROR); errno != 0 {
			c.fail(fmt.Errorf("connect: %w", syscall.Errno(errno)))
			return
		}
		if events&syscall.EPOLLOUT == 0 {
			return
		}
		c.connecting = false
		c.watch(syscall.EPOLLIN)
		c.user.connected(c)
		return
	}
	if c.blocked && events&syscall.EPOLLOUT != 0 {
		c.blocked = false
		c.watch(syscall.EPOLLIN)
		c.write()
	}
	if c.fd >= 0 && events&(syscall.EPOLLIN|syscall.EPOLLHUP|syscall.EPOLLERR) != 0 {
		c.read()
	}
}

func (c *conn) read() {
	n, err := syscall.Read(c.fd, c.loop.buf[:])
	switch {
	case err == syscall.EAGAIN || err == syscall.EINTR:
		return
	case err != nil:
		c.fail(fmt.Errorf("read: %w", err))
		return
	case n == 0:
		c.fail(io.EOF)
		return
	}
	c.loop.clock()
	b := c.loop.buf[:n]
	if len(c.in) > 0 {
		c.in = append(c.in, b...)
		b = c.in
	}
	used, err := c.user.data(c, b)
	if err != nil {
		c.fail(err)
		return
	}
	if c.fd < 0 {
		return
	}
	if used == len(b) {
		c.in = nil // thousands of connections wait; none keeps a buffer
		return
	}
	c.in = append([]byte(nil), b[used:]...)
}

// send queues b, which is copied, for the write at the end of the current event.
func (c *conn) send(b []byte) {
	if c.fd < 0 {
		return
	}
	c.out = append(c.out, b...)
	if !c.queued {
		c.queued = true
		c.loop.dirty = append(c.loop.dirty, c)
	}
}

func (c *conn) write() {
	if len(c.out) == 0 {
		return
	}
	n, err := syscall.Write(c.fd, c.out)
	if err != nil && err != syscall.EAGAIN && err != syscall.EINTR {
		c.fail(fmt.Errorf("write: %w", err))
		return
	}
	if n = max(n, 0); n == len(c.out) {
		c.out = c.out[:0]
		return
	}
	c.out = append(c.out[:0], c.out[n:]...)
	c.blocked = true
	c.watch(syscall.EPOLLIN | syscall.EPOLLOUT)
}

func (c *conn) watch(events uint32) {
	ev := syscall.EpollEvent{Events: events, Fd: int32(c.fd)}
	_ = syscall.EpollCtl(c.loop.epoll, syscall.EPOLL_CTL_MOD, c.fd, &ev)
}

func (c *conn) fail(err error) {
	if c.fd >= 0 {
		c.close()
		c.user.gone(c, err)
	}
}

// close ends the connection without a call to its user.
func (c *conn) close() {
	if c.fd < 0 {
		return
	}
	c.loop.conns[c.fd] = nil
	syscall.Close(c.fd)
	c.fd = -1
	c.in, c.out = nil, nil
}
