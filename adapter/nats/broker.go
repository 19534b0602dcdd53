package nats

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	gonats "github.com/nats-io/nats.go"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/adapter/cluster"
)

// Options configure [Open].
type Options struct {
	// URL says where NATS is: one or more addresses with commas between them, such as "nats://a:4222,nats://b:4222".
	// Empty means "nats://127.0.0.1:4222".
	URL string
	// NATS is more about the connection: credentials, TLS, a server of the same process. What it says of reconnecting and
	// of echoes has no effect.
	NATS []gonats.Option
	// Prefix begins all subjects; all servers of a cluster have the same. Empty means "sockeye".
	Prefix string
	// Cluster sets how soon the servers notice that one is gone. Its Logger is set by Logger.
	Cluster cluster.Options
	// MaxQueued is how many bytes may wait to be published; at the limit operations return [ErrQueueFull]. Zero means
	// 16 MiB.
	MaxQueued int
	// MaxUnread is how many bytes may wait to be handled that came from other servers; what is more is dropped and
	// counted. Zero means 64 MiB.
	MaxUnread int
	// Logger receives, at level Warn, that NATS was lost, what was dropped, and what can't be understood. Nil means
	// slog.Default().
	Logger *slog.Logger
}

// Errors of operations that can't be carried to other servers. Those of this server have taken effect then.
var (
	ErrDown      = errors.New("nats: not connected")
	ErrQueueFull = errors.New("nats: too much waits to be published")
)

// A Broker is a server's connection to NATS. Its methods are safe for concurrent use.
type Broker struct {
	opts   Options
	id     [8]byte // of who publishes, in stamps and parts
	ctx    context.Context
	cancel context.CancelFunc
	log    *slog.Logger
	state  atomic.Int32
	out    *outbox
	in     chan *gonats.Msg // of all subscriptions, so that their order is kept
	unread atomic.Int64     // bytes
	stats  struct{ published, received, lost, dropped atomic.Int64 }

	mu     sync.Mutex
	closed bool
	nc     *gonats.Conn     // nil before the first attempt to connect
	taking map[string]taker // by the token of the namespace
	slow   map[*gonats.Subscription]bool
	stream *stream // nil without JetStream
	wg     sync.WaitGroup
}

// A taker receives what comes for a namespace, one call at a time. It must not block.
type taker interface {
	take(payload []byte)
	reconnected()
}

// States of the connection.
const (
	connecting int32 = iota // for the first time; what is published waits
	up
	down
)

// Stats are counts since the broker was opened, except for Connected.
type Stats struct {
	Connected bool
	Published int64 // messages sent, and confirmed to have reached NATS
	Received  int64 // messages of other servers
	Lost      int64 // messages that were taken and could not be sent, or whose sending was not confirmed
	Dropped   int64 // messages of other servers that came faster than they could be handled, or out of order
}

