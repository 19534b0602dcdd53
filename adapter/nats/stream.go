package nats

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	gonats "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/adapter/cluster"
)

// A stream is the log, as one server reads it: for all its namespaces, in one order, on one goroutine.
//
// It is read by a consumer that lives as long as the connection; after that a new one begins behind the last entry that
// was handled. So nothing that was under way when a connection broke is missed or handled twice.
type stream struct {
	b    *Broker
	opts JetStreamOptions
	name string

	number  atomic.Uint64 // of what this server appends
	waitMu  sync.Mutex
	waiting map[uint64]chan struct{} // closed when the entry has been handled

	restart chan struct{} // has room for one

	begun  chan struct{} // closed when it is known where reading begins
	making sync.Mutex    // while the stream of sessions is made
	made   atomic.Int64  // how long that keeps them, zero before it is there

	mu        sync.Mutex // while an entry is handled
	running   bool
	known     bool                // last is
	last      position            // of what was handled
	followers map[string]follower // by subject
}

// A follower is a namespace that is told of its entries.
type follower struct {
	host adapter.LogHost
	bus  *bus
}

func newStream(b *Broker, o JetStreamOptions) *stream {
	return &stream{
		b: b, opts: o, name: streamName(b.opts.Prefix) + "_LOG",
		waiting: make(map[uint64]chan struct{}), restart: make(chan struct{}, 1), begun: make(chan struct{}), followers: make(map[string]follower),
	}
}

// streamName makes a name of a prefix, in which dots and slashes are not allowed.
func streamName(prefix string) string {
	return strings.NewReplacer(".", "_", "/", "_", "\\", "_").Replace(strings.ToUpper(prefix))
}

func (s *stream) follow(x *bus, h adapter.LogHost) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.followers[x.logged()] = follower{h, x}
	if s.known {
		h.Reached(s.last.String())
	}
	if !s.running {
		s.running = s.b.start(s.run)
	}
}

func (s *stream) unfollow(subject string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.followers, subject)
}

// What an entry's stamp is followed by.
const (
	asMessage   = 0 // it would be published to all servers, and is here to keep its place among the operations
	asOperation = 1
)

// A loggedEntry is what the stream has.
type loggedEntry struct {
	sender    [8]byte
	number    uint64
	kind      byte
	message   *cluster.Message
	operation adapter.Operation
}

var errEntry = errors.New("nats: not an entry of the log")

func decodeLogged(data []byte) (e loggedEntry, err error) {
	if len(data) < stampSize+1 {
		return e, errEntry
	}
	e.sender, e.number, e.kind = [8]byte(data), binary.BigEndian.Uint64(data[8:]), data[stampSize]
	m, err := decodeMessage(data[stampSize+1:])
	if err != nil || e.kind == asMessage {
		e.message = m
		return e, err
	}
	for kind, t := range kinds {
		if t == m.Type && m.RequestID == "" && e.kind == asOperation {
			e.operation = adapter.Operation{Kind: kind, Packet: m.Packet, Target: m.Target, Rooms: m.Rooms, Close: m.Close}
			return e, nil
		}
	}
	return e, errEntry
}

// carries reports whether a message goes through the log, so as not to overtake what does.
func (s *stream) carries(m *cluster.Message) bool {
	switch m.Type {
	case cluster.Broadcast, cluster.Join, cluster.Leave, cluster.Disconnect:
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.running
	}
	return false
}

// publishLogged has a message go through the log.
func (x *bus) publishLogged(m *cluster.Message) error {
	payload, err := appendMessage([]byte{asMessage}, m)
	if err != nil {
		return err
	}
	if nc := x.b.conn(); nc != nil && int64(stampSize+len(payload)) > nc.MaxPayload() && nc.MaxPayload() > 0 {
		return ErrTooLarge
	}
	return x.b.out.publish(x.logged(), payload)
}

