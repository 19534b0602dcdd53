package app

import (
	"context"
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/sockeye-io/sockeye/engineio"
	"github.com/sockeye-io/sockeye/socketio"
	"github.com/sockeye-io/sockeye/socketio/packet"
	"github.com/sockeye-io/sockeye/test/interop/kit"
)

// sockeye is the application on our own server, in this process.
type sockeye struct {
	options Options
	http    kit.Server

	mu     sync.Mutex
	server *socketio.Server // nil while stopped
}

func newSockeye(o Options) *sockeye { return &sockeye{options: o} }

func (b *sockeye) start() error {
	o := &socketio.Options{
		Engine: engineio.Options{
			PingInterval: b.options.PingInterval,
			PingTimeout:  b.options.PingTimeout,
			MaxPayload:   b.options.MaxPayload,
			Transports:   b.options.Transports,
			// One event of the tests is larger than what should wait for a client by default.
			Outbox: engineio.OutboxOptions{MaxBytes: 16 << 20},
		},
	}
	if b.options.Recovery {
		o.Recovery = &socketio.RecoveryOptions{}
	}
	if b.options.Msgpack {
		o.Format = packet.Msgpack
	}
	server := socketio.NewServer(o)
	register(server)
	b.mu.Lock()
	b.server = server
	b.mu.Unlock()
	return b.http.Start(beside(server, b.options.Pages))
}

func (b *sockeye) stop() {
	b.mu.Lock()
	server := b.server
	b.server = nil
	b.mu.Unlock()
	if server == nil {
		return
	}
	// As at the end of a process: the listener goes first, so that nobody comes back to the server that is ending.
	b.http.StopListening()
	_ = server.Close()
	b.http.Stop()
}

func (b *sockeye) addr() string { return b.http.Addr }

func (b *sockeye) handler() http.Handler {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.server
}

// register gives the server the namespaces and events of the package's documentation.
func register(io *socketio.Server) {
	r := &reasons{known: map[string]string{}, changed: make(chan struct{})}
	join := func(s *socketio.Socket) { wire(s, r) }
	io.OnConnection(join)
	io.Of("/chat").OnConnection(join)
	io.OfRegexp(regexp.MustCompile(`^/dyn-\d+$`)).OnConnection(join)

	auth := io.Of("/auth")
	auth.Use(func(_ context.Context, s *socketio.Socket) error {
		var given struct {
			Token string `json:"token"`
		}
		if err := s.Auth(&given); err != nil {
			return err
		}
		if given.Token != "secret" {
			return &socketio.ConnectError{
				Message: "not authorised",
				Data:    map[string]any{"code": 401, "hint": "send a token"},
			}
		}
		return nil
	})
	auth.OnConnection(join)

	io.Of("/admin").OnConnection(func(s *socketio.Socket) {
		s.On("reason", func(ctx context.Context, m *socketio.Message) error {
			var id string
			if err := m.Bind(&id); err != nil {
				return err
			}
			// A handler that waits holds up those after it, and the client may well ask for more meanwhile.
			go func() {
				if reason, err := r.wait(ctx, id); err == nil {
					_ = m.Ack(reason)
				}
			}()
			return nil
		})
		s.On("tell", func(_ context.Context, m *socketio.Message) error {
			var room string
			var value any
			if err := m.Bind(&room, &value); err != nil {
				return err
			}
			if err := io.To(room).Emit("said", value); err != nil {
				return err
			}
			return m.Ack()
		})
	})
}

