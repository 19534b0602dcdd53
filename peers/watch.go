package peers

import (
	"context"
	"net/http"
	"strings"
	"time"
)

const (
	// probeInterval is between two questions to a server that requests are carried to, whether it is there.
	probeInterval = 3 * time.Second
	// probeTimeout is how long it may take to answer. After both, whoever waits for it is told that it is gone.
	probeTimeout = 6 * time.Second
	// downInterval is between two questions to a server that did not answer the last one.
	downInterval = time.Second
	// watchFor is how long a server is watched after the last request for it.
	watchFor = 30 * time.Second
)

// A peer is another server that requests are carried to, or were a moment ago. A goroutine watches it: a machine that
// vanishes, or a process that is stopped, does not close its connections, and a poll would be held until the client
// gives up. Its fields are guarded by Peers.mu.
type peer struct {
	id    string
	path  string // where its Engine.IO server is
	trips map[*trip]struct{}
	down  bool
	used  time.Time
}

// depart notes that a request is carried, or reports false if its server is known not to answer: then nothing is tried,
// so that requests for a dead server don't pile up.
func (p *Peers) depart(t *trip, path string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	x := p.peers[t.id]
	if x == nil {
		x = &peer{id: t.id, path: path, trips: make(map[*trip]struct{})}
		p.peers[t.id] = x
		p.watching.Go(func() { p.watch(x) })
	}
	x.used = time.Now()
	if x.down {
		return false
	}
	t.peer = x
	x.trips[t] = struct{}{}
	return true
}

func (p *Peers) arrived(t *trip) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(t.peer.trips, t)
	t.peer.used = time.Now()
}

// watch asks a server whether it is there until nobody has been interested for a while.
func (p *Peers) watch(x *peer) {
	timer := time.NewTimer(probeInterval)
	defer timer.Stop()
	for {
		select {
		case <-p.ctx.Done():
			return
		case <-timer.C:
		}
		base, known := p.directory.Lookup(x.id)
		alive := known && p.probe(base, x)
		p.mu.Lock()
		if len(x.trips) == 0 && time.Since(x.used) > watchFor {
			delete(p.peers, x.id)
			p.mu.Unlock()
			return
		}
		changed := x.down == alive
		x.down = !alive
		held := len(x.trips)
		for t := range x.trips {
			// Another address is that of another process, which has nothing of what is waited for.
			if !alive || t.base != base {
				t.gone.Store(true)
				t.cancel()
			}
		}
		p.mu.Unlock()
		if changed && !alive && p.ctx.Err() == nil {
			p.log.Warn("peers: a server does not answer", "server", x.id, "requests", held)
		}
		wait := probeInterval
		if !alive {
			wait = downInterval
		}
		timer.Reset(wait)
	}
}

// failing notes that a server can't be connected to. It is asked from then on, and gets no requests until it answers.
func (p *Peers) failing(t *trip) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t.peer.down = true
}

// probe asks a server for a session that it can't have. Whatever it answers, it is there.
func (p *Peers) probe(base string, x *peer) bool {
	target, err := p.target(x.id, base)
	if err != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(context.WithValue(p.ctx, idKey{}, x.id), probeTimeout)
	defer cancel()
	target.Path, target.RawPath = x.path, ""
	target.RawQuery = "EIO=4&transport=polling&sid=" + x.id + strings.Repeat(filler, idLen+16-len(x.id))
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return false
	}
	r.Header.Set(hopHeader, p.signer.sign(p.id, r, time.Now()))
	resp, err := p.proxy.Transport.RoundTrip(r)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return true
}
