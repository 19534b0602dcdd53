package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sockeye-io/sockeye/client"
	"github.com/sockeye-io/sockeye/client/engine"
	"github.com/sockeye-io/sockeye/event"
	"github.com/sockeye-io/sockeye/test/interop/app"
	"github.com/sockeye-io/sockeye/test/interop/kit"
)

// servers are those that our client must get on with.
var servers = []app.Runtime{
	app.Sockeye, app.Node, app.NodeV3, app.PythonAIOHTTP, app.PythonASGI, app.PythonEventlet, app.PythonThreading,
}

// TestServers runs every case against every server over every way.
func TestServers(t *testing.T) {
	o := app.Options{PingInterval: time.Minute, PingTimeout: time.Minute}
	everywhere(t, servers, o, func(t *testing.T, a *app.App, s *scene) {
		kit.Used("our client, and the application on " + string(s.server))
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				s := *s
				s.T = t
				// Of the namespaces, every way has its own: broadcasts are counted.
				s.ns = fmt.Sprintf("/dyn-%d", slices.IndexFunc(waysTo(s.server), func(w way) bool { return w.name == s.way.name }))
				if c.skip != nil {
					if reason := c.skip(&s); reason != "" {
						t.Skip(reason)
					}
				}
				c.run(&s)
			})
		}
	})
}

var cases = []struct {
	name string
	skip func(*scene) string // why not with this server
	run  func(*scene)
}{
	{name: "ends on the expected transport", run: endsOnTransport},
	{name: "carries any JSON value", run: carriesJSON},
	{name: "acknowledges in both directions", run: acknowledges},
	{name: "keeps many acknowledgements apart", run: keepsAcksApart},
	{name: "gives up waiting for an acknowledgement", run: givesUp},
	{name: "calls by contract", run: callsByContract},
	{name: "keeps the order of many events", run: keepsOrder},
	{name: "takes more than sixteen packets at once", run: takesBurst},
	{name: "carries binary at any depth", run: carriesBinary},
	{name: "mixes binary and text in order", run: mixesBinary},
	{name: "carries large messages", skip: truncates, run: carriesLarge},
	{name: "survives a message over the limit", skip: unlimited, run: survivesTooLarge},
	{name: "shares a connection among namespaces", run: sharesConnection},
	{name: "is refused by an unknown namespace", run: unknownNamespace},
	{name: "is refused with data and comes again", run: refusedWithData},
	{name: "sends to rooms", run: sendsToRooms},
	{name: "hears broadcasts", run: hearsBroadcasts},
	{name: "answers a broadcast that asks", skip: cantAskAll, run: answersBroadcast},
	{name: "keeps the order of volatile events", run: volatileOrder},
	{name: "buffers until it is connected", run: buffers},
	{name: "says that it left", run: saysThatItLeft},
	{name: "learns that the server ended the namespace", run: func(s *scene) { kicked(s, false) }},
	{name: "learns that the server ended the connection", run: func(s *scene) { kicked(s, true) }},
}

func endsOnTransport(s *scene) {
	sock := s.settled(s.dial("/"))
	// The server changes over when it has read our last word of the upgrade, which is before the request.
	w := s.whoami(sock)
	s.equal("transport", w.Transport, s.way.final)
	s.equal("id", w.ID, sock.ID())
	if !sock.Connected() || !sock.Active() || sock.Client().State() != client.Connected {
		s.Errorf("connected %t, active %t, state %v", sock.Connected(), sock.Active(), sock.Client().State())
	}
}

func carriesJSON(s *scene) {
	sock := s.dial("/")
	values := [][]any{
		{[]any{}},
		{1.0, -2.5, "two", nil, true, false},
		{map[string]any{"a": map[string]any{"b": []any{map[string]any{"c": []any{[]any{}}}}}}, []any{}},
		{"", "ünï ☃ 😀 \u2028 \u0000 \u001e \" \\ / <&>", "\r\n\t"},
		{map[string]any{"_placeholder": "no", "": 0.0, "a b": []any{1.0}}},
		{9007199254740991.0, 1e21, 1e-7},
	}
	seen := s.watch(sock, "echo")
	for _, v := range values {
		s.emit(sock, "echo", v...)
	}
	s.equal("echoes", seen.wait(s, len(values)), values)
}

