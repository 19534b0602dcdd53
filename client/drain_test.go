package client_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sockeye-io/sockeye/client"
	"github.com/sockeye-io/sockeye/socketio"
)

// Two servers behind a balancer, of which one is drained: a client that is told to go connects to the other one by
// itself, also one whose transport is none that a server closes by itself.
func TestDrainedServer(t *testing.T) {
	transports(t, func(t *testing.T, opts *client.Options) {
		var servers [2]*socketio.Server
		for i := range servers {
			servers[i] = socketio.NewServer(nil)
			servers[i].OnConnection(func(s *socketio.Socket) {
				s.On("who", func(_ context.Context, m *socketio.Message) error { return m.Ack(i) })
			})
			t.Cleanup(func() { _ = servers[i].Close() })
		}
		front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if sid := r.URL.Query().Get("sid"); sid != "" && servers[0].Engine().Session(sid) != nil || !servers[0].Draining() {
				servers[0].ServeHTTP(w, r)
				return
			}
			servers[1].ServeHTTP(w, r)
		}))
		t.Cleanup(front.Close)
		opts.Reconnect.Delay = time.Millisecond
		s := dial(t, front.URL, opts)
		var server, connects atomic.Int64
		again := make(chan struct{}, 1)
		s.OnConnect(func() { connects.Add(1); again <- struct{}{} })
		ask := func() {
			t.Helper()
			ack, err := s.EmitWithAck(t.Context(), "who")
			if err != nil {
				t.Fatal(err)
			}
			var i int64
			if err := ack.Bind(&i); err != nil {
				t.Fatal(err)
			}
			server.Store(i)
		}
		reasons := make(chan client.Reason, 1)
		s.OnDisconnect(func(r client.Reason, _ error) { reasons <- r })
		if ask(); server.Load() != 0 {
			t.Fatalf("on server %d", server.Load())
		}

		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if err := servers[0].Drain(ctx); err != nil {
			t.Error(err)
		}
		select {
		case r := <-reasons:
			if r != client.ReasonTransportClose {
				t.Errorf("the client left for %q", r)
			}
		case <-ctx.Done():
			t.Fatal("the client was not told to go")
		}
		select {
		case <-again:
		case <-ctx.Done():
			t.Fatal("the client did not connect again")
		}
		if ask(); server.Load() != 1 {
			t.Errorf("on server %d", server.Load())
		}
		if err := servers[0].Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
}
