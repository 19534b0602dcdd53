package sockeyetest_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sockeye-io/sockeye/client"
	"github.com/sockeye-io/sockeye/client/engine"
	"github.com/sockeye-io/sockeye/engineio"
	"github.com/sockeye-io/sockeye/event"
	"github.com/sockeye-io/sockeye/socketio"
	"github.com/sockeye-io/sockeye/sockeyetest"
)

// soon lets tests outside of a bubble reconnect without much waiting.
var soon = sockeyetest.Configure(func(o *client.Options) { o.Reconnect.Delay = time.Millisecond })

func TestCut(t *testing.T) {
	both(t, func(t *testing.T) {
		srv := sockeyetest.Start(t, room(nil))
		ada := srv.Connect(t, "/", soon)
		bob := srv.Connect(t, "/")
		id := ada.ID()
		ada.Cut()
		if err := ada.ExpectDisconnect(t, client.ReasonTransportError); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("disconnected for %v", err)
		}
		if recovered := ada.ExpectConnect(t); recovered || ada.ID() == id {
			t.Errorf("recovered: %v", recovered)
		}
		bob.MustEmit(t, "say", "Bob", "Hi") // he was not cut
		ada.Expect(t, "said", line{"Bob", "Hi"})
	})
}

func TestCutPolling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, over := range []string{"polling", "streaming"} {
			srv := sockeyetest.Start(t, room(nil))
			ada := srv.Connect(t, "/", sockeyetest.Transports(over))
			for _, cut := range []func(){ada.Cut, srv.Cut, ada.Offline} {
				synctest.Wait() // until its next request has begun
				cut()
				ada.ExpectDisconnect(t, client.ReasonTransportError)
				ada.Online()
				ada.ExpectConnect(t)
			}
		}
	})
}

func TestServerCut(t *testing.T) {
	both(t, func(t *testing.T) {
		srv := sockeyetest.Start(t, room(nil))
		ada, bob := srv.Connect(t, "/", soon), srv.Connect(t, "/", soon)
		srv.Cut()
		for _, c := range []*sockeyetest.Client{ada, bob} {
			c.ExpectDisconnect(t, client.ReasonTransportError)
			c.ExpectConnect(t)
		}
	})
}

// A connection that is frozen is found out by heartbeats: 25 s and 20 s, which on the fake clock take no time.
func TestFreeze(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		io := room(nil)
		var left socketio.Reason
		io.OnConnection(func(s *socketio.Socket) {
			s.OnDisconnect(func(r socketio.Reason, _ error) { left = r })
		})
		srv := sockeyetest.Start(t, io)
		ada := srv.Connect(t, "/")
		began := time.Now()
		ada.Freeze()
		ada.ExpectDisconnect(t, client.ReasonPingTimeout)
		if took := time.Since(began); took < 25*time.Second || took > 50*time.Second {
			t.Errorf("the client noticed after %v", took)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if left != socketio.ReasonPingTimeout {
			t.Errorf("the server let the client go for %q", left)
		}
		ada.Thaw()
		ada.ExpectConnect(t)
	})
}

func TestThawInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := sockeyetest.Start(t, room(nil))
		ada, bob := srv.Connect(t, "/"), srv.Connect(t, "/")
		ada.Freeze()
		bob.MustEmit(t, "say", "Bob", "Are you there?")
		ada.ExpectNone(t)
		time.Sleep(10 * time.Second)
		ada.Thaw()
		ada.Expect(t, "said", line{"Bob", "Are you there?"})
	})
}

func TestOfflineAndDown(t *testing.T) {
	both(t, func(t *testing.T) {
		srv := sockeyetest.Start(t, room(nil))
		ada := srv.Connect(t, "/", soon)
		for _, f := range []struct{ off, on func() }{{ada.Offline, ada.Online}, {srv.Down, srv.Up}} {
			f.off()
			ada.ExpectDisconnect(t, client.ReasonTransportError)
			if err := ada.ExpectConnectError(t); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("%v", err)
			}
			ada.MustEmit(t, "say", "Ada", "Hello?")
			f.on()
			ada.Client().RetryNow()
			ada.ExpectConnect(t)
		}
	})
}

func TestRestart(t *testing.T) {
	both(t, func(t *testing.T) {
		srv := sockeyetest.Start(t, room(nil))
		ada := srv.Connect(t, "/", soon)
		io := room(nil)
		greeted := 0
		io.OnConnection(func(s *socketio.Socket) { greeted++; _ = s.Emit("welcome back") })
		srv.Restart(t, io)
		ada.ExpectDisconnect(t, client.ReasonTransportClose)
		ada.ExpectConnect(t)
		ada.Expect(t, "welcome back")
		ada.ExpectNone(t)
		if ada.Peer(t).Namespace().Server() != io || greeted != 1 {
			t.Error("it is the old server")
		}
	})
}

