package socketio

import (
	"iter"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/event"
	"github.com/sockeye-io/sockeye/internal/hooks"
)

// Aliases, so that a program that only serves need not import package event.
type (
	// Message is an incoming event.
	Message = event.Message
	// Handler handles an incoming event.
	Handler = event.Handler
	// Subscription removes a listener when closed.
	Subscription = event.Subscription
	// Ack is an acknowledgement.
	Ack = event.Ack
)

// A Namespace is a group of sockets of its own, with its own rooms, middlewares and events. A client may be in
// several over one connection. All methods are safe for concurrent use.
type Namespace struct {
	server  *Server
	name    string
	parent  *Parent // nil if made by Server.Of
	adapter atomic.Pointer[adapter.Adapter]
	cluster atomic.Pointer[clusterLog] // nil without recovery, or without a log

	ackID      atomic.Uint64
	offset     atomic.Uint64 // of the last event that can be recovered
	outgoing   atomic.Bool   // a socket has, or had, listeners of OnAnyOutgoing
	connect    hooks.List[func(*Socket)]
	events     sharedHandlers
	use        hooks.List[Middleware]
	fromPeers  namedHooks // OnServerSide
	peerEvents serial
	index      index

	mu      sync.RWMutex
	ids     map[string]*member
	members []*member
	users   int  // sockets, and clients that are about to become one
	closed  bool // cleaned up
}

// Name returns the name, such as "/" or "/chat".
func (ns *Namespace) Name() string { return ns.name }

// Server returns the server that the namespace belongs to.
func (ns *Namespace) Server() *Server { return ns.server }

// OnConnection calls f with every socket that joins from now on, before any of its events. Like a handler of the
// socket, f runs in its order: events are handled after it has returned.
func (ns *Namespace) OnConnection(f func(*Socket)) Subscription { return ns.connect.Add(f) }

// Use adds a middleware: it runs, after those added before, for every client that wants to join from now on.
func (ns *Namespace) Use(m Middleware) Subscription { return ns.use.Add(m) }

// Len returns how many sockets are connected on this server.
func (ns *Namespace) Len() int {
	ns.mu.RLock()
	defer ns.mu.RUnlock()
	n := 0
	for _, m := range ns.members {
		if m.sock.Load().Connected() {
			n++
		}
	}
	return n
}

// Socket returns the socket with the id if it is connected to this server, or nil.
func (ns *Namespace) Socket(id string) *Socket {
	if m := ns.byID(id); m != nil {
		if s := m.sock.Load(); s != nil && s.Connected() {
			return s
		}
	}
	return nil
}

// All returns the sockets that are connected to this server, as they were when the iteration began; one that goes away
// meanwhile is left out. No lock is held while the loop runs.
func (ns *Namespace) All() iter.Seq[*Socket] {
	return func(yield func(*Socket) bool) {
		for _, s := range ns.connected() {
			if s.Connected() && !yield(s) {
				return
			}
		}
	}
}

// RoomLen returns how many sockets of this server are in the room, in constant time.
func (ns *Namespace) RoomLen(room string) int {
	n := ns.index.live(room)
	if ns.Socket(room) != nil {
		n++ // the room that it has by its id is never in the index
	}
	return n
}

// Rooms returns the rooms that have sockets on this server, in no order, without those that sockets have by their id.
func (ns *Namespace) Rooms() []string { return ns.index.names() }

// connected returns the sockets of this server that are connected.
func (ns *Namespace) connected() []*Socket {
	ns.mu.RLock()
	members := slices.Clone(ns.members)
	ns.mu.RUnlock()
	sockets := make([]*Socket, 0, len(members))
	for _, m := range members {
		if s := m.sock.Load(); s != nil && s.Connected() {
			sockets = append(sockets, s)
		}
	}
	return sockets
}

// acquire counts a client that wants to join. It reports false if the namespace was cleaned up meanwhile.
func (ns *Namespace) acquire() bool {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	if ns.closed {
		return false
	}
	ns.users++
	return true
}

// release undoes acquire.
func (ns *Namespace) release() {
	ns.mu.Lock()
	ns.users--
	idle := ns.users == 0
	ns.mu.Unlock()
	if idle && ns.parent != nil && ns.server.opts.CleanupEmptyNamespaces {
		ns.server.forget(ns)
	}
}

func (ns *Namespace) attach(f adapter.Factory) {
	a := f(host{ns})
	if a == nil {
		return
	}
	if w, ok := a.(adapter.RoomWatcher); ok {
		ns.index.events.watch(w)
	}
	ns.adapter.Store(&a)
	if l, ok := a.(adapter.Log); ok && ns.server.store != nil {
		c := newClusterLog(ns, l)
		ns.cluster.Store(c)
		l.Follow(c)
	}
}

func (ns *Namespace) detach() {
	if c := ns.cluster.Load(); c != nil {
		c.close()
	}
	if a := ns.adapter.Swap(nil); a != nil {
		if err := (*a).Close(); err != nil {
			ns.server.log.Warn("socketio: closing adapter", "namespace", ns.name, "error", err)
		}
	}
}
