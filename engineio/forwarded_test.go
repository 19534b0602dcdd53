package engineio_test

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"testing"

	"github.com/sockeye-io/sockeye/engineio"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// What a trusted proxy says decides everywhere.
func TestTrustedProxy(t *testing.T) {
	var allowed, host string
	s := newServer(t, &engineio.Options{
		TrustedProxies: loopback,
		Handshakes:     engineio.HandshakeLimit{PerSecond: 0.001, Burst: 2},
		AllowRequest: func(r *http.Request) error {
			allowed, host = r.RemoteAddr, r.Host
			return nil
		},
	})
	from := func(addr string, more ...string) response {
		return s.get(pollingQuery, append(more, "X-Forwarded-For: "+addr)...)
	}
	r := from("203.0.113.7", "X-Forwarded-Proto: https", "X-Forwarded-Host: app.example", "Origin: https://app.example")
	if r.status != 200 {
		t.Fatalf("the origin was not compared with the proxy's host: %v", r)
	}
	h := s.nextPeer().Handshake()
	if h.RemoteAddr() != "203.0.113.7:0" || h.RemoteIP() != netip.MustParseAddr("203.0.113.7") || h.Host() != "app.example" || !h.Secure() {
		t.Errorf("address %s, %s, host %s, secure %v", h.RemoteAddr(), h.RemoteIP(), h.Host(), h.Secure())
	}
	if allowed != "203.0.113.7:0" || host != "app.example" {
		t.Errorf("AllowRequest saw %s, %s", allowed, host)
	}
	// The limit is the client's, not the proxy's.
	if r := from("203.0.113.7"); r.status != 200 {
		t.Errorf("second handshake: %v", r)
	}
	if r := from("203.0.113.7"); r.status != 429 {
		t.Errorf("third handshake: %v", r)
	}
	if r := from("198.51.100.1, 203.0.113.7"); r.status != 429 {
		t.Errorf("with an address made up: %v", r)
	}
	if r := from("203.0.113.8"); r.status != 200 {
		t.Errorf("another client: %v", r)
	}
	if r := from("203.0.113.9", "Origin: https://evil.example"); r.status != 403 {
		t.Errorf("another origin: %v", r)
	}
}

func TestUntrustedProxy(t *testing.T) {
	for name, trusted := range map[string][]netip.Prefix{
		"nobody":        nil,
		"others":        {netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::/0")},
		"a Unix socket": {{}},
	} {
		s := newServer(t, &engineio.Options{TrustedProxies: trusted})
		forged := []string{"X-Forwarded-For: 203.0.113.7", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil.example"}
		if r := s.get(pollingQuery, append(forged, "Origin: https://evil.example")...); r.status != 403 {
			t.Errorf("%s: %v, want 403", name, r)
		}
		if r := s.get(pollingQuery, forged...); r.status != 200 {
			t.Fatalf("%s: %v", name, r)
		}
		h := s.nextPeer().Handshake()
		if ip := h.RemoteIP(); !ip.IsLoopback() || h.Secure() || h.Host() == "evil.example" {
			t.Errorf("%s: address %v, host %s, secure %v", name, ip, h.Host(), h.Secure())
		}
	}
}

// The zero Prefix trusts a proxy on a Unix socket.
func TestTrustedUnixSocket(t *testing.T) {
	for _, trusted := range []bool{true, false} {
		name := filepath.Join(t.TempDir(), "s")
		ln, err := net.Listen("unix", name)
		if err != nil {
			t.Fatal(err)
		}
		o := &engineio.Options{TrustedProxies: loopback}
		if trusted {
			o.TrustedProxies = []netip.Prefix{{}}
		}
		s := serveOn(t, o, ln, realGuard, func() (net.Conn, error) { return net.Dial("unix", name) })
		if r := s.get(pollingQuery, "X-Forwarded-For: 203.0.113.7"); r.status != 200 {
			t.Fatal(r)
		}
		if got := s.nextPeer().Handshake().RemoteIP(); got.IsValid() != trusted {
			t.Errorf("trusted %v: address %v", trusted, got)
		}
	}
}

// A refused request is reported with the client's address; a session's requests are compared with the proxy's host, too.
func TestTrustedProxyRefusesSession(t *testing.T) {
	s := newServer(t, &engineio.Options{TrustedProxies: loopback, AllowRequest: func(*http.Request) error { return errors.New("no") }})
	if r := s.get(pollingQuery, "Forwarded: for=203.0.113.7;host=app.example", "Origin: https://app.example"); r.status != 403 {
		t.Fatal(r)
	}
	e, err := s.errors.pop(s.guard)
	if err != nil || e.Message != "no" || e.Request.RemoteAddr != "203.0.113.7:0" || e.Request.Host != "app.example" {
		t.Errorf("reported %+v, %v", e, err)
	}

	s = newServer(t, &engineio.Options{TrustedProxies: loopback})
	sid := sidOf(t, s.get(pollingQuery, "X-Forwarded-Host: app.example", "Origin: https://app.example").body)
	s.nextPeer().sendText("x")
	if r := s.get(pollingQuery+"&sid="+sid, "X-Forwarded-Host: app.example", "Origin: https://app.example"); r.status != 200 || r.body != "4x" {
		t.Errorf("poll: %v", r)
	}
	if r := s.get(pollingQuery+"&sid="+sid, "X-Forwarded-Host: other.example", "Origin: https://app.example"); r.status != 403 {
		t.Errorf("poll of another host: %v", r)
	}
}

func TestTrustedProxiesChecked(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a network that is none was taken")
		}
	}()
	bad := netip.PrefixFrom(netip.MustParseAddr("10.0.0.0"), 99)
	engineio.NewServer(&engineio.Options{TrustedProxies: []netip.Prefix{bad}}, func(*engineio.Session) engineio.Receiver { return nil })
}
