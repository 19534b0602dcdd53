package nats

import (
	"strings"
	"sync"
	"time"
)

// pump hands what NATS delivers to the namespaces. It never waits, so that nothing is dropped on the way to it.
func (b *Broker) pump() {
	var seen stamps
	for {
		select {
		case m := <-b.in:
			rest, ok := strings.CutPrefix(m.Subject, b.opts.Prefix)
			if !ok || rest == "" {
				continue
			}
			name, _, _ := strings.Cut(rest[1:], ".")
			payload, ok := seen.check(m.Data, time.Now())
			if !ok {
				b.stats.dropped.Add(1)
				continue
			}
			b.mu.Lock()
			t := b.taking[name]
			b.mu.Unlock()
			if t != nil {
				t.take(payload)
			}
		case <-b.ctx.Done():
			return
		}
	}
}

// An inbox keeps what came for a namespace until it is handled, in order. Its goroutine exists while there is something.
type inbox struct {
	b      *Broker
	handle func(payload []byte)
	joiner joiner // belongs to pump

	mu      sync.Mutex
	queue   [][]byte
	running bool
	closed  bool
	full    bool
	stopped *sync.Cond
}

func newInbox(b *Broker, handle func([]byte)) *inbox {
	i := &inbox{b: b, handle: handle}
	i.stopped = sync.NewCond(&i.mu)
	return i
}

// take queues a message, or a part of one.
func (i *inbox) take(payload []byte) {
	payload, err := i.joiner.join(payload, time.Now())
	if err != nil {
		i.b.stats.dropped.Add(1)
		i.b.log.Warn("nats: message of another server dropped", "error", err)
		return
	}
	if payload == nil {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closed {
		return
	}
	if i.b.unread.Add(int64(len(payload))) > int64(i.b.opts.MaxUnread) && len(i.queue) > 0 {
		i.b.unread.Add(-int64(len(payload)))
		i.b.stats.dropped.Add(1)
		if !i.full {
			i.full = true
			i.b.log.Warn("nats: messages of other servers are dropped, too many wait to be handled")
		}
		return
	}
	i.full = false
	i.queue = append(i.queue, payload)
	if !i.running {
		i.running = i.b.start(i.run)
	}
}

func (i *inbox) run() {
	i.mu.Lock()
	defer i.mu.Unlock()
	for len(i.queue) > 0 && !i.closed {
		batch := i.queue
		i.queue = nil
		i.mu.Unlock()
		for _, payload := range batch {
			i.b.stats.received.Add(1)
			i.handle(payload)
			i.b.unread.Add(-int64(len(payload)))
		}
		i.mu.Lock()
	}
	i.running = false
	i.stopped.Broadcast()
}

// close discards what waits. Nothing is handled any more when it returns.
func (i *inbox) close() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.closed = true
	for i.running {
		i.stopped.Wait()
	}
	for _, payload := range i.queue {
		i.b.unread.Add(-int64(len(payload)))
	}
	i.queue = nil
}
