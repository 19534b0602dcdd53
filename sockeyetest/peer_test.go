package sockeyetest_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sockeye-io/sockeye/client"
	"github.com/sockeye-io/sockeye/event"
	"github.com/sockeye-io/sockeye/socketio"
	"github.com/sockeye-io/sockeye/sockeyetest"
)

// watcher is the program that is tested: it subscribes to a topic whenever it is connected, and adds numbers up.
func watcher(t *testing.T, url string, opts *client.Options) (sum func() int) {
	t.Helper()
	c, err := client.New(url, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	s := c.Of("/")
	total := make(chan int, 1)
	total <- 0
	s.On("number", func(_ context.Context, m *event.Message) error {
		var n int
		if err := m.Bind(&n); err != nil {
			return err
		}
		total <- <-total + n
		return m.Ack("noted")
	})
	s.OnConnect(func() { _ = s.Emit("subscribe", "numbers") })
	s.Open()
	return func() int {
		n := <-total
		total <- n
		return n
	}
}

func TestPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := sockeyetest.Start(t, socketio.NewServer(nil))
		arrivals := srv.Arrivals("/")
		sum := watcher(t, srv.URL(), srv.Options())

		p := arrivals.Next(t)
		p.Expect(t, "subscribe", "numbers")
		p.ExpectAck(t, []any{"noted"}, "number", 2)
		p.MustEmit(t, "number", 3)
		p.CallError(t, "bad_request", "number", "three")
		p.ExpectNone(t)
		if n := sum(); n != 5 {
			t.Errorf("the sum is %d", n)
		}

		srv.Restart(t, socketio.NewServer(nil))
		p.ExpectDisconnect(t, "")
		p = arrivals.Next(t)
		p.Expect(t, "subscribe", "numbers")
		p.Socket.Disconnect(true)
		p.ExpectDisconnect(t, socketio.ReasonServerDisconnect)
	})
}

func TestPeerOutsideOfBubble(t *testing.T) {
	srv := sockeyetest.Start(t, socketio.NewServer(nil))
	arrivals := srv.Arrivals("/chat")
	c := srv.Connect(t, "/chat")
	p := arrivals.Next(t)
	if p.ID() != c.ID() {
		t.Errorf("%s is not %s", p.ID(), c.ID())
	}
	if err := said.Emit(c, line{"a", "b"}); err != nil {
		t.Fatal(err)
	}
	sockeyetest.Expect(t, p, said, line{"a", "b"})
	p.ExpectNone(t)

	// Of somebody else's client it can't be known what it will do.
	other := srv.Arrivals("/")
	watcher(t, srv.URL(), srv.Options())
	said := failing(t, func(t testing.TB) {
		p := other.Next(t)
		p.Expect(t, "subscribe", "numbers")
		p.ExpectNone(t)
	})
	if !strings.Contains(said, "run the test in a bubble") {
		t.Error(said)
	}
}

// One server may outlive a restart; its clients arrive once.
func TestArrivalsAfterRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		io := socketio.NewServer(nil)
		srv := sockeyetest.Start(t, io)
		arrivals := srv.Arrivals("/")
		c := srv.Connect(t, "/")
		arrivals.Next(t)
		srv.Restart(t, io)
		c.ExpectConnect(t)
		arrivals.Next(t)
		said := failing(t, func(t testing.TB) { arrivals.Next(t) })
		if said != "no client connected to / in 1h0m0s; 2 did before" {
			t.Error(said)
		}
	})
}

func TestPeerMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := sockeyetest.Start(t, socketio.NewServer(nil))
		arrivals := srv.Arrivals("/")
		c := srv.Connect(t, "/")
		p := arrivals.Next(t)
		p.MustEmit(t, "hello")
		time.Sleep(time.Second)
		c.MustEmit(t, "a", 1)
		expectText(t, failing(t, func(t testing.TB) { p.Expect(t, "a", 2) }), `
peer ID in /: the next event is another one
    expected    a(2)
    received    a(1)
    difference  argument 0: expected 2, received 1
    connection  connected over websocket
    history     +0s       connected as ID
                +0s       emitted hello()
                +1s       received a(1)`)
	})
}
