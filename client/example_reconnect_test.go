package client_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"time"

	"github.com/sockeye-io/sockeye/client"
	"github.com/sockeye-io/sockeye/engineio"
	"github.com/sockeye-io/sockeye/socketio"
)

// notes is a server that acknowledges what it has noted.
func notes() *socketio.Server {
	io := socketio.NewServer(nil)
	io.OnConnection(func(s *socketio.Socket) {
		s.On("note", func(ctx context.Context, m *socketio.Message) error { return m.Ack("noted") })
	})
	return io
}

// cut ends all connections, as a network does.
func cut(io *socketio.Server) {
	io.Engine().All(func(s *engineio.Session) bool {
		s.Abort()
		return true
	})
}

// A connection that is lost is made again. What is emitted meanwhile waits for it.
func ExampleClient_OnState() {
	io := notes()
	defer io.Close()
	server := httptest.NewServer(io)
	defer server.Close()

	c, err := client.New(server.URL, &client.Options{
		Reconnect: client.ReconnectOptions{Delay: 10 * time.Millisecond},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	states := make(chan client.State, 10)
	c.OnState(func(ch client.Change) { states <- ch.To })

	s := c.Of("/")
	if err := s.Connect(context.Background()); err != nil {
		fmt.Println(err)
		return
	}
	lost := make(chan struct{})
	s.OnDisconnect(func(reason client.Reason, err error) { close(lost) })
	cut(io)
	<-lost
	ack, err := s.EmitWithAck(context.Background(), "note", "while there is no connection")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(string(ack.Raw(0)))
	for range 4 {
		fmt.Println(<-states)
	}
	// Output:
	// "noted"
	// connecting
	// connected
	// reconnecting
	// connected
}
