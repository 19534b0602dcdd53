// Package adaptertest is the suite that every adapter must pass. An adapter's own test calls [Run]:
//
//	func TestConformance(t *testing.T) {
//		adaptertest.Run(t, func(t *testing.T, n int) []adapter.Factory { … })
//	}
package adaptertest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/socketio"
)

// Run tests adapters against what package adapter asks of them, on real servers with real clients. The function makes
// the adapters of n servers that form a cluster of their own, separate from those of other calls; what it starts it
// ends with t.Cleanup.
func Run(t *testing.T, cluster func(t *testing.T, n int) []adapter.Factory) {
	for _, tc := range []struct {
		name string
		run  func(*testing.T, *fixture)
	}{
		{"Broadcast", testBroadcast},
		{"Payloads", testPayloads},
		{"Order", testOrder},
		{"OrderOfOperations", testOrderOfOperations},
		{"Namespaces", testNamespaces},
		{"Acks", testAcks},
		{"AcksMissing", testAcksMissing},
		{"Sockets", testSockets},
		{"Sets", testSets},
		{"RemoteSocket", testRemoteSocket},
		{"ServerSideEmit", testServerSideEmit},
		{"ServerSideEmitWithAck", testServerSideEmitWithAck},
		{"Departure", testDeparture},
	} {
		t.Run(tc.name, func(t *testing.T) { tc.run(t, newFixture(t, cluster)) })
	}
	t.Run("Alone", func(t *testing.T) { testAlone(t, start(t, cluster(t, 1))[0]) })
}

// A fixture is a cluster of three nodes with two clients each, numbered 0 to 5: client i is on node i/2.
type fixture struct {
	nodes   []*node
	clients []*client
}

func newFixture(t *testing.T, cluster func(t *testing.T, n int) []adapter.Factory) *fixture {
	f := &fixture{nodes: start(t, cluster(t, 3))}
	for _, n := range f.nodes {
		f.clients = append(f.clients, n.client(), n.client())
	}
	return f
}

// who emits one event and then another to everybody, from the same goroutine, and returns which clients received the
// first.
func (f *fixture) who(t *testing.T, emit func() error) string {
	t.Helper()
	if err := emit(); err != nil {
		t.Fatal(err)
	}
	if err := f.nodes[0].io.Emit("marker"); err != nil {
		t.Fatal(err)
	}
	var got []int
	for i, c := range f.clients {
		frame := c.next()
		if frame == `42["ev"]` {
			got = append(got, i)
			frame = c.next()
		}
		if frame != `42["marker"]` {
			t.Fatalf("client %d received %q", i, short(frame))
		}
	}
	return fmt.Sprint(got)
}

func testBroadcast(t *testing.T, f *fixture) {
	io, c := f.nodes[0].io, f.clients
	c[0].s.Join("a")
	c[2].s.Join("a", "b")
	c[4].s.Join("b", "c")
	// Brokers may be told of rooms a moment later than the socket has joined.
	for _, room := range []string{"a", "b", "c"} {
		f.await(t, room)
	}
	for _, tc := range []struct {
		name string
		b    interface {
			Emit(string, ...any) error
		}
		want string
	}{
		{"all", io, "[0 1 2 3 4 5]"},
		{"room", io.To("a"), "[0 2]"},
		{"two rooms", io.To("a", "b"), "[0 2 4]"},
		{"except", io.Except("a"), "[1 3 4 5]"},
		{"room except", io.To("a").Except("b"), "[0]"},
		{"nobody", io.To("nobody"), "[]"},
		{"id of another server's socket", io.To(c[3].ID), "[3]"},
		{"two ids", io.To(c[3].ID, c[5].ID), "[3 5]"},
		{"except id", io.Except(c[3].ID), "[0 1 2 4 5]"},
		{"local", io.Local(), "[0 1]"},
		{"local room", io.Local().To("b"), "[]"},
		{"socket's broadcast", c[0].s.Broadcast(), "[1 2 3 4 5]"},
		{"socket's room", c[0].s.To("a", "c"), "[2 4]"},
	} {
		if got := f.who(t, func() error { return tc.b.Emit("ev") }); got != tc.want {
			t.Errorf("%s reached %s, want %s", tc.name, got, tc.want)
		}
	}
	// A volatile event may be lost, but not for ever and not to others.
	for range 100 {
		switch got := f.who(t, func() error { return io.Volatile().To("b").Emit("ev") }); got {
		case "[2 4]":
			return
		case "[2]", "[4]", "[]":
		default:
			t.Fatalf("volatile reached %s", got)
		}
	}
	t.Error("a volatile event never arrived")
}

