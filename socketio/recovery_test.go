package socketio_test

import (
	"bytes"
	"context"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/sockeye-io/sockeye/engineio"
	"github.com/sockeye-io/sockeye/socketio"
)

// A session is a client that recovers the way the stock client does: it takes the last argument of any event, if that
// is a string, for its offset.
type session struct {
	st        *site
	p         *peer
	id, pid   string
	offset    string
	recovered bool
}

// connect joins "/", with what the session knows of its past.
func (c *session) connect() {
	c.st.t.Helper()
	auth := ""
	if c.pid != "" {
		claim := map[string]string{"pid": c.pid}
		if c.offset != "" {
			claim["offset"] = c.offset
		}
		b, _ := json.Marshal(claim)
		auth = string(b)
	}
	c.p = c.st.connect()
	c.p.send("40" + auth)
	var reply struct{ SID, PID string }
	frame := c.p.next()
	if err := json.Unmarshal([]byte(strings.TrimPrefix(frame, "40")), &reply); err != nil || reply.PID == "" {
		c.st.t.Fatalf("connect was answered with %q", frame)
	}
	c.recovered = c.pid == reply.PID
	if c.recovered != (c.id == reply.SID) {
		c.st.t.Fatalf("pid %q → %q, but sid %q → %q", c.pid, reply.PID, c.id, reply.SID)
	}
	c.id, c.pid = reply.SID, reply.PID
}

// event receives one event and returns its name and arguments without the offset.
func (c *session) event() (string, []any) {
	c.st.t.Helper()
	frame := c.p.next()
	i := strings.IndexByte(frame, '[')
	var args []any
	if i < 0 || json.Unmarshal([]byte(frame[i:]), &args) != nil || len(args) == 0 {
		c.st.t.Fatalf("received %q", frame)
	}
	if strings.HasPrefix(frame, "45") {
		for strings.Contains(frame, "_placeholder") && !strings.HasPrefix(c.peek(), "4") {
			c.p.next()
			break
		}
	}
	last := len(args) - 1
	if s, ok := args[last].(string); ok && last > 0 {
		c.offset = s
		args = args[:last]
	}
	return args[0].(string), args[1:]
}

func (c *session) peek() string {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	for len(c.p.queue) == 0 && !c.p.closed {
		c.p.cond.Wait()
	}
	if len(c.p.queue) == 0 {
		return ""
	}
	return c.p.queue[0]
}

// recoverySite serves with recovery; gone tells when a socket was disconnected.
func recoverySite(t testing.TB, opts *socketio.Options) (st *site, gone chan string) {
	t.Helper()
	if opts == nil {
		opts = &socketio.Options{}
	}
	if opts.Recovery == nil {
		opts.Recovery = &socketio.RecoveryOptions{}
	}
	st = serve(t, opts)
	gone = make(chan string, 1000)
	st.io.OnConnection(func(s *socketio.Socket) {
		s.OnDisconnect(func(socketio.Reason, error) { gone <- s.ID() })
	})
	return st, gone
}

