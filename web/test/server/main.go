// Command server is a Sockeye server that does for the browser client's tests what web/test/stock-server.js does with
// the published Node server. It prints its URL and runs until it is killed.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/sockeye-io/sockeye/engineio"
	"github.com/sockeye-io/sockeye/socketio"
)

func main() {
	interval := flag.Int("interval", 25000, "ping interval in ms")
	timeout := flag.Int("timeout", 20000, "ping timeout in ms")
	transports := flag.String("transports", "", "transports to offer, separated by commas; all if empty")
	payload := flag.Int("payload", 1_000_000, "maximum payload in bytes")
	rotate := flag.Int("rotate", 0, "bytes after which a streaming response ends; 0 for the default")
	port := flag.Int("port", 0, "port to listen on, 0 for any")
	flag.Parse()

	opts := &socketio.Options{
		Recovery: &socketio.RecoveryOptions{},
		Engine: engineio.Options{
			PingInterval:   time.Duration(*interval) * time.Millisecond,
			PingTimeout:    time.Duration(*timeout) * time.Millisecond,
			MaxPayload:     *payload,
			StreamMaxBytes: *rotate,
		},
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	if *transports != "" {
		opts.Engine.Transports = strings.Split(*transports, ",")
	}
	io := socketio.NewServer(opts)
	listen(io)

	ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", *port))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("http://%s\n", ln.Addr())
	fmt.Fprintln(os.Stderr, http.Serve(ln, io))
	os.Exit(1)
}

func listen(io *socketio.Server) {
	io.OnConnection(func(s *socketio.Socket) {
		s.On("echo", echo)
		s.On("back", func(ctx context.Context, m *socketio.Message) error {
			args, err := m.Args()
			if err != nil {
				return err
			}
			return s.Emit("back", args...)
		})
		s.On("burst", func(ctx context.Context, m *socketio.Message) error {
			var n int
			if err := m.Bind(&n); err != nil {
				return err
			}
			for i := range n {
				if err := s.Emit("n", i); err != nil {
					return err
				}
			}
			return nil
		})
		s.On("handshake", func(ctx context.Context, m *socketio.Message) error {
			query := map[string]string{}
			for name, values := range s.Handshake().Query() {
				query[name] = values[0]
			}
			headers := map[string]string{}
			for name, values := range s.Handshake().Header() {
				headers[strings.ToLower(name)] = values[0]
			}
			return m.Ack(query, headers)
		})
		s.On("leave", func(ctx context.Context, m *socketio.Message) error {
			s.Disconnect(false)
			return nil
		})
		s.On("cut", func(ctx context.Context, m *socketio.Message) error {
			io.Engine().Session(s.EngineID()).Close()
			return nil
		})
		s.On("ask", func(ctx context.Context, m *socketio.Message) error {
			ack, err := s.EmitWithAck(ctx, "question", "?")
			if err != nil {
				return err
			}
			return m.Ack(ack.Raw(0))
		})
	})
	io.Of("/other").OnConnection(func(s *socketio.Socket) { s.On("echo", echo) })
	guarded := io.Of("/guarded")
	guarded.Use(func(ctx context.Context, s *socketio.Socket) error {
		var auth struct {
			Token string `json:"token"`
		}
		if err := s.Auth(&auth); err == nil && auth.Token == "let me in" {
			return nil
		}
		return &socketio.ConnectError{Message: "not you", Data: map[string]int{"code": 7}}
	})
	guarded.OnConnection(func(s *socketio.Socket) { _ = s.Emit("welcome") })
}

func echo(ctx context.Context, m *socketio.Message) error {
	args, err := m.Args()
	if err != nil {
		return err
	}
	return m.Ack(args...)
}
