package redis

import (
	"context"
	"encoding/base64"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/adapter/cluster"
)

// Streams returns the adapter that is compatible with @socket.io/redis-streams-adapter 0.3.1 with its default of one
// stream: events, and operations on sockets, are entries of the stream that is called like Options.Prefix; questions
// and answers are messages as in Classic.
//
// A server that had no connection for a while goes on where it was, unless more than Options.StreamMaxLen entries have
// come meanwhile. Unlike Node's, it also puts events that ask for acknowledgements into the stream, so that they don't
// overtake others.
//
// With socketio.Options.Recovery it is an [adapter.Log]: clients come back to any server with what they missed, as far
// as the stream reaches back. Then every event that can be recovered goes through the stream, also to sockets of this
// server, and Emit waits until it has come back, for Options.AppendTimeout at most; [adapter.ErrUncertain] says that it
// may still come. Sessions are kept under the keys sio:session:<pid>, as Node's adapter has them, and their owners beside
// them. Redis must keep both (maxmemory-policy noeviction). It has not been tried together with Node's adapter.
func (b *Broker) Streams() adapter.Factory {
	return func(host adapter.Host) adapter.Adapter {
		s := &streamed{b: b, uid: cluster.NewUID(), common: b.opts.Prefix + "#" + host.Namespace() + "#"}
		s.ready.Add(1)
		b.stream.add(host.Namespace(), s)
		s.a = cluster.New(host, s.uid, s, &cluster.Options{Logger: b.log})
		s.ready.Done()
		return &streamLog{s.a, s}
	}
}

// streamed is the bus of one namespace.
type streamed struct {
	b      *Broker
	uid    string
	common string
	a      *cluster.Adapter
	ready  sync.WaitGroup

	handling sync.Mutex // while something is received
	closed   bool       // guarded by it, as is what follows
	follower adapter.LogHost
	position string // of the last entry that was handled; empty if it is not known where the reading begins

	waiting sync.Map // of chan struct{}, by the nonce of what was appended
	nonce   atomic.Uint64
}

// Publish implements [cluster.Bus].
func (s *streamed) Publish(m *cluster.Message) error {
	switch m.Type {
	case cluster.Broadcast, cluster.Join, cluster.Leave, cluster.Disconnect:
	default:
		return s.send(s.common, m)
	}
	x, err := s.entry(m)
	if err != nil {
		return err
	}
	return s.b.out.push(x)
}

// entry returns what is published of a message that is an entry of the stream.
func (s *streamed) entry(m *cluster.Message) (publication, error) {
	data := string(m.AppendData(nil))
	if m.Binary() {
		packed, err := m.AppendMsgpackData(nil)
		if err != nil {
			return publication{}, err
		}
		data = base64.StdEncoding.EncodeToString(packed)
	}
	return publication{
		channel: s.b.opts.Prefix,
		entry:   []any{"uid", m.UID, "nsp", m.Namespace, "type", strconv.Itoa(int(m.Type)), "data", data},
		payload: []byte(data), // counts as what waits
	}, nil
}

// Respond implements [cluster.Bus].
func (s *streamed) Respond(uid string, m *cluster.Message) error { return s.send(s.common+uid+"#", m) }

func (s *streamed) send(channel string, m *cluster.Message) error {
	payload, err := m.AppendMsgpack(nil)
	if err != nil {
		return err
	}
	return s.b.out.push(publication{channel: channel, payload: payload})
}

// Servers implements [cluster.Bus].
func (s *streamed) Servers(ctx context.Context) (int, error) { return s.b.numSub(ctx, false, s.common) }

// subscribe has messages received. Others count this server from then on, and may rely on it reading the stream.
func (s *streamed) subscribe() {
	s.b.in.add(toChannel, s.common+s.uid+"#", s.receiveMessage)
	s.b.in.add(toChannel, s.common, s.receiveMessage)
}

// Close implements [cluster.Bus].
func (s *streamed) Close() error {
	s.b.stream.remove(s.a.Host().Namespace())
	s.b.in.remove(toChannel, s.common)
	s.b.in.remove(toChannel, s.common+s.uid+"#")
	s.handling.Lock()
	defer s.handling.Unlock()
	s.closed = true
	return nil
}

func (s *streamed) receiveMessage(channel string, payload []byte) {
	m, err := decode(payload)
	if err != nil {
		s.b.log.Warn("redis: message not understood", "channel", channel, "error", err)
		return
	}
	s.receive(m)
}

func (s *streamed) receive(m *cluster.Message) {
	s.ready.Wait()
	s.handling.Lock()
	defer s.handling.Unlock()
	if m.UID != s.uid && !s.closed {
		s.b.stats.received.Add(1)
		s.a.Receive(m)
	}
}