// Random emits, joins and disconnects, where some of what is on its way is lost: every client gets every event that was
// for it exactly once, in order.
func TestRecoveryModel(t *testing.T) {
	st, gone := recoverySite(t, nil)
	rooms := []string{"a", "b", "c"}
	rapid.Check(t, func(rt *rapid.T) {
		type client struct {
			session
			rooms map[string]bool
			due   []int // events that must still come, in order
			maybe map[int]bool
			up    bool
		}
		clients := make([]*client, rapid.IntRange(1, 3).Draw(rt, "clients"))
		for i := range clients {
			clients[i] = &client{session: session{st: st}, rooms: map[string]bool{}, maybe: map[int]bool{}, up: true}
			clients[i].connect()
		}
		n := 0
		// emit notes for whom the next event is.
		next := func(to func(*client) bool, volatile bool) int {
			n++
			for _, c := range clients {
				switch {
				case !to(c):
				case !volatile:
					c.due = append(c.due, n)
				case c.up:
					c.maybe[n] = true
				}
			}
			return n
		}
		// read lets a client receive count events that must come, and what comes between them.
		read := func(c *client, count int) {
			for count > 0 {
				_, args := c.event()
				got := int(args[0].(float64))
				if c.maybe[got] {
					delete(c.maybe, got)
					continue
				}
				if len(c.due) == 0 || c.due[0] != got {
					rt.Fatalf("received %d, due are %v", got, c.due)
				}
				c.due = c.due[1:]
				count--
			}
		}
		pick := func(rt *rapid.T) *client { return clients[rapid.IntRange(0, len(clients)-1).Draw(rt, "client")] }
		rt.Repeat(map[string]func(*rapid.T){
			"emit to one": func(rt *rapid.T) {
				c := pick(rt)
				st.io.To(c.id).Emit("n", next(func(o *client) bool { return o == c }, false))
			},
			"emit to all": func(rt *rapid.T) {
				st.io.Emit("n", next(func(c *client) bool { return true }, false))
			},
			"emit binary": func(rt *rapid.T) {
				st.io.Emit("n", next(func(c *client) bool { return true }, false), []byte("x"))
			},
			"emit volatile": func(rt *rapid.T) {
				st.io.Volatile().Emit("n", next(func(c *client) bool { return true }, true))
			},
			"emit to rooms": func(rt *rapid.T) {
				to := rapid.SliceOfNDistinct(rapid.SampledFrom(rooms), 1, 2, rapid.ID).Draw(rt, "to")
				except := rapid.SliceOfNDistinct(rapid.SampledFrom(rooms), 0, 1, rapid.ID).Draw(rt, "except")
				in := func(c *client, names []string) bool {
					return slices.ContainsFunc(names, func(name string) bool { return c.rooms[name] })
				}
				st.io.To(to...).Except(except...).Emit("n", next(func(c *client) bool { return in(c, to) && !in(c, except) }, false))
			},
			"join": func(rt *rapid.T) {
				c, room := pick(rt), rapid.SampledFrom(rooms).Draw(rt, "room")
				st.io.In(c.id).Join(room)
				c.rooms[room] = true
			},
			"leave": func(rt *rapid.T) {
				c, room := pick(rt), rapid.SampledFrom(rooms).Draw(rt, "room")
				st.io.In(c.id).Leave(room)
				delete(c.rooms, room)
			},
			"read": func(rt *rapid.T) {
				if c := pick(rt); c.up {
					read(c, rapid.IntRange(0, len(c.due)).Draw(rt, "count"))
				}
			},
			"disconnect": func(rt *rapid.T) {
				if c := pick(rt); c.up {
					read(c, rapid.IntRange(0, len(c.due)).Draw(rt, "count"))
					c.p.close()
					if id := receive(st.t, gone); id != c.id {
						rt.Fatalf("%s was disconnected, not %s", id, c.id)
					}
					c.up = false
				}
			},
			"reconnect": func(rt *rapid.T) {
				if c := pick(rt); !c.up {
					c.connect()
					if !c.recovered {
						rt.Fatal("not recovered")
					}
					c.up = true
					clear(c.maybe)
				}
			},
		})
		for _, c := range clients {
			if !c.up {
				c.connect()
			}
			read(c, len(c.due))
			st.io.In(c.id).Disconnect(true)
			receive(st.t, gone)
			if got, _ := c.p.poll(); !strings.HasPrefix(got, "41") && !strings.HasPrefix(got, "42") {
				rt.Fatalf("received %q after all", got)
			}
		}
	})
}

// The same with emitters in parallel with the reconnections: nothing is lost or repeated, and what one goroutine emits
// stays in order.
func TestRecoveryUnderConcurrency(t *testing.T) {
	st, gone := recoverySite(t, &socketio.Options{Recovery: &socketio.RecoveryOptions{MaxPackets: 1 << 20}})
	c := &session{st: st}
	c.connect()
	st.io.In(c.id).Join("room")
	const emitters, each = 4, 400
	id := c.id
	var wg sync.WaitGroup
	for e := range emitters {
		wg.Go(func() {
			for i := range each {
				switch i % 3 {
				case 0:
					st.io.Emit("n", e, i)
				case 1:
					st.io.To("room").Emit("n", e, i)
				case 2:
					st.io.To(id, "room").Emit("n", e, i)
				}
				if i%40 == 0 {
					time.Sleep(time.Millisecond)
				}
			}
		})
	}
	var next [emitters]int
	for received := 0; received < emitters*each; received++ {
		if received%37 == 36 {
			c.p.close()
			receive(t, gone)
			c.connect()
			if !c.recovered {
				t.Fatal("not recovered")
			}
		}
		_, args := c.event()
		e, i := int(args[0].(float64)), int(args[1].(float64))
		if next[e] != i {
			t.Fatalf("emitter %d: received %d, want %d", e, i, next[e])
		}
		next[e]++
	}
	wg.Wait()
}

