package socketio

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/socketio/packet"
)

// A resumption is what a client is sent that comes back.
type resumption struct {
	session *adapter.Session // as it was taken
	from    *mark            // what the client has
	until   *mark            // what missed reaches up to
	missed  []*delivery
	pending []*delivery // behind them, since the member is in its rooms again
}

// resumeTimeout bounds the reading of what a client has missed, and the waiting for this server to be where it was.
const resumeTimeout = 5 * time.Second

// resume gives a new socket the session that its client asks for, from whatever server, if it can be had.
func (c *clusterLog) resume(s *Socket, pid, offset string) bool {
	if len(pid) > 100 {
		return false
	}
	ctx, cancel := context.WithTimeout(s.Context(), 2*resumeTimeout)
	defer cancel()
	held, err := c.log.LoadSession(ctx, pid)
	if err != nil || held == nil || held.Namespace != "" && held.Namespace != c.ns.name || !c.claimable(ctx, held) {
		return false
	}
	session, err := c.log.TakeSession(ctx, pid, held.Owner)
	if err != nil || session == nil {
		return false
	}
	c.mu.Lock()
	if last := c.finals[pid].session; last != nil && session.Owner == last.Owner {
		session = last // could not be saved
	}
	delete(c.finals, pid)
	c.mu.Unlock()
	r, err := c.replay(ctx, session, offset)
	if err == nil && s.conn.hasEnded() {
		r.remove()
		err = context.Canceled
	}
	switch {
	case err == nil:
	case errors.Is(err, errNotResumable), errors.Is(err, adapter.ErrTrimmed):
		return false
	default:
		// It may have been an attempt that the client gave up long ago, or the log can't be read at this moment.
		c.putBack(session)
		return false
	}
	s.m, s.recovered, s.data = r.m, true, r.data
	r.m.sock.Store(s)
	return true
}

func (c *clusterLog) putBack(session *adapter.Session) {
	back := *session
	back.Owner, back.Away = c.newOwner(), true
	_ = c.log.SaveSession(back.PID, true, c.keep, func() *adapter.Session { return &back }, func(error) {})
}

var errNotResumable = errors.New("socketio: session can't be recovered")

// A replay goes through the log as one session would have.
type replay struct {
	c       *clusterLog
	ctx     context.Context
	session *adapter.Session
	rooms   map[string]string // in which it is, and since when
	stays   []adapter.Stay
	missed  []*delivery
	bytes   int
	from    string // what the client has
	at      *mark
	err     error

	m    *member
	data any
}

// replay reads what a client has missed, and makes it a member again that the entries behind that are delivered to.
func (c *clusterLog) replay(ctx context.Context, session *adapter.Session, offset string) (*replay, error) {
	r := &replay{c: c, ctx: ctx, session: session, rooms: make(map[string]string)}
	foreign := session.At == "" // of a server that only says in which rooms it was
	for _, stay := range session.Stays {
		if stay.Until == "" {
			r.rooms[stay.Room] = stay.Since
		} else {
			r.stays = append(r.stays, stay)
		}
	}
	if foreign {
		for _, room := range session.Rooms {
			if room != session.SID {
				r.rooms[room] = ""
			}
		}
	}
	if len(session.Data) > 0 {
		if err := c.ns.server.decodeData(session.Data, &r.data); err != nil {
			return nil, errNotResumable
		}
	}
	from := offset
	switch {
	case from == "" && session.Start == "":
		return nil, errNotResumable
	case from == "" || session.Start != "" && r.compare(from, session.Start) < 0:
		from = session.Start // stock clients keep the offset of the session before until they receive the first event
	}
	if session.Floor != "" && r.compare(from, session.Floor) < 0 {
		return nil, errNotResumable
	}
	r.from = from
	// This server may be behind the one that the client was on.
	for _, pos := range []string{from, session.At} {
		if pos != "" {
			r.await(pos)
		}
	}
	if r.err != nil {
		return nil, r.err
	}
	for range 10 {
		r.read(from, c.done.Load())
		if r.err != nil {
			return nil, r.err
		}
		from = r.at.pos
		c.gate.Lock()
		if c.done.Load() == r.at {
			err := r.enter()
			c.gate.Unlock()
			return r, err
		}
		c.gate.Unlock()
	}
	// More comes than can be read at leisure: let it wait.
	c.gate.Lock()
	defer c.gate.Unlock()
	r.read(from, c.done.Load())
	if r.err != nil {
		return nil, r.err
	}
	return r, r.enter()
}

// compare compares positions. An empty one is before all.
func (r *replay) compare(a, b string) int {
	switch {
	case a == b:
		return 0
	case a == "":
		return -1
	case b == "":
		return 1
	}
	n, err := r.c.log.Compare(a, b)
	if err != nil && r.err == nil {
		r.err = errNotResumable
	}
	return n
}

// await waits until this server has delivered what is at the position.
func (r *replay) await(pos string) {
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.NewTimer(resumeTimeout)
	defer deadline.Stop()
	for r.compare(r.c.done.Load().pos, pos) < 0 && r.err == nil {
		select {
		case <-ticker.C:
		case <-deadline.C:
			r.err = context.DeadlineExceeded
		case <-r.ctx.Done():
			r.err = r.ctx.Err()
		}
	}
}

