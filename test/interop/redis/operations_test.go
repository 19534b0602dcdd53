package redis_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"testing"
	"time"
)

// goArgs returns the arguments as Go has them: binary stands in JSON as {"$b64": …}.
func goArgs(args []any) []any {
	args = slices.Clone(args)
	for i, a := range args {
		if m, ok := a.(map[string]any); ok && m["$b64"] != nil {
			args[i], _ = base64.StdEncoding.DecodeString(m["$b64"].(string))
		}
	}
	return args
}

func binary(b ...byte) map[string]any {
	return map[string]any{"$b64": base64.StdEncoding.EncodeToString(b)}
}

// TestNode has Go and Node servers act as one.
func TestNode(t *testing.T) {
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			c := startCluster(t, m)
			t.Run("Emit", func(t *testing.T) { c.testEmit(t) })
			t.Run("Payloads", func(t *testing.T) { c.testPayloads(t) })
			t.Run("Acks", func(t *testing.T) { c.testAcks(t) })
			t.Run("Sockets", func(t *testing.T) { c.testSockets(t) })
			t.Run("Rooms", func(t *testing.T) { c.testRooms(t) })
			t.Run("ServerSide", func(t *testing.T) { c.testServerSide(t) })
			if !m.sharded {
				t.Run("Emitter", func(t *testing.T) { c.testEmitter(t) })
				t.Run("AllRooms", func(t *testing.T) { c.testAllRooms(t) })
			}
			t.Run("DynamicNamespace", func(t *testing.T) { c.testNamespace(t) })
			t.Run("Disconnect", func(t *testing.T) { c.testDisconnect(t) })
		})
	}
}

func (c *cluster) testEmit(t *testing.T) {
	ids := []string{c.clients[0].ID(), c.clients[1].ID(), c.clients[2].ID()}
	for from := range 3 {
		for _, x := range []struct {
			what string
			o    operation
			want string
		}{
			{"all", operation{}, "0 1 2"},
			{"room of Go", operation{Rooms: []string{"go"}}, "0"},
			{"room of Node", operation{Rooms: []string{"node1"}}, "2"},
			{"rooms", operation{Rooms: []string{"go", "node0"}}, "0 1"},
			{"rooms with one member", operation{Rooms: []string{"go", "all"}}, "0 1 2"},
			{"except", operation{Except: []string{"nodes"}}, "0"},
			{"room except", operation{Rooms: []string{"all"}, Except: []string{"go"}}, "1 2"},
			{"id on Go", operation{Rooms: ids[:1]}, "0"},
			{"id on Node", operation{Rooms: ids[1:2]}, "1"},
			{"except id", operation{Except: ids[2:]}, "0 1"},
			{"volatile", operation{Volatile: true}, "0 1 2"},
			{"nobody", operation{Rooms: []string{"nobody"}}, ""},
		} {
			if got := c.reach(from, x.o); got != x.want {
				t.Errorf("%s from %d reached %q, want %q", x.what, from, got, x.want)
			}
		}
	}
}

func (c *cluster) testPayloads(t *testing.T) {
	for from := range 3 {
		for i, x := range []struct {
			args []any
			want string
		}{
			{[]any{}, "[]"},
			{[]any{1, -7, 2.5, 4294967296, "ünïcødé 🙂", nil, true}, "[1 -7 2.5 4.294967296e+09 ünïcødé 🙂 <nil> true]"},
			{[]any{map[string]any{"a": []any{1, map[string]any{"b": "c"}}}}, "[map[a:[1 map[b:c]]]]"},
			{[]any{binary(1, 2, 255)}, "[[1 2 255]]"},
			{[]any{"x", binary(), binary(0)}, "[x [] [0]]"},
		} {
			event := fmt.Sprintf("payload-%d-%d", from, i)
			c.emit(from, operation{Event: event, Args: x.args})
			for j, p := range c.clients {
				p.await(event)
				if got := p.args(event); got != x.want {
					t.Errorf("from %d, client %d got %s, want %s", from, j, got, x.want)
				}
			}
		}
	}
}

