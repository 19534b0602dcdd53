// Package emitter emits into a cluster from programs that are no server of it: a cron job, a worker of a queue, another
// service. The brokers of the adapters have a method that returns an [Emitter]:
//
//	e := broker.Emitter("/")
//	err := e.To("room 17").Emit("news", map[string]any{"title": "…"})
//
// Nothing comes back: there are no acknowledgements, and nobody says how many clients there were.
package emitter

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/socketio/packet"
)

// A Sender carries operations to the servers of one namespace. Every [adapter.Adapter] is one. Its methods put the
// operation in a queue, or say why it can't be carried.
type Sender interface {
	Broadcast(p *adapter.Packet, t adapter.Target) error
	Join(t adapter.Target, rooms []string) error
	Leave(t adapter.Target, rooms []string) error
	Disconnect(t adapter.Target, closeConn bool) error
	ServerSideEmit(p *adapter.Packet) error
}

// An Emitter emits to sockets of all servers of a namespace. It is a value: its methods return modified copies, so it
// can be kept, shared and used by several goroutines. With no room named it means all sockets. Operations of one
// goroutine take effect in their order.
type Emitter struct {
	sender Sender
	target adapter.Target
}

// New returns an emitter to all sockets.
func New(s Sender) Emitter { return Emitter{sender: s} }

// To adds rooms to those that are meant. The id of a socket is a room that it alone is in.
func (e Emitter) To(rooms ...string) Emitter {
	e.target.Rooms = slices.Concat(e.target.Rooms, rooms)
	return e
}

// In is To, for reading well: e.In("room").Disconnect(true).
func (e Emitter) In(rooms ...string) Emitter { return e.To(rooms...) }

// Except leaves out who is in one of the rooms.
func (e Emitter) Except(rooms ...string) Emitter {
	e.target.Except = slices.Concat(e.target.Except, rooms)
	return e
}

// Volatile lets the event be lost for clients that can't take it at this moment.
func (e Emitter) Volatile() Emitter { e.target.Volatile = true; return e }

// Compress says whether the event may be compressed, which is the default.
func (e Emitter) Compress(compress bool) Emitter { e.target.NoCompress = !compress; return e }

// Emit sends an event. Arguments are encoded like those of a server. The error says that they can't be, or that the
// event can't be carried.
func (e Emitter) Emit(event string, args ...any) error {
	p, err := encode(event, args)
	if err != nil {
		return err
	}
	return e.sender.Broadcast(p, e.target)
}

// Join puts the sockets into rooms.
func (e Emitter) Join(rooms ...string) error {
	if len(rooms) == 0 {
		return nil
	}
	return e.sender.Join(e.target, slices.Clone(rooms))
}

// Leave takes the sockets out of rooms.
func (e Emitter) Leave(rooms ...string) error {
	if len(rooms) == 0 {
		return nil
	}
	return e.sender.Leave(e.target, slices.Clone(rooms))
}

// Disconnect disconnects the sockets from the namespace. With closeConn it closes their connections, and so takes them
// from all other namespaces as well.
func (e Emitter) Disconnect(closeConn bool) error { return e.sender.Disconnect(e.target, closeConn) }

// ServerSideEmit sends an event to the servers themselves. Rooms have no meaning here.
func (e Emitter) ServerSideEmit(event string, args ...any) error {
	p, err := encode(event, args)
	if err != nil {
		return err
	}
	return e.sender.ServerSideEmit(p)
}

func encode(event string, args []any) (*adapter.Packet, error) {
	text, attachments, err := packet.AppendEvent(nil, packet.Header{}, event, args)
	if err != nil {
		return nil, fmt.Errorf("emitter: %w", err)
	}
	for i, a := range attachments {
		attachments[i] = bytes.Clone(a) // the packet may be on its way when the caller has its slices back
	}
	// Before the array is the type of the packet and the number of attachments.
	return &adapter.Packet{Data: jsontext.Value(text[bytes.IndexByte(text, '['):]), Attachments: attachments}, nil
}
