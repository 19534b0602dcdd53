package engineio

import (
	"context"
	"sync"

	"github.com/sockeye-io/sockeye/engineio/frame"
)

// OverflowPolicy says what Send does when the outbox has no room.
type OverflowPolicy int

const (
	// PolicyDisconnect closes the session: the peer reconnects and knows that
	// it missed something. The default.
	PolicyDisconnect OverflowPolicy = iota
	// PolicyDropNewest drops what did not fit and keeps the session. Send
	// returns ErrOutboxFull and the loss is counted in Stats.Dropped.
	PolicyDropNewest
)

// OutboxOptions bound what waits in memory for one slow peer.
type OutboxOptions struct {
	// MaxBytes is the limit for one session, in encoded bytes. Zero means
	// 1 MiB; negative means no limit. A message larger than that is still
	// taken when nothing else waits, since it could never be sent otherwise.
	MaxBytes int
	// Policy is what Send does at the limit. Zero is PolicyDisconnect.
	// SendContext waits for room instead, whatever the policy.
	Policy OverflowPolicy
}

// batch is a run of messages on their way out. Batches are pooled, so that a
// session at rest holds none.
type batch struct {
	messages []*Message
	head     int // messages before it have left
	cost     int
}

var batchPool = sync.Pool{New: func() any { return new(batch) }}

func (b *batch) push(m *Message) {
	b.messages = append(b.messages, m)
	b.cost += m.cost()
}

func (b *batch) pending() []*Message { return b.messages[b.head:] }

// maxPooledBatch keeps one burst of tens of thousands of messages from living
// on in the pool.
const maxPooledBatch = 1024

func (b *batch) release() {
	if cap(b.messages) > maxPooledBatch {
		return
	}
	clear(b.messages)
	b.messages, b.head, b.cost = b.messages[:0], 0, 0
	batchPool.Put(b)
}

// Send queues the messages, one after the other with nothing between them, and
// returns without waiting for the network. All of them are queued or none. It
// is safe for concurrent use; what one goroutine sends arrives in that order.
//
// It returns ErrClosed if the session is closed or closing, and ErrOutboxFull
// if the peer reads too slowly (see OutboxOptions).
func (s *Session) Send(ms ...*Message) error {
	s.mu.Lock()
	err := s.enqueue(ms)
	s.mu.Unlock()
	if err == ErrOutboxFull {
		s.overflow(len(ms))
	}
	return err
}

// SendVolatile sends the messages only if they can leave at once: nothing
// waits in the outbox and the transport can take them. Otherwise they are
// dropped, and it reports false.
func (s *Session) SendVolatile(ms ...*Message) bool {
	s.mu.Lock()
	ok := s.queue == nil && s.flush != flushWriting && s.transport != nil && s.transport.ready() && s.enqueue(ms) == nil
	s.mu.Unlock()
	if !ok {
		s.server.stats.volatileDropped.Add(int64(len(ms)))
	}
	return ok
}

// SendContext is Send that waits for room in the outbox until ctx is done.
func (s *Session) SendContext(ctx context.Context, ms ...*Message) error {
	for {
		s.mu.Lock()
		err := s.enqueue(ms)
		if err != ErrOutboxFull {
			s.mu.Unlock()
			return err
		}
		if s.room == nil {
			s.room = make(chan struct{})
		}
		room := s.room
		s.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Flush waits until everything that was queued has been handed to the network,
// or ctx is done. A producer of much data calls it now and then, so as not to
// fill the outbox faster than the peer reads. It returns ErrClosed if the
// session ends first.
func (s *Session) Flush(ctx context.Context) error {
	for {
		s.mu.Lock()
		switch {
		case s.state == stateClosed:
			s.mu.Unlock()
			return ErrClosed
		case s.waiting == 0:
			s.mu.Unlock()
			return nil
		case s.room == nil:
			s.room = make(chan struct{})
		}
		room := s.room
		s.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// enqueue pushes and sets the queue moving. s.mu is held.
func (s *Session) enqueue(ms []*Message) error {
	if err := s.push(ms); err != nil {
		return err
	}
	if s.transport.ready() {
		s.transport.kick()
	}
	return nil
}

// push appends to the queue. s.mu is held.
func (s *Session) push(ms []*Message) error {
	if s.state != stateOpen {
		return ErrClosed
	}
	if len(ms) == 0 {
		return nil
	}
	limit := s.server.opts.Outbox.MaxBytes
	if limit > 0 && s.waiting > 0 {
		total := s.waiting
		for _, m := range ms {
			total += m.cost()
		}
		if total > limit {
			return ErrOutboxFull
		}
	}
	if s.queue == nil {
		s.queue = batchPool.Get().(*batch)
	}
	for _, m := range ms {
		s.queue.push(m)
		s.waiting += m.cost()
	}
	return nil
}

// pushControl queues a packet of the protocol itself, which no limit keeps
// back. s.mu is held.
func (s *Session) pushControl(m *Message) {
	if s.queue == nil {
		s.queue = batchPool.Get().(*batch)
	}
	s.queue.push(m)
	s.waiting += m.cost()
}

// take removes up to maxPackets messages of about maxBytes bytes from the
// queue; zero means no limit. The first message is taken whatever its size.
// The caller says sent(b.cost) when they are written. s.mu is held.
func (s *Session) take(maxPackets, maxBytes int) *batch {
	q := s.queue
	if q == nil {
		return nil
	}
	pending := q.pending()
	n, size := 0, 0
	for n < len(pending) {
		size += len(pending[n].text()) + 1
		if n > 0 && ((maxPackets > 0 && n >= maxPackets) || (maxBytes > 0 && size > maxBytes)) {
			break
		}
		if n > 0 && maxPackets > 0 && pending[n].kind == frame.Close {
			// The stock client closes at once when it reads this packet in a payload, and handles what came before
			// it only afterwards: it would miss the disconnect packet that says why. Alone it comes with the next GET.
			break
		}
		n++
	}
	if n == len(pending) && q.head == 0 {
		s.queue = nil
		return q
	}
	b := batchPool.Get().(*batch)
	for _, m := range pending[:n] {
		b.push(m)
	}
	clear(q.messages[q.head : q.head+n])
	q.head += n
	q.cost -= b.cost
	if q.head == len(q.messages) {
		s.queue = nil
		q.release()
	}
	return b
}

// sent takes cost off what waits and lets blocked senders try again. s.mu is
// held.
func (s *Session) sent(cost int) {
	s.waiting -= cost
	s.wakeSenders()
}

func (s *Session) wakeSenders() {
	if s.room != nil {
		close(s.room)
		s.room = nil
	}
}

// overflow carries out the policy after ErrOutboxFull.
func (s *Session) overflow(lost int) {
	s.server.stats.dropped.Add(int64(lost))
	if s.server.opts.Outbox.Policy == PolicyDropNewest {
		return
	}
	s.server.stats.outboxFull.Add(1)
	s.server.opts.Logger.Warn("engineio: closing a session that reads too slowly", "session", s.id,
		"remote", s.handshake.remoteAddr, "limit", s.server.opts.Outbox.MaxBytes)
	s.finish(ReasonOutboxFull, ErrOutboxFull, endAbort)
}
