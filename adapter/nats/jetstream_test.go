package nats_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/adapter/nats"
	"github.com/sockeye-io/sockeye/client"
	"github.com/sockeye-io/sockeye/socketio"
)

// startJetStream starts a server that keeps what it has in a folder.
func startJetStream(t testing.TB, port int, dir string) *server.Server {
	t.Helper()
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: port, NoLog: true, NoSigs: true, MaxPayload: 64 << 10,
		JetStream: true, StoreDir: dir, SyncAlways: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(patience) {
		t.Fatal("the NATS server is not ready")
	}
	t.Cleanup(func() { stopNATS(s) })
	return s
}

func port(s *server.Server) int {
	n, _ := strconv.Atoi(s.ClientURL()[strings.LastIndexByte(s.ClientURL(), ':')+1:])
	return n
}

// A follower is one server's part.
type follower struct {
	adapter.Log
	*recorder
	broker *nats.Broker
}

// A recorder records what is delivered to one server.
type recorder struct {
	host

	mu      sync.Mutex
	entries []adapter.Entry
	own     []bool
	reached string
}

func (f *recorder) Deliver(e adapter.Entry, own bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.Broadcast(e.Packet, e.Target) // records it among what comes by other ways
	f.entries, f.own, f.reached = append(f.entries, e), append(f.own, own), e.Position
}

func (f *recorder) Reached(p string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reached = p
}

func (f *recorder) at() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.reached
}

func (f *recorder) texts() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []string
	for _, e := range f.entries {
		list = append(list, string(e.Packet.Data))
	}
	return list
}

func follow(t testing.TB, o nats.Options, j nats.JetStreamOptions) *follower {
	t.Helper()
	f := &follower{broker: openWith(t, o), recorder: &recorder{host: host{name: "/"}}}
	factory, err := f.broker.JetStream(j)
	if err != nil {
		t.Fatal(err)
	}
	f.Log = factory(f.recorder).(adapter.Log)
	t.Cleanup(func() { _ = f.Log.Close() }) // tests may have closed it
	f.Follow(f.recorder)
	eventually(t, "the beginning", func() bool { return f.at() != "" })
	return f
}

func operation(text string) adapter.Operation {
	return adapter.Operation{Kind: adapter.Event, Packet: event(text), Target: adapter.Target{Rooms: []string{"r"}}}
}

