package socketio_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/sockeye-io/sockeye/socketio"
)

// crowd joins n peers, and returns them with their sockets. The server echoes.
func crowd(t *testing.T, opts *socketio.Options, n int) (*site, []*peer, []*socketio.Socket) {
	t.Helper()
	st := serve(t, opts)
	echoes(st.io)
	sockets := make(chan *socketio.Socket, n)
	st.io.OnConnection(func(s *socketio.Socket) { sockets <- s })
	var peers []*peer
	var ss []*socketio.Socket
	for range n {
		peers = append(peers, st.join())
		ss = append(ss, receive(t, sockets))
	}
	return st, peers, ss
}

// who returns which peers received exactly the event, as indexes.
func who(t *testing.T, peers []*peer, frame string) string {
	t.Helper()
	var got []int
	for i, p := range peers {
		switch frames := p.sync(); {
		case len(frames) == 0:
		case slices.Equal(frames, []string{frame}):
			got = append(got, i)
		default:
			t.Errorf("peer %d received %q", i, frames)
		}
	}
	return fmt.Sprint(got)
}

func TestBroadcastTargets(t *testing.T) {
	st, peers, s := crowd(t, nil, 5)
	io := st.io
	s[0].Join("a", "b")
	s[1].Join("a")
	s[2].Join("b", "c")
	s[3].Join(s[4].ID()) // a room that is another's id
	for _, tc := range []struct {
		name string
		b    interface {
			Emit(string, ...any) error
		}
		want string
	}{
		{"all", io, "[0 1 2 3 4]"},
		{"room", io.To("a"), "[0 1]"},
		{"two rooms", io.To("a", "b"), "[0 1 2]"},
		{"chained", io.To("a").In("b"), "[0 1 2]"},
		{"nobody", io.To("nobody"), "[]"},
		{"except", io.Except("a"), "[2 3 4]"},
		{"room except", io.To("a").Except("b"), "[1]"},
		{"two rooms except two", io.To("a", "b").Except("c", s[1].ID()), "[0]"},
		{"id", io.To(s[2].ID()), "[2]"},
		{"id that is a room too", io.To(s[4].ID()), "[3 4]"},
		{"except id that is a room too", io.Except(s[4].ID()), "[0 1 2]"},
		{"local", io.Local().To("a"), "[0 1]"},
		{"uncompressed", io.Compress(false).To("c"), "[2]"},
		{"broadcast of a socket", s[0].Broadcast(), "[1 2 3 4]"},
		{"room of a socket", s[0].To("a"), "[1]"},
		{"room that it isn't in", s[4].To("a"), "[0 1]"},
		{"except of a socket", s[0].Except("b"), "[1 3 4]"},
		{"local of a socket", s[0].Local(), "[1 2 3 4]"},
		{"socket", s[0], "[0]"},
	} {
		if err := tc.b.Emit("ev", 1); err != nil {
			t.Errorf("%s: %v", tc.name, err)
		}
		if got := who(t, peers, `42["ev",1]`); got != tc.want {
			t.Errorf("%s reached %s, want %s", tc.name, got, tc.want)
		}
	}
	for name, tc := range map[string]struct {
		b interface {
			Emit(string, ...any) error
		}
		want string
	}{
		"volatile broadcast": {io.Volatile().To("a"), "[0 1]"},
		"volatile socket":    {s[3].Volatile(), "[3]"},
	} {
		got := ""
		for range 100 { // it may be lost, but not for ever
			tc.b.Emit("ev", 1)
			if got = who(t, peers, `42["ev",1]`); got == tc.want {
				break
			}
		}
		if got != tc.want {
			t.Errorf("%s reached %s, want %s", name, got, tc.want)
		}
	}
	if err := io.To("a").Send("x"); err != nil {
		t.Error(err)
	}
	if got := who(t, peers, `42["message","x"]`); got != "[0 1]" {
		t.Errorf("Send reached %s", got)
	}
}

func TestBroadcastIsAValue(t *testing.T) {
	st, peers, s := crowd(t, nil, 3)
	for i, s := range s {
		s.Join(strconv.Itoa(i))
	}
	base := st.io.To("0")
	_, _ = base.To("1"), base.To("2")
	a, b := base.To("1"), base.To("2")
	a.Emit("ev")
	if got := who(t, peers, `42["ev"]`); got != "[0 1]" {
		t.Errorf("a reached %s", got)
	}
	b.Emit("ev")
	if got := who(t, peers, `42["ev"]`); got != "[0 2]" {
		t.Errorf("b reached %s", got)
	}
	base.Emit("ev")
	if got := who(t, peers, `42["ev"]`); got != "[0]" {
		t.Errorf("base reached %s", got)
	}
}

