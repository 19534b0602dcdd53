package socketio_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/sockeye-io/sockeye/engineio"
	"github.com/sockeye-io/sockeye/event"
	"github.com/sockeye-io/sockeye/socketio"
	"github.com/sockeye-io/sockeye/socketio/packet"
)

// A peer that breaks the protocol is cut off, and the server learns why (reference: behaviour under violation).
func TestViolationsCloseTheConnection(t *testing.T) {
	big := strings.Repeat("9", 100_000)
	for name, frames := range map[string][]string{
		"second connect":         {"40"},
		"event elsewhere":        {`42/other,["x"]`},
		"bad json":               {`42["x"`},
		"trailing json":          {`42["x"]]`},
		"unknown type":           {"49"},
		"no type":                {"4"},
		"reserved event":         {`42["disconnect"]`},
		"event without name":     {`42[]`},
		"event name object":      {`42[{"toString":"foo"}]`},
		"event not array":        {`42{"a":1}`},
		"ack not array":          {`430{"a":1}`},
		"no count":               {"450-"},
		"eleven attachments":     {`4511-["x"]`},
		"zero attachments":       {`450-["x"]`},
		"digits without end":     {"42" + big},
		"count without end":      {"45" + big},
		"text inside attachment": {`451-["x",{"_placeholder":true,"num":0}]`, `42["y"]`},
		"binary out of nowhere":  {"b:abc"},
		"placeholder is text":    {`451-["x",{"_placeholder":true,"num":"splice"}]`, "b:a"},
		"placeholder too high":   {`451-["x",{"_placeholder":true,"num":1}]`, "b:a"},
		"placeholder negative":   {`451-["x",{"_placeholder":true,"num":-1}]`, "b:a"},
		"deep nesting":           {`42["x",` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `]`},
		"connect error":          {`44{"message":"x"}`},
		"connect with array":     {`40/x,[1]`},
		"long namespace":         {"40/" + strings.Repeat("n", 5000) + ","},
	} {
		t.Run(name, func(t *testing.T) {
			failed := make(chan error, 10)
			st := serve(t, &socketio.Options{OnError: func(_ *socketio.Socket, err error) { failed <- err }})
			reasons := make(chan socketio.Reason, 1)
			handled := make(chan string, 10)
			st.io.OnConnection(func(s *socketio.Socket) {
				s.OnAny(func(_ context.Context, m *socketio.Message) error { handled <- m.Event(); return nil })
				s.OnDisconnect(func(r socketio.Reason, _ error) { reasons <- r })
			})
			p := st.join()
			for _, f := range frames {
				if data, ok := strings.CutPrefix(f, "b:"); ok {
					p.sendBinary(data)
				} else {
					p.send(f)
				}
			}
			p.send(`42["after"]`)
			p.expectClosed()
			if r := receive(t, reasons); r != socketio.ReasonForcedClose {
				t.Errorf("reason is %q", r)
			}
			if err := receive(t, failed); err == nil {
				t.Error("no error was reported")
			}
			select {
			case ev := <-handled:
				t.Errorf("event %q was handled", ev)
			default:
			}
		})
	}
}

func TestEventBeforeConnectClosesTheConnection(t *testing.T) {
	st := serve(t, nil)
	p := st.connect()
	p.send(`42["x"]`)
	p.expectClosed()
}

// What Node takes is taken.
func TestOddButLegal(t *testing.T) {
	st := serve(t, nil)
	echoes(st.io)
	got := make(chan string, 10)
	st.io.OnConnection(func(s *socketio.Socket) {
		s.OnAny(func(_ context.Context, m *socketio.Message) error { got <- m.Event(); return nil })
	})
	p := st.join()
	for frame, want := range map[string]string{
		`42[1]`:                             "1",
		`42["error","x"]`:                   "error",
		`42["__proto__"]`:                   "__proto__",
		`42["constructor",{"__proto__":1}]`: "constructor",
		`42["\ud83d\ude00"]`:                "😀",
		`42["\u0000"]`:                      "\x00",
	} {
		p.send(frame)
		if ev := receive(t, got); ev != want {
			t.Errorf("%s came as %q", frame, ev)
		}
	}
	p.send(`431234567["no such ack"]`)
	p.sync()
}

