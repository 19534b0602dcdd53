package cluster

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"sync"
	"time"

	"github.com/sockeye-io/sockeye/adapter"
)

// An Adapter is the [adapter.Adapter] of one namespace over a [Bus].
type Adapter struct {
	host adapter.Host
	uid  string
	bus  Bus
	opts Options

	mu       sync.Mutex
	closed   bool
	settled  chan struct{} // closed when the others have had time to say that they are there; nil if that is not needed
	servers  map[string]time.Time
	requests map[string]*request
	serving  map[string]func() // acknowledgements that this server collects for others
	counting bool              // the bus can count
	spoke    time.Time
	beat     *time.Timer
	check    *time.Timer
}

// NewUID returns a name for an adapter: 16 hexadecimal digits at random.
func NewUID() string {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// New returns the adapter of a namespace. The bus is ready to publish; what it receives it may hand to Receive from now
// on. Close closes the bus.
func New(host adapter.Host, uid string, bus Bus, opts *Options) *Adapter {
	a := &Adapter{
		host: host, uid: uid, bus: bus, opts: opts.withDefaults(),
		servers: make(map[string]time.Time), requests: make(map[string]*request), serving: make(map[string]func()),
	}
	n, err := bus.Servers(context.Background())
	a.counting = err != nil || n >= 0
	if a.counting {
		return a
	}
	a.settled = make(chan struct{})
	time.AfterFunc(a.opts.Settle, func() { close(a.settled) })
	a.publishQuietly(&Message{Type: InitialHeartbeat})
	a.mu.Lock()
	defer a.mu.Unlock()
	a.beat = time.AfterFunc(a.opts.HeartbeatInterval, a.heartbeat)
	return a
}

// Host returns the server's part of the namespace.
func (a *Adapter) Host() adapter.Host { return a.host }

// UID returns the name of the adapter.
func (a *Adapter) UID() string { return a.uid }

// publish sends a message in the name of this server.
func (a *Adapter) publish(m *Message) error {
	a.mu.Lock()
	closed := a.closed
	a.spoke = time.Now()
	a.mu.Unlock()
	if closed {
		return adapter.ErrClosed
	}
	m.UID, m.Namespace = a.uid, a.host.Namespace()
	return a.bus.Publish(m)
}

// publishQuietly is publish of what nobody waits for: that it failed shows in what comes next.
func (a *Adapter) publishQuietly(m *Message) { a.logged(a.publish(m)) }

func (a *Adapter) respond(to string, m *Message) {
	a.mu.Lock()
	closed := a.closed
	a.spoke = time.Now()
	a.mu.Unlock()
	if closed {
		return
	}
	m.UID, m.Namespace = a.uid, a.host.Namespace()
	a.logged(a.bus.Respond(to, m))
}

func (a *Adapter) logged(err error) {
	if err != nil {
		a.opts.Logger.Warn("adapter: cannot reach the other servers", "namespace", a.host.Namespace(), "error", err)
	}
}

// Broadcast implements [adapter.Adapter].
func (a *Adapter) Broadcast(p *adapter.Packet, t adapter.Target) error {
	return a.publish(&Message{Type: Broadcast, Packet: p, Target: t})
}

// Join implements [adapter.Adapter].
func (a *Adapter) Join(t adapter.Target, rooms []string) error {
	return a.publish(&Message{Type: Join, Target: t, Rooms: rooms})
}

// Leave implements [adapter.Adapter].
func (a *Adapter) Leave(t adapter.Target, rooms []string) error {
	return a.publish(&Message{Type: Leave, Target: t, Rooms: rooms})
}

// Disconnect implements [adapter.Adapter].
func (a *Adapter) Disconnect(t adapter.Target, closeConn bool) error {
	return a.publish(&Message{Type: Disconnect, Target: t, Close: closeConn})
}

// ServerSideEmit implements [adapter.Adapter].
func (a *Adapter) ServerSideEmit(p *adapter.Packet) error {
	return a.publish(&Message{Type: ServerSideEmit, Packet: p})
}

// Receive handles a message of another server. It is called by the bus, one call at a time.
func (a *Adapter) Receive(m *Message) {
	if m.UID == a.uid || (m.Namespace != "" && m.Namespace != a.host.Namespace()) {
		return
	}
	if !a.heard(m) {
		return // closed
	}
	switch m.Type {
	case InitialHeartbeat:
		a.publishQuietly(&Message{Type: Heartbeat})
	case Broadcast:
		if m.RequestID == "" {
			a.host.Broadcast(m.Packet, m.Target)
		} else {
			a.collect(m)
		}
	case Join:
		a.host.Join(m.Target, m.Rooms)
	case Leave:
		a.host.Leave(m.Target, m.Rooms)
	case Disconnect:
		a.host.Disconnect(m.Target, m.Close)
	case FetchSockets:
		a.respond(m.UID, &Message{Type: SocketsResponse, RequestID: m.RequestID, Sockets: a.host.Sockets(m.Target)})
	case ServerSideEmit:
		var answer func(*adapter.Packet)
		if m.RequestID != "" {
			answer = func(p *adapter.Packet) {
				a.respond(m.UID, &Message{Type: ServerSideResponse, RequestID: m.RequestID, Packet: p})
			}
		}
		a.host.ServerSideEmit(m.Packet, answer)
	case SocketsResponse, ServerSideResponse, BroadcastClientCount, BroadcastAck:
		a.answered(m)
	}
}

// collect asks the clients of this server for acknowledgements, for another one.
func (a *Adapter) collect(m *Message) {
	respond := func(answer *Message) {
		answer.RequestID = m.RequestID
		a.respond(m.UID, answer)
	}
	key := m.UID + m.RequestID
	// The count goes first, whatever comes meanwhile.
	var mu sync.Mutex
	var early []*adapter.Packet
	counted := false
	left := 0
	answer := func(p *adapter.Packet) {
		mu.Lock()
		defer mu.Unlock()
		if !counted {
			early = append(early, p)
			return
		}
		a.passOn(p, m.Leavers, respond)
		if left--; left == 0 {
			go a.forget(key) // which waits for this function to return
		}
	}
	n, cancel := a.host.BroadcastWithAck(m.Packet, m.Target, answer)
	mu.Lock()
	respond(&Message{Type: BroadcastClientCount, Clients: n})
	for _, p := range early {
		a.passOn(p, m.Leavers, respond)
	}
	counted, left = true, n-len(early)
	done := left == 0
	mu.Unlock()
	if done {
		cancel()
		return
	}
	timeout := m.Target.Timeout
	if timeout <= 0 {
		timeout = defaultRequestTimeout
	}
	timer := time.AfterFunc(timeout, func() { a.forget(key) })
	a.mu.Lock()
	a.serving[key] = func() { timer.Stop(); cancel() }
	closed := a.closed
	a.mu.Unlock()
	mu.Lock()
	done = left == 0
	mu.Unlock()
	if done || closed { // it was forgotten before it was remembered
		a.forget(key)
	}
}

func (a *Adapter) passOn(p *adapter.Packet, leavers bool, respond func(*Message)) {
	switch {
	case p != nil:
		respond(&Message{Type: BroadcastAck, Packet: p})
	case leavers:
		respond(&Message{Type: BroadcastAck, Left: true})
	}
}

// forget ends the collecting of acknowledgements for another server.
func (a *Adapter) forget(key string) {
	a.mu.Lock()
	cancel := a.serving[key]
	delete(a.serving, key)
	a.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}

// Close says goodbye and closes the bus. Those who wait for other servers get adapter.ErrClosed.
func (a *Adapter) Close() error {
	a.mu.Lock()
	if a.closed {
		a.mu.Unlock()
		return adapter.ErrClosed
	}
	a.mu.Unlock()
	a.publishQuietly(&Message{Type: Goodbye})
	a.mu.Lock()
	a.closed = true
	for _, t := range []*time.Timer{a.beat, a.check} {
		if t != nil {
			t.Stop()
		}
	}
	for _, r := range a.requests {
		r.end(adapter.ErrClosed)
	}
	serving := a.serving
	a.serving = make(map[string]func())
	a.mu.Unlock()
	for _, cancel := range serving {
		cancel()
	}
	return a.bus.Close()
}

// A watching adapter is told of rooms.
type watching struct {
	*Adapter
	adapter.RoomWatcher
}

// Watch returns a as an adapter that tells w which rooms have sockets here, for a bus that carries to a server only what
// concerns it.
func Watch(a *Adapter, w adapter.RoomWatcher) adapter.Adapter { return watching{a, w} }
