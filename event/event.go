package event

import (
	"context"
	"errors"
	"fmt"

	"github.com/sockeye-io/sockeye/socketio/packet"
)

// An Event is the declaration of an event with contents of type T: one argument on the wire. There are three
// exceptions: struct{} is sent as no argument, and whatever comes is accepted; a [Pair] is two arguments and a [Triple]
// three. A null that comes in leaves T as its zero value; an argument that is missing is an error.
//
// Declare it once, in a package that both sides import, or twice with equal names.
type Event[T any] struct {
	name string
}

// New declares an event. It panics if the name is one of those reserved for the library: connect, connect_error,
// disconnect, disconnecting, newListener and removeListener.
func New[T any](name string) Event[T] {
	checkName(name)
	return Event[T]{name}
}

func checkName(name string) {
	if packet.Reserved(name) {
		panic(fmt.Sprintf("event: the name %q is reserved", name))
	}
}

// Name returns the name of the event.
func (e Event[T]) Name() string { return e.name }

// On calls h for every event of this name that l receives. If the sender asked for an acknowledgement it gets one, without
// arguments, when h has returned nil. An event whose contents are not a T does not reach h: l is told by an error that is
// [ErrArgument].
func (e Event[T]) On(l Listener, h func(ctx context.Context, v T) error) Subscription {
	return l.On(e.name, func(ctx context.Context, m *Message) error {
		var v T
		if err := m.Bind(targets(&v)...); err != nil {
			return failed(m, err)
		}
		if err := h(ctx, v); err != nil {
			return failed(m, err)
		}
		_ = m.Ack() // fails if nobody wants it, or is there to get it
		return nil
	})
}

// failed answers m with err, and returns what the listener is told.
func failed(m *Message, err error) error {
	if failErr := m.Fail(err); failErr != nil {
		return errors.Join(err, failErr)
	}
	return err
}

// Emit sends v to whoever to stands for.
func (e Event[T]) Emit(to Emitter, v T) error {
	return to.Emit(e.name, values(&v)...)
}