// read goes on from a position up to a mark.
func (r *replay) read(from string, until *mark) {
	r.at = until
	if r.compare(from, until.pos) >= 0 {
		return
	}
	err := r.c.log.Read(r.ctx, from, until.pos, func(e adapter.Entry) bool {
		r.take(&e)
		return r.err == nil
	})
	if r.err == nil {
		r.err = err
	}
}

func (r *replay) take(e *adapter.Entry) {
	if e.Kind != adapter.Event && (r.session.At == "" || r.compare(e.Position, r.session.At) <= 0) {
		return // it has had its effect
	}
	if !r.meant(&e.Target, e.Position) {
		return
	}
	switch e.Kind {
	case adapter.Event:
		r.miss(e)
	case adapter.Join:
		for _, room := range e.Rooms {
			if _, in := r.rooms[room]; !in && room != r.session.SID {
				r.rooms[room] = e.Position
			}
		}
	case adapter.Leave:
		for _, room := range e.Rooms {
			if since, in := r.rooms[room]; in {
				delete(r.rooms, room)
				r.stays = append(r.stays, adapter.Stay{Room: room, Since: since, Until: e.Position})
			}
		}
	case adapter.Disconnect:
		r.err = errNotResumable
	}
}

func (r *replay) miss(e *adapter.Entry) {
	o := r.c.ns.server.opts.Recovery
	d, err := r.c.delivery(e.Packet, &e.Target, &mark{pos: e.Position}, true)
	if err != nil {
		r.err = errNotResumable
		return
	}
	r.missed = append(r.missed, d)
	r.bytes += d.entry.size
	if len(r.missed) > o.MaxPackets || r.bytes > o.MaxBytes {
		r.err = errNotResumable
	}
}

// meant reports whether the session was one of those that an entry was for.
func (r *replay) meant(t *adapter.Target, pos string) bool {
	in := func(room string) bool { return r.in(room, pos) }
	return (len(t.Rooms) == 0 || slices.ContainsFunc(t.Rooms, in)) && !slices.ContainsFunc(t.Except, in)
}

func (r *replay) in(room, pos string) bool {
	if room == r.session.SID {
		return true
	}
	if since, in := r.rooms[room]; in && r.compare(since, pos) < 0 {
		return true
	}
	return slices.ContainsFunc(r.stays, func(s adapter.Stay) bool {
		return s.Room == room && r.compare(s.Since, pos) < 0 && r.compare(pos, s.Until) <= 0
	})
}

// enter makes the session a member again, at the mark up to which it was read. The gate is held.
func (r *replay) enter() error {
	c := r.c
	if c.ns.byID(r.session.SID) != nil {
		return errors.New("socketio: the session's last socket is still here")
	}
	sh := newShared(c)
	m := &member{ns: c.ns, id: r.session.SID, away: true, log: &eventLog{pid: r.session.PID, shared: sh}}
	sh.start, sh.floor, sh.stays = r.session.Start, r.session.Floor, r.stays
	sh.foreign = r.session.Namespace == ""
	if r.session.At == "" {
		sh.start, sh.floor = "", r.at.pos // what was before is not known
	}
	sh.trim()
	sh.resumed = &resumption{session: r.session, from: &mark{pos: r.from}, until: r.at, missed: r.missed}
	m.sock.Store(absent)
	m.mu.Lock()
	for room, since := range r.rooms {
		sh.since[room] = since
		c.ns.index.join(m, room)
	}
	m.mu.Unlock()
	c.ns.addMember(m)
	r.m = m
	return nil
}

// remove undoes enter.
func (r *replay) remove() { r.m.remove() }

// welcome sends a client what it has missed, and is where it stays a member like others. m.mu is held.
func (m *member) welcome(s *Socket) (missed []*delivery) {
	sh := m.log.shared
	r := sh.resumed
	if r == nil {
		sh.start = sh.c.done.Load().pos
		sh.last = sh.c.done.Load()
	} else {
		missed = append(r.missed, r.pending...)
		sh.last = r.until
		if n := len(r.pending); n > 0 {
			sh.last = r.pending[n-1].entry.mark
		}
		sh.resumed = nil
		m.sock.Store(s)
		m.ns.index.setAway(m, false)
	}
	sh.active = true
	return missed
}

// decodeData decodes the data of a session that comes from elsewhere.
func (srv *Server) decodeData(text []byte, dst *any) error {
	if f := srv.opts.Recovery.Data; f != nil {
		v, err := f(text)
		*dst = v
		return err
	}
	return packet.Unmarshal(text, nil, dst)
}

// putBack puts back the session of a client that was gone before it had come back. One that was refused has none.
func (m *member) putBack(refused bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	sh := m.log.shared
	if r := sh.resumed; r != nil && !refused && !m.gone {
		c, session := sh.c, r.session
		c.putBack(session)
	}
}

// endResuming ends a session whose client is about to come back. It reports whether it was so.
func (m *member) endResuming() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.log.shared.resumed == nil {
		return false
	}
	m.removeLocked() // it holds no user of the namespace: the socket does
	return true
}
