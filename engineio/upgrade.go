package engineio

import (
	"time"

	"github.com/sockeye-io/sockeye/engineio/frame"
)

// upgrade is a session's move to a better transport while it is under way:
//
//	client                     server
//	opens the new transport    begin
//	2probe            →        probed; 3probe on the new transport, and what
//	                  ←        holds a GET of the old one is answered
//	stops polling
//	5                 →        complete: the new transport takes over
//
// Anything else, or UpgradeTimeout, ends the new transport; the session goes on
// where it was.
type upgrade struct {
	to     candidate
	probed bool
	timer  *time.Timer
}

// candidate is a transport that can be upgraded to.
type candidate interface {
	transport
	// reply sends one packet although the session's queue still belongs to
	// another transport.
	reply(m *Message)
}

// noopInterval is how long a GET is held while an upgrade is under way, so that
// the client, which must let its GET come back before it can go on, never waits
// longer.
const noopInterval = 100 * time.Millisecond

// beginUpgrade admits a candidate, unless there is one already or the session
// is as good as it gets.
func (s *Session) beginUpgrade(c candidate) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	from := s.transport.name()
	if s.state != stateOpen || s.upgrade != nil || from == websocketName || from == c.name() || s.server.opts.NoUpgrades {
		return false
	}
	s.upgrade = &upgrade{to: c}
	s.upgrade.timer = time.AfterFunc(s.server.opts.UpgradeTimeout, func() { s.abandonUpgrade(c) })
	return true
}

// abandonUpgrade gives up the candidate, if it still is one.
func (s *Session) abandonUpgrade(c candidate) {
	s.mu.Lock()
	if s.upgrade == nil || s.upgrade.to != c {
		s.mu.Unlock()
		return
	}
	s.upgrade.timer.Stop()
	s.upgrade = nil
	s.mu.Unlock()
	c.end(endAbort)
}

// upgradePacket handles a packet that came in over the candidate. s.delivery is
// held.
func (s *Session) upgradePacket(c candidate, p frame.Packet) {
	switch {
	case p.Type == frame.Ping && string(p.Data) == "probe":
		s.mu.Lock()
		if s.upgrade == nil || s.upgrade.to != c {
			s.mu.Unlock()
			return
		}
		s.upgrade.probed = true
		if s.transport.ready() {
			s.transport.kick() // let the GET that is held come back
		}
		s.mu.Unlock()
		c.reply(probeMessage)
	case p.Type == frame.Upgrade:
		s.completeUpgrade(c)
	default:
		s.abandonUpgrade(c)
	}
}

func (s *Session) completeUpgrade(c candidate) {
	s.mu.Lock()
	if s.upgrade == nil || s.upgrade.to != c || !s.upgrade.probed || s.state == stateClosed {
		s.mu.Unlock()
		s.abandonUpgrade(c)
		return
	}
	s.upgrade.timer.Stop()
	s.upgrade = nil
	old := s.transport
	s.transport = c
	if (s.queue != nil || s.state == stateClosing) && c.ready() {
		c.kick()
	}
	notify := s.onUpgrade
	s.mu.Unlock()
	old.end(endUpgraded)
	if notify != nil {
		notify(c.name())
	}
}

// upgrading reports whether the client is about to leave the current
// transport. s.mu is held.
func (s *Session) upgrading() bool { return s.upgrade != nil && s.upgrade.probed }
