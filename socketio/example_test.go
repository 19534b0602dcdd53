package socketio_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/sockeye-io/sockeye/engineio"
	"github.com/sockeye-io/sockeye/event"
	"github.com/sockeye-io/sockeye/socketio"
)

// A chat: what one client says, all hear.
func Example() {
	io := socketio.NewServer(nil)
	io.OnConnection(func(s *socketio.Socket) {
		s.On("chat message", func(ctx context.Context, m *socketio.Message) error {
			var text string
			if err := m.Bind(&text); err != nil {
				return err
			}
			return io.Emit("chat message", text)
		})
	})
	http.Handle("/socket.io/", io)
	// http.ListenAndServe(":3000", nil)
}

// Events with types, which a server and a Go client share.
func Example_typed() {
	type SayRequest struct {
		Room string `json:"room"`
		Text string `json:"text"`
	}
	type AddRequest struct{ A, B int }

	say := event.New[SayRequest]("say")
	add := event.NewCall[AddRequest, int]("add")

	io := socketio.NewServer(nil)
	io.OnConnection(func(s *socketio.Socket) {
		say.On(s, func(ctx context.Context, r SayRequest) error {
			return say.Emit(io.To(r.Room), r)
		})
		add.On(s, func(ctx context.Context, r AddRequest) (int, error) {
			if r.A < 0 || r.B < 0 {
				return 0, event.Errorf("negative", "%d + %d: I can't count below zero", r.A, r.B)
			}
			return r.A + r.B, nil
		})
	})
	http.Handle("/socket.io/", io)
}

// Rooms, and telling the others who comes and goes.
func Example_rooms() {
	io := socketio.NewServer(nil)
	io.OnConnection(func(s *socketio.Socket) {
		s.On("join", func(ctx context.Context, m *socketio.Message) error {
			var room string
			if err := m.Bind(&room); err != nil {
				return err
			}
			s.Join(room)
			return s.To(room).Emit("joined", s.ID())
		})
		s.OnDisconnecting(func(socketio.Reason) {
			for _, room := range s.Rooms() {
				s.To(room).Emit("left", s.ID())
			}
		})
	})
	io.To("news").Except("muted").Volatile().Emit("tick", time.Now().Unix())
}

// A middleware that lets in only clients with a valid token.
func Example_auth() {
	userOf := func(token string) (string, bool) { return strings.CutPrefix(token, "user:") }

	io := socketio.NewServer(nil)
	io.Use(func(ctx context.Context, s *socketio.Socket) error {
		var auth struct{ Token string }
		if err := s.Auth(&auth); err != nil {
			return &socketio.ConnectError{Message: "bad auth payload"}
		}
		user, ok := userOf(auth.Token)
		if !ok {
			return &socketio.ConnectError{Message: "not authorized", Data: map[string]any{"refresh": true}}
		}
		s.SetData(user)
		s.Join("user:" + user) // one room for all connections of a user
		return nil
	})
	io.To("user:ann").Emit("hello")
}

// A server whose clients don't notice a short loss of the network.
func Example_recovery() {
	io := socketio.NewServer(&socketio.Options{
		Recovery: &socketio.RecoveryOptions{MaxDisconnection: time.Minute},
	})
	io.OnConnection(func(s *socketio.Socket) {
		if !s.Recovered() {
			s.Join("news") // a recovered socket has its rooms, data and what it missed
		}
		s.On("ev", func(context.Context, *socketio.Message) error { return nil })
	})
}

// Asking every client of a room, and making do with those who answer in time.
func ExampleBroadcast_EmitWithAck() {
	io := socketio.NewServer(nil)
	acks, err := io.To("players").Timeout(2*time.Second).EmitWithAck(context.Background(), "ready?")
	for _, ack := range acks {
		var name string
		if ack.Bind(&name) == nil {
			fmt.Println(name, "is ready")
		}
	}
	if err != nil {
		fmt.Println("starting without the others:", err)
	}
	// Output:
}

// Options for a page on another origin, and tighter limits.
func ExampleNewServer() {
	io := socketio.NewServer(&socketio.Options{
		Engine: engineio.Options{
			CORS:       &engineio.CORS{Origins: []string{"https://app.example.com"}},
			MaxPayload: 100_000,
		},
		Limits: socketio.Limits{MaxNamespaces: 4},
	})
	mux := http.NewServeMux()
	mux.Handle("/socket.io/", io)
	server := &http.Server{Addr: ":3000", Handler: mux}
	_ = server // server.ListenAndServe(); at the end: io.Shutdown(ctx), then server.Shutdown(ctx)
	// Output:
}
