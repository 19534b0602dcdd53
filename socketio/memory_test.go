package socketio

import (
	"context"
	"runtime"
	"strconv"
	"testing"
	"unsafe"
)

// idleSockets makes n sockets as they are after the connect, with their connections but without the Engine.IO sessions
// below, which are not this package's to measure.
func idleSockets(n int, opts *Options, dress func(*Socket)) (*Server, []*connection) {
	srv := NewServer(opts)
	ns := srv.Of("/")
	conns := make([]*connection, n)
	for i := range conns {
		c := srv.accept(nil).(*connection)
		s := newSocket(ns, c, nil)
		ns.acquire()
		ns.addMember(s.m)
		c.entries = append(c.entries, entry{name: ns.name, state: entryJoined, s: s})
		c.stopTimer()
		s.state.Store(stateConnected)
		dress(s)
		conns[i] = c
	}
	return srv, conns
}

func heapFor(n int, opts *Options, dress func(*Socket)) int {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&before)
	srv, conns := idleSockets(n, opts, dress)
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(srv)
	runtime.KeepAlive(conns)
	return (int(after.HeapAlloc) - int(before.HeapAlloc)) / n
}

// The budget for what an idle socket takes here is 1.2 KB.
func TestIdleSocketMemory(t *testing.T) {
	const n, budget = 5000, 1200
	handler := func(context.Context, *Message) error { return nil }
	t.Logf("Socket %d, member %d, connection %d bytes", unsafe.Sizeof(Socket{}), unsafe.Sizeof(member{}), unsafe.Sizeof(connection{}))
	for _, tc := range []struct {
		name   string
		opts   *Options
		dress  func(*Socket)
		budget int
	}{
		{"bare", &Options{NoClient: true}, func(*Socket) {}, budget},
		{"with recovery", &Options{NoClient: true, Recovery: &RecoveryOptions{}}, func(*Socket) {}, budget},
		{"four listeners, two rooms", &Options{NoClient: true}, func(s *Socket) {
			for i := range 4 {
				s.On(strconv.Itoa(i), handler)
			}
			s.OnDisconnect(func(Reason, error) {})
			s.Join("all", "more")
		}, 2 * budget},
	} {
		got := heapFor(n, tc.opts, tc.dress)
		t.Logf("%s: %d bytes a socket", tc.name, got)
		if got > tc.budget {
			t.Errorf("%s: %d bytes a socket, budget %d", tc.name, got, tc.budget)
		}
	}
}
