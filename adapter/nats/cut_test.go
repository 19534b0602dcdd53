package nats_test

import (
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	gonats "github.com/nats-io/nats.go"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/adapter/nats"
)

// A wire carries connections to an address, until it is cut: then nothing arrives any more, and nobody is told.
type wire struct {
	ln net.Listener
	wg sync.WaitGroup

	mu    sync.Mutex
	cond  *sync.Cond
	cut   bool
	ended bool
	conns []net.Conn
}

func newWire(t *testing.T, to string) *wire {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{ln: ln}
	w.cond = sync.NewCond(&w.mu)
	w.wg.Go(func() {
		for {
			a, err := ln.Accept()
			if err != nil {
				return
			}
			b, err := net.Dial("tcp", to)
			if err != nil {
				a.Close()
				continue
			}
			w.mu.Lock()
			w.conns = append(w.conns, a, b)
			w.mu.Unlock()
			w.wg.Go(func() { w.carry(a, b) })
			w.wg.Go(func() { w.carry(b, a) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		w.mu.Lock()
		w.ended = true
		for _, c := range w.conns {
			c.Close()
		}
		w.cond.Broadcast()
		w.mu.Unlock()
		w.wg.Wait()
	})
	return w
}

func (w *wire) carry(from, to net.Conn) {
	defer to.Close()
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		w.mu.Lock()
		for w.cut && !w.ended {
			w.cond.Wait()
		}
		w.mu.Unlock()
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			if err != io.EOF {
				from.Close()
			}
			return
		}
	}
}

func (w *wire) set(cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = cut
	w.cond.Broadcast()
}

// A network that is cut, and nobody notices, makes no emitter wait.
func TestNobodyWaitsForTheNetwork(t *testing.T) {
	s := startNATS(t, -1)
	w := newWire(t, s.Addr().String())
	options := []gonats.Option{gonats.PingInterval(time.Hour)}
	a := memberOf(t, openWith(t, nats.Options{URL: w.ln.Addr().String(), NATS: options, MaxQueued: 1 << 20}), "/")
	ready(t, a)
	w.set(true)
	p := event(`["` + strings.Repeat("x", 10_000) + `"]`)
	eventually(t, "a full queue", func() bool { return errors.Is(a.Adapter.Broadcast(p, adapter.Target{}), nats.ErrQueueFull) })
	w.set(false)
}

// A network that is cut without a word is noticed, and is no problem any more when it is healed.
func TestNetworkIsCut(t *testing.T) {
	s := startNATS(t, -1)
	w := newWire(t, s.Addr().String())
	pings := []gonats.Option{gonats.PingInterval(500 * time.Millisecond), gonats.MaxPingsOutstanding(4), gonats.Timeout(2 * time.Second)}
	a := memberOf(t, openWith(t, nats.Options{URL: w.ln.Addr().String(), NATS: pings, MaxQueued: 1 << 20}), "/")
	b := memberOf(t, open(t, s.ClientURL()), "/")
	ready(t, a, b)
	a.RoomCreated("before")
	w.set(true)
	p := event(`["x"]`)
	eventually(t, "that it is known", func() bool {
		for range 1000 {
			_ = a.Adapter.Broadcast(p, adapter.Target{}) // taken, too much, or down
		}
		a.RoomCreated("meanwhile")
		return !a.broker.Stats().Connected
	})
	w.set(false)
	eventually(t, "the connection", func() bool { return a.broker.Ping(t.Context()) == nil && a.broker.Stats().Connected })
	ready(t, a, b)
	for _, room := range []string{"before", "meanwhile"} {
		text := `["to ` + room + `"]`
		eventually(t, text, func() bool {
			b.emit(t, text, room) // again and again: it may take the connection for lost once more
			return a.has(text)
		})
	}
	if a.broker.Stats().Lost == 0 {
		t.Error("nothing was lost")
	}
}
