package suite

import (
	"context"
	"encoding/json"

	"github.com/sockeye-io/sockeye/socketio"
)

func socketServer(times Times) *socketio.Server {
	io := socketio.NewServer(&socketio.Options{
		Engine:         *engineOptions("/socket.io/", times),
		ConnectTimeout: times.ConnectTimeout,
	})
	greet := func(s *socketio.Socket) error {
		auth := json.RawMessage("{}")
		if err := s.Auth(&auth); err != nil {
			return err
		}
		return s.Emit("auth", auth)
	}
	io.OnConnection(func(s *socketio.Socket) {
		if greet(s) != nil {
			s.Disconnect(true)
			return
		}
		s.On("message", func(_ context.Context, m *socketio.Message) error {
			args, err := m.Args()
			if err != nil {
				return err
			}
			return s.Emit("message-back", args...)
		})
		s.On("message-with-ack", func(_ context.Context, m *socketio.Message) error {
			args, err := m.Args()
			if err != nil {
				return err
			}
			return m.Ack(args...)
		})
	})
	io.Of("/custom").OnConnection(func(s *socketio.Socket) {
		if greet(s) != nil {
			s.Disconnect(true)
		}
	})
	return io
}
