//go:build linux

package load

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sockeye-io/sockeye/bench/internal/floor"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve returns the address of a server that runs h until the test ends.
func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

func serveFloor(t *testing.T) string {
	t.Helper()
	f := floor.New()
	t.Cleanup(f.Close)
	return serve(t, f)
}

// brief is a short load on a small number of clients.
func brief(mode Mode, addr string) Config {
	return Config{Mode: mode, Addr: addr, PID: os.Getpid(), Clients: 20, Warmup: time.Millisecond, Duration: 50 * time.Millisecond}
}

func mustRun(t *testing.T, cfg Config) *Result {
	t.Helper()
	r, err := Run(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestFloorPassesEveryLoad(t *testing.T) {
	addr := serveFloor(t)
	for _, c := range []struct {
		mode     Mode
		inFlight int
	}{{Echo, 1}, {Echo, 16}, {Broadcast, 1}, {Broadcast, 10}, {Rooms, 1}, {Rooms, 3}} {
		t.Run(fmt.Sprint(c.mode, c.inFlight), func(t *testing.T) {
			cfg := brief(c.mode, addr)
			cfg.InFlight = c.inFlight
			cfg.RoomSize = 7 // the last room is smaller
			r := mustRun(t, cfg)
			if !r.OK() {
				t.Fatalf("lost %d, wrong %d: %s", r.Lost, r.Wrong, r.Failure)
			}
			if r.Ops == 0 || r.Elapsed < cfg.Duration || r.P50 <= 0 || r.P99 < r.P50 {
				t.Fatalf("an empty result: %+v", r)
			}
		})
	}
}

func TestConnectCountsAndMeasuresMemory(t *testing.T) {
	cfg := brief(Connect, serveFloor(t))
	cfg.Clients, cfg.Parallel, cfg.Settle = 300, 8, time.Millisecond
	r := mustRun(t, cfg)
	if !r.OK() || r.Ops != 300 {
		t.Fatalf("%+v", r)
	}
	if r.CPU <= 0 { // this process holds both sides and has certainly used a tick
		t.Error("no processor time")
	}
}

func TestPolling(t *testing.T) {
	for name, s := range map[string]*pollServer{"whole": {}, "chunked": {chunked: true}} {
		t.Run(name, func(t *testing.T) {
			s.sessions = map[string]chan string{}
			r := mustRun(t, brief(Polling, serve(t, s)))
			if !r.OK() || r.Ops == 0 {
				t.Fatalf("%+v", r)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	addr := serveFloor(t)
	for name, cfg := range map[string]Config{
		"no such mode":      {Mode: "dance", Addr: addr},
		"in flight":         {Mode: Echo, Addr: addr, InFlight: 65},
		"clients":           {Mode: Echo, Addr: addr, Clients: -1},
		"payload":           {Mode: Echo, Addr: addr, Payload: 3},
		"polling in flight": {Mode: Polling, Addr: addr, InFlight: 2},
		"address":           {Mode: Echo, Addr: "127.0.0.1"},
		"not a server":      {Mode: Echo, Addr: serve(t, http.NotFoundHandler()), Clients: 1},
		"nobody":            {Mode: Echo, Addr: "127.0.0.1:1", Clients: 1},
	} {
		if r, err := Run(cfg); err == nil {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// Everything a server can do wrong with answers must show in the result.
func TestFaultsAreCounted(t *testing.T) {
	for name, c := range map[string]struct {
		mode   Mode
		faults *faults
		lost   bool
		wrong  bool
	}{
		"an acknowledgement is missing":       {Echo, &faults{drop: 5}, true, false},
		"two acknowledgements change places":  {Echo, &faults{swap: 5}, false, true},
		"an acknowledgement comes twice":      {Echo, &faults{repeat: 5}, false, true},
		"a delivery is missing":               {Broadcast, &faults{drop: 30}, true, true},
		"a delivery comes twice":              {Broadcast, &faults{repeat: 30}, false, true},
		"a room hears another room's message": {Rooms, &faults{stray: 31}, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := brief(c.mode, serve(t, c.faults))
			cfg.Clients, cfg.InFlight, cfg.RoomSize, cfg.Patience = 4, 4, 2, 100*time.Millisecond
			r := mustRun(t, cfg)
			if r.OK() {
				t.Fatalf("nothing was noticed: %+v", r)
			}
			if c.lost && r.Lost == 0 || c.wrong && r.Wrong == 0 {
				t.Errorf("lost %d, wrong %d: %s", r.Lost, r.Wrong, r.Failure)
			}
		})
	}
}

func TestAConnectThatIsNeverAnsweredIsLost(t *testing.T) {
	cfg := brief(Connect, serve(t, &faults{mute: 7}))
	cfg.Clients, cfg.Parallel, cfg.Patience = 40, 4, 50*time.Millisecond
	r := mustRun(t, cfg)
	if r.Lost == 0 || r.Ops+uint64(r.Lost) != 40 || r.Failure == "" {
		t.Fatalf("%+v", r)
	}
}

func TestAConnectionThatEndsIsAFailure(t *testing.T) {
	cfg := brief(Echo, serve(t, &faults{hangUp: 50}))
	cfg.Patience = 100 * time.Millisecond
	if r := mustRun(t, cfg); r.OK() || !strings.Contains(r.Failure, "a connection ended") {
		t.Fatalf("%+v", r)
	}
}
