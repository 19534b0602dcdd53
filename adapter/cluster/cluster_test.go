package cluster_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/adapter/adaptertest"
	"github.com/sockeye-io/sockeye/adapter/cluster"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A broker joins buses of one process. Messages travel encoded, each bus has them in the order of the broker.
type broker struct {
	counts bool
	mu     sync.Mutex
	buses  []*bus
}

type bus struct {
	broker *broker
	name   string // of the namespace
	uid    string
	a      *cluster.Adapter

	mu      sync.Mutex
	queue   []*cluster.Message
	running bool
	closed  bool
	deaf    bool // does not look at what it gets
	idle    *sync.Cond
}

func (b *broker) factory(opts *cluster.Options) adapter.Factory {
	return func(host adapter.Host) adapter.Adapter {
		x := &bus{broker: b, name: host.Namespace(), uid: cluster.NewUID()}
		x.idle = sync.NewCond(&x.mu)
		b.mu.Lock()
		b.buses = append(b.buses, x)
		b.mu.Unlock()
		x.mu.Lock() // nothing is received until there is an adapter
		x.running = true
		x.mu.Unlock()
		x.a = cluster.New(host, x.uid, x, opts)
		go x.receive()
		return x.a
	}
}

// travel encodes and decodes a message, by turns in either form.
func travel(m *cluster.Message) (*cluster.Message, error) {
	if m.Binary() || m.Type%2 == 0 {
		data, err := m.AppendMsgpack(nil)
		if err != nil {
			return nil, err
		}
		return cluster.DecodeMsgpack(data)
	}
	return cluster.DecodeJSON(m.AppendJSON(nil))
}

func (x *bus) Publish(m *cluster.Message) error {
	x.broker.mu.Lock()
	defer x.broker.mu.Unlock()
	if !slices.Contains(x.broker.buses, x) {
		return nil // dead
	}
	for _, other := range x.broker.buses {
		if other.name == x.name {
			if err := other.take(m); err != nil {
				return err
			}
		}
	}
	return nil
}

func (x *bus) Respond(uid string, m *cluster.Message) error {
	x.broker.mu.Lock()
	defer x.broker.mu.Unlock()
	for _, other := range x.broker.buses {
		if other.uid == uid {
			return other.take(m)
		}
	}
	return nil
}

func (x *bus) take(m *cluster.Message) error {
	m, err := travel(m)
	if err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.deaf {
		return nil
	}
	x.queue = append(x.queue, m)
	if !x.running {
		x.running = true
		go x.receive()
	}
	return nil
}

func (x *bus) receive() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for len(x.queue) > 0 && !x.closed {
		m := x.queue[0]
		x.queue = x.queue[1:]
		x.mu.Unlock()
		x.a.Receive(m)
		x.mu.Lock()
	}
	x.running = false
	x.idle.Broadcast()
}

func (x *bus) Servers(context.Context) (int, error) {
	if !x.broker.counts {
		return -1, nil
	}
	x.broker.mu.Lock()
	defer x.broker.mu.Unlock()
	n := 0
	for _, other := range x.broker.buses {
		if other.name == x.name {
			n++
		}
	}
	return n, nil
}

// cut takes the bus off the broker, as if its server had died.
func (x *bus) cut() {
	x.broker.mu.Lock()
	x.broker.buses = slices.DeleteFunc(x.broker.buses, func(other *bus) bool { return other == x })
	x.broker.mu.Unlock()
}

func (x *bus) turnDeaf() {
	x.mu.Lock()
	x.deaf = true
	x.mu.Unlock()
}

func (x *bus) Close() error {
	x.cut()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.closed = true
	for x.running {
		x.idle.Wait()
	}
	return nil
}

func TestConformance(t *testing.T) {
	for _, counts := range []bool{true, false} {
		name := "Heartbeats"
		if counts {
			name = "Counting"
		}
		t.Run(name, func(t *testing.T) {
			adaptertest.Run(t, func(t *testing.T, n int) []adapter.Factory {
				b := &broker{counts: counts}
				factories := make([]adapter.Factory, n)
				for i := range factories {
					factories[i] = b.factory(&cluster.Options{Settle: 50 * time.Millisecond, Recount: 20 * time.Millisecond})
				}
				return factories
			})
		})
	}
}

