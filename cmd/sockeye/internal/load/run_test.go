package load

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sockeye-io/sockeye/engineio"
	"github.com/sockeye-io/sockeye/event"
	"github.com/sockeye-io/sockeye/socketio"
)

// startServer serves what the scenarios of the tests need: echo, join, say, refusals.
func startServer(t *testing.T) (url string, io *socketio.Server, server *httptest.Server) {
	t.Helper()
	io = socketio.NewServer(&socketio.Options{Engine: engineio.Options{PingInterval: 5 * time.Second}})
	connected := func(s *socketio.Socket) {
		s.OnError(func(error) {})
		s.On("echo", func(_ context.Context, m *socketio.Message) error {
			args, err := m.Args()
			if err != nil {
				return err
			}
			return m.Ack(args...)
		})
		s.On("join", func(_ context.Context, m *socketio.Message) error {
			var room string
			if err := m.Bind(&room); err != nil {
				return err
			}
			s.Join(room)
			return m.Ack(map[string]string{"room": room})
		})
		s.On("say", func(_ context.Context, m *socketio.Message) error {
			var room string
			var what map[string]any
			if err := m.Bind(&room, &what); err != nil {
				return err
			}
			return s.Namespace().To(room).Emit("said", what)
		})
		s.On("fail", func(context.Context, *socketio.Message) error { return event.Errorf("not_today", "no") })
	}
	io.OnConnection(connected)
	chat := io.Of("/chat")
	chat.Use(func(_ context.Context, s *socketio.Socket) error {
		var auth struct {
			Token string `json:"token"`
		}
		if err := s.Auth(&auth); err != nil || !strings.HasPrefix(auth.Token, "good") {
			return event.Errorf("denied", "the token is wrong")
		}
		return nil
	})
	chat.OnConnection(connected)
	server = httptest.NewServer(io)
	t.Cleanup(func() {
		io.Close()
		server.Close()
	})
	return server.URL, io, server
}

