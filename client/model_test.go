package client

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/sockeye-io/sockeye/client/engine"
)

// The state machine of the client against a model: two namespaces, and a network and a server that do anything in any
// order. What must hold: no event is lost, repeated or reordered on its way in or out; the server never sees a violation
// of the protocol; every state is the one that the model says.

// A modelled is a namespace as it should be.
type modelled struct {
	socket *Socket
	prefix string // of its packets
	active bool
	server serverState // on the live connection, from the client's point of view
	there  serverState // from the server's, which has to come to the same

	emitted  int      // events, numbered from 1
	arrived  []int    // at the server
	sent     int      // by the server, numbered from 1
	held     []string // sent by the server before it answered
	due      []string // what handlers should be told by now
	handled  *diary
	unwanted bool // the server will be told to forget its answer
	calls    []*modelCall
}

type modelCall struct {
	n      int
	result chan ackResult
	sent   bool
	id     string
}

type serverState int

const (
	out serverState = iota
	asked
	in
)

type machine struct {
	t      testing.TB
	rt     *rapid.T
	c      *Client
	f      *fakeServer
	conn   *fakeConn // the live one
	broken bool      // it has ended, and the client does not know
	old    []*fakeConn
	spaces []*modelled
}

func TestStateMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(struct{ rapid.TB }{t}, func(rt *rapid.T) { // nothing but a TB, since a bubble has no Deadline
			c, f := newFake(t, &Options{AckTimeout: 24 * time.Hour, Reconnect: ReconnectOptions{Jitter: -1}})
			defer c.Close()
			m := &machine{t: t, rt: rt, c: c, f: f}
			for _, ns := range []string{"/", "/b"} {
				s := &modelled{socket: c.Of(ns), handled: new(diary)}
				if ns != "/" {
					s.prefix = ns + ","
				}
				s.watch()
				m.spaces = append(m.spaces, s)
			}
			for range 4 { // a sequence alone is too short to get far
				rt.Repeat(rapid.StateMachineActions(m))
			}
			m.finish()
		})
	})
}

func (s *modelled) watch() {
	s.socket.OnConnect(func() { s.handled.add("connect") })
	s.socket.OnDisconnect(func(r Reason, err error) { s.handled.add("%s", r) })
	s.socket.On("n", func(ctx context.Context, m *Message) error {
		s.handled.add("%s", m.Raw(0))
		return nil
	})
	s.socket.OnError(func(err error) { s.handled.add("error %v", err) })
}

func (m *machine) space() *modelled {
	return m.spaces[rapid.IntRange(0, len(m.spaces)-1).Draw(m.rt, "namespace")]
}

// spaceWhere draws a namespace of which ok holds. The action is skipped if there is none; before anything is drawn, or
// rapid would count that as a failure to generate.
func (m *machine) spaceWhere(ok func(*modelled) bool) *modelled {
	var spaces []*modelled
	for _, s := range m.spaces {
		if ok(s) {
			spaces = append(spaces, s)
		}
	}
	if len(spaces) == 0 {
		m.rt.Skip("no such namespace")
	}
	return spaces[rapid.IntRange(0, len(spaces)-1).Draw(m.rt, "namespace")]
}

// live reports whether the client has a connection, as far as it knows.
func (m *machine) live() bool { return m.conn != nil }

func (m *machine) Open(*rapid.T) {
	s := m.space()
	s.socket.Open()
	s.active = true
}

func (m *machine) Disconnect(*rapid.T) {
	s := m.space()
	s.socket.Disconnect()
	if !s.active {
		return
	}
	s.active = false
	if m.live() {
		if s.server == asked {
			s.unwanted = true
		} else if s.server == in {
			m.leave(s, "io client disconnect")
		}
	}
	m.release()
}

// leave is the end of a session that was joined.
func (m *machine) leave(s *modelled, reason string) {
	s.server = out
	s.due = append(s.due, reason)
	for i, call := range s.calls {
		if call != nil && call.sent {
			if r := <-call.result; r.err != ErrDisconnected {
				m.rt.Fatalf("call %d on a connection that was lost ended with %v", call.n, r.err)
			}
			s.calls[i] = nil
		}
	}
}

// release is what happens when nobody wants the connection.
func (m *machine) release() {
	if slices.ContainsFunc(m.spaces, func(s *modelled) bool { return s.active }) {
		return
	}
	if m.conn != nil {
		m.lost("")
	}
}

// lost is the end of the connection.
func (m *machine) lost(reason string) {
	for _, s := range m.spaces {
		if s.server == in {
			m.leave(s, reason)
		}
		s.server, s.there, s.held, s.unwanted = out, out, nil, false
	}
	m.old = append(m.old, m.conn)
	m.conn, m.broken = nil, false
}

