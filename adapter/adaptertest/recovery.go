package adaptertest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/socketio"
)

// RunRecovery tests adapters that have a log: clients come back to their sessions on other servers. The function is that
// of [Run].
func RunRecovery(t *testing.T, cluster func(t *testing.T, n int) []adapter.Factory) {
	for _, tc := range []struct {
		name string
		run  func(*testing.T, []*node)
	}{
		{"Hop", testHop},
		{"Changes", testChangesWhileAway},
		{"Alive", testAlive},
		{"Claimants", testClaimants},
		{"Offsets", testOffsets},
		{"Ended", testEnded},
		{"UnderLoad", testHopsUnderLoad},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.run(t, startWith(t, cluster(t, 3), socketio.Options{Recovery: &socketio.RecoveryOptions{}}))
		})
	}
}

// A session is a client that comes back.
type session struct {
	*client
	t         *testing.T
	pid       string
	offset    string
	recovered bool
}

// come connects to a node.
func (c *session) come(n *node) {
	c.t.Helper()
	id := ""
	claim := map[string]string{}
	if c.client != nil {
		id = c.ID
		claim["pid"] = c.pid
		if c.offset != "" {
			claim["offset"] = c.offset
		}
	}
	auth, _ := json.Marshal(claim)
	c.client = n.dial()
	c.send("40" + string(auth))
	var reply struct{ SID, PID string }
	frame := c.next()
	if err := json.Unmarshal([]byte(strings.TrimPrefix(frame, "40")), &reply); err != nil || reply.PID == "" {
		c.t.Fatalf("connect was answered with %q", frame)
	}
	c.recovered = reply.PID == c.pid
	if c.recovered != (reply.SID == id) {
		c.t.Fatalf("pid %q is now %q, but sid %q is %q", c.pid, reply.PID, id, reply.SID)
	}
	c.ID, c.pid = reply.SID, reply.PID
	eventually(c.t, func() bool { c.s = n.io.Of("/").Socket(c.ID); return c.s != nil }, "the socket")
}

// leave breaks the connection, and waits until the server has noticed.
func (c *session) leave() {
	c.t.Helper()
	_ = c.conn.Close()
	eventually(c.t, func() bool { return !c.s.Connected() }, "the disconnect")
}

// event receives an event and returns its name and arguments.
func (c *session) event() string {
	c.t.Helper()
	frame := c.next()
	var args []any
	if json.Unmarshal([]byte(strings.TrimPrefix(frame, "42")), &args) != nil || len(args) < 2 {
		c.t.Fatalf("received %q", frame)
	}
	c.offset = args[len(args)-1].(string)
	return fmt.Sprint(args[:len(args)-1]...)
}

