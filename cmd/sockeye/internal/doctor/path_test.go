package doctor

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sockeye-io/sockeye/engineio"
)

func TestURL(t *testing.T) {
	for raw, want := range map[string][3]string{ // base, path, namespace
		"localhost:3000":                 {"http://localhost:3000", "/socket.io/", "/"},
		":3000":                          {"http://localhost:3000", "/socket.io/", "/"},
		"example.com:443/chat":           {"https://example.com:443", "/socket.io/", "/chat"},
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
	x := &exam{secrets: &secrets{}, report: &Report{}}
	if err := x.parse("https://Example.com:443"); err != nil || x.own() != "https://example.com" {
		t.Errorf("the own origin is %s, %v", x.own(), err)
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
