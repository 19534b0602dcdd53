package socketio

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/socketio/packet"
)

// Sessions as they are kept with the log: saved when something changes, and now and then, so that they outlive their
// server.

func (c *clusterLog) refreshInterval() time.Duration { return max(c.keep/3, time.Millisecond) }

// refresh saves all sessions.
func (c *clusterLog) refresh() {
	c.mu.Lock()
	live := slices.Collect(maps.Values(c.live))
	finals := maps.Clone(c.finals)
	c.mu.Unlock()
	for _, m := range live {
		c.save(m, false)
	}
	for _, s := range finals {
		c.saveFinal(s.session, s.create)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.timer = time.AfterFunc(c.refreshInterval(), c.refresh)
	}
}

func (c *clusterLog) newOwner() string { return c.owner + strconv.FormatUint(c.visits.Add(1), 36) }

// enter begins to save a member's session.
func (c *clusterLog) enter(m *member) {
	c.mu.Lock()
	c.live[m.log.pid] = m
	delete(c.finals, m.log.pid)
	c.mu.Unlock()
	c.save(m, true)
}

// save has a session saved as it will be when its turn comes. m.mu is not held.
func (c *clusterLog) save(m *member, create bool) {
	sh := m.log.shared
	if !sh.saving.CompareAndSwap(false, true) {
		return
	}
	create = create || sh.unsaved.Load()
	// One that is not refreshed any more is kept as long as one that was said goodbye to.
	err := c.log.SaveSession(m.log.pid, create, c.keep+2*c.refreshInterval(), func() *adapter.Session {
		sh.saving.Store(false)
		m.mu.Lock()
		defer m.mu.Unlock()
		return c.describe(m, m.sock.Load().Data(), !sh.active)
	}, func(err error) {
		if errors.Is(err, adapter.ErrTaken) {
			c.ns.server.work.add()
			go func() {
				defer c.ns.server.work.done()
				c.lost(m)
			}()
		}
	})
	if err != nil {
		sh.saving.Store(false) // until it is refreshed
	}
	sh.unsaved.Store(create && err != nil)
}

// changed has a session saved if it is one that is.
func (m *member) changed() {
	if m.log == nil || m.log.shared == nil {
		return
	}
	m.mu.Lock()
	active := m.log.shared.active
	m.mu.Unlock()
	if active {
		m.log.shared.c.save(m, false)
	}
}

// describe writes down a session. m.mu is held.
func (c *clusterLog) describe(m *member, data any, away bool) *adapter.Session {
	sh := m.log.shared
	s := &adapter.Session{
		SID: m.id, PID: m.log.pid, Rooms: []string{m.id},
		Namespace: c.ns.name, Owner: sh.owner, Away: away, Start: sh.start, At: c.done.Load().pos, Floor: sh.floor,
		Stays: slices.Clone(sh.stays),
	}
	for room, since := range sh.since {
		s.Rooms = append(s.Rooms, room)
		s.Stays = append(s.Stays, adapter.Stay{Room: room, Since: since})
	}
	if data != nil {
		text, err := packet.AppendValue(nil, packet.Header{Type: packet.Connect}, data)
		if err == nil {
			s.Data = jsontext.Value(text[1:])
		} else {
			c.unsavable.Do(func() {
				c.ns.server.log.Warn("socketio: data of a socket can't be kept for other servers", "namespace", c.ns.name, "error", err)
			})
		}
	}
	return s
}

// leave ends the saving of a session whose socket has ended. m.mu is held. What it returns is called without.
func (c *clusterLog) leave(m *member, data any, keep bool) (after func()) {
	sh := m.log.shared
	if !sh.active {
		return func() {}
	}
	sh.active, sh.away = false, keep
	s := c.describe(m, data, true)
	return func() {
		if keep {
			c.saveFinal(s, sh.unsaved.Load())
		} else {
			// If it can't be removed it expires.
			_ = c.log.SaveSession(s.PID, false, 0, func() *adapter.Session { return s }, func(error) {})
		}
		c.mu.Lock()
		if c.live[s.PID] == m {
			delete(c.live, s.PID)
		}
		c.mu.Unlock()
	}
}

// saveFinal saves a session that has ended here. It is tried again until that is in vain.
func (c *clusterLog) saveFinal(s *adapter.Session, create bool) {
	note := func(err error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if err == nil || errors.Is(err, adapter.ErrTaken) || len(c.finals) >= c.ns.server.opts.Recovery.MaxSessions {
			delete(c.finals, s.PID)
		} else {
			c.finals[s.PID] = final{s, create}
		}
	}
	err := c.log.SaveSession(s.PID, create, c.keep, func() *adapter.Session { return s }, func(err error) {
		create = false // it may have been
		note(err)
	})
	if err != nil {
		note(err)
	}
}

// lost ends a socket whose session another server has taken.
func (c *clusterLog) lost(m *member) {
	c.mu.Lock()
	is := c.live[m.log.pid] == m
	c.mu.Unlock()
	if !is {
		return
	}
	s := m.sock.Load()
	s.close(ReasonTransportClose, errReplaced)
	if s.conn != nil {
		s.conn.session.Abort()
	}
}

// releaseEvent asks a server for a session that a client has come back to elsewhere.
const releaseEvent = "sockeye:release"

// What it answers.
const (
	releaseNone  = "none"     // it does not have the session
	releaseAlive = "alive"    // the connection is alive
	releaseDone  = "released" // the session has been saved for the last time
)

// release gives up a session, if its connection does not prove that it is alive.
func (c *clusterLog) release(pid string) string {
	c.mu.Lock()
	m := c.live[pid]
	c.mu.Unlock()
	if m == nil {
		return releaseNone
	}
	s := m.sock.Load()
	if s.conn.session.Probe(probeTime) {
		return releaseAlive
	}
	s.close(ReasonTransportClose, errReplaced)
	s.conn.session.Abort()
	for { // another goroutine may be closing it
		c.mu.Lock()
		m := c.live[pid]
		c.mu.Unlock()
		if m == nil {
			return releaseDone
		}
		time.Sleep(time.Millisecond)
	}
}

// answerRelease answers releaseEvent.
func (c *clusterLog) answerRelease(m *Message) {
	var pid string
	if m.Bind(&pid) != nil {
		return
	}
	c.ns.server.work.add()
	go func() {
		defer c.ns.server.work.done()
		_ = m.Ack(c.release(pid)) // who asked does not wait for ever
	}()
}

// claimable reports whether a session may be taken: nobody has it, or who had it gave it up or is silent.
func (c *clusterLog) claimable(ctx context.Context, s *adapter.Session) bool {
	if s.Away || s.Owner == "" {
		return true
	}
	if strings.HasPrefix(s.Owner, c.owner) {
		return c.release(s.PID) != releaseAlive
	}
	ctx, cancel := context.WithTimeout(ctx, probeTime+time.Second)
	defer cancel()
	p, err := encodePacket(releaseEvent, []any{s.PID})
	if err != nil {
		return false
	}
	answers, _ := c.log.ServerSideEmitWithAck(ctx, p) // who does not answer in time does not have it
	for _, p := range answers {
		var verdict string
		if err := newAck(p).Bind(&verdict); err == nil && verdict == releaseAlive {
			return false
		}
	}
	return true
}
