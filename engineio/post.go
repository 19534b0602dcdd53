package engineio

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/sockeye-io/sockeye/engineio/frame"
)

// servePost takes the packets of a POST, which is how a peer on polling or
// streaming sends.
func (s *Session) servePost(w http.ResponseWriter, q *request) {
	s.mu.Lock()
	overlap := s.posting
	s.posting = true
	s.mu.Unlock()
	if overlap {
		s.finish(ReasonTransportError, errPostOverlap, endAbort)
		dropBody(w, q.Request)
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	defer func() {
		s.mu.Lock()
		s.posting = false
		s.mu.Unlock()
	}()

	if strings.HasPrefix(q.Header.Get("Content-Type"), "application/octet-stream") {
		// Protocol 4 carries binary as base64.
		s.finish(ReasonTransportError, errInvalidContent, endAbort)
		dropBody(w, q.Request)
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	buf := scratch.Get().(*bytes.Buffer)
	defer putScratch(buf)
	if status, err := s.readBody(buf, w, q.Request); err != nil {
		if status == 0 {
			s.finish(ReasonTransportError, errPostAborted, endAbort)
			return
		}
		if status == http.StatusRequestEntityTooLarge {
			dropBody(w, q.Request)
		}
		w.WriteHeader(status)
		return
	}
	if err := s.deliverPayload(buf.Bytes(), q.transport); err != nil {
		s.finish(ReasonParseError, err, endAbort)
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	h := w.Header()
	h["Content-Type"] = textHTML
	h["Content-Length"] = two
	h["Cache-Control"] = noStore
	_, _ = io.WriteString(w, "ok") // the packets have arrived all the same
}

// dropBody is called before a response to a request whose body is not read. On
// HTTP/1 net/http would wait for the body before it lets the response go, and
// a peer that announces one and never sends it would never be answered.
func dropBody(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor == 1 && r.ContentLength != 0 {
		w.Header().Set("Connection", "close")
	}
}

var errBodyTooLarge = errors.New("engineio: body is larger than MaxPayload")

// readBody reads the body into buf, no more than MaxPayload bytes of it. An
// error comes with the status to answer, or 0 if the client has left.
func (s *Session) readBody(buf *bytes.Buffer, w http.ResponseWriter, r *http.Request) (int, error) {
	limit := int64(s.server.opts.MaxPayload)
	if r.ContentLength > limit {
		return http.StatusRequestEntityTooLarge, errBodyTooLarge
	}
	// A body that trickles in holds this handler for as long as a session may
	// be silent, no longer; net/http clears the deadline before the next request.
	// Not every ResponseWriter has deadlines.
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(s.interval + s.server.opts.PingTimeout))
	n, err := buf.ReadFrom(io.LimitReader(r.Body, limit+1))
	if err != nil {
		return 0, err
	}
	if n > limit {
		return http.StatusRequestEntityTooLarge, errBodyTooLarge
	}
	return 0, nil
}

// deliverPayload hands the packets of a payload on, up to the first bad one.
func (s *Session) deliverPayload(payload []byte, transport string) error {
	s.delivery.Lock()
	defer s.announceEnd()
	defer s.delivery.Unlock()
	return frame.DecodePayload(payload, 0, func(p frame.Packet) error {
		s.mu.Lock()
		up := s.upgrade
		current := s.transport.name()
		s.mu.Unlock()
		if transport != current && up != nil && up.to.name() == transport {
			s.upgradePacket(up.to, p)
			return nil
		}
		s.receive(p)
		return nil
	})
}
