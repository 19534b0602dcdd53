//go:build linux

package load

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// requestHeaders are about what a browser sends, so that servers that keep the handshake pay for it.
const requestHeaders = "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n" +
	"Accept: */*\r\n" +
	"Accept-Language: en-US,en;q=0.5\r\n" +
	"Accept-Encoding: gzip, deflate, br\r\n"

// target says where the server is and how to ask it.
type target struct {
	addr netip.AddrPort
	host string
}

func newTarget(host string) (target, error) {
	tcp, err := net.ResolveTCPAddr("tcp", host)
	if err != nil {
		return target{}, err
	}
	addr := tcp.AddrPort()
	return target{addr: netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port()), host: host}, nil
}

func (t target) upgradeRequest() []byte {
	return fmt.Appendf(nil, "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n"+
		"Host: %s\r\nOrigin: http://%s\r\n%s"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"+
		"Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n", t.host, t.host, requestHeaders)
}

// acceptKey is the answer to the key above: the pair is RFC 6455's example.
var acceptKey = []byte("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")

// swarm is a number of Socket.IO clients over WebSocket in one loop, by turns on each of the servers.
type swarm struct {
	*loop
	targets  []target
	requests [][]byte
	clients  []*client
	ready    int // connected to the namespace
	lost     int // ended before or after that
	failure  error

	onReady   func(*client)
	onLost    func(*client)
	onMessage func(*client, []byte) error // an Engine.IO message packet, "4" included, after the CONNECT answer
}

type client struct {
	*conn
	swarm   *swarm
	index   int
	stage   stage
	sid     string // of the socket, once it is joined
	started time.Duration
}

type stage byte

const (
	upgrading stage = iota // no answer yet
	opening                // 101 seen
	joining                // Engine.IO open seen, CONNECT sent
	joined                 // CONNECT answered
	ended
)

var (
	pongFrame = appendFrame(nil, []byte("3"))
	joinFrame = appendFrame(nil, []byte("40"))
)

func newSwarm(targets ...target) (*swarm, error) {
	l, err := newLoop()
	if err != nil {
		return nil, err
	}
	s := &swarm{loop: l, targets: targets}
	for _, t := range targets {
		s.requests = append(s.requests, t.upgradeRequest())
	}
	return s, nil
}

// add starts one more client.
func (s *swarm) add() error {
	c := &client{swarm: s, index: len(s.clients), started: s.clock()}
	var err error
	if c.conn, err = s.dial(s.targets[c.index%len(s.targets)].addr, c); err != nil {
		return err
	}
	s.clients = append(s.clients, c)
	return nil
}

// connectAll adds n clients, some at a time, and returns how many of them failed or had no answer in time. The error
// is only for what is wrong on this side (out of descriptors).
func (s *swarm) connectAll(n, parallel int, patience time.Duration) (lost int, err error) {
	first := len(s.clients)
	lostBefore, readyBefore := s.lost, s.ready
	oldest := first
	for {
		done := s.ready - readyBefore + s.lost - lostBefore
		for started := len(s.clients) - first; started < n && started-done < parallel; started++ {
			if err := s.add(); err != nil {
				return s.lost - lostBefore, err
			}
		}
		if done >= n {
			return s.lost - lostBefore, nil
		}
		s.poll(20)
		for s.clock(); oldest < len(s.clients) && s.clients[oldest].stage >= joined; {
			oldest++
		}
		for _, c := range s.clients[oldest:min(len(s.clients), oldest+parallel)] {
			if c.stage < joined && s.now-c.started > patience {
				c.fail(errTimeout)
			}
		}
	}
}

func (c *client) connected(*conn) { c.send(c.swarm.requests[c.index%len(c.swarm.requests)]) }

func (c *client) gone(_ *conn, err error) {
	s := c.swarm
	if s.failure == nil {
		s.failure = err
	}
	s.lost++
	if c.stage == joined {
		s.ready--
	}
	c.stage = ended
	if s.onLost != nil {
		s.onLost(c)
	}
}

func (c *client) data(_ *conn, b []byte) (used int, err error) {
	if c.stage == upgrading {
		end := bytes.Index(b, []byte("\r\n\r\n"))
		if end < 0 {
			return 0, nil
		}
		if !bytes.HasPrefix(b, []byte("HTTP/1.1 101 ")) {
			return 0, fmt.Errorf("no upgrade: %.200q", b)
		}
		if !bytes.Contains(b[:end], acceptKey) {
			return 0, errors.New("the upgrade answers another key")
		}
		c.stage = opening
		used = end + 4
	}
	for used < len(b) {
		text, n, err := nextFrame(b[used:])
		if err != nil {
			return used, err
		}
		if n == 0 {
			break
		}
		used += n
		if err := c.packet(text); err != nil {
			return used, err
		}
	}
	return used, nil
}

func (c *client) packet(text []byte) error {
	switch {
	case len(text) == 0:
		return errors.New("empty packet")
	case c.stage == opening && text[0] == '0':
		c.stage = joining
		c.send(joinFrame)
	case text[0] == '2':
		c.send(pongFrame)
	case text[0] == '6':
	case c.stage == joining && bytes.HasPrefix(text, []byte("40")):
		c.stage = joined
		if _, rest, ok := bytes.Cut(text, []byte(`"sid":"`)); ok {
			sid, _, _ := bytes.Cut(rest, []byte{'"'})
			c.sid = string(sid)
		}
		c.swarm.ready++
		if c.swarm.onReady != nil {
			c.swarm.onReady(c)
		}
	case c.stage == joined && text[0] == '4' && c.swarm.onMessage != nil:
		return c.swarm.onMessage(c, text)
	default:
		return fmt.Errorf("unexpected packet: %.80q", text)
	}
	return nil
}