func acknowledges(s *scene) {
	sock := s.dial("/")
	if got := s.ask(sock, "echo"); len(got) != 0 {
		s.Errorf("got %v", got)
	}
	s.equal("reply", s.ask(sock, "echo", 1, "2", []int{3}), []any{1.0, "2", []any{3.0}})
	sock.On("question", func(_ context.Context, m *event.Message) error {
		args, err := m.Args()
		if err != nil {
			return err
		}
		return m.Ack(map[string]any{"got": args[0]})
	})
	answered := s.watch(sock, "answered")
	s.emit(sock, "ask", map[string]any{"n": 1})
	s.equal("answer", answered.wait(s, 1), [][]any{{map[string]any{"got": map[string]any{"n": 1.0}}}})
}

func keepsAcksApart(s *scene) {
	sock := s.dial("/")
	var wg sync.WaitGroup
	ctx := s.soon()
	for i := range 200 {
		wg.Go(func() {
			ack, err := sock.EmitWithAck(ctx, "echo", i)
			if err != nil {
				s.Errorf("%d: %v", i, err)
				return
			}
			var got int
			if err := ack.Bind(&got); err != nil || got != i {
				s.Errorf("%d: got %d, %v", i, got, err)
			}
		})
	}
	wg.Wait()
}

func givesUp(s *scene) {
	sock := s.dial("/")
	_, err := sock.Timeout(time.Millisecond).EmitWithAck(s.soon(), "nobody listens to this")
	var timeout *client.AckTimeoutError
	if !errors.As(err, &timeout) || !errors.Is(err, context.DeadlineExceeded) {
		s.Errorf("error is %v", err)
	}
	s.equal("reply", s.ask(sock, "echo", 1), []any{1.0})
}

var echo = event.NewCall[[]string, []string]("echo")

func callsByContract(s *scene) {
	sock := s.dial("/")
	got, err := echo.Call(s.soon(), sock, []string{"a", "b"})
	if err != nil {
		s.Fatal(err)
	}
	s.equal("reply", got, []string{"a", "b"})
}

func keepsOrder(s *scene) {
	sock := s.dial("/")
	seen := s.watch(sock, "echo")
	for i := range 300 {
		s.emit(sock, "echo", i)
	}
	s.equal("echoes", numbers(seen.wait(s, 300)), upTo(300))
}

func takesBurst(s *scene) {
	sock := s.dial("/")
	items, end := s.watch(sock, "item"), s.watch(sock, "burst-end")
	s.emit(sock, "burst", 100)
	s.equal("end", end.wait(s, 1), [][]any{{100.0}})
	s.equal("items", numbers(items.all()), upTo(100))
}

func carriesBinary(s *scene) {
	sock := s.dial("/")
	none := []byte{}
	if s.server == app.PythonASGI && s.way.final == "websocket" {
		none = []byte{0} // it takes an empty frame for the end of the connection
	}
	value := map[string]any{
		"a": []any{map[string]any{"b": []byte{1, 2, 3}}, none},
		"c": map[string]any{"d": map[string]any{"e": []byte{0, 255, 30, 10}}},
		"f": "text",
	}
	seen := s.watch(sock, "echo")
	s.emit(sock, "echo", []byte{7}, value)
	s.equal("event", seen.wait(s, 1)[0], []any{[]byte{7}, value})
	s.equal("reply", s.ask(sock, "echo", value, []byte{9}), []any{value, []byte{9}})
	sock.On("question", func(_ context.Context, m *event.Message) error {
		args, err := m.Args()
		if err != nil {
			return err
		}
		return m.Ack(map[string]any{"back": args[0]})
	})
	answered := s.watch(sock, "answered")
	s.emit(sock, "ask", []any{[]byte{5, 6}})
	s.equal("answer", answered.wait(s, 1), [][]any{{map[string]any{"back": []any{[]byte{5, 6}}}}})
	s.equal("blob", s.ask(sock, "blob", 1000), []any{pattern(1000)})
}

