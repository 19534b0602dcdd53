package engineio

import "time"

// heartbeatState is what the session's one timer waits for.
type heartbeatState uint8

const (
	heartbeatIdle     heartbeatState = iota // until the next ping is due
	heartbeatPong                           // for the pong
	heartbeatExtended                       // for the pong, for the last time
	heartbeatClosing                        // for the peer to fetch the rest
)

// tick is called by the session's timer.
func (s *Session) tick() {
	s.mu.Lock()
	if s.state == stateClosed {
		s.mu.Unlock()
		return
	}
	switch s.heartbeat {
	case heartbeatIdle:
		s.ping()
	case heartbeatPong, heartbeatExtended:
		if s.heartbeat == heartbeatPong && s.active.Load() {
			// A peer that is busy sending something large is not gone: it gets
			// the timeout once more.
			s.heartbeat = heartbeatExtended
			s.timer.Reset(s.server.opts.PingTimeout)
			break
		}
		s.mu.Unlock()
		s.finish(ReasonPingTimeout, nil, endAbort)
		return
	case heartbeatClosing:
		s.mu.Unlock()
		s.finish(ReasonForcedClose, nil, endAbort)
		return
	}
	s.mu.Unlock()
}

// ping asks the peer for a sign of life. s.mu is held.
func (s *Session) ping() {
	s.heartbeat = heartbeatPong
	s.active.Store(false)
	s.pushControl(pingMessage)
	if s.transport.ready() {
		s.transport.kick()
	}
	s.timer.Reset(s.server.opts.PingTimeout)
}

// Probe sends a ping now and reports whether the peer answers it within d. A
// connection can be dead for as long as PingInterval and PingTimeout together
// before that is noticed; this finds out sooner. The answer to an earlier ping
// proves nothing: it may have been on its way when the peer left.
func (s *Session) Probe(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		s.mu.Lock()
		if s.state != stateOpen {
			s.mu.Unlock()
			return false
		}
		fresh := s.heartbeat == heartbeatIdle
		if fresh {
			s.ping()
		}
		if s.answered == nil {
			s.answered = make(chan struct{})
		}
		answered := s.answered
		s.mu.Unlock()
		select {
		case <-answered: // by the end of the session, too
			if !fresh {
				continue
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.state != stateClosed
		case <-timer.C:
			return false
		}
	}
}

// releaseProbes lets go of those who wait in Probe. s.mu is held.
func (s *Session) releaseProbes() {
	if s.answered != nil {
		close(s.answered)
		s.answered = nil
	}
}

// pong notes the answer to a ping. One that was not asked for changes nothing,
// so a peer cannot put off the next ping.
func (s *Session) pong() {
	s.mu.Lock()
	switch s.heartbeat {
	case heartbeatPong, heartbeatExtended:
		s.heartbeat = heartbeatIdle
		s.timer.Reset(s.interval)
		s.releaseProbes()
	}
	s.mu.Unlock()
}

// heard notes that something other than a pong arrived.
func (s *Session) heard() {
	if !s.active.Load() {
		s.active.Store(true)
	}
}