// Open returns a broker, which connects in the background. The error is that of options that make no sense.
func Open(o Options) (*Broker, error) {
	if o.MaxQueued < 0 || o.MaxUnread < 0 {
		return nil, errors.New("nats: Options.MaxQueued and MaxUnread must not be negative")
	}
	if o.URL == "" {
		o.URL = gonats.DefaultURL
	}
	if o.Prefix == "" {
		o.Prefix = "sockeye"
	}
	if !validPrefix(o.Prefix) {
		return nil, fmt.Errorf("nats: Options.Prefix %q can't begin a subject", o.Prefix)
	}
	if o.MaxQueued == 0 {
		o.MaxQueued = 16 << 20
	}
	if o.MaxUnread == 0 {
		o.MaxUnread = 64 << 20
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	o.Cluster.Logger = o.Logger
	b := &Broker{
		opts: o, log: o.Logger, in: make(chan *gonats.Msg, 1<<15),
		taking: make(map[string]taker), slow: make(map[*gonats.Subscription]bool),
	}
	rand.Read(b.id[:]) // never fails
	b.ctx, b.cancel = context.WithCancel(context.Background())
	connection, err := b.connection()
	if err != nil {
		b.cancel()
		return nil, err
	}
	b.out = newOutbox(b)
	b.wg.Go(func() { b.out.run(connection) })
	b.wg.Go(b.pump)
	return b, nil
}

// pingInterval is how often it is made sure that NATS is there, where the options leave it to us; two that are not
// answered are the end of a connection.
const pingInterval = 5 * time.Second

// connection returns how to connect.
func (b *Broker) connection() (*gonats.Options, error) {
	o := gonats.GetDefaultOptions()
	for s := range strings.SplitSeq(b.opts.URL, ",") {
		s = strings.TrimSpace(s)
		if !strings.Contains(s, "://") {
			s = "nats://" + s
		}
		u, err := url.Parse(s)
		if err != nil || u.Hostname() == "" {
			return nil, errors.New("nats: Options.URL has an address that is none") // and perhaps a password
		}
		o.Servers = append(o.Servers, s)
	}
	o.PingInterval = pingInterval
	o.ReconnectWait = 250 * time.Millisecond
	o.FlusherTimeout = confirmTimeout
	for _, set := range b.opts.NATS {
		if err := set(&o); err != nil {
			return nil, fmt.Errorf("nats: %w", err)
		}
	}
	if o.Name == "" {
		o.Name = "sockeye"
	}
	if o.CustomDialer == nil {
		o.CustomDialer = &dialer{ctx: b.ctx, timeout: o.Timeout}
	}
	o.NoEcho = true
	o.RetryOnFailedConnect = true
	o.AllowReconnect = true
	o.IgnoreAuthErrorAbort = true
	o.MaxReconnect = -1
	o.ReconnectBufSize = -1 // what can't be sent is refused, not kept: it would arrive late, ahead of what is new
	connected, reconnected, disconnected, failed := o.ConnectedCB, o.ReconnectedCB, o.DisconnectedErrCB, o.AsyncErrorCB
	o.ConnectedCB = func(nc *gonats.Conn) {
		b.connected(true)
		call(connected, nc)
	}
	o.ReconnectedCB = func(nc *gonats.Conn) {
		b.connected(false)
		call(reconnected, nc)
	}
	o.DisconnectedErrCB = func(nc *gonats.Conn, err error) {
		if b.ctx.Err() == nil && b.state.Swap(down) != down {
			b.log.Warn("nats: connection lost", "error", err)
		}
		if disconnected != nil {
			disconnected(nc, err)
		}
	}
	o.AsyncErrorCB = func(nc *gonats.Conn, sub *gonats.Subscription, err error) {
		b.failed(sub, err)
		if failed != nil {
			failed(nc, sub, err)
		}
	}
	return &o, nil
}

func call(f gonats.ConnHandler, nc *gonats.Conn) {
	if f != nil {
		f(nc)
	}
}

// A dialer gives up when the broker is closed.
type dialer struct {
	ctx     context.Context
	timeout time.Duration
}

func (d *dialer) Dial(network, address string) (net.Conn, error) {
	nd := net.Dialer{Timeout: d.timeout}
	return nd.DialContext(d.ctx, network, address)
}

// connected is called in the order of what happens to the connection.
func (b *Broker) connected(first bool) {
	if b.state.Swap(up) != connecting {
		b.log.Info("nats: connected")
	}
	if first {
		return // what waits to be published begins with what would be said here
	}
	b.mu.Lock()
	stream := b.stream
	b.mu.Unlock()
	if stream != nil {
		stream.reconnected()
	}
	b.Greet()
}

// Greet asks the other servers to say that they are there, which they do by themselves, too, in their own time. It is for
// when it is known that there are new ones: the broker does it when a connection was made again, and package embedded
// when servers have found each other.
func (b *Broker) Greet() {
	for _, t := range b.takers() {
		t.reconnected()
	}
}

func (b *Broker) takers() []taker {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]taker, 0, len(b.taking))
	for _, t := range b.taking {
		all = append(all, t)
	}
	return all
}

// failed is told of errors that nobody waited for.
func (b *Broker) failed(sub *gonats.Subscription, err error) {
	if errors.Is(err, gonats.ErrSlowConsumer) && sub != nil {
		b.mu.Lock()
		b.slow[sub] = true
		b.mu.Unlock()
		b.log.Warn("nats: messages of other servers were dropped", "subject", sub.Subject)
		return
	}
	if b.ctx.Err() == nil {
		b.log.Warn("nats: something failed", "error", err)
	}
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

// conn returns the connection, nil if there was none yet.
func (b *Broker) conn() *gonats.Conn {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.nc
}

// Stats returns the counters.
func (b *Broker) Stats() Stats {
	s := Stats{
		Connected: b.state.Load() == up,
		Published: b.stats.published.Load(),
		Received:  b.stats.received.Load(),
		Lost:      b.stats.lost.Load(),
		Dropped:   b.stats.dropped.Load(),
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for sub := range b.slow {
		if n, err := sub.Dropped(); err == nil {
			s.Dropped += int64(n)
		}
	}
	return s
}

// Ping reports whether NATS answers, for a readiness check.
func (b *Broker) Ping(ctx context.Context) error {
	nc := b.conn()
	if nc == nil || b.state.Load() != up {
		return ErrDown
	}
	ctx, cancel := context.WithTimeout(ctx, confirmTimeout)
	defer cancel()
	if err := nc.FlushWithContext(ctx); err != nil {
		return fmt.Errorf("nats: %w", err)
	}
	return nil
}

// Close ends the connection, after what waits to be published has been, for up to 2 seconds. Close the servers before.
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
	if nc := b.conn(); nc != nil {
		nc.Close() // ends the wait for a confirmation, too
	}
	b.wg.Wait()
	return err
}

const closeTimeout = 2 * time.Second