func (m *machine) Emit(*rapid.T) {
	s := m.space()
	s.emitted++
	if err := s.socket.Emit("n", s.emitted); err != nil {
		m.rt.Fatalf("emit: %v", err)
	}
}

func (m *machine) Call(*rapid.T) {
	s := m.space()
	s.emitted++
	call := &modelCall{n: s.emitted, result: make(chan ackResult, 1)}
	s.calls = append(s.calls, call)
	go func() {
		a, err := s.socket.EmitWithAck(m.c.ctx, "n", call.n)
		call.result <- ackResult{a, err}
	}()
	synctest.Wait()
}

func (m *machine) Volatile(*rapid.T) {
	if err := m.space().socket.Volatile().Emit("volatile"); err != nil {
		m.rt.Fatalf("emit: %v", err)
	}
}

func (m *machine) DialSucceeds(*rapid.T) {
	d := m.f.dialing()
	if d == nil {
		m.rt.Skip("nobody dials")
	}
	m.conn = &fakeConn{t: m.t, accepted: make(chan struct{})}
	d.result <- m.conn
}

func (m *machine) DialFails(*rapid.T) {
	d := m.f.dialing()
	if d == nil {
		m.rt.Skip("nobody dials")
	}
	d.result <- errNetwork
}

func (m *machine) Wait(*rapid.T) {
	time.Sleep(time.Duration(rapid.IntRange(1, 10_000).Draw(m.rt, "ms")) * time.Millisecond)
}

func (m *machine) RetryNow(*rapid.T) { m.c.RetryNow() }

// ConnectionBreaks, and the client hears of it later.
func (m *machine) ConnectionBreaks(*rapid.T) {
	if !m.live() || m.broken {
		m.rt.Skip("no connection")
	}
	m.read()
	m.conn.breakSilently()
	m.broken = true
}

func (m *machine) ConnectionEnds(*rapid.T) {
	if !m.live() {
		m.rt.Skip("no connection")
	}
	m.read()
	m.conn.breakSilently()
	m.conn.tell(engine.ReasonTransportClose, nil)
	m.lost("transport close")
}

// ServerAnswers a CONNECT.
func (m *machine) ServerAnswers(*rapid.T) {
	s := m.spaceWhere(func(s *modelled) bool { return s.server == asked })
	s.there = in
	m.conn.deliver("0" + s.prefix + `{"sid":"x"}`)
	if !m.answered(s) {
		return
	}
	s.server = in
	s.due = append(append(s.due, s.held...), "connect")
	s.held = nil
}

// answered is the end of what the server was asked. It reports whether the client still wants the answer; otherwise it
// asks again, if it has thought better of it.
func (m *machine) answered(s *modelled) bool {
	s.server = out
	wanted := !s.unwanted
	if !wanted {
		s.held, s.unwanted = nil, false
	}
	return wanted
}

func (m *machine) ServerRefuses(*rapid.T) {
	s := m.spaceWhere(func(s *modelled) bool { return s.server == asked })
	s.there = out
	m.conn.deliver("4" + s.prefix + `{"message":"no"}`)
	if !m.answered(s) {
		return
	}
	s.held = nil
	s.active = false
	m.release()
}

func (m *machine) ServerDisconnects(*rapid.T) {
	s := m.spaceWhere(func(s *modelled) bool { return s.server == in })
	s.there = out
	m.conn.deliver("1" + s.prefix)
	m.leave(s, "io server disconnect")
	s.active = false
	m.release()
}

func (m *machine) ServerEmits(*rapid.T) {
	s := m.spaceWhere(func(s *modelled) bool { return s.server != out })
	s.sent++
	m.conn.deliver(fmt.Sprintf(`2%s["n",%d]`, s.prefix, s.sent))
	if s.server == in {
		s.due = append(s.due, strconv.Itoa(s.sent))
	} else {
		s.held = append(s.held, strconv.Itoa(s.sent))
	}
}

func (m *machine) ServerAcknowledges(*rapid.T) {
	outstanding := func(call *modelCall) bool { return call != nil && call.sent }
	s := m.spaceWhere(func(s *modelled) bool { return s.server == in && slices.ContainsFunc(s.calls, outstanding) })
	i := slices.IndexFunc(s.calls, outstanding)
	call := s.calls[i]
	s.calls[i] = nil
	m.conn.deliver("3" + s.prefix + call.id + "[" + strconv.Itoa(call.n) + "]")
	if r := <-call.result; r.err != nil || string(r.ack.Raw(0)) != strconv.Itoa(call.n) {
		m.rt.Fatalf("call %d ended with %v", call.n, r.err)
	}
}