// load runs a plan given as YAML against a server.
func loadServer(t *testing.T, url, text string) *Result {
	t.Helper()
	p, err := ParsePlan([]byte(text), func(name string) ([]byte, error) {
		if name == "users.csv" {
			return []byte("token\ngood-1\ngood-2\nbad\n"), nil
		}
		return noFiles(name)
	})
	if err != nil {
		t.Fatal(err)
	}
	p.URL = url
	r, err := Run(t.Context(), p, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestEveryTransport(t *testing.T) {
	url, _, _ := startServer(t)
	r := loadServer(t, url, `
clients: 20
duration: 1m
transport: {websocket: 8, polling: 6, streaming: 4, polling+websocket: 1, auto: 1}
steps:
  - connect
  - loop:
      times: 5
      every: 50ms
      steps:
        - emit: echo
          args: ["${client}", {n: "${n}", text: "${text:100}"}]
          binary: 10
          ack: true
          match: ["${client}", {n: "${n}"}]
  - disconnect`)
	c := r.Counts
	if c.Connects != 20 || c.Sent != 100 || c.Acked != 100 || c.Turns != 100 || c.Errors != 0 || c.Lost != 0 || c.ConnectedEnd != 0 {
		t.Errorf("counts are %+v, errors %+v", c, r.Errors)
	}
	if r.Transports["polling"] < 6 || r.Transports["streaming"] != 4 || r.Transports["websocket"] < 9 {
		t.Errorf("transports are %v", r.Transports)
	}
	if l := r.Latency["ack"]; l == nil || l.Count != 100 || r.Latency["service"].Count != 100 {
		t.Errorf("ack is %+v", l)
	}
}

func TestRoomsAndDelivery(t *testing.T) {
	url, _, _ := startServer(t)
	r := loadServer(t, url, `
clients: 6
duration: 1m
steps:
  - {join: "room-${client%2}", match: [{room: "room-${client%2}"}], save: {room: /0/room}}
  - think: 500ms # until everybody is in
  - emit: say
    args: ["${saved.room}", {who: "${client}", at: "${now}"}]
  - {expect: said, match: [{who: "${client}"}]}
  - think: 500ms
  - disconnect`)
	c := r.Counts
	// Two rooms of three: each client says one thing, and hears three.
	if c.Received != 18 || c.Sent != 12 || c.Acked != 6 || c.Expects != 6 || c.Lost != 0 || c.Errors != 0 {
		t.Errorf("counts are %+v, errors %+v", c, r.Errors)
	}
	if l := r.Latency["delivery"]; l == nil || l.Count != 18 || l.Min <= 0 {
		t.Errorf("delivery is %+v", l)
	}
	if r.Main != "ack" { // nothing is in a loop: the first that there is
		t.Errorf("the main latency is %s", r.Main)
	}
	if l := r.Latency["expect"]; l == nil || l.Count != 6 {
		t.Errorf("expect is %+v", l)
	}
}

func TestAuthAndErrorsOfTheServer(t *testing.T) {
	url, _, _ := startServer(t)
	r := loadServer(t, url, `
clients: 6
duration: 2s
users: users.csv
namespace: /chat
auth: {token: "${user.token}"}
steps:
  - {emit: fail, ack: true}
  - disconnect`)
	if c := r.Counts; c.Connects != 4 || c.Errors != 6 || r.errorsOf("connect") != 2 || r.errorsOf("server") != 4 {
		t.Errorf("counts are %+v, errors %+v", c, r.Errors)
	}
	kinds := fmt.Sprint(r.Errors)
	for _, want := range []string{"refused by the server: the token is wrong", "fail: answered with error not_today"} {
		if !strings.Contains(kinds, want) {
			t.Errorf("errors lack %q: %s", want, kinds)
		}
	}
}

// told lets a test do something when a run has come so far.
type told struct {
	once sync.Once
	when func(Progress) bool
	do   func()
}

func (o *told) Progress(p Progress) {
	if o.when(p) {
		o.once.Do(o.do)
	}
}

func TestServerThatDies(t *testing.T) {
	url, _, server := startServer(t)
	p, err := ParsePlan([]byte("clients: 10\nduration: 1m\nsteps: [{loop: {every: 100ms, steps: [{emit: echo, ack: true}]}}]"), noFiles)
	if err != nil {
		t.Fatal(err)
	}
	p.URL = url
	r, err := Run(t.Context(), p, &told{
		when: func(p Progress) bool { return p.Counts.Acked > 10 },
		do: func() {
			server.Listener.Close()
			server.CloseClientConnections() // which knows of requests only, not of what they became
			server.Config.Handler.(*socketio.Server).Close()
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if c := r.Counts; c.Connects != 10 || c.Disconnects != 10 || c.ConnectedEnd != 0 || c.ConnectedMax != 10 || r.Seconds > 30 || r.Interrupted {
		t.Errorf("counts are %+v after %v s, errors %+v", c, r.Seconds, r.Errors)
	}
}

func TestReconnect(t *testing.T) {
	url, io, _ := startServer(t)
	p, err := ParsePlan([]byte("clients: 5\nduration: 1m\nreconnect: true\nsteps: [{loop: {every: 100ms, steps: [{emit: echo, ack: true}]}}]"), noFiles)
	if err != nil {
		t.Fatal(err)
	}
	p.URL = url
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cut := &told{when: func(p Progress) bool { return p.Counts.Acked > 10 }, do: func() {
		io.Engine().All(func(s *engineio.Session) bool {
			s.Close()
			return true
		})
	}}
	end := &told{when: func(p Progress) bool { return p.Counts.Reconnects == 5 }, do: cancel}
	r, err := Run(ctx, p, both{cut, end})
	if err != nil {
		t.Fatal(err)
	}
	if c := r.Counts; c.Connects != 5 || c.Disconnects != 5 || c.Reconnects != 5 || c.ConnectedEnd != 5 || !r.Interrupted {
		t.Errorf("counts are %+v, errors %+v", c, r.Errors)
	}
}

type both [2]Observer

func (b both) Progress(p Progress) {
	b[0].Progress(p)
	b[1].Progress(p)
}

func TestNothingThere(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + ln.Addr().String()
	ln.Close()
	r := loadServer(t, url, "clients: 3\nduration: 1m")
	if r.Counts.Connects != 0 || len(r.Errors) != 1 || r.Errors[0].Kind != "connection refused" || r.Errors[0].Count != 3 {
		t.Errorf("counts are %+v, errors %+v", r.Counts, r.Errors)
	}

	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<h1>Hello</h1>") }))
	defer web.Close()
	r = loadServer(t, web.URL, "clients: 2\nduration: 1m\ntransport: auto")
	if r.Counts.Connects != 0 || len(r.Errors) != 1 || r.Errors[0].Kind != "not a Socket.IO server" {
		t.Errorf("errors of a web site are %+v", r.Errors)
	}
}

func TestLocalAddresses(t *testing.T) {
	if ln, err := net.Listen("tcp", "127.0.0.3:0"); err != nil {
		t.Skip("127.0.0.3 can't be used on this machine:", err)
	} else {
		ln.Close()
	}
	var mu sync.Mutex
	from := map[string]int{}
	io := socketio.NewServer(nil)
	defer io.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		mu.Lock()
		from[host]++
		mu.Unlock()
		io.ServeHTTP(w, r)
	}))
	defer server.Close()
	r := loadServer(t, server.URL, "clients: 6\nduration: 1m\nlocal-address: [127.0.0.2, 127.0.0.3]\nsteps: [connect, disconnect]")
	if r.Counts.Connects != 6 || from["127.0.0.2"] != 3 || from["127.0.0.3"] != 3 {
		t.Errorf("connects %d, from %v, errors %+v", r.Counts.Connects, from, r.Errors)
	}
}
