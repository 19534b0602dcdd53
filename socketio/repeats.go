package socketio

import (
	"container/list"
	"context"
	"reflect"
	"sync"
	"time"

	"github.com/sockeye-io/sockeye/event"
	"github.com/sockeye-io/sockeye/socketio/packet"
)

// RepeatsOptions bound what [DropRepeats] remembers. Zero means the default.
type RepeatsOptions struct {
	// MaxClients is how many clients are remembered; a client counts once for each namespace, from its first event on.
	// Those that were heard of least recently are forgotten first. Default 100,000, about 30 MB.
	MaxClients int
	// MaxBytes bounds the answers that are kept, together; the oldest are forgotten first, and with them their clients.
	// Default 16 MiB.
	MaxBytes int
	// MaxAge is how long a client is remembered after its last event. Default 24 hours.
	MaxAge time.Duration
	// Unanswered leaves an event without an acknowledgement when its handlers have returned nil and none of them has
	// answered, because they may do so later. By default it is acknowledged then.
	Unanswered bool
}

// DropRepeats returns a middleware for clients that send an event again until it is acknowledged, as those of package
// client do with Options.Retries: each of their events is then handled once. A repeat of an event that is being handled
// gets its answer too, on whichever connection came last; a repeat of one that was answered gets the same answer again.
//
// Such a client sends a name for itself when it joins, as "once" in its auth payload, and numbers its events in order: the
// acknowledgement id of a repeat is that of the first try. Since it has one event under way at a time, it is enough to
// remember the last number of each client, and the answer. Other clients are not concerned.
//
// An event counts as handled when it is acknowledged: by a handler; with an error that a handler returns; or, unless
// RepeatsOptions says otherwise, without arguments when all handlers have returned nil. An event that nobody listens to,
// not even by OnAny, is not acknowledged.
//
// What is remembered is in memory. A client that repeats an event after the server was started anew, or on another server
// of a cluster, or after it was forgotten for one of the limits, has it handled again.
//
// A client that comes back to its session is concerned although it passes no middlewares (see [RecoveryOptions]). For one
// that was on another server before, the middleware must be given to Use as it is, not called by another.
func DropRepeats(opts *RepeatsOptions) Middleware {
	r := &repeats{clients: make(map[repeaterKey]*repeater)}
	if opts != nil {
		r.opts = *opts
	}
	if r.opts.MaxClients <= 0 {
		r.opts.MaxClients = 100_000
	}
	if r.opts.MaxBytes <= 0 {
		r.opts.MaxBytes = 16 << 20
	}
	if r.opts.MaxAge <= 0 {
		r.opts.MaxAge = 24 * time.Hour
	}
	return r.middleware
}

func (r *repeats) middleware(_ context.Context, s *Socket) error {
	r.attach(s)
	return nil
}

// repeatsCode tells the middlewares of DropRepeats from others.
var repeatsCode = reflect.ValueOf((*repeats)(nil).middleware).Pointer()

// guardRecovered attaches DropRepeats to a socket that may pass no middlewares.
func (ns *Namespace) guardRecovered(s *Socket) {
	if r := s.m.log.repeats; r != nil {
		r.attach(s)
		return
	}
	for _, m := range ns.use.Snapshot() { // its session may come from another server
		if reflect.ValueOf(*m).Pointer() == repeatsCode {
			_ = (*m)(s.Context(), s)
		}
	}
}

// repeats are the clients that one DropRepeats knows.
type repeats struct {
	opts RepeatsOptions

	mu      sync.Mutex
	clients map[repeaterKey]*repeater
	oldest  list.List // of *repeater, by their last event
	bytes   int       // of answers
}

type repeaterKey struct{ namespace, once string }

// A repeater is a client that may send events again.
type repeater struct {
	key   repeaterKey
	place *list.Element // nil once it is forgotten
	heard time.Time     // of its last event

	next    uint64    // ids below were there
	present *Socket   // on which the answer to the last event is awaited, while it is handled
	answer  *delivery // to the last event
	size    int       // of the answer
}

// unrepeated is the first of the acknowledgement ids that such a client uses for events which it never sends again. They
// don't count up with the others.
const unrepeated = 1 << 52

// A guard is a socket under DropRepeats.
type guard struct {
	repeats *repeats
	once    string
}

// attach lets a socket's events pass through r, if its client sends events again.
func (r *repeats) attach(s *Socket) {
	var auth struct {
		Once string `json:"once"`
	}
	if s.Auth(&auth) != nil || !validOnce(auth.Once) {
		return
	}
	if s.m.log != nil {
		s.m.log.repeats = r // a socket that recovers the session may pass no middlewares
	}
	s.moreOf().guard.Store(&guard{r, auth.Once})
}