func TestDisconnectReasons(t *testing.T) {
	type end struct {
		reason        socketio.Reason
		disconnecting []string // rooms
		after         []string
	}
	for name, tc := range map[string]struct {
		do   func(st *site, p *peer, s *socketio.Socket)
		want socketio.Reason
	}{
		"client leaves":     {func(_ *site, p *peer, _ *socketio.Socket) { p.send("41") }, socketio.ReasonClientDisconnect},
		"server disconnect": {func(_ *site, _ *peer, s *socketio.Socket) { s.Disconnect(false) }, socketio.ReasonServerDisconnect},
		"server closes":     {func(_ *site, _ *peer, s *socketio.Socket) { s.Disconnect(true) }, socketio.ReasonServerDisconnect},
		"transport close":   {func(_ *site, p *peer, _ *socketio.Socket) { p.close() }, socketio.ReasonTransportClose},
		"parse error":       {func(_ *site, p *peer, _ *socketio.Socket) { p.send("abc") }, socketio.ReasonParseError},
		"client ping":       {func(_ *site, p *peer, _ *socketio.Socket) { p.send("2") }, socketio.ReasonTransportError},
		"too large":         {func(_ *site, p *peer, _ *socketio.Socket) { p.send("4" + strings.Repeat("x", 1_000_001)) }, socketio.ReasonTransportError},
		"server is closed":  {func(st *site, _ *peer, _ *socketio.Socket) { st.io.Close() }, socketio.ReasonServerShutdown},
	} {
		t.Run(name, func(t *testing.T) {
			st := serve(t, nil)
			sockets := make(chan *socketio.Socket, 1)
			ends := make(chan end, 2)
			st.io.OnConnection(func(s *socketio.Socket) {
				s.Join("room")
				var e end
				s.OnDisconnecting(func(r socketio.Reason) {
					e.disconnecting = s.Rooms()
					if s.Connected() {
						t.Error("connected while disconnecting")
					}
				})
				s.OnDisconnect(func(r socketio.Reason, _ error) {
					e.reason, e.after = r, s.Rooms()
					ends <- e
				})
				sockets <- s
			})
			p := st.join()
			s := receive(t, sockets)
			tc.do(st, p, s)
			e := receive(t, ends)
			if e.reason != tc.want {
				t.Errorf("reason is %q, want %q", e.reason, tc.want)
			}
			if len(e.disconnecting) != 2 || e.disconnecting[0] != s.ID() || e.disconnecting[1] != "room" {
				t.Errorf("rooms while disconnecting are %q", e.disconnecting)
			}
			if len(e.after) != 0 {
				t.Errorf("rooms after the disconnect are %q", e.after)
			}
			if s.Context().Err() == nil {
				t.Error("the context is still alive")
			}
			s.Join("late")
			if len(s.Rooms()) != 0 || len(st.io.Of("/").Rooms()) != 0 {
				t.Error("a disconnected socket is in a room")
			}
			if err := s.Emit("x"); err != socketio.ErrDisconnected {
				t.Errorf("Emit returned %v", err)
			}
			if n := st.io.Of("/").Len(); n != 0 {
				t.Errorf("%d sockets are left", n)
			}
		})
	}
}

func TestLeavingKeepsTheConnection(t *testing.T) {
	st := serve(t, nil)
	st.io.Of("/a")
	p := st.join()
	a := p.join("/a", "")
	p.send("41")
	p.send(`42["late"]`) // was on its way: no violation
	second := p.sid
	p.join("/", "")
	if p.sid == second {
		t.Error("the id was used twice")
	}
	if st.io.Of("/a").Socket(a) == nil {
		t.Error("the other namespace was left too")
	}
}

func TestPingTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st, stop := serveInMemory(t, &socketio.Options{Engine: engineio.Options{PingInterval: 20 * time.Second, PingTimeout: 5 * time.Second}})
		reasons := make(chan socketio.Reason, 1)
		st.io.OnConnection(func(s *socketio.Socket) {
			s.OnDisconnect(func(r socketio.Reason, _ error) { reasons <- r })
		})
		p := st.join()
		p.mu.Lock()
		p.silent = true
		p.mu.Unlock()
		time.Sleep(26 * time.Second)
		synctest.Wait()
		if r := receive(t, reasons); r != socketio.ReasonPingTimeout {
			t.Errorf("reason is %q", r)
		}
		p.close()
		stop()
	})
}

func TestConnectTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st, stop := serveInMemory(t, &socketio.Options{ConnectTimeout: 3 * time.Second})
		idle, joined := st.connect(), st.join()
		st.io.OnConnection(func(s *socketio.Socket) {})
		time.Sleep(4 * time.Second)
		synctest.Wait()
		if n := st.io.Engine().Sessions(); n != 1 {
			t.Errorf("%d sessions are left, want the one that joined", n)
		}
		idle.expectClosed()
		joined.close()
		stop()
	})
}

