package bridge

import (
	"context"
	"sync"
	"time"

	"github.com/sockeye-io/sockeye/adapter"
)

// A side is this server as one of its clusters sees it.
type side struct {
	adapter.Host
	b     *bridge
	index int
}

// take reports whether what came concerns this server, and hands it to the other clusters if that is to be done.
func (s *side) take(t adapter.Target, forward func(m adapter.Adapter, t adapter.Target) error) bool {
	own, forwarded := s.b.marks.of(t)
	if forwarded || (own && s.index > 0) {
		return false // it came, or comes, from another cluster, too
	}
	if !own && s.b.opts.Forward() {
		t = with(t, s.b.marks.forwarded)
		for _, m := range s.others() {
			_ = forward(m, t) // as little can be done about it as about a message that is lost on its way
		}
	}
	return true
}

// others returns the adapters of the other clusters.
func (s *side) others() []adapter.Adapter {
	<-s.b.ready
	var others []adapter.Adapter
	for i, m := range s.b.members {
		if i != s.index {
			others = append(others, m)
		}
	}
	return others
}

func (s *side) Broadcast(p *adapter.Packet, t adapter.Target) {
	if s.take(t, func(m adapter.Adapter, t adapter.Target) error { return m.Broadcast(p, t) }) {
		s.Host.Broadcast(p, stripped(t))
	}
}

func (s *side) Join(t adapter.Target, rooms []string) {
	if s.take(t, func(m adapter.Adapter, t adapter.Target) error { return m.Join(t, rooms) }) {
		s.Host.Join(stripped(t), rooms)
	}
}

func (s *side) Leave(t adapter.Target, rooms []string) {
	if s.take(t, func(m adapter.Adapter, t adapter.Target) error { return m.Leave(t, rooms) }) {
		s.Host.Leave(stripped(t), rooms)
	}
}

func (s *side) Disconnect(t adapter.Target, closeConn bool) {
	if s.take(t, func(m adapter.Adapter, t adapter.Target) error { return m.Disconnect(t, closeConn) }) {
		s.Host.Disconnect(stripped(t), closeConn)
	}
}

// HasRoom says that everything is of interest here, so that it can be passed on.
func (s *side) HasRoom(room string) bool { return s.b.opts.Forward() || s.Host.HasRoom(room) }

// defaultAskTimeout is how long a socket of another cluster may take to answer, if nobody says.
const defaultAskTimeout = time.Minute

// BroadcastWithAck implements [adapter.Host]. A socket that is not here is taken for one of another cluster: if it isn't
// there either, that counts as if it had gone away.
func (s *side) BroadcastWithAck(p *adapter.Packet, t adapter.Target, answer func(*adapter.Packet)) (int, func()) {
	elsewhere := false
	mine := s.take(t, func(m adapter.Adapter, t adapter.Target) error {
		if one(t) {
			elsewhere = true
			return nil
		}
		return m.Broadcast(p, t)
	})
	if !mine {
		return 0, func() {}
	}
	if !elsewhere || s.Host.HasRoom(t.Rooms[0]) {
		return s.Host.BroadcastWithAck(p, stripped(t), answer)
	}
	return s.askOn(p, with(t, s.b.marks.forwarded), answer)
}

func (s *side) askOn(p *adapter.Packet, t adapter.Target, answer func(*adapter.Packet)) (int, func()) {
	b := s.b
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return 0, func() {}
	}
	timeout := t.Timeout
	if timeout <= 0 {
		timeout = defaultAskTimeout
	}
	ctx, cancel := context.WithTimeout(b.ctx, timeout)
	var mu sync.Mutex
	cancelled, answered := false, false
	once := func(p *adapter.Packet) {
		mu.Lock()
		defer mu.Unlock()
		if !cancelled && !answered {
			answered = true
			answer(p)
		}
	}
	b.asking.Go(func() {
		defer cancel()
		_, _ = b.ask(ctx, s.others(), p, t, once)
		once(nil) // that nobody has answered is all that can be said
	})
	return 1, func() {
		mu.Lock()
		cancelled = true
		mu.Unlock()
		cancel()
	}
}
