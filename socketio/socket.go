package socketio

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/sockeye-io/sockeye/engineio"
	"github.com/sockeye-io/sockeye/event"
	"github.com/sockeye-io/sockeye/internal/hooks"
	"github.com/sockeye-io/sockeye/socketio/packet"
)

// A Socket is a client in a namespace. All methods are safe for concurrent use.
//
// It does not survive its connection: a client that reconnects is a new Socket, also one that recovers its session.
type Socket struct {
	ns        *Namespace
	conn      *connection
	m         *member // never nil; shared with the sockets before and after it when recovering
	auth      jsontext.Value
	recovered bool
	state     atomic.Uint32
	dropped   atomic.Bool // events that are still queued are not handled
	ended     atomic.Bool // the context is cancelled
	more      atomic.Pointer[socketMore]

	mu        sync.Mutex
	listeners listeners
	acks      map[uint64]ackWaiter
	data      any

	queue queue
}

// The states of a socket.
const (
	stateConnecting uint32 = iota
	// stateAdmitting is while the client is told that it has joined. Whoever emits to it then does so after that: the
	// client may know already.
	stateAdmitting
	stateConnected
	stateClosed
)

// socketMore is what few sockets need, kept apart so that the others don't pay for it.
type socketMore struct {
	any           hooks.List[Handler]
	anyOutgoing   hooks.List[func(*Message)]
	use           hooks.List[Handler]
	disconnecting hooks.List[func(Reason)]
	disconnect    hooks.List[func(Reason, error)]
	failed        hooks.List[func(error)]
	guard         atomic.Pointer[guard]

	mu        sync.Mutex
	lastRooms []string // from the end of the connection until the disconnect listeners ran
	done      chan struct{}
	after     []*func() // of the context
}

// moreOf returns socketMore, which it makes if there is none.
func (s *Socket) moreOf() *socketMore {
	if x := s.more.Load(); x != nil {
		return x
	}
	s.more.CompareAndSwap(nil, new(socketMore))
	return s.more.Load()
}

// absent is the socket of a session whose client is away.
var absent = func() *Socket {
	s := new(Socket)
	s.state.Store(stateClosed)
	return s
}()

// newID returns 20 characters with 120 random bits.
func newID() string {
	var b [15]byte
	rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

func newSocket(ns *Namespace, c *connection, auth jsontext.Value) *Socket {
	if ns.server.store != nil {
		m := &member{ns: ns, id: newID(), log: &eventLog{pid: newID(), start: ns.offset.Load()}}
		s := &Socket{ns: ns, conn: c, auth: auth, m: m}
		if l := ns.cluster.Load(); l != nil {
			m.log.shared = newShared(l)
		}
		m.sock.Store(s)
		return s
	}
	both := &struct {
		Socket
		member
	}{}
	s := &both.Socket
	s.ns, s.conn, s.auth, s.m = ns, c, auth, &both.member
	s.m.ns, s.m.id = ns, newID()
	s.m.sock.Store(s)
	return s
}

// ID returns the socket's id: 20 characters that nobody can guess. It is not the id of the connection.
func (s *Socket) ID() string { return s.m.id }

// Namespace returns the namespace that the socket is in.
func (s *Socket) Namespace() *Namespace { return s.ns }

// Handshake returns what is known of the request that opened the connection.
func (s *Socket) Handshake() *engineio.Handshake { return s.conn.session.Handshake() }

// Auth decodes what the client sent for authentication when it joined into dst, a pointer. If it sent nothing, dst
// stays as it is. Its errors are [event.ErrArgument]; a middleware that returns one refuses with "unexpected auth
// payload".
func (s *Socket) Auth(dst any) error {
	if len(s.auth) == 0 {
		return nil
	}
	if err := packet.Unmarshal(s.auth, nil, dst); err != nil {
		return fmt.Errorf("%w: auth payload: %w", event.ErrArgument, err)
	}
	return nil
}

// Transport returns the transport that the connection uses at present, such as "websocket".
func (s *Socket) Transport() string { return s.conn.session.Transport() }

// EngineID returns the id of the connection, which the sockets of a client in other namespaces share.
func (s *Socket) EngineID() string { return s.conn.session.ID() }

// OnUpgrade calls f after the connection moved to a better transport. One function for a connection; nil removes it.
func (s *Socket) OnUpgrade(f func(transport string)) { s.conn.session.OnUpgrade(f) }

// Connected reports whether the socket is connected. In a middleware it is not yet.
func (s *Socket) Connected() bool {
	state := s.state.Load()
	return state == stateConnected || state == stateAdmitting
}

// settled is Connected that lets an admission finish first.
func (s *Socket) settled() bool {
	switch s.state.Load() {
	case stateConnecting, stateClosed:
		return false
	case stateAdmitting:
		s.conn.mu.Lock() // is held by who admits
		defer s.conn.mu.Unlock()
		return s.state.Load() == stateConnected
	}
	return true
}

// Recovered reports whether the client came back to its session: id, rooms and data are those of the socket before
// it, and what it missed has been sent.
func (s *Socket) Recovered() bool { return s.recovered }

// SetData attaches a value to the socket. With connection state recovery it survives a reconnection. Other servers of
// a cluster see it as JSON.
func (s *Socket) SetData(v any) {
	s.mu.Lock()
	s.data = v
	s.mu.Unlock()
	s.m.changed()
}

// Data returns the value given to SetData, or nil.
func (s *Socket) Data() any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.data
}

