package chat

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sockeye-io/sockeye/event"
)

// Limits bounds what visitors can make the server remember or send. Zero fields take the value in brackets.
type Limits struct {
	Users        int           `json:"-"`            // visitors at a time [500]
	Rooms        int           `json:"-"`            // rooms at a time [200]
	RoomsPerUser int           `json:"roomsPerUser"` // rooms one visitor is in [6]
	History      int           `json:"history"`      // messages a room remembers [100]
	Name         int           `json:"name"`         // runes of a name [24]
	Room         int           `json:"room"`         // runes of a room's name [24]
	Text         int           `json:"text"`         // runes of a message [2000]
	Burst        float64       `json:"-"`            // messages at once [8]
	Rate         float64       `json:"-"`            // messages a second after that [2]
	Listed       int           `json:"-"`            // rooms in the public list [30]
	Grace        time.Duration `json:"-"`            // how long a lost visitor keeps his place [30 s]
}

func (l Limits) withDefaults() Limits {
	l.Users = cmp.Or(l.Users, 500)
	l.Rooms = cmp.Or(l.Rooms, 200)
	l.RoomsPerUser = cmp.Or(l.RoomsPerUser, 6)
	l.History = cmp.Or(l.History, 100)
	l.Name = cmp.Or(l.Name, 24)
	l.Room = cmp.Or(l.Room, 24)
	l.Text = cmp.Or(l.Text, 2000)
	l.Burst = cmp.Or(l.Burst, 8)
	l.Rate = cmp.Or(l.Rate, 2)
	l.Listed = cmp.Or(l.Listed, 30)
	l.Grace = cmp.Or(l.Grace, 30*time.Second)
	return l
}

// User is a visitor as the others see him.
type User struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Away bool   `json:"away,omitzero"`
}

// Message is one thing said in a room. ID counts up from 1 within the room.
type Message struct {
	ID   uint64 `json:"id"`
	Room string `json:"room"`
	From User   `json:"from"`
	Text string `json:"text"`
	At   int64  `json:"at"`

	key string // what the sender's page calls it, to recognize a repetition
}

// RoomInfo is a line of the list of rooms.
type RoomInfo struct {
	Name   string `json:"name"`
	People int    `json:"people"`
}

// Presence says who did something in a room.
type Presence struct {
	Room string `json:"room"`
	User User   `json:"user"`
	On   bool   `json:"on,omitzero"`
}

// Joined answers the call "join".
type Joined struct {
	Room    string    `json:"room"`
	Members []User    `json:"members"`
	History []Message `json:"history"`
}

// outlet carries what the hub says to the sockets. Its methods are called with the hub's lock held, so that everybody sees
// the same order; they must not block and not call back.
type outlet interface {
	enter(id, room string)
	exit(id, room string)
	toRoom(room, except, event string, v any)
	toAll(event string, v any)
}

// hub is the state of the chat. Its methods may be called from any goroutine.
type hub struct {
	limits Limits
	out    outlet

	mu        sync.Mutex
	users     map[string]*user
	names     map[string]string // folded name → id of who has it
	rooms     map[string]*room
	listTimer *time.Timer
	guests    uint64
	closed    bool

	// In a cluster:
	node  string               // what this server is called
	share func(news)           // tells the other servers, called with the lock held; nil if there are none
	seen  map[string]time.Time // when they were last heard of

	stranger bool // one was heard of whose state is not known
}

type user struct {
	User
	key     string // a secret of the visitor's page; shows that a new connection is the one who is away
	rooms   map[string]*room
	say     bucket
	chatter bucket // typing notices, joins and renames
	leaving *time.Timer
	node    string // the server of a cluster that he is on; "" is this one
}

type room struct {
	name    string
	kept    bool // stays when the last visitor leaves
	members map[string]*user
	history []Message
	last    uint64
}

func newHub(l Limits, out outlet, kept ...string) *hub {
	h := &hub{
		limits: l.withDefaults(), out: out,
		users: map[string]*user{}, names: map[string]string{}, rooms: map[string]*room{},
	}
	for _, name := range kept {
		h.rooms[name] = &room{name: name, kept: true, members: map[string]*user{}}
	}
	return h
}

// arrive adds a visitor. The name he asked for is cleaned, made unique, or replaced by a guest's name. One who is away under
// the same key is let go: it is the same page on a new connection.
func (h *hub) arrive(id, name, key string) (User, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if key = cut(key, 40); key != "" {
		for _, u := range h.users {
			if (u.Away || u.node != "") && u.key == key {
				h.remove(u)
			}
		}
	}
	if h.closed || len(h.users) >= h.limits.Users {
		return User{}, errFull
	}
	if u := h.users[id]; u != nil {
		return u.User, nil
	}
	u := &user{
		User: User{ID: id}, key: key, rooms: map[string]*room{},
		say:     newBucket(h.limits.Burst, h.limits.Rate),
		chatter: newBucket(4*h.limits.Burst, 4*h.limits.Rate),
	}
	u.Name = h.claim(id, cleanName(name, h.limits.Name))
	h.users[id] = u
	h.listSoon()
	h.tellUser(u)
	return u.User, nil
}

