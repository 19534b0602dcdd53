package socketio

import (
	"runtime/debug"
	"slices"
	"sync"

	"github.com/sockeye-io/sockeye/event"
)

// hooks is a list of functions to be called when something happens. The zero value is empty.
type hooks[F any] struct {
	mu   sync.Mutex
	list []*F // replaced, never modified, so that a snapshot stays as it is
}

// add appends f and returns what removes it.
func (h *hooks[F]) add(f F) Subscription {
	p := &f
	h.mu.Lock()
	h.list = append(h.list[:len(h.list):len(h.list)], p)
	h.mu.Unlock()
	return event.NewSubscription(func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.list = slices.DeleteFunc(slices.Clone(h.list), func(q *F) bool { return p == q })
	})
}

// snapshot returns the functions in the order in which they were added.
func (h *hooks[F]) snapshot() []*F {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.list
}

// protect calls f and turns a panic into a *PanicError.
func protect(f func() error) (err error) {
	defer recovered(&err)
	return f()
}

// recovered, deferred, turns a panic into a *PanicError.
func recovered(err *error) {
	if v := recover(); v != nil {
		*err = &PanicError{Value: v, Stack: debug.Stack()}
	}
}