// await waits until what is emitted on the first node to the room arrives at the others that have it.
func (f *fixture) await(t *testing.T, room string) {
	t.Helper()
	eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		acks := make(chan int, 1)
		go func() {
			for _, c := range f.clients {
				if slices.Contains(c.s.Rooms(), room) {
					c.answer(`["await"]`, "[]")
				}
			}
			acks <- 0
		}()
		got, err := f.nodes[0].io.To(room).EmitWithAck(ctx, "await")
		<-acks
		return err == nil && len(got) > 0
	}, "room "+room)
}

func testPayloads(t *testing.T, f *fixture) {
	io := f.nodes[0].io
	big := strings.Repeat("ü€😀x", 10_000)
	type pair struct {
		Name string `json:"name"`
		Data []byte `json:"data"`
	}
	for _, tc := range []struct {
		args []any
		want []string
	}{
		{[]any{}, []string{`42["p"]`}},
		{[]any{nil, true, 1.5, -3, 1 << 40, "", "\x00\u2028\"\\</script>"}, []string{`42["p",null,true,1.5,-3,1099511627776,"","\u0000` + "\u2028" + `\"\\</script>"]`}},
		{[]any{map[string]any{"a": []int{1}}}, []string{`42["p",{"a":[1]}]`}},
		{[]any{[]byte{1, 2, 0}}, []string{`451-["p",{"_placeholder":true,"num":0}]`, "b:\x01\x02\x00"}},
		{[]any{pair{"x", []byte("data")}, []byte("more")}, []string{`452-["p",{"name":"x","data":{"_placeholder":true,"num":0}},{"_placeholder":true,"num":1}]`, "b:data", "b:more"}},
		{[]any{[]byte{}}, []string{`451-["p",{"_placeholder":true,"num":0}]`, "b:"}},
		{[]any{big}, []string{`42["p","` + big + `"]`}},
		{[]any{[]byte(big)}, []string{`451-["p",{"_placeholder":true,"num":0}]`, "b:" + big}},
	} {
		if err := io.Emit("p", tc.args...); err != nil {
			t.Fatal(err)
		}
		for _, c := range f.clients {
			c.expect(tc.want...)
		}
	}
	// The caller's slice is its own again when Emit has returned.
	data := []byte("before")
	if err := io.Emit("p", data); err != nil {
		t.Fatal(err)
	}
	copy(data, "after!")
	for _, c := range f.clients {
		c.expect(`451-["p",{"_placeholder":true,"num":0}]`, "b:before")
	}
	odd := "room #*?[]\\ ü \n"
	f.clients[5].s.Join(odd)
	f.await(t, odd)
	if err := io.To(odd).Emit("ev \"#\""); err != nil {
		t.Error(err)
	}
	f.clients[5].expect(`42["ev \"#\""]`)
}

