package socketio_test

import (
	"context"
	"math/rand/v2"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/socketio"
)

// Everything at once, for the race detector: clients come and go in all ways while everything that a server can do is
// done from many goroutines. In the end nothing may be left.
func TestChaos(t *testing.T) {
	for name, opts := range map[string]*socketio.Options{
		"plain":    {CleanupEmptyNamespaces: true},
		"recovery": {CleanupEmptyNamespaces: true, Recovery: &socketio.RecoveryOptions{MaxBytes: 20_000, MaxPackets: 50}},
	} {
		t.Run(name, func(t *testing.T) {
			hub := new(adapter.Hub)
			opts.Adapter = hub.Adapter
			sites := []*site{serve(t, opts), serve(t, opts)}
			for _, st := range sites {
				setUp := func(s *socketio.Socket) {
					s.Join("room")
					s.OnAnyOutgoing(func(*socketio.Message) {})
					s.On("ev", func(ctx context.Context, m *socketio.Message) error {
						if rand.IntN(3) == 0 {
							s.Leave("room")
						}
						s.To("room").Emit("ev")
						ctx, cancel := context.WithTimeout(ctx, time.Millisecond)
						defer cancel()
						s.EmitWithAck(ctx, "ask")
						return m.Ack("ok")
					})
				}
				st.io.OnConnection(setUp)
				dyn := st.io.OfRegexp(regexp.MustCompile("^/d"))
				dyn.OnConnection(setUp)
				dyn.Use(func(context.Context, *socketio.Socket) error {
					if rand.IntN(4) == 0 {
						return &socketio.ConnectError{Message: "no"}
					}
					return nil
				})
				st.io.Of("/").OnRoom(func(e socketio.RoomEvent) { st.io.To(e.Room).Emit("room", e.Kind) })
			}
			var wg sync.WaitGroup
			for i := range 16 {
				st := sites[i%2]
				wg.Go(func() {
					pid := ""
					for range 6 {
						p := st.connect()
						if pid != "" {
							p.send(`40{"pid":"` + pid + `"}`)
						} else {
							p.send("40")
						}
						if reply := p.next(); len(reply) > 60 && reply[:2] == "40" {
							pid = reply[39:59]
						}
						p.send("40/d1,")
						for range 5 {
							p.send(`421["ev"]`)
							p.send(`430[]`)
						}
						switch rand.IntN(4) {
						case 0:
							p.send("41")
							p.send("41/d1,")
						case 1:
							p.send("garbage")
						}
						p.close()
					}
				})
			}
			stop := make(chan struct{})
			var ops sync.WaitGroup
			for range 4 {
				ops.Go(func() {
					for {
						select {
						case <-stop:
							return
						default:
						}
						st := sites[rand.IntN(2)]
						ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
						switch rand.IntN(9) {
						case 0:
							st.io.Emit("a", make([]byte, 10))
						case 1:
							st.io.To("room").Except("other").Emit("b")
						case 2:
							st.io.In("room").Join("other")
						case 3:
							st.io.In("other").Leave("other")
						case 4:
							st.io.To("room").EmitWithAck(ctx, "ask")
						case 5:
							sockets, _ := st.io.Sockets(ctx)
							for _, s := range sockets {
								s.Rooms()
							}
						case 6:
							st.io.In("other").Disconnect(rand.IntN(2) == 0)
						case 7:
							st.io.Of("/d1").Volatile().Emit("c")
						case 8:
							st.io.ServerSideEmit("x")
						}
						cancel()
					}
				})
			}
			wg.Wait()
			for i, st := range sites {
				if i == 0 {
					st.io.Close() // in the middle of it
				}
			}
			close(stop)
			ops.Wait()
			ctx, cancel := context.WithTimeout(context.Background(), wait)
			defer cancel()
			if err := sites[1].io.Shutdown(ctx); err != nil {
				t.Error(err)
			}
			for _, st := range sites {
				if n := st.io.Of("/").Len(); n != 0 {
					t.Errorf("%d sockets are left", n)
				}
				if n := st.io.Engine().Sessions(); n != 0 {
					t.Errorf("%d sessions are left", n)
				}
				if rooms := st.io.Of("/").Rooms(); len(rooms) != 0 {
					t.Errorf("rooms %q are left", rooms)
				}
			}
		})
	}
}