// Attachments before authentication were a way to fill the memory of other servers.
func TestNoAttachmentsBeforeANamespaceIsJoined(t *testing.T) {
	st := serve(t, nil)
	p := st.connect()
	p.send(`451-["x",{"_placeholder":true,"num":0}]`)
	p.expectClosed()
}

func TestAttachmentTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st, stop := serveInMemory(t, &socketio.Options{Limits: socketio.Limits{AttachmentTimeout: 2 * time.Second}})
		echoes(st.io)
		slow, fine := st.join(), st.join()
		slow.send(`452-["x",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`)
		slow.sendBinary("one")
		fine.send(`451-["x",{"_placeholder":true,"num":0}]`)
		fine.sendBinary("one")
		time.Sleep(3 * time.Second)
		slow.expectClosed()
		fine.sync()
		fine.close()
		stop()
	})
}

func TestAttachmentBytes(t *testing.T) {
	st := serve(t, &socketio.Options{Limits: socketio.Limits{MaxAttachmentBytes: 10, MaxAttachments: 20}})
	echoes(st.io)
	p := st.join()
	p.send(`4512-["x"` + strings.Repeat(`,{"_placeholder":true,"num":0}`, 1) + `]`)
	for range 12 {
		p.sendBinary("1234")
	}
	p.expectClosed()
}

func TestNamespacesPerConnection(t *testing.T) {
	st := serve(t, &socketio.Options{Limits: socketio.Limits{MaxNamespaces: 3}})
	st.io.OfFunc(func(context.Context, string, jsontext.Value) (bool, error) { return true, nil })
	p := st.connect()
	for i := range 3 {
		p.join(fmt.Sprintf("/n%d", i), "")
	}
	p.send("40/n3,")
	p.expect(`44/n3,{"message":"Too many namespaces"}`)
	p.send("41/n0,")
	p.join("/n3", "") // there is room again
}

func TestChildNamespaces(t *testing.T) {
	for _, cleanup := range []bool{false, true} {
		st := serve(t, &socketio.Options{Limits: socketio.Limits{MaxChildNamespaces: 4}, CleanupEmptyNamespaces: cleanup})
		st.io.OfRegexp(regexp.MustCompile("^/re"))
		st.io.OfFunc(func(_ context.Context, name string, _ jsontext.Value) (bool, error) { return name != "/no", nil })
		p := st.connect()
		for i := range 4 {
			name := fmt.Sprintf("/%s%d", []string{"re", "f"}[i%2], i)
			p.join(name, "")
			if cleanup {
				p.send("41" + name + ",")
			}
		}
		for _, name := range []string{"/re-more", "/f-more"} {
			if cleanup {
				p.join(name, "")
				p.send("41" + name + ",")
				continue
			}
			p.send("40" + name + ",")
			p.expect("44" + name + `,{"message":"Too many namespaces"}`)
		}
		if !cleanup {
			st.connect().join("/re0", "") // is there
			p.send("41/f1,")              // now it is empty, and is forgotten when its place is wanted
			for refused := true; refused; {
				p.send("40/re-more,")
				refused = strings.HasPrefix(p.next(), "44")
			}
			p.send("40/f1,")
			p.expect(`44/f1,{"message":"Too many namespaces"}`)
		}
		p.send("40/no,")
		p.expect(`44/no,{"message":"Invalid namespace"}`)
		if name := st.io.Of("/re-of-the-program").Name(); name != "/re-of-the-program" {
			t.Errorf("the program gets %q", name)
		}
	}
}

func TestAuthIsBounded(t *testing.T) {
	st := serve(t, nil)
	p := st.connect()
	p.send(`40{"token":"` + strings.Repeat("x", 66_000) + `"}`)
	p.expect(`44{"message":"Auth payload too large"}`)
	p.join("/", `{"token":"`+strings.Repeat("x", 60_000)+`"}`)
}

func TestUnknownNamespace(t *testing.T) {
	st := serve(t, nil)
	p := st.connect()
	p.send("40/nope,")
	p.expect(`44/nope,{"message":"Invalid namespace"}`)
	p.join("/", "") // the connection lives on
	p.send(`40/__proto__,{}`)
	p.expect(`44/__proto__,{"message":"Invalid namespace"}`)
}

