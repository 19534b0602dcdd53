package nats

import (
	"context"
	"errors"
	"sync"
	"time"

	gonats "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/adapter/cluster"
)

// JetStreamOptions configure [Broker.JetStream].
type JetStreamOptions struct {
	// MaxAge is how long events are kept for clients that come back. It must be longer than the time in which they may,
	// socketio.RecoveryOptions.MaxDisconnection, and than clients usually go without an event. Zero means an hour.
	MaxAge time.Duration
	// MaxBytes is how much of them is kept; the oldest make room. Zero means 256 MiB.
	MaxBytes int64
	// Replicas is how many servers of a NATS cluster keep them. Zero means 1: clients can't come back to missed events
	// after that server has lost what it had. 3 survives the loss of one.
	Replicas int
	// Memory keeps events and sessions in memory instead of in files. Then they don't survive a restart of NATS.
	Memory bool
	// Wait is how long an Emit waits for its event to come back from NATS; see [adapter.ErrUncertain]. Zero means 2
	// seconds.
	Wait time.Duration
}

// ErrTooLarge says that an event is larger than NATS takes, which is a setting of its, max_payload, 1 MiB by default. It
// has not been sent to anybody.
var ErrTooLarge = errors.New("nats: event is larger than NATS takes")

// JetStream returns what makes adapters that keep events and sessions in JetStream, so that clients can come back to
// another server: see [adapter.Log]. Without socketio.Options.Recovery it is the same as [Broker.Adapter]. All servers of
// a cluster have the same options, and all have recovery or none.
//
// Events go through a stream called like [Options].Prefix in capitals with "_LOG" behind it, and reach all servers that
// have the namespace; sessions are kept in one with "_SESSIONS". They are made when they are needed.
func (b *Broker) JetStream(o JetStreamOptions) (adapter.Factory, error) {
	if o.MaxAge < 0 || o.MaxBytes < 0 || o.Replicas < 0 || o.Replicas > 5 || o.Wait < 0 {
		return nil, errors.New("nats: JetStreamOptions must not be negative, and Replicas not more than 5")
	}
	if o.MaxAge == 0 {
		o.MaxAge = time.Hour
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = 256 << 20
	}
	o.Replicas = max(o.Replicas, 1)
	if o.Wait == 0 {
		o.Wait = 2 * time.Second
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, adapter.ErrClosed
	}
	if b.stream != nil {
		return nil, errors.New("nats: JetStream was called before")
	}
	b.stream = newStream(b, o)
	return func(host adapter.Host) adapter.Adapter { return b.newLogged(host, b.stream) }, nil
}

// A logged is the adapter of one namespace with a log.
type logged struct {
	*cluster.Adapter
	adapter.RoomWatcher
	bus      *bus
	stream   *stream
	sessions *sessions

	following sync.Once
}

func (b *Broker) newLogged(host adapter.Host, s *stream) adapter.Adapter {
	x := b.attach(host, s)
	return &logged{
		Adapter: x.adapter, RoomWatcher: x, bus: x, stream: s,
		sessions: newSessions(s, b.opts.Prefix+".@session."+x.token+"."),
	}
}

// Follow implements [adapter.Log].
func (l *logged) Follow(h adapter.LogHost) {
	l.following.Do(func() { l.stream.follow(l.bus, h) })
}

// Close implements [adapter.Adapter].
func (l *logged) Close() error {
	l.stream.unfollow(l.bus.logged())
	return l.Adapter.Close()
}

var kinds = map[adapter.Kind]cluster.Type{
	adapter.Event: cluster.Broadcast, adapter.Join: cluster.Join, adapter.Leave: cluster.Leave, adapter.Disconnect: cluster.Disconnect,
}

// Append implements [adapter.Log].
func (l *logged) Append(op adapter.Operation) error {
	m := &cluster.Message{
		UID: l.UID(), Namespace: l.Host().Namespace(), Type: kinds[op.Kind],
		Packet: op.Packet, Target: op.Target, Rooms: op.Rooms, Close: op.Close,
	}
	return l.stream.append(l.bus.logged(), m)
}