func TestRecoveredSocket(t *testing.T) {
	for _, run := range []bool{false, true} {
		st, gone := recoverySite(t, &socketio.Options{Recovery: &socketio.RecoveryOptions{RunMiddlewares: run}})
		ran := 0
		st.io.Use(func(_ context.Context, s *socketio.Socket) error {
			ran++
			return s.Emit("mw", ran)
		})
		sockets := make(chan *socketio.Socket, 1)
		st.io.OnConnection(func(s *socketio.Socket) { sockets <- s })
		events := make(chan socketio.RoomEvent, 10)
		c := &session{st: st}
		c.p = st.connect()
		c.p.send("40")
		if name, _ := c.event(); name != "mw" {
			t.Fatal(name)
		}
		reply := c.p.next()
		c.id, c.pid = reply[10:30], reply[39:59]
		s := receive(t, sockets)
		if s.Recovered() {
			t.Error("recovered at first")
		}
		s.Join("room")
		s.SetData(42)
		st.io.Of("/").OnRoom(func(e socketio.RoomEvent) { events <- e })
		c.p.close()
		receive(t, gone)
		if st.io.Of("/").Len() != 0 || st.io.Of("/").Socket(c.id) != nil || len(st.io.Of("/").Rooms()) != 0 {
			t.Error("a socket that is away is counted")
		}
		if remote, _ := st.io.Sockets(context.Background()); len(remote) != 0 {
			t.Error("a socket that is away is listed")
		}
		if err := s.Emit("by the old socket", 1); err != nil {
			t.Error(err)
		}
		st.io.To("room").Emit("in the room", 2)
		c.connect()
		s2 := receive(t, sockets)
		if !c.recovered || !s2.Recovered() || s2 == s || s2.ID() != c.id || s2.Data() != 42 || !slices.Equal(s2.Rooms(), []string{c.id, "room"}) {
			t.Errorf("recovered %v, id %s, data %v, rooms %q", s2.Recovered(), s2.ID(), s2.Data(), s2.Rooms())
		}
		s2.Emit("by the new one", 3)
		want := []string{"by the old socket", "in the room", "by the new one"}
		if run {
			want = slices.Insert(want, 2, "mw")
		}
		for _, w := range want {
			if name, _ := c.event(); name != w {
				t.Errorf("received %q, want %q", name, w)
			}
		}
		if want := 1 + map[bool]int{true: 1}[run]; ran != want {
			t.Errorf("the middleware ran %d times, want %d", ran, want)
		}
		for _, want := range []socketio.RoomEventKind{socketio.RoomLeft, socketio.RoomDeleted, socketio.RoomCreated, socketio.RoomJoined} {
			away := want == socketio.RoomLeft || want == socketio.RoomJoined
			if e := receive(t, events); e.Kind != want || e.Room != "room" || e.Away != away {
				t.Errorf("room event %v, want %v", e, want)
			}
		}
	}
}

