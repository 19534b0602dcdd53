package engineio_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sockeye-io/sockeye/engineio"
)

// openPacket is the open packet as the Node server writes it: same keys, same order.
func openPacket(sid, upgrades string, interval, timeout, payload int) string {
	return fmt.Sprintf(`0{"sid":"%s","upgrades":%s,"pingInterval":%d,"pingTimeout":%d,"maxPayload":%d}`,
		sid, upgrades, interval, timeout, payload)
}

func TestPollingHandshake(t *testing.T) {
	s := newServer(t, nil)
	r := s.get(pollingQuery)
	sid := sidOf(t, r.body)
	if want := openPacket(sid, `["websocket"]`, 25000, 20000, 1000000); r.status != 200 || r.body != want {
		t.Errorf("got %v, want %s", r, want)
	}
	for key, want := range map[string]string{
		"Content-Type":                "text/plain; charset=UTF-8",
		"Content-Length":              fmt.Sprint(len(r.body)),
		"Cache-Control":               "no-store",
		"Set-Cookie":                  "",
		"Access-Control-Allow-Origin": "",
		"X-Xss-Protection":            "",
		"Content-Encoding":            "",
	} {
		if got := r.header.Get(key); got != want {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
	if !regexp.MustCompile(`^[A-Za-z0-9_-]{20}$`).MatchString(sid) {
		t.Errorf("sid %q is not 20 characters of base64url", sid)
	}
	p := s.nextPeer()
	if p.ID() != sid || p.Transport() != "polling" || s.engine.Sessions() != 1 || s.engine.Session(sid) != p.Session {
		t.Errorf("ID %q, transport %q, %d sessions", p.ID(), p.Transport(), s.engine.Sessions())
	}
}

func TestWebSocketHandshake(t *testing.T) {
	s := newServer(t, nil)
	c := s.dialWS(wsQuery, "")
	p := s.nextPeer()
	c.expect(openPacket(p.ID(), `[]`, 25000, 20000, 1000000))
	if p.Transport() != "websocket" {
		t.Errorf("transport %q", p.Transport())
	}
	if got := c.header.Get("Upgrade"); !strings.EqualFold(got, "websocket") {
		t.Errorf("Upgrade: %q", got)
	}
	for _, key := range []string{"Sec-Websocket-Protocol", "Sec-Websocket-Extensions", "Set-Cookie"} {
		if got := c.header.Get(key); got != "" {
			t.Errorf("%s: %q was not asked for", key, got)
		}
	}
}

func TestHandshakeAnnouncesOptions(t *testing.T) {
	s := newServer(t, &engineio.Options{PingInterval: 300 * time.Millisecond, PingTimeout: 200 * time.Millisecond, MaxPayload: 1234})
	p := s.poll()
	if want := openPacket(p.sid, `["websocket"]`, 300, 200, 1234); p.open != want {
		t.Errorf("got %s, want %s", p.open, want)
	}
}

func TestUpgradesOffered(t *testing.T) {
	for _, c := range []struct {
		transports []string
		noUpgrades bool
		query      string
		want       string
	}{
		{nil, false, pollingQuery, `["websocket"]`},
		{nil, false, pollingQuery + "&streaming=1", `["websocket","streaming"]`},
		{nil, true, pollingQuery + "&streaming=1", `[]`},
		{nil, false, "EIO=4&transport=streaming", `["websocket"]`},
		{nil, true, "EIO=4&transport=streaming", `[]`},
		{[]string{"polling"}, false, pollingQuery, `[]`},
		{[]string{"polling", "websocket"}, false, pollingQuery + "&streaming=1", `["websocket"]`},
		{[]string{"polling", "streaming"}, false, pollingQuery + "&streaming=1", `["streaming"]`},
		{[]string{"streaming"}, false, "EIO=4&transport=streaming", `[]`},
	} {
		s := newServer(t, &engineio.Options{Transports: c.transports, NoUpgrades: c.noUpgrades})
		var open string
		if strings.Contains(c.query, "transport=streaming") {
			st := s.stream(c.query)
			open = st.next()
			st.close()
		} else {
			open = s.get(c.query).body
		}
		if !strings.Contains(open, `"upgrades":`+c.want+`,`) {
			t.Errorf("transports %v, NoUpgrades %v, %s: %s, want %s", c.transports, c.noUpgrades, c.query, open, c.want)
		}
	}
}

func TestTransportNotEnabled(t *testing.T) {
	s := newServer(t, &engineio.Options{Transports: []string{"websocket"}})
	for _, query := range []string{pollingQuery, "EIO=4&transport=streaming"} {
		if r := s.get(query); r.status != 400 || r.body != unknownTransport {
			t.Errorf("%s: %v", query, r)
		}
	}
	s.ws().close()
	s = newServer(t, &engineio.Options{Transports: []string{"polling"}})
	if r := s.refusedUpgrade(wsQuery); r.status != 400 || r.body != "Transport unknown" {
		t.Errorf("upgrade: %v", r)
	}
}

func TestInitialMessage(t *testing.T) {
	s := newServer(t, &engineio.Options{InitialMessage: []byte("faster!")})
	if p := s.poll(); !strings.HasSuffix(p.open, "}\x1e4faster!") {
		t.Errorf("polling: %q", p.open)
	}
	s.ws().expect("4faster!")
	st := s.stream("EIO=4&transport=streaming")
	sidOf(t, st.next())
	st.expect("4faster!")
}

// What the accept function sends must not be lost, and comes after the handshake.
func TestSendWhileAccepting(t *testing.T) {
	s := newServer(t, nil)
	s.onAccept = func(p *peer) { p.sendText("first", "second") }
	p := s.poll()
	if want := openPacket(p.sid, `["websocket"]`, 25000, 20000, 1000000); p.open != want {
		t.Errorf("the handshake response is %q, want only the open packet", p.open)
	}
	p.expectPoll("4first\x1e4second")
	s.ws().expect("4first", "4second")
	st := s.stream("EIO=4&transport=streaming")
	sidOf(t, st.next())
	st.expect("4first", "4second")
}

// Listen before the first byte: what comes in the same segment as the upgrade request
// is not lost.
func TestMessageBehindUpgradeRequest(t *testing.T) {
	s := newServer(t, nil)
	c := s.dialWS(wsQuery, maskedText("4one")+maskedText("4two"))
	sidOf(t, string(c.next().Payload))
	s.nextPeer().expectMessage("one", "two")
}

func TestCookie(t *testing.T) {
	for _, c := range []struct {
		cookie *http.Cookie
		want   string
	}{
		{&http.Cookie{HttpOnly: true}, "io=%s; Path=/; HttpOnly; SameSite=Lax"},
		{&http.Cookie{Name: "node", Path: "/live", Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode, MaxAge: 60},
			"node=%s; Path=/live; Max-Age=60; HttpOnly; Secure; SameSite=Strict"},
	} {
		s := newServer(t, &engineio.Options{Cookie: c.cookie})
		r := s.get(pollingQuery)
		if got, want := r.header.Get("Set-Cookie"), fmt.Sprintf(c.want, sidOf(t, r.body)); got != want {
			t.Errorf("polling: %q, want %q", got, want)
		}
		p := s.nextPeer()
		p.sendText("x")
		if r := s.get(pollingQuery + "&sid=" + p.ID()); r.header.Get("Set-Cookie") != "" {
			t.Errorf("second response: Set-Cookie %q", r.header.Get("Set-Cookie"))
		}
		// Node forgets the cookie here.
		w := s.ws()
		if got, want := w.header.Get("Set-Cookie"), fmt.Sprintf(c.want, w.sid); got != want {
			t.Errorf("websocket: %q, want %q", got, want)
		}
		st := s.stream("EIO=4&transport=streaming")
		if got, want := st.header.Get("Set-Cookie"), fmt.Sprintf(c.want, sidOf(t, st.next())); got != want {
			t.Errorf("streaming: %q, want %q", got, want)
		}
	}
}

func TestHandshakeDetails(t *testing.T) {
	s := newServer(t, nil)
	before := time.Now()
	target := "/engine.io/?EIO=4&transport=polling&a=1&a=2&b=%20x&t=abc"
	r := s.get(target, "Authorization: Bearer abc", "X-Two: one", "X-Two: two", "Cookie: a=b; who=me", "Cookie: two=2; who=not-me", "Origin: http://example.test", "User-Agent: test")
	if r.status != 200 {
		t.Fatal(r)
	}
	check := func(h *engineio.Handshake, target string) {
		t.Helper()
		if h.URL() != target {
			t.Errorf("URL %q, want %q", h.URL(), target)
		}
		if q := h.Query(); len(q["a"]) != 2 || q.Get("b") != " x" || q.Get("EIO") != "4" {
			t.Errorf("Query %v", q)
		}
		if hd := h.Header(); hd.Get("Authorization") != "Bearer abc" || len(hd["X-Two"]) != 2 || hd["X-Two"][1] != "two" || hd.Get("User-Agent") != "test" {
			t.Errorf("Header %v", hd)
		}
		if h.Get("authorization") != "Bearer abc" || h.Get("X-None") != "" {
			t.Errorf("Get: %q, %q", h.Get("authorization"), h.Get("X-None"))
		}
		if !strings.HasPrefix(h.RemoteAddr(), "127.0.0.1:") {
			t.Errorf("RemoteAddr %q", h.RemoteAddr())
		}
		if ip := h.RemoteIP(); ip != netip.MustParseAddr("127.0.0.1") {
			t.Errorf("RemoteIP %v", ip)
		}
		if c, err := h.Cookie("who"); err != nil || c.Value != "me" {
			t.Errorf("Cookie: %v, %v", c, err)
		}
		if c, err := h.Cookie("two"); err != nil || c.Value != "2" {
			t.Errorf("Cookie of the second header: %v, %v", c, err)
		}
		if c, err := h.Cookie("none"); err != http.ErrNoCookie {
			t.Errorf("Cookie: %v, %v", c, err)
		}
		if h.Secure() || !h.CrossDomain() || h.Host() != "example.test" {
			t.Errorf("Secure %v, CrossDomain %v, Host %q", h.Secure(), h.CrossDomain(), h.Host())
		}
		if h.Time().Before(before) || h.Time().After(time.Now()) {
			t.Errorf("Time %v", h.Time())
		}
	}
	check(s.nextPeer().Handshake(), target)
	target = strings.Replace(target, "polling", "websocket", 1)
	c := s.dialWS(target, "", "Authorization: Bearer abc", "X-Two: one", "X-Two: two", "Cookie: a=b; who=me", "Cookie: two=2; who=not-me", "Origin: http://example.test", "User-Agent: test")
	check(s.nextPeer().Handshake(), target)
	c.close()
	if s.poll().peer.Handshake().CrossDomain() {
		t.Error("CrossDomain without an Origin")
	}
}

// A peer on a network that cuts idle connections may ask for more frequent pings.
func TestHeartbeatAsked(t *testing.T) {
	s := newServer(t, &engineio.Options{PingInterval: 20 * time.Second})
	for asked, want := range map[string]string{
		"3000": "3000", "1000": "1000", "1": "1000", "999": "1000", "20000": "20000", "60000": "20000",
		"0": "20000", "-5": "20000", "abc": "20000", "": "20000", "99999999999999999999": "20000", "3.5": "20000",
	} {
		p := s.poll("&heartbeat=" + asked)
		if !strings.Contains(p.open, `"pingInterval":`+want+`,`) {
			t.Errorf("heartbeat=%s: %s, want %s", asked, p.open, want)
		}
		if got := fmt.Sprint(p.peer.PingInterval().Milliseconds()); got != want {
			t.Errorf("heartbeat=%s: PingInterval %s, want %s", asked, got, want)
		}
	}
	if w := s.ws("&heartbeat=2000"); w.peer.PingInterval() != 2*time.Second {
		t.Errorf("websocket: PingInterval %v", w.peer.PingInterval())
	}
	s = newServer(t, &engineio.Options{PingInterval: 300 * time.Millisecond})
	if p := s.poll("&heartbeat=5000"); p.peer.PingInterval() != 300*time.Millisecond {
		t.Errorf("a short interval of the server's: PingInterval %v", p.peer.PingInterval())
	}
}

func TestMaxSessions(t *testing.T) {
	s := newServer(t, &engineio.Options{MaxSessions: 2})
	s.poll()
	w := s.ws()
	r := s.get(pollingQuery)
	if r.status != 503 || r.header.Get("Retry-After") == "" {
		t.Errorf("third session: %v, Retry-After %q, want 503", r, r.header.Get("Retry-After"))
	}
	if r := s.refusedUpgrade(wsQuery); r.status != 503 {
		t.Errorf("third session by websocket: %v, want 503", r)
	}
	w.close()
	w.peer.expectClosed("transport close")
	s.poll()
}

// serveAs answers one request in process, as if it came from the given address.
func serveAs(s *server, remoteAddr, target string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", path+"?"+target, nil)
	r.RemoteAddr = remoteAddr
	w := httptest.NewRecorder()
	s.engine.ServeHTTP(w, r)
	return w
}

func TestAttackHandshakeFlood(t *testing.T) {
	inBubble(t, &engineio.Options{Handshakes: engineio.HandshakeLimit{PerSecond: 2, Burst: 5}}, func(t *testing.T, s *server) {
		count := func(addr string, n int) (ok int) {
			for range n {
				switch w := serveAs(s, addr, pollingQuery); w.Code {
				case 200:
					ok++
				case 429:
					if w.Header().Get("Retry-After") == "" {
						t.Error("429 without Retry-After")
					}
				default:
					t.Errorf("%s: %d", addr, w.Code)
				}
			}
			return ok
		}
		if n := count("203.0.113.7:1000", 20); n != 5 {
			t.Errorf("a burst of 20: %d passed, want 5", n)
		}
		if n := count("203.0.113.8:1000", 5); n != 5 {
			t.Errorf("another address: %d of 5 passed", n)
		}
		time.Sleep(time.Second)
		if n := count("203.0.113.7:2000", 20); n != 2 {
			t.Errorf("a second later: %d passed, want 2", n)
		}
		if n := count("[2001:db8::1]:1", 3) + count("[2001:db8::ffff:2]:1", 10); n != 5 {
			t.Errorf("one IPv6 network: %d passed, want 5", n)
		}
		if n := count("[2001:db8:0:1::1]:1", 5); n != 5 {
			t.Errorf("another IPv6 network: %d of 5 passed", n)
		}
		for _, addr := range []string{"127.0.0.1:1", "10.1.2.3:1", "192.168.0.9:1", "[::1]:1", "@", ""} {
			if n := count(addr, 20); n != 20 {
				t.Errorf("%q: %d of 20 passed", addr, n)
			}
		}
		// Requests of a session are no handshakes.
		sid := sidOf(t, serveAs(s, "203.0.113.9:1", pollingQuery).Body.String())
		for range 30 {
			r := httptest.NewRequest("POST", path+"?"+pollingQuery+"&sid="+sid, strings.NewReader("4x"))
			r.RemoteAddr = "203.0.113.9:1"
			w := httptest.NewRecorder()
			s.engine.ServeHTTP(w, r)
			if w.Code != 200 {
				t.Fatalf("POST of a session: %d", w.Code)
			}
		}
	})
}

func TestHandshakesPerPrivateAddress(t *testing.T) {
	s := newServer(t, &engineio.Options{Handshakes: engineio.HandshakeLimit{PerSecond: 0.001, Burst: 1, IncludePrivate: true}})
	s.poll()
	if r := s.get(pollingQuery); r.status != 429 {
		t.Errorf("%v, want 429", r)
	}
	if r := s.refusedUpgrade(wsQuery); r.status != 429 {
		t.Errorf("upgrade: %v, want 429", r)
	}
}