func mixesBinary(s *scene) {
	sock := s.dial("/")
	seen := s.watch(sock, "echo")
	var want [][]any
	for i := range 60 {
		var v any = float64(i)
		if i%3 == 0 {
			v = map[string]any{"i": float64(i), "data": []byte{byte(i), byte(i + 1)}}
		}
		want = append(want, []any{v})
		s.emit(sock, "echo", v)
	}
	s.equal("echoes", seen.wait(s, len(want)), want)
}

func pattern(n int) []byte {
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(i % 251)
	}
	return data
}

func truncates(s *scene) string {
	if s.server == app.PythonAIOHTTP && s.way.name != "websocket" && s.way.name != "default" {
		return "python-engineio on aiohttp reads only the first part of a large POST"
	}
	return ""
}

func carriesLarge(s *scene) {
	sock := s.settled(s.dial("/"))
	text := strings.Repeat("é☃", 100_000)
	if got := s.ask(sock, "echo", text); len(got) != 1 || got[0] != text {
		s.Errorf("500 kB of text came back as %.60v…", got)
	}
	data := pattern(600_000)
	if got := s.ask(sock, "echo", data); len(got) != 1 || !bytes.Equal(got[0].([]byte), data) {
		s.Errorf("600 kB of bytes came back different")
	}
	if got := s.ask(sock, "blob", 1_500_000); len(got) != 1 || !bytes.Equal(got[0].([]byte), pattern(1_500_000)) {
		s.Errorf("1.5 MB of bytes came different")
	}
}

func unlimited(s *scene) string {
	if s.python() {
		return "python-engineio's limit depends on the server under it"
	}
	return ""
}

// survivesTooLarge sends what the server does not take: an error where the server says its limit at the handshake, as
// all current ones do, else a lost connection, which comes back.
func survivesTooLarge(s *scene) {
	sock := s.settled(s.dial("/"))
	text := strings.Repeat("x", 1_200_000)
	if s.server == app.NodeV3 {
		lost, again := losses(sock), connects(sock)
		s.emit(sock, "size", text)
		lost.wait(s, 1)
		again.wait(s, 1)
	} else {
		id := sock.ID()
		var large *engine.TooLargeError
		if err := sock.Emit("size", text); !errors.As(err, &large) || large.Limit != 1_000_000 || large.Size < len(text) {
			s.Errorf("error is %v", err)
		}
		if _, err := sock.EmitWithAck(s.soon(), "size", text); !errors.As(err, &large) {
			s.Errorf("error is %v", err)
		}
		s.equal("id", sock.ID(), id)
	}
	s.equal("reply", s.ask(sock, "echo", 1), []any{1.0})
}

func sharesConnection(s *scene) {
	root := s.dial("/")
	c := root.Client()
	sockets := []*client.Socket{root, c.Of("/chat"), c.Of(s.ns)}
	for _, sock := range sockets[1:] {
		if err := sock.Connect(s.soon()); err != nil {
			s.Fatal(err)
		}
	}
	ids := map[string]bool{}
	for i, sock := range sockets {
		ids[sock.ID()] = true
		s.equal("reply", s.ask(sock, "echo", i), []any{float64(i)})
	}
	s.equal("distinct ids", len(ids), 3)
	strays, heard := s.watch(sockets[1], "everyone"), s.watch(sockets[2], "everyone")
	s.emit(sockets[2], "everyone", []byte{1})
	s.equal("broadcast", heard.wait(s, 1), [][]any{{[]byte{1}}})
	s.ask(sockets[1], "echo", 1)
	s.equal("events of another namespace", len(strays.all()), 0)
	// Leaving one namespace leaves the others connected.
	session := c.SessionID()
	sockets[1].Disconnect()
	s.equal("reply", s.ask(sockets[2], "echo", 2), []any{2.0})
	if err := sockets[1].Connect(s.soon()); err != nil {
		s.Fatal(err)
	}
	s.equal("reply", s.ask(sockets[1], "echo", 3), []any{3.0})
	s.equal("session", c.SessionID(), session)
}

