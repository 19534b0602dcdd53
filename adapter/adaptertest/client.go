package adaptertest

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/socketio"
)

// patience is how long the suite waits for what must come, on a machine that is slow and busy.
const patience = time.Minute

// inTime calls f with longer and longer times until it is true: for what ends by a timeout, before which something
// must have happened.
func inTime(t testing.TB, what string, f func(time.Duration) bool) {
	t.Helper()
	for d := 500 * time.Millisecond; d < patience; d *= 4 {
		if f(d) {
			return
		}
	}
	t.Fatalf("%s: not so, however long it may take", what)
}

// A node is one server of the cluster under test.
type node struct {
	t    testing.TB
	io   *socketio.Server
	http *httptest.Server
	join chan *socketio.Socket
}

// start starts a node for each factory, and waits until each knows of all.
func start(t testing.TB, factories []adapter.Factory) []*node {
	return startWith(t, factories, socketio.Options{})
}

// startWith is start with options for the servers.
func startWith(t testing.TB, factories []adapter.Factory, opts socketio.Options) []*node {
	t.Helper()
	var nodes []*node
	for _, f := range factories {
		opts.Adapter = f
		io := socketio.NewServer(&opts)
		n := &node{t: t, io: io, http: httptest.NewServer(io), join: make(chan *socketio.Socket, 100)}
		t.Cleanup(func() {
			io.Close()
			n.http.CloseClientConnections()
			n.http.Close()
		})
		io.OnConnection(func(s *socketio.Socket) {
			s.On("sync", func(context.Context, *socketio.Message) error { return s.Emit("synced") })
			n.join <- s
		})
		nodes = append(nodes, n)
	}
	for _, n := range nodes {
		n.awaitServers(len(nodes))
	}
	return nodes
}

// awaitServers waits until the node knows of so many servers. Brokers tell in their own time.
func (n *node) awaitServers(want int) {
	n.t.Helper()
	eventually(n.t, func() bool {
		ctx, cancel := context.WithTimeout(n.t.Context(), patience)
		defer cancel()
		got, err := n.io.Of("/").Servers(ctx)
		return err == nil && got == want
	}, "the number of servers")
}

// eventually waits until f is true.
func eventually(t testing.TB, f func() bool, what string) {
	t.Helper()
	end := time.Now().Add(patience)
	for !f() {
		if time.Now().After(end) {
			t.Fatalf("%s: still not so after %v", what, patience)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// A client is a socket on a node, and its other end.
type client struct {
	t    testing.TB
	node *node
	s    *socketio.Socket
	ID   string
	conn io.ReadWriteCloser

	sending sync.Mutex

	mu     sync.Mutex
	cond   *sync.Cond
	queue  []string
	closed bool
}

// client joins "/" of the node.
func (n *node) client() *client {
	n.t.Helper()
	c := n.dial()
	c.send("40")
	var reply struct{ SID string }
	if frame := c.next(); json.Unmarshal([]byte(strings.TrimPrefix(frame, "40")), &reply) != nil {
		n.t.Fatalf("connect was answered with %q", frame)
	}
	c.ID = reply.SID
	select {
	case c.s = <-n.join:
	case <-time.After(patience):
		n.t.Fatal("no connection on the server")
	}
	return c
}

// dial connects to the node.
func (n *node) dial() *client {
	n.t.Helper()
	conn, br, _, err := ws.Dial(context.Background(), "ws"+strings.TrimPrefix(n.http.URL, "http")+"/socket.io/?EIO=4&transport=websocket")
	if err != nil {
		n.t.Fatal(err)
	}
	c := &client{t: n.t, node: n, conn: conn}
	c.cond = sync.NewCond(&c.mu)
	var r io.Reader = conn
	if br != nil {
		r = io.MultiReader(br, conn)
	}
	go c.read(bufio.NewReader(r))
	c.next() // open
	return c
}

func (c *client) read(r *bufio.Reader) {
	for {
		op, payload, err := readFrame(r)
		c.mu.Lock()
		if err != nil || op == ws.OpClose {
			c.closed = true
			c.cond.Broadcast()
			c.mu.Unlock()
			c.conn.Close()
			return
		}
		text := string(payload)
		if op == ws.OpBinary {
			text = "b:" + text
		}
		ping := text == "2"
		if !ping {
			c.queue = append(c.queue, text)
			c.cond.Broadcast()
		}
		c.mu.Unlock()
		if ping {
			c.send("3")
		}
	}
}

func (c *client) send(text string) {
	c.sending.Lock()
	defer c.sending.Unlock()
	_ = ws.WriteFrame(c.conn, ws.MaskFrameInPlace(ws.NewTextFrame([]byte(text))))
}

// next returns the next frame.
func (c *client) next() string {
	c.t.Helper()
	timer := time.AfterFunc(patience, func() {
		c.mu.Lock()
		c.closed = true
		c.cond.Broadcast()
		c.mu.Unlock()
	})
	defer timer.Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.queue) == 0 && !c.closed {
		c.cond.Wait()
	}
	if len(c.queue) == 0 {
		c.t.Fatal("nothing came, or the connection ended")
	}
	text := c.queue[0]
	c.queue = c.queue[1:]
	return text
}

func (c *client) expect(frames ...string) {
	c.t.Helper()
	for _, want := range frames {
		if got := c.next(); got != want {
			c.t.Fatalf("received %q, want %q", short(got), short(want))
		}
	}
}

// answer replies to an event that asks for an acknowledgement.
func (c *client) answer(event, reply string) {
	c.t.Helper()
	frame := c.next()
	id, ok := strings.CutSuffix(strings.TrimPrefix(frame, "42"), event)
	if !ok || id == "" {
		c.t.Fatalf("received %q, want %s with an id", frame, event)
	}
	c.send("43" + id + reply)
}

func short(s string) string {
	if len(s) > 200 {
		return s[:200] + "…"
	}
	return s
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
