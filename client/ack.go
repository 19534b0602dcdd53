package client

import (
	"context"
	"errors"
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

func (s *Socket) emitWithAck(ctx context.Context, opts emitOptions, name string, args []any) (*Ack, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c := s.client
	o := &outgoing{name: name, w: &ackWaiter{ch: make(chan ackResult, 1)}}
	if err := s.emit(o, opts, args); err != nil {
		return nil, err
	}
	var timeout <-chan time.Time
	if d := opts.timeout; opts.volatile || c.opts.Retries == 0 {
		if _, ok := ctx.Deadline(); d <= 0 && !ok {
			d = c.opts.AckTimeout
		}
		if d > 0 {
			timer := time.NewTimer(d)
			defer timer.Stop()
			timeout = timer.C
		}
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
		return nil, &AckTimeoutError{Event: name, Err: context.DeadlineExceeded}
	}
	return nil, err
}