func TestRecovery(t *testing.T) {
	both(t, func(t *testing.T) {
		io := room(&socketio.Options{Recovery: &socketio.RecoveryOptions{}})
		srv := sockeyetest.Start(t, io)
		ada := srv.Connect(t, "/", soon)
		io.Emit("news", 1)
		ada.Expect(t, "news", 1)
		id := ada.ID()
		ada.Offline()
		ada.ExpectDisconnect(t, client.ReasonTransportError)
		io.Emit("news", 2, "of text")
		ada.Online()
		ada.Client().RetryNow()
		if recovered := ada.ExpectConnect(t); !recovered || ada.ID() != id {
			t.Errorf("recovered: %v", recovered)
		}
		ada.Expect(t, "news", 2, "of text")
		ada.ExpectNone(t)

		srv.Restart(t, io) // keeps what it knows
		ada.ExpectDisconnect(t, client.ReasonTransportClose)
		if !ada.ExpectConnect(t) {
			t.Error("not recovered after the HTTP server was killed")
		}
	})
}

// Behind a client that does not read, the server's outbox fills up.
func TestSlowReaderIsLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		io := room(&socketio.Options{Engine: engineio.Options{
			Outbox: engineio.OutboxOptions{MaxBytes: 100_000},
			Logger: slog.New(slog.DiscardHandler),
		}})
		srv := sockeyetest.Start(t, io)
		ada := srv.Connect(t, "/")
		peer := ada.Peer(t)
		reason := make(chan socketio.Reason, 1)
		peer.OnDisconnect(func(r socketio.Reason, _ error) { reason <- r })
		ada.Freeze()
		for peer.Connected() {
			_ = peer.Emit("blob", make([]byte, 10_000))
		}
		if r := <-reason; r != socketio.ReasonOutboxFull {
			t.Errorf("let go for %q", r)
		}
	})
}

func TestRefused(t *testing.T) {
	both(t, func(t *testing.T) {
		io := room(nil)
		io.Use(func(ctx context.Context, s *socketio.Socket) error {
			var auth struct{ Token string }
			if err := s.Auth(&auth); err != nil {
				return err
			}
			if auth.Token != "secret" {
				return &socketio.ConnectError{Message: "wrong token", Data: map[string]int{"code": 7}}
			}
			return nil
		})
		srv := sockeyetest.Start(t, io)
		refused := srv.Client(t, "/", sockeyetest.Auth(map[string]string{"token": "guess"})).ExpectRefused(t)
		var data struct{ Code int }
		if err := refused.Bind(&data); refused.Message != "wrong token" || data.Code != 7 || err != nil {
			t.Errorf("%+v, %+v, %v", refused, data, err)
		}
		srv.Connect(t, "/", sockeyetest.Auth(map[string]string{"token": "secret"}))
		if refused := srv.Client(t, "/nowhere").ExpectRefused(t); refused.Message != "Invalid namespace" {
			t.Errorf("%+v", refused)
		}
	})
}

func TestRequests(t *testing.T) {
	both(t, func(t *testing.T) {
		var from, agent, cookie, query string
		io := socketio.NewServer(&socketio.Options{Engine: engineio.Options{
			AllowRequest: func(r *http.Request) error {
				if r.Header.Get("X-Key") == "" {
					return errors.New("no key")
				}
				return nil
			},
		}})
		io.OnConnection(func(s *socketio.Socket) {
			h := s.Handshake()
			from, agent, cookie, query = h.RemoteAddr(), h.Get("X-Key"), h.Get("Cookie"), h.Query().Get("v")
		})
		srv := sockeyetest.Start(t, io)
		srv.Connect(t, "/", sockeyetest.Header("X-Key", "k"), sockeyetest.Query("v", "3"), sockeyetest.Address("203.0.113.9"),
			sockeyetest.Cookie(&http.Cookie{Name: "session", Value: "s"}), sockeyetest.Transports("polling"))
		srv.Settle(t)
		if from[:12] != "203.0.113.9:" || agent != "k" || cookie != "session=s" || query != "3" {
			t.Errorf("%q, %q, %q, %q", from, agent, cookie, query)
		}

		err := srv.Client(t, "/").ExpectConnectError(t)
		if refused, ok := errors.AsType[*engine.RefusedError](err); !ok || refused.Status != http.StatusForbidden {
			t.Errorf("%v", err)
		}
	})
}

