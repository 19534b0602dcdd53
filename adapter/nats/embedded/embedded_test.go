package embedded_test

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"go.uber.org/goleak"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/adapter/adaptertest"
	"github.com/sockeye-io/sockeye/adapter/cluster"
	"github.com/sockeye-io/sockeye/adapter/nats"
	"github.com/sockeye-io/sockeye/adapter/nats/embedded"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long tests wait for what must come, on a machine that is slow and busy.
const patience = time.Minute

var secret = []byte("sixteen bytes or more")

func start(t testing.TB, o embedded.Options) *embedded.Server {
	t.Helper()
	if o.Secret == nil {
		o.Secret = secret
	}
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	o.Logger = slog.New(slog.DiscardHandler)
	s, err := embedded.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// open returns a broker for whose adapters none is dead that is only slow.
func open(t testing.TB, s *embedded.Server) *nats.Broker {
	t.Helper()
	return openWith(t, s, patience)
}

func openWith(t testing.TB, s *embedded.Server, heartbeatTimeout time.Duration) *nats.Broker {
	t.Helper()
	b, err := s.Open(nats.Options{
		Logger: slog.New(slog.DiscardHandler),
		Cluster: cluster.Options{
			HeartbeatInterval: 200 * time.Millisecond, HeartbeatTimeout: heartbeatTimeout, Settle: 50 * time.Millisecond,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	end := time.Now().Add(patience)
	for !f() {
		if time.Now().After(end) {
			t.Fatalf("%s: still not so after %v", what, patience)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// mesh starts servers of which all but the first know only the first.
func mesh(t testing.TB, n int) []*embedded.Server {
	t.Helper()
	nodes := []*embedded.Server{start(t, embedded.Options{})}
	for len(nodes) < n {
		nodes = append(nodes, start(t, embedded.Options{Peers: []string{nodes[0].Addr().String()}}))
	}
	for _, s := range nodes {
		eventually(t, "the mesh", func() bool { return s.Peers() == n-1 })
	}
	return nodes
}

func TestConformance(t *testing.T) {
	adaptertest.Run(t, func(t *testing.T, n int) []adapter.Factory {
		var factories []adapter.Factory
		for _, s := range mesh(t, n) {
			factories = append(factories, open(t, s).Adapter())
		}
		return factories
	})
}

// count returns how many servers an adapter knows of.
func count(t testing.TB, a adapter.Adapter) int {
	t.Helper()
	n, err := a.Servers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A host takes part and does nothing.
type host struct{ adapter.Host }

func (host) Namespace() string { return "/" }

func (host) Sockets(adapter.Target) []adapter.Socket { return nil }

// join makes an adapter that soon notices who is gone.
func join(t testing.TB, s *embedded.Server) adapter.Adapter {
	t.Helper()
	a := openWith(t, s, 2*time.Second).Adapter()(host{})
	t.Cleanup(func() { _ = a.Close() })
	return a
}

// Servers leave and come back, at the same address or at another, and those that are left go on.
func TestComingAndGoing(t *testing.T) {
	nodes := mesh(t, 3)
	var adapters []adapter.Adapter
	for _, s := range nodes {
		adapters = append(adapters, join(t, s))
	}
	for _, a := range adapters {
		eventually(t, "all three", func() bool { return count(t, a) == 3 })
	}
	// The one that the others were told of.
	address := nodes[0].Addr().String()
	_ = nodes[0].Close()
	for _, i := range []int{1, 2} {
		eventually(t, "that it is gone", func() bool { return nodes[i].Peers() == 1 && count(t, adapters[i]) == 2 })
	}
	// Nobody tells it of the others: they look for it.
	back := join(t, start(t, embedded.Options{Listen: address}))
	eventually(t, "that it is back", func() bool { return count(t, back) == 3 && count(t, adapters[1]) == 3 })
	// Another one comes by way of one of them, and meets all.
	fourth := start(t, embedded.Options{Peers: []string{nodes[2].Addr().String()}})
	eventually(t, "the fourth", func() bool { return fourth.Peers() == 3 })
	a := join(t, fourth)
	eventually(t, "all four", func() bool { return count(t, a) == 4 })
}

// A name is as good as a list; a server may have itself in it.
func TestNames(t *testing.T) {
	first := start(t, embedded.Options{})
	_, port, _ := net.SplitHostPort(first.Addr().String())
	second := start(t, embedded.Options{Peers: []string{net.JoinHostPort("localhost", port)}})
	eventually(t, "the mesh", func() bool { return first.Peers() == 1 && second.Peers() == 1 })
	_, port, _ = net.SplitHostPort(second.Addr().String())
	address := second.Addr().String()
	_ = second.Close()
	third := start(t, embedded.Options{Listen: address, Peers: []string{first.Addr().String(), address, "localhost:" + port}})
	eventually(t, "the mesh", func() bool { return first.Peers() == 1 && third.Peers() == 1 })
}

// Who does not have the secret gets nowhere, and neither does another cluster.
func TestStrangers(t *testing.T) {
	nodes := mesh(t, 2)
	peers := []string{nodes[0].Addr().String()}
	stranger := start(t, embedded.Options{Peers: peers, Secret: []byte("another one, as long")})
	other := start(t, embedded.Options{Peers: peers, Name: "other"})
	// A third one is let in meanwhile.
	third := start(t, embedded.Options{Peers: peers})
	eventually(t, "the mesh", func() bool { return third.Peers() == 2 && nodes[1].Peers() == 2 })
	conn, err := net.Dial("tcp", peers[0])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// Nor does who speaks without encryption.
	if _, err := conn.Write([]byte("CONNECT {\"cluster\":\"sockeye\"}\r\nPING\r\n")); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	got, _ := io.ReadAll(conn)
	if strings.Contains(string(got), "PONG") {
		t.Errorf("a stranger is answered %q", got)
	}
	if stranger.Peers() != 0 || other.Peers() != 0 || nodes[0].Peers() != 2 {
		t.Errorf("peers: %d of the stranger, %d of the other cluster, %d", stranger.Peers(), other.Peers(), nodes[0].Peers())
	}
}

func TestOptions(t *testing.T) {
	taken := start(t, embedded.Options{})
	for name, o := range map[string]embedded.Options{
		"short secret": {Secret: []byte("short")},
		"no port":      {Secret: secret, Listen: "127.0.0.1"},
		"port taken":   {Secret: secret, Listen: taken.Addr().String()},
		"peer":         {Secret: secret, Listen: "127.0.0.1:0", Peers: []string{"nats://a:1"}},
		"peer's port":  {Secret: secret, Listen: "127.0.0.1:0", Peers: []string{"a:0"}},
		"advertised":   {Secret: secret, Listen: "127.0.0.1:0", Advertise: "a"},
		"payload":      {Secret: secret, Listen: "127.0.0.1:0", MaxPayload: 5},
	} {
		o.Logger = slog.New(slog.DiscardHandler)
		if s, err := embedded.Start(o); err == nil {
			_ = s.Close()
			t.Errorf("%s: no error", name)
		}
	}
}

// Servers that were on their own know of each other soon after they have met, whatever their heartbeats.
func TestGreeting(t *testing.T) {
	first := start(t, embedded.Options{})
	address := first.Addr().String()
	_ = first.Close()
	second := start(t, embedded.Options{Peers: []string{address}})
	slow := func(s *embedded.Server) adapter.Adapter {
		t.Helper()
		b, err := s.Open(nats.Options{
			Logger: slog.New(slog.DiscardHandler), Cluster: cluster.Options{HeartbeatInterval: time.Hour, HeartbeatTimeout: 2 * time.Hour},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = b.Close() })
		a := b.Adapter()(host{})
		t.Cleanup(func() { _ = a.Close() })
		return a
	}
	one := slow(second)
	eventually(t, "one", func() bool { return count(t, one) == 1 })
	other := slow(start(t, embedded.Options{Listen: address}))
	eventually(t, "both", func() bool { return count(t, one) == 2 && count(t, other) == 2 })
}

// A recorder keeps what is broadcast.
type recorder struct {
	host
	mu  sync.Mutex
	got []string
}

func (r *recorder) Broadcast(p *adapter.Packet, _ adapter.Target) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, string(p.Data))
}

func (r *recorder) received() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}

// What a server sends over several subjects arrives in order at each of the others.
func TestOrderInMesh(t *testing.T) {
	nodes := mesh(t, 3)
	var recorders []*recorder
	var adapters []adapter.Adapter
	for _, s := range nodes {
		r := new(recorder)
		a := open(t, s).Adapter()(r)
		t.Cleanup(func() { _ = a.Close() })
		for i := range 5 {
			a.(adapter.RoomWatcher).RoomCreated(fmt.Sprint("room", i))
		}
		recorders, adapters = append(recorders, r), append(adapters, a)
	}
	for _, a := range adapters {
		eventually(t, "all", func() bool { return count(t, a) == 3 })
		if _, err := a.Sockets(t.Context(), adapter.Target{}); err != nil { // interest is ahead of answers
			t.Fatal(err)
		}
	}
	const each = 1000
	var wg sync.WaitGroup
	for i, a := range adapters {
		wg.Go(func() {
			for n := range each {
				var target adapter.Target
				if n%2 == 0 {
					target.Rooms = []string{fmt.Sprint("room", n%5)}
				}
				p := &adapter.Packet{Data: jsontext.Value(fmt.Sprintf(`[%d,%d]`, i, n))}
				for a.Broadcast(p, target) != nil { // the queue is full
					time.Sleep(time.Millisecond)
				}
			}
		})
	}
	wg.Wait()
	for i, r := range recorders {
		eventually(t, "everything", func() bool { return len(r.received()) >= 2*each })
		next := map[int]int{}
		for _, text := range r.received() {
			var from, n int
			if _, err := fmt.Sscanf(text, "[%d,%d]", &from, &n); err != nil || from == i || n != next[from] {
				t.Fatalf("server %d received %s, want %d", i, text, next[from])
			}
			next[from]++
		}
	}
}
