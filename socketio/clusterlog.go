package socketio

import (
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/socketio/packet"
)

// Connection state recovery on other servers.
//
// With an adapter that has a log, every event that can be recovered is appended to it, also one for a single socket, and
// nobody receives it before it comes back from there. So all servers deliver in one order, and one position tells what a
// client has. What a session is, is kept with the log too, and any server can go on with it: no member outlives its
// connection here.
//
// The reader of the log never runs code of the user, who might emit, and wait for the reader.

// A mark is a place in the log, as this server passed it: its numbers are quick to compare.
type mark struct {
	seq uint64
	pos string
}

// A clusterLog is the log of a namespace.
type clusterLog struct {
	ns    *Namespace
	log   adapter.Log
	owner string // begins the names of owners that this is
	keep  time.Duration

	begun, done atomic.Pointer[mark] // the entry that is being delivered, or was last
	listeners   serial               // of OnAnyOutgoing, for entries of other servers
	unsavable   sync.Once            // said that data can't be saved

	visits atomic.Uint64

	placed chan struct{} // closed when it is known where in the log this server is

	gate sync.Mutex // held while an entry is delivered; taken before all others
	seq  uint64     // guarded by gate

	mu     sync.Mutex
	live   map[string]*member // that are saved, by pid
	finals map[string]final   // of clients that left while they could not be saved
	timer  *time.Timer
	closed bool
}

// A final is the last save of a session, as long as it has not succeeded.
type final struct {
	session *adapter.Session
	create  bool // it has never been saved
}

func newClusterLog(ns *Namespace, l adapter.Log) *clusterLog {
	c := &clusterLog{
		ns: ns, log: l, owner: newID(), keep: ns.server.opts.Recovery.MaxDisconnection,
		live: make(map[string]*member), finals: make(map[string]final), placed: make(chan struct{}),
	}
	c.begun.Store(&mark{})
	c.done.Store(&mark{})
	c.timer = time.AfterFunc(c.refreshInterval(), c.refresh)
	return c
}

// close is called before the adapter is closed.
func (c *clusterLog) close() {
	c.mu.Lock()
	c.closed = true
	c.timer.Stop()
	c.mu.Unlock()
}

// Reached implements [adapter.LogHost].
func (c *clusterLog) Reached(position string) {
	c.gate.Lock()
	defer c.gate.Unlock()
	first := c.done.Load().pos == ""
	c.seq++
	m := &mark{c.seq, position}
	c.begun.Store(m)
	c.done.Store(m)
	if first {
		close(c.placed)
		c.placeEarly(position)
	}
}

// beginTimeout is how long a client waits that comes before this server knows where in the log it is. After that it is
// connected nevertheless, with a session that can be recovered from when the log is reached.
const beginTimeout = 2 * time.Second

func (c *clusterLog) awaitBeginning(s *Socket) {
	if c.done.Load().pos != "" {
		return
	}
	timeout := time.NewTimer(beginTimeout)
	defer timeout.Stop()
	select {
	case <-c.placed:
	case <-timeout.C:
	case <-s.Context().Done():
	}
}

// placeEarly tells sessions where they began that are older than this server's connection to the log.
func (c *clusterLog) placeEarly(position string) {
	c.mu.Lock()
	early := slices.Collect(maps.Values(c.live))
	c.mu.Unlock()
	for _, m := range early {
		m.mu.Lock()
		sh := m.log.shared
		if sh.start == "" && sh.floor == "" {
			sh.start = position
		}
		m.mu.Unlock()
		c.save(m, false)
	}
}

// Deliver implements [adapter.LogHost].
func (c *clusterLog) Deliver(e adapter.Entry, own bool) {
	c.gate.Lock()
	defer c.gate.Unlock()
	c.seq++
	m := &mark{c.seq, e.Position}
	c.begun.Store(m)
	defer c.done.Store(m)
	events := &c.ns.index.events
	switch e.Kind {
	case adapter.Event:
		c.deliverEvent(&e, m, own)
	case adapter.Join, adapter.Leave, adapter.Disconnect:
		if own {
			return // who appended it has done it, and waits
		}
		// Listeners of rooms are called by another goroutine.
		events.hold()
		defer events.unhold(&c.ns.server.work)
		h := host{c.ns}
		switch e.Kind {
		case adapter.Join:
			h.Join(e.Target, e.Rooms)
		case adapter.Leave:
			h.Leave(e.Target, e.Rooms)
		default:
			c.disconnect(e.Target, e.Close)
		}
	}
}

func (c *clusterLog) deliverEvent(e *adapter.Entry, m *mark, own bool) {
	d, err := c.delivery(e.Packet, &e.Target, m, true)
	if err != nil {
		c.ns.server.log.Warn("socketio: message of another server", "namespace", c.ns.name, "error", err)
		return
	}
	sel := c.ns.choose(&e.Target)
	defer sel.release()
	if !own && c.ns.outgoing.Load() {
		for _, m := range sel.members {
			if s := m.sock.Load(); s.Connected() {
				c.listeners.push(&c.ns.server.work, func() {
					s.notifyOutgoing(func() *Message { return messageOf(e.Packet, nil) })
				})
			}
		}
	}
	for _, m := range sel.members {
		m.deliver(d)
	}
}

// disconnect is host.Disconnect without what may call listeners of rooms of other namespaces.
func (c *clusterLog) disconnect(t adapter.Target, closeConn bool) {
	sel := c.ns.choose(&t)
	defer sel.release()
	for _, m := range sel.members {
		if m.endResuming() {
			continue
		}
		s := m.sock.Load()
		s.kick()
		if closeConn && s.conn != nil {
			c.ns.server.work.add()
			go func() {
				defer c.ns.server.work.done()
				s.Disconnect(true)
			}()
		}
	}
}

