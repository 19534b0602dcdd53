package client

import (
	"slices"
	"sync"

	"github.com/sockeye-io/sockeye/event"
)

// A listener is a handler of one event.
type listener struct {
	name string
	h    Handler
	id   uint32
	once bool
}

// listeners are those of a socket. There are rarely so many that searching them shows, and a slice is a fraction of a
// map.
type listeners struct {
	mu   sync.Mutex
	list []listener
	next uint32
}

func (l *listeners) add(name string, h Handler, once bool) Subscription {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next++
	id := l.next
	l.list = append(l.list, listener{name, h, id, once})
	return event.NewSubscription(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.list = slices.DeleteFunc(l.list, func(x listener) bool { return x.id == id })
	})
}

// take appends the handlers of an event to dst and removes those that are for once.
func (l *listeners) take(dst []Handler, name string) []Handler {
	l.mu.Lock()
	defer l.mu.Unlock()
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
