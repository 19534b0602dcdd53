package socketio_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/sockeye-io/sockeye/event"
	"github.com/sockeye-io/sockeye/socketio"
)

// What a client does wrong it can do without end, so it must not fill the log of a server with default settings.
func TestClientsDoNotFillTheLog(t *testing.T) {
	lines := make(chan string, 100)
	failed := make(chan error, 100)
	st := serve(t, &socketio.Options{
		Logger:  slog.New(slog.NewTextHandler(lineWriter(lines), nil)), // from level Info on, as is usual
		OnError: func(_ *socketio.Socket, err error) { failed <- err },
	})
	st.io.Use(func(ctx context.Context, s *socketio.Socket) error {
		var auth struct{ Token string }
		return s.Auth(&auth)
	})
	st.io.OnConnection(func(s *socketio.Socket) {
		s.On("number", func(ctx context.Context, m *socketio.Message) error {
			var n int
			return m.Bind(&n)
		})
		s.On("refused", func(context.Context, *socketio.Message) error { return event.Errorf("no", "no") })
		s.On("broken", func(context.Context, *socketio.Message) error { return errors.New("out of disk") })
	})

	p := st.connect()
	p.send(`40{"token":7}`)
	p.expect(`44{"message":"unexpected auth payload","data":{"code":"bad_request"}}`)
	p.join("/", "")
	p.send(`421["number","one"]`)
	p.expect(`431[{"error":{"code":"bad_request","message":"argument 0 is not what is expected"}}]`)
	p.send(`422["refused"]`)
	p.expect(`432[{"error":{"code":"no","message":"no"}}]`)
	p.send(`42[no JSON`)
	p.expectClosed()
	for range 3 {
		receive(t, failed) // they are told to who listens
	}

	// The first line is that of the server's own fault, so there was none before.
	q := st.join()
	q.send(`421["broken"]`)
	q.expect(`431[{"error":{"code":"internal","message":"internal error"}}]`)
	if line := receive(t, lines); !strings.Contains(line, "level=WARN") || !strings.Contains(line, "out of disk") {
		t.Errorf("the log begins with %q", line)
	}
}

type lineWriter chan string

func (w lineWriter) Write(b []byte) (int, error) {
	w <- string(b)
	return len(b), nil
}
