package presence

import (
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// A view is what is known of all servers. It is guarded by the Presence.
type view struct {
	rooms   map[string]*room
	servers map[string]*server
	changed func(kind EventKind, r *room, p *person)
}

type room struct {
	name    string
	members map[string]*person
	// twice has those members of other servers than the one in members who are the same socket: a client that came back
	// on another server before its first one has noticed. Newest last; nil while there are none.
	twice map[string][]*person
}

// A person is a socket of a server, in at least one room.
type person struct {
	id     string
	data   jsontext.Value
	server *server
	rooms  []*room
}

type server struct {
	id      string
	name    string
	started int64
	people  map[string]*person
	places  int // persons, counted once for each room

	// Of the others.
	seq      uint64 // the last number that was heard
	synced   bool   // all that it told is known
	heard    time.Time
	incoming []op // of the full state that is coming in
	filling  bool // it is, without a gap so far
	askAt    time.Time
	asked    int // how often it was asked in vain
}

func newView() view {
	return view{rooms: make(map[string]*room), servers: make(map[string]*server)}
}

func (v *view) addServer(id string) *server {
	s := &server{id: id, people: make(map[string]*person)}
	v.servers[id] = s
	return s
}

func (s *server) node() string {
	if s.name != "" {
		return s.name
	}
	return s.id
}

func (r *room) has(p *person) bool {
	return r.members[p.id] == p || slices.Contains(r.twice[p.id], p)
}

// join puts a socket into a room, and reports whether it was not there. Data is kept if it was unknown.
func (v *view) join(s *server, roomName, id string, data jsontext.Value) bool {
	p := s.people[id]
	if p == nil {
		p = &person{id: id, server: s}
		s.people[id] = p
	}
	if data != nil {
		p.data = data
	}
	r := v.rooms[roomName]
	if r == nil {
		r = &room{name: roomName, members: make(map[string]*person, 1)}
		v.rooms[roomName] = r
	} else if r.has(p) {
		return false
	}
	p.rooms = append(p.rooms, r)
	s.places++
	other := r.members[id]
	r.members[id] = p
	if other == nil {
		v.changed(Joined, r, p)
		return true
	}
	if r.twice == nil {
		r.twice = make(map[string][]*person)
	}
	r.twice[id] = append(r.twice[id], other)
	return true
}

// leave takes a socket out of a room, and reports whether it was there.
func (v *view) leave(s *server, roomName, id string) bool {
	p, r := s.people[id], v.rooms[roomName]
	if p == nil || r == nil || !r.has(p) {
		return false
	}
	if i := slices.Index(p.rooms, r); i == 0 {
		p.rooms = p.rooms[1:] // mostly the rooms are left in the order in which they were joined
	} else {
		p.rooms = slices.Delete(p.rooms, i, i+1)
	}
	v.part(p, r)
	return true
}

// part takes p out of r; the caller sees to p.rooms.
func (v *view) part(p *person, r *room) {
	s := p.server
	s.places--
	if len(p.rooms) == 0 {
		delete(s.people, p.id)
	}
	others := r.twice[p.id]
	switch {
	case r.members[p.id] != p:
		others = slices.DeleteFunc(others, func(o *person) bool { return o == p })
	case len(others) > 0:
		r.members[p.id] = others[len(others)-1]
		others = others[:len(others)-1]
	default:
		delete(r.members, p.id)
		v.changed(Left, r, p)
	}
	if len(others) > 0 {
		r.twice[p.id] = others
	} else if r.twice != nil {
		delete(r.twice, p.id)
	}
	if len(r.members) == 0 {
		delete(v.rooms, r.name)
	}
}

// remove takes a socket out of all rooms.
func (v *view) remove(p *person) {
	rooms := p.rooms
	p.rooms = nil
	for _, r := range rooms {
		v.part(p, r)
	}
}

// removeServer forgets a server with its members.
func (v *view) removeServer(s *server) {
	for _, p := range s.people {
		v.remove(p)
	}
	delete(v.servers, s.id)
}

// apply does what a server told.
func (v *view) apply(s *server, ops []op) {
	for _, o := range ops {
		for _, id := range o.Left {
			v.leave(s, o.Room, id)
		}
		for _, id := range o.Joined {
			v.join(s, o.Room, id, o.Data[id])
		}
	}
}

// replace makes the ops, which are everything, all that is known of a server.
func (v *view) replace(s *server, ops []op) {
	there := make(map[string]map[string]struct{})
	for _, o := range ops {
		ids := there[o.Room]
		if ids == nil {
			ids = make(map[string]struct{}, len(o.Joined))
			there[o.Room] = ids
		}
		for _, id := range o.Joined {
			ids[id] = struct{}{}
		}
	}
	var gone []place
	for id, p := range s.people {
		for _, r := range p.rooms {
			if _, ok := there[r.name][id]; !ok {
				gone = append(gone, place{r.name, id})
			}
		}
	}
	for _, g := range gone {
		v.leave(s, g.room, g.id)
	}
	v.apply(s, ops)
}
