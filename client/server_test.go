package client_test

import (
	"context"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/sockeye-io/sockeye/client"
	"github.com/sockeye-io/sockeye/event"
	"github.com/sockeye-io/sockeye/socketio"
)

// The tests of this file run against the real server.

// serve starts a server that ends with the test.
func serve(t *testing.T, opts *socketio.Options) (io *socketio.Server, url string) {
	t.Helper()
	io = socketio.NewServer(opts)
	ts := httptest.NewServer(io)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		io.Shutdown(ctx)
		ts.CloseClientConnections()
		ts.Close()
	})
	return io, ts.URL
}

// dial connects and closes with the test.
func dial(t *testing.T, url string, opts *client.Options) *client.Socket {
	t.Helper()
	s, err := client.Dial(t.Context(), url, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Client().Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// transports runs a test over each of them.
func transports(t *testing.T, f func(t *testing.T, opts *client.Options)) {
	for _, name := range []string{"websocket", "polling", "streaming"} {
		t.Run(name, func(t *testing.T) { f(t, &client.Options{Transports: []string{name}}) })
	}
}

var (
	said  = event.New[string]("said")
	add   = event.NewCall[[]int, int]("add")
	bytes = event.NewCall[[]byte, []byte]("bytes")
)

func TestEcho(t *testing.T) {
	transports(t, func(t *testing.T, opts *client.Options) {
		io, url := serve(t, nil)
		io.OnConnection(func(s *socketio.Socket) {
			said.On(s, func(ctx context.Context, text string) error { return said.Emit(s, text+"!") })
			add.On(s, func(ctx context.Context, n []int) (int, error) { return n[0] + n[1], nil })
			bytes.On(s, func(ctx context.Context, b []byte) ([]byte, error) { return append(b, 7), nil })
		})
		s := dial(t, url, opts)
		heard := make(chan string, 1)
		said.On(s, func(ctx context.Context, text string) error { heard <- text; return nil })
		if err := said.Emit(s, "hello"); err != nil {
			t.Fatal(err)
		}
		if text := <-heard; text != "hello!" {
			t.Errorf("heard %q", text)
		}
		if sum, err := add.Call(t.Context(), s, []int{1, 2}); sum != 3 || err != nil {
			t.Errorf("sum is %d, %v", sum, err)
		}
		if b, err := bytes.Call(t.Context(), s, []byte{1}); len(b) != 2 || err != nil {
			t.Errorf("bytes are %v, %v", b, err)
		}
		if s.ID() == "" || !s.Connected() || !s.Active() || s.Client().Transport() != opts.Transports[0] {
			t.Errorf("id %q, connected %v, transport %q", s.ID(), s.Connected(), s.Client().Transport())
		}
	})
}
