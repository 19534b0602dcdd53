package presence

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

func TestCluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := new(network)
		a, b := net.start(&Options{Name: "a"}), net.start(nil)
		defer stop(a, b)
		events := b.ledger()
		a.join("room", "x")
		expectEqual(t, "here at once", a.p.Count("room"), 1)
		synctest.Wait()
		expectEqual(t, "there at once", b.p.Count("room"), 0)
		time.Sleep(60 * time.Millisecond)
		synctest.Wait()
		expectEqual(t, "there", b.sees(), "room: x")
		m, ok := b.p.Member("room", "x")
		expectEqual(t, "node", m.Node, "a")
		expectEqual(t, "is member", ok, true)
		b.join("room", "y")
		a.leave("room", "x")
		a.join("other", "x")
		a.join("short", "z") // and gone before anybody hears of it
		a.leave("short", "z")
		time.Sleep(60 * time.Millisecond)
		synctest.Wait()
		for _, n := range []*node{a, b} {
			expectEqual(t, "view", n.sees(), "other: x\nroom: y")
		}
		expectEqual(t, "events", events.take(), []string{"joined room x", "joined room y", "left room x", "joined other x"})
		expectEqual(t, "servers", len(a.p.Servers()), 2)

		// One that starts later gets it all, one that says goodbye is gone at once.
		c := net.start(nil)
		time.Sleep(1500 * time.Millisecond)
		synctest.Wait()
		expectEqual(t, "newcomer", c.sees(), "other: x\nroom: y")
		for _, s := range c.p.Servers() {
			expectEqual(t, "synced", s.Synced, true)
		}
		a.io.Close() // has presence close, while the adapter still works
		synctest.Wait()
		expectEqual(t, "after the goodbye", c.sees(), "room: y")
		expectEqual(t, "servers", len(c.p.Servers()), 2)
		expectEqual(t, "closed", a.p.Count("room"), 0)
		stop(c)
		expectEqual(t, "events", events.take(), []string{"left other x"})
		if err := events.check(b); err != nil {
			t.Error(err)
		}
	})
}

// A server that nobody hears of is gone after the timeout, and back when it is heard of.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := new(network)
		a, b := net.start(nil), net.start(nil)
		defer stop(a, b)
		events := b.ledger()
		a.join("room", "x")
		time.Sleep(time.Minute)
		expectEqual(t, "after an idle minute", b.sees(), "room: x")
		a.set(true, false)
		cut := time.Now()
		gone := make(chan time.Duration, 1)
		sub := b.p.OnChange(func(e Event) { gone <- time.Since(cut) })
		if d := <-gone; d < 10*time.Second || d > 15*time.Second {
			t.Errorf("gone after %v", d)
		}
		sub.Close()
		a.join("room", "z")
		time.Sleep(time.Minute)
		expectEqual(t, "cut off", b.sees(), "")
		a.set(false, false)
		time.Sleep(7 * time.Second) // a heartbeat, and asking
		synctest.Wait()
		expectEqual(t, "healed", b.sees(), "room: x z")
		if err := events.check(b); err != nil {
			t.Error(err)
		}
	})
}

// A server that crashed and starts again under the same name replaces what it was.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := new(network)
		a, b := net.start(&Options{Name: "a"}), net.start(&Options{Name: "b"})
		a.join("room", "x")
		time.Sleep(time.Second)
		a.set(true, false)
		again := net.start(&Options{Name: "a"})
		again.join("room", "y")
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		expectEqual(t, "view", b.sees(), "room: y")
		// Two servers of one name at a time are no harm.
		a.set(false, false)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		expectEqual(t, "view with both", b.sees(), "room: x y")
		stop(a, b, again)
	})
}

// A broker that takes nothing for a while.
func TestBroken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := new(network)
		var log strings.Builder
		a, b := net.start(&Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}), net.start(nil)
		defer stop(a, b)
		time.Sleep(time.Second)
		a.set(false, true)
		a.join("room", "x")
		time.Sleep(12 * time.Second)
		synctest.Wait()
		if strings.Count(log.String(), "\n") != 1 {
			t.Errorf("not one warning but %q", log.String())
		}
		expectEqual(t, "locally", a.sees(), "room: x")
		expectEqual(t, "there", b.sees(), "")
		a.set(false, false)
		time.Sleep(7 * time.Second)
		synctest.Wait()
		expectEqual(t, "there later", b.sees(), "room: x")
	})
}