func TestNamespaces(t *testing.T) {
	both(t, func(t *testing.T) {
		io := room(nil)
		io.Of("/admin").OnConnection(func(s *socketio.Socket) { s.Join("staff") })
		srv := sockeyetest.Start(t, io)
		user := srv.Connect(t, "/")
		admin := user.ConnectTo(t, "/admin")
		srv.Settle(t)
		if admin.Client() != user.Client() || !slices.Contains(admin.Peer(t).Rooms(), "staff") {
			t.Errorf("in the rooms %v", admin.Peer(t).Rooms())
		}
		io.Of("/admin").To("staff").Emit("alert")
		admin.Expect(t, "alert")
		user.ExpectNone(t)
		user.Peer(t).Disconnect(false)
		user.ExpectDisconnect(t, client.ReasonServerDisconnect)
		if admin.ExpectNone(t); !admin.Connected() {
			t.Error("the other namespace is left, too")
		}
	})
}

func TestAnswers(t *testing.T) {
	both(t, func(t *testing.T) {
		io := socketio.NewServer(nil)
		srv := sockeyetest.Start(t, io)
		ada := srv.Connect(t, "/")
		peer := ada.Peer(t)
		ask := func() chan string {
			answer := make(chan string, 1)
			go func() {
				ack, err := peer.EmitWithAck(t.Context(), "name?")
				var name string
				if err == nil {
					err = ack.Bind(&name)
				}
				if err != nil {
					name = err.Error()
				}
				answer <- name
			}()
			return answer
		}
		// By hand, when the test likes.
		answer := ask()
		if err := ada.Next(t).Ack("Ada"); err != nil {
			t.Fatal(err)
		}
		if name := <-answer; name != "Ada" {
			t.Errorf("%q", name)
		}
		// By itself.
		sub := ada.Answer("name?", "Eva")
		if name := <-ask(); name != "Eva" {
			t.Errorf("%q", name)
		}
		sub.Close()
		ada.Expect(t, "name?")
		ada.ExpectNone(t)
	})
}

// The server is told to a client by its handler, also when it is only a part of it.
func TestMux(t *testing.T) {
	both(t, func(t *testing.T) {
		io := socketio.NewServer(nil)
		mux := http.NewServeMux()
		mux.Handle("/socket.io/", io)
		mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
			http.SetCookie(w, &http.Cookie{Name: "user", Value: "ada", Path: "/"})
			_ = io.Emit("login", "ada")
		})
		srv := sockeyetest.Start(t, mux, io)
		c := srv.Connect(t, "/")
		browser := srv.HTTP()
		res, err := browser.Post(srv.URL()+"/login", "", nil)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		c.Expect(t, "login", "ada")
		c = srv.Connect(t, "/", sockeyetest.Jar(browser.Jar))
		if cookie := c.Peer(t).Handshake().Get("Cookie"); cookie != "user=ada" {
			t.Errorf("the cookie is %q", cookie)
		}
	})
}

// A program that brings its own client is given options.
func TestOptions(t *testing.T) {
	both(t, func(t *testing.T) {
		io := room(nil)
		srv := sockeyetest.Start(t, io)
		program := func(ctx context.Context, url string, opts *client.Options) (int, error) {
			s, err := client.Dial(ctx, url, opts)
			if err != nil {
				return 0, err
			}
			defer s.Client().Close()
			return add.Call(ctx, s, []int{20, 22})
		}
		if sum, err := program(t.Context(), srv.URL(), srv.Options()); sum != 42 || err != nil {
			t.Errorf("%d, %v", sum, err)
		}
	})
}

// What a handler's goroutine does later is found in a bubble, whenever it happens.
func TestTimers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		io := socketio.NewServer(nil)
		io.OnConnection(func(s *socketio.Socket) {
			s.On("remind me", func(_ context.Context, m *event.Message) error {
				time.AfterFunc(10*time.Minute, func() { _ = s.Emit("reminder") })
				return nil
			})
		})
		srv := sockeyetest.Start(t, io)
		ada := srv.Connect(t, "/")
		ada.MustEmit(t, "remind me")
		began := time.Now()
		time.Sleep(10*time.Minute - time.Nanosecond)
		ada.ExpectNone(t)
		ada.Expect(t, "reminder")
		if took := time.Since(began); took != 10*time.Minute {
			t.Errorf("after %v", took)
		}
	})
}
