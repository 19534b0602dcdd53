package socketio_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/sockeye-io/sockeye/engineio"
	"github.com/sockeye-io/sockeye/event"
	"github.com/sockeye-io/sockeye/socketio"
)

func TestListeners(t *testing.T) {
	st := serve(t, nil)
	got := make(chan string, 20)
	note := func(s string) socketio.Handler {
		return func(context.Context, *socketio.Message) error { got <- s; return nil }
	}
	st.io.OnConnection(func(s *socketio.Socket) {
		s.On("ev", note("first"))
		second := s.On("ev", note("second"))
		s.Once("ev", note("once"))
		s.OnAny(func(_ context.Context, m *socketio.Message) error { got <- "any " + m.Event(); return nil })
		s.On("stop", func(context.Context, *socketio.Message) error {
			second.Close()
			second.Close()
			return nil
		})
		s.On("end", note("end"))
	})
	p := st.join()
	for _, ev := range []string{"ev", "ev", "stop", "ev", "unheard", "end"} {
		p.send(`42["` + ev + `"]`)
	}
	want := "any ev,first,second,once,any ev,first,second,any stop,any ev,first,any unheard,any end,end"
	var all []string
	for range strings.Count(want, ",") + 1 {
		all = append(all, receive(t, got))
	}
	if s := strings.Join(all, ","); s != want {
		t.Errorf("called: %s\nwant:   %s", s, want)
	}
}

func TestSocketMiddlewares(t *testing.T) {
	st := serve(t, nil)
	got := make(chan string, 20)
	errs := make(chan error, 5)
	st.io.OnConnection(func(s *socketio.Socket) {
		s.OnError(func(err error) { errs <- err })
		s.OnAny(func(_ context.Context, m *socketio.Message) error { got <- "any"; return nil })
		s.Use(func(_ context.Context, m *socketio.Message) error { got <- "one"; return nil })
		sub := s.Use(func(_ context.Context, m *socketio.Message) error {
			if m.Event() == "bad" {
				return errors.New("not allowed")
			}
			return nil
		})
		s.On("bad", func(context.Context, *socketio.Message) error { got <- "bad"; return nil })
		s.On("good", func(context.Context, *socketio.Message) error { got <- "good"; return nil })
		s.On("open", func(context.Context, *socketio.Message) error { sub.Close(); return nil })
	})
	p := st.join()
	p.send(`421["bad"]`)
	p.expect(`431[{"error":{"code":"internal","message":"internal error"}}]`)
	if err := receive(t, errs); err.Error() != "not allowed" {
		t.Error(err)
	}
	p.send(`42["good"]`)
	p.send(`42["open"]`)
	p.send(`42["bad"]`)
	for _, want := range []string{"any", "one", "any", "one", "good", "any", "one", "any", "one", "bad"} {
		if s := receive(t, got); s != want {
			t.Fatalf("%q was called, want %q", s, want)
		}
	}
}

func TestOutgoingListeners(t *testing.T) {
	st, peers, s := crowd(t, nil, 2)
	var got []string
	sub := s[0].OnAnyOutgoing(func(m *socketio.Message) {
		args, err := m.Args()
		got = append(got, fmt.Sprint(m.Event(), args, err))
	})
	s[0].OnAnyOutgoing(func(*socketio.Message) { panic("boom") })
	st.io.Emit("all", 1, []byte("x"))
	s[0].Emit("one", "two")
	s[1].Emit("other")
	st.io.Except(s[0].ID()).Emit("others")
	want := []string{"all[1 [120]] <nil>", "one[two] <nil>"}
	if !slices.Equal(got, want) {
		t.Errorf("heard %q, want %q", got, want)
	}
	sub.Close()
	s[0].Emit("silent")
	if len(got) != 2 {
		t.Errorf("heard %q after Close", got)
	}
	peers[0].expect(`451-["all",1,{"_placeholder":true,"num":0}]`)
}

