package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv("SOCKEYE_TEST_MAIN") != "" {
		main()
		return
	}
	// chromedp leaves a goroutine behind for every browser that it started.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/chromedp/chromedp.(*Browser).run"))
}

// screen is a terminal that tests can wait on.
type screen struct {
	mu  sync.Mutex
	buf bytes.Buffer
	ch  chan struct{}
}

func newScreen() *screen { return &screen{ch: make(chan struct{}, 1)} }

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := s.buf.Write(p)
	select {
	case s.ch <- struct{}{}:
	default:
	}
	return n, err
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

// waitFor returns the first submatch of the pattern as soon as it is on the screen.
func (s *screen) waitFor(t testing.TB, pattern string) string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	timeout := time.After(60 * time.Second)
	for {
		if m := re.FindStringSubmatch(s.String()); m != nil {
			return m[len(m)-1]
		}
		select {
		case <-s.ch:
		case <-timeout:
			t.Fatalf("no %q on the screen:\n%s", pattern, s)
		}
	}
}

// startDemo serves the demo on a free port until the test ends and returns its URL.
func startDemo(t testing.TB, change func(*serveCommand)) string {
	t.Helper()
	c := &serveCommand{Addr: "127.0.0.1:0", Path: "/socket.io/", Log: "error"}
	if change != nil {
		change(c)
	}
	url, stop := serveUntilStopped(t, c)
	t.Cleanup(stop)
	return url
}

func serveUntilStopped(t testing.TB, c *serveCommand) (url string, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	out := newScreen()
	served := make(chan error, 1)
	go func() { served <- c.serve(ctx, streams{out, out}) }()
	return out.waitFor(t, `(http://\S+)`), func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
		http.DefaultClient.CloseIdleConnections()
	}
}

func get(t *testing.T, url string) (int, string, http.Header) {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(body), r.Header
}

func TestPages(t *testing.T) {
	url := startDemo(t, func(c *serveCommand) { c.Path = "live" })
	for path, want := range map[string]string{
		"/":                                 "Socket.IO for Go",
		"/chat":                             "<title>Chat",
		"/lab":                              "<title>Transport lab",
		"/assets/env.js":                    `export default { path: "/live/", cluster: false };`,
		"/assets/socket.io.esm.min.js":      "export",
		"/assets/base.css":                  "@font-face",
		"/assets/instrument-sans.woff2":     "wOF2",
		"/live/?EIO=4&transport=polling":    `"sid":`,
		"/live/socket.io.js":                "socket.io",
		"/assets/FONTS-LICENSE.txt":         "SIL OPEN FONT LICENSE",
		"/assets/mark.svg":                  "<svg",
		"/assets/bricolage-grotesque.woff2": "wOF2",
	} {
		status, body, header := get(t, url+path)
		if status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d, no %q in %.80q", path, status, want, body)
		}
		if !strings.HasPrefix(path, "/live") && header.Get("Content-Security-Policy") == "" {
			t.Errorf("%s has no Content-Security-Policy", path)
		}
	}
	for _, path := range []string{"/nothing", "/assets/", "/demo.go", "/assets/../demo.go", "/lab/x/long/socket.io/?EIO=4&transport=polling", "/socket.io/"} {
		if status, _, _ := get(t, url+path); status != http.StatusNotFound {
			t.Errorf("%s: %d, want 404", path, status)
		}
	}
}

// Pages must work where there is no network but this server.
func TestPagesAskNobodyElse(t *testing.T) {
	url := startDemo(t, nil)
	foreign := regexp.MustCompile(`(?:src|href)="(?:https?:)?//|url\(["']?(?:https?:)?//|import[^;\n]*["']https?:`)
	for _, path := range []string{"/", "/chat", "/lab", "/assets/base.css", "/assets/lab.css", "/assets/chat.css", "/assets/home.css",
		"/assets/lab.js", "/assets/chat.js", "/assets/home.js", "/assets/link.js", "/assets/plot.js", "/assets/verdict.js", "/assets/theme.js"} {
		status, body, _ := get(t, url+path)
		if found := foreign.FindString(body); status != http.StatusOK || found != "" {
			t.Errorf("%s: %d, %q", path, status, found)
		}
	}
}

