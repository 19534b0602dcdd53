package socketio

import (
	"context"
	"errors"
	"fmt"

	"github.com/sockeye-io/sockeye/event"
	"github.com/sockeye-io/sockeye/socketio/packet"
)

var (
	// ErrDisconnected is returned for a socket that is not connected any more, also by an EmitWithAck that waited.
	ErrDisconnected = errors.New("socketio: socket is disconnected")
	// ErrReservedEvent is returned for an event whose name the library keeps for itself, such as "disconnect".
	ErrReservedEvent = packet.ErrReserved
	// ErrTooManyAcks is returned by EmitWithAck when Limits.MaxPendingAcks are outstanding already.
	ErrTooManyAcks = errors.New("socketio: too many acknowledgements outstanding")
	// ErrServerClosed is returned by a server that was closed, and by the second call of Close.
	ErrServerClosed = errors.New("socketio: server is closed")
	// ErrParentNamespace is returned for what a namespace made by a pattern can't do for all its children together.
	ErrParentNamespace = errors.New("socketio: not possible on a parent namespace")

	errQueueFull         = errors.New("socketio: client sends events faster than they are handled")
	errViolation         = errors.New("socketio: protocol violation")
	errAttachmentTimeout = errors.New("socketio: attachments did not arrive in time")
)

// A ConnectError refuses a client that wants to join a namespace. A [Middleware] returns it; the client receives the
// message and the data with its connect_error event.
type ConnectError struct {
	Message string
	Data    any // encoded as JSON; nil sends none
}

func (e *ConnectError) Error() string { return e.Message }

// connectErrorBody is the form of a ConnectError on the wire.
type connectErrorBody struct {
	Message string `json:"message"`
	Data    any    `json:"data,omitempty"`
}

// connectErrorFor returns what the client is told of err. The text of an error that was not made for clients stays here.
func connectErrorFor(err error) connectErrorBody {
	if e, ok := errors.AsType[*ConnectError](err); ok {
		return connectErrorBody{e.Message, e.Data}
	}
	if e, ok := errors.AsType[*event.Error](err); ok {
		data := map[string]any{"code": e.Code}
		if e.Data != nil {
			data["data"] = e.Data
		}
		return connectErrorBody{e.Message, data}
	}
	if errors.Is(err, event.ErrArgument) {
		return connectErrorBody{"unexpected auth payload", map[string]any{"code": event.CodeBadRequest}}
	}
	return connectErrorBody{Message: "internal error"}
}

// A PanicError is a panic in a handler, a middleware or a hook.
type PanicError struct {
	Value any    // what was passed to panic
	Stack []byte // as by debug.Stack
}

func (e *PanicError) Error() string { return fmt.Sprintf("socketio: panic in handler: %v", e.Value) }

// Unwrap returns the value of the panic if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// An AckTimeoutError is returned by EmitWithAck when not every acknowledgement came. It matches
// [context.DeadlineExceeded] if the time ran out, and [ErrDisconnected] if the rest of the sockets went away.
type AckTimeoutError struct {
	Expected     int // how many sockets were asked
	Received     int // how many answered
	Disconnected int // how many went away instead
	Err          error
}

func (e *AckTimeoutError) Error() string {
	msg := fmt.Sprintf("socketio: %d of %d acknowledgements received", e.Received, e.Expected)
	if e.Disconnected > 0 {
		msg += fmt.Sprintf(", %d disconnected", e.Disconnected)
	}
	if e.Err != nil {
		msg += ": " + e.Err.Error()
	}
	return msg
}

// Unwrap returns what ended the waiting.
func (e *AckTimeoutError) Unwrap() error { return e.Err }

// Timeout reports whether the time ran out, as in [net.Error].
func (e *AckTimeoutError) Timeout() bool { return errors.Is(e.Err, context.DeadlineExceeded) }