func unknownNamespace(s *scene) {
	sock := s.lazy("/nowhere", s.options())
	told := newJournal()
	sock.OnConnectError(func(err error) { told.add(err) })
	err := sock.Connect(s.soon())
	want := "Invalid namespace"
	if s.python() {
		want = "Unable to connect" // a string instead of an object
	}
	var refused *client.ConnectError
	if !errors.As(err, &refused) || refused.Message != want {
		s.Errorf("error is %v", err)
	}
	if got := told.wait(s, 1)[0][0]; !errors.As(got.(error), &refused) {
		s.Errorf("OnConnectError was told %v", got)
	}
	if sock.Connected() || sock.Active() {
		s.Errorf("connected %t, active %t", sock.Connected(), sock.Active())
	}
}

func refusedWithData(s *scene) {
	o := s.options()
	o.Auth = func(context.Context) (any, error) { return map[string]any{"token": "wrong"}, nil }
	sock := s.lazy("/auth", o)
	err := sock.Connect(s.soon())
	var refused *client.ConnectError
	if !errors.As(err, &refused) || refused.Message != "not authorised" {
		s.Fatalf("error is %v", err)
	}
	var data struct {
		Code int
		Hint string
	}
	if err := refused.Bind(&data); err != nil || data.Code != 401 || data.Hint != "send a token" {
		s.Errorf("data is %s: %v", refused.Data, err)
	}
	auth := map[string]any{"token": "secret", "extra": []any{1.0, map[string]any{"a": nil}}}
	sock.SetAuth(func(context.Context) (any, error) { return auth, nil })
	if err := sock.Connect(s.soon()); err != nil {
		s.Fatal(err)
	}
	s.equal("auth", s.whoami(sock).Auth, auth)
}

func sendsToRooms(s *scene) {
	a, b, d := s.dial("/"), s.dial("/"), s.dial("/")
	room := "room of " + a.ID()
	s.ask(a, "join", room)
	s.ask(b, "join", room)
	s.equal("rooms", s.ask(a, "rooms"), []any{[]any{room}})
	strays, heardA, heardB := s.watch(d, "said"), s.watch(a, "said"), s.watch(b, "said")
	s.emit(a, "say", room, "hello", []byte{1})
	want := []any{"hello", []byte{1}}
	s.equal("a", heardA.wait(s, 1)[0], want)
	s.equal("b", heardB.wait(s, 1)[0], want)
	s.ask(b, "leave", room)
	s.equal("rooms", s.ask(b, "rooms"), []any{[]any{}})
	s.emit(a, "say", room, "again")
	s.equal("a", heardA.wait(s, 2)[1], []any{"again"})
	// An answer on the same connection comes after whatever the room would have sent before it.
	s.ask(b, "echo", 0)
	s.ask(d, "echo", 0)
	s.equal("strays", len(strays.all()), 0)
	s.equal("events after leaving", len(heardB.all()), 1)
}

func hearsBroadcasts(s *scene) {
	a, b, d := s.dial(s.ns), s.dial(s.ns), s.dial(s.ns)
	heard := make([]*journal, 3)
	for i, sock := range []*client.Socket{a, b, d} {
		heard[i] = newJournal()
		for _, name := range []string{"everyone", "others", "excepted"} {
			sock.On(name, func(_ context.Context, m *event.Message) error {
				heard[i].add(name)
				return nil
			})
		}
	}
	want := [][]string{{"everyone"}, {"everyone", "others"}, {"everyone", "others"}}
	s.emit(a, "everyone", 1)
	s.emit(a, "others", 2)
	if !s.python() && s.server != app.NodeV3 {
		s.ask(d, "join", "quiet")
		s.emit(a, "except", "quiet", 3)
		want[0], want[1] = append(want[0], "excepted"), append(want[1], "excepted")
	}
	heard[1].wait(s, len(want[1]))
	for i, sock := range []*client.Socket{a, b, d} {
		s.ask(sock, "echo", 0)
		heard[i].wait(s, len(want[i]))
		var got []string
		for _, e := range heard[i].all() {
			got = append(got, e[0].(string))
		}
		s.equal(fmt.Sprintf("client %d", i), got, want[i])
	}
}

