package engineio

import (
	"net/http"
	"time"

	"github.com/sockeye-io/sockeye/engineio/frame"
)

// hold is the part that polling and streaming share: a GET of the client's
// that waits in a handler until there is something to write. All fields are
// guarded by Session.mu.
type hold struct {
	session *Session
	wake    chan struct{} // capacity 1
	busy    bool          // a GET is in its handler
	waiting bool          // it waits, and nobody has woken it yet
	closing bool          // it is being answered for the last time
	hurried bool          // its writing has a deadline
	ended   bool
	how     endKind
	writing *http.ResponseController // of the GET
	left    chan struct{}            // closed when the GET has left, if the next waits for that
}

func (h *hold) ready() bool { return h.waiting }

func (h *hold) kick() {
	h.waiting = false
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

func (h *hold) end(how endKind) {
	s := h.session
	s.mu.Lock()
	h.ended, h.how = true, how
	if h.waiting {
		h.kick()
	}
	if h.busy {
		// The peer may have stopped reading, and a write to it would never
		// return. Not every ResponseWriter has deadlines.
		h.hurried = h.writing.SetWriteDeadline(time.Now().Add(lingerTimeout)) == nil
	}
	s.mu.Unlock()
}

// enter claims the hold for a GET; false means that another has it, which the
// protocol forbids. One that is being answered is waited for: its client may have
// read all of the response, and sent the next GET on another connection, before
// the handler has returned.
func (h *hold) enter(w http.ResponseWriter, r *http.Request) bool {
	h.session.mu.Lock()
	defer h.session.mu.Unlock()
	for h.busy && h.closing {
		if h.left == nil {
			h.left = make(chan struct{})
		}
		left := h.left
		h.session.mu.Unlock()
		select {
		case <-left:
		case <-r.Context().Done():
		}
		h.session.mu.Lock()
		if r.Context().Err() != nil {
			break
		}
	}
	if h.busy {
		return false
	}
	h.busy = true
	h.writing = http.NewResponseController(w)
	return true
}

// closes notes that what is written next is the end of the response.
func (h *hold) closes() {
	h.session.mu.Lock()
	h.closing = true
	h.session.mu.Unlock()
}

// renewDeadline gives a response that was held its time to be written: the
// WriteTimeout of an http.Server counts from the request, and may be over.
func (h *hold) renewDeadline(r *http.Request) {
	server, ok := r.Context().Value(http.ServerContextKey).(*http.Server)
	if !ok || server.WriteTimeout <= 0 {
		return
	}
	h.session.mu.Lock()
	defer h.session.mu.Unlock()
	if !h.hurried {
		_ = h.writing.SetWriteDeadline(time.Now().Add(server.WriteTimeout))
	}
}

func (h *hold) leave() {
	h.session.mu.Lock()
	rc, hurried := h.writing, h.hurried
	h.busy, h.closing, h.hurried, h.writing = false, false, false, nil
	if h.left != nil {
		close(h.left)
		h.left = nil
	}
	h.session.mu.Unlock()
	if hurried && rc.Flush() == nil {
		_ = rc.SetWriteDeadline(time.Time{}) // the connection may serve other requests
	}
}

// next is what a held GET is to do.
type next struct {
	batch *batch // to write; nil means that there is nothing
	last  bool   // the transport has ended; final says goodbye
	final *Message
	gone  bool // the client has left
}

// wait returns when there is something to write, the transport has ended, the
// client has left, or deadline has come; the last with nothing in it. A zero
// deadline waits as long as it takes, one in the past not at all.
func (h *hold) wait(r *http.Request, maxPackets, maxBytes int, limit time.Duration, limited bool) next {
	s := h.session
	var timer *time.Timer
	var expired <-chan time.Time
	for {
		s.mu.Lock()
		if h.ended {
			s.mu.Unlock()
			return next{last: true, final: h.goodbye()}
		}
		if b := s.take(maxPackets, maxBytes); b != nil {
			s.mu.Unlock()
			return next{batch: b}
		}
		if limited && limit <= 0 {
			s.mu.Unlock()
			return next{}
		}
		if s.upgrading() && (!limited || limit > noopInterval) {
			limit, limited = noopInterval, true
			if timer != nil {
				timer.Stop()
				timer = nil
			}
		}
		h.waiting = true
		s.mu.Unlock()
		if limited && timer == nil {
			timer = time.NewTimer(limit)
			expired = timer.C
			defer timer.Stop()
		}
		timedOut := false
		select {
		case <-h.wake:
		case <-r.Context().Done():
			s.mu.Lock()
			h.waiting = false
			s.mu.Unlock()
			return next{gone: true}
		case <-expired:
			timedOut = true
		}
		s.mu.Lock()
		h.waiting = false
		upgrading := s.upgrading() && s.queue == nil && !h.ended
		s.mu.Unlock()
		if upgrading {
			return next{} // woken by the probe: let the GET go
		}
		if timedOut {
			limit = 0
		}
	}
}

// goodbye is the packet that ends the last GET: close, unless the client asked
// for it or goes on elsewhere.
func (h *hold) goodbye() *Message {
	if h.how == endAbort {
		return closeMessage
	}
	return noopMessage
}

// drained ends a closing session whose last packet, the close packet, has been
// written, and reports whether it did.
func (s *Session) drained(b *batch) bool {
	last := b.messages[len(b.messages)-1]
	if last.kind != frame.Close {
		return false
	}
	s.finish(ReasonForcedClose, nil, endAbort)
	return true
}