// The claim of a session is granted to one connection only.
func TestRecoveryIsSingleUse(t *testing.T) {
	st, gone := recoverySite(t, nil)
	c := &session{st: st}
	c.connect()
	thief := *c
	thief.connect()
	if thief.recovered {
		t.Error("a session whose client is connected was taken")
	}
	st.io.To(c.id).Emit("n", 1)
	c.event()
	c.p.close()
	if id := receive(t, gone); id != c.id {
		t.Fatal(id)
	}
	var wg sync.WaitGroup
	claims := make([]session, 8)
	for i := range claims {
		claims[i] = *c
		wg.Go(func() { claims[i].connect() })
	}
	wg.Wait()
	n := 0
	for _, c := range claims {
		if c.recovered {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d connections took the session", n)
	}
}

func TestRecoveryRefusesWhatIsNoClaim(t *testing.T) {
	st, gone := recoverySite(t, nil)
	other := st.io.Of("/other")
	c := &session{st: st}
	c.connect()
	c.p.close()
	receive(t, gone)
	for _, auth := range []string{
		`{"pid":"nope"}`, `{"pid":1}`, `{"pid":null}`, `{"pid":{"toString":"x"}}`, `{"offset":"1"}`,
		`{"pid":"` + c.pid + `","offset":1}`, `{"pid":"` + c.pid + `","offset":{}}`, `{"pid":"__proto__","offset":"__proto__"}`,
	} {
		p := st.connect()
		if id := p.join("/", auth); id == c.id {
			t.Errorf("%s recovered the session", auth)
		}
	}
	if id := st.connect().join("/other", `{"pid":"`+c.pid+`"}`); id == c.id || other.Len() != 1 {
		t.Error("the session of another namespace was recovered")
	}
	c.connect()
	if !c.recovered {
		t.Error("the session did not survive")
	}
	c.p.close()
	receive(t, gone)
	other2 := &session{st: st}
	other2.connect()
	st.io.To(other2.id).Emit("n", 1)
	other2.event()
	stale := other2.offset
	fresh := &session{st: st}
	fresh.connect()
	fresh.offset = stale // as stock clients do, who keep it from one session to the next
	fresh.p.close()
	receive(t, gone)
	st.io.To(fresh.id).Emit("n", 2)
	fresh.connect()
	if !fresh.recovered {
		t.Error("not recovered before the first event of the session")
	} else if _, args := fresh.event(); args[0] != 2.0 {
		t.Errorf("received %v", args)
	}
	c.offset = "tick" // what a client takes for its offset after an event of another server
	c.connect()
	if c.recovered {
		t.Error("recovered from an offset that never was")
	}
}

func TestNoRecoveryAfterIntendedEnd(t *testing.T) {
	for name, end := range map[string]func(*session){
		"client":           func(c *session) { c.p.send("41") },
		"server":           func(c *session) { c.st.io.In(c.id).Disconnect(false) },
		"server, closing":  func(c *session) { c.st.io.In(c.id).Disconnect(true) },
		"while it is away": func(c *session) { c.p.close() },
	} {
		st, gone := recoverySite(t, nil)
		c := &session{st: st}
		c.connect()
		end(c)
		receive(t, gone)
		if name == "while it is away" {
			st.io.In(c.id).Disconnect(true)
		}
		c.connect()
		if c.recovered {
			t.Errorf("%s: recovered", name)
		}
	}
}

func TestRecoveryExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st, stop := serveInMemory(t, &socketio.Options{
			Engine:   engineio.Options{PingInterval: time.Hour},
			Recovery: &socketio.RecoveryOptions{MaxDisconnection: 10 * time.Second},
		})
		c, late := &session{st: st}, &session{st: st}
		c.connect()
		late.connect()
		c.p.close()
		late.p.close()
		time.Sleep(9 * time.Second)
		c.connect()
		if !c.recovered {
			t.Error("not recovered in time")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		late.connect()
		if late.recovered {
			t.Error("recovered too late")
		}
		c.p.close()
		late.p.close()
		stop()
	})
}

// Nothing is taken for received because of its age while the client is away, nor as soon as it is back: the connection
// may break before it has read what it missed.
func TestRecoveryOfOldEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st, stop := serveInMemory(t, &socketio.Options{
			Engine:   engineio.Options{PingInterval: time.Second, PingTimeout: time.Second},
			Recovery: &socketio.RecoveryOptions{},
		})
		c := &session{st: st}
		c.connect()
		st.io.Emit("n", -1)
		c.event()
		c.p.close()
		synctest.Wait()
		for i := range 60 {
			st.io.Emit("n", i)
			time.Sleep(time.Second)
		}
		c.connect() // and receives nothing more
		if !c.recovered {
			t.Fatal("not recovered after a minute with events")
		}
		st.io.Emit("n", 60)
		c.p.close()
		synctest.Wait()
		c.connect()
		if !c.recovered {
			t.Fatal("not recovered when the connection broke again")
		}
		for i := range 61 {
			if name, args := c.event(); name != "n" || args[0] != float64(i) {
				t.Fatalf("event %d is %s%v", i, name, args)
			}
		}
		c.p.close()
		stop()
	})
}

