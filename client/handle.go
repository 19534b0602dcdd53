package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/sockeye-io/sockeye/event"
	"github.com/sockeye-io/sockeye/internal/hooks"
)

// On adds a listener for an event. Listeners of the same event run in the order in which they were added.
func (s *Socket) On(name string, h Handler) Subscription { return s.listeners.add(name, h, false) }

// Once adds a listener that is removed when the event first comes.
func (s *Socket) Once(name string, h Handler) Subscription { return s.listeners.add(name, h, true) }

// OnAny adds a listener for every event that comes in, also those that nobody else listens to. It runs before the
// others.
func (s *Socket) OnAny(h Handler) Subscription { return s.any.Add(h) }

// OnAnyOutgoing adds a listener for every event that is emitted. It runs in the goroutine that emits, before the event is
// sent or kept.
func (s *Socket) OnAnyOutgoing(f func(*Message)) Subscription { return s.anyOutgoing.Add(f) }

// OnConnect calls f whenever the socket has been connected, after what waited for that has been sent. It is called in
// turn with the handlers.
func (s *Socket) OnConnect(f func()) Subscription { return s.onConnect.Add(f) }

// OnConnectError calls f whenever an attempt to connect fails. After a [*ConnectError] and [ErrServerV2] the socket is
// not active any more; after other errors another attempt follows while it is. It is called in turn with the handlers.
func (s *Socket) OnConnectError(f func(error)) Subscription { return s.onConnectError.Add(f) }

// OnDisconnect calls f whenever the socket is not connected any more, with what was wrong with the connection, or nil. It
// is called in turn with the handlers: after those of the events that came before.
func (s *Socket) OnDisconnect(f func(Reason, error)) Subscription { return s.onDisconnect.Add(f) }

// OnError calls f with the errors of handlers, with panics as [*PanicError], and with what became of events that can't
// be sent: [*DroppedError] and [*NotAcknowledgedError]. It runs in turn with the handlers. Errors that nobody listens for
// are logged.
func (s *Socket) OnError(f func(error)) Subscription { return s.onError.Add(f) }

// notify has the listeners called, in turn with the handlers.
func notify[F any](s *Socket, h *hooks.List[F], call func(F)) {
	if len(h.Snapshot()) == 0 {
		return
	}
	s.queue.push(&s.client.work, task{run: func() {
		for _, f := range h.Snapshot() {
			s.report(protect(func() error { call(*f); return nil }))
		}
	}})
}

// handle runs what listens to an event. It is called by the queue only.
func (s *Socket) handle(sess *session, m *Message) {
	if sess.number <= s.dropped.Load() {
		return
	}
	for _, h := range s.any.Snapshot() {
		s.report(s.call(sess, *h, m))
	}
	var few [4]Handler
	for _, h := range s.listeners.take(few[:0], m.Event()) {
		err := s.call(sess, h, m)
		if err == nil {
			continue
		}
		s.report(err)
		if err := m.Fail(err); !errors.Is(err, ErrDisconnected) {
			s.report(err)
		}
	}
}

func (s *Socket) call(sess *session, h Handler, m *Message) error {
	return protect(func() error { return h(sess.ctx, m) })
}

// report passes an error to the listeners of OnError, or to the log if there are none. It is called by the queue only.
func (s *Socket) report(err error) {
	if err == nil {
		return
	}
	for _, f := range s.onError.Snapshot() {
		s.client.logPanic(protect(func() error { (*f)(err); return nil }))
	}
	if _, ok := errors.AsType[*event.Error](err); ok || len(s.onError.Snapshot()) > 0 {
		return
	}
	s.client.opts.Logger.Log(context.Background(), slog.LevelWarn, "client: error", "namespace", s.namespace, "error", err)
}

// maxTold is how many errors wait for OnError. One that drops events faster than its handlers work would otherwise fill
// the memory with the news of it.
const maxTold = 1024

// tell is report for who is not the queue.
func (s *Socket) tell(err error) {
	if s.told.Add(1) > maxTold {
		s.told.Add(-1)
		s.untold.Add(1)
		return
	}
	s.queue.push(&s.client.work, task{run: func() {
		s.told.Add(-1)
		s.report(err)
		if n := s.untold.Swap(0); n > 0 {
			s.report(fmt.Errorf("client: %d more errors came too fast to be told", n))
		}
	}})
}
