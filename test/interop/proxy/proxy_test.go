package proxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/sockeye-io/sockeye/test/interop/kit"
)

// backend answers /plain, echoes WebSocket messages, and streams at /stream: one line, and another at each receive
// from more, until more is closed.
func backend(t *testing.T, more <-chan struct{}) string {
	mux := http.NewServeMux()
	mux.HandleFunc("/plain", func(w http.ResponseWriter, r *http.Request) {
		if conn, _, _, err := ws.UpgradeHTTP(r, w); err == nil {
			defer conn.Close()
			for {
				data, op, err := wsutil.ReadClientData(conn)
				if err != nil || wsutil.WriteServerMessage(conn, op, data) != nil {
					return
				}
			}
		}
	})
	mux.HandleFunc("/stream", func(w http.ResponseWriter, r *http.Request) {
		for {
			fmt.Fprintln(w, "line")
			w.(http.Flusher).Flush()
			select {
			case _, ok := <-more:
				if !ok {
					return
				}
			case <-r.Context().Done():
				return
			}
		}
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

func dial(t *testing.T, p *Proxy, timeout time.Duration) (net.Conn, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	conn, _, _, err := ws.Dial(ctx, "ws://"+p.Addr()+"/plain")
	if err == nil {
		t.Cleanup(func() { conn.Close() })
	}
	return conn, err
}

func TestUpgradeModes(t *testing.T) {
	for mode, check := range map[UpgradeMode]func(t *testing.T, p *Proxy){
		Pass: func(t *testing.T, p *Proxy) {
			conn, err := dial(t, p, 20*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			if err := wsutil.WriteClientText(conn, []byte("x")); err != nil {
				t.Fatal(err)
			}
			if data, err := wsutil.ReadServerText(conn); string(data) != "x" {
				t.Errorf("echo: %q, %v", data, err)
			}
		},
		Refuse: func(t *testing.T, p *Proxy) {
			if _, err := dial(t, p, 20*time.Second); !errors.Is(err, ws.StatusError(http.StatusForbidden)) {
				t.Errorf("dial: %v, want 403", err)
			}
		},
		Strip: func(t *testing.T, p *Proxy) {
			// The server saw a plain request, in which it misses the headers.
			var status ws.StatusError
			if _, err := dial(t, p, 20*time.Second); !errors.As(err, &status) || status == http.StatusForbidden {
				t.Errorf("dial: %v, want the server's refusal", err)
			}
		},
		Hang: func(t *testing.T, p *Proxy) {
			if _, err := dial(t, p, time.Second); err == nil || !isTimeout(err) {
				t.Errorf("dial: %v, want a timeout", err)
			}
		},
		Swallow: func(t *testing.T, p *Proxy) {
			conn, err := dial(t, p, 20*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			if err := wsutil.WriteClientText(conn, []byte("x")); err != nil {
				t.Fatal(err)
			}
			if err := conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
				t.Fatal(err)
			}
			if data, err := wsutil.ReadServerText(conn); !isTimeout(err) {
				t.Errorf("read %q, %v, want a timeout", data, err)
			}
		},
	} {
		t.Run(fmt.Sprint(mode), func(t *testing.T) {
			p := Start(t, backend(t, nil), Options{Upgrade: mode})
			check(t, p)
			kit.Eventually(t, "the count", func() bool { return p.Upgrades() == 1 })
		})
	}
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &ne) && ne.Timeout()
}

func TestBuffer(t *testing.T) {
	more := make(chan struct{})
	p := Start(t, backend(t, more), Options{})
	res, err := http.Get(p.URL() + "/stream")
	if err != nil {
		t.Fatal(err)
	}
	body := bufio.NewReader(res.Body)
	for range 2 {
		// The line arrives although the response goes on.
		if line, err := body.ReadString('\n'); err != nil {
			t.Fatalf("line: %q, %v", line, err)
		}
		more <- struct{}{}
	}
	res.Body.Close()

	more = make(chan struct{})
	p = Start(t, backend(t, more), Options{Buffer: true})
	got := make(chan string, 1)
	go func() {
		res, err := http.Get(p.URL() + "/stream")
		if err != nil {
			got <- err.Error()
			return
		}
		defer res.Body.Close()
		data, _ := io.ReadAll(res.Body)
		got <- string(data)
	}()
	more <- struct{}{}
	select {
	case s := <-got:
		t.Fatalf("the response came before its end: %q", s)
	default:
	}
	close(more)
	if s := <-got; s != "line\nline\n" {
		t.Errorf("the response is %q", s)
	}
}

func TestIdle(t *testing.T) {
	const idle = time.Second
	p := Start(t, backend(t, nil), Options{Idle: idle})
	conn, err := dial(t, p, 20*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if data, err := wsutil.ReadServerText(conn); err == nil {
		t.Errorf("read %q from a connection that is to be closed", data)
	}
	kit.Eventually(t, "the count", func() bool { return p.Idled() == 1 })
}

func TestCutAndDown(t *testing.T) {
	p := Start(t, backend(t, nil), Options{})
	conn, err := dial(t, p, 20*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	p.Cut()
	if data, err := wsutil.ReadServerText(conn); err == nil {
		t.Errorf("read %q from a connection that was cut", data)
	}
	if _, err := dial(t, p, 20*time.Second); err != nil {
		t.Errorf("dial after a cut: %v", err)
	}
	p.Down()
	if _, err := dial(t, p, 20*time.Second); err == nil {
		t.Error("dial while down succeeded")
	}
	p.Up()
	if _, err := dial(t, p, 20*time.Second); err != nil {
		t.Errorf("dial after Up: %v", err)
	}
}
