package socketio

import (
	"hash/maphash"
	"sync"
	"sync/atomic"

	"github.com/sockeye-io/sockeye/adapter"
)

// A member is a socket's place in its namespace: what the room index holds and what broadcasts are delivered to. It
// lives as long as the session: with connection state recovery that is longer than the connection, and a Socket that
// recovers takes over the member of the one before it.
//
// Locks are taken in the order member.mu, then Namespace.mu or shard.mu, then roomEvents.mu.
type member struct {
	id   string
	ns   *Namespace
	sock atomic.Pointer[Socket] // whom messages go to
	pos  int                    // in ns.members; guarded by ns.mu

	mu    sync.Mutex
	rooms []*room // without the one of the id
	away  bool    // the client may come back; rooms don't count this member
	gone  bool    // in no room any more, for ever
	holds bool    // counts as a user of the namespace, in place of a socket
	log   *eventLog
}

// A room is a set of members. It is guarded by its shard.
type room struct {
	name    string
	members []*member
	pos     map[*member]int // where in members; only kept for rooms with more than smallRoom of them
	live    int             // members that are not away
}

// smallRoom is up to which size a linear search is as good as a map, which costs 40 bytes for each member.
const smallRoom = 16

func (r *room) find(m *member) int {
	if r.pos != nil {
		if i, ok := r.pos[m]; ok {
			return i
		}
		return -1
	}
	for i, other := range r.members {
		if other == m {
			return i
		}
	}
	return -1
}

func (r *room) add(m *member) {
	r.members = append(r.members, m)
	switch {
	case r.pos != nil:
		r.pos[m] = len(r.members) - 1
	case len(r.members) > smallRoom:
		r.pos = make(map[*member]int, 2*smallRoom)
		for i, other := range r.members {
			r.pos[other] = i
		}
	}
}

func (r *room) removeAt(i int) {
	last := len(r.members) - 1
	m, moved := r.members[i], r.members[last]
	r.members[i] = moved
	r.members[last] = nil
	r.members = r.members[:last]
	if r.pos != nil {
		delete(r.pos, m)
		if moved != m {
			r.pos[moved] = i
		}
		if last <= smallRoom/2 {
			r.pos = nil
		}
	}
}

const shardCount = 16

// An index finds the members of a room. Each room lives in one shard, so that what happens to a room happens under
// one lock.
type index struct {
	seed   maphash.Seed
	shards [shardCount]shard
	events roomEvents
}

type shard struct {
	mu    sync.RWMutex
	rooms map[string]*room
	_     [32]byte // a cache line for each
}

func (x *index) shard(name string) *shard {
	return &x.shards[maphash.String(x.seed, name)%shardCount]
}

// join puts m into a room. m.mu is held.
func (x *index) join(m *member, name string) {
	sh := x.shard(name)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	r := sh.rooms[name]
	if r == nil {
		if sh.rooms == nil {
			sh.rooms = make(map[string]*room)
		}
		r = &room{name: name}
		sh.rooms[name] = r
	} else if r.find(m) >= 0 {
		return
	}
	r.add(m)
	m.rooms = append(m.rooms, r)
	if !m.away {
		x.enter(r, m, false)
	}
}

// leave takes m out of a room that it is in. The caller, who holds m.mu, sees to m.rooms.
func (x *index) leave(m *member, r *room) {
	sh := x.shard(r.name)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	r.removeAt(r.find(m))
	if !m.away {
		x.exit(r, m, false)
	}
	if len(r.members) == 0 {
		delete(sh.rooms, r.name)
	}
}

// setAway says for all rooms of m whether it counts. m.mu is held.
func (x *index) setAway(m *member, away bool) {
	if m.away == away {
		return
	}
	m.away = away
	for _, r := range m.rooms {
		sh := x.shard(r.name)
		sh.mu.Lock()
		if away {
			x.exit(r, m, true)
		} else {
			x.enter(r, m, true)
		}
		sh.mu.Unlock()
	}
}

// enter and exit keep count of those who are there; the shard is locked. Away says that m stays a member throughout.
func (x *index) enter(r *room, m *member, away bool) {
	r.live++
	if x.events.active.Load() {
		if r.live == 1 {
			x.events.push(RoomEvent{Kind: RoomCreated, Room: r.name})
		}
		x.events.push(RoomEvent{RoomJoined, r.name, m.id, away})
	}
}

func (x *index) exit(r *room, m *member, away bool) {
	r.live--
	if x.events.active.Load() {
		x.events.push(RoomEvent{RoomLeft, r.name, m.id, away})
		if r.live == 0 {
			x.events.push(RoomEvent{Kind: RoomDeleted, Room: r.name})
		}
	}
}

// appendMembers appends the members of a room, those away included.
func (x *index) appendMembers(dst []*member, name string) []*member {
	sh := x.shard(name)
	sh.mu.RLock()
	if r := sh.rooms[name]; r != nil {
		dst = append(dst, r.members...)
	}
	sh.mu.RUnlock()
	return dst
}

// live returns how many are in the room at present.
func (x *index) live(name string) int {
	sh := x.shard(name)
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	if r := sh.rooms[name]; r != nil {
		return r.live
	}
	return 0
}

// names returns the rooms that somebody is in.
func (x *index) names() []string {
	var names []string
	for i := range x.shards {
		sh := &x.shards[i]
		sh.mu.RLock()
		for name, r := range sh.rooms {
			if r.live > 0 {
				names = append(names, name)
			}
		}
		sh.mu.RUnlock()
	}
	return names
}

