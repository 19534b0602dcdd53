package emitter

import (
	"strings"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/adapter/cluster"
)

// uid is the name of senders that are no servers: nobody waits for them.
const uid = "emitter"

// Messages returns a sender for brokers that carry the messages of package cluster. Publish queues a message to all
// servers of the namespace it names. The slash that namespaces begin with may be left out.
func Messages(namespace string, publish func(*cluster.Message) error) Sender {
	if !strings.HasPrefix(namespace, "/") {
		namespace = "/" + namespace
	}
	return &messages{namespace, publish}
}

type messages struct {
	namespace string
	publish   func(*cluster.Message) error
}

func (s *messages) send(m *cluster.Message) error {
	m.UID, m.Namespace = uid, s.namespace
	return s.publish(m)
}

// Broadcast implements [Sender].
func (s *messages) Broadcast(p *adapter.Packet, t adapter.Target) error {
	return s.send(&cluster.Message{Type: cluster.Broadcast, Packet: p, Target: t})
}

// Join implements [Sender].
func (s *messages) Join(t adapter.Target, rooms []string) error {
	return s.send(&cluster.Message{Type: cluster.Join, Target: t, Rooms: rooms})
}

// Leave implements [Sender].
func (s *messages) Leave(t adapter.Target, rooms []string) error {
	return s.send(&cluster.Message{Type: cluster.Leave, Target: t, Rooms: rooms})
}

// Disconnect implements [Sender].
func (s *messages) Disconnect(t adapter.Target, closeConn bool) error {
	return s.send(&cluster.Message{Type: cluster.Disconnect, Target: t, Close: closeConn})
}

// ServerSideEmit implements [Sender].
func (s *messages) ServerSideEmit(p *adapter.Packet) error {
	return s.send(&cluster.Message{Type: cluster.ServerSideEmit, Packet: p})
}
