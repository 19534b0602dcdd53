package postgres_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/adapter/postgres"
)

// patience is how long something may take that takes no time, on a machine that is slow and busy; it measures nothing.
const patience = time.Minute

// A host is a server's part of a namespace that remembers the events it was given.
type host struct {
	namespace string
	events    chan *adapter.Packet
	adapter.Host
}

func newHost(namespace string) *host {
	return &host{namespace: namespace, events: make(chan *adapter.Packet, 10_000)}
}

func (h *host) Namespace() string                             { return h.namespace }
func (h *host) Broadcast(p *adapter.Packet, _ adapter.Target) { h.events <- p }

func (h *host) next(t *testing.T) *adapter.Packet {
	t.Helper()
	select {
	case p := <-h.events:
		return p
	case <-time.After(patience):
		t.Fatal("nothing came")
		return nil
	}
}

// attach makes the adapter of a namespace, which is closed before its broker.
func attach(t *testing.T, b *postgres.Broker, h *host) adapter.Adapter {
	t.Helper()
	a := b.Adapter()(h)
	t.Cleanup(func() { _ = a.Close() })
	return a
}

// together waits until each of the adapters knows of all.
func together(t *testing.T, adapters ...adapter.Adapter) {
	t.Helper()
	eventually(t, func() bool {
		for _, a := range adapters {
			if n, err := a.Servers(t.Context()); err != nil || n != len(adapters) {
				return false
			}
		}
		return true
	})
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("still not so")
		}
	}
}

func text(t *testing.T, args ...any) *adapter.Packet {
	t.Helper()
	data, err := json.Marshal(args)
	if err != nil {
		t.Fatal(err)
	}
	return &adapter.Packet{Data: data}
}

// TestSizes sends events of all sizes around the limit of a notification, with others between them that go another way.
func TestSizes(t *testing.T) {
	s := start(t)
	h := newHost("/")
	from, to := attach(t, open(t, s, postgres.Options{}), newHost("/")), attach(t, open(t, s, postgres.Options{}), h)
	together(t, from, to)
	sizes := []int{0, 1, 1 << 20, 5, 3 << 20}
	for n := 7700; n <= 8010; n++ {
		sizes = append(sizes, n)
	}
	binary := bytes.Repeat([]byte{0, 1, 255}, 3000)
	for i, n := range sizes {
		if err := from.Broadcast(text(t, "size", i, strings.Repeat("x", n)), adapter.Target{}); err != nil {
			t.Fatal(err)
		}
		p := &adapter.Packet{Data: []byte(`["bin",{"_placeholder":true,"num":0}]`), Attachments: [][]byte{binary[:i]}}
		if err := from.Broadcast(p, adapter.Target{}); err != nil {
			t.Fatal(err)
		}
	}
	for i, n := range sizes {
		if got, want := h.next(t).Data, text(t, "size", i, strings.Repeat("x", n)).Data; !bytes.Equal(got, want) {
			t.Fatalf("event %d of %d bytes came as %.60s of %d bytes", i, len(want), got, len(got))
		}
		if p := h.next(t); len(p.Attachments) != 1 || !bytes.Equal(p.Attachments[0], binary[:i]) {
			t.Fatalf("binary %d came as %+v", i, p)
		}
	}
}

