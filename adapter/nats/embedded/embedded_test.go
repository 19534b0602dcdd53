package embedded_test

import (
	"log/slog"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/adapter/adaptertest"
	"github.com/sockeye-io/sockeye/adapter/cluster"
	"github.com/sockeye-io/sockeye/adapter/nats"
	"github.com/sockeye-io/sockeye/adapter/nats/embedded"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 15 * time.Second

var secret = []byte("sixteen bytes or more")

func start(t testing.TB, o embedded.Options) *embedded.Server {
	t.Helper()
	if o.Secret == nil {
		o.Secret = secret
	}
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	o.Logger = slog.New(slog.DiscardHandler)
	s, err := embedded.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func open(t testing.TB, s *embedded.Server) *nats.Broker {
	t.Helper()
	b, err := s.Open(nats.Options{
		Logger: slog.New(slog.DiscardHandler),
		Cluster: cluster.Options{
			HeartbeatInterval: 200 * time.Millisecond, HeartbeatTimeout: 2 * time.Second, Settle: 50 * time.Millisecond,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	end := time.Now().Add(patience)
	for !f() {
		if time.Now().After(end) {
			t.Fatalf("%s: still not so after %v", what, patience)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// mesh starts servers of which all but the first know only the first.
func mesh(t testing.TB, n int) []*embedded.Server {
	t.Helper()
	nodes := []*embedded.Server{start(t, embedded.Options{})}
	for len(nodes) < n {
		nodes = append(nodes, start(t, embedded.Options{Peers: []string{nodes[0].Addr().String()}}))
	}
	for _, s := range nodes {
		eventually(t, "the mesh", func() bool { return s.Peers() == n-1 })
	}
	return nodes
}

func TestConformance(t *testing.T) {
	adaptertest.Run(t, func(t *testing.T, n int) []adapter.Factory {
		var factories []adapter.Factory
		for _, s := range mesh(t, n) {
			factories = append(factories, open(t, s).Adapter())
		}
		return factories
	})
}
