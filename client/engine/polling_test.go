package engine_test

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/sockeye-io/sockeye/client/engine"
)

// A response that is lost took its messages with it: the next GET must not go on as if nothing were missing, as it
// would if http.Transport asked again by itself.
func TestLostResponse(t *testing.T) {
	s := newServer(t, nil)
	var polls atomic.Int32
	s.around = func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method != http.MethodGet || r.URL.Query().Get("sid") == "" || polls.Add(1) != 2 {
			next.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler) // closes the connection
	}
	_, r := s.dial(nil, engine.Polling)
	p := s.accepted.pop(t)
	p.send(false, "arrives")
	r.expect("arrives")
	p.send(false, "is lost")
	r.expectClosed(engine.ReasonTransportError)
	if n := polls.Load(); n != 2 {
		t.Errorf("%d polls, want 2", n)
	}
}
