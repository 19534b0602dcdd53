// Package app is the application of the benchmark's servers on Sockeye, as a user would write it: see README.md.
package app

import (
	"context"
	"time"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/engineio"
	"github.com/sockeye-io/sockeye/socketio"
)

// New returns the server, with the ping times that all servers of the benchmark have. A is nil for a server that stands
// alone.
func New(a adapter.Factory) *socketio.Server {
	io := socketio.NewServer(&socketio.Options{
		Adapter: a,
		Engine:  engineio.Options{PingInterval: time.Minute, PingTimeout: time.Minute},
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
