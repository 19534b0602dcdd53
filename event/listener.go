package event

import (
	"context"
	"sync"
)

// A Listener is what events can be listened to on: a server's socket, or a client's.
type Listener interface {
	On(name string, h Handler) Subscription
}

// An Emitter is what events can be emitted to: a socket, a room, a namespace.
type Emitter interface {
	Emit(name string, args ...any) error
}

// A Caller emits an event and waits for the acknowledgement, or until ctx is done.
type Caller interface {
	EmitWithAck(ctx context.Context, name string, args ...any) (*Ack, error)
}

// A ManyCaller emits an event to many and collects their acknowledgements. If some don't answer it returns an error and
// the acknowledgements it has got.
type ManyCaller interface {
	EmitWithAck(ctx context.Context, name string, args ...any) ([]*Ack, error)
}

// A Subscription is what a Listener returns. The zero value is valid and does nothing. It may be copied.
type Subscription struct {
	s *subscription
}

type subscription struct {
	once  sync.Once
	close func()
}

// NewSubscription is for implementations of [Listener]. Close is called at most once.
func NewSubscription(close func()) Subscription {
	return Subscription{&subscription{close: close}}
}

// Close removes the listener. A handler that is running is not waited for. Further calls, from any goroutine, do
// nothing.
func (s Subscription) Close() {
	if s.s != nil {
		s.s.once.Do(s.s.close)
	}
}
