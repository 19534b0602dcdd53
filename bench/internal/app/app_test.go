//go:build linux

package app

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sockeye-io/sockeye/bench/internal/load"
)

// The target must follow the contract, for every load.
func TestTargetPassesEveryLoad(t *testing.T) {
	io := New(nil)
	s := httptest.NewServer(io)
	defer s.Close()
	defer io.Close()
	for _, cfg := range []load.Config{
		{Mode: load.Echo, InFlight: 1}, {Mode: load.Echo, InFlight: 16},
		{Mode: load.Broadcast, InFlight: 1}, {Mode: load.Broadcast, InFlight: 10},
		{Mode: load.Rooms}, {Mode: load.Polling}, {Mode: load.Connect},
	} {
		t.Run(fmt.Sprint(cfg.Mode, cfg.InFlight), func(t *testing.T) {
			cfg.Addr = strings.TrimPrefix(s.URL, "http://")
			cfg.Clients, cfg.Warmup, cfg.Duration = 30, time.Millisecond, 100*time.Millisecond
			r, err := load.Run(cfg)
			if err != nil {
				t.Fatal(err)
			}
			if !r.OK() || r.Ops == 0 {
				t.Fatalf("%d operations, lost %d, wrong %d: %s", r.Ops, r.Lost, r.Wrong, r.Failure)
			}
		})
	}
}