func wire(s *socketio.Socket, r *reasons) {
	ns := s.Namespace()
	r.forget(s.ID()) // a recovered socket has the id of the one before it, whose end is history
	on := func(event string, f func(ctx context.Context, m *socketio.Message, args []any) error) {
		s.On(event, func(ctx context.Context, m *socketio.Message) error {
			args, err := m.Args()
			if err != nil {
				return err
			}
			return f(ctx, m, args)
		})
	}
	on("echo", func(_ context.Context, m *socketio.Message, args []any) error {
		if m.WantsAck() {
			return m.Ack(args...)
		}
		return s.Emit("echo", args...)
	})
	on("ask", func(ctx context.Context, _ *socketio.Message, args []any) error {
		reply, err := s.Timeout(time.Minute).EmitWithAck(ctx, "question", args...)
		if err != nil {
			return err
		}
		values, err := reply.Args()
		if err != nil {
			return err
		}
		return s.Emit("answered", values...)
	})
	on("askall", func(ctx context.Context, m *socketio.Message, args []any) error {
		replies, err := ns.Timeout(time.Minute).EmitWithAck(ctx, "question", args...)
		if err != nil {
			return err
		}
		texts := make([]string, len(replies))
		for i, reply := range replies {
			if err := reply.Bind(&texts[i]); err != nil {
				return err
			}
		}
		slices.Sort(texts)
		return m.Ack(texts)
	})
	room := func(event string, f func(room string, m *socketio.Message, args []any) error) {
		on(event, func(_ context.Context, m *socketio.Message, args []any) error {
			var name string
			if err := m.Arg(0, &name); err != nil {
				return err
			}
			return f(name, m, args[1:])
		})
	}
	room("join", func(room string, m *socketio.Message, _ []any) error {
		s.Join(room)
		return m.Ack()
	})
	room("leave", func(room string, m *socketio.Message, _ []any) error {
		s.Leave(room)
		return m.Ack()
	})
	room("say", func(room string, _ *socketio.Message, args []any) error {
		return ns.To(room).Emit("said", args...)
	})
	room("except", func(room string, _ *socketio.Message, args []any) error {
		return ns.Except(room).Emit("excepted", args...)
	})
	on("rooms", func(_ context.Context, m *socketio.Message, _ []any) error {
		rooms := slices.DeleteFunc(slices.Clone(s.Rooms()), func(room string) bool { return room == s.ID() })
		slices.Sort(rooms)
		if rooms == nil {
			rooms = []string{}
		}
		return m.Ack(rooms)
	})
	on("others", func(_ context.Context, _ *socketio.Message, args []any) error {
		return s.Broadcast().Emit("others", args...)
	})
	on("everyone", func(_ context.Context, _ *socketio.Message, args []any) error {
		return ns.Emit("everyone", args...)
	})
	number := func(event string, f func(n int, m *socketio.Message) error) {
		on(event, func(_ context.Context, m *socketio.Message, _ []any) error {
			var n int
			if err := m.Arg(0, &n); err != nil {
				return err
			}
			return f(n, m)
		})
	}
	number("burst", func(n int, _ *socketio.Message) error {
		for i := range n {
			if err := s.Emit("item", i); err != nil {
				return err
			}
		}
		return s.Emit("burst-end", n)
	})
	number("ticks", func(n int, _ *socketio.Message) error {
		for i := range n {
			if err := s.Volatile().Emit("tick", i); err != nil {
				return err
			}
		}
		return s.Emit("ticks-end", n)
	})
	number("blob", func(n int, m *socketio.Message) error {
		data := make([]byte, n)
		for i := range data {
			data[i] = byte(i % 251)
		}
		return m.Ack(data)
	})
	on("size", func(_ context.Context, m *socketio.Message, args []any) error {
		switch v := args[0].(type) {
		case string:
			return m.Ack(len(v))
		case []byte:
			return m.Ack(len(v))
		}
		return m.Ack(nil)
	})
	on("kick", func(_ context.Context, m *socketio.Message, _ []any) error {
		var closeConn bool
		if err := m.Arg(0, &closeConn); err != nil {
			return err
		}
		s.Disconnect(closeConn)
		return nil
	})
	on("whoami", func(_ context.Context, m *socketio.Message, _ []any) error {
		auth := json.RawMessage("{}")
		if err := s.Auth(&auth); err != nil {
			return err
		}
		return m.Ack(map[string]any{
			"id": s.ID(), "auth": auth, "transport": s.Transport(), "recovered": s.Recovered(),
		})
	})
	s.OnDisconnect(func(reason socketio.Reason, _ error) { r.set(s.ID(), string(reason)) })
}

// reasons remembers why each socket was lost.
type reasons struct {
	mu      sync.Mutex
	known   map[string]string
	changed chan struct{} // closed at the next change
}

func (r *reasons) set(id, reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known[id] = reason
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *reasons) forget(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.known, id)
}

func (r *reasons) wait(ctx context.Context, id string) (string, error) {
	for {
		r.mu.Lock()
		reason, ok := r.known[id]
		changed := r.changed
		r.mu.Unlock()
		if ok {
			return reason, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}
