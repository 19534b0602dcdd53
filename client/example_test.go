package client_test

import (
	"context"
	"fmt"
	"net/http/httptest"

	"github.com/sockeye-io/sockeye/client"
	"github.com/sockeye-io/sockeye/event"
	"github.com/sockeye-io/sockeye/socketio"
)

// The contract: in a program it is a package that the server and its clients import.
type (
	Line struct {
		From string `json:"from"`
		Text string `json:"text"`
	}
	Sum struct{ A, B int }
)

var (
	Said = event.New[Line]("said")
	Add  = event.NewCall[Sum, int]("add")
)

// chat is the server.
func chat() *socketio.Server {
	io := socketio.NewServer(nil)
	io.OnConnection(func(s *socketio.Socket) {
		Said.On(s, func(ctx context.Context, line Line) error { return Said.Emit(io, line) })
		Add.On(s, func(ctx context.Context, sum Sum) (int, error) {
			if sum.A < 0 || sum.B < 0 {
				return 0, event.Errorf("negative", "cannot add %d and %d", sum.A, sum.B)
			}
			return sum.A + sum.B, nil
		})
	})
	return io
}

// A client of a server that shares the declarations of its events.
func Example() {
	io := chat()
	defer io.Close()
	server := httptest.NewServer(io)
	defer server.Close()

	ctx := context.Background()
	s, err := client.Dial(ctx, server.URL, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Client().Close()

	heard := make(chan Line)
	Said.On(s, func(ctx context.Context, line Line) error {
		heard <- line
		return nil
	})
	if err := Said.Emit(s, Line{"gopher", "hello"}); err != nil {
		fmt.Println(err)
	}
	fmt.Println(<-heard)

	sum, err := Add.Call(ctx, s, Sum{1, 2})
	fmt.Println(sum, err)
	_, err = Add.Call(ctx, s, Sum{-1, 2})
	fmt.Println(err)
	// Output:
	// {gopher hello}
	// 3 <nil>
	// cannot add -1 and 2 (negative)
}
