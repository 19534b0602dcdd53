// Package hooks keeps functions to be called when something happens.
package hooks

import (
	"slices"
	"sync"

	"github.com/sockeye-io/sockeye/event"
)

// A List is a list of functions. The zero value is empty. All methods are safe for concurrent use.
type List[F any] struct {
	mu   sync.Mutex
	list []*F // replaced, never modified, so that a snapshot stays as it is
}

// Add appends f and returns what removes it.
func (l *List[F]) Add(f F) event.Subscription {
	p := &f
	l.mu.Lock()
	l.list = append(l.list[:len(l.list):len(l.list)], p)
	l.mu.Unlock()
	return event.NewSubscription(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.list = slices.DeleteFunc(slices.Clone(l.list), func(q *F) bool { return p == q })
	})
}

// Snapshot returns the functions in the order in which they were added. The slice must not be modified.
func (l *List[F]) Snapshot() []*F {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.list
}

// Start begins with the functions of a snapshot, instead of none.
func (l *List[F]) Start(snapshot []*F) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = snapshot
}
