package socketio

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/event"
	"github.com/sockeye-io/sockeye/socketio/packet"
)

// A RemoteSocket is a socket of this or another server, as [Broadcast.Sockets] returns it. What it tells of a socket of
// another server was so when that server answered.
type RemoteSocket struct {
	ns    *Namespace
	id    string
	local *Socket         // if it is on this server
	info  *adapter.Socket // else
}

// ID returns the socket's id.
func (r *RemoteSocket) ID() string { return r.id }

// Socket returns the socket itself if it is on this server, else nil.
func (r *RemoteSocket) Socket() *Socket { return r.local }

// Rooms returns the rooms, the id among them.
func (r *RemoteSocket) Rooms() []string {
	if r.local != nil {
		return r.local.Rooms()
	}
	return r.info.Rooms
}

// Data decodes what was given to [Socket.SetData] into dst, a pointer, by way of JSON.
func (r *RemoteSocket) Data(dst any) error {
	data := r.describe().Data
	if len(data) == 0 {
		return nil
	}
	return packet.Unmarshal(data, nil, dst)
}

// Handshake describes the request that the connection began with.
func (r *RemoteSocket) Handshake() adapter.Handshake { return r.describe().Handshake }

func (r *RemoteSocket) describe() *adapter.Socket {
	if r.info != nil {
		return r.info
	}
	d := describe(r.local)
	return &d
}

func (r *RemoteSocket) only() Broadcast { return Broadcast{ns: r.ns}.To(r.id) }

// Emit sends an event to the socket.
func (r *RemoteSocket) Emit(event string, args ...any) error {
	if r.local != nil {
		return r.local.Emit(event, args...)
	}
	return r.only().Emit(event, args...)
}

// EmitWithAck is [Socket.EmitWithAck].
func (r *RemoteSocket) EmitWithAck(ctx context.Context, event string, args ...any) (*Ack, error) {
	if r.local != nil {
		return r.local.EmitWithAck(ctx, event, args...)
	}
	acks, err := r.only().EmitWithAck(ctx, event, args...)
	if err != nil {
		return nil, err
	}
	if len(acks) == 0 {
		return nil, ErrDisconnected
	}
	return acks[0], nil
}

// Join puts the socket into rooms.
func (r *RemoteSocket) Join(rooms ...string) error { return r.only().Join(rooms...) }

// Leave takes the socket out of rooms.
func (r *RemoteSocket) Leave(rooms ...string) error { return r.only().Leave(rooms...) }

// Disconnect disconnects the socket, see [Socket.Disconnect].
func (r *RemoteSocket) Disconnect(closeConn bool) error { return r.only().Disconnect(closeConn) }

// describe tells of a socket what other servers may know. Data that is no JSON is left out.
func describe(s *Socket) adapter.Socket {
	h := s.Handshake()
	d := adapter.Socket{
		ID:    s.ID(),
		Rooms: s.Rooms(),
		Handshake: adapter.Handshake{
			Headers: flatten(h.Header(), strings.ToLower),
			Time:    h.Time().Format(http.TimeFormat),
			Address: h.RemoteAddr(),
			XDomain: h.CrossDomain(),
			Secure:  h.Secure(),
			Issued:  h.Time().UnixMilli(),
			URL:     h.URL(),
			Query:   flatten(h.Query(), func(name string) string { return name }),
			Auth:    s.auth,
		},
	}
	if v := s.Data(); v != nil {
		if text, err := packet.AppendValue(nil, packet.Header{Type: packet.Connect}, v); err == nil {
			d.Data = jsontext.Value(text[1:])
		}
	}
	return d
}

// flatten joins repeated values as Node does.
func flatten(values map[string][]string, name func(string) string) map[string]string {
	flat := make(map[string]string, len(values))
	for k, v := range values {
		flat[name(k)] = strings.Join(v, ", ")
	}
	return flat
}

// host is a Namespace as its adapter sees it.
type host struct{ ns *Namespace }

func (h host) Namespace() string { return h.ns.name }

func (h host) Broadcast(p *adapter.Packet, t adapter.Target) {
	d, err := h.ns.deliveryOf(p, &t, nil)
	if err != nil {
		h.ns.server.log.Warn("socketio: message of another server", "namespace", h.ns.name, "error", err)
		return
	}
	h.ns.deliver(d, &t, func() *Message { return messageOf(p, nil) })
}

func (h host) BroadcastWithAck(p *adapter.Packet, t adapter.Target, answer func(*adapter.Packet)) (int, func()) {
	id := h.ns.ackID.Add(1) - 1
	d, err := h.ns.deliveryOf(p, &t, &id)
	if err != nil {
		h.ns.server.log.Warn("socketio: message of another server", "namespace", h.ns.name, "error", err)
		return 0, func() {}
	}
	w := &forwardedAcks{answer: answer}
	asked := h.ns.deliverWithAck(d, &t, id, w, func() *Message { return messageOf(p, nil) })
	return len(asked), func() {
		forgetAcks(asked, id)
		w.mu.Lock()
		w.answer = nil
		w.mu.Unlock()
	}
}

// forwardedAcks passes acknowledgements on to another server.
type forwardedAcks struct {
	mu     sync.RWMutex
	answer func(*adapter.Packet) // nil when cancelled
}

func (w *forwardedAcks) resolve(a *event.Ack, err error) {
	var p *adapter.Packet
	if err == nil {
		p = packetOf(a)
	}
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.answer != nil {
		w.answer(p)
	}
}

func (h host) Sockets(t adapter.Target) []adapter.Socket {
	sel := h.ns.choose(&t)
	defer sel.release()
	sockets := make([]adapter.Socket, 0, len(sel.members))
	for _, m := range sel.members {
		if s := m.sock.Load(); s.Connected() {
			sockets = append(sockets, describe(s))
		}
	}
	return sockets
}