// Flush waits until everything that was emitted to the client has been handed to the network, or ctx is done. Who sends
// much in a row calls it now and then, so as not to fill the outbox (see [engineio.OutboxOptions]) faster than the
// client reads. It returns ErrDisconnected if the connection ends first.
func (s *Socket) Flush(ctx context.Context) error {
	return sendError(s.conn.session.Flush(ctx))
}

// DataOf returns the socket's data as a T, and false if it holds something else.
func DataOf[T any](s *Socket) (T, bool) {
	v, ok := s.Data().(T)
	return v, ok
}

// Join puts the socket into rooms. It takes effect at once. After the disconnect it does nothing.
func (s *Socket) Join(rooms ...string) {
	if s.state.Load() != stateClosed {
		s.m.join(rooms)
	}
}

// Leave takes the socket out of rooms. The one of its own id can't be left.
func (s *Socket) Leave(rooms ...string) {
	if s.state.Load() != stateClosed {
		s.m.leave(rooms)
	}
}

// Rooms returns the rooms that the socket is in, its id first. In a disconnecting listener they are those that it was
// in; after the disconnect there are none.
func (s *Socket) Rooms() []string {
	if s.state.Load() != stateClosed {
		return s.m.roomNames()
	}
	x := s.moreOf()
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.lastRooms
}

// On adds a listener for an event. Listeners of the same event run in the order in which they were added, after those of
// [Namespace.On].
func (s *Socket) On(name string, h Handler) Subscription { return s.on(name, h, false) }

// Once adds a listener that is removed when the event first comes.
func (s *Socket) Once(name string, h Handler) Subscription { return s.on(name, h, true) }

func (s *Socket) on(name string, h Handler, once bool) Subscription {
	s.mu.Lock()
	id := s.listeners.add(name, h, once)
	s.mu.Unlock()
	return event.NewSubscription(func() {
		s.mu.Lock()
		s.listeners.remove(id)
		s.mu.Unlock()
	})
}

// OnAny adds a listener for every event that comes in, also those that nobody else listens to. It runs before the
// middlewares of [Socket.Use].
func (s *Socket) OnAny(h Handler) Subscription { return s.moreOf().any.Add(h) }

// OnAnyOutgoing adds a listener for every event that is emitted to the socket, by a broadcast or directly. It runs in
// the goroutine that emits, before the event is sent, and must not block.
func (s *Socket) OnAnyOutgoing(f func(*Message)) Subscription {
	s.ns.outgoing.Store(true)
	return s.moreOf().anyOutgoing.Add(f)
}

// Use adds a middleware for incoming events: listeners are called only if it returns nil. An error goes where the
// error of a handler goes.
func (s *Socket) Use(h Handler) Subscription { return s.moreOf().use.Add(h) }

// OnDisconnecting calls f when the socket was disconnected, while [Socket.Rooms] still tells where it was.
func (s *Socket) OnDisconnecting(f func(Reason)) Subscription { return s.moreOf().disconnecting.Add(f) }

// OnDisconnect calls f when the socket was disconnected, after all its other handlers; it is the last. The error is
// what was wrong with the connection, or nil.
func (s *Socket) OnDisconnect(f func(Reason, error)) Subscription {
	return s.moreOf().disconnect.Add(f)
}

// OnError calls f with the errors of handlers and middlewares of this socket, with panics as [*PanicError], and with
// violations of the protocol. It may run in any goroutine.
func (s *Socket) OnError(f func(error)) Subscription { return s.moreOf().failed.Add(f) }