type nodeAcks struct {
	Error   string `json:"error"`
	Replies []int  `json:"replies"`
}

func (c *cluster) testAcks(t *testing.T) {
	for from := range 3 {
		for _, x := range []struct {
			rooms []string
			event string
			want  string
			fails bool
		}{
			{nil, "ask", "[0 1 2]", false},
			{[]string{"nodes"}, "ask", "[1 2]", false},
			{[]string{"go"}, "ask", "[0]", false},
			{[]string{"nobody"}, "ask", "[]", false},
			{nil, "silent", "[]", true},
		} {
			o := operation{Op: "ack", Event: x.event, Rooms: x.rooms, Timeout: 30_000, Args: []any{"?"}}
			if x.fails {
				o.Timeout = 300
			}
			replies, failed := []int{}, false
			if from == 0 {
				acks, err := c.on(o).EmitWithAck(context.Background(), o.Event, o.Args...)
				failed = err != nil
				for _, a := range acks {
					var i int
					if err := a.Bind(&i); err != nil {
						t.Error(err)
					}
					replies = append(replies, i)
				}
			} else {
				var got nodeAcks
				c.nodes[from-1].do(o, &got)
				replies, failed = append(replies, got.Replies...), got.Error != ""
			}
			slices.Sort(replies)
			if got := fmt.Sprint(replies); got != x.want || failed != x.fails {
				t.Errorf("%s to %v from %d: %s, failed: %v", x.event, x.rooms, from, got, failed)
			}
		}
	}
}

func (c *cluster) testSockets(t *testing.T) {
	want := map[string]string{}
	for i, p := range c.clients {
		rooms := [][]string{{"all", "go"}, {"all", "node0", "nodes"}, {"all", "node1", "nodes"}}[i]
		rooms = append(rooms, p.ID())
		slices.Sort(rooms)
		want[p.ID()] = fmt.Sprint(rooms, []string{"go", "node0", "node1"}[i])
	}
	for from := range 3 {
		got := map[string]string{}
		if from == 0 {
			sockets, err := c.io.Of("/").Sockets(context.Background())
			if err != nil {
				t.Error(err)
			}
			for _, s := range sockets {
				var data struct{ Node string }
				if err := s.Data(&data); err != nil {
					t.Error(err)
				}
				rooms := s.Rooms()
				if !slices.Contains(rooms, s.ID()) {
					rooms = append(rooms, s.ID())
				}
				slices.Sort(rooms)
				got[s.ID()] = fmt.Sprint(rooms, data.Node)
				if h := s.Handshake(); h.URL == "" || len(h.Headers) == 0 || h.Issued == 0 || h.Time == "" {
					t.Errorf("handshake %+v", h)
				}
			}
		} else {
			var sockets []struct {
				ID      string
				Rooms   []string
				Data    struct{ Node string }
				URL     string
				Headers int
			}
			c.nodes[from-1].do(operation{Op: "fetch"}, &sockets)
			for _, s := range sockets {
				slices.Sort(s.Rooms)
				got[s.ID] = fmt.Sprint(s.Rooms, s.Data.Node)
				if s.URL == "" || s.Headers == 0 {
					t.Errorf("handshake %+v", s)
				}
			}
			var n int
			c.nodes[from-1].do(operation{Op: "servers"}, &n)
			if n != 3 {
				t.Errorf("%d servers", n)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("from %d: %v\nwant %v", from, got, want)
		}
	}
}

// from has an operation on rooms performed by one of the servers.
func (c *cluster) from(t *testing.T, from int, o operation) {
	t.Helper()
	if from > 0 {
		c.nodes[from-1].do(o, nil)
		return
	}
	var rooms []string
	for _, a := range o.Args {
		rooms = append(rooms, a.(string))
	}
	var err error
	switch o.Op {
	case "join":
		err = c.on(o).Join(rooms...)
	case "leave":
		err = c.on(o).Leave(rooms...)
	case "disconnect":
		err = c.on(o).Disconnect(o.Close)
	}
	if err != nil {
		t.Errorf("%s: %v", o.Op, err)
	}
}

// becomes waits until an event reaches whom it is to reach.
func (c *cluster) becomes(t *testing.T, from int, o operation, want string) {
	t.Helper()
	var got string
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if got = c.reach(from, o); got == want {
			return
		}
	}
	t.Errorf("to %v from %d: %q, want %q", o.Rooms, from, got, want)
}

