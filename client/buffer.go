package client

import (
	"context"
	"slices"

	"github.com/sockeye-io/sockeye/client/engine"
)

// A buffer holds the events that wait for a connection. It is guarded by Client.mu.
type buffer struct {
	list     []*outgoing
	bytes    int
	resuming bool // a goroutine waits until the outbox has room
}

// push appends an event within the limits. One that has no room with others gets it alone.
func (b *buffer) push(s *Socket, o *outgoing) error {
	opts := &s.client.opts.Buffer
	if opts.Policy == NoBuffer {
		return ErrDisconnected
	}
	for len(b.list) > 0 && (len(b.list) >= opts.MaxEvents || b.bytes+o.size > opts.MaxBytes) {
		if opts.Policy == Refuse {
			return ErrBufferFull
		}
		s.giveUp(b.shift(), ErrBufferFull)
	}
	b.list = append(b.list, o)
	b.bytes += o.size
	return nil
}

// shift removes the first event.
func (b *buffer) shift() *outgoing {
	o := b.list[0]
	b.list[0] = nil
	b.list = b.list[1:]
	b.bytes -= o.size
	if len(b.list) == 0 {
		b.list = nil
	}
	return o
}

// remove removes an event if it is there.
func (b *buffer) remove(o *outgoing) {
	if i := slices.Index(b.list, o); i >= 0 {
		b.list = slices.Delete(b.list, i, i+1)
		b.bytes -= o.size
	}
}

// clear removes everything and returns how many events nobody waits for: the others' senders learn what became of them.
func (b *buffer) clear() (unsent int) {
	for _, o := range b.list {
		if o.w == nil {
			unsent++
		}
	}
	b.list, b.bytes = nil, 0
	return unsent
}

// sendBuffered sends what has waited for a connection. c.mu is held.
func (s *Socket) sendBuffered() {
	b := &s.buffer
	conn := s.sess.link.conn
	for len(b.list) > 0 {
		o := b.list[0]
		switch err := conn.Send(o.ms...); err {
		case nil:
			b.shift()
			s.sent(o)
		case engine.ErrClosed:
			return // the next connection takes it
		case engine.ErrOutboxFull:
			s.resumeLater()
			return
		default: // when it was emitted the server's limit was not known
			b.shift()
			s.giveUp(o, err)
		}
	}
	s.wakeFlushers()
}

// resumeLater goes on sending what has waited when the outbox has room. What is emitted meanwhile waits behind it. c.mu
// is held.
func (s *Socket) resumeLater() {
	if s.buffer.resuming {
		return
	}
	s.buffer.resuming = true
	c, sess := s.client, s.sess
	c.work.start(func() {
		_ = sess.link.conn.Flush(sess.ctx) // if it fails the session is about to end, or has
		c.mu.Lock()
		defer c.mu.Unlock()
		s.buffer.resuming = false
		if s.joined() {
			s.sendBuffered()
		}
	})
}

// giveUp tells of an event that will not be sent. c.mu is held.
func (s *Socket) giveUp(o *outgoing, err error) {
	if o.w != nil {
		s.forgetAck(o)
		o.w.resolve(nil, err)
		return
	}
	s.tell(&DroppedError{Event: o.name, Err: err})
}

// Flush waits until everything that was emitted has been handed to the network, for which there has to be a connection;
// with Options.Retries, until it has been acknowledged or given up. It returns ErrDisconnected if the connection is lost
// before what it was given is on its way, and may be called again.
func (s *Socket) Flush(ctx context.Context) error {
	c := s.client
	c.mu.Lock()
	target := s.retries.last()
	for !c.closed && (len(s.buffer.list) > 0 || s.retries.pending(target)) {
		less := make(chan struct{})
		s.flushers = append(s.flushers, less)
		c.mu.Unlock()
		select {
		case <-less:
		case <-ctx.Done():
			c.mu.Lock()
			s.flushers = slices.DeleteFunc(s.flushers, func(ch chan struct{}) bool { return ch == less })
			c.mu.Unlock()
			return ctx.Err()
		}
		c.mu.Lock()
	}
	l, sends := s.sentOn, s.sends
	switch {
	case c.closed:
		c.mu.Unlock()
		return ErrClosed
	case sends == s.flushed:
		c.mu.Unlock()
		return nil
	}
	c.mu.Unlock()
	err := ErrDisconnected
	if l != nil {
		err = sendError(l.conn.Flush(ctx))
	}
	if err == nil || err == ErrDisconnected { // it is known what became of them
		c.mu.Lock()
		s.flushed = max(s.flushed, sends)
		c.mu.Unlock()
	}
	return err
}

// wakeFlushers is called, with c.mu held, whenever less waits to be sent.
func (s *Socket) wakeFlushers() {
	for _, less := range s.flushers {
		close(less)
	}
	s.flushers = nil
}
