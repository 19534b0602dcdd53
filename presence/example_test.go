package presence_test

import (
	"context"
	"fmt"
	"net/http/httptest"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/client"
	"github.com/sockeye-io/sockeye/presence"
	"github.com/sockeye-io/sockeye/socketio"
)

// Two servers; in production the adapter would be one to a broker.
func Example() {
	var hub adapter.Hub
	start := func() (*socketio.Server, *presence.Presence) {
		io := socketio.NewServer(&socketio.Options{Adapter: hub.Adapter})
		here := presence.New(io.Of("/"), &presence.Options{
			// What the others shall know of a socket.
			Describe: func(s *socketio.Socket) any { return s.Data() },
		})
		io.OnConnection(func(s *socketio.Socket) {
			var auth struct{ Name string }
			if s.Auth(&auth) == nil {
				s.SetData(auth.Name)
			}
			s.Join("online")
		})
		return io, here
	}
	io1, _ := start()
	io2, online := start()

	changes := make(chan string, 10)
	online.OnChange(func(e presence.Event) {
		var name string
		_ = e.Member.Data(&name)
		changes <- name + " " + e.Kind.String() + " " + e.Room
	})

	server1, server2 := httptest.NewServer(io1), httptest.NewServer(io2)
	defer server1.Close()
	defer server2.Close()
	ada, err := visit(server1.URL, "Ada")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ada.Client().Close()
	fmt.Println(<-changes)
	bob, err := visit(server2.URL, "Bob")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer bob.Client().Close()
	fmt.Println(<-changes)
	fmt.Println(online.Count("online"), "are online")

	ada.Disconnect()
	fmt.Println(<-changes)
	_ = io1.Close()
	_ = io2.Close() // closes the presence, too
	// Output:
	// Ada joined online
	// Bob joined online
	// 2 are online
	// Ada left online
}

// visit connects a client.
func visit(url, name string) (*client.Socket, error) {
	return client.Dial(context.Background(), url, &client.Options{
		Auth: func(context.Context) (any, error) { return map[string]string{"name": name}, nil },
	})
}
