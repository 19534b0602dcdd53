package engineio

import (
	"bytes"
	"net/http"
	"strings"
	"time"

	"github.com/sockeye-io/sockeye/engineio/frame"
)

// streaming carries packets to the peer in a response that stays open, each as
// a record or as a Server-Sent Event, and from the peer as bodies of POST
// requests like polling. A response ends after StreamMaxBytes or StreamMaxAge
// with a noop packet, and the client opens the next one; what is queued
// meanwhile waits.
type streaming struct {
	hold
	probe bool // as a candidate: the probe is to be answered
}

func (*streaming) name() string { return streamingName }

// openStreaming answers a handshake: the response is the first stream.
func (srv *Server) openStreaming(w http.ResponseWriter, q *request) {
	t := &streaming{hold: hold{wake: make(chan struct{}, 1)}}
	s, refusal := srv.open(q, t, func(s *Session) { t.session = s })
	if refusal != nil {
		srv.refuse(w, q, refusal)
		return
	}
	srv.handshakeHeaders(w.Header(), q.Request, s)
	first := []*Message{s.openPacket(srv.offered(streamingName, q.query))}
	if srv.opts.InitialMessage != nil {
		first = append(first, NewMessage(false, srv.opts.InitialMessage))
	}
	t.stream(w, q, first)
}

// upgradeToStreaming admits a stream as candidate of a session on polling.
func (s *Session) upgradeToStreaming(w http.ResponseWriter, q *request) {
	t := &streaming{hold: hold{session: s, wake: make(chan struct{}, 1)}}
	if !s.beginUpgrade(t) {
		s.server.refuse(w, q, badRequest("TRANSPORT_MISMATCH", "transport", q.transport))
		return
	}
	t.stream(w, q, nil)
}

// reply answers the probe on the candidate's stream.
func (t *streaming) reply(*Message) {
	s := t.session
	s.mu.Lock()
	t.probe = true
	t.kick()
	s.mu.Unlock()
}

// stream serves one GET for as long as it lasts.
func (t *streaming) stream(w http.ResponseWriter, q *request, first []*Message) {
	s := t.session
	if !t.enter(w, q.Request) {
		s.finish(ReasonTransportError, errPollOverlap, endAbort)
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	defer t.leave()

	out := newStreamWriter(w, q)
	if err := out.write(first); err != nil {
		t.lost(err)
		return
	}
	opts := &s.server.opts
	deadline := time.Now().Add(opts.StreamMaxAge)
	for {
		left := time.Until(deadline)
		n := t.next(q.Request, left)
		switch {
		case n.gone:
			t.lost(errPollAborted)
			return
		case n.batch == nil && n.final == nil && !n.last: // too old, or an upgrade wants it gone
			t.closes()
			_ = out.write([]*Message{noopMessage})
			return
		case n.last:
			t.closes()
			_ = out.write([]*Message{n.final})
			return
		}
		err := out.write(n.batch.pending())
		s.mu.Lock()
		s.sent(n.batch.cost)
		s.mu.Unlock()
		if err != nil {
			t.lost(err)
			return
		}
		ended := s.drained(n.batch)
		n.batch.release()
		if ended {
			return
		}
		if out.written >= opts.StreamMaxBytes {
			t.closes()
			_ = out.write([]*Message{noopMessage})
			return
		}
	}
}

// next is hold.wait for the current transport; for a candidate it waits for
// the probe to answer and for the upgrade to be complete.
func (t *streaming) next(r *http.Request, left time.Duration) next {
	s := t.session
	for {
		s.mu.Lock()
		if s.transport == transport(t) || t.ended {
			s.mu.Unlock()
			return t.wait(r, 0, streamBatchBytes, left, true)
		}
		if t.probe {
			t.probe = false
			b := batchPool.Get().(*batch)
			b.push(probeMessage)
			s.waiting += b.cost
			s.mu.Unlock()
			return next{batch: b}
		}
		t.waiting = true
		s.mu.Unlock()
		select {
		case <-t.wake:
		case <-r.Context().Done():
			return next{gone: true}
		}
	}
}

// streamBatchBytes bounds what is built in memory for one write.
const streamBatchBytes = 256 << 10

// lost ends the session, or only the candidate.
func (t *streaming) lost(err error) {
	s := t.session
	s.mu.Lock()
	current := s.transport == transport(t)
	s.mu.Unlock()
	if current {
		s.finish(ReasonTransportError, err, endAbort)
	} else {
		s.abandonUpgrade(t)
	}
}

// streamWriter writes packets in the form that the client asked for.
type streamWriter struct {
	w       http.ResponseWriter
	rc      *http.ResponseController
	events  bool
	written int
}

func newStreamWriter(w http.ResponseWriter, q *request) *streamWriter {
	out := &streamWriter{w: w, rc: http.NewResponseController(w)}
	h := w.Header()
	for _, accept := range q.Header["Accept"] {
		out.events = out.events || strings.Contains(accept, "text/event-stream")
	}
	if out.events {
		h.Set("Content-Type", "text/event-stream; charset=utf-8")
	} else {
		h.Set("Content-Type", "text/plain; charset=UTF-8")
		// Keeps browsers from holding back the first bytes to guess the type.
		h.Set("X-Content-Type-Options", "nosniff")
	}
	// nginx buffers responses unless told not to; no-transform keeps
	// compressing proxies from doing so.
	h.Set("X-Accel-Buffering", "no")
	h.Set("Cache-Control", "no-store, no-transform")
	w.WriteHeader(http.StatusOK)
	// A server-wide WriteTimeout would cut the stream; not every
	// ResponseWriter has deadlines.
	_ = out.rc.SetWriteDeadline(time.Time{})
	return out
}

// write writes the packets and flushes them; none flushes the headers.
func (o *streamWriter) write(ms []*Message) error {
	buf := scratch.Get().(*bytes.Buffer)
	defer putScratch(buf)
	b := buf.AvailableBuffer()
	for _, m := range ms {
		if o.events {
			b = frame.AppendSSE(b, m.packet())
		} else {
			b = append(b, m.text()...)
			b = append(b, frame.Separator)
		}
	}
	buf.Write(b)
	n, err := o.w.Write(buf.Bytes())
	o.written += n
	if err != nil {
		return err
	}
	return o.rc.Flush()
}
