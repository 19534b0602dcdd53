package presence

import (
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/sockeye-io/sockeye/socketio"
	"github.com/sockeye-io/sockeye/socketio/packet"
)

// What this server's own sockets do. Room events come one at a time and in order, but late; so a socket's own word is
// taken under p.mu only, and what it says is what later events change.

func (p *Presence) watched(room string) bool {
	return validRoom(room) && (p.opts.Rooms == nil || p.opts.Rooms(room))
}

// onRoom listens to the namespace.
func (p *Presence) onRoom(e socketio.RoomEvent) {
	if e.Kind != socketio.RoomJoined && e.Kind != socketio.RoomLeft || !p.watched(e.Room) {
		return
	}
	if e.Kind == socketio.RoomLeft {
		p.mu.Lock()
		defer p.mu.Unlock()
		if e.Away && p.opts.Away > 0 {
			p.keep(e.SocketID)
		} else {
			p.leave(e.Room, e.SocketID)
		}
		return
	}
	s := p.ns.Socket(e.SocketID)
	if s == nil {
		return // it is in a middleware, and comes to enter later if it is let in, or it is gone
	}
	data := p.describe(s)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.join(e.Room, e.SocketID, data)
}

// enter is called with sockets that have been connected: they may be in rooms already, and those that have recovered
// their session may have lost some.
func (p *Presence) enter(s *socketio.Socket) {
	var rooms []string // a room that is joined from now on comes to onRoom
	for _, name := range s.Rooms() {
		if name != s.ID() && p.watched(name) {
			rooms = append(rooms, name)
		}
	}
	if len(rooms) == 0 && !s.Recovered() {
		return
	}
	var data jsontext.Value
	if len(rooms) > 0 {
		data = p.describe(s)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now, ok := roomsOf(s)
	if !ok {
		return
	}
	for _, name := range rooms {
		if _, still := now[name]; still {
			p.join(name, s.ID(), data)
		}
	}
	p.settle(s.ID(), now)
}

// roomsOf returns the rooms of a socket that is connected.
func roomsOf(s *socketio.Socket) (rooms map[string]struct{}, ok bool) {
	names := s.Rooms()
	if !s.Connected() {
		return nil, false // names may not be what they were while it was
	}
	rooms = make(map[string]struct{}, len(names))
	for _, name := range names {
		rooms[name] = struct{}{}
	}
	return rooms, true
}

// describe returns what the others shall know of a socket, unless they do already.
func (p *Presence) describe(s *socketio.Socket) jsontext.Value {
	if p.opts.Describe == nil {
		return nil
	}
	p.mu.RLock()
	known := p.self.people[s.ID()] != nil
	p.mu.RUnlock()
	if known {
		return nil
	}
	v := p.opts.Describe(s)
	if v == nil {
		return nil
	}
	text, err := packet.AppendValue(nil, packet.Header{Type: packet.Connect}, v)
	if err != nil {
		p.opts.Logger.Warn("presence: what Describe returned can't be encoded", "socket", s.ID(), "error", err)
		return nil
	}
	data := jsontext.Value(text[1:])
	if len(data) > p.opts.MaxDataBytes {
		p.opts.Logger.Warn("presence: what Describe returned is too long", "socket", s.ID(), "bytes", len(data))
		return nil
	}
	return data
}

// join, leave and what follows are called with p.mu held.
func (p *Presence) join(room, id string, data jsontext.Value) {
	if !p.closed && p.view.join(p.self, room, id, data) {
		p.note(room, id, true, p.self.people[id].data)
	}
}

func (p *Presence) leave(room, id string) {
	who := p.self.people[id]
	if p.closed || who == nil || !p.view.leave(p.self, room, id) {
		return
	}
	if len(who.rooms) == 0 {
		p.pending.left(id, who.data)
	}
	p.note(room, id, false, who.data)
}

func (p *Presence) note(room, id string, joined bool, data jsontext.Value) {
	p.pending.note(room, id, joined, data)
	if p.due.flush.IsZero() && !p.pending.empty() {
		p.due.flush = time.Now().Add(p.opts.Coalesce)
		p.poke()
	}
}

// keep leaves a socket where it is although its client is away.
func (p *Presence) keep(id string) {
	if p.closed || p.self.people[id] == nil {
		return
	}
	until := time.Now().Add(p.opts.Away)
	p.away[id] = until
	if p.due.away.IsZero() {
		p.due.away = until
		p.poke()
	}
}

// settle is for a socket that was away and is in these rooms now.
func (p *Presence) settle(id string, rooms map[string]struct{}) {
	if _, ok := p.away[id]; !ok {
		return
	}
	delete(p.away, id)
	who := p.self.people[id]
	if who == nil {
		return
	}
	var lost []string
	for _, r := range who.rooms {
		if _, ok := rooms[r.name]; !ok {
			lost = append(lost, r.name)
		}
	}
	for _, name := range lost {
		p.leave(name, id)
	}
}

// expire removes those who have not come back in time.
func (p *Presence) expire(now time.Time) {
	p.due.away = time.Time{}
	for id, until := range p.away {
		if until.After(now) {
			if p.due.away.IsZero() || until.Before(p.due.away) {
				p.due.away = until
			}
			continue
		}
		var rooms map[string]struct{}
		if s := p.ns.Socket(id); s != nil {
			rooms, _ = roomsOf(s) // it is back, and about to enter
		}
		p.settle(id, rooms)
	}
}

// elsewhere is called when another server has the socket with the id: if it is away here, it has come back there.
func (p *Presence) elsewhere(id string) {
	if _, ok := p.away[id]; ok {
		p.settle(id, nil)
	}
}
