package postgres_test

import (
	"fmt"
	"log/slog"
	"testing"

	"go.uber.org/goleak"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/adapter/adaptertest"
	"github.com/sockeye-io/sockeye/adapter/postgres"
	"github.com/sockeye-io/sockeye/internal/pgtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t testing.TB) *pgtest.Server {
	t.Helper()
	return pgtest.Start(t, func(reason string) { skip(t, reason) })
}

// open returns a broker, which is closed at the end of the test.
func open(t testing.TB, s *pgtest.Server, o postgres.Options) *postgres.Broker {
	t.Helper()
	if o.Pool == nil && o.DSN == "" {
		o.DSN = s.DSN
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	b, err := postgres.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func TestConformance(t *testing.T) {
	s := start(t)
	n := 0
	adaptertest.Run(t, func(t *testing.T, servers int) []adapter.Factory {
		n++
		factories := make([]adapter.Factory, servers)
		for i := range factories {
			factories[i] = open(t, s, postgres.Options{Prefix: fmt.Sprintf(`it's "cluster" %d`, n), Table: `At"tach`}).Adapter()
		}
		return factories
	})
}
