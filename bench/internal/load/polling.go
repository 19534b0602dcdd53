//go:build linux

package load

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// poller is a Socket.IO client over long-polling with two HTTP connections: one waits in a GET, the other POSTs.
type poller struct {
	run       *run
	get, post *conn
	index     int
	path      string
	ready     bool   // CONNECT answered
	sent      uint64 // events; the last one is under way unless acked equals it
	acked     uint64
	polling   bool // a GET is under way
	posting   bool // a POST is under way
	pong      bool // the next POST brings a pong
	at        time.Duration
	ended     bool
	onReady   func()
	onEnd     func(error)
}

func (p *poller) connected(c *conn) {
	if c == p.get {
		p.poll()
	} else if p.path != "" {
		p.postPackets("40")
	}
}

func (p *poller) gone(_ *conn, err error) {
	if p.ended {
		return
	}
	p.ended = true
	p.get.close()
	p.post.close()
	p.onEnd(err)
}

const pollPath = "/socket.io/?EIO=4&transport=polling"

func (p *poller) poll() {
	path := p.path
	if path == "" {
		path = pollPath
	}
	p.polling = true
	t := p.run.target
	p.get.send(fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nOrigin: http://%s\r\n%s\r\n", path, t.host, t.host, requestHeaders))
}

func (p *poller) postPackets(body string) {
	if p.pong {
		p.pong = false
		body = "3\x1e" + body
	}
	p.posting = true
	t := p.run.target
	p.post.send(fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nOrigin: http://%s\r\n%sContent-Type: text/plain;charset=UTF-8\r\nContent-Length: %d\r\n\r\n%s",
		p.path, t.host, t.host, requestHeaders, len(body), body))
}

func (p *poller) data(c *conn, b []byte) (int, error) {
	status, body, n, err := nextResponse(b)
	if n == 0 || err != nil {
		return 0, err
	}
	if status != 200 {
		return n, fmt.Errorf("http: status %d: %.200q", status, body)
	}
	if c == p.post {
		p.posting = false
		if string(body) != "ok" {
			return n, fmt.Errorf("a POST is answered with %.80q", body)
		}
		p.next()
		return n, nil
	}
	p.polling = false
	for packet := range bytes.SplitSeq(body, []byte{0x1e}) {
		if err := p.packet(packet); err != nil {
			return n, err
		}
	}
	p.next()
	return n, nil
}

func (p *poller) packet(text []byte) error {
	switch {
	case len(text) == 0:
		return errors.New("empty packet")
	case text[0] == '0' && p.path == "":
		var open struct {
			SID string `json:"sid"`
		}
		if err := json.Unmarshal(text[1:], &open); err != nil || open.SID == "" {
			return fmt.Errorf("not a handshake: %.200q", text)
		}
		p.path = pollPath + "&sid=" + open.SID
		if !p.post.connecting {
			p.postPackets("40")
		}
	case text[0] == '2':
		p.pong = true
	case text[0] == '6':
	case bytes.HasPrefix(text, []byte("40")) && !p.ready:
		p.ready = true
		p.onReady()
	case p.ready && text[0] == '4':
		return p.ack(text)
	default:
		return fmt.Errorf("unexpected packet: %.80q", text)
	}
	return nil
}

func (p *poller) ack(text []byte) error {
	r := p.run
	id, stream, seq, err := r.payload.parseAck(text)
	if err != nil {
		return err
	}
	if id != p.acked || seq != id || stream != p.index || id >= p.sent {
		r.wrong(fmt.Errorf("client %d: acknowledgement %d with message %d of client %d, want %d", p.index, id, seq, stream, p.acked))
		return nil
	}
	r.latency.add(p.get.loop.now - p.at)
	p.acked++
	r.ops++
	return nil
}

// next polls again, and sends the next event when the last one is done with.
func (p *poller) next() {
	if p.path == "" || p.polling && p.posting {
		return
	}
	if !p.polling {
		p.poll()
	}
	if p.ready && !p.posting && p.acked == p.sent && !p.run.stopping {
		p.run.scratch = p.run.payload.appendEcho(p.run.scratch[:0], p.index, p.sent)
		p.at = p.get.loop.now
		p.sent++
		p.postPackets(string(p.run.scratch))
	}
}

func (r *run) polling() error {
	if r.cfg.InFlight != 1 {
		return errors.New("polling has one event in flight")
	}
	l, err := newLoop()
	if err != nil {
		return err
	}
	defer l.close()
	ready, ended := 0, 0
	var failure error
	pollers := make([]*poller, r.cfg.Clients)
	for i := range pollers {
		p := &poller{run: r, index: i}
		p.onReady = func() { ready++ }
		p.onEnd = func(err error) {
			ended++
			if failure == nil {
				failure = err
			}
			r.fail(fmt.Errorf("a client ended: %w", err))
		}
		if p.get, err = l.dial(r.target.addr, p); err != nil {
			return err
		}
		if p.post, err = l.dial(r.target.addr, p); err != nil {
			return err
		}
		pollers[i] = p
		// One after the other; the first have begun to send by then, which is warm-up.
		if !l.runUntil(r.cfg.Patience, func() bool { return ready+ended > i }) {
			return fmt.Errorf("client %d: %w", i, errTimeout)
		}
		if ended > 0 {
			return fmt.Errorf("a client can't connect: %w", failure)
		}
	}
	return r.measure(l, func() int {
		missing := 0
		for _, p := range pollers {
			missing += int(p.sent - p.acked)
		}
		return missing
	})
}