// What one goroutine emits to one client arrives in that order, however it is addressed, on every server.
func testOrder(t *testing.T, f *fixture) {
	io, near, far := f.nodes[0].io, f.clients[0], f.clients[4]
	far.s.Join("room")
	near.s.Join("room")
	f.await(t, "room")
	const n = 200
	for i := range n {
		var err error
		switch i % 4 {
		case 0:
			err = io.Emit("n", i)
		case 1:
			err = io.To("room").Emit("n", i)
		case 2:
			err = io.To(near.ID, far.ID).Emit("n", i)
		case 3:
			err = io.To(far.ID).Emit("n", i)
			if err == nil {
				err = near.s.Emit("n", i)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := io.In("room").Disconnect(false); err != nil {
		t.Fatal(err)
	}
	for _, c := range []*client{near, far} {
		for i := range n {
			c.expect(fmt.Sprintf(`42["n",%d]`, i))
		}
		c.expect("41")
	}
}

// A join or leave takes effect on other servers between the emissions before and after it.
func testOrderOfOperations(t *testing.T, f *fixture) {
	io, far := f.nodes[0].io, f.clients[4]
	far.s.Join("always")
	f.await(t, "always")
	for i := range 20 {
		for _, err := range []error{
			io.To("sometimes", "always").Emit("a", i),
			io.In(far.ID).Join("sometimes"),
			io.To("always").Except("sometimes").Emit("never", i),
			io.In("sometimes").Leave("sometimes"),
			io.To("always").Except("sometimes").Emit("b", i),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		far.expect(fmt.Sprintf(`42["a",%d]`, i), fmt.Sprintf(`42["b",%d]`, i))
	}
}

func testNamespaces(t *testing.T, f *fixture) {
	const name = "/a-rather-long-name-of-a-namespace-that-some-brokers-can-not-use-as-a-channel"
	var sockets []*client
	for _, n := range f.nodes {
		n.io.Of(name)
	}
	for _, n := range f.nodes {
		eventually(t, func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			got, err := n.io.Of(name).Servers(ctx)
			return err == nil && got == len(f.nodes)
		}, "the number of servers")
	}
	for _, i := range []int{0, 4} {
		c := f.clients[i]
		c.send("40" + name + ",")
		if got := c.next(); !strings.HasPrefix(got, "40"+name+",{") {
			t.Fatalf("received %q", got)
		}
		sockets = append(sockets, c)
	}
	if err := f.nodes[2].io.Of(name).Emit("ev"); err != nil {
		t.Fatal(err)
	}
	for _, c := range sockets {
		c.expect("42" + name + `,["ev"]`)
	}
	if got := f.who(t, func() error { return nil }); got != "[]" {
		t.Errorf("reached %s", got)
	}
}

func testAcks(t *testing.T, f *fixture) {
	io := f.nodes[0].io
	for i, c := range f.clients {
		go c.answer(`["ask",7]`, fmt.Sprintf(`[%d,"more"]`, i))
	}
	acks, err := io.Timeout(patience).EmitWithAck(context.Background(), "ask", 7)
	var got []int
	for _, a := range acks {
		var n int
		if err := a.Bind(&n); err != nil {
			t.Error(err)
		}
		got = append(got, n)
	}
	slices.Sort(got)
	if err != nil || fmt.Sprint(got) != "[0 1 2 3 4 5]" {
		t.Errorf("acks %v, %v", got, err)
	}
	if acks, err := io.To("nobody").Timeout(patience).EmitWithAck(context.Background(), "ask"); err != nil || len(acks) != 0 {
		t.Errorf("nobody: %d acks, %v", len(acks), err)
	}
	go f.clients[1].answer(`["ask"]`, `["here"]`)
	if acks, err := io.Local().To(f.clients[1].ID, f.clients[5].ID).EmitWithAck(context.Background(), "ask"); err != nil || len(acks) != 1 {
		t.Errorf("local: %d acks, %v", len(acks), err)
	}
}

func testAcksMissing(t *testing.T, f *fixture) {
	io := f.nodes[0].io
	inTime(t, "five acks", func(d time.Duration) bool {
		var asked sync.WaitGroup
		for i, c := range f.clients[:5] {
			asked.Go(func() { c.answer(`["ask"]`, fmt.Sprintf(`[%d]`, i)) })
		}
		acks, err := io.Timeout(d).EmitWithAck(context.Background(), "ask")
		e, ok := errors.AsType[*socketio.AckTimeoutError](err)
		if !ok || e.Received != len(acks) {
			t.Fatalf("%d acks, %v", len(acks), err)
		}
		asked.Wait()
		// The late answer harms nobody.
		f.clients[5].answer(`["ask"]`, `["late"]`)
		return len(acks) == 5
	})
	if got := f.who(t, func() error { return io.Emit("ev") }); got != "[0 1 2 3 4 5]" {
		t.Errorf("reached %s", got)
	}
}

func testSockets(t *testing.T, f *fixture) {
	f.clients[5].s.Join("room", "other")
	f.clients[5].s.SetData(map[string]any{"name": "ünn", "n": 5})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	all, err := f.nodes[0].io.Sockets(ctx)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, s := range all {
		seen[s.ID()] = true
	}
	if len(all) != 6 || len(seen) != 6 {
		t.Errorf("%d sockets, %d different", len(all), len(seen))
	}
	some, err := f.nodes[0].io.In("room").Sockets(ctx)
	if err != nil || len(some) != 1 {
		t.Fatalf("%d sockets in the room, %v", len(some), err)
	}
	s := some[0]
	rooms := s.Rooms()
	slices.Sort(rooms)
	want := []string{f.clients[5].ID, "room", "other"}
	slices.Sort(want)
	var data struct {
		Name string
		N    int
	}
	if err := s.Data(&data); err != nil || data.Name != "ünn" || data.N != 5 {
		t.Errorf("data %+v, %v", data, err)
	}
	if s.ID() != f.clients[5].ID || s.Socket() != nil || !slices.Equal(rooms, want) {
		t.Errorf("id %s, rooms %q", s.ID(), rooms)
	}
	if h := s.Handshake(); !strings.Contains(h.URL, "EIO=4") || h.Query["transport"] != "websocket" || h.Issued == 0 {
		t.Errorf("handshake %+v", h)
	}
	if local, err := f.nodes[0].io.Local().Sockets(ctx); err != nil || len(local) != 2 {
		t.Errorf("%d local sockets, %v", len(local), err)
	}
}

func testSets(t *testing.T, f *fixture) {
	io := f.nodes[0].io
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	in := func(c *client, room string) func() bool {
		return func() bool { return slices.Contains(c.s.Rooms(), room) }
	}
	must(io.Except(f.clients[2].ID).Join("x", "y"))
	for i, c := range f.clients {
		if i != 2 {
			eventually(t, in(c, "y"), "joining")
		}
	}
	if in(f.clients[2], "x")() {
		t.Error("who was excepted has joined")
	}
	must(io.In("x").Leave("y"))
	for _, c := range f.clients {
		eventually(t, func() bool { return !in(c, "y")() }, "leaving")
	}
	must(io.Local().Join("here"))
	if !in(f.clients[0], "here")() {
		t.Error("a local join takes time")
	}
	must(io.In(f.clients[4].ID).Disconnect(true))
	f.clients[4].expect("41")
	must(io.DisconnectSockets(false))
	for i, c := range f.clients {
		if i != 4 {
			c.expect("41")
		}
	}
}

func testRemoteSocket(t *testing.T, f *fixture) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	far := f.clients[3]
	found, err := f.nodes[0].io.In(far.ID).Sockets(ctx)
	if err != nil || len(found) != 1 {
		t.Fatalf("%d sockets, %v", len(found), err)
	}
	s := found[0]
	if err := s.Emit("hello", 1); err != nil {
		t.Fatal(err)
	}
	far.expect(`42["hello",1]`)
	go far.answer(`["ask"]`, `["answer"]`)
	ack, err := s.EmitWithAck(ctx, "ask")
	if err != nil {
		t.Fatal(err)
	}
	var text string
	if err := ack.Bind(&text); err != nil || text != "answer" {
		t.Errorf("answer %q, %v", text, err)
	}
	if err := s.Join("r"); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return slices.Contains(far.s.Rooms(), "r") }, "joining")
	if err := s.Disconnect(false); err != nil {
		t.Fatal(err)
	}
	far.expect("41")
}