// A process that was stopped has heard nobody, and removes nobody for that.
func TestStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := new(network)
		a, b := net.start(nil), net.start(nil)
		defer stop(a, b)
		a.join("room", "x")
		time.Sleep(time.Second)
		events := b.ledger()
		b.p.forgive(time.Hour)
		b.p.mu.Lock()
		b.p.reap(time.Now().Add(time.Hour))
		b.p.mu.Unlock()
		synctest.Wait()
		expectEqual(t, "events", events.take(), []string{})
	})
}

// The order of one server's changes is kept, also within one message and across several.
func TestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := new(network)
		a, b := net.start(&Options{MaxMessageBytes: 400}), net.start(nil)
		defer stop(a, b)
		events := b.ledger()
		var want []string
		for i := range 100 {
			id, room := fmt.Sprint("id", i), fmt.Sprint("room", i%3)
			a.join(room, id)
			want = append(want, "joined "+room+" "+id)
		}
		time.Sleep(time.Second)
		for i := range 50 {
			id, room := fmt.Sprint("id", i), fmt.Sprint("room", i%3)
			a.leave(room, id)
			a.join("next", id)
			want = append(want, "left "+room+" "+id, "joined next "+id)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		expectEqual(t, "events", events.take(), want)
		expectEqual(t, "view", b.sees(), a.sees())
		if net.sent().largest > 450 {
			t.Errorf("a message of %d bytes", net.sent().largest)
		}
	})
}

// Leaving and coming back in one breath is nothing, unless there is something new to tell.
func TestCoalesce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := new(network)
		a, b := net.start(nil), net.start(nil)
		defer stop(a, b)
		a.join("room", "x")
		a.join("second", "x")
		time.Sleep(time.Second)
		events := b.ledger()
		before := net.sent().messages
		for range 10 {
			a.leave("room", "x")
			a.join("room", "x")
		}
		time.Sleep(time.Second)
		expectEqual(t, "messages", net.sent().messages-before, 0)
		a.leave("second", "x")
		a.leave("room", "x")
		a.p.mu.Lock()
		a.p.join("room", "x", jsontext.Value(`{"name":"new"}`))
		a.p.mu.Unlock()
		time.Sleep(time.Second)
		synctest.Wait()
		expectEqual(t, "events", events.take(), []string{"left second x", "left room x", "joined room x"})
		m, _ := b.p.Member("room", "x")
		expectEqual(t, "data", string(m.data), `{"name":"new"}`)
	})
}

// Ten thousand members come in at once, to those who are there and to one who comes later.
func TestMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := new(network)
		opts := &Options{MaxMessageBytes: 16 << 10}
		a, b := net.start(opts), net.start(opts)
		for i := range 10_000 {
			a.join(fmt.Sprint("room", i%100), fmt.Sprintf("%020d", i))
			a.join("all", fmt.Sprintf("%020d", i))
		}
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		expectEqual(t, "count", b.p.Count("all"), 10_000)
		c := net.start(opts)
		events := c.ledger()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		expectEqual(t, "count", c.p.Count("all"), 10_000)
		expectEqual(t, "rooms", len(c.p.Rooms()), 101)
		if net.sent().largest > 17<<10 {
			t.Errorf("a message of %d bytes", net.sent().largest)
		}
		if a.sees() != b.sees() || a.sees() != c.sees() {
			t.Error("the views differ")
		}
		a.set(true, false)
		time.Sleep(20 * time.Second)
		synctest.Wait()
		expectEqual(t, "left", len(c.p.Rooms()), 0)
		if err := events.check(c); err != nil {
			t.Error(err)
		}
		stop(a, b, c)
	})
}

// Many that start at once don't each answer each.
func TestColdStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := new(network)
		var nodes []*node
		for i := range 20 {
			n := net.start(nil)
			n.join("room", fmt.Sprint("id", i))
			nodes = append(nodes, n)
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		for _, n := range nodes {
			expectEqual(t, "count", n.p.Count("room"), 20)
		}
		if net.sent().messages > 20*4 {
			t.Errorf("%d messages", net.sent().messages)
		}
		stop(nodes...)
	})
}

func TestRooms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := new(network)
		a := net.start(nil)
		b := net.start(&Options{Rooms: func(room string) bool { return room != "secret" }})
		defer stop(a, b)
		a.join("secret", "x")
		a.join("open", "x")
		time.Sleep(time.Second)
		synctest.Wait()
		expectEqual(t, "b", b.p.Rooms(), []string{"open"})
		for _, room := range []string{"secret", "a\xff", string(make([]byte, 2000))} {
			expectEqual(t, "watched", b.p.watched(room), false)
		}
	})
}

