package socketio

import "github.com/sockeye-io/sockeye/engineio"

// A Reason says why a socket was disconnected. All but the last two are those of the Node server.
type Reason string

const (
	// ReasonTransportError is a connection that failed.
	ReasonTransportError Reason = "transport error"
	// ReasonTransportClose is a connection that the client closed, or that went away.
	ReasonTransportClose Reason = "transport close"
	// ReasonForcedClose is a connection that this side closed, because of a violation of the protocol or because no
	// namespace was joined in time.
	ReasonForcedClose Reason = "forced close"
	// ReasonPingTimeout is a client that did not answer a ping in time.
	ReasonPingTimeout Reason = "ping timeout"
	// ReasonParseError is a connection on which something came that is no Engine.IO packet.
	ReasonParseError Reason = "parse error"
	// ReasonServerShutdown is a server that was closed.
	ReasonServerShutdown Reason = "server shutting down"
	// ReasonClientDisconnect is a client that left the namespace.
	ReasonClientDisconnect Reason = "client namespace disconnect"
	// ReasonServerDisconnect is a call of [Socket.Disconnect] or [Broadcast.Disconnect].
	ReasonServerDisconnect Reason = "server namespace disconnect"
	// ReasonOutboxFull is a client that read too slowly.
	ReasonOutboxFull = Reason(engineio.ReasonOutboxFull)
	// ReasonQueueFull is a client that sent events faster than they were handled, see [Limits].
	ReasonQueueFull Reason = "event queue full"
)

// recoverable reports whether a client may come back to its session after the reason: neither side wanted the end.
func (r Reason) recoverable() bool {
	return r != ReasonClientDisconnect && r != ReasonServerDisconnect && r != ReasonQueueFull
}