func TestNumbersOfListenersDontMatter(t *testing.T) {
	st := serve(t, nil)
	st.io.OnConnection(func(s *socketio.Socket) {
		for i := range 300 {
			s.On(fmt.Sprint("ev", i), func(_ context.Context, m *socketio.Message) error { return m.Ack(i) })
		}
	})
	p := st.join()
	p.send(`421["ev299"]`)
	p.expect(`431[299]`)
}

func TestContext(t *testing.T) {
	st := serve(t, nil)
	contexts := make(chan context.Context, 2)
	ended := make(chan error, 2)
	st.io.OnConnection(func(s *socketio.Socket) {
		s.On("wait", func(ctx context.Context, m *socketio.Message) error {
			contexts <- ctx
			derived, cancel := context.WithTimeout(ctx, time.Hour)
			defer cancel()
			<-derived.Done()
			ended <- derived.Err()
			return nil
		})
	})
	p := st.join()
	p.send(`42["wait"]`)
	ctx := receive(t, contexts)
	if s, ok := socketio.FromContext(ctx); !ok || s.ID() != p.sid || ctx.Err() != nil {
		t.Errorf("socket %v, error %v", s, ctx.Err())
	}
	if _, ok := socketio.FromContext(context.Background()); ok {
		t.Error("a socket in an empty context")
	}
	called := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { close(called) })
	never := context.AfterFunc(ctx, func() { t.Error("called after stop") })
	if !never() || never() {
		t.Error("stop")
	}
	p.close()
	if err := receive(t, ended); err != context.Canceled {
		t.Error(err)
	}
	receive(t, called)
	if stop() || ctx.Err() != context.Canceled {
		t.Error("the context did not end")
	}
	<-ctx.Done()
}

func TestVolatile(t *testing.T) {
	// With polling, a packet can leave only while a GET is pending.
	st := serve(t, nil)
	sockets := make(chan *socketio.Socket, 1)
	st.io.OnConnection(func(s *socketio.Socket) { sockets <- s })
	url := "http://" + st.host + "/socket.io/?EIO=4&transport=polling"
	hc := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(hc.CloseIdleConnections)
	do := func(method, url, body string) string {
		t.Helper()
		req, _ := http.NewRequest(method, url, strings.NewReader(body))
		res, err := hc.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		var sb strings.Builder
		buf := make([]byte, 4096)
		for {
			n, err := res.Body.Read(buf)
			sb.Write(buf[:n])
			if err != nil {
				return sb.String()
			}
		}
	}
	open := do("GET", url, "")
	sid := open[9:29]
	url += "&sid=" + sid
	do("POST", url, "40")
	s := receive(t, sockets)
	s.Volatile().Emit("lost")
	st.io.Volatile().Emit("lost too", []byte("with binary"))
	if _, err := s.Volatile().EmitWithAck(context.Background(), "lost"); err == nil {
		t.Error("a volatile event that was dropped was acknowledged")
	}
	s.Emit("kept")
	if got := do("GET", url, ""); strings.Contains(got, "lost") || !strings.Contains(got, "kept") {
		t.Errorf("received %q", got)
	}
	do("POST", url, "1")
}

func TestSlowClientIsDisconnected(t *testing.T) {
	st := serve(t, &socketio.Options{Engine: engineio.Options{Outbox: engineio.OutboxOptions{MaxBytes: 10_000}}})
	reasons := make(chan socketio.Reason, 1)
	sockets := make(chan *socketio.Socket, 1)
	st.io.OnConnection(func(s *socketio.Socket) {
		if s.Namespace().Len() == 1 {
			s.OnDisconnect(func(r socketio.Reason, _ error) { reasons <- r })
			sockets <- s
		}
	})
	slow := st.connect()
	slow.mu.Lock()
	slow.send("40") // and never reads: its reader waits for the lock
	s := receive(t, sockets)
	big := strings.Repeat("x", 5000)
	for i := 0; ; i++ {
		err := s.Emit("big", big)
		if err != nil {
			break
		}
		if i > 1_000_000 {
			t.Fatal("everything was taken")
		}
	}
	if r := receive(t, reasons); r != socketio.ReasonOutboxFull {
		t.Errorf("reason is %q", r)
	}
	slow.mu.Unlock()
}

