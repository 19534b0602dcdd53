package engineio

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
		s.heartbeat = heartbeatPong
		s.active.Store(false)
		s.pushControl(pingMessage)
		if s.transport.ready() {
			s.transport.kick()
		}
		s.timer.Reset(s.server.opts.PingTimeout)
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

// pong notes the answer to a ping. One that was not asked for changes nothing,
// so a peer cannot put off the next ping.
func (s *Session) pong() {
	s.mu.Lock()
	switch s.heartbeat {
	case heartbeatPong, heartbeatExtended:
		s.heartbeat = heartbeatIdle
		s.timer.Reset(s.interval)
	}
	s.mu.Unlock()
}

// heard notes that something other than a pong arrived.
func (s *Session) heard() {
	if !s.active.Load() {
		s.active.Store(true)
	}
}
