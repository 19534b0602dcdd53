package chat

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/sockeye-io/sockeye/socketio"
)

// The servers of a cluster each have a copy of the whole chat: what happens on one is told to the others, who apply it to
// their copy and tell their own visitors. Each numbers the messages of a room by itself, and says in [Welcome.Boot] that
// its numbers are its own. Who was told of a server that is silent for too long takes its visitors for gone.

// news is what servers tell each other.
type news struct {
	Node   string        `json:"node"`             // who tells
	User   *replicated   `json:"user,omitzero"`    // has come or changed
	Gone   string        `json:"gone,omitzero"`    // the id of a visitor
	Said   *saidThere    `json:"said,omitzero"`    // a message
	Typing *Presence     `json:"typing,omitzero"`  // a notice
	Bye    bool          `json:"bye,omitzero"`     // the server has left
	Users  []*replicated `json:"users,omitzero"`   // all of the server's own, in answer to one that has come
	Rooms  [][]saidThere `json:"history,omitzero"` // what was said in each room, in answer
}

type replicated struct {
	User  User     `json:"user"`
	Key   string   `json:"key,omitzero"`
	Rooms []string `json:"rooms,omitzero"`
}

type saidThere struct {
	Message Message `json:"message"`
	Key     string  `json:"key,omitzero"`
}

const (
	newsEvent  = "chat news"
	helloEvent = "chat hello"
	// aliveInterval is how often a server says that it is there, and aliveTimeout how long it may be silent.
	aliveInterval = 3 * time.Second
	aliveTimeout  = 10 * time.Second
)

// Replicate makes the chat one with those of the other servers of a cluster. It returns when their state is known, or ctx
// is done, and ends with Close. It is called before there are visitors.
func (c *Chat) Replicate(ctx context.Context, ns *socketio.Namespace) {
	h := c.hub
	ns.OnServerSide(newsEvent, func(_ context.Context, m *socketio.Message) error {
		var n news
		if err := m.Bind(&n); err != nil {
			return err
		}
		h.apply(n)
		return nil
	})
	ns.OnServerSide(helloEvent, func(_ context.Context, m *socketio.Message) error { return m.Ack(h.everything()) })
	h.mu.Lock()
	h.node = c.boot
	h.seen = make(map[string]time.Time)
	h.share = func(n news) {
		n.Node = c.boot
		if err := ns.ServerSideEmit(newsEvent, n); err != nil {
			c.log.Debug("chat: cannot tell the other servers", "err", err)
		}
	}
	h.mu.Unlock()
	c.ask(ctx, ns, true)
	c.stop, c.stopped = make(chan struct{}), make(chan struct{})
	go func() {
		defer close(c.stopped)
		ticker := time.NewTicker(aliveInterval)
		defer ticker.Stop()
		for {
			select {
			case <-c.stop:
				return
			case now := <-ticker.C:
				h.tell(news{})
				if h.sweep(now) {
					ctx, cancel := context.WithTimeout(context.Background(), aliveInterval)
					c.ask(ctx, ns, false)
					cancel()
				}
			}
		}
	}()
}

// ask asks the other servers for their state.
func (c *Chat) ask(ctx context.Context, ns *socketio.Namespace, history bool) {
	acks, err := ns.ServerSideEmitWithAck(ctx, helloEvent)
	if err != nil {
		c.log.Warn("chat: not every server has told its state", "err", err)
	}
	for _, ack := range acks {
		var n news
		if err := ack.Bind(&n); err == nil {
			if !history {
				n.Rooms = nil
			}
			c.hub.adopt(n)
		}
	}
}

// Leave tells the other servers of a cluster that this one is about to close.
func (c *Chat) Leave() {
	c.hub.mu.Lock()
	defer c.hub.mu.Unlock()
	c.hub.tellOthers(news{Bye: true})
	c.hub.share = nil
}

// tellOthers tells the other servers, if there are any; the lock is held.
func (h *hub) tellOthers(n news) {
	if h.share != nil {
		h.share(n)
	}
}

func (h *hub) tell(n news) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tellOthers(n)
}

// tellUser tells the other servers of a visitor of this one.
func (h *hub) tellUser(u *user) {
	if h.share != nil && u.node == "" {
		h.share(news{User: replicate(u)})
	}
}

func replicate(u *user) *replicated {
	return &replicated{User: u.User, Key: u.key, Rooms: slices.Sorted(maps.Keys(u.rooms))}
}

