package engineio_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/sockeye-io/sockeye/engineio"
)

const (
	unknownTransport = `{"code":0,"message":"Transport unknown"}`
	unknownSession   = `{"code":1,"message":"Session ID unknown"}`
	badMethod        = `{"code":2,"message":"Bad handshake method"}`
	badRequest       = `{"code":3,"message":"Bad request"}`
	badVersion       = `{"code":5,"message":"Unsupported protocol version"}`
)

// Bodies and statuses are those of engine.io 6.6.12.
func TestRefusedRequests(t *testing.T) {
	s := newServer(t, nil)
	for _, c := range []struct {
		name, method, target, body string
	}{
		{"no transport", "GET", "EIO=4", unknownTransport},
		{"no query", "GET", "/engine.io/", unknownTransport},
		{"unknown transport", "GET", "EIO=4&transport=tobi", unknownTransport},
		{"transport of another door", "GET", "EIO=4&transport=webtransport", unknownTransport},
		{"transport named like a property", "GET", "EIO=4&transport=constructor", unknownTransport},
		{"transport in another case", "GET", "EIO=4&transport=Polling", unknownTransport},
		{"transport before sid", "GET", "EIO=4&transport=tobi&sid=zzz", unknownTransport},
		{"unknown sid", "GET", "EIO=4&transport=polling&sid=test", unknownSession},
		{"unknown sid, POST", "POST", "EIO=4&transport=polling&sid=test", unknownSession},
		{"unknown sid, streaming", "GET", "EIO=4&transport=streaming&sid=test", unknownSession},
		{"sid named like a property", "GET", "EIO=4&transport=polling&sid=__proto__", unknownSession},
		{"POST without sid", "POST", "EIO=4&transport=polling", badMethod},
		{"POST without sid, streaming", "POST", "EIO=4&transport=streaming", badMethod},
		{"PUT without sid", "PUT", "EIO=4&transport=polling", badMethod},
		{"HEAD without sid", "HEAD", "EIO=4&transport=polling", ""},
		{"OPTIONS without CORS", "OPTIONS", "EIO=4&transport=polling", badMethod},
		{"websocket without Upgrade", "GET", "EIO=4&transport=websocket", badRequest},
		{"websocket by POST", "POST", "EIO=4&transport=websocket", badMethod},
		{"version 3", "GET", "EIO=3&transport=polling", badVersion},
		{"no version", "GET", "transport=polling", badVersion},
		{"version 5", "GET", "EIO=5&transport=polling", badVersion},
		{"version that is no number", "GET", "EIO=four&transport=polling", badVersion},
		{"version 3, streaming", "GET", "EIO=3&transport=streaming", badVersion},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := s.do(c.method, c.target, "")
			if r.status != 400 || r.body != c.body {
				t.Errorf("got %v, want 400 %s", r, c.body)
			}
			if got := r.header.Get("Content-Type"); got != "application/json" {
				t.Errorf("Content-Type: %q", got)
			}
		})
	}
	if n := s.engine.Sessions(); n != 0 {
		t.Errorf("%d sessions were opened", n)
	}
}

func TestRefusedUpgrades(t *testing.T) {
	s := newServer(t, nil)
	for _, c := range []struct{ name, target, body string }{
		{"unknown transport", "EIO=4&transport=tobi", "Transport unknown"},
		{"no transport", "EIO=4", "Transport unknown"},
		{"unknown sid", wsQuery + "&sid=zzz", "Session ID unknown"},
		// Node completes these two upgrades first, and then writes HTTP into the
		// WebSocket.
		{"version 3", "EIO=3&transport=websocket", "Unsupported protocol version"},
		{"no version", "transport=websocket", "Unsupported protocol version"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := s.refusedUpgrade(c.target)
			if r.status != 400 || r.body != c.body {
				t.Errorf("got %v, want 400 %s", r, c.body)
			}
			if got := r.header.Get("Content-Type"); got != "text/html" {
				t.Errorf("Content-Type: %q", got)
			}
		})
	}
	if n := s.engine.Sessions(); n != 0 {
		t.Errorf("%d sessions were opened", n)
	}
}

