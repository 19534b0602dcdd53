package nats_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/nats-io/nats-server/v2/server"
	gonats "github.com/nats-io/nats.go"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/adapter/nats"
)

// A host records what it is told to broadcast.
type host struct {
	adapter.Host
	name string

	mu  sync.Mutex
	got []string
}

func (h *host) Namespace() string { return h.name }

func (h *host) Broadcast(p *adapter.Packet, t adapter.Target) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.got = append(h.got, string(p.Data))
}

func (h *host) Join(_ adapter.Target, rooms []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.got = append(h.got, rooms...)
}

func (h *host) Sockets(adapter.Target) []adapter.Socket { return nil }

func (h *host) received() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.got)
}

func (h *host) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.got)
}

func (h *host) has(text string) bool { return slices.Contains(h.received(), text) }

// A member is a host and its adapter.
type member struct {
	*host
	adapter.Adapter
	adapter.RoomWatcher
	broker *nats.Broker
}

func memberOf(t testing.TB, b *nats.Broker, namespace string) *member {
	t.Helper()
	h := &host{name: namespace}
	a := b.Adapter()(h)
	t.Cleanup(func() { _ = a.Close() })
	return &member{host: h, Adapter: a, RoomWatcher: a.(adapter.RoomWatcher), broker: b}
}

func event(text string) *adapter.Packet { return &adapter.Packet{Data: jsontext.Value(text)} }

func (m *member) emit(t testing.TB, text string, rooms ...string) {
	t.Helper()
	if err := m.Adapter.Broadcast(event(text), adapter.Target{Rooms: rooms}); err != nil {
		t.Fatal(err)
	}
}

// ready waits until members know of each other.
func ready(t testing.TB, members ...*member) {
	t.Helper()
	for _, m := range members {
		eventually(t, "the number of servers", func() bool {
			n, err := m.Servers(context.Background())
			return err == nil && n == len(members)
		})
	}
}

// delivered returns how many messages with a body the NATS server has delivered for each connection, by its name.
func delivered(t testing.TB, s *server.Server) map[string]int64 {
	t.Helper()
	z, err := s.Connz(&server.ConnzOptions{})
	if err != nil {
		t.Fatal(err)
	}
	n := map[string]int64{}
	for _, c := range z.Conns {
		n[c.Name] = c.OutMsgs
	}
	return n
}

