package sockeyetest_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sockeye-io/sockeye/client"
	"github.com/sockeye-io/sockeye/event"
	"github.com/sockeye-io/sockeye/socketio"
	"github.com/sockeye-io/sockeye/sockeyetest"
)

// relay passes a number on until it is 0, from client to client, by way of their own handlers.
func relay(t *testing.T, srv *sockeyetest.Server, clients ...*sockeyetest.Client) {
	t.Helper()
	for _, c := range clients {
		c.On("pass", func(_ context.Context, m *event.Message) error {
			var n int
			if err := m.Bind(&n); err != nil {
				return err
			}
			return c.Emit("pass", n-1)
		})
	}
}

func relayServer() *socketio.Server {
	io := socketio.NewServer(nil)
	io.OnConnection(func(s *socketio.Socket) {
		s.On("pass", func(_ context.Context, m *event.Message) error {
			var n int
			if err := m.Bind(&n); err != nil {
				return err
			}
			if n == 0 {
				return s.Broadcast().Emit("done")
			}
			return s.Broadcast().Emit("pass", n)
		})
	})
	return io
}

func TestSettleFollowsWhatFollows(t *testing.T) {
	transports(t, func(t *testing.T, over sockeyetest.Option) {
		srv := sockeyetest.Start(t, relayServer())
		a, b := srv.Connect(t, "/", over), srv.Connect(t, "/", over)
		relay(t, srv, a, b)
		a.MustEmit(t, "pass", 20)
		srv.Settle(t)
		passed := len(a.Received(t)) + len(b.Received(t))
		if passed != 21 { // 20 times, and done
			t.Errorf("it was passed %d times", passed)
		}
		a.ExpectNone(t)
	})
}

func TestSettleWithRecoveryAndRetries(t *testing.T) {
	io := room(&socketio.Options{Recovery: &socketio.RecoveryOptions{}})
	srv := sockeyetest.Start(t, io)
	retries := sockeyetest.Configure(func(o *client.Options) { o.Retries = 2 })
	a, b := srv.Connect(t, "/", retries), srv.Connect(t, "/", retries)
	for range 3 {
		srv.Settle(t)
		io.Emit("news")
		a.Expect(t, "news")
		b.Expect(t, "news")
	}
	a.ExpectNone(t)
}

func TestSettleSaysWhoKeepsItBusy(t *testing.T) {
	srvIO := room(nil)
	began, release := make(chan struct{}), make(chan struct{})
	srvIO.OnConnection(func(s *socketio.Socket) {
		s.On("wait", func(context.Context, *event.Message) error { close(began); <-release; return nil })
	})
	said := failing(t, func(t testing.TB) {
		srv := sockeyetest.Start(t, srvIO)
		c := srv.Connect(t, "/")
		c.MustEmit(t, "wait")
		<-began
		patience := srv.Patience
		srv.Patience = 100 * time.Millisecond
		t.Cleanup(func() { srv.Patience = patience; close(release) })
		c.ExpectNone(t)
	})
	if !strings.Contains(said, "does not come to rest: a handler of the client's socket has not returned") {
		t.Error(said)
	}
}

func TestSettleGivesUpOnEndlessTalk(t *testing.T) {
	said := failing(t, func(tb testing.TB) {
		srv := sockeyetest.Start(tb, relayServer())
		a, b := srv.Connect(tb, "/"), srv.Connect(tb, "/")
		relay(t, srv, a, b)
		a.MustEmit(tb, "pass", -1)
		srv.Settle(tb)
	})
	if !strings.Contains(said, "answering each other for ever") {
		t.Error(said)
	}
}

func TestSettleNeedsTheServer(t *testing.T) {
	said := failing(t, func(t testing.TB) {
		mux := http.NewServeMux()
		mux.Handle("/socket.io/", room(nil))
		sockeyetest.Start(t, mux).Settle(t)
	})
	if !strings.Contains(said, "must be told which *socketio.Server is in the handler") {
		t.Error(said)
	}
}

// In a bubble the server needs not be known.
func TestUnknownServerInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hidden := room(nil)
		srv := sockeyetest.Start(t, http.HandlerFunc(hidden.ServeHTTP))
		t.Cleanup(func() { hidden.Close() })
		a, b := srv.Connect(t, "/"), srv.Connect(t, "/")
		a.MustEmit(t, "say", "A", "Hi")
		a.ExpectNone(t)
		if got := b.Received(t); len(got) != 1 {
			t.Errorf("%v", got)
		}
	})
}

func TestComplainsOfHandlersThatDoNotReturn(t *testing.T) {
	began, release := make(chan struct{}), make(chan struct{})
	srvIO := socketio.NewServer(nil)
	srvIO.OnConnection(func(s *socketio.Socket) {
		s.On("wait", func(context.Context, *event.Message) error {
			close(began)
			<-release
			return nil
		})
	})
	mux := http.NewServeMux()
	mux.Handle("/socket.io/", srvIO)
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		<-release
	})
	said := failing(t, func(t testing.TB) {
		srv := sockeyetest.Start(t, mux, srvIO)
		c := srv.Connect(t, "/")
		c.MustEmit(t, "wait")
		<-began
		res, err := srv.HTTP().Get(srv.URL() + "/slow")
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		srv.Patience = 50 * time.Millisecond
	})
	close(release)
	for _, want := range []string{
		"handlers of the Socket.IO server have not returned:\ngoroutine",
		"TestComplainsOfHandlersThatDoNotReturn.func1.1", // is on the stack
		"a handler of GET /slow that has not returned",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not in\n%s", want, said)
		}
	}
}

func TestComplainsOfConnectionsThatStayOpen(t *testing.T) {
	var kept io.Closer
	said := failing(t, func(t testing.TB) {
		srv := sockeyetest.Start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			conn, rw, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Errorf("%v", err)
				return
			}
			kept = conn
			_, _ = rw.WriteString("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			_ = rw.Flush()
		}))
		res, err := srv.HTTP().Get(srv.URL())
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		srv.Patience = 50 * time.Millisecond
	})
	kept.Close()
	if !strings.Contains(said, "a connection from 127.0.0.1:40001 that is not closed") {
		t.Error(said)
	}
}

// A test may close what it likes itself.
func TestClosedEarly(t *testing.T) {
	both(t, func(t *testing.T) {
		srvIO := room(nil)
		srv := sockeyetest.Start(t, srvIO)
		c := srv.Connect(t, "/")
		srvIO.Close()
		c.ExpectDisconnect(t, client.ReasonTransportClose)
		c.Client().Close()
	})
}

// A polling session whose client was cut off would be kept for a while, and the test would wait for it.
func TestEndsAtOnce(t *testing.T) {
	for _, over := range []string{"websocket", "polling", "streaming"} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			t.Cleanup(func() {
				if took := time.Since(began); took > 0 {
					t.Errorf("%s: the end of the test takes %v", over, took)
				}
			})
			srv := sockeyetest.Start(t, room(nil))
			c := srv.Connect(t, "/", sockeyetest.Transports(over))
			c.Freeze()
			c.MustEmit(t, "say", "A", "Hello?")
		})
	}
}

func init() { slog.SetLogLoggerLevel(slog.LevelError) }