func (x *bus) logged() string { return x.b.opts.Prefix + ".@log." + x.token }

// append publishes an entry and waits until it has been handled here.
func (s *stream) append(subject string, m *cluster.Message) error {
	timeout := time.NewTimer(s.opts.Wait)
	defer timeout.Stop()
	select {
	case <-s.begun: // else this server would not see its own entry
	case <-timeout.C:
		return ErrDown
	case <-s.b.ctx.Done():
		return adapter.ErrClosed
	}
	js, err := s.b.jetStream()
	if err != nil {
		return err
	}
	number := s.number.Add(1)
	payload, err := appendMessage(append(appendStamp(make([]byte, 0, stampSize+512), s.b.id, number), asOperation), m)
	if err != nil {
		return err
	}
	if int64(len(payload)) > s.b.conn().MaxPayload() {
		return ErrTooLarge
	}
	handled := make(chan struct{})
	s.waitMu.Lock()
	s.waiting[number] = handled
	s.waitMu.Unlock()
	defer func() {
		s.waitMu.Lock()
		delete(s.waiting, number)
		s.waitMu.Unlock()
	}()
	refused := make(chan error, 1) // by who publishes it, or by NATS
	s.b.out.inTurn(func() {
		ack, err := js.PublishMsgAsync(&gonats.Msg{Subject: subject, Data: payload}, jetstream.WithRetryAttempts(0))
		if err != nil {
			refused <- fmt.Errorf("%w: %w", errNotSent, err)
			return
		}
		go func() {
			select {
			case err := <-ack.Err():
				refused <- err
			case <-ack.Ok():
			case <-handled:
			case <-s.b.ctx.Done():
			}
		}()
	})
	for {
		select {
		case <-handled:
			return nil
		case err := <-refused:
			if notStored(err) {
				return fmt.Errorf("nats: %w", err)
			}
			// Nobody knows; it may come.
		case <-timeout.C:
			return fmt.Errorf("nats: %w", adapter.ErrUncertain)
		case <-s.b.ctx.Done():
			return fmt.Errorf("nats: %w: %w", adapter.ErrClosed, adapter.ErrUncertain)
		}
	}
}

var errNotSent = errors.New("not sent")

// notStored reports whether an error says for certain that a message is not in a stream.
func notStored(err error) bool {
	var refused *jetstream.APIError
	return errors.Is(err, errNotSent) || errors.As(err, &refused) || errors.Is(err, gonats.ErrNoResponders) || errors.Is(err, jetstream.ErrNoStreamResponse)
}

// run reads until the broker is closed.
func (s *stream) run() {
	const least, most = 50 * time.Millisecond, 2 * time.Second
	wait := least
	said := false
	for s.b.ctx.Err() == nil {
		began := time.Now()
		err := s.read()
		if s.b.ctx.Err() != nil {
			return
		}
		if time.Since(began) > most {
			wait, said = least, false
		}
		if !said && err != nil && s.b.state.Load() == up {
			s.b.log.Warn("nats: cannot read the log; trying on", "stream", s.name, "error", err)
			said = true
		}
		select {
		case <-s.b.ctx.Done():
		case <-s.restart:
			wait = least
		case <-time.After(wait):
			wait = min(2*wait, most)
		}
	}
}

// readAhead is how many entries are on their way at a time.
const readAhead = 512

