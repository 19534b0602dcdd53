package client

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sockeye-io/sockeye/event"
)

// An ackWaiter waits for an acknowledgement. It is resolved once: who does so has taken it from where it was noted.
type ackWaiter struct {
	ch   chan ackResult // has room for one
	sent bool           // the event is on its way, and lost if the connection is; guarded by Client.mu
}

type ackResult struct {
	ack *event.Ack
	err error
}

func (w *ackWaiter) resolve(a *event.Ack, err error) { w.ch <- ackResult{a, err} }

// expectAck notes that the server owes an acknowledgement. c.mu is held.
func (s *Socket) expectAck(o *outgoing) error {
	if len(s.acks) >= s.client.opts.MaxPendingAcks {
		return ErrTooManyAcks
	}
	if s.acks == nil {
		s.acks = make(map[uint64]*ackWaiter)
	}
	s.acks[o.id] = o.w
	return nil
}

// forgetAck is called with c.mu held. It reports whether somebody was waiting.
func (s *Socket) forgetAck(o *outgoing) bool {
	if o.w == nil || s.acks[o.id] != o.w {
		return false
	}
	delete(s.acks, o.id)
	if len(s.acks) == 0 {
		s.acks = nil // an empty map is worth more than a hundred bytes
	}
	return true
}

// acknowledged takes an acknowledgement that came in. One that nobody waits for any more is ignored. c.mu is held.
func (s *Socket) acknowledged(id uint64, a *event.Ack) {
	if s.sess.phase != joined {
		return
	}
	if w := s.acks[id]; w != nil {
		s.forgetAck(&outgoing{id: id, w: w})
		w.resolve(a, nil)
		return
	}
	s.retries.acknowledged(s, id, a)
}

// failSent fails those who wait for what was sent: what has not been sent is not lost, and may still be answered. At the
// end of the client it is. c.mu is held.
func (s *Socket) failSent(err error) {
	for id, w := range s.acks {
		if w.sent || err == ErrClosed {
			delete(s.acks, id)
			w.resolve(nil, err)
		}
	}
	if len(s.acks) == 0 {
		s.acks = nil
	}
}

// A Pending is an acknowledgement that is to come, made by [Socket.EmitForAck]. Its methods are safe for concurrent use.
type Pending struct {
	s       *Socket
	o       *outgoing
	timeout time.Duration // given to Timeout
	bounded bool          // Wait is bounded even if its context is not
	began   time.Time

	mu   sync.Mutex // while somebody waits
	done bool
	ack  *Ack
	err  error
}

// Wait waits for the acknowledgement as [Socket.EmitWithAck] does: until ctx is done or, if it has no deadline, until
// Options.AckTimeout or what was given to Timeout has passed since the event was emitted. If it returns without the
// acknowledgement, an event that has not been sent is not sent any more. Further calls return the same.
func (p *Pending) Wait(ctx context.Context) (*Ack, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.done {
		p.ack, p.err = p.wait(ctx)
		p.done = true
	}
	return p.ack, p.err
}

func (p *Pending) wait(ctx context.Context) (*Ack, error) {
	s, o := p.s, p.o
	var timeout <-chan time.Time
	if p.bounded {
		d := p.timeout
		if _, ok := ctx.Deadline(); d <= 0 && !ok {
			d = s.client.opts.AckTimeout
		}
		if d > 0 {
			if !p.began.IsZero() {
				d -= time.Since(p.began)
			}
			timer := time.NewTimer(d)
			defer timer.Stop()
			timeout = timer.C
		}
	}
	select {
	case r := <-o.w.ch: // has come, even if the time is up
		return r.ack, r.err
	default:
	}
	var err error
	select {
	case r := <-o.w.ch:
		return r.ack, r.err
	case <-ctx.Done():
		err = ctx.Err()
	case <-timeout:
		err = context.DeadlineExceeded
	}
	c := s.client
	c.mu.Lock()
	if s.forgetAck(o) {
		s.buffer.remove(o)
		s.wakeFlushers()
	} else if !s.retries.remove(s, o) { // it was resolved in the same instant
		c.mu.Unlock()
		r := <-o.w.ch
		return r.ack, r.err
	}
	c.mu.Unlock()
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, &AckTimeoutError{Event: o.name, Err: context.DeadlineExceeded}
	}
	return nil, err
}

func (s *Socket) emitForAck(p *Pending, opts emitOptions, name string, args []any) error {
	p.s, p.o = s, &outgoing{name: name, w: &ackWaiter{ch: make(chan ackResult, 1)}}
	p.timeout, p.bounded = opts.timeout, opts.volatile || s.client.opts.Retries == 0
	return s.emit(p.o, opts, args)
}

func (s *Socket) emitWithAck(ctx context.Context, opts emitOptions, name string, args []any) (*Ack, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var p Pending
	if err := s.emitForAck(&p, opts, name, args); err != nil {
		return nil, err
	}
	return p.wait(ctx)
}
