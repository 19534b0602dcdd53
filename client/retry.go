package client

import (
	"context"
	"slices"
	"time"

	"github.com/sockeye-io/sockeye/client/engine"
	"github.com/sockeye-io/sockeye/event"
	"github.com/sockeye-io/sockeye/socketio/packet"
)

// unrepeated is where the acknowledgement ids begin of events that are sent once although Options.Retries is set: a server
// that drops repeats expects the others to count up. It is a number that JavaScript can hold.
const unrepeated = 1 << 52

// retries are the events of a socket with Options.Retries, of which the first is sent until it is acknowledged. It is
// guarded by Client.mu.
type retries struct {
	list   []*outgoing
	bytes  int
	flying bool        // the first is under way
	timer  *time.Timer // of the try that is under way
}

// push appends an event within the limits of the buffer.
func (r *retries) push(s *Socket, o *outgoing) error {
	opts := &s.client.opts.Buffer
	if opts.Policy == NoBuffer && !s.joined() {
		return ErrDisconnected
	}
	for len(r.list) > 0 && (len(r.list) >= opts.MaxEvents || r.bytes+o.size > opts.MaxBytes) {
		oldest := 0
		if r.flying {
			oldest = 1
		}
		if opts.Policy != DropOldest || oldest == len(r.list) {
			return ErrBufferFull
		}
		s.giveUp(r.take(oldest), ErrBufferFull)
	}
	// Only now is it known which event comes before which.
	o.id = s.ids.Add(1) - 1
	h := packet.Header{Type: packet.Event, Namespace: s.namespace}
	start := len(packet.AppendHeader(nil, h, len(o.attachments)))
	h.ID, h.HasID = o.id, true
	text := packet.AppendRaw(nil, h, o.text[start:], len(o.attachments))
	var err error
	if o.ms, err = s.client.frames(text, o.attachments); err != nil {
		return err
	}
	o.text, o.attachments = nil, nil
	if o.timeout <= 0 {
		o.timeout = s.client.opts.AckTimeout
	}
	r.list = append(r.list, o)
	r.bytes += o.size
	s.sendNext()
	return nil
}

// take removes event i.
func (r *retries) take(i int) *outgoing {
	o := r.list[i]
	r.list = slices.Delete(r.list, i, i+1)
	r.bytes -= o.size
	if len(r.list) == 0 {
		r.list = nil
	}
	return o
}

// sendNext sends the first event, unless one is under way. c.mu is held.
func (s *Socket) sendNext() {
	r := &s.retries
	for !r.flying && len(r.list) > 0 && s.joined() && !s.sess.link.conn.Expired() {
		o := r.list[0]
		err := s.sess.link.conn.Send(o.ms...)
		if err == engine.ErrClosed {
			return // the next connection takes it
		}
		if err != nil && err != engine.ErrOutboxFull {
			s.giveUp(r.take(0), err)
			continue
		}
		// What the outbox has no room for is tried again like what was not acknowledged.
		r.flying = true
		o.tries++
		try := o.tries
		r.timer = time.AfterFunc(o.timeout, func() { s.retryTimeout(o, try) })
	}
}

// retryTimeout is a try that was not acknowledged in time.
func (s *Socket) retryTimeout(o *outgoing, try int) {
	s.client.mu.Lock()
	defer s.client.mu.Unlock()
	r := &s.retries
	if r.flying && r.list[0] == o && o.tries == try {
		r.failed(s, &AckTimeoutError{Event: o.name, Err: context.DeadlineExceeded})
		s.sendNext()
	}
}

// interrupt is the end of the connection on which a try was made.
func (r *retries) interrupt(s *Socket, err error) {
	if r.flying {
		r.failed(s, err)
	}
}

// land notes that no try is under way any more.
func (r *retries) land() {
	r.flying = false
	r.timer.Stop()
	r.timer = nil
}

// failed is a try that failed. The event is given up if it was the last.
func (r *retries) failed(s *Socket, err error) {
	r.land()
	o := r.list[0]
	if o.tries <= s.client.opts.Retries {
		return
	}
	r.take(0)
	err = &NotAcknowledgedError{Event: o.name, Tries: o.tries, Err: err}
	if o.w != nil {
		o.w.resolve(nil, err)
	} else {
		s.tell(err)
	}
	s.wakeFlushers()
}

// acknowledged takes the acknowledgement of the event that is under way, or was: it may come after its time.
func (r *retries) acknowledged(s *Socket, id uint64, a *event.Ack) {
	if len(r.list) == 0 || r.list[0].id != id || r.list[0].tries == 0 {
		return
	}
	if r.flying {
		r.land()
	}
	if o := r.take(0); o.w != nil {
		o.w.resolve(a, nil)
	}
	s.wakeFlushers()
	s.sendNext()
}

// remove removes an event that nobody waits for any more, and reports whether it was there.
func (r *retries) remove(s *Socket, o *outgoing) bool {
	i := slices.Index(r.list, o)
	if i < 0 {
		return false
	}
	if i == 0 && r.flying {
		r.land()
	}
	r.take(i)
	s.wakeFlushers()
	s.sendNext()
	return true
}

// clear removes everything, and returns how many events nobody waits for.
func (r *retries) clear() (unsent int) {
	if r.flying {
		r.land()
	}
	for _, o := range r.list {
		if o.w == nil {
			unsent++
		} else {
			o.w.resolve(nil, ErrClosed)
		}
	}
	r.list, r.bytes = nil, 0
	return unsent
}

// last returns the id of the last event, and pending whether it or one before it is still there.
func (r *retries) last() uint64 {
	if len(r.list) == 0 {
		return 0
	}
	return r.list[len(r.list)-1].id
}

func (r *retries) pending(last uint64) bool { return len(r.list) > 0 && r.list[0].id <= last }
