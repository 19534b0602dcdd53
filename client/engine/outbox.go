package engine

import (
	"context"
	"runtime"
	"sync"
	"time"

	"github.com/sockeye-io/sockeye/engineio/frame"
)

// batch is a piece of an outbox.
type batch struct {
	packets []frame.Packet
	cost    int
}

var batches = sync.Pool{New: func() any { return new(batch) }}

// maxPooledBatch is the room for packets that is worth keeping: 10 KB.
const maxPooledBatch = 256

func (b *batch) release() {
	clear(b.packets)
	b.packets, b.cost = b.packets[:0], 0
	if cap(b.packets) <= maxPooledBatch {
		batches.Put(b)
	}
}

// packetCost is what a packet counts in the outbox beside its data: its place in
// the queue.
const packetCost = 32

func cost(data []byte) int { return len(data) + packetCost }

// Send queues messages, all or none, with nothing between them, and never waits
// for the network. The error is ErrClosed, ErrOutboxFull or a *TooLargeError; the
// connection lives on.
func (c *Conn) Send(ms ...Message) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != stateOpen {
		return ErrClosed
	}
	sum := 0
	for _, m := range ms {
		if err := c.fits(m); err != nil {
			return err
		}
		sum += cost(m.Data)
	}
	if c.waiting > 0 && c.waiting+sum > c.maxOutbox {
		return ErrOutboxFull
	}
	c.pushMessages(ms)
	return nil
}

// SendVolatile sends the messages if they leave at once, and reports whether they
// do: not if others wait, the network is slow, or the transport is changing.
func (c *Conn) SendVolatile(ms ...Message) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != stateOpen || c.queue != nil || c.flushing || c.switching {
		return false
	}
	for _, m := range ms {
		if c.fits(m) != nil {
			return false
		}
	}
	c.pushMessages(ms)
	return true
}

// fits returns an error if the server would not take m. c.mu is held.
func (c *Conn) fits(m Message) error {
	if c.maxPayload == 0 || len(m.Data) <= c.maxPayload/2 {
		return nil // base64 adds a third
	}
	if size := c.transport.size(m); size > c.maxPayload {
		return &TooLargeError{Size: size, Limit: c.maxPayload}
	}
	return nil
}

// pushMessages appends to the outbox and gets it on its way. c.mu is held.
func (c *Conn) pushMessages(ms []Message) {
	for _, m := range ms {
		c.push(frame.Packet{Type: frame.Message, Binary: m.Binary, Data: m.Data})
	}
	c.kick()
}

// push appends to the outbox. c.mu is held.
func (c *Conn) push(p frame.Packet) {
	if c.queue == nil {
		c.queue = batches.Get().(*batch)
	}
	n := cost(p.Data)
	c.queue.packets = append(c.queue.packets, p)
	c.queue.cost += n
	c.waiting += n
	c.pushed++
}

// kick gets the outbox on its way, if nobody is at it. c.mu is held.
func (c *Conn) kick() {
	if c.flushing || c.switching || c.state == stateClosed {
		return
	}
	if c.queue == nil && (c.state != stateClosing || c.bye) {
		return
	}
	c.flushing = true
	c.start(c.flush)
}

// flush writes until the outbox is empty.
func (c *Conn) flush() {
	defer c.leave()
	// Others who are about to send do so first: with 16 emitters on a connection an
	// echo costs 8 µs instead of 16, and alone it costs no more.
	runtime.Gosched()
	var b *batch
	for {
		t, bye := c.next(&b)
		if t == nil {
			return
		}
		if err := t.write(b.packets, bye); err != nil {
			c.finish(ReasonTransportError, err)
			return
		}
		if bye && t.name() != WebSocket {
			// The server has answered; on a WebSocket the reader waits for that. The
			// GET goes only now: a server that sees it vanish takes that for an error.
			c.next(&b)
			c.finish(ReasonForcedClose, nil)
			return
		}
	}
}

// next puts away the batch that has been written and takes another, and says where
// it goes and whether it is the last. Nowhere means that flushing has ended.
func (c *Conn) next(b **batch) (t transport, bye bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if done := *b; done != nil {
		c.waiting -= done.cost
		c.written += uint64(len(done.packets))
		done.release()
		*b = nil
		c.spoke.Store(int64(time.Since(c.opened)))
	}
	c.wake()
	if c.state != stateClosed && !c.switching {
		*b = c.take()
		if c.state == stateClosing && c.queue == nil && !c.bye {
			c.bye, bye = true, true
		}
		if *b == nil && bye {
			*b = batches.Get().(*batch)
		}
		if *b != nil {
			return c.transport, bye
		}
	}
	c.flushing = false
	return nil, false
}

// take takes what the transport can write at once. c.mu is held.
func (c *Conn) take() *batch {
	b := c.queue
	if b == nil {
		return nil
	}
	c.ponging = false
	maxPackets, maxBytes := c.transport.limits()
	n := fitting(b.packets, maxPackets, maxBytes)
	if n == len(b.packets) {
		c.queue = nil
		return b
	}
	part := batches.Get().(*batch)
	part.packets = append(part.packets, b.packets[:n]...)
	for _, p := range part.packets {
		part.cost += cost(p.Data)
	}
	b.cost -= part.cost
	// What stays moves up. A long queue is taken 16 at a time here, and moving its
	// head instead would keep what has been sent from the collector.
	rest := copy(b.packets, b.packets[n:])
	clear(b.packets[rest:])
	b.packets = b.packets[:rest]
	return part
}

// fitting is how many packets may go into one payload: at least one.
func fitting(ps []frame.Packet, maxPackets, maxBytes int) int {
	n := len(ps)
	if maxPackets > 0 {
		n = min(n, maxPackets)
	}
	if maxBytes <= 0 {
		return n
	}
	bytes := -1
	for i, p := range ps[:n] {
		bytes += 1 + textSize(p.Binary, len(p.Data))
		if i > 0 && bytes > maxBytes {
			return i
		}
	}
	return n
}

// wake wakes those who wait for progress. c.mu is held.
func (c *Conn) wake() {
	if c.progress != nil {
		close(c.progress)
		c.progress = nil
	}
}

// wait waits, until ready, for progress. c.mu is held, but not while waiting.
func (c *Conn) wait(ctx context.Context, ready func() bool) error {
	for !ready() {
		if c.progress == nil {
			c.progress = make(chan struct{})
		}
		progress := c.progress
		c.mu.Unlock()
		select {
		case <-progress:
		case <-ctx.Done():
		}
		c.mu.Lock()
		if err := ctx.Err(); err != nil && !ready() {
			return context.Cause(ctx)
		}
	}
	return nil
}

// Flush waits until everything that was sent before has been handed to the
// network; over polling and streaming, until the server has answered for it. The
// error is ctx's, or ErrClosed if the connection ended before.
func (c *Conn) Flush(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	target := c.pushed
	err := c.wait(ctx, func() bool { return c.written >= target || c.state == stateClosed })
	if err == nil && c.written < target {
		return ErrClosed
	}
	return err
}

// Buffered returns how many bytes wait to be sent, 32 for each message included.
func (c *Conn) Buffered() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.waiting
}