// TestRepetition sends the same thing again and again, which PostgreSQL would take for once.
func TestRepetition(t *testing.T) {
	s := start(t)
	h := newHost("/")
	from, to := attach(t, open(t, s, postgres.Options{}), newHost("/")), attach(t, open(t, s, postgres.Options{}), h)
	together(t, from, to)
	const times = 3000
	for range times {
		if err := from.Broadcast(text(t, "tick"), adapter.Target{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := from.Broadcast(text(t, "end"), adapter.Target{}); err != nil {
		t.Fatal(err)
	}
	n := 0
	for string(h.next(t).Data) == `["tick"]` {
		n++
	}
	if n != times {
		t.Errorf("%d of %d came", n, times)
	}
}

// TestNames has namespaces whose names need quotes, or are too long for a channel.
func TestNames(t *testing.T) {
	s := start(t)
	long := "/" + strings.Repeat("n", 100)
	names := []string{"/", `/it's "quoted"; DROP TABLE x`, "/ü", long, long + "2", "/nul\x00", "/" + strings.Repeat("é", 27), "/A", "/a"}
	a, b := open(t, s, postgres.Options{Schema: "public"}), open(t, s, postgres.Options{Schema: "public"})
	for _, name := range names {
		h := newHost(name)
		from, to := attach(t, a, newHost(name)), attach(t, b, h)
		together(t, from, to)
		if err := from.Broadcast(text(t, "name", name), adapter.Target{}); err != nil {
			t.Fatal(err)
		}
		if got, want := h.next(t).Data, text(t, "name", name).Data; !bytes.Equal(got, want) {
			t.Errorf("%q: got %s", name, got)
		}
	}
}

// TestRestart stops PostgreSQL and starts it again.
func TestRestart(t *testing.T) {
	s := start(t)
	h := newHost("/")
	one, two := open(t, s, postgres.Options{}), open(t, s, postgres.Options{})
	from, to := attach(t, one, newHost("/")), attach(t, two, h)
	together(t, from, to)
	for range 2 {
		s.Stop()
		eventually(t, func() bool {
			return from.Broadcast(text(t, "lost"), adapter.Target{}) != nil && !one.Stats().Connected && !two.Stats().Connected
		})
		s.Start()
		eventually(t, func() bool { return one.Stats().Connected && two.Stats().Connected })
		if err := from.Broadcast(text(t, "back", strings.Repeat("x", 10_000)), adapter.Target{}); err != nil {
			t.Fatal(err)
		}
		for !strings.HasPrefix(string(h.next(t).Data), `["back"`) {
		}
		together(t, from, to)
	}
	if one.Stats().Lost == 0 {
		t.Error("nothing was counted as lost")
	}
}

// TestDown opens a broker where there is no PostgreSQL.
func TestDown(t *testing.T) {
	b := open(t, nil, postgres.Options{DSN: "host=" + t.TempDir() + " user=test"})
	a := attach(t, b, newHost("/"))
	eventually(t, func() bool { return a.Broadcast(text(t, "lost"), adapter.Target{}) == postgres.ErrDown })
	if _, err := a.Sockets(t.Context(), adapter.Target{}); err == nil {
		t.Error("no error of a request that nobody could get")
	}
	if b.Ping(t.Context()) == nil || b.Stats().Connected {
		t.Error("it says that it is connected")
	}
	if err := b.Flush(t.Context()); err == nil {
		t.Error("what could not be sent is no error of Flush")
	}
}

// TestEmitter emits from a broker that is no server.
func TestEmitter(t *testing.T) {
	s := start(t)
	h := newHost("/chat")
	to := attach(t, open(t, s, postgres.Options{}), h)
	together(t, to)
	b := open(t, s, postgres.Options{})
	eventually(t, func() bool {
		if err := b.Emitter("chat").Emit("hello", 1, []byte("bin")); err != nil {
			t.Fatal(err)
		}
		if err := b.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		select {
		case p := <-h.events:
			return strings.HasPrefix(string(p.Data), `["hello",1,`) && string(p.Attachments[0]) == "bin"
		case <-time.After(50 * time.Millisecond):
			return false // nobody listened yet
		}
	})
	if n, _ := to.Servers(t.Context()); n != 1 {
		t.Errorf("the emitter is taken for a server: %d", n)
	}
}

// TestCleanup has many servers delete old rows at the same time, and one make the table again after it was dropped.
func TestCleanup(t *testing.T) {
	s := start(t)
	pool, err := pgxpool.New(t.Context(), s.DSN)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	big := text(t, "big", strings.Repeat("x", 9000))
	var mu sync.Mutex
	var hosts []*host
	var adapters []adapter.Adapter
	var wg sync.WaitGroup
	for range 6 { // which make the table at the same time
		wg.Go(func() {
			h := newHost("/")
			a := attach(t, open(t, s, postgres.Options{Pool: pool, CleanupInterval: time.Second}), h)
			mu.Lock()
			defer mu.Unlock()
			hosts, adapters = append(hosts, h), append(adapters, a)
		})
	}
	wg.Wait()
	together(t, adapters...)
	for round := range 2 {
		eventually(t, func() bool { // a row may be old before a slow server has read it
			for range 50 {
				if err := adapters[0].Broadcast(big, adapter.Target{}); err != nil {
					t.Fatal(err)
				}
			}
			select {
			case p := <-hosts[1].events:
				if !bytes.Equal(p.Data, big.Data) {
					t.Fatalf("got %.30s", p.Data)
				}
				return true
			case <-time.After(time.Second):
				return false
			}
		})
		eventually(t, func() bool {
			var n int
			err := pool.QueryRow(t.Context(), "SELECT count(*) FROM socket_io_attachments").Scan(&n)
			return err == nil && n == 0
		})
		if round == 0 {
			if _, err := pool.Exec(t.Context(), "DROP TABLE socket_io_attachments"); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestForeign has notifications on the channel that no adapter sends, among good ones.
func TestForeign(t *testing.T) {
	s := start(t)
	h := newHost("/")
	b := open(t, s, postgres.Options{})
	attach(t, b, h)
	eventually(t, func() bool { return b.Stats().Connected })
	c, err := pgx.Connect(t.Context(), s.DSN)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(context.Background()) }()
	for i, payload := range []string{
		``, `{`, `[]`, `{"type":3}`, `{"type":99,"uid":"x"}`, `{"uid":"x","type":3,"attachmentId":"17"}`,
		`{"uid":"x","type":3,"attachmentId":"-1"}`, `{"uid":"x","type":3,"attachmentId":"1; DROP"}`,
		`{"uid":"x","type":3,"attachmentId":{}}`, `{"type":3,"uid":"x","nsp":"/other","data":{"packet":{"type":2,"data":["other"]},"opts":{}}}`,
	} {
		good := fmt.Sprintf(`{"type":3,"data":{"packet":{"type":2,"data":["good",%d,"\"attachmentId\""],"nsp":"/"},"opts":{"rooms":[]}},"uid":"emitter"}`, i)
		for _, p := range []string{payload, good} {
			if _, err := c.Exec(t.Context(), "SELECT pg_notify('socket.io#/', $1)", p); err != nil {
				t.Fatal(err)
			}
		}
		if got, want := string(h.next(t).Data), fmt.Sprintf(`["good",%d,"\"attachmentId\""]`, i); got != want {
			t.Fatalf("after %s came %s", payload, got)
		}
	}
}