func TestFastClientIsHeldBackThenDisconnected(t *testing.T) {
	t.Run("events", func(t *testing.T) {
		fastClient(t, socketio.Limits{MaxQueuedEvents: 4, QueueTimeout: 3 * time.Second})
	})
	t.Run("bytes", func(t *testing.T) { // of which an event counts about 200
		fastClient(t, socketio.Limits{MaxQueuedBytes: 1000, QueueTimeout: 3 * time.Second})
	})
}

func fastClient(t *testing.T, limits socketio.Limits) {
	synctest.Test(t, func(t *testing.T) {
		st, stop := serveInMemory(t, &socketio.Options{Limits: limits})
		release := make(chan struct{})
		got := make(chan int, 100)
		reasons := make(chan socketio.Reason, 2)
		st.io.OnConnection(func(s *socketio.Socket) {
			s.On("n", func(_ context.Context, m *socketio.Message) error {
				<-release
				var n int
				err := m.Bind(&n)
				got <- n
				return err
			})
			s.OnDisconnect(func(r socketio.Reason, _ error) { reasons <- r })
		})
		p := st.join()
		go func() {
			for i := range 20 {
				p.send(fmt.Sprintf(`42["n",%d]`, i))
			}
		}()
		time.Sleep(2 * time.Second) // less than QueueTimeout
		close(release)
		synctest.Wait()
		if len(got) != 20 {
			t.Errorf("%d events were handled", len(got))
		}
		release = make(chan struct{})
		p2 := st.join()
		go func() {
			for i := range 20 {
				p2.send(fmt.Sprintf(`42["n",%d]`, i))
			}
		}()
		time.Sleep(4 * time.Second)
		synctest.Wait()
		close(release)
		if r := <-reasons; r != socketio.ReasonQueueFull {
			t.Errorf("reason is %q", r)
		}
		p.close()
		p2.close()
		stop()
	})
}

func TestDynamicNamespaces(t *testing.T) {
	st := serve(t, &socketio.Options{CleanupEmptyNamespaces: true})
	made := make(chan string, 10)
	st.io.OnNewNamespace(func(*socketio.Namespace) { panic("boom") })
	st.io.OnNewNamespace(func(ns *socketio.Namespace) { made <- ns.Name() })
	joined := make(chan *socketio.Socket, 10)
	rooms := st.io.OfRegexp(regexp.MustCompile(`^/room-\d+$`))
	rooms.Use(func(_ context.Context, s *socketio.Socket) error {
		if s.Namespace().Name() == "/room-13" {
			return &socketio.ConnectError{Message: "unlucky"}
		}
		return nil
	})
	rooms.OnConnection(func(s *socketio.Socket) { joined <- s })
	users := st.io.OfFunc(func(_ context.Context, name string, auth jsontext.Value) (bool, error) {
		if name == "/panic" {
			panic("boom")
		}
		return strings.HasPrefix(name, "/user-") && string(auth) == `{"ok":true}`, nil
	})
	p := st.connect()
	p.join("/room-1", "")
	if s := receive(t, joined); s.Namespace().Name() != "/room-1" || receive(t, made) != "/room-1" {
		t.Error("wrong namespace")
	}
	p.join("/room-2", "")
	receive(t, joined)
	p.send("40/room-x,")
	p.expect(`44/room-x,{"message":"Invalid namespace"}`)
	p.send("40/room-13,")
	p.expect(`44/room-13,{"message":"unlucky"}`)
	p.send("40/panic,")
	p.expect(`44/panic,{"message":"Invalid namespace"}`)
	p.send("40/user-1,")
	p.expect(`44/user-1,{"message":"Invalid namespace"}`)
	p.join("/user-1", `{"ok":true}`)
	if len(users.Children()) != 1 {
		t.Errorf("%d children", len(users.Children()))
	}
	rooms.To("nobody").Emit("ev")
	rooms.Emit("ev", 1)
	a, b := p.next(), p.next()
	if a > b {
		a, b = b, a
	}
	if a != `42/room-1,["ev",1]` || b != `42/room-2,["ev",1]` {
		t.Errorf("received %q and %q", a, b)
	}
	if _, err := rooms.To("x").Sockets(context.Background()); err != socketio.ErrParentNamespace {
		t.Error(err)
	}
	// A namespace of a pattern that the program asks for is its child; so is one that was emptied and cleaned up.
	if ns := st.io.Of("/room-7"); !slices.Contains(rooms.Children(), ns) {
		t.Error("not a child")
	}
	one := st.io.Of("/room-1")
	p.send("41/room-1,")
	p.join("/room-3", "")
	if slices.Contains(rooms.Children(), one) {
		t.Error("an empty namespace is still there")
	}
	for _, ns := range rooms.Children() {
		if ns.Name() == "/room-13" {
			t.Error("a namespace that refused its only client is still there")
		}
	}
	p.join("/room-1", "")
	if st.io.Of("/room-1") == one {
		t.Error("the old namespace came back")
	}
}