// back ends the absence of a visitor whose connection was recovered; false: he was given up meanwhile.
func (h *hub) back(id string) (User, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	u := h.users[id]
	if u == nil {
		return User{}, false
	}
	if u.leaving != nil {
		u.leaving.Stop()
		u.leaving = nil
	}
	if u.Away {
		u.Away = false
		h.tellChange(u)
	}
	return u.User, true
}

// lost marks a visitor as away and lets him go when he is not back in time.
func (h *hub) lost(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	u := h.users[id]
	if u == nil || u.leaving != nil {
		return
	}
	u.Away = true
	var t *time.Timer
	t = time.AfterFunc(h.limits.Grace, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		// A visitor who came back and was lost again has another timer.
		if u := h.users[id]; u != nil && u.leaving == t {
			h.remove(u)
		}
	})
	u.leaving = t
	h.tellChange(u)
}

// gone removes a visitor who left on purpose.
func (h *hub) gone(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if u := h.users[id]; u != nil {
		h.remove(u)
	}
}

func (h *hub) join(id, name string) (Joined, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	u, err := h.active(id)
	if err != nil {
		return Joined{}, err
	}
	name = cleanRoom(name, h.limits.Room)
	if name == "" {
		return Joined{}, event.Errorf("bad_room", "A room's name needs at least one letter or digit.")
	}
	if !u.chatter.take() {
		return Joined{}, errSlowDown
	}
	r := h.rooms[name]
	if u.rooms[name] == nil {
		if len(u.rooms) >= h.limits.RoomsPerUser {
			return Joined{}, event.Errorf("too_many_rooms", "You can be in %d rooms at a time. Leave one first.", h.limits.RoomsPerUser)
		}
		if r == nil {
			if len(h.rooms) >= h.limits.Rooms {
				return Joined{}, event.Errorf("full", "There are %d rooms already. Join one of those.", h.limits.Rooms)
			}
			r = &room{name: name, members: map[string]*user{}}
			h.rooms[name] = r
		}
		h.out.toRoom(name, id, "joined", Presence{Room: name, User: u.User})
		r.members[id], u.rooms[name] = u, r
		// Under the lock: what is said from here on reaches the newcomer as an event, what was said before is in the history.
		h.out.enter(id, name)
		h.listSoon()
		h.tellUser(u)
	}
	members := make([]User, 0, len(r.members))
	for _, m := range r.members {
		members = append(members, m.User)
	}
	slices.SortFunc(members, func(a, b User) int {
		return cmp.Or(strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)), strings.Compare(a.ID, b.ID))
	})
	return Joined{Room: name, Members: members, History: append([]Message{}, r.history...)}, nil
}

func (h *hub) leave(id, name string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	u, err := h.active(id)
	if err != nil {
		return err
	}
	if r := u.rooms[name]; r != nil {
		h.part(u, r)
		h.out.exit(id, name)
		h.tellUser(u)
	}
	return nil
}

// sayIn adds a message to a room and tells the others. A page that is not sure whether a message got through sends it again
// with the same key, and is given the one that is there.
func (h *hub) sayIn(id, name, text, key string) (Message, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	u, err := h.active(id)
	if err != nil {
		return Message{}, err
	}
	r := u.rooms[name]
	if r == nil {
		return Message{}, errNotInRoom
	}
	if key != "" {
		key = cut(u.key+"/"+key, 80)
		if i := slices.IndexFunc(r.history, func(m Message) bool { return m.key == key }); i >= 0 {
			return r.history[i], nil
		}
	}
	text, ok := cleanText(text, h.limits.Text)
	if !ok {
		return Message{}, event.Errorf("bad_text", "A message can have %d characters.", h.limits.Text)
	}
	if text == "" {
		return Message{}, event.Errorf("bad_text", "There is nothing in this message.")
	}
	if !u.say.take() {
		return Message{}, errSlowDown
	}
	m := Message{Room: name, From: User{ID: u.ID, Name: u.Name}, Text: text, At: time.Now().UnixMilli(), key: key}
	h.tellOthers(news{Said: &saidThere{m, key}})
	return h.remember(r, m), nil
}

// remember gives a message its number, and tells the room.
func (h *hub) remember(r *room, m Message) Message {
	r.last++
	m.ID = r.last
	if len(r.history) >= h.limits.History {
		r.history = append(r.history[:0:0], r.history[1:]...)
	}
	r.history = append(r.history, m)
	h.out.toRoom(r.name, m.From.ID, "message", m)
	return m
}