// validOnce reports whether a client's name for itself is what DropRepeats wants: 16 bytes in base64url.
func validOnce(s string) bool {
	if len(s) != 22 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// receiveGuarded is receiveEvent for an event that may be a repeat.
func (s *Socket) receiveGuarded(g *guard, p *packet.Packet, size int) bool {
	c, fresh := g.repeats.admit(g, s, p.ID)
	if !fresh {
		return true
	}
	id := p.ID
	ack := func(args ...any) error { return g.repeats.settle(c, s, id, args) }
	m := event.NewMessage(p.Event, p.Data, p.Attachments, ack)
	queued := s.pushEvent(task{run: func() { s.handleGuarded(g, c, m, id) }, size: size})
	if !queued {
		g.repeats.retract(c, id)
	}
	return queued
}

// handleGuarded handles an event, and sees to it that it is acknowledged if it was.
func (s *Socket) handleGuarded(g *guard, c *repeater, m *Message, id uint64) {
	handlers := s.handle(m)
	switch {
	case !m.WantsAck():
	case handlers == 0:
		g.repeats.retract(c, id) // the next try may find somebody
	case !g.repeats.opts.Unanswered:
		_ = m.Ack() // nothing in it can fail to be encoded, and an answer that can't be sent is kept
	}
}

// admit reports whether an event is new. If not, the client gets the answer to the first try, now or when it is there.
func (r *repeats) admit(g *guard, s *Socket, id uint64) (c *repeater, fresh bool) {
	r.mu.Lock()
	c = r.client(repeaterKey{s.ns.name, g.once})
	switch {
	case id >= c.next:
		c.next = id + 1
		c.present = s
		r.bytes -= c.size
		c.answer, c.size = nil, 0
		fresh = true
	case id+1 == c.next && c.answer == nil:
		c.present = s
	}
	answer := c.answer
	repeated := id+1 == c.next
	r.mu.Unlock()
	if repeated && answer != nil {
		_ = answer.write(s.conn) // a client that has gone will ask once more
	}
	return c, fresh
}

// client returns what is known of a client. r.mu is held.
func (r *repeats) client(key repeaterKey) *repeater {
	now := time.Now()
	c := r.clients[key]
	if c == nil {
		c = &repeater{key: key}
		r.clients[key] = c
		c.place = r.oldest.PushBack(c)
	} else {
		r.oldest.MoveToBack(c.place)
	}
	c.heard = now
	r.enforce(now)
	return c
}

// enforce forgets whom there is no room for, and whose time has come. r.mu is held.
func (r *repeats) enforce(now time.Time) {
	for e := r.oldest.Front(); e != nil; {
		c := e.Value.(*repeater)
		crowded := len(r.clients) > r.opts.MaxClients || r.bytes > r.opts.MaxBytes
		if !crowded && now.Sub(c.heard) <= r.opts.MaxAge {
			return
		}
		e = e.Next()
		// A repeat of what is being handled would be handled at the same time. But an answer may also never come.
		if c.present != nil && len(r.clients) <= 2*r.opts.MaxClients && now.Sub(c.heard) <= r.opts.MaxAge {
			continue
		}
		r.forget(c)
	}
}

// forget is called with r.mu held.
func (r *repeats) forget(c *repeater) {
	delete(r.clients, c.key)
	r.oldest.Remove(c.place)
	c.place = nil
	r.bytes -= c.size
	c.answer, c.size = nil, 0
}

// settle answers an event, and keeps the answer for the repeats of it.
func (r *repeats) settle(c *repeater, s *Socket, id uint64, args []any) error {
	d := new(delivery)
	h := packet.Header{Namespace: s.ns.name, ID: id, HasID: true}
	err := d.encode(s.ns.server, sizeOf(args), func(dst []byte) ([]byte, [][]byte, error) { return packet.AppendAck(dst, h, args) })
	if err != nil {
		return err
	}
	to := s
	r.mu.Lock()
	if c.next == id+1 && c.present != nil {
		to = c.present
		c.present = nil
		if c.place != nil {
			c.answer = d
			for _, m := range d.ms {
				c.size += m.Len() + messageOverhead
			}
			r.bytes += c.size
			r.enforce(time.Now())
		}
	}
	r.mu.Unlock()
	_ = d.write(to.conn) // a client that has gone will ask once more
	return nil
}

// retract makes an event that was not handled new again.
func (r *repeats) retract(c *repeater, id uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.next == id+1 && c.present != nil {
		c.next = id
		c.present = nil
	}
}