// A stream reads the entries for all namespaces, on a goroutine of its own as long as there are any.
type stream struct {
	b *Broker

	mu         sync.Mutex
	namespaces map[string]*streamed
	reading    bool
	last       string                  // id of the last entry that was handled
	placed     bool                    // it is known where in the stream the reading begins
	client     goredis.UniversalClient // of its own: only closing it ends a read that waits
}

func newStream(b *Broker) *stream { return &stream{b: b, namespaces: make(map[string]*streamed)} }

func (r *stream) add(namespace string, s *streamed) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.namespaces[namespace] = s
	if !r.reading && r.b.start(r.read) {
		r.reading = true
		r.client = goredis.NewUniversalClient(&r.b.opts.Redis)
	}
	if r.placed {
		s.begin(r.last)
		s.subscribe()
	}
}

// place notes that entries are read from here on, so that none can be missed by who is counted as a server.
func (r *stream) place() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.placed = true
	for _, s := range r.namespaces {
		s.begin(r.last)
		s.subscribe()
	}
}

// close ends the reading, which the broker waits for.
func (r *stream) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.client == nil {
		return nil
	}
	return r.client.Close()
}

func (r *stream) remove(namespace string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.namespaces, namespace)
}

const (
	// readCount is how many entries are read at once, and blockTime how long a read waits for one, as in Node.
	readCount = 100
	blockTime = 5 * time.Second
)

func (r *stream) read() {
	b := r.b
	r.mu.Lock() // until there is a client
	client := r.client
	r.mu.Unlock()
	last := ""
	wait := 50 * time.Millisecond
	down := false
	for b.ctx.Err() == nil {
		if last == "" {
			if last = r.end(client); last != "" {
				r.passed(last)
				r.place()
			}
		}
		err := errors.New("redis: the end of the stream is not known")
		var entries []goredis.XMessage
		if last != "" {
			entries, err = r.next(client, last)
		}
		if b.ctx.Err() != nil {
			return
		}
		if err != nil {
			if !down {
				b.log.Warn("redis: cannot read the stream", "error", err)
			}
			down = true
			select {
			case <-b.ctx.Done():
			case <-time.After(wait):
			}
			wait = min(2*wait, time.Second)
			continue
		}
		if down {
			b.log.Info("redis: reading the stream again")
		}
		down, wait = false, 50*time.Millisecond
		for _, e := range entries {
			r.take(e)
			last = e.ID
			r.passed(last)
		}
	}
}

// end returns the id of the last entry, "" if it can't be had. The next read goes on from there, so that nothing falls
// between two reads.
func (r *stream) end(client goredis.UniversalClient) string {
	entries, err := client.XRevRangeN(r.b.ctx, r.b.opts.Prefix, "+", "-", 1).Result()
	switch {
	case err != nil:
		return ""
	case len(entries) == 0:
		return "0-0"
	}
	return entries[0].ID
}

func (r *stream) next(client goredis.UniversalClient, last string) ([]goredis.XMessage, error) {
	ctx, cancel := context.WithTimeout(r.b.ctx, blockTime+publishTimeout)
	defer cancel()
	streams, err := client.XRead(ctx, &goredis.XReadArgs{
		Streams: []string{r.b.opts.Prefix}, ID: last, Count: readCount, Block: blockTime,
	}).Result()
	if errors.Is(err, goredis.Nil) {
		return nil, nil
	}
	if err != nil || len(streams) == 0 {
		return nil, err
	}
	return streams[0].Messages, nil
}

// take hands an entry to its namespace.
func (r *stream) take(e goredis.XMessage) {
	field := func(name string) string {
		text, _ := e.Values[name].(string)
		return text
	}
	r.mu.Lock()
	s := r.namespaces[field("nsp")]
	r.mu.Unlock()
	if s == nil || field("uid") == s.uid && field("n") == "" {
		return
	}
	m, err := decodeEntry(field)
	if err != nil {
		r.b.log.Warn("redis: entry of the stream not understood", "id", e.ID, "error", err)
		return
	}
	s.take(e.ID, field("n"), m)
}

// passed notes that an entry has been handled.
func (r *stream) passed(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = id
}

func decodeEntry(field func(string) string) (*cluster.Message, error) {
	kind, err := strconv.ParseUint(field("type"), 10, 8)
	if err != nil {
		return nil, errMessage
	}
	m := &cluster.Message{UID: field("uid"), Namespace: field("nsp"), Type: cluster.Type(kind)}
	data := []byte(field("data"))
	if len(data) > 0 && data[0] != '{' {
		if data, err = base64.StdEncoding.AppendDecode(nil, data); err != nil {
			return nil, errMessage
		}
	}
	return m, m.DecodeData(data)
}