func TestMiddlewares(t *testing.T) {
	st := serve(t, nil)
	var order []string
	st.io.Use(func(_ context.Context, s *socketio.Socket) error {
		if s.Connected() {
			t.Error("connected before the middlewares ran")
		}
		order = append(order, "first")
		s.SetData("from the middleware")
		s.Join("early")
		return nil
	})
	st.io.Use(func(_ context.Context, s *socketio.Socket) error {
		var auth struct{ Token string }
		if err := s.Auth(&auth); err != nil {
			return err
		}
		order = append(order, "second")
		switch auth.Token {
		case "good":
			return nil
		case "bad":
			return &socketio.ConnectError{Message: "not authorized", Data: map[string]any{"retry": false}}
		case "coded":
			return event.Errorf("auth", "go away")
		case "panic":
			panic("boom")
		}
		return errors.New("database password is hunter2")
	})
	joined := make(chan *socketio.Socket, 10)
	st.io.OnConnection(func(s *socketio.Socket) { joined <- s })

	p := st.connect()
	p.join("/", `{"token":"good"}`)
	s := receive(t, joined)
	if got := strings.Join(order, ","); got != "first,second" {
		t.Errorf("order was %s", got)
	}
	if s.Data() != "from the middleware" || len(s.Rooms()) != 2 {
		t.Errorf("data %v, rooms %q", s.Data(), s.Rooms())
	}
	for token, want := range map[string]string{
		"bad":   `44{"message":"not authorized","data":{"retry":false}}`,
		"coded": `44{"message":"go away","data":{"code":"auth"}}`,
		"panic": `44{"message":"internal error"}`,
		"other": `44{"message":"internal error"}`,
	} {
		p := st.connect()
		p.send(`40{"token":"` + token + `"}`)
		p.expect(want)
		p.join("/", `{"token":"good"}`) // the same connection may try again
	}
	if rooms := st.io.Of("/").Rooms(); len(rooms) != 1 {
		t.Errorf("rooms are %q", rooms)
	}
}

func TestClientGoneDuringMiddleware(t *testing.T) {
	st := serve(t, nil)
	started, ended := make(chan struct{}), make(chan struct{})
	st.io.Use(func(ctx context.Context, s *socketio.Socket) error {
		close(started)
		<-ctx.Done()
		close(ended)
		return nil
	})
	st.io.OnConnection(func(*socketio.Socket) { t.Error("connected") })
	p := st.connect()
	p.send("40")
	receive(t, started)
	p.close()
	receive(t, ended)
}

// A client that leaves while it is still being let in, and joins again, must not end up with two sockets.
func TestLeavingDuringMiddleware(t *testing.T) {
	st := serve(t, nil)
	started, release := make(chan struct{}, 2), make(chan struct{})
	st.io.Use(func(context.Context, *socketio.Socket) error {
		started <- struct{}{}
		<-release
		return nil
	})
	p := st.connect()
	p.send("40")
	receive(t, started)
	p.send("41")
	p.send("40") // before the first attempt has ended: no client that is sane does that
	p.expectClosed()
	close(release)
	if err := st.io.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if n := st.io.Of("/").Len(); n != 0 {
		t.Errorf("%d sockets are left", n)
	}
}

func TestEmitInMiddleware(t *testing.T) {
	for _, recovery := range []*socketio.RecoveryOptions{nil, {}} {
		st := serve(t, &socketio.Options{Recovery: recovery})
		st.io.Use(func(_ context.Context, s *socketio.Socket) error { return s.Emit("session", 1) })
		p := st.connect()
		p.send("40")
		if got := p.next(); !strings.HasPrefix(got, `42["session",1`) {
			t.Errorf("received %q", got)
		}
		if got := p.next(); !strings.HasPrefix(got, `40{`) {
			t.Errorf("received %q", got)
		}
	}
}

func TestHandshake(t *testing.T) {
	st := serve(t, nil)
	sockets := make(chan *socketio.Socket, 1)
	st.io.OnConnection(func(s *socketio.Socket) { sockets <- s })
	p := st.connect("token=abc&x=1")
	p.join("/", `{"user":"ann"}`)
	s := receive(t, sockets)
	h := s.Handshake()
	if h.Query().Get("token") != "abc" || h.Secure() || !strings.Contains(h.URL(), "x=1") || h.Get("Host") == "nope" {
		t.Errorf("handshake: url %q, query %v", h.URL(), h.Query())
	}
	var auth struct{ User string }
	if err := s.Auth(&auth); err != nil || auth.User != "ann" {
		t.Errorf("auth is %+v, %v", auth, err)
	}
	if s.EngineID() == s.ID() || len(s.ID()) != 20 || s.Transport() != "websocket" {
		t.Errorf("ids %s and %s, transport %s", s.ID(), s.EngineID(), s.Transport())
	}
}

