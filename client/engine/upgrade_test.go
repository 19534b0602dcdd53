package engine_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/sockeye-io/sockeye/client/engine"
	"github.com/sockeye-io/sockeye/engineio"
)

// Nothing is lost or changes places while a connection moves.
func TestUpgrade(t *testing.T) {
	eachUpgrade(t, func(t *testing.T, s *server, order []string) {
		s.echo = true
		moved := make(chan string, 1)
		c, r := s.dial(&engine.Options{OnUpgrade: func(from, to string) { moved <- from + " " + to }}, order...)
		p := s.accepted.pop(t)
		for i := 0; ; i++ {
			send(t, c, text(fmt.Sprint(i)))
			select {
			case got := <-moved:
				for j := range i + 1 {
					r.expect(fmt.Sprint(j))
				}
				if got != order[0]+" "+order[1] || c.Transport() != order[1] {
					t.Errorf("moved %s, is on %s", got, c.Transport())
				}
				if a := c.Attempts(); len(a) != 2 || a[0].Transport != order[0] || a[0].Phase != "connect" || a[1].Transport != order[1] || a[1].Phase != "upgrade" || a[1].Err != nil {
					t.Errorf("%+v", a)
				}
				if err := c.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
				if got := p.closed.pop(t); got != engineio.ReasonTransportClose {
					t.Errorf("for the server it ended by %q", got)
				}
				return
			default:
			}
			if i%10 == 0 {
				if err := c.Flush(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

func TestNoUpgrade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemoryServer(t, nil)
		c, _ := s.dial(&engine.Options{NoUpgrade: true}, engine.Polling, engine.WebSocket)
		time.Sleep(time.Minute)
		if a := c.Attempts(); len(a) != 1 || c.Transport() != engine.Polling {
			t.Errorf("%+v", a)
		}
	})
}

// A transport that does not come about leaves the connection where it was, and the
// next one is tried.
func TestUpgradeFails(t *testing.T) {
	for name, block := range map[string]http.HandlerFunc{
		"refused": func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no", http.StatusBadGateway) },
		"hangs":   func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"is deaf": func(w http.ResponseWriter, r *http.Request) {
			conn := hijackWebSocket(t, w, r)
			defer conn.Close()
			for err := error(nil); err == nil; {
				_, err = conn.Read(make([]byte, 100))
			}
		},
		"closes": func(w http.ResponseWriter, r *http.Request) { hijackWebSocket(t, w, r).Close() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newMemoryServer(t, nil)
				s.around = func(w http.ResponseWriter, r *http.Request, next http.Handler) {
					if r.Header.Get("Upgrade") != "" {
						block(w, r)
						return
					}
					next.ServeHTTP(w, r)
				}
				c, r := s.dial(nil, engine.Polling, engine.WebSocket, engine.Streaming)
				p := s.accepted.pop(t)
				send(t, c, text("meanwhile"))
				p.expect("meanwhile")
				time.Sleep(10 * time.Second)
				a := c.Attempts()
				if len(a) != 3 || a[1].Transport != engine.WebSocket || a[1].Phase != "upgrade" || a[1].Err == nil || a[2].Err != nil || c.Transport() != engine.Streaming {
					t.Fatalf("%+v", a)
				}
				send(t, c, text("afterwards"))
				p.expect("afterwards")
				p.send(false, "back")
				r.expect("back")
			})
		})
	}
}

// Once the old transport has been left, a failure is the end.
func TestUpgradeBreaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemoryServer(t, nil)
		polling := make(chan struct{})
		s.around = func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			switch {
			case r.Header.Get("Upgrade") != "":
				conn := hijackWebSocket(t, w, r)
				defer conn.Close()
				_, _ = conn.Read(make([]byte, 100))
				<-polling
				_, _ = conn.Write([]byte("\x81\x063probe"))
				for err := error(nil); err == nil; {
					_, err = conn.Read(make([]byte, 100))
				}
			case r.URL.Query().Get("sid") != "":
				close(polling)
				<-r.Context().Done() // a GET that does not come back
			default:
				next.ServeHTTP(w, r)
			}
		}
		c, r := s.dial(nil, engine.Polling, engine.WebSocket)
		r.expectClosed(engine.ReasonTransportError)
		var slow interface{ Timeout() bool }
		a := c.Attempts()
		if len(a) != 3 || !errors.As(a[1].Err, &slow) || a[1].Phase != "upgrade" || a[2].Phase != "close" {
			t.Errorf("%+v", a)
		}
	})
}