func testServerSideEmit(t *testing.T, f *fixture) {
	type got struct {
		node int
		text string
	}
	events := make(chan got, 10)
	for i, n := range f.nodes {
		n.io.OnServerSide("hi", func(_ context.Context, m *socketio.Message) error {
			var text string
			var data []byte
			err := m.Bind(&text, &data)
			events <- got{i, text + string(data)}
			return err
		})
	}
	if err := f.nodes[0].io.ServerSideEmit("hi", "there", []byte("!")); err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	for range 2 {
		select {
		case g := <-events:
			if g.text != "there!" {
				t.Errorf("node %d received %q", g.node, g.text)
			}
			seen[g.node] = true
		case <-time.After(patience):
			t.Fatal("nothing came")
		}
	}
	if !seen[1] || !seen[2] || len(events) != 0 {
		t.Errorf("received by %v, and %d more", seen, len(events))
	}
	for _, name := range []string{"connect", "connection", "new_namespace"} {
		if err := f.nodes[0].io.ServerSideEmit(name); err == nil {
			t.Errorf("%s was emitted", name)
		}
	}
}

func testServerSideEmitWithAck(t *testing.T, f *fixture) {
	for i, n := range f.nodes {
		n.io.OnServerSide("ask", func(_ context.Context, m *socketio.Message) error { return m.Ack(i) })
		if i == 1 {
			n.io.OnServerSide("half", func(_ context.Context, m *socketio.Message) error { return m.Ack(i) })
		}
	}
	long, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	acks, err := f.nodes[0].io.ServerSideEmitWithAck(long, "ask", 1)
	sum := 0
	for _, a := range acks {
		var n int
		if err := a.Bind(&n); err != nil {
			t.Error(err)
		}
		sum += n
	}
	if err != nil || len(acks) != 2 || sum != 3 {
		t.Errorf("%d acks, sum %d, %v", len(acks), sum, err)
	}
	inTime(t, "one ack of two", func(d time.Duration) bool {
		ctx, cancel := context.WithTimeout(t.Context(), d)
		defer cancel()
		acks, err := f.nodes[0].io.ServerSideEmitWithAck(ctx, "half")
		if err == nil || len(acks) > 1 {
			t.Fatalf("%d acks, %v; want one and an error", len(acks), err)
		}
		return len(acks) == 1
	})
}