func TestRefusedUpgradeClosesConnection(t *testing.T) {
	s := newServer(t, nil)
	raw := exchange(t, s, upgradeRequest("EIO=4&transport=tobi"))
	if !strings.HasPrefix(raw, "HTTP/1.1 400 Bad Request\r\n") || !strings.Contains(raw, "\r\nConnection: close\r\n") ||
		!strings.HasSuffix(raw, "\r\n\r\nTransport unknown") {
		t.Errorf("got %q", raw)
	}
}

// As Node answers: a WebSocket that is closed as soon as it is open.
func TestUpgradeOfOtherTransport(t *testing.T) {
	s := newServer(t, nil)
	for _, transport := range []string{"polling", "streaming"} {
		s.dialWS("EIO=4&transport="+transport, "").expectClose(noCode)
	}
	if n := s.engine.Sessions(); n != 0 {
		t.Errorf("%d sessions were opened", n)
	}
}

func TestMalformedWebSocketHandshake(t *testing.T) {
	s := newServer(t, nil)
	whole := upgradeRequest(wsQuery)
	for name, request := range map[string]string{
		"no key":          strings.Replace(whole, "Sec-WebSocket-Key", "X-Key", 1),
		"empty key":       strings.Replace(whole, "dGhlIHNhbXBsZSBub25jZQ==", "", 1),
		"short key":       strings.Replace(whole, "dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBs", 1),
		"no version":      strings.Replace(whole, "Sec-WebSocket-Version", "X-Version", 1),
		"unknown version": strings.Replace(whole, "Version: 13", "Version: 99", 1),
		"POST":            strings.Replace(whole, "GET ", "POST ", 1),
		"HTTP/1.0":        strings.Replace(whole, "HTTP/1.1", "HTTP/1.0", 1),
		"other upgrade":   strings.Replace(whole, "Upgrade: websocket", "Upgrade: h2c", 1),
	} {
		t.Run(name, func(t *testing.T) {
			r := s.startRaw(request, "GET").wait()
			if r.err != nil || r.status < 400 || r.status > 599 || r.status == 500 {
				t.Errorf("got %v, want a refusal", r)
			}
		})
	}
	if n := s.engine.Sessions(); n != 0 {
		t.Errorf("%d sessions were opened", n)
	}
}

func TestPathIsNoPrefix(t *testing.T) {
	s := newServer(t, nil)
	for target, status := range map[string]int{
		"/engine.io/":         200,
		"/engine.io":          200, // clients with addTrailingSlash: false
		"/engine.io/anything": 404,
		"/engine.iox/":        404,
		"/engine.io//":        404,
		"/":                   404,
		"/other/engine.io/":   404,
	} {
		if r := s.get(target + "?" + pollingQuery); r.status != status {
			t.Errorf("%s: %d, want %d", target, r.status, status)
		}
	}
	if r := s.refusedUpgrade("/engine.io/anything?" + wsQuery); r.status != 404 {
		t.Errorf("upgrade below the path: %v, want 404", r)
	}
}

func TestOwnPath(t *testing.T) {
	for given, want := range map[string]string{"/live": "/live/", "live/": "/live/", "/a/b/": "/a/b/"} {
		s := newServer(t, &engineio.Options{Path: given})
		if r := s.get(want + "?" + pollingQuery); r.status != 200 {
			t.Errorf("Path %q: %s answers %v", given, want, r)
		}
		if r := s.get("/engine.io/?" + pollingQuery); r.status != 404 {
			t.Errorf("Path %q: the default path answers %v", given, r)
		}
	}
}