func (c *cluster) testRooms(t *testing.T) {
	for from := range 3 {
		room := fmt.Sprintf("new%d", from)
		c.from(t, from, operation{Op: "join", Args: []any{room, "1234"}})
		for other := range 3 {
			c.becomes(t, other, operation{Rooms: []string{room}}, "0 1 2")
			c.becomes(t, other, operation{Rooms: []string{"1234"}}, "0 1 2")
		}
		c.from(t, from, operation{Op: "leave", Rooms: []string{"nodes"}, Args: []any{room, "1234"}})
		for other := range 3 {
			c.becomes(t, other, operation{Rooms: []string{room}}, "0")
		}
		c.from(t, from, operation{Op: "leave", Except: []string{"nodes"}, Args: []any{room, "1234"}})
		for other := range 3 {
			c.becomes(t, other, operation{Rooms: []string{room}}, "")
		}
	}
}

// told takes what the servers have been told.
func (c *cluster) told(i int) string {
	if i > 0 {
		var heard [][]any
		c.nodes[i-1].do(operation{Op: "heard"}, &heard)
		var all []string
		for _, args := range heard {
			all = append(all, fmt.Sprint(args...))
		}
		return fmt.Sprint(all)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	all := c.heard
	c.heard = nil
	return fmt.Sprint(all)
}

func (c *cluster) testServerSide(t *testing.T) {
	for from := range 3 {
		args := []any{"hi", float64(from)}
		want := []string{"go", "node0", "node1"}
		want = slices.Delete(want, from, from+1)
		var replies []string
		if from == 0 {
			if err := c.io.ServerSideEmit("told", args...); err != nil {
				t.Error(err)
			}
			acks, err := c.io.ServerSideEmitWithAck(context.Background(), "told", "ack")
			if err != nil {
				t.Error(err)
			}
			for _, a := range acks {
				var s string
				if err := a.Bind(&s); err != nil {
					t.Error(err)
				}
				replies = append(replies, s)
			}
		} else {
			c.nodes[from-1].do(operation{Op: "tell", Args: args}, nil)
			c.nodes[from-1].do(operation{Op: "tellack", Args: []any{"ack"}}, &replies)
		}
		slices.Sort(replies)
		if !slices.Equal(replies, want) {
			t.Errorf("from %d: %v answered, want %v", from, replies, want)
		}
		for i := range 3 {
			want := fmt.Sprint([]string{fmt.Sprint(args...), "ack"})
			if i == from {
				want = "[]"
			}
			if got := c.told(i); got != want {
				t.Errorf("%d was told %s by %d, want %s", i, got, from, want)
			}
		}
	}
}

// testEmitter emits from programs that are no servers: Node's and ours.
func (c *cluster) testEmitter(t *testing.T) {
	e := c.broker.Emitter("/")
	c.nodes[0].do(operation{Op: "emitter-emit", Event: "e-all", Args: []any{1, binary(9)}}, nil)
	c.nodes[0].do(operation{Op: "emitter-emit", Event: "e-room", Rooms: []string{"go"}}, nil)
	c.nodes[0].do(operation{Op: "emitter-join", Rooms: []string{"go"}, Args: []any{"emitted"}}, nil)
	for _, p := range c.clients {
		p.await("e-all")
		if got := p.args("e-all"); got != "[1 [9]]" {
			t.Errorf("Node's emitter: %s", got)
		}
	}
	c.clients[0].await("e-room")
	c.becomes(t, 0, operation{Rooms: []string{"emitted"}}, "0")
	c.nodes[0].do(operation{Op: "emitter-tell", Args: []any{"by emitter"}}, nil)
	if err := e.Emit("g-all", 1, []byte{9}); err != nil {
		t.Error(err)
	}
	if err := e.To("node1").Emit("g-room"); err != nil {
		t.Error(err)
	}
	if err := e.In("nodes").Join("emitted"); err != nil {
		t.Error(err)
	}
	if err := e.In("go").Leave("emitted"); err != nil {
		t.Error(err)
	}
	for _, p := range c.clients {
		p.await("g-all")
		if got := p.args("g-all"); got != "[1 [9]]" {
			t.Errorf("our emitter: %s", got)
		}
	}
	c.clients[2].await("g-room")
	c.becomes(t, 0, operation{Rooms: []string{"emitted"}}, "1 2")
	if err := e.ServerSideEmit("told", "by Go"); err != nil {
		t.Error(err)
	}
	c.fence(0, "")
	heard := []string{"", "", ""}
	for i := range 3 {
		for end := time.Now().Add(patience); heard[i] != "[by emitter][by Go]" && heard[i] != "[by emitter by Go]" && time.Now().Before(end); {
			if s := c.told(i); s != "[]" {
				heard[i] += s
			}
		}
		if heard[i] != "[by emitter][by Go]" && heard[i] != "[by emitter by Go]" {
			t.Errorf("server %d was told %s", i, heard[i])
		}
	}
}

func (c *cluster) testAllRooms(t *testing.T) {
	var got []string
	c.nodes[0].do(operation{Op: "allrooms"}, &got)
	for _, room := range []string{"go", "all", "node1", c.clients[0].ID(), c.clients[2].ID()} {
		if !slices.Contains(got, room) {
			t.Errorf("%s is missing in %v", room, got)
		}
	}
}

func (c *cluster) testNamespace(t *testing.T) {
	// The namespace exists on the servers from the first client on.
	c.io.Of("/dyn-7")
	got := make(chan string, 10)
	for i, p := range c.clients {
		s := p.Client().Of("/dyn-7")
		s.On("in", func(context.Context, *message) error { got <- fmt.Sprint(i); return nil })
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		err := s.Connect(ctx)
		cancel()
		if err != nil {
			t.Fatal(i, err)
		}
		defer s.Disconnect()
	}
	for from := range 3 {
		var have []string
		for end := time.Now().Add(patience); len(have) < 3 && time.Now().Before(end); {
			have = nil
			c.emit(from, operation{NSP: "/dyn-7", Event: "in"})
			timer := time.After(500 * time.Millisecond) // the channels of a namespace that is new are subscribed to in time
			for wait := true; wait && len(have) < 3; {
				select {
				case s := <-got:
					have = append(have, s)
				case <-timer:
					wait = false
				}
			}
		}
		slices.Sort(have)
		if fmt.Sprint(have) != "[0 1 2]" {
			t.Errorf("from %d: %v", from, have)
		}
	}
}

func (c *cluster) testDisconnect(t *testing.T) {
	c.from(t, 1, operation{Op: "disconnect", Rooms: []string{"go"}})
	c.from(t, 0, operation{Op: "disconnect", Rooms: []string{"node0"}, Close: true})
	c.from(t, 0, operation{Op: "disconnect", Rooms: []string{c.clients[2].ID()}})
	for i, p := range c.clients {
		select {
		case <-p.gone:
		case <-time.After(patience):
			t.Errorf("client %d was not disconnected", i)
		}
	}
}
