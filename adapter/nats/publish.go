package nats

import (
	"errors"
	"strings"
	"sync"
	"time"

	gonats "github.com/nats-io/nats.go"
)

// An outbox tells NATS what is published and what is subscribed to, in order, without making anybody wait.
type outbox struct {
	b    *Broker
	subs map[string]*gonats.Subscription // belongs to run

	// These belong to run, too.
	number  uint64 // of messages published
	stamped []byte // the one that is being published

	mu      sync.Mutex
	queue   []task
	bytes   int           // of what waits to be published
	busy    bool          // run has taken tasks from the queue
	sent    int64         // messages handed to the connection, not confirmed
	epoch   uint64        // of the connection that they were handed to
	idle    chan struct{} // closed when nothing is left; made by who waits
	work    chan struct{} // has room for one
	confirm chan struct{} // has room for one
	hurry   chan struct{} // has room for one; somebody waits for what is not confirmed
}

// A task is something to tell NATS.
type task struct {
	kind    taskKind
	subject string
	payload []byte
	call    func()
}

type taskKind uint8

const (
	publish taskKind = iota
	subscribe
	unsubscribe
	forget // all subjects that begin so
	inTurn // something else that has its turn
)

const (
	// maxBatch is how many tasks are taken from the queue at a time.
	maxBatch = 1024
	// confirmTimeout is how long NATS may take to confirm what was sent; then the connection is made anew.
	confirmTimeout = 5 * time.Second
	// confirmInterval is how far apart confirmations are asked for: each is a round trip, whatever the number of messages
	// it confirms.
	confirmInterval = 50 * time.Millisecond
	// connectInterval is between attempts to connect for the first time.
	connectInterval = 500 * time.Millisecond
)

func newOutbox(b *Broker) *outbox {
	return &outbox{
		b: b, subs: make(map[string]*gonats.Subscription),
		work: make(chan struct{}, 1), confirm: make(chan struct{}, 1), hurry: make(chan struct{}, 1),
	}
}

// publish queues a message.
func (o *outbox) publish(subject string, payload []byte) error {
	if o.b.state.Load() == down {
		return ErrDown
	}
	size := len(subject) + len(payload)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.b.ctx.Err() != nil {
		return ErrDown
	}
	if o.bytes > 0 && o.bytes+size > o.b.opts.MaxQueued {
		return ErrQueueFull
	}
	o.bytes += size
	o.push(task{kind: publish, subject: subject, payload: payload})
	return nil
}

// interest queues a change of what is subscribed to. That is remembered even while there is no connection.
func (o *outbox) interest(kind taskKind, subject string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.push(task{kind: kind, subject: subject})
}

// inTurn queues a call, which must not wait, behind what is there.
func (o *outbox) inTurn(f func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.push(task{kind: inTurn, call: f})
}

