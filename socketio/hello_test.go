package socketio_test

import (
	"context"
	"testing"

	"github.com/sockeye-io/sockeye/socketio"
)

func TestHello(t *testing.T) {
	st := serve(t, nil)
	st.io.OnConnection(func(s *socketio.Socket) {
		s.On("chat message", func(ctx context.Context, m *socketio.Message) error {
			var text string
			if err := m.Bind(&text); err != nil {
				return err
			}
			return st.io.Emit("chat message", text)
		})
		s.On("echo", func(ctx context.Context, m *socketio.Message) error { return m.Ack(m.Raw(0)) })
	})
	a, b := st.join(), st.join()
	a.send(`42["chat message","hi"]`)
	a.expect(`42["chat message","hi"]`)
	b.expect(`42["chat message","hi"]`)
	b.send(`427["echo",{"a":1}]`)
	b.expect(`437[{"a":1}]`)
	b.close()
	a.send(`41`)
}
