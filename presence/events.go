package presence

import (
	"fmt"
	"log/slog"
	"sync"

	"github.com/sockeye-io/sockeye/event"
	"github.com/sockeye-io/sockeye/internal/hooks"
)

// An EventKind says what happened.
type EventKind uint8

const (
	Joined EventKind = iota + 1 // a socket came into a room
	Left                        // a socket left a room
)

func (k EventKind) String() string {
	switch k {
	case Joined:
		return "joined"
	case Left:
		return "left"
	}
	return fmt.Sprintf("EventKind(%d)", uint8(k))
}

// An Event is a change of who is in a room, on any server.
type Event struct {
	Kind   EventKind
	Room   string
	Member Member
}

// OnChange calls f with every change from now on: one at a time, those of one server in the order in which they happened
// there, on a goroutine that exists while there are any. Methods of p called by f may be ahead of the event. For each
// room and socket, joined and left take turns.
//
// What f has not taken yet is kept, however much it is: f must not be slower than what happens.
func (p *Presence) OnChange(f func(Event)) event.Subscription { return p.events.listeners.Add(f) }

// changed is called by the view, with p.mu held.
func (p *Presence) changed(kind EventKind, r *room, who *person) {
	if len(p.events.listeners.Snapshot()) > 0 {
		p.events.push(Event{Kind: kind, Room: r.name, Member: who.member()})
	}
}

// events takes events from where their order is known to listeners, who may call anything.
type events struct {
	log       *slog.Logger
	listeners hooks.List[func(Event)]

	mu      sync.Mutex
	queue   []Event
	running bool
	stopped bool
}

func (e *events) push(ev Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopped {
		return
	}
	e.queue = append(e.queue, ev)
	if !e.running {
		e.running = true
		go e.run()
	}
}

func (e *events) run() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for len(e.queue) > 0 && !e.stopped {
		batch := e.queue
		e.queue = nil
		e.mu.Unlock()
		for _, ev := range batch {
			if e.isStopped() {
				break
			}
			for _, f := range e.listeners.Snapshot() {
				e.call(*f, ev)
			}
		}
		e.mu.Lock()
	}
	e.running = false
}

func (e *events) call(f func(Event), ev Event) {
	defer func() {
		if v := recover(); v != nil {
			e.log.Error("presence: panic in a listener of OnChange", "panic", v)
		}
	}()
	f(ev)
}

func (e *events) isStopped() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.stopped
}

func (e *events) stop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stopped = true
	e.queue = nil
}