func TestClientFiles(t *testing.T) {
	get := func(st *site, path string, h http.Header) *http.Response {
		t.Helper()
		req, _ := http.NewRequest("GET", "http://"+st.host+path, nil)
		if h != nil {
			req.Header = h
		}
		tr := &http.Transport{DisableCompression: true, DisableKeepAlives: true}
		res, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { res.Body.Close() })
		return res
	}
	st := serve(t, &socketio.Options{Engine: engineio.Options{CORS: &engineio.CORS{Origins: []string{"https://a.example"}}}})
	res := get(st, "/socket.io/socket.io.js?v=1", nil)
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "application/javascript; charset=utf-8" ||
		res.Header.Get("Cache-Control") != "public, max-age=0" || res.Header.Get("Access-Control-Allow-Origin") != "https://a.example" {
		t.Errorf("%s %v", res.Status, res.Header)
	}
	etag := res.Header.Get("ETag")
	for _, tag := range []string{etag, "W/" + etag, `"x", ` + etag} {
		if res := get(st, "/socket.io/socket.io.js", http.Header{"If-None-Match": {tag}}); res.StatusCode != 304 || res.ContentLength > 0 {
			t.Errorf("If-None-Match %s: %s", tag, res.Status)
		}
	}
	if res := get(st, "/socket.io/socket.io.js", http.Header{"If-None-Match": {`"x"`}}); res.StatusCode != 200 {
		t.Errorf("other tag: %s", res.Status)
	}
	if res := get(st, "/socket.io/socket.io.min.js", http.Header{"Accept-Encoding": {"br, gzip;q=0.5"}}); res.Header.Get("Content-Encoding") != "gzip" {
		t.Errorf("not compressed: %v", res.Header)
	}
	if res := get(st, "/socket.io/socket.io.js.map", nil); res.Header.Get("Content-Type") != "application/json; charset=utf-8" {
		t.Errorf("map: %s %v", res.Status, res.Header)
	}
	for _, path := range []string{"/socket.io/nope.js", "/socket.io/../socket.io/dist/socket.io.js", "/socket.io/socket.io.js/"} {
		if res := get(st, path, nil); res.StatusCode != 400 && res.StatusCode != 404 {
			t.Errorf("%s: %s", path, res.Status)
		}
	}
	none := serve(t, &socketio.Options{NoClient: true})
	if res := get(none, "/socket.io/socket.io.js", nil); res.StatusCode != 404 {
		t.Errorf("NoClient: %s", res.Status)
	}
}

// A server for clients that have socket.io-msgpack-parser: every packet is one binary frame. What the client sends here
// was captured from the published one.
func TestMsgpack(t *testing.T) {
	st := serve(t, &socketio.Options{Format: packet.Msgpack})
	st.io.OnConnection(func(s *socketio.Socket) {
		s.On("a", func(_ context.Context, m *socketio.Message) error {
			st.io.Emit("hello", "you")
			return m.Ack(m.Raw(0), []byte{1, 2})
		})
	})
	p := st.connect()
	p.sendBinary("\x83\xa4type\x00\xa4data\xd4\x00\x00\xa3nsp\xa1/")
	if reply := p.next(); !strings.HasPrefix(reply, "b:\x83") || !strings.Contains(reply, "\xa3sid\xb4") {
		t.Fatalf("connect was answered with %q", reply)
	}
	p.sendBinary("\x85\xa4type\x02\xa4data\x92\xa1a\xa1x\xa7options\x81\xa8compress\xc3\xa2id\x00\xa3nsp\xa1/")
	if event := p.next(); !strings.Contains(event, "\xa4data\x92\xa5hello\xa3you") {
		t.Errorf("the event is %q", event)
	}
	if ack := p.next(); !strings.Contains(ack, "\xa4data\x92\xa1x\xc4\x02\x01\x02") || !strings.Contains(ack, "\xa2id\x00") {
		t.Errorf("the acknowledgement is %q", ack)
	}
	p.send("40")
	p.expectClosed()
}

func TestIDsAreRandom(t *testing.T) {
	st := serve(t, nil)
	p := st.connect()
	seen := map[string]bool{}
	for range 100 {
		id := p.join("/", "")
		if seen[id] {
			t.Fatal("an id came twice")
		}
		seen[id] = true
		p.send("41")
	}
}

func TestOptionsThatMakeNoSense(t *testing.T) {
	for name, o := range map[string]*socketio.Options{
		"negative": {Limits: socketio.Limits{MaxPendingAcks: -1}},
		"timeout":  {ConnectTimeout: -1},
	} {
		func() {
			defer func() {
				if v := recover(); v == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			socketio.NewServer(o)
		}()
	}
}
