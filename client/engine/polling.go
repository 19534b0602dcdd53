package engine

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/gobwas/ws"

	"github.com/sockeye-io/sockeye/engineio/frame"
)

// polling carries packets as bodies of requests: POST for those that leave, a GET
// that the server holds for those that come. With streams the GET's response stays
// open and carries packet after packet, each ended by a separator; the server ends
// it from time to time, and the next GET goes on where it ended.
type polling struct {
	conn     *Conn
	requests *requests
	streams  bool
	ctx      context.Context // of all requests
	cancel   context.CancelFunc
	session  context.Context // while this is a candidate: that of the transport before
	done     chan struct{}   // closed when the reader has ended
	paused   bool            // no further GET; guarded by conn.mu

	body     io.ReadCloser // of the GET under way, or nil
	buf      []byte
	records  frame.Records
	received int      // records of this response
	cut      bool     // what was read last is not the end of a record
	early    [][]byte // records that came with the first
}

// maxPackets is how many packets one POST carries. Some servers, in other
// languages than Node's, refuse or drop what goes beyond.
const maxPackets = 16

// defaultPayload is how much one POST carries if the server did not say.
const defaultPayload = 1_000_000

// pollReadSize is small because the HTTP client reads into a buffer of its own
// first.
const pollReadSize = 2 << 10

var (
	errCutShort    = errors.New("engine: the stream was cut short")
	errEmptyStream = errors.New("engine: empty stream")
)

// newPolling returns a transport whose requests have the values of ctx.
func newPolling(ctx context.Context, c *Conn, r *requests, streams bool) *polling {
	p := &polling{conn: c, requests: r, streams: streams, done: make(chan struct{}), buf: make([]byte, pollReadSize)}
	p.ctx, p.cancel = context.WithCancel(context.WithoutCancel(ctx))
	return p
}

func (p *polling) name() string {
	if p.streams {
		return Streaming
	}
	return Polling
}

func (p *polling) limits() (packets, bytes int) {
	if p.conn.maxPayload > 0 {
		return maxPackets, p.conn.maxPayload
	}
	return maxPackets, defaultPayload
}

func (*polling) size(m Message) int { return textSize(m.Binary, len(m.Data)) }

// textSize is the size of a packet in text form.
func textSize(binary bool, n int) int {
	if binary {
		return 1 + base64.StdEncoding.EncodedLen(n)
	}
	return 1 + n
}

func (p *polling) kill() { p.cancel() }

func (p *polling) drop() {
	p.cancel()
	p.closeBody()
}

func (p *polling) closeBody() {
	if p.body != nil {
		_ = p.body.Close()
		p.body = nil
	}
}

// open makes the handshake. What else comes with it is kept for serve.
func (p *polling) open(ctx context.Context, extra map[string]string) (h handshake, err error) {
	err = p.guarded(ctx, func() error {
		h, err = p.handshake(extra)
		return err
	})
	return h, err
}

func (p *polling) handshake(extra map[string]string) (h handshake, err error) {
	resp, err := p.get("", extra) //nolint:bodyclose // closeBody closes it
	if err != nil {
		return h, err
	}
	packet, err := p.first()
	if errors.Is(err, frame.ErrEmpty) {
		err = errNoHandshake
	}
	if err == nil {
		h, err = parseHandshake(packet)
	}
	if err == errNoHandshake || err == errTooLarge || err == errCutShort {
		hint := "the answer is no handshake"
		if isPage(resp, packet) {
			hint = "it is a web page; look at Options.Path, and at what the proxy in front of the server passes on"
		}
		err = notEngineIO(resp, hint)
	}
	p.requests.follow(resp)
	return h, err
}

// probe makes the stream for a session that polls, and returns when the server has
// answered over it.
func (p *polling) probe(ctx context.Context) error {
	if err := p.guarded(ctx, func() error { _, err := p.get(p.conn.id, nil); return err }); err != nil { //nolint:bodyclose // closeBody closes it
		return err
	}
	// To the server, two POSTs of one session at a time are an error, and so are one
	// that is cut off and a probe without a stream. So this one takes its turn, and
	// nothing interrupts it but the end of the session.
	if err := p.conn.claim(ctx); err != nil {
		return err
	}
	err := p.post(p.session, []byte("2probe"))
	p.conn.unclaim()
	if err != nil {
		return err
	}
	return p.guarded(ctx, func() error {
		answer, err := p.first()
		if err == nil && string(answer) != "3probe" {
			err = fmt.Errorf("engine: the probe was answered with %q", excerpt(answer))
		}
		return err
	})
}

