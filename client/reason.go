package client

import "github.com/sockeye-io/sockeye/client/engine"

// A Reason says why a socket was disconnected. All but the last are those of the JavaScript client. After the first two
// the socket stays disconnected until somebody calls Open or Connect; after the others it connects again by itself.
type Reason string

const (
	// ReasonServerDisconnect is a server that disconnected the socket.
	ReasonServerDisconnect Reason = "io server disconnect"
	// ReasonClientDisconnect is a call of [Socket.Disconnect] or [Client.Close].
	ReasonClientDisconnect Reason = "io client disconnect"
	// ReasonPingTimeout is a server that was not heard of for longer than it promised.
	ReasonPingTimeout = Reason(engine.ReasonPingTimeout)
	// ReasonTransportClose is a connection that the server closed, or that went away.
	ReasonTransportClose = Reason(engine.ReasonTransportClose)
	// ReasonTransportError is a connection that failed.
	ReasonTransportError = Reason(engine.ReasonTransportError)
	// ReasonParseError is a connection on which something came that is not Socket.IO.
	ReasonParseError = Reason(engine.ReasonParseError)
	// ReasonForcedClose is a connection that was closed because no socket needed it any more.
	ReasonForcedClose = Reason(engine.ReasonForcedClose)
	// ReasonQueueFull is a server that sent events faster than they were handled, see [QueueOptions].
	ReasonQueueFull Reason = "event queue full"
)
