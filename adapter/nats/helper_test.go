package nats_test

import (
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"go.uber.org/goleak"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/adapter/cluster"
	"github.com/sockeye-io/sockeye/adapter/nats"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long tests wait for what must come, on a machine that is slow and busy.
const patience = time.Minute

// startNATS starts a server on a port of its own, or on a given one.
func startNATS(t testing.TB, port int) *server.Server {
	t.Helper()
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: port, NoLog: true, NoSigs: true, MaxPayload: 64 << 10,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(patience) {
		t.Fatal("the NATS server is not ready")
	}
	t.Cleanup(func() { stopNATS(s) })
	return s
}

func stopNATS(s *server.Server) {
	s.Shutdown()
	s.WaitForShutdown()
}

// quick makes servers notice soon that one has come. They take none for dead that is only slow.
var quick = cluster.Options{HeartbeatInterval: 200 * time.Millisecond, HeartbeatTimeout: patience, Settle: 50 * time.Millisecond}

func open(t testing.TB, url string) *nats.Broker {
	t.Helper()
	return openWith(t, nats.Options{URL: url})
}

func openWith(t testing.TB, o nats.Options) *nats.Broker {
	t.Helper()
	o.Cluster = quick
	o.Logger = slog.New(slog.DiscardHandler)
	b, err := nats.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() }) // tests may have closed it
	return b
}

// prefixes separates the clusters of tests that share a NATS server.
var prefixes atomic.Int64

func factories(brokers []*nats.Broker) []adapter.Factory {
	var fs []adapter.Factory
	for _, b := range brokers {
		fs = append(fs, b.Adapter())
	}
	return fs
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
