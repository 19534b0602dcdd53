package socketio

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/event"
	"github.com/sockeye-io/sockeye/socketio/packet"
)

// A Broadcast emits to many sockets. It is a value: its methods return modified copies, so it can be kept, shared and
// used by several goroutines. Made by To and its relatives of a [Server], [Namespace], [Parent] or [Socket].
//
// With no room named it means all sockets. A socket in several of the rooms gets an event once. What it does on other
// servers of a cluster takes effect there later; on this server it has when the method returns.
type Broadcast struct {
	ns     *Namespace
	parent *Parent // instead of ns
	rooms  []string
	except []string
	local  bool
	o      emitOptions
}

// To adds rooms to those that are meant. In is the same.
func (b Broadcast) To(rooms ...string) Broadcast {
	b.rooms = slices.Concat(b.rooms, rooms)
	return b
}

// In is To, for reading well: io.In("room").Disconnect(true).
func (b Broadcast) In(rooms ...string) Broadcast { return b.To(rooms...) }

// Except leaves out who is in one of the rooms.
func (b Broadcast) Except(rooms ...string) Broadcast {
	b.except = slices.Concat(b.except, rooms)
	return b
}

// Local leaves out the other servers of a cluster.
func (b Broadcast) Local() Broadcast { b.local = true; return b }

// Volatile lets the event be lost for clients that can't take it at this moment.
func (b Broadcast) Volatile() Broadcast { b.o.volatile = true; return b }

// Compress says whether the event may be compressed, which is the default.
func (b Broadcast) Compress(compress bool) Broadcast { b.o.noCompress = !compress; return b }

// Timeout bounds the waiting for acknowledgements, and for other servers.
func (b Broadcast) Timeout(d time.Duration) Broadcast { b.o.timeout = d; return b }

func (b Broadcast) target() adapter.Target {
	return adapter.Target{
		Rooms: b.rooms, Except: b.except,
		Volatile: b.o.volatile, NoCompress: b.o.noCompress, Timeout: b.o.timeout,
	}
}

// remote returns the adapter, or nil if the other servers have no part in it.
func (b Broadcast) remote() adapter.Adapter {
	if b.local {
		return nil
	}
	if a := b.ns.adapter.Load(); a != nil {
		return *a
	}
	return nil
}

// Emit sends an event. The error says that it can't be encoded, or could not be passed to other servers; the sockets
// of this one have been served then. A client that is gone or too slow is no error.
func (b Broadcast) Emit(event string, args ...any) error {
	if b.parent != nil {
		return b.parent.each(func(ns *Namespace) error {
			b.ns, b.parent = ns, nil
			return b.Emit(event, args...)
		})
	}
	t := b.target()
	if c := b.ns.cluster.Load(); c != nil && !b.local && !b.o.volatile {
		return c.broadcast(t, event, args)
	}
	if a := b.remote(); a != nil {
		p, err := encodePacket(event, args)
		if err != nil {
			return err
		}
		host{b.ns}.Broadcast(p, t)
		return a.Broadcast(p, t)
	}
	d, err := b.ns.newDelivery(b.o, nil, event, args)
	if err != nil {
		return err
	}
	b.ns.deliver(d, &t, func() *Message { return outgoingMessage(event, args) })
	return nil
}

// Send is Emit of the event "message".
func (b Broadcast) Send(args ...any) error { return b.Emit("message", args...) }

// EmitWithAck sends an event and collects an acknowledgement from every client, until ctx is done or, if it has no
// deadline, for the time given to Timeout, else Options.AckTimeout. If some are missing, it returns those that came
// and an [*AckTimeoutError].
func (b Broadcast) EmitWithAck(ctx context.Context, event string, args ...any) ([]*Ack, error) {
	if b.parent != nil {
		return nil, ErrParentNamespace
	}
	ctx, cancel := b.ns.server.ackTimeout(ctx, b.o.timeout)
	defer cancel()
	t := b.target()
	if deadline, ok := ctx.Deadline(); ok {
		t.Timeout = time.Until(deadline)
	}
	id := b.ns.ackID.Add(1) - 1
	d, err := b.ns.newDelivery(b.o, &id, event, args)
	if err != nil {
		return nil, err
	}
	done := make(chan struct{})
	w := &manyAcks{counting: 1, done: done}
	remote := b.remote()
	var p *adapter.Packet
	if remote != nil {
		if p, err = encodePacket(event, args); err != nil {
			return nil, err
		}
		w.counting++
	}
	asked := b.ns.deliverWithAck(d, &t, id, w, func() *Message { return outgoingMessage(event, args) })
	defer forgetAcks(asked, id)
	w.expect(len(asked))
	remoteErr := make(chan error, 1)
	if remote != nil {
		go func() {
			n, err := remote.BroadcastWithAck(ctx, p, t, w.remote)
			w.expect(n)
			remoteErr <- err
		}()
	}
	select {
	case <-done:
		err = nil
	case <-ctx.Done():
		err = ctx.Err()
	}
	if remote != nil {
		if remoteErr := <-remoteErr; err == nil {
			err = remoteErr
		}
	}
	return w.result(err)
}

// Sockets returns the sockets, those of other servers included. If a server did not answer in time, it returns those
// that it knows and an error.
func (b Broadcast) Sockets(ctx context.Context) ([]*RemoteSocket, error) {
	if b.parent != nil {
		return nil, ErrParentNamespace
	}
	t := b.target()
	sel := b.ns.choose(&t)
	sockets := make([]*RemoteSocket, 0, len(sel.members))
	for _, m := range sel.members {
		if s := m.sock.Load(); s.Connected() {
			sockets = append(sockets, &RemoteSocket{ns: b.ns, local: s, id: s.ID()})
		}
	}
	sel.release()
	a := b.remote()
	if a == nil {
		return sockets, nil
	}
	ctx, cancel := b.ns.server.ackTimeout(ctx, b.o.timeout)
	defer cancel()
	others, err := a.Sockets(ctx, t)
	for i := range others {
		sockets = append(sockets, &RemoteSocket{ns: b.ns, info: &others[i], id: others[i].ID})
	}
	return sockets, err
}

