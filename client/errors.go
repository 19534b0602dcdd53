package client

import (
	"errors"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/sockeye-io/sockeye/socketio/packet"
)

var (
	// ErrDisconnected is returned by an EmitWithAck whose event was sent on a connection that was lost before the
	// acknowledgement came: the server may have handled it or not. It is also returned for what can't wait for a
	// connection when there is none.
	ErrDisconnected = errors.New("client: disconnected")
	// ErrClosed is returned for everything that is asked of a client after Close.
	ErrClosed = errors.New("client: closed")
	// ErrBufferFull is returned for an event that there is no room for: [BufferOptions] or the outbox of the connection
	// is full. [Socket.Flush] waits for room.
	ErrBufferFull = errors.New("client: buffer is full")
	// ErrReservedEvent is returned for an event whose name the library keeps for itself, such as "disconnect".
	ErrReservedEvent = packet.ErrReserved
	// ErrTooManyAcks is returned by EmitWithAck when Options.MaxPendingAcks are outstanding already.
	ErrTooManyAcks = errors.New("client: too many acknowledgements outstanding")
	// ErrServerV2 is a server that accepted the connection the way Socket.IO 2 does.
	ErrServerV2 = errors.New("client: the server speaks Socket.IO 2, this client speaks the protocol of 3 and 4")
)

// A ConnectError is the answer of a server that does not let the client into a namespace.
type ConnectError struct {
	// Message is what the server said, in words.
	Message string
	// Data is what it added, nil if nothing.
	Data jsontext.Value
}

func (e *ConnectError) Error() string { return "client: refused by the server: " + e.Message }

// Bind decodes the data into dst, a pointer.
func (e *ConnectError) Bind(dst any) error {
	if e.Data == nil {
		return errors.New("client: connect error carries no data")
	}
	return packet.Unmarshal(e.Data, nil, dst)
}

// An AckTimeoutError is returned by EmitWithAck when no acknowledgement came in time. It matches
// [context.DeadlineExceeded].
type AckTimeoutError struct {
	Event string
	Err   error
}

func (e *AckTimeoutError) Error() string {
	return fmt.Sprintf("client: no acknowledgement of event %q in time", e.Event)
}

// Unwrap returns [context.DeadlineExceeded].
func (e *AckTimeoutError) Unwrap() error { return e.Err }

// Timeout reports true, as in [net.Error].
func (e *AckTimeoutError) Timeout() bool { return true }

// A NotAcknowledgedError tells of an event that was given up after all its retries, see Options.Retries. EmitWithAck
// returns it, and for an event that was emitted otherwise OnError is told.
type NotAcknowledgedError struct {
	Event string
	Tries int   // how often it was sent
	Err   error // how the last try ended: ErrDisconnected or an *AckTimeoutError
}

func (e *NotAcknowledgedError) Error() string {
	return fmt.Sprintf("client: event %q was not acknowledged in %d tries: %v", e.Event, e.Tries, e.Err)
}

// Unwrap returns how the last try ended.
func (e *NotAcknowledgedError) Unwrap() error { return e.Err }

// A DroppedError tells OnError of an event that was emitted and will not be sent: it had to make room in the buffer
// ([DropOldest]), or turned out to be larger than the server takes.
type DroppedError struct {
	Event string
	Err   error // ErrBufferFull or an *engine.TooLargeError
}

func (e *DroppedError) Error() string {
	return fmt.Sprintf("client: event %q was dropped: %v", e.Event, e.Err)
}

// Unwrap returns why it was dropped.
func (e *DroppedError) Unwrap() error { return e.Err }

// An UnsentError is returned by [Client.Close] if events were emitted that will never be sent, or with Options.Retries never
// be known to have arrived. [Socket.Flush] before Close avoids it.
type UnsentError struct {
	Events int   // that waited for a connection, or for an acknowledgement with Options.Retries
	Err    error // of the connection, if it failed to send the last it had been given; nil otherwise
}

func (e *UnsentError) Error() string {
	if e.Events == 0 {
		return fmt.Sprintf("client: closed before everything was sent: %v", e.Err)
	}
	return fmt.Sprintf("client: closed with %d events unsent", e.Events)
}

// Unwrap returns the error of the connection.
func (e *UnsentError) Unwrap() error { return e.Err }

// A PanicError is a panic in a handler or another function that was given to the client.
type PanicError struct {
	Value any    // what was passed to panic
	Stack []byte // as by debug.Stack
}

func (e *PanicError) Error() string { return fmt.Sprintf("client: panic in handler: %v", e.Value) }

// Unwrap returns the value of the panic if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}
