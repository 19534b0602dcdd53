package socketio_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/sockeye-io/sockeye/socketio"
)

// wait is how long a test waits for what must come. It is never part of what is asserted.
const wait = 10 * time.Second

// listener hands out in-memory connections, so that a server and its clients fit into a synctest bubble.
type listener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newListener() *listener {
	return &listener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *listener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

func (l *listener) dial() (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case l.conns <- there:
		return here, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// A site is a server under test and the way to reach it.
type site struct {
	t    testing.TB
	io   *socketio.Server
	host string
	dial func() (net.Conn, error)
}

// serve starts a server on a real socket.
func serve(t testing.TB, opts *socketio.Options) *site {
	t.Helper()
	io := socketio.NewServer(opts)
	hs := httptest.NewServer(io)
	t.Cleanup(func() {
		io.Close()
		hs.CloseClientConnections()
		hs.Close()
	})
	addr := hs.Listener.Addr().String()
	return &site{t, io, addr, func() (net.Conn, error) { return net.Dial("tcp", addr) }}
}

// serveInMemory starts a server on in-memory connections. The returned function stops it.
func serveInMemory(t testing.TB, opts *socketio.Options) (*site, func()) {
	t.Helper()
	io := socketio.NewServer(opts)
	l := newListener()
	hs := &http.Server{Handler: io}
	done := make(chan struct{})
	go func() {
		defer close(done)
		hs.Serve(l)
	}()
	return &site{t, io, "test", l.dial}, func() {
		io.Close()
		hs.Close()
		<-done
	}
}

// A peer is a client that speaks the protocol by hand over WebSocket. What it receives is queued, so nothing is lost
// between two reads of the test.
type peer struct {
	t    testing.TB
	conn net.Conn
	r    *bufio.Reader
	sid  string // of the socket in "/", if joined

	mu     sync.Mutex
	cond   *sync.Cond
	queue  []string // texts as they are, binary with a prefix "b:"
	closed bool
	silent bool // does not answer pings
}

// connect opens a session without joining a namespace.
func (st *site) connect(query ...string) *peer {
	st.t.Helper()
	conn, err := st.dial()
	if err != nil {
		st.t.Fatal(err)
	}
	q := "EIO=4&transport=websocket"
	if len(query) > 0 {
		q += "&" + query[0]
	}
	url := "ws://" + st.host + "/socket.io/?" + q
	d := ws.Dialer{NetDial: func(context.Context, string, string) (net.Conn, error) { return conn, nil }}
	c, br, _, err := d.Dial(context.Background(), url)
	if err != nil {
		st.t.Fatal(err)
	}
	p := &peer{t: st.t, conn: c, r: bufio.NewReader(c)}
	if br != nil {
		p.r = bufio.NewReader(io.MultiReader(br, c))
	}
	p.cond = sync.NewCond(&p.mu)
	go p.read()
	if open := p.next(); !strings.HasPrefix(open, "0{") {
		st.t.Fatalf("open packet is %q", open)
	}
	return p
}

// join opens a session and joins "/".
func (st *site) join() *peer {
	st.t.Helper()
	p := st.connect()
	p.join("/", "")
	return p
}

// join joins a namespace and returns the id of the socket.
func (p *peer) join(namespace, auth string) string {
	p.t.Helper()
	prefix := ""
	if namespace != "/" {
		prefix = namespace + ","
	}
	p.send("40" + prefix + auth)
	reply := p.next()
	var body struct{ SID, PID string }
	rest, ok := strings.CutPrefix(reply, "40"+prefix)
	if !ok || json.Unmarshal([]byte(rest), &body) != nil || len(body.SID) != 20 {
		p.t.Fatalf("joining %s was answered with %q", namespace, reply)
	}
	if namespace == "/" {
		p.sid = body.SID
	}
	return body.SID
}

func (p *peer) read() {
	defer func() {
		p.conn.Close()
		p.mu.Lock()
		p.closed = true
		p.cond.Broadcast()
		p.mu.Unlock()
	}()
	for {
		op, payload, err := readFrame(p.r)
		if err != nil || op == ws.OpClose {
			return
		}
		text := string(payload)
		if op == ws.OpBinary {
			text = "b:" + text
		}
		p.mu.Lock()
		if text == "2" {
			silent := p.silent
			p.mu.Unlock()
			if !silent {
				p.send("3")
			}
			continue
		}
		p.queue = append(p.queue, text)
		p.cond.Broadcast()
		p.mu.Unlock()
	}
}

func (p *peer) send(text string) {
	f := ws.MaskFrameInPlace(ws.NewTextFrame([]byte(text)))
	ws.WriteFrame(p.conn, f)
}

func (p *peer) sendBinary(data string) {
	ws.WriteFrame(p.conn, ws.MaskFrameInPlace(ws.NewBinaryFrame([]byte(data))))
}

// next returns the next frame. It fails the test if the connection ends instead.
func (p *peer) next() string {
	p.t.Helper()
	text, ok := p.poll()
	if !ok {
		p.t.Fatal("the connection ended")
	}
	return text
}

func (p *peer) poll() (string, bool) {
	late := false
	deadline := time.AfterFunc(wait, func() {
		p.mu.Lock()
		late = true
		p.cond.Broadcast()
		p.mu.Unlock()
	})
	defer deadline.Stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.queue) == 0 && !p.closed && !late {
		p.cond.Wait()
	}
	if len(p.queue) == 0 {
		if !p.closed {
			p.t.Fatal("neither did anything come nor did the connection end")
		}
		return "", false
	}
	text := p.queue[0]
	p.queue = p.queue[1:]
	return text, true
}

// expect takes the next frame, which must be the text.
func (p *peer) expect(text string) {
	p.t.Helper()
	if got := p.next(); got != text {
		p.t.Fatalf("received %q, want %q", got, text)
	}
}

// expectClosed reports whether the server closes the connection without sending anything before.
func (p *peer) expectClosed() {
	p.t.Helper()
	if text, ok := p.poll(); ok {
		p.t.Fatalf("received %q, want the connection closed", text)
	}
}

// sync makes sure that what the server has sent so far has been received: an event of the peer's own comes back. The
// server must have the listener that echoes returns.
func (p *peer) sync() []string {
	p.t.Helper()
	p.send(`42["sync"]`)
	var before []string
	for {
		text := p.next()
		if strings.HasPrefix(text, `42["synced"`) {
			return before
		}
		before = append(before, text)
	}
}

// echoes makes peer.sync work.
func echoes(io *socketio.Server) {
	io.OnConnection(func(s *socketio.Socket) {
		s.On("sync", func(context.Context, *socketio.Message) error { return s.Emit("synced") })
	})
}

func (p *peer) close() { p.conn.Close() }

// receive waits for a value that a handler sends.
func receive[T any](t testing.TB, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(wait):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

// readFrame reads a frame of a server that is trusted with its length.
func readFrame(r io.Reader) (ws.OpCode, []byte, error) {
	h, err := ws.ReadHeader(r)
	if err != nil {
		return 0, nil, err
	}
	payload := make([]byte, h.Length)
	_, err = io.ReadFull(r, payload)
	return h.OpCode, payload, err
}
