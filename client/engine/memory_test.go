package engine_test

import (
	"net/http"
	"testing"

	"github.com/sockeye-io/sockeye/client/engine"
	"github.com/sockeye-io/sockeye/engineio"
)

func TestMemoryKeepsCookies(t *testing.T) {
	s := newServer(t, &engineio.Options{Cookie: &http.Cookie{Name: "route"}})
	handshakes := newQueue[string]()
	s.around = func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.URL.Query().Get("sid") == "" {
			handshakes.push(r.Header.Get("Cookie"))
		}
		next.ServeHTTP(w, r)
	}
	opts := &engine.Options{Memory: new(engine.Memory)}
	first, _ := s.dial(opts, engine.Polling)
	first.Close()
	opts.Memory.Forget()
	second, _ := s.dial(opts, engine.WebSocket)
	second.Close()
	stranger, _ := s.dial(nil, engine.Polling)
	stranger.Close()
	for i, want := range []string{"", "route=" + first.ID(), ""} {
		if got := handshakes.pop(t); got != want {
			t.Errorf("handshake %d came with cookies %q, want %q", i, got, want)
		}
	}
}
