package redis

import (
	"bytes"
	"context"
	"sync"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/adapter/cluster"
)

// Sharded returns the adapter that is compatible with createShardedAdapter of @socket.io/redis-adapter 8.3, in its
// subscription modes static and dynamic. A server is told of events to one room only if somebody is in that room, except
// in a Redis Cluster, where that would cost the order (servers that publish there by rooms are understood).
func (b *Broker) Sharded() adapter.Factory {
	return func(host adapter.Host) adapter.Adapter {
		s := &sharded{
			b: b, uid: cluster.NewUID(), common: b.opts.Prefix + "#" + host.Namespace() + "#",
			byRoom: b.byRoom(), rooms: make(map[string]struct{}),
		}
		s.own = newOwn(s.uid, host.Namespace())
		// What comes before there is an adapter waits.
		s.ready.Add(1)
		b.in.add(toShard, s.common+s.uid+"#", s.receive)
		b.in.add(toShard, s.common, s.receive) // by which it is counted: the last
		s.a = cluster.New(host, s.uid, s, &cluster.Options{Logger: b.log})
		s.ready.Done()
		return cluster.Watch(s.a, s)
	}
}

// sharded is the bus of one namespace.
type sharded struct {
	b      *Broker
	uid    string
	common string // the channel for everything
	byRoom bool   // events to one room are published on a channel of its own
	a      *cluster.Adapter
	own    own
	ready  sync.WaitGroup

	handling sync.Mutex // while something is received
	closed   bool       // guarded by it

	mu    sync.Mutex
	rooms map[string]struct{}
}

// byRoom reports whether events to one room are published on the channel of that room.
func (b *Broker) byRoom() bool { return !b.clustered() && !b.opts.Static }

// idLen is how long the id of a socket is, by which Node tells rooms of one socket from others.
const idLen = 20

// public reports whether a room has a channel of its own.
func public(room string) bool { return len(room) != idLen }

// Publish implements [cluster.Bus].
func (s *sharded) Publish(m *cluster.Message) error {
	channel := s.common
	if s.byRoom && m.Type == cluster.Broadcast && m.RequestID == "" && len(m.Target.Rooms) == 1 && public(m.Target.Rooms[0]) {
		channel += m.Target.Rooms[0] + "#"
	}
	return s.send(channel, m)
}

// Respond implements [cluster.Bus].
func (s *sharded) Respond(uid string, m *cluster.Message) error { return s.send(s.common+uid+"#", m) }

func (s *sharded) send(channel string, m *cluster.Message) error {
	payload, err := encode(m)
	if err != nil {
		return err
	}
	return s.b.out.push(publication{channel: channel, payload: payload, sharded: true})
}

// encode writes a message as Node does: as JSON, unless there is binary in it.
func encode(m *cluster.Message) ([]byte, error) {
	if m.Binary() {
		return m.AppendMsgpack(nil)
	}
	return m.AppendJSON(nil), nil
}

func decode(payload []byte) (*cluster.Message, error) {
	if len(payload) > 0 && payload[0] == '{' {
		return cluster.DecodeJSON(payload)
	}
	return cluster.DecodeMsgpack(payload)
}

// own tells a server's own messages, which come back to it, without decoding them: they end with its name.
type own struct{ json, msgpack []byte }

func newOwn(uid, namespace string) own {
	m := cluster.Message{UID: uid, Namespace: namespace}
	text := m.AppendJSON(nil)
	packed, _ := m.AppendMsgpack(nil) // what was just written can be translated
	_, json, _ := bytes.Cut(text, []byte(`"uid"`))
	_, msgpack, _ := bytes.Cut(packed, []byte("\xa3uid"))
	return own{append([]byte(`"uid"`), json...), append([]byte("\xa3uid"), msgpack...)}
}

func (o own) sent(payload []byte) bool {
	return bytes.HasSuffix(payload, o.json) || bytes.HasSuffix(payload, o.msgpack)
}

func (s *sharded) receive(channel string, payload []byte) {
	s.ready.Wait()
	s.handling.Lock()
	defer s.handling.Unlock()
	if s.closed {
		return
	}
	if s.own.sent(payload) {
		return
	}
	m, err := decode(payload)
	if err != nil {
		s.b.log.Warn("redis: message not understood", "channel", channel, "error", err)
		return
	}
	if m.UID != s.uid {
		s.b.stats.received.Add(1)
		s.a.Receive(m)
	}
}

// Servers implements [cluster.Bus].
func (s *sharded) Servers(ctx context.Context) (int, error) { return s.b.numSub(ctx, true, s.common) }

// Alive implements [cluster.Prober]: a server that is there subscribes to the channel that has its name.
func (s *sharded) Alive(ctx context.Context, uid string) (bool, error) {
	n, err := s.b.numSub(ctx, true, s.common+uid+"#")
	return n > 0, err
}

// RoomCreated implements [adapter.RoomWatcher].
func (s *sharded) RoomCreated(room string) {
	if !public(room) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rooms == nil {
		return // closed
	}
	s.rooms[room] = struct{}{}
	s.b.in.add(toShard, s.common+room+"#", s.receive)
}

// RoomDeleted implements [adapter.RoomWatcher].
func (s *sharded) RoomDeleted(room string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.rooms[room]; !ok {
		return
	}
	delete(s.rooms, room)
	s.b.in.remove(toShard, s.common+room+"#")
}

// Close implements [cluster.Bus].
func (s *sharded) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for room := range s.rooms {
		s.b.in.remove(toShard, s.common+room+"#")
	}
	s.rooms = nil
	s.b.in.remove(toShard, s.common)
	s.b.in.remove(toShard, s.common+s.uid+"#")
	s.handling.Lock()
	defer s.handling.Unlock()
	s.closed = true
	return nil
}
