package tunnel

import (
	"encoding/binary"
	"errors"
	"sync"
	"time"
)

// A link is everything that goes between two servers on connections that one of them makes. Its messages are numbered.
type link struct {
	t     *Tunnel
	id    linkID
	peer  string
	began bool // by this server
	key   []byte
	ready chan struct{} // closed when key is there
	done  chan struct{} // closed when the link has ended

	sending sync.Mutex // so that messages go in the order of their numbers
	sent    uint64

	mu     sync.Mutex
	got    uint64
	heard  time.Time
	used   time.Time
	err    error
	conns  map[uint32]*conn
	number uint32 // of the last connection
}

func (t *Tunnel) newLink(peer string, began bool) *link {
	now := time.Now()
	return &link{t: t, peer: peer, began: began, ready: make(chan struct{}), done: make(chan struct{}),
		heard: now, used: now, conns: make(map[uint32]*conn)}
}

// start begins to use a link, whose second id is known now. Only the first of several is that.
func (l *link) start(b linkID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.ready:
	default:
		l.key = sum(l.t.key, l.id[:], b[:])
		l.heard = time.Now()
		close(l.ready)
	}
}

// run says that this server is there, and notices that the other one is not.
func (l *link) run() {
	timer := time.NewTimer(greet)
	defer timer.Stop()
	select {
	case <-l.ready:
	case <-l.done:
		return
	case <-timer.C:
		l.fail(errSilent)
		return
	}
	ticker := time.NewTicker(beat)
	defer ticker.Stop()
	for {
		select {
		case <-l.done:
			return
		case now := <-ticker.C:
			l.mu.Lock()
			silent := now.Sub(l.heard) > deaf
			unused := l.began && len(l.conns) == 0 && now.Sub(l.used) > idle
			l.mu.Unlock()
			switch {
			case silent:
				l.fail(errSilent)
			case unused:
				l.end()
			default:
				l.send(kindBeat, 0, []byte(l.t.o.ID))
			}
		}
	}
}

// send sends a frame. If that fails the link has a hole, and ends.
func (l *link) send(kind byte, number uint32, body []byte) {
	l.sending.Lock()
	l.sent++
	m := make([]byte, 0, frameHeader+len(body)+macLen)
	first := byte(0)
	if l.began {
		first = 1
	}
	m = append(append(m, typeFrame, first), l.id[:]...)
	m = binary.BigEndian.AppendUint64(m, l.sent)
	m = binary.BigEndian.AppendUint32(append(m, kind), number)
	err := l.t.o.Bus.Send(l.peer, sign(l.key, append(m, body...), l.peer))
	l.sending.Unlock()
	if err != nil {
		l.fail(err)
	}
}

// end ends the link in good order.
func (l *link) end() {
	select {
	case <-l.ready:
		l.send(kindEnd, 0, nil)
	default:
	}
	l.fail(ErrClosed)
}

// fail ends the link and all its connections. What was received on them and not read is lost, too.
func (l *link) fail(err error) {
	l.t.mu.Lock()
	if l.t.out[l.peer] == l {
		delete(l.t.out, l.peer)
	}
	delete(l.t.links, linkKey{l.id, l.began})
	l.t.mu.Unlock()
	l.mu.Lock()
	if l.err != nil {
		l.mu.Unlock()
		return
	}
	l.err = err
	lost := len(l.conns)
	for _, c := range l.conns {
		c.err = err
		c.wake()
	}
	l.conns = nil
	close(l.done)
	l.mu.Unlock()
	if lost > 0 && !errors.Is(err, ErrClosed) && !errors.Is(err, errEnded) {
		l.t.o.Logger.Warn("tunnel: connections to another server ended", "server", l.peer, "connections", lost, "error", err)
	}
}

func (l *link) reason() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// open makes a connection.
func (l *link) open() (*conn, error) {
	l.mu.Lock()
	if l.err != nil {
		defer l.mu.Unlock()
		return nil, l.err
	}
	if len(l.conns) >= l.t.o.MaxConns || l.number == 1<<32-1 {
		l.mu.Unlock()
		return nil, ErrTooMany
	}
	l.number++
	c := newConn(l, l.number)
	l.conns[c.number] = c
	l.mu.Unlock()
	l.send(kindOpen, c.number, nil)
	return c, nil
}

// receive takes a frame that is known to be of the other server.
func (l *link) receive(seq uint64, kind byte, number uint32, body []byte) {
	l.mu.Lock()
	var err error
	var refused, fresh *conn
	switch {
	case l.err != nil || seq <= l.got: // repeated
		l.mu.Unlock()
		return
	case seq != l.got+1:
		err = errGap
	default:
		l.got, l.heard = seq, time.Now()
		switch c := l.conns[number]; kind {
		case kindBeat:
		case kindOpen:
			switch {
			case l.began || c != nil:
				err = errProtocol
			default:
				c = newConn(l, number)
				if len(l.conns) >= l.t.o.MaxConns {
					refused = c
				} else {
					l.conns[number] = c
					fresh = c
				}
			}
		case kindData:
			if c != nil {
				err = c.received(body)
			}
		case kindWindow:
			if len(body) != 4 {
				err = errProtocol
			} else if c != nil {
				c.credit += int(binary.BigEndian.Uint32(body))
				if c.credit > window {
					err = errProtocol
				}
				c.wake()
			}
		case kindClose:
			if c != nil {
				c.ended = true
				c.wake()
			}
		case kindEnd:
			err = errEnded
		default:
			err = errProtocol
		}
	}
	l.mu.Unlock()
	switch {
	case err != nil:
		l.fail(err)
	case refused != nil:
		l.send(kindClose, number, nil)
	case fresh != nil:
		l.t.deliver(fresh)
	}
}

// deliver hands a connection to the HTTP server, without waiting for it here.
func (t *Tunnel) deliver(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return
	}
	t.wg.Go(func() {
		select {
		case t.accept <- c:
		case <-t.done:
		case <-c.l.done:
		}
	})
}