// typing passes a notice on; one too many is dropped, since the next says the same.
func (h *hub) typing(id, name string, on bool) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	u, err := h.active(id)
	if err != nil {
		return err
	}
	if u.rooms[name] == nil {
		return errNotInRoom
	}
	if u.chatter.take() {
		p := Presence{Room: name, User: u.User, On: on}
		h.tellOthers(news{Typing: &p})
		h.out.toRoom(name, id, "typing", p)
	}
	return nil
}

func (h *hub) rename(id, name string) (User, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	u, err := h.active(id)
	if err != nil {
		return User{}, err
	}
	name = cleanName(name, h.limits.Name)
	if name == "" {
		return User{}, event.Errorf("bad_name", "A name needs something to read.")
	}
	if !u.chatter.take() {
		return User{}, errSlowDown
	}
	h.unclaim(u)
	u.Name = h.claim(id, name)
	h.tellChange(u)
	return u.User, nil
}

// list returns the busiest rooms, those that are always there first among equals.
func (h *hub) list() []RoomInfo {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.listLocked()
}

func (h *hub) listLocked() []RoomInfo {
	rooms := make([]*room, 0, len(h.rooms))
	for _, r := range h.rooms {
		rooms = append(rooms, r)
	}
	slices.SortFunc(rooms, func(a, b *room) int {
		if a.kept != b.kept {
			if a.kept {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(len(b.members), len(a.members)), strings.Compare(a.name, b.name))
	})
	infos := make([]RoomInfo, 0, min(len(rooms), h.limits.Listed))
	for _, r := range rooms[:min(len(rooms), h.limits.Listed)] {
		infos = append(infos, RoomInfo{Name: r.name, People: len(r.members)})
	}
	return infos
}

// people counts the visitors, those who are away included.
func (h *hub) people() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.users)
}

// close forgets everybody and stops the timers; later arrivals are refused.
func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for _, u := range h.users {
		if u.leaving != nil {
			u.leaving.Stop()
		}
	}
	clear(h.users)
	if h.listTimer != nil {
		h.listTimer.Stop()
	}
}

var (
	errFull      = event.Errorf("full", "The chat is full. Please come back in a few minutes.")
	errNotInRoom = event.Errorf("not_in_room", "Join the room first.")
	errSlowDown  = event.Errorf("slow_down", "That was a lot at once. Give it a second.")
)

func (h *hub) active(id string) (*user, error) {
	if u := h.users[id]; u != nil {
		return u, nil
	}
	return nil, event.Errorf("gone", "You were away for too long. Please reload.")
}

// remove lets a visitor go, for all servers.
func (h *hub) remove(u *user) {
	h.tellOthers(news{Gone: u.ID})
	h.drop(u)
}

func (h *hub) drop(u *user) {
	if u.leaving != nil {
		u.leaving.Stop()
	}
	for _, r := range u.rooms {
		h.part(u, r)
	}
	h.unclaim(u)
	delete(h.users, u.ID)
	h.listSoon()
}

func (h *hub) part(u *user, r *room) {
	delete(r.members, u.ID)
	delete(u.rooms, r.name)
	h.out.toRoom(r.name, u.ID, "left", Presence{Room: r.name, User: u.User})
	if len(r.members) == 0 && !r.kept {
		delete(h.rooms, r.name)
	}
	h.listSoon()
}

func (h *hub) tellChange(u *user) {
	for name := range u.rooms {
		h.out.toRoom(name, u.ID, "changed", Presence{Room: name, User: u.User})
	}
	h.tellUser(u)
}

// claim reserves a name nobody else has: the wanted one, or that with a number, or a guest's.
func (h *hub) claim(id, want string) string {
	// Other servers of a cluster count guests, too.
	for guest, taken := want == "", true; guest && taken; {
		h.guests++
		want = fmt.Sprintf("Guest %d", h.guests)
		_, taken = h.names[fold(want)]
	}
	name := want
	for n := 2; ; n++ {
		if _, taken := h.names[fold(name)]; !taken {
			h.names[fold(name)] = id
			return name
		}
		suffix := fmt.Sprintf(" %d", n)
		name = cut(want, h.limits.Name-len(suffix)) + suffix
	}
}

func fold(name string) string { return strings.ToLower(name) }

// listSoon tells everybody the list of rooms after a moment, so that a hundred joins make one list.
func (h *hub) listSoon() {
	if h.listTimer != nil || h.closed {
		return
	}
	h.listTimer = time.AfterFunc(300*time.Millisecond, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.listTimer = nil
		if !h.closed {
			h.out.toAll("rooms", h.listLocked())
		}
	})
}