// guarded has the end of ctx end the transport while f runs.
func (p *polling) guarded(ctx context.Context, f func() error) error {
	stop := context.AfterFunc(ctx, p.cancel)
	err := f()
	if !stop() {
		return context.Cause(ctx)
	}
	return err
}

// get begins the next response.
func (p *polling) get(sid string, extra map[string]string) (*http.Response, error) {
	resp, err := p.requests.do(p.requests.new(p.ctx, http.MethodGet, p.name(), sid, extra, nil), http.StatusOK)
	if err != nil {
		return nil, err
	}
	p.body = resp.Body
	p.received, p.cut = 0, false
	return resp, nil
}

// first reads the first record of the response.
func (p *polling) first() (record []byte, err error) {
	for record == nil {
		err := p.readSome(func(r []byte) error {
			r = append(make([]byte, 0, len(r)+1), r...) // not nil, even if empty
			if record == nil {
				record = r
			} else {
				p.early = append(p.early, r)
			}
			return nil
		})
		if err == io.EOF {
			p.closeBody()
			if record == nil {
				return nil, errEmptyStream
			}
		} else if err != nil {
			return record, err
		}
	}
	return record, nil
}

// readSome reads a piece of the response. At its end it returns io.EOF.
func (p *polling) readSome(yield func([]byte) error) error {
	n, err := p.body.Read(p.buf)
	if n > 0 {
		p.conn.alive()
		p.cut = p.buf[n-1] != frame.Separator
	}
	piece := p.buf[:n]
	if err == io.EOF && !p.streams && (p.cut || p.received == 0) {
		piece = append(piece[:n:n], frame.Separator) // nothing ends the last packet of a payload
		p.cut = false
	}
	limit := 1 + base64.StdEncoding.EncodedLen(p.conn.maxMessage)
	if bad := p.records.Feed(piece, limit, func(r []byte) error {
		p.received++
		return yield(r)
	}); bad == frame.ErrTooLong {
		return errTooLarge
	} else if bad != nil {
		return bad
	}
	if err == io.EOF && p.cut {
		return errCutShort
	}
	return err
}

// serve reads until the transport ends; when it is to be left, until the response
// that it is reading has.
func (p *polling) serve() {
	err := p.read()
	p.closeBody()
	close(p.done)
	p.conn.lost(p, err)
	p.conn.leave()
}

func (p *polling) read() error {
	for _, record := range p.early {
		if err := p.take(record); err != nil {
			return err
		}
	}
	p.early = nil
	for {
		if p.body == nil {
			p.conn.mu.Lock()
			last := p.paused || p.conn.bye
			p.conn.mu.Unlock()
			if last {
				return nil
			}
			if _, err := p.get(p.conn.id, nil); err != nil { //nolint:bodyclose // closeBody closes it
				return err
			}
		}
		err := p.readSome(p.take)
		if err == io.EOF {
			p.closeBody()
			// Without this a server, or something in front of it, that ends every
			// response could keep us asking for ever.
			if p.received == 0 {
				return errEmptyStream
			}
		} else if err != nil {
			return err
		}
	}
}

// take handles one record.
func (p *polling) take(record []byte) error {
	var packet frame.Packet
	var err error
	if len(record) > 0 && record[0] == 'b' {
		if packet, err = frame.DecodePacket(record); err != nil {
			err = &protocolError{ws.StatusProtocolError, err}
		}
	} else {
		packet, err = textPacket(record)
	}
	if err != nil {
		return err
	}
	if len(packet.Data) > p.conn.maxMessage {
		return errTooLarge
	}
	return p.conn.receive(packet)
}

func (p *polling) write(ps []frame.Packet, bye bool) error {
	body := frame.AppendPayload(nil, ps)
	if bye {
		_, limit := p.limits()
		if len(ps) == maxPackets || len(body)+2 > limit {
			if err := p.post(p.ctx, body); err != nil {
				return err
			}
			body = nil
		}
		if len(body) > 0 {
			body = append(body, frame.Separator)
		}
		body = frame.AppendPacket(body, frame.Packet{Type: frame.Close})
	}
	return p.post(p.ctx, body)
}

// post sends one body.
func (p *polling) post(ctx context.Context, body []byte) error {
	resp, err := p.requests.do(p.requests.new(ctx, http.MethodPost, p.name(), p.conn.id, nil, body), http.StatusOK)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, maxRefusal))
	_ = resp.Body.Close()
	return err
}