// A broadcast to a room is delivered to servers that have somebody in it, and to no other.
func TestInterest(t *testing.T) {
	s := startNATS(t, -1)
	var members []*member
	for i := range 3 {
		o := nats.Options{URL: s.ClientURL(), NATS: []gonats.Option{gonats.Name(fmt.Sprint("m", i))}}
		o.Cluster.HeartbeatInterval = time.Hour // which would be delivered, too
		members = append(members, memberOf(t, openExactly(t, o), "/chat"))
	}
	ready(t, members...)
	from, has, lacks := members[0], members[1], members[2]
	names := []string{"plain", "with.dot", "*", ">", "", "ü \r\n", strings.Repeat("long ", 100)}
	for _, room := range names {
		has.RoomCreated(room)
	}
	sync := func() {
		t.Helper()
		for _, m := range members {
			if _, err := m.Adapter.Sockets(t.Context(), adapter.Target{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	sync() // interest is ahead of answers
	before := delivered(t, s)
	const each = 10
	for _, room := range names {
		for i := range each {
			from.emit(t, fmt.Sprintf(`["%d %x"]`, i, room), room)
		}
	}
	eventually(t, "delivery", func() bool { return len(has.received()) == each*len(names) })
	after := delivered(t, s)
	if got := after["m1"] - before["m1"]; got != each*int64(len(names)) {
		t.Errorf("%d deliveries to who has somebody in the rooms, want %d", got, each*len(names))
	}
	if got := after["m2"] - before["m2"]; got != 0 {
		t.Errorf("%d deliveries to who has nobody there", got)
	}
	if got := after["m0"] - before["m0"]; got != 0 {
		t.Errorf("%d deliveries to the sender", got)
	}
	// A room that was left is of no interest any more. What concerns all goes to all.
	has.RoomDeleted("plain")
	sync()
	from.emit(t, `["gone"]`, "plain")
	from.emit(t, `["two"]`, "plain", "other")
	from.emit(t, `["id"]`, "abcdefghij0123456789")
	from.emit(t, `["all"]`)
	for _, m := range []*member{has, lacks} {
		eventually(t, "the last", func() bool { return m.has(`["all"]`) })
		if got := m.received(); m.has(`["gone"]`) || !m.has(`["two"]`) || !m.has(`["id"]`) {
			t.Errorf("received %q", got)
		}
	}
}

func openExactly(t testing.TB, o nats.Options) *nats.Broker {
	t.Helper()
	b, err := nats.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// Whatever several goroutines publish on several servers, over whichever rooms and namespaces, arrives in the order of
// each goroutine, and all of it; rooms that come and go meanwhile change nothing about those that stay.
func TestOrderUnderLoad(t *testing.T) {
	s := startNATS(t, -1)
	testOrder(t, []string{s.ClientURL(), s.ClientURL(), s.ClientURL()})
}

func testOrder(t *testing.T, urls []string) {
	namespaces := []string{"/", "/chat", "/a.b c"}
	rooms := []string{"r0", "r1", "r2", "r.3", "r 4"}
	var brokers []*nats.Broker
	for _, url := range urls {
		brokers = append(brokers, open(t, url))
	}
	members := map[string][]*member{}
	for _, ns := range namespaces {
		for _, b := range brokers {
			m := memberOf(t, b, ns)
			for _, room := range rooms {
				m.RoomCreated(room)
			}
			members[ns] = append(members[ns], m)
		}
	}
	for _, ns := range namespaces {
		ready(t, members[ns]...)
		for _, m := range members[ns] {
			if _, err := m.Adapter.Sockets(t.Context(), adapter.Target{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	const each = 500 // with more, a slow machine can take longer than NATS may for a confirmation
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for _, ns := range namespaces {
		for i, m := range members[ns] {
			wg.Go(func() {
				large := strings.Repeat("x", 70<<10) // more than NATS takes
				for n := range each {
					pad := ""
					if n%100 == 0 {
						pad = large
					}
					p := event(fmt.Sprintf(`["%d",%d,"%s"]`, i, n, pad))
					var target adapter.Target
					switch n % 3 {
					case 0:
						target.Rooms = []string{rooms[n%len(rooms)]}
					case 1:
						target.Rooms = rooms[:2]
					}
					for m.Adapter.Broadcast(p, target) != nil { // the queue is full
						time.Sleep(time.Millisecond)
					}
				}
			})
			go func() {
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					default:
						m.RoomCreated(fmt.Sprint("passing", n%10))
						m.RoomDeleted(fmt.Sprint("passing", n%10))
						time.Sleep(time.Millisecond)
					}
				}
			}()
		}
	}
	wg.Wait()
	close(stop)
	for _, ns := range namespaces {
		for i, m := range members[ns] {
			want := each * (len(urls) - 1)
			eventually(t, "all", func() bool {
				if st := m.broker.Stats(); st.Lost+st.Dropped > 0 {
					t.Fatalf("%s: server %d has received %d of %d, %+v", ns, i, len(m.received()), want, st)
				}
				return m.count() >= want
			})
			next := map[string]int{}
			for _, text := range m.received() {
				var from string
				var n int
				if _, err := fmt.Sscanf(text, `["%1s",%d,`, &from, &n); err != nil {
					// Sscanf takes the quote for a part of the text with more than one character.
					t.Fatalf("%q: %v", text[:20], err)
				}
				if from == fmt.Sprint(i) || n != next[from] {
					t.Fatalf("%s: server %d received %d of server %s, want %d", ns, i, n, from, next[from])
				}
				next[from]++
			}
		}
	}
	for _, b := range brokers {
		if st := b.Stats(); st.Lost != 0 || st.Dropped != 0 || !st.Connected {
			t.Errorf("%+v", st)
		}
	}
}

// A broker that goes away harms nobody, is told of, and is found again.
func TestBrokerRestarts(t *testing.T) {
	s := startNATS(t, -1)
	port := s.Addr().(*net.TCPAddr).Port
	a, b := memberOf(t, open(t, s.ClientURL()), "/"), memberOf(t, open(t, s.ClientURL()), "/")
	ready(t, a, b)
	b.RoomCreated("before")
	a.emit(t, `["first"]`)
	eventually(t, "the first", func() bool { return b.has(`["first"]`) })
	for round := range 3 {
		stopNATS(s)
		// It is known soon; then operations are refused at once.
		eventually(t, "an error", func() bool { return a.Adapter.Broadcast(event(`["lost"]`), adapter.Target{}) == nats.ErrDown })
		eventually(t, "that it is known there, too", func() bool { return !b.broker.Stats().Connected })
		if err := a.broker.Ping(t.Context()); err == nil {
			t.Error("a server that is not there answers")
		}
		room := fmt.Sprint("meanwhile", round)
		b.RoomCreated(room)
		s = startNATS(t, port)
		for _, m := range []*member{a, b} {
			eventually(t, "the connection", func() bool { return m.broker.Ping(t.Context()) == nil && m.broker.Stats().Connected })
		}
		for _, room := range []string{"before", room} {
			text := fmt.Sprintf(`["%s %d"]`, room, round)
			a.emit(t, text, room)
			eventually(t, "what comes after", func() bool { return b.has(text) })
		}
		if b.has(`["lost"]`) && a.broker.Stats().Lost == 0 {
			t.Error("what was refused arrived")
		}
	}
}

// A server may be started before NATS.
func TestBrokerComesLater(t *testing.T) {
	s := startNATS(t, -1)
	port, url := s.Addr().(*net.TCPAddr).Port, s.ClientURL()
	stopNATS(s)
	a, b := memberOf(t, open(t, url), "/"), memberOf(t, open(t, url), "/")
	b.RoomCreated("room")
	eventually(t, "an error", func() bool { return a.Adapter.Broadcast(event(`["lost"]`), adapter.Target{}) == nats.ErrDown })
	startNATS(t, port)
	ready(t, a, b)
	a.emit(t, `["in the room"]`, "room")
	eventually(t, "an event", func() bool { return b.has(`["in the room"]`) })
}

// What is published is either confirmed or counted as lost, whenever the broker goes away.
func TestCounting(t *testing.T) {
	s := startNATS(t, -1)
	port := s.Addr().(*net.TCPAddr).Port
	a := memberOf(t, open(t, s.ClientURL()), "/")
	taken := 0
	for i := range 3 {
		for n := range 20_000 {
			if n == 10_000 {
				go stopNATS(s)
			}
			if a.Adapter.Broadcast(event(fmt.Sprintf(`[%d]`, i)), adapter.Target{}) == nil {
				taken++
			}
		}
		eventually(t, "the end", func() bool { return !a.broker.Stats().Connected })
		s.WaitForShutdown()
		s = startNATS(t, port)
		eventually(t, "the connection", func() bool { return a.broker.Ping(t.Context()) == nil })
	}
	eventually(t, "the count", func() bool {
		st := a.broker.Stats() // heartbeats are counted, too
		return st.Published+st.Lost >= int64(taken)
	})
}