// Clients join and leave a namespace that is cleaned up in between: none may end in a namespace that nobody finds.
func TestCleanupRace(t *testing.T) {
	st := serve(t, &socketio.Options{CleanupEmptyNamespaces: true})
	st.io.OfRegexp(regexp.MustCompile(`^/r$`))
	var wg sync.WaitGroup
	for range 6 {
		p := st.connect()
		wg.Go(func() {
			for range 100 {
				id := p.join("/r", "")
				if st.io.Of("/r").Socket(id) == nil {
					t.Errorf("%s is in no namespace", id)
				}
				p.send("41/r,")
			}
		})
	}
	wg.Wait()
}

func TestShutdownDrains(t *testing.T) {
	st := serve(t, nil)
	release := make(chan struct{})
	done := make(chan struct{})
	reasons := make(chan socketio.Reason, 1)
	st.io.OnConnection(func(s *socketio.Socket) {
		s.On("work", func(context.Context, *socketio.Message) error {
			<-release
			close(done)
			return nil
		})
		s.OnDisconnect(func(r socketio.Reason, _ error) { reasons <- r })
	})
	p := st.join()
	p.send(`42["work"]`)
	p.join2(t, st)
	st.io.Emit("last words")
	result := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
		defer cancel()
		err := st.io.Shutdown(ctx)
		result <- err
	}()
	p.expect(`42["last words"]`)
	p.expectClosed() // with no disconnect packet: stock clients would not reconnect after it
	if err := receive(t, result); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown returned %v while a handler was running", err)
	}
	close(release)
	receive(t, done)
	if r := receive(t, reasons); r != socketio.ReasonServerShutdown {
		t.Errorf("reason is %q", r)
	}
	if err := st.io.Shutdown(context.Background()); err != socketio.ErrServerClosed {
		t.Errorf("second Shutdown: %v", err)
	}
	if err := st.io.Close(); err != socketio.ErrServerClosed {
		t.Errorf("Close: %v", err)
	}
}

// join2 makes sure that the server has read what was sent before, by a round trip through the read path.
func (p *peer) join2(t *testing.T, st *site) {
	t.Helper()
	st.io.Of("/probe")
	p.join("/probe", "")
	p.send("41/probe,")
}

