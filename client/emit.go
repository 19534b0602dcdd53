package client

import (
	"context"
	"time"

	"github.com/sockeye-io/sockeye/client/engine"
	"github.com/sockeye-io/sockeye/event"
	"github.com/sockeye-io/sockeye/socketio/packet"
)

// Emit sends an event, or keeps it until there is a connection. It never waits. The error is that of an argument that
// can't be encoded, [ErrReservedEvent], [ErrBufferFull], [ErrDisconnected] with the policy [NoBuffer],
// an *engine.TooLargeError, or [ErrClosed].
func (s *Socket) Emit(name string, args ...any) error { return Emitter{s: s}.Emit(name, args...) }

// EmitWithAck sends an event and waits for the server's acknowledgement, until ctx is done or, if it has no deadline, for
// Options.AckTimeout; without a connection, also for one. An event that has not been sent by then is not sent any more.
// The error is one of Emit, [ErrTooManyAcks], an [*AckTimeoutError], ctx's, [ErrDisconnected] as soon as the connection
// is lost, or, with Options.Retries, a [*NotAcknowledgedError]. The server may also have answered with an error, see
// [event.Ack].
func (s *Socket) EmitWithAck(ctx context.Context, name string, args ...any) (*Ack, error) {
	return Emitter{s: s}.EmitWithAck(ctx, name, args...)
}

// EmitForAck is EmitWithAck without the waiting, which is done by [Pending.Wait], or by nobody: then the acknowledgement
// is expected until it comes or the connection is lost. It is for many events under way at a time: what one goroutine
// emits is sent in that order.
func (s *Socket) EmitForAck(name string, args ...any) (*Pending, error) {
	return Emitter{s: s}.EmitForAck(name, args...)
}

// Send is Emit of the event "message".
func (s *Socket) Send(args ...any) error { return Emitter{s: s}.Send(args...) }

// Volatile returns an emitter whose events are lost if they can't leave at this moment.
func (s *Socket) Volatile() Emitter { return Emitter{s: s}.Volatile() }

// Timeout returns an emitter that waits for acknowledgements no longer than d.
func (s *Socket) Timeout(d time.Duration) Emitter { return Emitter{s: s}.Timeout(d) }

// An Emitter emits to a socket in a certain way. It is a value: its methods return modified copies.
type Emitter struct {
	s *Socket
	o emitOptions
}

// emitOptions are the modifiers of one emission.
type emitOptions struct {
	volatile bool
	timeout  time.Duration
}

// Volatile lets events be lost if they can't leave at this moment.
func (e Emitter) Volatile() Emitter { e.o.volatile = true; return e }

// Timeout bounds the waiting for acknowledgements, with Options.Retries for that of each try.
func (e Emitter) Timeout(d time.Duration) Emitter { e.o.timeout = d; return e }

// Emit is [Socket.Emit].
func (e Emitter) Emit(name string, args ...any) error {
	return e.s.emit(&outgoing{name: name}, e.o, args)
}

// EmitWithAck is [Socket.EmitWithAck]. A volatile event that is lost fails at once with [ErrDisconnected].
func (e Emitter) EmitWithAck(ctx context.Context, name string, args ...any) (*Ack, error) {
	return e.s.emitWithAck(ctx, e.o, name, args)
}

// EmitForAck is [Socket.EmitForAck].
func (e Emitter) EmitForAck(name string, args ...any) (*Pending, error) {
	p := &Pending{began: time.Now()}
	if err := e.s.emitForAck(p, e.o, name, args); err != nil {
		return nil, err
	}
	return p, nil
}

// Send is [Socket.Send].
func (e Emitter) Send(args ...any) error { return e.Emit("message", args...) }

// An outgoing is an event on its way.
type outgoing struct {
	name string
	ms   []engine.Message
	size int
	id   uint64
	w    *ackWaiter // who waits for the acknowledgement, nil if nobody does

	// What follows is for Options.Retries.
	text        []byte // ms come of it when the id is known
	attachments [][]byte
	timeout     time.Duration
	tries       int
}

