package peers_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sockeye-io/sockeye/peers"
)

// A network is what servers reach each other by, in these tests.
type network struct {
	mode     atomic.Int32
	attempts atomic.Int32
}

const (
	holding  int32 = iota // probes are answered, and what clients wait for is held
	silent                // nothing is answered: the process is stopped, or the machine has vanished
	refusing              // no connection is accepted
)

func isProbe(r *http.Request) bool {
	return strings.HasSuffix(r.URL.Query().Get("sid"), "----------------")
}

func (n *network) RoundTrip(r *http.Request) (*http.Response, error) {
	n.attempts.Add(1)
	mode := n.mode.Load()
	switch {
	case mode == refusing:
		return nil, &net.OpError{Op: "dial", Err: errors.New("refused")}
	case mode == holding && isProbe(r):
		return &http.Response{StatusCode: http.StatusBadRequest, Body: http.NoBody, Header: http.Header{}, Request: r}, nil
	case r.Method == http.MethodPost && mode == holding: // a stream that has begun, and says nothing more
		pr, pw := io.Pipe()
		go func() {
			<-r.Context().Done()
			_ = pw.CloseWithError(r.Context().Err())
		}()
		return &http.Response{StatusCode: http.StatusOK, Body: pr, Header: http.Header{}, Request: r}, nil
	}
	<-r.Context().Done()
	return nil, r.Context().Err()
}

const sidOfB = "B---0123456789abcdef"

func watched(t *testing.T, n *network, d peers.Directory) *peers.Peers {
	t.Helper()
	p, err := peers.New(peers.Options{ID: "A", Secret: secret, Transport: n, Directory: d, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// ask returns when the answer is there: whether the request was carried, or its answer broken off.
func ask(p *peers.Peers, method string) <-chan string {
	answer := make(chan string, 1)
	go func() {
		defer func() {
			if v := recover(); v != nil {
				answer <- "aborted"
			}
		}()
		r := httptest.NewRequest(method, "http://example.com/socket.io/?EIO=4&transport=polling&sid="+sidOfB, nil)
		// As in a server, without which nothing that is broken off may panic.
		r = r.WithContext(contextOfServer(r))
		if p.Foreign(httptest.NewRecorder(), r, sidOfB) {
			answer <- "carried"
		} else {
			answer <- "unknown"
		}
	}()
	return answer
}

// What is held by a server that stops without a word ends within 9 seconds of it, a probe's interval and its timeout.
func TestServerGoesSilent(t *testing.T) {
	for method, want := range map[string]string{http.MethodGet: "unknown", http.MethodPost: "aborted"} {
		synctest.Test(t, func(t *testing.T) {
			n := new(network)
			p := watched(t, n, peers.Static{"B": "http://b:1"})
			answer := ask(p, method)
			time.Sleep(time.Minute) // it is there, and takes its time
			select {
			case got := <-answer:
				t.Fatalf("%s: %s while the other server was there", method, got)
			default:
			}
			n.mode.Store(silent)
			start := time.Now()
			if got := <-answer; got != want || time.Since(start) > 9*time.Second {
				t.Errorf("%s: %s after %v", method, got, time.Since(start))
			}
			// Nothing else waits for it, however many come.
			before, start := n.attempts.Load(), time.Now()
			for range 1000 {
				if got := <-ask(p, http.MethodGet); got != "unknown" {
					t.Fatal(got)
				}
			}
			if tried := n.attempts.Load() - before; tried > 1 || time.Since(start) > 0 {
				t.Errorf("%d attempts in %v", tried, time.Since(start))
			}
			// It is back as soon as it answers.
			n.mode.Store(holding)
			time.Sleep(probeAgain)
			answer = ask(p, http.MethodGet)
			synctest.Wait()
			select {
			case got := <-answer:
				t.Errorf("after its return: %s", got)
			default:
			}
			n.mode.Store(silent)
			<-answer
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// probeAgain is more than the timeout of the probe that is under way, and the interval until the next one.
const probeAgain = 8 * time.Second

// A server that accepts no connections is tried once, and then only by probes.
func TestServerRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(network)
		n.mode.Store(refusing)
		p := watched(t, n, peers.Static{"B": "http://b:1"})
		defer p.Close()
		for range 1000 {
			if got := <-ask(p, http.MethodGet); got != "unknown" {
				t.Fatal(got)
			}
		}
		if n.attempts.Load() != 1 {
			t.Errorf("%d attempts", n.attempts.Load())
		}
		if s := p.Stats(); s.Unreachable != 1000 || s.Carried != 1 {
			t.Errorf("%+v", s)
		}
		// Nobody asks any more: it is no longer watched.
		time.Sleep(time.Minute)
		synctest.Wait()
		tried := n.attempts.Load()
		time.Sleep(time.Minute)
		if n.attempts.Load() != tried {
			t.Error("still watched after a minute")
		}
	})
}

// A server that the directory has forgotten, or that is another process now, has nothing of what is waited for.
func TestServerForgotten(t *testing.T) {
	for name, next := range map[string]string{"gone": "", "elsewhere": "http://b2:1"} {
		synctest.Test(t, func(t *testing.T) {
			var address atomic.Pointer[string]
			first := "http://b:1"
			address.Store(&first)
			n := new(network)
			p := watched(t, n, lookup(func(string) (string, bool) { a := *address.Load(); return a, a != "" }))
			defer p.Close()
			answer := ask(p, http.MethodGet)
			synctest.Wait()
			address.Store(&next)
			start := time.Now()
			if got := <-answer; got != "unknown" || time.Since(start) > 3*time.Second {
				t.Errorf("%s: %s after %v", name, got, time.Since(start))
			}
		})
	}
}

func contextOfServer(r *http.Request) context.Context {
	return context.WithValue(r.Context(), http.ServerContextKey, new(http.Server))
}
