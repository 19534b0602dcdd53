package client

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/sockeye-io/sockeye/client/engine"
)

// A fakeServer stands in for the network: a test decides what becomes of each attempt to connect, and is the server at the
// other end of what it lets through.
type fakeServer struct {
	t     testing.TB
	mu    sync.Mutex
	dials []*fakeDial // that wait for a decision
	count int         // of all dials
}

type fakeDial struct {
	result chan any // *fakeConn or error
}

// newFake returns a client of a fake server, closed with the test.
func newFake(t *testing.T, opts *Options) (*Client, *fakeServer) {
	t.Helper()
	c, err := New("http://fake.test", opts)
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeServer{t: t}
	c.dial = f.dial
	t.Cleanup(func() { c.Close() })
	return c, f
}

func (f *fakeServer) dial(ctx context.Context, accept func(conn) engine.Receiver) error {
	d := &fakeDial{make(chan any, 1)}
	f.mu.Lock()
	f.dials = append(f.dials, d)
	f.count++
	f.mu.Unlock()
	select {
	case r := <-d.result:
		if err, ok := r.(error); ok {
			return err
		}
		conn := r.(*fakeConn)
		conn.receiver = accept(conn)
		close(conn.accepted)
		return nil
	case <-ctx.Done():
		f.mu.Lock()
		for i, other := range f.dials {
			if other == d {
				f.dials = append(f.dials[:i:i], f.dials[i+1:]...)
			}
		}
		f.mu.Unlock()
		return ctx.Err()
	}
}

// dialing returns the attempt that waits, nil if there is none.
func (f *fakeServer) dialing() *fakeDial {
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.dials) == 0 {
		return nil
	}
	d := f.dials[0]
	f.dials = f.dials[1:]
	return d
}

// open lets an attempt succeed.
func (f *fakeServer) open() *fakeConn {
	f.t.Helper()
	d := f.dialing()
	if d == nil {
		f.t.Fatal("nobody dials")
	}
	conn := &fakeConn{t: f.t, accepted: make(chan struct{})}
	d.result <- conn
	<-conn.accepted
	synctest.Wait()
	return conn
}

// fail lets an attempt fail.
func (f *fakeServer) fail(err error) {
	f.t.Helper()
	d := f.dialing()
	if d == nil {
		f.t.Fatal("nobody dials")
	}
	d.result <- err
	synctest.Wait()
}

// dialCount returns how many attempts there were.
func (f *fakeServer) dialCount() int {
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count
}

// A fakeConn is a connection to a fakeServer.
type fakeConn struct {
	t        testing.TB
	accepted chan struct{}
	receiver engine.Receiver
	reading  sync.Mutex // held by the read path

	mu      sync.Mutex
	sent    []string // packets of the client, binary ones in hex
	read    int      // of sent, by expect
	ended   bool
	told    bool
	expired bool
	full    bool
	limit   int
	drained chan struct{} // closed when the outbox has room again
}

func (c *fakeConn) ID() string        { return "fake" }
func (c *fakeConn) Transport() string { return "fake" }

func (c *fakeConn) Send(ms ...engine.Message) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return engine.ErrClosed
	}
	if c.full {
		return engine.ErrOutboxFull
	}
	for _, m := range ms {
		if c.limit > 0 && len(m.Data) > c.limit {
			return &engine.TooLargeError{Size: len(m.Data), Limit: c.limit}
		}
	}
	for _, m := range ms {
		if m.Binary {
			c.sent = append(c.sent, fmt.Sprintf("%x", m.Data))
		} else {
			c.sent = append(c.sent, string(m.Data))
		}
	}
	return nil
}

func (c *fakeConn) SendVolatile(ms ...engine.Message) bool { return c.Send(ms...) == nil }

func (c *fakeConn) Flush(ctx context.Context) error {
	for {
		c.mu.Lock()
		full, ended := c.full, c.ended
		if c.drained == nil {
			c.drained = make(chan struct{})
		}
		drained := c.drained
		c.mu.Unlock()
		if ended {
			return engine.ErrClosed
		}
		if !full {
			return nil
		}
		select {
		case <-drained:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// setFull says whether the outbox is full.
func (c *fakeConn) setFull(full bool) {
	c.mu.Lock()
	c.full = full
	if !full && c.drained != nil {
		close(c.drained)
		c.drained = nil
	}
	c.mu.Unlock()
	synctest.Wait()
}

func (c *fakeConn) Expired() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.expired
}

func (c *fakeConn) setExpired() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expired = true
}

func (c *fakeConn) Close() error {
	c.end(engine.ReasonForcedClose, nil)
	return nil
}

// end is the end of the connection.
func (c *fakeConn) end(reason engine.Reason, err error) {
	c.mu.Lock()
	ended := c.ended
	c.ended = true
	c.mu.Unlock()
	if !ended {
		c.tell(reason, err)
	}
}

// breakSilently ends the connection before its receiver hears of it, by tell.
func (c *fakeConn) breakSilently() {
	c.mu.Lock()
	c.ended = true
	c.mu.Unlock()
}

func (c *fakeConn) tell(reason engine.Reason, err error) {
	c.mu.Lock()
	told := c.told
	c.told = true
	c.mu.Unlock()
	if !told {
		<-c.accepted
		c.reading.Lock()
		defer c.reading.Unlock()
		c.receiver.Closed(reason, err)
	}
}

// lose ends the connection and waits until the client has dealt with that.
func (c *fakeConn) lose() {
	c.end(engine.ReasonTransportClose, nil)
	synctest.Wait()
}

// deliver sends packets to the client and waits until it has dealt with them.
func (c *fakeConn) deliver(packets ...string) {
	c.push(packets...)
	synctest.Wait()
}

// push sends packets to the client.
func (c *fakeConn) push(packets ...string) {
	for _, p := range packets {
		c.reading.Lock()
		c.receiver.Message(false, []byte(p))
		c.reading.Unlock()
	}
}

// packets returns what the client has sent since the last call.
func (c *fakeConn) packets() []string {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	sent := c.sent[c.read:]
	c.read = len(c.sent)
	return sent
}

// expect checks what the client has sent since the last call.
func (c *fakeConn) expect(want ...string) {
	c.t.Helper()
	got := c.packets()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		c.t.Errorf("client sent %q, want %q", got, want)
	}
}

func (c *fakeConn) isEnded() bool {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended
}

// A diary notes what happens to sockets.
type diary struct {
	mu      sync.Mutex
	entries []string
}

func (d *diary) add(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.entries = append(d.entries, fmt.Sprintf(format, args...))
}

// take returns the entries since the last call.
func (d *diary) take() string {
	synctest.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	entries := d.entries
	d.entries = nil
	return strings.Join(entries, "; ")
}

// watch notes what happens to a socket.
func (d *diary) watch(s *Socket) {
	s.OnConnect(func() { d.add("connect") })
	s.OnConnectError(func(err error) { d.add("refused %v", err) })
	s.OnDisconnect(func(r Reason, err error) { d.add("disconnect %s", r) })
	s.OnError(func(err error) { d.add("error %v", err) })
	s.OnAny(func(ctx context.Context, m *Message) error {
		args, _ := m.Args()
		d.add("%s %v", m.Event(), args)
		return nil
	})
}

// states notes the states of a client.
func (d *diary) states(c *Client) {
	c.OnState(func(ch Change) { d.add("%v(%d)", ch.To, ch.Attempt) })
}

func (d *diary) expect(t testing.TB, want string) {
	t.Helper()
	if got := d.take(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