// delivery encodes a packet with a place in the log as its offset.
func (c *clusterLog) delivery(p *adapter.Packet, t *adapter.Target, at *mark, inLog bool) (*delivery, error) {
	if len(p.Data) < 3 || p.Data[0] != '[' || p.Data[len(p.Data)-1] != ']' {
		return nil, errors.New("socketio: packet of another server is not an event")
	}
	d := &delivery{volatile: t.Volatile, entry: &logged{mark: at, inLog: inLog}}
	if !inLog {
		d.entry.again = func(at *mark) (*delivery, error) { return c.delivery(p, t, at, false) }
	}
	h := packet.Header{Type: packet.Event, Namespace: c.ns.name}
	data := append(make(jsontext.Value, 0, len(p.Data)+len(at.pos)+4), p.Data...)
	if at.pos != "" {
		data, _ = jsontext.AppendQuote(append(data[:len(data)-1], ','), at.pos) // the error only tells of invalid UTF-8
		data = append(data, ']')
	}
	err := d.encode(c.ns.server, len(data)+len(c.ns.name)+16, func(dst []byte) ([]byte, [][]byte, error) {
		return packet.AppendRaw(dst, h, data, len(p.Attachments)), p.Attachments, nil
	})
	d.finish(emitOptions{volatile: t.Volatile, noCompress: t.NoCompress})
	return d, err
}

// passing is the delivery of an event that does not go through the log. It says how far the client is.
func (c *clusterLog) passing(o emitOptions, name string, args []any) (*delivery, error) {
	p, err := encodePacket(name, args)
	if err != nil {
		return nil, err
	}
	return c.delivery(p, &adapter.Target{Volatile: o.volatile, NoCompress: o.noCompress}, c.done.Load(), false)
}

// broadcast appends an event.
func (c *clusterLog) broadcast(t adapter.Target, name string, args []any) error {
	p, err := encodePacket(name, args)
	if err != nil {
		return err
	}
	if c.ns.outgoing.Load() {
		sel := c.ns.choose(&t)
		sel.notifyOutgoing(func() *Message { return messageOf(p, nil) })
		sel.release()
	}
	return c.log.Append(adapter.Operation{Kind: adapter.Event, Packet: p, Target: t})
}

// emit appends an event for one socket. It reports false if the socket is not connected yet: then the event is no part of
// the session.
func (c *clusterLog) emit(s *Socket, o emitOptions, name string, args []any) (bool, error) {
	switch s.state.Load() {
	case stateConnecting:
		return false, nil
	case stateClosed:
		s.m.mu.Lock()
		away := s.m.log.shared.away
		s.m.mu.Unlock()
		if !away {
			return true, ErrDisconnected
		}
	}
	return true, c.broadcast(adapter.Target{Rooms: []string{s.m.id}, NoCompress: o.noCompress}, name, args)
}

// shared is what a session has, instead of a log of its own, when there is one for all servers. It is guarded by
// member.mu.
type shared struct {
	c       *clusterLog
	owner   string // names this visit of the client
	start   string
	floor   string
	since   map[string]string // where the session is, by room
	stays   []adapter.Stay    // where it was
	active  bool              // it is saved
	foreign bool              // nobody knows which namespace's middlewares it has passed
	away    bool              // it has ended here, and may go on elsewhere
	last    *mark             // of the last event that was written
	saving  atomic.Bool       // a save has been asked for, and has not begun
	unsaved atomic.Bool       // not even once
	resumed *resumption       // until the client that comes back is connected
}

// maxStays bounds what is remembered of the rooms that one session was in before.
const maxStays = 64

func newShared(c *clusterLog) *shared {
	return &shared{c: c, owner: c.newOwner(), since: make(map[string]string)}
}

// joining and left note a change of rooms. m.mu is held.
func (sh *shared) joining(room string) {
	if _, in := sh.since[room]; !in {
		sh.since[room] = sh.c.done.Load().pos
	}
}

func (sh *shared) left(room string) {
	since, in := sh.since[room]
	if !in {
		return
	}
	delete(sh.since, room)
	sh.stays = append(sh.stays, adapter.Stay{Room: room, Since: since, Until: sh.c.begun.Load().pos})
	sh.trim()
}

func (sh *shared) trim() {
	for len(sh.stays) > maxStays {
		sh.floor = sh.stays[0].Until
		sh.stays = slices.Delete(sh.stays, 0, 1)
	}
}

// deliverShared is deliver with m.mu held.
func (m *member) deliverShared(d *delivery) bool {
	sh := m.log.shared
	if m.gone {
		return false
	}
	if sh.resumed != nil {
		if d.entry == nil || !d.entry.inLog {
			return false
		}
		sh.resumed.pending = append(sh.resumed.pending, d)
		return true
	}
	s := m.sock.Load()
	return s.Connected() && m.writeShared(d, s.conn) == nil
}

// sendShared is send, of what does not go through the log, with m.mu held.
func (m *member) sendShared(d *delivery, from *Socket) error {
	if m.gone || from.state.Load() == stateClosed {
		return ErrDisconnected
	}
	return m.writeShared(d, from.conn)
}

// writeShared writes an event with an offset that is true for this client: what it names was written before.
func (m *member) writeShared(d *delivery, conn *connection) error {
	sh := m.log.shared
	if e := d.entry; e != nil {
		at := e.mark
		switch {
		case sh.resumed != nil:
			at = sh.resumed.from
		case e.inLog:
			sh.last = at
		case sh.last != nil && at.seq < sh.last.seq:
			at = sh.last
		}
		if at != e.mark {
			var err error
			if d, err = e.again(at); err != nil {
				return err
			}
		}
	}
	return d.write(conn)
}