func TestAllowRequest(t *testing.T) {
	s := newServer(t, &engineio.Options{AllowRequest: func(r *http.Request) error {
		switch r.URL.Query().Get("token") {
		case "":
			return errors.New("")
		case "good":
			return nil
		}
		return errors.New(`Thou shall not "pass"`)
	}})
	for query, body := range map[string]string{
		"":           `{"code":4,"message":"Forbidden"}`,
		"&token=bad": `{"code":4,"message":"Thou shall not \"pass\""}`,
	} {
		for _, transport := range []string{"polling", "streaming"} {
			r := s.get("EIO=4&transport=" + transport + query)
			if r.status != 403 || r.body != body || r.header.Get("Content-Type") != "application/json" {
				t.Errorf("%s%s: got %v, want 403 %s", transport, query, r, body)
			}
		}
	}
	// Node says 400 here.
	if r := s.refusedUpgrade(wsQuery); r.status != 403 || r.body != "Forbidden" {
		t.Errorf("upgrade: got %v, want 403 Forbidden", r)
	}
	if r := s.refusedUpgrade(wsQuery + "&token=bad"); r.status != 403 || r.body != `Thou shall not "pass"` {
		t.Errorf("upgrade: got %v, want 403 with the reason", r)
	}
	s.ws("&token=good").close()
}

func TestAllowRequestOnlyForHandshakes(t *testing.T) {
	calls := newQueue[string]()
	s := newServer(t, &engineio.Options{AllowRequest: func(r *http.Request) error {
		calls.push(r.URL.Query().Get("sid"))
		return nil
	}})
	p := s.poll()
	p.post("4hi")
	p.peer.expectMessage("hi")
	p.peer.sendText("yo")
	p.expectPoll("4yo")
	s.dialWS(wsQuery+"&sid="+p.sid, "").close()
	if n := calls.len(); n != 1 {
		t.Errorf("AllowRequest was called %d times, want once", n)
	}
}

func TestSessionRequestsMustMatch(t *testing.T) {
	s := newServer(t, nil)
	p := s.poll()
	w := s.ws()
	for name, c := range map[string]struct{ target, body string }{
		"EIO missing":                       {"transport=polling&sid=" + p.sid, badRequest},
		"EIO of version 3":                  {"EIO=3&transport=polling&sid=" + p.sid, badRequest},
		"websocket without Upgrade":         {wsQuery + "&sid=" + p.sid, badRequest},
		"polling for a websocket session":   {pollingQuery + "&sid=" + w.sid, badRequest},
		"streaming for a websocket session": {"EIO=4&transport=streaming&sid=" + w.sid, badRequest},
	} {
		if r := s.get(c.target); r.status != 400 || r.body != c.body {
			t.Errorf("%s: got %v, want 400 %s", name, r, c.body)
		}
	}
	if r := s.refusedUpgrade("EIO=3&transport=websocket&sid=" + p.sid); r.status != 400 {
		t.Errorf("upgrade with another EIO: %v", r)
	}
	s.dialWS(pollingQuery+"&sid="+p.sid, "").expectClose(noCode)
	// None of that has hurt the sessions.
	p.post("4still")
	p.peer.expectMessage("still")
	w.send("4here")
	w.peer.expectMessage("here")
}

func TestOtherMethodsOnSession(t *testing.T) {
	s := newServer(t, nil)
	p := s.poll()
	for _, method := range []string{"PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"} {
		if r := s.do(method, p.query(), ""); r.status != 500 || r.body != "" {
			t.Errorf("%s: got %v, want 500 without a body", method, r)
		}
	}
	p.post("4alive")
	p.peer.expectMessage("alive")
}

func TestGenerateIDFails(t *testing.T) {
	s := newServer(t, &engineio.Options{GenerateID: func(*http.Request) (string, error) { return "", errors.New("no entropy") }})
	for _, transport := range []string{"polling", "streaming"} {
		if r := s.get("EIO=4&transport=" + transport); r.status != 400 || r.body != badRequest {
			t.Errorf("%s: %v", transport, r)
		}
	}
	if r := s.refusedUpgrade(wsQuery); r.status != 400 || r.body != "Bad request" {
		t.Errorf("upgrade: %v", r)
	}
}