// A server that left is not waited for.
func testDeparture(t *testing.T, f *fixture) {
	if err := f.nodes[2].io.Close(); err != nil {
		t.Fatal(err)
	}
	for _, n := range f.nodes[:2] {
		n.awaitServers(2)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if all, err := f.nodes[0].io.Sockets(ctx); err != nil || len(all) != 4 {
		t.Errorf("%d sockets, %v", len(all), err)
	}
	f.nodes[1].io.OnServerSide("ask", func(_ context.Context, m *socketio.Message) error { return m.Ack() })
	if acks, err := f.nodes[0].io.ServerSideEmitWithAck(ctx, "ask"); err != nil || len(acks) != 1 {
		t.Errorf("%d acks, %v", len(acks), err)
	}
	f.clients = f.clients[:4]
	if got := f.who(t, func() error { return f.nodes[0].io.Emit("ev") }); got != "[0 1 2 3]" {
		t.Errorf("reached %s", got)
	}
}

// A cluster of one works as no cluster does.
func testAlone(t *testing.T, n *node) {
	c := n.client()
	c.s.Join("room")
	for _, err := range []error{n.io.Emit("a"), n.io.To("room").Emit("b"), c.s.Broadcast().Emit("c"), n.io.ServerSideEmit("d")} {
		if err != nil {
			t.Error(err)
		}
	}
	c.expect(`42["a"]`, `42["b"]`)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if all, err := n.io.Sockets(ctx); err != nil || len(all) != 1 {
		t.Errorf("%d sockets, %v", len(all), err)
	}
	go c.answer(`["ask"]`, "[]")
	if acks, err := n.io.EmitWithAck(ctx, "ask"); err != nil || len(acks) != 1 {
		t.Errorf("%d acks, %v", len(acks), err)
	}
	if acks, err := n.io.ServerSideEmitWithAck(ctx, "nobody"); err != nil || len(acks) != 0 {
		t.Errorf("%d acks of other servers, %v", len(acks), err)
	}
}