func cantAskAll(s *scene) string {
	if s.python() || s.server == app.NodeV3 {
		return "this server has no acknowledgements of broadcasts"
	}
	return ""
}

func answersBroadcast(s *scene) {
	for i := range 3 {
		sock := s.dial(s.ns)
		sock.On("question", func(_ context.Context, m *event.Message) error {
			var q string
			if err := m.Bind(&q); err != nil {
				return err
			}
			return m.Ack(fmt.Sprintf("%s%d", q, i))
		})
		if i == 2 {
			s.equal("answers", s.ask(sock, "askall", "q"), []any{[]any{"q0", "q1", "q2"}})
		}
	}
}

func volatileOrder(s *scene) {
	sock := s.settled(s.dial("/"))
	seen, end := s.watch(sock, "tick"), s.watch(sock, "ticks-end")
	s.emit(sock, "ticks", 50)
	end.wait(s, 1)
	got := numbers(seen.all())
	if !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
		s.Errorf("ticks came as %v", got)
	}
}

func buffers(s *scene) {
	sock := s.lazy("/", s.options())
	seen := s.watch(sock, "echo")
	if err := sock.Volatile().Emit("echo", "dropped"); err != nil {
		s.Errorf("volatile: %v", err)
	}
	for i := range 40 {
		s.emit(sock, "echo", i)
	}
	// What was buffered is on its way before anybody hears of the connection.
	sock.OnConnect(func() { s.emit(sock, "echo", 40) })
	if err := sock.Connect(s.soon()); err != nil {
		s.Fatal(err)
	}
	s.equal("echoes", numbers(seen.wait(s, 41)), upTo(41))
}

// gone waits until the server says why it lost a socket.
func (s *scene) gone(id string) (reason string) {
	admin := s.dial("/admin")
	kit.Eventually(s, "the server to lose "+id, func() bool {
		reason, _ = s.ask(admin, "reason", id)[0].(string)
		return reason != ""
	})
	return reason
}

func saysThatItLeft(s *scene) {
	sock := s.dial("/")
	id, lost := sock.ID(), losses(sock)
	sock.Disconnect()
	s.equal("reason", lost.wait(s, 1)[0][0], "io client disconnect")
	if sock.Connected() || sock.Active() || sock.ID() != "" {
		s.Errorf("connected %t, active %t, id %q", sock.Connected(), sock.Active(), sock.ID())
	}
	if err := sock.Client().Close(); err != nil {
		s.Errorf("close: %v", err)
	}
	reason := s.gone(id)
	// The last namespace closes the connection; whichever is noticed first names the reason.
	if !s.python() && reason != "client namespace disconnect" && reason != "transport close" {
		s.Errorf("the server says %q", reason)
	}
}

func kicked(s *scene, closeConnection bool) {
	sock := s.dial("/")
	lost := losses(sock)
	s.emit(sock, "kick", closeConnection)
	s.equal("reason", lost.wait(s, 1)[0][0], "io server disconnect")
	if sock.Connected() || sock.Active() {
		s.Errorf("connected %t, active %t", sock.Connected(), sock.Active())
	}
	if err := sock.Connect(s.soon()); err != nil {
		s.Fatal(err)
	}
	s.equal("reply", s.ask(sock, "echo", 1), []any{1.0})
	s.equal("losses", len(lost.all()), 1)
}
