package client_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"sync/atomic"
	"time"

	"github.com/sockeye-io/sockeye/client"
	"github.com/sockeye-io/sockeye/engineio"
	"github.com/sockeye-io/sockeye/event"
	"github.com/sockeye-io/sockeye/socketio"
)

var Paid = event.New[int]("paid")

// till is a server that handles an event once, however often it is sent.
func till(total *atomic.Int64) *socketio.Server {
	io := socketio.NewServer(nil)
	io.Use(socketio.DropRepeats(nil))
	io.OnConnection(func(s *socketio.Socket) {
		Paid.On(s, func(ctx context.Context, amount int) error {
			total.Add(int64(amount))
			return nil // acknowledges
		})
	})
	return io
}

// With Retries, every event is sent until it is acknowledged.
func ExampleOptions_retries() {
	var total atomic.Int64
	io := till(&total)
	server := httptest.NewServer(io)
	defer server.Close()
	defer io.Close()

	ctx := context.Background()
	s, err := client.Dial(ctx, server.URL, &client.Options{
		Retries:    10,
		AckTimeout: 5 * time.Second,
		Reconnect:  client.ReconnectOptions{Delay: 10 * time.Millisecond},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Client().Close()
	s.OnError(func(err error) { fmt.Println("not paid:", err) })
	for range 10 {
		if err := Paid.Emit(s, 5); err != nil {
			fmt.Println(err)
		}
		io.Engine().All(func(s *engineio.Session) bool { s.Abort(); return true }) // as a network does
	}
	if err := s.Flush(ctx); err != nil { // until all is acknowledged
		fmt.Println(err)
	}
	fmt.Println(total.Load())
	// Output: 50
}