func TestPortTaken(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	var out, errOut bytes.Buffer
	code := run([]string{"serve", "--addr", ln.Addr().String()}, streams{&out, &errOut})
	if code != exitError || !strings.Contains(errOut.String(), "port "+port+" is taken") || !strings.Contains(errOut.String(), "--addr 127.0.0.1:0") {
		t.Errorf("exit code %d, said %q", code, errOut.String())
	}
	if out.Len() > 0 {
		t.Errorf("claimed to run: %q", out.String())
	}
}

func TestCommandLine(t *testing.T) {
	for _, c := range []struct {
		args string
		code int
		want string // in what is printed
	}{
		{"--help", exitOK, "serve"},
		{"serve --help", exitOK, "sockeye serve --addr :8080"},
		{"", exitUsage, "expected"},
		{"fly", exitUsage, "unexpected argument fly"},
		{"serve --addr", exitUsage, "--addr"},
		{"serve --log loud", exitUsage, "sockeye serve --help"},
		{"serve --addr nonsense", exitError, "not HOST:PORT"},
		{"serve --addr 203.0.113.1:0", exitError, "no address"},
		{"serve --path /", exitError, "--path"},
		{"serve --path /lab/x", exitError, "--path"},
		{"serve --path a?b", exitError, "--path"},
		{"serve --cors example.com", exitError, "begins with http"},
	} {
		var out, errOut bytes.Buffer
		code := run(strings.Fields(c.args), streams{&out, &errOut})
		if all := out.String() + errOut.String(); code != c.code || !strings.Contains(all, c.want) {
			t.Errorf("sockeye %s: exit code %d, want %d; no %q in\n%s", c.args, code, c.code, c.want, all)
		}
	}
}

func TestCORS(t *testing.T) {
	url := startDemo(t, func(c *serveCommand) { c.Cors = []string{"https://app.example.com"} })
	for origin, want := range map[string]int{"https://app.example.com": 200, "https://evil.example": 403} {
		r, err := http.NewRequest("GET", url+"/socket.io/?EIO=4&transport=polling", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Origin", origin)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("origin %s: status %d, want %d", origin, res.StatusCode, want)
		}
	}
}

// The real process, stopped by the real signal, with a client connected.
func TestSignalStopsIt(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		cmd := exec.Command(os.Args[0], "serve", "--addr", "127.0.0.1:0")
		cmd.Env = append(os.Environ(), "SOCKEYE_TEST_MAIN=1")
		out := newScreen()
		cmd.Stdout, cmd.Stderr = out, out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		url := out.waitFor(t, `(http://\S+)`)
		_, open, _ := get(t, url+"/socket.io/?EIO=4&transport=polling")
		var sid string
		if _, err := fmt.Sscanf(open, `0{"sid":"%20s`, &sid); err != nil {
			t.Fatalf("%v in %q", err, open)
		}
		released := make(chan struct{})
		go func() {
			defer close(released)
			if r, err := http.Get(url + "/socket.io/?EIO=4&transport=polling&sid=" + sid); err == nil {
				r.Body.Close()
			}
		}()
		cmd.Process.Signal(sig)
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %v\n%s", sig, err, out)
		}
		<-released
		http.DefaultClient.CloseIdleConnections()
	}
}

func TestStartText(t *testing.T) {
	local := startText(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 3000}, "/socket.io/", "")
	if !strings.Contains(local, "http://localhost:3000\n") || strings.Contains(local, "Everybody") {
		t.Errorf("for this machine only:\n%s", local)
	}
	open := startText(&net.TCPAddr{IP: net.IPv6unspecified, Port: 8080}, "/x/", "")
	if !strings.Contains(open, "http://localhost:8080\n") || !strings.Contains(open, "Everybody") || !strings.Contains(open, "/x/") {
		t.Errorf("for everybody:\n%s", open)
	}
	one := startText(&net.TCPAddr{IP: net.ParseIP("fd00::1"), Port: 80}, "/x/", "")
	if !strings.Contains(one, "http://[fd00::1]:80\n") {
		t.Errorf("for one address:\n%s", one)
	}
}