func (o *outbox) push(t task) {
	o.queue = append(o.queue, t)
	wake(o.work)
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// run connects, and then does what there is to do.
func (o *outbox) run(how *gonats.Options) {
	nc := o.connect(how)
	if nc == nil {
		return
	}
	o.b.wg.Go(func() { o.confirmAll(nc) }) // run itself is still counted
	for {
		o.mu.Lock()
		n := min(len(o.queue), maxBatch)
		batch := o.queue[:n:n]
		if o.queue = o.queue[n:]; len(o.queue) == 0 {
			o.queue = nil
		}
		o.busy = n > 0
		o.settle()
		o.mu.Unlock()
		if n > 0 {
			o.do(nc, batch)
			continue
		}
		select {
		case <-o.work:
		case <-o.b.ctx.Done():
			return
		}
	}
}

// connect returns the connection, which may still be in the making; nil if the broker was closed.
func (o *outbox) connect(how *gonats.Options) *gonats.Conn {
	for {
		nc, err := how.Connect()
		if err == nil {
			o.b.mu.Lock()
			o.b.nc = nc
			o.b.mu.Unlock()
			if !nc.IsConnected() && o.b.state.CompareAndSwap(connecting, down) {
				o.b.log.Warn("nats: cannot connect; trying on", "error", nc.LastError())
			}
			if o.b.ctx.Err() != nil {
				nc.Close()
				return nil
			}
			return nc
		}
		if o.b.ctx.Err() == nil && o.b.state.CompareAndSwap(connecting, down) {
			o.b.log.Warn("nats: cannot connect; trying on", "error", err)
		}
		o.discard()
		select {
		case <-time.After(connectInterval):
		case <-o.b.ctx.Done():
			return nil
		}
	}
}

// discard gives up what waits to be published, but not what is to be subscribed to.
func (o *outbox) discard() {
	o.mu.Lock()
	defer o.mu.Unlock()
	kept := o.queue[:0]
	for _, t := range o.queue {
		if t.kind == publish {
			o.b.stats.lost.Add(1)
			continue
		}
		kept = append(kept, t)
	}
	o.queue, o.bytes = kept, 0
}

// do does a batch.
func (o *outbox) do(nc *gonats.Conn, batch []task) {
	epoch := nc.Stats().Reconnects
	var sent, lost int64
	bytes := 0
	for _, t := range batch {
		switch t.kind {
		case publish:
			bytes += len(t.subject) + len(t.payload)
			if o.b.state.Load() == down {
				lost++
			} else if err := o.send(nc, t); err != nil {
				lost++
				o.refused(nc, err)
			} else {
				sent++
			}
		case subscribe:
			if o.subs[t.subject] != nil {
				continue
			}
			// Without a connection this works, too, and NATS is told when there is one.
			sub, err := nc.ChanSubscribe(t.subject, o.b.in)
			if err != nil {
				if o.b.ctx.Err() == nil {
					o.b.log.Error("nats: cannot subscribe", "subject", t.subject, "error", err)
				}
				continue
			}
			o.subs[t.subject] = sub
		case unsubscribe:
			if sub := o.subs[t.subject]; sub != nil {
				delete(o.subs, t.subject)
				_ = sub.Unsubscribe() // fails if the connection was closed
			}
		case inTurn:
			t.call()
		case forget:
			for subject, sub := range o.subs {
				if strings.HasPrefix(subject, t.subject) {
					delete(o.subs, subject)
					_ = sub.Unsubscribe()
				}
			}
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.bytes -= bytes
	if epoch != o.epoch {
		lost += o.sent
		o.sent, o.epoch = 0, epoch
	}
	o.sent += sent
	o.b.stats.lost.Add(lost)
	if o.sent > 0 {
		wake(o.confirm)
	}
}

// send hands a message to the connection, in parts if it is too large for NATS.
func (o *outbox) send(nc *gonats.Conn, t task) error {
	limit := int(nc.MaxPayload())
	if limit <= 0 || stampSize+len(t.payload) <= limit {
		return o.stamp(nc, t.subject, t.payload)
	}
	if limit <= stampSize+partHeader {
		return gonats.ErrMaxPayload
	}
	for _, part := range split(o.b.id, t.payload, limit-stampSize) {
		if err := o.stamp(nc, t.subject, part); err != nil {
			return err
		}
	}
	return nil
}

// stamp hands a message to the connection, which makes a copy.
func (o *outbox) stamp(nc *gonats.Conn, subject string, payload []byte) error {
	o.number++
	o.stamped = append(appendStamp(o.stamped[:0], o.b.id, o.number), payload...)
	err := nc.Publish(subject, o.stamped)
	if cap(o.stamped) > 64<<10 { // which is seldom needed
		o.stamped = nil
	}
	return err
}

// refused looks at why the connection did not take a message.
func (o *outbox) refused(nc *gonats.Conn, err error) {
	switch {
	case errors.Is(err, gonats.ErrReconnectBufExceeded), errors.Is(err, gonats.ErrConnectionClosed):
		// It is known that there is no connection.
	case errors.Is(err, gonats.ErrMaxPayload), errors.Is(err, gonats.ErrBadSubject):
		o.b.log.Warn("nats: message refused", "error", err)
	default:
		// It could not be written, or not all of it: nothing can follow.
		o.b.log.Warn("nats: cannot publish", "error", err)
		_ = nc.ForceReconnect()
	}
}

// confirmAll finds out what has reached NATS.
func (o *outbox) confirmAll(nc *gonats.Conn) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-o.confirm:
		case <-o.b.ctx.Done():
			return
		}
		select {
		case <-pause.C:
		case <-o.hurry:
		case <-o.b.ctx.Done():
			return
		}
		pause.Reset(confirmInterval)
		o.mu.Lock()
		n, epoch := o.sent, o.epoch
		o.mu.Unlock()
		if n == 0 {
			continue
		}
		err := nc.FlushTimeout(confirmTimeout)
		if errors.Is(err, gonats.ErrTimeout) && o.b.ctx.Err() == nil {
			o.b.log.Warn("nats: no answer")
			_ = nc.ForceReconnect()
		}
		confirmed := err == nil && nc.Stats().Reconnects == epoch
		o.mu.Lock()
		if o.epoch == epoch { // else run has counted them
			o.sent -= n
			if confirmed {
				o.b.stats.published.Add(n)
			} else {
				o.b.stats.lost.Add(n)
			}
		}
		if o.sent > 0 {
			wake(o.confirm)
		}
		o.settle()
		o.mu.Unlock()
	}
}

// settle tells those who wait for it that nothing is left. o.mu is held.
func (o *outbox) settle() {
	if o.idle != nil && len(o.queue) == 0 && !o.busy && o.sent == 0 {
		close(o.idle)
		o.idle = nil
	}
}

// flush waits until everything has been sent, or can't be.
func (o *outbox) flush(timeout time.Duration) error {
	if o.b.state.Load() == down {
		return nil // what was not sent is counted
	}
	o.mu.Lock()
	if o.idle == nil {
		o.idle = make(chan struct{})
	}
	idle := o.idle
	o.settle()
	o.mu.Unlock()
	wake(o.hurry)
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-idle:
		return nil
	case <-o.b.ctx.Done():
		return ErrDown
	case <-timer.C:
		return ErrDown
	}
}
