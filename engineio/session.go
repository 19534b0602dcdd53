package engineio

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/sockeye-io/sockeye/engineio/frame"
)

// Receiver consumes what happens on a session.
type Receiver interface {
	// Message is called for each message from the peer, one call at a time, in
	// order. data is valid only during the call. It runs on the path that also
	// reads heartbeats, so it must not block.
	Message(binary bool, data []byte)
	// Closed is called once, after the last Message.
	Closed(reason CloseReason, err error)
}

// Session is one peer's connection, over whichever transport it uses at the
// moment. Its methods are safe for concurrent use.
type Session struct {
	server    *Server
	id        string
	receiver  Receiver
	handshake Handshake
	interval  time.Duration // between pings

	mu        sync.Mutex
	state     sessionState
	flush     flushState
	heartbeat heartbeatState
	posting   bool          // a POST is being read
	transport transport     // set before the session is published, replaced by an upgrade
	upgrade   *upgrade      // under way, or nil
	queue     *batch        // the outbox; nil when empty
	waiting   int           // cost of queue and of what is being written
	room      chan struct{} // closed when there is room in the outbox; nil if nobody waits
	answered  chan struct{} // closed when a pong comes; nil if nobody waits
	timer     *time.Timer
	onUpgrade func(transport string)
	reason    CloseReason
	cause     error

	// delivery is held while messages are handed to the receiver.
	delivery sync.Mutex
	ended    atomic.Uint32 // endedNot, endedPending, endedDone
	active   atomic.Bool   // something other than a pong arrived since the last ping
}

type sessionState uint8

const (
	stateOpen sessionState = iota
	stateClosing
	stateClosed
)

type flushState uint8

const (
	flushIdle      flushState = iota
	flushScheduled            // in the flusher's list
	flushWriting              // somebody is writing
)

const (
	endedNot = iota
	endedPending
	endedDone
)

// transport carries a session's packets. There is one file for each.
type transport interface {
	name() string
	// ready reports whether a queued message can leave now. Session.mu is held.
	ready() bool
	// kick gets what is queued on its way and never blocks. Session.mu is held.
	kick()
	// end lets go of the connection. It is called once, without Session.mu.
	end(how endKind)
}

// endKind says how a transport takes leave of the peer.
type endKind uint8

const (
	endAbort    endKind = iota // discard what is queued, say goodbye
	endPeer                    // the peer asked for it
	endUpgraded                // another transport has taken over
)

// ID returns the session id: 20 characters of [A-Za-z0-9_-], 120 random bits.
func (s *Session) ID() string { return s.id }

// Handshake returns what is known of the request that opened the session.
func (s *Session) Handshake() *Handshake { return &s.handshake }

// Transport returns the name of the current transport: "polling", "streaming"
// or "websocket".
func (s *Session) Transport() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.transport.name()
}

// PingInterval returns the time between two pings on this session.
func (s *Session) PingInterval() time.Duration { return s.interval }

// OnUpgrade has f called after the session moved to a better transport. One
// function at a time; nil removes it.
func (s *Session) OnUpgrade(f func(transport string)) {
	s.mu.Lock()
	s.onUpgrade = f
	s.mu.Unlock()
}

// Buffered returns how many bytes wait to be written to the peer.
func (s *Session) Buffered() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waiting
}

// Close sends what is queued, then closes the session. It does not wait; the
// receiver's Closed tells when it is done, after 30 seconds at the latest.
func (s *Session) Close() { s.close(ReasonForcedClose) }

func (s *Session) close(reason CloseReason) {
	s.mu.Lock()
	if s.state != stateOpen {
		s.mu.Unlock()
		return
	}
	s.state = stateClosing
	s.reason = reason
	s.heartbeat = heartbeatClosing
	s.timer.Reset(closeTimeout)
	if _, ok := s.transport.(*webSocket); ok {
		// The flusher closes after the last message.
		if s.flush == flushIdle {
			s.transport.kick()
		}
		s.mu.Unlock()
		return
	}
	s.pushControl(closeMessage)
	if s.transport.ready() {
		s.transport.kick()
	}
	s.mu.Unlock()
}

// closeTimeout is how long a closing session waits for the peer to fetch what
// is left, as in the Node server.
const closeTimeout = 30 * time.Second

// Abort closes the session at once and discards what is queued.
func (s *Session) Abort() { s.finish(ReasonForcedClose, nil, endAbort) }

// finish ends the session. Only the first call counts.
func (s *Session) finish(reason CloseReason, cause error, how endKind) {
	s.mu.Lock()
	if s.state == stateClosed {
		s.mu.Unlock()
		return
	}
	if s.state == stateClosing && cause == nil {
		reason = s.reason
	}
	s.state = stateClosed
	s.reason, s.cause = reason, cause
	s.timer.Stop()
	if s.queue != nil {
		s.queue.release()
		s.queue = nil
	}
	s.wakeSenders()
	s.releaseProbes()
	t, up := s.transport, s.upgrade
	s.upgrade = nil
	s.mu.Unlock()

	s.server.forget(s)
	s.server.debug("engineio: session closed", func() []any {
		return []any{"session", s.id, "transport", t.name(), "reason", reason, "error", cause}
	})
	t.end(how)
	if up != nil {
		up.timer.Stop()
		up.to.end(endAbort)
	}
	s.ended.Store(endedPending)
	s.announceEnd()
}

// announceEnd tells the receiver that the session ended, unless messages are
// being delivered: then whoever delivers does it afterwards.
func (s *Session) announceEnd() {
	for s.ended.Load() == endedPending && s.delivery.TryLock() {
		if s.ended.CompareAndSwap(endedPending, endedDone) {
			s.receiver.Closed(s.reason, s.cause)
		}
		s.delivery.Unlock()
	}
}

// receive handles one packet of the established transport. s.delivery is held.
func (s *Session) receive(p frame.Packet) {
	if s.ended.Load() != endedNot {
		return
	}
	if p.Type == frame.Message {
		s.heard()
		s.receiver.Message(p.Binary, p.Data)
		return
	}
	switch p.Type {
	case frame.Pong:
		s.pong()
	case frame.Ping:
		s.finish(ReasonTransportError, errHeartbeatDirection, endAbort)
	case frame.Close:
		if s.Transport() != websocketName {
			s.finish(ReasonTransportClose, nil, endPeer)
		}
	default:
		// Open, upgrade and noop mean nothing here; the Node server ignores
		// them too, and clients use noop to keep idle connections alive.
		s.heard()
	}
}