// Compare implements [adapter.Log].
func (l *logged) Compare(a, b string) (int, error) {
	x, err := parsePosition(a)
	if err != nil {
		return 0, err
	}
	y, err := parsePosition(b)
	if err != nil {
		return 0, err
	}
	return x.compare(y)
}

// Read implements [adapter.Log].
func (l *logged) Read(ctx context.Context, after, until string, f func(adapter.Entry) bool) error {
	from, err := parsePosition(after)
	if err != nil {
		return err
	}
	to, err := parsePosition(until)
	if err != nil {
		return err
	}
	if c, err := from.compare(to); err != nil {
		return adapter.ErrTrimmed
	} else if c == 0 {
		return nil
	}
	js, err := l.stream.b.jetStream()
	if err != nil {
		return err
	}
	s, err := js.Stream(ctx, l.stream.name)
	if err != nil {
		return err
	}
	if generation(s.CachedInfo()) != from.generation || s.CachedInfo().State.LastSeq < from.seq {
		return adapter.ErrTrimmed
	}
	if err := readRange(ctx, s, l.bus.logged(), from, to, f); err != nil {
		return err
	}
	// What was trimmed while it was read is noticed as well.
	info, err := s.Info(ctx)
	if err != nil {
		return err
	}
	if info.State.FirstSeq > from.seq+1 {
		return adapter.ErrTrimmed
	}
	return nil
}

// readBatch is how many entries are asked for at a time.
const readBatch = 256

func readRange(ctx context.Context, s jetstream.Stream, subject string, from, to position, f func(adapter.Entry) bool) error {
	c, err := s.CreateConsumer(ctx, jetstream.ConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: from.seq + 1, FilterSubject: subject,
		AckPolicy: jetstream.AckNonePolicy, InactiveThreshold: time.Minute, MemoryStorage: true, Replicas: 1,
	})
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), confirmTimeout)
		defer cancel()
		_ = s.DeleteConsumer(ctx, c.CachedInfo().Name) // NATS forgets it by itself
	}()
	left := c.CachedInfo().NumPending
	read := uint64(0)
	for left > 0 {
		batch, err := c.Fetch(int(min(left, readBatch)), jetstream.FetchContext(ctx))
		if err != nil {
			return err
		}
		for m := range batch.Messages() {
			meta, err := m.Metadata()
			if err != nil {
				return err
			}
			if read++; meta.Sequence.Consumer != read {
				return errors.New("nats: entries were lost on the way")
			}
			left = meta.NumPending
			if meta.Sequence.Stream > to.seq {
				return nil
			}
			e, err := decodeLogged(m.Data())
			if err != nil {
				return err
			}
			if e.kind == asMessage {
				continue // was for who was there
			}
			at := position{from.generation, meta.Sequence.Stream}
			if !f(adapter.Entry{Position: at.String(), Operation: e.operation}) {
				return nil
			}
		}
		if err := batch.Error(); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// SaveSession implements [adapter.Log].
func (l *logged) SaveSession(pid string, create bool, keep time.Duration, record func() *adapter.Session, done func(error)) error {
	return l.sessions.save(pid, create, keep, record, done)
}

// LoadSession implements [adapter.Log].
func (l *logged) LoadSession(ctx context.Context, pid string) (*adapter.Session, error) {
	s, _, err := l.sessions.load(ctx, pid)
	return s, err
}

// TakeSession implements [adapter.Log].
func (l *logged) TakeSession(ctx context.Context, pid, owner string) (*adapter.Session, error) {
	return l.sessions.take(ctx, pid, owner)
}

// jetStream returns what asks JetStream, unless there is no connection.
func (b *Broker) jetStream() (jetstream.JetStream, error) {
	nc := b.conn()
	if nc == nil || b.state.Load() == down {
		return nil, ErrDown
	}
	return newJetStream(nc)
}

func newJetStream(nc *gonats.Conn) (jetstream.JetStream, error) {
	return jetstream.New(nc, jetstream.WithDefaultTimeout(confirmTimeout))
}

var _ adapter.Log = (*logged)(nil)
