package bridge_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/adapter/adaptertest"
	"github.com/sockeye-io/sockeye/adapter/bridge"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A cluster of servers that are all in the same two clusters.
func TestConformance(t *testing.T) {
	adaptertest.Run(t, func(t *testing.T, n int) []adapter.Factory {
		t.Helper()
		var a adapter.Hub
		factories := make([]adapter.Factory, n)
		for i := range factories {
			var alone adapter.Hub
			factories[i] = bridge.Join(bridge.Options{}, a.Adapter, alone.Adapter)
		}
		return factories
	})
}

// A host notes what it is to do.
type host struct {
	adapter.Host
	mu  sync.Mutex
	got []string
}

func (h *host) note(what string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.got = append(h.got, what)
}

func (h *host) Namespace() string                             { return "/" }
func (h *host) Broadcast(p *adapter.Packet, t adapter.Target) { h.note(string(p.Data)) }
func (h *host) Join(t adapter.Target, rooms []string)         { h.note("join " + rooms[0]) }
func (h *host) HasRoom(string) bool                           { return false }
func (h *host) BroadcastWithAck(p *adapter.Packet, t adapter.Target, answer func(*adapter.Packet)) (int, func()) {
	h.note(string(p.Data))
	return 0, func() {}
}

// answering answers every event.
type answering struct{ host }

func (h *answering) BroadcastWithAck(p *adapter.Packet, t adapter.Target, answer func(*adapter.Packet)) (int, func()) {
	answer(p)
	return 1, func() {}
}

func TestOnce(t *testing.T) {
	var a, b adapter.Hub
	hosts := make([]*host, 4)
	for i := range hosts {
		hosts[i] = &host{}
	}
	inA := a.Adapter(hosts[0])
	inB := b.Adapter(hosts[1])
	first := bridge.Join(bridge.Options{}, a.Adapter, b.Adapter)(hosts[2])
	second := bridge.Join(bridge.Options{Forward: func() bool { return false }}, a.Adapter, b.Adapter)(hosts[3])
	all := []adapter.Adapter{inA, inB, first, second}
	for i, from := range all {
		for _, h := range hosts {
			h.got = nil
		}
		for _, event := range []string{`["1"]`, `["2"]`} {
			if err := from.Broadcast(&adapter.Packet{Data: []byte(event)}, adapter.Target{Rooms: []string{"r"}}); err != nil {
				t.Fatal(err)
			}
			if err := from.Join(adapter.Target{}, []string{event}); err != nil {
				t.Fatal(err)
			}
		}
		for j, h := range hosts {
			want := []string{`["1"]`, `join ["1"]`, `["2"]`, `join ["2"]`}
			if i == j {
				want = nil // it has done its own part itself
			}
			if !slices.Equal(h.got, want) {
				t.Errorf("from %d server %d received %q, want %q", i, j, h.got, want)
			}
		}
	}
	for _, x := range all {
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestAskedOn(t *testing.T) {
	var a, b adapter.Hub
	inA := a.Adapter(&host{})
	inB := b.Adapter(&answering{})
	both := bridge.Join(bridge.Options{}, a.Adapter, b.Adapter)(&host{})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for _, from := range []adapter.Adapter{inA, both} {
		var answers []string
		n, err := from.BroadcastWithAck(ctx, &adapter.Packet{Data: []byte(`["q"]`)}, adapter.Target{Rooms: []string{"aaaaaaaaaaaaaaaaaaaa"}},
			func(p *adapter.Packet) { answers = append(answers, string(p.Data)) })
		if err != nil || n != 1 || !slices.Equal(answers, []string{`["q"]`}) {
			t.Errorf("asked %d, error %v, answers %q", n, err, answers)
		}
	}
	for _, x := range []adapter.Adapter{inA, inB, both} {
		_ = x.Close()
	}
}