// report passes an error to the listeners of OnError, or to the log if there are none.
func (s *Socket) report(err error) {
	heard := s.tell(err)
	if _, ok := errors.AsType[*event.Error](err); heard || ok {
		return
	}
	level := slog.LevelWarn
	if errors.Is(err, event.ErrArgument) {
		level = slog.LevelDebug // a client can do that as often as it likes, and would fill the log
	}
	s.ns.server.log.Log(context.Background(), level, "socketio: error", "namespace", s.ns.name, "socket", s.ID(), "error", err)
}

// tell passes an error to the listeners of OnError and reports whether there are any.
func (s *Socket) tell(err error) (heard bool) {
	if x := s.more.Load(); x != nil {
		for _, f := range x.failed.Snapshot() {
			heard = true
			if err := protect(func() error { (*f)(err); return nil }); err != nil {
				s.ns.server.log.Error("socketio: panic", "in", "OnError", "socket", s.ID(), "panic", err)
			}
		}
	}
	s.ns.server.failed(s, "socket "+s.ID(), err)
	return heard
}

// receiveEvent queues an event for the handlers. It reports false if there was no room in time.
func (s *Socket) receiveEvent(p *packet.Packet) bool {
	size := len(p.Data) + taskOverhead
	for _, a := range p.Attachments {
		size += len(a)
	}
	var ack func(args ...any) error
	if p.HasID {
		if x := s.more.Load(); x != nil && p.ID < unrepeated {
			if g := x.guard.Load(); g != nil {
				return s.receiveGuarded(g, p, size)
			}
		}
		id := p.ID
		ack = func(args ...any) error { return s.sendAck(id, args) }
	}
	return s.pushEvent(task{msg: event.NewMessage(p.Event, p.Data, p.Attachments, ack), size: size})
}

func (s *Socket) sendAck(id uint64, args []any) error {
	if s.state.Load() == stateClosed {
		return ErrDisconnected
	}
	h := packet.Header{Namespace: s.ns.name, ID: id, HasID: true}
	if s.ns.server.opts.Format != packet.JSON {
		var d delivery
		err := d.encode(s.ns.server, sizeOf(args), func(dst []byte) ([]byte, [][]byte, error) { return packet.AppendAck(dst, h, args) })
		if err != nil {
			return err
		}
		return d.write(s.conn)
	}
	var attachments [][]byte
	var err error
	m := engineio.NewTextMessage(sizeOf(args), func(dst []byte) []byte {
		dst, attachments, err = packet.AppendAck(dst, h, args)
		return dst
	})
	if err != nil {
		return err
	}
	if len(attachments) == 0 {
		return sendError(s.conn.session.Send(m))
	}
	ms := append(make([]*engineio.Message, 0, 1+len(attachments)), m)
	for _, a := range attachments {
		ms = append(ms, engineio.NewMessage(true, a))
	}
	return sendError(s.conn.session.Send(ms...))
}

// handle runs what listens to an event, and returns how many that were. It is called by the worker only.
func (s *Socket) handle(m *Message) (ran int) {
	if s.dropped.Load() {
		return 0
	}
	if x := s.more.Load(); x != nil {
		for _, h := range x.any.Snapshot() {
			_ = s.call(*h, m) // has been reported
			ran++
		}
		for _, h := range x.use.Snapshot() {
			if err := s.call(*h, m); err != nil {
				s.fail(m, err)
				return ran + 1
			}
		}
	}
	ran += s.handleShared(m)
	var few [4]Handler
	s.mu.Lock()
	handlers := s.listeners.take(few[:0], m.Event())
	s.mu.Unlock()
	for _, h := range handlers {
		if err := s.call(h, m); err != nil {
			s.fail(m, err)
		}
	}
	return ran + len(handlers)
}

// fail answers an event with an error, if an answer is wanted.
func (s *Socket) fail(m *Message, err error) {
	if err := m.Fail(err); err != nil && !errors.Is(err, ErrDisconnected) {
		s.report(err)
	}
}

// call calls a handler and reports its error.
func (s *Socket) call(h Handler, m *Message) error {
	err := s.protected(h, m)
	if err != nil {
		s.report(err)
	}
	return err
}

func (s *Socket) protected(h Handler, m *Message) (err error) {
	defer recovered(&err)
	return h(s.Context(), m)
}

// runConnection calls the connection listeners of the namespace. It is the first task of the worker.
func (s *Socket) runConnection() {
	s.ns.index.events.drain()
	for _, f := range s.ns.connect.Snapshot() {
		if err := protect(func() error { (*f)(s); return nil }); err != nil {
			s.report(err)
		}
	}
}

