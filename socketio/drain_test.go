package socketio_test

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sockeye-io/sockeye/socketio"
)

// A drained server has let its clients go, as by a failing connection, and has waited for the handlers; the rest of it
// is as it was.
func TestDrain(t *testing.T) {
	st := serve(t, nil)
	var released atomic.Bool
	st.io.OnClose(func() { released.Store(true) })
	reasons := make(chan socketio.Reason, 1)
	started, finish, finished := make(chan struct{}), make(chan struct{}), make(chan struct{})
	st.io.OnConnection(func(s *socketio.Socket) {
		s.On("work", func(context.Context, *socketio.Message) error {
			close(started)
			<-finish
			close(finished)
			return nil
		})
		s.OnDisconnect(func(r socketio.Reason, _ error) { reasons <- r })
	})
	p := st.join()
	p.send(`42["work"]`)
	receive(t, started)
	if st.io.Draining() {
		t.Error("Draining before Drain")
	}
	st.io.Emit("last words")
	result := make(chan error, 1)
	go func() { result <- st.io.Drain(t.Context()) }()
	p.expect(`42["last words"]`)
	p.expectClosed() // with no disconnect packet: stock clients would not reconnect after it
	select {
	case err := <-result:
		t.Errorf("Drain returned %v while a handler was running", err)
	default:
	}
	close(finish)
	receive(t, finished)
	if err := receive(t, result); err != nil {
		t.Error(err)
	}
	if r := receive(t, reasons); r != socketio.ReasonServerShutdown {
		t.Errorf("reason is %q", r)
	}
	res, err := http.Get("http://" + st.host + "/socket.io/?EIO=4&transport=polling")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" {
		t.Errorf("handshake while draining: %s, Retry-After %q", res.Status, res.Header.Get("Retry-After"))
	}
	if !st.io.Draining() || released.Load() {
		t.Errorf("Draining %v, OnClose called %v", st.io.Draining(), released.Load())
	}
	if err := st.io.Shutdown(t.Context()); err != nil || !released.Load() {
		t.Errorf("Shutdown: %v, OnClose called %v", err, released.Load())
	}
}

// Who is left when the time is over stays connected.
func TestDrainDeadline(t *testing.T) {
	st := serve(t, nil)
	echoes(st.io)
	a, b := st.join(), st.join()
	deadline, cancelDeadline := context.WithTimeout(t.Context(), time.Hour)
	defer cancelDeadline()
	ctx, cancel := context.WithCancel(deadline)
	cancel()
	if err := st.io.Drain(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if n := st.io.Of("/").Len(); n > 2 || n < 1 {
		t.Errorf("%d sockets are left", n)
	}
	if err := st.io.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	a.expectClosed()
	b.expectClosed()
}
