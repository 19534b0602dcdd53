package socketio

import (
	"context"
	"errors"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/sockeye-io/sockeye/engineio"
	"github.com/sockeye-io/sockeye/event"
	"github.com/sockeye-io/sockeye/socketio/packet"
)

// A delivery is a packet on its way to one or many sockets: encoded once, shared by all.
type delivery struct {
	ms       []*engineio.Message
	one      [1]*engineio.Message // what ms usually is
	volatile bool
	entry    *logged // what sessions that can be recovered keep of it; nil if it is not to be recovered
}

// encode fills in the messages. Build appends the text and returns the attachments. size is a hint.
func (d *delivery) encode(srv *Server, size int, build func(dst []byte) ([]byte, [][]byte, error)) error {
	d.ms = d.one[:]
	if srv.opts.Format != packet.JSON {
		text, attachments, err := build(nil)
		if err != nil {
			return err
		}
		frame, err := packet.AppendMsgpack(nil, text, attachments)
		d.one[0] = engineio.NewMessage(true, frame)
		return err
	}
	var attachments [][]byte
	var err error
	d.one[0] = engineio.NewTextMessage(size, func(dst []byte) []byte {
		var text []byte
		text, attachments, err = build(dst)
		return text
	})
	if err != nil {
		return err
	}
	for _, a := range attachments {
		d.ms = append(d.ms, engineio.NewMessage(true, a))
	}
	return nil
}

// sizeOf guesses how long the packet with the arguments becomes.
func sizeOf(args []any) int {
	n := 32
	for _, a := range args {
		switch a := a.(type) {
		case string:
			n += len(a) + 4
		case jsontext.Value:
			n += len(a) + 1
		default:
			n += 48
		}
	}
	return n
}

// encodeValue encodes a packet that has one value, or none, and no attachments.
func (srv *Server) encodeValue(h packet.Header, v any) (*engineio.Message, error) {
	var d delivery
	err := d.encode(srv, 64, func(dst []byte) ([]byte, [][]byte, error) {
		dst, err := packet.AppendValue(dst, h, v)
		return dst, nil, err
	})
	return d.one[0], err
}

// connectReply is the packet that tells a client that it has joined.
func (srv *Server) connectReply(namespace, sid, pid string) *engineio.Message {
	var d delivery
	_ = d.encode(srv, 80, func(dst []byte) ([]byte, [][]byte, error) { // never fails
		dst = packet.AppendHeader(dst, packet.Header{Type: packet.Connect, Namespace: namespace}, 0)
		dst = append(append(dst, `{"sid":"`...), sid...)
		if pid != "" {
			dst = append(append(dst, `","pid":"`...), pid...)
		}
		return append(dst, `"}`...), nil, nil
	})
	return d.one[0]
}

// emitOptions are the modifiers of one emission.
type emitOptions struct {
	volatile   bool
	noCompress bool
	timeout    time.Duration
}

// newDelivery encodes an event. With connection state recovery an event that asks for no acknowledgement gets its
// offset as one more argument, which clients send back when they reconnect.
func (ns *Namespace) newDelivery(o emitOptions, id *uint64, name string, args []any) (*delivery, error) {
	d := &delivery{volatile: o.volatile}
	h := packet.Header{Type: packet.Event, Namespace: ns.name}
	if id != nil {
		h.ID, h.HasID = *id, true
	} else if c := ns.cluster.Load(); c != nil {
		return c.passing(o, name, args)
	} else if ns.server.store != nil {
		d.entry = &logged{id: ns.offset.Add(1), at: time.Now()}
		args = append(args[:len(args):len(args)], formatOffset(d.entry.id))
	}
	err := d.encode(ns.server, len(name)+sizeOf(args), func(dst []byte) ([]byte, [][]byte, error) {
		return packet.AppendEvent(dst, h, name, args)
	})
	if err != nil {
		return nil, err
	}
	d.finish(o)
	return d, nil
}

// finish is called when the messages are there.
func (d *delivery) finish(o emitOptions) {
	if o.noCompress {
		for _, m := range d.ms {
			m.DisableCompression()
		}
	}
	if d.entry != nil && !d.volatile {
		d.entry.ms = d.ms
		for _, m := range d.ms {
			d.entry.size += m.Len() + messageOverhead
		}
	}
}

// messageOverhead is what a message takes besides its content, about.
const messageOverhead = 128

var errDropped = errors.New("socketio: volatile packet was dropped")

// write queues the packet for a connection.
func (d *delivery) write(c *connection) error {
	if d.volatile {
		if !c.session.SendVolatile(d.ms...) {
			return errDropped
		}
		return nil
	}
	return sendError(c.session.Send(d.ms...))
}

// sendError says what an error of the session means to who emits.
func sendError(err error) error {
	if err == engineio.ErrClosed {
		return ErrDisconnected
	}
	return err
}