// Whatever happens at whatever time: what was sent before Close arrives, in order
// and once, and so does what the server sent until it knew of the end.
func TestUpgradeRandomly(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		orders := [][]string{
			{engine.Polling, engine.WebSocket}, {engine.Polling, engine.Streaming}, {engine.Streaming, engine.WebSocket},
			{engine.Polling, engine.Streaming, engine.WebSocket}, {engine.Polling}, {engine.Streaming}, {engine.WebSocket},
		}
		order := rapid.SampledFrom(orders).Draw(rt, "order")
		latency := rapid.SliceOfN(rapid.IntRange(0, 300), 1, 8).Draw(rt, "latency")
		steps := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) [3]int {
			return [3]int{rapid.IntRange(0, 20).Draw(t, "up"), rapid.IntRange(0, 20).Draw(t, "down"), rapid.IntRange(0, 400).Draw(t, "pause")}
		}), 1, 8).Draw(rt, "steps")
		synctest.Test(t, func(t *testing.T) {
			s := newMemoryServer(t, &engineio.Options{MaxPayload: 500})
			var mu sync.Mutex
			requests := 0
			s.around = func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				mu.Lock()
				delay := latency[requests%len(latency)]
				requests++
				mu.Unlock()
				if r.Method == http.MethodPost || r.Header.Get("Upgrade") != "" {
					time.Sleep(time.Duration(delay) * time.Millisecond)
				}
				next.ServeHTTP(w, r)
			}
			c, r := s.dial(nil, order...)
			p := s.accepted.pop(t)
			var all sync.WaitGroup
			up, down := 0, 0
			all.Go(func() {
				for _, step := range steps {
					for range step[0] {
						send(t, c, text("up "+strconv.Itoa(up)+strings.Repeat("x", up%100)))
						up++
					}
					time.Sleep(time.Duration(step[2]) * time.Millisecond)
				}
			})
			all.Go(func() {
				for i := range steps {
					step := steps[len(steps)-1-i]
					for range step[1] {
						p.send(down%3 == 0, "down "+strconv.Itoa(down))
						down++
					}
					time.Sleep(time.Duration(step[2]) * time.Millisecond)
				}
			})
			all.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := c.Flush(ctx); err != nil {
				t.Errorf("Flush: %v", err)
			}
			for i := range down {
				if m := r.messages.pop(t); m.data != "down "+strconv.Itoa(i) || m.binary != (i%3 == 0) {
					t.Fatalf("the client got %v, want %d", m, i)
				}
			}
			if err := c.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			for i := range up {
				p.expect("up " + strconv.Itoa(i) + strings.Repeat("x", i%100))
			}
			if n := p.messages.len() + r.messages.len(); n > 0 {
				t.Errorf("%d messages too many", n)
			}
			if got := p.closed.pop(t); got != engineio.ReasonTransportClose {
				t.Errorf("for the server it ended by %q", got)
			}
		})
	})
}

// Close at any moment of an upgrade comes to its end, and nothing that was sent is
// lost.
func TestCloseDuringUpgrade(t *testing.T) {
	for delay := range 60 {
		for _, order := range [][]string{{engine.Polling, engine.WebSocket}, {engine.Polling, engine.Streaming}, {engine.Streaming, engine.WebSocket}} {
			synctest.Test(t, func(t *testing.T) {
				s := newMemoryServer(t, nil)
				s.around = func(w http.ResponseWriter, r *http.Request, next http.Handler) {
					time.Sleep(10 * time.Millisecond)
					next.ServeHTTP(w, r)
					time.Sleep(3 * time.Millisecond)
				}
				c, r := s.dial(nil, order...)
				p := s.accepted.pop(t)
				time.Sleep(time.Duration(delay) * time.Millisecond)
				send(t, c, text("last words"))
				if err := c.Close(); err != nil {
					t.Errorf("%v, %d ms: %v", order, delay, err)
				}
				p.expect("last words")
				r.expectClosed(engine.ReasonForcedClose)
				if got := p.closed.pop(t); got != engineio.ReasonTransportClose {
					t.Errorf("%v, %d ms: for the server it ended by %q", order, delay, got)
				}
			})
		}
	}
}
