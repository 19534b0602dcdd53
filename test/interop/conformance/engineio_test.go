// Package conformance tests a server against the Engine.IO v4 and Socket.IO v5 protocols, case by case as the official
// suites do, with code of our own: it needs nothing that a fresh machine does not have. Package official runs the
// suites themselves where they are at hand.
package conformance

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sockeye-io/sockeye/test/interop/suite"
)

func TestEngineIO(t *testing.T) {
	t.Parallel()
	e := endpoint(suite.Start(t, "eio4", times) + "/engine.io/")
	t.Run("handshake/polling", func(t *testing.T) { handshakePolling(t, e) })
	t.Run("handshake/websocket", func(t *testing.T) { handshakeWebSocket(t, e) })
	t.Run("message/polling", func(t *testing.T) { messagePolling(t, e) })
	t.Run("message/websocket", func(t *testing.T) { messageWebSocket(t, e) })
	t.Run("heartbeat", func(t *testing.T) { heartbeat(t, e) })
	t.Run("close", func(t *testing.T) { closing(t, e) })
	t.Run("upgrade", func(t *testing.T) { upgrade(t, e, true) })
}

func handshakePolling(t *testing.T, e endpoint) {
	t.Run("opens a session", func(t *testing.T) {
		r := e.request(t, http.MethodGet, "?EIO=4&transport=polling", "")
		if r.status != http.StatusOK {
			t.Fatalf("status %d: %s", r.status, r.body)
		}
		checkHandshake(t, r.body, []string{"websocket"})
	})
	t.Run("fails with an invalid EIO", func(t *testing.T) {
		e.wantStatus(t, http.MethodGet, "?transport=polling", http.StatusBadRequest)
		e.wantStatus(t, http.MethodGet, "?EIO=abc&transport=polling", http.StatusBadRequest)
	})
	t.Run("fails with an invalid transport", func(t *testing.T) {
		e.wantStatus(t, http.MethodGet, "?EIO=4", http.StatusBadRequest)
		e.wantStatus(t, http.MethodGet, "?EIO=4&transport=abc", http.StatusBadRequest)
	})
	t.Run("fails with an invalid method", func(t *testing.T) {
		e.wantStatus(t, http.MethodPost, "?EIO=4&transport=polling", http.StatusBadRequest)
		e.wantStatus(t, http.MethodPut, "?EIO=4&transport=polling", http.StatusBadRequest)
	})
}

func handshakeWebSocket(t *testing.T, e endpoint) {
	t.Run("opens a session", func(t *testing.T) { e.openSocket(t) })
	t.Run("fails with an invalid EIO", func(t *testing.T) {
		e.refused(t, "?transport=websocket")
		e.refused(t, "?EIO=abc&transport=websocket")
	})
	t.Run("fails with an invalid transport", func(t *testing.T) {
		e.refused(t, "?EIO=4")
		e.refused(t, "?EIO=4&transport=abc")
	})
}

func messagePolling(t *testing.T, e endpoint) {
	for name, payload := range map[string]string{
		"carries one text packet":             "4hello",
		"carries several text packets":        "4test1\x1e4test2\x1e4test3",
		"carries text and binary packets":     "4hello\x1ebAQIDBA==",
		"carries an empty message and a text": "4\x1e4x",
	} {
		t.Run(name, func(t *testing.T) {
			p := e.openPolling(t)
			p.post(payload)
			p.wantPoll(payload)
		})
	}
	t.Run("closes the session upon an invalid packet", func(t *testing.T) {
		p := e.openPolling(t)
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		// The answer to the request itself is open: Node says 200, others 400 or end the connection.
		_, _ = e.do(ctx, http.MethodPost, p.query, "abc")
		if r := p.poll(); r.status != http.StatusBadRequest {
			t.Errorf("poll: got %+v, want 400", r)
		}
	})
	t.Run("closes the session upon a second poll", func(t *testing.T) {
		p := e.openPolling(t)
		// Which of the two the server sees first is not ours to know; the other is the second.
		answers := make(chan reply, 2)
		for range 2 {
			go func() {
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				defer cancel()
				r, err := e.do(ctx, http.MethodGet, p.query, "")
				if err != nil {
					r.body = err.Error()
				}
				answers <- r
			}()
		}
		a, b := <-answers, <-answers
		if a.status != http.StatusOK {
			a, b = b, a
		}
		if a != (reply{http.StatusOK, "1"}) {
			t.Errorf("first poll: got %+v, want 200 \"1\"", a)
		}
		if b.status != http.StatusBadRequest && b.status != http.StatusInternalServerError {
			t.Errorf("second poll: got %+v, want 400 or 500", b)
		}
		if r := p.poll(); r.status != http.StatusBadRequest {
			t.Errorf("poll: got %+v, want 400", r)
		}
	})
	t.Run("closes the session upon an aborted poll", func(t *testing.T) {
		p := e.openPolling(t)
		conn, err := net.Dial("tcp", p.host())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", p.path()+p.query, p.host()); err != nil {
			t.Fatal(err)
		}
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		// A server that notices ends its side too; one that doesn't answers with a ping sooner or later.
		if err := conn.SetReadDeadline(time.Now().Add(limit)); err != nil {
			t.Fatal(err)
		}
		if answer, _ := io.ReadAll(conn); strings.HasSuffix(string(answer), "\r\n\r\n2") {
			t.Errorf("the session outlived the aborted poll: %q", answer)
		}
		if r := p.poll(); r.status != http.StatusBadRequest {
			t.Errorf("poll: got %+v, want 400", r)
		}
	})
}

