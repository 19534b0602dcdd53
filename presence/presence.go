package presence

import (
	"crypto/rand"
	"encoding/base64"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/sockeye-io/sockeye/socketio"
	"github.com/sockeye-io/sockeye/socketio/packet"
)

// A Presence is one server's view of who is where. Make one for each namespace, when the server starts. All methods are
// safe for concurrent use, and none waits for the network.
type Presence struct {
	ns   *socketio.Namespace
	opts Options
	subs []socketio.Subscription
	wake chan struct{}
	end  chan struct{} // closed by Close
	done chan struct{} // closed when the loop has said goodbye
	once sync.Once

	events events

	mu     sync.RWMutex
	closed bool
	view   view
	self   *server
	away   map[string]time.Time // until when sockets are kept whose clients are away
	gone   map[string]time.Time // the servers that said goodbye lately, so that what comes late doesn't revive them

	pending   pending
	due       due
	lastOut   time.Time
	fullAfter time.Time // the next full state is not sent before
	failing   bool      // what was sent last did not go out
}

// due is when the loop has something to do; the zero time is never.
type due struct {
	flush, full, away time.Time
}

// New watches the rooms of a namespace, those of sockets that are connected already included. Nil options are the
// defaults; options that contradict each other make it panic. It ends with Close, or when the server closes; a namespace
// of a pattern that is forgotten because it is empty does not end it.
func New(ns *socketio.Namespace, opts *Options) *Presence {
	o, err := opts.withDefaults(ns)
	if err != nil {
		panic(err.Error())
	}
	p := &Presence{
		ns: ns, opts: o,
		wake: make(chan struct{}, 1),
		end:  make(chan struct{}),
		done: make(chan struct{}),
		view: newView(),
		away: make(map[string]time.Time),
		gone: make(map[string]time.Time),
	}
	p.events.log = o.Logger
	p.view.changed = p.changed
	p.self = p.view.addServer(newID())
	p.self.name = o.Name
	p.self.started = time.Now().UnixMilli()
	p.self.synced = true
	p.subs = []socketio.Subscription{
		ns.OnServerSide(eventName, p.receive),
		ns.OnRoom(p.onRoom),
		ns.OnConnection(p.enter),
		ns.Server().OnClose(p.Close),
	}
	for s := range ns.All() {
		p.enter(s)
	}
	go p.loop()
	return p
}

// newID returns 16 characters that no other start of a server has.
func newID() string {
	var b [12]byte
	rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// Close tells the other servers that this one's members are gone, and forgets everything: from then on nobody is
// anywhere. Listeners are not called any more, but one that is running is not waited for.
func (p *Presence) Close() {
	p.once.Do(func() {
		for _, s := range p.subs {
			s.Close()
		}
		p.mu.Lock()
		p.closed = true
		p.events.stop()
		p.view = newView()
		p.view.changed = p.changed
		p.mu.Unlock()
		close(p.end)
	})
	<-p.done
}

// A Member is a socket in a room.
type Member struct {
	// ID is the socket's.
	ID string
	// Node is the server that it is connected to: its Options.Name, or its random id.
	Node string

	data jsontext.Value
}

// Data decodes what Options.Describe told of the socket into dst, a pointer. If it told nothing, dst stays as it is.
func (m Member) Data(dst any) error {
	if len(m.data) == 0 {
		return nil
	}
	return packet.Unmarshal(m.data, nil, dst)
}

func (p *person) member() Member { return Member{ID: p.id, Node: p.server.node(), data: p.data} }

// Count returns how many sockets are in a room, on all servers.
func (p *Presence) Count(room string) int {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if r := p.view.rooms[room]; r != nil {
		return len(r.members)
	}
	return 0
}

// Members returns the sockets that are in a room, on all servers, in no order.
func (p *Presence) Members(room string) []Member {
	p.mu.RLock()
	defer p.mu.RUnlock()
	r := p.view.rooms[room]
	if r == nil {
		return nil
	}
	members := make([]Member, 0, len(r.members))
	for _, who := range r.members {
		members = append(members, who.member())
	}
	return members
}

// Member returns the socket with the id if it is in the room, on whichever server.
func (p *Presence) Member(room, id string) (m Member, ok bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if r := p.view.rooms[room]; r != nil {
		if who := r.members[id]; who != nil {
			return who.member(), true
		}
	}
	return Member{}, false
}

// Rooms returns the rooms that somebody is in, on any server, in no order.
func (p *Presence) Rooms() []string {
	p.mu.RLock()
	defer p.mu.RUnlock()
	rooms := make([]string, 0, len(p.view.rooms))
	for name := range p.view.rooms {
		rooms = append(rooms, name)
	}
	return rooms
}

// A Server is one server of the cluster, as this one sees it.
type Server struct {
	ID     string // random, new with each start
	Node   string // as in Member
	Self   bool
	Places int // members, counted once for each room that they are in
	// Synced is false while what the server told is not known completely: for a moment after this one has started, and
	// after messages were lost.
	Synced bool
}

// Servers returns the servers that are known, this one included, in no order.
func (p *Presence) Servers() []Server {
	p.mu.RLock()
	defer p.mu.RUnlock()
	servers := make([]Server, 0, len(p.view.servers))
	for _, s := range p.view.servers {
		servers = append(servers, Server{ID: s.id, Node: s.node(), Self: s == p.self, Places: s.places, Synced: s.synced})
	}
	return servers
}