// deliver is the part of a broadcast that concerns one member. It reports whether the member is, or will be, reached.
func (m *member) deliver(d *delivery) bool {
	if m.log == nil {
		s := m.sock.Load()
		return s.settled() && d.write(s.conn) == nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.log.shared != nil {
		return m.deliverShared(d)
	}
	s := m.sock.Load()
	if m.gone || (!m.away && !s.Connected()) {
		return false
	}
	return m.record(d, s) == nil
}

// send delivers what a socket emits to its own client, which may happen in a middleware, before it is connected.
func (m *member) send(d *delivery, from *Socket) error {
	if m.log == nil {
		if from.state.Load() == stateClosed {
			return ErrDisconnected
		}
		return d.write(from.conn)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.log.shared != nil {
		return m.sendShared(d, from)
	}
	if m.gone {
		return ErrDisconnected
	}
	return m.record(d, m.sock.Load())
}

// record sends a packet and keeps it for the case that the client does not receive it. m.mu is held, so that packets
// are sent and kept in the same order.
func (m *member) record(d *delivery, s *Socket) error {
	switch {
	case d.entry == nil:
		if m.away {
			return ErrDisconnected
		}
		return d.write(s.conn)
	case d.volatile:
		if m.away {
			return errDropped
		}
		if err := d.write(s.conn); err != nil {
			return err
		}
		m.log.push(d.entry, false, m.ns.server.store) // only its offset, in case that it is the last the client receives
		return nil
	default:
		m.log.push(d.entry, m.away, m.ns.server.store)
		if m.away {
			return nil
		}
		if err := d.write(s.conn); err != nil && err != ErrDisconnected {
			return err
		}
		return nil // if the connection is gone, the packet is sent when the client comes back
	}
}

// emit sends an event to the socket's own client.
func (s *Socket) emit(o emitOptions, name string, args []any) error {
	if c := s.ns.cluster.Load(); c != nil && !o.volatile {
		if appended, err := c.emit(s, o, name, args); appended {
			return err
		}
	}
	d, err := s.ns.newDelivery(o, nil, name, args)
	if err != nil {
		return err
	}
	s.notifyOutgoing(func() *Message { return outgoingMessage(name, args) })
	err = s.m.send(d, s)
	if d.entry != nil && d.entry.mark == nil {
		s.ns.server.store.enforce()
	}
	if err == errDropped {
		return nil
	}
	return err
}

// notifyOutgoing calls the listeners of OnAnyOutgoing.
func (s *Socket) notifyOutgoing(message func() *Message) {
	if !s.ns.outgoing.Load() {
		return
	}
	x := s.more.Load()
	if x == nil {
		return
	}
	for _, f := range x.anyOutgoing.Snapshot() {
		if err := protect(func() error { (*f)(message()); return nil }); err != nil {
			s.report(err)
		}
	}
}

// outgoingMessage is an emitted event as listeners see it. The arguments could be encoded before.
func outgoingMessage(name string, args []any) *Message {
	text, attachments, _ := packet.AppendEvent(nil, packet.Header{Type: packet.Event}, name, args)
	return event.NewMessage(name, arrayOf(text), attachments, nil)
}

// Emit sends an event to the client.
func (s *Socket) Emit(event string, args ...any) error { return s.emit(emitOptions{}, event, args) }

// Send is Emit of the event "message".
func (s *Socket) Send(args ...any) error { return s.emit(emitOptions{}, "message", args) }

// EmitWithAck sends an event and waits for the client's acknowledgement, until ctx is done or, if it has no deadline,
// for Options.AckTimeout. The error is an [*AckTimeoutError], ctx's, or [ErrDisconnected], which comes at once when the
// client goes away. The client may also have answered with an error, see [event.Ack].
func (s *Socket) EmitWithAck(ctx context.Context, event string, args ...any) (*Ack, error) {
	return s.emitWithAck(ctx, emitOptions{}, event, args)
}

// Volatile returns an emitter whose events are lost if the client can't take them at this moment.
func (s *Socket) Volatile() Emitter { return Emitter{s: s}.Volatile() }

// Compress returns an emitter whose events may be compressed, the default, or not.
func (s *Socket) Compress(compress bool) Emitter { return Emitter{s: s}.Compress(compress) }

// Timeout returns an emitter that waits for acknowledgements no longer than d.
func (s *Socket) Timeout(d time.Duration) Emitter { return Emitter{s: s}.Timeout(d) }

// An Emitter emits to one socket in a certain way. It is a value: its methods return modified copies.
type Emitter struct {
	s *Socket
	o emitOptions
}

// Volatile lets events be lost if the client can't take them at this moment.
func (e Emitter) Volatile() Emitter { e.o.volatile = true; return e }

// Compress says whether the events may be compressed.
func (e Emitter) Compress(compress bool) Emitter { e.o.noCompress = !compress; return e }

// Timeout bounds the waiting for acknowledgements.
func (e Emitter) Timeout(d time.Duration) Emitter { e.o.timeout = d; return e }

// Emit is [Socket.Emit].
func (e Emitter) Emit(event string, args ...any) error { return e.s.emit(e.o, event, args) }

// Send is [Socket.Send].
func (e Emitter) Send(args ...any) error { return e.s.emit(e.o, "message", args) }

// EmitWithAck is [Socket.EmitWithAck]. A volatile event that is dropped fails at once.
func (e Emitter) EmitWithAck(ctx context.Context, event string, args ...any) (*Ack, error) {
	return e.s.emitWithAck(ctx, e.o, event, args)
}
