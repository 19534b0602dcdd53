package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// A publisher sends what is published, in order, many in one transaction. Its goroutine exists while there is something
// to send.
type publisher struct {
	b      *Broker
	down   atomic.Bool // PostgreSQL could not be reached; somebody is trying
	insert string

	mu       sync.Mutex
	queue    []publication
	bytes    int
	running  bool
	idle     chan struct{} // closed when nothing is left to send; made by who waits
	lost     int64         // messages that could not be sent
	reported int64         // of these, those that flush has told of
}

type publication struct {
	channel string
	payload []byte
	header  string // the beginning of the notification, if the payload goes into the table
}

// maxBatch and maxBatchBytes bound what goes in one transaction: what more there is waits for the answer to these.
const (
	maxBatch      = 512
	maxBatchBytes = 4 << 20
)

// publishTimeout bounds one transaction.
const publishTimeout = 5 * time.Second

// reviveInterval is how often it is tried whether PostgreSQL is back.
const reviveInterval = 250 * time.Millisecond

const notify = "SELECT pg_notify($1, $2)"

func newPublisher(b *Broker) *publisher {
	return &publisher{b: b, insert: "WITH row AS (INSERT INTO " + b.table.name + " (payload) VALUES ($3) RETURNING id) " +
		`SELECT pg_notify($1, $2::text || id || '"}') FROM row`}
}

// push queues a publication.
func (p *publisher) push(x publication) error {
	if p.down.Load() {
		return ErrDown
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bytes > 0 && p.bytes+x.size() > p.b.opts.MaxQueued {
		return ErrQueueFull
	}
	if !p.running {
		if !p.b.start(p.run) {
			return ErrDown
		}
		p.running = true
	}
	p.queue = append(p.queue, x)
	p.bytes += x.size()
	return nil
}

func (x *publication) size() int { return len(x.channel) + len(x.payload) + len(x.header) }

func (p *publisher) run() {
	for {
		p.mu.Lock()
		n, size := 0, 0
		for n < min(len(p.queue), maxBatch) && (n == 0 || size+p.queue[n].size() <= maxBatchBytes) {
			size += p.queue[n].size()
			n++
		}
		if n == 0 {
			p.queue = nil
			p.running = false
			if p.idle != nil {
				close(p.idle)
				p.idle = nil
			}
			p.mu.Unlock()
			return
		}
		batch := p.queue[:n:n]
		p.queue = p.queue[n:]
		p.mu.Unlock()
		lost := n
		if !p.down.Load() {
			lost = p.send(batch)
		}
		p.b.stats.published.Add(int64(n - lost))
		p.b.stats.lost.Add(int64(lost))
		p.mu.Lock()
		p.bytes -= size
		p.lost += int64(lost)
		p.mu.Unlock()
	}
}

// send sends a batch and returns how many of it could not be sent, as far as that is known. What may have arrived it
// does not repeat.
func (p *publisher) send(batch []publication) (lost int) {
	ctx, cancel := context.WithTimeout(p.b.ctx, publishTimeout)
	defer cancel()
	err := p.transact(ctx, batch)
	if err != nil && pgconn.SafeToRetry(err) && ctx.Err() == nil {
		err = p.transact(ctx, batch) // that connection was dead before
	}
	var refused *pgconn.PgError
	switch {
	case err == nil:
		return 0
	case gone(err) || !errors.As(err, &refused):
		p.fail(err)
		return len(batch)
	case refused.Code == undefinedTable && p.b.table.ready.Swap(false):
		return p.send(batch) // somebody has dropped it
	case len(batch) == 1 || refused.Code == queueFull:
		p.b.log.Warn("postgres: messages refused", "error", err, "messages", len(batch))
		return len(batch)
	}
	// Nothing of it was sent, because of one.
	for i := range batch {
		lost += p.send(batch[i : i+1])
		if p.down.Load() {
			return lost + len(batch) - i - 1
		}
	}
	return lost
}

// transact sends a batch in one round trip. All of it is one transaction.
func (p *publisher) transact(ctx context.Context, batch []publication) error {
	var b pgx.Batch
	times := make(map[string]int)
	attached := false
	for _, x := range batch {
		if x.header != "" {
			attached = true
			b.Queue(p.insert, x.channel, x.header, x.payload)
			continue
		}
		payload := string(x.payload)
		if len(batch) > 1 {
			key := x.channel + "\x00" + payload
			n := times[key]
			times[key]++
			payload = appendMarks(payload, n)
		}
		b.Queue(notify, x.channel, payload)
	}
	if attached {
		if err := p.b.table.ensure(ctx, p.b.pool); err != nil {
			var refused *pgconn.PgError
			if gone(err) || !errors.As(err, &refused) {
				return err
			}
			p.b.log.Warn("postgres: attachments will be lost", "error", err)
		}
	}
	results := p.b.pool.SendBatch(ctx, &b)
	var err error
	for range batch {
		if _, e := results.Exec(); e != nil {
			err = e
			break
		}
	}
	if e := results.Close(); err == nil {
		err = e
	}
	return err
}

// gone reports whether an error says that there is no connection any more, or none to be had.
func gone(err error) bool {
	var connect *pgconn.ConnectError
	var refused *pgconn.PgError
	return errors.As(err, &connect) || (errors.As(err, &refused) && strings.HasPrefix(refused.Code, "57P"))
}

// fail notes that PostgreSQL can't be reached, and has it tried until it can.
func (p *publisher) fail(err error) {
	if p.b.ctx.Err() != nil || p.down.Swap(true) {
		return
	}
	p.b.log.Warn("postgres: cannot publish", "error", err)
	p.b.start(p.revive)
}

func (p *publisher) revive() {
	for p.b.ctx.Err() == nil {
		p.b.pause(reviveInterval)
		ctx, cancel := context.WithTimeout(p.b.ctx, publishTimeout)
		err := p.b.pool.Ping(ctx)
		cancel()
		if err == nil {
			p.down.Store(false)
			p.b.log.Info("postgres: publishing again")
			return
		}
	}
}

// flush waits until everything has been sent.
func (p *publisher) flush(ctx context.Context) error {
	p.mu.Lock()
	if p.running {
		if p.idle == nil {
			p.idle = make(chan struct{})
		}
		idle := p.idle
		p.mu.Unlock()
		select {
		case <-idle:
		case <-ctx.Done():
			return fmt.Errorf("postgres: waiting to be published: %w", ctx.Err())
		}
		p.mu.Lock()
	}
	defer p.mu.Unlock()
	lost := p.lost - p.reported
	p.reported = p.lost
	if lost > 0 {
		return fmt.Errorf("postgres: %d messages could not be sent", lost)
	}
	return nil
}
