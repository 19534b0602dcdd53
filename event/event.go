package event

import "context"

// A Listener is what events can be listened to on: a server's socket or a client's.
type Listener interface {
	On(name string, h Handler) Subscription
}

// An Emitter is what events can be emitted to: a socket, a room, a namespace.
type Emitter interface {
	Emit(name string, args ...any) error
}

// A Caller emits an event and waits for the acknowledgement.
type Caller interface {
	EmitWithAck(ctx context.Context, name string, args ...any) (*Ack, error)
}

// A ManyCaller emits an event to many and collects their acknowledgements. It may return some together with an error.
type ManyCaller interface {
	EmitWithAck(ctx context.Context, name string, args ...any) ([]*Ack, error)
}

// A Subscription is what a Listener returns. Closing it removes the listener. The zero value is valid and does nothing.
type Subscription struct {
	s *subscription
}

type subscription struct{ close func() }

// NewSubscription is for implementations of [Listener]. Close is called at most once.
func NewSubscription(close func()) Subscription { return Subscription{&subscription{close}} }

// Close removes the listener. Further calls do nothing.
func (s Subscription) Close() {}