// read reads until something is wrong.
func (s *stream) read() error {
	js, err := s.b.jetStream()
	if err != nil {
		return err
	}
	select {
	case <-s.restart: // it is about what was before
	default:
	}
	ctx, cancel := context.WithTimeout(s.b.ctx, 2*confirmTimeout)
	defer cancel()
	st, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name: s.name, Subjects: []string{s.b.opts.Prefix + ".@log.*"},
		Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardOld,
		MaxAge: s.opts.MaxAge, MaxBytes: s.opts.MaxBytes, Replicas: s.opts.Replicas, Storage: s.storage(),
		Duplicates: min(time.Minute, s.opts.MaxAge),
	})
	if err != nil {
		return err
	}
	if err := s.ensureSessions(ctx, 0); err != nil {
		return err
	}
	from := s.begin(st.CachedInfo())
	c, err := st.CreateConsumer(ctx, jetstream.ConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: from.seq + 1,
		AckPolicy: jetstream.AckNonePolicy, InactiveThreshold: time.Minute, MemoryStorage: true, Replicas: 1,
	})
	if err != nil {
		return err
	}
	messages, err := c.Messages(jetstream.PullMaxMessages(readAhead), jetstream.PullHeartbeat(pingInterval),
		jetstream.WithMessagesErrOnMissingHeartbeat(true))
	if err != nil {
		return err
	}
	defer func() {
		messages.Stop()
		if s.b.ctx.Err() == nil && s.b.state.Load() == up {
			ctx, cancel := context.WithTimeout(s.b.ctx, confirmTimeout)
			defer cancel()
			_ = st.DeleteConsumer(ctx, c.CachedInfo().Name) // NATS forgets it by itself
		}
	}()
	stop := context.AfterFunc(s.b.ctx, messages.Stop)
	defer stop()
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case <-s.restart:
			wake(s.restart) // run need not wait
			messages.Stop()
		case <-done:
		}
	}()
	for read := uint64(1); ; read++ {
		m, err := messages.Next()
		if err != nil {
			return err
		}
		meta, err := m.Metadata()
		if err != nil {
			return err
		}
		if meta.Sequence.Consumer != read {
			return errors.New("nats: entries were lost on the way") // a new consumer has them again
		}
		s.handle(position{from.generation, meta.Sequence.Stream}, m.Subject(), m.Data())
	}
}

func (s *stream) storage() jetstream.StorageType {
	if s.opts.Memory {
		return jetstream.MemoryStorage
	}
	return jetstream.FileStorage
}

// begin returns the position to read behind: where reading ended, or the end of a stream that is new to this server.
func (s *stream) begin(info *jetstream.StreamInfo) position {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := position{generation(info), info.State.LastSeq}
	switch {
	case !s.known:
	case s.last.generation != now.generation || s.last.seq > now.seq:
		s.b.log.Warn("nats: the log has begun anew; clients can't come back to what was before", "stream", s.name)
	case info.State.FirstSeq > s.last.seq+1:
		s.b.stats.dropped.Add(int64(info.State.FirstSeq - s.last.seq - 1))
		s.b.log.Warn("nats: events were dropped from the log before this server could read them", "stream", s.name)
		return s.last
	default:
		return s.last
	}
	if !s.known {
		close(s.begun)
	}
	s.known, s.last = true, now
	for _, f := range s.followers {
		f.host.Reached(now.String())
	}
	return now
}

// handle hands an entry to its namespace.
func (s *stream) handle(at position, subject string, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = at
	f, ok := s.followers[subject]
	if !ok {
		return
	}
	e, err := decodeLogged(data)
	if err != nil {
		s.b.log.Warn("nats: entry of the log not understood", "subject", subject, "position", at, "error", err)
		f.host.Reached(at.String())
		return
	}
	if e.sender != s.b.id {
		s.b.stats.received.Add(1)
	}
	if e.kind == asMessage {
		if e.sender != s.b.id {
			f.bus.adapter.Receive(e.message)
		}
		f.host.Reached(at.String())
		return
	}
	op := e.operation
	f.host.Deliver(adapter.Entry{Position: at.String(), Operation: op}, e.sender == s.b.id)
	if e.sender != s.b.id {
		return
	}
	s.waitMu.Lock()
	defer s.waitMu.Unlock()
	if handled := s.waiting[e.number]; handled != nil {
		close(handled)
		delete(s.waiting, e.number)
	}
}

// reconnected has the stream read anew.
func (s *stream) reconnected() { wake(s.restart) }
