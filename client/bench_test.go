package client_test

import (
	"context"
	"net/http/httptest"
	"testing"

	"github.com/sockeye-io/sockeye/client"
	"github.com/sockeye-io/sockeye/socketio"
)

// BenchmarkCall is a call and its reply over WebSocket, the server's work included.
func BenchmarkCall(b *testing.B) {
	io := socketio.NewServer(nil)
	io.OnConnection(func(s *socketio.Socket) {
		double.On(s, func(ctx context.Context, n int) (int, error) { return 2 * n, nil })
	})
	ts := httptest.NewServer(io)
	defer ts.Close()
	defer io.Close()
	s, err := client.Dial(b.Context(), ts.URL, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Client().Close()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := double.Call(b.Context(), s, 1); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReceive is an event from the server to a handler, many on their way.
func BenchmarkReceive(b *testing.B) {
	io := socketio.NewServer(nil)
	ts := httptest.NewServer(io)
	defer ts.Close()
	defer io.Close()
	s, err := client.Dial(b.Context(), ts.URL, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Client().Close()
	received := make(chan struct{}, 64)
	number.On(s, func(ctx context.Context, n int) error { received <- struct{}{}; return nil })
	b.ReportAllocs()
	ahead := 0
	for b.Loop() {
		if ahead == 32 {
			<-received
			ahead--
		}
		if err := number.Emit(io, 1); err != nil {
			b.Fatal(err)
		}
		ahead++
	}
}
