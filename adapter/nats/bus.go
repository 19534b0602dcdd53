package nats

import (
	"context"
	"strings"
	"sync"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/adapter/cluster"
)

// A bus is a namespace's part of a broker.
type bus struct {
	*inbox
	name    string // of the namespace
	token   string
	uid     string
	base    string // subjects of the namespace begin with it
	adapter *cluster.Adapter
	log     *stream // nil without one

	closing sync.Once
}

// Adapter returns what makes adapters for the namespaces of one server. Two servers of one process need a broker each.
func (b *Broker) Adapter() adapter.Factory { return b.newAdapter }

func (b *Broker) newAdapter(host adapter.Host) adapter.Adapter {
	x := b.attach(host, nil)
	return cluster.Watch(x.adapter, x)
}

// attach gives a namespace its part of the broker, and an adapter.
func (b *Broker) attach(host adapter.Host, log *stream) *bus {
	x := &bus{name: host.Namespace(), uid: cluster.NewUID(), log: log}
	x.token = token(strings.TrimPrefix(x.name, "/"))
	x.base = b.opts.Prefix + "." + x.token
	x.inbox = newInbox(b, x.receive)
	// Nothing is handled before there is an adapter.
	ready := make(chan struct{})
	x.handle = func(payload []byte) {
		<-ready
		x.receive(payload)
	}
	b.mu.Lock()
	if b.taking[x.token] != nil {
		b.log.Error("nats: a broker is used by two servers, which don't hear each other", "namespace", x.name)
	}
	b.taking[x.token] = x
	b.mu.Unlock()
	b.out.interest(subscribe, x.base+".all")
	b.out.interest(subscribe, x.base+".to."+x.uid)
	x.adapter = cluster.New(host, x.uid, x, &b.opts.Cluster)
	close(ready)
	return x
}

// Publish implements [cluster.Bus].
func (x *bus) Publish(m *cluster.Message) error {
	if x.log != nil && x.log.carries(m) {
		return x.publishLogged(m)
	}
	subject := x.base + ".all"
	if m.Type == cluster.Broadcast && m.RequestID == "" && len(m.Target.Rooms) == 1 && !isID(m.Target.Rooms[0]) {
		subject = x.room(m.Target.Rooms[0])
	}
	return x.send(subject, m)
}

// Respond implements [cluster.Bus].
func (x *bus) Respond(uid string, m *cluster.Message) error {
	return x.send(x.base+".to."+token(uid), m)
}

func (x *bus) room(name string) string { return x.base + ".room." + token(name) }

func (x *bus) send(subject string, m *cluster.Message) error {
	payload, err := appendMessage(nil, m)
	if err != nil {
		return err
	}
	return x.b.out.publish(subject, payload)
}

func appendMessage(dst []byte, m *cluster.Message) ([]byte, error) {
	if m.Binary() {
		return m.AppendMsgpack(dst)
	}
	return append(dst, m.AppendJSON(nil)...), nil
}

func decodeMessage(payload []byte) (*cluster.Message, error) {
	if len(payload) > 0 && payload[0] == '{' {
		return cluster.DecodeJSON(payload)
	}
	return cluster.DecodeMsgpack(payload)
}

// receive handles a message.
func (x *bus) receive(payload []byte) {
	m, err := decodeMessage(payload)
	if err != nil {
		x.b.log.Warn("nats: message not understood", "namespace", x.name, "error", err)
		return
	}
	x.adapter.Receive(m)
}

// reconnected has the others say that they are there: some may have come meanwhile, and some may have given this one up.
func (x *bus) reconnected() {
	m := &cluster.Message{UID: x.uid, Namespace: x.name, Type: cluster.InitialHeartbeat}
	if err := x.Publish(m); err != nil && x.b.ctx.Err() == nil {
		x.b.log.Warn("nats: cannot greet the other servers", "namespace", x.name, "error", err)
	}
}

// Servers implements [cluster.Bus]: NATS does not tell.
func (x *bus) Servers(context.Context) (int, error) { return -1, nil }

// RoomCreated implements [adapter.RoomWatcher].
func (x *bus) RoomCreated(room string) {
	if !isID(room) {
		x.b.out.interest(subscribe, x.room(room))
	}
}

// RoomDeleted implements [adapter.RoomWatcher].
func (x *bus) RoomDeleted(room string) {
	if !isID(room) {
		x.b.out.interest(unsubscribe, x.room(room))
	}
}

// Close implements [cluster.Bus].
func (x *bus) Close() error {
	x.closing.Do(func() {
		x.b.out.interest(forget, x.base+".")
		x.b.mu.Lock()
		if x.b.taking[x.token] == x {
			delete(x.b.taking, x.token)
		}
		x.b.mu.Unlock()
		x.inbox.close()
	})
	return x.b.out.flush(closeTimeout)
}
