package sockeyetest_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sockeye-io/sockeye/client"
	"github.com/sockeye-io/sockeye/event"
	"github.com/sockeye-io/sockeye/socketio"
	"github.com/sockeye-io/sockeye/sockeyetest"
)

func TestPickingLeavesTheOthers(t *testing.T) {
	both(t, func(t *testing.T) {
		io := socketio.NewServer(nil)
		srv := sockeyetest.Start(t, io)
		ada := srv.Connect(t, "/")
		for i, name := range []string{"a", "b", "a", "c", "b"} {
			io.Emit(name, i)
		}
		if e := ada.NextOf(t, "b"); e.Args[0] != 1.0 || e.Message().Event() != "b" {
			t.Errorf("%v", e)
		}
		ada.ExpectEventually(t, "a", 2)
		ada.Expect(t, "a", 0)
		ada.Ignore("b")
		ada.Expect(t, "c", 3)
		io.Emit("b", 5)
		ada.ExpectNone(t)
	})
}

// Those who wait are woken by what comes later.
func TestWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		io := socketio.NewServer(nil)
		srv := sockeyetest.Start(t, io)
		ada := srv.Connect(t, "/")
		for i := range 10 {
			time.AfterFunc(time.Duration(i)*5*time.Minute, func() { io.Emit("n", i) })
		}
		ada.ExpectEventually(t, "n", 5)
		ada.ExpectSet(t, sockeyetest.E("n", 0), sockeyetest.E("n", 2), sockeyetest.E("n", 1))
		ada.ExpectSet(t, sockeyetest.E("n", 4), sockeyetest.E("n", 3), sockeyetest.E("n", 6))
		if e := ada.NextOf(t, "n"); e.Args[0] != 7.0 || time.Since(e.At) != 0 {
			t.Errorf("%v of %v ago", e, time.Since(e.At))
		}
	})
}

func TestMsgpack(t *testing.T) {
	both(t, func(t *testing.T) {
		srv := sockeyetest.Start(t, room(&socketio.Options{Format: socketio.Msgpack}))
		packed := sockeyetest.Configure(func(o *client.Options) { o.Format = client.Msgpack })
		ada, bob := srv.Connect(t, "/", packed), srv.Connect(t, "/", packed)
		ada.MustEmit(t, "say", "Ada", "Hello")
		bob.Expect(t, "said", line{"Ada", "Hello"})
		bob.Peer(t).Emit("binary", map[string]any{"a": []byte{1, 2}, "n": 1.5})
		bob.Expect(t, "binary", map[string]any{"a": []byte{1, 2}, "n": 1.5})
		bob.ExpectNone(t)
	})
}

func TestDial(t *testing.T) {
	both(t, func(t *testing.T) {
		srv := sockeyetest.Start(t, room(nil))
		conn, err := srv.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "GET /socket.io/?EIO=3&transport=polling HTTP/1.0\r\n\r\n")
		status, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil || !strings.Contains(status, "400") {
			t.Errorf("%q, %v", status, err)
		}
	})
}

// A logTB keeps what is logged.
type logTB struct {
	testing.TB
	mu  sync.Mutex
	log strings.Builder
}

func (l *logTB) Logf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range args {
		if text, ok := a.([]byte); ok {
			l.log.Write(text)
		}
	}
}

func TestPanicsAreLogged(t *testing.T) {
	l := &logTB{TB: t}
	srv := sockeyetest.Start(l, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("in the handler") }))
	if _, err := srv.HTTP().Get(srv.URL()); err == nil {
		t.Error("a panic is answered")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !strings.Contains(l.log.String(), "in the handler") {
		t.Errorf("the log says %q", l.log.String())
	}
}

// Errors of the client's own handlers are in the history, and don't fail a test by themselves.
func TestHandlersOfTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		io := socketio.NewServer(nil)
		srv := sockeyetest.Start(t, io)
		ada := srv.Connect(t, "/", sockeyetest.Named("Ada"))
		ada.On("n", func(context.Context, *event.Message) error { return event.Errorf("odd", "it is odd") })
		io.Emit("n", 1)
		ada.Expect(t, "n", 1)
		expectText(t, failing(t, func(t testing.TB) { ada.Next(t) }), `
Ada in /: no event came
    connection  connected over websocket, id ID
    history     +0s       connect websocket
                +0s       connected as ID
                +0s       received n(1)
                +0s       error: it is odd (odd)`)
	})
}

func TestBadOptions(t *testing.T) {
	srv := sockeyetest.Start(t, room(nil))
	said := failing(t, func(t testing.TB) { srv.Connect(t, "/", sockeyetest.Transports("pigeon")) })
	if !strings.Contains(said, "pigeon") {
		t.Error(said)
	}
	said = failing(t, func(t testing.TB) { srv.Connect(t, "/").MustEmit(t, "n", make(chan int)) })
	if !strings.Contains(said, `can't emit n: cannot encode argument 0 of event "n"`) {
		t.Error(said)
	}
	said = failing(t, func(t testing.TB) { srv.Connect(t, "/").Expect(t, "n", make(chan int)) })
	if !strings.Contains(said, "the expected event can't be sent") {
		t.Error(said)
	}
	defer func() {
		if v := recover(); v != `sockeyetest: "home" is no IP address` {
			t.Errorf("%v", v)
		}
	}()
	srv.Client(t, "/", sockeyetest.Address("home"))
}