// join puts the member into rooms, unless its session has ended.
func (m *member) join(rooms []string) {
	m.mu.Lock()
	if !m.gone {
		for _, name := range rooms {
			if name != m.id {
				if m.log != nil && m.log.shared != nil {
					m.log.shared.joining(name)
				}
				m.ns.index.join(m, name)
			}
		}
	}
	m.mu.Unlock()
	m.changed()
	m.ns.index.events.drain()
}

func (m *member) leave(rooms []string) {
	m.mu.Lock()
	for _, name := range rooms {
		for i, r := range m.rooms {
			if r.name == name {
				m.ns.index.leave(m, r)
				if m.log != nil && m.log.shared != nil {
					m.log.shared.left(name)
				}
				last := len(m.rooms) - 1
				m.rooms[i] = m.rooms[last]
				m.rooms[last] = nil
				m.rooms = m.rooms[:last]
				break
			}
		}
	}
	m.mu.Unlock()
	m.changed()
	m.ns.index.events.drain()
}

// roomNames returns the rooms, the id first. It is empty after the end of the session.
func (m *member) roomNames() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.gone {
		return nil
	}
	return m.names()
}

func (m *member) names() []string {
	names := make([]string, 0, 1+len(m.rooms))
	names = append(names, m.id)
	for _, r := range m.rooms {
		names = append(names, r.name)
	}
	return names
}

// ended reports whether the session has ended.
func (m *member) ended() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.gone
}

// remove ends the session: the member leaves all rooms and the namespace for ever.
func (m *member) remove() {
	m.mu.Lock()
	release := m.removeLocked()
	m.mu.Unlock()
	m.ns.index.events.drain()
	if release {
		m.ns.release()
	}
}

// removeLocked reports whether the namespace has to be released, which can't be done with m.mu held.
func (m *member) removeLocked() (release bool) {
	if m.gone {
		return false
	}
	release, m.holds = m.holds, false
	m.gone = true
	for _, r := range m.rooms {
		m.ns.index.leave(m, r)
	}
	m.rooms = nil
	m.ns.removeMember(m)
	if m.log != nil {
		m.log.drop(len(m.log.entries), m.ns.server.store)
		m.ns.server.store.exit(m)
	}
	return release
}

// A selection is the members that an operation is for, gathered so that no lock is held while they are served.
// It is pooled: nothing is allocated for a recipient.
type selection struct {
	members []*member
	seen    map[*member]struct{}
}

var selections = sync.Pool{New: func() any { return new(selection) }}

// maxPooledSelection keeps the largest broadcast of all from living on in the pool.
const maxPooledSelection = 1 << 16

func (sel *selection) release() {
	if cap(sel.members) > maxPooledSelection {
		return
	}
	clear(sel.members)
	sel.members = sel.members[:0]
	clear(sel.seen)
	selections.Put(sel)
}

// choose gathers the members that t is for, each once, those away included.
func (ns *Namespace) choose(t *adapter.Target) *selection {
	sel := selections.Get().(*selection)
	switch len(t.Rooms) {
	case 0:
		ns.mu.RLock()
		sel.members = append(sel.members, ns.members...)
		ns.mu.RUnlock()
	case 1:
		sel.members = ns.appendRoom(sel.members, t.Rooms[0])
	default:
		for _, name := range t.Rooms {
			sel.members = ns.appendRoom(sel.members, name)
		}
		sel.keep(func(m *member) bool { return sel.first(m) })
		clear(sel.seen)
	}
	if len(t.Except) > 0 && len(sel.members) > 0 {
		n := len(sel.members)
		for _, name := range t.Except {
			sel.members = ns.appendRoom(sel.members, name)
		}
		excluded := sel.members[n:]
		sel.members = sel.members[:n]
		if len(excluded) == 1 {
			one := excluded[0]
			sel.keep(func(m *member) bool { return m != one })
		} else if len(excluded) > 1 {
			for _, m := range excluded {
				sel.first(m)
			}
			sel.keep(func(m *member) bool { _, is := sel.seen[m]; return !is })
		}
		clear(excluded)
	}
	return sel
}

// first reports whether m was not seen before.
func (sel *selection) first(m *member) bool {
	if _, ok := sel.seen[m]; ok {
		return false
	}
	if sel.seen == nil {
		sel.seen = make(map[*member]struct{})
	}
	sel.seen[m] = struct{}{}
	return true
}

func (sel *selection) keep(wanted func(*member) bool) {
	kept := sel.members[:0]
	for _, m := range sel.members {
		if wanted(m) {
			kept = append(kept, m)
		}
	}
	clear(sel.members[len(kept):])
	sel.members = kept
}

// appendRoom appends the members of a room and the one whose id the room is, each once.
func (ns *Namespace) appendRoom(dst []*member, name string) []*member {
	dst = ns.index.appendMembers(dst, name)
	if m := ns.byID(name); m != nil {
		dst = append(dst, m) // its own room is never in the index, so it is not there yet
	}
	return dst
}

// byID returns the member with the id, or nil.
func (ns *Namespace) byID(id string) *member {
	ns.mu.RLock()
	defer ns.mu.RUnlock()
	return ns.ids[id]
}

// addMember makes m a target of broadcasts.
func (ns *Namespace) addMember(m *member) {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	m.pos = len(ns.members)
	ns.members = append(ns.members, m)
	ns.ids[m.id] = m
}

func (ns *Namespace) removeMember(m *member) {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	if ns.ids[m.id] != m {
		return // it never became one
	}
	delete(ns.ids, m.id)
	last := len(ns.members) - 1
	moved := ns.members[last]
	ns.members[m.pos] = moved
	moved.pos = m.pos
	ns.members[last] = nil
	ns.members = ns.members[:last]
}