// LatePackets come from a connection that was given up.
func (m *machine) LatePackets(*rapid.T) {
	if len(m.old) == 0 {
		m.rt.Skip("no old connection")
	}
	c := m.old[rapid.IntRange(0, len(m.old)-1).Draw(m.rt, "which")]
	c.deliver(`2["n","late"]`, `2/b,["n","late"]`, `0{"sid":"late"}`, `30[]`, `1`, `4"late"`, `9`)
	c.receiver.Closed(engine.ReasonTransportError, nil)
}

// read is the server that reads what it was sent.
func (m *machine) read() {
	if m.conn == nil {
		return
	}
	for _, p := range m.conn.packets() {
		s := m.spaces[0]
		if strings.HasPrefix(p[1:], "/b,") {
			s = m.spaces[1]
		}
		m.receive(s, p[:1], strings.TrimPrefix(p[1:], s.prefix))
	}
}

func (m *machine) receive(s *modelled, kind, rest string) {
	violation := func() { m.rt.Fatalf("client sent %s%s%s to a server in state %d", kind, s.prefix, rest, s.there) }
	switch kind {
	case "0":
		if s.there != out || rest != "" {
			violation()
		}
		s.server, s.there = asked, asked
	case "1":
		if s.there != in {
			violation()
		}
		s.there = out
	case "2":
		if s.there != in {
			violation()
		}
		id, args, _ := strings.Cut(rest, "[")
		if args == `"volatile"]` {
			return
		}
		n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(args, `"n",`), "]"))
		if err != nil || len(s.arrived)+1 != n {
			m.rt.Fatalf("event %s%s arrived after %v", id, args, s.arrived)
		}
		s.arrived = append(s.arrived, n)
		for _, call := range s.calls {
			if call != nil && call.n == n {
				if id == "" || call.sent {
					violation()
				}
				call.id, call.sent = id, true
			}
		}
	default:
		violation()
	}
}

// Check is called after every action.
func (m *machine) Check(rt *rapid.T) {
	m.rt = rt
	synctest.Wait()
	m.read()
	anyActive := false
	for _, s := range m.spaces {
		anyActive = anyActive || s.active
		if got := s.socket.Active(); got != s.active {
			rt.Fatalf("%q active: %v, want %v", s.prefix, got, s.active)
		}
		if got, want := s.socket.Connected(), s.server == in; got != want {
			rt.Fatalf("%q connected: %v, want %v", s.prefix, got, want)
		}
		if m.live() && !m.broken && s.active && s.server == out {
			rt.Fatalf("%q does not ask to be let in", s.prefix)
		}
		if m.live() && !m.broken && s.there != s.server {
			rt.Fatalf("%q is in state %d for the client and %d for the server", s.prefix, s.server, s.there)
		}
		if s.server == in && !m.broken && len(s.arrived) != s.emitted {
			rt.Fatalf("%q emitted %d, arrived %v", s.prefix, s.emitted, s.arrived)
		}
		if got, want := s.handled.take(), strings.Join(s.due, "; "); got != want {
			rt.Fatalf("%q told %q, want %q", s.prefix, got, want)
		}
		s.due = nil
	}
	state := m.c.State()
	switch {
	case !anyActive && state != Closed,
		anyActive && m.live() && state != Connected,
		anyActive && !m.live() && state != Connecting && state != Reconnecting:
		rt.Fatalf("state is %v, active %v, live %v", state, anyActive, m.live())
	}
	for _, c := range m.old {
		if !c.isEnded() {
			rt.Fatal("a connection that nobody uses is open")
		}
	}
}

// finish lets everything arrive.
func (m *machine) finish() {
	for _, s := range m.spaces {
		if !s.active {
			s.socket.Open()
			s.active = true
		}
	}
	if m.broken {
		m.conn.tell(engine.ReasonTransportClose, nil)
		m.lost("transport close")
	}
	for m.conn == nil {
		time.Sleep(10 * time.Second)
		if d := m.f.dialing(); d != nil {
			m.conn = &fakeConn{t: m.t, accepted: make(chan struct{})}
			d.result <- m.conn
		}
	}
	m.read()
	for _, s := range m.spaces {
		for s.server != in {
			s.there = in
			m.conn.deliver("0" + s.prefix + `{"sid":"x"}`)
			if !m.answered(s) {
				m.read()
				continue
			}
			s.server = in
			s.due = append(append(s.due, s.held...), "connect")
		}
	}
	m.Check(m.rt)
}