func TestRecoveryIsBounded(t *testing.T) {
	t.Run("packets", func(t *testing.T) {
		st, gone := recoverySite(t, &socketio.Options{Recovery: &socketio.RecoveryOptions{MaxPackets: 10}})
		for _, missed := range []int{10, 11} {
			c := &session{st: st}
			c.connect()
			c.p.close()
			receive(t, gone)
			for i := range missed {
				st.io.To(c.id).Emit("n", i)
			}
			c.connect()
			if c.recovered != (missed <= 10) {
				t.Errorf("%d missed packets: recovered is %v", missed, c.recovered)
			}
		}
	})
	t.Run("bytes", func(t *testing.T) {
		st, gone := recoverySite(t, &socketio.Options{Recovery: &socketio.RecoveryOptions{MaxBytes: 100_000}})
		first, second := &session{st: st}, &session{st: st}
		for _, c := range []*session{first, second} {
			c.connect()
			c.p.close()
			receive(t, gone)
		}
		big := bytes.Repeat([]byte("x"), 30_000)
		for range 2 {
			st.io.Emit("n", string(big))
		}
		first.connect()
		second.connect()
		if first.recovered || !second.recovered {
			t.Errorf("recovered: %v (away longest), %v", first.recovered, second.recovered)
		}
	})
	t.Run("sessions", func(t *testing.T) {
		st, gone := recoverySite(t, &socketio.Options{Recovery: &socketio.RecoveryOptions{MaxSessions: 1}})
		first, second := &session{st: st}, &session{st: st}
		for _, c := range []*session{first, second} {
			c.connect()
			c.p.close()
			receive(t, gone)
		}
		first.connect()
		second.connect()
		if !first.recovered || second.recovered {
			t.Errorf("recovered: %v, %v", first.recovered, second.recovered)
		}
	})
}

func TestOffsets(t *testing.T) {
	st, _ := recoverySite(t, nil)
	c := &session{st: st}
	c.connect()
	offsets := map[string]bool{}
	for i, emit := range []func() error{
		func() error { return st.io.Emit("n", 1) },
		func() error { return st.io.Volatile().Emit("n", 1) },
		func() error { return st.io.To(c.id).Emit("n", 1) },
		func() error { return st.io.Of("/").Socket(c.id).Emit("n", 1) },
		func() error { return st.io.Of("/").Socket(c.id).Volatile().Emit("n", 1) },
	} {
		for tries := 0; ; tries++ { // volatile events may be lost, but not for ever
			if err := emit(); err != nil {
				t.Error(err)
			}
			st.io.Emit("mark")
			c.offset = ""
			name, args := c.event()
			if name == "mark" && tries < 1000 {
				time.Sleep(time.Millisecond) // until the transport is ready again
				continue
			}
			if name != "n" || len(args) != 1 || c.offset == "" || offsets[c.offset] {
				t.Errorf("%d: %s%v, offset %q", i, name, args, c.offset)
			}
			offsets[c.offset] = true
			c.event() // the mark
			break
		}
	}
	go st.io.Of("/").Socket(c.id).EmitWithAck(t.Context(), "ask", 1)
	if frame := c.p.next(); !strings.HasSuffix(frame, `["ask",1]`) {
		t.Errorf("an event that wants an acknowledgement is %s", frame)
	}
}

