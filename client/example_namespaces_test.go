package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"

	"github.com/sockeye-io/sockeye/client"
	"github.com/sockeye-io/sockeye/socketio"
)

type credentials struct {
	Token string `json:"token"`
}

// news is a server whose namespace /admin wants a token.
func news() *socketio.Server {
	io := socketio.NewServer(nil)
	io.Of("/news").OnConnection(func(s *socketio.Socket) {
		s.On("latest", func(ctx context.Context, m *socketio.Message) error { return m.Ack("nothing new") })
	})
	io.Of("/admin").Use(func(ctx context.Context, s *socketio.Socket) error {
		var c credentials
		if err := s.Auth(&c); err != nil {
			return err
		}
		if c.Token != "secret" {
			return &socketio.ConnectError{Message: "who are you?"}
		}
		return nil
	})
	return io
}

// Several namespaces share one connection. Each connects for itself, and each is asked for its credentials whenever it
// does.
func ExampleClient_Of() {
	io := news()
	defer io.Close()
	server := httptest.NewServer(io)
	defer server.Close()

	c, err := client.New(server.URL, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	ctx := context.Background()

	latest := c.Of("/news")
	if err := latest.Connect(ctx); err != nil {
		fmt.Println(err)
		return
	}
	ack, err := latest.EmitWithAck(ctx, "latest")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(string(ack.Raw(0)))

	admin := c.Of("/admin")
	var refused *client.ConnectError
	if err := admin.Connect(ctx); errors.As(err, &refused) {
		fmt.Println(refused.Message)
	}
	admin.SetAuth(func(context.Context) (any, error) { return credentials{"secret"}, nil })
	fmt.Println(admin.Connect(ctx))
	// Output:
	// "nothing new"
	// who are you?
	// <nil>
}
