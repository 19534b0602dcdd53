package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/adapter/cluster"
	"github.com/sockeye-io/sockeye/adapter/emitter"
)

// Options configure [Open]. Either DSN or Pool is needed.
type Options struct {
	// DSN says where PostgreSQL is and how to get in, as a URL or as words, with the parameters of pgxpool.ParseConfig.
	DSN string
	// Pool is used to publish instead of one made from DSN. It stays open when the broker is closed. The connection that
	// listens is made with its configuration, but is not one of it.
	Pool *pgxpool.Pool
	// Prefix begins the names of all channels; all servers of a cluster have the same. Empty means "socket.io", which is
	// Node's default.
	Prefix string
	// Table is the name of the table for what does not fit into a notification. Empty means "socket_io_attachments",
	// which is Node's default. It is quoted: capitals count here, while in the option of Node they mean small letters.
	Table string
	// Schema is where the table is. Empty means the first of the search path that has it.
	Schema string
	// CleanupInterval is how long rows stay in the table at least, and how often those that are older are deleted. Zero
	// means 30 s, as in Node.
	CleanupInterval time.Duration
	// HeartbeatInterval is how long a server is silent before it says that it is there. Zero means 5 s, as in Node.
	HeartbeatInterval time.Duration
	// HeartbeatTimeout is after how long a silent server is taken for dead. Zero means 10 s, as in Node.
	HeartbeatTimeout time.Duration
	// MaxQueued is how many bytes may wait to be published; at the limit operations return [ErrQueueFull]. Zero means
	// 16 MiB.
	MaxQueued int
	// Logger receives, at level Warn, that connections were lost, and what is refused or can't be understood. Nil means
	// slog.Default().
	Logger *slog.Logger
}

// Errors of operations that can't be carried to other servers. Those of this server have taken effect then.
var (
	ErrDown      = errors.New("postgres: not connected")
	ErrQueueFull = errors.New("postgres: too much waits to be published")
)

// A Broker is a server's connection to PostgreSQL. Its methods are safe for concurrent use.
type Broker struct {
	opts   Options
	pool   *pgxpool.Pool
	ctx    context.Context
	cancel context.CancelFunc
	out    *publisher
	in     *listener
	table  *table
	log    *slog.Logger
	stats  struct{ published, received, lost atomic.Int64 }

	mu     sync.Mutex
	closed bool
	wg     sync.WaitGroup
}

// Stats are counts since the broker was opened, except for Connected.
type Stats struct {
	Connected bool  // both ways, or one way if there is no namespace to listen for
	Published int64 // messages sent
	Received  int64 // messages of other servers
	// Lost are messages that were taken and could not be sent, or whose sending was not confirmed, and those of other
	// servers whose rows in the table could not be read.
	Lost int64
}

// Open returns a broker, which connects when it is first needed. The error is that of options that are wrong.
func Open(o Options) (*Broker, error) {
	if (o.DSN == "") == (o.Pool == nil) {
		return nil, errors.New("postgres: either Options.DSN or Options.Pool is needed")
	}
	if min(o.CleanupInterval, o.HeartbeatInterval, o.HeartbeatTimeout, time.Duration(o.MaxQueued)) < 0 {
		return nil, errors.New("postgres: intervals and Options.MaxQueued must not be negative")
	}
	if o.Prefix == "" {
		o.Prefix = "socket.io"
	}
	if o.Table == "" {
		o.Table = "socket_io_attachments"
	}
	if o.CleanupInterval == 0 {
		o.CleanupInterval = 30 * time.Second
	}
	if o.MaxQueued == 0 {
		o.MaxQueued = 16 << 20
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	b := &Broker{opts: o, pool: o.Pool, log: o.Logger}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	if b.pool == nil {
		pool, err := pgxpool.New(b.ctx, o.DSN) // which does not connect yet
		if err != nil {
			b.cancel()
			return nil, fmt.Errorf("postgres: %w", err)
		}
		b.pool = pool
	}
	b.table = newTable(b)
	b.out = newPublisher(b)
	b.in = newListener(b)
	return b, nil
}

// Adapter returns what makes the adapters of namespaces, for socketio.Options.
func (b *Broker) Adapter() adapter.Factory {
	return func(host adapter.Host) adapter.Adapter {
		s := newBus(b, host.Namespace())
		s.a = cluster.New(host, s.uid, s, &cluster.Options{
			HeartbeatInterval: b.opts.HeartbeatInterval, HeartbeatTimeout: b.opts.HeartbeatTimeout, Logger: b.log,
		})
		b.in.add(s)
		return s.a
	}
}

// Emitter returns an emitter to the servers of a namespace, for programs that are no server of it. What it returns nil
// for has been queued; see [Broker.Flush].
func (b *Broker) Emitter(namespace string) emitter.Emitter {
	return emitter.New(emitter.Messages(namespace, func(m *cluster.Message) error {
		return b.publish(channelName(b.opts.Prefix, m.Namespace), m)
	}))
}

// start runs f on a goroutine that Close waits for, unless the broker is closed.
func (b *Broker) start(f func()) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.wg.Go(f)
	return true
}

// Stats returns the counters.
func (b *Broker) Stats() Stats {
	return Stats{
		Connected: !b.out.down.Load() && b.in.connected(),
		Published: b.stats.published.Load(),
		Received:  b.stats.received.Load(),
		Lost:      b.stats.lost.Load(),
	}
}

// Ping reports whether PostgreSQL answers, for a readiness check.
func (b *Broker) Ping(ctx context.Context) error {
	if err := b.pool.Ping(ctx); err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	return nil
}

// Flush waits until what was published before has been sent. The error is that of ctx, or says how many messages could
// not be sent since the last Flush.
func (b *Broker) Flush(ctx context.Context) error { return b.out.flush(ctx) }

// Close ends the connections, after what waits to be published has been, for up to 2 seconds. Close the servers before.
// The error is that of Flush.
func (b *Broker) Close() error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return adapter.ErrClosed
	}
	b.closed = true
	b.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	err := b.out.flush(ctx)
	b.cancel()
	b.wg.Wait()
	if b.opts.Pool == nil {
		b.pool.Close()
	}
	return err
}

const closeTimeout = 2 * time.Second

// pause waits for a time, or until the broker is closed.
func (b *Broker) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-b.ctx.Done():
	case <-t.C:
	}
}
