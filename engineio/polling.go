package engineio

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/sockeye-io/sockeye/engineio/frame"
)

// polling carries packets to the peer as responses to GET requests, each held
// until there is something to say, and from the peer as bodies of POST
// requests.
type polling struct{ hold }

func (*polling) name() string { return pollingName }

// serveGet answers a GET of a session on polling or streaming.
func (s *Session) serveGet(w http.ResponseWriter, q *request) {
	s.mu.Lock()
	t := s.transport
	s.mu.Unlock()
	switch t := t.(type) {
	case *polling:
		if q.transport == streamingName {
			s.upgradeToStreaming(w, q)
			return
		}
		t.poll(w, q)
	case *streaming:
		t.stream(w, q, nil)
	default:
		s.server.refuse(w, q, badRequest("TRANSPORT_MISMATCH", "transport", q.transport))
	}
}

func (p *polling) poll(w http.ResponseWriter, q *request) {
	s := p.session
	if !p.enter(w, q.Request) {
		// The first GET is answered with a close packet.
		s.finish(ReasonTransportError, errPollOverlap, endAbort)
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	defer p.leave()

	opts := &s.server.opts
	n := p.wait(q.Request, opts.MaxPollPackets, opts.MaxPayload, 0, opts.ShortPolling)
	p.closes()
	if n.gone {
		s.finish(ReasonTransportError, errPollAborted, endAbort)
		return
	}
	p.renewDeadline(q.Request)
	if n.last && p.how == endUpgraded {
		// A client lets its GET come back before it completes the upgrade; this one came after that, on a connection
		// of its own, and was merely read first. Had it been read second, it would get the same answer.
		s.server.refuse(w, q, badRequest("TRANSPORT_MISMATCH", "transport", q.transport))
		return
	}
	if n.batch == nil {
		b := batchPool.Get().(*batch)
		if n.final == nil {
			n.final = noopMessage
		}
		b.push(n.final)
		_ = s.writePayload(w, q, b) // the session has ended, or loses nothing
		b.release()
		return
	}
	err := s.writePayload(w, q, n.batch)
	s.mu.Lock()
	s.sent(n.batch.cost)
	s.mu.Unlock()
	if err != nil {
		s.finish(ReasonTransportError, err, endAbort)
	} else {
		s.drained(n.batch)
	}
	n.batch.release()
}

// scratch are buffers for building responses. Those that grew beyond
// maxPooledBuffer are left to the collector.
var scratch = sync.Pool{New: func() any { return new(bytes.Buffer) }}

const maxPooledBuffer = 64 << 10

func putScratch(b *bytes.Buffer) {
	if b.Cap() <= maxPooledBuffer {
		b.Reset()
		scratch.Put(b)
	}
}

// Header values that every poll has, shared to spare it the slices.
var (
	textPlain = []string{"text/plain; charset=UTF-8"}
	textHTML  = []string{"text/html"}
	noStore   = []string{"no-store"}
	two       = []string{"2"}
)

// writePayload answers a GET with the packets of b.
func (s *Session) writePayload(w http.ResponseWriter, q *request, b *batch) error {
	buf := scratch.Get().(*bytes.Buffer)
	defer putScratch(buf)
	worthwhile := false
	for i, m := range b.pending() {
		if i > 0 {
			buf.WriteByte(frame.Separator)
		}
		buf.Write(m.text())
		worthwhile = worthwhile || !m.noCompress
	}
	h := w.Header()
	h["Content-Type"] = textPlain
	h["Cache-Control"] = noStore
	if ua := q.UserAgent(); strings.Contains(ua, ";MSIE") || strings.Contains(ua, "Trident/") {
		h.Set("X-XSS-Protection", "0")
	}
	body := buf.Bytes()
	threshold := s.server.opts.CompressionThreshold
	if worthwhile && threshold >= 0 && len(body) >= threshold && acceptsGzip(q.Request) {
		compressed := scratch.Get().(*bytes.Buffer)
		defer putScratch(compressed)
		if err := gzipTo(compressed, body); err != nil {
			return err
		}
		body = compressed.Bytes()
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	_, err := w.Write(body)
	return err
}

var gzipWriters = sync.Pool{New: func() any {
	w, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // the level is valid
	return w
}}

func gzipTo(dst *bytes.Buffer, body []byte) error {
	z := gzipWriters.Get().(*gzip.Writer)
	defer gzipWriters.Put(z)
	z.Reset(dst)
	if _, err := z.Write(body); err != nil {
		return err
	}
	return z.Close()
}

// acceptsGzip reads Accept-Encoding, with q=0 as a refusal.
func acceptsGzip(r *http.Request) bool {
	for _, v := range r.Header["Accept-Encoding"] {
		for part := range strings.SplitSeq(v, ",") {
			coding, weight, _ := strings.Cut(part, ";")
			coding = strings.TrimSpace(coding)
			if coding != "*" && !strings.EqualFold(coding, "gzip") {
				continue
			}
			weight = strings.ReplaceAll(weight, " ", "")
			if q, err := strconv.ParseFloat(strings.TrimPrefix(weight, "q="), 64); err != nil || q > 0 {
				return true
			}
		}
	}
	return false
}