func TestGenerateID(t *testing.T) {
	s := newServer(t, &engineio.Options{GenerateID: func(r *http.Request) (string, error) { return r.URL.Query().Get("id"), nil }})
	if p := s.poll("&id=mine"); p.sid != "mine" || p.peer.ID() != "mine" {
		t.Errorf("sid %q, ID %q, want mine", p.sid, p.peer.ID())
	}
	if r := s.get(pollingQuery + "&id=mine"); r.status != 400 || r.body != badRequest {
		t.Errorf("an id in use: %v", r)
	}
	if w := s.ws("&id=other"); w.sid != "other" {
		t.Errorf("sid %q, want other", w.sid)
	}
}

func TestConnectionErrors(t *testing.T) {
	s := newServer(t, &engineio.Options{AllowRequest: func(r *http.Request) error {
		if r.URL.Query().Has("refuse") {
			return errors.New("go away")
		}
		return nil
	}})
	p := s.poll()
	for _, c := range []struct {
		method, target string
		upgrade        bool
		code           engineio.ErrorCode
		status         int
		key            string
		value          any
	}{
		{"GET", "EIO=4&transport=tobi", false, 0, 400, "transport", "tobi"},
		{"GET", "EIO=4&transport=polling&sid=gone", false, 1, 400, "sid", "gone"},
		{"POST", pollingQuery, false, 2, 400, "method", "POST"},
		{"GET", wsQuery, false, 3, 400, "name", "TRANSPORT_HANDSHAKE_ERROR"},
		{"GET", wsQuery + "&sid=" + p.sid, false, 3, 400, "name", "TRANSPORT_MISMATCH"},
		{"GET", wsQuery + "&sid=" + p.sid, false, 3, 400, "previousTransport", "polling"},
		{"GET", "EIO=3&transport=polling&sid=" + p.sid, false, 3, 400, "name", "PROTOCOL_MISMATCH"},
		{"GET", pollingQuery + "&refuse", false, 4, 403, "message", "go away"},
		{"GET", wsQuery + "&refuse", true, 4, 403, "message", "go away"},
		{"GET", "EIO=3&transport=polling", false, 5, 400, "protocol", 3},
	} {
		if c.upgrade {
			s.refusedUpgrade(c.target)
		} else {
			s.do(c.method, c.target, "")
		}
		e, err := s.errors.pop(s.guard)
		if err != nil {
			t.Fatalf("%s %s: not reported", c.method, c.target)
		}
		if e.Code != c.code || e.Status != c.status || e.Context[c.key] != c.value || e.Request == nil || e.Error() == "" {
			t.Errorf("%s %s: code %d, status %d, context %v", c.method, c.target, e.Code, e.Status, e.Context)
		}
	}
	if n := s.engine.Stats().Refused; n != 10 {
		t.Errorf("Stats().Refused = %d, want 10", n)
	}
}

func TestContradictoryOptionsPanic(t *testing.T) {
	accept := func(*engineio.Session) engineio.Receiver { return nil }
	for name, o := range map[string]*engineio.Options{
		"transport":       {Transports: []string{"polling", "carrier pigeon"}},
		"interval":        {PingInterval: -1},
		"payload":         {MaxPayload: -1},
		"origin":          {CORS: &engineio.CORS{Origins: []string{"example.com"}}},
		"cookie name":     {Cookie: &http.Cookie{Name: "a b"}},
		"cookie domain":   {Cookie: &http.Cookie{Domain: "a;b"}},
		"deflate level":   {Deflate: &engineio.Deflate{Level: 11}},
		"cookie path":     {Cookie: &http.Cookie{Path: "/\x00"}},
		"two asterisks":   {CORS: &engineio.CORS{Origins: []string{"https://*.*.com"}}},
		"upgrade timeout": {UpgradeTimeout: -1},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			engineio.NewServer(o, accept)
		}()
	}
	defer func() {
		if recover() == nil {
			t.Error("no accept function: no panic")
		}
	}()
	engineio.NewServer(nil, nil)
}
