package client

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sockeye-io/sockeye/client"
	"github.com/sockeye-io/sockeye/event"
	"github.com/sockeye-io/sockeye/test/interop/app"
	"github.com/sockeye-io/sockeye/test/interop/kit"
)

// limit ends what hangs; it measures nothing.
const limit = 2 * time.Minute

// way is how a client reaches a server: which transports it is given, and on which it ends.
type way struct {
	name       string
	transports []string
	final      string
}

var ways = []way{
	{"websocket", []string{"websocket"}, "websocket"},
	{"polling", []string{"polling"}, "polling"},
	{"upgrade", []string{"polling", "websocket"}, "websocket"},
	{"default", nil, "websocket"},
}

// ourWays are for transports that only our server has.
var ourWays = []way{
	{"streaming", []string{"streaming"}, "streaming"},
	{"streaming-upgrade", []string{"streaming", "websocket"}, "websocket"},
}

// waysTo returns the ways to a server.
func waysTo(r app.Runtime) []way {
	switch r {
	case app.Sockeye:
		return append(slices.Clone(ways), ourWays...)
	case app.PythonThreading:
		// Without WebSocket an upgrade is not offered, and who begins with WebSocket falls back.
		return []way{
			{"polling", []string{"polling"}, "polling"},
			{"upgrade", []string{"polling", "websocket"}, "polling"},
			{"default", nil, "polling"},
		}
	}
	return ways
}

// atOnce runs a subtest for each item, all at the same time, and returns when they have ended. t.Parallel would run as
// many as there are cores, while most of these wait for somebody to notice something.
func atOnce[T any](t *testing.T, items []T, name func(T) string, f func(*testing.T, T)) {
	var all sync.WaitGroup
	for _, item := range items {
		all.Go(func() { t.Run(name(item), func(t *testing.T) { f(t, item) }) })
	}
	all.Wait()
}

func (w way) String() string { return w.name }

// everywhere runs a subtest for every way to each of the servers, which get the options.
func everywhere(t *testing.T, servers []app.Runtime, o app.Options, f func(t *testing.T, a *app.App, s *scene)) {
	atOnce(t, servers, func(r app.Runtime) string { return string(r) }, func(t *testing.T, server app.Runtime) {
		o := o
		o.Runtime = server
		a := app.Start(t, o)
		atOnce(t, waysTo(server), way.String, func(t *testing.T, w way) {
			f(t, a, &scene{T: t, server: server, url: a.URL(), way: w})
		})
	})
}

// scene is what a case has: a server, a way to it, and a namespace that it shares with nobody.
type scene struct {
	*testing.T
	server app.Runtime
	url    string
	way    way
	ns     string
	format client.Format
}

// python reports whether the server is python-socketio.
func (s *scene) python() bool {
	switch s.server {
	case app.PythonAIOHTTP, app.PythonASGI, app.PythonEventlet, app.PythonThreading:
		return true
	}
	return false
}

// options are those of a client that takes the scene's way and comes back soon.
func (s *scene) options() *client.Options {
	return &client.Options{
		Transports: s.way.transports,
		Format:     s.format,
		Reconnect:  client.ReconnectOptions{Delay: 20 * time.Millisecond, MaxDelay: 200 * time.Millisecond},
	}
}

// dial connects to a namespace, on a connection of its own.
func (s *scene) dial(ns string) *client.Socket {
	s.Helper()
	return s.dialWith(s.url, ns, s.options())
}

func (s *scene) dialWith(url, ns string, o *client.Options) *client.Socket {
	s.Helper()
	sock, err := client.Dial(s.soon(), url+ns, o)
	if err != nil {
		s.Fatalf("dial: %v", err)
	}
	s.Cleanup(func() { sock.Client().Close() })
	return sock
}

// lazy returns a socket that is not connected.
func (s *scene) lazy(ns string, o *client.Options) *client.Socket {
	s.Helper()
	c, err := client.New(s.url, o)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { c.Close() })
	return c.Of(ns)
}

