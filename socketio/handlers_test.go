package socketio_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"testing"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/event"
	"github.com/sockeye-io/sockeye/socketio"
)

// One handler serves all sockets of a namespace, before the listeners of the socket and after its middlewares.
func TestSharedHandlers(t *testing.T) {
	st := serve(t, nil)
	ran := make(chan string, 20)
	note := func(who string) socketio.Handler {
		return func(ctx context.Context, m *socketio.Message) error {
			s, ok := socketio.FromContext(ctx)
			ran <- fmt.Sprint(who, " ", ok && s.Connected(), " ", string(m.Raw(0)))
			return nil
		}
	}
	st.io.OnConnection(func(s *socketio.Socket) {
		s.On("say", note("socket"))
		s.OnAny(note("any"))
		s.Use(func(_ context.Context, m *socketio.Message) error {
			if string(m.Raw(0)) == "13" {
				return errors.New("no")
			}
			return nil
		})
	})
	first := st.io.On("say", note("first"))
	a, b := st.join(), st.join()
	second := st.io.Of("/").On("say", note("second")) // for sockets that are there already, too
	st.io.On("end", note("end"))
	expect := func(want ...string) {
		t.Helper()
		var got []string
		for range want {
			got = append(got, receive(t, ran))
		}
		if !slices.Equal(got, want) {
			t.Errorf("ran %q, want %q", got, want)
		}
	}
	for _, p := range []*peer{a, b} {
		p.send(`42["say",1]`)
		expect("any true 1", "first true 1", "second true 1", "socket true 1")
	}
	a.send(`42["say",13]`)
	a.send(`42["end"]`)
	expect("any true 13", "any true ", "end true ")
	first.Close()
	first.Close()
	a.send(`42["say",2]`)
	expect("any true 2", "second true 2", "socket true 2")
	second.Close()
	a.send(`42["say",3]`)
	expect("any true 3", "socket true 3")
}

var double = event.NewCall[int, int]("double")

func TestSharedHandlerAnswers(t *testing.T) {
	st := serve(t, nil)
	failures := make(chan error, 10)
	st.io.OnConnection(func(s *socketio.Socket) { s.OnError(func(err error) { failures <- err }) })
	double.On(st.io, func(_ context.Context, n int) (int, error) {
		if n > 100 {
			panic("too much")
		}
		if n < 0 {
			return 0, event.Errorf("negative", "no")
		}
		return 2 * n, nil
	})
	p := st.join()
	p.send(`421["double",21]`)
	p.expect(`431[42]`)
	p.send(`422["double",-1]`)
	if got := p.next(); got != `432[{"error":{"code":"negative","message":"no"}}]` {
		t.Error(got)
	}
	receive(t, failures)
	p.send(`423["double",101]`)
	p.next()
	if p, ok := errors.AsType[*socketio.PanicError](receive(t, failures)); !ok || p.Value != "too much" {
		t.Error(p)
	}
}

func TestSharedHandlersOfParent(t *testing.T) {
	st := serve(t, nil)
	rooms := st.io.OfRegexp(regexp.MustCompile(`^/r\d$`))
	p := st.connect()
	p.join("/r1", "")
	reply := func(text string) socketio.Handler {
		return func(ctx context.Context, _ *socketio.Message) error {
			s, _ := socketio.FromContext(ctx)
			return s.Emit(text, s.Namespace().Name())
		}
	}
	all := rooms.On("who", reply("parent"))
	st.io.Of("/r1").On("who", reply("child"))
	st.io.On("who", reply("root"))
	p.join("/r2", "")
	p.send(`42/r1,["who"]`)
	p.expect(`42/r1,["parent","/r1"]`)
	p.expect(`42/r1,["child","/r1"]`)
	p.send(`42/r2,["who"]`)
	p.expect(`42/r2,["parent","/r2"]`)
	all.Close()
	p.send(`42/r2,["who"]`)
	p.send(`42/r1,["who"]`)
	p.expect(`42/r1,["child","/r1"]`)
}

func TestSharedHandlerNames(t *testing.T) {
	io := socketio.NewServer(nil)
	defer io.Close()
	for _, name := range []string{"connection", "connect", "disconnect", "disconnecting"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%q was accepted", name)
				}
			}()
			io.On(name, func(context.Context, *socketio.Message) error { return nil })
		}()
	}
}

func TestCounting(t *testing.T) {
	st := serve(t, nil)
	sockets := make(chan *socketio.Socket, 3)
	st.io.OnConnection(func(s *socketio.Socket) { sockets <- s })
	var ids []string
	var peers []*peer
	for i := range 3 {
		peers = append(peers, st.join())
		s := receive(t, sockets)
		ids = append(ids, s.ID())
		if i < 2 {
			s.Join("room")
		}
	}
	ns := st.io.Of("/")
	if a, b, c := st.io.RoomLen("room"), ns.RoomLen(ids[2]), ns.RoomLen("none"); a != 2 || b != 1 || c != 0 {
		t.Errorf("RoomLen %d, %d, %d", a, b, c)
	}
	var got []string
	for s := range st.io.All() {
		got = append(got, s.ID())
	}
	slices.Sort(got)
	want := slices.Sorted(slices.Values(ids))
	if !slices.Equal(got, want) {
		t.Errorf("All: %q, want %q", got, want)
	}
	n := 0
	for s := range ns.All() { // the loop may do anything
		n++
		for other := range ns.All() {
			if other != s {
				other.Disconnect(true)
			}
		}
	}
	if n != 1 || ns.Len() != 1 || ns.RoomLen("room") > 1 {
		t.Errorf("%d iterations, %d left", n, ns.Len())
	}
	for range ns.All() {
		break
	}
	for _, p := range peers {
		p.close()
	}
}

// What is emitted by OnClose still goes through the adapter.
func TestOnClose(t *testing.T) {
	var hub hubWithLog
	io := socketio.NewServer(&socketio.Options{Adapter: hub.adapter})
	io.OnClose(func() { panic("one") })
	io.OnClose(func() { hub.log = append(hub.log, fmt.Sprint("emit ", io.ServerSideEmit("bye"))) })
	gone := io.OnClose(func() { t.Error("removed, and called") })
	gone.Close()
	io.Close()
	io.Close()
	if want := []string{"emit <nil>", "close"}; !slices.Equal(hub.log, want) {
		t.Errorf("%q, want %q", hub.log, want)
	}
}

type hubWithLog struct {
	adapter.Hub
	log []string
}

type loggedAdapter struct {
	adapter.Adapter
	hub *hubWithLog
}

func (h *hubWithLog) adapter(host adapter.Host) adapter.Adapter {
	return loggedAdapter{h.Hub.Adapter(host), h}
}

func (a loggedAdapter) Close() error {
	a.hub.log = append(a.hub.log, "close")
	return a.Adapter.Close()
}