func messageWebSocket(t *testing.T, e endpoint) {
	t.Run("carries a text packet", func(t *testing.T) {
		s := e.openSocket(t)
		s.send("4hello")
		s.want("4hello")
	})
	t.Run("carries a binary packet", func(t *testing.T) {
		s := e.openSocket(t)
		s.send([]byte{1, 2, 3, 4})
		s.want([]byte{1, 2, 3, 4})
	})
	t.Run("closes the session upon an invalid packet", func(t *testing.T) {
		s := e.openSocket(t)
		s.send("abc")
		s.wantClosed()
	})
}

func heartbeat(t *testing.T, e endpoint) {
	t.Run("polling/pings", func(t *testing.T) {
		t.Parallel()
		p := e.openPolling(t)
		for range 3 {
			p.wantPoll("2")
			p.post("3")
		}
	})
	t.Run("polling/closes the session upon a ping timeout", func(t *testing.T) {
		t.Parallel()
		e.openPolling(t).wantClosed()
	})
	t.Run("websocket/pings", func(t *testing.T) {
		t.Parallel()
		s := e.openSocket(t)
		for range 3 {
			s.want("2")
			s.send("3")
		}
	})
	t.Run("websocket/closes the session upon a ping timeout", func(t *testing.T) {
		t.Parallel()
		e.openSocket(t).wantClosed()
	})
}

func closing(t *testing.T, e endpoint) {
	t.Run("polling/closes the session", func(t *testing.T) {
		p := e.openPolling(t)
		polled := make(chan reply, 1)
		go func() {
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			r, err := e.do(ctx, http.MethodGet, p.query, "")
			if err != nil {
				r.body = err.Error()
			}
			polled <- r
		}()
		p.post("1")
		// A poll that reaches the server after the close finds no session.
		if r := <-polled; r != (reply{http.StatusOK, "6"}) && r.status != http.StatusBadRequest {
			t.Errorf("poll: got %+v, want 200 \"6\"", r)
		}
		if r := p.poll(); r.status != http.StatusBadRequest {
			t.Errorf("poll: got %+v, want 400", r)
		}
	})
	t.Run("websocket/closes the session", func(t *testing.T) {
		s := e.openSocket(t)
		s.send("1")
		s.wantClosed()
	})
}

func upgrade(t *testing.T, e endpoint, echo bool) {
	probe := func(t *testing.T) (*polling, *socket) {
		p := e.openPolling(t)
		s, err := e.dial(t, "?EIO=4&transport=websocket&sid="+p.sid())
		if err != nil {
			t.Fatal(err)
		}
		s.send("2probe")
		s.want("3probe")
		return p, s
	}
	hello := func(s *socket) {
		s.t.Helper()
		if echo {
			s.send("4hello")
			s.want("4hello")
			return
		}
		// Any answer will do, and this one needs no namespace.
		s.send("40/random")
		s.want(`44/random,{"message":"Invalid namespace"}`)
	}
	t.Run("upgrades from polling to WebSocket", func(t *testing.T) {
		p, s := probe(t)
		p.wantPoll("6") // so that the client can pause polling
		s.send("5")
		hello(s)
	})
	t.Run("ignores HTTP requests with the sid after the upgrade", func(t *testing.T) {
		p, s := probe(t)
		s.send("5")
		hello(s)
		if r := p.poll(); r.status != http.StatusBadRequest {
			t.Errorf("poll: got %+v, want 400", r)
		}
		hello(s)
	})
	t.Run("ignores WebSocket connections with the sid after the upgrade", func(t *testing.T) {
		p, s := probe(t)
		s.send("5")
		hello(s)
		e.refused(t, "?EIO=4&transport=websocket&sid="+p.sid())
		hello(s)
	})
}
