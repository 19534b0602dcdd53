package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sockeye-io/sockeye/engineio"
	"github.com/sockeye-io/sockeye/socketio"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sockeye is a Socket.IO server that is fine.
func sockeye(t *testing.T, o engineio.Options) http.Handler {
	t.Helper()
	io := socketio.NewServer(&socketio.Options{Engine: o, Logger: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() { _ = io.Close() })
	return io
}

// serve puts the handler on a free port.
func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// examine runs the examination, with a short watch of silence unless told otherwise.
func examine(t *testing.T, url string, o Options) *Report {
	t.Helper()
	if o.Idle == 0 {
		o.Idle = 50 * time.Millisecond
	}
	if o.Sessions == 0 {
		o.Sessions = 2
	}
	r, err := Run(t.Context(), url, &o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			var b strings.Builder
			_ = r.WriteJSON(&b)
			t.Log(b.String())
		}
	})
	return r
}

// expect fails unless the step has the verdict, and the finding if a code is given.
func expect(t *testing.T, r *Report, step string, v Verdict, code string) *Finding {
	t.Helper()
	s := r.Step(step)
	if s == nil {
		t.Fatalf("there is no step %s", step)
	}
	if s.Verdict != v {
		t.Errorf("%s: %s (%s), want %s", step, s.Verdict, s.Summary, v)
	}
	if code == "" {
		if len(s.Findings) > 0 {
			t.Errorf("%s: there are findings: %+v", step, s.Findings)
		}
		return nil
	}
	for i := range s.Findings {
		if s.Findings[i].Code == code {
			return &s.Findings[i]
		}
	}
	t.Errorf("%s: there is no finding %s: %+v", step, code, s.Findings)
	return &Finding{}
}

// wrap is a middleware.
func wrap(next http.Handler, f func(w http.ResponseWriter, r *http.Request, next http.Handler)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f(w, r, next) })
}

func TestAllWell(t *testing.T) {
	r := examine(t, serve(t, sockeye(t, engineio.Options{})), Options{})
	for _, s := range r.Steps {
		if s.Verdict != OK && s.Verdict != Skipped {
			t.Errorf("%s: %s, %s", s.ID, s.Verdict, s.Summary)
		}
		if s.Summary == "" {
			t.Errorf("%s says nothing", s.ID)
		}
	}
	if r.Verdict != OK || r.ExitCode() != 0 || !r.Reached {
		t.Errorf("verdict %s, exit code %d, reached %v", r.Verdict, r.ExitCode(), r.Reached)
	}
}

func TestURL(t *testing.T) {
	for raw, want := range map[string][3]string{ // base, path, namespace
		"localhost:3000":                 {"http://localhost:3000", "/socket.io/", "/"},
		"example.com":                    {"http://example.com", "/socket.io/", "/"},
		"wss://example.com/":             {"https://example.com", "/socket.io/", "/"},
		"https://example.com/admin":      {"https://example.com", "/socket.io/", "/admin"},
		"ws://example.com/socket.io/":    {"http://example.com", "/socket.io/", "/"},
		"http://[::1]:8080/a/engine.io?": {"http://[::1]:8080", "/a/engine.io/", "/"},
		"https://example.com:/":          {"https://example.com", "/socket.io/", "/"},
	} {
		x := &exam{secrets: &secrets{}, report: &Report{}}
		if err := x.parse(raw); err != nil {
			t.Errorf("%s: %v", raw, err)
			continue
		}
		if got := [3]string{x.base.String(), x.path, x.namespace}; got != want {
			t.Errorf("%s: %q, want %q", raw, got, want)
		}
	}
	for _, raw := range []string{"ftp://example.com", "http://", "http://exa mple.com", "https://u:hidden@exa mple.com/"} {
		_, err := Run(t.Context(), raw, nil)
		if err == nil {
			t.Errorf("%s is taken for a URL", raw)
		} else if strings.Contains(err.Error(), "hidden") {
			t.Errorf("the error has the password in it: %v", err)
		}
	}
}

