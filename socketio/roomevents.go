package socketio

import (
	"sync"
	"sync/atomic"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/internal/hooks"
)

// A RoomEventKind says what happened to a room.
type RoomEventKind uint8

const (
	RoomCreated RoomEventKind = iota // the first socket is about to join
	RoomJoined                       // a socket joined
	RoomLeft                         // a socket left, or was disconnected
	RoomDeleted                      // the last socket left
)

// String returns the name that Node's adapter has for the event.
func (k RoomEventKind) String() string {
	return [...]string{"create-room", "join-room", "leave-room", "delete-room"}[k]
}

// A RoomEvent is something that happened to a room of this server.
type RoomEvent struct {
	Kind     RoomEventKind
	Room     string
	SocketID string // of RoomJoined and RoomLeft
	// Away is set in a RoomLeft of a socket whose connection broke and whose client may come back to its session (see
	// [RecoveryOptions]), and in the RoomJoined when it has. If it never does, no more is reported.
	Away bool
}

// roomEvents carries room events from under the lock of a shard, where their order is known, to listeners, who may
// call anything. Whoever changes a room delivers what is due, or leaves it to another who is doing so already.
type roomEvents struct {
	active    atomic.Bool
	listeners hooks.List[func(RoomEvent)]
	failed    func(error) // a listener panicked

	mu       sync.Mutex
	queue    []RoomEvent
	draining bool
	held     int // by who must not call listeners
}

func (e *roomEvents) push(ev RoomEvent) {
	e.mu.Lock()
	e.queue = append(e.queue, ev)
	e.mu.Unlock()
}

func (e *roomEvents) drain() {
	if !e.active.Load() {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.draining || e.held > 0 {
		return
	}
	e.draining = true
	for len(e.queue) > 0 {
		batch := e.queue
		e.queue = nil
		e.mu.Unlock()
		for _, ev := range batch {
			for _, f := range e.listeners.Snapshot() {
				if err := protect(func() error { (*f)(ev); return nil }); err != nil {
					e.failed(err)
				}
			}
		}
		e.mu.Lock()
	}
	e.draining = false
}

// hold has drain do nothing until unhold, which has another goroutine do it.
func (e *roomEvents) hold() {
	e.mu.Lock()
	e.held++
	e.mu.Unlock()
}

func (e *roomEvents) unhold(w *workers) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.held--
	if len(e.queue) > 0 {
		w.add()
		go func() {
			defer w.done()
			e.drain()
		}()
	}
}

// watch tells an adapter of the rooms that come and go.
func (e *roomEvents) watch(w adapter.RoomWatcher) {
	e.active.Store(true)
	e.listeners.Add(func(ev RoomEvent) {
		switch ev.Kind {
		case RoomCreated:
			w.RoomCreated(ev.Room)
		case RoomDeleted:
			w.RoomDeleted(ev.Room)
		}
	})
}

// OnRoom listens to rooms being created, joined, left and deleted on this server. The calls come one at a time and in
// order, not always before the operation that caused them has returned. The room that each socket has by its id is
// not reported, and what happened before the first listener was added isn't either. Listeners must not block.
func (ns *Namespace) OnRoom(f func(RoomEvent)) Subscription {
	ns.index.events.active.Store(true)
	return ns.index.events.listeners.Add(f)
}
