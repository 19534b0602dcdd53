package adaptertest_test

import (
	"io"
	"log/slog"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/sockeye-io/sockeye/adapter"
	"github.com/sockeye-io/sockeye/adapter/adaptertest"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.NewTextHandler(io.Discard, nil)))
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) { os.Exit(code) }))
}

func TestHub(t *testing.T) {
	adaptertest.Run(t, func(t *testing.T, n int) []adapter.Factory {
		hub := new(adapter.Hub)
		factories := make([]adapter.Factory, n)
		for i := range factories {
			factories[i] = hub.Adapter
		}
		return factories
	})
}

func TestLogHub(t *testing.T) {
	cluster := func(t *testing.T, n int) []adapter.Factory {
		hub := new(adapter.LogHub)
		factories := make([]adapter.Factory, n)
		for i := range factories {
			factories[i] = hub.Adapter
		}
		return factories
	}
	adaptertest.Run(t, cluster)
	t.Run("Recovery", func(t *testing.T) { adaptertest.RunRecovery(t, cluster) })
}