// everything returns what a server that has come must know.
func (h *hub) everything() news {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := news{Node: h.node}
	for _, u := range h.users {
		if u.node == "" {
			n.Users = append(n.Users, replicate(u))
		}
	}
	for _, r := range h.rooms {
		var said []saidThere
		for _, m := range r.history {
			said = append(said, saidThere{m, m.key})
		}
		if said != nil {
			n.Rooms = append(n.Rooms, said)
		}
	}
	return n
}

// adopt takes over the state of another server; history only while there are no visitors: it is numbered anew.
func (h *hub) adopt(n news) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	h.seen[n.Node] = time.Now()
	for _, u := range n.Users {
		h.applyUser(n.Node, u)
	}
	for _, said := range n.Rooms {
		if len(said) == 0 {
			continue
		}
		r := h.roomFor(said[0].Message.Room)
		for _, s := range said {
			known := slices.ContainsFunc(r.history, func(m Message) bool {
				return m.From.ID == s.Message.From.ID && m.At == s.Message.At && m.Text == s.Message.Text
			})
			if !known {
				s.Message.key = s.Key
				r.history = append(r.history, s.Message)
			}
		}
		slices.SortStableFunc(r.history, func(a, b Message) int { return cmp.Compare(a.At, b.At) })
		r.history = r.history[max(0, len(r.history)-h.limits.History):]
		for i := range r.history {
			r.history[i].ID = uint64(i + 1)
		}
		r.last = uint64(len(r.history))
	}
}

// apply does here what happened on another server.
func (h *hub) apply(n news) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || n.Node == "" || n.Node == h.node {
		return
	}
	if h.seen[n.Node].IsZero() && !n.Bye {
		h.stranger = true // what it said before was missed
	}
	h.seen[n.Node] = time.Now()
	switch {
	case n.User != nil:
		h.applyUser(n.Node, n.User)
	case n.Gone != "":
		// One of this server's visitors may have come back elsewhere.
		if u := h.users[n.Gone]; u != nil && (u.node == n.Node || u.node == "" && u.Away) {
			h.drop(u)
		}
	case n.Said != nil:
		m := n.Said.Message
		m.key = n.Said.Key
		h.remember(h.roomFor(m.Room), m)
	case n.Typing != nil:
		h.out.toRoom(n.Typing.Room, n.Typing.User.ID, "typing", *n.Typing)
	case n.Bye:
		h.forgetNode(n.Node)
	}
}

func (h *hub) applyUser(node string, x *replicated) {
	u := h.users[x.User.ID]
	if u == nil {
		// It may be the page of one who was on a server that has died, see arrive.
		for _, old := range h.users {
			if x.Key != "" && !x.User.Away && old.key == x.Key && (old.Away || old.node != "") {
				h.drop(old)
			}
		}
		u = &user{User: x.User, rooms: map[string]*room{}, node: node}
		if _, taken := h.names[fold(u.Name)]; !taken {
			h.names[fold(u.Name)] = u.ID
		}
		h.users[u.ID] = u
	} else if u.node != node {
		return
	}
	u.key = x.Key
	if u.User != x.User {
		h.unclaim(u)
		if _, taken := h.names[fold(x.User.Name)]; !taken {
			h.names[fold(x.User.Name)] = u.ID
		}
		u.User = x.User
		h.tellChange(u)
	}
	for name, r := range u.rooms {
		if !slices.Contains(x.Rooms, name) {
			h.part(u, r)
		}
	}
	for _, name := range x.Rooms {
		if u.rooms[name] == nil {
			r := h.roomFor(name)
			h.out.toRoom(name, u.ID, "joined", Presence{Room: name, User: u.User})
			r.members[u.ID], u.rooms[name] = u, r
		}
	}
	h.listSoon()
}

// roomFor returns a room that there is on another server.
func (h *hub) roomFor(name string) *room {
	r := h.rooms[name]
	if r == nil {
		r = &room{name: name, members: map[string]*user{}}
		h.rooms[name] = r
	}
	return r
}

// sweep takes visitors of servers that are silent for gone. It reports whether there are servers to be asked for their
// state.
func (h *hub) sweep(now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for node, at := range h.seen {
		if now.Sub(at) > aliveTimeout {
			h.forgetNode(node)
		}
	}
	stranger := h.stranger
	h.stranger = false
	return stranger
}

func (h *hub) forgetNode(node string) {
	delete(h.seen, node)
	for _, u := range h.users {
		if u.node == node {
			h.drop(u)
		}
	}
}

// unclaim gives a name back.
func (h *hub) unclaim(u *user) {
	if h.names[fold(u.Name)] == u.ID {
		delete(h.names, fold(u.Name))
	}
}
