package presence

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"
)

// What the loop keeps to, besides the options.
const (
	// fullInterval is the least time between two full states, plus fullPace for each MiB: whoever wants one in the
	// meantime gets the next.
	fullInterval = time.Second
	fullPace     = 100 * time.Millisecond
	// burst is how much of a full state is sent at once, before brokers get burstPause to pass it on.
	burst      = 1 << 20
	burstPause = 20 * time.Millisecond
	// askDelay is how long a server that lost something waits until it asks: others may have asked already.
	askDelay = 300 * time.Millisecond
	// maxGone bounds how many servers are remembered that said goodbye.
	maxGone = 1000
)

// poke has the loop look at what is due. p.mu is held.
func (p *Presence) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// loop is the only one that sends, and so numbers are in order.
func (p *Presence) loop() {
	defer close(p.done)
	p.mu.Lock()
	hello := message{Kind: kindHello, Seq: p.self.seq, Started: p.self.started}
	p.mu.Unlock()
	p.send(&hello)
	timer := time.NewTimer(0)
	defer timer.Stop()
	planned := time.Now()
	for {
		select {
		case <-timer.C:
			p.forgive(time.Since(planned))
		case <-p.wake:
		case <-p.end:
			p.send(&message{Kind: kindBye, Seq: p.self.seq})
			return
		}
		planned = p.work()
		timer.Reset(time.Until(planned))
	}
}

// forgive is for a process that was stopped for a while: it has not listened, and can't blame others for silence.
func (p *Presence) forgive(late time.Duration) {
	if late < p.opts.Heartbeat {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.view.servers {
		s.heard = s.heard.Add(late)
	}
}

// work does what is due and returns when it has to be called again.
func (p *Presence) work() (next time.Time) {
	now := time.Now()
	var out []*message
	p.mu.Lock()
	if !p.due.away.IsZero() && !p.due.away.After(now) {
		p.expire(now)
	}
	full := !p.due.full.IsZero() && !p.due.full.After(now)
	if full || !p.due.flush.IsZero() && !p.due.flush.After(now) {
		p.due.flush = time.Time{}
		p.pending.take(p.self, &splitter{max: p.opts.MaxMessageBytes, emit: func(ops []op) {
			out = append(out, p.numbered(message{Kind: kindDelta, Ops: ops}))
		}})
	}
	if full {
		first := len(out)
		p.self.all(&splitter{max: p.opts.MaxMessageBytes, emit: func(ops []op) {
			out = append(out, p.numbered(message{Kind: kindFull, Ops: ops}))
		}})
		out[first].First = true
		out[len(out)-1].Last = true
		p.due.full = time.Time{}
	}
	p.reap(now)
	if ask := p.missing(now); len(ask) > 0 {
		out = append(out, &message{Kind: kindAsk, Seq: p.self.seq, Ask: ask})
	}
	if len(out) == 0 && !p.lastOut.Add(p.opts.Heartbeat).After(now) {
		out = append(out, &message{Kind: kindBeat, Seq: p.self.seq})
	}
	p.mu.Unlock()

	bytes, ok := p.sendAll(out)

	p.mu.Lock()
	defer p.mu.Unlock()
	if full {
		pause := fullInterval + time.Duration(bytes)*fullPace/burst
		p.fullAfter = time.Now().Add(pause)
		if !p.due.full.IsZero() && p.due.full.Before(p.fullAfter) {
			p.due.full = p.fullAfter // asked for meanwhile
		}
	}
	if ok && len(out) > 0 {
		p.failing = false
	}
	return p.next()
}

// next returns the earliest time at which something is due. p.mu is held.
func (p *Presence) next() time.Time {
	next := p.lastOut.Add(p.opts.Heartbeat)
	sooner := func(t time.Time) {
		if !t.IsZero() && t.Before(next) {
			next = t
		}
	}
	sooner(p.due.flush)
	sooner(p.due.full)
	sooner(p.due.away)
	for _, s := range p.view.servers {
		if s != p.self {
			sooner(s.askAt)
			sooner(s.heard.Add(p.opts.Timeout))
		}
	}
	return next
}

// numbered gives a message the next number. p.mu is held.
func (p *Presence) numbered(m message) *message {
	p.self.seq++
	m.Seq = p.self.seq
	return &m
}

// sendAll sends messages, and reports whether all of them went out. When one doesn't, the rest is given up: the others
// find that numbers are missing.
func (p *Presence) sendAll(out []*message) (bytes int, ok bool) {
	pause := burst
	for _, m := range out {
		if bytes > pause {
			pause += burst
			select {
			case <-time.After(burstPause):
			case <-p.end:
				return bytes, false
			}
		}
		n, ok := p.send(m)
		if !ok {
			return bytes, false
		}
		bytes += n
	}
	return bytes, true
}

func (p *Presence) send(m *message) (bytes int, ok bool) {
	m.Version, m.From, m.Name = version, p.self.id, p.self.name
	text, err := m.encode()
	if err == nil {
		err = p.ns.ServerSideEmit(eventName, text)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lastOut = time.Now()
	if err != nil {
		level := slog.LevelWarn
		if p.failing {
			level = slog.LevelDebug
		}
		p.failing = true
		p.opts.Logger.Log(context.Background(), level, "presence: can't tell the other servers", "namespace", p.ns.Name(), "error", err)
		return 0, false
	}
	return len(text), true
}

// reap removes servers that were silent for too long. p.mu is held.
func (p *Presence) reap(now time.Time) {
	for _, s := range p.view.servers {
		if s != p.self && !s.heard.Add(p.opts.Timeout).After(now) {
			p.opts.Logger.Warn("presence: a server is silent", "namespace", p.ns.Name(), "server", s.node(), "members", len(s.people))
			p.view.removeServer(s)
		}
	}
	for id, at := range p.gone {
		if now.Sub(at) > 4*p.opts.Timeout {
			delete(p.gone, id)
		}
	}
}

// lose notes that something is missing of what a server told. p.mu is held.
func (p *Presence) lose(s *server) {
	s.synced, s.filling, s.incoming = false, false, nil
	if s.askAt.IsZero() {
		s.askAt = time.Now().Add(askDelay + rand.N(askDelay))
		p.poke()
	}
}

// missing returns the servers that shall be asked for everything now. p.mu is held.
func (p *Presence) missing(now time.Time) (ids []string) {
	for _, s := range p.view.servers {
		if s.askAt.IsZero() || s.askAt.After(now) {
			continue
		}
		wait := min(fullInterval<<min(s.asked, 10), max(p.opts.Heartbeat, fullInterval))
		s.askAt = now.Add(wait + rand.N(askDelay))
		if s.filling && now.Sub(s.heard) < fullInterval {
			continue // it is answering
		}
		s.asked++
		ids = append(ids, s.id)
	}
	slices.Sort(ids)
	return ids
}

// tellAll has everything told, soon. p.mu is held.
func (p *Presence) tellAll() {
	if !p.due.full.IsZero() {
		return
	}
	p.due.full = time.Now().Add(p.opts.Coalesce + rand.N(p.opts.Coalesce))
	if p.due.full.Before(p.fullAfter) {
		p.due.full = p.fullAfter
	}
	p.poke()
}