// Join puts the sockets into rooms.
func (b Broadcast) Join(rooms ...string) error {
	return b.apply(adapter.Operation{Kind: adapter.Join, Rooms: rooms})
}

// Leave takes the sockets out of rooms.
func (b Broadcast) Leave(rooms ...string) error {
	return b.apply(adapter.Operation{Kind: adapter.Leave, Rooms: rooms})
}

// Disconnect disconnects the sockets, see [Socket.Disconnect]. Sessions whose clients are away can't be recovered
// after it.
func (b Broadcast) Disconnect(closeConn bool) error {
	return b.apply(adapter.Operation{Kind: adapter.Disconnect, Close: closeConn})
}

func (b Broadcast) apply(op adapter.Operation) error {
	if b.parent != nil {
		return b.parent.each(func(ns *Namespace) error {
			b.ns, b.parent = ns, nil
			return b.apply(op)
		})
	}
	op.Target = b.target()
	h := host{b.ns}
	switch op.Kind {
	case adapter.Join:
		h.Join(op.Target, op.Rooms)
	case adapter.Leave:
		h.Leave(op.Target, op.Rooms)
	default:
		h.Disconnect(op.Target, op.Close)
	}
	a := b.remote()
	if a == nil {
		return nil
	}
	if c := b.ns.cluster.Load(); c != nil {
		return c.log.Append(op)
	}
	switch op.Kind {
	case adapter.Join:
		return a.Join(op.Target, op.Rooms)
	case adapter.Leave:
		return a.Leave(op.Target, op.Rooms)
	default:
		return a.Disconnect(op.Target, op.Close)
	}
}

// deliver sends a packet to the sockets of this server.
func (ns *Namespace) deliver(d *delivery, t *adapter.Target, message func() *Message) {
	sel := ns.choose(t)
	if ns.outgoing.Load() {
		sel.notifyOutgoing(message)
	}
	for _, m := range sel.members {
		m.deliver(d)
	}
	sel.release()
	if d.entry != nil && d.entry.mark == nil {
		ns.server.store.enforce()
	}
}

func (sel *selection) notifyOutgoing(message func() *Message) {
	for _, m := range sel.members {
		if s := m.sock.Load(); s.Connected() {
			s.notifyOutgoing(message)
		}
	}
}

// deliverWithAck is deliver of a packet that asks for an acknowledgement. It returns the sockets that were asked.
func (ns *Namespace) deliverWithAck(d *delivery, t *adapter.Target, id uint64, w ackWaiter, message func() *Message) []*Socket {
	sel := ns.choose(t)
	defer sel.release()
	if ns.outgoing.Load() {
		sel.notifyOutgoing(message)
	}
	asked := make([]*Socket, 0, len(sel.members))
	for _, m := range sel.members {
		s := m.sock.Load()
		if !s.Connected() || s.expectAck(id, w) != nil {
			continue
		}
		if m.deliver(d) {
			asked = append(asked, s)
		} else if s.takeAck(id) == nil {
			asked = append(asked, s) // it went away meanwhile, and w knows
		}
	}
	return asked
}

// forgetAcks takes back what expectAck noted, where nothing came.
func forgetAcks(asked []*Socket, id uint64) {
	for _, s := range asked {
		s.takeAck(id)
	}
}

// encodePacket encodes an event for other servers.
func encodePacket(name string, args []any) (*adapter.Packet, error) {
	text, attachments, err := packet.AppendEvent(nil, packet.Header{Type: packet.Event}, name, args)
	if err != nil {
		return nil, err
	}
	for i, a := range attachments {
		attachments[i] = bytes.Clone(a) // the packet may be on its way when the caller has its slices back
	}
	return &adapter.Packet{Data: arrayOf(text), Attachments: attachments}, nil
}

func newAck(p *adapter.Packet) *Ack { return event.NewAck(p.Data, p.Attachments) }

// deliveryOf makes a delivery of a packet that came from another server.
func (ns *Namespace) deliveryOf(p *adapter.Packet, t *adapter.Target, id *uint64) (*delivery, error) {
	if len(p.Data) < 3 || p.Data[0] != '[' || p.Data[len(p.Data)-1] != ']' {
		return nil, errors.New("socketio: packet of another server is not an event")
	}
	d := &delivery{volatile: t.Volatile}
	h := packet.Header{Type: packet.Event, Namespace: ns.name}
	data := p.Data
	if id != nil {
		h.ID, h.HasID = *id, true
	} else if c := ns.cluster.Load(); c != nil {
		return c.delivery(p, t, c.done.Load(), false)
	} else if ns.server.store != nil {
		d.entry = &logged{id: ns.offset.Add(1), at: time.Now()}
		data = append(jsontext.Value(nil), data[:len(data)-1]...)
		data = append(append(append(data, `,"`...), formatOffset(d.entry.id)...), `"]`...)
	}
	err := d.encode(ns.server, len(data)+len(ns.name)+16, func(dst []byte) ([]byte, [][]byte, error) {
		return packet.AppendRaw(dst, h, data, len(p.Attachments)), p.Attachments, nil
	})
	d.finish(emitOptions{volatile: t.Volatile, noCompress: t.NoCompress})
	return d, err
}
