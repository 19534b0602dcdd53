package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sockeye-io/sockeye/adapter"
)

// Options configure [Open].
type Options struct {
	// Redis says where Redis is, and how to get in: one address is one Redis, several are a Redis Cluster, several with
	// a MasterName are Sentinels. Its MaxRetries has no effect: a repeated PUBLISH would be a repeated event.
	Redis goredis.UniversalOptions
	// Prefix begins the names of all channels; all servers of a cluster have the same. Empty means "socket.io", which is
	// Node's default.
	Prefix string
	// RequestTimeout is how long answers of other servers are waited for if nobody says. Zero means 5 s.
	RequestTimeout time.Duration
	// SpecificResponses sends answers to the server that asked only, and not to all, like the Node option
	// publishOnSpecificResponseChannel. It concerns Classic; every server understands both.
	SpecificResponses bool
	// Static publishes all events of a namespace on one channel in Sharded, like the subscription mode "static" in Node,
	// instead of those to one room on a channel of its own. Every server then gets every event, and drops what concerns
	// none of its clients. What it is good for: with channels for rooms, a server is told of events to a room only once
	// Redis knows that somebody there is in it, which takes a round trip from the first join.
	Static bool
	// StreamMaxLen is about how many entries a stream keeps. Zero means 10,000, as in Node.
	StreamMaxLen int64
	// AppendTimeout is how long an event, of a server with connection state recovery and Streams, waits to come back from
	// the stream. Zero means 1 s.
	AppendTimeout time.Duration
	// MaxQueued is how many bytes may wait to be published; at the limit operations return [ErrQueueFull]. Zero means
	// 16 MiB.
	MaxQueued int
	// Logger receives, at level Warn, that connections to Redis were lost, and what can't be understood. Nil means
	// slog.Default().
	Logger *slog.Logger
}

// Errors of operations that can't be carried to other servers. Those of this server have taken effect then.
var (
	ErrDown      = errors.New("redis: not connected")
	ErrQueueFull = errors.New("redis: too much waits to be published")
)

// A Broker is a server's connection to Redis. Its methods are safe for concurrent use.
type Broker struct {
	opts   Options
	client goredis.UniversalClient
	ctx    context.Context
	cancel context.CancelFunc
	out    *publisher
	in     *subscriber
	stream *stream
	log    *slog.Logger
	stats  struct{ published, received, lost atomic.Int64 }

	mu     sync.Mutex
	closed bool
	wg     sync.WaitGroup
}

// Stats are counts since the broker was opened, except for Connected.
type Stats struct {
	Connected bool  // both ways
	Published int64 // messages sent
	Received  int64 // messages of other servers
	Lost      int64 // messages that were taken and could not be sent, or whose sending was not confirmed
}

// Open returns a broker, which connects when the first namespace needs it. The error is that of options that contradict
// each other.
func Open(o Options) (*Broker, error) {
	if len(o.Redis.Addrs) == 0 {
		return nil, errors.New("redis: Options.Redis.Addrs is empty")
	}
	if o.AppendTimeout < 0 {
		return nil, errors.New("redis: Options.AppendTimeout must not be negative")
	}
	if o.MaxQueued < 0 || o.RequestTimeout < 0 || o.StreamMaxLen < 0 {
		return nil, errors.New("redis: Options.MaxQueued, RequestTimeout and StreamMaxLen must not be negative")
	}
	if o.Prefix == "" {
		o.Prefix = "socket.io"
	}
	if o.MaxQueued == 0 {
		o.MaxQueued = 16 << 20
	}
	if o.StreamMaxLen == 0 {
		o.StreamMaxLen = 10_000
	}
	if o.RequestTimeout == 0 {
		o.RequestTimeout = 5 * time.Second
	}
	if o.AppendTimeout == 0 {
		o.AppendTimeout = time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	o.Redis.MaxRetries = -1
	o.Redis.ContextTimeoutEnabled = true
	b := &Broker{opts: o, client: goredis.NewUniversalClient(&o.Redis), log: o.Logger}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	b.out = newPublisher(b)
	b.in = newSubscriber(b)
	b.stream = newStream(b)
	return b, nil
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

// Ping reports whether Redis answers, for a readiness check.
func (b *Broker) Ping(ctx context.Context) error { return b.client.Ping(ctx).Err() }

// Close ends the connections, after what waits to be published has been, for up to 2 seconds. Close the servers before.
func (b *Broker) Close() error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return adapter.ErrClosed
	}
	b.closed = true
	b.mu.Unlock()
	err := b.out.flush(closeTimeout)
	b.cancel()
	b.in.close()
	err = errors.Join(err, b.stream.close(), b.client.Close()) // which ends what waits for a Redis that is silent
	b.wg.Wait()
	return err
}

const closeTimeout = 2 * time.Second

// clustered reports whether this is a Redis Cluster.
func (b *Broker) clustered() bool {
	_, ok := b.client.(*goredis.ClusterClient)
	return ok
}

// numSub returns how many connections subscribe to a channel.
func (b *Broker) numSub(ctx context.Context, sharded bool, channel string) (int, error) {
	count := func(ctx context.Context, c goredis.Cmdable) (int64, error) {
		if sharded {
			n, err := c.PubSubShardNumSub(ctx, channel).Result()
			return n[channel], err
		}
		n, err := c.PubSubNumSub(ctx, channel).Result()
		return n[channel], err
	}
	cluster, ok := b.client.(*goredis.ClusterClient)
	if !ok {
		n, err := count(ctx, b.client)
		return int(n), wrap(err)
	}
	if sharded {
		node, err := cluster.MasterForKey(ctx, channel)
		if err != nil {
			return 0, wrap(err)
		}
		n, err := count(ctx, node)
		return int(n), wrap(err)
	}
	var sum atomic.Int64
	err := cluster.ForEachMaster(ctx, func(ctx context.Context, c *goredis.Client) error {
		n, err := count(ctx, c)
		sum.Add(n)
		return err
	})
	return int(sum.Load()), wrap(err)
}

func wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("redis: %w", err)
}