// outgoingOverhead is what an event that waits takes besides its data, about.
const outgoingOverhead = 150

// emit encodes an event and sends it, or keeps it.
func (s *Socket) emit(o *outgoing, opts emitOptions, args []any) error {
	c := s.client
	h := packet.Header{Namespace: s.namespace}
	repeated := c.opts.Retries > 0 && !opts.volatile
	if o.w != nil && !repeated {
		o.id = s.ids.Add(1) - 1
		if c.opts.Retries > 0 {
			o.id += unrepeated
		}
		h.ID, h.HasID = o.id, true
	}
	text, attachments, err := packet.AppendEvent(nil, h, o.name, args)
	if err != nil {
		return err
	}
	s.notifyOutgoing(o.name, args)
	o.size = len(text) + outgoingOverhead
	for _, a := range attachments {
		o.size += len(a)
	}
	if repeated {
		o.text, o.attachments, o.timeout = text, attachments, opts.timeout
	} else if o.ms, err = c.frames(text, attachments); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return ErrClosed
	case repeated:
		return s.retries.push(s, o)
	case o.w != nil:
		if err := s.expectAck(o); err != nil {
			return err
		}
	}
	err = s.dispatch(o, opts.volatile)
	if err != nil {
		s.forgetAck(o)
	}
	return err
}

// dispatch sends an event or keeps it. c.mu is held.
func (s *Socket) dispatch(o *outgoing, volatile bool) error {
	if volatile {
		if !s.joined() || len(s.buffer.list) > 0 || !s.sess.link.conn.SendVolatile(o.ms...) {
			if o.w != nil {
				return ErrDisconnected
			}
			return nil
		}
		s.sent(o)
		return nil
	}
	// A connection that is overdue is about to end: what it is given now would be lost.
	if s.joined() && len(s.buffer.list) == 0 && !s.sess.link.conn.Expired() {
		err := s.sess.link.conn.Send(o.ms...)
		if err == nil {
			s.sent(o)
			return nil
		}
		if err != engine.ErrClosed { // else the next connection takes it
			return sendError(err)
		}
	}
	return s.buffer.push(s, o)
}

// sent notes that an event is on its way. c.mu is held.
func (s *Socket) sent(o *outgoing) {
	s.sends++
	s.sentOn = s.sess.link
	if o.w != nil {
		o.w.sent = true
	}
}

// sendError says what an error of the connection means to who emits.
func sendError(err error) error {
	switch err {
	case engine.ErrClosed:
		return ErrDisconnected
	case engine.ErrOutboxFull:
		return ErrBufferFull
	}
	return err
}

// frames returns a packet as it is sent.
func (c *Client) frames(text []byte, attachments [][]byte) ([]engine.Message, error) {
	if c.opts.Format == packet.Msgpack {
		frame, err := packet.AppendMsgpack(nil, text, attachments)
		return []engine.Message{{Binary: true, Data: frame}}, err
	}
	ms := make([]engine.Message, 1, 1+len(attachments))
	ms[0] = engine.Message{Data: text}
	for _, a := range attachments {
		ms = append(ms, engine.Message{Binary: true, Data: a})
	}
	return ms, nil
}

// notifyOutgoing calls the listeners of OnAnyOutgoing.
func (s *Socket) notifyOutgoing(name string, args []any) {
	listeners := s.anyOutgoing.Snapshot()
	if len(listeners) == 0 {
		return
	}
	text, attachments, _ := packet.AppendEvent(nil, packet.Header{}, name, args) // could be encoded before
	m := event.NewMessage(name, text[1:], attachments, nil)
	for _, f := range listeners {
		if err := recovered(func() error { (*f)(m); return nil }); err != nil {
			s.tell(err)
		}
	}
}
