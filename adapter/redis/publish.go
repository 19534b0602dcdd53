package redis

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sockeye-io/sockeye/adapter"
)

// A publisher sends what is published, in order, many in one round trip. Its goroutine exists from the first publication
// on: to start one for each, and to grow its stack, would cost as much as to publish.
type publisher struct {
	b    *Broker
	down atomic.Bool // Redis could not be reached; somebody is trying

	mu      sync.Mutex
	queue   []publication
	bytes   int
	started bool
	busy    bool          // run has taken publications from the queue
	idle    chan struct{} // closed when nothing is left to send; made by who waits
	work    chan struct{} // has room for one
}

type publication struct {
	channel string
	payload []byte
	sharded bool
	entry   []any // names and values of an entry for the stream that is called channel; nil for a message
	session *savedSession
	done    func(error) // told once how it went, if there is one
}

// tell says how it went.
func (x *publication) tell(err error) {
	if x.done != nil {
		x.done(err)
	}
}

// isMessage reports whether it goes to a channel.
func (x *publication) isMessage() bool { return x.entry == nil && x.session == nil }

// maxPipeline is how many publications go in one round trip: what more there is waits for the answer to these.
const maxPipeline = 1024

// publishTimeout bounds one round trip.
const publishTimeout = 5 * time.Second

// reviveInterval is how often it is tried whether Redis is back.
const reviveInterval = 250 * time.Millisecond

func newPublisher(b *Broker) *publisher { return &publisher{b: b, work: make(chan struct{}, 1)} }

// push queues a publication.
func (p *publisher) push(x publication) error {
	if p.down.Load() {
		return ErrDown
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	size := len(x.channel) + len(x.payload)
	if p.bytes > 0 && p.bytes+size > p.b.opts.MaxQueued {
		return ErrQueueFull
	}
	if p.b.ctx.Err() != nil {
		return ErrDown
	}
	if !p.started {
		if !p.b.start(p.run) {
			return ErrDown
		}
		p.started = true
	}
	p.queue = append(p.queue, x)
	p.bytes += size
	select {
	case p.work <- struct{}{}:
	default:
	}
	return nil
}

func (p *publisher) run() {
	var batch []publication
	for {
		p.mu.Lock()
		for _, x := range batch {
			p.bytes -= len(x.channel) + len(x.payload)
		}
		n := min(len(p.queue), maxPipeline)
		p.busy = n > 0
		if n == 0 {
			batch, p.queue = nil, nil
			if p.idle != nil {
				close(p.idle)
				p.idle = nil
			}
			p.mu.Unlock()
			select {
			case <-p.work:
			case <-p.b.ctx.Done():
				p.mu.Lock()
				left := p.queue
				p.queue = nil
				p.mu.Unlock()
				p.b.stats.lost.Add(int64(len(left)))
				for i := range left {
					left[i].tell(ErrDown)
				}
				return
			}
			continue
		}
		batch, p.queue = p.queue[:n:n], p.queue[n:]
		p.mu.Unlock()
		if p.down.Load() {
			p.b.stats.lost.Add(int64(n))
			for i := range batch {
				batch[i].tell(ErrDown)
			}
			continue
		}
		p.send(batch)
	}
}

// send sends a batch. What it can't be sure of it does not repeat: it may have arrived.
func (p *publisher) send(batch []publication) {
	ctx, cancel := context.WithTimeout(p.b.ctx, publishTimeout)
	defer cancel()
	for len(batch) > 0 {
		n := 1
		for n < len(batch) && batch[n].sharded == batch[0].sharded && batch[n].isMessage() == batch[0].isMessage() {
			n++
		}
		lost, err := p.sendAlike(ctx, batch[:n])
		batch = batch[n:]
		var unsent []publication
		if err != nil {
			lost += len(batch)
			unsent, batch = batch, nil
		}
		p.b.stats.lost.Add(int64(lost)) // before it is known that Redis is gone
		if err != nil {
			p.fail(err)
		}
		for i := range unsent {
			unsent[i].tell(ErrDown)
		}
	}
}

// sendAlike returns how many could not be sent, and an error if that is because Redis is not there.
func (p *publisher) sendAlike(ctx context.Context, batch []publication) (failed int, err error) {
	var client goredis.Cmdable = p.b.client
	if cluster, ok := p.b.client.(*goredis.ClusterClient); ok && !batch[0].sharded && batch[0].isMessage() {
		// Any node will do, but it must be always the same one.
		if client, err = cluster.MasterForKey(ctx, p.b.opts.Prefix); err != nil {
			return len(batch), err // none of them has done
		}
	}
	pipe := client.Pipeline()
	cmds := make([]goredis.Cmder, len(batch))
	for i, x := range batch {
		switch {
		case x.session != nil:
			cmds[i] = x.session.queue(ctx, pipe)
		case x.entry != nil:
			cmds[i] = pipe.XAdd(ctx, &goredis.XAddArgs{
				Stream: x.channel, MaxLen: p.b.opts.StreamMaxLen, Approx: true, Values: x.entry,
			})
		case x.sharded:
			cmds[i] = pipe.SPublish(ctx, x.channel, x.payload)
		default:
			cmds[i] = pipe.Publish(ctx, x.channel, x.payload)
		}
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	for i, cmd := range cmds {
		e := cmd.Err()
		if e == nil {
			batch[i].tell(batch[i].session.result(cmd))
			continue
		}
		failed++
		if _, answered := e.(goredis.Error); answered {
			p.b.log.Warn("redis: message refused", "error", e)
			batch[i].tell(wrap(e))
		} else {
			err = e
			batch[i].tell(adapter.ErrUncertain)
		}
	}
	p.b.stats.published.Add(int64(len(batch) - failed))
	return failed, err
}

// fail notes that Redis can't be reached, and has it tried until it can.
func (p *publisher) fail(err error) {
	if p.b.ctx.Err() != nil || p.down.Swap(true) {
		return
	}
	p.b.log.Warn("redis: cannot publish", "error", err)
	if !p.b.start(p.revive) {
		return
	}
}

func (p *publisher) revive() {
	ticker := time.NewTicker(reviveInterval)
	defer ticker.Stop()
	for {
		select {
		case <-p.b.ctx.Done():
			return
		case <-ticker.C:
		}
		ctx, cancel := context.WithTimeout(p.b.ctx, publishTimeout)
		err := p.b.client.Ping(ctx).Err()
		cancel()
		if err == nil {
			p.down.Store(false)
			p.b.log.Info("redis: publishing again")
			return
		}
	}
}

// flush waits until everything has been sent.
func (p *publisher) flush(timeout time.Duration) error {
	p.mu.Lock()
	if !p.busy && len(p.queue) == 0 {
		p.mu.Unlock()
		return nil
	}
	if p.idle == nil {
		p.idle = make(chan struct{})
	}
	idle := p.idle
	p.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-time.After(timeout):
		return ErrDown
	}
}
