package socketio

import (
	"slices"
	"sync"

	"github.com/sockeye-io/sockeye/event"
)

// A listener is a handler of one event. A socket rarely has so many that searching them shows, and a slice is a
// fraction of a map.
type listener struct {
	name string
	h    Handler
	id   uint32
	once bool
}

// listeners is a list of listeners; whoever has it guards it.
type listeners struct {
	list []listener
	next uint32
}

func (l *listeners) add(name string, h Handler, once bool) uint32 {
	l.next++
	l.list = append(l.list, listener{name, h, l.next, once})
	return l.next
}

func (l *listeners) remove(id uint32) {
	l.list = slices.DeleteFunc(l.list, func(x listener) bool { return x.id == id })
}

// take appends the handlers of an event to dst and removes those that are for once.
func (l *listeners) take(dst []Handler, name string) []Handler {
	once := false
	for i := range l.list {
		if x := &l.list[i]; x.name == name {
			dst = append(dst, x.h)
			once = once || x.once
		}
	}
	if once {
		l.list = slices.DeleteFunc(l.list, func(x listener) bool { return x.once && x.name == name })
	}
	return dst
}

// namedHooks is listeners with a lock of their own.
type namedHooks struct {
	mu sync.Mutex
	listeners
}

func (n *namedHooks) on(name string, h Handler) Subscription {
	n.mu.Lock()
	id := n.add(name, h, false)
	n.mu.Unlock()
	return event.NewSubscription(func() {
		n.mu.Lock()
		n.remove(id)
		n.mu.Unlock()
	})
}

func (n *namedHooks) handlers(name string) []Handler {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.take(nil, name)
}