func (h host) Join(t adapter.Target, rooms []string) {
	sel := h.ns.choose(&t)
	defer sel.release()
	for _, m := range sel.members {
		m.join(rooms)
	}
}

func (h host) Leave(t adapter.Target, rooms []string) {
	sel := h.ns.choose(&t)
	defer sel.release()
	for _, m := range sel.members {
		m.leave(rooms)
	}
}

func (h host) Disconnect(t adapter.Target, closeConn bool) {
	sel := h.ns.choose(&t)
	defer sel.release()
	for _, m := range sel.members {
		if m.log == nil || m.log.shared == nil && !m.endIfAway() || m.log.shared != nil && !m.endResuming() {
			m.sock.Load().Disconnect(closeConn)
		}
	}
}

func (h host) ServerSideEmit(p *adapter.Packet, answer func(*adapter.Packet)) {
	var ack func(args ...any) error
	if answer != nil {
		ack = func(args ...any) error {
			p, err := encodeArgs(args)
			if err == nil {
				answer(p)
			}
			return err
		}
	}
	m := messageOf(p, ack)
	if c := h.ns.cluster.Load(); c != nil && m.Event() == releaseEvent {
		c.answerRelease(m)
		return
	}
	handlers := h.ns.fromPeers.handlers(m.Event())
	if len(handlers) == 0 {
		return
	}
	h.ns.peerEvents.push(&h.ns.server.work, func() {
		for _, handler := range handlers {
			err := protect(func() error { return handler(context.Background(), m) })
			if err != nil {
				_ = m.Fail(err) // the log has the error
				h.ns.server.log.Warn("socketio: error in server-side listener", "namespace", h.ns.name, "event", m.Event(), "error", err)
				h.ns.server.failed(nil, "server-side listener", err)
			}
		}
	})
}

func (h host) HasRoom(room string) bool { return h.ns.byID(room) != nil || h.ns.index.live(room) > 0 }

func (h host) Rooms() []string { return h.ns.index.names() }

// packetOf is the reverse of newAck.
func packetOf(a *event.Ack) *adapter.Packet {
	data := jsontext.Value("[")
	for i := range a.Len() {
		if i > 0 {
			data = append(data, ',')
		}
		data = append(data, a.Raw(i)...)
	}
	return &adapter.Packet{Data: append(data, ']'), Attachments: a.Attachments()}
}

// encodeArgs encodes the arguments of an acknowledgement for another server.
func encodeArgs(args []any) (*adapter.Packet, error) {
	text, attachments, err := packet.AppendAck(nil, packet.Header{}, args)
	if err != nil {
		return nil, err
	}
	for i, a := range attachments {
		attachments[i] = bytes.Clone(a)
	}
	return &adapter.Packet{Data: arrayOf(text), Attachments: attachments}, nil
}

// arrayOf returns the JSON of a packet of the default namespace.
func arrayOf(text []byte) jsontext.Value { return text[bytes.IndexByte(text, '['):] }

// serverSideTimeout is how long answers of other servers are waited for, as in Node.
const serverSideTimeout = 5 * time.Second

// messageOf reads an event of another server.
func messageOf(p *adapter.Packet, ack func(args ...any) error) *Message {
	var name string
	if args, err := packet.SplitArgs(p.Data, nil); err == nil && len(args) > 0 {
		_ = packet.Unmarshal(args[0], nil, &name) // a name that is no string is no event's
	}
	return event.NewMessage(name, p.Data, p.Attachments, ack)
}

// Servers returns how many servers the namespace has in the cluster, this one included.
func (ns *Namespace) Servers(ctx context.Context) (int, error) {
	if a := ns.all().remote(); a != nil {
		return a.Servers(ctx)
	}
	return 1, nil
}

// reservedServerSide are the events that a namespace has of its own in Node.
var reservedServerSide = map[string]bool{"connect": true, "connection": true, "new_namespace": true}

// OnServerSide adds a listener for events that other servers of the cluster send with ServerSideEmit. Its listeners run
// one at a time.
func (ns *Namespace) OnServerSide(event string, h Handler) Subscription {
	return ns.fromPeers.on(event, h)
}

// ServerSideEmit sends an event to the other servers of the cluster, not to clients. A server that stands alone has
// nobody to send it to, which is no error.
func (ns *Namespace) ServerSideEmit(event string, args ...any) error {
	p, a, err := ns.serverSide(event, args)
	if err != nil || a == nil {
		return err
	}
	return a.ServerSideEmit(p)
}

// ServerSideEmitWithAck sends an event to the other servers and returns what each answered, until ctx is done or, if
// it has no deadline, for 5 seconds. If some are missing, it returns those that came and an error.
func (ns *Namespace) ServerSideEmitWithAck(ctx context.Context, event string, args ...any) ([]*Ack, error) {
	p, a, err := ns.serverSide(event, args)
	if err != nil || a == nil {
		return nil, err
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, serverSideTimeout)
		defer cancel()
	}
	answers, err := a.ServerSideEmitWithAck(ctx, p)
	acks := make([]*Ack, 0, len(answers))
	for _, p := range answers {
		acks = append(acks, newAck(p))
	}
	return acks, err
}

func (ns *Namespace) serverSide(name string, args []any) (*adapter.Packet, adapter.Adapter, error) {
	if reservedServerSide[name] {
		return nil, nil, ErrReservedEvent
	}
	p, err := encodePacket(name, args)
	if err != nil {
		return nil, nil, err
	}
	return p, Broadcast{ns: ns}.remote(), nil
}
