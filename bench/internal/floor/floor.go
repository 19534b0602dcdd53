// Package floor is the server the budgets are measured against: it speaks just enough Engine.IO and Socket.IO over
// WebSocket for the load generator, and does nothing else. Handshakes are canned bytes, an incoming event is found by
// its prefix and never parsed, and every delivery is one write of a prepared frame. What it costs is what the kernel,
// net/http's hijack and the WebSocket codec cost; a server with logic can only get below it by making fewer writes.
//
// It is no server for anything else: messages over [maxMessage] bytes end the connection, a slow reader holds up a
// broadcast, and what it does not expect it ignores.
package floor

import (
	"bufio"
	"bytes"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gobwas/ws"
)

// maxMessage bounds a client's frame; sixteen messages of the benchmark's size fit, so that a burst is one read.
const maxMessage = 2048

const pingInterval = 60 * time.Second

var (
	openFrame = frame(`0{"sid":"AAAAAAAAAAAAAAAAAAAA","upgrades":[],"pingInterval":60000,"pingTimeout":60000,"maxPayload":1000000}`)
	joinFrame = frame(`40{"sid":"BBBBBBBBBBBBBBBBBBBB"}`)
	pingFrame = frame("2")
)

func frame(text string) []byte { return ws.MustCompileFrame(ws.NewTextFrame([]byte(text))) }

// Server is an http.Handler. Make it with [New] and end it with Close.
type Server struct {
	mu     sync.RWMutex
	conns  map[*conn]struct{}
	rooms  map[string][]*conn
	closed bool
	stop   chan struct{}
	wg     sync.WaitGroup
}

// New starts the one goroutine that pings all connections.
func New() *Server {
	s := &Server{conns: map[*conn]struct{}{}, rooms: map[string][]*conn{}, stop: make(chan struct{})}
	s.wg.Go(s.ping)
	return s
}

// Close closes every connection and waits for their goroutines.
func (s *Server) Close() {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.stop)
	}
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

func (s *Server) ping() {
	tick := time.NewTicker(pingInterval)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-tick.C:
			s.broadcast(pingFrame)
		}
	}
}

// ServeHTTP upgrades every request to a WebSocket. The handler returns at once, so that net/http lets go of its buffers.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	nc, _, _, err := ws.UpgradeHTTP(r, w)
	if err != nil {
		return // UpgradeHTTP has answered
	}
	c := &conn{Conn: nc, server: s}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		nc.Close()
		return
	}
	s.conns[c] = struct{}{}
	s.wg.Go(c.serve)
	s.mu.Unlock()
}

// broadcast writes f to every connection, one after the other. A failed write shows on that connection's read.
func (s *Server) broadcast(f []byte) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for c := range s.conns {
		_, _ = c.Write(f) // the reader sees why
	}
}

func (s *Server) broadcastRoom(room []byte, f []byte) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, c := range s.rooms[string(room)] {
		_, _ = c.Write(f)
	}
}

func (s *Server) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	for _, room := range c.rooms {
		members := s.rooms[room]
		for i, m := range members {
			if m == c {
				members[i] = members[len(members)-1]
				s.rooms[room] = members[:len(members)-1]
				break
			}
		}
	}
}

type conn struct {
	net.Conn
	server *Server
	rooms  []string
	header [ws.MaxHeaderSize]byte
	out    buffer // the frame being built, reused
}

// buffer is the io.Writer that the codec wants.
type buffer struct{ b []byte }

func (b *buffer) Write(p []byte) (int, error) { b.b = append(b.b, p...); return len(p), nil }

func (c *conn) serve() {
	defer c.server.remove(c)
	defer c.Close()
	if _, err := c.Write(openFrame); err != nil {
		return
	}
	in := bufio.NewReaderSize(c.Conn, maxMessage)
	for {
		h, err := ws.ReadHeaderBuffer(in, c.header[:])
		if err != nil || h.OpCode != ws.OpText || !h.Fin || h.Length > maxMessage {
			return
		}
		text, err := in.Peek(int(h.Length))
		if err != nil {
			return
		}
		ws.Cipher(text, h.Mask, 0)
		if c.message(text) != nil {
			return
		}
		_, _ = in.Discard(len(text))
	}
}

var (
	echoPrefix  = []byte(`["echo",`)
	bcastPrefix = []byte(`["bcast",`)
	rcastPrefix = []byte(`["rcast","`)
	joinPrefix  = []byte(`["join","`)
)

// message answers one Engine.IO packet. What it does not know (pongs) it leaves unanswered.
func (c *conn) message(text []byte) error {
	if bytes.HasPrefix(text, []byte("40")) {
		_, err := c.Write(joinFrame)
		return err
	}
	rest, ok := bytes.CutPrefix(text, []byte("42"))
	if !ok {
		return nil
	}
	n := 0
	for n < len(rest) && rest[n] >= '0' && rest[n] <= '9' {
		n++
	}
	id, array := rest[:n], rest[n:]
	switch {
	case bytes.HasPrefix(array, echoPrefix):
		return c.send("43", id, "[", array[len(echoPrefix):])
	case bytes.HasPrefix(array, bcastPrefix):
		c.server.broadcast(c.build("42", nil, `["msg",`, array[len(bcastPrefix):]))
	case bytes.HasPrefix(array, rcastPrefix):
		room, args, ok := bytes.Cut(array[len(rcastPrefix):], []byte(`",`))
		if ok {
			c.server.broadcastRoom(room, c.build("42", nil, `["msg",`, args))
		}
	case bytes.HasPrefix(array, joinPrefix):
		room, _, _ := bytes.Cut(array[len(joinPrefix):], []byte(`"`))
		c.server.mu.Lock()
		c.rooms = append(c.rooms, string(room))
		c.server.rooms[string(room)] = append(c.server.rooms[string(room)], c)
		c.server.mu.Unlock()
		return c.send("43", id, "[]", nil)
	}
	return nil
}

func (c *conn) send(kind string, id []byte, open string, rest []byte) error {
	_, err := c.Write(c.build(kind, id, open, rest))
	return err
}

// build puts a frame together in c.out; it is valid until the next one.
func (c *conn) build(kind string, id []byte, open string, rest []byte) []byte {
	b := &c.out
	b.b = b.b[:0]
	h := ws.Header{Fin: true, OpCode: ws.OpText, Length: int64(len(kind) + len(id) + len(open) + len(rest))}
	_ = ws.WriteHeaderBuffer(b, h, c.header[:])
	b.b = append(b.b, kind...)
	b.b = append(b.b, id...)
	b.b = append(b.b, open...)
	b.b = append(b.b, rest...)
	return b.b
}
