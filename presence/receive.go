package presence

import (
	"context"
	"slices"
	"time"

	"github.com/sockeye-io/sockeye/event"
)

// receive handles what another server tells; the namespace calls it with one message at a time.
func (p *Presence) receive(_ context.Context, em *event.Message) error {
	raw := em.Raw(0)
	if raw == nil {
		return errMessage
	}
	m, err := decode(raw)
	if err != nil {
		return err
	}
	if m.Version != version || m.From == p.self.id {
		return nil
	}
	m.Ops = slices.DeleteFunc(m.Ops, func(o op) bool { return !p.watched(o.Room) })
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.hear(m)
	}
	return nil
}

// hear is called with p.mu held.
func (p *Presence) hear(m *message) {
	s := p.view.servers[m.From]
	if m.Kind == kindBye {
		if s != nil {
			p.view.removeServer(s)
		}
		if len(p.gone) < maxGone {
			p.gone[m.From] = time.Now()
		}
		return
	}
	if _, ok := p.gone[m.From]; ok {
		return
	}
	if s == nil {
		if len(p.view.servers) >= maxServers {
			p.opts.Logger.Warn("presence: too many servers", "namespace", p.ns.Name())
			return
		}
		s = p.view.addServer(m.From)
		s.synced = m.Seq == 0 || m.Kind == kindDelta && m.Seq == 1 // nothing was told before
		if !s.synced && m.Kind != kindFull {
			p.lose(s)
		}
		p.poke() // for its timeout
	}
	s.heard = time.Now()
	if m.Name != "" {
		s.name = m.Name
	}
	switch m.Kind {
	case kindHello:
		s.started = m.Started
		p.succeed(s)
		p.tellAll()
	case kindDelta:
		p.hearDelta(s, m)
	case kindFull:
		p.hearFull(s, m)
	case kindBeat, kindAsk:
		if m.Seq > s.seq && (s.synced || s.askAt.IsZero()) {
			p.lose(s)
		}
		if m.Kind == kindAsk && slices.Contains(m.Ask, p.self.id) {
			p.tellAll()
		}
	}
}

// succeed removes those servers that s, which has just started, has taken the place of.
func (p *Presence) succeed(s *server) {
	for _, old := range p.view.servers {
		if s.name != "" && old.name == s.name && old != s && old != p.self && old.started < s.started {
			p.view.removeServer(old)
		}
	}
}

func (p *Presence) hearDelta(s *server, m *message) {
	if m.Seq <= s.seq {
		return // late, or a second time
	}
	if m.Seq != s.seq+1 || s.filling {
		p.lose(s)
	}
	s.seq = m.Seq
	// Also without what is missing it is nearer to the truth, which comes with the next full state.
	p.apply(s, m.Ops)
}

func (p *Presence) hearFull(s *server, m *message) {
	if m.Seq <= s.seq {
		return
	}
	next := m.Seq == s.seq+1
	s.seq = m.Seq
	if s.synced && next {
		return // nothing new
	}
	switch {
	case m.First:
		s.synced, s.filling, s.incoming = false, true, nil
	case !s.filling || !next:
		p.lose(s)
		return
	}
	s.incoming = append(s.incoming, m.Ops...)
	if !m.Last {
		if s.askAt.IsZero() {
			s.askAt = time.Now().Add(fullInterval) // in case that the rest doesn't come
			p.poke()
		}
		return
	}
	ops := s.incoming
	s.synced, s.filling, s.incoming = true, false, nil
	s.askAt, s.asked = time.Time{}, 0
	p.view.replace(s, ops)
	p.returned(ops)
}

func (p *Presence) apply(s *server, ops []op) {
	p.view.apply(s, ops)
	p.returned(ops)
}

// returned looks for sockets that are away here and have come back on another server.
func (p *Presence) returned(ops []op) {
	if len(p.away) == 0 {
		return
	}
	for _, o := range ops {
		for _, id := range o.Joined {
			p.elsewhere(id)
		}
	}
}