func TestShutdownWithNobody(t *testing.T) {
	st := serve(t, nil)
	if err := st.io.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestClosedServerRefuses(t *testing.T) {
	st := serve(t, nil)
	st.io.Close()
	res, err := http.Get("http://" + st.host + "/socket.io/?EIO=4&transport=polling")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusServiceUnavailable {
		t.Error(res.Status)
	}
	if err := st.io.Emit("nobody hears it"); err != nil {
		t.Error(err)
	}
}

// What a peer sends or is must not appear in the log.
func TestLogsHaveNoCredentials(t *testing.T) {
	var mu sync.Mutex
	var log strings.Builder
	w := writerFunc(func(b []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return log.Write(b)
	})
	st := serve(t, &socketio.Options{Logger: slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	st.io.Use(func(context.Context, *socketio.Socket) error { return errors.New("no") })
	p := st.connect("token=hunter2")
	p.send(`40{"token":"hunter2"}`)
	p.next()
	p.send(`42["hunter2"`)
	p.expectClosed()
	st.io.Close()
	mu.Lock()
	defer mu.Unlock()
	if strings.Contains(log.String(), "hunter2") {
		t.Errorf("the log tells: %s", log.String())
	}
	if log.Len() == 0 {
		t.Error("nothing was logged")
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

func TestPanicsStayInside(t *testing.T) {
	failed := make(chan error, 10)
	st := serve(t, &socketio.Options{OnError: func(_ *socketio.Socket, err error) {
		failed <- err
		panic("in OnError too")
	}})
	st.io.OnConnection(func(s *socketio.Socket) {
		s.OnDisconnecting(func(socketio.Reason) { panic("disconnecting") })
		s.OnDisconnect(func(socketio.Reason, error) { panic("disconnect") })
		s.On("x", func(context.Context, *socketio.Message) error { panic(errors.New("x")) })
		panic("connection")
	})
	p := st.join()
	p.send(`42["x"]`)
	p.send("41")
	for _, want := range []string{"connection", "x", "disconnecting", "disconnect"} {
		err := receive(t, failed)
		if e, ok := errors.AsType[*socketio.PanicError](err); !ok || fmt.Sprint(e.Value) != want {
			t.Errorf("%v, want a panic with %q", err, want)
		}
	}
	p.join("/", "") // and on it goes
}

// What sends and listens fits the contract of package event.
var (
	_ event.Listener   = (*socketio.Socket)(nil)
	_ event.Emitter    = (*socketio.Socket)(nil)
	_ event.Caller     = (*socketio.Socket)(nil)
	_ event.Emitter    = socketio.Emitter{}
	_ event.Caller     = socketio.Emitter{}
	_ event.Emitter    = socketio.Broadcast{}
	_ event.ManyCaller = socketio.Broadcast{}
	_ event.Emitter    = (*socketio.Namespace)(nil)
	_ event.ManyCaller = (*socketio.Namespace)(nil)
	_ event.Emitter    = (*socketio.Server)(nil)
	_ event.ManyCaller = (*socketio.Server)(nil)
	_ event.Emitter    = (*socketio.Parent)(nil)
	_ event.Listener   = (*socketio.Namespace)(nil)
	_ event.Listener   = (*socketio.Server)(nil)
	_ event.Listener   = (*socketio.Parent)(nil)
	_ event.Emitter    = (*socketio.RemoteSocket)(nil)
	_ event.Caller     = (*socketio.RemoteSocket)(nil)
)

func TestHandlersMayEndEverything(t *testing.T) {
	st := serve(t, nil)
	closed := make(chan error, 1)
	st.io.OnConnection(func(s *socketio.Socket) {
		s.On("close", func(context.Context, *socketio.Message) error {
			closed <- st.io.Close()
			return nil
		})
		s.On("leave", func(context.Context, *socketio.Message) error {
			s.Disconnect(true)
			s.Disconnect(false)
			return s.Emit("too late")
		})
	})
	p := st.join()
	p.send(`42["leave"]`)
	p.expect("41")
	p.expectClosed()
	st.join().send(`42["close"]`)
	if err := receive(t, closed); err != nil {
		t.Error(err)
	}
}

func TestDisconnectInConnectionListener(t *testing.T) {
	st := serve(t, nil)
	st.io.OnConnection(func(s *socketio.Socket) {
		s.Emit("bye")
		s.Disconnect(false)
	})
	p := st.join()
	p.expect(`42["bye"]`)
	p.expect("41")
}

func TestDataOf(t *testing.T) {
	st := serve(t, nil)
	type user struct{ name string }
	got := make(chan string, 1)
	st.io.OnConnection(func(s *socketio.Socket) {
		if _, ok := socketio.DataOf[user](s); ok {
			t.Error("there is none yet")
		}
		s.SetData(user{"coho"})
		if _, ok := socketio.DataOf[int](s); ok {
			t.Error("it is no int")
		}
		u, _ := socketio.DataOf[user](s)
		if err := s.Flush(s.Context()); err != nil {
			t.Error(err)
		}
		got <- u.name
	})
	st.join()
	if name := receive(t, got); name != "coho" {
		t.Errorf("got %q", name)
	}
}