func TestListeners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := new(network)
		a := net.start(nil)
		var got []string
		a.p.OnChange(func(e Event) { panic("one") })
		a.p.OnChange(func(e Event) {
			got = append(got, e.Member.ID)
			expectEqual(t, "count", a.p.Count("room"), 3)
			if len(got) == 2 {
				a.p.Close()
			}
		})
		a.p.mu.Lock()
		for _, id := range []string{"x", "y", "z"} {
			a.p.join("room", id, nil)
		}
		a.p.mu.Unlock()
		synctest.Wait()
		expectEqual(t, "events", got, []string{"x", "y"})
		a.join("room", "late")
		expectEqual(t, "count", a.p.Count("room"), 0)
		stop(a)
	})
}

func TestOptions(t *testing.T) {
	a := new(network).start(nil)
	defer stop(a)
	for _, o := range []Options{
		{Coalesce: -1}, {Heartbeat: -1}, {MaxDataBytes: -1}, {MaxMessageBytes: -1}, {Timeout: -1},
		{Heartbeat: time.Second, Timeout: time.Second}, {Name: string(make([]byte, 300))},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%+v was accepted", o)
				}
			}()
			New(a.io.Of("/"), &o)
		}()
	}
	kinds := []string{Joined.String(), Left.String(), EventKind(9).String()}
	if !slices.Equal(kinds, []string{"joined", "left", "EventKind(9)"}) {
		t.Error(kinds)
	}
}

// A client that comes back on another server, before or after the first one has noticed that it was gone.
func TestElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, noticed := range []bool{true, false} {
			net := new(network)
			a, b, c := net.start(&Options{Name: "a"}), net.start(&Options{Name: "b"}), net.start(nil)
			a.join("tea", "x")
			a.join("cake", "x")
			time.Sleep(2 * time.Second)
			events := c.ledger()
			keep := func() {
				a.p.mu.Lock()
				a.p.keep("x")
				a.p.mu.Unlock()
			}
			if noticed {
				keep()
			}
			b.join("tea", "x")
			b.join("cake", "x")
			time.Sleep(time.Second)
			synctest.Wait()
			expectEqual(t, "still at the first", a.places(), map[bool]int{true: 0, false: 2}[noticed])
			if !noticed {
				keep()
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			expectEqual(t, "events", events.take(), []string{})
			for _, n := range []*node{a, b, c} {
				m, _ := n.p.Member("tea", "x")
				expectEqual(t, "node", m.Node, "b")
				expectEqual(t, "view", n.sees(), "cake: x\ntea: x")
			}
			b.leave("tea", "x")
			time.Sleep(time.Second)
			synctest.Wait()
			expectEqual(t, "events", events.take(), []string{"left tea x"})
			stop(a, b, c)
		}
	})
}

// Messages that come twice are not taken for lost ones, and what comes after the goodbye doesn't revive a server.
func TestLateMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := new(network)
		a := net.start(nil)
		defer stop(a)
		time.Sleep(time.Second)
		before := net.sent().messages
		hear := func(m message) {
			m.Version, m.From = version, "other"
			a.p.mu.Lock()
			a.p.hear(&m)
			a.p.mu.Unlock()
		}
		delta := message{Kind: kindDelta, Seq: 1, Ops: []op{{Room: "room", Joined: []string{"x"}}}}
		hear(delta)
		hear(message{Kind: kindDelta, Seq: 2, Ops: []op{{Room: "room", Left: []string{"x"}}}})
		hear(delta)
		hear(message{Kind: kindBeat, Seq: 1})
		time.Sleep(3 * time.Second)
		expectEqual(t, "messages", net.sent().messages-before, 0)
		expectEqual(t, "view", a.sees(), "")
		hear(message{Kind: kindBye, Seq: 2})
		hear(message{Kind: kindBeat, Seq: 2})
		expectEqual(t, "servers", len(a.p.Servers()), 1)
		time.Sleep(2 * time.Minute)
		a.p.mu.Lock()
		expectEqual(t, "remembered", len(a.p.gone), 0)
		a.p.mu.Unlock()
	})
}

// What a socket is described as goes out once, with the first room.
func TestDataOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := new(network)
		a := net.start(nil)
		defer stop(a)
		send := func(room string) int {
			before := net.sent().bytes
			a.join(room, "a-socket-of-twenty-c")
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
			return net.sent().bytes - before
		}
		first, second := send("room1"), send("room2")
		t.Logf("%d bytes, then %d", first, second)
		if first-second < 50 {
			t.Errorf("%d bytes, then %d", first, second)
		}
	})
}