// A namespace is not cleaned up while somebody may come back to it, and is afterwards.
func TestRecoveryKeepsNamespace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st, stop := serveInMemory(t, &socketio.Options{
			Engine:                 engineio.Options{PingInterval: time.Hour},
			Recovery:               &socketio.RecoveryOptions{MaxDisconnection: 10 * time.Second},
			CleanupEmptyNamespaces: true,
		})
		parent := st.io.OfRegexp(regexp.MustCompile("^/r"))
		join := func(auth string) (p *peer, id, pid string) {
			p = st.connect()
			p.send("40/r," + auth)
			var reply struct{ SID, PID string }
			if err := json.Unmarshal([]byte(strings.TrimPrefix(p.next(), "40/r,")), &reply); err != nil {
				t.Fatal(err)
			}
			return p, reply.SID, reply.PID
		}
		p, id, pid := join("")
		for range 3 {
			p.close()
			synctest.Wait()
			if len(parent.Children()) != 1 {
				t.Fatal("the namespace was cleaned up")
			}
			again, id2, _ := join(`{"pid":"` + pid + `"}`)
			if id2 != id {
				t.Error("not recovered")
			}
			p = again
		}
		p.close()
		time.Sleep(11 * time.Second)
		synctest.Wait()
		if len(parent.Children()) != 0 {
			t.Error("the namespace is still there")
		}
		stop()
	})
}

// A client comes back before the server has noticed that its connection is dead, as after a change of networks. What
// was sent into the dead connection is not lost.
func TestRecoveryFromHalfOpenConnection(t *testing.T) {
	st, gone := recoverySite(t, nil)
	c := &session{st: st}
	c.connect()
	if err := st.io.To(c.id).Emit("n", 1); err != nil {
		t.Fatal(err)
	}
	c.event()
	c.p.mu.Lock()
	c.p.silent = true
	c.p.mu.Unlock()
	if err := st.io.To(c.id).Emit("n", 2); err != nil {
		t.Fatal(err)
	}
	before := *c
	c.connect()
	if !c.recovered {
		t.Fatal("the session was not recovered")
	}
	if name, args := c.event(); name != "n" || len(args) != 1 || args[0] != 2.0 {
		t.Errorf("got %s %v, want what went into the dead connection", name, args)
	}
	if id := receive(t, gone); id != c.id {
		t.Errorf("%s was disconnected", id)
	}
	before.p.next() // the event that it did receive, in this test
	before.p.expectClosed()
	if n := st.io.Of("/").Len(); n != 1 {
		t.Errorf("%d sockets, want 1", n)
	}
	if err := st.io.To(c.id).Emit("n", 3); err != nil {
		t.Fatal(err)
	}
	if _, args := c.event(); args[0] != 3.0 {
		t.Errorf("got %v", args)
	}
}

// Two attempts to come back find the old connection dead at the same time, and the one that gets the session is dead
// itself: its client has given it up and tries again already. The other must get it then, or what was missed is lost.
func TestRecoveryAfterAnAttemptThatDied(t *testing.T) {
	st, _ := recoverySite(t, nil)
	c := &session{st: st}
	c.connect()
	if err := st.io.To(c.id).Emit("n", 1); err != nil {
		t.Fatal(err)
	}
	c.event()
	silence := func(p *peer) {
		p.mu.Lock()
		p.silent = true
		p.mu.Unlock()
	}
	silence(c.p)
	if err := st.io.To(c.id).Emit("n", 2); err != nil {
		t.Fatal(err)
	}
	given := st.connect()
	silence(given)
	given.send(`40{"pid":"` + c.pid + `","offset":"` + c.offset + `"}`)
	c.connect()
	if !c.recovered {
		t.Fatal("the session was not recovered")
	}
	if name, args := c.event(); name != "n" || len(args) != 1 || args[0] != 2.0 {
		t.Errorf("got %s %v, want what was missed", name, args)
	}
}

// An attempt that a client gave up arrives after the one that succeeded, with what the client knew then. It gets nothing,
// and does no harm.
func TestRecoveryAfterAnAttemptThatIsLate(t *testing.T) {
	st, gone := recoverySite(t, nil)
	c := &session{st: st}
	c.connect()
	for n := range 3 {
		if err := st.io.To(c.id).Emit("n", n); err != nil {
			t.Fatal(err)
		}
	}
	c.event()
	late := *c
	c.event()
	c.event()
	for range 2 {
		c.p.close()
		receive(t, gone)
		c.connect()
		if !c.recovered {
			t.Fatal("the session was not recovered")
		}
	}
	c.p.close()
	receive(t, gone)
	late.connect()
	if late.recovered {
		t.Error("a session was recovered without what the client missed of it")
	}
	c.connect()
	if !c.recovered {
		t.Error("a late attempt has ended the session")
	}
}
