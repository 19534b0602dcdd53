package redis

import (
	"sync"
	"time"

	"github.com/sockeye-io/sockeye/adapter"
)

// serving is the collecting of acknowledgements for another server.
type serving struct {
	c     *classic
	m     *message
	timer *time.Timer

	mu      sync.Mutex
	counted bool // the other server has been told how many there are
	early   []*adapter.Packet
	left    int
	cancel  func()
	ended   bool
}

// collect asks the clients of this server for acknowledgements.
func (c *classic) collect(m *message, t adapter.Target) {
	s := &serving{c: c, m: m}
	n, cancel := c.host.BroadcastWithAck(m.Packet, t, s.answer)
	s.mu.Lock()
	c.answer(m, &message{Type: typeClientCount, UID: c.uid, Clients: n})
	s.counted, s.left, s.cancel = true, n-len(s.early), cancel
	for _, p := range s.early {
		s.passOn(p)
	}
	s.early = nil
	done := s.left == 0
	s.mu.Unlock()
	if done {
		cancel()
		return
	}
	timeout := t.Timeout
	if timeout <= 0 {
		timeout = c.b.opts.RequestTimeout
	}
	c.mu.Lock()
	closed := c.closed
	if !closed {
		c.serving[m.UID+m.RequestID] = s
	}
	c.mu.Unlock()
	s.mu.Lock()
	s.timer = time.AfterFunc(timeout, s.end)
	done = s.left == 0
	s.mu.Unlock()
	if done || closed { // it ended before it was noted
		s.end()
	}
}

// answer takes the answer of a client. What comes before the count waits for it.
func (s *serving) answer(p *adapter.Packet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.counted {
		s.early = append(s.early, p)
		return
	}
	s.passOn(p)
	if s.left--; s.left == 0 {
		go s.end() // which waits for this function to return
	}
}

func (s *serving) passOn(p *adapter.Packet) {
	a := &message{Type: typeAck, UID: s.c.uid, Packet: p, Left: p == nil}
	if p == nil && !s.m.Leavers {
		return
	}
	s.c.answer(s.m, a)
}

// end ends the collecting.
func (s *serving) end() {
	s.mu.Lock()
	ended := s.ended
	s.ended = true
	if s.timer != nil {
		s.timer.Stop()
	}
	s.mu.Unlock()
	if ended {
		return
	}
	s.c.mu.Lock()
	delete(s.c.serving, s.m.UID+s.m.RequestID)
	s.c.mu.Unlock()
	s.cancel()
}