// soon is a context that ends when something hangs.
func (s *scene) soon() context.Context {
	ctx, cancel := context.WithTimeout(s.Context(), limit)
	s.Cleanup(cancel)
	return ctx
}

// settled waits until the socket's connection is on its final transport.
func (s *scene) settled(sock *client.Socket) *client.Socket {
	s.Helper()
	kit.Eventually(s, "the upgrade to "+s.way.final, func() bool { return sock.Client().Transport() == s.way.final })
	return sock
}

// ask emits an event and returns the arguments of its acknowledgement.
func (s *scene) ask(sock *client.Socket, name string, args ...any) []any {
	s.Helper()
	ack, err := sock.EmitWithAck(s.soon(), name, args...)
	if err != nil {
		s.Fatalf("%s: %v", name, err)
	}
	got, err := ack.Args()
	if err != nil {
		s.Fatalf("%s: %v", name, err)
	}
	return got
}

func (s *scene) emit(sock *client.Socket, name string, args ...any) {
	s.Helper()
	if err := sock.Emit(name, args...); err != nil {
		s.Fatalf("emit %s: %v", name, err)
	}
}

func (s *scene) equal(what string, got, want any) {
	s.Helper()
	if !reflect.DeepEqual(got, want) {
		s.Errorf("%s: got %.400s, want %.400s", what, fmt.Sprintf("%#v", got), fmt.Sprintf("%#v", want))
	}
}

// who is what whoami acknowledges.
type who struct {
	ID        string         `json:"id"`
	Auth      map[string]any `json:"auth"`
	Transport string         `json:"transport"`
	Recovered bool           `json:"recovered"`
}

func (s *scene) whoami(sock *client.Socket) who {
	s.Helper()
	ack, err := sock.EmitWithAck(s.soon(), "whoami")
	if err != nil {
		s.Fatalf("whoami: %v", err)
	}
	var w who
	if err := ack.Bind(&w); err != nil {
		s.Fatal(err)
	}
	return w
}

// journal keeps what was received, in order.
type journal struct {
	mu   sync.Mutex
	seen [][]any
	news chan struct{} // closed and replaced at every entry
}

// watch keeps every event of a name, with its arguments.
func (s *scene) watch(sock *client.Socket, name string) *journal {
	j := newJournal()
	sock.On(name, func(_ context.Context, m *event.Message) error {
		args, err := m.Args()
		if err != nil {
			return err
		}
		j.add(args...)
		return nil
	})
	return j
}

func newJournal() *journal { return &journal{news: make(chan struct{})} }

func (j *journal) add(args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.seen = append(j.seen, args)
	close(j.news)
	j.news = make(chan struct{})
}

func (j *journal) all() [][]any {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.seen)
}

// wait waits for n entries and returns all that there are.
func (j *journal) wait(s *scene, n int) [][]any {
	s.Helper()
	timeout := time.NewTimer(limit)
	defer timeout.Stop()
	for {
		j.mu.Lock()
		seen, news := slices.Clone(j.seen), j.news
		j.mu.Unlock()
		if len(seen) >= n {
			return seen
		}
		select {
		case <-news:
		case <-timeout.C:
			s.Fatalf("waited in vain for %d, have %d: %.300s", n, len(seen), fmt.Sprint(seen))
		}
	}
}

// numbers returns the first arguments of what was received, of which each must be a number.
func numbers(seen [][]any) []int {
	got := make([]int, len(seen))
	for i, args := range seen {
		got[i] = int(args[0].(float64))
	}
	return got
}

func upTo(n int) []int {
	want := make([]int, n)
	for i := range want {
		want[i] = i
	}
	return want
}

// losses keeps the reasons for which a socket was disconnected.
func losses(sock *client.Socket) *journal {
	j := newJournal()
	sock.OnDisconnect(func(reason client.Reason, _ error) { j.add(string(reason)) })
	return j
}

// connects keeps the ids with which a socket was connected from now on.
func connects(sock *client.Socket) *journal {
	j := newJournal()
	sock.OnConnect(func() { j.add(sock.ID()) })
	return j
}
