package engine_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sockeye-io/sockeye/client/engine"
)

// census counts the connections that a server has.
type census struct {
	mu    sync.Mutex
	open  map[net.Conn]bool
	ended *queue[struct{}]
}

func (c *census) watch(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateNew:
		c.open[conn] = true
	case http.StateClosed:
		delete(c.open, conn)
		c.ended.push(struct{}{})
	}
}

// awaitNone waits until there are none any more.
func (c *census) awaitNone(t *testing.T) {
	t.Helper()
	for {
		c.mu.Lock()
		n := len(c.open)
		c.mu.Unlock()
		if n == 0 {
			return
		}
		c.ended.pop(t)
	}
}

// A connection with a client of its own leaves no connection behind, however it
// ended, and neither does a Dial that failed.
func TestNothingStaysOpen(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		for _, transport := range []string{engine.Polling, engine.Streaming} {
			for name, end := range map[string]func(c *engine.Conn){
				"Close":          func(c *engine.Conn) { c.Close() },
				"Abort":          func(c *engine.Conn) { c.Abort() },
				"Close, written": func(c *engine.Conn) { _ = c.Send(text("x")); c.Close() },
			} {
				protocol := map[bool]string{false: "h1", true: "h2"}[h2]
				t.Run(protocol+" "+transport+" "+name, func(t *testing.T) {
					s := makeServer(t, nil)
					defer s.engine.Close()
					all := &census{open: map[net.Conn]bool{}, ended: newQueue[struct{}]()}
					ts := httptest.NewUnstartedServer(s)
					ts.EnableHTTP2 = h2
					ts.Config.ConnState = all.watch
					ts.StartTLS()
					defer ts.Close()
					s.url = ts.URL
					opts := &engine.Options{TLSConfig: ts.Client().Transport.(*http.Transport).TLSClientConfig}
					ctx, cancel := context.WithCancel(t.Context())
					var deaf atomic.Bool
					s.around = func(w http.ResponseWriter, r *http.Request, next http.Handler) {
						if !deaf.Load() {
							next.ServeHTTP(w, r)
							return
						}
						cancel()
						<-r.Context().Done()
					}
					c, r := s.dial(opts, transport)
					end(c)
					r.expectClosed(engine.ReasonForcedClose)
					all.awaitNone(t)

					deaf.Store(true)
					failed := dialFails(t, ctx, s.url, s.options(opts, transport))
					if !errors.Is(failed, context.Canceled) {
						t.Error(failed)
					}
					all.awaitNone(t)
				})
			}
		}
	}
}
