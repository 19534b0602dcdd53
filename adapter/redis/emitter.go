package redis

import (
	"strings"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/adapter/cluster"
	"github.com/sockeye-io/sockeye/adapter/emitter"
)

// emitterUID is the name of programs that are no servers, as in Node.
const emitterUID = "emitter"

// Emitter returns an emitter to the servers of a namespace that use [Broker.Classic], or createAdapter in Node, for
// programs that are no servers themselves; it writes what @socket.io/redis-emitter 5.1 does. That an operation returned
// nil means that it waits to be published: Close the broker before the program ends.
func (b *Broker) Emitter(namespace string) emitter.Emitter {
	ns := withSlash(namespace)
	return emitter.New(&classicSender{
		b: b, namespace: ns, events: b.opts.Prefix + "#" + ns + "#", requests: b.opts.Prefix + "-request#" + ns + "#",
	})
}

// ShardedEmitter is [Broker.Emitter] for servers that use [Broker.Sharded], or createShardedAdapter in Node, for which
// Node has no emitter.
func (b *Broker) ShardedEmitter(namespace string) emitter.Emitter {
	ns := withSlash(namespace)
	s := &sharded{b: b, common: b.opts.Prefix + "#" + ns + "#", byRoom: b.byRoom()}
	return emitter.New(emitter.Messages(ns, s.Publish))
}

func withSlash(namespace string) string {
	if !strings.HasPrefix(namespace, "/") {
		return "/" + namespace
	}
	return namespace
}

type classicSender struct {
	b                           *Broker
	namespace, events, requests string
}

// Broadcast implements [emitter.Sender].
func (s *classicSender) Broadcast(p *adapter.Packet, t adapter.Target) error {
	payload, err := appendEvent(nil, emitterUID, s.namespace, p, t)
	if err != nil {
		return err
	}
	return s.b.out.push(publication{channel: eventChannel(s.events, t), payload: payload})
}

func (s *classicSender) command(m *message) error {
	payload, err := m.encode()
	if err != nil {
		return err
	}
	return s.b.out.push(publication{channel: s.requests, payload: payload})
}

// Join implements [emitter.Sender].
func (s *classicSender) Join(t adapter.Target, rooms []string) error {
	return s.command(&message{Type: typeJoin, Target: &t, Rooms: rooms})
}

// Leave implements [emitter.Sender].
func (s *classicSender) Leave(t adapter.Target, rooms []string) error {
	return s.command(&message{Type: typeLeave, Target: &t, Rooms: rooms})
}

// Disconnect implements [emitter.Sender].
func (s *classicSender) Disconnect(t adapter.Target, closeConn bool) error {
	return s.command(&message{Type: typeDisconnect, Target: &t, Close: closeConn})
}

// ServerSideEmit implements [emitter.Sender].
func (s *classicSender) ServerSideEmit(p *adapter.Packet) error {
	return s.command(&message{UID: emitterUID, Type: typeServerSide, Data: p.Data, Binary: p.Attachments})
}

var _ emitter.Sender = (*classicSender)(nil)

var _ cluster.Prober = (*sharded)(nil)