func TestURLWarnings(t *testing.T) {
	for raw, code := range map[string]string{
		"http://example.com:443":        "port-scheme",
		"https://example.com:80":        "port-scheme",
		"http://u:p@example.com":        "url-credentials",
		"http://example.com/socket.io/": "url-path",
		"http://example.com/#chat":      "url-fragment",
		"http://0.0.0.0:3000":           "url-unspecified",
	} {
		x := &exam{secrets: &secrets{}, report: &Report{}}
		if err := x.parse(raw); err != nil {
			t.Fatal(err)
		}
		s := &Step{}
		x.examineURL(t.Context(), s)
		s.settle()
		if s.Verdict != Warning || len(s.Findings) != 1 || s.Findings[0].Code != code {
			t.Errorf("%s: %+v, want %s", raw, s.Findings, code)
		}
	}
}

func TestBadOptions(t *testing.T) {
	for _, o := range []Options{
		{Timeout: -1}, {Idle: -1}, {Sessions: -1}, {Auth: json.RawMessage(`"x"`)}, {Auth: json.RawMessage(`{`)},
		{Origin: "example.com"}, {Origin: "https://example.com/page"}, {Namespace: "/a,b"},
	} {
		if _, err := Run(t.Context(), "http://127.0.0.1:1", &o); err == nil {
			t.Errorf("%+v is accepted", o)
		}
	}
}

func TestNoSuchHost(t *testing.T) {
	r := examine(t, "http://nothing.invalid", Options{})
	s := r.Step("dns")
	if s.Verdict == Skipped {
		t.Skip("names are looked up by a proxy here")
	}
	if s.Verdict != Problem || !s.has("dns-not-found") && !s.has("dns-failed") {
		t.Errorf("dns: %+v", s)
	}
	if r.ExitCode() != 3 {
		t.Errorf("the exit code is %d", r.ExitCode())
	}
}

func TestSomeAddressesRefuse(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	x := &exam{secrets: &secrets{}, report: &Report{}, addresses: []string{"127.0.0.1", "127.0.0.2"}}
	x.opts.Timeout = 10 * time.Second
	if err := x.parse("http://" + ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	s := &Step{}
	x.examineTCP(t.Context(), s)
	s.settle()
	if s.Verdict != Warning || !s.has("tcp-some") || !x.report.Reached || x.broken != "" {
		t.Errorf("%+v, reached %v, broken %q", s, x.report.Reached, x.broken)
	}
}

func TestNotHTTP(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, "220 mail.example.com ESMTP\r\n")
			c.Close()
		}
	})
	defer wg.Wait()
	defer ln.Close()
	r := examine(t, "http://"+ln.Addr().String(), Options{})
	expect(t, r, "path", Problem, "http-failed")
	if r.ExitCode() != 1 {
		t.Errorf("the exit code is %d", r.ExitCode())
	}
	expect(t, examine(t, "https://"+ln.Addr().String(), Options{}), "tls", Problem, "tls-plain-http")
}

func TestHTTPToHTTPS(t *testing.T) {
	s := httptest.NewUnstartedServer(sockeye(t, engineio.Options{}))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.StartTLS()
	defer s.Close()
	r := examine(t, strings.Replace(s.URL, "https:", "http:", 1), Options{})
	expect(t, r, "path", Problem, "http-to-https")
	r = examine(t, s.URL, Options{})
	expect(t, r, "tls", Problem, "tls-self-signed")
	expect(t, r, "websocket", OK, "")
}

