// Command target is the benchmark's server on Sockeye: what a user would write, with the ping times that all servers of
// the benchmark have. It listens on 127.0.0.1:$PORT, and serves profiles on $PPROF (an address) if that is set.
package main

import (
	"context"
	"log"
	"net/http"
	_ "net/http/pprof"
	"os"
	"time"

	"github.com/sockeye-io/sockeye/bench/internal/collect"
	"github.com/sockeye-io/sockeye/engineio"
	"github.com/sockeye-io/sockeye/socketio"
)

func main() {
	collect.OnSignal()
	if addr := os.Getenv("PPROF"); addr != "" {
		go func() { log.Fatal(http.ListenAndServe(addr, nil)) }() // the default mux, where pprof is
	}
	mux := http.NewServeMux()
	mux.Handle("/socket.io/", newServer())
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), mux))
}

func newServer() *socketio.Server {
	io := socketio.NewServer(&socketio.Options{
		Engine: engineio.Options{PingInterval: time.Minute, PingTimeout: time.Minute},
	})
	io.OnConnection(func(s *socketio.Socket) {
		s.On("echo", func(ctx context.Context, m *socketio.Message) error {
			var a string
			if err := m.Bind(&a); err != nil {
				return err
			}
			return m.Ack(a)
		})
		s.On("join", func(ctx context.Context, m *socketio.Message) error {
			var room string
			if err := m.Bind(&room); err != nil {
				return err
			}
			s.Join(room)
			return m.Ack()
		})
		s.On("bcast", func(ctx context.Context, m *socketio.Message) error {
			var a string
			if err := m.Bind(&a); err != nil {
				return err
			}
			return io.Emit("msg", a)
		})
		s.On("rcast", func(ctx context.Context, m *socketio.Message) error {
			var room, a string
			if err := m.Bind(&room, &a); err != nil {
				return err
			}
			return io.To(room).Emit("msg", a)
		})
	})
	return io
}