func TestEmitErrors(t *testing.T) {
	st, peers, s := crowd(t, nil, 1)
	for _, name := range []string{"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"} {
		if err := st.io.Emit(name); !errors.Is(err, socketio.ErrReservedEvent) {
			t.Errorf("%s: %v", name, err)
		}
		if err := s[0].Emit(name); !errors.Is(err, socketio.ErrReservedEvent) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := st.io.Emit("x", make(chan int)); err == nil {
		t.Error("a channel was sent")
	}
	if err := s[0].Emit("x", func() {}); err == nil {
		t.Error("a function was sent")
	}
	if frames := peers[0].sync(); len(frames) != 0 {
		t.Errorf("received %q", frames)
	}
}

func TestBinary(t *testing.T) {
	type file struct {
		Name string `json:"name"`
		Data []byte `json:"data"`
	}
	st, peers, s := crowd(t, nil, 2)
	for _, s := range s {
		s.On("upload", func(_ context.Context, m *socketio.Message) error {
			var f file
			if err := m.Bind(&f); err != nil {
				return err
			}
			return m.Ack(f.Name, f.Data)
		})
	}
	data := []byte{1, 2, 3}
	st.io.Emit("file", file{"a", data}, map[string]any{"x": []any{[]byte{4}}})
	data[0] = 9 // the caller's slice is its own again
	for _, p := range peers {
		p.expect(`452-["file",{"name":"a","data":{"_placeholder":true,"num":0}},{"x":[{"_placeholder":true,"num":1}]}]`)
		p.expect("b:\x01\x02\x03")
		p.expect("b:\x04")
	}
	p := peers[0]
	p.send(`451-12["upload",{"data":{"_placeholder":true,"num":0},"name":"n"}]`)
	p.sendBinary("bytes")
	p.expect(`461-12["n",{"_placeholder":true,"num":0}]`)
	p.expect("b:bytes")
}

func TestSetsOfSockets(t *testing.T) {
	st, peers, s := crowd(t, nil, 4)
	io, ctx := st.io, context.Background()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	ids := func(b socketio.Broadcast) []string {
		t.Helper()
		remote, err := b.Sockets(ctx)
		must(err)
		var ids []string
		for _, r := range remote {
			ids = append(ids, r.ID())
		}
		slices.Sort(ids)
		return ids
	}
	sorted := func(ss ...*socketio.Socket) []string {
		var ids []string
		for _, s := range ss {
			ids = append(ids, s.ID())
		}
		slices.Sort(ids)
		return ids
	}
	s[0].Join("a")
	s[1].Join("a", "b")
	if got, want := ids(io.In("a")), sorted(s[0], s[1]); !slices.Equal(got, want) {
		t.Errorf("in a: %q, want %q", got, want)
	}
	if got, want := ids(io.Except("a")), sorted(s[2], s[3]); !slices.Equal(got, want) {
		t.Errorf("except a: %q, want %q", got, want)
	}
	must(io.In("a").Join("x", "y"))
	if got, want := ids(io.In("y")), sorted(s[0], s[1]); !slices.Equal(got, want) {
		t.Errorf("in y: %q, want %q", got, want)
	}
	must(io.In("b").Leave("x", "nonsense"))
	if got, want := ids(io.In("x")), sorted(s[0]); !slices.Equal(got, want) {
		t.Errorf("in x: %q, want %q", got, want)
	}
	must(io.Join("everybody"))
	if got := ids(io.To("everybody")); len(got) != 4 {
		t.Errorf("everybody: %q", got)
	}
	must(io.Leave("everybody"))
	if got := ids(io.To("everybody")); len(got) != 0 {
		t.Errorf("everybody: %q", got)
	}

	s[2].SetData(map[string]int{"n": 7})
	remote, err := io.In(s[2].ID()).Sockets(ctx)
	must(err)
	if len(remote) != 1 {
		t.Fatalf("%d sockets with the id", len(remote))
	}
	r := remote[0]
	var data struct{ N int }
	must(r.Data(&data))
	if data.N != 7 || r.Socket() != s[2] || r.Handshake().Issued == 0 || !slices.Equal(r.Rooms(), []string{s[2].ID()}) {
		t.Errorf("data %+v, handshake %+v, rooms %q", data, r.Handshake(), r.Rooms())
	}
	must(r.Join("r"))
	must(r.Emit("hello"))
	peers[2].expect(`42["hello"]`)
	must(r.Leave("r"))
	if len(s[2].Rooms()) != 1 {
		t.Errorf("rooms %q", s[2].Rooms())
	}
	must(r.Disconnect(false))
	peers[2].expect("41")

	must(io.In("a").Disconnect(true))
	peers[0].expect("41")
	peers[0].expectClosed()
	peers[1].expect("41")
	peers[1].expectClosed()
	peers[3].sync()
	must(io.DisconnectSockets(false))
	peers[3].expect("41")
	if io.Of("/").Len() != 0 {
		t.Error("sockets are left")
	}
}

func TestNamespacesAreSeparate(t *testing.T) {
	st := serve(t, nil)
	a, b := st.io.Of("a"), st.io.Of("/b") // with and without the slash
	if a.Name() != "/a" || st.io.Of("/a") != a || st.io.Of("") != st.io.Of("/") {
		t.Error("names of namespaces")
	}
	joined := make(chan *socketio.Socket, 3)
	for _, ns := range []*socketio.Namespace{a, b, st.io.Of("/")} {
		ns.OnConnection(func(s *socketio.Socket) {
			s.Join("room")
			s.On("who", func(_ context.Context, m *socketio.Message) error { return m.Ack(s.Namespace().Name()) })
			joined <- s
		})
	}
	p := st.join()
	p.join("/a", "")
	p.join("/b", "")
	for range 3 {
		receive(t, joined)
	}
	p.send(`42/b,5["who"]`)
	p.expect(`43/b,5["/b"]`)
	a.To("room").Emit("ev")
	p.expect(`42/a,["ev"]`)
	b.Emit("ev")
	p.expect(`42/b,["ev"]`)
	st.io.Emit("ev")
	p.expect(`42["ev"]`)
	p.send("41/a,")
	p.send(`42/b,6["who"]`)
	p.expect(`43/b,6["/b"]`)
	if a.Len() != 0 || b.Len() != 1 {
		t.Errorf("%d in a, %d in b", a.Len(), b.Len())
	}
}

func TestOrderOfUnicastBroadcastAndDisconnect(t *testing.T) {
	for _, recovery := range []*socketio.RecoveryOptions{nil, {}} {
		st, peers, s := crowd(t, &socketio.Options{Recovery: recovery}, 1)
		s[0].Join("room")
		for i := range 300 {
			switch i % 4 {
			case 0:
				s[0].Emit("n", i)
			case 1:
				st.io.Emit("n", i)
			case 2:
				st.io.To("room").Emit("n", i)
			case 3:
				st.io.To(s[0].ID(), "room").Emit("n", i)
			}
		}
		s[0].Disconnect(false)
		for i := range 300 {
			want := fmt.Sprintf(`42["n",%d`, i)
			if got := peers[0].next(); got[:len(want)] != want {
				t.Fatalf("received %s, want %s…", got, want)
			}
		}
		peers[0].expect("41")
	}
}

func TestHandlersRunInOrder(t *testing.T) {
	st := serve(t, nil)
	got := make(chan int, 1000)
	var running sync.Mutex
	st.io.OnConnection(func(s *socketio.Socket) {
		time.Sleep(time.Millisecond) // events wait for the connection listener
		s.On("n", func(_ context.Context, m *socketio.Message) error {
			if !running.TryLock() {
				t.Error("two handlers at a time")
			}
			defer running.Unlock()
			var n int
			err := m.Bind(&n)
			got <- n
			return err
		})
	})
	p := st.join()
	for i := range 1000 {
		p.send(fmt.Sprintf(`42["n",%d]`, i))
	}
	for i := range 1000 {
		if n := receive(t, got); n != i {
			t.Fatalf("event %d came as number %d", n, i)
		}
	}
}

func TestEventsBeforeADisconnectAreHandled(t *testing.T) {
	st := serve(t, nil)
	release := make(chan struct{})
	var handled []int
	done := make(chan []int, 2)
	st.io.OnConnection(func(s *socketio.Socket) {
		s.On("n", func(_ context.Context, m *socketio.Message) error {
			<-release
			var n int
			err := m.Bind(&n)
			handled = append(handled, n)
			return err
		})
		s.OnDisconnect(func(socketio.Reason, error) { done <- handled })
	})
	p := st.join()
	p.send(`42["n",1]`)
	p.send(`42["n",2]`)
	p.send("41")
	p.join("/", "")
	close(release)
	if got := receive(t, done); !slices.Equal(got, []int{1, 2}) {
		t.Errorf("handled %v", got)
	}
}

func TestEventsAfterAServerDisconnectAreDropped(t *testing.T) {
	st := serve(t, nil)
	arrived := make(chan struct{})
	done := make(chan int, 2)
	st.io.OnConnection(func(s *socketio.Socket) {
		handled := 0
		s.On("n", func(_ context.Context, m *socketio.Message) error {
			handled++
			<-arrived
			s.Disconnect(false)
			return nil
		})
		s.OnDisconnect(func(socketio.Reason, error) { done <- handled })
	})
	p := st.join()
	other := st.io.Of("/other")
	_ = other
	p.send(`42["n"]`)
	p.send(`42["n"]`)
	p.join("/other", "") // the read path is past both events
	close(arrived)
	if n := receive(t, done); n != 1 {
		t.Errorf("%d events were handled", n)
	}
}