// All servers see one order, their own entries in it, and Append returns behind its own.
func TestLogOrder(t *testing.T) {
	s := startJetStream(t, -1, t.TempDir())
	var fs []*follower
	for range 3 {
		fs = append(fs, follow(t, nats.Options{URL: s.ClientURL()}, nats.JetStreamOptions{Wait: patience}))
	}
	begin := fs[0].at()
	const writers, each = 4, 50
	var wg sync.WaitGroup
	for i, f := range fs {
		for w := range writers {
			wg.Go(func() {
				for n := range each {
					text := fmt.Sprintf(`["%d.%d",%d]`, i, w, n)
					if err := f.Append(operation(text)); err != nil {
						t.Error(err)
					}
					if !slices.Contains(f.texts(), text) {
						t.Error("Append returned before the entry was delivered")
					}
				}
			})
		}
	}
	wg.Wait()
	const all = 3 * writers * each
	for i, f := range fs {
		eventually(t, "all entries", func() bool { return len(f.texts()) == all })
		if !slices.Equal(f.texts(), fs[0].texts()) {
			t.Error("the servers differ")
		}
		next := map[string]int{}
		for n, text := range f.texts() {
			name, number, _ := strings.Cut(strings.Trim(text, "[]"), ",")
			if number != strconv.Itoa(next[name]) {
				t.Fatalf("%s came when %d was due", text, next[name])
			}
			next[name]++
			if own := strings.HasPrefix(name, fmt.Sprintf(`"%d.`, i)); own != f.own[n] {
				t.Fatalf("%s is own: %v", text, f.own[n])
			}
		}
	}
	// What is read is the same.
	var read []string
	collect := func(e adapter.Entry) bool {
		read = append(read, string(e.Packet.Data))
		return true
	}
	if err := fs[1].Read(t.Context(), begin, fs[1].at(), collect); err != nil || !slices.Equal(read, fs[0].texts()) {
		t.Errorf("read %d of %d entries, %v", len(read), all, err)
	}
	read = nil
	from, until := fs[0].entries[9].Position, fs[0].entries[19].Position
	if err := fs[2].Read(t.Context(), from, until, collect); err != nil || !slices.Equal(read, fs[0].texts()[10:20]) {
		t.Errorf("read %v, %v", read, err)
	}
	if c, err := fs[0].Compare(from, until); c != -1 || err != nil {
		t.Error(c, err)
	}
	for _, junk := range []string{"", "x", "1-1-1", "-", "1-", "zz-01", strings.Repeat("9", 100)} {
		if _, err := fs[0].Compare(from, junk); err == nil {
			t.Errorf("%q is a position", junk)
		}
		if err := fs[0].Read(t.Context(), junk, until, collect); err == nil {
			t.Errorf("read from %q", junk)
		}
	}
	if err := fs[0].Append(operation(`["` + strings.Repeat("x", 65<<10) + `"]`)); !errors.Is(err, nats.ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
	binary := adapter.Operation{Kind: adapter.Event, Packet: &adapter.Packet{
		Data: []byte(`["b",{"_placeholder":true,"num":0}]`), Attachments: [][]byte{{1, 2, 3}},
	}}
	if err := fs[0].Append(binary); err != nil {
		t.Fatal(err)
	}
	if last := fs[0].entries[all]; string(last.Packet.Attachments[0]) != "\x01\x02\x03" {
		t.Errorf("binary came as %v", last.Packet)
	}
}

// What does not go through the log does not overtake what does.
func TestMessagesWaitForTheLog(t *testing.T) {
	s := startJetStream(t, -1, t.TempDir())
	o, j := nats.Options{URL: s.ClientURL()}, nats.JetStreamOptions{Wait: patience}
	a, b := follow(t, o, j), follow(t, o, j)
	eventually(t, "each other", func() bool {
		n, err := a.Servers(t.Context())
		return err == nil && n == 2
	})
	var want []string
	for n := range 300 {
		text := fmt.Sprintf(`["n",%d]`, n)
		want = append(want, text)
		var err error
		if n%3 > 0 {
			err = a.Broadcast(event(text), adapter.Target{})
		} else {
			err = a.Append(operation(text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all", func() bool { return b.count() == len(want) })
	if got := b.received(); !slices.Equal(got, want) {
		t.Errorf("came as %v", got)
	}
}

func TestLogIsTrimmed(t *testing.T) {
	s := startJetStream(t, -1, t.TempDir())
	f := follow(t, nats.Options{URL: s.ClientURL()}, nats.JetStreamOptions{Wait: patience, MaxBytes: 20_000, Memory: true})
	begin := f.at()
	for n := range 100 {
		if err := f.Append(operation(fmt.Sprintf(`["%d","%s"]`, n, strings.Repeat("x", 500)))); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Read(t.Context(), begin, f.at(), func(adapter.Entry) bool { return true }); !errors.Is(err, adapter.ErrTrimmed) {
		t.Error(err)
	}
	read := 0
	from := f.entries[89].Position
	if err := f.Read(t.Context(), from, f.at(), func(adapter.Entry) bool { read++; return true }); err != nil || read != 10 {
		t.Error(read, err)
	}
}

// While NATS is down operations fail at once; afterwards everything goes on where it was.
func TestLogOutlivesNATS(t *testing.T) {
	dir := t.TempDir()
	s := startJetStream(t, -1, dir)
	at := port(s)
	o, j := nats.Options{URL: s.ClientURL()}, nats.JetStreamOptions{Wait: patience}
	a, b := follow(t, o, j), follow(t, o, j)
	for n := range 10 {
		if err := a.Append(operation(fmt.Sprintf(`["a",%d]`, n))); err != nil {
			t.Fatal(err)
		}
	}
	stopNATS(s)
	eventually(t, "the end", func() bool { return !a.broker.Stats().Connected && !b.broker.Stats().Connected })
	if err := a.Append(operation(`["lost"]`)); !errors.Is(err, nats.ErrDown) {
		t.Errorf("without NATS: %v", err)
	}
	if _, err := a.LoadSession(t.Context(), "x"); err == nil {
		t.Error("a session is loaded without NATS")
	}
	startJetStream(t, at, dir)
	eventually(t, "NATS again", func() bool { return a.broker.Stats().Connected && b.broker.Stats().Connected })
	added := 0
	eventually(t, "entries again", func() bool {
		err := b.Append(operation(fmt.Sprintf(`["b",%d]`, added)))
		if err == nil {
			added++
		}
		return added == 10
	})
	eventually(t, "all of them", func() bool { return len(a.texts()) == 20 && len(b.texts()) == 20 })
	if !slices.Equal(a.texts(), b.texts()) {
		t.Errorf("%v\n%v", a.texts(), b.texts())
	}
}

// A log that was lost begins anew: nothing of before can be read, and positions of before are none.
func TestLogBeginsAnew(t *testing.T) {
	s := startJetStream(t, -1, t.TempDir())
	at := port(s)
	f := follow(t, nats.Options{URL: s.ClientURL()}, nats.JetStreamOptions{Wait: patience})
	if err := f.Append(operation(`["x"]`)); err != nil {
		t.Fatal(err)
	}
	before := f.at()
	stopNATS(s)
	startJetStream(t, at, t.TempDir())
	eventually(t, "a new log", func() bool { return f.at() != before })
	if _, err := f.Compare(before, f.at()); err == nil {
		t.Error("positions of two logs are compared")
	}
	if err := f.Read(t.Context(), before, f.at(), func(adapter.Entry) bool { return true }); !errors.Is(err, adapter.ErrTrimmed) {
		t.Error(err)
	}
}

func TestSessions(t *testing.T) {
	s := startJetStream(t, -1, t.TempDir())
	o, j := nats.Options{URL: s.ClientURL()}, nats.JetStreamOptions{}
	a, b := follow(t, o, j), follow(t, o, j)
	save := func(f *follower, create bool, keep time.Duration, rec *adapter.Session) error {
		t.Helper()
		result := make(chan error, 1)
		if err := f.SaveSession(rec.PID, create, keep, func() *adapter.Session { return rec }, func(err error) { result <- err }); err != nil {
			return err
		}
		select {
		case err := <-result:
			return err
		case <-time.After(patience):
			t.Fatal("not saved")
			return nil
		}
	}
	check := func(what string, err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	none, err := b.LoadSession(t.Context(), "p")
	if none != nil {
		t.Error("a session that is not there")
	}
	check("load nothing", err, nil)
	rec := &adapter.Session{
		SID: "s", PID: "p", Namespace: "/", Rooms: []string{"s", "\xff"}, Data: []byte(`{"a":1}`), Owner: "A", Start: "1-1", At: "1-2", Floor: "1-1",
		Stays: []adapter.Stay{{Room: "r", Since: "1-1"}, {Room: "q", Since: "1-1", Until: "1-2"}},
	}
	check("create", save(a, true, time.Hour, rec), nil)
	for range 3 {
		check("save", save(a, false, time.Hour, rec), nil)
	}
	got, err := b.LoadSession(t.Context(), "p")
	check("load", err, nil)
	if want := fmt.Sprintf("%+v", *rec); got == nil || strings.ReplaceAll(fmt.Sprintf("%+v", *got), "�", "\xff") != want {
		t.Errorf("%+v", got)
	}
	var winners atomic.Int32
	var wg sync.WaitGroup
	for i := range 10 {
		f := []*follower{a, b}[i%2]
		wg.Go(func() {
			got, err := f.TakeSession(t.Context(), "p", "A")
			check("take", err, nil)
			if got != nil {
				winners.Add(1)
			}
		})
	}
	wg.Wait()
	if n := winners.Load(); n != 1 {
		t.Errorf("%d have taken it", n)
	}
	check("save what was taken", save(a, false, time.Hour, rec), adapter.ErrTaken)
	check("and again", save(a, false, time.Hour, rec), adapter.ErrTaken)
	moved := *rec
	moved.Owner = "B"
	check("the new owner", save(b, true, time.Hour, &moved), nil)
	check("the old one", save(a, false, time.Hour, rec), adapter.ErrTaken)
	check("the new one", save(b, false, time.Hour, &moved), nil)
	moved.Away = true
	check("at last", save(b, false, time.Hour, &moved), nil)
	check("tried again", save(b, false, time.Hour, &moved), nil)
	check("end", save(b, false, 0, &moved), nil)
	if got, err := a.LoadSession(t.Context(), "p"); got != nil || err != nil {
		t.Errorf("it ended, and there is %v, %v", got, err)
	}
	check("short", save(a, true, time.Nanosecond, rec), nil)
	if got, err := b.TakeSession(t.Context(), "p", "A"); got != nil || err != nil {
		t.Errorf("it expired, and there is %v, %v", got, err)
	}
}

// A client that loses its connection comes back on another server, with its id, rooms, data and what it missed.
func TestComeBackElsewhere(t *testing.T) {
	s := startJetStream(t, -1, t.TempDir())
	var servers []*socketio.Server
	for range 2 {
		broker := openWith(t, nats.Options{URL: s.ClientURL()})
		factory, err := broker.JetStream(nats.JetStreamOptions{Wait: patience})
		if err != nil {
			t.Fatal(err)
		}
		io := socketio.NewServer(&socketio.Options{
			Adapter: factory, Recovery: &socketio.RecoveryOptions{}, Logger: slog.New(slog.DiscardHandler),
		})
		t.Cleanup(func() { _ = io.Close() })
		io.OnConnection(func(s *socketio.Socket) {
			if !s.Recovered() {
				s.Join("room")
				s.SetData("mine")
			}
		})
		servers = append(servers, io)
	}
	var current atomic.Pointer[socketio.Server]
	current.Store(servers[0])
	front := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io := current.Load()
		if io == nil {
			http.Error(w, "nobody", http.StatusBadGateway)
			return
		}
		io.ServeHTTP(w, r)
	}))
	var mu sync.Mutex
	var conns []net.Conn
	front.Config.ConnState = func(c net.Conn, state http.ConnState) {
		mu.Lock()
		defer mu.Unlock()
		if state == http.StateNew {
			conns = append(conns, c)
		}
	}
	cut := func() {
		mu.Lock()
		defer mu.Unlock()
		for _, c := range conns {
			_ = c.Close() // that it is closed already
		}
		conns = nil
	}
	front.Start()
	defer front.Close()
	c, err := client.Dial(t.Context(), front.URL, &client.Options{
		Transports: []string{"websocket"}, Reconnect: client.ReconnectOptions{Delay: 10 * time.Millisecond, MaxDelay: 100 * time.Millisecond},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Client().Close()
	got := make(chan int, 10_000)
	c.On("n", func(_ context.Context, m *client.Message) error {
		var n int
		err := m.Bind(&n)
		got <- n
		return err
	})
	id := c.ID()
	sent := 0
	emit := func(from int) {
		t.Helper()
		eventually(t, "an event that is taken", func() bool { return servers[from].To("room").Emit("n", sent) == nil })
		sent++
	}
	due := 0
	receive := func() {
		t.Helper()
		for ; due < sent; due++ {
			select {
			case n := <-got:
				if n != due {
					t.Fatalf("received %d when %d was due", n, due)
				}
			case <-time.After(patience):
				t.Fatalf("%d did not come", due)
			}
		}
	}
	emit(0)
	emit(1)
	receive()
	for hop := range 6 {
		current.Store(nil)
		cut()
		eventually(t, "the cut", func() bool { return !c.Connected() })
		for n := range 20 {
			emit(n % 2)
		}
		current.Store(servers[(hop+1)%2])
		eventually(t, "the client on the other server", func() bool {
			there := servers[(hop+1)%2].Of("/").Socket(id)
			return there != nil && there.Connected() && there.Recovered() && there.Data() == "mine"
		})
		emit(hop % 2)
		receive()
		if c.ID() != id || !c.Recovered() {
			t.Errorf("the client is %s, recovered %v", c.ID(), c.Recovered())
		}
	}
}