// A server has one client.
type server struct{ adapter.Host }

func (server) Namespace() string { return "/" }

func (server) Sockets(adapter.Target) []adapter.Socket {
	return []adapter.Socket{{ID: "s", Rooms: []string{"s"}}}
}

func start(b *broker, n int) []*bus {
	for range n {
		b.factory(nil)(server{})
	}
	return slices.Clone(b.buses)
}

func closeAll(buses []*bus) {
	for _, x := range buses {
		_ = x.a.Close()
	}
}

func TestDeadServerIsNotWaitedFor(t *testing.T) {
	t.Run("Heartbeats", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			buses := start(new(broker), 3)
			defer closeAll(buses)
			ctx := t.Context()
			if n, err := buses[0].a.Servers(ctx); n != 3 || err != nil {
				t.Fatalf("%d servers, %v", n, err)
			}
			buses[2].cut()
			time.Sleep(9 * time.Second)
			if n, _ := buses[0].a.Servers(ctx); n != 3 {
				t.Errorf("%d servers before the time is up", n)
			}
			// Who asks now is told as soon as it is known, not after the timeout of the request.
			began := time.Now()
			ctx, cancel := context.WithTimeout(ctx, time.Minute)
			defer cancel()
			sockets, err := buses[0].a.Sockets(ctx, adapter.Target{Timeout: time.Minute})
			var missing *adapter.MissingError
			if !errors.As(err, &missing) || len(sockets) != 1 || missing.Expected != 2 || missing.Received != 1 ||
				len(missing.Missing) != 1 || missing.Missing[0] != buses[2].uid {
				t.Errorf("%d sockets, error %+v", len(sockets), missing)
			}
			if d := time.Since(began); d > 3*time.Second {
				t.Errorf("waited %v", d)
			}
			if n, _ := buses[0].a.Servers(t.Context()); n != 2 {
				t.Errorf("%d servers", n)
			}
			if sockets, err := buses[0].a.Sockets(t.Context(), adapter.Target{}); len(sockets) != 1 || err != nil {
				t.Errorf("%d sockets, %v", len(sockets), err)
			}
		})
	})
	t.Run("Counting", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := &broker{counts: true}
			buses := start(b, 3)
			defer closeAll(buses)
			time.AfterFunc(time.Second, buses[2].cut)
			buses[2].turnDeaf()
			began := time.Now()
			sockets, err := buses[0].a.Sockets(t.Context(), adapter.Target{Timeout: time.Minute})
			var missing *adapter.MissingError
			if !errors.As(err, &missing) || len(sockets) != 1 || missing.Expected != 2 || missing.Received != 1 {
				t.Errorf("%d sockets, error %v", len(sockets), err)
			}
			if d := time.Since(began); d > 2*time.Second {
				t.Errorf("waited %v", d)
			}
		})
	})
}

func TestGoodbye(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		buses := start(new(broker), 3)
		defer closeAll(buses)
		if n, _ := buses[0].a.Servers(t.Context()); n != 3 {
			t.Fatalf("%d servers", n)
		}
		if err := buses[2].a.Close(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n, _ := buses[0].a.Servers(t.Context()); n != 2 {
			t.Errorf("%d servers after one has left", n)
		}
		if err := buses[2].a.Close(); err != adapter.ErrClosed {
			t.Errorf("second Close: %v", err)
		}
		if _, err := buses[2].a.Sockets(t.Context(), adapter.Target{}); err != adapter.ErrClosed {
			t.Errorf("Sockets after Close: %v", err)
		}
		time.Sleep(time.Minute)
		if n, _ := buses[0].a.Servers(t.Context()); n != 2 {
			t.Errorf("%d servers after a minute of silence", n)
		}
	})
}

func TestCloseEndsWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := new(broker)
		buses := start(b, 2)
		defer closeAll(buses)
		_, _ = buses[0].a.Servers(t.Context()) // they know of each other
		buses[1].turnDeaf()
		time.AfterFunc(time.Second, func() { _ = buses[0].a.Close() })
		if _, err := buses[0].a.Sockets(t.Context(), adapter.Target{Timeout: time.Minute}); err != adapter.ErrClosed {
			t.Errorf("error is %v", err)
		}
	})
}
