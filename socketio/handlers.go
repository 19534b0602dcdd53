package socketio

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/sockeye-io/sockeye/event"
	"github.com/sockeye-io/sockeye/socketio/packet"
)

// sharedHandlers are the handlers of events of many sockets. Sockets that get an event read them without a lock, and
// while there are none that is one load.
type sharedHandlers struct {
	mu     sync.Mutex
	byName atomic.Pointer[map[string][]*Handler] // replaced, never modified; nil while there are none
}

func (l *sharedHandlers) add(name string, h Handler) Subscription {
	if packet.Reserved(name) || name == "connection" {
		panic(fmt.Sprintf("socketio: On(%q): clients don't send that, see OnConnection and Socket.OnDisconnect", name))
	}
	p := &h
	l.change(name, func(list []*Handler) []*Handler { return append(slices.Clip(list), p) })
	return event.NewSubscription(func() {
		l.change(name, func(list []*Handler) []*Handler {
			return slices.DeleteFunc(slices.Clone(list), func(q *Handler) bool { return p == q })
		})
	})
}

func (l *sharedHandlers) change(name string, f func([]*Handler) []*Handler) {
	l.mu.Lock()
	defer l.mu.Unlock()
	byName := map[string][]*Handler{}
	if old := l.byName.Load(); old != nil {
		byName = maps.Clone(*old)
	}
	if list := f(byName[name]); len(list) > 0 {
		byName[name] = list
	} else {
		delete(byName, name)
	}
	if len(byName) > 0 {
		l.byName.Store(&byName)
	} else {
		l.byName.Store(nil)
	}
}

func (l *sharedHandlers) of(name string) []*Handler {
	if byName := l.byName.Load(); byName != nil {
		return (*byName)[name]
	}
	return nil
}

// handleShared runs the handlers that the namespace and its parent have for an event, and returns how many there are.
func (s *Socket) handleShared(m *Message) (ran int) {
	if p := s.ns.parent; p != nil {
		ran = s.callShared(p.events.of(m.Event()), m)
	}
	return ran + s.callShared(s.ns.events.of(m.Event()), m)
}

func (s *Socket) callShared(handlers []*Handler, m *Message) int {
	for _, h := range handlers {
		if err := s.call(*h, m); err != nil {
			s.fail(m, err)
		}
	}
	return len(handlers)
}

// On adds a handler for an event of all sockets of the namespace, those that are connected already included.
// [FromContext] finds the socket in its context. It runs like a listener of the socket: in the order of that socket's
// events, after the middlewares of [Socket.Use] and before the socket's own listeners; for several sockets at the same
// time. It panics for names that clients can't send, such as "connection" and "disconnect".
func (ns *Namespace) On(name string, h Handler) Subscription { return ns.events.add(name, h) }

// On is [Namespace.On] of "/".
func (srv *Server) On(name string, h Handler) Subscription { return srv.root.On(name, h) }

// On is [Namespace.On] of every child, those that exist already included. Its handlers run before those of the child.
func (p *Parent) On(name string, h Handler) Subscription { return p.events.add(name, h) }
