package socketio

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/event"
)

// An ackWaiter waits for acknowledgements. Resolve is called once for each that was expected, with it or with why it
// won't come; it must not block.
type ackWaiter interface {
	resolve(a *event.Ack, err error)
}

// expectAck notes that the client owes an acknowledgement.
func (s *Socket) expectAck(id uint64, w ackWaiter) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.Load() == stateClosed {
		return ErrDisconnected
	}
	if len(s.acks) >= s.ns.server.opts.Limits.MaxPendingAcks {
		return ErrTooManyAcks
	}
	if s.acks == nil {
		s.acks = make(map[uint64]ackWaiter)
	}
	s.acks[id] = w
	return nil
}

// takeAck returns who waits for the acknowledgement, only once, or nil.
func (s *Socket) takeAck(id uint64) ackWaiter {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.acks[id]
	delete(s.acks, id)
	if len(s.acks) == 0 {
		s.acks = nil // an empty map is worth more than a hundred bytes
	}
	return w
}

// failAcks is called when the socket was disconnected: nobody shall wait for what can't come.
func (s *Socket) failAcks() {
	s.mu.Lock()
	acks := s.acks
	s.acks = nil
	s.mu.Unlock()
	for _, w := range acks {
		w.resolve(nil, ErrDisconnected)
	}
}

// ackTimeout returns a context that ends when waiting for acknowledgements has to.
func (srv *Server) ackTimeout(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	if timeout <= 0 {
		if _, ok := ctx.Deadline(); ok {
			return ctx, func() {}
		}
		timeout = srv.opts.AckTimeout
	}
	return context.WithTimeout(ctx, timeout)
}

type ackResult struct {
	ack *event.Ack
	err error
}

// oneAck waits for one acknowledgement.
type oneAck chan ackResult

func (w oneAck) resolve(a *event.Ack, err error) { w <- ackResult{a, err} } // has room for one

func (s *Socket) emitWithAck(ctx context.Context, o emitOptions, name string, args []any) (*Ack, error) {
	if err := ctx.Err(); err != nil && !s.ended.Load() {
		return nil, err
	}
	id := s.ns.ackID.Add(1) - 1
	d, err := s.ns.newDelivery(o, &id, name, args)
	if err != nil {
		return nil, err
	}
	w := make(oneAck, 1)
	if err := s.expectAck(id, w); err != nil {
		return nil, err
	}
	defer s.takeAck(id)
	s.notifyOutgoing(func() *Message { return outgoingMessage(name, args) })
	if err := s.m.send(d, s); err != nil {
		return nil, err
	}
	ctx, cancel := s.ns.server.ackTimeout(ctx, o.timeout)
	defer cancel()
	select {
	case r := <-w:
		return r.ack, r.err
	case <-ctx.Done():
		select {
		case r := <-w: // came, or the socket was disconnected, in the same instant
			return r.ack, r.err
		default:
		}
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return nil, &AckTimeoutError{Expected: 1, Err: ctx.Err()}
		}
		if s.ended.Load() {
			return nil, ErrDisconnected
		}
		return nil, ctx.Err()
	}
}

// manyAcks collects the acknowledgements of a broadcast. Answers of other servers join those of this one.
type manyAcks struct {
	mu       sync.Mutex
	acks     []*event.Ack
	expected int
	gone     int
	counting int           // sources that have not said yet how many acknowledgements they expect
	done     chan struct{} // closed when all are there
}

func (w *manyAcks) resolve(a *event.Ack, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.gone++
	} else {
		w.acks = append(w.acks, a)
	}
	w.check()
}

// remote is resolve for what comes from another server.
func (w *manyAcks) remote(p *adapter.Packet) {
	if p == nil {
		w.resolve(nil, ErrDisconnected)
		return
	}
	w.resolve(newAck(p), nil)
}

// expect says how many acknowledgements a source expects in all.
func (w *manyAcks) expect(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.expected += n
	w.counting--
	w.check()
}

func (w *manyAcks) check() {
	if w.counting == 0 && len(w.acks)+w.gone >= w.expected && w.done != nil {
		close(w.done)
		w.done = nil
	}
}

// result returns what has come, with an error if that is not all.
func (w *manyAcks) result(err error) ([]*Ack, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	acks := w.acks[:len(w.acks):len(w.acks)]
	if err == nil && w.gone == 0 {
		return acks, nil
	}
	if err == nil {
		err = ErrDisconnected
	}
	return acks, &AckTimeoutError{Expected: w.expected, Received: len(acks), Disconnected: w.gone, Err: err}
}