func TestWhatIsAtThePath(t *testing.T) {
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	redirect := func(to string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) }
	}
	for name, c := range map[string]struct {
		h    http.HandlerFunc
		code string
	}{
		"401":        {status(401), "auth-required"},
		"403":        {status(403), "forbidden"},
		"404":        {status(404), "not-found"},
		"429":        {status(429), "rate-limited"},
		"500":        {status(500), "server-error"},
		"502":        {status(502), "bad-gateway"},
		"empty":      {status(200), "not-engineio"},
		"https":      {redirect("https://example.com/socket.io/"), "redirect-https"},
		"other host": {redirect("http://other.example.com/"), "redirect-host"},
		"login":      {redirect("/login"), "redirect"},
		"page": {func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/socket.io/" {
				w.WriteHeader(404)
				return
			}
			_, _ = io.WriteString(w, "<!DOCTYPE html><p>hello")
		}, "web-page"},
		"fallback": {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }, "spa-fallback"},
		"JSON":     {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"detail":"hello"}`) }, "not-engineio"},
	} {
		t.Run(name, func(t *testing.T) {
			r := examine(t, serve(t, c.h), Options{})
			f := expect(t, r, "path", Problem, c.code)
			if f.Fix == "" {
				t.Error("there is no fix")
			}
			expect(t, r, "polling", Skipped, "")
			if r.Summary.FirstCode != c.code {
				t.Errorf("what to change first is %s", r.Summary.FirstCode)
			}
		})
	}
}

func TestRedirectToTheRightPath(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("/live/socket.io/", sockeye(t, engineio.Options{Path: "/live/socket.io/"}))
	mux.Handle("/", http.RedirectHandler("/live/socket.io/?EIO=4&transport=polling", http.StatusMovedPermanently))
	r := examine(t, serve(t, mux), Options{})
	expect(t, r, "path", Problem, "redirect-path")
	expect(t, r, "polling", OK, "")
	if r.Path != "/live/socket.io/" {
		t.Errorf("the path is %s", r.Path)
	}
}

func TestCached(t *testing.T) {
	var mu sync.Mutex
	stored := map[string]*httptest.ResponseRecorder{}
	h := wrap(sockeye(t, engineio.Options{}), func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method != http.MethodGet || r.URL.Query().Has("sid") || r.Header.Get("Upgrade") != "" || r.URL.Query().Get("transport") != "polling" {
			next.ServeHTTP(w, r)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		rec := stored[r.URL.String()]
		if rec == nil {
			rec = httptest.NewRecorder()
			next.ServeHTTP(rec, r)
			stored[r.URL.String()] = rec
		}
		w.WriteHeader(rec.Code)
		_, _ = w.Write(rec.Body.Bytes())
	})
	r := examine(t, serve(t, h), Options{})
	expect(t, r, "polling", Problem, "cached")
}

// A server that handles one request at a time can't do long-polling: the GET that waits keeps the POST out.
func TestOneRequestAtATime(t *testing.T) {
	waiting, left := make(chan struct{}), make(chan struct{})
	var once sync.Once
	h := wrap(sockeye(t, engineio.Options{}), func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		switch {
		case r.Method == http.MethodGet && r.URL.Query().Has("sid"):
			once.Do(func() {
				close(waiting)
				defer close(left)
				next.ServeHTTP(w, r)
			})
		case strings.HasPrefix(string(body), "40"):
			select {
			case <-waiting:
				<-left
			case <-r.Context().Done():
			}
			next.ServeHTTP(w, r)
		default:
			next.ServeHTTP(w, r)
		}
	})
	r := examine(t, serve(t, h), Options{Timeout: 500 * time.Millisecond})
	expect(t, r, "polling", Problem, "one-request")
}

func TestPostRefused(t *testing.T) {
	h := wrap(sockeye(t, engineio.Options{}), func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method == http.MethodPost {
			http.Error(w, "CSRF token mismatch", 419)
			return
		}
		next.ServeHTTP(w, r)
	})
	r := examine(t, serve(t, h), Options{})
	expect(t, r, "polling", Problem, "post-refused")
	expect(t, r, "websocket", OK, "")
}

// Engine.IO without Socket.IO on top of it.
func TestBareEngineIO(t *testing.T) {
	h := engineio.NewServer(&engineio.Options{Path: "/engine.io/", Logger: slog.New(slog.DiscardHandler)}, func(*engineio.Session) engineio.Receiver { return deaf{} })
	defer h.Close()
	r := examine(t, serve(t, h), Options{Path: "/engine.io/", Timeout: time.Second})
	expect(t, r, "polling", OK, "")
	expect(t, r, "websocket", OK, "")
	expect(t, r, "connect", Problem, "connect-silent")
	expect(t, r, "payload", OK, "")
}

type deaf struct{}

func (deaf) Message(bool, []byte)               {}
func (deaf) Closed(engineio.CloseReason, error) {}

func TestClosedAfter101(t *testing.T) {
	h := wrap(sockeye(t, engineio.Options{}), func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Header.Get("Upgrade") == "" {
			next.ServeHTTP(w, r)
			return
		}
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n\r\n", acceptKey(r.Header.Get("Sec-WebSocket-Key")))
	})
	r := examine(t, serve(t, h), Options{})
	expect(t, r, "websocket", Problem, "closed-after-101")
}

func TestHandshakeRefused(t *testing.T) {
	r := examine(t, serve(t, sockeye(t, engineio.Options{AllowRequest: func(*http.Request) error { return fmt.Errorf("members only") }})), Options{})
	f := expect(t, r, "polling", Problem, "handshake-refused")
	if !strings.Contains(f.Text, "members only") {
		t.Errorf("the server's words are missing: %s", f.Text)
	}
	expect(t, r, "websocket", Problem, "upgrade-refused")
}

func TestClock(t *testing.T) {
	for _, off := range []time.Duration{-10 * time.Minute, 10 * time.Minute} {
		h := wrap(sockeye(t, engineio.Options{}), func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			w.Header().Set("Date", time.Now().Add(off).UTC().Format(http.TimeFormat))
			next.ServeHTTP(w, r)
		})
		f := expect(t, examine(t, serve(t, h), Options{}), "clock", Warning, "clock-skew")
		if !strings.Contains(f.Text, map[bool]string{true: "ahead of", false: "behind"}[off > 0]) {
			t.Errorf("off by %v: %s", off, f.Text)
		}
	}
}

func TestCookies(t *testing.T) {
	for _, c := range []struct {
		cookie  string
		verdict Verdict
		code    string
	}{
		{"route=0123456789abcdef; Path=/; HttpOnly", OK, ""},
		{"route=0123456789abcdef; Path=/; Secure", OK, ""}, // loopback counts as secure
		{"route=0123456789abcdef; Path=/elsewhere", Warning, "cookie-rejected"},
		{"route=0123456789abcdef; Domain=example.com", Warning, "cookie-rejected"},
	} {
		h := wrap(sockeye(t, engineio.Options{}), func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			w.Header().Set("Set-Cookie", c.cookie)
			next.ServeHTTP(w, r)
		})
		r := examine(t, serve(t, h), Options{})
		expect(t, r, "cookies", c.verdict, c.code)
		if text := strings.Join(r.Step("cookies").Evidence, "\n"); strings.Contains(text, "0123456789") || !strings.Contains(text, "route=01…") {
			t.Errorf("the evidence is %s", text)
		}
	}
}

func TestSecureCookieByHTTP(t *testing.T) {
	x := &exam{secrets: &secrets{}, report: &Report{}, cookies: []*http.Cookie{{Name: "route", Value: "x", Secure: true}}}
	if err := x.parse("http://example.com"); err != nil {
		t.Fatal(err)
	}
	s := &Step{}
	x.examineCookies(t.Context(), s)
	s.settle()
	if s.Verdict != Warning || !strings.Contains(s.Summary, "it is Secure, and the URL is http") {
		t.Errorf("%+v", s)
	}
}

func TestCORS(t *testing.T) {
	const origin = "https://app.example.com"
	headers := func(set http.Header) http.Handler {
		// No streams: the middleware would hold them back.
		o := engineio.Options{CORS: &engineio.CORS{Origins: []string{origin}}, Transports: []string{"polling", "websocket"}}
		return wrap(sockeye(t, o), func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if r.Header.Get("Upgrade") != "" {
				next.ServeHTTP(w, r)
				return
			}
			rec := httptest.NewRecorder()
			next.ServeHTTP(rec, r)
			for name := range rec.Header() {
				if !strings.HasPrefix(name, "Access-Control-") {
					w.Header()[name] = rec.Header()[name]
				}
			}
			for name, values := range set {
				w.Header()[name] = values
			}
			w.WriteHeader(rec.Code)
			_, _ = w.Write(rec.Body.Bytes())
		})
	}
	const allow, credentials = "Access-Control-Allow-Origin", "Access-Control-Allow-Credentials"
	for name, c := range map[string]struct {
		set     http.Header
		verdict Verdict
		code    string
	}{
		"none":      {nil, Problem, "cors-missing"},
		"twice":     {http.Header{allow: {origin, origin}}, Problem, "cors-twice"},
		"two":       {http.Header{allow: {origin + ", *"}}, Problem, "cors-twice"},
		"another":   {http.Header{allow: {"https://example.com"}}, Problem, "cors-other"},
		"all":       {http.Header{allow: {"*"}}, OK, ""},
		"this":      {http.Header{allow: {origin}}, OK, ""},
		"cookies":   {http.Header{allow: {"*"}, "Set-Cookie": {"a=b"}}, Warning, "cors-credentials"},
		"with them": {http.Header{allow: {origin}, credentials: {"true"}, "Set-Cookie": {"a=b"}}, OK, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := examine(t, serve(t, headers(c.set)), Options{Origin: origin})
			expect(t, r, "cors", c.verdict, c.code)
		})
	}
	t.Run("preflight", func(t *testing.T) {
		o := Options{Origin: origin, Header: http.Header{"X-Token": {"sesame"}}}
		r := examine(t, serve(t, headers(http.Header{allow: {origin}})), o)
		expect(t, r, "cors", Problem, "cors-preflight")
		r = examine(t, serve(t, sockeye(t, engineio.Options{CORS: &engineio.CORS{Origins: []string{origin}}})), o)
		expect(t, r, "cors", OK, "")
	})
}

func TestPayload(t *testing.T) {
	h := wrap(sockeye(t, engineio.Options{}), func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.ContentLength > 5000 {
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		}
		next.ServeHTTP(w, r)
	})
	f := expect(t, examine(t, serve(t, h), Options{}), "payload", Problem, "payload-413")
	if !strings.Contains(f.Text, "1000000 bytes") || !strings.Contains(f.Config, "client_max_body_size") {
		t.Errorf("%+v", f)
	}
}

func TestIdle(t *testing.T) {
	o := engineio.Options{PingInterval: 70 * time.Second}
	expect(t, examine(t, serve(t, sockeye(t, o)), Options{}), "idle", Warning, "interval-long")
	o = engineio.Options{PingTimeout: time.Second}
	expect(t, examine(t, serve(t, sockeye(t, o)), Options{}), "idle", Warning, "timeout-short")
	o = engineio.Options{PingInterval: 100 * time.Millisecond}
	r := examine(t, serve(t, sockeye(t, o)), Options{Idle: 2 * time.Second})
	expect(t, r, "idle", OK, "")
	if s := r.Step("idle").Summary; !strings.Contains(s, "keep connections open") {
		t.Errorf("heartbeats were seen, and it says %q", s)
	}
}

func TestRateLimit(t *testing.T) {
	o := engineio.Options{Handshakes: engineio.HandshakeLimit{PerSecond: 0.001, Burst: 12, IncludePrivate: true}}
	r := examine(t, serve(t, sockeye(t, o)), Options{Sessions: 20})
	expect(t, r, "sticky", Warning, "rate-limited")
}

// Credentials must not appear in full anywhere, even when the server echoes them.
func TestNothingSecret(t *testing.T) {
	const secret = "open-sesame-4711"
	h := wrap(sockeye(t, engineio.Options{AllowRequest: func(r *http.Request) error {
		return fmt.Errorf("%s is not %s, nor %s", r.Header.Get("Authorization"), r.URL.Query().Get("key"), r.Header.Get("Cookie"))
	}}), func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		w.Header().Set("Set-Cookie", "session="+secret+"-from-the-server")
		next.ServeHTTP(w, r)
	})
	refusing := serve(t, h)
	joins := socketio.NewServer(&socketio.Options{Logger: slog.New(slog.DiscardHandler)})
	defer joins.Close()
	joins.Use(func(_ context.Context, s *socketio.Socket) error {
		var given struct{ Token string }
		_ = s.Auth(&given)
		return fmt.Errorf("bad token %s", given.Token)
	})
	for name, url := range map[string]string{"handshake": refusing, "CONNECT": serve(t, joins), "nobody": "http://127.0.0.1:1"} {
		t.Run(name, func(t *testing.T) {
			url = strings.Replace(url, "http://", "http://user:"+secret+"-password@", 1) + "?key=" + secret + "-in-the-query"
			r := examine(t, url, Options{
				Auth:   json.RawMessage(`{"Token":"` + secret + `-in-auth","n":{"deep":["` + secret + `"]}}`),
				Header: http.Header{"Cookie": {"a=" + secret + "-cookie"}, "X-Key": {secret}},
			})
			var text strings.Builder
			p := Printer{W: &text, Verbose: true}
			for _, s := range r.Steps {
				_ = p.Step(s)
			}
			_ = p.Summary(r)
			_ = r.WriteJSON(&text)
			if strings.Contains(text.String(), secret) {
				t.Errorf("a secret is in the report:\n%s", text.String())
			}
		})
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := Run(ctx, serve(t, sockeye(t, engineio.Options{})), &Options{Begin: func(title string) {
		if title == "WebSocket" {
			cancel()
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	expect(t, r, "polling", OK, "")
	for _, id := range []string{"websocket", "sticky", "latency"} {
		expect(t, r, id, Skipped, "")
	}
}

func TestPrinter(t *testing.T) {
	steps := []*Step{
		{ID: "tcp", Title: "TCP", Verdict: OK, Summary: "fine", Evidence: []string{"seen"}},
		{ID: "a", Title: "A", Verdict: Skipped, Summary: "because"},
		{ID: "b", Title: "B", Verdict: Skipped, Summary: "because"},
		{ID: "c", Title: "C", Verdict: Problem, Summary: "wrong", Evidence: []string{"a thing"},
			Findings: []Finding{{Code: "x", Verdict: Problem, Text: "wrong", Fix: "Do it.", Config: "one;\n  two;"}, {Code: "y", Verdict: Warning, Text: "odd"}}},
	}
	var b strings.Builder
	p := Printer{W: &b}
	for _, s := range steps {
		if err := p.Step(s); err != nil {
			t.Fatal(err)
		}
	}
	want := `  ok       TCP              fine
  skipped  A                because
  problem  C                wrong
                            · a thing
                            → Do it.
                                one;
                                  two;
                            ! odd