func (c *session) events(want ...string) {
	c.t.Helper()
	for _, w := range want {
		if got := c.event(); got != w {
			c.t.Fatalf("received %q, want %q", got, w)
		}
	}
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func testHop(t *testing.T, n []*node) {
	c := &session{t: t}
	c.come(n[0])
	c.s.Join("room")
	c.s.SetData(map[string]any{"name": "x"})
	must(t, n[1].io.Emit("a"), c.s.Emit("b"), n[2].io.Volatile().Emit("v"))
	c.events("a", "b")
	c.leave()
	must(t, c.s.Emit("c"), n[0].io.To("room").Emit("d"), n[2].io.Emit("e"), n[1].io.To("other").Emit("no"), n[1].io.Except("room").Emit("no"),
		n[1].io.To(c.ID).Emit("f"))
	c.come(n[2])
	if !c.recovered || !c.s.Recovered() {
		t.Fatal("not recovered")
	}
	rooms := c.s.Rooms()
	if data, _ := c.s.Data().(map[string]any); data["name"] != "x" || !slices.Equal(rooms, []string{c.ID, "room"}) {
		t.Errorf("data %v, rooms %v", c.s.Data(), rooms)
	}
	if c.offset == "" {
		t.Error("no offset")
	}
	if got := c.event(); got == "v" { // if it was sent, it came before
		c.events("c")
	} else if got != "c" {
		t.Fatalf("received %q", got)
	}
	c.events("d", "e", "f")
	must(t, n[0].io.To("room").Emit("g"), c.s.Emit("h"))
	c.events("g", "h")
}

func testChangesWhileAway(t *testing.T, n []*node) {
	c := &session{t: t}
	c.come(n[0])
	c.s.Join("r", "gone")
	must(t, n[1].io.To("r").Emit("a"))
	c.events("a")
	c.s.Leave("gone")
	c.leave()
	must(t, n[1].io.In(c.ID).Join("q"), n[1].io.To("q").Emit("b"), n[2].io.In("q").Leave("r"), n[2].io.To("r", "gone").Emit("no"), n[0].io.Emit("c"))
	c.come(n[1])
	if !c.recovered {
		t.Fatal("not recovered")
	}
	c.events("b", "c")
	if rooms := c.s.Rooms(); !slices.Equal(rooms, []string{c.ID, "q"}) {
		t.Errorf("rooms %v", rooms)
	}
}

// Who is connected keeps the session.
func testAlive(t *testing.T, n []*node) {
	c := &session{t: t}
	c.come(n[0])
	must(t, n[0].io.Emit("a"))
	c.events("a")
	thief := *c
	for _, node := range n[:2] {
		thief.come(node)
		if thief.recovered {
			t.Fatal("the session of a client that is there was taken")
		}
		thief.pid, thief.ID = c.pid, c.ID
	}
	must(t, n[1].io.Emit("b"))
	c.events("b")
}

func testClaimants(t *testing.T, n []*node) {
	for range 5 {
		c := &session{t: t}
		c.come(n[0])
		must(t, n[0].io.To(c.ID).Emit("a"))
		c.events("a")
		c.leave()
		var wg sync.WaitGroup
		claimants := make([]session, 6)
		for i := range claimants {
			claimants[i] = *c
			wg.Go(func() { claimants[i].come(n[i%3]) })
		}
		wg.Wait()
		got := 0
		for i := range claimants {
			if claimants[i].recovered {
				got++
			}
		}
		if got != 1 {
			t.Fatalf("%d have the session", got)
		}
	}
}

func testOffsets(t *testing.T, n []*node) {
	c := &session{t: t}
	c.come(n[0])
	c.leave()
	must(t, n[1].io.Emit("a"))
	c.come(n[1]) // without an offset
	if !c.recovered {
		t.Fatal("not recovered before the first event")
	}
	c.events("a")
	c.leave()
	stale := c.offset
	c.pid = "" // a new session, whose client still has the offset of the old one
	c.come(n[2])
	c.leave()
	must(t, n[1].io.Emit("b"))
	c.come(n[0])
	if !c.recovered || c.offset != stale {
		t.Fatal("not recovered with an offset of the session before")
	}
	c.events("b")
	c.leave()
	c.offset = "nonsense"
	c.come(n[1])
	if c.recovered {
		t.Fatal("recovered with an offset that is none")
	}
}

// A session that one side ended is gone everywhere.
func testEnded(t *testing.T, n []*node) {
	for _, end := range []func(c *session){
		func(c *session) { c.send("41") },
		func(c *session) { c.s.Disconnect(true) },
		func(c *session) { c.leave(); must(t, n[1].io.In(c.ID).Disconnect(true)) },
	} {
		c := &session{t: t}
		c.come(n[0])
		end(c)
		eventually(t, func() bool { return !c.s.Connected() }, "the disconnect")
		c.come(n[2])
		if c.recovered {
			t.Fatal("recovered")
		}
	}
}

// Clients hop from server to server while all emit: each client gets what was for it once, and what one goroutine emits
// in its order, and all get it in the same order.
func testHopsUnderLoad(t *testing.T, n []*node) {
	const clients, hops, rounds = 4, 6, 60
	list := make([]*session, clients)
	for i := range list {
		list[i] = &session{t: t}
		list[i].come(n[i%len(n)])
		list[i].s.Join("room")
	}
	ids := []string{list[0].ID, list[1].ID, list[2].ID, list[3].ID}
	var emitting, receiving sync.WaitGroup
	for i, node := range n {
		emitting.Go(func() {
			for j := range rounds {
				for k, err := range []error{
					node.io.Emit("n", i, 3*j),
					node.io.To("room").Emit("n", i, 3*j+1),
					node.io.To(ids...).Emit("n", i, 3*j+2),
				} {
					if err != nil {
						t.Errorf("emit %d: %v", k, err)
					}
				}
			}
		})
	}
	orders := make([][]string, clients)
	for i, c := range list {
		receiving.Go(func() {
			total := len(n) * rounds * 3
			for len(orders[i]) < total {
				orders[i] = append(orders[i], c.event())
				if got := len(orders[i]); got%(total/hops) == 0 && got < total {
					c.leave()
					c.come(n[(i+got)%len(n)])
					if !c.recovered {
						t.Errorf("client %d was not recovered", i)
						return
					}
				}
			}
		})
	}
	emitting.Wait()
	receiving.Wait()
	for i := range orders {
		if !slices.Equal(orders[i], orders[0]) {
			t.Errorf("clients 0 and %d have received different things", i)
		}
	}
	next := make([]int, len(n))
	for _, got := range orders[0] {
		var from, number int
		if _, err := fmt.Sscanf(got, "n%d %d", &from, &number); err != nil || number != next[from] {
			t.Fatalf("received %q, want number %d", got, next[from])
		}
		next[from]++
	}
}
