package redis_test

import (
	"context"
	"log/slog"
	"slices"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sockeye-io/sockeye/adapter/bridge"
	"github.com/sockeye-io/sockeye/adapter/redis"
	"github.com/sockeye-io/sockeye/socketio"
	"github.com/sockeye-io/sockeye/test/interop/kit"
)

// saw waits until a client has received an event as often as it should, and compares its arguments.
func (p *peer) saw(event string, want ...string) {
	p.t.Helper()
	kit.Eventually(p.t, event, func() bool { return p.count(event) >= len(want) })
	p.mu.Lock()
	defer p.mu.Unlock()
	if !slices.Equal(p.seen[event], want) {
		p.t.Errorf("%s: received %q, want %q", event, p.seen[event], want)
	}
}

// TestPython runs a Go server between a cluster of Python servers and one of Node's: client 0 is with the Go server,
// client 1 with Python, client 2 with Node.
func TestPython(t *testing.T) {
	for _, python := range []struct {
		tool, channel string
		flask         bool
	}{{"python3-redis", "socketio", false}, {"python3-flask-socketio", "flask-socketio", true}} {
		t.Run(python.channel, func(t *testing.T) {
			addr := startRedis(t)
			broker, err := redis.Open(redis.Options{
				Redis: goredis.UniversalOptions{Addrs: []string{addr}}, Logger: slog.New(slog.DiscardHandler),
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = broker.Close() })
			io := socketio.NewServer(&socketio.Options{Adapter: bridge.Join(bridge.Options{}, broker.Classic(),
				broker.Python(redis.PythonOptions{Channel: python.channel, Version: redis.PythonPickle}))})
			t.Cleanup(func() { _ = io.Close() })
			io.OnConnection(func(s *socketio.Socket) { s.Join("all") })
			p := kit.NewPythonServer(t, python.tool, "redis/python.py", map[string]any{"redis": addr, "flask": python.flask})
			if err := p.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(p.Stop)
			node := startNode(t, map[string]any{"redis": addr, "library": "redis", "name": "node", "rooms": []string{"all"}})
			clients := []*peer{
				dial(t, 0, kit.Serve(t, io).URL()), dialBy(t, "polling", 1, "http://"+p.Addr()), dial(t, 2, "http://"+node.Addr()),
			}
			kit.Eventually(t, "all servers know of each other", func() bool {
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				defer cancel()
				n, err := io.Of("/").Servers(ctx)
				return err == nil && n == 3
			})
			// The others have their clients join before they are connected.
			kit.Eventually(t, "the Go server's client is in the room", func() bool {
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				defer cancel()
				inside, err := io.Local().In("all").Sockets(ctx)
				return err == nil && len(inside) == 1
			})
			testPython(t, io, node, clients)
		})
	}
}

func testPython(t *testing.T, io *socketio.Server, node *node, c []*peer) {
	// Python handles each event on a thread of its own: what is to follow another waits for it.
	do := func(op string, args ...any) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if _, err := c[1].EmitWithAck(ctx, op, args...); err != nil {
			t.Fatal(op, err)
		}
	}
	everybody := func(event string, want ...string) {
		t.Helper()
		for _, x := range c {
			x.saw(event, want...)
		}
	}
	for range 3 {
		do("emit", "fromPython", []any{"x", 1, map[string]any{"b": []byte{1, 2}}}, nil, nil)
	}
	everybody("fromPython", slices.Repeat([]string{"[x 1 map[b:[1 2]]]"}, 3)...)
	if err := io.To("all").Emit("fromGo", "x", 1, []byte{3}); err != nil {
		t.Fatal(err)
	}
	everybody("fromGo", "[x 1 [3]]")
	node.do(operation{Op: "emit", Rooms: []string{"all"}, Event: "fromNode", Args: []any{"x", 2}}, nil)
	everybody("fromNode", "[x 2]")

	// One socket, or all but one. The marker comes after it.
	for i, x := range c {
		name := string(rune('a' + i))
		do("emit", "py"+name, []any{i}, x.ID(), nil)
		x.saw("py"+name, "["+string(rune('0'+i))+"]")
		if err := io.Except(x.ID()).Emit("except"+name, i); err != nil {
			t.Fatal(err)
		}
		do("emit", "skip"+name, []any{i}, []any{"all"}, x.ID())
		for _, other := range c {
			if other != x {
				other.saw("skip"+name, "["+string(rune('0'+i))+"]")
				other.saw("except"+name, "["+string(rune('0'+i))+"]")
			}
		}
	}
	if err := io.Emit("marker"); err != nil {
		t.Fatal(err)
	}
	everybody("marker", "[]")
	for i, x := range c {
		name := string(rune('a' + i))
		if n := x.count("except"+name) + x.count("skip"+name); n != 0 {
			t.Errorf("client %d received %d events that were for the others", i, n)
		}
	}

	// Acknowledgements: of Go's and Node's clients for Python, of Python's for Go.
	do("call", c[0].ID(), "v")
	c[1].saw("answered", "[0]")
	do("call", c[2].ID(), "v")
	c[1].saw("answered", "[0]", "[2]")
	for i, x := range c {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		answers, err := io.To(x.ID()).EmitWithAck(ctx, "ask", "v")
		cancel()
		if err != nil || len(answers) != 1 {
			t.Errorf("client %d: answers %v, error %v", i, answers, err)
		}
	}

	do("close", "all")
	do("emit", "closed", []any{}, "all", nil)
	do("emit", "end", []any{}, nil, nil)
	everybody("end", "[]")
	for i, x := range c {
		if x.count("closed") > 0 {
			t.Errorf("client %d is still in the room", i)
		}
	}
	do("drop", c[0].ID())
	<-c[0].gone
	do("drop", c[2].ID())
	<-c[2].gone
	if err := io.In(c[1].ID()).Disconnect(false); err != nil {
		t.Fatal(err)
	}
	<-c[1].gone
}