`
	if b.String() != want {
		t.Errorf("printed\n%s\nwant\n%s", b.String(), want)
	}
	b.Reset()
	p = Printer{W: &b, Color: true, Verbose: true}
	_ = p.Step(steps[0])
	if !strings.Contains(b.String(), "\x1b[32m") || !strings.Contains(b.String(), "seen") {
		t.Errorf("printed %q", b.String())
	}
}

func FuzzAnswer(f *testing.F) {
	for _, body := range []string{
		`0{"sid":"a","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}`,
		`96:0{"sid":"a","upgrades":[],"pingInterval":25000,"pingTimeout":5000}2:40`, `{"code":0,"message":"Transport unknown"}`,
		`"Invalid session x"`, `40{"sid":"x"}`, `44/chat,{"message":"no","data":{"a":1}}`, `44"no"`, "40\x1e2", "<html>", "", "4",
	} {
		f.Add(200, body)
		f.Add(400, body)
	}
	f.Fuzz(func(t *testing.T, status int, body string) {
		r := readBody(status, body)
		if (r.kind == opened || r.kind == opened3) && (r.open.SID == "" || status != 200) {
			t.Errorf("a session without an id: %+v", r)
		}
		x := &exam{secrets: &secrets{}, namespace: "/chat"}
		if j, ok := x.readJoining(body); ok && j.joined == (j.refused != "") {
			t.Errorf("neither joined nor refused, or both: %+v", j)
		}
		if n := len([]rune(excerpt(body))); n > 121 {
			t.Errorf("an excerpt of %d characters", n)
		}
		if strings.ContainsAny(excerpt(body), "\x1b\n\r\x00") {
			t.Error("control characters are left")
		}
	})
}

// A terminal obeys escape sequences, wherever they come from.
func TestNoEscapes(t *testing.T) {
	for _, status := range []int{http.StatusOK, http.StatusFound, http.StatusNotFound} {
		h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Server"] = []string{"red\u009b31mred"}
			w.Header().Set("Location", "/\u009b31m")
			w.Header().Set("Content-Type", "\u009b31m")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, "\x1b[2J\u009b31m\u202e")
		})
		r := examine(t, serve(t, h), Options{})
		var b strings.Builder
		p := Printer{W: &b, Verbose: true}
		for _, s := range r.Steps {
			_ = p.Step(s)
		}
		_ = p.Summary(r)
		if i := strings.IndexAny(b.String(), "\x1b\u009b\u202e"); i >= 0 {
			t.Errorf("an escape sequence got through: %q", b.String()[i:])
		}
		if !strings.Contains(b.String(), "31m") {
			t.Errorf("nothing of it is shown:\n%s", b.String())
		}
	}
}
