package client

import (
	"context"
	"time"
)

// A Socket is a namespace of a server, on the connection of a [Client]. It outlives its connections: listeners stay, and
// what is emitted while there is none waits.
type Socket struct{}

// Open makes the socket connect, and connect again whenever the connection is lost, until Disconnect. It does not wait.
func (s *Socket) Open() {}

// Connect is Open that waits until the socket is connected. It returns a [*ConnectError] if the server refuses, and
// goes on trying otherwise, as [ReconnectOptions] say. When ctx ends, the socket is not open any more, unless somebody
// else opened it; the error is then ctx's, joined with that of the last attempt.
func (s *Socket) Connect(ctx context.Context) error { return nil }

// Disconnect leaves the namespace, after what was emitted before has been sent. Events that wait for handlers are not
// handled any more, those that wait for a connection still do. If no other socket is open, the connection is closed.
func (s *Socket) Disconnect() {}

// ID returns what the server calls the socket, "" while it is not connected.
func (s *Socket) ID() string { return "" }

// Namespace returns the name of the namespace, such as "/".
func (s *Socket) Namespace() string { return "" }

// Client returns the client that the socket belongs to.
func (s *Socket) Client() *Client { return nil }

// Connected reports whether the server has let the socket in.
func (s *Socket) Connected() bool { return false }

// Active reports whether the socket is connected or goes on trying to be.
func (s *Socket) Active() bool { return false }

// Recovered reports whether the last connect went on where the connection before it had ended: same id, same rooms, and
// every event that was missed is sent again. The server must have connection state recovery on.
func (s *Socket) Recovered() bool { return false }

// SetAuth replaces Options.Auth for this socket, from the next connect on.
func (s *Socket) SetAuth(auth func(context.Context) (any, error)) {}

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

// Send is Emit of the event "message".
func (s *Socket) Send(args ...any) error { return Emitter{s: s}.Send(args...) }

// Volatile returns an emitter whose events are lost if they can't leave at this moment.
func (s *Socket) Volatile() Emitter { return Emitter{s: s}.Volatile() }

// Timeout returns an emitter that waits for acknowledgements no longer than d.
func (s *Socket) Timeout(d time.Duration) Emitter { return Emitter{s: s}.Timeout(d) }

// Flush waits until everything that was emitted has been handed to the network, for which there has to be a connection;
// with Options.Retries, until it has been acknowledged or given up. It returns ErrDisconnected if the connection is lost
// before what it was given is on its way, and may be called again.
func (s *Socket) Flush(ctx context.Context) error { return nil }

// On adds a listener for an event. Listeners of the same event run in the order in which they were added.
func (s *Socket) On(name string, h Handler) Subscription { return Subscription{} }

// Once adds a listener that is removed when the event first comes.
func (s *Socket) Once(name string, h Handler) Subscription { return Subscription{} }

// OnAny adds a listener for every event that comes in, also those that nobody else listens to. It runs before the
// others.
func (s *Socket) OnAny(h Handler) Subscription { return Subscription{} }

// OnAnyOutgoing adds a listener for every event that is emitted. It runs in the goroutine that emits, before the event is
// sent or kept.
func (s *Socket) OnAnyOutgoing(f func(*Message)) Subscription { return Subscription{} }

// OnConnect calls f whenever the socket has been connected, after what waited for that has been sent. It is called in
// turn with the handlers.
func (s *Socket) OnConnect(f func()) Subscription { return Subscription{} }

// OnConnectError calls f whenever an attempt to connect fails. After a [*ConnectError] and [ErrServerV2] the socket is
// not active any more; after other errors another attempt follows while it is. It is called in turn with the handlers.
func (s *Socket) OnConnectError(f func(error)) Subscription { return Subscription{} }

// OnDisconnect calls f whenever the socket is not connected any more, with what was wrong with the connection, or nil. It
// is called in turn with the handlers: after those of the events that came before.
func (s *Socket) OnDisconnect(f func(Reason, error)) Subscription { return Subscription{} }

// OnError calls f with the errors of handlers, with panics as [*PanicError], and with what became of events that can't
// be sent: [*DroppedError] and [*NotAcknowledgedError]. It runs in turn with the handlers. Errors that nobody listens for
// are logged.
func (s *Socket) OnError(f func(error)) Subscription { return Subscription{} }
