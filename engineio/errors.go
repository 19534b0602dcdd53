package engineio

import (
	"errors"
	"net/http"
)

// Errors that Send and its relatives return, and that reach Receiver.Closed.
var (
	// ErrClosed: the session is closed or closing; nothing was queued.
	ErrClosed = errors.New("engineio: session is closed")
	// ErrOutboxFull: the peer reads too slowly and Options.Outbox.MaxBytes
	// would be exceeded; nothing was queued. Under PolicyDisconnect the session
	// is closed as well.
	ErrOutboxFull = errors.New("engineio: outbox is full")
	// ErrServerClosed: the server was closed or is draining.
	ErrServerClosed = errors.New("engineio: server is closed")

	errHeartbeatDirection = errors.New("engineio: invalid heartbeat direction")
	errPollOverlap        = errors.New("engineio: overlap from client")
	errPostOverlap        = errors.New("engineio: data request overlap from client")
	errPollAborted        = errors.New("engineio: poll connection closed prematurely")
	errPostAborted        = errors.New("engineio: data request connection closed prematurely")
	errInvalidContent     = errors.New("engineio: invalid content")
)

// CloseReason says why a session ended, in the words of the Node server.
type CloseReason string

const (
	// ReasonPingTimeout: no pong arrived within PingTimeout.
	ReasonPingTimeout CloseReason = "ping timeout"
	// ReasonParseError: the peer sent something that is no Engine.IO packet.
	ReasonParseError CloseReason = "parse error"
	// ReasonTransportError: the connection broke, or the peer broke the protocol
	// or a limit; the error says which.
	ReasonTransportError CloseReason = "transport error"
	// ReasonTransportClose: the peer closed the session.
	ReasonTransportClose CloseReason = "transport close"
	// ReasonForcedClose: this side closed the session.
	ReasonForcedClose CloseReason = "forced close"
	// ReasonServerShutdown: the server was closed or drained.
	ReasonServerShutdown CloseReason = "server shutting down"
	// ReasonOutboxFull: the peer read too slowly (see OutboxOptions).
	ReasonOutboxFull CloseReason = "outbox full"
)

// ErrorCode is the code in the JSON body of a refused request.
type ErrorCode int

// The codes of the Engine.IO protocol.
const (
	CodeUnknownTransport   ErrorCode = 0
	CodeUnknownSession     ErrorCode = 1
	CodeBadHandshakeMethod ErrorCode = 2
	CodeBadRequest         ErrorCode = 3
	CodeForbidden          ErrorCode = 4
	CodeUnsupportedVersion ErrorCode = 5
)

var codeMessages = [...]string{
	"Transport unknown",
	"Session ID unknown",
	"Bad handshake method",
	"Bad request",
	"Forbidden",
	"Unsupported protocol version",
}

// ConnectionError describes a request that was refused before it reached a
// session; Options.OnConnectionError receives it.
type ConnectionError struct {
	Request *http.Request
	Code    ErrorCode
	Message string // as sent to the peer
	Status  int    // HTTP status sent
	// Context names the check that failed, for example "TRANSPORT_MISMATCH",
	// and what was found.
	Context map[string]any
}

func (e *ConnectionError) Error() string { return "engineio: " + e.Message }
