package sockeyetest_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sockeye-io/sockeye/socketio"
	"github.com/sockeye-io/sockeye/sockeyetest"
)

// Whatever is done to the network, afterwards everybody finds back, and nothing is left when the test ends.
func TestEverythingHeals(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { heal(t, rand.New(rand.NewPCG(seed, 0))) })
		})
	}
}

func heal(t *testing.T, random *rand.Rand) {
	newServer := func() *socketio.Server {
		var opts socketio.Options
		if random.IntN(2) == 0 {
			opts.Recovery = &socketio.RecoveryOptions{}
		}
		return room(&opts)
	}
	io := newServer()
	srv := sockeyetest.Start(t, io)
	var clients []*sockeyetest.Client
	for _, transport := range []string{"websocket", "polling", "streaming"} {
		clients = append(clients, srv.Connect(t, "/", sockeyetest.Transports(transport), sockeyetest.Named(transport)))
	}
	clients = append(clients, srv.Connect(t, "/", sockeyetest.Transports("polling", "websocket"), sockeyetest.Named("upgrading")))
	for range 30 {
		c := clients[random.IntN(len(clients))]
		faults := []func(){
			c.Cut, c.Freeze, c.Thaw, c.Offline, c.Online,
			srv.Cut, srv.Freeze, srv.Thaw, srv.Down, srv.Up,
			func() { io = newServer(); srv.Restart(t, io) },
			func() { srv.Restart(t, io) },
			func() { c.MustEmit(t, "say", "A", "x") },
			func() { _ = io.Emit("news") },
			func() { _ = io.Emit("photo", make([]byte, 100_000)) },
			func() { c.Client().RetryNow() },
		}
		faults[random.IntN(len(faults))]()
		switch random.IntN(3) {
		case 0:
			synctest.Wait()
		case 1:
			time.Sleep(time.Duration(random.Int64N(int64(2 * time.Second))))
		case 2:
			time.Sleep(time.Duration(random.Int64N(int64(time.Minute))))
		}
	}
	srv.Up()
	srv.Thaw()
	time.Sleep(2 * time.Minute) // longer than heartbeats and delays
	synctest.Wait()
	for _, c := range clients {
		if !c.Connected() {
			t.Fatalf("%s is not connected: %v", c.Client().Transport(), c.Client().State())
		}
		c.Received(t)
	}
	if err := io.Emit("all is well"); err != nil {
		t.Fatal(err)
	}
	for _, c := range clients {
		c.Expect(t, "all is well")
	}
	clients[0].MustEmit(t, "say", "A", "Hello")
	for _, c := range clients[1:] {
		c.Expect(t, "said", line{"A", "Hello"})
		c.ExpectNone(t)
	}
}