// Disconnect leaves the namespace, or with closeConn closes the whole connection after what was sent before. A client
// does not reconnect by itself after the first; after the second neither. Its session can't be recovered.
func (s *Socket) Disconnect(closeConn bool) {
	if !closeConn {
		s.kick()
		return
	}
	for _, other := range s.conn.sockets() {
		other.kick()
	}
	s.conn.session.Close()
}

// kick leaves the namespace.
func (s *Socket) kick() {
	if s.close(ReasonServerDisconnect, nil) {
		m, _ := s.ns.server.encodeValue(packet.Header{Type: packet.Disconnect, Namespace: s.ns.name}, nil)
		_ = s.conn.session.Send(m) // a session that has ended needs no goodbye
	}
}

// close ends the socket. Only the first call, for a socket that was connected, does and returns true.
func (s *Socket) close(reason Reason, cause error) bool {
	m := s.m
	if !s.settled() {
		return false
	}
	m.mu.Lock()
	if !s.state.CompareAndSwap(stateConnected, stateClosed) {
		m.mu.Unlock()
		return false
	}
	if reason == ReasonServerDisconnect || reason == ReasonQueueFull || s.ns.server.aborted.Load() {
		s.dropped.Store(true)
	}
	rooms := m.names()
	saved := func() {}
	if m.log != nil && m.log.shared != nil {
		keep := reason.recoverable()
		saved = m.log.shared.c.leave(m, s.Data(), keep)
		if keep {
			s.ns.index.setAway(m, true)
		}
		m.removeLocked()
	} else if m.log != nil && reason.recoverable() && s.ns.server.store.suspend(m, s.Data()) {
		s.ns.index.setAway(m, true)
		m.sock.Store(absent) // so that this socket and its connection are not kept
		m.holds = true
	} else {
		m.removeLocked()
	}
	suspended := m.holds
	m.mu.Unlock()
	saved()
	s.ns.index.events.drain()

	s.conn.leave(s.ns.name, s)
	s.failAcks()
	s.cancel()
	s.push(task{run: func() { s.runDisconnect(reason, cause, rooms) }})
	if !suspended {
		s.ns.release()
	}
	return true
}

func (s *Socket) runDisconnect(reason Reason, cause error, rooms []string) {
	x := s.more.Load()
	if x == nil {
		return
	}
	x.mu.Lock()
	x.lastRooms = rooms
	x.mu.Unlock()
	for _, f := range x.disconnecting.Snapshot() {
		if err := protect(func() error { (*f)(reason); return nil }); err != nil {
			s.report(err)
		}
	}
	x.mu.Lock()
	x.lastRooms = nil
	x.mu.Unlock()
	for _, f := range x.disconnect.Snapshot() {
		if err := protect(func() error { (*f)(reason, cause); return nil }); err != nil {
			s.report(err)
		}
	}
}

// abandon ends a socket that never became connected. A session that it was about to recover ends too if the client
// was refused; otherwise the client may try once more.
func (s *Socket) abandon(refused bool) {
	s.state.Store(stateClosed)
	s.failAcks()
	s.cancel()
	if s.recovered && s.m.log.shared != nil {
		s.m.putBack(refused)
	} else if s.recovered && !refused && s.ns.server.store.putBack(s.m) {
		return
	}
	s.m.remove()
	s.ns.release()
}

// connected tells the client that it has joined, sends what it missed, and opens the socket for broadcasts.
// It reports false if the session ended meanwhile.
func (s *Socket) connected() bool {
	m := s.m
	if m.log == nil {
		s.state.Store(stateAdmitting)
		_ = s.conn.session.Send(s.ns.server.connectReply(s.ns.name, m.id, ""))
		s.state.Store(stateConnected)
		return true
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.gone {
		return false
	}
	ms := []*engineio.Message{s.ns.server.connectReply(s.ns.name, m.id, m.log.pid)}
	if m.log.shared != nil {
		for _, d := range m.welcome(s) {
			ms = append(ms, d.ms...)
		}
	} else if s.recovered {
		for _, e := range m.log.resume() {
			ms = append(ms, e.ms...)
		}
		m.sock.Store(s)
		s.ns.index.setAway(m, false)
	}
	if m.log.shared == nil {
		s.ns.server.store.enter(m)
	}
	s.state.Store(stateAdmitting)
	// In one piece: an outbox at rest takes it whatever its size.
	_ = s.conn.session.Send(ms...) // if the session has ended, the socket is about to hear of it
	s.state.Store(stateConnected)
	return true
}
